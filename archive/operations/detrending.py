"""Trends taken away, ends and ranges tapered."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from archive.errors import InvalidInput
from archive.operations.cached import pieces
from archive.operations.operation import Gathering, Kind, Operation, Part, one_dim, operation
from archive.operations.sample_types import floating
from archive.operations.windows import WINDOWS, window
from archive.select import is_open
from archive.units import get_quantity, is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Axis, Outline

__all__ = ["Detrend", "Taper", "TaperRange", "detrend", "taper", "taper_range"]

_SLACK = Fraction(1, 10**9)


class Line:
    """Mean and slope of the least-squares line along one dim, block by block."""

    def __init__(self, shape: tuple[int, ...], axis: int, dtype: np.dtype[Any]) -> None:
        self._axis, self._size = axis, shape[axis]
        kept = [1 if number == axis else length for number, length in enumerate(shape)]
        self._sums = np.zeros((2, *kept), dtype=np.result_type(dtype, np.float64))

    def add(self, samples: NDArray[Any], window: Window) -> None:
        """Take in a block."""
        place = tuple(slice(0, 1) if number == self._axis else part for number, part in enumerate(window))
        level, tilt = (np.squeeze(held[place], self._axis) for held in self._sums)
        centred = _centred(window[self._axis], self._size)
        turned = np.moveaxis(samples, self._axis, -1)
        scratch = np.empty(0, dtype=self._sums.dtype)
        for piece in pieces(turned):
            narrow = turned[..., piece]
            if scratch.shape != narrow.shape:
                scratch = np.empty_like(narrow, dtype=scratch.dtype)
            scratch[...] = narrow
            level += scratch.sum(axis=-1)
            tilt += np.einsum("...t,t->...", scratch, centred[piece])

    def found(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the mean, and the slope per sample."""
        spread = (self._size**3 - self._size) / 12
        return self._sums[0] / max(self._size, 1), self._sums[1] / (spread or 1)


@operation
class Detrend(Operation):
    """A line, or a level, taken away."""

    name: ClassVar[str] = "detrend"
    dim: str
    type: Literal["linear", "constant"]

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        if self.type not in {"linear", "l", "constant", "c"}:
            raise InvalidInput(f"type={self.type!r}: one of 'linear', 'constant'")
        given.axis(self.dim)
        return given.typed(floating(given.dtype))

    def statistics(self, given: Outline) -> str | None:  # noqa: ARG002 - always the same dim
        """Return the dim."""
        return self.dim

    def gathering(self, given: Outline) -> Gathering:
        """Return what gathers the line."""
        return Line(given.shape, given.axis(self.dim).number, given.dtype)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples less the line."""
        axis = part.whole.axis(self.dim)
        found, along = part.found, part.source[axis.number]
        if found is None:
            gathering = self.gathering(part.outline)
            gathering.add(samples, part.outline.window)
            mean, slope = gathering.found()
        else:
            place = tuple(slice(0, 1) if n == axis.number else p for n, p in enumerate(part.source))
            mean, slope = (one[place] for one in found)
        result = part.room(samples, floating(samples.dtype))
        if self.type[0] == "c":
            np.subtract(samples, mean.astype(result.dtype), out=result)
            return result
        if not np.isfinite(slope).all():
            raise InvalidInput("detrend met NaN or infinite samples, through which there is no line; use fillna first")
        turned, out = np.moveaxis(samples, axis.number, -1), np.moveaxis(result, axis.number, -1)
        slope, mean = np.moveaxis(slope, axis.number, -1), np.moveaxis(mean, axis.number, -1)
        centred = _centred(along, axis.size)
        line = np.empty(0)
        for piece in pieces(turned):
            if line.shape != turned[..., piece].shape:
                line = np.empty_like(turned[..., piece], dtype=np.result_type(slope, np.float64))
            np.multiply(slope, centred[piece], out=line)
            line += mean
            np.subtract(turned[..., piece], line, out=out[..., piece], casting="same_kind")
        return result


def detrend(dim: str, type: Literal["linear", "constant"] = "linear") -> Detrend:  # noqa: A002 - the field's word
    """Take away the least-squares line along a dim, or the mean.

    Parameters
    ----------
    dim
        The dim.
    type
        A line, or only its level.

    Raises
    ------
    InvalidInput
        There is no such dim, or samples are NaN.
    """
    return Detrend(dim=dim, type=type)


@operation
class Taper(Operation):
    """Both ends brought to zero."""

    name: ClassVar[str] = "taper"
    dim: str
    lengths: tuple[Any, Any]
    window_type: str

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        first, last = self._counts(given)
        size = given.axis(self.dim).size
        if first > size or last > size:
            raise InvalidInput(f"taper({self.dim}={self.lengths}) is longer than the {size} samples of {self.dim}")
        if first + last > size:
            raise InvalidInput(f"taper({self.dim}={self.lengths}): the tapers of both ends overlap")
        return given.typed(floating(given.dtype))

    def kind(self, given: Outline, dim: str) -> Kind:
        """Return "whole" for a fraction: it means something else for each length of run."""
        fraction = any(not is_open(length) and _fraction(length) is not None for length in self.lengths)
        return "whole" if dim == self.dim and fraction else super().kind(given, dim)

    def _counts(self, given: Outline) -> tuple[int, int]:
        axis = given.axis(self.dim)
        first, last = (_end_samples(axis, length, end) for end, length in enumerate(self.lengths))
        return first, last

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples with what lies in the ends brought down."""
        axis = part.whole.axis(self.dim)
        along, counts = part.source[axis.number], self._counts(part.whole)
        result = part.room(samples, floating(samples.dtype))
        if result is not samples:
            result[...] = samples
        for count, begin, rising in ((counts[0], 0, True), (counts[1], axis.size - counts[1], False)):
            start, stop = max(along.start, begin), min(along.stop, begin + count)
            if start >= stop:
                continue
            ramp = (
                window(self.window_type, 2 * count)[:count] if rising else window(self.window_type, 2 * count)[count:]
            )
            place = [slice(None)] * samples.ndim
            place[axis.number] = slice(start - along.start, stop - along.start)
            result[tuple(place)] *= along_axis(ramp[start - begin : stop - begin], axis.number, samples.ndim)
        return result


