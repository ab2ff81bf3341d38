"""Pickles, by DASCore among others: recognised and refused, never opened.

To unpickle is to run what the file says, whoever wrote it. So this format is told from others by its opcodes
alone, which `pickletools` lists without doing what they say, and a reader explains what to do instead.
"""

from __future__ import annotations

import io
import pickletools
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from archive.errors import FormatError
from ingest.formats.edge import at_edge, name_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.model import Description

__all__ = ["describe", "read", "sniff"]

_HEAD = 4096  # bytes
_FEWEST = 4  # opcodes that make sense one after the other
_NEWEST = 5
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD"}


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the protocol if the file begins with the opcodes of a pickled object, else `None`."""
    file.seek(0)
    head = file.read(_HEAD)
    if head[:1] == b"\x80":
        return str(head[1]) if len(head) > 1 and 2 <= head[1] <= _NEWEST and _names(head) else None  # noqa: PLR2004
    # Protocols 0 and 1 are text-like and have no mark: one that runs to its end and makes an object is one.
    names = _names(head)
    return "0" if names[-1:] == ["STOP"] and _CALLS.intersection(names) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Refuse."""
    _refuse(file)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:  # noqa: ARG001 - a reader's signature
    """Refuse."""
    _refuse(file)


def _names(head: bytes) -> list[str]:
    """Return the names of the opcodes at the beginning of a pickle, none where there are but a few."""
    names: list[str] = []
    try:
        for opcode, _, _ in pickletools.genops(io.BytesIO(head)):
            names.append(opcode.name)
    except ValueError:  # the head ends within one, or no opcode follows
        pass
    return names if len(names) >= _FEWEST else []


def _refuse(file: BinaryIO) -> NoReturn:
    name = name_of(file)
    raise FormatError(
        f"{name}: a pickle, or of no format that is read; a pickle runs whatever its writer put into it, so it is "
        "never opened here. On a machine that trusts its writer, convert it with DASCore: "
        f'spool = dascore.read({name!r}, file_format="PICKLE"); '
        f'dascore.write(spool, "converted.h5", file_format="DASDAE")'
    )
