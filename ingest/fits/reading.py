"""One FITS file to a frame, and the proof that the frame gives the file back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from archive.fits.cards import BLOCK, CardValue, integer, number
from archive.fits.frame import Frame, TileTable, rice_encode
from archive.fits.image import Image, Scaling
from ingest.fits.tiles import Heap, decode_tile, heap_of, shape_of
from ingest.fits.units import Unit, image_unit, next_unit, units_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_frame", "read_keywords"]


def read_frame(content: bytes, name: str, sha256: str | None = None) -> Frame:
    """Return the first image of a FITS file with everything that is needed to write the very same file.

    Parameters
    ----------
    content
        The whole file.
    name
        Of the file, for messages and for the frame.
    sha256
        Of the content (hex), where it is known.

    Raises
    ------
    FormatError
        The file is no FITS file, is cut or damaged, or is compressed in a way that is not read.
    MissingExtra
        astropy is not installed and the image is compressed.
    """
    unit = image_unit(units_of(content, name), name)
    data = memoryview(content)[unit.data : unit.end]
    _check_sum(data, unit, name)
    image, table = _tiled(data, unit, name) if unit.is_tiled_image else (_plain(data, unit, name), None)
    frame = Frame(
        name=name,
        head=content[: unit.data],
        image=image,
        table=table,
        tail=content[unit.end :],
        header_start=unit.start,
        size=len(content),
        sha256=sha256 or hashlib.sha256(content).hexdigest(),
        values=unit.keywords,
    )
    if table is not None and _assembled(table, data) != data:
        frame = replace(frame, table=replace(table, whole=bytes(data)))
    return frame


def _assembled(table: TileTable, data: memoryview) -> bytearray:
    """Return the data unit as it is put together from the table and the tiles: each is known to come out as it is."""
    out = bytearray(table.size)
    out[: len(table.rows)] = table.rows
    for start, length in table.places.tolist():
        out[start : start + length] = data[start : start + length]
    return out


def read_keywords(file: BinaryIO, size: int, name: str) -> Mapping[str, CardValue]:
    """Return the header of a file's first image by keyword; no pixels are read.

    Parameters
    ----------
    file
        Open, anywhere.
    size
        Bytes of the whole file.

    Raises
    ------
    FormatError
        The file is no FITS file, holds no image, or is cut or damaged so that the header shows it.
    """
    at, count = 0, 0
    while at < size:
        unit = next_unit(file, at, size, name)
        if unit is None:
            break
        if unit.is_image or unit.is_tiled_image:
            return unit.keywords
        at, count = unit.end + -unit.end % BLOCK, count + 1
    raise FormatError(f"{name}: none of its {count} HDUs holds an image; set it aside")


def _scaling(keywords: Any, key: str, name: str) -> Scaling:
    bitpix = integer(keywords, key, name)
    if bitpix not in (8, 16, 32, 64, -32, -64):
        raise FormatError(f"{name}: {key} is {bitpix}; the header is damaged, set it aside")
    return Scaling(
        bitpix=bitpix,
        scale=number(keywords, "BSCALE", name, 1.0),
        zero=number(keywords, "BZERO", name, 0.0),
        blank=integer(keywords, "BLANK", name) if bitpix > 0 and keywords.get("BLANK") is not None else None,
    )


def _plain(data: memoryview, unit: Unit, name: str) -> Image:
    scaling = _scaling(unit.keywords, "BITPIX", name)
    shape = shape_of(unit.keywords, "", name)
    stored = np.frombuffer(data, scaling.stored.newbyteorder(">"))
    if stored.size != np.prod(shape, dtype=object):
        raise FormatError(f"{name}: an image with groups or parameters is not read; set it aside")
    return Image(stored=stored.reshape(shape).astype(scaling.stored), scaling=scaling)


def _tiled(data: memoryview, unit: Unit, name: str) -> tuple[Image, TileTable]:
    scaling = _scaling(unit.keywords, "ZBITPIX", name)
    shape = shape_of(unit.keywords, "Z", name)
    heap = heap_of(data, unit, shape, scaling, name)
    stored, exact, kept = _decode(data, heap, shape, scaling, name)
    tiling = replace(heap.tiling, exact=MappingProxyType(exact))
    image = Image(stored=stored, scaling=scaling, tiling=tiling)
    table = TileTable(rows=heap.rows, size=len(data), places=heap.places, kept=MappingProxyType(kept))
    return image, table


def _decode(
    data: memoryview, heap: Heap, shape: tuple[int, ...], scaling: Scaling, name: str
) -> tuple[Any, dict[int, Any], dict[int, bytes]]:
    """Return the numbers of all tiles, those tiles that were not quantised, and the bytes that must be kept.

    What GZIP wrote is always kept: which bytes deflate makes depends on the library and its version.
    """
    tiling = heap.tiling
    quantised = tiling.scale is not None
    rice = tiling.algorithm.startswith("RICE")
    stored: Any = None
    exact: dict[int, Any] = {}
    kept: dict[int, bytes] = {}
    bounds = [tuple(window.stop - window.start for window in windows) for windows in tiling.windows(shape)]
    bodies = [bytes(data[start : start + length]) for start, length in heap.places.tolist()]
    for number_, (window, size) in enumerate(zip(tiling.windows(shape), bounds, strict=True)):
        body, kind = bodies[number_], heap.kinds[number_]
        tile = decode_tile(body, kind, size, tiling=tiling, scaling=scaling, name=name)
        if kind != "COMPRESSED_DATA" and quantised:
            exact[number_] = tile
            kept[number_] = body
            continue
        if stored is None:
            stored = np.zeros(shape, tile.dtype)
        stored[window] = tile
        if not rice or kind != "COMPRESSED_DATA" or rice_encode(tile, tiling) != body:
            kept[number_] = body
    if stored is None:
        stored = np.zeros(shape, np.int32)
    return stored, exact, kept


def _check_sum(data: memoryview, unit: Unit, name: str) -> None:
    """Compare the data with DATASUM, where the header has one.

    References
    ----------
    FITS Standard 4.0, section 4.4.2.7 and appendix J: the ones' complement sum of 32-bit words.
    """
    said: CardValue = unit.keywords.get("DATASUM")
    if not isinstance(said, str) or not said.strip().isdigit():
        return
    words = np.frombuffer(data[: len(data) // 4 * 4], ">u4")
    rest = bytes(data[words.nbytes :]).ljust(4, b"\0") if len(data) % 4 else b""
    total = int(words.sum(dtype=np.uint64)) + int.from_bytes(rest)
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    if total != int(said):
        raise FormatError(f"{name}: the pixels are not those that DATASUM was taken of; fetch the file again")
