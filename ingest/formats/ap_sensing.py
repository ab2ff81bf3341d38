"""AP Sensing: HDF5 with its header in small datasets, samples in `DAS` (time, channel).

Two spacings can be had from the header. `distance` spreads the channels evenly over `PositionStart` to
`PositionEnd`, as DASCore does, so that a selection means the same in both. `distance_along_fiber` takes the
instrument's own `SpatialSampling`; the range is one gauge length longer than the channels that fit into it, so
that the two differ by 0.08 % in the sample file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    distance_coord,
    float_of,
    in_units,
    number,
    ranges_of,
    steady_time,
    symbol,
    term,
    text,
    time_of,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of
from ingest.formats.hdf5_values import value_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.coords import Coord

__all__ = ["describe", "read", "sniff"]

_MARKS = {"AppVersion", "FileVersion", "OpticalChannelNumber"}
_GROUPS = ("DAQ", "Interrogator", "Metadata", "ProcessingServer")
_UTC = {"UTC", "UTC+0"}
_SAID = (
    "DAQ/PositionEnd",
    "DAQ/PositionStart",
    "DAQ/PulseRate",
    "Interrogator/FiberRefractiveIndex",
    "Interrogator/Model",
    "Interrogator/PulseWidth",
    "Interrogator/SerialNumber",
    "Metadata/Timestamp",
    "Metadata/Timezone",
    "Metadata/TraceCount",
    "ProcessingServer/DataRate",
    "ProcessingServer/DataType",
    "ProcessingServer/GaugeLength",
    "ProcessingServer/RadiansToNanoStrain",
    "ProcessingServer/SpatialSampling",
)


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the file version if this is a file of AP Sensing, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if not _MARKS.issubset(root.attrs) or not all(hdf5.holds(root, group) for group in _GROUPS):
            return None
        return _version_of(root)


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file."""
    with hdf5.opened(file) as root:
        array = _array_of(root, file)
        said, units = _said(root, file)
        block = Block(
            dims=("time", "distance"),
            coords={"time": _time_of(said, array.shape[0])} | _distances_of(said, units, array.shape[1]),
            dtype=hdf5.native(array.dtype),
            attrs=_attrs_of(said, units),
        )
        return Description(
            format="ap_sensing",
            version=_version_of(root) or "",
            blocks=(block,),
            header=header_of(root, file, values=True),
        )


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first as in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        array = _array_of(root, file)
        return hdf5.read_window(array, ranges_of(window, array.shape))


def _version_of(root: Any) -> str | None:
    return text(attributes_of(root).get("FileVersion"))


def _said(root: Any, file: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values in the header that matter here, and their units, by their paths."""
    said, units = {}, {}
    for path in _SAID:
        thing = hdf5.member(root, path, file)
        value = value_of(thing, file)
        if value is not None:
            said[path], units[path] = _alone(value), _alone(attributes_of(thing).get("Unit"))
    return said, units


def _alone(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _array_of(root: Any, file: BinaryIO) -> Any:
    array = hdf5.array_in(root, "DAS", file)
    if len(array.shape) != 2:  # noqa: PLR2004 - time and distance
        raise FormatError(f"/DAS: shape {array.shape} is not that of time and channel; set the file aside")
    return array


def _time_of(said: dict[str, Any], size: int) -> Coord:
    stamp = text(said.get("Metadata/Timestamp")) or ""
    start = time_of(stamp)
    if start is None:
        raise FormatError(f"Metadata/Timestamp: {stamp!r} is no date and time; set the file aside")
    zone = text(said.get("Metadata/Timezone"))
    if len(stamp) < len("2023-09-24T12:46:31Z") and zone not in _UTC:
        raise FormatError(f"Metadata/Timezone: {zone!r} is not UTC, and the time stamp names no offset; set it aside")
    if "Metadata/TraceCount" in said and number(said, "Metadata/TraceCount") != size:
        raise FormatError(f"/DAS: {size} samples, the header counts {said['Metadata/TraceCount']}; fetch it again")
    return steady_time(start, number(said, "ProcessingServer/DataRate", positive=True), size)


def _distances_of(said: dict[str, Any], units: dict[str, Any], size: int) -> dict[str, Coord]:
    start, stop = (float(number(said, f"DAQ/Position{end}")) for end in ("Start", "End"))
    unit = symbol(units.get("DAQ/PositionStart")) or "m"
    steps = {"distance": (stop - start) / max(size, 1)}
    if "ProcessingServer/SpatialSampling" in said:
        steps["distance_along_fiber"] = float(number(said, "ProcessingServer/SpatialSampling", positive=True))
    return {name: distance_coord(start=start, step=step, size=size, units=unit) for name, step in steps.items()}


def _attrs_of(said: dict[str, Any], units: dict[str, Any]) -> dict[str, Any]:
    def quantity(path: str, want: str) -> float | None:
        return in_units(said.get(path), units.get(path), want)

    return attrs_from(
        {
            "data_category": "DAS",
            "data_type": term(said.get("ProcessingServer/DataType")),
            "instrument_id": text(said.get("Interrogator/SerialNumber")),
            "manufacturer": "AP Sensing",
            "model": text(said.get("Interrogator/Model")),
            "gauge_length": quantity("ProcessingServer/GaugeLength", "m"),
            "pulse_length": quantity("Interrogator/PulseWidth", "m"),
            "pulse_rate": quantity("DAQ/PulseRate", "Hz"),
            "fiber_refraction_index": float_of(said.get("Interrogator/FiberRefractiveIndex")),
            "radians_to_nano_strain": float_of(said.get("ProcessingServer/RadiansToNanoStrain")),
        }
    )
