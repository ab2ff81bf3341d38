"""Merging and splitting lazy Patches along a dim, by arithmetic alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from archive.attrs import Attrs
from archive.coords import Coord, Coords, TimeAxis, values_from_array
from archive.coords.coord import same_values
from archive.errors import InvalidInput
from archive.lazy import AxisArray, Constant, Joined, Lazy
from archive.patch import Patch
from archive.reading import LazyValues
from archive.times import duration_to_ns
from archive.units import is_quantity, magnitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Chunks", "Conflict", "chunk", "join_patches", "merge"]

type Conflict = Literal["raise", "drop", "keep_first"]

_SAME = ("network", "station", "data_type", "tag", "dataset")
_STEP_TOLERANCE = 0.05
_NUMBERS = "biufc"  # kinds of types that become one where they are joined
_NOTHING = {"m": np.timedelta64("NaT", "ns"), "U": "", "S": b""}  # what stands where a Patch lacks it; else NaN
_EXACT = 2**53  # up to here a float holds every integer
_NEVER_CONFLICTS = frozenset({"history"})


def chunk(
    patches: Sequence[Patch],
    dim: str,
    length: Any,
    *,
    overlap: Any = None,
    keep_partial: bool = False,
    fill_value: Any = None,
    tolerance: float = 1.5,
    conflict: Conflict = "raise",
) -> Sequence[Patch]:
    """Return the Patches merged, then split into chunks of one length; see `Spool.chunk`.

    Raises
    ------
    InvalidInput
        The length or the overlap makes no sense, or attributes conflict.
    """
    if conflict not in {"raise", "drop", "keep_first"}:
        raise InvalidInput(f"conflict={conflict!r}: one of 'raise', 'drop', 'keep_first'")
    if dim == "time":
        runs = merge(patches, fill_value=fill_value, tolerance=tolerance, conflict=conflict)
    else:
        runs = list(patches)
        if length is None or length is ...:
            raise InvalidInput(f"chunk({dim}=None) would merge along {dim}; Patches are merged along time only")
    if length is None or length is ...:
        if overlap is not None:
            raise InvalidInput("an overlap needs a length of chunks")
        return runs
    known = [patch.coords[dim] for patch in runs if dim in patch.dims]
    if not runs and dim != "time" and (is_quantity(length) or is_quantity(overlap)):
        return runs  # whether a quantity fits is told by the coordinate's units
    if len(known) != len(runs):
        raise InvalidInput(f"{dim}: not every Patch has this dim")
    units = known[0].units if known else None
    size = _extent(length, dim, units)
    lap = _extent(overlap, dim, units) if overlap is not None else Fraction(0)
    if size <= 0:
        raise InvalidInput(f"chunks have a positive length, not {length!r}")
    if lap >= size:
        raise InvalidInput(f"an overlap of {overlap!r} is not shorter than the chunks of {length!r}")
    return Chunks(runs, dim, size, size - lap, keep_partial=keep_partial)


def _extent(value: Any, dim: str, units: str | None) -> Fraction:
    if dim == "time":
        return Fraction(duration_to_ns(value))
    number = magnitude(value, units) if is_quantity(value) else value
    if isinstance(number, (bool, np.timedelta64)) or not isinstance(number, (int, float, np.number)):
        raise InvalidInput(f"{dim}={value!r} is no length; give a number or a quantity such as 10 * m")
    if not math.isfinite(number):
        raise InvalidInput(f"{dim}={value!r} is no length that ends")
    return Fraction(repr(float(number)))


class Chunks(Sequence[Patch]):
    """The chunks of runs, each made when it is asked for: chunk k holds what lies in [start + k·stride, + length)."""

    def __init__(
        self, runs: Sequence[Patch], dim: str, length: Fraction, stride: Fraction, *, keep_partial: bool
    ) -> None:
        self._runs, self._dim, self._length, self._stride = list(runs), dim, length, stride
        self._lines = [_Line.of(patch.coords[dim]) for patch in self._runs]
        counts = [line.count(length, stride, partial=keep_partial) for line in self._lines]
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Patch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Patch]: ...
    def __getitem__(self, index: int | slice) -> Patch | Sequence[Patch]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"chunk {index} of {len(self)}")
        index %= len(self)
        run = int(np.searchsorted(self._ends, index, side="right"))
        number = index - (self._ends[run - 1] if run else 0)
        line = self._lines[run]
        low = line.first + number * self._stride
        return self._runs[run].take(self._dim, slice(line.find(low), line.find(low + self._length)))


@dataclass(frozen=True, slots=True)
class _Line:
    """A rising coordinate as exact numbers: ns for time, else its own."""

    first: Fraction
    last: Fraction
    step: Fraction
    axis: TimeAxis | None
    values: Any

    @classmethod
    def of(cls, coord: Coord) -> _Line:
        values = coord.values
        if isinstance(values, TimeAxis):
            if not values.size:
                return cls(Fraction(0), Fraction(-1), Fraction(1), values, None)
            if not values.rising:
                raise InvalidInput("times that fall back cannot be cut into chunks; sort_coords('time') first")
            return cls(Fraction(values.first), Fraction(values.last), values.typical_step or Fraction(0), values, None)
        array = coord.to_numpy()
        if array.dtype.kind not in "iuf" or (np.diff(array) <= 0).any():
            raise InvalidInput("only a coordinate of rising numbers or times can be cut into chunks")
        exact = (
            [Fraction(repr(float(value))) for value in (array[0], array[-1])]
            if len(array)
            else [Fraction(0), Fraction(-1)]
        )
        step = (exact[1] - exact[0]) / (len(array) - 1) if len(array) > 1 else Fraction(0)
        return cls(exact[0], exact[1], step, None, array)

    def count(self, length: Fraction, stride: Fraction, *, partial: bool) -> int:
        """Return how many chunks there are; the last may reach a rounding beyond the last sample's end."""
        span = self.last - self.first
        if span < 0:
            return 0
        slack = Fraction(1) if self.axis is not None else self.step / 1000
        whole = (span + self.step + slack - length) // stride + 1
        if not partial:
            return max(int(whole), 0)
        return int(span // stride) + 1

    def find(self, bound: Fraction) -> int:
        """Return how many samples lie before a bound."""
        if self.axis is not None:
            return self.axis.find(-int(-bound // 1))
        slack = self.step / 1000
        return int(np.searchsorted(self.values, float(bound - slack), side="left"))


def merge(
    patches: Sequence[Patch], *, fill_value: Any = None, tolerance: float = 1.5, conflict: Conflict = "raise"
) -> list[Patch]:
    """Return Patches joined in time where they touch or overlap; across gaps only with a fill value.

    Where they overlap the one that starts earlier serves. Patches with other networks, stations, types,
    tags, dims, channels or steps are not joined.
    """
    groups: dict[Any, list[Patch]] = defaultdict(list)
    for patch in patches:
        if _axis(patch).size:
            groups[_group(patch, groups)].append(patch)
    merged = []
    for members in groups.values():
        members.sort(key=lambda patch: _axis(patch).first)
        merged.extend(_joined_group(members, fill_value, tolerance, conflict))
    return sorted(merged, key=lambda patch: _axis(patch).first)


def _axis(patch: Patch) -> TimeAxis:
    values = patch.coords["time"].values
    if isinstance(values, TimeAxis):
        return values
    raise InvalidInput("Patches without a time coordinate of points in time cannot be merged")


def _group(patch: Patch, groups: Mapping[Any, Sequence[Patch]]) -> Any:
    """Return the key of the group that a Patch belongs to, an old one or a new one."""
    key = (patch.dims, patch.dtype, *(patch.attrs.get(name) for name in _SAME))
    step = _axis(patch).typical_step
    for known, members in groups.items():
        other = members[0]
        if known[0] != key or not _same_channels(patch, other):
            continue
        theirs = _axis(other).typical_step
        if step is None or theirs is None or abs(step - theirs) <= _STEP_TOLERANCE * theirs:
            return known
    return (key, len(groups))


def _same_channels(one: Patch, other: Patch) -> bool:
    names = [[name for name, coord in patch.coords.items() if coord.dims != ("time",)] for patch in (one, other)]
    return set(names[0]) == set(names[1]) and all(
        same_values(one.coords[name], other.coords[name]) for name in names[0]
    )


def _joined_group(members: Sequence[Patch], fill_value: Any, tolerance: float, conflict: Conflict) -> list[Patch]:
    if len(members) > 1 and not all(_axis(patch).rising for patch in members):
        raise InvalidInput("Patches whose times fall back cannot be merged; sort_coords('time') each of them first")
    runs: list[list[Patch]] = []
    cursor = 0
    steps = [step for step in (_axis(patch).typical_step for patch in members) if step is not None]
    step = steps[0] if steps else Fraction(0)
    for patch in members:
        axis = _axis(patch)
        if not runs:
            runs.append([patch])
        elif axis.first <= cursor + step / 2:
            kept = patch.take("time", slice(axis.find(cursor + int(step / 2), "right"), axis.size))
            if not _axis(kept).size:
                continue
            runs[-1].append(kept)
        elif axis.first - cursor <= Fraction(tolerance) * step:
            runs[-1].append(patch)
        elif fill_value is not None and step:
            runs[-1].extend((_filler(patch, cursor, axis.first, step, fill_value), patch))
        else:
            runs.append([patch])
        cursor = axis.last
    return [join_patches(run, conflict) for run in runs]


def _filler(patch: Patch, last: int, first: int, step: Fraction, value: Any) -> Patch:
    """Return a Patch of a fill value for the samples that are missing between two stamps (ns)."""
    count = max(round(Fraction(first - last) / step) - 1, 0)
    axis = TimeAxis.line(last, step, count + 1).cut(1, count + 1)
    shape = tuple(count if dim == "time" else length for dim, length in zip(patch.dims, patch.shape, strict=True))
    dtype = np.dtype(np.result_type(patch.dtype, np.min_scalar_type(value)))
    if patch.dtype.kind == "f" and np.dtype(type(value)).kind in "fiu":
        dtype = patch.dtype
    held = {name: coord for name, coord in patch.coords.items() if coord.dims != ("time",)}
    held["time"] = patch.coords["time"].with_values(axis)
    return Patch(Constant(value, shape, dtype), Coords(patch.dims, held), attrs=patch.attrs)


def join_patches(run: Sequence[Patch], conflict: Conflict) -> Patch:
    """Return Patches put one after the other in time, each with its own stamps."""
    if len(run) == 1:
        return run[0]
    first = run[0]
    coords = {name: coord for name, coord in first.coords.items() if coord.dims != ("time",)}
    coords["time"] = first.coords["time"].with_values(TimeAxis.concatenate(_axis(patch) for patch in run))
    beside = {name for patch in run for name, coord in patch.coords.items() if coord.dims == ("time",)} - {"time"}
    for name in sorted(beside):
        coords[name] = _joined_beside(run, name)
    data: Lazy = Joined([patch.lazy for patch in run], first.get_axis("time"))
    return Patch(data, Coords(first.dims, coords), attrs=_attrs([patch.attrs for patch in run], conflict))


def _joined_beside(run: Sequence[Patch], name: str) -> Coord:
    """Return a coordinate beside time of Patches that follow each other, unread where it holds times.

    Raises
    ------
    InvalidInput
        It is of another kind in some of them, such as numbers beside text, or of other units; or it is of integers
        that would be rounded, since fractions or nothing stand beside them.
    """
    there = [patch.coords[name] for patch in run if name in patch.coords]
    if len({(coord.dims, coord.units, _kind(coord)) for coord in there}) > 1:
        raise InvalidInput(
            f"{name} is another kind of coordinate, or in other units, in some of the Patches to be joined; "
            f"drop_coords({name!r}) first"
        )
    if there[0].dtype.kind == "M":
        parts = [_beside(patch, name) for patch in run]
        return Coord(dims=("time",), values=LazyValues(Joined(parts), np.dtype("datetime64[ns]")), units="s")
    nothing = _NOTHING.get(there[0].dtype.kind, np.nan)
    lengths = [(patch, _axis(patch).size) for patch in run]
    arrays = [
        patch.coords[name].to_numpy() if name in patch.coords else np.full(size, nothing) for patch, size in lengths
    ]
    joined = np.concatenate(arrays)
    if joined.dtype.kind in "fc" and any(_rounded(array) for array in arrays):
        raise InvalidInput(
            f"{name} has integers beyond 2**53, which would be rounded where fractions, or Patches without it, "
            f"are joined with them; drop_coords({name!r}) first"
        )
    return there[0].with_values(values_from_array(joined))


def _kind(coord: Coord) -> str:
    kind = coord.dtype.kind
    return _NUMBERS if kind in _NUMBERS else kind


def _rounded(array: NDArray[Any]) -> bool:
    """Return whether an array has integers that are not sure to stay the same as floats."""
    return array.dtype.kind in "iu" and array.size > 0 and (int(array.max()) > _EXACT or int(array.min()) < -_EXACT)


def _beside(patch: Patch, name: str) -> Lazy:
    """Return the stamps of a coordinate beside time, or those of time where a Patch lacks it."""
    if name not in patch.coords:
        return AxisArray(_axis(patch))
    values = patch.coords[name].values
    if isinstance(values, LazyValues):
        return values.lazy
    if isinstance(values, TimeAxis):
        return AxisArray(values)
    return AxisArray(TimeAxis.exact(values.to_numpy().astype("datetime64[ns]").astype(np.int64)))


def _attrs(all_attrs: Sequence[Attrs], conflict: Conflict) -> Attrs:
    names = {name for attrs in all_attrs for name in attrs}
    kept: dict[str, Any] = {}
    for name in names:
        values = [attrs.get(name) for attrs in all_attrs]
        if all(value == values[0] for value in values) or name in _NEVER_CONFLICTS:
            kept[name] = values[0]
        elif conflict == "keep_first":
            kept[name] = next(value for value in values if value is not None)
        elif conflict == "raise":
            different = sorted({repr(value) for value in values})[:3]
            raise InvalidInput(
                f"{name} differs among the Patches to be joined ({', '.join(different)}); "
                "choose conflict='drop' or conflict='keep_first'"
            )
    return Attrs({name: value for name, value in kept.items() if value is not None})
