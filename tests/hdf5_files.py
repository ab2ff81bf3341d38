"""Files of HDF5 formats, made to their vendors' layouts: what `write(path)` returns is what they hold."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

START = 1_700_000_000_250_000_000  # ns
SHAPE = (600, 64)  # samples, channels
SECONDS = 1_700_000_000.25  # the same, exactly


def samples(dtype: str = "f4", shape: tuple[int, ...] = SHAPE, seed: int = 11) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(0, 300, shape).astype(dtype)


def _fill(group: Any, values: dict[str, Any]) -> None:
    """Write small datasets, texts of varying length among them, by their path."""
    for name, value in values.items():
        group.create_dataset(name, data=[value.encode()] if isinstance(value, str) else np.atleast_1d(value))


def dascore() -> Any:
    """Return DASCore, whose imports warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        import dascore as found
    return found


def write_ap_sensing(path: Path, rate: int = 500) -> NDArray[Any]:
    data = samples("i4")
    with h5py.File(path, "w") as root:
        root.attrs.update({"AppVersion": ["Collector"], "FileVersion": [10], "OpticalChannelNumber": [1]})
        root["DAS"] = data
        _fill(
            root,
            {
                "DAQ/PositionStart": 124.5,
                "DAQ/PositionEnd": 202.1,
                "DAQ/PulseRate": np.uint32(2000),
                "DAQ/SerialNumber": np.uint32(18645),
                "Interrogator/FiberRefractiveIndex": 1.4682,
                "Interrogator/Model": "N5225B",
                "Interrogator/PulseWidth": np.float32(5),
                "Interrogator/SerialNumber": "DE52000545",
                "Metadata/Timestamp": "2023-11-14T22:13:20.250000Z",
                "Metadata/Timezone": "UTC",
                "Metadata/TraceCount": np.int32(len(data)),
                "ProcessingServer/DataRate": np.int32(rate),
                "ProcessingServer/DataType": "SCALED_DIFFERENTIAL_PHASE_32",
                "ProcessingServer/GaugeLength": np.float32(4.9),
                "ProcessingServer/RadiansToNanoStrain": 21.54,
                "ProcessingServer/SpatialSampling": np.float32(1.2),
            },
        )
        for name in ("DAQ/PositionStart", "DAQ/PositionEnd", "Interrogator/PulseWidth"):
            root[name].attrs["Unit"] = ["m"]
        root["DAQ/PulseRate"].attrs["Unit"] = ["Hz"]
    return data


def write_optodas(
    path: Path, version: int = 8, scale: float = 1.0, channels: NDArray[Any] | None = None, *, transposed: bool = False
) -> NDArray[Any]:
    data = samples("f4")
    channels = np.arange(SHAPE[1]) * 5 + 100 if channels is None else channels
    dims = ["time", "distance"]
    with h5py.File(path, "w") as root:
        root.create_group("acqSpec")
        root["cableSpec/refractiveIndex"] = 1.4677
        root["data"] = data.T if transposed else data
        root["fileVersion"] = version
        header = root.create_group("header")
        header["channels"] = channels.astype("i4")
        header["dataScale"] = np.float32(scale)
        header["dimensionNames"] = np.array(dims[::-1] if transposed else dims, "S8")
        header["dimensionUnits"] = np.array(["m", "s"] if transposed else ["s", "m"], "S1")
        for at, dim in enumerate(dims[::-1] if transposed else dims):
            ranges = header.create_group(f"dimensionRanges/dimension{at}")
            ranges["min"], ranges["max"] = (0, SHAPE[0] - 1) if dim == "time" else (channels[:1], channels[-1:])
            ranges["unitScale"] = 0.002 if dim == "time" else 1.02
        for name, value in {
            "dt": 0.002,
            "dx": 1.02,
            "experiment": b"TEST",
            "gaugeLength": 10.2,
            "instrument": b"fsic044",
            "name": b"Phase rate per distance",
            "time": SECONDS,
            "unit": b"rad/m/s",
        }.items():
            header[name] = value
    return data


