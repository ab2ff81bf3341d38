"""Files as vendors write them: PRODML 2.1, and Silixa's TDMS 4713."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.times import ns_to_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Header", "write_prodml", "write_tdms"]

_LEAD_IN = 28  # bytes
_TDMS_VERSION = 4713
_WITH_META_DATA, _NEW_OBJECTS, _WITH_RAW_DATA, _INTERLEAVED = 1 << 1, 1 << 2, 1 << 3, 1 << 5
_NO_RAW_DATA = 0xFFFFFFFF
_TDMS_TYPES = {"i2": 2, "i4": 3, "f4": 9, "f8": 10}
_EPOCH_1904 = -int(np.datetime64("1904-01-01", "s").astype(np.int64))  # s before 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the header of a file says.

    Parameters
    ----------
    start
        Time of the first sample, ns since 1970 UTC.
    rate
        Samples a second.
    spacing
        Of the channels, m.
    first_locus
        Number of the first channel, counted from where the distance is 0.
    gauge_length
        m.
    pulse_width
        ns.
    instrument
        Name of the interrogator.
    acquisition
        What all files of one acquisition have in common.
    """

    start: int
    rate: float = 1000.0
    spacing: float = 1.0
    first_locus: int = 0
    gauge_length: float = 10.0
    pulse_width: float = 50.0
    instrument: str = "synthetic"
    acquisition: str = "fibre"


def write_prodml(
    path: Path, samples: NDArray[Any], header: Header, *, dims: tuple[str, str] = ("time", "locus")
) -> Path:
    """Write a PRODML 2.1 file and return its path.

    Parameters
    ----------
    path
        The file to write.
    samples
        Shape (samples, channels), whatever the order in the file.
    header
        Its times are rounded to microseconds, as the standard prescribes.
    dims
        The order in the file: time and locus, or the other way.
    """
    import h5py

    count, loci = samples.shape
    offsets = np.rint(np.arange(count) * (1e6 / header.rate)).astype(np.int64)
    stamps = (header.start + 500) // 1000 + offsets
    parts = {"Start": _iso(int(stamps[0])), "End": _iso(int(stamps[-1]))}
    common = {"NumberOfLoci": loci, "StartLocusIndex": header.first_locus}
    with h5py.File(path, "w") as root:
        root.attrs["uuid"] = _uuid(header, "file")
        acquisition = root.create_group("Acquisition")
        _put(acquisition, common | _acquisition_attributes(header, parts["Start"]))
        raw = acquisition.create_group("Raw[0]")
        rate = {"OutputDataRate": header.rate, "OutputDataRate.uom": "Hz"}
        units = {"RawDataUnit": "(nm/m)/s * Hz/m", "RawDescription": "Strain rate"}
        _put(raw, common | rate | units | {"uuid": _uuid(header, "raw")})
        times = raw.create_dataset("RawDataTime", data=stamps)
        span = {f"Part{end}Time": text for end, text in parts.items()} | {"Count": count, "StartIndex": 0}
        _put(times, span | {f"{end}Time": text for end, text in parts.items()} | {"Uom": "us"})
        ordered = samples if dims[0] == "time" else np.ascontiguousarray(samples.T)
        data = raw.create_dataset("RawData", data=ordered)
        _put(data, span | {"Count": samples.size})
        data.attrs["Dimensions"] = np.array([name.encode() for name in dims])
    return path


def _acquisition_attributes(header: Header, start: str) -> dict[str, Any]:
    return {
        "AcquisitionId": str(uuid.uuid5(uuid.NAMESPACE_OID, header.acquisition)),
        "AcquisitionDescription": "synthetic",
        "FacilityId": header.acquisition,
        "GaugeLength": header.gauge_length,
        "GaugeLength.uom": "m",
        "MaximumFrequency": header.rate / 2,
        "MaximumFrequency.uom": "Hz",
        "MeasurementStartTime": start,
        "MinimumFrequency": 0.0,
        "MinimumFrequency.uom": "Hz",
        "PulseRate": header.rate,
        "PulseRate.uom": "Hz",
        "PulseWidth": header.pulse_width,
        "PulseWidth.uom": "ns",
        "ServiceCompanyName": header.instrument,
        "SpatialSamplingInterval": header.spacing,
        "SpatialSamplingInterval.uom": "m",
        "TriggeredMeasurement": False,
        "schemaVersion": "2.1",
        "uuid": _uuid(header, "acquisition"),
    }


