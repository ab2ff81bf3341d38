"""The table of tiles of a compressed image, and each tile to the numbers that it holds.

References
----------
FITS Standard 4.0, section 10.1: tiled image compression; 10.4.1: RICE; 7.3.5: variable-length arrays.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import FormatError, MissingExtra
from archive.fits.cards import CardValue, integer
from archive.fits.image import Scaling, Tiling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ingest.fits.units import Unit

__all__ = ["Heap", "decode_tile", "heap_of", "shape_of"]

_RICE = ("RICE_1", "RICE_ONE")
_ALGORITHMS = (*_RICE, "GZIP_1", "GZIP_2", "NOCOMPRESS")
_DITHERS = ("NO_DITHER", "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2")
_FIELDS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "P": ">u4", "Q": ">u8"}
_LOWEST_BITS = 3  # RICE writes at least so many for a block of pixels
_GZIP_MOST = 1032  # deflate's largest ratio
_COLUMNS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heap:
    """The tiles of an image, compressed.

    Parameters
    ----------
    rows
        The table, bytes.
    kinds
        For each tile, the column that holds it.
    places
        Start and length in bytes of each tile from the data unit's start, shape `(tiles, 2)`.
    tiling
        What the table and the header say of all tiles; `exact` still empty.
    """

    rows: bytes
    kinds: list[str] = field(default_factory=list)
    places: NDArray[np.int64]
    tiling: Tiling


def shape_of(keywords: Mapping[str, CardValue], prefix: str, name: str) -> tuple[int, ...]:
    """Return the lengths of an image's axes in array order, the reverse of FITS's.

    Raises
    ------
    FormatError
        One is missing or is no positive number.
    """
    naxis = integer(keywords, f"{prefix}NAXIS", name)
    lengths = [integer(keywords, f"{prefix}NAXIS{axis}", name) for axis in range(naxis, 0, -1)]
    if not lengths or min(lengths) < 1:
        raise FormatError(f"{name}: an image of the shape {tuple(lengths)}; set it aside")
    return tuple(lengths)


def heap_of(data: memoryview, unit: Unit, shape: tuple[int, ...], scaling: Scaling, name: str) -> Heap:
    """Return where each tile lies and what is known of it, before any is decoded.

    Parameters
    ----------
    data
        The data unit.
    shape
        Of the image.

    Raises
    ------
    FormatError
        Header and table do not fit each other, or the way of compression is not read.
    """
    keywords = unit.keywords
    algorithm = keywords.get("ZCMPTYPE")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise FormatError(f"{name}: compressed with {algorithm}; read are {', '.join(_ALGORITHMS)}; set it aside")
    tile = _tile_shape(keywords, shape, name)
    count = prod(-(-length // step) for length, step in zip(shape, tile, strict=True))
    width, rows = integer(keywords, "NAXIS1", name), integer(keywords, "NAXIS2", name)
    if rows != count or width * rows > len(data):
        raise FormatError(f"{name}: {rows} rows for {count} tiles; the header is damaged, set it aside")
    if prod(shape) > len(data) * _GZIP_MOST:
        raise FormatError(f"{name}: {prod(shape)} pixels in {len(data)} bytes; the header is damaged, set it aside")
    table = np.frombuffer(data[: width * rows], _row_type(keywords, width, name))
    start = integer(keywords, "THEAP", name, width * rows)
    kinds, places = _places(table, _item_sizes(keywords, name), start, len(data), name)
    block, item = _rice_settings(keywords, algorithm, name)
    dither = str(keywords.get("ZQUANTIZ", "NO_DITHER"))
    quantised = "ZSCALE" in (table.dtype.names or ())
    if quantised and (dither not in _DITHERS or scaling.bitpix > 0 or "ZZERO" not in (table.dtype.names or ())):
        raise FormatError(f"{name}: quantised with {dither} in a way that is not read; set it aside")
    blank: Any = table["ZBLANK"].astype(np.int64) if "ZBLANK" in (table.dtype.names or ()) else _blank(keywords, name)
    tiling = Tiling(
        shape=tile,
        algorithm=algorithm,
        block=block,
        item=item,
        scale=table["ZSCALE"].astype(np.float64) if quantised else None,
        zero=table["ZZERO"].astype(np.float64) if quantised else None,
        blank=blank,
        dither=dither if quantised else "NO_DITHER",
        seed=integer(keywords, "ZDITHER0", name, 0),
    )
    return Heap(rows=bytes(data[: width * rows]), kinds=kinds, places=places, tiling=tiling)


def _rice_settings(keywords: Mapping[str, CardValue], algorithm: str, name: str) -> tuple[int, int]:
    """Return BLOCKSIZE and BYTEPIX; the defaults where another algorithm needs neither."""
    if algorithm not in _RICE:
        return 32, 4
    numbers = [number for number in range(1, 10) if f"ZNAME{number}" in keywords]
    settings = {str(keywords[f"ZNAME{number}"]).upper(): f"ZVAL{number}" for number in numbers}
    block = integer(keywords, settings.get("BLOCKSIZE", ""), name, 32)
    item = integer(keywords, settings.get("BYTEPIX", ""), name, 4)
    if block not in {16, 32} or item not in {1, 2, 4}:
        raise FormatError(f"{name}: RICE with BLOCKSIZE {block} and BYTEPIX {item}; set it aside")
    return block, item


def _blank(keywords: Mapping[str, CardValue], name: str) -> int | None:
    key = "ZBLANK" if "ZBLANK" in keywords else "BLANK"
    return integer(keywords, key, name) if key in keywords else None


def _tile_shape(keywords: Mapping[str, CardValue], shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    rank = len(shape)
    defaults = [1] * (rank - 1) + [shape[-1]]  # rows, where the header says nothing
    tile = tuple(integer(keywords, f"ZTILE{rank - axis}", name, defaults[axis]) for axis in range(rank))
    if min(tile) < 1:
        raise FormatError(f"{name}: tiles of the shape {tile}; the header is damaged, set it aside")
    return tile


def _row_type(keywords: Mapping[str, CardValue], width: int, name: str) -> np.dtype[Any]:
    fields = []
    for number in range(1, integer(keywords, "TFIELDS", name) + 1):
        column, form = keywords.get(f"TTYPE{number}"), str(keywords.get(f"TFORM{number}", "")).removeprefix("1")
        if column not in _COLUMNS or not form or form[0] not in _FIELDS:
            raise FormatError(f"{name}: a column {column} of {form or 'no form'} in a table of tiles; set it aside")
        fields.append((str(column), _FIELDS[form[0]], (2,)) if form[0] in "PQ" else (str(column), _FIELDS[form[0]]))
    kind = np.dtype(fields)
    if kind.itemsize != width or "COMPRESSED_DATA" not in (kind.names or ()):
        raise FormatError(f"{name}: the columns of the tiles take {kind.itemsize} bytes of {width}; set it aside")
    return kind


def _item_sizes(keywords: Mapping[str, CardValue], name: str) -> dict[str, int]:
    """Return of how many bytes each is what a column of tiles counts."""
    sizes = {}
    for number in range(1, integer(keywords, "TFIELDS", name) + 1):
        form = str(keywords[f"TFORM{number}"]).removeprefix("1")
        sizes[str(keywords[f"TTYPE{number}"])] = np.dtype(_FIELDS.get(form[1:2], "u1")).itemsize
    return sizes


def _places(
    table: NDArray[Any], item_sizes: Mapping[str, int], start: int, size: int, name: str
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the column and the place of each tile; a tile is in the first column that has bytes of it."""
    kinds = np.full(len(table), "", dtype=object)
    places = np.zeros((len(table), 2), np.int64)
    for column in _COLUMNS[:3]:
        if column not in (table.dtype.names or ()):
            continue
        free = (kinds == "") & (table[column][:, 0] > 0)
        kinds[free] = column
        places[free] = table[column][free].astype(np.int64)[:, ::-1] * (1, item_sizes[column])
    places[:, 0] += start
    if (kinds == "").any() or start < table.nbytes or (places < 0).any() or (places.sum(axis=1) > size).any():
        raise FormatError(f"{name}: a tile lies outside of the data; the file is cut or damaged, fetch it again")
    return kinds.tolist(), places


