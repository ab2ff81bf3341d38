"""Whether a store keeps what it promises: tried, not asked."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from archive.errors import Conflict, NotFound, ReadOnlyStore, UnsafeStore
from archive.store import Get

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archive.store import Store

__all__ = ["probe"]

_RACERS = 8
_ADVICE = "an archive in it could lose data; use a store with conditional writes, or a folder"


def probe(store: Store) -> None:
    """Race conditional writes and look at listings; leave nothing behind.

    Raises
    ------
    UnsafeStore
        The store breaks a promise; the message says which.
    ReadOnlyStore
        It has no conditional writes.
    """
    if not store.writable or not store.can_list:
        raise ReadOnlyStore(f"{store.url}: this kind of store can be read, but not hold a new archive")
    folder = f"probe/{secrets.token_hex(8)}"
    once, swapped = f"{folder}/once", f"{folder}/swapped"
    try:
        _race_to_create(store, once)
        _race_to_swap(store, swapped)
        _check_reads(store, once)
        _check_listing(store, folder, [once, swapped])
    finally:
        store.delete([once, swapped, f"{folder}/missing"])
    if store.entries(f"{folder}/"):
        raise UnsafeStore(f"{store.url}: a listing still shows objects after they were deleted; {_ADVICE}")


def _winners(attempts: Sequence[Callable[[], str]]) -> list[int]:
    def attempt(number: int) -> bool:
        try:
            attempts[number]()
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(len(attempts)) as pool:
        return [number for number, won in enumerate(pool.map(attempt, range(len(attempts)))) if won]


def _race_to_create(store: Store, key: str) -> None:
    bodies = [f"{number} {secrets.token_hex(8)}".encode() for number in range(_RACERS)]
    won = _winners([lambda body=body: store.create(key, body) for body in bodies])  # type: ignore[misc]
    if len(won) != 1 or bytes(store.get(key).data) != bodies[won[0]]:
        raise UnsafeStore(
            f"{store.url}: {len(won)} of {_RACERS} writers put the same new object (If-None-Match); {_ADVICE}"
        )


def _race_to_swap(store: Store, key: str) -> None:
    first = store.create(key, b"first")
    bodies = [f"{number} {secrets.token_hex(8)}".encode() for number in range(_RACERS)]
    won = _winners([lambda body=body: store.swap(key, body, first) for body in bodies])  # type: ignore[misc]
    if len(won) != 1 or bytes(store.get(key).data) != bodies[won[0]]:
        raise UnsafeStore(f"{store.url}: {len(won)} of {_RACERS} writers swapped the same object (If-Match); {_ADVICE}")
    if _winners([lambda: store.swap(f"{key.rpartition('/')[0]}/missing", b"x", first)]):
        raise UnsafeStore(f"{store.url}: a missing object was replaced (If-Match); {_ADVICE}")


def _check_reads(store: Store, key: str) -> None:
    whole = store.get(key)
    body = bytes(whole.data)
    part, same = store.wave([Get(key, 1, len(body) - 1), Get(key, unless_etag=whole.etag)])
    if bytes(part.data) != body[1:-1]:
        raise UnsafeStore(f"{store.url}: a range of bytes came back wrong; {_ADVICE}")
    if same is not None:
        raise UnsafeStore(f"{store.url}: an unchanged object was sent as changed (If-None-Match); {_ADVICE}")
    try:
        store.wave([Get(key, etag='"0123456789abcdef0123456789abcdef"')])
    except (Conflict, NotFound):
        return
    raise UnsafeStore(f"{store.url}: a read ignores If-Match; {_ADVICE}")


def _check_listing(store: Store, folder: str, keys: list[str]) -> None:
    if [entry.key for entry in store.entries(f"{folder}/")] != sorted(keys):
        raise UnsafeStore(f"{store.url}: a listing does not show objects that were just put; {_ADVICE}")
