"""A pinned view of an archive's index: what one reader sees, and sees unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import AccessDenied, Conflict, DamagedData, InvalidInput, NotFound, StoreTrouble
from archive.index import layout
from archive.index.commits import Commit
from archive.index.dataset import dataset_named
from archive.index.leaves import LeafEntry, LeafTable
from archive.index.runs import Run, Spans, reach_of, runs_of
from archive.index.snapshot import Snapshot
from archive.store import Get, List
from archive.times import time_to_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.store import Object, Store

__all__ = ["Table", "View", "open_view"]

_NARROW_FROM = 9  # leaves, from which a plan reads only their narrow columns
_ATTEMPTS = 8
ALWAYS = (-(1 << 63), (1 << 63) - 1)


@dataclass(slots=True)
class Table:
    """The rows of one dataset that lie in a window of time.

    Parameters
    ----------
    dataset
        Whose rows.
    spans
        Their times.
    sources
        Where each row is: a leaf and a number in it, or a row itself, in the order of `spans`.
    """

    dataset: Dataset
    spans: Spans
    sources: list[tuple[LeafTable, int] | Row]

    def runs(self) -> list[Run]:
        """Return the contiguous runs of the rows."""
        return runs_of(self.spans, self.dataset.step)


class View:
    """What one reader sees of an archive: one snapshot, and the young commits found beside it.

    Opening takes two waves of requests. The first, CURRENT and the list of commits, is made by
    `open_view`. The second, the commits' bodies and whether CURRENT is still the same, waits until
    something is asked, and takes the leaves that are then needed along with it.
    """

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        etag: str | None,
        young: Sequence[str] | None,
        *,
        complete: bool = False,
    ) -> None:
        self.store = store
        self.snapshot = snapshot
        self._etag = etag
        self._young = young  # keys of commits that were found and not yet read; None: pinned as it is
        self.complete = complete or young is not None  # whether young commits were looked for
        self._commits: tuple[Commit, ...] = ()
        self._leaves: dict[tuple[str, bool], LeafTable] = {}

    # -- pinning --------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Whether the second wave has been made: from then on, nothing that is seen changes."""
        return self._young is None

    def settle(self, wanted: Iterable[LeafEntry] = ()) -> None:
        """Make the second wave of requests, if it has not been made, with the leaves that are wanted."""
        leaves = list(wanted)
        for _ in range(_ATTEMPTS):
            if self._young is None:
                return
            requests: list[Get] = [Get(key) for key in self._young]
            requests.append(Get(layout.CURRENT, unless_etag=self._etag))
            requests.extend(self._leaf_requests(leaves))
            replies = self.store.wave([*requests], return_errors=True)
            count = len(self._young)
            bodies, current = replies[:count], replies[count]
            self._keep_leaves(leaves, replies[count + 1 :])
            leaves = []
            left = self._still_there(self._young, bodies)
            if isinstance(current, BaseException):
                raise current
            if current is None and len(left) == count:
                self._commits = tuple(
                    Commit.decode(key, _data(reply)) for key, reply in zip(self._young, bodies, strict=True)
                )
                self._young = None
                continue
            # Somebody folded meanwhile: what is gone is in a CURRENT that is newer, or was when it was listed.
            self._young = left
            if current is not None:
                self.snapshot, self._etag = Snapshot.decode(current.data), current.etag
        if self._young is not None:
            raise StoreTrouble(f"{self.store.url}: the index changed under every one of {_ATTEMPTS} looks; try again")

    def _still_there(self, keys: Sequence[str], replies: Sequence[Any]) -> list[str]:
        """Return the keys of commits that are not gone.

        S3 says 403 and not 404 of what is missing to who may not list all of a bucket, as anonymous readers
        may not. So what is refused is looked for once more in the list of commits.
        """
        listed = None
        if any(isinstance(reply, AccessDenied) for reply in replies):
            listed = {entry.key for entry in self.store.entries(layout.COMMITS)}
        return [
            key
            for key, reply in zip(keys, replies, strict=True)
            if not isinstance(reply, NotFound)
            and (not isinstance(reply, AccessDenied) or listed is None or key in listed)
        ]

    # -- datasets -------------------------------------------------------------------------------

    def datasets(self) -> Mapping[str, Dataset]:
        """Return what is fixed for each dataset, by name."""
        self.settle()
        young = {
            name: dataset
            for commit in self._commits
            for name, dataset in commit.datasets.items()
            if self.snapshot.admits(dataset)
        }
        held = {**young, **self.snapshot.datasets}
        return {name: held[name] for name in sorted(held)}

    def dataset(self, name: str) -> Dataset:
        """Return what is fixed for one dataset.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        return dataset_named(name, self.datasets(), self.store.url)

    @property
    def commits(self) -> tuple[Commit, ...]:
        """The young commits that were found."""
        self.settle()
        return self._commits

    def _young_rows(self, dataset: Dataset) -> list[Row]:
        return [
            row
            for commit in self._commits
            for row in commit.rows
            if row.dataset == dataset.name and self.snapshot.alive(row)
        ]

    # -- rows -----------------------------------------------------------------------------------

    def entries(self, name: str, first: int = ALWAYS[0], last: int = ALWAYS[1]) -> list[LeafEntry]:
        """Return the leaves of a dataset that touch a window of time (ns, inclusive)."""
        return [
            leaf for leaf in self.snapshot.leaves if leaf.dataset == name and leaf.last >= first and leaf.first <= last
        ]

    def tables(self, names: Iterable[str] | None, first: int = ALWAYS[0], last: int = ALWAYS[1]) -> list[Table]:
        """Return the rows of datasets that lie in a window of time, in one wave of requests.

        Parameters
        ----------
        names
            Datasets; `None` for all.
        first, last
            ns, inclusive; rows that end up to two steps before are included, since they decide what
            their neighbours serve.
        """
        if not self.settled:
            guess = [leaf.dataset for leaf in self.snapshot.leaves] if names is None else list(names)
            wanted = {leaf.key: leaf for name in guess for leaf in self._near(name, first, last)}
            self.settle(wanted.values())
        chosen = [self.dataset(name) for name in (self.datasets() if names is None else names)]
        needed = {dataset.name: self._near(dataset.name, first, last) for dataset in chosen}
        self.fetch_leaves([leaf for leaves in needed.values() for leaf in leaves])
        return [self._table(dataset, needed[dataset.name], first, last) for dataset in chosen]

    def _near(self, name: str, first: int, last: int) -> list[LeafEntry]:
        dataset = self.snapshot.datasets.get(name)
        if dataset is not None and dataset.holds_frames:
            return self.entries(name)  # where a frame lies in its Cube hangs on all of them
        margin = 0 if dataset is None else 2 * int(dataset.step) + 1
        return self.entries(name, max(first - margin, ALWAYS[0]), last)

    def _table(self, dataset: Dataset, leaves: Sequence[LeafEntry], first: int, last: int) -> Table:
        first, last = ALWAYS if dataset.holds_frames else (first, last)
        margin = 2 * int(dataset.step) + 1
        parts: list[Spans] = []
        sources: list[tuple[LeafTable, int] | Row] = []
        held: set[str] = set()
        young = self._young_rows(dataset)
        for leaf in leaves:
            table = self._held(leaf)
            spans = table.spans
            numbers = np.flatnonzero((spans.last >= first - margin) & (spans.first <= last))
            parts.append(spans.taken(numbers))
            sources.extend((table, int(number)) for number in numbers)
            if young:
                held.update(table.ids())
        fresh = {row.id: row for row in young if row.id not in held}
        near = [row for row in fresh.values() if row.time.last >= first - margin and row.time.first <= last]
        parts.append(Spans.of_rows(near))
        return Table(dataset, Spans.concatenate(parts), [*sources, *near])

    def rows(self, table: Table, numbers: Iterable[int]) -> list[Row]:
        """Return rows of a table whole; fetches what a plan over many leaves left out."""
        chosen = [table.sources[int(number)] for number in numbers]
        narrow = {
            source[0].entry.key: source[0].entry for source in chosen if isinstance(source, tuple) and source[0].narrow
        }
        self.fetch_leaves(list(narrow.values()), whole=True)
        rows = []
        for source in chosen:
            if isinstance(source, tuple):
                leaf, number = source
                rows.append((self._leaves[leaf.entry.key, False] if leaf.narrow else leaf).row(number))
            else:
                rows.append(source)
        return rows

    # -- leaves ---------------------------------------------------------------------------------

    def fetch_leaves(self, leaves: Sequence[LeafEntry], *, whole: bool = False) -> None:
        """Read the leaves that are not there yet, in one wave; many of them without their wide columns."""
        missing = [leaf for leaf in leaves if not self._has(leaf, whole=whole)]
        if missing:
            narrow = not whole and len(missing) >= _NARROW_FROM
            requests = [Get(leaf.key, leaf.narrow, leaf.size) if narrow else Get(leaf.key) for leaf in missing]
            replies = self.store.wave([*requests], return_errors=True)
            self._keep_leaves(missing, replies, narrow=narrow)

    def _has(self, leaf: LeafEntry, *, whole: bool) -> bool:
        return (leaf.key, False) in self._leaves or (not whole and (leaf.key, True) in self._leaves)

    def _leaf_requests(self, leaves: Sequence[LeafEntry]) -> list[Get]:
        narrow = len(leaves) >= _NARROW_FROM
        return [Get(leaf.key, leaf.narrow, leaf.size) if narrow else Get(leaf.key) for leaf in leaves]

    def _keep_leaves(self, leaves: Sequence[LeafEntry], replies: Sequence[Any], *, narrow: bool | None = None) -> None:
        narrow = len(leaves) >= _NARROW_FROM if narrow is None else narrow
        for leaf, reply in zip(leaves, replies, strict=True):
            dataset = self.snapshot.datasets[leaf.dataset]
            self._leaves[leaf.key, narrow] = LeafTable(leaf, _data(reply, leaf.key), dataset, narrow=narrow)

    def _held(self, leaf: LeafEntry) -> LeafTable:
        return self._leaves.get((leaf.key, False)) or self._leaves[leaf.key, True]

    # -- what CURRENT tells ---------------------------------------------------------------------

    def coverage(self, name: str) -> list[tuple[int, int]]:
        """Return first and last stamp (ns) of each contiguous run of a dataset.

        Comes from CURRENT alone where its leaves have few gaps.
        """
        dataset = self.dataset(name)
        spans: list[tuple[int, int]] = []
        unknown = [leaf for leaf in self.entries(name) if leaf.spans is None]
        self.fetch_leaves(unknown)
        for leaf in self.entries(name):
            if leaf.spans is not None:
                spans.extend(leaf.spans)
            else:
                found = runs_of(self._held(leaf).spans, dataset.step)
                spans.extend((run.first, run.last) for run in found)
        spans.extend((row.time.first, row.time.last) for row in self._young_rows(dataset))
        if dataset.holds_frames:
            return [(min(first for first, _ in spans), max(last for _, last in spans))] if spans else []
        return _merged(sorted(spans), reach_of(dataset.step))

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return {"store": self.store, "snapshot": self.snapshot, "commits": self._commits, "complete": self.complete}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["store"], state["snapshot"], None, None)  # type: ignore[misc]
        self._commits, self.complete = state["commits"], state["complete"]


def _merged(spans: Sequence[tuple[int, int]], reach: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + reach:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _data(reply: Any, key: str = "") -> Any:
    if isinstance(reply, (NotFound, Conflict)):
        raise DamagedData(f"{key or reply}: the object is missing; run lightkeep verify") from reply
    if isinstance(reply, BaseException):
        raise reply
    return reply.data


def open_view(store: Store, as_of: int | str | Any = None) -> View:
    """Return what a reader sees of an archive: now, or as of a snapshot.

    Parameters
    ----------
    store
        The archive's store.
    as_of
        A snapshot's number, a tag, or a time; `None` for now.

    Raises
    ------
    NotFound
        There is no archive, or no such snapshot.
    """
    if as_of is not None:
        return View(store, _snapshot_of(store, as_of), None, None, complete=True)
    if not store.can_list:
        return View(store, *_current(store, store.wave([Get(layout.CURRENT)], return_errors=True)[0]), None)
    current, commits = store.wave([Get(layout.CURRENT), List(layout.COMMITS)], return_errors=True)
    snapshot, etag = _current(store, current)
    if isinstance(commits, BaseException):
        raise commits
    return View(store, snapshot, etag, [entry.key for entry in commits])


def _current(store: Store, reply: Object | BaseException) -> tuple[Snapshot, str | None]:
    if isinstance(reply, NotFound):
        try:
            store.get(layout.ROOT)
        except NotFound:
            raise NotFound(f"{store.url} is no archive; make one with: lightkeep init {store.url}") from reply
        raise DamagedData(
            f"{layout.CURRENT}: the newest snapshot is missing; run lightkeep repair {store.url}"
        ) from reply
    if isinstance(reply, BaseException):
        raise reply
    return Snapshot.decode(reply.data), reply.etag


def _snapshot_of(store: Store, as_of: Any) -> Snapshot:
    """Return the snapshot that a number, a tag or a time names."""
    newest, _ = _current(store, store.wave([Get(layout.CURRENT)], return_errors=True)[0])
    if isinstance(as_of, bool) or not isinstance(as_of, (int, str)):
        return _snapshot_at(store, newest, time_to_ns(as_of))
    if isinstance(as_of, str) and as_of in newest.tags:
        return _numbered(store, newest, newest.tags[as_of])
    if isinstance(as_of, int) or as_of.isdecimal():
        return _numbered(store, newest, int(as_of))
    try:
        moment = time_to_ns(as_of)
    except InvalidInput:
        tags = ", ".join(newest.tags) or "none yet"
        raise NotFound(f"as_of={as_of!r} is no snapshot number, tag or time; tags: {tags}") from None
    return _snapshot_at(store, newest, moment)


def _numbered(store: Store, newest: Snapshot, number: int) -> Snapshot:
    if number == newest.number:
        return newest
    kept = f"kept are {newest.oldest} to {newest.number}"
    if not newest.keeps(number):  # a copy that still lies there may lack its granules
        raise NotFound(f"snapshot {number} was removed by gc in {store.url}; {kept}")
    try:
        snapshot = Snapshot.decode(store.get(layout.snapshot_key(number)).data)
    except NotFound:
        raise NotFound(f"snapshot {number} is not there in {store.url}; {kept}") from None
    if snapshot.number != number:
        raise DamagedData(f"{layout.snapshot_key(number)}: snapshot {snapshot.number} lies in its place")
    return snapshot


def _snapshot_at(store: Store, newest: Snapshot, moment: int) -> Snapshot:
    """Return the newest snapshot made at or before a time (ns)."""
    while newest.created > moment:
        older = [number for number, created, _ in newest.history if created <= moment]
        if older:
            return _numbered(store, newest, older[-1])
        if not newest.history:
            raise NotFound(f"{store.url} has no snapshot as old as that; its first is {newest.number}")
        newest = _numbered(store, newest, newest.history[0][0])
    return newest
