"""Patches of DASCore."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from archive.coords import Coord, Coords, TimeAxis, values_from_array
from archive.errors import InvalidInput
from archive.exchange import wanted
from archive.patch import Patch

__all__ = ["from_dascore", "to_dascore"]

_THEIRS = ("dims", "coords")  # what DASCore keeps among the attributes and we do not
_LINE = "exact_time"  # the attribute in which the line of times travels that DASCore has no words for


def to_dascore(patch: Patch) -> Any:
    """Return a `dascore.Patch` with the same samples, coordinates, units and attributes.

    DASCore steps in whole nanoseconds: 300 Hz are steps of 3 333 333 ns there. What it makes of such times is off by
    up to half a nanosecond a sample; the exact ones travel in the attribute `exact_time`, for `from_dascore`.

    Raises
    ------
    InvalidInput
        A coordinate holds what DASCore's cannot, such as texts in order.
    MissingExtra
        DASCore is not installed.
    """
    dascore = wanted("dascore", "dascore")
    made = {name: _their_coord(name, coord) for name, coord in patch.coords.items()}
    attrs = dict(patch.attrs)
    attrs["history"] = tuple(str(one) for one in attrs.get("history", ()))
    lines = {
        name: [column.tolist() for column in coord.values.columns()]
        for name, coord in patch.coords.items()
        if isinstance(coord.values, TimeAxis) and not np.array_equal(made[name].values, coord.to_numpy())
    }
    if lines:
        attrs[_LINE] = json.dumps(lines)
    coords = {name: (coord.dims or None, made[name]) for name, coord in patch.coords.items()}
    return dascore.Patch(data=patch.data, coords=coords, dims=patch.dims, attrs=attrs)


def _their_coord(name: str, coord: Coord) -> Any:
    from dascore.core.coords import get_coord

    try:
        return get_coord(data=coord.to_numpy(), units=coord.units)
    except TypeError as error:
        raise InvalidInput(
            f"DASCore has no coordinates like {name}, of {coord.dtype}; drop it first: drop_coords({name!r})"
        ) from error


def from_dascore(theirs: Any) -> Patch:
    """Return a Patch with what a `dascore.Patch` holds.

    Raises
    ------
    InvalidInput
        It is none, or one of its coordinates lies along several dims.
    """
    if not all(hasattr(theirs, name) for name in ("get_coord", "coords", "dims", "attrs", "data")):
        raise InvalidInput(f"from_dascore takes a dascore.Patch, not {type(theirs).__name__}")
    held = {name: value for name, value in theirs.attrs.model_dump().items() if name not in _THEIRS}
    lines = json.loads(held.pop(_LINE, "{}"))
    coords = {
        name: _our_coord(name, dims, theirs.get_coord(name), lines.get(name))
        for name, dims in theirs.coords.dim_map.items()
    }
    attrs = {name: value for name, value in held.items() if value is not None and not _empty(value)}
    if attrs.get("data_units") is not None:
        attrs["data_units"] = _units(attrs["data_units"])
    return Patch(np.asarray(theirs.data), Coords(tuple(theirs.dims), coords), attrs=attrs)


def _our_coord(name: str, dims: tuple[str, ...], coord: Any, line: Any) -> Coord:
    values = np.asarray(coord.values)
    if values.ndim != 1:
        raise InvalidInput(f"the coordinate {name} has the shape {values.shape}; drop it first: drop_coords({name!r})")
    exact = None if line is None else _exact(TimeAxis(*line), coord)
    return Coord(dims=tuple(dims), values=exact or values_from_array(values), units=_units(coord.units))


def _exact(axis: TimeAxis, coord: Any) -> TimeAxis | None:
    """Return the part of the exact line that DASCore's steps stand for, if they still are those of the line."""
    from dascore.core.coords import get_coord

    step = get_coord(data=axis.to_numpy()).step
    if step is None or coord.step != step:
        return None
    number, rest = divmod(int((coord.min() - axis[0]).astype("timedelta64[ns]")), int(step.astype("timedelta64[ns]")))
    if rest or number < 0 or number + len(coord) > axis.size:
        return None
    return axis.cut(number, number + len(coord))


def _units(quantity: Any) -> str | None:
    """Return a unit as a text that any pint registry reads; a number before it stays."""
    if quantity is None or isinstance(quantity, str):
        return quantity
    return f"{quantity.units:~}" if quantity.magnitude == 1 else f"{quantity:~}"


def _empty(value: Any) -> bool:
    return isinstance(value, (str, tuple)) and not value
