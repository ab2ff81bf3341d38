"""Samples of every format: real ones from the shared folder, and made ones."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import written
from hdf5_files import HDF5_FILES, HDF5_REAL

from archive.testing import CountingFile, NamedFile
from ingest.synthetic import write_prodml, write_tdms
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

START = 1_700_000_000_123_456_000  # ns
HEADER = Header(start=START, rate=500.0, spacing=2.5, first_locus=-7)
SHAPE = (1500, 800)


@dataclass(frozen=True)
class Sample:
    """One file, the format that it is of, and its samples where they are known."""

    path: Path
    format: str
    samples: NDArray[Any] | None = None

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    def open(self, content: bytes | None = None) -> io.BytesIO:
        """Return the sample, or it with another content, as a file in memory under its name."""
        return NamedFile(self.content if content is None else content, str(self.path))

    @property
    def is_hdf5(self) -> bool:
        return self.content.startswith(b"\x89HDF")


@pytest.fixture(scope="session")
def counting() -> Callable[..., CountingFile]:
    return CountingFile


def _counts(dtype: str = "i2") -> NDArray[Any]:
    return np.random.default_rng(7).normal(0, 300, SHAPE).astype(dtype)


def _prodml(path: Path) -> NDArray[Any]:
    write_prodml(path, _counts(), HEADER)
    return _counts()


def _prodml_locus_first(path: Path) -> NDArray[Any]:
    write_prodml(path, _counts("f4"), HEADER, dims=("locus", "time"))
    return _counts("f4")


def _prodml_packed(path: Path) -> NDArray[Any]:
    """PRODML 2.0 as some write it: big-endian, chunked and deflated, units in `...Unit`, dims in one text."""
    _prodml(path)
    with h5py.File(path, "r+") as root:
        acquisition, raw = root["Acquisition"], root["Acquisition/Raw[0]"]
        acquisition.attrs["schemaVersion"] = "2.0"
        for name in [name for name in acquisition.attrs if name.endswith(".uom")]:
            acquisition.attrs[name.replace(".uom", "Unit")] = acquisition.attrs[name]
            del acquisition.attrs[name]
        attributes = dict(raw["RawData"].attrs) | {"Dimensions": "time, locus"}
        del raw["RawData"]
        data = raw.create_dataset("RawData", data=_counts(">i2"), chunks=(500, 800), compression="gzip")
        data.attrs.update(attributes)
    return _counts()


def _tdms(path: Path) -> NDArray[Any]:
    write_tdms(path, _counts(), HEADER)
    return _counts()


def _tdms_by_channel(path: Path) -> NDArray[Any]:
    write_tdms(path, _counts("f4"), HEADER, interleaved=False)
    return _counts("f4")


def terra15_file(path: Path, version: int, seconds: NDArray[np.float64], *, clock: str = "gps_time") -> NDArray[Any]:
    """Write a Terra15 file; stamps that are 0 were allocated and never written."""
    samples = _counts("f4")[: len(seconds)]
    with h5py.File(path, "w") as root:
        root.attrs.update(
            {
                "acoustic_bandwidth_end": 250.0,
                "amplifier_incoming_current": 105.0,
                "data_product": "velocity",
                "data_product_units": "m/s",
                "dx": 1.6335238141942516,
                "file_start_computer_time": float(seconds[0]),
                "file_version": version,
                "gauge_length": 4.9,
                "nx": SHAPE[1],
                "pulse_length": 2.45,
                "pulse_rate": 16079.2,
                "sensing_range_start": 30.2,
                "serial_number": "Bowie",
            }
        )
        group = root.create_group("velocity" if version == 4 else "data_product")
        group.create_dataset("data", data=samples, chunks=(min(500, len(samples)), SHAPE[1]))
        group.create_dataset(clock, data=seconds)
    return samples[: np.count_nonzero(seconds)]


def _seconds(jitter: float, unwritten: int = 0) -> NDArray[np.float64]:
    seconds = 1.7e9 + np.arange(SHAPE[0]) * 0.002
    seconds[1:-1] += np.random.default_rng(3).uniform(-jitter, jitter, SHAPE[0] - 2)
    seconds[SHAPE[0] - unwritten :] = 0
    return seconds


def _terra15_4(path: Path) -> NDArray[Any]:
    return terra15_file(path, 4, _seconds(0.0015), clock="posix_time")


def _terra15_6(path: Path) -> NDArray[Any]:
    return terra15_file(path, 6, _seconds(0, unwritten=500))


@pytest.fixture(scope="session")
def write_terra15() -> Callable[..., NDArray[Any]]:
    return terra15_file


def _silixa_hdf5(path: Path) -> NDArray[Any]:
    said = {
        "Acoustic Output": "Differential",
        "CPUTimeStamp": "22/09/2023 18:52:18.801 (UTC)",
        "Fibre Length Multiplier": "1.020952",
        "GPSTimeStamp": "22/09/2023 18:29:26.158 (UTC)",
        "GaugeLength": "10",
        "MeasureLength[m]": "1600",
        "PulseWidth[ns]": "50",
        "SamplingFrequency[Hz]": "500",
        "SpatialResolution[m]": "2",
        "Start Distance (m)": "0.765761",
        "StartPosition[m]": "242",
        "Tags": "",
    }
    with h5py.File(path, "w") as root:
        root.create_dataset("Acoustic", data=_counts()).attrs.update(said)
    return _counts()


HDF5_AND_TDMS: dict[str, tuple[str, Callable[[Path], NDArray[Any]]]] = {
    "prodml": ("prodml", _prodml),
    "prodml, locus first": ("prodml", _prodml_locus_first),
    "prodml 2.0, deflated": ("prodml", _prodml_packed),
    "silixa_hdf5": ("silixa_hdf5", _silixa_hdf5),
    "tdms": ("tdms", _tdms),
    "tdms, by channel": ("tdms", _tdms_by_channel),
    "terra15 4, jitter": ("terra15", _terra15_4),
    "terra15 6, unwritten": ("terra15", _terra15_6),
    **HDF5_FILES,
}
MADE = {name: (fmt, "sample.bin", writer) for name, (fmt, writer) in HDF5_AND_TDMS.items()} | written.MADE
REAL = written.REAL | {
    "iDAS005_hdf5_example.626.h5": "prodml",
    "iDAS005_tdms_example.626.tdms": "tdms",
    "silixa_h5_1.hdf5": "silixa_hdf5",
    "terra15_v5_test_file.hdf5": "terra15",
    **HDF5_REAL,
}


@pytest.fixture(scope="session")
def make_sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sample]:
    """Return what makes a sample by its name, once."""
    made: dict[str, Sample] = {}

    def make(name: str) -> Sample:
        if name not in made:
            fmt, file, writer = MADE[name]
            path = tmp_path_factory.mktemp("made") / file
            made[name] = Sample(path, fmt, writer(path))
        return made[name]

    return make


@pytest.fixture(scope="session", params=[*MADE, *REAL])
def sample(request: pytest.FixtureRequest, make_sample: Callable[[str], Sample]) -> Sample:
    """Return every sample in turn, made and real."""
    if request.param in MADE:
        return make_sample(request.param)
    return Sample(request.getfixturevalue("shared_raw") / request.param, REAL[request.param])


@pytest.fixture
def share(sample: Sample) -> Callable[[int], int]:
    """Return how many trials of a format fall to a sample: a twentieth to each real file, for they are large."""
    made, real = ([fmt for fmt, *_ in MADE.values()].count(sample.format), [*REAL.values()].count(sample.format))

    def of(trials: int) -> int:
        each = trials // 20 if made else -(-trials // real)
        return each if sample.path.name in REAL else -(-(trials - each * real) // made)

    return of


@pytest.fixture(scope="session", params=list(MADE))
def made(request: pytest.FixtureRequest, make_sample: Callable[[str], Sample]) -> Sample:
    """Return every made sample in turn."""
    return make_sample(request.param)


AGREED = {name: fmt for name, fmt in REAL.items() if name not in written.OWN_TRUTH}


@pytest.fixture(scope="session", params=list(AGREED.items()), ids=list(AGREED))
def real(request: pytest.FixtureRequest, shared_raw: Path) -> Sample:
    """Return every real sample in turn whose truth is DASCore's reading of it."""
    name, fmt = request.param
    return Sample(shared_raw / name, fmt)
