"""Small HDF5 datasets as header values: some vendors keep their header in them."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from ingest.formats.edge import read_exactly, size_of
from ingest.formats.fields import plain
from ingest.formats.hdf5 import fits, member
from ingest.formats.hdf5_headers import longest_text

__all__ = ["value_at", "value_in", "value_of"]

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

    return value_in(thing.id, str(thing.name), file) if isinstance(thing, h5py.Dataset) else None


def value_in(held: Any, place: str, file: BinaryIO) -> Any:
    """Return the same of h5py's low-level object at a path, in a third of the time."""
    import h5py

    if not isinstance(held, h5py.h5d.DatasetID):
        return None
    space, properties, dtype = held.get_space(), held.get_create_plist(), held.dtype
    count = space.get_simple_extent_npoints()
    if count > _MOST_VALUES or space.get_simple_extent_type() == h5py.h5s.NULL:
        return None
    if properties.get_external_count() or properties.get_layout() == h5py.h5d.VIRTUAL:
        return None
    if dtype.hasobject:
        return plain(h5py.Dataset(held)[()]) if _holds_texts(held, count, place, file) else None
    if dtype.kind not in "biufcSV" or dtype.shape or not fits(properties, count, dtype.itemsize, file):
        return None
    values = np.empty(space.shape, dtype=dtype)
    if values.size:
        held.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return plain(values)


def _holds_texts(held: Any, count: int, place: str, file: BinaryIO) -> bool:
    """Return whether a dataset is made of texts that lie in the file's heap.

    The references into it are looked through before HDF5 follows them, which it does blindly.
    """
    import h5py

    offset = held.get_offset()
    if offset is None or h5py.check_string_dtype(held.dtype) is None:
        return False
    references = read_exactly(file, offset, count * _REFERENCE)
    if longest_text(references) > size_of(file):
        raise FormatError(f"{place}: a text longer than the file, which is damaged; set it aside")
    return True
