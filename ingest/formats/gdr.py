"""GDR: the HDF5 layout of the Geothermal Data Repository, DAS-RCN metadata beside PRODML-like arrays.

References
----------
https://gdr.openei.org/das_data_standard
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
    distance_coord,
    float_of,
    in_units,
    number,
    ranges_of,
    recorded_times,
    symbol,
    text,
    units_of,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSIONS = {("DAS-RCN v1.10", "PRODML v2.2"): "1"}
_DIMS = {"time": "time", "time step": "time", "locus": "distance", "loci": "distance"}


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if this is a GDR file, else `None`; the two standards that it names make it."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if hdf5.member(root, "DasRawData/RawData", file) is None:
            return None
        return _version_of(root, file)


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        data, order = _data_of(root, file)
        said = _said(root, file, "DasMetadata/Interrogator/Acquisition")
        size = data.shape[order[1]]
        distance = distance_coord(
            start=0.0,
            step=float(number(said, "SpatialSamplingInterval", positive=True)),
            size=size,
            units=symbol(said.get("SpatialSamplingIntervalUnit")) or "m",
        )
        rate = in_units(said.get("AcquisitionSampleRate"), said.get("AcquisitionSampleRateUnit"), "Hz")
        block = Block(
            dims=("time", "distance"),
            coords=recorded_times(_stamps_of(root, file, data.shape[order[0]]), rate) | {"distance": distance},
            dtype=hdf5.native(data.dtype),
            attrs=_attrs_of(root, file, said),
        )
        version = _version_of(root, file) or ""
        return Description(format="gdr", version=version, blocks=(block,), header=header_of(root, file))


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first, whatever the order in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        data, order = _data_of(root, file)
        shape = tuple(data.shape[axis] for axis in order)
        return hdf5.read_ordered(data, order, ranges_of(window, shape))


def _said(root: Any, file: BinaryIO, path: str) -> dict[str, Any]:
    """Return the attributes of a group that say something; the layout writes NaN where it has nothing."""
    group = hdf5.member(root, path, file)
    if group is None:
        raise FormatError(f"no group /{path}: not a GDR file; set it aside")
    return {name: value for name, value in attributes_of(group).items() if str(value).lower() != "nan"}


def _version_of(root: Any, file: BinaryIO) -> str | None:
    group = hdf5.member(root, "DasMetadata", file)
    if group is None or not {"MetadataStandard", "RawDataStandard"}.issubset(group.attrs):
        return None
    said = attributes_of(group)
    named = str(said.get("MetadataStandard")), str(said.get("RawDataStandard"))
    return _VERSIONS.get(named, " with ".join(named))


def _data_of(root: Any, file: BinaryIO) -> tuple[Any, tuple[int, int]]:
    group = hdf5.member(root, "DasRawData", file)
    if group is None:
        raise FormatError("no group /DasRawData: not a GDR file; set it aside")
    data = hdf5.array_in(group, "RawData", file)
    named = attributes_of(data).get("DasDimensions") or ["time", "locus"]
    dims = [_DIMS.get(str(name).strip().lower(), "") for name in (named if isinstance(named, list) else [named])]
    if sorted(dims) != ["distance", "time"] or len(data.shape) != len(dims):
        raise FormatError(f"{data.name}: dims {named} and shape {data.shape}, time and locus are needed; set it aside")
    return data, (dims.index("time"), dims.index("distance"))


def _stamps_of(root: Any, file: BinaryIO, size: int) -> NDArray[np.int64]:
    """Return the stamps, which the layout keeps in nanoseconds."""
    times = hdf5.array_in(hdf5.member(root, "DasRawData", file), "DasTimeArray", file)
    if times.shape != (size,) or times.dtype.kind not in "iu":
        raise FormatError(f"{times.name}: {times.shape} stamps of {times.dtype} for {size} samples; set it aside")
    return np.asarray(times[:]).astype(np.int64)


def _attrs_of(root: Any, file: BinaryIO, said: dict[str, Any]) -> dict[str, Any]:
    overview, box = (_said(root, file, path) for path in ("DasMetadata", "DasMetadata/Interrogator"))
    fiber = "DasMetadata/Cable/Fiber"
    glass = _said(root, file, fiber) if hdf5.member(root, fiber, file) is not None else {}
    return attrs_from(
        {
            "data_category": "DAS",
            "data_units": units_of(said.get("UnitOfMeasure")),
            "network": text(overview.get("NetworkCode")),
            "instrument_id": text(box.get("SerialNumber")),
            "manufacturer": text(box.get("InterrogatorManufacturer")),
            "model": text(box.get("InterrogatorModel")),
            "firmware_version": text(box.get("FirmwareVersion")),
            "gauge_length": in_units(said.get("GaugeLength"), said.get("GaugeLengthUnit"), "m"),
            "pulse_rate": in_units(said.get("PulseRate"), said.get("PulseRateUnit"), "Hz"),
            "pulse_width": in_units(said.get("PulseWidth"), said.get("PulseWidthUnit"), "ns"),
            "fiber_mode": text(glass.get("FiberMode")),
            "fiber_refraction_index": float_of(glass.get("FiberRefractionIndex")),
        }
    )
