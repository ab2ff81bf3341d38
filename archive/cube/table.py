"""What a row of the index says of frames: their files, places, times and headers; and of a dataset's asdf.

Packed as JSON under zlib in base 85, so that it fits into commits and leaves alike: some 300 bytes a frame.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import DamagedData, NewerVersion
from archive.fits.image import Scaling, Tiling
from archive.wcs.value import WorldCoordinates

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Document", "DocumentTile", "FrameTable", "Kept", "core_of", "unpack"]

_VERSION = 1


def core_of(image: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of an image without axes of length one: as its pixels are stored."""
    return tuple(length for length in image if length != 1) or (1,)


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes of a file that are stored as they are.

    Parameters
    ----------
    frame, tile
        Whose, by number in the granule and in the frame; tile -1 is the whole data unit.
    start, size
        Where in the granule's array `kept`.
    kind
        `""` for a tile whose pixels are stored, too; `"gzip"` or `"plain"` for floats that are only here.
    """

    frame: int
    tile: int
    start: int
    size: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTable:
    """The frames of one granule, in its order.

    Parameters
    ----------
    image
        Shape of each image, as its file has it.
    scaling
        How stored numbers become values.
    tiling
        How the images were compressed, without what differs between frames; `None` where they were not.
    files
        Names of the files, without folders.
    times
        ns UTC of each.
    places
        What each header says of its place along the axes across frames, outermost first; empty in a series.
    tile
        Which tile of a mosaic, counted from 0.
    constant, varying
        Headers: values that are the same in all, and one for each frame, `None` where a frame has none.
    seeds
        ZDITHER0 of each, where there was dithering.
    kept
        Bytes that are stored as they are.
    template
        Bytes of the header that the others are differences from.
    """

    image: tuple[int, ...]
    scaling: Scaling
    tiling: Tiling | None
    files: tuple[str, ...]
    times: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]
    tile: tuple[int, ...] | None
    constant: Mapping[str, Any]
    varying: Mapping[str, list[Any]]
    seeds: tuple[int, ...] = ()
    kept: tuple[Kept, ...] = ()
    template: int = 0

    @property
    def core(self) -> tuple[int, ...]:
        """Shape of a frame's pixels as they are stored."""
        return core_of(self.image)

    def tiling_of(self, frame: int) -> Tiling | None:
        """Return how one frame was compressed, scales and zeros left out."""
        if self.tiling is None or not self.seeds:
            return self.tiling
        fields = {name: getattr(self.tiling, name) for name in Tiling.__slots__}
        return Tiling(**{**fields, "seed": self.seeds[frame]})

    def header(self, frame: int) -> dict[str, Any]:
        """Return the header of one frame."""
        varying = {key: values[frame] for key, values in self.varying.items() if values[frame] is not None}
        return {**self.constant, **varying}

    def __reduce__(self) -> tuple[Any, ...]:
        return unpack, (self.pack(),)

    def pack(self) -> str:
        """Return the table as text."""
        tiling = None
        if self.tiling is not None:
            names = ("shape", "algorithm", "block", "item", "blank", "dither")
            tiling = {name: getattr(self.tiling, name) for name in names}
        columns = [[getattr(one, name) for one in self.kept] for name in Kept.__slots__]
        held = {name: getattr(self, name) for name in _PLAIN}
        return _pack("frames", {**held, "scaling": asdict(self.scaling), "tiling": tiling, "kept": columns})

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> FrameTable:
        """Return the table that JSON holds."""
        tiling = held["tiling"]
        return cls(
            image=tuple(held["image"]),
            scaling=Scaling(**held["scaling"]),
            tiling=None if tiling is None else Tiling(**{**tiling, "shape": tuple(tiling["shape"])}),
            files=tuple(held["files"]),
            times=tuple(held["times"]),
            places=tuple(tuple(place) for place in held["places"]),
            tile=None if held["tile"] is None else tuple(held["tile"]),
            constant=held["constant"],
            varying=held["varying"],
            seeds=tuple(held["seeds"]),
            kept=tuple(Kept(*one) for one in zip(*held["kept"], strict=True)),
            template=held["template"],
        )


_PLAIN = ("image", "files", "times", "places", "tile", "constant", "varying", "seeds", "template")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTile:
    """What an asdf says of one hypercube.

    Parameters
    ----------
    place
        Which tile of a mosaic, counted from 0; `None` where there is no mosaic.
    wcs
        The coordinates as tables; `None` where only gWCS knows them.
    """

    place: tuple[int, ...] | None = None
    wcs: WorldCoordinates | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A dataset's asdf.

    Parameters
    ----------
    name
        Of the file.
    first
        What DINDEX counts from; `None` where that is not known.
    tiles
        The hypercubes.
    documents
        `inventory`, recipe, parameters, quality: as JSON has them.
    """

    name: str
    first: int | None = None
    tiles: tuple[DocumentTile, ...] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)

    def pack(self) -> str:
        """Return the document as text."""
        tiles = []
        for tile in self.tiles:
            said, arrays = (None, {}) if tile.wcs is None else tile.wcs.to_parts()
            tiles.append(
                {"place": tile.place, "wcs": said, "arrays": {key: _plain(one) for key, one in arrays.items()}}
            )
        held = {"name": self.name, "first": self.first, "tiles": tiles, "documents": dict(self.documents)}
        return _pack("asdf", held)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Document:
        """Return the document that JSON holds."""
        tiles = []
        for tile in held["tiles"]:
            arrays = {key: _array(one) for key, one in tile["arrays"].items()}
            wcs = None if tile["wcs"] is None else WorldCoordinates.from_parts(tile["wcs"], arrays)
            tiles.append(DocumentTile(place=None if tile["place"] is None else tuple(tile["place"]), wcs=wcs))
        return cls(name=held["name"], first=held["first"], tiles=tuple(tiles), documents=held["documents"])


def unpack(text: str) -> FrameTable | Document:
    """Return what a row says of frames, or of an asdf.

    Raises
    ------
    DamagedData
        The text is none that was packed.
    NewerVersion
        A newer Lightkeep packed it.
    """
    try:
        held = json.loads(zlib.decompress(base64.b85decode(text)))
        kind, version = held["kind"], held["version"]
    except (ValueError, zlib.error, KeyError, TypeError) as error:
        raise DamagedData(f"a row's table of frames is damaged ({error}); run lightkeep verify") from error
    if version != _VERSION:
        raise NewerVersion(f"a table of frames of version {version}; upgrade lightkeep")
    return FrameTable.from_json(held) if kind == "frames" else Document.from_json(held)


def _pack(kind: str, held: Mapping[str, Any]) -> str:
    text = json.dumps({"kind": kind, "version": _VERSION, **held}, separators=(",", ":"), ensure_ascii=False)
    return base64.b85encode(zlib.compress(text.encode(), 6)).decode()


def _plain(array: Any) -> dict[str, Any]:
    values = np.ascontiguousarray(array)
    little = values.astype(values.dtype.newbyteorder("<"))
    return {
        "dtype": values.dtype.name,
        "shape": list(values.shape),
        "bytes": base64.b85encode(zlib.compress(little.tobytes())).decode(),
    }


def _array(held: Mapping[str, Any]) -> Any:
    dtype = np.dtype(held["dtype"])
    values = np.frombuffer(zlib.decompress(base64.b85decode(held["bytes"])), dtype.newbyteorder("<"))
    return values.reshape(held["shape"]).astype(dtype)
