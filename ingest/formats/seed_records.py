"""The records of a miniSEED file, by their headers: where each lies, and whose samples of when it holds."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from archive.errors import FormatError
from ingest.formats.edge import library, name_of, read_exactly, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Record", "records_of", "version_of"]

_HEAD = 64  # bytes; the fixed header and the blockettes that nearly every writer puts first
_FIXED = 48  # bytes of version 2's fixed header
_SECOND = re.compile(rb"[0-9 ]{6}[DRQM][ \0]")
_THIRD = struct.Struct("<2sBB4xHHBBBBdIIBBHI")  # version 3: all of its fixed header
_LENGTHS = range(7, 21)  # exponents of 2
_LENGTH_BLOCKETTE = 1000
_MOST_SAMPLES = 2  # in a byte: Steim 2 puts seven differences into four


class Record(NamedTuple):
    """One record.

    Parameters
    ----------
    offset, size
        Where it lies, bytes.
    source
        FDSN source identifier of the channel.
    start
        Time of the first sample, ns.
    rate
        Samples a second.
    samples
        Number of samples.
    encoding
        How they are written, as miniSEED counts encodings.
    """

    offset: int
    size: int
    source: str
    start: int
    rate: float
    samples: int
    encoding: int


def version_of(file: BinaryIO) -> str | None:
    """Return the version of the record that a file begins with, `None` if it begins with none."""
    file.seek(0)
    head = file.read(_HEAD)
    if len(head) >= _FIXED and _SECOND.match(head) and _size_of_second(file, 0, head) is not None:
        return "2"
    return "3" if head.startswith(b"MS\x03") and len(head) >= _THIRD.size else None


def records_of(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a file in its order, samples unread.

    Raises
    ------
    FormatError
        Something else lies between them, or the last one is cut.
    """
    pymseed = library("pymseed", "miniSEED")
    end, offset = size_of(file), 0
    while offset < end:
        head = read_exactly(file, offset, min(_HEAD, end - offset))
        size, known = _measured(file, offset, head)
        if size is None or offset + size > end:
            what = "no record begins here" if size is None else f"a record of {size} bytes is cut"
            raise FormatError(f"{name_of(file)}: byte {offset}: {what}; the file is damaged, set it aside")
        # libmseed wants the whole record, and looks at nothing behind the headers until it is to unpack.
        head = read_exactly(file, offset, known) if known > len(head) else head[:known]
        parsed = pymseed.MS3Record.parse(head + bytes(size - len(head)), validate_crc=False)
        if parsed.reclen != size or not 0 <= parsed.samplecnt <= _MOST_SAMPLES * size:
            found = f"{parsed.samplecnt} samples in {parsed.reclen} bytes"
            raise FormatError(f"{name_of(file)}: byte {offset}: {found} of a record of {size}; the file is damaged")
        yield Record(
            offset, size, parsed.sourceid, parsed.starttime, parsed.samprate, parsed.samplecnt, parsed.encoding
        )
        offset += size


def _measured(file: BinaryIO, offset: int, head: bytes) -> tuple[int | None, int]:
    """Return the length of the record that a header begins, and how much of it is header."""
    if head.startswith(b"MS\x03") and len(head) >= _THIRD.size:
        *_, source, extra, data = _THIRD.unpack_from(head)
        known = _THIRD.size + source + extra
        return known + data, known
    if len(head) < _FIXED or not _SECOND.match(head):
        return None, len(head)
    size = _size_of_second(file, offset, head)
    (begin,) = struct.unpack_from(_order_of(head) + "H", head, 44)
    return size, min(max(begin, _FIXED), size or _FIXED)


def _order_of(head: bytes) -> str:
    """Return the byte order of a record of version 2: the year tells."""
    (year,) = struct.unpack_from(">H", head, 20)
    return ">" if 1900 <= year <= 2100 else "<"  # noqa: PLR2004 - years of the byte order that they are read in


def _size_of_second(file: BinaryIO, offset: int, head: bytes) -> int | None:
    """Return the length of a record of version 2, which stands in its blockette 1000, `None` without."""
    order = _order_of(head)
    (at,) = struct.unpack_from(order + "H", head, 46)
    for _ in range(struct.unpack_from("B", head, 39)[0]):
        if at < _FIXED:
            return None
        begin = head[at : at + 8] if at + 8 <= len(head) else read_exactly(file, offset + at, 8)
        kind, following, _, _, exponent, _ = struct.unpack(order + "HHBBBB", begin)
        if kind == _LENGTH_BLOCKETTE:
            return 1 << exponent if exponent in _LENGTHS else None
        if following <= at:
            return None
        at = following
    return None
