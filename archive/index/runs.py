"""From rows to runs: what joins, what overlaps, and which row serves which sample."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from archive.coords import TimeAxis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

    from archive.index.rows import Row

__all__ = ["Run", "Spans", "overlaps_of", "reach_of", "runs_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """The times of many rows, in columns.

    Parameters
    ----------
    first, last
        First and last stamp of each row, ns.
    columns
        Origin, num, den, phase and size of each row's axis, where it is one piece; size always.
    pieces
        The axes of the rows that have several pieces, by number.
    ids
        First eight bytes of each row's id, which break ties.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    columns: tuple[NDArray[np.int64], ...]
    pieces: Mapping[int, TimeAxis]
    ids: NDArray[np.uint64]

    @classmethod
    def of_rows(cls, rows: Sequence[Row]) -> Spans:
        """Return the times of rows."""
        heads = [[int(column[0]) for column in row.time.columns()] for row in rows]
        table = np.array(heads, dtype=np.int64).reshape(len(rows), 5)
        table[:, 4] = [row.time.size for row in rows]
        return cls(
            first=np.array([row.time.first for row in rows], dtype=np.int64),
            last=np.array([row.time.last for row in rows], dtype=np.int64),
            columns=tuple(table.T.copy()),
            pieces={number: row.time for number, row in enumerate(rows) if row.time.pieces > 1},
            ids=np.array([int(row.id[:16], 16) for row in rows], dtype=np.uint64),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Spans]) -> Spans:
        """Return the rows of several, one after the other."""
        starts = np.cumsum([0, *(len(part) for part in parts)])
        return cls(
            first=np.concatenate([part.first for part in parts]),
            last=np.concatenate([part.last for part in parts]),
            columns=tuple(np.concatenate([part.columns[k] for part in parts]) for k in range(5)),
            pieces={
                int(start) + number: axis
                for start, part in zip(starts[:-1], parts, strict=True)
                for number, axis in part.pieces.items()
            },
            ids=np.concatenate([part.ids for part in parts]),
        )

    def taken(self, numbers: NDArray[np.int64]) -> Spans:
        """Return some of the rows."""
        kept = {int(number): place for place, number in enumerate(numbers)} if self.pieces else {}
        return Spans(
            first=self.first[numbers],
            last=self.last[numbers],
            columns=tuple(column[numbers] for column in self.columns),
            pieces={kept[number]: axis for number, axis in self.pieces.items() if number in kept},
            ids=self.ids[numbers],
        )

    def __len__(self) -> int:
        return len(self.first)

    def axis(self, number: int) -> TimeAxis:
        """Return the stamps of one row."""
        if number in self.pieces:
            return self.pieces[number]
        return TimeAxis(*([int(column[number])] for column in self.columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A contiguous stretch of a dataset: which samples of which rows, in order of time.

    Parameters
    ----------
    rows
        Numbers of the rows, shape `(n,)`.
    start, stop
        Half-open range of samples that each of them serves, shape `(n,)`.
    first, last
        First and last stamp, ns.
    """

    rows: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    first: int
    last: int

    @property
    def samples(self) -> int:
        """Number of samples along time."""
        return int((self.stop - self.start).sum())

    def axis(self, spans: Spans) -> TimeAxis:
        """Return the exact stamps of the run."""
        if not any(int(row) in spans.pieces for row in (self.rows if spans.pieces else ())):
            origin, num, den, phase, _ = (column[self.rows] for column in spans.columns)
            return TimeAxis.concatenate([TimeAxis(origin, num, den, phase + self.start, self.stop - self.start)])
        return TimeAxis.concatenate(
            spans.axis(int(row)).cut(int(start), int(stop))
            for row, start, stop in zip(self.rows, self.start, self.stop, strict=True)
        )


def reach_of(step: Fraction) -> int:
    """Return how long after the last stamp the next may come (ns) and still join: a step and a half, rounded up.

    Rounded up, since stamps on a line are a step apart to the next whole nanosecond.
    """
    return -(-3 * step // 2)


def runs_of(spans: Spans, step: Fraction) -> list[Run]:
    """Return the contiguous runs of a dataset's rows, in order of time.

    Of rows that hold the same times, the one that starts earlier serves, then the one with the smaller
    id, whatever the order of arrival. A row joins the one before if it starts within half a step of
    where it should; nothing is relabelled.

    Parameters
    ----------
    spans
        The rows, in any order.
    step
        Time from one sample to the next, ns.
    """
    if not len(spans):
        return []
    order = np.lexsort((spans.ids, spans.first))
    first, last = spans.first[order], spans.last[order]
    half = int(step / 2)
    clean = first[1:] > last[:-1] + half
    start, stop = np.zeros(len(order), dtype=np.int64), spans.columns[4][order].copy()
    if not clean.all():
        order, start, stop, first, last = _without_overlaps(spans, order, half)
    gaps = first[1:] - last[:-1] > reach_of(step)
    borders = [0, *(np.flatnonzero(gaps) + 1).tolist(), len(order)]
    return [
        Run(rows=order[a:b], start=start[a:b], stop=stop[a:b], first=int(first[a]), last=int(last[b - 1]))
        for a, b in itertools.pairwise(borders)
    ]


def _without_overlaps(spans: Spans, order: NDArray[np.int64], half: int) -> tuple[NDArray[np.int64], ...]:
    """Return row, start, stop, first and last of the samples that serve, each time once."""
    served: list[tuple[int, int, int, int, int]] = []
    cursor: int | None = None
    for number in order.tolist():
        first, last, size = int(spans.first[number]), int(spans.last[number]), int(spans.columns[4][number])
        start = 0
        if cursor is not None and first <= cursor + half:
            if last <= cursor + half:
                continue
            axis = spans.axis(number)
            start = axis.find(cursor + half, "right")
            first = axis.at(start)
        served.append((number, start, size, first, last))
        cursor = last
    return tuple(np.array(column, dtype=np.int64) for column in zip(*served, strict=True))


def overlaps_of(spans: Spans, step: Fraction) -> list[tuple[int, int, int, int]]:
    """Return where rows hold the same times: row that serves, row that does not, first and last stamp."""
    found = []
    order = np.lexsort((spans.ids, spans.first))
    half = int(step / 2)
    cursor, holder = None, -1
    for number in order.tolist():
        first, last = int(spans.first[number]), int(spans.last[number])
        if cursor is not None and first <= cursor + half:
            found.append((holder, number, first, min(last, cursor)))
        if cursor is None or last > cursor + half:
            cursor, holder = last, number
    return found
