"""From the rows of an archive to lazy Patches: one for each contiguous run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, Coords
from archive.index.runs import Run
from archive.lazy import AxisArray, Constant, Joined, StoredPart
from archive.patch import Patch
from archive.reading import LazyValues
from archive.view import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.index.rows import Row
    from archive.lazy import Lazy, Window, Work
    from archive.model import Scalar
    from archive.view import Table, View

__all__ = ["RunArray", "patches_of"]


@dataclass(frozen=True, slots=True)
class RunArray:
    """The samples of a contiguous run, unread: rows are made whole only when they are to be read.

    Parameters
    ----------
    view, table, run
        Where the rows are, and which samples of which serve.
    window
        The part along the other dims.
    extra
        Name of the coordinate that is meant instead of the samples.
    """

    view: View
    table: Table
    run: Run
    window: Window
    extra: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return (self.run.samples, *(part.stop - part.start for part in self.window))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return np.dtype(np.int64) if self.extra else self.table.dataset.dtype

    def cut(self, window: Window) -> RunArray:
        """Return a part, unread."""
        run, along = self.run, window[0]
        ends = np.cumsum(run.stop - run.start)
        first = int(np.searchsorted(ends, along.start, side="right"))
        last = int(np.searchsorted(ends, along.stop, side="left")) + 1
        if along.stop <= along.start:
            first = last = 0
        start, stop = run.start[first:last].copy(), run.stop[first:last].copy()
        if len(start):
            start[0] += along.start - (int(ends[first - 1]) if first else 0)
            stop[-1] -= int(ends[min(last, len(ends)) - 1]) - along.stop
        inner = tuple(
            slice(base.start + part.start, base.start + part.stop)
            for base, part in zip(self.window, window[1:], strict=True)
        )
        part = Run(rows=run.rows[first:last], start=start, stop=stop, first=run.first, last=run.last)
        return RunArray(self.view, self.table, part, inner, self.extra)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Ask for the samples row by row."""
        if target.size:
            Joined(self._parts()).fill(target, work)

    def _parts(self) -> list[Lazy]:
        rows = self.view.rows(self.table, self.run.rows)
        return [
            self._part(row, int(start), int(stop))
            for row, start, stop in zip(rows, self.run.start, self.run.stop, strict=True)
        ]

    def _part(self, row: Row, start: int, stop: int) -> Lazy:
        if self.extra is None:
            return StoredPart(self.view.store, row.data, (slice(start, stop), *self.window))
        if self.extra in row.extras:
            return StoredPart(self.view.store, row.extras[self.extra], (slice(start, stop),))
        return AxisArray(row.time.cut(start, stop))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the rows themselves, so that a worker asks for samples and nothing else."""
        if not self.run.samples:
            return Constant, (0, self.shape, self.dtype)
        return Joined, (tuple(self._parts()),)


def patches_of(view: View, names: Sequence[str] | None, first: int = ALWAYS[0], last: int = ALWAYS[1]) -> list[Patch]:
    """Return one lazy Patch for each contiguous run of datasets that touches a window of time (ns), and their Cubes.

    Runs are cut to the window, so that no more of the index is read than it needs.
    """
    patches: list[Any] = []
    for table in view.tables(names, first, last):
        if table.dataset.holds_frames:
            patches += _cubes_of(view, table)
            continue
        for run in table.runs():
            patch = _patch(view, table, run)
            if first > ALWAYS[0] or last < ALWAYS[1]:
                time = patch.coords["time"].values
                patch = patch.take("time", slice(time.find(first), time.find(last, "right")))  # type: ignore[attr-defined]
            if patch.shape[0]:
                patches.append(patch)
    return patches


def _cubes_of(view: View, table: Table) -> list[Any]:
    """Return the Cubes of a dataset of frames; what they need is imported only where there are some."""
    from archive.cube import cubes_of

    return cubes_of(view, table)


def _patch(view: View, table: Table, run: Run) -> Patch:
    dataset = table.dataset
    coords = {"time": Coord(dims=("time",), values=run.axis(table.spans), units="s")}
    coords |= {**dataset.coords, **dataset.positions}
    window = tuple(slice(0, width) for width in dataset.widths)
    for name in sorted(_extra_names(table, run)):
        values = LazyValues(RunArray(view, table, run, (), name), np.dtype("datetime64[ns]"))
        coords[name] = Coord(dims=("time",), values=values, units="s")
    attrs = {**dataset.attrs, **_shared_attrs(table, run), **dataset.given, "dataset": dataset.name}
    return Patch(
        RunArray(view, table, run, window),
        Coords(dataset.dims, coords),
        attrs={name: value for name, value in attrs.items() if value is not None},
    )


def _texts(table: Table, run: Run, name: str) -> set[str | None]:
    """Return the different texts that a column has over the rows of a run."""
    found: set[str | None] = set()
    columns: dict[int, list[str | None]] = {}
    for number in run.rows.tolist():
        source = table.sources[number]
        if isinstance(source, tuple):
            leaf, place = source
            if id(leaf) not in columns:
                columns[id(leaf)] = leaf.texts(name)
            found.add(columns[id(leaf)][place])
        else:
            values = source.attrs if name == "attrs" else {key: ref.to_json() for key, ref in source.extras.items()}
            found.add(json.dumps(values, sort_keys=True) if values else None)
    return found


def _extra_names(table: Table, run: Run) -> set[str]:
    return {name for text in _texts(table, run, "extras") if text for name in json.loads(text)}


def _shared_attrs(table: Table, run: Run) -> dict[str, Scalar]:
    """Return the attributes in which all rows of a run differ alike from the dataset; others are dropped."""
    texts = _texts(table, run, "attrs")
    if texts <= {None}:
        return {}
    held = [json.loads(text) if text else {} for text in texts]
    defaults = table.dataset.attrs
    shared: dict[str, Scalar] = {}
    for name in sorted({name for item in held for name in item}):
        values = {json.dumps(item.get(name, defaults.get(name))) for item in held}
        shared[name] = json.loads(values.pop()) if len(values) == 1 else None
    return shared
