"""Compaction: small granules of a dataset into whole ones, overlaps resolved."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archive.index import layout
from archive.index.dataset import dataset_named
from ingest.index.fold import fold
from ingest.index.replacing import rows_of, with_rows_replaced
from ingest.index.swap import Base, Change, change, read_current, successor
from ingest.keeping.claims import Contents, RowsTold
from ingest.keeping.groups import Group, groups_of, served_of
from ingest.keeping.rewrite import rewrite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.store import Store

__all__ = ["CompactReport", "compact"]

_GROUPS_A_SWAP = 32


@dataclass(slots=True)
class CompactReport:
    """What a compaction did.

    Parameters
    ----------
    before, after
        Granules that were replaced, and granules that stand for them.
    hidden
        Replaced granules of which nothing was served, since others hold the same times or places.
    given_up
        Groups that somebody else changed meanwhile; the next compaction takes them.
    stored
        Bytes of the new granules' samples.
    swaps
        Times that the index was swapped.
    snapshot
        The newest snapshot made, `None` where there was nothing to do.
    """

    before: int = 0
    after: int = 0
    hidden: int = 0
    given_up: int = 0
    stored: int = 0
    swaps: int = 0
    snapshot: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def compact(
    store: Store, names: Sequence[str] | None = None, *, advance: Callable[[int], None] = lambda _: None
) -> CompactReport:
    """Merge the granules of each window of datasets, of time or of places of frames, and drop what others hide.

    Safe beside ingest, folds, readers and other compactions: new granules are put first, and one swap of
    CURRENT replaces the old rows by them if every one is still there and serves the same samples; a group
    that somebody else has changed is given up. Old granules stay for older snapshots, until `gc`.

    Parameters
    ----------
    names
        Datasets; all without.
    advance
        Called with the number of granules that have been read.

    Raises
    ------
    NotFound
        There is no such dataset; nothing is compacted.
    DamagedData
        A granule is missing or altered; nothing of its group is changed.
    """
    fold(store)
    snapshot = read_current(store).snapshot
    wanted = sorted(set(snapshot.datasets if names is None else names))
    datasets = [dataset_named(name, snapshot.datasets, store.url) for name in wanted]
    report = CompactReport()
    for dataset in datasets:
        told = RowsTold()
        groups = groups_of(rows_of(store, snapshot, dataset.name), dataset, told)
        while batch := list(itertools.islice(groups, _GROUPS_A_SWAP)):
            _replace(store, dataset, batch, told, report, advance)
    return report


def _replace(  # noqa: PLR0917 - one call
    store: Store,
    dataset: Dataset,
    groups: Sequence[Group],
    told: RowsTold,
    report: CompactReport,
    advance: Callable[[int], None],
) -> None:
    """Put the granules of some groups, and swap their rows in."""
    keys = [layout.new_granule_key(dataset.name, group.parts[0].row.time.first) for group in groups]
    made: list[Row] = []
    for key, group in zip(keys, groups, strict=True):
        made.append(rewrite(store, dataset, group.parts, replaces=group.rows, key=key, batch=[key]))
        advance(len(group.rows))
    taken: list[int] = []

    def edit(base: Base) -> Change | None:
        taken[:] = _unchanged(store, base, dataset.name, groups, made, told)
        if not taken:
            return None
        gone = [row for number in taken for row in groups[number].rows]
        leaves, objects = with_rows_replaced(
            store, base.snapshot, dataset.name, gone, [made[number] for number in taken]
        )
        note = f"compact {dataset.name}: {len(gone)} granules into {len(taken)}"
        return Change(successor(base.snapshot, note, leaves=leaves), objects)

    snapshot = change(store, edit, lambda: fold(store))
    report.given_up += len(groups) - len(taken)
    if snapshot is None:
        return
    report.swaps += 1
    report.snapshot = snapshot.number
    report.before += sum(len(groups[number].rows) for number in taken)
    report.hidden += sum(len(groups[number].hidden) for number in taken)
    report.after += len(taken)
    report.stored += sum(made[number].data.size for number in taken)


def _unchanged(  # noqa: PLR0917 - one call
    store: Store, base: Base, name: str, groups: Sequence[Group], made: Sequence[Row], told: RowsTold
) -> list[int]:
    """Return the numbers of the groups whose rows are all there and serve what they served when it was planned."""
    dataset = base.snapshot.datasets.get(name)
    if dataset is None:
        return []
    reach = 2 * int(dataset.step) + 1
    first = min(row.time.first for group in groups for row in group.rows) - reach
    last = max(row.time.last for group in groups for row in group.rows) + reach
    window = (None, None) if dataset.holds_frames else (first, last)  # frames of one place may have any times
    rows = rows_of(store, base.snapshot, name, *window)
    there = {row.identity for row in rows}
    served = served_of(rows, dataset, told)
    same = [
        number
        for number, group in enumerate(groups)
        if there.issuperset(row.identity for row in group.rows)
        and all(served.get(name) == what for name, what in group.served.items())
        and not any(row.identity in served for row in group.hidden)
    ]
    return _alike(Contents(rows, told), groups, made, same) if dataset.holds_frames else same


def _alike(contents: Contents, groups: Sequence[Group], made: Sequence[Row], numbers: list[int]) -> list[int]:
    """Return the numbers of those groups that can be replaced without another frame being served at any place.

    A frame that others hide may come to be served if only some of the granules that have one of its place are merged.
    """
    gone = [row for number in numbers for row in groups[number].rows]
    if contents.replaced(gone, [made[number] for number in numbers]):
        return numbers
    return [number for number in numbers if contents.replaced(groups[number].rows, [made[number]])]
