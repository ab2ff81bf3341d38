"""HDF5 attributes, read so that a damaged one costs neither the process nor its memory.

HDF5 takes the length of a text from the file and makes room for it before it looks whether there is such a
text: one flipped bit costs 4 GB and ten seconds. So the lengths are looked at first. Headers of version 2
have checksums and need no such look.

References
----------
HDF5 File Format Specification 3.0: IV.A.1.a (object header version 1), IV.A.2.m (attribute message),
IV.A.2.q (continuation message), IV.B (variable-length data in the global heap).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from archive.errors import FormatError
from ingest.formats.edge import read_exactly, size_of
from ingest.formats.fields import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["attributes_of", "header_of"]

_MOST_OBJECTS = 100_000
_MOST_BLOCKS = 10_000
_PREFIX = struct.Struct("<BxHIIxxxx")  # version, messages, references, size of the first block
_MESSAGE = struct.Struct("<HHBxxx")  # kind, size, flags
_ATTRIBUTE = struct.Struct("<BxHHH")  # version, sizes of the name, the datatype and the dataspace
_ATTRIBUTE_KIND, _CONTINUATION_KIND = 0x000C, 0x0010
_SHARED = 1 << 1
_VARIABLE_LENGTH = 9
_REFERENCE = struct.Struct("<IQI")  # length, heap, number in it


def attributes_of(thing: Any, file: BinaryIO) -> dict[str, Any]:
    """Return every attribute of a group or dataset that holds values, as JSON-like values.

    References and sequences of varying length are pointers into the file, not values, and are left out.

    Raises
    ------
    FormatError
        A text claims to be longer than the file.
    """
    _check_lengths(thing, file)
    names = (name for name in thing.attrs if _holds_values(thing.attrs.get_id(name)))
    return {str(name): plain(thing.attrs[name]) for name in names}


def header_of(root: Any, file: BinaryIO) -> dict[str, dict[str, Any]]:
    """Return the attributes of every group and dataset that has some, by its path.

    Raises
    ------
    FormatError
        There are too many objects for a header.
    """
    header = {"/": attributes_of(root, file)}
    seen = 0

    def visit(path: str, thing: Any) -> None:
        nonlocal seen
        seen += 1
        if seen > _MOST_OBJECTS:
            raise FormatError(f"more than {_MOST_OBJECTS} objects in one file; set it aside")
        header[f"/{path}"] = attributes_of(thing, file)

    root.visititems(visit)  # follows hard links only
    return {path: values for path, values in header.items() if values}


def _holds_values(identifier: Any) -> bool:
    """Return whether an attribute is made of numbers and texts; HDF5 crashes on some others if damaged."""
    import h5py

    dtype = identifier.dtype
    return not dtype.hasobject or (dtype.kind == "O" and h5py.check_string_dtype(dtype) is not None)


def _check_lengths(thing: Any, file: BinaryIO) -> None:
    """Raise if a text of varying length in an attribute is longer than the file."""
    import h5py

    address = h5py.h5o.get_info(thing.id).addr
    size = size_of(file)
    for name, data in _variable_attributes(file, address):
        for length, _, _ in _REFERENCE.iter_unpack(data[: len(data) // _REFERENCE.size * _REFERENCE.size]):
            if length > size:
                raise FormatError(
                    f"{thing.name}: the attribute {name!r} is longer than the file; it is damaged"
                )


def _variable_attributes(file: BinaryIO, address: int) -> Iterator[tuple[str, bytes]]:
    """Give name and stored bytes of the attributes of varying length in an object header of version 1."""
    version, _, _, first = _PREFIX.unpack(read_exactly(file, address, _PREFIX.size))
    blocks = [(address + _PREFIX.size, first)] if version == 1 else []
    for _ in range(_MOST_BLOCKS):
        if not blocks:
            return
        offset, size = blocks.pop()
        block = read_exactly(file, offset, size)
        at = 0
        while at + _MESSAGE.size <= len(block):
            kind, count, flags = _MESSAGE.unpack_from(block, at)
            message = block[at + _MESSAGE.size : at + _MESSAGE.size + count]
            at += _MESSAGE.size + count
            if kind == _CONTINUATION_KIND:
                blocks.append(struct.unpack_from("<QQ", message))
            elif kind == _ATTRIBUTE_KIND and (found := _variable_attribute(message, flags)):
                yield found
    raise FormatError("an object header without an end; the file is damaged, set it aside")


def _variable_attribute(message: bytes, flags: int) -> tuple[str, bytes] | None:
    """Return name and stored bytes of an attribute message, `None` if its type is of fixed length."""
    version, name_size, type_size, space_size = _ATTRIBUTE.unpack_from(message)
    # Version 1 fills each part up to whole eights of bytes, version 3 has a byte for the name's encoding.
    unit = 8 if version == 1 else 1
    start = _ATTRIBUTE.size + (version == 3)  # noqa: PLR2004 - a version
    ends = [start]
    for size in (name_size, type_size, space_size):
        ends.append(ends[-1] + -(-size // unit) * unit)
    kind = message[ends[1]] & 15 if ends[1] < len(message) else 0
    if flags & _SHARED or (version > 1 and message[1] & 1) or kind != _VARIABLE_LENGTH:
        return None
    return message[start : start + name_size].rstrip(b"\0").decode("utf-8", "replace"), message[ends[3] :]
