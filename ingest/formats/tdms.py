"""Silixa TDMS: what iDAS writes, header properties on the root and one channel object for each locus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from archive.errors import InvalidInput
from archive.model import Description
from ingest.formats import ni_tdms
from ingest.formats.edge import at_edge
from ingest.formats.fields import ranges_of
from ingest.formats.silixa import MARKS, block_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_ROOT = "/"
_HEAD = 8192  # bytes, in which the root's first properties lie


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the TDMS version if the file bears a header of Silixa, else `None`; other TDMS files do not."""
    file.seek(0)
    head = file.read(_HEAD)
    if len(head) < ni_tdms.LEAD_IN.size or not head.startswith(ni_tdms.TAG):
        return None
    marks = MARKS[:3]  # those among the first properties
    return str(ni_tdms.LEAD_IN.unpack_from(head)[2]) if all(mark.encode() in head for mark in marks) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file."""
    table = ni_tdms.open_tdms(file)
    block = block_of(table.properties.get(_ROOT, {}), table.shape, table.dtype.newbyteorder("="))
    header = {path: properties for path, properties in table.properties.items() if properties}
    return Description(format="tdms", version=str(table.version), blocks=(block,), header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first."""
    if block != 0:
        raise InvalidInput(f"block {block}: a TDMS file holds one, number 0")
    table = ni_tdms.open_tdms(file)
    rows, channels = ranges_of(window, table.shape)
    return ni_tdms.read_rows(file, table, rows, channels)
