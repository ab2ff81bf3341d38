"""Samples brought to a common level or size along a dim: demean, demedian, normalize, standardize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Gathering, Operation, Part, Reach, operation
from archive.operations.sample_types import floating

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Outline

__all__ = ["Demean", "Demedian", "Normalize", "Standardize", "demean", "demedian", "normalize", "standardize"]


class Moments:
    """Count, mean and sum of squared distances from it along one dim, NaN left out, block by block.

    References
    ----------
    Chan, Golub, LeVeque, *Updating formulae and a pairwise algorithm for computing sample variances*, 1979.
    """

    def __init__(self, shape: tuple[int, ...], axis: int, dtype: np.dtype[Any]) -> None:
        self._axis = axis
        kept = [1 if number == axis else length for number, length in enumerate(shape)]
        self.count = np.zeros(kept)
        self.mean = np.zeros(kept, dtype=np.result_type(dtype, np.float64))
        self.squares = np.zeros(kept)

    def add(self, samples: NDArray[Any], window: Window) -> None:
        """Take in a block."""
        place = _one(window, self._axis)
        present = ~np.isnan(samples)
        count = present.sum(axis=self._axis, keepdims=True)
        held = np.where(present, samples, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(count, held.sum(axis=self._axis, keepdims=True, dtype=self.mean.dtype) / count, 0)
            squares = np.where(present, np.abs(samples - mean) ** 2, 0).sum(axis=self._axis, keepdims=True)
            before, total = self.count[place], self.count[place] + count
            apart = mean - self.mean[place]
            self.mean[place] += np.where(total, apart * count / total, 0)
            self.squares[place] += squares + np.where(total, np.abs(apart) ** 2 * before * count / total, 0)
        self.count[place] = total

    def found(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return mean and standard deviation; NaN where nothing was present."""
        with np.errstate(invalid="ignore", divide="ignore"):
            none = np.where(self.count, 0, np.nan)
            return self.mean + none, np.sqrt(self.squares / self.count)


class Sizes:
    """Sum of absolutes, sum of squares or largest absolute along one dim, NaN left out, block by block."""

    def __init__(self, shape: tuple[int, ...], axis: int, norm: str) -> None:
        self._axis, self._norm = axis, norm
        self.held = np.zeros([1 if number == axis else length for number, length in enumerate(shape)])

    def add(self, samples: NDArray[Any], window: Window) -> None:
        """Take in a block."""
        size = np.abs(samples)
        size = np.where(np.isnan(size), 0, size)
        place = _one(window, self._axis)
        if self._norm == "max":
            found = size.max(axis=self._axis, keepdims=True, initial=0)
            self.held[place] = np.maximum(self.held[place], found)
        else:
            power = size if self._norm == "l1" else size.astype(np.float64, copy=False) ** 2
            self.held[place] += power.sum(axis=self._axis, keepdims=True, dtype=np.float64)

    def found(self) -> NDArray[np.float64]:
        """Return what to divide by, 1 where there is nothing but zeros."""
        size = np.sqrt(self.held) if self._norm == "l2" else self.held
        return np.where(size == 0, 1, size)


def _one(window: Window, axis: int) -> Window:
    return tuple(slice(0, 1) if number == axis else part for number, part in enumerate(window))


class _Run(Operation):
    """What needs statistics of a whole dim, and then goes sample by sample."""

    dim: str

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        given.axis(self.dim)
        return given.typed(floating(given.dtype))

    def statistics(self, given: Outline) -> str | None:  # noqa: ARG002 - always the same dim
        """Return the dim."""
        return self.dim

    def _found(self, samples: NDArray[Any], part: Part) -> Any:
        """Return the statistics for the samples at hand, gathered before or now."""
        axis = part.whole.axis(self.dim).number
        if part.found is None:
            gathering = self.gathering(part.outline)
            gathering.add(samples, part.outline.window)
            return gathering.found()
        place = _one(part.source, axis)
        return tuple(one[place] for one in part.found) if isinstance(part.found, tuple) else part.found[place]


