"""The proof that a store keeps its promises, before anything is entrusted to it."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from archive.errors import Conflict, LightkeepError, ReadOnlyStore, UnsafeStore
from archive.store.values import Get

if TYPE_CHECKING:
    from collections.abc import Callable

    from archive.store.facade import Store

__all__ = ["probe"]

_RACERS = 8
_BODY = 4096


def probe(store: Store) -> None:
    """Raise unless the store keeps what an archive needs, shown by trying it.

    Put-if-absent and compare-and-swap are each raced for; listings must follow writes and deletes
    at once; ranges must be exact; an unchanged object must be told from a changed one. The objects
    lie below `probe/` and are removed at the end.

    Raises
    ------
    ReadOnlyStore
        The store cannot be written.
    UnsafeStore
        It broke a promise; the message names it.
    """
    if not store.writable:
        raise ReadOnlyStore(f"{store.url}: this kind of store can only be read; an archive needs one to write to")
    folder = f"probe/{secrets.token_hex(8)}"
    try:
        _try_all(store, folder)
    except LightkeepError:
        # What went wrong first is the news; a store that lies may well fail here too.
        with suppress(LightkeepError):
            _clean(store, folder)
        raise
    _clean(store, folder)


def _try_all(store: Store, folder: str) -> None:
    etag = _race_to_create(store, f"{folder}/raced")
    _race_to_swap(store, f"{folder}/raced", etag)
    _refuse_to_swap_nothing(store, f"{folder}/absent")
    _read_exactly(store, f"{folder}/ranges")
    _list_at_once(store, folder)


def _clean(store: Store, folder: str) -> None:
    store.delete([f"{folder}/{name}" for name in ("raced", "absent", "ranges", "listed")])


def _race_to_create(store: Store, key: str) -> str:
    bodies = [secrets.token_bytes(_BODY) for _ in range(_RACERS)]
    winners = _race([lambda body=body: store.create(key, body) for body in bodies])  # type: ignore[misc]
    if len(winners) != 1:
        raise _unsafe(store, f"put-if-absent: {len(winners)} of {_RACERS} writers of one object won, not 1")
    number, etag = winners[0]
    there = store.get(key)
    if bytes(there.data) != bodies[number] or there.etag != etag:
        raise _unsafe(store, "put-if-absent: the object that stayed is not the one whose writer won")
    if _wins(lambda: store.create(key, b"later")):
        raise _unsafe(store, "put-if-absent: an object that existed was overwritten")
    return etag


def _race_to_swap(store: Store, key: str, etag: str) -> None:
    bodies = [secrets.token_bytes(_BODY) for _ in range(_RACERS)]
    winners = _race([lambda body=body: store.swap(key, body, etag) for body in bodies])  # type: ignore[misc]
    if len(winners) != 1:
        raise _unsafe(store, f"compare-and-swap: {len(winners)} of {_RACERS} writers from one version won, not 1")
    number, newer = winners[0]
    there = store.get(key)
    if bytes(there.data) != bodies[number] or there.etag != newer:
        raise _unsafe(store, "compare-and-swap: the object that stayed is not the one whose writer won")
    if _wins(lambda: store.swap(key, b"stale", etag)):
        raise _unsafe(store, "compare-and-swap: a writer with a stale ETag won")
    if store.get_if_changed(key, newer) is not None:
        raise _unsafe(store, "conditional read: an unchanged object was sent as changed")
    if store.get_if_changed(key, etag) is None:
        raise _unsafe(store, "conditional read: a changed object was called unchanged")


def _refuse_to_swap_nothing(store: Store, key: str) -> None:
    etag = store.create(key, b"gone soon")
    store.delete([key])
    if _wins(lambda: store.swap(key, b"from nothing", etag)):
        raise _unsafe(store, "compare-and-swap: an object that had been deleted was swapped")


def _read_exactly(store: Store, key: str) -> None:
    body = secrets.token_bytes(_BODY)
    etag = store.create(key, body)
    ranges = [(0, 1), (1, 1000), (1000, _BODY), (_BODY - 1, _BODY)]
    found = store.get_many([Get(key, start, stop, etag) for start, stop in ranges])
    if [bytes(part.data) for part in found] != [body[start:stop] for start, stop in ranges]:
        raise _unsafe(store, "range reads: other bytes came than were asked for")
    if _wins(lambda: store.get_many([Get(key, 0, 1, '"another"')])):
        raise _unsafe(store, "conditional read: a range of another version was sent")


def _list_at_once(store: Store, folder: str) -> None:
    key = f"{folder}/listed"
    store.create(key, b"here")
    if key not in [entry.key for entry in store.entries(folder)]:
        raise _unsafe(store, "listing: an object that was just written is not in it")
    store.delete([key])
    if key in [entry.key for entry in store.entries(folder)]:
        raise _unsafe(store, "listing: an object that was just deleted is still in it")


def _race(writers: list[Callable[[], str]]) -> list[tuple[int, str]]:
    """Return the number of each writer that won and what it got, all having started together."""
    with ThreadPoolExecutor(len(writers)) as threads:
        futures = [threads.submit(_outcome, writer) for writer in writers]
        outcomes = [future.result() for future in futures]
    return [(number, etag) for number, etag in enumerate(outcomes) if etag is not None]


def _outcome(writer: Callable[[], str]) -> str | None:
    try:
        return writer()
    except Conflict:
        return None


def _wins(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except Conflict:
        return False
    return True


def _unsafe(store: Store, broken: str) -> UnsafeStore:
    return UnsafeStore(
        f"{store.url}: the store does not keep its promises: {broken}; writers would lose each other's data; "
        "keep the archive in a store with conditional writes, or in a folder"
    )
