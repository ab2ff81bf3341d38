"""Neubrex RFS, Rayleigh frequency shift (strain or temperature): HDF5 with `data` (time, depth) and its axes.

`stamps_unix` are microseconds since 1970; `stamps` are the same as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    nanoseconds,
    ranges_of,
    slow_times,
    symbol,
    text,
    units_of,
    values_coord,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # files name none
_ARRAYS = ("data", "depth", "stamps", "stamps_unix")
_MARKS = {"DataUnitLabel", "EndDateTime", "StartDateTime"}
_TEMPERATURES = ("deg", "K")


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if this is a Neubrex RFS file, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if not all(hdf5.holds(root, name) for name in _ARRAYS):
            return None
        data = hdf5.child(root, "data", file)
        return _VERSION if data is not None and _MARKS.issubset(data.attrs) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        data = _data_of(root, file)
        times, depth = (hdf5.array_in(root, name, file) for name in ("stamps_unix", "depth"))
        if (times.shape, depth.shape) != (data.shape[:1], data.shape[1:]):
            found = f"{times.shape} stamps and {depth.shape} depths for samples of {data.shape}"
            raise FormatError(f"/data: {found}; the file is damaged, set it aside")
        said = attributes_of(data)
        units = symbol(hdf5.first_value(attributes_of(depth) | said, "units", "Units", "DepthUnitLabel")) or "m"
        block = Block(
            dims=("time", "distance"),
            coords=slow_times(_stamps_of(times[:])) | {"distance": values_coord(depth[:], units=units)},
            dtype=hdf5.native(data.dtype),
            attrs=_attrs_of(said),
        )
        return Description(format="neubrex_rfs", version=_VERSION, blocks=(block,), header=header_of(root, file))


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first as in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        data = _data_of(root, file)
        return hdf5.read_window(data, ranges_of(window, data.shape))


def _data_of(root: Any, file: BinaryIO) -> Any:
    data = hdf5.array_in(root, "data", file)
    if len(data.shape) != 2:  # noqa: PLR2004 - time and depth
        raise FormatError(f"/data: shape {data.shape} is not that of time and depth; set the file aside")
    return data


def _stamps_of(microseconds: NDArray[Any]) -> NDArray[np.int64]:
    if microseconds.dtype.kind == "f":
        return nanoseconds(microseconds, 1000)
    if len(microseconds) and np.abs(microseconds.astype(np.float64)).max() > (1 << 62) / 1000:
        raise FormatError("/stamps_unix: the stamps are no times since 1970; set the file aside")
    return np.asarray(microseconds).astype(np.int64) * 1000


def _attrs_of(said: dict[str, Any]) -> dict[str, Any]:
    label = text(said.get("DataUnitLabel")) or ""
    units = units_of(label.replace("-", ""))
    warm = label.startswith(_TEMPERATURES)
    return attrs_from(
        {
            "data_category": "DTS" if warm else "DSS",
            "data_type": "temperature" if warm else ("strain" if "strain" in label else None),
            "data_units": units,
            "manufacturer": "Neubrex",
            "well_name": text(said.get("WellName")),
            "well_id": text(said.get("WellID")),
            "field_name": text(said.get("FieldName")),
        }
    )
