"""Silixa HDF5: one dataset `Acoustic` (time, channel) that bears the header of the iDAS as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from archive.errors import FormatError
from archive.model import Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import ranges_of
from ingest.formats.hdf5_attributes import attributes_of, header_of
from ingest.formats.silixa import MARKS, block_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # files name none


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if this is a Silixa HDF5 file, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        array = hdf5.child(root, "Acoustic", file)
        return _VERSION if array is not None and set(MARKS).issubset(array.attrs) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file."""
    with hdf5.opened(file) as root:
        array = _array_of(root, file)
        block = block_of(attributes_of(array), array.shape, hdf5.native(array.dtype))
        header = header_of(root, file)
        return Description(format="silixa_hdf5", version=_VERSION, blocks=(block,), header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first as in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        array = _array_of(root, file)
        return hdf5.read_window(array, ranges_of(window, array.shape))


def _array_of(root: Any, file: BinaryIO) -> Any:
    array = hdf5.array_in(root, "Acoustic", file)
    if len(array.shape) != 2:  # noqa: PLR2004 - time and distance
        raise FormatError(f"/Acoustic: shape {array.shape} is not that of time and channel; set the file aside")
    return array