def write_febus(
    path: Path,
    version: int = 2,
    stamps: NDArray[np.float64] | None = None,
    *,
    overlap: int = 100,
    name: str = "StrainRate",
) -> NDArray[Any]:
    """Write blocks of 2 s at 100 Hz, one each second; return what is new in each, block after block."""
    stamps = SECONDS + np.arange(6.0) if stamps is None else stamps
    rows, kept = 100 + overlap, 100
    series = samples("f4", (len(stamps) * kept + overlap, 32))
    blocks = np.stack([series[at * kept : at * kept + rows] for at in range(len(stamps))])
    said = {
        "AmpliPower": [33],
        "BlockOverlap": [overlap],
        "BlockRate": [1000],
        "Extent": [20, 51, 0, rows - 1, 0, 0],
        "GaugeLength": [5.0],
        "Hostname": b"fa1-0001",
        "Origin": [10.0, -rows * 5.0, 0.0],
        "PulseRateFreq": [25_000_000],
        "PulseWidth": [1],
        "SamplingRate": [500_000_000],
        "Spacing": [0.4, 10.0, 1.0],
        "WholeExtent": [0, 100, 0, rows - 1, 0, 0],
    }
    if version > 1:
        said["Version"] = b"2.3.21"
    with h5py.File(path, "w") as root:
        source = root.create_group("fa1-0001/Source1")
        source.attrs.update(said)
        source["time"] = stamps if version > 1 else stamps[None, :]
        zone = source.create_group("Zone1")
        zone.attrs.update(said)
        zone.create_dataset(name, data=blocks, chunks=(1, rows, 32))
    first = overlap // 2
    return np.asarray(series[first : first + len(stamps) * kept])


def write_febus_t1(path: Path, stamps: NDArray[np.float64] | None = None) -> NDArray[Any]:
    stamps = SECONDS + np.cumsum(np.random.default_rng(3).uniform(20.80, 20.82, 40)) if stamps is None else stamps
    data = samples("f8", (len(stamps), 500))
    with h5py.File(path, "w") as root:
        root.attrs.update({"device": b"DTS", "device_name": b"ft1-0001", "version_soft": b"2.1.1"})
        root.create_dataset("Data/Temperature", data=data, chunks=(1, 500))
        root["Data/Time"] = stamps[:, None]
        root["Data/Distance"] = 0.04 + np.arange(500) * 0.08
        root["Data/DistanceSignal"] = np.arange(700) * 0.08 - 10
        root.create_group("Parameters").attrs.update(
            {"fiber_effective_index": [1.47], "laser_fire_rate": [100_000], "laser_pulse_width": [20]}
        )
    return data


def write_febus_g1(path: Path, mode: str = "strain", channels: int = 5000) -> NDArray[Any]:
    data = samples("f8", (1, channels)).round(6)
    head = {
        "spatial resolution": "1",
        "sampling resolution": "0.100000",
        "channel": "1",
        "start time": "1700000000.250000;2023-11-14T22:13:20+0000",
        "end time": "1700000061.639110;2023-11-14T22:14:21+0000",
        "mode": mode,
        "fiberFrom": "700",
        "fiberTo": f"{700 + channels // 10}",
        "ZoneCount": "0;",
    }
    lines = [f"Param;{name};{value}" for name, value in head.items()] + [f"{value:f}" for value in data[0]]
    path.write_text("\n".join(lines) + "\n")
    return data


def write_febus_g1_hdf5(path: Path, name: str = "bsl_data") -> NDArray[Any]:
    data = samples("f8", (12, 800) if name == "bsl_data" else (6, 60, 80))
    with h5py.File(path, "w") as root:
        root.attrs.update({"channel": [1], "fiberFrom": [0], "fiberTo": [80], "formatVersion": 1, "mode": [1]})
        root.attrs.update({"freq_offset_abs": [10_800.0], "freq_step": [1.5], "spatial_resolution": [1.0]})
        root[name] = data
        root["distances"] = np.arange(data.shape[1]) * 0.1
        root["start_times"] = SECONDS + np.arange(len(data)) * 60.5
        root["end_times"] = SECONDS + np.arange(1, len(data) + 1) * 60.5
        root["temperatures"] = np.full(len(data), 24.5)
    return data


def write_gdr(path: Path, *, transposed: bool = False) -> NDArray[Any]:
    data = samples("f4")
    with h5py.File(path, "w") as root:
        root.create_group("DasMetadata").attrs.update(
            {"MetadataStandard": "DAS-RCN v1.10", "NetworkCode": "NaN", "RawDataStandard": "PRODML v2.2"}
        )
        root.create_group("DasMetadata/Cable/Fiber").attrs["FiberMode"] = "single-mode"
        root.create_group("DasMetadata/Interrogator").attrs["SerialNumber"] = "iDAS17"
        root.create_group("DasMetadata/Interrogator/Acquisition").attrs.update(
            {
                "AcquisitionSampleRate": "500",
                "AcquisitionSampleRateUnit": "Hz",
                "GaugeLength": "10",
                "GaugeLengthUnit": "meters",
                "PulseWidth": "50",
                "PulseWidthUnit": "nanoseconds",
                "SpatialSamplingInterval": "1.021",
                "SpatialSamplingIntervalUnit": "meters",
                "UnitOfMeasure": "NaN",
            }
        )
        raw = root.create_dataset("DasRawData/RawData", data=data.T if transposed else data)
        raw.attrs["DasDimensions"] = ["locus", "time step"] if transposed else ["time step", "locus"]
        root["DasRawData/DasTimeArray"] = START + np.arange(SHAPE[0], dtype="u8") * 2_000_000
    return data


