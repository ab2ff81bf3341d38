"""Finding again what an index held: in older snapshots, in granules, and in what is known of what was lost."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import batched, chain, combinations, islice, product
from typing import TYPE_CHECKING

from archive.errors import DamagedData, NotFound
from archive.index import layout
from archive.index.commits import Commit, Source
from archive.index.dataset import Dataset
from archive.index.leaves import encode_leaf
from archive.index.sealed import unseal
from archive.store import Get
from ingest.checking.findings import Finding
from ingest.checking.survey import body_of, look_at_leaves
from ingest.checking.verify import fault_of
from ingest.granule import GranuleRecord, root_key
from ingest.index.ledger import encode_segment, read_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from archive.index.leaves import LeafEntry
    from archive.index.rows import ArrayRef, Row
    from archive.index.snapshot import LedgerEntry
    from archive.store import Entry, Store
    from ingest.checking.survey import Survey

__all__ = ["Candidate", "Knowledge"]

_AT_ONCE = 64
_CHOICES = 500  # of rows, tried for a leaf that may have held any of more
_HALF_DAY = 12 * 3600 * 10**9  # ns; no writer commits what it put longer ago
_CLOCKS = 60 * 10**9  # ns; by which the clocks of a writer and a store may differ
NOWHERE = "not the etag of anything"  # makes readers compare the whole object with its SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A granule that no good part of the index names, though all granules of its commit are there.

    Parameters
    ----------
    row
        As the granule tells, with the ETags that its objects have now.
    record
        What its root tells.
    modified
        When its root was put, ns by the store's clock.
    """

    row: Row
    record: GranuleRecord
    modified: int


@dataclass(slots=True, kw_only=True)
class _Named:
    """Rows that good parts of the index name."""

    live: dict[str, Row] = field(default_factory=dict)
    older: dict[str, Row] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)


