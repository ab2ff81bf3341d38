"""Another step along a dim: decimate, resample, interpolate."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from archive.coords import Coord, Explicit, Linear, TimeAxis, values_from_array
from archive.errors import InvalidInput
from archive.operations.filtering import TOLERANCE, ringing
from archive.operations.operation import WHOLE, Operation, Part, Reach, one_dim, operation
from archive.operations.outline import is_period
from archive.operations.sample_types import floating
from archive.times import time_to_ns
from archive.units import is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Axis, Outline

__all__ = ["Decimate", "Interpolate", "Resample", "decimate", "interpolate", "resample"]

_RIPPLE, _ORDER = 0.05, 8  # Chebyshev's first kind, as SciPy decimates: decibels in the pass band, and its order
_NEIGHBOURS = 2  # stored samples on each side that linear and nearest interpolation may touch


@operation
class Decimate(Operation):
    """Every n-th sample, after a low-pass."""

    name: ClassVar[str] = "decimate"
    dim: str
    factor: int
    filter_type: str | None
    tolerance: float

    def out(self, given: Outline) -> Outline:
        """Return the outline with every n-th value of the coordinates along the dim."""
        axis = given.axis(self.dim)
        if self.filter_type == "iir" and axis.size <= 3 * (_ORDER + 1):
            raise InvalidInput(
                f"decimate({self.dim}={self.factor}) needs more than {3 * (_ORDER + 1)} samples to filter, "
                f"and there are {axis.size}; use filter_type=None"
            )
        held = {
            name: strided(coord, self.factor) if self.dim in coord.dims else coord
            for name, coord in given.coords.items()
        }
        dtype = given.dtype if self.filter_type is None else floating(given.dtype)
        return given.with_coords(type(given.coords)(given.dims, held)).typed(dtype)

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - the filter goes with the factor
        """Return how long the low-pass rings, and the factor."""
        length = 0
        if self.filter_type == "iir":
            length = max(ringing(_chebyshev(self.factor).tobytes(), self.tolerance, both=True), 3 * (_ORDER + 1) + 1)
        elif self.filter_type == "fir":
            length = 10 * self.factor + 1
        return {self.dim: Reach(before=length, after=length, step=self.factor)}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples that stay."""
        from scipy.signal import decimate as decimated

        axis = part.whole.axis(self.dim).number
        if self.filter_type is None or self.factor == 1:
            return samples[(slice(None),) * axis + (slice(None, None, self.factor),)]
        wide = samples.astype(np.result_type(samples.dtype, np.float64), copy=False)
        kind: Any = self.filter_type
        return np.asarray(decimated(wide, self.factor, ftype=kind, axis=axis))


def decimate(
    filter_type: Literal["iir", "fir"] | None = "iir",
    copy: bool = True,  # noqa: ARG001 - as DASCore's; samples are never written to here
    *,
    tolerance: float = TOLERANCE,
    **dims: Any,
) -> Decimate:
    """Keep every n-th sample along a dim, after a zero-phase low-pass.

    Parameters
    ----------
    filter_type
        "iir": Chebyshev of order 8; "fir": 20 n + 1 samples, Hamming; `None`: none, which may alias.
    copy
        Without effect.
    tolerance
        As in `pass_filter`.
    **dims
        One dim and the factor.

    Raises
    ------
    InvalidInput
        The factor is no whole number above 0, or there are too few samples to filter.

    References
    ----------
    `scipy.signal.decimate`.
    """
    dim, factor = one_dim(dims, "decimate")
    if isinstance(factor, bool) or int(factor) != factor or factor < 1:
        raise InvalidInput(f"decimate({dim}={factor!r}) needs a whole number above 0")
    if filter_type not in {"iir", "fir", None}:
        raise InvalidInput(f"decimate(filter_type={filter_type!r}): one of 'iir', 'fir', None")
    return Decimate(dim=dim, factor=int(factor), filter_type=filter_type, tolerance=tolerance)


def _chebyshev(factor: int) -> NDArray[np.float64]:
    from scipy.signal import cheby1

    return np.asarray(cheby1(_ORDER, _RIPPLE, 0.8 / factor, output="sos"))


