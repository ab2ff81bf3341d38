"""Correlations of channels with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.coords import Coord, Coords, Linear, values_from_array
from archive.errors import InvalidInput
from archive.operations.detrending import next_sample
from archive.operations.operation import WHOLE, Operation, Part, Reach, one_dim, operation
from archive.operations.sample_types import complex_of, floating
from archive.units import is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.operations.outline import Axis, Outline

__all__ = ["Correlate", "CorrelateShift", "correlate", "correlate_shift"]


@operation
class Correlate(Operation):
    """Every channel correlated with some of them."""

    name: ClassVar[str] = "correlate"
    dim: str
    sources: Any
    samples: bool

    def _axes(self, given: Outline) -> tuple[Axis, Axis]:
        """Return the dim of the sources, and the one that is correlated along."""
        if len(given.dims) != 2:  # noqa: PLR2004 - channels and time
            raise InvalidInput(f"correlate needs two dims, not {given.dims}")
        other = next(dim for dim in given.dims if dim != self.dim)
        return given.axis(self.dim), given.axis(other)

    def _numbers(self, axis: Axis) -> NDArray[np.int64]:
        if self.sources is None:
            return np.arange(axis.size)
        wanted = np.atleast_1d(np.asarray(self.sources.magnitude if is_quantity(self.sources) else self.sources))
        scale = magnitude(1 * self.sources.units, axis.units) if is_quantity(self.sources) else 1
        numbers = [
            next_sample(axis, int(one) if self.samples else one * scale, samples=self.samples, relative=False)
            for one in wanted.tolist()
        ]
        if any(number >= axis.size for number in numbers):
            raise InvalidInput(f"correlate({self.dim}={self.sources}): there are no such channels")
        return np.array(numbers)

    def _length(self, axis: Axis) -> int:
        from scipy.fft import next_fast_len

        return int(next_fast_len(2 * axis.size - 1))

    def out(self, given: Outline) -> Outline:
        """Return the outline with lags, and the sources as a third dim."""
        axis, along = self._axes(given)
        numbers, name = self._numbers(axis), f"source_{self.dim}"
        wanted: Any = axis.coord.to_numpy() if self.sources is None else self.sources
        plain = np.atleast_1d(np.asarray(wanted.magnitude if is_quantity(wanted) else wanted))
        sources = Coord(dims=(name,), values=values_from_array(plain), units=None)
        changed = given.typed(complex_of(given.dtype))
        if not along.name.startswith("ft_"):
            length = self._length(along)
            changed = _lagged(given, along, length).typed(floating(given.dtype))
        assert len(numbers) == sources.size  # noqa: S101 - one channel for each value
        coords = Coords((*changed.dims, name), {**changed.coords, name: sources})
        return changed.with_coords(coords).with_attrs(data_type="correlation")

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every sample is needed."""
        return {axis.name: WHOLE for axis in self._axes(given)}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the correlations."""
        axis, along = self._axes(part.whole)
        spectrum, number = samples, along.number
        transformed = along.name.startswith("ft_")
        length, full = self._length(along), samples.dtype.kind == "c"
        if not transformed:
            forward: Any = np.fft.fft if full else np.fft.rfft
            spectrum = forward(samples, n=length, axis=number)
        sources = np.take(spectrum, self._numbers(axis), axis=axis.number)
        product = spectrum[..., np.newaxis] * np.conj(np.swapaxes(sources[..., np.newaxis], axis.number, 2))
        if transformed:
            return np.asarray(product)
        back: Any = np.fft.ifft if full else np.fft.irfft
        return np.asarray(np.fft.fftshift(back(product, n=length, axis=number), axes=number))


def correlate(samples: bool = False, **dims: Any) -> Correlate:
    """Correlate each channel (or each moment) with some of them.

    Parameters
    ----------
    samples
        Sources are numbers of samples.
    **dims
        One of two dims and the sources along it: a value, several, or `None` for all. The other dim is
        correlated along and becomes `lag_…`; of one that is transformed already, the product of spectra is
        returned: see `correlate_shift`.

    Raises
    ------
    InvalidInput
        There are not two dims, or no such sources.
    """
    dim, sources = one_dim(dims, "correlate")
    return Correlate(dim=dim, sources=sources, samples=samples)


@operation
class CorrelateShift(Operation):
    """Lags put in order."""

    name: ClassVar[str] = "correlate_shift"
    dim: str
    undo_weighting: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline with lags instead of the dim."""
        axis = given.axis(self.dim)
        return _lagged(given, axis, axis.size).typed(floating(given.dtype)).with_attrs(data_type="correlation")

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every lag is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the correlations in order of their lags."""
        axis = part.whole.axis(self.dim)
        shifted = np.fft.fftshift(samples, axes=axis.number)
        return np.asarray(shifted / abs(axis.step) if self.undo_weighting else shifted)


def correlate_shift(dim: str, undo_weighting: bool = True) -> CorrelateShift:
    """Put the lags of a correlation in order that was made from spectra.

    Parameters
    ----------
    dim
        The dim that was correlated along; it becomes `lag_…`.
    undo_weighting
        Divide by its step, with which `dft` has multiplied once too often.
    """
    return CorrelateShift(dim=dim, undo_weighting=undo_weighting)


def _lagged(given: Outline, axis: Axis, length: int) -> Outline:
    """Return an outline with lags in a dim's place, in its units and seconds for times."""
    name, step = f"lag_{axis.name}", abs(axis.step)
    line = Linear(start=0.0, step=step, size=length, offset=-(length // 2))
    return given.with_dim(axis.name, name, Coord(dims=(name,), values=line, units=axis.units))