class Knowledge:
    """What is left of an archive, from which its index can be made again; it is looked at where it is needed.

    Parameters
    ----------
    held
        The index as it lies there, with all kept snapshots read.
    """

    def __init__(self, store: Store, held: Survey) -> None:
        self.store, self.held = store, held
        self._live_read = False

    @cached_property
    def damaged_leaves(self) -> list[str]:
        """Keys of the leaves that are not good; a few at a time are in memory."""
        read = look_at_leaves(self.store, self.held.leaves.values())
        return sorted(leaf.key for leaf, _, rows in read if isinstance(rows, Finding))

    @cached_property
    def listed(self) -> dict[str, Entry]:
        """All objects of all granules, by key."""
        return {entry.key: entry for entry in self.store.entries(layout.DATA)}

    @cached_property
    def named(self) -> _Named:
        """Rows that good parts of the index name, by id: live ones, and those that only older snapshots know."""
        named = _Named()
        snapshot = self.held.snapshot
        live = {leaf.key for leaf in snapshot.leaves} if snapshot else set()
        for leaf, _, rows in look_at_leaves(self.store, self.held.leaves.values()):
            if not isinstance(rows, Finding):
                (named.live if leaf.key in live else named.older).update((row.id, row) for row in rows)
        for commit in self.held.commits:
            named.live.update((row.id, row) for row in commit.rows if row.id not in named.live)
        named.replaced = {other for row in named.live.values() for other in row.replaces}
        named.older = {key: row for key, row in named.older.items() if key not in named.live}
        return named

    @cached_property
    def unnamed(self) -> dict[str, GranuleRecord]:
        """What granules tell that no good part of the index names, by key."""
        named = self.named
        keys = {row.key for row in [*named.live.values(), *named.older.values()]}
        roots = [key for key in self.listed if key.endswith(".zarr/zarr.json") and key.count("/") == _DEPTH]
        return self.records(sorted({key.removesuffix("/zarr.json") for key in roots} - keys))

    @cached_property
    def candidates(self) -> dict[str, Candidate]:
        """Granules of complete commits that no good part of the index names, and that nothing replaces, by id."""
        named = self.named
        superseded: dict[str, int] = {}
        for key, record in self.unnamed.items():
            for sha256 in record.supersedes:
                superseded[sha256] = max(self._modified(key), superseded.get(sha256, 0))
        found: dict[str, Candidate] = {}
        for key, record in self.unnamed.items():
            row = record.row
            if row.id in named.live or self._replaced(record) or not self._alive(row) or self.missing_of(record):
                continue
            modified = self._modified(key)
            if any(superseded.get(part.sha256, 0) > modified for part in row.sources):
                continue
            one = Candidate(row=self._with_etags(row), record=record, modified=modified)
            if row.id not in found or _better(one) > _better(found[row.id]):
                found[row.id] = one
        return found

    def _replaced(self, record: GranuleRecord) -> bool:
        """Return whether another granule stands for one.

        A granule that was made of others may have the id of one that it stands for, or that its other end stands for,
        so keys tell of it, and the contents that changed files have replaced. What an ingest put may have come twice,
        and only one of both is told of: there the id tells, and which came later.
        """
        row = record.row
        if row.key in self._instead:
            return True
        put = self._modified(row.key)
        if record.instead:
            return any(self._superseded.get((row.id, part.sha256), -1) > put for part in row.sources)
        return self._stood_for.get(row.id, -1) >= put

    @cached_property
    def _stood_for(self) -> dict[str, int]:
        """When the last granule was put that stands for a row of an id, ns by the store's clock."""
        times: dict[str, int] = {}
        for row in [*self.named.live.values(), *(record.row for record in self.unnamed.values())]:
            put = self._modified(row.key) if root_key(row.key) in self.listed else 0
            for other in row.replaces:
                times[other] = max(put, times.get(other, put))
        return times

    @cached_property
    def _standing(self) -> list[tuple[Row, GranuleRecord]]:
        """Live rows that stand for ids of unnamed granules made of others, and what their granules tell."""
        made = {record.row.id for record in self.unnamed.values() if record.instead}
        live = {row.key: row for row in self.named.live.values() if made.intersection(row.replaces)}
        return [(live[key], record) for key, record in self.records(live).items()]

    @cached_property
    def _instead(self) -> set[str]:
        """Keys of granules that others stand for, as far as these are not known by their ids."""
        told = [*self.unnamed.values(), *(record for _, record in self._standing)]
        return {key for record in told for key in record.instead}

    @cached_property
    def _superseded(self) -> dict[tuple[str, str], int]:
        """When the last live granule was put that replaced a content (SHA-256) in a row of an id, ns."""
        times: dict[tuple[str, str], int] = {}
        for row, record in self._standing:
            put = self._modified(row.key)
            for name in product(row.replaces, record.supersedes):
                times[name] = max(put, times.get(name, put))
        return times

    def _modified(self, key: str) -> int:
        """Return when a granule's root was put, ns by the store's clock."""
        return round(self.listed[root_key(key)].modified.timestamp() * 1e9)

    def _alive(self, row: Row) -> bool:
        """Return whether the newest good snapshot does not know that a row was removed."""
        return self.held.snapshot is None or self.held.snapshot.alive(row)

    @cached_property
    def _present(self) -> set[str]:
        """Keys of granules that are there, or stood for by others."""
        named = self.named
        instead = {key for record in self.unnamed.values() for key in record.instead}
        rows = {row.key for row in [*named.live.values(), *named.older.values()]}
        return {*self.unnamed, *instead, *rows}

    def missing_of(self, record: GranuleRecord) -> list[str]:
        """Return the granules of a granule's commit that are not there: it may never have been made."""
        missing = [key for key in record.commit if key not in self._present]
        if missing and not self._live_read:
            # Some may be stood for by granules that the index does name; only these roots tell.
            self._live_read = True
            told = self.records(row.key for row in self.named.live.values())
            self._present.update(key for one in told.values() for key in one.instead)
            missing = [key for key in missing if key not in self._present]
        return missing

    def records(self, keys: Iterable[str]) -> dict[str, GranuleRecord]:
        """Return what granules tell of themselves, where their roots are good."""
        records: dict[str, GranuleRecord] = {}
        for batch in batched(keys, _AT_ONCE):
            replies = self.store.wave([Get(root_key(key)) for key in batch], return_errors=True)
            for key, reply in zip(batch, replies, strict=True):
                try:
                    records[key] = GranuleRecord.decode(key, body_of(reply))
                except (DamagedData, NotFound):
                    continue
        return records

    def _with_etags(self, row: Row) -> Row:
        """Return a row with the etags that its objects have now, unseen."""

        def etag(ref: ArrayRef) -> ArrayRef:
            entry = self.listed.get(ref.key)
            return replace(ref, etag=entry.etag if entry and entry.size == ref.size else NOWHERE)

        return _with_refs(row, etag)

    def proven(self, row: Row) -> Row:
        """Return a row with the etags of those of its objects that are right; readers refuse the others."""

        def check(ref: ArrayRef) -> ArrayRef:
            wrong = fault_of(self.store, ref.key, ref.size, ref.sha256)
            return ref if wrong is None else replace(ref, etag=NOWHERE)

        return _with_refs(self._with_etags(row), check)

    # -- leaves ---------------------------------------------------------------------------------

    def rows_of_leaf(self, leaf: LeafEntry, dataset: Dataset, *, live: bool) -> tuple[list[Row], bool]:
        """Return the rows that a lost leaf may have held, and whether they are surely those.

        They are where they encode to the very bytes that CURRENT tells of, or are the only ones that make up
        its figures.
        """
        named = self.named
        older = {key: row for key, row in named.older.items() if _within(row, leaf)}
        if not live:
            older.update((key, row) for key, row in named.live.items() if _within(row, leaf))
        if live:
            older = {key: row for key, row in older.items() if key not in named.replaced and self._alive(row)}
        grown = {key: one.row for key, one in self.candidates.items() if _within(one.row, leaf)}
        everything = {**grown, **older}
        ordered = sorted(everything.values(), key=lambda row: (row.time.first, row.id))
        fitting: dict[frozenset[str], list[Row]] = {}
        for rows in _choices(leaf, ordered, list(older.values()), list(grown.values())):
            entry, _ = encode_leaf(rows, dataset)
            if entry.sha256 == leaf.sha256:
                return rows, True
            if _figures(entry) == _figures(leaf):
                fitting[frozenset(row.id for row in rows)] = rows
        if len(fitting) == 1:
            return [self.proven(row) for row in next(iter(fitting.values()))], True
        return [self.proven(row) for row in ordered], False

    # -- ledger ---------------------------------------------------------------------------------

    def sources_of_segment(self, lost: LedgerEntry) -> tuple[list[Source], bool]:
        """Return the sources that a lost part of the ledger may have held, and whether they are surely those."""
        bad = {finding.key for finding in self.held.findings}
        snapshot = self.held.snapshot
        live = {entry.key for entry in snapshot.ledger} if snapshot else set()
        kept: dict[tuple[str, str], Source] = {}
        older: dict[tuple[str, str], Source] = {}
        for entry in self.held.segments.values():
            if entry.key not in bad:
                found = read_segments(self.store, [entry])
                (kept if entry.key in live else older).update(((one.url, one.sha256), one) for one in found)
        kept.update(((one.url, one.sha256), one) for commit in self.held.commits for one in commit.sources)
        grown = {(one.url, one.sha256): one for one in self._sources_told({key[1] for key in kept})}
        fresh = {key: one for key, one in {**grown, **older}.items() if key not in kept}
        for choice in (fresh, {key: one for key, one in older.items() if key not in kept}):
            if len(choice) == lost.sources and encode_segment(list(choice.values()))[0].sha256 == lost.sha256:
                return list(choice.values()), True
        return list(fresh.values()), len(fresh) == lost.sources

    def _sources_told(self, known: set[str]) -> list[Source]:
        """Return the sources that granules of live rows tell of, but for those whose hash is known."""
        rows = [row for row in self.named.live.values() if any(part.sha256 not in known for part in row.sources)]
        records = self.records([row.key for row in rows])
        records.update((one.row.key, one.record) for one in self.candidates.values())
        return sources_told(records.values())

    # -- commits --------------------------------------------------------------------------------

    def commit_of(self, key: str, damaged: bytes, taken: set[str], *, others: int) -> tuple[Commit, bool]:
        """Return what a damaged commit may have held, and whether it surely did.

        Parameters
        ----------
        key, damaged
            The commit as it lies there.
        taken
            Keys of granules that other commits have taken already; those of this one are added.
        others
            Number of damaged commits beside it that are still to be mended.
        """
        created = int(key.removeprefix(layout.COMMITS).partition("-")[0])
        batches = [
            batch
            for batch in self.batches()
            if not taken.intersection(one.row.key for one in batch)
            and created - _HALF_DAY < max(one.modified for one in batch) <= created + _CLOCKS
        ]
        for batch in batches:
            commit = commit_with(batch, key, created)
            if damaged[-32:] == commit.encode()[-32:]:
                taken.update(row.key for row in commit.rows)
                return commit, True
        if batches and len(batches) <= others + 1:  # each of them belongs to one of the damaged commits
            taken.update(one.row.key for one in batches[0])
            return self.checked(commit_with(batches[0], key, created)), True
        return Commit(key=key, created=created, rows=()), False

    def batches(self) -> list[list[Candidate]]:
        """Return the candidates in commits, the first one first."""
        commits: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
        for one in self.candidates.values():
            if one.row.id not in self.named.older:
                commits[one.record.commit].append(one)
        for batch, held in commits.items():
            held.sort(key=lambda one, batch=batch: batch.index(one.row.key))  # type: ignore[misc]
        return sorted(commits.values(), key=lambda held: min(one.modified for one in held))

    def checked(self, commit: Commit) -> Commit:
        """Return a commit with its datasets as they were corrected, rows refused where their objects are not right."""
        rows = tuple(self.proven(row) for row in commit.rows)
        return replace(
            commit, rows=rows, datasets={name: self.corrected(held) for name, held in commit.datasets.items()}
        )

    def corrected(self, dataset: Dataset) -> Dataset:
        """Return a dataset as it was corrected last; granules tell only what was known when they were written."""
        keys = [key for key in self.listed if key.startswith(f"{layout.DATA}{dataset.name}/dataset-")]
        for key in sorted(keys, reverse=True):
            with suppress(DamagedData, NotFound):
                held = Dataset.from_json(unseal(key, self.store.get(key).data))
                if (held.incarnation, dict(held.fingerprint)) == (dataset.incarnation, dict(dataset.fingerprint)):
                    return held
        return dataset


