"""Which granules one is to stand for: of samples along time, and of frames by their places."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archive.index.runs import Spans, runs_of
from ingest.keeping.claims import claims_of, in_order
from ingest.keeping.rewrite import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from ingest.keeping.claims import Claims, RowsTold

__all__ = ["Group", "Served", "groups_of", "served_of"]

type Served = Mapping[tuple[str, str], tuple[int, ...]]
"""Of each row, by id and key, what it serves: first and last sample, half-open, or numbers of frames.

Hidden rows serve none, and are not in it.
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that one granule is to stand for.

    Parameters
    ----------
    parts
        What is served: of samples in order of time, of frames row by row.
    served
        The same, row by row.
    hidden
        Rows of which nothing is.
    """

    parts: tuple[Part, ...]
    served: Served
    hidden: tuple[Row, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """All of its rows, each once."""
        return tuple({row.identity: row for row in (*(part.row for part in self.parts), *self.hidden)}.values())


def groups_of(rows: Sequence[Row], dataset: Dataset, told: RowsTold) -> Iterator[Group]:
    """Yield the groups that are worth it: several rows for one granule, or rows that others hide, wholly or in part."""
    return _groups_of_frames(rows, dataset, told) if dataset.holds_frames else _groups_of_samples(rows, dataset)


def served_of(rows: Sequence[Row], dataset: Dataset, told: RowsTold) -> Served:
    """Return what each row serves."""
    if dataset.holds_frames:
        return {name: tuple(numbers) for name, numbers in claims_of(rows, told).served.items()}
    return _served_by(_runs(rows, dataset))


# -- samples --------------------------------------------------------------------------------------


def _runs(rows: Sequence[Row], dataset: Dataset) -> list[list[Part]]:
    """Return what is served, run by run."""
    return [
        [
            Part(rows[int(number)], int(start), int(stop))
            for number, start, stop in zip(run.rows, run.start, run.stop, strict=True)
        ]
        for run in runs_of(Spans.of_rows(rows), dataset.step)
    ]


def _served_by(runs: Iterable[Sequence[Part]]) -> dict[tuple[str, str], tuple[int, ...]]:
    return {part.row.identity: (part.start, part.stop) for parts in runs for part in parts}


def _groups_of_samples(rows: Sequence[Row], dataset: Dataset) -> Iterator[Group]:
    runs = _runs(rows, dataset)
    served = _served_by(runs)
    hidden = [row for row in rows if row.identity not in served]
    for parts in runs:
        for _, members in itertools.groupby(parts, key=lambda part: _home(part.row, dataset)):
            group = tuple(members)
            first = group[0].row.time.at(group[0].start)
            last = group[-1].row.time.last
            mine = tuple(row for row in hidden if first <= row.time.first <= last)
            trimmed = any(part.stop - part.start < part.row.time.size for part in group)
            if len(group) > 1 or trimmed or mine:
                names = [part.row.identity for part in group]
                yield Group(group, {name: served[name] for name in names}, mine)


def _home(row: Row, dataset: Dataset) -> tuple[int, str]:
    """Return what rows must share to become one granule: the window, and attributes of their own."""
    return row.time.first // dataset.window, json.dumps(dict(row.attrs), sort_keys=True)


# -- frames ---------------------------------------------------------------------------------------


def _groups_of_frames(rows: Sequence[Row], dataset: Dataset, told: RowsTold) -> Iterator[Group]:
    """Yield groups of rows that lie in one window of places; in a series, of rows that fit into one granule."""
    claims = claims_of(rows, told)
    hidden: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.identity in claims.hidden:
            hidden[claims.hidden[row.identity]].append(row)
    there = in_order(row for row in rows if row.identity in claims.served)
    for members in _granules(there, claims, dataset, told):
        mine = tuple(row for member in members for row in hidden[member.identity])
        served = {row.identity: tuple(claims.served[row.identity]) for row in members}
        if len(members) > 1 or mine or len(served[members[0].identity]) < members[0].samples:
            yield Group(tuple(part for row in members for part in _parts(row, served[row.identity])), served, mine)


def _granules(rows: Sequence[Row], claims: Claims, dataset: Dataset, told: RowsTold) -> Iterator[list[Row]]:
    """Yield rows whose frames one granule can hold, in the order in which the first of them comes."""
    from ingest.frames.identity import frames_per_granule, window_of

    size = frames_per_granule(dataset)
    homes: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    full: dict[tuple[object, ...], int] = defaultdict(int)  # granules of a kin that hold no more
    for row in rows:
        one = told.of(row)
        if one.kin is None:
            homes["asdf", row.id].append(row)
            continue
        if one.place:
            homes[one.kin, window_of(one.tile, one.place, dataset)].append(row)
            continue
        if sum(len(claims.served[held.identity]) for held in (*homes[one.kin, full[one.kin]], row)) > size:
            full[one.kin] += 1
        homes[one.kin, full[one.kin]].append(row)
    yield from (members for members in homes.values() if members)


def _parts(row: Row, numbers: Sequence[int]) -> Iterator[Part]:
    """Yield runs of frames that follow each other in a row."""
    for _, run in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        yield Part(row, found[0], found[-1] + 1)
