"""PRODML 2.1: one acquisition with one array `Raw[0]`, times in whole microseconds.

References
----------
Energistics, *PRODML Technical Usage Guide* 2.1, DAS data: `Acquisition`, `Raw`, `RawData`, `RawDataTime`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis

if TYPE_CHECKING:
    from pathlib import Path

    from archive.export.recording import Recording

__all__ = ["write"]

_MICROSECOND = 1000  # ns


def write(recording: Recording, path: Path) -> None:
    """Write one file.

    Raises
    ------
    InvalidInput
        Its times or its distances cannot be written exactly.
    """
    import h5py

    recording.no_scale()
    first, spacing = recording.spacing()
    count, loci = recording.two_dims()
    stamps, rate = _stamps_of(recording)
    begin, end = (f"{np.datetime64(int(stamp), 'us')}+00:00" for stamp in (stamps[0], stamps[-1]))
    common = {"NumberOfLoci": loci, "StartLocusIndex": first}
    span = {"PartStartTime": begin, "PartEndTime": end, "StartIndex": 0}
    with h5py.File(path, "w") as root:
        root.attrs["uuid"] = np.bytes_(str(uuid.uuid4()))
        acquisition = root.create_group("Acquisition")
        _put(acquisition, common | _said(recording, rate, spacing) | {"MeasurementStartTime": begin})
        raw = acquisition.create_group("Raw[0]")
        attrs = recording.patch.attrs
        described = {"RawDataUnit": attrs.get("data_units"), "RawDescription": attrs.get("data_type")}
        _put(raw, common | described | {"OutputDataRate": rate, "OutputDataRate.uom": "Hz", "uuid": str(uuid.uuid4())})
        times = raw.create_dataset("RawDataTime", data=stamps)
        _put(times, span | {"Count": count, "Uom": "us"})
        data = raw.create_dataset("RawData", shape=(count, loci), dtype=recording.patch.dtype)
        for part, samples in recording.blocks():
            data[part] = samples
        _put(data, span | {"Count": count * loci})
        data.attrs["Dimensions"] = np.array([b"time", b"locus"])


def _stamps_of(recording: Recording) -> tuple[Any, float]:
    """Return the stamps, µs, and the rate, Hz, from which a reader has the same times again."""
    step, axis = recording.step(), recording.axis
    rate = float(recording.rate())
    if axis.first % _MICROSECOND:
        raise recording.says(
            f"it counts whole microseconds, and the first sample is at {axis[0]}; write it as netcdf, "
            "or start it elsewhere"
        )
    stamps = axis.to_ns()
    if np.abs(TimeAxis.from_rate(axis.first, rate, axis.size).to_ns() - stamps).max() > 1:
        raise recording.says(f"a step of {step} ns is no rate that it can name; write it as netcdf")
    return (stamps + _MICROSECOND // 2) // _MICROSECOND, rate


def _said(recording: Recording, rate: float, spacing: float) -> dict[str, Any]:
    attrs = recording.patch.attrs
    units = recording.patch.coords["distance"].units or "m"
    quantities = {
        "GaugeLength": (attrs.get("gauge_length"), "m"),
        "MaximumFrequency": (rate / 2, "Hz"),
        "MinimumFrequency": (0.0, "Hz"),
        "PulseRate": (attrs.get("pulse_rate"), "Hz"),
        "PulseWidth": (attrs.get("pulse_width"), "ns"),
        "SpatialSamplingInterval": (spacing, units),
    }
    said: dict[str, Any] = {
        "AcquisitionId": attrs.get("acquisition_id") or str(uuid.uuid4()),
        "FacilityId": attrs.get("station") or attrs.get("dataset"),
        "ServiceCompanyName": attrs.get("manufacturer"),
        "TriggeredMeasurement": False,
        "schemaVersion": "2.1",
        "uuid": str(uuid.uuid4()),
    }
    for name, (value, unit) in quantities.items():
        if value is not None:
            said |= {name: value, f"{name}.uom": unit}
    return said


def _put(thing: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        if value is not None:
            thing.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value