_DEPTH = layout.granule_key("name", "granule").count("/") + 1


def sources_told(records: Iterable[GranuleRecord]) -> list[Source]:
    """Return the sources that granules tell of, each with the ids of the rows made of it."""
    files: dict[tuple[str, str], Source] = {}
    made: dict[str, dict[str, None]] = defaultdict(dict)
    copies: set[tuple[str, str]] = set()
    for record in sorted(records, key=lambda one: (one.commit, one.commit.index(one.row.key))):
        first: set[str] = set()
        for source in record.files:
            files.setdefault((source.url, source.sha256), source)
            if source.sha256 in first:
                copies.add((source.url, source.sha256))
            first.add(source.sha256)
        for part in record.row.sources:
            made[part.sha256][record.row.id] = None
    return [
        source if name in copies else replace(source, rows=tuple(made[source.sha256])) for name, source in files.items()
    ]


def commit_with(batch: Sequence[Candidate], key: str | None = None, created: int | None = None) -> Commit:
    """Return the commit that makes granules visible."""
    created = time.time_ns() if created is None else created
    datasets = {one.record.dataset.name: one.record.dataset for one in batch}
    return Commit(
        key=key or layout.new_commit_key(created),
        created=created,
        rows=tuple(one.row for one in batch),
        sources=tuple(sources_told(one.record for one in batch)),
        datasets=dict(sorted(datasets.items())),
    )


