"""From the rows of an archive to Cubes: one for each dataset of frames, or for each tile of a mosaic."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.cube import Cube
from archive.cube.files import GranuleFiles
from archive.cube.frames import Frames, column_of
from archive.cube.header_wcs import wcs_of_headers
from archive.cube.pixels import FrameGranule, FramePixels
from archive.cube.table import Document, FrameTable, unpack
from archive.errors import MissingExtra
from archive.lazy import StoredPart
from archive.reading import load
from archive.wcs.cube_wcs import CubeWcs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.index.rows import ArrayRef
    from archive.lazy import Lazy
    from archive.store import Store
    from archive.view import Table, View

__all__ = ["FrameHome", "cubes_of", "frames_of"]

_unpacked = lru_cache(maxsize=512)(unpack)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A frame of a tile: its granule, its number in it, its place as its header has it, and its time."""

    granule: int
    frame: int
    place: tuple[int, ...]
    time: int


@dataclass(frozen=True, slots=True)
class FrameContents:
    """Gives the bytes of any frame's file.

    Parameters
    ----------
    content
        Gives a file's bytes by its granule and its number there.
    homes
        Both of each frame.
    """

    content: Callable[[int, int], bytes]
    homes: tuple[tuple[int, int], ...]

    def __call__(self, number: int) -> bytes:
        """Return the bytes of one frame's file."""
        return self.content(*self.homes[number])


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHome:
    """Where the frames of a dataset are.

    Parameters
    ----------
    name
        Of the dataset.
    fingerprint
        What all of its frames share.
    tables
        What is known of the frames, granule by granule (or all raw files at once).
    pixels
        Gives the pixels for a grid of granules and frames, -1 where one is missing, and the shape of a frame.
    content
        Gives a file's bytes by its granule and its number there.
    document, asdf
        What the asdf says, and what gives its bytes; `None` without one.
    """

    name: str
    fingerprint: Mapping[str, Any]
    tables: tuple[FrameTable, ...]
    pixels: Callable[[NDArray[np.int32], tuple[int, ...]], Lazy]
    content: Callable[[int, int], bytes]
    document: Document | None = None
    asdf: Callable[[], bytes] | None = None

    def cubes(self) -> list[Cube]:
        """Return the Cubes, unread: one for each tile of a mosaic that has frames, else one."""
        tiles = frames_of(self.tables)
        first = _first(self.document, tiles)
        return [_cube(self, members, place, first) for place, members in sorted(tiles.items(), key=_by_place)]

    def mosaic(self) -> Any:
        """Return the Cubes as a masked array of the mosaic's shape, those that are missing masked."""
        held = np.full(tuple(self.fingerprint["mosaic"]), None, dtype=object)
        for cube in self.cubes():
            held[cube.meta["tile"]] = cube
        return np.ma.array(held, mask=[one is None for one in held.ravel()])

    def meta(self, tile: tuple[int, ...] | None) -> dict[str, Any]:
        """Return what a Cube says of its dataset."""
        said = self.fingerprint
        meta: dict[str, Any] = {"dataset": self.name, "instrument": said.get("instrument", "")}
        if said.get("mosaic"):
            meta["mosaic"] = tuple(said["mosaic"])
            meta["tiles"] = self.mosaic
        if self.document is not None:
            meta.update(self.document.documents)
            meta["asdf"] = self.asdf
        return meta if tile is None else {**meta, "tile": tile}


def _by_place(item: tuple[tuple[int, ...] | None, Any]) -> tuple[int, ...]:
    return item[0] or ()


@dataclass(frozen=True, slots=True)
class _GranulePixels:
    granules: tuple[FrameGranule, ...]
    dtype: np.dtype[Any]

    def __call__(self, grid: NDArray[np.int32], frame_shape: tuple[int, ...]) -> Lazy:
        window = tuple(slice(0, length) for length in frame_shape)
        return FramePixels(self.granules, grid, frame_shape, window, self.dtype)


@dataclass(frozen=True, slots=True)
class _GranuleContents:
    files: tuple[GranuleFiles, ...]

    def __call__(self, granule: int, frame: int) -> bytes:
        return self.files[granule].content(frame)


def cubes_of(view: View, table: Table) -> list[Cube]:
    """Return the Cubes of a dataset of frames, unread; a Cube for each tile of a mosaic that has frames.

    Raises
    ------
    DamagedData
        A row cannot be understood.
    """
    dataset = table.dataset
    rows = sorted(view.rows(table, range(len(table.sources))), key=lambda row: (row.time.first, row.id))
    granules: list[FrameGranule] = []
    files: list[GranuleFiles] = []
    document: Document | None = None
    asdf: Callable[[], bytes] | None = None
    for row in {row.id: row for row in rows}.values():
        held = _unpacked(row.frames or "")
        if isinstance(held, FrameTable):
            granules.append(FrameGranule(view.store, row.key, row.data, row.extras, held))
            files.append(GranuleFiles(granules[-1], [source.sha256 for source in row.sources]))
        elif document is None:
            document, asdf = held, partial(_whole, view.store, row.data)
    home = FrameHome(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        tables=tuple(granule.table for granule in granules),
        pixels=_GranulePixels(tuple(granules), dataset.dtype),
        content=_GranuleContents(tuple(files)),
        document=document,
        asdf=asdf,
    )
    return home.cubes()


