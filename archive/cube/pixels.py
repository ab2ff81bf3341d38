"""The pixels of frames in an archive, unread: stored integers of granules to values of a hypercube."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import DamagedData
from archive.fits.image import dequantize
from archive.lazy import StoredPart, pretended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.cube.table import FrameTable, Kept
    from archive.index.rows import ArrayRef
    from archive.lazy import Window, Work
    from archive.store import Store

__all__ = ["FrameGranule", "FramePixels"]

_GZIP = 31  # zlib's name for gzip's header


@dataclass(frozen=True, slots=True, eq=False)
class FrameGranule:
    """Where the frames of one granule lie.

    Parameters
    ----------
    data
        Stored numbers, shape `(frames, *core)`.
    extras
        `scales` and `zeros` of tiles as `(frames, *tiles, 2)`, and what is needed to give files back.
    table
        What its row says.
    """

    store: Store
    key: str
    data: ArrayRef
    extras: Mapping[str, ArrayRef]
    table: FrameTable

    def part(self, name: str, window: Window) -> StoredPart:
        """Return a window of one of the arrays, unread."""
        return StoredPart(self.store, self.extras[name], window)

    def whole(self, name: str) -> StoredPart:
        """Return all of one of the arrays, unread."""
        return self.part(name, tuple(slice(0, length) for length in self.extras[name].shape))


@dataclass(frozen=True, slots=True, eq=False)
class FramePixels:
    """The values of frames on the grid of a hypercube.

    Parameters
    ----------
    granules
        Where they are.
    grid
        Number of the granule and of the frame in it at each place, -1 where a frame is missing: shape of the
        axes across frames, and 2.
    frame_shape
        Of a whole frame in the cube.
    window
        The part of each frame.
    dtype
        Of a value.
    """

    granules: tuple[FrameGranule, ...]
    grid: NDArray[np.int32]
    frame_shape: tuple[int, ...]
    window: Window
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of pixels along each axis."""
        return (*self.grid.shape[:-1], *(part.stop - part.start for part in self.window))

    def cut(self, window: Window) -> FramePixels:
        """Return a part, unread."""
        outer = self.grid.ndim - 1
        inner = tuple(
            slice(base.start + part.start, base.start + part.stop)
            for base, part in zip(self.window, window[outer:], strict=True)
        )
        return FramePixels(self.granules, self.grid[window[:outer]], self.frame_shape, inner, self.dtype)

    def take(self, axis: int, numbers: NDArray[np.int64]) -> FramePixels:
        """Return some places along an axis across frames, unread: no other frame is read."""
        return FramePixels(self.granules, self.grid.take(numbers, axis), self.frame_shape, self.window, self.dtype)

    def only(self, wanted: NDArray[np.bool_]) -> FramePixels:
        """Return the same with frames left out where `wanted` (shape of the axes across frames) is not true."""
        grid = np.where(wanted[..., None], self.grid, np.int32(-1))
        return FramePixels(self.granules, grid, self.frame_shape, self.window, self.dtype)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Ask for what the frames hold, granule by granule."""
        if not target.size:
            return
        kept = [axis for axis, length in enumerate(self.frame_shape) if length != 1] or [len(self.frame_shape) - 1]
        outer: tuple[Any, ...] = (slice(None),) * (self.grid.ndim - 1)
        core = target[(*outer, *(slice(None) if axis in kept else 0 for axis in range(len(self.frame_shape))))]
        window = tuple(self.window[axis] for axis in kept)
        owners = self.grid[..., 0]
        if (owners < 0).any() and any(target.strides):
            core[owners < 0] = np.nan if self.dtype.kind == "f" else 0
        for number in np.unique(owners[owners >= 0]).tolist():
            places = np.nonzero(owners == number)
            frames = self.grid[..., 1][places]
            tiles = _Tiles.asked(self.granules[number], window, frames, core, work)
            for part in _runs(self.granules[number], window, frames, places):
                part.fill(core, tiles, work)


@dataclass(frozen=True, slots=True, eq=False)
class _Tiles:
    """Scales and zeros of the tiles that a window touches, and what stands for NaN in each, from one frame on."""

    scales: NDArray[Any]
    blanks: NDArray[Any] | None
    first: int

    @classmethod
    def asked(
        cls, granule: FrameGranule, window: Window, frames: NDArray[np.int32], core: NDArray[Any], work: Work
    ) -> _Tiles | None:
        """Ask for them, once for all frames of a granule; `None` where images were not quantised."""
        if "scales" not in granule.extras:
            return None
        first = int(frames.min())
        along = (slice(first, int(frames.max()) + 1), *_tiles_of(window, _tile_core(granule.table)))
        scales = _asked(granule, "scales", (*along, slice(0, 2)), core, work)
        blanks = _asked(granule, "blanks", along, core, work) if "blanks" in granule.extras else None
        return cls(scales, blanks, first)


def _asked(granule: FrameGranule, name: str, window: Window, core: NDArray[Any], work: Work) -> NDArray[Any]:
    part = granule.part(name, window)
    room = _room(core, part.shape, part.dtype)
    part.fill(room, work)
    return room


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """Frames of one granule that are read together.

    Parameters
    ----------
    frames
        Their numbers in the granule.
    places
        Where they go, an index array for each axis across frames.
    """

    granule: FrameGranule
    window: Window
    frames: NDArray[np.int32]
    places: tuple[NDArray[np.intp], ...]

    def fill(self, core: NDArray[Any], tiles: _Tiles | None, work: Work) -> None:
        table, first, last = self.granule.table, int(self.frames.min()), int(self.frames.max()) + 1
        lengths = tuple(part.stop - part.start for part in self.window)
        stored = _room(core, (last - first, *lengths), np.dtype(self.granule.data.dtype))
        StoredPart(self.granule.store, self.granule.data, (slice(first, last), *self.window)).fill(stored, work)
        if tiles is None:
            work.finish.append(lambda: self._put(core, table.scaling.values(stored[self.frames - first])))
            return
        exact = [
            (one, _asked(self.granule, "kept", (slice(one.start, one.start + one.size),), core, work))
            for one in self._exact()
        ]
        work.finish.append(lambda: self._put(core, self._values(stored[self.frames - first], tiles, exact)))

    def _exact(self) -> list[Kept]:
        wanted = set(self.frames.tolist())
        return [
            one
            for one in self.granule.table.kept
            if one.kind and one.frame in wanted and _meet(self._tile_window(one.tile), self.window) is not None
        ]

    def _tile_window(self, number: int) -> Window:
        """Return where a tile lies in a frame."""
        table = self.granule.table
        shape = _tile_core(table)
        counts = [-(-length // step) for length, step in zip(table.core, shape, strict=True)]
        corner = np.unravel_index(number, counts)
        return tuple(
            slice(int(place) * step, min((int(place) + 1) * step, length))
            for place, step, length in zip(corner, shape, table.core, strict=True)
        )

    def _put(self, core: NDArray[Any], values: NDArray[Any]) -> None:
        core[self.places] = values

    def _values(self, stored: NDArray[Any], tiles: _Tiles, exact: Sequence[tuple[Kept, NDArray[Any]]]) -> NDArray[Any]:
        """Return the values of the frames, tile by tile."""
        table = self.granule.table
        out = np.empty(stored.shape, table.scaling.stored)
        for tile, window, inside in self._tiles():
            each: Any = (slice(None), *window)
            place: Any = (self.frames - tiles.first, *tile)
            blanks = None if tiles.blanks is None else tiles.blanks[place]
            self._dequantize(stored[each], out[each], tiles.scales[place], blanks, inside)
        for one, body in exact:
            self._put_exact(one, body, out)
        plain = table.scaling.scale == 1.0 and table.scaling.zero == 0.0
        return out if plain else table.scaling.values(out)

    def _dequantize(
        self, integers: NDArray[Any], out: NDArray[Any], scales: NDArray[Any], blanks: Any, inside: tuple[int, Window]
    ) -> None:
        """Write the floats of one tile's part in all frames."""
        table = self.granule.table
        assert table.tiling is not None  # noqa: S101 - the caller looked
        whole: Any = table.tiling.blank if blanks is None else blanks
        if table.tiling.dither == "NO_DITHER":
            every = (slice(None), *(None,) * (integers.ndim - 1))
            dequantize(
                integers,
                out,
                scale=scales[:, 0][every],
                zero=scales[:, 1][every],
                blank=whole[every] if isinstance(whole, np.ndarray) else whole,
            )
            return
        number, part = inside
        shape = tuple(side.stop - side.start for side in self._tile_window(number))
        for place, frame in enumerate(self.frames.tolist()):
            tiling = table.tiling_of(frame)
            noise = None if tiling is None else tiling.noise_of(number, shape)
            dequantize(
                integers[place],
                out[place],
                scale=scales[place, 0],
                zero=scales[place, 1],
                blank=whole if isinstance(whole, int | None) else int(whole[place]),
                dither=table.tiling.dither,
                noise=None if noise is None else noise[part],
            )

    def _tiles(self) -> Iterator[tuple[tuple[int, ...], Window, tuple[int, Window]]]:
        """Yield each tile that is touched: its place among those, its part of the window, its number and part of it."""
        table = self.granule.table
        shape = _tile_core(table)
        counts = [-(-length // step) for length, step in zip(table.core, shape, strict=True)]
        touched = _tiles_of(self.window, shape)
        for corner in product(*(range(part.start, part.stop) for part in touched)):
            number = int(np.ravel_multi_index(corner, counts))
            tile = self._tile_window(number)
            both = _meet(tile, self.window)
            assert both is not None  # noqa: S101 - it is touched
            yield (
                tuple(place - part.start for place, part in zip(corner, touched, strict=True)),
                _within(both, self.window),
                (number, _within(both, tile)),
            )

    def _put_exact(self, one: Kept, body: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the floats of a tile that was not quantised."""
        table, tile = self.granule.table, self._tile_window(one.tile)
        shape = tuple(part.stop - part.start for part in tile)
        floats = table.scaling.stored.newbyteorder(">")
        try:
            plain = zlib.decompress(body.tobytes(), wbits=_GZIP) if one.kind == "gzip" else body.tobytes()
            values = np.frombuffer(plain, floats).reshape(shape)
        except (zlib.error, ValueError) as error:
            raise DamagedData(
                f"{self.granule.key}: tile {one.tile} of a frame is damaged; run lightkeep verify"
            ) from error
        both = _meet(tile, self.window)
        assert both is not None  # noqa: S101 - only tiles that are touched were asked for
        for place in np.flatnonzero(self.frames == one.frame).tolist():
            here: Any = (place, *_within(both, self.window))
            out[here] = values[_within(both, tile)]


def _runs(
    granule: FrameGranule, window: Window, frames: NDArray[np.int32], places: tuple[NDArray[np.intp], ...]
) -> Iterator[_Run]:
    """Yield frames in groups whose chunks follow each other, so that none between is read and none twice."""
    order = np.argsort(frames, kind="stable")
    blocks = frames[order] // granule.data.chunks[0]
    for group in np.split(order, np.flatnonzero(np.diff(blocks) > 1) + 1):
        yield _Run(granule, window, frames[group], tuple(place[group] for place in places))


def _room(target: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return room for numbers; where the target is only pretended, so is this."""
    return np.empty(shape, dtype) if any(target.strides) else pretended(shape, dtype)


def _tile_core(table: FrameTable) -> tuple[int, ...]:
    """Return the shape of a tile along the axes that are stored."""
    assert table.tiling is not None  # noqa: S101 - the caller looked
    kept = tuple(step for step, length in zip(table.tiling.shape, table.image, strict=True) if length != 1)
    return tuple(min(step, length) for step, length in zip(kept or (1,), table.core, strict=True))


def _tiles_of(window: Window, shape: tuple[int, ...]) -> Window:
    """Return which tiles a window touches, along each axis."""
    return tuple(slice(part.start // step, -(-part.stop // step)) for part, step in zip(window, shape, strict=True))


def _meet(one: Window, other: Window) -> Window | None:
    """Return what two windows share."""
    both = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return both if all(part.start < part.stop for part in both) else None


def _within(window: Window, outer: Window) -> Window:
    """Return a window counted from the start of another."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, outer, strict=True))
