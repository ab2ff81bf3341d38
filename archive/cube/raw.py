"""Cubes over FITS files in place, without an archive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archive.cube.raw_pixels import RawFrames
from archive.cube.stored import FrameHome

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from archive.cube.cube import Cube
    from archive.cube.raw_pixels import FitsSource
    from archive.cube.table import Document, FrameTable
    from archive.lazy import Lazy

__all__ = ["RawFrameSet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFrameSet:
    """The frames of one dataset, as files.

    Parameters
    ----------
    name, fingerprint
        Of the dataset that they would come to in an archive.
    dtype
        Of a pixel.
    tables, sources
        What is known of the frames, and their files; a table and its files for each tile of a mosaic.
    document, asdf
        What the asdf says, and its bytes.
    """

    name: str
    fingerprint: Mapping[str, Any]
    dtype: np.dtype[Any]
    tables: tuple[FrameTable, ...]
    sources: tuple[tuple[FitsSource, ...], ...]
    document: Document | None = None
    asdf: bytes | None = field(default=None, repr=False)

    def cubes(self) -> list[Cube]:
        """Return the Cubes, unread."""
        home = FrameHome(
            name=self.name,
            fingerprint=self.fingerprint,
            tables=self.tables,
            pixels=_Pixels(self.sources, self.dtype),
            content=_Contents(self.sources),
            document=self.document,
            asdf=None if self.asdf is None else _Bytes(self.asdf),
        )
        return home.cubes()


@dataclass(frozen=True, slots=True)
class _Bytes:
    held: bytes

    def __call__(self) -> bytes:
        return self.held


@dataclass(frozen=True, slots=True)
class _Contents:
    sources: tuple[tuple[FitsSource, ...], ...]

    def __call__(self, group: int, frame: int) -> bytes:
        return self.sources[group][frame].content()


@dataclass(frozen=True, slots=True)
class _Pixels:
    sources: tuple[tuple[FitsSource, ...], ...]
    dtype: np.dtype[Any]

    def __call__(self, grid: NDArray[np.int32], frame_shape: tuple[int, ...]) -> Lazy:
        return RawFrames(self.sources, grid, frame_shape, tuple(slice(0, n) for n in frame_shape), self.dtype)
