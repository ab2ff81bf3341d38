"""Filters by way of the spectrum: slopes in frequency and wavenumber, and whitening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.errors import InvalidInput
from archive.operations.detrending import along_axis, taper_range
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation
from archive.operations.sample_types import complex_of, floating
from archive.operations.spectra import Dft, Idft
from archive.units import get_quantity, is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.operations.outline import Outline

__all__ = ["SlopeFilter", "Whiten", "slope_filter", "whiten"]


class _Spectral(Operation):
    """What is done to a spectrum, which is made first and taken back where there is none yet."""

    def transform(self, given: Outline) -> Dft | None:
        """Return the transform that is needed, if any is."""
        raise NotImplementedError

    def change(self, spectrum: NDArray[Any], given: Outline) -> NDArray[Any]:
        """Return the changed spectrum."""
        raise NotImplementedError

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions, complex ones for a spectrum."""
        made = self.transform(given)
        self.check(given if made is None else made.out(given))
        return given.typed(complex_of(given.dtype) if made is None else floating(given.dtype))

    def check(self, spectrum: Outline) -> None:
        """Refuse parameters that do not fit the spectrum."""

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every sample of the transformed dims is needed."""
        made = self.transform(given)
        dims = [dim for dim in given.dims if dim.startswith("ft_")] if made is None else list(made.dim or given.dims)
        return {dim: WHOLE for dim in dims if dim in given.dims}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the filtered samples, or the filtered spectrum."""
        given = part.outline
        made = self.transform(given)
        if made is None:
            return self.change(samples, given)
        outline = made.out(given)
        names = tuple(dim for dim in outline.dims if dim not in given.dims)
        changed = self.change(made.whole(samples, given), outline)
        back = Idft(dim=names).whole(changed, outline.typed(changed.dtype))
        return back.real if given.dtype.kind != "c" else back


@operation
class SlopeFilter(_Spectral):
    """A band of slopes in frequency over wavenumber."""

    name: ClassVar[str] = "slope_filter"
    filt: Any
    dims: tuple[str, str]
    directional: bool
    invert: bool

    def transform(self, given: Outline) -> Dft | None:
        """Return the transform along both dims."""
        if all(f"ft_{dim}" in given.dims for dim in self.dims):
            return None
        for dim in self.dims:
            given.axis(dim)
        return Dft(dim=self.dims, real=None, pad=True, output="FFT", db=False)

    def check(self, spectrum: Outline) -> None:
        """Refuse slopes that do not rise."""
        self._slopes(spectrum)

    def _slopes(self, spectrum: Outline) -> NDArray[np.float64]:
        filt: Any = self.filt
        values = [one * filt.units for one in filt.magnitude] if is_quantity(filt) else list(filt)
        if len(values) != 4:  # noqa: PLR2004 - two flanks
            raise InvalidInput(f"slope_filter needs four slopes [a, b, c, d], not {len(values)}")
        if any(is_quantity(one) for one in values):
            values = [self._plain(one, spectrum) for one in values]
        slopes = np.asarray(values, dtype=np.float64)
        if is_quantity(self.filt) or any(is_quantity(one) for one in self.filt):
            slopes = np.sort(slopes)
        if (np.diff(slopes) < 0).any():
            raise InvalidInput(f"slope_filter needs rising slopes, not {slopes.tolist()}")
        return slopes

    def _plain(self, slope: Any, spectrum: Outline) -> float:
        units = [spectrum.coords[f"ft_{dim}"].units for dim in self.dims]
        if None in units:
            raise InvalidInput(f"slope_filter was given {slope}, but {' or '.join(self.dims)} has no units")
        wanted = str((get_quantity(str(units[1])) / get_quantity(str(units[0]))).units)
        try:
            return magnitude(slope, wanted)
        except InvalidInput:
            return magnitude(1 / slope, wanted)

    def change(self, spectrum: NDArray[Any], given: Outline) -> NDArray[Any]:
        """Return the spectrum times the weights of its slopes."""
        first, second, third, fourth = self._slopes(given)
        wavenumber, frequency = (given.axis(f"ft_{dim}") for dim in self.dims)
        above = along_axis(frequency.values(), frequency.number, spectrum.ndim)
        below = along_axis(wavenumber.values() + np.finfo(float).eps, wavenumber.number, spectrum.ndim)
        slope = above / below
        slope = slope if self.directional else np.abs(slope)
        kept = np.zeros(slope.shape)
        kept[(slope >= second) & (slope <= third)] = 1
        rising, falling = (slope >= first) & (slope < second), (slope > third) & (slope <= fourth)
        kept[rising] = np.sin(np.pi / 2 * (slope[rising] - first) / (second - first))
        kept[falling] = 1 - np.sin(np.pi / 2 * (slope[falling] - third) / (fourth - third))
        return np.asarray(spectrum * (1 - kept if self.invert else kept))


