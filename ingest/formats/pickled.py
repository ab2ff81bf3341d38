"""Pickles, by DASCore among others: recognised and refused, never opened.

To unpickle is to run what the file says, whoever wrote it. So this format is told from others by its first
and last opcodes alone, and a reader explains what to do instead.
"""

from __future__ import annotations

import pickletools
import re
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from archive.errors import FormatError
from ingest.formats.edge import at_edge, name_of, read_exactly, size_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.model import Description

__all__ = ["describe", "read", "sniff"]

_HEAD = 1024  # bytes
_SHORTEST = 4  # bytes
_PROTO, _STOP = 0x80, b"."  # the opcodes that such a file begins and ends with
_MARKED = range(2, 6)  # protocols that begin with their number
_OPCODES = frozenset(ord(opcode.code) for opcode in pickletools.opcodes)
# Protocols 0 and 1 begin with lists or dicts, or at once with the module and the name of what is to be called.
_UNMARKED = re.compile(rb"(?:\((?:[ld]p?\d*\n?)?|[\]}]q.)*c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n", re.DOTALL)


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the protocol if the file begins and ends as a pickled object does, else `None`."""
    size = size_of(file)
    if size < _SHORTEST or read_exactly(file, size - 1, 1) != _STOP:
        return None
    head = read_exactly(file, 0, min(size, _HEAD))
    if head[0] == _PROTO:
        return str(head[1]) if head[1] in _MARKED and head[2] in _OPCODES else None
    return "0" if _UNMARKED.match(head) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Refuse."""
    _refuse(file)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:  # noqa: ARG001 - a reader's signature
    """Refuse."""
    _refuse(file)


def _refuse(file: BinaryIO) -> NoReturn:
    name = name_of(file)
    raise FormatError(
        f"{name}: a pickle, or of no format that is read; a pickle runs whatever its writer put into it, so it is "
        "never opened here. On a machine that trusts its writer, convert it with DASCore: "
        f'spool = dascore.read({name!r}, file_format="PICKLE"); '
        f'dascore.write(spool, "converted.h5", file_format="DASDAE")'
    )
