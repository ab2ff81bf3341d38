"""PRODML 2.0 and 2.1: one HDF5 file of an acquisition, with one or more arrays `Raw[n]`.

Frequency band extracted and spectrum data (`Processed`) are left to a format of their own.

References
----------
Energistics PRODML Technical Usage Guide, DAS data: `Acquisition`, `Raw`, `RawData` (`Dimensions`),
`RawDataTime` (64-bit integers, microseconds since 1970-01-01T00:00:00 UTC).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    distance_coord,
    in_units,
    number,
    ranges_of,
    recorded_times,
    term,
    text,
    time_of,
    units_of,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.coords import Coord

__all__ = ["describe", "read", "sniff"]

_MARKS = frozenset({"NumberOfLoci", "schemaVersion", "uuid"})
_DIMS = {"locus": "distance", "loci": "distance", "distance": "distance", "time": "time"}
_UNITS_OF_STAMPS = {"us": 1000, "ns": 1, "ms": 10**6, "s": 10**9}  # in ns; the standard's own first
_DAY = 86_400 * 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """One `Raw[n]` of a file, its samples unread."""

    attributes: dict[str, Any]
    data: Any
    times: Any
    dims: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Samples, channels."""
        time, distance = (self.data.shape[self.dims.index(dim)] for dim in ("time", "distance"))
        return time, distance


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the schema version if this is a PRODML file, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        acquisition = hdf5.child(root, "Acquisition", file)
        if acquisition is None or not _MARKS.issubset(acquisition.attrs):
            return None
        return text(attributes_of(acquisition).get("schemaVersion"))


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return one block for each array `Raw[n]`."""
    with hdf5.opened(file) as root:
        acquisition = _acquisition_of(root, file)
        attributes = attributes_of(acquisition)
        return Description(
            format="prodml",
            version=text(attributes.get("schemaVersion")) or "",
            blocks=tuple(_block(raw, attributes) for raw in _raws(acquisition, file)),
            header=header_of(root, file),
        )


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples of one `Raw[n]`, time first, whatever the order in the file."""
    with hdf5.opened(file) as root:
        raws = _raws(_acquisition_of(root, file), file)
        if not 0 <= block < len(raws):
            raise InvalidInput(f"block {block}: the file holds {len(raws)}, counted from 0")
        raw = raws[block]
        order = (raw.dims.index("time"), raw.dims.index("distance"))
        return hdf5.read_ordered(raw.data, order, ranges_of(window, raw.shape))


def _acquisition_of(root: Any, file: BinaryIO) -> Any:
    acquisition = hdf5.child(root, "Acquisition", file)
    if acquisition is None:
        raise FormatError("no group /Acquisition: not a PRODML file; set it aside")
    return acquisition


def _raws(acquisition: Any, file: BinaryIO) -> tuple[_Raw, ...]:
    """Return the arrays in order of time."""
    raws: list[_Raw] = []
    for name in sorted(acquisition):
        group = hdf5.child(acquisition, name, file) if name.lower().startswith("raw") else None
        if group is None or not hdf5.holds(group, "RawData"):
            continue
        data, times = (hdf5.array_in(group, array, file) for array in ("RawData", "RawDataTime"))
        raw = _Raw(attributes=attributes_of(group), data=data, times=times, dims=_dims_of(data))
        if times.shape != raw.shape[:1] or times.dtype.kind not in "iu":
            found = f"{times.shape} stamps of {times.dtype} for {raw.shape[0]} samples"
            raise FormatError(f"{group.name}: {found}; the file is damaged, set it aside")
        raws.append(raw)
    if not raws:
        raise FormatError("no array Raw[n] in /Acquisition, and only those are read; set the file aside")
    return tuple(sorted(raws, key=lambda raw: int(raw.times[0]) if raw.shape[0] else 0))


def _dims_of(data: Any) -> tuple[str, ...]:
    """Return the dims in the file's order; time comes first where the file is silent."""
    named = attributes_of(data).get("Dimensions") or ["time", "locus"]
    words = named.replace(",", " ").split() if isinstance(named, str) else named
    dims = tuple(_DIMS.get(str(word).strip().lower(), str(word)) for word in words)
    if sorted(dims) != ["distance", "time"] or len(data.shape) != len(dims):
        raise FormatError(f"{data.name}: dims {dims} and shape {data.shape}, time and locus are needed")
    return dims


def _block(raw: _Raw, acquisition: dict[str, Any]) -> Block:
    said = acquisition | raw.attributes
    return Block(
        dims=("time", "distance"),
        coords=_times_of(raw) | {"distance": _distance_of(said, raw.shape[1])},
        dtype=hdf5.native(raw.data.dtype),
        attrs=attrs_from(
            {
                "data_category": "DAS",
                "data_type": term(said.get("RawDescription")),
                "data_units": units_of(said.get("RawDataUnit")),
                "acquisition_id": text(said.get("AcquisitionId")),
                "gauge_length": _quantity(said, "GaugeLength", "m"),
                "pulse_rate": _quantity(said, "PulseRate", "Hz"),
                "pulse_width": _quantity(said, "PulseWidth", "ns"),
            }
        ),
    )


def _quantity(said: dict[str, Any], name: str, units: str) -> float | None:
    """Return a quantity in some units: 2.1 names them in `X.uom`, 2.0 in `XUnit`."""
    have = hdf5.first_value(said, f"{name}.uom", f"{name}Unit", f"{name}Units")
    return in_units(said.get(name), have, units)


def _times_of(raw: _Raw) -> dict[str, Coord]:
    """Return the time as `RawDataTime` has it; the header's rate only makes it finer."""
    stamps = raw.times[:].astype(np.int64)
    said = attributes_of(raw.times)
    unit = _unit_of_stamps(said, int(stamps[0]) if len(stamps) else 0)
    if len(stamps) and int(np.abs(stamps).max()) >= (1 << 63) // unit:
        raise FormatError(f"{raw.times.name}: the stamps are no times since 1970; set the file aside")
    return recorded_times(stamps * unit, _quantity(raw.attributes, "OutputDataRate", "Hz"))


def _unit_of_stamps(said: dict[str, Any], first: int) -> int:
    """Return the unit of the stamps in ns.

    The standard prescribes microseconds, but some writers use others; `PartStartTime` tells which.
    """
    named = (text(hdf5.first_value(said, "Uom", "uom")) or "us").replace("µ", "u").replace("μ", "u")
    likely = _UNITS_OF_STAMPS.get(named, 1000)
    start = time_of(hdf5.first_value(said, "PartStartTime", "StartTime"))
    if start is None:
        return likely
    units = (likely, *_UNITS_OF_STAMPS.values())
    return next((unit for unit in units if abs(first * unit - start) < _DAY), likely)


def _distance_of(said: dict[str, Any], size: int) -> Coord:
    """Return the distances: channel n lies at (StartLocusIndex + n) · SpatialSamplingInterval."""
    units = text(hdf5.first_value(said, "SpatialSamplingInterval.uom", "SpatialSamplingIntervalUnit")) or "m"
    first = number(said, "StartLocusIndex") if "StartLocusIndex" in said else 0
    step = number(said, "SpatialSamplingInterval", positive=True)
    if first != int(first):
        raise FormatError(f"StartLocusIndex: {first} in the header is no whole number; set the file aside")
    return distance_coord(start=0.0, step=float(step), size=size, units=units, offset=int(first))