def taper(window_type: str = "hann", **dims: Any) -> Taper:
    """Bring both ends of a dim to zero.

    Parameters
    ----------
    window_type
        The shape: barthann, bartlett, blackman, blackmanharris, bohman, boxcar, cos, hamming, hann,
        nuttall, parzen, ramp or triang.
    **dims
        One dim and how much of it: a number or a percentage is a fraction of its length, a quantity or
        timedelta a length. A pair gives each end its own, `None` leaves one as it is.

    Raises
    ------
    InvalidInput
        The tapers overlap, or there is no such window.
    """
    dim, value = one_dim(dims, "taper")
    if window_type not in WINDOWS:
        raise InvalidInput(f"window_type={window_type!r}: one of {', '.join(WINDOWS)}")
    if isinstance(value, (list, tuple, np.ndarray)):
        if len(value) != 2:  # noqa: PLR2004 - two ends
            raise InvalidInput(f"taper({dim}={value!r}) needs one length, or one for each of both ends")
        return Taper(dim=dim, lengths=(value[0], value[1]), window_type=window_type)
    return Taper(dim=dim, lengths=(value, value), window_type=window_type)


@operation
class TaperRange(Operation):
    """What lies outside ranges, or inside, brought to zero."""

    name: ClassVar[str] = "taper_range"
    dim: str
    ranges: tuple[tuple[Any, ...], ...]
    window_type: str
    invert: bool
    relative: bool
    samples: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        self._edges(given)
        return given.typed(np.result_type(given.dtype, np.float64) if given.dtype.kind not in "fc" else given.dtype)

    def _edges(self, given: Outline) -> list[tuple[int, int, int, int]]:
        axis = given.axis(self.dim)
        edges = []
        for values in self.ranges:
            numbers = [self._number(axis, value, place, len(values)) for place, value in enumerate(values)]
            if len(numbers) == 2:  # noqa: PLR2004 - tapered up to each edge of the data
                numbers = [0, *numbers, axis.size]
            if sorted(numbers) != numbers:
                raise InvalidInput(f"taper_range({self.dim}={values}): the values must rise")
            edges.append((numbers[0], numbers[1], numbers[2], numbers[3]))
        return edges

    def _number(self, axis: Axis, value: Any, place: int, count: int) -> int:
        if is_open(value):
            if count == 2:  # noqa: PLR2004 - a pair
                raise InvalidInput(f"taper_range({self.dim}=...): None needs four values")
            return 0 if place < count / 2 else axis.size - 1
        return next_sample(axis, value, samples=self.samples, relative=self.relative)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples times the envelope."""
        axis = part.whole.axis(self.dim)
        along, edges = part.source[axis.number], self._edges(part.whole)
        weights = self._envelope(edges, np.arange(along.start, along.stop))
        if self.invert:
            places = np.unique([edge for four in edges for edge in (*four, four[1] - 1, four[2] - 1)])
            top = self._envelope(edges, places[(places >= 0) & (places < axis.size)]).max()
            weights = np.abs(weights - top)
        dtype = self.out(part.whole).dtype
        weights = along_axis(weights, axis.number, samples.ndim)
        return np.asarray(samples * weights.astype(dtype if dtype.kind == "f" else np.float64))

    def _envelope(self, edges: Sequence[tuple[int, int, int, int]], numbers: NDArray[Any]) -> NDArray[np.float64]:
        """Return the weights of some samples, by number."""
        weights = np.zeros(len(numbers))
        for first, second, third, fourth in edges:
            for begin, end, rising in ((first, second, True), (third, fourth, False)):
                inside = (numbers >= begin) & (numbers < end)
                ramp = window(self.window_type, 2 * (end - begin) + 1)[: end - begin]
                weights[inside] += (ramp if rising else ramp[::-1])[numbers[inside] - begin]
            weights[(numbers >= second) & (numbers < third)] += 1
        return weights


def taper_range(
    window_type: str = "hann",
    invert: bool = False,
    relative: bool = False,
    samples: bool = False,
    **dims: Any,
) -> TaperRange:
    """Bring to zero what lies outside one or more ranges of a dim.

    Parameters
    ----------
    window_type
        The shape of the flanks, as in `taper`.
    invert
        Bring to zero what lies inside instead.
    relative
        Values count from the start of the dim, negative ones from its end.
    samples
        Values are sample numbers.
    **dims
        One dim with four rising values: between the first two it rises, between the last two it falls;
        with two, it rises from the start of the data and falls to its end. Or a sequence of such.

    Raises
    ------
    InvalidInput
        There are neither two nor four values, or they do not rise.
    """
    dim, value = one_dim(dims, "taper_range")
    if not isinstance(value, (list, tuple, np.ndarray)) or not len(value):
        raise InvalidInput(f"taper_range({dim}={value!r}) needs two or four values")
    nested = isinstance(value[0], (list, tuple, np.ndarray))
    ranges = tuple(tuple(one) for one in value) if nested else (tuple(value),)
    if any(len(one) not in {2, 4} for one in ranges):
        raise InvalidInput(f"taper_range({dim}={value!r}) needs two or four values")
    if window_type not in WINDOWS:
        raise InvalidInput(f"window_type={window_type!r}: one of {', '.join(WINDOWS)}")
    return TaperRange(
        dim=dim, ranges=ranges, window_type=window_type, invert=invert, relative=relative, samples=samples
    )


def _centred(along: slice, size: int) -> NDArray[np.float64]:
    """Return sample numbers, counted from the middle of a dim."""
    return np.arange(along.start, along.stop) - (size - 1) / 2


def along_axis(weights: NDArray[Any], axis: int, ndim: int) -> NDArray[Any]:
    """Return a vector with as many dims as the samples, lying along one of them."""
    return weights.reshape([-1 if number == axis else 1 for number in range(ndim)])


def next_sample(axis: Axis, value: Any, *, samples: bool, relative: bool) -> int:
    """Return the number of the first sample that is not before a value, clamped to those there are."""
    from archive.select import key_of

    if samples:
        number = axis.samples(value, samples=True)
        return min(max(number + axis.size if number < 0 else number, 0), axis.size)
    key = key_of(axis.coord, (value, None), name=axis.name, relative=relative)
    numbers = np.arange(axis.size)[key]
    return int(numbers.min()) if len(numbers) else axis.size


def _fraction(length: Any) -> Fraction | None:
    """Return a fraction of a dim, or None for an absolute length."""
    if is_quantity(length):
        return Fraction(repr(magnitude(length, "dimensionless"))) if _is_plain(length) else None
    if isinstance(length, (int, float, np.number)) and not isinstance(length, (bool, np.timedelta64)):
        return Fraction(repr(float(length)))
    return None


def _is_plain(quantity: Any) -> bool:
    return not get_quantity(str(quantity.units)).dimensionality


def _end_samples(axis: Axis, length: Any, end: int) -> int:
    """Return how many samples at one end a length takes, both edges counted."""
    if is_open(length):
        return 0
    fraction = _fraction(length)
    if (fraction if fraction is not None else axis.length(length)) < 0:
        raise InvalidInput(f"taper({axis.name}={length!r}) must not be negative")
    try:
        reach = fraction * (axis.size - 1) if fraction is not None else axis.length(length) / abs(axis.exact_step)
    except InvalidInput:
        if axis.size < 2:  # noqa: PLR2004 - nothing to measure
            raise
    else:
        return int(reach * (1 + _SLACK) + _SLACK) + 1
    values = axis.values()
    limit = float(axis.length(length))
    return int((np.abs(values - values[-1 if end else 0]) <= limit * (1 + float(_SLACK))).sum())
