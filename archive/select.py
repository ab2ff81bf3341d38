"""From what users select to slices and sample numbers of one coordinate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, TimeAxis
from archive.errors import InvalidInput
from archive.times import duration_to_ns, time_to_ns
from archive.units import is_quantity, magnitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["is_open", "key_of", "time_bounds"]

type Key = slice | NDArray[np.int64]


def is_open(bound: object) -> bool:
    """Return whether a bound leaves its end open: `None` or `...`."""
    return bound is None or bound is ...


def key_of(coord: Coord, selector: Any, *, name: str, relative: bool = False, samples: bool = False) -> Key:
    """Return which samples a selector takes, as a slice where they are contiguous.

    Parameters
    ----------
    coord
        The coordinate that is selected on.
    selector
        A pair (tuple, list of two or slice): a range, both ends inclusive, `None` or `...` open; an
        array: the values themselves; a boolean array: a mask. With `samples`, Python's own rules.
    name
        The coordinate's name, for messages.
    relative
        Bounds count from the start, negative ones from the end.
    samples
        Bounds are sample numbers, the end exclusive.

    Raises
    ------
    InvalidInput
        The selector is none of these.
    """
    if is_open(selector):
        return slice(0, coord.size)
    if isinstance(selector, np.ndarray) and selector.dtype == np.bool_:
        if selector.shape != (coord.size,):
            raise InvalidInput(f"{name}: a mask of shape {selector.shape} does not fit {coord.size} values")
        return np.flatnonzero(selector)
    if samples:
        return _samples(coord.size, selector, name)
    if isinstance(selector, np.ndarray) or (isinstance(selector, list) and len(selector) != 2):  # noqa: PLR2004 - a pair
        return _members(coord, np.asarray(selector), name)
    low, high = _pair(selector, name)
    return _range(coord, low, high, name, relative=relative)


def _pair(selector: Any, name: str) -> tuple[Any, Any]:
    if isinstance(selector, slice):
        if selector.step is not None:
            raise InvalidInput(f"{name}: a slice of values has no step; decimate afterwards")
        return selector.start, selector.stop
    if isinstance(selector, (tuple, list)) and len(selector) == 2:  # noqa: PLR2004 - a pair
        return selector[0], selector[1]
    raise InvalidInput(f"{name}={selector!r} selects nothing; give a range (low, high), an array of values or a mask")


def _samples(size: int, selector: Any, name: str) -> Key:
    if isinstance(selector, (int, np.integer)) and not isinstance(selector, bool):
        number = int(selector)
        number = number + size if number < 0 else number
        return slice(*(min(max(edge, 0), size) for edge in (number, number + 1)))
    if isinstance(selector, np.ndarray) or (isinstance(selector, list) and len(selector) != 2):  # noqa: PLR2004 - a pair
        numbers = np.asarray(selector)
        if numbers.dtype.kind not in "iu" or (len(numbers) and (numbers.min() < -size or numbers.max() >= size)):
            raise InvalidInput(f"{name}: sample numbers must be whole and within {size} samples")
        return np.where(numbers < 0, numbers + size, numbers).astype(np.int64)
    low, high = (None if is_open(bound) else bound for bound in _pair(selector, name))
    for bound in (low, high):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, np.integer))):
            raise InvalidInput(f"{name}: {bound!r} is no sample number; leave out samples=True to select by value")
    start, stop, _ = slice(low, high).indices(size)
    return slice(start, max(stop, start))


def time_bounds(
    low: Any, high: Any, first: int | None, last: int | None, *, relative: bool = False
) -> tuple[int | None, int | None]:
    """Return the bounds of a range of time in ns; `None` stays open.

    Parameters
    ----------
    low, high
        Times, or lengths of time where `relative`.
    first, last
        What relative bounds count from, ns.
    """

    def bound(value: Any) -> int | None:
        if is_open(value):
            return None
        if not relative:
            return time_to_ns(value)
        length = duration_to_ns(value)
        origin = first if length >= 0 else last
        return None if origin is None else origin + length

    return bound(low), bound(high)


def _range(coord: Coord, low: Any, high: Any, name: str, *, relative: bool) -> Key:
    if coord.is_time:
        return _time_range(coord, low, high, name, relative=relative)
    values = coord.to_numpy()
    edges: list[Any] = []
    for bound in (low, high):
        if is_open(bound):
            edges.append(None)
            continue
        number = _number(bound, coord, name)
        if relative:
            number += coord.min() if number >= 0 else coord.max()
        edges.append(number)
    _in_order(edges[0], edges[1], low, high, name)
    mask = np.ones(len(values), dtype=bool)
    if edges[0] is not None:
        mask &= values >= edges[0]
    if edges[1] is not None:
        mask &= values <= edges[1]
    return _compact(np.flatnonzero(mask))


def _time_range(coord: Coord, low: Any, high: Any, name: str, *, relative: bool) -> Key:
    values = coord.values
    if not coord.size:
        return slice(0, 0)
    if isinstance(values, TimeAxis) and values.rising:
        first, last = time_bounds(low, high, values.first, values.last, relative=relative)
        _in_order(first, last, low, high, name)
        start = 0 if first is None else values.find(first)
        stop = values.size if last is None else values.find(last, "right")
        return slice(start, max(stop, start))
    stamps = coord.to_numpy().astype("datetime64[ns]").astype(np.int64)
    first, last = time_bounds(low, high, int(stamps.min()), int(stamps.max()), relative=relative)
    _in_order(first, last, low, high, name)
    mask = np.ones(len(stamps), dtype=bool)
    if first is not None:
        mask &= stamps >= first
    if last is not None:
        mask &= stamps <= last
    return _compact(np.flatnonzero(mask))


def _in_order(first: Any, last: Any, low: Any, high: Any, name: str) -> None:
    if first is not None and last is not None and first > last:
        raise InvalidInput(f"{name}=({low!r}, {high!r}) ends before it starts")


def _number(value: Any, coord: Coord, name: str) -> Any:
    if is_quantity(value):
        return magnitude(value, coord.units)
    if coord.dtype.kind in "iuf":
        if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and value == value:  # noqa: PLR0124 - NaN
            return value
        raise InvalidInput(f"{name}: {value!r} is no number")
    return value


def _members(coord: Coord, wanted: NDArray[Any], name: str) -> Key:
    if coord.is_time:
        stamps = np.array(
            [time_to_ns(value) for value in wanted.tolist()]
            if wanted.dtype.kind != "M"
            else wanted.astype("datetime64[ns]")
        )
        return _compact(np.flatnonzero(np.isin(coord.to_numpy().astype(np.int64), stamps.astype(np.int64))))
    if coord.dtype.kind in "iuf" and wanted.dtype.kind not in "iuf":
        raise InvalidInput(f"{name}: the values to pick must be numbers, not {wanted.dtype}")
    return _compact(np.flatnonzero(np.isin(coord.to_numpy(), wanted)))


def _compact(numbers: NDArray[np.int64]) -> Key:
    """Return a slice if the numbers follow each other."""
    if not len(numbers):
        return slice(0, 0)
    first, last = int(numbers[0]), int(numbers[-1])
    return slice(first, last + 1) if last - first + 1 == len(numbers) else numbers.astype(np.int64)
