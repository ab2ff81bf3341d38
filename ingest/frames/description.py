"""The description of a set of frames, before a pixel is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.cube.frames import Frames
    from archive.wcs.value import WorldCoordinates

__all__ = ["FrameSet", "FrameTile", "grid_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTile:
    """One hypercube of frames: a whole dataset, or one tile of a mosaic.

    Parameters
    ----------
    place
        Where in the mosaic the tile lies, row and column from 0 as the data centre's asdf has it; `None`
        for a dataset that is no mosaic.
    shape
        Of the cube, the axes across frames first.
    dtype
        Of a pixel, in native byte order.
    unit
        As the header names it.
    frames
        Files and headers of all frames that there are.
    grid
        The number of the frame at each place, -1 where one is missing, shape of the axes across frames.
    axis_names
        DPNAMEn, in array order; `time` for a plain series.
    wcs
        The coordinates as tables; `None` where they are not known, or only to gWCS (see `gwcs`).
    gwcs
        The gWCS itself where it has a part that is not known here.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    unit: str | None
    frames: Frames
    grid: NDArray[np.intp]
    axis_names: tuple[str, ...]
    place: tuple[int, ...] | None = None
    wcs: WorldCoordinates | None = None
    gwcs: Any = None

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame in the cube."""
        return self.shape[self.grid.ndim :]

    @property
    def missing(self) -> list[tuple[int, ...]]:
        """Places of the frames that are not there."""
        return [tuple(place) for place in np.argwhere(self.grid < 0).tolist()]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSet:
    """A dataset of frames.

    Parameters
    ----------
    name
        DSETID, or what else tells it from others; text that may be a dataset's name.
    instrument
        INSTRUME.
    tiles
        One, or those of a mosaic that there are.
    mosaic
        Shape of the mosaic, empty where there is none.
    documents
        What the asdf says of the whole: `inventory`, recipe and parameters.
    asdf
        The asdf verbatim.
    """

    name: str
    instrument: str
    tiles: tuple[FrameTile, ...]
    mosaic: tuple[int, ...] = ()
    documents: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    asdf: bytes | None = None

    @property
    def tile_mask(self) -> NDArray[np.bool_]:
        """True where a tile of the mosaic is missing."""
        mask = np.ones(self.mosaic, dtype=bool)
        for tile in self.tiles:
            mask[tile.place or ()] = False
        return mask


def grid_of(shape: tuple[int, ...], places: Sequence[tuple[int, ...]], files: Sequence[str]) -> NDArray[np.intp]:
    """Return the number of the frame at each place, -1 where there is none.

    Raises
    ------
    FormatError
        A place is outside of the shape, or two frames claim it.
    """
    grid = np.full(shape, -1, dtype=np.intp)
    for number, place in enumerate(places):
        if any(not 0 <= index < length for index, length in zip(place, shape, strict=True)):
            raise FormatError(
                f"{files[number]}: lies at {place} of a cube of {shape} frames; its header lies, set it aside"
            )
        if grid[place] >= 0:
            other = files[int(grid[place])]
            raise FormatError(f"{files[number]} and {other} both claim the place {place}; set one of them aside")
        grid[place] = number
    return grid