def decode_tile(
    body: bytes, kind: str, shape: tuple[int, ...], *, tiling: Tiling, scaling: Scaling, name: str
) -> NDArray[Any]:
    """Return the numbers of one tile: integers, or floats where it was not quantised.

    Raises
    ------
    FormatError
        The bytes are no tile of this shape.
    MissingExtra
        astropy is not installed.
    """
    size = prod(shape)
    floats = scaling.stored.newbyteorder(">")
    if kind == "GZIP_COMPRESSED_DATA":
        return _typed(_inflate(body, size * floats.itemsize, name), floats, shape, name)
    if kind == "UNCOMPRESSED_DATA":
        return _typed(body, floats, shape, name)
    if tiling.algorithm in _RICE:
        return _rice(body, shape, tiling, name)
    whole = np.dtype(">i4") if tiling.scale is not None else floats
    if tiling.algorithm == "NOCOMPRESS":
        return _typed(body, whole, shape, name)
    plain = _inflate(body, size * whole.itemsize, name)
    if tiling.algorithm == "GZIP_2":
        bytes_of = np.frombuffer(plain, np.uint8)
        if bytes_of.size != size * whole.itemsize:
            raise FormatError(f"{name}: a tile has {bytes_of.size} bytes for {size} pixels; set it aside")
        plain = bytes_of.reshape(whole.itemsize, size).T.tobytes()
    return _typed(plain, whole, shape, name)