@operation
class Demean(_Run):
    """The mean taken away."""

    name: ClassVar[str] = "demean"
    dim: str

    def gathering(self, given: Outline) -> Gathering:
        """Return what gathers means."""
        return Moments(given.shape, given.axis(self.dim).number, given.dtype)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples less their mean."""
        mean, _ = self._found(samples, part)
        return np.asarray(samples - mean.astype(floating(samples.dtype)))


def demean(dim: str = "time") -> Demean:
    """Take away the mean along a dim; NaN does not count.

    Parameters
    ----------
    dim
        The dim.
    """
    return Demean(dim=dim)


@operation
class Standardize(_Run):
    """The mean taken away, then divided by the standard deviation."""

    name: ClassVar[str] = "standardize"
    dim: str

    def out(self, given: Outline) -> Outline:
        """Return the outline without units."""
        return given.typed(floating(given.dtype)).with_attrs(data_type=None) if given.axis(self.dim) else given

    def gathering(self, given: Outline) -> Gathering:
        """Return what gathers means and deviations."""
        return Moments(given.shape, given.axis(self.dim).number, given.dtype)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the standard scores."""
        mean, deviation = (one.astype(floating(samples.dtype)) for one in self._found(samples, part))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((samples - mean) / deviation.real)


def standardize(dim: str) -> Standardize:
    """Take away the mean along a dim and divide by the standard deviation; NaN does not count.

    Parameters
    ----------
    dim
        The dim.
    """
    return Standardize(dim=dim)


@operation
class Normalize(_Run):
    """Divided by a norm along a dim."""

    name: ClassVar[str] = "normalize"
    dim: str
    norm: Literal["l1", "l2", "max", "bit"]

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        if self.norm not in {"l1", "l2", "max", "bit"}:
            raise InvalidInput(f"norm={self.norm!r}: one of 'l1', 'l2', 'max', 'bit'")
        given.axis(self.dim)
        return given.typed(floating(given.dtype)).with_attrs(data_type=None)

    def statistics(self, given: Outline) -> str | None:  # noqa: ARG002 - known from the norm
        """Return the dim, unless each sample is divided by itself."""
        return None if self.norm == "bit" else self.dim

    def gathering(self, given: Outline) -> Gathering:
        """Return what gathers the norm."""
        return Sizes(given.shape, given.axis(self.dim).number, self.norm)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples divided by their norm."""
        if self.norm == "bit":
            size = np.abs(samples)
            return np.asarray(samples / np.where(size == 0, 1, size))
        return np.asarray(
            samples
            / self._found(samples, part).astype(np.abs(samples[:0]).dtype if samples.dtype.kind in "fc" else np.float64)
        )


def normalize(dim: str, norm: Literal["l1", "l2", "max", "bit"] = "l2") -> Normalize:
    """Divide by a norm along a dim; NaN does not count, and nothing but zeros stays as it is.

    Parameters
    ----------
    dim
        The dim.
    norm
        Sum of absolutes, root of the sum of squares, largest absolute, or each sample's own size.
    """
    return Normalize(dim=dim, norm=norm)


@operation
class Demedian(Operation):
    """The median taken away."""

    name: ClassVar[str] = "demedian"
    dim: str

    def out(self, given: Outline) -> Outline:
        """Return the outline with samples that have fractions."""
        given.axis(self.dim)
        return given.typed(floating(given.dtype))

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples less their median."""
        axis = part.whole.axis(self.dim).number
        with np.errstate(invalid="ignore"):
            empty = np.isnan(samples).all(axis=axis, keepdims=True)
            median = np.nanmedian(np.where(empty, 0, samples), axis=axis, keepdims=True)
        return np.asarray(samples - median)


def demedian(dim: str = "time") -> Demedian:
    """Take away the median along a dim; NaN does not count.

    Parameters
    ----------
    dim
        The dim.
    """
    return Demedian(dim=dim)
