"""Real files against `truth.json`, and written files against DASCore."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archive.units import get_quantity
from ingest.formats import format_named, open_format
from ingest.synthetic import write_prodml, write_tdms
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from pathlib import Path

MICROSECOND = 1000  # ns
# DASCore 0.1.24 adds the length of the fibre to StartPosition[m] and so lands beyond Stop Distance (m).
OTHER_ORIGIN = {"silixa_h5_1.hdf5": 242.0}
# Stamps that jitter by milliseconds are the time of so slow an instrument; DASCore draws a line through them.
OWN_STAMPS = {"febus_dts_1_C1_20250424_231747.h5": [467.525, 488.344, 509.162, 529.966, 550.784]}
# The file says that it holds a spectrum in dB, which DASCore takes for a strain rate.
OTHER_QUANTITY = {"febus_2.h5": "psd"}


def truth_of(sample: Any) -> dict[str, Any]:
    truth = json.loads((sample.path.parent / "truth.json").read_text())[sample.path.name]
    assert hashlib.sha256(sample.content).hexdigest() == truth["sha256_file"]
    return dict(truth)


def test_real_files_hold_what_dascore_reads(real: Any) -> None:
    truth = truth_of(real)
    reader = open_format(format_named(real.format))
    description = reader.describe(real.open())
    assert description.version == truth["version"]
    assert len(description.blocks) == len(truth["patches"])
    for number, (block, patch) in enumerate(zip(description.blocks, truth["patches"], strict=True)):
        assert list(block.dims) == patch["dims"]
        assert list(block.shape) == patch["shape"]
        assert block.dtype == np.dtype(patch["dtype"])
        samples = np.ascontiguousarray(reader.read(real.open(), number, ()))
        little = samples.astype(samples.dtype.newbyteorder("<"))
        assert hashlib.sha256(little.tobytes()).hexdigest() == patch["sha256"]


def test_real_times_are_those_of_dascore(real: Any) -> None:
    time = truth_of(real)["patches"][0]["coords"]["time"]
    coord = open_format(format_named(real.format)).describe(real.open()).blocks[0].coords["time"]
    stamps = coord.to_numpy().astype(np.int64)
    assert abs(int(stamps[0]) - time["first"]) < MICROSECOND
    assert get_quantity(str(coord.units)) == get_quantity(time["units"])
    if real.path.name in OWN_STAMPS:
        assert np.abs(stamps - 1_745_529_000 * 10**9 - np.rint(np.array(OWN_STAMPS[real.path.name]) * 1e9)).max() < 200
        return
    assert abs(int(stamps[-1]) - time["last"]) < MICROSECOND
    if time["step"] is None:
        assert coord.step is None
    elif len(stamps) > 1:
        assert abs(int(coord.step.astype(np.int64)) - time["step"]) <= 1  # DASCore cuts off what is less than 1 ns
    else:
        assert coord.step.astype(np.int64) == pytest.approx(time["step"], rel=1e-3)  # the length of a measurement


def test_real_channels_are_those_of_dascore(real: Any) -> None:
    truth = truth_of(real)["patches"][0]
    dim = truth["dims"][1]
    coord = open_format(format_named(real.format)).describe(real.open()).blocks[0].coords[dim]
    held = truth["coords"][dim]
    shift = held["first"] - OTHER_ORIGIN.get(real.path.name, held["first"])
    values = coord.to_numpy()
    np.testing.assert_allclose(values[[0, -1]] + shift, [held["first"], held["last"]], rtol=1e-12)
    if held["step"] is not None:
        np.testing.assert_allclose(np.diff(values), held["step"], rtol=1e-9)
    assert (coord.units is None) == (held["units"] is None)
    assert coord.units is None or get_quantity(str(coord.units)) == get_quantity(held["units"])


def test_real_units_and_types_are_those_of_dascore(real: Any) -> None:
    patch = truth_of(real)["patches"][0]
    attrs = open_format(format_named(real.format)).describe(real.open()).blocks[0].attrs
    if real.path.name in OTHER_QUANTITY:
        assert attrs["data_type"] == OTHER_QUANTITY[real.path.name]
        assert "data_units" not in attrs
        assert "dB" in str(attrs["quantity"])
        return
    if patch["data_units"] is None:
        assert "data_units" not in attrs
    else:
        assert get_quantity(str(attrs["data_units"])) == get_quantity(patch["data_units"])
    if patch["data_type"] is not None:
        assert attrs["data_type"] == patch["data_type"]


def test_the_two_files_of_one_second_hold_the_same_samples(shared_raw: Path) -> None:
    blocks, samples = [], []
    for name, fmt in (("iDAS005_hdf5_example.626.h5", "prodml"), ("iDAS005_tdms_example.626.tdms", "tdms")):
        with (shared_raw / name).open("rb") as file:
            blocks.append(open_format(format_named(fmt)).describe(file).blocks[0])
            samples.append(open_format(format_named(fmt)).read(file, 0, ()))
    np.testing.assert_array_equal(*samples)
    # The origin that the operator set, rounded to whole channels in the PRODML file.
    along = blocks[1].coords["distance_along_fiber"].to_numpy()
    assert np.abs(along - blocks[0].coords["distance"].to_numpy()).max() < 0.5
    for name in ("gauge_length", "pulse_width", "data_type"):
        assert blocks[0].attrs[name] == blocks[1].attrs[name]


@pytest.mark.parametrize(("first_locus", "spacing", "rate"), [(0, 1.0, 1000.0), (-7, 2.0, 500.0), (20, 1.25, 400.0)])
@pytest.mark.parametrize("fmt", ["prodml", "tdms"])
def test_dascore_reads_what_is_written(fmt: str, first_locus: int, spacing: float, rate: float, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(dascore|tables|pandas)(\..*)?")
        import dascore

    samples = np.random.default_rng(5).integers(-3000, 3000, (800, 60), "i2", endpoint=True)
    header = Header(start=1_700_000_000_250_000_000, rate=rate, spacing=spacing, first_locus=first_locus)
    path = (write_prodml if fmt == "prodml" else write_tdms)(tmp_path / "sample.bin", samples, header)
    # Its detection of formats unpickles, so the format is named.
    theirs = dascore.read(path, file_format=fmt.upper(), file_version="2.1" if fmt == "prodml" else "4713")[0]
    theirs = theirs.transpose("time", "distance")
    reader = open_format(format_named(fmt))
    with path.open("rb") as file:
        block, mine = reader.describe(file).blocks[0], reader.read(file, 0, ())
    np.testing.assert_array_equal(mine, samples)
    np.testing.assert_array_equal(theirs.data, samples)
    np.testing.assert_array_equal(theirs.coords.get_array("time"), block.coords["time"].to_numpy())
    np.testing.assert_allclose(theirs.coords.get_array("distance"), block.coords["distance"].to_numpy())
    assert theirs.attrs.data_type == block.attrs["data_type"]


def test_nptdms_reads_what_is_written(tmp_path: Path) -> None:
    nptdms = pytest.importorskip("nptdms")
    samples = np.random.default_rng(5).normal(size=(400, 30)).astype("f4")
    for interleaved in (True, False):
        path = write_tdms(tmp_path / "sample.tdms", samples, Header(start=10**18), interleaved=interleaved)
        with nptdms.TdmsFile.open(path) as file:
            assert file.properties["GPSTimeStamp"] == np.datetime64(10**18, "ns").astype("M8[us]")
            for channel in file["Measurement"].channels():
                np.testing.assert_array_equal(channel[:], samples[:, int(channel.name)])
