"""The pixels of frames in files of their own, unread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from archive.lazy import RawFill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from archive.lazy import Window, Work

__all__ = ["FitsSource", "RawFrames"]


class FitsSource(Protocol):
    """A FITS file, closed: an `archive.lazy.RawSource` of one block, a frame without axes of length one."""

    def read(self, wanted: Sequence[tuple[int, Window]]) -> Iterator[NDArray[Any]]:
        """Yield the pixels of some windows."""
        ...

    def content(self) -> bytes:
        """Return the bytes of the file."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RawFrames:
    """The values of frames on the grid of a hypercube, each in a file of its own.

    Parameters
    ----------
    sources
        The files, group by group.
    grid
        Number of the group and of the file in it at each place, -1 where a frame is missing: shape of the axes
        across frames, and 2.
    frame_shape
        Of a whole frame in the cube.
    window
        The part of each frame.
    dtype
        Of a value.
    """

    sources: tuple[tuple[FitsSource, ...], ...]
    grid: NDArray[np.int32]
    frame_shape: tuple[int, ...]
    window: Window
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of pixels along each axis."""
        return (*self.grid.shape[:-1], *(part.stop - part.start for part in self.window))

    def cut(self, window: Window) -> RawFrames:
        """Return a part, unread."""
        outer = self.grid.ndim - 1
        inner = tuple(
            slice(base.start + part.start, base.start + part.stop)
            for base, part in zip(self.window, window[outer:], strict=True)
        )
        return RawFrames(self.sources, self.grid[window[:outer]], self.frame_shape, inner, self.dtype)

    def take(self, axis: int, numbers: NDArray[np.int64]) -> RawFrames:
        """Return some places along an axis across frames, unread: no other file is opened."""
        return RawFrames(self.sources, self.grid.take(numbers, axis), self.frame_shape, self.window, self.dtype)

    def only(self, wanted: NDArray[np.bool_]) -> RawFrames:
        """Return the same with frames left out where `wanted` (shape of the axes across frames) is not true."""
        grid = np.where(wanted[..., None], self.grid, np.int32(-1))
        return RawFrames(self.sources, grid, self.frame_shape, self.window, self.dtype)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Ask for the frames, file by file."""
        if not target.size:
            return
        kept = [axis for axis, length in enumerate(self.frame_shape) if length != 1] or [len(self.frame_shape) - 1]
        core = tuple(slice(None) if axis in kept else 0 for axis in range(len(self.frame_shape)))
        window = tuple(self.window[axis] for axis in kept)
        for place in np.ndindex(self.grid.shape[:-1]):
            group, frame = self.grid[place].tolist()
            if group >= 0:
                work.raw.append(RawFill(self.sources[group][frame], 0, window, target[(*place, *core)]))
            elif any(target.strides):
                target[place] = np.nan if self.dtype.kind == "f" else 0
