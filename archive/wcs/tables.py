"""Steps that look values up: tables along one pixel axis, and along several laid out flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.wcs.steps import NoInverse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.wcs.steps import Arrays

__all__ = ["Ravel", "Table", "Unravel"]

_SLACK = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Values at points, and between them; NaN beyond.

    Parameters
    ----------
    points
        Strictly rising, shape `(n,)`.
    values
        At the points, shape `(n,)`.
    nearest
        The value of the nearest point, the lower one halfway, instead of interpolation.
    slack
        How far beyond the ends still counts as the end, in steps between points: a coordinate that went
        through an object of astropy comes back a little off.
    """

    points: NDArray[np.float64]
    values: NDArray[np.float64]
    nearest: bool = False
    slack: float = 0.0
    n_inputs: int = 1
    n_outputs: int = 1

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the looked up values."""
        (x,) = arrays
        points, values = self.points, self.values
        if points.size == 1:
            return (np.where(np.abs(x - points[0]) <= self.slack, values[0], np.nan),)
        if self.slack:
            near = self.slack * (points[1] - points[0]), self.slack * (points[-1] - points[-2])
            inside = (x >= points[0] - near[0]) & (x <= points[-1] + near[1])
            x = np.where(inside, np.clip(x, points[0], points[-1]), np.nan)
        if points[0] == 0 and points[-1] == points.size - 1 and (np.diff(points) == 1).all():
            low = np.fmax(np.fmin(np.floor(x), points.size - 2), 0).astype(np.intp)  # pixels: no search
            part = x - low
        else:
            low = np.clip(np.searchsorted(points, x, side="right") - 1, 0, points.size - 2)
            part = (x - points[low]) / (points[low + 1] - points[low])
        if self.nearest:
            out = values.take(low + (part > 0.5))  # noqa: PLR2004 - halfway
        else:
            out = values.take(low) * (1 - part) + values.take(low + 1) * part
        return (np.where((x >= points[0]) & (x <= points[-1]), out, np.nan),)

    def inverse(self) -> Table:
        """Return the table read the other way."""
        steps = np.diff(self.values)
        if (steps > 0).all():
            return Table(self.values, self.points, self.nearest, slack=_SLACK)
        if (steps < 0).all():
            return Table(self.values[::-1], self.points[::-1], self.nearest, slack=_SLACK)
        raise NoInverse("a coordinate has the same value at several pixels; its pixel cannot be found")

    def depends(self) -> NDArray[np.bool_]:
        """Return that the output hangs on the input."""
        return np.ones((1, 1), dtype=bool)


@dataclass(frozen=True, slots=True)
class Ravel:
    """Pixels of several axes to the place in a flat table; the fraction of one axis is carried over.

    Parameters
    ----------
    shape
        Of the table.
    order
        `C` or `F`: which axis runs fastest, the last or the first.
    """

    shape: tuple[int, ...]
    order: str = "C"

    @property
    def n_inputs(self) -> int:
        """One for each axis."""
        return len(self.shape)

    @property
    def n_outputs(self) -> int:
        """The place."""
        return 1

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the place, NaN outside of the table."""
        place: Any = 0.0
        outside: Any = np.False_
        axes = list(range(self.n_inputs))
        for axis in axes if self.order == "C" else reversed(axes):
            index = np.rint(arrays[axis])
            outside = outside | ~((index >= 0) & (index < self.shape[axis]))
            place = place * self.shape[axis] + index
        fastest = arrays[-1 if self.order == "C" else 0]
        return (np.where(outside, np.nan, place + (fastest - np.rint(fastest))),)

    def inverse(self) -> Unravel:
        """Return the way back."""
        return Unravel(self.shape, self.order)

    def depends(self) -> NDArray[np.bool_]:
        """Return that the place hangs on every axis."""
        return np.ones((1, self.n_inputs), dtype=bool)


@dataclass(frozen=True, slots=True)
class Unravel:
    """The inverse of `Ravel`."""

    shape: tuple[int, ...]
    order: str = "C"

    @property
    def n_inputs(self) -> int:
        """The place."""
        return 1

    @property
    def n_outputs(self) -> int:
        """One for each axis."""
        return len(self.shape)

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the pixels, NaN outside of the table; what is all but the next place counts as that."""
        (place,) = arrays
        whole = np.floor(place + 1e-9)
        inside = (whole >= 0) & (whole < np.prod(self.shape))
        rest = np.where(inside, whole, 0)
        fraction = np.where(inside, place - whole, np.nan)
        out: list[NDArray[np.float64]] = [np.float64(0) * rest] * self.n_outputs
        axes = list(range(self.n_outputs))
        fast_first = axes if self.order == "F" else axes[::-1]
        for axis in fast_first:
            out[axis] = np.where(inside, rest % self.shape[axis], np.nan)
            rest = rest // self.shape[axis]
        out[fast_first[0]] = out[fast_first[0]] + fraction
        return tuple(out)

    def inverse(self) -> Ravel:
        """Return the way that this is the inverse of."""
        return Ravel(self.shape, self.order)

    def depends(self) -> NDArray[np.bool_]:
        """Return that every axis hangs on the place."""
        return np.ones((self.n_outputs, 1), dtype=bool)