def write_h5simple(path: Path, dtype: str = "f8", *, distance: bool = False) -> NDArray[Any]:
    data = samples("f4")
    with h5py.File(path, "w") as root:
        root["data" if distance else "raw"] = data.T if distance else data
        steps = np.arange(SHAPE[0])
        root["time" if distance else "timestamp"] = (
            SECONDS + steps * 0.002 if dtype == "f8" else START + steps * 2 * 10**6
        )
        if distance:
            root["distance"] = np.arange(SHAPE[1]) * 2.5
    return data


def write_neubrex_das(path: Path) -> NDArray[Any]:
    data = samples("f4")
    with h5py.File(path, "w") as root:
        root.create_dataset("Acoustic", data=data).attrs.update(
            {
                "CPUTimeStamp(UTC)": "2023-11-14T22:13:21.250000",
                "DataPhysicalUnit": "micro-strain",
                "DistanceDecimationFilter": 0,
                "GPSTimeStamp(UTC)": "2023-11-14T22:13:20.250000",
                "GaugeLength": 10.0,
                "GaugeLengthUnits": "m",
                "IndexOfRefraction": 1.468,
                "NEUBRESCOPE.DAS.Model": "NBX-S4000",
                "NEUBRESCOPE.DAS.SerialNum": "4711",
                "SpatialSamplingInterval": 0.5,
                "StartPosition": 12.5,
                "StartStopPositionUnit": "m",
                "StopPosition": 44.5,
                "TimeDecimationFilter": 0,
                "TimeSamplingInterval(seconds)": 0.002,
            }
        )
    return data


def write_neubrex_rfs(path: Path, label: str = "micro-strain") -> NDArray[Any]:
    data = samples("f8", (60, 200))
    stamps = START // 1000 + np.arange(60) * 30_000_000 + np.random.default_rng(2).integers(-9000, 9000, 60)
    with h5py.File(path, "w") as root:
        root["data"] = data
        root["data"].attrs.update(
            {"DataUnitLabel": label, "EndDateTime": "x", "StartDateTime": "x", "WellName": "78B-32"}
        )
        root["depth"] = np.arange(200) * 0.2
        root["stamps"] = [str(stamp).encode() for stamp in stamps]
        root["stamps_unix"] = stamps
    return data


def write_dashdf5(path: Path, *, time_first: bool = False) -> NDArray[Any]:
    data = samples("f4")
    with h5py.File(path, "w") as root:
        root.attrs["Conventions"] = ["CF-1.7", "DAS-HDF5-1.0"]
        root.attrs["project"] = "TEST"
        root["das"] = data if time_first else data.T
        root["das"].attrs["long_name"] = "strain rate"
        root["t"] = SECONDS + np.arange(SHAPE[0]) * 0.002
        root["trace"], root["channel"] = np.arange(SHAPE[0]), np.arange(SHAPE[1])
        for name in "xyz":
            root[name] = np.random.default_rng(ord(name)).normal(5e5, 1e3, SHAPE[1])
            root[name].attrs["units"] = "m"
        root["crs"] = 0
        root["crs"].attrs["epsg_code"] = "EPSG:32611"
    return data


def write_dasdae(path: Path, patches: int = 1) -> NDArray[Any]:
    """Write patches by DASCore itself, one second apart from each other; return the first."""
    dc = dascore()
    data = samples("f4")
    made = []
    for number in range(patches):
        times = np.arange(SHAPE[0]) * 2_000_000 + START + number * 3 * 10**9
        coords = {
            "distance": np.arange(SHAPE[1]) * 2.5,
            "elevation": ("distance", np.sqrt(np.arange(SHAPE[1]))),
            "time": times.view("M8[ns]"),
        }
        attrs = {"data_units": "m/s", "gauge_length": 10.0, "network": "XX", "data_type": "velocity"}
        patch = dc.Patch(data=(data + number).T, coords=coords, dims=("distance", "time"), attrs=attrs)
        made.append(patch.set_units("m/s", distance="m"))
    dc.write(dc.spool(made), path, "dasdae")
    return data


