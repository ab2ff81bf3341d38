"""Neubrex DAS: HDF5, one dataset `Acoustic` (time, channel) that bears the header."""

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
    units_of,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # files name none
_CLOCKS = ("GPSTimeStamp(UTC)", "CPUTimeStamp(UTC)")
_MARKS = {"NEUBRESCOPE.DAS.Model", "SpatialSamplingInterval", "StartPosition", "StopPosition", *_CLOCKS}
_FILTERS = ("TimeDecimationFilter", "DistanceDecimationFilter")


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if this is a Neubrex DAS file, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        array = hdf5.child(root, "Acoustic", file)
        return _VERSION if array is not None and _MARKS.issubset(array.attrs) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file."""
    with hdf5.opened(file) as root:
        array = _array_of(root, file)
        attributes = attributes_of(array)
        said = {name: value[0] if isinstance(value, list) and value else value for name, value in attributes.items()}
        for name in _FILTERS:
            if float_of(said.get(name, 0)) not in {0.0, 1.0}:
                raise FormatError(f"{name}: {said[name]!r}: decimated files are not read; set the file aside")
        rate = 1 / number(said, "TimeSamplingInterval(seconds)", positive=True)
        distance = distance_coord(
            start=float(number(said, "StartPosition")),
            step=float(number(said, "SpatialSamplingInterval", positive=True)),
            size=array.shape[1],
            units=symbol(said.get("StartStopPositionUnit")) or "m",
        )
        block = Block(
            dims=("time", "distance"),
            coords={"time": steady_time(_start_of(said), rate, array.shape[0]), "distance": distance},
            dtype=hdf5.native(array.dtype),
            attrs=_attrs_of(said),
        )
        return Description(format="neubrex_das", version=_VERSION, blocks=(block,), header=header_of(root, file))


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


def _start_of(said: dict[str, Any]) -> int:
    """Return the time of the first sample, ns; the computer's clock counts where there is no GPS."""
    for name in _CLOCKS:
        start = time_of(said.get(name))
        if start is not None and start > 0:
            return start
    raise FormatError(f"no time in {' or '.join(_CLOCKS)}; set the file aside")


def _attrs_of(said: dict[str, Any]) -> dict[str, Any]:
    units = text(said.get("DataPhysicalUnit"))
    return attrs_from(
        {
            "data_category": "DAS",
            "data_type": term(said.get("DataType")),
            "data_units": None if units is None else units_of(units.replace("-", "")),
            "instrument_id": text(said.get("NEUBRESCOPE.DAS.SerialNum")),
            "manufacturer": "Neubrex",
            "model": text(said.get("NEUBRESCOPE.DAS.Model")),
            "gauge_length": in_units(said.get("GaugeLength"), said.get("GaugeLengthUnits"), "m"),
            "pulse_rate": in_units(said.get("PulseRate"), said.get("PulseRateUnits"), "Hz"),
            "fiber_refraction_index": float_of(said.get("IndexOfRefraction")),
            "phase_to_strain": float_of(said.get("PhaseToStrainConversion(MicroStrainPerRadian)")),
        }
    )
