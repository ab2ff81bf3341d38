"""HDF5 attributes taken from an object's header, as `hdf5_headers` looks through it anyway.

The library opens, types and reads each attribute by itself, through a Python file: 50 to 100 µs, and some
headers have hundreds. Numbers and texts in headers of version 1 are read here in a tenth of that; whatever else
there is stays with the library.

References
----------
HDF5 File Format Specification 3.0: IV.A.2.b (dataspace message), IV.A.2.d (datatype message),
IV.A.2.m (attribute message), III.E (global heap).
"""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from archive.errors import FormatError
from ingest.formats.fields import plain
from ingest.formats.hdf5_headers import ATTRIBUTE, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["UNREAD", "Unread", "attributes_in"]

type _Heaps = Callable[[int], Mapping[int, bytes]]


class Unread:
    """Stands for an attribute that the library has to read."""


UNREAD: Final = Unread()

_WHOLE_NUMBER, _FLOATING, _TEXT, _VARYING = 0, 1, 3, 9  # classes of types
_FLOATS = {  # size in bytes, and how sign, exponent and mantissa lie in it
    4: struct.pack("<HHBBBBI", 0, 32, 23, 8, 0, 23, 127),
    8: struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023),
}
_BIG_ENDIAN, _VAX, _SIGNED = 1, 64, 8
_SPACE_AT = {1: 8, 2: 4}  # where the lengths of a dataspace begin, by its version
_NULL_SPACE = 2
_LAST_RANK = 32


def attributes_in(messages: Iterable[bytes], heap: _Heaps) -> dict[str, Any]:
    """Return the attributes that messages of a header hold by name, sorted, `UNREAD` for those of other types.

    Parameters
    ----------
    messages
        As `hdf5_headers.check_header` returns them.
    heap
        Returns the texts of the global heap at an address, by their number.

    Raises
    ------
    FormatError
        A text lies where there is no heap, or is longer than its place there.
    """
    found = dict(_attribute(message, heap) for message in messages)
    return {name.decode("utf-8", "surrogateescape"): found[name] for name in sorted(found)}


def _attribute(message: bytes, heap: _Heaps) -> tuple[bytes, Any]:
    """Return name and value of one attribute."""
    version, flags, name_size, type_size, space_size = ATTRIBUTE.unpack_from(message)
    unit = 8 if version == 1 else 1
    at = ATTRIBUTE.size + (version == 3)  # noqa: PLR2004 - a version
    name = message[at : at + name_size].split(b"\0")[0]
    type_at = at + -(-name_size // unit) * unit
    space_at = type_at + -(-type_size // unit) * unit
    data_at = space_at + -(-space_size // unit) * unit
    if version > 1 and flags:  # a type or a space that lies elsewhere
        return name, UNREAD
    shape = _shape(message[space_at:data_at])
    if shape is None:
        return name, UNREAD
    return name, _value(message[type_at:space_at], shape, message[data_at:], heap)


def _shape(space: bytes) -> tuple[int, ...] | None:
    """Return the lengths of a dataspace, `None` for one that holds nothing or is not known."""
    at, rank = _SPACE_AT.get(space[0]), space[1]
    if at is None or rank > _LAST_RANK or (space[0] > 1 and space[3] == _NULL_SPACE):
        return None
    return struct.unpack_from(f"<{rank}Q", space, at)


def _value(kind: bytes, shape: tuple[int, ...], data: bytes, heap: _Heaps) -> Any:
    """Return what an attribute of a type and shape holds, as `plain` gives it."""
    family, (size,) = kind[0] & 15, struct.unpack_from("<I", kind, 4)
    if not size or prod(shape) * size > len(data):
        return UNREAD
    if family == _VARYING:
        if kind[1] & 15 != 1:  # a sequence, not a text
            return UNREAD
        return _shaped([_text_at(one, heap) for one in REFERENCE.iter_unpack(data[: prod(shape) * size])], shape)
    dtype = _dtype(kind, family, size)
    if dtype is None:
        return UNREAD
    values = np.frombuffer(data, dtype, prod(shape))
    if family == _TEXT:
        terminated = kind[1] & 15 == 0
        texts = [bytes(one).split(b"\0")[0] if terminated else bytes(one) for one in values.tolist()]
        return _shaped([plain(one) for one in texts], shape)
    return values.reshape(shape).tolist()


def _dtype(kind: bytes, family: int, size: int) -> np.dtype[Any] | None:
    """Return NumPy's name of a type of fixed length, `None` where it has none."""
    order = ">" if kind[1] & _BIG_ENDIAN else "<"
    if family == _WHOLE_NUMBER and size in {1, 2, 4, 8} and kind[8:12] == struct.pack("<HH", 0, 8 * size):
        return np.dtype(f"{order}{'i' if kind[1] & _SIGNED else 'u'}{size}")
    if family == _FLOATING and _FLOATS.get(size) == kind[8:20] and not kind[1] & _VAX:
        return np.dtype(f"{order}f{size}")
    if family == _TEXT and kind[1] & 15 in {0, 1}:  # ended by a zero, or filled with them
        return np.dtype(f"S{size}")
    return None


def _text_at(reference: tuple[int, int, int], heap: _Heaps) -> str:
    """Return the text that a reference into a heap leads to."""
    length, at, number = reference
    if not length:
        return ""
    text = heap(at).get(number)
    if text is None or length > len(text):
        raise FormatError(f"a text in the heap at byte {at} is not there; the file is damaged, set it aside")
    return str(plain(text[:length].split(b"\0")[0].decode("utf-8", "surrogateescape")))


def _shaped(values: list[Any], shape: tuple[int, ...]) -> Any:
    """Return values in rows of a shape, one alone without any."""
    if not shape:
        return values[0]
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape).tolist()