def digest_of(body: bytes) -> str:
    """Return the SHA-256 (hex) of bytes."""
    return hashlib.sha256(body).hexdigest()


def _with_refs(row: Row, change: Callable[[ArrayRef], ArrayRef]) -> Row:
    extras = {name: change(extra) for name, extra in row.extras.items()}
    return replace(row, data=change(row.data), extras=extras)


def _better(one: Candidate) -> tuple[bool, int]:
    """Return what makes one of two granules of the same samples the better one: whole, then young."""
    return all(ref.etag != NOWHERE for ref in (one.row.data, *one.row.extras.values())), one.modified


def _within(row: Row, leaf: LeafEntry) -> bool:
    return row.dataset == leaf.dataset and leaf.first <= row.time.first and row.time.last <= leaf.last


def _choices(
    leaf: LeafEntry, ordered: Sequence[Row], older: Sequence[Row], grown: Sequence[Row]
) -> Iterator[list[Row]]:
    """Yield some choices of rows that are as many and as large as those of a leaf, the likeliest first."""
    count = leaf.rows
    added = combinations(grown, count - len(older)) if count >= len(older) else ()
    tried = chain(
        [ordered, older, grown, ordered[:count]],
        ([*older, *some] for some in islice(added, _CHOICES)),
        islice(combinations(ordered, count), _CHOICES),
    )
    for rows in tried:
        if len(rows) == count and sum(row.data.size for row in rows) == leaf.stored:
            yield list(rows)


def _figures(leaf: LeafEntry) -> tuple[object, ...]:
    return leaf.rows, leaf.samples, leaf.stored, leaf.first, leaf.last, leaf.runs, leaf.spans
