"""Swapping CURRENT: the one way in which the index moves on."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from archive.errors import Conflict, NotFound, StoreTrouble
from archive.index import layout
from archive.index.snapshot import Snapshot
from archive.store import Get

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archive.store import Store

__all__ = ["Base", "Change", "change", "read_current", "successor", "swap"]

_HISTORY = 256
_TRIES = 64
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Base:
    """CURRENT as it was read: what a swap replaces.

    Parameters
    ----------
    snapshot
        What it holds.
    body, etag
        Its bytes, and the store's name for this version of them.
    """

    snapshot: Snapshot
    body: bytes
    etag: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a swap puts in the place of CURRENT.

    Parameters
    ----------
    snapshot
        The next snapshot.
    objects
        Key and bytes of what it needs besides what is there.
    """

    snapshot: Snapshot
    objects: Sequence[tuple[str, bytes]] = ()


def read_current(store: Store) -> Base:
    """Return CURRENT.

    Raises
    ------
    NotFound
        There is no archive.
    """
    held = store.wave([Get(layout.CURRENT)])[0]
    return Base(Snapshot.decode(held.data), bytes(held.data), held.etag)


def successor(old: Snapshot, note: str, **changed: Any) -> Snapshot:
    """Return the snapshot after another, with a nonce of its own.

    Parameters
    ----------
    note
        What makes it, for the log.
    changed
        The fields that are different.
    """
    return replace(
        old,
        number=old.number + 1,
        nonce=secrets.token_hex(16),
        created=max(time.time_ns(), old.created + 1),
        note=note,
        history=(*old.history, (old.number, old.created, old.note))[-_HISTORY:],
        **changed,
    )


def swap(store: Store, base: Base, made: Change) -> bool:
    """Put what a change needs, swap CURRENT, copy the new snapshot; return whether it was this swap that got in.

    The copy of the snapshot before is made first where its own folder did not live to make it, so that
    every snapshot but the newest has one. Who loses deletes nothing.
    """
    put_all(store, [(layout.snapshot_key(base.snapshot.number), base.body), *made.objects])
    body = made.snapshot.encode()
    try:
        store.swap(layout.CURRENT, body, base.etag)
    except Conflict:
        # Where the answer was lost and another has swapped on top meanwhile, it has copied ours first.
        try:
            copy = Snapshot.decode(store.get(layout.snapshot_key(made.snapshot.number)).data)
        except NotFound:
            return False
        if copy.nonce != made.snapshot.nonce:
            return False
    put_all(store, [(layout.snapshot_key(made.snapshot.number), body)])
    return True


def put_all(store: Store, objects: Sequence[tuple[str, bytes]]) -> None:
    """Put objects whose names are their own; the copy of a snapshot may be there already."""
    for key, body in objects:
        try:
            store.create(key, body)
        except Conflict:
            if not key.startswith(layout.SNAPSHOTS):
                raise


def change(store: Store, edit: Callable[[Base], Change | None], before: Callable[[], object]) -> Snapshot | None:
    """Swap CURRENT for an edited one; return the new snapshot.

    After a lost race the edit is made again upon the newer CURRENT, where it checks again that what it
    replaces is still there.

    Parameters
    ----------
    edit
        Returns the change, or `None` where there is nothing left to do.
    before
        Called before CURRENT is read: folds young commits, so that the edit sees folded rows.

    Returns
    -------
    Snapshot or None
        `None` where the edit gave up.

    Raises
    ------
    StoreTrouble
        Others were first every time.
    """
    for tried in range(_TRIES):
        before()
        base = read_current(store)
        made = edit(base)
        if made is None:
            return None
        if swap(store, base, made):
            return made.snapshot
        time.sleep(random.random() * _PAUSE_SECONDS * min(tried + 1, 20))  # noqa: S311 - only to get out of step
    raise StoreTrouble(f"{store.url}: others changed the index first, {_TRIES} times in a row; try again later")
