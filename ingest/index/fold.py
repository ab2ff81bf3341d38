"""Folding: young commits into leaves, and CURRENT swapped once."""

from __future__ import annotations

import random
import secrets
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from archive.errors import Conflict, NotFound
from archive.index import layout
from archive.index.commits import Commit
from archive.index.snapshot import Snapshot
from archive.store import Get, List
from ingest.index.ledger import merge_segments
from ingest.index.replacing import by_leaf, encoded, read_leaves
from ingest.index.swap import Base, Change, read_current, successor, swap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from archive.index.leaves import LeafEntry, LeafTable
    from archive.index.rows import Row
    from archive.store import Store

__all__ = ["FOLD_COMMITS", "FoldPace", "fold"]

FOLD_COMMITS = 32
_FOLD_SECONDS = 60.0


class FoldPace:
    """When a writer folds, so that all writers of an archive together fold about every `FOLD_COMMITS` commits.

    Writers do not know of each other. So each folds after one in `FOLD_COMMITS` of its commits, by chance, where as
    many are young and nobody else is at it: with one writer or with fifty, folds come after as many commits. A writer
    that has not tried for that many commits of its own does it without chance; after a minute without a fold of its
    own, or at the end of a run, one folds whatever others say.

    Parameters
    ----------
    store
        The archive's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folded = self._tried = time.monotonic()
        self._commits = self._unfolded = 0
        self._turn = False
        self.folds = self.vain = 0

    def committed(self) -> None:
        """Take note of a commit."""
        self._commits += 1
        self._unfolded += 1
        self._turn |= self._commits >= FOLD_COMMITS or random.random() * FOLD_COMMITS < 1  # noqa: S311 - to spread folds

    def due(self) -> float:
        """Return when it is time to fold, by the clock that only goes on."""
        if self._turn:
            return self._tried
        return self._folded + _FOLD_SECONDS if self._unfolded else float("inf")

    def fold_when_due(self) -> Snapshot | None:
        """Fold if it is time; return the new snapshot if there is one."""
        now = time.monotonic()
        if self._unfolded and now - self._folded >= _FOLD_SECONDS:
            return self.fold()
        if self._turn:
            return self._note(fold(self._store, at_least=FOLD_COMMITS, claim=True))
        return None

    def fold(self) -> Snapshot | None:
        """Fold what is there; who is not first leaves it to the other."""
        self._folded, self._unfolded = time.monotonic(), 0
        return self._note(fold(self._store))

    def _note(self, made: Snapshot | None) -> Snapshot | None:
        self._commits, self._turn, self._tried = 0, False, time.monotonic()
        if made is None:
            self.vain += 1
        else:
            self.folds, self._folded, self._unfolded = self.folds + 1, time.monotonic(), 0
        return made


def fold(store: Store, *, at_least: int = 1, claim: bool = False) -> Snapshot | None:
    """Fold the young commits into the index, and return the new snapshot.

    Leaves are put, CURRENT is swapped, the new snapshot is copied, and only then are the folded commits
    deleted. Who loses the swap deletes nothing and leaves the rest to the winner.

    Parameters
    ----------
    at_least
        Young commits below which nothing is done.
    claim
        Say so first, and leave it to whoever has said so before for the same snapshot. It only saves work: what is
        right does not depend on it, and what a folder that died has claimed is folded without `claim`.

    Returns
    -------
    Snapshot or None
        `None` where there was too little to fold, or another folder was first.
    """
    if claim and _at_it(store):
        return None
    current, found = store.wave([Get(layout.CURRENT), List(layout.COMMITS)])
    keys = [entry.key for entry in found]
    if len(keys) < max(at_least, 1):
        return None
    base = Base(Snapshot.decode(current.data), bytes(current.data), current.etag)
    if not claim:
        return _fold(store, base, keys, [])
    claimed = layout.folding_key(base.snapshot.number + 1)
    try:
        store.create(claimed, secrets.token_bytes(16))  # of its own: a writer knows what it put by its bytes
    except Conflict:
        return None
    return _fold(store, base, keys, [claimed])


def _at_it(store: Store) -> bool:
    """Return whether a folder is at it, or has yet to delete what it folded.

    Looked at by itself: the list of young commits is long exactly while one folds, and many look then.
    """
    claims = store.entries(layout.FOLDING)
    return bool(claims) and claims[-1].key >= layout.folding_key(read_current(store).snapshot.number)


def _fold(store: Store, base: Base, keys: Sequence[str], claimed: Sequence[str]) -> Snapshot | None:
    """Return the snapshot made of some commits, `None` where another was first; the claim goes in any case."""
    bodies = store.wave([Get(key) for key in keys], return_errors=True)
    if any(isinstance(body, NotFound) for body in bodies):
        store.delete(claimed)
        return None  # another folder has just been here
    for body in bodies:
        if isinstance(body, BaseException):
            raise body
    commits = [Commit.decode(key, body.data) for key, body in zip(keys, bodies, strict=True)]
    made = _folded(store, base.snapshot, commits)
    if not swap(store, base, made):
        store.delete(claimed)
        return None
    store.delete([*keys, layout.folding_key(made.snapshot.number)])  # the claim of a folder that died, too
    return made.snapshot


def _folded(store: Store, old: Snapshot, commits: Sequence[Commit]) -> Change:
    """Return the next snapshot, and the objects that it needs."""
    datasets = dict(old.datasets)
    rows: dict[str, list[Row]] = defaultdict(list)
    sources: list[Source] = []
    for commit in commits:
        for name, dataset in commit.datasets.items():
            if name not in datasets and old.admits(dataset):
                datasets[name] = dataset
        dead = {row.id for row in commit.rows if not old.alive(row)}
        for row in commit.rows:
            if row.dataset in datasets and row.id not in dead:
                rows[row.dataset].append(row)
        sources.extend(source for source in commit.sources if not source.rows or not dead.issuperset(source.rows))
    objects: list[tuple[str, bytes]] = []
    leaves: list[LeafEntry] = []
    # A folder that died before it deleted its commits, or a worker that did what another had done.
    again = {source.sha256 for source in sources if not source.rows}
    for name, dataset in sorted(datasets.items()):
        held = [leaf for leaf in old.leaves if leaf.dataset == name]
        kept, put, met = _merge_leaves(store, dataset, held, rows.get(name, ()))
        leaves.extend(kept)
        objects.extend(put)
        again |= met
    ledger, put = merge_segments(store, old, sources, again=frozenset(again))
    new = successor(old, "fold", datasets=datasets, leaves=tuple(leaves), ledger=ledger)
    return Change(new, [*objects, *put])


def _merge_leaves(
    store: Store, dataset: Dataset, leaves: Sequence[LeafEntry], rows: Iterable[Row]
) -> tuple[list[LeafEntry], list[tuple[str, bytes]], set[str]]:
    """Return the leaves of a dataset with new rows in them, the bytes of those that are new, and contents met there."""
    ordered = sorted(leaves, key=lambda leaf: leaf.first)
    homes = by_leaf(rows, ordered)
    # A row that is there already, or stands for this one, may lie in any leaf that holds the same times.
    near = {number: [leaf for leaf in ordered if _meet(leaf, held)] for number, held in homes.items()}
    touched = list(
        {leaf.key: leaf for number in homes for leaf in [*ordered[number : number + 1], *near[number]]}.values()
    )
    tables = {table.entry.key: table for table in read_leaves(store, touched, dataset)}
    kept: list[LeafEntry] = []
    objects: list[tuple[str, bytes]] = []
    for number in range(max(len(ordered), 1)):
        leaf = ordered[number] if ordered else None
        fresh = _unknown(homes.get(number, []), [tables[other.key] for other in near.get(number, ())])
        if not fresh:
            kept.extend([leaf] if leaf else [])
            continue
        held = tables[leaf.key].rows() if leaf else []
        made = encoded([*held, *fresh], dataset, last=number >= len(ordered) - 1)
        kept.extend(entry for entry, _ in made)
        objects.extend((entry.key, body) for entry, body in made)
    met = {source.sha256 for table in tables.values() for row in table.rows() for source in row.sources}
    return kept, objects, met


def _meet(leaf: LeafEntry, rows: Sequence[Row]) -> bool:
    """Return whether a leaf holds times that one of the rows holds too."""
    return any(leaf.first <= row.time.last and row.time.first <= leaf.last for row in rows)


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
