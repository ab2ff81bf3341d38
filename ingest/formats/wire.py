"""Protocol Buffers on the wire, field by field, without a schema and without trust in a length.

References
----------
Protocol Buffers documentation, *Encoding*: varints, wire types, packed repeated fields.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from archive.errors import FormatError
from ingest.formats.edge import read_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BYTES", "Field", "fields_in", "integer", "message", "single", "text_in"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LONGEST_TAG = 20  # bytes of a tag and a length, both varints
_LONGEST_VARINT = 10
_MOST_FIELDS = 4096
_U64 = (1 << 64) - 1


class Field(NamedTuple):
    """One field: its number, its wire type, its value (varints) or where its bytes lie in the file."""

    number: int
    kind: int
    value: int
    start: int
    stop: int


def fields_in(file: BinaryIO, start: int, stop: int) -> Iterator[Field]:
    """Yield the fields of the message that lies from byte `start` to `stop`; bytes of a field are not read.

    Raises
    ------
    FormatError
        What lies there is no message.
    """
    at = start
    for _ in range(_MOST_FIELDS):
        if at == stop:
            return
        head = read_exactly(file, at, min(_LONGEST_TAG, stop - at))
        tag, used = _varint(head, 0)
        kind, value = tag & 7, 0
        if kind in {VARINT, BYTES}:
            value, used = _varint(head, used)
        length = {VARINT: 0, FIXED64: 8, BYTES: value, FIXED32: 4}.get(kind)
        if length is None or not tag >> 3 or at + used + length > stop:
            raise FormatError(f"byte {at}: no field of a message that ends at byte {stop}; the file is damaged")
        yield Field(tag >> 3, kind, value, at + used, at + used + length)
        at += used + length
    raise FormatError(f"byte {start}: a message of more than {_MOST_FIELDS} fields; the file is damaged")


def message(file: BinaryIO, field: Field | None) -> dict[int, Field]:
    """Return the fields of a message inside another by number, the last of each; none where there is none."""
    if field is None or field.kind != BYTES:
        return {}
    return {inner.number: inner for inner in fields_in(file, field.start, field.stop)}


def integer(fields: dict[int, Field], number: int) -> int:
    """Return a signed integer, 0 where the message leaves it out."""
    field = fields.get(number)
    if field is None or field.kind != VARINT:
        return 0
    return field.value - (_U64 + 1) if field.value >> 63 else field.value


def single(file: BinaryIO, fields: dict[int, Field], number: int) -> float:
    """Return a 32-bit float, 0 where the message leaves it out."""
    field = fields.get(number)
    if field is None or field.kind != FIXED32:
        return 0.0
    return float(struct.unpack("<f", read_exactly(file, field.start, 4))[0])


def text_in(file: BinaryIO, fields: dict[int, Field], number: int) -> str:
    """Return a text, empty where the message leaves it out."""
    field = fields.get(number)
    if field is None or field.kind != BYTES:
        return ""
    return read_exactly(file, field.start, field.stop - field.start).decode("utf-8", "replace")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length integer, and where it ends."""
    value = 0
    for position, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that more follows
            return value & _U64, at + position + 1
    raise FormatError("a number of a message does not end; the file is damaged, set it aside")
