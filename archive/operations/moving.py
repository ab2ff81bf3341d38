"""Filters that look at a window around each sample: medians, Gaussians, polynomials, edges, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation
from archive.operations.sample_types import floating

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.operations.outline import Outline

__all__ = [
    "GaussianFilter",
    "HampelFilter",
    "MedianFilter",
    "SavgolFilter",
    "SobelFilter",
    "WienerFilter",
    "gaussian_filter",
    "hampel_filter",
    "median_filter",
    "savgol_filter",
    "sobel_filter",
    "wiener_filter",
]

type _Lengths = tuple[tuple[str, Any], ...]

_MODES = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-constant", "grid-mirror", "grid-wrap")
_FAR = ("wrap", "grid-wrap")  # the edge of one side is made of the other's


class _Windowed(Operation):
    """What has a window, given as lengths along some dims."""

    dims: _Lengths
    samples: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline as it is."""
        self.counts(given)
        return given

    def counts(self, given: Outline) -> dict[str, int]:
        """Return the samples of the window along each dim that is named."""
        counts = {dim: given.axis(dim).samples(value, samples=self.samples) for dim, value in self.dims}
        if min(counts.values()) < 1:
            raise InvalidInput(f"{self.name}({dict(self.dims)}): a window has at least one sample")
        return counts

    def shape(self, given: Outline) -> tuple[int, ...]:
        """Return the samples of the window along every dim."""
        counts = self.counts(given)
        return tuple(counts.get(dim, 1) for dim in given.dims)

    def around(self, given: Outline, mode: str, times: int = 1) -> dict[str, Reach]:
        """Return the reach of a window around its sample, used some times over."""
        return {dim: _around(count // 2 * times, mode) for dim, count in self.counts(given).items()}


def _around(length: int, mode: str) -> Reach:
    return WHOLE if mode in _FAR else Reach(before=length, after=length)


def _lengths(name: str, dims: Mapping[str, Any]) -> _Lengths:
    if not dims:
        raise InvalidInput(f"{name} needs the length of its window along a dim, as in {name}(time=...)")
    return tuple(dims.items())


def _known(name: str, mode: str, modes: tuple[str, ...] = _MODES) -> str:
    if mode not in modes:
        raise InvalidInput(f"{name}: mode={mode!r}: one of {', '.join(modes)}")
    return mode


@operation
class MedianFilter(_Windowed):
    """The median of each sample's surroundings."""

    name: ClassVar[str] = "median_filter"
    dims: _Lengths
    samples: bool
    mode: str
    cval: float

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return half the window."""
        return self.around(given, self.mode)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the medians."""
        from scipy.ndimage import median_filter as medians

        mode: Any = self.mode
        return np.asarray(medians(samples, size=self.shape(part.whole), mode=mode, cval=self.cval))


def median_filter(samples: bool = False, mode: str = "reflect", cval: float = 0.0, **dims: Any) -> MedianFilter:
    """Replace each sample by the median of its surroundings.

    Parameters
    ----------
    samples
        Lengths are numbers of samples.
    mode, cval
        What lies beyond the edges, as SciPy says it.
    **dims
        Length of the window along each dim.

    References
    ----------
    `scipy.ndimage.median_filter`.
    """
    return MedianFilter(
        dims=_lengths("median_filter", dims), samples=samples, mode=_known("median_filter", mode), cval=cval
    )


@operation
class GaussianFilter(_Windowed):
    """The mean of each sample's surroundings with Gaussian weights."""

    name: ClassVar[str] = "gaussian_filter"
    dims: _Lengths
    samples: bool
    mode: str
    cval: float
    truncate: float

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return where the Gaussian is cut off."""
        counts = self.counts(given)
        return {dim: _around(int(self.truncate * sigma + 0.5), self.mode) for dim, sigma in counts.items()}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the smoothed samples."""
        from scipy.ndimage import gaussian_filter as smoothed

        counts = self.counts(part.whole)
        axes = tuple(part.whole.axis(dim).number for dim in counts)
        sigma, mode = tuple(counts.values()), cast("Any", self.mode)
        return np.asarray(smoothed(samples, sigma=sigma, axes=axes, mode=mode, cval=self.cval, truncate=self.truncate))


def gaussian_filter(
    samples: bool = False,
    mode: str = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    **dims: Any,
) -> GaussianFilter:
    """Smooth with a Gaussian.

    Parameters
    ----------
    samples
        Standard deviations are numbers of samples.
    mode, cval
        What lies beyond the edges, as SciPy says it.
    truncate
        Standard deviations at which the Gaussian is cut off.
    **dims
        Standard deviation along each dim.

    References
    ----------
    `scipy.ndimage.gaussian_filter`.
    """
    return GaussianFilter(
        dims=_lengths("gaussian_filter", dims),
        samples=samples,
        mode=_known("gaussian_filter", mode),
        cval=cval,
        truncate=truncate,
    )


@operation
class SavgolFilter(_Windowed):
    """The value of a polynomial fitted to each sample's surroundings."""

    name: ClassVar[str] = "savgol_filter"
    dims: _Lengths
    samples: bool
    polyorder: int
    mode: str
    cval: float

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        for dim, count in self.counts(given).items():
            if self.polyorder >= count:
                raise InvalidInput(f"savgol_filter({dim}=...): {count} samples are too few for order {self.polyorder}")
            if self.mode == "interp" and count > given.axis(dim).size:
                raise InvalidInput(f"savgol_filter({dim}=...): a window of {count} samples is longer than the data")
        return given.typed(floating(given.dtype))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return a window to each side: at the edges one polynomial serves half of it."""
        return {dim: _around(count, self.mode) for dim, count in self.counts(given).items()}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the smoothed samples."""
        from scipy.signal import savgol_filter as smoothed

        mode: Any = self.mode
        for dim, count in self.counts(part.whole).items():
            axis = part.whole.axis(dim).number
            samples = np.asarray(smoothed(samples, count, self.polyorder, mode=mode, cval=self.cval, axis=axis))
        return samples


def savgol_filter(
    polyorder: int,
    samples: bool = False,
    mode: str = "interp",
    cval: float = 0.0,
    **dims: Any,
) -> SavgolFilter:
    """Smooth with polynomials, along one dim after the other.

    Parameters
    ----------
    polyorder
        Order of the polynomials.
    samples
        Lengths are numbers of samples.
    mode, cval
        What lies beyond the edges, as SciPy says it.
    **dims
        Length of the window along each dim.

    References
    ----------
    Savitzky and Golay, *Smoothing and differentiation of data by simplified least squares procedures*, 1964;
    `scipy.signal.savgol_filter`.
    """
    modes = ("mirror", "constant", "nearest", "wrap", "interp")
    return SavgolFilter(
        dims=_lengths("savgol_filter", dims),
        samples=samples,
        polyorder=polyorder,
        mode=_known("savgol_filter", mode, modes),
        cval=cval,
    )


@operation
class SobelFilter(Operation):
    """Differences along a dim, smoothed along the others."""

    name: ClassVar[str] = "sobel_filter"
    dim: str
    mode: str
    cval: float

    def out(self, given: Outline) -> Outline:
        """Return the outline as it is."""
        given.axis(self.dim)
        return given

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return one sample along every dim."""
        return {dim: _around(1, self.mode) for dim in given.dims}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the differences."""
        from scipy.ndimage import sobel

        mode: Any = self.mode
        return np.asarray(sobel(samples, axis=part.whole.axis(self.dim).number, mode=mode, cval=self.cval))


def sobel_filter(dim: str, mode: str = "reflect", cval: float = 0.0) -> SobelFilter:
    """Return differences along a dim, smoothed along the others.

    Parameters
    ----------
    dim
        The dim.
    mode, cval
        What lies beyond the edges, as SciPy says it.

    References
    ----------
    `scipy.ndimage.sobel`.
    """
    return SobelFilter(dim=dim, mode=_known("sobel_filter", mode), cval=cval)


@operation
class WienerFilter(_Windowed):
    """Samples drawn to their local mean as far as they are noise."""

    name: ClassVar[str] = "wiener_filter"
    dims: _Lengths
    samples: bool
    noise: float | None

    def out(self, given: Outline) -> Outline:
        """Return the outline with float64 samples."""
        self.counts(given)
        return given.typed(np.result_type(given.dtype, np.float64))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return the window; everything, if the noise is to be estimated."""
        if self.noise is None:
            return dict.fromkeys(given.dims, WHOLE)
        return {dim: Reach(before=count, after=count) for dim, count in self.counts(given).items()}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the filtered samples."""
        from scipy.signal import wiener

        with np.errstate(invalid="ignore", divide="ignore"):
            wide = samples.astype(np.result_type(samples.dtype, np.float64), copy=False)
            return np.asarray(wiener(wide, mysize=self.shape(part.whole), noise=self.noise))


def wiener_filter(*, noise: float | None = None, samples: bool = False, **dims: Any) -> WienerFilter:
    """Take noise away where a sample's surroundings vary no more than noise does.

    Parameters
    ----------
    noise
        Power of the noise; `None` takes the mean of the local variances of all samples.
    samples
        Lengths are numbers of samples.
    **dims
        Length of the window along each dim.

    References
    ----------
    `scipy.signal.wiener`.
    """
    return WienerFilter(dims=_lengths("wiener_filter", dims), samples=samples, noise=noise)


@operation
class HampelFilter(_Windowed):
    """Spikes replaced by the median of their surroundings."""

    name: ClassVar[str] = "hampel_filter"
    dims: _Lengths
    samples: bool
    threshold: float
    approximate: bool

    def counts(self, given: Outline) -> dict[str, int]:
        """Return the samples of the window: odd, at least three."""
        counts = super().counts(given)
        if self.samples and any(count % 2 == 0 for count in counts.values()):
            raise InvalidInput(f"hampel_filter({dict(self.dims)}): a window needs an odd number of samples")
        counts = {dim: count + 1 - count % 2 for dim, count in counts.items()}
        for dim, count in counts.items():
            if not 3 <= count <= given.axis(dim).size:  # noqa: PLR2004 - a sample and its neighbours
                raise InvalidInput(
                    f"hampel_filter({dim}=...): a window of {count} samples; it needs 3 to {given.axis(dim).size}"
                )
        return counts

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return the window: medians of distances from medians."""
        return self.around(given, "reflect", times=2)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples without spikes."""
        wide = samples.astype(np.float32 if samples.dtype.kind in "iu" else samples.dtype)
        middle = self._medians(wide, part.whole)
        apart = np.abs(wide - middle)
        spread = self._medians(apart, part.whole)
        spread[spread == 0] = np.finfo(wide.dtype).eps
        spikes = apart / spread > self.threshold
        wide[spikes] = middle[spikes]
        return np.rint(wide) if samples.dtype.kind in "iu" else wide

    def _medians(self, samples: NDArray[Any], given: Outline) -> NDArray[Any]:
        from scipy.ndimage import median_filter as medians

        shape = self.shape(given)
        if not self.approximate:
            return np.asarray(medians(samples, size=shape, mode="reflect"))
        for axis, count in enumerate(shape):
            if count > 1:
                size = [count if number == axis else 1 for number in range(samples.ndim)]
                samples = np.asarray(medians(samples, size=size, mode="reflect"))
        return samples.copy()


def hampel_filter(
    *, threshold: float = 10.0, samples: bool = False, approximate: bool = True, **dims: Any
) -> HampelFilter:
    """Replace spikes by the median of their surroundings.

    Parameters
    ----------
    threshold
        A sample further than this many median deviations from the median is a spike.
    samples
        Lengths are numbers of samples, which must be odd.
    approximate
        Take medians along one dim after the other, which is faster than over the whole window.
    **dims
        Length of the window along each dim.

    References
    ----------
    Pearson et al., *Generalized Hampel filters*, 2016.
    """
    if not 0 < threshold < np.inf:
        raise InvalidInput(f"hampel_filter(threshold={threshold!r}) must be positive and finite")
    return HampelFilter(
        dims=_lengths("hampel_filter", dims), samples=samples, threshold=threshold, approximate=approximate
    )
