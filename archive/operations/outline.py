"""What is known of data before a sample is there: coordinates, type of a sample, attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.attrs import Attrs
from archive.coords import Coord, Coords, Linear, TimeAxis
from archive.errors import InvalidInput
from archive.times import duration_to_ns
from archive.units import get_quantity, is_quantity, magnitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.lazy import Window

__all__ = ["Axis", "Outline"]

_EVEN = 1e-6  # how much steps may differ from each other, relative
_TIME_EVEN = Fraction(1, 1000)  # the same for stamps, which jitter
_SNAP = 1e-9  # a length this near to a whole number of samples is that number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """Coordinates, type of a sample and attributes of data whose samples need not be there.

    Parameters
    ----------
    coords
        One for each dim, and those beside.
    dtype
        Type of a sample.
    attrs
        Scalars by name; `data_units` among them.
    """

    coords: Coords
    dtype: np.dtype[Any]
    attrs: Attrs

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dims, in order."""
        return self.coords.dims

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return self.coords.shape

    @property
    def window(self) -> Window:
        """The window that holds everything."""
        return tuple(slice(0, length) for length in self.shape)

    @property
    def units(self) -> str | None:
        """Units of a sample, if it has any."""
        units = self.attrs.get("data_units")
        return None if units is None else str(units)

    def axis(self, dim: str) -> Axis:
        """Return one dim with what is known of it.

        Raises
        ------
        InvalidInput
            There is no such dim.
        """
        if dim not in self.dims:
            raise InvalidInput(f"{dim}: no such dim; there are {', '.join(self.dims)}")
        return Axis(dim, self.dims.index(dim), self.coords[dim])

    def axes(self, dims: str | tuple[str, ...] | None) -> list[Axis]:
        """Return several dims; all of them for `None`."""
        names = self.dims if dims is None else (dims,) if isinstance(dims, str) else dims
        return [self.axis(name) for name in names]

    def cut(self, window: Window) -> Outline:
        """Return the outline of a part."""
        return replace(self, coords=self.coords.take(dict(zip(self.dims, window, strict=True))))

    def typed(self, dtype: Any) -> Outline:
        """Return the outline with another type of sample."""
        return replace(self, dtype=np.dtype(dtype))

    def with_coords(self, coords: Coords) -> Outline:
        """Return the outline with other coordinates."""
        return replace(self, coords=coords)

    def with_attrs(self, **attrs: Any) -> Outline:
        """Return the outline with some attributes set; `None` takes one away."""
        merged = {**self.attrs, **attrs}
        return replace(self, attrs=Attrs({name: value for name, value in merged.items() if value is not None}))

    def with_units(self, units: str | None) -> Outline:
        """Return the outline with other units of a sample."""
        return self.with_attrs(data_units=units)

    def with_dim(self, old: str, new: str, coord: Coord) -> Outline:
        """Return the outline with one dim under another name; what else lay along it is dropped."""
        dims = tuple(new if dim == old else dim for dim in self.dims)
        kept = {name: held for name, held in self.coords.items() if old not in held.dims}
        return self.with_coords(Coords(dims, {**kept, new: coord}))

    def resampled(self, dim: str, coord: Coord) -> Outline:
        """Return the outline with other values along a dim; what else lay along it is dropped."""
        return self.with_dim(dim, dim, coord)


