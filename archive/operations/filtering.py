"""Filters that ring for ever: Butterworth pass filters and notches, forward and backward."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.errors import InvalidInput
from archive.operations.operation import Operation, Part, Reach, one_dim, operation
from archive.operations.outline import is_period
from archive.operations.sample_types import floating
from archive.select import is_open
from archive.units import is_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from archive.operations.outline import Axis, Outline

__all__ = ["TOLERANCE", "NotchFilter", "PassFilter", "notch_filter", "pass_filter"]

TOLERANCE = 1e-6
"""How far a block of a long run may be from the whole, as a part of the largest input sample.

The halo of a recursive filter ends where what it still rings has fallen below this.
"""

_EDGE = 4  # an edge that is made up is off by at most this many times the largest sample
_COMPILED = (np.float32, np.float64)
_WORTH_COMPILING = 1 << 24  # samples; below it, importing Numba takes longer than it saves
_LONGEST = 1 << 26  # samples; a filter that rings longer than this is of no use


@operation
class PassFilter(Operation):
    """A Butterworth filter."""

    name: ClassVar[str] = "pass_filter"
    dim: str
    low: Any
    high: Any
    corners: int
    zerophase: bool
    tolerance: float

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        sections = self._sections(given.axis(self.dim))
        if self.zerophase:
            _long_enough(given.axis(self.dim), _padding(sections), self)
        return given.typed(floating(given.dtype))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return how long the filter rings."""
        sections = self._sections(given.axis(self.dim))
        length = max(ringing(sections.tobytes(), self.tolerance, both=self.zerophase), _padding(sections) + 1)
        return {self.dim: Reach(before=length, after=length if self.zerophase else 0)}

    def band(self, axis: Axis) -> tuple[float | None, float | None]:
        """Return the corner frequencies in cycles per unit of the dim.

        Raises
        ------
        InvalidInput
            They are of different kinds, out of order, or not below the Nyquist frequency.
        """
        bounds = [None if is_open(bound) else bound for bound in (self.low, self.high)]
        given = [bound for bound in bounds if bound is not None]
        if not given:
            raise InvalidInput(f"pass_filter({axis.name}=(None, None)) filters nothing; give a corner")
        kinds = {(is_quantity(bound), is_period(bound, axis.units)) for bound in given}
        if len(kinds) > 1:
            raise InvalidInput(f"pass_filter({axis.name}={(self.low, self.high)}): both corners need the same units")
        low, high = (None if bound is None else axis.frequency(bound) for bound in bounds)
        if len(given) == 2 and next(iter(kinds))[1]:  # noqa: PLR2004 - two periods: the longer is the lower frequency
            low, high = high, low
        nyquist = axis.rate / 2
        for corner in (low, high):
            if corner is not None and not 0 < corner < nyquist:
                raise InvalidInput(
                    f"pass_filter({axis.name}=...): a corner at {corner:g} is not between 0 and "
                    f"{nyquist:g}, half the sampling rate"
                )
        if low is not None and high is not None and low >= high:
            raise InvalidInput(f"pass_filter({axis.name}=({low:g}, {high:g})) ends before it starts")
        return low, high

    def prepare(self, given: Outline) -> None:
        """Load Numba beside the reading, where it will be wanted."""
        if self._compiles(given, floating(given.dtype)):
            _warm_up()

    def _compiles(self, given: Outline, dtype: np.dtype[Any]) -> bool:
        return self.zerophase and dtype in _COMPILED and math.prod(given.shape) >= _WORTH_COMPILING

    def _sections(self, axis: Axis) -> NDArray[np.float64]:
        low, high = self.band(axis)
        return butterworth(self.corners, low, high, axis.rate)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the filtered samples; float32 is filtered in float64."""
        from scipy.signal import sosfilt, sosfiltfilt

        axis = part.whole.axis(self.dim)
        sections = self._sections(axis)
        turned = np.moveaxis(samples, axis.number, -1)  # without a copy where it lies together already
        if self._compiles(part.whole, samples.dtype):
            with suppress(ImportError):
                return np.moveaxis(_compiled(sections, turned, spare=part.spare), -1, axis.number)
        wide = turned.astype(np.result_type(samples.dtype, np.float64), copy=False)
        filtered = (sosfiltfilt if self.zerophase else sosfilt)(sections, wide, axis=-1)
        return np.moveaxis(np.asarray(filtered), -1, axis.number)


@lru_cache(maxsize=1)
def _warm_up() -> None:
    """Import Numba in a thread, and have it load what it has compiled, since that takes a second."""

    def load() -> None:
        with suppress(ImportError):
            _compiled(butterworth(4, None, 0.1, 1.0), np.zeros((1, 256), dtype=np.float32))

    threading.Thread(target=load, name="lightkeep-numba").start()


def _compiled(sections: NDArray[np.float64], samples: NDArray[Any], *, spare: bool = False) -> NDArray[Any]:
    """Return samples filtered forward and backward along their last dim by the extra `fast`; spare ones in place."""
    from scipy.signal import sosfilt_zi

    from archive.operations.compiled import forward_backward

    lines = samples.reshape(-1, samples.shape[-1])
    out = lines if spare and lines.flags.writeable else np.empty_like(lines)
    forward_backward(sections, sosfilt_zi(sections), lines, _padding(sections), out)
    return out.reshape(samples.shape)


def pass_filter(corners: int = 4, zerophase: bool = True, *, tolerance: float = TOLERANCE, **dims: Any) -> PassFilter:
    """Keep a band of frequencies, or of wavelengths, along a dim.

    Parameters
    ----------
    corners
        Order of the Butterworth filter.
    zerophase
        Filter forward and backward, which doubles the order and shifts nothing.
    tolerance
        For blocks of a long run: how far they may be from the whole, as a part of the largest sample.
    **dims
        One dim and its band `(low, high)` in cycles per unit (Hz for time); `None` or `...` opens an
        end. Quantities may be frequencies, or periods and wavelengths, which are then put in order; with
        one open end the position says which side stays, in frequency.

    Raises
    ------
    InvalidInput
        Both ends are open, the units are mixed, or a corner is not between 0 and the Nyquist frequency.

    References
    ----------
    `scipy.signal.butter`, `scipy.signal.sosfiltfilt`.
    """
    dim, band = one_dim(dims, "pass_filter")
    if not isinstance(band, (tuple, list, np.ndarray)) or len(band) != 2:  # noqa: PLR2004 - two ends
        raise InvalidInput(f"pass_filter({dim}={band!r}) needs a band (low, high)")
    return PassFilter(dim=dim, low=band[0], high=band[1], corners=corners, zerophase=zerophase, tolerance=tolerance)


@operation
class NotchFilter(Operation):
    """Single frequencies taken out."""

    name: ClassVar[str] = "notch_filter"
    q: float
    dims: tuple[tuple[str, Any], ...]
    tolerance: float

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        for axis, sections in self._notches(given):
            _long_enough(axis, _padding(sections), self)
        return given.typed(floating(given.dtype))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return how long the notches ring."""
        lengths = {
            axis.name: max(ringing(sections.tobytes(), self.tolerance / len(self.dims), both=True), 10)
            for axis, sections in self._notches(given)
        }
        return {dim: Reach(before=length, after=length) for dim, length in lengths.items()}

    def _notches(self, given: Outline) -> list[tuple[Axis, NDArray[np.float64]]]:
        notches = []
        for dim, value in self.dims:
            axis = given.axis(dim)
            frequency = axis.frequency(value)
            if not 0 < frequency < axis.rate / 2:
                raise InvalidInput(f"notch_filter({dim}={value}): {frequency:g} is not between 0 and {axis.rate / 2:g}")
            notches.append((axis, notch(frequency, self.q, axis.rate)))
        return notches

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the filtered samples."""
        from scipy.signal import filtfilt

        wide = samples.astype(np.result_type(samples.dtype, np.float64), copy=False)
        for axis, sections in self._notches(part.whole):
            wide = np.asarray(filtfilt(sections[0, :3], sections[0, 3:], wide, axis=axis.number))
        return wide


def notch_filter(q: float, *, tolerance: float = TOLERANCE, **dims: Any) -> NotchFilter:
    """Take out one frequency or wavelength along each of some dims.

    Parameters
    ----------
    q
        Quality: the frequency divided by the width of the notch.
    tolerance
        As in `pass_filter`.
    **dims
        The frequency by dim, in cycles per unit; a quantity may be a period or a wavelength.

    Raises
    ------
    InvalidInput
        A frequency is not between 0 and the Nyquist frequency.

    References
    ----------
    `scipy.signal.iirnotch`, `scipy.signal.filtfilt`.
    """
    if not dims:
        raise InvalidInput("notch_filter needs a dim, as in notch_filter(q=30, time=50)")
    return NotchFilter(q=q, dims=tuple(dims.items()), tolerance=tolerance)


@lru_cache(maxsize=64)
def butterworth(corners: int, low: float | None, high: float | None, rate: float) -> NDArray[np.float64]:
    """Return a Butterworth filter as second-order sections, shape `(sections, 6)`."""
    from scipy.signal import butter

    if low is not None and high is not None:
        return np.asarray(butter(corners, [low, high], "bandpass", fs=rate, output="sos"))
    if low is not None:
        return np.asarray(butter(corners, low, "highpass", fs=rate, output="sos"))
    assert high is not None  # noqa: S101 - a band with both ends open is refused before
    return np.asarray(butter(corners, high, "lowpass", fs=rate, output="sos"))


@lru_cache(maxsize=64)
def notch(frequency: float, q: float, rate: float) -> NDArray[np.float64]:
    """Return a notch as a second-order section, shape `(1, 6)`."""
    from scipy.signal import iirnotch

    return np.concatenate(iirnotch(frequency, Q=q, fs=rate))[np.newaxis]


@lru_cache(maxsize=64)
def ringing(sections: bytes, tolerance: float, *, both: bool) -> int:
    """Return how many samples from an edge a filter forgets what was beyond it.

    Parameters
    ----------
    sections
        The filter as the bytes of its second-order sections.
    tolerance
        What may be left, as a part of the largest sample.
    both
        The filter runs forward and backward: its response is that of one way correlated with itself.

    Raises
    ------
    InvalidInput
        It never forgets.
    """
    from scipy.signal import correlate, sosfilt

    sos = np.frombuffer(sections).reshape(-1, 6).copy()
    radius = max(float(np.abs(np.roots(section[3:])).max(initial=0)) for section in sos)
    length = _LONGEST + 1 if radius >= 1 else math.ceil(1.2 * math.log(tolerance * 1e-4) / math.log(max(radius, 1e-3)))
    if length > _LONGEST:
        raise InvalidInput(
            f"a filter with these corners rings for {length} samples; decimate first, or move the corner up"
        )
    length = max(length, 16)
    impulse = np.zeros(length)
    impulse[0] = 1
    response: Callable[..., Any] = sosfilt
    rung = np.asarray(response(sos, impulse))
    if both:
        rung = np.asarray(correlate(rung, rung, mode="full"))[length - 1 :]
    left = np.cumsum(np.abs(rung)[::-1])[::-1] * _EDGE
    forgotten = np.flatnonzero(left <= tolerance)
    return int(forgotten[0]) + 1 if len(forgotten) else length


def _padding(sections: NDArray[np.float64]) -> int:
    """Return how many samples forward-backward filtering makes up beyond each edge, as SciPy counts them."""
    count = 2 * len(sections) + 1
    count -= min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum()))
    return 3 * count


def _long_enough(axis: Axis, padding: int, one: Operation) -> None:
    if axis.size <= padding:
        raise InvalidInput(f"{one.name} needs more than {padding} samples along {axis.name}, which has {axis.size}")