def _typed(body: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    if len(body) != prod(shape) * dtype.itemsize:
        raise FormatError(f"{name}: a tile has {len(body)} bytes for {prod(shape)} pixels; set it aside")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _inflate(body: bytes, size: int, name: str) -> bytes:
    """Return what gzip's bytes hold, never more than is wanted."""
    if size > len(body) * _GZIP_MOST:
        raise FormatError(f"{name}: a tile of {size} bytes from {len(body)}; the header is damaged, set it aside")
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, size + 1)
    except zlib.error as error:
        raise FormatError(f"{name}: a GZIP tile is damaged ({error}); fetch it again") from error
    if len(plain) > size:
        raise FormatError(f"{name}: a tile has more than the {size} bytes of its pixels; set it aside")
    if not stream.eof:
        raise FormatError(f"{name}: a GZIP tile is cut; fetch it again")
    return plain


def _rice(body: bytes, shape: tuple[int, ...], tiling: Tiling, name: str) -> NDArray[Any]:
    try:
        from astropy.io.fits.hdu.compressed._codecs import Rice1
        from astropy.io.fits.hdu.compressed._compression import CfitsioException
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "FITS tiles need astropy, which is not installed; pip install 'lightkeep[frames]'"
        ) from error
    size = prod(shape)
    if size > (len(body) * 8 // _LOWEST_BITS + 1) * tiling.block:
        raise FormatError(
            f"{name}: a tile of {size} pixels from {len(body)} bytes; the header is damaged, set it aside"
        )
    try:
        numbers = Rice1(blocksize=tiling.block, bytepix=tiling.item, tilesize=size).decode(
            np.frombuffer(body, np.uint8)
        )
    except CfitsioException as error:
        raise FormatError(f"{name}: a RICE tile is damaged ({error}); fetch it again") from error
    plain: NDArray[Any] = numbers[:size].reshape(shape)
    return plain.view(np.uint8) if tiling.item == 1 else plain