def slope_filter(
    filt: Sequence[Any],
    dims: tuple[str, str] = ("distance", "time"),
    directional: bool = False,
    invert: bool = False,
) -> SlopeFilter:
    """Keep a band of apparent velocities (f-k filter).

    Parameters
    ----------
    filt
        Four rising slopes [a, b, c, d]: b to c stay, a to b and c to d are flanks. Quantities may be
        velocities or slownesses.
    dims
        Slopes are units of the first dim per unit of the second.
    directional
        Signs count, so that what runs up is told from what runs down.
    invert
        Take the band out instead.

    Raises
    ------
    InvalidInput
        There are not four slopes, or they do not rise.
    """
    return SlopeFilter(filt=filt, dims=(dims[0], dims[1]), directional=directional, invert=invert)


@operation
class Whiten(_Spectral):
    """Amplitudes made even, phases kept."""

    name: ClassVar[str] = "whiten"
    dim: str
    band: Any
    smooth_size: float | None
    water_level: float | None

    def transform(self, given: Outline) -> Dft | None:
        """Return the transform along the dim."""
        if f"ft_{self.dim}" in given.dims:
            return None
        given.axis(self.dim)
        return Dft(
            dim=(self.dim,), real=None if given.dtype.kind == "c" else self.dim, pad=True, output="FFT", db=False
        )

    def check(self, spectrum: Outline) -> None:
        """Refuse bands and lengths that do not fit the frequencies."""
        axis = spectrum.axis(f"ft_{self.dim}")
        level, size = self.water_level, self.smooth_size
        if level is not None and not 0 <= level <= 1:
            raise InvalidInput(f"whiten(water_level={level}) is not between 0 and 1")
        if size is not None and not 0 < size < axis.coord.max():
            raise InvalidInput(f"whiten(smooth_size={size}) is not between 0 and {axis.coord.max():g}")
        if self.band is not None:
            frequencies = [one for one in np.ravel(np.asarray(self.band, dtype=object)) if one is not None]
            apart = np.diff([axis_frequency(one, axis.units) for one in frequencies])
            if (apart < 2 * axis.step).any():
                raise InvalidInput(f"whiten({self.dim}={self.band}) is narrower than two steps of {axis.step:g}")

    def change(self, spectrum: NDArray[Any], given: Outline) -> NDArray[Any]:
        """Return the whitened spectrum."""
        from scipy.ndimage import uniform_filter1d

        axis = given.axis(f"ft_{self.dim}")
        white = np.exp(1j * np.angle(spectrum)).astype(spectrum.dtype)
        if self.smooth_size is not None:
            size = np.abs(spectrum)
            count = axis.samples(self.smooth_size, limit=True)
            smooth = uniform_filter1d(size, count, axis=axis.number, mode="wrap")
            if self.water_level is not None:
                smooth = np.maximum(smooth, self.water_level * smooth.max())
            white = white * (size / smooth)
        if self.band is None:
            return np.asarray(white)
        band = tuple(None if one is None else axis_frequency(one, axis.units) for one in self.band)
        dims: dict[str, Any] = {axis.name: band}
        return taper_range(**dims).whole(white, given.typed(white.dtype))


def axis_frequency(value: Any, units: str | None) -> float:
    """Return a frequency as a number in the units of a spectrum."""
    return magnitude(value, units) if is_quantity(value) else float(value)


def whiten(smooth_size: float | None = None, water_level: float | None = None, **dims: Any) -> Whiten:
    """Make amplitudes even over frequency and keep the phases; of a spectrum, or of samples.

    Parameters
    ----------
    smooth_size
        Amplitudes are divided by their moving mean over this many units of frequency, else by themselves.
    water_level
        The mean is nowhere taken smaller than this part of its largest value.
    **dims
        One dim (`time` without it) and the band that stays, as two or four frequencies as in
        `taper_range`; `None` for all.

    Raises
    ------
    InvalidInput
        The band or the smoothing does not fit the frequencies.
    """
    from archive.operations.operation import one_dim

    dim, band = one_dim(dims, "whiten") if dims else ("time", None)
    band = None if band is None else tuple(band)
    return Whiten(dim=dim.removeprefix("ft_"), band=band, smooth_size=smooth_size, water_level=water_level)
