"""Febus T1, temperatures (DTS): HDF5 with a sweep in each row of `/Data/Temperature`.

Stokes and anti-Stokes signals lie on a grid of their own in the same file and are not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    float_of,
    in_units,
    nanoseconds,
    ranges_of,
    slow_times,
    text,
    values_coord,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # of the layout; `version` on the root counts the instrument's software
_MARKS = ("Distance", "DistanceSignal", "Temperature", "Time")


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version of the layout if this is a file of a Febus T1, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        return _VERSION if all(hdf5.member(root, f"Data/{name}", file) is not None for name in _MARKS) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        group, array = _data_of(root, file)
        times = hdf5.array_in(group, "Time", file)
        distances = hdf5.array_in(group, "Distance", file)
        if times.size != array.shape[0] or distances.shape != array.shape[1:]:
            found = f"{times.shape} stamps and {distances.shape} distances for samples of {array.shape}"
            raise FormatError(f"{array.name}: {found}; the file is damaged, set it aside")
        coords = slow_times(nanoseconds(times[:].reshape(-1))) | {"distance": values_coord(distances[:])}
        block = Block(
            dims=("time", "distance"),
            coords=coords,
            dtype=hdf5.native(array.dtype),
            attrs=_attrs_of(root, file),
        )
        return Description(format="febus_t1", version=_VERSION, blocks=(block,), header=header_of(root, file))


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return temperatures, time first as in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        _, array = _data_of(root, file)
        return hdf5.read_window(array, ranges_of(window, array.shape))


def _data_of(root: Any, file: BinaryIO) -> tuple[Any, Any]:
    group = hdf5.member(root, "Data", file)
    if group is None:
        raise FormatError("no group /Data: not a file of a Febus T1; set it aside")
    array = hdf5.array_in(group, "Temperature", file)
    if len(array.shape) != 2:  # noqa: PLR2004 - time and distance
        raise FormatError(f"{array.name}: shape {array.shape} is not that of time and distance; set the file aside")
    return group, array


def _attrs_of(root: Any, file: BinaryIO) -> dict[str, Any]:
    parameters = hdf5.member(root, "Parameters", file)
    said = attributes_of(root) | (attributes_of(parameters) if parameters is not None else {})
    return attrs_from(
        {
            "data_category": "DTS",
            "data_type": "temperature",
            "data_units": "degC",
            "instrument_id": text(said.get("device_name")),
            "manufacturer": "Febus Optics",
            "model": "T1",
            "firmware_version": text(said.get("version_soft")),
            "pulse_rate": in_units(said.get("laser_fire_rate"), None, "Hz"),
            "pulse_width": in_units(said.get("laser_pulse_width"), None, "ns"),
            "fiber_refraction_index": float_of(said.get("fiber_effective_index")),
        }
    )
