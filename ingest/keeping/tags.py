"""Names for snapshots, and the log of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput, NotFound
from archive.index import layout
from archive.times import ns_to_text
from archive.view import open_view
from ingest.index.fold import fold
from ingest.index.swap import Base, Change, change, read_current, successor

if TYPE_CHECKING:
    from archive.store import Store

__all__ = ["log", "tag", "untag"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,127}")


def tag(store: Store, name: str, as_of: int | str | None = None) -> int:
    """Name a snapshot, so that `gc` keeps it and `as_of=NAME` opens it; return its number.

    Parameters
    ----------
    as_of
        A snapshot's number, a tag or a time; what the archive holds now without.

    Raises
    ------
    InvalidInput
        The name is none, or is taken by another snapshot.
    NotFound
        There is no such snapshot, or `gc` has removed it.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot be a tag: use a letter, then letters, digits, '.', '-' and '_'")
    wanted = None if as_of is None else open_view(store, as_of).snapshot.number
    tagged = -1

    def edit(base: Base) -> Change | None:
        nonlocal tagged
        old = base.snapshot
        tagged = old.number if wanted is None else wanted
        if not old.keeps(tagged):
            raise NotFound(f"snapshot {tagged} was removed by gc in {store.url}; the oldest kept is {old.oldest}")
        if name in old.tags:
            if wanted is None or old.tags[name] != tagged:
                raise InvalidInput(f"{name}: this tag names snapshot {old.tags[name]} already; remove it first")
            return None
        return Change(successor(old, f"tag {name}", tags={**old.tags, name: tagged}))

    change(store, edit, lambda: fold(store))
    return tagged


def untag(store: Store, name: str) -> int:
    """Remove a tag, and return the number of the snapshot that it named.

    Raises
    ------
    NotFound
        There is no such tag.
    """
    named = -1

    def edit(base: Base) -> Change:
        nonlocal named
        old = base.snapshot
        if name not in old.tags:
            raise NotFound(f"{name}: no such tag in {store.url}; there are: {', '.join(old.tags) or 'none'}")
        named = old.tags[name]
        left = {other: number for other, number in old.tags.items() if other != name}
        return Change(successor(old, f"remove tag {name}", tags=left))

    change(store, edit, lambda: None)
    return named


def log(store: Store) -> list[dict[str, Any]]:
    """Return what is known of the snapshots, the newest first: number, time, what made it, tags, whether it is kept."""
    snapshot = read_current(store).snapshot
    copies = {entry.key for entry in store.entries(layout.SNAPSHOTS)}
    names: dict[int, list[str]] = {}
    for name, number in snapshot.tags.items():
        names.setdefault(number, []).append(name)
    entries = [(snapshot.number, snapshot.created, snapshot.note), *reversed(snapshot.history)]
    return [
        {
            "snapshot": number,
            "created": ns_to_text(created),
            "note": note,
            "tags": names.get(number, []),
            "kept": number == snapshot.number or (layout.snapshot_key(number) in copies and snapshot.keeps(number)),
        }
        for number, created, note in entries
    ]