@dataclass(frozen=True, slots=True)
class Axis:
    """One dim of an outline: its number, its coordinate, and lengths along it as samples."""

    name: str
    number: int
    coord: Coord

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.coord.size

    @property
    def units(self) -> str | None:
        """Units of the coordinate; times count in seconds."""
        return "s" if self.coord.is_time else self.coord.units

    @property
    def exact_step(self) -> Fraction:
        """Distance from one sample to the next in the coordinate's units, negative where values fall.

        Raises
        ------
        InvalidInput
            The samples do not lie evenly, or there are fewer than two.
        """
        step = _time_step(self.coord.values) if self.coord.is_time else _number_step(self.coord)
        if not step:
            raise InvalidInput(
                f"{self.name}: its {self.size} values are not evenly spaced, as this needs; "
                f"use interpolate({self.name}=None) or snap_coords({self.name!r}) first"
            )
        return step

    @property
    def step(self) -> float:
        """The distance from one sample to the next as a float."""
        return float(self.exact_step)

    @property
    def rate(self) -> float:
        """Samples in one unit of the coordinate: Hz for time."""
        return abs(1 / self.step)

    def values(self) -> NDArray[np.float64]:
        """Return the values as floats, shape `(size,)`; times as seconds since the first."""
        if self.coord.is_time:
            stamps = self.coord.to_numpy().astype("datetime64[ns]").astype(np.int64)
            return np.asarray((stamps - stamps[:1]) / 1e9)
        array = self.coord.to_numpy()
        if array.dtype.kind not in "iuf":
            raise InvalidInput(f"{self.name} holds {array.dtype}, not numbers")
        return array.astype(np.float64)

    def length(self, value: Any) -> Fraction:
        """Return a length along the dim in its units: a number, a quantity, or a timedelta for times."""
        if self.coord.is_time:
            return Fraction(duration_to_ns(value), 10**9)
        if is_quantity(value):
            return Fraction(repr(magnitude(value, self.units)))
        if (
            isinstance(value, (int, float, np.number))
            and not isinstance(value, (bool, np.timedelta64))
            and math.isfinite(value)
        ):
            return Fraction(repr(float(value)))
        raise InvalidInput(f"{self.name}={value!r} is no length; give a number or a quantity such as 10 * m")

    def samples(self, value: Any, *, samples: bool = False, limit: bool = False) -> int:
        """Return how many samples a length takes, rounded up.

        Parameters
        ----------
        value
            A length along the dim, or a number of samples.
        samples
            The value counts samples.
        limit
            More samples than there are is an error.
        """
        if samples:
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise InvalidInput(f"{self.name}={value!r}: with samples=True give a whole number of samples")
            count = int(value)
        else:
            count = snapped_up(self.length(value) / abs(self.exact_step))
        if limit and count > self.size:
            raise InvalidInput(f"{self.name}={value!r} takes {count} samples, but there are only {self.size}")
        return count

    def frequency(self, value: Any) -> float:
        """Return a frequency in cycles per unit of the dim; a quantity may be a period or a wavelength.

        Raises
        ------
        InvalidInput
            The value is neither.
        """
        if is_period(value, self.units):
            return 1 / magnitude(value, self.units)
        if is_quantity(value):
            return magnitude(value, inverse(self.units, value))
        if isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.timedelta64)):
            return float(value)
        raise InvalidInput(f"{self.name}={value!r} is no frequency; give a number or a quantity such as 10 * Hz")


def snapped_up(ratio: Fraction) -> int:
    """Return a number of samples rounded up, unless it is a whole number but for rounding."""
    nearest = round(ratio)
    return nearest if abs(ratio - nearest) <= _SNAP * max(1, abs(nearest)) else math.ceil(ratio)


def is_period(value: Any, units: str | None) -> bool:
    """Return whether a quantity is a length along a dim of some units, rather than a frequency."""
    if not is_quantity(value) or units is None:
        return False
    return bool(get_quantity(str(value.units)).dimensionality == get_quantity(units).dimensionality)


def inverse(units: str | None, value: Any) -> str:
    """Return the units of a frequency along a dim; `value` is only for the message."""
    if units is None:
        raise InvalidInput(f"{value} has a unit, but the dim has none; give a bare number or set_units first")
    return str((1 / get_quantity(units)).units)


def _time_step(values: Any) -> Fraction | None:
    """Return the step in seconds."""
    if isinstance(values, TimeAxis):
        if values.pieces < values.size:
            steps = [Fraction(int(num), int(den)) for num, den in zip(*values.columns()[1:3], strict=True) if num]
            typical = values.typical_step
            if typical and all(abs(step - typical) <= _TIME_EVEN * typical for step in steps):
                return typical / 10**9
            return None
        if values.step is not None:
            return values.step / 10**9
    stamps = values.to_numpy().astype("datetime64[ns]").astype(np.int64)
    if len(stamps) > 1 and stamps[0] > stamps[-1]:
        step = TimeAxis.from_stamps(stamps[::-1]).step
        even = step and np.abs(np.diff(stamps) + float(step)).max() <= _TIME_EVEN * step
        return -step / 10**9 if step and even else None
    differences = np.diff(stamps)
    if not len(differences) or not differences[0] or (differences != differences[0]).any():
        return None
    return Fraction(int(differences[0]), 10**9)


def _number_step(coord: Coord) -> Fraction | None:
    if coord.size < 2 or coord.dtype.kind not in "iuf":  # noqa: PLR2004 - a step needs two values
        return None
    if isinstance(coord.values, Linear):
        return Fraction(repr(float(coord.values.spacing)))
    values = coord.to_numpy().astype(np.float64)
    differences, mean = np.diff(values), float(values[-1] - values[0]) / (len(values) - 1)
    even = np.abs(differences - mean).max() <= _EVEN * abs(mean) if np.isfinite(mean) else False
    return Fraction(repr(mean)) if even else None
