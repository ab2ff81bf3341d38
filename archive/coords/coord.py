"""One coordinate, and the coordinates of a Patch together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords.stamps import TimeAxis
from archive.coords.values import Linear, Values
from archive.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Coord", "Coords"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coord:
    """Values along one dim (or along none, for a scalar), with their units.

    Parameters
    ----------
    dims
        The dim that the values lie along; a coordinate named like its dim labels that dim.
    values
        Exact and compact; `to_numpy` makes the dense array.
    units
        As pint reads them, `None` where the source names none. Times have `"s"`, as DASCore says it.
    """

    dims: tuple[str, ...]
    values: Values
    units: str | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return self.values.size

    def __len__(self) -> int:
        return self.values.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value; times are datetime64[ns]."""
        return self.values.dtype

    @property
    def is_time(self) -> bool:
        """Whether the values are points in time."""
        return self.dtype.kind == "M"

    def to_numpy(self) -> NDArray[Any]:
        """Return the values as an array, shape `(size,)`."""
        return self.values.to_numpy()

    @property
    def data(self) -> NDArray[Any]:
        """The values as an array."""
        return self.to_numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 - NumPy's protocol
        return np.array(self.to_numpy(), dtype=dtype, copy=copy)

    def min(self) -> Any:
        """Return the smallest value."""
        return self._edge(np.min)

    def max(self) -> Any:
        """Return the largest value."""
        return self._edge(np.max)

    def _edge(self, reduce: Any) -> Any:
        if not self.size:
            return np.datetime64("NaT", "ns") if self.is_time else np.nan
        if isinstance(self.values, TimeAxis):
            return reduce(np.concatenate(self.values.bounds)).astype("M8[ns]")
        if isinstance(self.values, Linear):
            return reduce(np.array([self.values[0], self.values[-1]]))
        return reduce(self.to_numpy())

    @property
    def step(self) -> Any:
        """Distance of neighbours where it is one number (timedelta64 for times), else `None`."""
        if isinstance(self.values, TimeAxis):
            step = self.values.step
            return None if step is None else np.timedelta64(round(step), "ns")
        return self.values.spacing if isinstance(self.values, Linear) else None

    def __getitem__(self, key: Any) -> Coord:
        return replace(self, values=self.values[key])

    def with_values(self, values: Values) -> Coord:
        """Return the coordinate with other values."""
        return replace(self, values=values)


class Coords(Mapping[str, Coord]):
    """The coordinates of a Patch by name, and its dims."""

    __slots__ = ("_coords", "dims")

    def __init__(self, dims: tuple[str, ...], coords: Mapping[str, Coord]) -> None:
        self.dims = tuple(dims)
        self._coords = dict(coords)
        sizes = {}
        for name in self.dims:
            if name not in self._coords:
                raise InvalidInput(f"the dim {name!r} has no coordinate")
            sizes[name] = self._coords[name].size
        for name, coord in self._coords.items():
            for dim in coord.dims:
                if dim not in sizes:
                    raise InvalidInput(f"the coordinate {name!r} lies along {dim!r}, which is no dim of {self.dims}")
                if coord.size != sizes[dim]:
                    raise InvalidInput(f"{name!r} has {coord.size} values along {dim!r}, which has {sizes[dim]}")

    def __getitem__(self, name: str) -> Coord:
        try:
            return self._coords[name]
        except KeyError:
            raise InvalidInput(f"{name}: no such coordinate; there are {', '.join(self._coords)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._coords

    def __iter__(self) -> Iterator[str]:
        return iter(self._coords)

    def __len__(self) -> int:
        return len(self._coords)

    def __reduce__(self) -> tuple[Any, ...]:
        return Coords, (self.dims, self._coords)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return tuple(self._coords[dim].size for dim in self.dims)

    def get_array(self, name: str) -> NDArray[Any]:
        """Return the values of one coordinate as an array."""
        return self[name].to_numpy()

    def take(self, keys: Mapping[str, Any]) -> Coords:
        """Return the coordinates of a part: a slice or an index array for some of the dims."""
        taken = {}
        for name, coord in self._coords.items():
            key = keys.get(coord.dims[0]) if coord.dims else None
            taken[name] = coord if key is None else coord[key]
        return Coords(self.dims, taken)

    def update(self, coords: Mapping[str, Coord]) -> Coords:
        """Return the coordinates with some replaced or added."""
        return Coords(self.dims, {**self._coords, **coords})

    def transposed(self, dims: tuple[str, ...]) -> Coords:
        """Return the same coordinates under another order of the dims."""
        return Coords(dims, self._coords)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Coords) or self.dims != other.dims or set(self) != set(other):
            return NotImplemented if not isinstance(other, Coords) else False
        return all(same_values(self[name], other[name]) for name in self)

    __hash__ = None  # type: ignore[assignment]


def same_values(one: Coord, other: Coord) -> bool:
    """Return whether two coordinates have the same dims, units and values."""
    if (one.dims, one.units, one.size, one.dtype) != (other.dims, other.units, other.size, other.dtype):
        return False
    if one.values == other.values:
        return True
    floats = one.dtype.kind in "fc"
    return bool(np.array_equal(one.to_numpy(), other.to_numpy(), equal_nan=floats))