def frames_of(tables: Sequence[FrameTable]) -> dict[tuple[int, ...] | None, list[_Placed]]:
    """Return the frames of each tile, in the order of their granules."""
    tiles: dict[tuple[int, ...] | None, list[_Placed]] = defaultdict(list)
    for number, table in enumerate(tables):
        places = table.places or ((),) * len(table.files)
        tiles[table.tile] += [
            _Placed(number, frame, place, time)
            for frame, (place, time) in enumerate(zip(places, table.times, strict=True))
        ]
    return tiles


def _first(document: Document | None, tiles: Mapping[Any, Sequence[_Placed]]) -> int:
    """Return what DINDEX counts from: as the asdf says, else 0 where a 0 occurs; real data count from 1."""
    if document is not None and document.first is not None:
        return document.first
    return 0 if any(0 in one.place for members in tiles.values() for one in members) else 1


def _whole(store: Store, data: ArrayRef) -> bytes:
    """Return the bytes of an asdf."""
    return load(StoredPart(store, data, (slice(0, data.shape[0]),))).tobytes()


def _cube(home: FrameHome, members: Sequence[_Placed], tile: tuple[int, ...] | None, first: int) -> Cube:
    outer, places = _places(home.fingerprint, members, first)
    kept = sorted(places.items())
    grid = np.full((*outer, 2), -1, np.int32)
    numbers = np.full((*outer, 1), -1, np.intp)
    for number, (place, one) in enumerate(kept):
        grid[place] = one.granule, one.frame
        numbers[place] = number
    frames = _frames([one for _, one in kept], home.tables, home.content)
    shape = home.fingerprint["shape"]
    frame_shape = tuple(shape[len(outer) :] if shape else home.fingerprint["image"])
    pixels = home.pixels(grid, frame_shape)
    meta = {**home.meta(tile), "shape": pixels.shape}
    wcs = _wcs(home, tile)
    if wcs is None:
        wcs = wcs_of_headers(frames, numbers[..., 0], frame_shape, tuple(home.fingerprint["axes"]))
    return Cube(
        pixels,
        CubeWcs.whole(wcs, pixels.shape),
        unit=_unit(frames),
        frames=frames,
        grid=numbers,
        meta=meta,
    )


def _places(
    fingerprint: Mapping[str, Any], members: Sequence[_Placed], first: int
) -> tuple[tuple[int, ...], dict[tuple[int, ...], _Placed]]:
    """Return the shape across frames, and which frame lies where; of two at one place, the first.

    A series is as long as it has frames, in the order of their times.
    """
    shape = tuple(fingerprint["shape"][: len(members[0].place)])
    if not shape:
        ordered = sorted({one.time: one for one in reversed(members)}.items())
        return (len(ordered),), {(number,): one for number, (_, one) in enumerate(ordered)}
    places: dict[tuple[int, ...], _Placed] = {}
    for one in members:
        place = tuple(index - first for index in one.place)
        if all(0 <= index < length for index, length in zip(place, shape, strict=True)):
            places.setdefault(place, one)
    return shape, places


def _frames(kept: Sequence[_Placed], tables: Sequence[FrameTable], content: Callable[[int, int], bytes]) -> Frames:
    """Return headers, files and times of frames, in their order."""
    used = sorted({one.granule for one in kept})
    constant: dict[str, Any] = {}
    varying: dict[str, NDArray[Any]] = {}
    for key in dict.fromkeys(key for number in used for key in (*tables[number].constant, *tables[number].varying)):
        if _is_constant(key, [tables[number] for number in used]):
            constant[key] = tables[used[0]].constant[key]
            continue
        columns = {number: _column(tables[number], key) for number in used}
        varying[key] = column_of([columns[one.granule][one.frame] for one in kept])
    return Frames(
        files=tuple(tables[one.granule].files[one.frame] for one in kept),
        constant=MappingProxyType(constant),
        varying=MappingProxyType(varying),
        content=FrameContents(content, tuple((one.granule, one.frame) for one in kept)),
        times=np.array([one.time for one in kept], np.int64),
    )


def _is_constant(key: str, tables: Sequence[FrameTable]) -> bool:
    if not all(key in table.constant for table in tables):
        return False
    values = [table.constant[key] for table in tables]
    return all(type(value) is type(values[0]) and value == values[0] for value in values)


def _column(table: FrameTable, key: str) -> Sequence[Any]:
    return table.varying[key] if key in table.varying else [table.constant.get(key)] * len(table.files)


def _unit(frames: Frames) -> Any:
    text = frames.constant.get("BUNIT")
    if not isinstance(text, str) or not text.strip():
        return None
    import astropy.units as u

    return u.Unit(text, parse_strict="silent")


def _wcs(home: FrameHome, tile: tuple[int, ...] | None) -> Any:
    """Return the coordinates that an asdf has for a tile: as tables, or its gWCS where that alone knows them."""
    for one in home.document.tiles if home.document is not None else ():
        if one.place == tile:
            return one.wcs if one.wcs is not None or home.asdf is None else _gwcs(home.asdf(), tile)
    return None


def _gwcs(content: bytes, tile: tuple[int, ...] | None) -> Any:
    import io
    import warnings

    try:
        import asdf
        import dkist  # noqa: F401 - its schemas are there
    except ModuleNotFoundError as error:
        message = f"the coordinates of these frames need {error.name}; pip install 'lightkeep[frames]'"
        raise MissingExtra(message) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older files than libraries
        with asdf.open(io.BytesIO(content), lazy_load=False, memmap=False) as file:
            dataset = file.tree["dataset"]
            return (dataset if tile is None else dataset._data[tile]).wcs  # noqa: SLF001 - a slice is checked
