"""Characteristic functions: STA/LTA, kurtosis, energy of a band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.errors import InvalidInput
from archive.operations.filtering import PassFilter, pass_filter
from archive.operations.operation import WHOLE, Operation, Part, Reach, one_dim, operation
from archive.operations.sliding import Rolling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.operation import Kind
    from archive.operations.outline import Outline

__all__ = ["Fbe", "Kurtosis", "Stalta", "fbe", "kurtosis", "stalta"]


def _rolled(dim: str, window: Any, step: Any, function: Any, *, samples: bool) -> Rolling:
    return Rolling(
        dim=dim,
        window=window,
        step=step,
        overlap=None,
        center=False,
        samples=samples,
        function=function,
        args=(),
        kwargs=(),
    )


@operation
class Stalta(Operation):
    """Short-term means over long-term means."""

    name: ClassVar[str] = "stalta"
    dim: str
    windows: tuple[Any, Any]
    samples: bool

    def _means(self) -> tuple[Rolling, Rolling]:
        short, long = (_rolled(self.dim, window, None, "mean", samples=self.samples) for window in self.windows)
        return short, long

    def out(self, given: Outline) -> Outline:
        """Return the outline of a ratio."""
        axis = given.axis(self.dim)
        short, long = (axis.samples(window, samples=self.samples, limit=True) for window in self.windows)
        if long <= short:
            raise InvalidInput(f"stalta({self.dim}={self.windows}): the long window must be longer than the short one")
        return given.typed(np.float64).with_attrs(data_type="stalta", data_units=None)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return the long window."""
        return self._means()[1].reach(given)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the ratios."""
        short, long = (one.compute(samples, part) for one in self._means())
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(short / long)


def stalta(*, samples: bool = False, **dims: Any) -> Stalta:
    """Return means over a short window divided by those over a long one.

    Parameters
    ----------
    samples
        Lengths are numbers of samples.
    **dims
        One dim and both windows (short, long).

    Raises
    ------
    InvalidInput
        The long window is not longer than the short one.
    """
    dim, windows = one_dim(dims, "stalta")
    if not isinstance(windows, (tuple, list)) or len(windows) != 2:  # noqa: PLR2004 - short and long
        raise InvalidInput(f"stalta({dim}={windows!r}) needs two windows (short, long)")
    return Stalta(dim=dim, windows=(windows[0], windows[1]), samples=samples)


@operation
class Kurtosis(Operation):
    """The fourth moment over the square of the second, in a moving window or running."""

    name: ClassVar[str] = "kurtosis"
    dim: str
    window: Any
    samples: bool
    recursive: bool

    def _count(self, given: Outline) -> int:
        count = given.axis(self.dim).samples(self.window, samples=self.samples)
        if count < 2:  # noqa: PLR2004 - one sample varies not
            raise InvalidInput(f"kurtosis({self.dim}={self.window!r}) spans {count} samples; it needs at least 2")
        return count

    def out(self, given: Outline) -> Outline:
        """Return the outline without units."""
        self._count(given)
        return given.typed(np.float64).with_attrs(data_type="kurtosis", data_units=None)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return the window; everything where it runs, for it starts from the variance of all samples."""
        count = self._count(given)
        return {self.dim: WHOLE if self.recursive else Reach(before=count // 2, after=count - count // 2 - 1)}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the kurtosis."""
        axis, count = part.whole.axis(self.dim).number, self._count(part.whole)
        turned = np.moveaxis(samples.astype(np.float64, copy=False), axis, 0)
        made = _running(turned, 1 / count) if self.recursive else _moving(turned, count)
        return np.moveaxis(made, 0, axis)


def kurtosis(samples: bool = False, recursive: bool = True, **dims: Any) -> Kurtosis:
    """Return the kurtosis of samples around each one, or up to it.

    Parameters
    ----------
    samples
        The length is a number of samples.
    recursive
        Moments forget what is older than the window exponentially, else they are those of the window.
    **dims
        One dim and the length of the window.

    Raises
    ------
    InvalidInput
        The window is shorter than two samples.

    References
    ----------
    Langet et al., *Continuous Kurtosis-based migration for seismic event detection and location*, 2014.
    """
    dim, window = one_dim(dims, "kurtosis")
    return Kurtosis(dim=dim, window=window, samples=samples, recursive=recursive)


def _running(samples: NDArray[Any], rate: float) -> NDArray[Any]:
    """Return the recursive kurtosis along the first dim."""
    floor = samples.var(axis=0)
    mean, variance, fourth = (np.zeros(samples.shape[1:]) for _ in range(3))
    result = np.empty_like(samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        for number, sample in enumerate(samples):
            mean = (1 - rate) * mean + rate * sample
            apart = (sample - mean) ** 2
            variance = (1 - rate) * variance + rate * apart
            scale = np.maximum(variance, floor) ** 2
            fourth = np.where(scale > 0, (1 - rate) * fourth + rate * apart**2 / scale, np.nan)
            result[number] = fourth
    return result


def _moving(samples: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the kurtosis of windows around each sample, cut off at the ends, along the first dim."""
    size, before = len(samples), count // 2
    result = np.empty_like(samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        for number in range(size):
            some = samples[max(number - before, 0) : min(number - before + count, size)]
            apart = some - some.mean(axis=0)
            second = (apart**2).mean(axis=0)
            result[number] = np.where(second > 0, (apart**4).mean(axis=0) / second**2, np.nan)
    return result


@operation
class Fbe(Operation):
    """Root mean square of a band in a moving window."""

    name: ClassVar[str] = "fbe"
    filtered: PassFilter
    window: Any
    step: Any
    db: bool

    @property
    def tolerance(self) -> float:
        """That of the filter."""
        return self.filtered.tolerance

    def _rolled(self) -> Rolling:
        return _rolled(self.filtered.dim, self.window, self.step, _root_mean_square, samples=False)

    def out(self, given: Outline) -> Outline:
        """Return the outline of energy."""
        made = self._rolled().out(self.filtered.out(given)).with_attrs(data_type="frequency_band_energy")
        return made.with_units("dB") if self.db else made

    def kind(self, given: Outline, dim: str) -> Kind:
        """Return what both steps are: local."""
        return self._rolled().kind(self.filtered.out(given), dim)

    def source(self, given: Outline, target: Window, *, found: bool = False) -> Window:
        """Return what the window needs of what the filter needs."""
        middle = self._rolled().source(self.filtered.out(given), target, found=found)
        return self.filtered.source(given, middle, found=found)

    def block(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the energy."""
        rolled, between = self._rolled(), self.filtered.out(part.whole)
        middle = rolled.source(between, part.target)
        band = self.filtered.block(samples, Part(whole=part.whole, source=part.source, target=middle))
        energy = rolled.block(band, Part(whole=between, source=middle, target=part.target))
        with np.errstate(divide="ignore"):
            return 20 * np.log10(energy) if self.db else energy


def _root_mean_square(samples: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.asarray(np.sqrt(np.mean(samples**2, axis=axis)))


def fbe(window: Any, step: Any = None, db: bool = True, **dims: Any) -> Fbe:
    """Return the energy of a frequency band: the root mean square of the band in a moving window.

    Parameters
    ----------
    window
        Length of the window along the dim.
    step
        From one window to the next; sample by sample without it.
    db
        Decibels.
    **dims
        One dim and its band, as in `pass_filter`.
    """
    return Fbe(filtered=pass_filter(**dims), window=window, step=step, db=db)
