"""Collecting garbage: what no kept snapshot, tag or young commit refers to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import batched, pairwise
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData, InvalidInput, NotFound
from archive.index import layout
from archive.index.commits import Commit
from archive.index.leaves import LeafTable
from archive.index.snapshot import Snapshot
from archive.store import Get
from ingest.index.fold import fold
from ingest.index.swap import Base, Change, change, read_current, successor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from archive.index.dataset import Dataset
    from archive.index.leaves import LeafEntry
    from archive.store import Entry, Store

__all__ = ["RETENTION", "CollectReport", "collect"]

RETENTION = timedelta(days=7)
_YOUNG = timedelta(hours=24)  # a writer commits nothing that it put more than half of this ago
_LEAVES_A_WAVE = 64


@dataclass(slots=True)
class CollectReport:
    """What a collection removed, or would remove.

    Parameters
    ----------
    objects, size
        Number of objects and their bytes.
    snapshots
        Numbers of the snapshots that go.
    oldest
        The oldest snapshot that stays besides the tagged ones.
    waiting
        Objects that nothing refers to and that are too young to go.
    dry_run
        Whether nothing was removed.
    keys
        The objects.
    """

    objects: int = 0
    size: int = 0
    snapshots: list[int] = field(default_factory=list)
    oldest: int = 0
    waiting: int = 0
    dry_run: bool = False
    keys: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def collect(store: Store, retention: timedelta = RETENTION, *, dry_run: bool = False) -> CollectReport:
    """Remove what no kept snapshot, tag or young commit refers to.

    A snapshot is kept while it is tagged, or until `retention` has passed since the next one took its
    place. An object that only snapshots which are not kept refer to goes; one that none ever referred
    to goes once it is a day older than `retention`, since a writer may be about to commit it. All ages
    are by the store's clock.

    The order is what makes it safe beside everything else: data is listed; CURRENT is swapped for one that
    says what the oldest kept snapshot is, so that no new tag can name an older one; commits are listed;
    CURRENT is read again, with every kept snapshot; then what none of them refers to is deleted.

    Raises
    ------
    InvalidInput
        The retention is negative.
    DamagedData
        A kept snapshot, leaf or commit cannot be read: nothing is deleted then.
    """
    if retention < timedelta(0):
        raise InvalidInput(f"a retention of {retention} is negative")
    fold(store)
    now = store.now()
    places = (layout.DATA, layout.LEAVES, layout.LEDGER, layout.FOLDING)
    data = [entry for place in places for entry in store.entries(place)]
    copies = _copies(store)
    floor = _floor(read_current(store).snapshot, copies, now - retention)
    if not dry_run:
        floor = _raise_floor(store, floor)
    young = _commits(store)
    current = read_current(store).snapshot
    copies = _copies(store)
    kept = {current.number, *current.tags.values(), *(number for number in copies if number >= floor)}
    referred = _referred([current, *_snapshots(store, sorted(kept - {current.number}))], store)
    for commit in young:
        referred |= {row.key for row in commit.rows}
    expired = sorted(number for number in copies if number not in kept)
    dropped = _referred(_snapshots(store, expired, missing_ok=True), store, missing_ok=True) - referred
    report = CollectReport(snapshots=expired, oldest=floor, dry_run=dry_run)
    doomed = [copies[number] for number in expired]
    for entry in data:
        if layout.is_dataset_key(entry.key) or _home(entry.key) in referred:
            continue
        if _home(entry.key) in dropped or now - entry.modified > retention + _YOUNG:
            doomed.append(entry)
        else:
            report.waiting += 1
    report.objects, report.size = len(doomed), sum(entry.size for entry in doomed)
    report.keys = [entry.key for entry in doomed]
    if not dry_run:
        # Snapshots last: what is left by a crash is still found by the next run.
        store.delete(key for key in report.keys if not key.startswith(layout.SNAPSHOTS))
        store.delete(key for key in report.keys if key.startswith(layout.SNAPSHOTS))
    return report


def _home(key: str) -> str:
    """Return what an object belongs to: its granule, or itself."""
    head, sign, _ = key.partition(".zarr/")
    return f"{head}.zarr" if sign else key


def _copies(store: Store) -> dict[int, Entry]:
    return {int(entry.key.rpartition("/")[2]): entry for entry in store.entries(layout.SNAPSHOTS)}


def _floor(current: Snapshot, copies: dict[int, Entry], since: datetime) -> int:
    """Return the oldest snapshot that stays: the first whose successor came after a moment."""
    numbers = sorted({*copies, current.number})
    for number, following in pairwise(numbers):
        if following not in copies or copies[following].modified > since:
            return max(number, current.oldest)
    return current.number


def _raise_floor(store: Store, floor: int) -> int:
    def edit(base: Base) -> Change:
        held = base.snapshot
        return Change(successor(held, "gc", oldest=max(held.oldest, min(floor, held.number))))

    made = change(store, edit, lambda: None)
    assert made is not None  # noqa: S101 - the edit never gives up
    return made.oldest


def _commits(store: Store) -> list[Commit]:
    """Return the young commits; one that is gone by now is in CURRENT, which is read after this."""
    keys = [entry.key for entry in store.entries(layout.COMMITS)]
    commits = []
    for key, reply in zip(keys, store.wave([Get(key) for key in keys], return_errors=True), strict=True):
        if isinstance(reply, NotFound):
            continue
        if isinstance(reply, BaseException):
            raise reply
        commits.append(Commit.decode(key, reply.data))
    return commits


def _snapshots(store: Store, numbers: Sequence[int], *, missing_ok: bool = False) -> list[Snapshot]:
    found = []
    keys = [layout.snapshot_key(number) for number in numbers]
    for key, reply in zip(keys, store.wave([Get(key) for key in keys], return_errors=True), strict=True):
        if isinstance(reply, NotFound):
            if missing_ok:
                continue
            raise DamagedData(f"{key}: a kept snapshot is missing; run lightkeep verify, nothing was deleted")
        if isinstance(reply, BaseException):
            raise reply
        found.append(Snapshot.decode(reply.data))
    return found


def _referred(snapshots: Sequence[Snapshot], store: Store, *, missing_ok: bool = False) -> set[str]:
    """Return the leaves, ledger segments and granules that snapshots refer to."""
    referred = {leaf.key for snapshot in snapshots for leaf in snapshot.leaves}
    referred |= {segment.key for snapshot in snapshots for segment in snapshot.ledger}
    leaves: dict[str, tuple[LeafEntry, Dataset]] = {
        leaf.key: (leaf, snapshot.datasets[leaf.dataset]) for snapshot in snapshots for leaf in snapshot.leaves
    }
    for batch in batched(leaves.values(), _LEAVES_A_WAVE):
        replies = store.wave([Get(leaf.key) for leaf, _ in batch], return_errors=True)
        for (leaf, dataset), reply in zip(batch, replies, strict=True):
            if isinstance(reply, NotFound):
                if missing_ok:
                    continue
                raise DamagedData(f"{leaf.key}: this leaf of the index is missing; run lightkeep repair")
            if isinstance(reply, BaseException):
                raise reply
            referred.update(name for name in LeafTable(leaf, reply.data, dataset).texts("key") if name)
    return referred
