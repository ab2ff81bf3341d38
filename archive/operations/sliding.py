"""A function over a moving window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.errors import InvalidInput
from archive.operations.operation import Operation, Part, Reach, one_dim, operation
from archive.operations.resampling import strided
from archive.units import get_quantity, is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from archive.operations.outline import Axis, Outline

__all__ = ["Rolling", "Windows", "rolling", "window_and_step"]

_SLAB = 1 << 22  # samples in the windows that a function is given at a time: medians copy them

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "max": np.max,
    "std": np.std,
    "sum": np.sum,
}


@operation
class Rolling(Operation):
    """A function of the samples up to each one, or around it."""

    name: ClassVar[str] = "rolling"
    dim: str
    window: Any
    step: Any
    overlap: Any
    center: bool
    samples: bool
    function: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]

    def _sizes(self, given: Outline) -> tuple[int, int, int]:
        """Return samples in the window, samples from one to the next, and windows by which they are early."""
        axis = given.axis(self.dim)
        window, step = window_and_step(axis, self.window, self.step, self.overlap, samples=self.samples)
        missing = max(1 + (window - 2) // step, 0)
        return window, step, missing // 2 if self.center else 0

    def out(self, given: Outline) -> Outline:
        """Return the outline with every value that has a window, and NaN for those without."""
        _, step, _ = self._sizes(given)
        held = {
            name: strided(coord, step) if step > 1 and self.dim in coord.dims else coord
            for name, coord in given.coords.items()
        }
        return given.with_coords(type(given.coords)(given.dims, held)).typed(np.float64)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return the window."""
        window, step, early = self._sizes(given)
        return {self.dim: Reach(before=max(window - 1 - early * step, 0), after=early * step, step=step)}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the function of each whole window, NaN where it is not whole."""
        window, step, early = self._sizes(part.whole)
        axis = part.whole.axis(self.dim).number
        length = samples.shape[axis]
        shape = [-(-size // step) if number == axis else size for number, size in enumerate(samples.shape)]
        result = np.full(shape, np.nan)
        if length < window:
            return result
        first = -(-(window - 1) // step)  # the first result whose window is whole
        views = np.lib.stride_tricks.sliding_window_view(samples, window, axis)
        views = views[(slice(None),) * axis + (slice(first * step - (window - 1), None, step),)]
        function: Any = (
            _FUNCTIONS.get(self.function, self.function) if isinstance(self.function, str) else self.function
        )
        slab = max(_SLAB * views.shape[axis] // max(views.size, 1), 1)
        for start in range(0, views.shape[axis], slab):
            some = views[(slice(None),) * axis + (slice(start, start + slab),)]
            made = np.asarray(function(some, *self.args, axis=-1, **dict(self.kwargs)))
            begin = first + start - early
            skipped = max(-begin, 0)
            place = slice(begin + skipped, begin + made.shape[axis])
            result[(slice(None),) * axis + (place,)] = made[(slice(None),) * axis + (slice(skipped, None),)]
        return result


def window_and_step(axis: Axis, window: Any, step: Any, overlap: Any, *, samples: bool) -> tuple[int, int]:
    """Return a window and the step from one to the next, in samples.

    Parameters
    ----------
    axis
        The dim.
    window, step, overlap
        Lengths; the last two may be percentages of the window. Without either, windows follow each other
        sample by sample.
    samples
        Bare numbers count samples.

    Raises
    ------
    InvalidInput
        Both step and overlap are given, or a length makes no sense.
    """
    if step is not None and overlap is not None:
        raise InvalidInput("give a step or an overlap, not both: the step is the window less the overlap")
    size = axis.samples(window, samples=samples, limit=True)

    def count(value: Any) -> int:
        if is_quantity(value) and not get_quantity(str(value.units)).dimensionality:
            share = magnitude(value, "dimensionless")
            if not 0 <= share <= 1:
                raise InvalidInput(f"{value} is not between 0 and 100 percent")
            return round(share * size)
        return axis.samples(value, samples=samples and not is_quantity(value), limit=True)

    between = 1 if step is None and overlap is None else count(step) if step is not None else size - count(overlap)
    if size < 1 or between < 1:
        raise InvalidInput(f"a window of {size} samples every {between} samples: both must be above 0")
    return size, between


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows[T]:
    """Moving windows that wait for the function to apply.

    Parameters
    ----------
    made
        What becomes of the operation.
    """

    made: Callable[[Operation], T]
    dim: str
    window: Any
    step: Any
    overlap: Any
    center: bool
    samples: bool

    def apply(self, function: Any, *args: Any, **kwargs: Any) -> T:
        """Apply a function that takes an array of windows and `axis`, the windows' own being the last."""
        return self.made(
            Rolling(
                dim=self.dim,
                window=self.window,
                step=self.step,
                overlap=self.overlap,
                center=self.center,
                samples=self.samples,
                function=function,
                args=args,
                kwargs=tuple(kwargs.items()),
            )
        )

    def mean(self) -> T:
        """Return the mean of each window."""
        return self.apply("mean")

    def median(self) -> T:
        """Return the median of each window."""
        return self.apply("median")

    def min(self) -> T:
        """Return the smallest sample of each window."""
        return self.apply("min")

    def max(self) -> T:
        """Return the largest sample of each window."""
        return self.apply("max")

    def std(self) -> T:
        """Return the standard deviation of each window."""
        return self.apply("std")

    def sum(self) -> T:
        """Return the sum of each window."""
        return self.apply("sum")


def rolling[T](
    made: Callable[[Operation], T],
    step: Any = None,
    center: bool = False,
    samples: bool = False,
    overlap: Any = None,
    **dims: Any,
) -> Windows[T]:
    """Return moving windows along one dim, whose methods make something of the operation."""
    dim, window = one_dim(dims, "rolling")
    return Windows(made=made, dim=dim, window=window, step=step, overlap=overlap, center=center, samples=samples)
