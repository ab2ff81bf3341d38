"""HDF5 attributes as header values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from ingest.formats.edge import header_wanted
from ingest.formats.fields import plain
from ingest.formats.hdf5 import memory, opened_members
from ingest.formats.hdf5_headers import root_address
from ingest.formats.hdf5_parsing import UNREAD, attributes_in
from ingest.formats.hdf5_values import value_in

__all__ = ["attributes_of", "header_of"]

_MOST_OBJECTS = 100_000


def attributes_of(thing: Any, *names: str) -> dict[str, Any]:
    """Return attributes of a group or dataset that hold values, as JSON-like values.

    References and sequences of varying length are pointers into the file, not values, and are left out.
    An opened file gives the same answer again without reading it again.

    Parameters
    ----------
    thing
        A group or dataset.
    names
        Those to be read, if they are there; without any, all.
    """
    # Not by its address: to tell that, HDF5 walks through the whole object, in a damaged one for a minute.
    said = _attributes_at(thing.id, str(thing.name), names)
    return {name: said[name] for name in names if name in said} if names else said


def _attributes_at(held: Any, place: str, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the attributes of a low-level object at a path, at least those that are named."""
    known = memory()
    if known is None:
        return _by_library(held, names)
    if place not in known.attributes:
        messages = known.messages.get(place)
        if messages is None and names:
            return _by_library(held, names)
        known.attributes[place] = (
            _by_library(held) if messages is None else _completed(held, attributes_in(messages, known.heap))
        )
    return dict(known.attributes[place])


def _by_library(held: Any, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the attributes of a low-level object, all or those that are named, read by the library."""
    import h5py

    if names:
        wanted = [name for one in names if h5py.h5a.exists(held, name := one.encode("utf-8", "surrogateescape"))]
        identifiers = (h5py.h5a.open(held, name) for name in wanted)
    else:
        identifiers = (h5py.h5a.open(held, index=number) for number in range(h5py.h5a.get_num_attrs(held)))
    return {_name(one): plain(_value(held, one)) for one in identifiers if _holds_values(one)}


def _completed(held: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Return attributes found in the header, those left unread there read by the library."""
    import h5py

    for name in [name for name, value in found.items() if value is UNREAD]:
        identifier = h5py.h5a.open(held, name.encode("utf-8", "surrogateescape"))
        if _holds_values(identifier):
            found[name] = plain(_value(held, identifier))
        else:
            del found[name]
    return found


def _name(identifier: Any) -> str:
    return str(identifier.name.decode("utf-8", "surrogateescape"))


def _value(held: Any, identifier: Any) -> Any:
    """Return what h5py's `attrs` gives; numbers and texts of fixed length in a third of its time."""
    import h5py

    dtype = identifier.dtype
    if dtype.kind not in "iufS" or dtype.shape or identifier.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return h5py.AttributeManager(SimpleNamespace(id=held))[_name(identifier)]
    values = np.empty(identifier.shape, dtype=dtype)
    identifier.read(values)
    return values[()] if not values.shape else values


def header_of(root: Any, file: BinaryIO, *, values: bool = False) -> dict[str, dict[str, Any]]:
    """Return the attributes of every group and dataset that has some, by its path; none where no header is wanted.

    Parameters
    ----------
    root
        Where to begin.
    file
        The file that it lies in.
    values
        Whether small datasets are part of the header, as `value`.

    Raises
    ------
    FormatError
        There are too many objects for a header.
    """
    import h5py

    header: dict[str, dict[str, Any]] = {}
    if not header_wanted():
        return header
    waiting, seen = [("/", root["/"].id)], {root_address(file)}
    for _ in range(_MOST_OBJECTS):
        if not waiting:
            return header
        place, held = waiting.pop()
        attributes = _attributes_at(held, place)
        if values and (value := value_in(held, place, file)) is not None:
            attributes["value"] = value
        if attributes:
            header[place] = attributes
        if isinstance(held, h5py.h5g.GroupID):
            waiting += reversed(list(opened_members(held, place, file, seen)))
    raise FormatError(f"more than {_MOST_OBJECTS} objects in one file, or a circle of them; set it aside")


def _holds_values(identifier: Any) -> bool:
    """Return whether an attribute is made of numbers and texts; HDF5 crashes on some others if damaged."""
    import h5py

    dtype = identifier.dtype
    return not dtype.hasobject or (dtype.kind == "O" and h5py.check_string_dtype(dtype) is not None)
