"""Small HDF5 datasets as header values: some vendors keep their header in them."""

from __future__ import annotations

from typing import Any, BinaryIO

from archive.errors import FormatError
from ingest.formats.edge import read_exactly, size_of
from ingest.formats.fields import plain
from ingest.formats.hdf5 import is_held, member
from ingest.formats.hdf5_headers import longest_text

__all__ = ["value_at", "value_of"]

_MOST_VALUES = 4096  # of a header value; longer arrays are tables, not headers
_REFERENCE = 16  # bytes, of a text in the heap


def value_at(root: Any, path: str, file: BinaryIO) -> Any:
    """Return the value of the small dataset at a path, alone where there is one; `None` without it.

    Raises
    ------
    FormatError
        A part of the path is a link, or the dataset is damaged.
    """
    value = value_of(member(root, path, file), file)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def value_of(thing: Any, file: BinaryIO) -> Any:
    """Return what a small dataset of numbers or texts holds, JSON-like; `None` for anything else.

    Raises
    ------
    FormatError
        The dataset is damaged.
    """
    import h5py

    if not isinstance(thing, h5py.Dataset) or thing.size is None or thing.size > _MOST_VALUES:
        return None
    if thing.is_virtual or thing.external or not is_held(thing, file):
        return None
    return plain(thing[()]) if _holds_values(thing, file) else None


def _holds_values(array: Any, file: BinaryIO) -> bool:
    """Return whether a dataset is made of numbers and texts that lie in the file as they are."""
    import h5py

    if not array.dtype.hasobject:
        return array.dtype.kind in "biufcSV"
    # References into the heap are looked through before HDF5 follows them, which it does blindly.
    offset = array.id.get_offset()
    if offset is None or h5py.check_string_dtype(array.dtype) is None:
        return False
    references = read_exactly(file, offset, array.size * _REFERENCE)
    if longest_text(references) > size_of(file):
        raise FormatError(f"{array.name}: a text longer than the file, which is damaged; set it aside")
    return True