def strided(coord: Coord, step: int) -> Coord:
    """Return every n-th value of a coordinate, without making the others where they lie on a line."""
    values = coord.values
    if isinstance(values, TimeAxis) and values.pieces == 1 and values.size > 1:
        origin, num, den, phase, size = (int(column[0]) for column in values.columns())
        if num > 0 and phase == 0:
            line = TimeAxis.line(origin, Fraction(num * step, den), -(-size // step))
            return replace(coord, values=line)
    return coord[slice(None, None, step)]


@operation
class Interpolate(Operation):
    """Samples at other values of a coordinate."""

    name: ClassVar[str] = "interpolate"
    dim: str
    at: Any
    degree: str | int

    def out(self, given: Outline) -> Outline:
        """Return the outline with the new values."""
        axis = given.axis(self.dim)
        if axis.size < 2:  # noqa: PLR2004 - between two
            raise InvalidInput(f"interpolate({self.dim}=...) needs two samples, and there are {axis.size}")
        coord = snapped(axis.coord) if self.at is None else _coord_at(axis, self.at)
        return given.resampled(self.dim, coord).typed(floating(given.dtype))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that splines need everything; `source` knows what the others do."""
        return {} if self._near(given) else {self.dim: WHOLE}

    def _near(self, given: Outline) -> bool:
        old, _ = self._places(given)
        return self.degree in {"linear", "nearest"} and bool((np.diff(old) > 0).all())

    def _places(self, given: Outline) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where the samples lie and where they are wanted, from the first one on."""
        old, new = given.axis(self.dim).coord, self.out(given).coords[self.dim]
        if not old.is_time:
            return given.axis(self.dim).values(), new.to_numpy().astype(np.float64)
        stamps, wanted = (one.to_numpy().astype("datetime64[ns]").astype(np.int64) for one in (old, new))
        return (stamps - stamps[0]).astype(np.float64), (wanted - stamps[0]).astype(np.float64)

    def source(self, given: Outline, target: Window, *, found: bool = False) -> Window:
        """Return the samples beside those that are wanted."""
        if not self._near(given):
            return super().source(given, target, found=found)
        axis = given.axis(self.dim)
        old, new = self._places(given)
        wanted = new[target[axis.number]]
        window = list(target)
        low = int(np.searchsorted(old, wanted.min(initial=np.inf))) - _NEIGHBOURS
        high = int(np.searchsorted(old, wanted.max(initial=-np.inf))) + _NEIGHBOURS
        low = max(min(low, axis.size - _NEIGHBOURS), 0)
        window[axis.number] = slice(low, min(max(high, low + _NEIGHBOURS), axis.size))
        return tuple(window)

    def block(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples at the new values."""
        from scipy.interpolate import interp1d

        axis, dtype = part.whole.axis(self.dim).number, self.out(part.whole).dtype
        old, new = self._places(part.whole)
        kind: Any = self.degree
        between = interp1d(old[part.source[axis]], samples, axis=axis, kind=kind, fill_value="extrapolate")
        return np.asarray(between(new[part.target[axis]])).astype(dtype, copy=False)


def interpolate(kind: str | int = "linear", **dims: Any) -> Interpolate:
    """Return samples at other values of a coordinate.

    Parameters
    ----------
    kind
        "linear", "nearest", or the order of a spline.
    **dims
        One dim and its new values; `None` puts as many evenly between the first and the last.

    Raises
    ------
    InvalidInput
        There are too few samples, or the values are of another kind than the coordinate's.

    References
    ----------
    `scipy.interpolate.interp1d`.
    """
    dim, at = one_dim(dims, "interpolate")
    if isinstance(kind, str) and kind not in {"linear", "nearest"}:
        raise InvalidInput(f"interpolate(kind={kind!r}): 'linear', 'nearest', or the order of a spline")
    return Interpolate(dim=dim, at=at, degree=kind)


def snapped(coord: Coord) -> Coord:
    """Return a coordinate with as many values, evenly between the smallest and the largest."""
    if coord.is_time:
        stamps = coord.to_numpy().astype("datetime64[ns]").astype(np.int64)
        span = Fraction(int(stamps.max() - stamps.min()), max(len(stamps) - 1, 1))
        line = TimeAxis.line(int(stamps.min()), span, len(stamps)) if span else TimeAxis.exact(stamps)
        return replace(coord, values=line)
    low, high = float(coord.min()), float(coord.max())
    return replace(coord, values=Linear(start=low, step=(high - low) / max(coord.size - 1, 1), size=coord.size))


def _coord_at(axis: Axis, at: Any) -> Coord:
    if isinstance(at, Coord):
        return at
    if is_quantity(at):
        at = np.asarray(at.magnitude) * magnitude(1 * at.units, axis.units)
    array = np.atleast_1d(np.asarray(at))
    if axis.coord.is_time and array.dtype.kind != "M":
        stamps = np.array([time_to_ns(value) for value in array.tolist()], dtype=np.int64)
        return replace(axis.coord, values=TimeAxis.from_regular(stamps))
    if not axis.coord.is_time and array.dtype.kind not in "iuf":
        raise InvalidInput(f"interpolate({axis.name}=...) needs numbers, not {array.dtype}")
    return replace(axis.coord, values=values_from_array(array))


@operation
class Resample(Operation):
    """Another sampling rate, through the spectrum."""

    name: ClassVar[str] = "resample"
    dim: str
    period: Any
    window: Any
    interp_kind: str | int
    samples: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline with the new step."""
        middle, last = self._middle(given)
        return middle if last is None else last.out(middle)

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def _length(self, axis: Axis) -> Fraction:
        """Return the new number of samples, which need not be whole."""
        if self.samples:
            count = axis.samples(self.period, samples=True)
        else:
            return axis.size * abs(axis.exact_step) / self._step(axis)
        if count < 1:
            raise InvalidInput(f"resample({self.dim}={self.period!r}) needs at least one sample")
        return Fraction(count)

    def _step(self, axis: Axis) -> Fraction:
        frequency = is_quantity(self.period) and not is_period(self.period, axis.units)
        step = 1 / Fraction(repr(axis.frequency(self.period))) if frequency else axis.length(self.period)
        if step <= 0:
            raise InvalidInput(f"resample({self.dim}={self.period!r}) needs a step above 0")
        return step

    def _middle(self, given: Outline) -> tuple[Outline, Interpolate | None]:
        """Return what the spectrum gives, and the interpolation that hits the rate, if it is needed."""
        axis = given.axis(self.dim)
        length, step = self._length(axis), axis.exact_step
        count = max(round(length), 1)
        between = step * axis.size / count
        coord = _line(axis.coord, between, count)
        middle = given.resampled(self.dim, coord).typed(floating(given.dtype))
        if abs(length - count) <= Fraction(1, 10**8) + Fraction(1, 10**5) * length:
            return middle, None
        wanted = self._step(axis) * (1 if step > 0 else -1)
        size = max(-(-((count - 1) * between) // wanted), 1)
        return middle, Interpolate(dim=self.dim, at=_line(axis.coord, wanted, int(size)), degree=self.interp_kind)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the resampled samples."""
        from scipy.signal import resample as resampled

        axis = part.whole.axis(self.dim)
        whole = part.outline
        middle, last = self._middle(whole)
        wide = samples.astype(floating(samples.dtype), copy=False)
        result = np.asarray(resampled(wide, middle.shape[axis.number], axis=axis.number, window=self.window))
        return result if last is None else last.whole(result, middle)


def resample(
    window: Any = None,
    interp_kind: str | int = "linear",
    samples: bool = False,
    **dims: Any,
) -> Resample:
    """Change the sampling rate of a dim through its spectrum, and by interpolation where that misses it.

    Parameters
    ----------
    window
        Tapers the spectrum, as SciPy says it.
    interp_kind
        The kind of interpolation.
    samples
        The value is the new number of samples.
    **dims
        One dim and its new step, or its new rate as a quantity.

    Raises
    ------
    InvalidInput
        The dim is not evenly sampled, or the step makes no sense.

    References
    ----------
    `scipy.signal.resample`.
    """
    dim, period = one_dim(dims, "resample")
    return Resample(dim=dim, period=period, window=window, interp_kind=interp_kind, samples=samples)


def _line(coord: Coord, step: Fraction, size: int) -> Coord:
    """Return a coordinate from the first value on at another step (in its units, seconds for times)."""
    if isinstance(coord.values, TimeAxis):
        nanoseconds = step * 10**9
        if nanoseconds > 0:
            return replace(coord, values=TimeAxis.line(coord.values.first, nanoseconds, size))
        stamps = coord.values.first + np.rint(np.arange(size) * float(nanoseconds)).astype(np.int64)
        return replace(coord, values=TimeAxis.exact(stamps))
    if isinstance(coord.values, (Linear, Explicit)):
        return replace(coord, values=Linear(start=float(coord.values[0]), step=float(step), size=size))
    raise InvalidInput(f"{coord.dims} cannot be resampled")
