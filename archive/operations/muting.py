"""Regions between lines set to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.errors import InvalidInput
from archive.operations.detrending import along_axis
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation
from archive.operations.sample_types import floating
from archive.select import is_open
from archive.times import time_to_ns
from archive.units import is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.operations.outline import Axis, Outline

__all__ = ["LineMute", "line_mute", "slope_mute"]

_PARALLEL = 1e-9

type _Bounds = tuple[tuple[str, tuple[Any, Any]], ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line in the plane of two dims, both scaled to the length of their coordinates.

    Parameters
    ----------
    origin, direction
        A point, and where the line goes from it; shape `(2,)`.
    free
        The line is a constant of one dim, so that it may as well go the other way.
    """

    origin: NDArray[np.float64]
    direction: NDArray[np.float64]
    free: bool

    def side(self, places: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return on which side of the line places lie: positive, negative, or 0 for upon it."""
        return np.asarray(
            self.direction[0] * (places[1] - self.origin[1]) - self.direction[1] * (places[0] - self.origin[0])
        )

    def ahead(self, places: Sequence[NDArray[np.float64]], origin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far ahead of a point places lie in the line's direction."""
        return np.asarray(self.direction[0] * (places[0] - origin[0]) + self.direction[1] * (places[1] - origin[1]))


@operation
class LineMute(Operation):
    """What lies between two bounds set to zero."""

    name: ClassVar[str] = "line_mute"
    bounds: _Bounds
    smooth: Any
    invert: bool
    relative: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        self._sigmas(given)
        if len(self.bounds) == 2:  # noqa: PLR2004 - lines in a plane
            self._lines(given)
        return given.typed(floating(given.dtype))

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - the dims that are named
        """Return that a smooth envelope needs all of its dims."""
        return {} if self.smooth is None else {dim: WHOLE for dim, _ in self.bounds}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples times the envelope."""
        given, ndim = part.whole, samples.ndim
        axes = [given.axis(dim) for dim, _ in self.bounds]
        places = [along_axis(_scaled(axis)[part.source[axis.number]], axis.number, ndim) for axis in axes]
        inside = self._band(axes[0], places[0]) if len(axes) == 1 else self._wedge(given, places)
        weights = np.where(inside, 1.0, 0.0) if self.invert else np.where(inside, 0.0, 1.0)
        if self.smooth is not None:
            from scipy.ndimage import gaussian_filter

            sigmas = self._sigmas(given)
            numbers = tuple(given.axis(dim).number for dim in sigmas)
            weights = gaussian_filter(weights, sigma=tuple(sigmas.values()), axes=numbers)
        return np.asarray(samples * weights.astype(floating(samples.dtype)))

    def _band(self, axis: Axis, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        low, high = self.bounds[0][1]
        ends = [
            default if is_open(value) else self._offset(axis, value)
            for value, default in ((low, -np.inf), (high, np.inf))
        ]
        slack = 1e-9
        return np.asarray((places >= ends[0] - slack) & (places <= ends[1] + slack))

    def _wedge(self, given: Outline, places: Sequence[NDArray[np.float64]]) -> NDArray[np.bool_]:
        one, other = self._lines(given)
        between = one.side(places) * other.side(places) < 0
        crossing = one.direction[0] * other.direction[1] - one.direction[1] * other.direction[0]
        if abs(crossing) < np.sqrt(2 * _PARALLEL):
            return np.asarray(between)
        apart = other.origin - one.origin
        along = (apart[0] * other.direction[1] - apart[1] * other.direction[0]) / crossing
        origin = one.origin + along * one.direction
        return np.asarray(between & (one.ahead(places, origin) > 0) & (other.ahead(places, origin) > 0))

    def _lines(self, given: Outline) -> tuple[_Line, _Line]:
        (one, firsts), (other, seconds) = self.bounds
        axes = (given.axis(one), given.axis(other))
        lines = [self._line(axes, pair) for pair in zip(firsts, seconds, strict=True)]
        if lines[0].direction @ lines[1].direction < 0:
            free = next((number for number in (1, 0) if lines[number].free), None)
            parallel = 1 - abs(lines[0].direction @ lines[1].direction) < _PARALLEL
            if free is None and not parallel:
                raise InvalidInput(f"line_mute({dict(self.bounds)}): the lines must go the same way")
            turned = 0 if free is None else free
            old = lines[turned]
            lines[turned] = _Line(old.origin, -old.direction, old.free)
        return lines[0], lines[1]

    def _line(self, axes: tuple[Axis, Axis], bounds: tuple[Any, Any]) -> _Line:
        points = np.full((2, 2), np.nan)
        free = False
        for number, (axis, bound) in enumerate(zip(axes, bounds, strict=True)):
            if is_open(bound):
                continue
            if isinstance(bound, (list, tuple, np.ndarray)):
                points[:, number] = [self._offset(axis, value) for value in bound]
            else:
                points[:, number], free = self._offset(axis, bound), True
                points[:, 1 - number] = 0, 1
        direction = points[1] - points[0]
        length = float(np.hypot(*direction))
        if not length > _PARALLEL:
            raise InvalidInput(f"line_mute({dict(self.bounds)}): each line needs two points, or one constant value")
        return _Line(points[0], direction / length, free)

    def _offset(self, axis: Axis, value: Any) -> float:
        """Return a value as a part of its coordinate's length from the smallest value."""
        span = _span(axis)
        if self.relative:
            length = float(axis.length(value))
            return length / span if length >= 0 else 1 + length / span
        if axis.coord.is_time:
            first = int(axis.coord.min().astype("datetime64[ns]").astype(np.int64))
            return (time_to_ns(value) - first) / 1e9 / span
        number = magnitude(value, axis.units) if is_quantity(value) else float(value)
        return (number - float(axis.coord.min())) / span

    def _sigmas(self, given: Outline) -> dict[str, int]:
        """Return the standard deviations of the smoothing in samples."""
        if self.smooth is None:
            return {}
        names = [dim for dim, _ in self.bounds]
        held = self.smooth if isinstance(self.smooth, dict) else dict.fromkeys(names, self.smooth)
        if unknown := set(held) - set(names):
            raise InvalidInput(f"line_mute(smooth=...) names {', '.join(sorted(unknown))}, not a dim to mute along")
        sigmas = {}
        for dim in names:
            value = held.get(dim)
            if value is None:
                continue
            if isinstance(value, (float, np.floating)):
                if not 0 <= value <= 1:
                    raise InvalidInput(f"line_mute(smooth={value}): a fraction is between 0 and 1")
                sigmas[dim] = round(given.axis(dim).size * value)
            else:
                sigmas[dim] = given.axis(dim).samples(value, samples=isinstance(value, (int, np.integer)))
        return sigmas


def line_mute(*, smooth: Any = None, invert: bool = False, relative: bool = True, **dims: Any) -> LineMute:
    """Set to zero what lies between two bounds, or between two lines in the plane of two dims.

    Parameters
    ----------
    smooth
        Standard deviation that the envelope is smoothed with: a whole number of samples, a fraction of the dim,
        a quantity, or a dict of these by dim.
    invert
        Set to zero what lies outside instead.
    relative
        Values count from the start of a dim, negative ones from its end.
    **dims
        One or two dims with two bounds each: a value, `None` for the edge or for what the other dim says, or, with
        two dims, a pair of values: the points of a line.

    Raises
    ------
    InvalidInput
        There are not one or two dims with two bounds, or a line has no direction.
    """
    if len(dims) not in {1, 2} or any(len(pair) != 2 for pair in dims.values()):  # noqa: PLR2004 - two bounds
        raise InvalidInput(f"line_mute({dims}) needs one or two dims with two bounds each")
    bounds = tuple((dim, (pair[0], pair[1])) for dim, pair in dims.items())
    return LineMute(bounds=bounds, smooth=smooth, invert=invert, relative=relative)


@operation
class SlopeMute(Operation):
    """What lies between two slopes from the first sample set to zero."""

    name: ClassVar[str] = "slope_mute"
    slopes: tuple[float, float]
    dims: tuple[str, str]
    smooth: Any
    invert: bool

    def _mute(self, given: Outline) -> LineMute:
        above, below = (given.axis(dim) for dim in self.dims)
        ends: list[tuple[float, float]] = []
        for slope in self.slopes:
            if np.isclose(slope, 0):
                ends.append((0.0, _span(below)))
            elif np.isinf(slope):
                ends.append((_span(above), 0.0))
            else:
                ends.append((_span(above), _span(above) / slope))
        bounds = tuple((dim, tuple((0.0, end[number]) for end in ends)) for number, dim in enumerate(self.dims))
        return LineMute(bounds=bounds, smooth=self.smooth, invert=self.invert, relative=True)  # type: ignore[arg-type]

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        return self._mute(given).out(given)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that a smooth envelope needs all of its dims."""
        return self._mute(given).reach(given)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples times the envelope."""
        return self._mute(part.whole).compute(samples, part)


def slope_mute(
    slopes: Sequence[float],
    *,
    dims: tuple[str, str] = ("distance", "time"),
    smooth: Any = None,
    invert: bool = False,
) -> SlopeMute:
    """Set to zero what lies between two slopes (velocities) from the start of both dims.

    Parameters
    ----------
    slopes
        Two slopes, in units of the first dim per unit of the second, not negative.
    dims
        The dims.
    smooth, invert
        As in `line_mute`.

    Raises
    ------
    InvalidInput
        There are not two slopes, or one is negative.
    """
    pair = tuple(float(slope) for slope in slopes)
    if len(pair) != 2 or min(pair) < 0:  # noqa: PLR2004 - from one to the other
        raise InvalidInput(f"slope_mute({slopes}) needs two slopes that are not negative")
    return SlopeMute(slopes=(pair[0], pair[1]), dims=(dims[0], dims[1]), smooth=smooth, invert=invert)


def _span(axis: Axis) -> float:
    values = axis.values()
    span = float(values.max() - values.min()) if len(values) else 0.0
    if not span > 0:
        raise InvalidInput(f"{axis.name} has {axis.size} samples: no length to mute within")
    return span


def _scaled(axis: Axis) -> NDArray[np.float64]:
    """Return the values of a coordinate from 0 for the smallest to 1 for the largest."""
    values = axis.values()
    return np.asarray((values - values.min()) / _span(axis))