def write_netcdf(path: Path) -> NDArray[Any]:
    """Write by xarray: dense coordinates, time second, packed."""
    import xarray

    data = samples("f4")
    times = (np.arange(SHAPE[0]) * 2_000_000 + START).view("M8[ns]")
    coords = {"distance": ("distance", np.arange(SHAPE[1]) * 2.5, {"units": "m"}), "time": times}
    coords["elevation"] = ("distance", np.sqrt(np.arange(SHAPE[1])), {"units": "m"})
    array = xarray.DataArray(data.T, coords, ("distance", "time"), name="strain_rate")
    array.attrs.update({"units": "1/s", "gauge_length": 10.0})
    array.to_netcdf(path, engine="h5netcdf")
    return data


def write_xdas(path: Path, ties: list[int] | None = None, gap: int = 0, *, old: bool = False) -> NDArray[Any]:
    """Write as xdas does: tie points in place of dense coordinates, a gap (ns) before the last stretch."""
    import h5netcdf

    data = samples("f4")
    ties = [0, SHAPE[0] - 1] if ties is None else ties
    stamps = np.array(ties) * 2_000_000 + START
    stamps[len(ties) // 2 :] += gap
    with h5netcdf.File(path, "w") as root:
        root.attrs["Conventions"] = "CF-1.13"
        root.dimensions = {"time": SHAPE[0], "distance": SHAPE[1], "time_points": len(ties), "distance_points": 2}
        mappings = []
        for dim, at, values in (("time", ties, stamps - START), ("distance", [0, SHAPE[1] - 1], [10.0, 167.5])):
            root.create_variable(f"{dim}_indices", (f"{dim}_points",), "i8", data=np.array(at))
            held = root.create_variable(
                f"{dim}_values", (f"{dim}_points",), "i8" if dim == "time" else "f8", data=np.array(values)
            )
            held.attrs["units"] = "nanoseconds since 2023-11-14 22:13:20.250" if dim == "time" else "m"
            container = root.create_variable(f"{dim}_interpolation", (), "f8", data=np.nan)
            container.attrs["interpolation_name"] = "linear"
            container.attrs["tie_point_mapping"] = f"{dim}: {dim}_indices {dim}_points"
            mappings.append(f"{dim}: {dim}_indices {dim}_values" if old else f"{dim}_values: {dim}_interpolation")
        values = root.create_variable("__values__", ("time", "distance"), "f4", data=data)
        values.attrs["coordinate_interpolation"] = " ".join(mappings)
    return data


HDF5_FILES: dict[str, tuple[str, Callable[[Path], NDArray[Any]]]] = {
    "ap_sensing": ("ap_sensing", write_ap_sensing),
    "dasdae": ("dasdae", write_dasdae),
    "dashdf5": ("dashdf5", write_dashdf5),
    "febus 1": ("febus", lambda path: write_febus(path, 1)),
    "febus 2": ("febus", write_febus),
    "febus_g1": ("febus_g1", write_febus_g1),
    "febus_g1_hdf5, spectra": ("febus_g1_hdf5", lambda path: write_febus_g1_hdf5(path, "mtx")),
    "febus_g1_hdf5, strain": ("febus_g1_hdf5", write_febus_g1_hdf5),
    "febus_t1": ("febus_t1", write_febus_t1),
    "gdr, locus first": ("gdr", lambda path: write_gdr(path, transposed=True)),
    "h5simple": ("h5simple", write_h5simple),
    "h5simple, distance first": ("h5simple", lambda path: write_h5simple(path, "i8", distance=True)),
    "netcdf": ("netcdf", write_netcdf),
    "netcdf, xdas": ("netcdf", write_xdas),
    "neubrex_das": ("neubrex_das", write_neubrex_das),
    "neubrex_rfs": ("neubrex_rfs", write_neubrex_rfs),
    "optodas 11": ("optodas", lambda path: write_optodas(path, 11, 0.25, transposed=True)),
}
HDF5_REAL = {
    "ap_sensing_1.hdf5": "ap_sensing",
    "decimated_optodas.hdf5": "optodas",
    "deformation_rate_event_1.hdf5": "dasdae",
    "febg1_C1_2023-05-10T12.25.03+0000.bsl": "febus_g1",
    "febus_2.h5": "febus",
    "febus_dts_1_C1_20250424_231747.h5": "febus_t1",
    "gdr_1.h5": "gdr",
    "h5_simple_1.h5": "h5simple",
}