def _uuid(header: Header, part: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{header.acquisition} {part} {header.start}"))


def _iso(microseconds: int) -> str:
    return f"{np.datetime64(microseconds, 'us')}+00:00"


def _put(thing: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        thing.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def write_tdms(path: Path, samples: NDArray[Any], header: Header, *, interleaved: bool = True) -> Path:
    """Write a TDMS file of one segment as Silixa's iDAS does, and return its path.

    Parameters
    ----------
    path
        The file to write.
    samples
        Shape (samples, channels).
    header
        What the properties of the root say.
    interleaved
        Whether the samples lie time by time; channel by channel otherwise.

    References
    ----------
    NI, *TDMS File Format Internal Structure*.
    """
    count, channels = samples.shape
    kind = _TDMS_TYPES[samples.dtype.str[1:]]
    index = struct.pack("<IIIQ", 20, kind, 1, count)
    root, group = _text("/") + struct.pack("<I", _NO_RAW_DATA), _text("/'Measurement'")
    properties = _silixa_properties(header, samples.shape)
    metadata = b"".join(
        (
            struct.pack("<I", channels + 2),
            root + struct.pack("<I", len(properties)) + b"".join(_property(*item) for item in properties.items()),
            group + struct.pack("<II", _NO_RAW_DATA, 0),
            *(_text(f"/'Measurement'/'{channel}'") + index + struct.pack("<I", 0) for channel in range(channels)),
        )
    )
    contents = _WITH_META_DATA | _NEW_OBJECTS | _WITH_RAW_DATA | (_INTERLEAVED if interleaved else 0)
    ordered = np.ascontiguousarray(samples if interleaved else samples.T)
    lead_in = struct.pack("<4sIIQQ", b"TDSm", contents, _TDMS_VERSION, len(metadata) + ordered.nbytes, len(metadata))
    with path.open("wb") as file:
        file.write(lead_in + metadata)
        file.write(memoryview(ordered.astype(ordered.dtype.newbyteorder("<"), copy=False)).cast("B"))
    return path


def _silixa_properties(header: Header, shape: tuple[int, int]) -> dict[str, Any]:
    """Return the properties of the root, those that readers need first."""
    count, channels = shape
    start = header.first_locus * header.spacing
    nominal = max(round(header.spacing), 1)  # m; the multiplier makes the spacing of it
    stamp = np.datetime64(header.start, "ns")
    return {
        "name": f"{header.instrument}_UTC_{ns_to_text(header.start).replace('-', '').replace(':', '')}",
        "SamplingFrequency[Hz]": float(header.rate),
        "SpatialResolution[m]": float(nominal),
        "StartPosition[m]": float(start),
        "MeasureLength[m]": channels * nominal,
        "StreamTime[s]": count / header.rate,
        "Continuous Mode": True,
        "Start Distance (m)": float(start),
        "Stop Distance (m)": float(start + (channels - 1) * header.spacing),
        "Precise Sampling Frequency (Hz)": float(header.rate),
        "PulseWidth[ns]": float(header.pulse_width),
        "FibreIndex": 1.4682,
        "Fibre Length Multiplier": header.spacing / nominal,
        "Unit Calibration (nm)": 116.0,
        "Tags": "",
        "GaugeLength": float(header.gauge_length),
        "Time Decimation": 1,
        "Acoustic Output": "Differential",
        "GPSTimeStamp": stamp,
        "CPUTimeStamp": stamp,
        "iDASVersion": "synthetic",
        "SystemInfomation.Devices0.SerialNum": header.instrument,  # sic
        "SystemInfomation.OS.HostName": header.instrument,
    }


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def _property(name: str, value: Any) -> bytes:
    if isinstance(value, bool):
        packed = struct.pack("<IB", 0x21, value)
    elif isinstance(value, int):
        packed = struct.pack("<Ii", 3, value)
    elif isinstance(value, float):
        packed = struct.pack("<Id", 10, value)
    elif isinstance(value, np.datetime64):
        seconds, nanoseconds = divmod(int(value.astype("datetime64[ns]").astype(np.int64)), 10**9)
        packed = struct.pack("<IQq", 0x44, -(-(nanoseconds << 64) // 10**9), seconds + _EPOCH_1904)
    else:
        packed = struct.pack("<I", 0x20) + _text(value)
    return _text(name) + packed
