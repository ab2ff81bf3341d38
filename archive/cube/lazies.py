"""Unread arrays that a Cube is made of beside those of `archive.lazy`: axes dropped, and numbers worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.lazy import Lazy, Window, Work, empty_like

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Computed", "Dropped"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An array without some of its axes, all of length one."""

    base: Lazy
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each axis that is left."""
        return tuple(length for axis, length in enumerate(self.base.shape) if axis not in self.axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self.base.dtype

    def cut(self, window: Window) -> Dropped:
        """Return a part, unread."""
        given = iter(window)
        whole = (slice(0, 1) if axis in self.axes else next(given) for axis in range(len(self.base.shape)))
        return Dropped(self.base.cut(tuple(whole)), self.axes)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Fill through a view with the axes put back."""
        self.base.fill(np.expand_dims(target, self.axes), work)


@dataclass(frozen=True, slots=True)
class Computed:
    """What a function makes of arrays of one shape, sample by sample.

    Parameters
    ----------
    function
        Takes arrays of one shape and returns one of that shape.
    parts
        What it takes.
    dtype
        Type of what it returns.
    """

    function: Callable[..., Any]
    parts: tuple[Lazy, ...]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each axis."""
        return self.parts[0].shape

    def cut(self, window: Window) -> Computed:
        """Return a part, unread."""
        return Computed(self.function, tuple(part.cut(window) for part in self.parts), self.dtype)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Fill the parts, then work on them."""
        loaded = [empty_like(target, part.shape).astype(part.dtype) for part in self.parts]
        for part, array in zip(self.parts, loaded, strict=True):
            part.fill(array, work)
        work.finish.append(lambda: np.copyto(target, self.function(*loaded), casting="same_kind"))
