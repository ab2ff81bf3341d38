"""Folding: young commits into leaves, and CURRENT swapped once."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from archive.errors import Conflict, NotFound
from archive.index import layout
from archive.index.commits import Commit
from archive.index.leaves import LEAF_ROWS, LeafEntry, LeafTable, encode_leaf
from archive.index.snapshot import Snapshot
from archive.store import Get, List
from ingest.ledger import merge_segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.store import Store

__all__ = ["FOLD_COMMITS", "fold"]

FOLD_COMMITS = 32
_HISTORY = 256


def fold(store: Store, *, at_least: int = 1) -> Snapshot | None:
    """Fold the young commits into the index, and return the new snapshot.

    Leaves are put, CURRENT is swapped, the new snapshot is copied, and only then are the folded commits
    deleted. Who loses the swap deletes nothing and leaves the rest to the winner.

    Parameters
    ----------
    at_least
        Young commits below which nothing is done.

    Returns
    -------
    Snapshot or None
        `None` where there was too little to fold, or another folder was first.
    """
    current, found = store.wave([Get(layout.CURRENT), List(layout.COMMITS)])
    keys = [entry.key for entry in found]
    if len(keys) < max(at_least, 1):
        return None
    bodies = store.wave([Get(key) for key in keys], return_errors=True)
    if any(isinstance(body, NotFound) for body in bodies):
        return None  # another folder has just been here
    for body in bodies:
        if isinstance(body, BaseException):
            raise body
    commits = [Commit.decode(key, body.data) for key, body in zip(keys, bodies, strict=True)]
    old = Snapshot.decode(current.data)
    new, objects = _folded(store, old, commits)
    _put_all(store, [(layout.snapshot_key(old.number), bytes(current.data)), *objects])
    if not _swapped(store, new, current.etag):
        return None
    _put_all(store, [(layout.snapshot_key(new.number), new.encode())])
    store.delete(keys)
    return new


def _put_all(store: Store, objects: Sequence[tuple[str, bytes]]) -> None:
    """Put objects whose names say what they hold: one that is there already is the same."""
    for key, body in objects:
        try:
            store.create(key, body)
        except Conflict:
            if key.startswith(layout.SNAPSHOTS):
                continue
            raise


def _swapped(store: Store, new: Snapshot, etag: str | None) -> bool:
    """Swap CURRENT, and return whether it was ours that got in.

    Where the answer was lost and another folder has swapped on top meanwhile, it has copied ours first.
    """
    try:
        store.swap(layout.CURRENT, new.encode(), etag)
    except Conflict:
        try:
            copy = Snapshot.decode(store.get(layout.snapshot_key(new.number)).data)
        except NotFound:
            return False
        return copy.nonce == new.nonce
    return True


def _folded(store: Store, old: Snapshot, commits: Sequence[Commit]) -> tuple[Snapshot, list[tuple[str, bytes]]]:
    """Return the next snapshot, and the objects that it needs."""
    datasets = dict(old.datasets)
    rows: dict[str, list[Row]] = defaultdict(list)
    sources: list[Source] = []
    for commit in commits:
        for name, dataset in commit.datasets.items():
            life = old.incarnations.get(name, 1)
            if name not in datasets and dataset.incarnation >= life:
                datasets[name] = dataset
        for row in commit.rows:
            if row.dataset in datasets and row.incarnation == datasets[row.dataset].incarnation:
                rows[row.dataset].append(row)
        sources.extend(commit.sources)
    objects: list[tuple[str, bytes]] = []
    leaves: list[LeafEntry] = []
    for name, dataset in sorted(datasets.items()):
        held = [leaf for leaf in old.leaves if leaf.dataset == name]
        kept, put = _merge_leaves(store, dataset, held, rows.get(name, ()))
        leaves.extend(kept)
        objects.extend(put)
    ledger, put = merge_segments(store, old, sources)
    new = replace(
        old,
        number=old.number + 1,
        nonce=secrets.token_hex(16),
        created=max(time.time_ns(), old.created + 1),
        note="fold",
        datasets=datasets,
        leaves=tuple(leaves),
        ledger=ledger,
        history=(*old.history, (old.number, old.created, old.note))[-_HISTORY:],
    )
    return new, [*objects, *put]


def _merge_leaves(
    store: Store, dataset: Dataset, leaves: Sequence[LeafEntry], rows: Iterable[Row]
) -> tuple[list[LeafEntry], list[tuple[str, bytes]]]:
    """Return the leaves of a dataset with new rows in them, and the bytes of those that are new."""
    ordered = sorted(leaves, key=lambda leaf: leaf.first)
    homes: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        before = [number for number, leaf in enumerate(ordered) if leaf.first <= row.time.first]
        homes[before[-1] if before else 0].append(row)
    # A row that is there already, or stands for this one, may lie in any leaf that holds the same times.
    near = {number: [leaf for leaf in ordered if _meet(leaf, held)] for number, held in homes.items()}
    touched = list(
        {leaf.key: leaf for number in homes for leaf in [*ordered[number : number + 1], *near[number]]}.values()
    )
    replies = store.wave([Get(leaf.key) for leaf in touched])
    tables = {leaf.key: LeafTable(leaf, reply.data, dataset) for leaf, reply in zip(touched, replies, strict=True)}
    kept: list[LeafEntry] = []
    objects: list[tuple[str, bytes]] = []
    for number in range(max(len(ordered), 1)):
        leaf = ordered[number] if ordered else None
        fresh = _unknown(homes.get(number, []), [tables[other.key] for other in near.get(number, ())])
        if not fresh:
            kept.extend([leaf] if leaf else [])
            continue
        held = tables[leaf.key].rows() if leaf else []
        for part in _parts([*held, *fresh], last=number >= len(ordered) - 1):
            entry, body = encode_leaf(part, dataset)
            kept.append(entry)
            objects.append((entry.key, body))
    return kept, objects


def _meet(leaf: LeafEntry, rows: Sequence[Row]) -> bool:
    """Return whether a leaf holds times that one of the rows holds too."""
    return any(leaf.first <= row.time.last and row.time.first <= leaf.last for row in rows)


def _parts(rows: Sequence[Row], *, last: bool) -> list[list[Row]]:
    """Return rows in leaves: the newest leaf of a dataset fills up, older ones are halved."""
    ordered = sorted(rows, key=lambda row: (row.time.first, row.id))
    size = LEAF_ROWS if last or len(ordered) <= LEAF_ROWS else -(-len(ordered) // (-(-len(ordered) // LEAF_ROWS)))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _unknown(rows: Sequence[Row], tables: Sequence[LeafTable]) -> list[Row]:
    """Return the rows whose samples the leaves do not hold yet: neither under their id nor row by row."""
    known = {name for table in tables for name in table.ids()}
    fresh = {row.id: row for row in rows if row.id not in known}
    if not fresh:
        return []
    covered = _coverage(row for table in tables for row in table.rows())
    kept = []
    for row in sorted(fresh.values(), key=lambda row: (-row.time.size, row.time.first, row.id)):
        if row.sources and all(_covers(covered.get((s.sha256, s.block), []), s.start, s.stop) for s in row.sources):
            continue
        kept.append(row)
        for source in row.sources:
            covered.setdefault((source.sha256, source.block), []).append((source.start, source.stop))
    return kept


def _coverage(rows: Iterable[Row]) -> dict[tuple[str, int], list[tuple[int, int]]]:
    covered: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        for source in row.sources:
            covered[source.sha256, source.block].append((source.start, source.stop))
    return covered


def _covers(ranges: Iterable[tuple[int, int]], start: int, stop: int) -> bool:
    """Return whether half-open ranges together hold all of `start` to `stop`."""
    for first, last in sorted(ranges):
        if first > start:
            return False
        start = max(start, last)
        if start >= stop:
            return True
    return start >= stop
