"""HDF5's object headers, looked through before the library reads them.

HDF5 2.0 believes what stands there. It makes room for a text of any length before it looks whether there is
such a text (one flipped bit costs 4 GB and ten seconds), and reads beyond its memory where a type names too
small a size, or a message that is never shared says that it is. Headers of version 2 have checksums and
need no such look.

References
----------
HDF5 File Format Specification 3.0: IV.A.1.a (object header version 1), IV.A.2.d (datatype message),
IV.A.2.e and f (fill value messages), IV.A.2.m (attribute message), IV.A.2.q (continuation message),
III.E (references into the global heap).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

from archive.errors import FormatError
from ingest.formats.edge import read_exactly, size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ATTRIBUTE",
    "REFERENCE",
    "check_header",
    "longest_text",
    "root_address",
    "size_of_lengths",
]

_MOST_BLOCKS = 10_000
_SIGNED = 8  # bytes
_ADDRESS = struct.Struct("<Q")
_ADDRESS_SIZE_AT = {0: 13, 1: 13, 2: 9, 3: 9}  # by the version of the superblock
_ROOT_AT = {0: 64, 1: 68, 2: 36, 3: 36}
_PREFIX = struct.Struct("<BxHIIxxxx")  # version, messages, references, size of the first block
_MESSAGE = struct.Struct("<HHBxxx")  # kind, size, flags
_DATATYPE_KIND, _ATTRIBUTE_KIND, _CONTINUATION_KIND = 0x0003, 0x000C, 0x0010
_ATTRIBUTES_ELSEWHERE_KIND = 0x0015
_OLD_FILL_KIND, _FILL_KIND = 0x0004, 0x0005
_FILL_AT = {1: 8, 2: 8, 3: 6}  # where the value begins, by the version of the message
_SHARED = 1 << 1
ATTRIBUTE = struct.Struct("<BBHHH")  # version, flags, sizes of the name, the datatype and the dataspace
_TYPE = struct.Struct("<B3xI")  # class and version, size
_VARIABLE_LENGTH = 9
_LAST_FORMS = (1, 2, 1)  # sequence or text; how it is padded; ASCII or UTF-8
REFERENCE = struct.Struct("<IQI")  # length, heap, number in it


def root_address(file: BinaryIO) -> int:
    """Return where the header of the root group begins, bytes from the start of the file, as the superblock says.

    HDF5 could tell as well, but walks through all members of the group to do so, in a damaged file for a minute.

    Raises
    ------
    FormatError
        The superblock is of a version or a size that is not known.

    References
    ----------
    HDF5 File Format Specification 3.0, section II.A (superblock).
    """
    version, size_at = read_exactly(file, _SIGNED, 1)[0], _ADDRESS_SIZE_AT
    if version not in size_at or read_exactly(file, size_at[version], 1)[0] != _ADDRESS.size:
        raise FormatError(f"a superblock of version {version} that is not known, or damaged; set the file aside")
    (address,) = _ADDRESS.unpack(read_exactly(file, _ROOT_AT[version], _ADDRESS.size))
    return int(address)


def size_of_lengths(file: BinaryIO) -> int:
    """Return how many bytes a length takes in this file, as the superblock says."""
    version = read_exactly(file, _SIGNED, 1)[0]
    return read_exactly(file, _ADDRESS_SIZE_AT[version] + 1, 1)[0]


def check_header(file: BinaryIO, address: int, name: str) -> list[bytes] | None:
    """Raise if an object's header holds what the library would stumble over.

    Parameters
    ----------
    file
        The file.
    address
        Of the header, bytes from the start of the file.
    name
        What to call the object in a message.

    Returns
    -------
    list of bytes or None
        The messages of its attributes; `None` where they may be elsewhere, or the header is not of version 1.

    Raises
    ------
    FormatError
        The header has no end, shares what is never shared, or has a text longer than the file.
    """
    size = size_of(file)
    varies, longest_fill = False, 0
    messages = list(_messages(file, address))
    for kind, flags, message in messages:
        # Only a committed datatype is shared by headers of this version.
        if flags & _SHARED and kind != _DATATYPE_KIND:
            raise FormatError(f"{name}: a part of the header lies elsewhere; the file is damaged, set it aside")
        if kind == _DATATYPE_KIND and not flags & _SHARED:
            varies = _check_type(message, 0)
        if kind in {_OLD_FILL_KIND, _FILL_KIND}:
            longest_fill = max(longest_fill, longest_text(_fill_of(kind, message)))
        if kind == _ATTRIBUTE_KIND and _longest(message) > size:
            raise FormatError(f"{name}: an attribute is longer than the file, which is damaged; set it aside")
    if varies and longest_fill > size:
        raise FormatError(f"{name}: a fill value is longer than the file, which is damaged; set it aside")
    if not messages or any(kind == _ATTRIBUTES_ELSEWHERE_KIND for kind, _, _ in messages):
        return None
    return [message for kind, _, message in messages if kind == _ATTRIBUTE_KIND]


def _messages(file: BinaryIO, address: int) -> Iterator[tuple[int, int, bytes]]:
    """Give kind, flags and content of the messages of a header of version 1, none of another's."""
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
            yield kind, flags, message
    raise FormatError("an object header without an end; the file is damaged, set it aside")


def _fill_of(kind: int, message: bytes) -> bytes:
    """Return the fill value that a message holds: a reference into the heap, if the type varies in length."""
    return message[4 if kind == _OLD_FILL_KIND or not message else _FILL_AT.get(message[0], len(message)) :]


def _longest(message: bytes) -> int:
    """Return the length of the longest text of varying length in an attribute, 0 if there is none."""
    version, flags, name_size, type_size, space_size = ATTRIBUTE.unpack_from(message)
    # Version 1 fills each part up to whole eights of bytes, version 3 has a byte for the name's encoding.
    unit = 8 if version == 1 else 1
    type_at = ATTRIBUTE.size + (version == 3) + -(-name_size // unit) * unit  # noqa: PLR2004 - a version
    data_at = type_at + sum(-(-size // unit) * unit for size in (type_size, space_size))
    if version > 1 and flags & 1:  # a committed datatype
        return 0
    if not _check_type(message, type_at):
        return 0
    return longest_text(message[data_at:])


def _check_type(message: bytes, at: int) -> bool:
    """Return whether a type is one of varying length; raise if its size is not that of a reference."""
    kind, size = _TYPE.unpack_from(message, at)
    if kind & 15 != _VARIABLE_LENGTH:
        return False
    if size != REFERENCE.size:
        raise FormatError(f"texts of varying length take {REFERENCE.size} bytes, not {size}; set the file aside")
    form, padding, letters = message[at + 1] & 15, message[at + 1] >> 4, message[at + 2] & 15
    if any(found > last for found, last in zip((form, padding, letters), _LAST_FORMS, strict=True)):
        raise FormatError(
            "a type of varying length that is neither text nor sequence; the file is damaged, set it aside"
        )
    return True


def longest_text(references: bytes) -> int:
    """Return the length of the longest text that references into the heap lead to, 0 if there is none."""
    whole = len(references) - len(references) % REFERENCE.size
    return max((length for length, _, _ in REFERENCE.iter_unpack(references[:whole])), default=0)
