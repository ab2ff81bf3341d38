"""A frame: one FITS file taken apart so that it can be put together again, byte for byte."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import DamagedData, MissingExtra
from archive.fits.cards import keywords_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archive.fits.cards import CardValue
    from archive.fits.image import Image, Tiling

__all__ = ["Frame", "TileTable", "rice_encode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileTable:
    """Where the compressed tiles lie in the data unit of a file.

    Parameters
    ----------
    rows
        The binary table of tiles verbatim: a few numbers for each tile.
    size
        Of the whole data unit, bytes.
    places
        Start and length of each tile, counted from the data unit's start, shape `(tiles, 2)`.
    kept
        By number, the compressed bytes of tiles that do not encode to themselves.
    whole
        The whole data unit verbatim, where even that does not give it back.
    """

    rows: bytes
    size: int
    places: Any
    kept: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))
    whole: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One FITS file with one image that counts.

    Parameters
    ----------
    name
        Of the file, without folders.
    head
        Every byte before the data of the image: the HDUs before it and its own header.
    image
        The pixels.
    table
        Where its tiles lie, `None` for an image that is not compressed.
    tail
        Every byte behind the data of the image: padding and the HDUs behind it.
    header_start
        Where in `head` the image's own header starts.
    size, sha256
        Of the file.
    values
        The image's header by keyword, where it has been looked at already.
    """

    name: str
    head: bytes
    image: Image
    table: TileTable | None
    tail: bytes
    header_start: int
    size: int
    sha256: str
    values: Mapping[str, CardValue] | None = None

    @property
    def keywords(self) -> Mapping[str, CardValue]:
        """The values of the image's header by keyword, as the file has them."""
        return self.values if self.values is not None else keywords_of(self.head[self.header_start :], self.name)

    @property
    def encodes_to_itself(self) -> bool:
        """Whether the file can be put together from the pixels, without its compressed bytes."""
        return self.table is None or (self.table.whole is None and not self.table.kept)

    def to_bytes(self) -> bytes:
        """Return the file, byte for byte.

        Raises
        ------
        DamagedData
            What comes out is not the file that came in.
        MissingExtra
            The library that encodes tiles is not installed.
        """
        content = b"".join((self.head, self.data_unit(), self.tail))
        if len(content) != self.size or hashlib.sha256(content).hexdigest() != self.sha256:
            raise DamagedData(f"{self.name}: the file cannot be put together as it was; run lightkeep verify")
        return content

    def data_unit(self) -> bytes:
        """Return the bytes of the image's data, without padding."""
        stored = self.image.stored
        if self.table is None:
            return stored.astype(stored.dtype.newbyteorder(">")).tobytes()
        if self.table.whole is not None:
            return self.table.whole
        out = bytearray(self.table.size)
        out[: len(self.table.rows)] = self.table.rows
        tiling = self.image.tiling
        assert tiling is not None  # noqa: S101 - a table of tiles comes with their tiling
        for number, window in enumerate(tiling.windows(self.image.shape)):
            start, length = (int(value) for value in self.table.places[number])
            tile = self.table.kept.get(number)
            if tile is None:
                tile = rice_encode(stored[window], tiling)
            out[start : start + len(tile)] = tile
            if len(tile) != length:
                raise DamagedData(f"{self.name}: tile {number} does not encode to its length; run lightkeep verify")
        return bytes(out)


def rice_encode(integers: Any, tiling: Tiling) -> bytes:
    """Return the bytes of one tile under the RICE algorithm.

    Parameters
    ----------
    integers
        The tile, of the type that has `tiling.item` bytes.

    Raises
    ------
    MissingExtra
        astropy is not installed.
    """
    try:
        from astropy.io.fits.hdu.compressed._codecs import Rice1
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "FITS tiles need astropy, which is not installed; pip install 'lightkeep[frames]'"
        ) from error
    flat = np.ascontiguousarray(integers).ravel().view(f"i{tiling.item}")
    return bytes(Rice1(blocksize=tiling.block, bytepix=tiling.item, tilesize=flat.size).encode(flat))
