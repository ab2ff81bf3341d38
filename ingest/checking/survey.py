"""Looking over an index as it lies in the store, whatever state it is in."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData, NotFound, StoreTrouble
from archive.index import layout
from archive.index.commits import Commit
from archive.index.dataset import Dataset
from archive.index.leaves import LeafEntry, LeafTable
from archive.index.sealed import signed, unseal
from archive.index.snapshot import LedgerEntry, Snapshot
from archive.store import Get, List
from ingest.checking.findings import Finding
from ingest.index.ledger import read_segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from archive.index.rows import Row
    from archive.store import Buffer, Entry, Store

__all__ = ["Survey", "body_of", "decode_copy", "look_at_leaves", "survey"]

_AT_ONCE = 8  # leaves, ledger segments and snapshots in memory
_COMMITS_AT_ONCE = 64
_ATTEMPTS = 8


@dataclass(slots=True, kw_only=True)
class Survey:
    """An index as it lies in the store.

    Parameters
    ----------
    snapshot
        CURRENT; or, if it is missing or damaged, the newest copy that is good.
    etag
        Of CURRENT as it lies there, `None` where it is missing.
    commits
        Young commits that are good.
    listed
        All objects of the index and all commits, by key.
    leaves, segments
        Leaves with their datasets, and parts of the ledger, of every snapshot that was read: CURRENT's first.
    findings
        What is wrong with the objects of the index.
    """

    store: Store
    snapshot: Snapshot | None = None
    etag: str | None = None
    commits: list[Commit] = field(default_factory=list)
    listed: dict[str, Entry] = field(default_factory=dict)
    leaves: dict[str, tuple[LeafEntry, Dataset]] = field(default_factory=dict)
    segments: dict[str, LedgerEntry] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def found(self, key: str, what: str, kind: str, *, damage: bool = True) -> None:
        """Take down a finding."""
        self.findings.append(Finding(key=key, what=what, kind=kind, damage=damage))

    def keep(self, snapshot: Snapshot) -> None:
        """Take down what a snapshot needs."""
        for leaf in snapshot.leaves:
            self.leaves.setdefault(leaf.key, (leaf, snapshot.datasets[leaf.dataset]))
        for entry in snapshot.ledger:
            self.segments.setdefault(entry.key, entry)


def survey(store: Store, *, whole: bool) -> Survey:
    """Return the index as it lies in the store, and what is wrong with it.

    Parameters
    ----------
    whole
        Read every snapshot that is kept and every leaf and ledger segment that they need; else only
        CURRENT and the young commits are read, and the others looked for in a listing.

    Raises
    ------
    NotFound
        There is no archive.
    """
    found = _pinned(store)
    _check_root(found)
    snapshot = found.snapshot
    if snapshot is not None:
        found.keep(snapshot)
        _check_datasets(found, snapshot)
    _check_snapshots(found, whole=whole)
    for key, size, kind in [
        *((leaf.key, leaf.size, "leaf") for leaf, _ in found.leaves.values()),
        *((entry.key, entry.size, "ledger") for entry in found.segments.values()),
    ]:
        if key not in found.listed:
            found.found(key, "the object is missing", kind)
        elif found.listed[key].size != size:
            found.found(key, f"has {found.listed[key].size} bytes instead of {size}", kind)
    if whole:
        _check_segments(found)
    return found


def body_of(reply: Any) -> Buffer:
    """Return the bytes of an answer; an error that says nothing of the object itself is raised.

    Raises
    ------
    DamagedData, NotFound
        The object is cut or missing.
    """
    if isinstance(reply, BaseException):
        raise reply
    data: Buffer = reply.data
    return data


def _pinned(store: Store) -> Survey:
    """Return CURRENT and the young commits beside it; repeated while others fold."""
    for _ in range(_ATTEMPTS):
        current, index, young = store.wave(
            [Get(layout.CURRENT), List("index/"), List(layout.COMMITS)], return_errors=True
        )
        for reply in (index, young):
            if isinstance(reply, BaseException):
                raise reply
        found = Survey(store=store, listed={entry.key: entry for entry in [*index, *young]})
        _read_current(found, current)
        if not _read_commits(found, [entry.key for entry in young]):
            continue
        newest = max((_number(key) for key in found.listed if key.startswith(layout.SNAPSHOTS)), default=-1)
        if found.snapshot is not None and newest > found.snapshot.number:
            if _current_is(store, newest):
                continue  # swapped and copied while we looked
            found.found(
                layout.CURRENT,
                f"is snapshot {found.snapshot.number}, though {newest} is kept: another object lies in its place",
                "CURRENT",
            )
            found.snapshot = _newest_good(found) or found.snapshot
        elif found.snapshot is None:
            found.snapshot = _newest_good(found)
        return found
    raise StoreTrouble(f"{store.url}: its commits go while they are read; try again when fewer fold")


def _current_is(store: Store, least: int) -> bool:
    """Return whether CURRENT is by now at least a snapshot that was listed: else an old one lies in its place."""
    (reply,) = store.wave([Get(layout.CURRENT)], return_errors=True)
    try:
        return Snapshot.decode(body_of(reply)).number >= least
    except (DamagedData, NotFound):
        return False


def _read_current(found: Survey, reply: Any) -> None:
    try:
        found.snapshot = Snapshot.decode(body_of(reply))
    except NotFound:
        root = found.store.wave([Get(layout.ROOT)], return_errors=True)[0]
        if not found.listed and isinstance(root, NotFound):
            where = found.store.url
            raise NotFound(f"{where} is no archive; make one with: lightkeep init {where}") from None
        found.found(layout.CURRENT, "the object is missing", "CURRENT")
    except DamagedData:
        found.found(layout.CURRENT, "the object is cut or altered", "CURRENT")
    found.etag = getattr(reply, "etag", None)


def _read_commits(found: Survey, keys: Sequence[str]) -> bool:
    """Read the young commits, and return whether all were still there."""
    for batch in batched(keys, _COMMITS_AT_ONCE):
        replies = found.store.wave([Get(key) for key in batch], return_errors=True)
        for key, reply in zip(batch, replies, strict=True):
            try:
                found.commits.append(Commit.decode(key, body_of(reply)))
            except NotFound:
                return False
            except DamagedData as error:
                found.found(key, _after(key, error), "commit")
    return True


def _newest_good(found: Survey) -> Snapshot | None:
    """Return the newest copy of a snapshot that is good."""
    for key in sorted(found.listed, reverse=True):
        if key.startswith(layout.SNAPSHOTS):
            try:
                return decode_copy(key, body_of(found.store.wave([Get(key)], return_errors=True)[0]))
            except (DamagedData, NotFound):
                continue
    return None


def decode_copy(key: str, data: Buffer) -> Snapshot:
    """Return the snapshot that a copy holds.

    Raises
    ------
    DamagedData
        The bytes were altered, or are those of another snapshot.
    """
    snapshot = Snapshot.decode(data)
    if snapshot.number != _number(key):
        raise DamagedData(f"{key}: snapshot {snapshot.number} lies in its place")
    return snapshot


def _number(key: str) -> int:
    name = key.removeprefix(layout.SNAPSHOTS)
    return int(name) if name.isdecimal() else -1


def _check_root(found: Survey) -> None:
    try:
        signed(layout.ROOT, body_of(found.store.wave([Get(layout.ROOT)], return_errors=True)[0]))
    except NotFound:
        found.found(layout.ROOT, "the object is missing", "archive")
    except DamagedData:
        found.found(layout.ROOT, "the object is cut or altered", "archive")


def _check_datasets(found: Survey, snapshot: Snapshot) -> None:
    young = {name: held for commit in found.commits for name, held in commit.datasets.items()}
    for batch in batched({**young, **snapshot.datasets}.values(), _COMMITS_AT_ONCE):
        keys = [layout.dataset_key(dataset.name) for dataset in batch]
        replies = found.store.wave([Get(key) for key in keys], return_errors=True)
        for key, dataset, reply in zip(keys, batch, replies, strict=True):
            try:
                held = Dataset.from_json(unseal(key, body_of(reply)))
            except NotFound:
                found.found(key, "the object is missing", "dataset")
            except DamagedData as error:
                found.found(key, _after(key, error), "dataset")
            else:
                if dict(held.fingerprint) != dict(dataset.fingerprint):
                    found.found(key, "tells of another acquisition than the index", "dataset")


def _check_snapshots(found: Survey, *, whole: bool) -> None:
    """Check the copies: each since the first that is kept, and the tagged ones."""
    numbers = {_number(key): key for key in found.listed if key.startswith(layout.SNAPSHOTS)}
    if found.snapshot is not None:
        oldest, newest = found.snapshot.oldest, found.snapshot.number
        tagged = set(found.snapshot.tags.values())
        for number in sorted({*range(oldest, newest), *tagged} - {newest, *numbers}):
            found.found(layout.snapshot_key(number), "the object is missing", "snapshot")
        # What `gc` has given up may be half gone already.
        numbers = {number: key for number, key in numbers.items() if number >= oldest or number in tagged}
    if not whole:
        return
    for batch in batched([numbers[number] for number in sorted(numbers, reverse=True)], _AT_ONCE):
        replies = found.store.wave([Get(key) for key in batch], return_errors=True)
        for key, reply in zip(batch, replies, strict=True):
            try:
                found.keep(decode_copy(key, body_of(reply)))
            except NotFound:
                continue  # removed since it was listed
            except DamagedData as error:
                found.found(key, _after(layout.CURRENT, error), "snapshot")


def _check_segments(found: Survey) -> None:
    known = {finding.key for finding in found.findings}
    for entry in found.segments.values():
        if entry.key not in known:
            try:
                read_segments(found.store, [entry])
            except DamagedData as error:
                found.found(entry.key, _after(entry.key, error), "ledger")


def look_at_leaves(
    store: Store, leaves: Iterable[tuple[LeafEntry, Dataset]]
) -> Iterator[tuple[LeafEntry, Dataset, list[Row] | Finding]]:
    """Yield leaves with their rows, or with what is wrong with them; a few at a time."""
    for batch in batched(leaves, _AT_ONCE):
        replies = store.wave([Get(leaf.key) for leaf, _ in batch], return_errors=True)
        for (leaf, dataset), reply in zip(batch, replies, strict=True):
            try:
                rows: list[Row] | Finding = LeafTable(leaf, body_of(reply), dataset).rows()
            except NotFound:
                rows = Finding(key=leaf.key, what="the object is missing", kind="leaf")
            except DamagedData as error:
                rows = Finding(key=leaf.key, what=_after(leaf.key, error), kind="leaf")
            yield leaf, dataset, rows


def _after(key: str, error: Exception) -> str:
    """Return what an error says of an object, without its name and without what to do."""
    return str(error).removeprefix(f"{key}: ").partition(";")[0]
