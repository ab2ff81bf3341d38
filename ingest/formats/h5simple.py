"""Plain HDF5: samples in `/raw` or `/data`, stamps in `/timestamp`, `/timestamps` or `/time`, nothing beside.

Stamps are seconds since 1970 where they are floats, else seconds, milliseconds, microseconds or nanoseconds,
whichever makes them a time of this age. As the names are anybody's, only a file whose stamps are such times is
claimed, and none that names another format or convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    channel_coord,
    float_of,
    in_units,
    nanoseconds,
    ranges_of,
    recorded_times,
    symbol,
    text,
    units_of,
    values_coord,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.coords import Coord

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # files name none
_DATA = ("raw", "data")
_TIMES = ("timestamp", "timestamps", "time")
_OTHERS = ("Conventions", "_NCProperties")
_FORMAT_NAMES = ("__format__", "file_format", "format")
_EARLIEST, _LATEST = 2.0e8, 4.0e9  # s since 1970: 1976 to 2096
_UNITS = (1, 10**3, 10**6, 10**9)  # in a second


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout(hdf5.Ordered):
    """Where a file keeps its samples and their stamps."""

    times: Any


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if the file looks like plain HDF5 with stamps, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if not any(hdf5.holds(root, name) for name in _DATA) or not any(hdf5.holds(root, name) for name in _TIMES):
            return None
        return _VERSION if _is_plain(root) and _bears_times(root, file) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        said = attributes_of(root) | attributes_of(layout.data)
        rate = float_of(attributes_of(layout.times).get("sampling_rate"))  # stamps of whole ns tell none as well
        dim, coord = _channels_of(root, file, layout.shape[1])
        block = Block(
            dims=("time", dim),
            coords=recorded_times(_stamps_of(layout.times[:]), rate) | {dim: coord},
            dtype=hdf5.native(layout.data.dtype),
            attrs=attrs_from(
                {
                    "data_category": "DAS",
                    "data_units": units_of(hdf5.first_value(said, "data_units", "units")),
                    "scale_factor": float_of(said.get("scale_factor")),
                    "gauge_length": in_units(said.get("gauge_length"), said.get("gauge_length_units"), "m"),
                }
            ),
        )
        header = header_of(root, file) or {"/": {"arrays": list(root)}}
        return Description(format="h5simple", version=_VERSION, blocks=(block,), header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first, whatever the order in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        return hdf5.read_ordered(layout.data, layout.order, ranges_of(window, layout.shape))


def _is_plain(root: Any) -> bool:
    if any(name in root.attrs for name in _OTHERS):
        return False
    named = hdf5.first_value(attributes_of(root), *_FORMAT_NAMES)
    return named is None or str(named).lower() == "h5simple"


def _bears_times(root: Any, file: BinaryIO) -> bool:
    """Return whether the first stamp is a time of this age."""
    try:
        layout = _layout_of(root, file)
        _stamps_of(layout.times[:1])
    except FormatError:
        return False
    return True


def _layout_of(root: Any, file: BinaryIO) -> _Layout:
    data, times = (_only(root, names, file) for names in (_DATA, _TIMES))
    shape, count = data.shape, times.shape
    if len(shape) != 2 or len(count) != 1 or not count[0] or count[0] not in shape:  # noqa: PLR2004 - time, channel
        raise FormatError(f"{data.name}: shape {shape} with {count} stamps; set the file aside")
    if shape[0] == shape[1] and text(attributes_of(root).get("dims")) is None:
        raise FormatError(f"{data.name}: shape {shape} does not tell which dim is time; set the file aside")
    named = (text(attributes_of(root).get("dims")) or "").split(",")
    first = named.index("time") if "time" in named[:2] else shape.index(count[0])
    if shape[first] != count[0]:
        raise FormatError(f"{data.name}: shape {shape} with {count} stamps along dim {first}; set the file aside")
    return _Layout(data=data, times=times, order=(first, 1 - first))


def _only(root: Any, names: tuple[str, ...], file: BinaryIO) -> Any:
    found = [name for name in names if hdf5.holds(root, name)]
    if len(found) != 1:
        raise FormatError(f"one of {' and '.join(names)} is needed, there are {found}; set the file aside")
    return hdf5.array_in(root, found[0], file)


def _stamps_of(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the stamps in ns."""
    first = float(values[0])
    units = [unit for unit in _UNITS if _EARLIEST <= first / unit < _LATEST]
    if not units or (values.dtype.kind == "f" and units != [1]):
        raise FormatError(f"{first}: the first stamp is no time since 1970; set the file aside")
    if values.dtype.kind == "f":
        return nanoseconds(values)
    whole = values.astype(np.int64)
    if np.abs(whole).max() > _LATEST * units[0]:
        raise FormatError(f"{np.abs(whole).max()}: a stamp is no time since 1970; set the file aside")
    return whole * (10**9 // units[0])


def _channels_of(root: Any, file: BinaryIO, size: int) -> tuple[str, Coord]:
    """Return the other dim and its coordinate: distances where the file has them, else numbers."""
    if not hdf5.holds(root, "distance"):
        return "channel", channel_coord(size)
    array = hdf5.array_in(root, "distance", file)
    if array.shape != (size,):
        raise FormatError(f"/distance: {array.shape} values for {size} channels; set the file aside")
    return "distance", values_coord(array[:], units=symbol(attributes_of(array).get("units")) or "m")
