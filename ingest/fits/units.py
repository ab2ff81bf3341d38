"""The HDUs of a FITS file: where each header and each data unit lies.

References
----------
FITS Standard 4.0, sections 3 (file organisation), 4.4.1 (mandatory keywords), 7.3 (binary tables).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from archive.errors import FormatError
from archive.fits.cards import BLOCK, CARD, CardValue, integer, keywords_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Unit", "image_unit", "next_unit", "units_of"]

_END = b"END" + b" " * (CARD - 3)
_BITPIX = (8, 16, 32, 64, -32, -64)
_MOST_AXES = 999
_PART = 24 * BLOCK  # of a header, read at a time
_MOST_HEADER = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One header with its data.

    Parameters
    ----------
    start, data, end
        Where the header starts, where the data start, and where they end without padding, bytes.
    keywords
        The header's values.
    """

    start: int
    data: int
    end: int
    keywords: Mapping[str, CardValue]

    @property
    def is_tiled_image(self) -> bool:
        """Whether this is a table that holds a compressed image."""
        return self.keywords.get("ZIMAGE") is True

    @property
    def is_image(self) -> bool:
        """Whether this is an image with at least one pixel's place."""
        plain = "SIMPLE" in self.keywords or self.keywords.get("XTENSION") == "IMAGE"
        return plain and self.keywords.get("NAXIS", 0) != 0


def units_of(content: bytes, name: str) -> list[Unit]:
    """Return the HDUs of a file, in order.

    Raises
    ------
    FormatError
        This is no FITS file, or it is cut or damaged.
    """
    if not content.startswith(b"SIMPLE  ="):
        raise FormatError(f"{name}: no FITS file, it does not begin with SIMPLE; set it aside")
    units: list[Unit] = []
    at = 0
    while at < len(content):
        if units and not content.startswith(b"XTENSION", at):
            break  # special records, or padding that someone left: kept as bytes
        units.append(_unit(content, at, name))
        at = units[-1].end + -units[-1].end % BLOCK
    return units


def image_unit(units: list[Unit], name: str) -> Unit:
    """Return the first unit that holds an image.

    Raises
    ------
    FormatError
        None does.
    """
    for unit in units:
        if unit.is_image or unit.is_tiled_image:
            return unit
    raise FormatError(f"{name}: none of its {len(units)} HDUs holds an image; set it aside")


def next_unit(file: BinaryIO, start: int, size: int, name: str) -> Unit | None:
    """Return the HDU that starts at a byte of a file, its data unread; `None` where none does.

    Parameters
    ----------
    size
        Bytes of the whole file.

    Raises
    ------
    FormatError
        This is no FITS file, or it is cut or damaged.
    """
    file.seek(start)
    header = file.read(_PART)
    if not header.startswith(b"XTENSION" if start else b"SIMPLE  ="):
        if start:
            return None
        raise FormatError(f"{name}: no FITS file, it does not begin with SIMPLE; set it aside")
    while not _has_end(header) and len(header) < _MOST_HEADER:
        more = file.read(_PART)
        if not more:
            break
        header += more
    unit = _unit(header, 0, name, size - start)
    return Unit(start=start, data=start + unit.data, end=start + unit.end, keywords=unit.keywords)


def _has_end(header: bytes) -> bool:
    at = header.find(_END)
    while at >= 0 and at % CARD:
        at = header.find(_END, at + 1)
    return at >= 0


def _unit(content: bytes, start: int, name: str, length: int | None = None) -> Unit:
    """Return the HDU that starts at a byte; `length` is that of the whole where `content` is only its header."""
    length = len(content) if length is None else length
    end = start
    while True:
        end = content.find(_END, end)
        if end < 0:
            raise FormatError(f"{name}: a header has no END card; the file is cut or damaged, fetch it again")
        if (end - start) % CARD == 0:
            break
        end += 1
    data = end + CARD + -(end + CARD) % BLOCK
    keywords = keywords_of(content[start : end + CARD], name)
    size = _data_size(keywords, name)
    if data + size > length:
        raise FormatError(f"{name}: the file ends at {length}, its data at {data + size}; fetch it again")
    return Unit(start=start, data=data, end=data + size, keywords=keywords)


def _data_size(keywords: Mapping[str, CardValue], name: str) -> int:
    """Return the bytes of the data: |BITPIX| / 8 · GCOUNT · (PCOUNT + NAXIS1 · NAXIS2 · ...)."""
    bitpix, naxis = integer(keywords, "BITPIX", name), integer(keywords, "NAXIS", name)
    if bitpix not in _BITPIX:
        raise FormatError(f"{name}: BITPIX is {bitpix}, which is none of {_BITPIX}; set it aside")
    if not 0 <= naxis <= _MOST_AXES:
        raise FormatError(f"{name}: NAXIS is {naxis}; the header is damaged, set it aside")
    if naxis == 0:
        return 0
    product = 1
    for axis in range(1, naxis + 1):
        length = integer(keywords, f"NAXIS{axis}", name)
        if length < 0:
            raise FormatError(f"{name}: NAXIS{axis} is {length}; the header is damaged, set it aside")
        product *= length
    groups, parameters = integer(keywords, "GCOUNT", name, 1), integer(keywords, "PCOUNT", name, 0)
    if groups < 0 or parameters < 0:
        raise FormatError(f"{name}: GCOUNT is {groups}, PCOUNT is {parameters}; the header is damaged, set it aside")
    return abs(bitpix) // 8 * groups * (parameters + product)
