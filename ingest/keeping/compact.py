"""Compaction: small granules of a dataset into granules of its windows, overlaps resolved."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archive.index import layout
from archive.index.runs import Spans, runs_of
from ingest.index.fold import fold
from ingest.index.replacing import rows_of, with_rows_replaced
from ingest.index.swap import Base, Change, change, read_current, successor
from ingest.keeping.rewrite import Part, rewrite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.store import Store

__all__ = ["CompactReport", "compact"]

_GROUPS_A_SWAP = 32

type _Served = dict[tuple[str, str], tuple[int, int]]
"""Of each row, by id and key, the half-open range of samples that it serves; hidden rows serve none."""


@dataclass(slots=True)
class CompactReport:
    """What a compaction did.

    Parameters
    ----------
    before, after
        Granules that were replaced, and granules that stand for them.
    hidden
        Replaced granules of which no sample was served, since others hold the same times.
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


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that one granule is to stand for.

    Parameters
    ----------
    parts
        The samples that are served, in order of time.
    hidden
        Rows that serve none.
    """

    parts: tuple[Part, ...]
    hidden: tuple[Row, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*(part.row for part in self.parts), *self.hidden)


def compact(
    store: Store, names: Sequence[str] | None = None, *, advance: Callable[[int], None] = lambda _: None
) -> CompactReport:
    """Merge the granules of each window of datasets, and drop what overlaps hide.

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
    DamagedData
        A granule is missing or altered; nothing of its group is changed.
    """
    fold(store)
    snapshot = read_current(store).snapshot
    report = CompactReport()
    for name in sorted(snapshot.datasets if names is None else names):
        dataset = snapshot.datasets[name]
        groups = _groups(rows_of(store, snapshot, name), dataset)
        while batch := list(itertools.islice(groups, _GROUPS_A_SWAP)):
            _replace(store, dataset, batch, report, advance)
    return report


def _groups(rows: Sequence[Row], dataset: Dataset) -> Iterator[_Group]:
    """Yield the groups that are worth it: several rows of one window, or rows that overlaps hide."""
    spans = Spans.of_rows(rows)
    served = _served(rows, dataset)
    hidden = [row for row in rows if (row.id, row.key) not in served]
    for run in runs_of(spans, dataset.step):
        parts = [
            Part(rows[int(number)], int(start), int(stop))
            for number, start, stop in zip(run.rows, run.start, run.stop, strict=True)
        ]
        for _, members in itertools.groupby(parts, key=lambda part: _home(part.row, dataset)):
            group = tuple(members)
            first = group[0].row.time.at(group[0].start)
            last = group[-1].row.time.last
            mine = tuple(row for row in hidden if first <= row.time.first <= last)
            trimmed = any(part.stop - part.start < part.row.time.size for part in group)
            if len(group) > 1 or trimmed or mine:
                yield _Group(group, mine)


def _home(row: Row, dataset: Dataset) -> tuple[int, str]:
    """Return what rows must share to become one granule: the window, and attributes of their own."""
    return row.time.first // dataset.window, json.dumps(dict(row.attrs), sort_keys=True)


def _served(rows: Sequence[Row], dataset: Dataset) -> _Served:
    return {
        (rows[int(number)].id, rows[int(number)].key): (int(start), int(stop))
        for run in runs_of(Spans.of_rows(rows), dataset.step)
        for number, start, stop in zip(run.rows, run.start, run.stop, strict=True)
    }


def _replace(
    store: Store, dataset: Dataset, groups: Sequence[_Group], report: CompactReport, advance: Callable[[int], None]
) -> None:
    """Put the granules of some groups, and swap their rows in."""
    keys = [layout.new_granule_key(dataset.name, group.parts[0].row.time.first) for group in groups]
    made: list[Row] = []
    for key, group in zip(keys, groups, strict=True):
        made.append(rewrite(store, dataset, group.parts, replaces=group.rows, key=key, batch=keys))
        advance(len(group.rows))
    taken: list[int] = []

    def edit(base: Base) -> Change | None:
        taken[:] = _unchanged(store, base, dataset.name, groups)
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


def _unchanged(store: Store, base: Base, name: str, groups: Sequence[_Group]) -> list[int]:
    """Return the numbers of the groups whose rows are all there and serve what they served when it was planned."""
    dataset = base.snapshot.datasets.get(name)
    if dataset is None:
        return []
    reach = 2 * int(dataset.step) + 1
    first = min(row.time.first for group in groups for row in group.rows) - reach
    last = max(row.time.last for group in groups for row in group.rows) + reach
    rows = rows_of(store, base.snapshot, name, first, last)
    there = {(row.id, row.key) for row in rows}
    served = _served(rows, dataset)
    return [
        number
        for number, group in enumerate(groups)
        if there.issuperset((row.id, row.key) for row in group.rows)
        and all(served.get((part.row.id, part.row.key)) == (part.start, part.stop) for part in group.parts)
        and not any((row.id, row.key) in served for row in group.hidden)
    ]
