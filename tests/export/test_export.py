"""Exports, read again by our own readers and by the libraries of others."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import archive as lk
from archive.coords import Coord, Linear, TimeAxis
from archive.errors import InvalidInput, StoreTrouble
from archive.export import FORMATS
from ingest.__main__ import app
from ingest.formats import identify, open_format
from ingest.synthetic.vendor import Header, write_prodml

START = 1_700_000_000 * 10**9
READERS = {name: {"hdf5": "h5simple"}.get(name, name) for name in FORMATS}
ATTRS = {"data_units": "m/s", "data_type": "velocity", "data_category": "DAS", "gauge_length": 10.0, "network": "XX"}


def samples(dtype: str = "i4", shape: tuple[int, int] = (500, 7)) -> Any:
    return np.random.default_rng(3).normal(0, 40, shape).astype(dtype)


def patch(
    data: Any = None,
    *,
    start: int = START,
    step: Fraction = Fraction(2_000_000),
    axis: TimeAxis | None = None,
    dim: str = "distance",
    **attrs: Any,
) -> lk.Patch:
    data = samples() if data is None else data
    time = axis or TimeAxis.line(start, step, data.shape[0])
    labels = {
        "distance": Coord(
            dims=("distance",), values=Linear(start=0.0, step=2.5, size=data.shape[1], offset=-3), units="m"
        ),
        "channel": Coord(dims=("channel",), values=Linear(start=0, step=1, size=data.shape[1])),
    }
    coords = {"time": Coord(dims=("time",), values=time, units="s"), dim: labels[dim]}
    return lk.Patch(data, coords, dims=("time", dim), attrs=ATTRS | attrs)


def read_again(path: Path) -> tuple[str, Any, Any]:
    """Return the format that our own readers find, the block and its samples."""
    with path.open("rb") as file:
        kind = identify(file)
        description = open_format(kind).describe(file)
        assert len(description.blocks) == 1
        return kind.name, description.blocks[0], open_format(kind).read(file, 0, ())


def quietly(make: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def obspy() -> Any:
    import obspy
    import obspy.io.segy.core

    return obspy


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4"])
@pytest.mark.parametrize("name", FORMATS)
def test_our_own_reader_finds_the_same_samples_and_times(name: str, dtype: str, tmp_path: Path) -> None:
    one = patch(samples(dtype))
    path = one.io.write(tmp_path / f"one{FORMATS[name][2]}", name)
    found, block, data = read_again(path)
    assert found == READERS[name]
    np.testing.assert_array_equal(data, one.data)
    np.testing.assert_array_equal(block.coords["time"].to_numpy(), one.get_array("time"))
    assert block.coords["time"].values.step == 2_000_000
    if "distance" in block.coords:
        np.testing.assert_array_equal(block.coords["distance"].to_numpy(), one.get_array("distance"))
        assert block.coords["distance"].units == "m"
    assert block.attrs.get("data_units") == (None if name in {"miniseed", "wav"} else "m/s")
    assert data.dtype == (np.dtype("i4") if (name, dtype) == ("miniseed", "i2") else one.dtype)


@pytest.mark.parametrize("name", FORMATS)
def test_distance_first_is_written_as_time_first(name: str, tmp_path: Path) -> None:
    one = patch().transpose("distance", "time")
    _, block, data = read_again(one.io.write(tmp_path / "one", name))
    assert block.dims[0] == "time"
    np.testing.assert_array_equal(data, one.data.T)


@pytest.mark.parametrize("hertz", [300, 1000 / 3])
@pytest.mark.parametrize("name", ["prodml", "miniseed", "netcdf", "hdf5"])
def test_a_step_of_no_whole_nanoseconds_comes_back_exactly(name: str, hertz: float, tmp_path: Path) -> None:
    step = TimeAxis.from_rate(START, hertz, 2).step
    assert step is not None
    one = patch(step=step)
    _, block, _ = read_again(one.io.write(tmp_path / "one", name))
    np.testing.assert_array_equal(block.coords["time"].to_numpy(), one.get_array("time"))


@pytest.mark.parametrize("name", ["netcdf", "hdf5", "miniseed"])
def test_a_start_between_microseconds_comes_back_exactly(name: str, tmp_path: Path) -> None:
    one = patch(start=START + 123_456_789)
    _, block, _ = read_again(one.io.write(tmp_path / "one", name))
    assert block.coords["time"].values.first == START + 123_456_789


@pytest.mark.parametrize("delay", [0, 250_000_000, 999_900_000, 30_120_000])
def test_segy_tells_the_part_of_a_second(delay: int, tmp_path: Path) -> None:
    one = patch(start=START + delay)
    _, block, _ = read_again(one.io.write(tmp_path / "one.sgy", "segy"))
    assert block.coords["time"].values.first == START + delay


# -- the libraries of others ---------------------------------------------------------------------


@pytest.mark.parametrize("step", [Fraction(2_000_000), Fraction(125_000)])
def test_dascore_reads_prodml_alike(step: Fraction, tmp_path: Path) -> None:
    one = patch(samples("f4", (301, 7)), step=step)
    path = one.io.write(tmp_path / "one.h5", "prodml")
    dascore = quietly(lambda: __import__("dascore"))
    (theirs,) = quietly(lambda: dascore.read(path, file_format="PRODML", file_version="2.1"))
    theirs = theirs.transpose("time", "distance")
    np.testing.assert_array_equal(theirs.data, one.data)
    apart = theirs.coords.get_array("time").astype("M8[ns]").astype("i8") - one.get_array("time").astype("i8")
    assert not apart.any()
    np.testing.assert_allclose(theirs.coords.get_array("distance"), one.get_array("distance"), rtol=1e-12)
    assert (theirs.attrs.gauge_length, str(theirs.attrs.data_units)) == (10.0, "1.0 m / s")


def test_prodml_stamps_of_a_third_of_a_millisecond_are_rounded_each_by_itself(tmp_path: Path) -> None:
    # DASCore 0.1.24 makes a step of whole microseconds of these, and drifts: the file itself is looked at.
    path = patch(step=Fraction(10**9, 300)).io.write(tmp_path / "one.h5", "prodml")
    with h5py.File(path) as root:
        raw = root["Acquisition/Raw[0]"]
        exact = [START // 1000 + round(Fraction(number * 10**6, 300)) for number in range(500)]
        assert raw["RawDataTime"][:].tolist() == exact
        assert raw.attrs["OutputDataRate"] == 300


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
def test_obspy_reads_miniseed_alike(dtype: str, tmp_path: Path) -> None:
    one = patch(samples(dtype), start=START + 123_456_000)
    path = one.io.write(tmp_path / "one.mseed", "miniseed")
    stream = quietly(lambda: obspy().read(str(path), format="MSEED"))
    np.testing.assert_array_equal(np.stack([trace.data for trace in stream], axis=1), one.data)
    for number, trace in enumerate(stream):
        assert trace.id == f"XX.{number:05}..CSF"
        assert trace.stats.starttime.ns == START + 123_456_000
        assert trace.stats.endtime.ns == int(one.get_array("time")[-1].astype("i8"))
        assert trace.stats.sampling_rate == 500


def test_samples_too_large_for_steim_are_kept(tmp_path: Path) -> None:
    data = samples()
    data[::2] = np.iinfo("i4").max
    data[1::2] = np.iinfo("i4").min
    path = patch(data).io.write(tmp_path / "one.mseed", "miniseed")
    stream = quietly(lambda: obspy().read(str(path), format="MSEED"))
    np.testing.assert_array_equal(np.stack([trace.data for trace in stream], axis=1), data)


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4"])
def test_obspy_and_segyio_read_segy_alike(dtype: str, tmp_path: Path) -> None:
    import segyio

    one = patch(samples(dtype), start=START).update_coords(
        x=("distance", np.arange(7) * 1.5 + 500_000), elevation=("distance", np.arange(7) * 0.25 - 3)
    )
    coords = {name: Coord(dims=("distance",), values=one.coords[name].values, units="m") for name in ("x", "elevation")}
    one = one.new(coords=one.coords.update(coords))
    path = one.io.write(tmp_path / "one.sgy", "segy")
    stream = quietly(lambda: obspy().io.segy.core._read_segy(str(path)))
    np.testing.assert_array_equal(np.stack([trace.data for trace in stream], axis=1), one.data)
    assert {trace.stats.starttime.ns for trace in stream} == {START}
    assert {trace.stats.delta for trace in stream} == {0.002}
    with segyio.open(path, ignore_geometry=True) as file:
        np.testing.assert_array_equal(file.trace.raw[:].T, one.data)
        assert segyio.tools.dt(file) == 2000
        assert file.attributes(segyio.TraceField.TraceValueMeasurementUnit)[:].tolist() == [6] * 7
    _, block, _ = read_again(path)
    np.testing.assert_allclose(block.coords["x"].to_numpy(), one.get_array("x"))
    np.testing.assert_allclose(block.coords["elevation"].to_numpy(), one.get_array("elevation"))
    assert block.coords["x"].units == "m"


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_scipy_reads_wav_alike(dtype: str, tmp_path: Path) -> None:
    from scipy.io import wavfile

    one = patch(samples(dtype, (501, 7)), start=START + 4_000_000)
    path = one.io.write(tmp_path / "one.wav", "wav")
    rate, theirs = quietly(lambda: wavfile.read(path))
    assert rate == 500
    np.testing.assert_array_equal(theirs, one.data)
    assert theirs.dtype == one.dtype
    content = path.read_bytes()
    body = content[content.index(b"bext") + 8 :]
    assert body[320:338] == b"2023-11-1422:13:20"
    assert int.from_bytes(body[338:346], "little") == ((22 * 60 + 13) * 60 + 20) * 500 + 2
    assert int.from_bytes(content[4:8], "little") == len(content) - 8


def test_xarray_reads_netcdf_alike(tmp_path: Path) -> None:
    import xarray as xr

    one = patch(samples("f4"), start=START + 123_456_789, step=Fraction(10**9, 300))
    path = one.io.write(tmp_path / "one.nc", "netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as theirs:
        assert theirs["velocity"].dims == ("time", "distance")
        np.testing.assert_array_equal(theirs["velocity"], one.data)
        np.testing.assert_array_equal(theirs["time"], one.get_array("time"))
        np.testing.assert_array_equal(theirs["distance"], one.get_array("distance"))
        assert theirs["velocity"].attrs["units"] == "m/s"
        assert theirs["velocity"].attrs["gauge_length"] == 10
        assert theirs["distance"].attrs["units"] == "m"


def test_netcdf_says_the_scale_and_keeps_counts_and_coordinates_beside(tmp_path: Path) -> None:
    import xarray as xr

    names = np.array([f"hole {number}" for number in range(7)])
    one = patch(samples("i2"), scale_factor=0.5).update_coords(name=("distance", names))
    path = one.io.write(tmp_path / "one.nc", "netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as theirs:
        np.testing.assert_array_equal(theirs["velocity"], one.data * 0.5)
        assert theirs["name"].values.tolist() == names.tolist()
    _, block, data = read_again(path)
    np.testing.assert_array_equal(data, one.data)
    assert block.attrs["scale_factor"] == 0.5


def test_h5py_reads_plain_hdf5_alike(tmp_path: Path) -> None:
    one = patch(samples("f8", (7, 7)), scale_factor=0.5)
    path = one.io.write(tmp_path / "one.h5", "hdf5")
    with h5py.File(path) as root:
        np.testing.assert_array_equal(root["data"][:], one.data)
        np.testing.assert_array_equal(root["timestamp"][:], one.get_array("time").astype("i8"))
    assert read_again(path)[1].attrs["scale_factor"] == 0.5


# -- what does not fit ---------------------------------------------------------------------------


def irregular() -> lk.Patch:
    stamps = START + np.cumsum(np.random.default_rng(1).integers(1, 9, 500)) * 10**9
    return patch(axis=TimeAxis.exact(stamps))


@pytest.mark.parametrize("name", ["prodml", "segy", "miniseed", "wav"])
def test_times_without_a_rate_are_refused_by_formats_that_have_only_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="keep no one rate"):
        irregular().io.write(tmp_path / "one", name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["netcdf", "hdf5"])
def test_times_without_a_rate_are_kept_by_formats_that_hold_stamps(name: str, tmp_path: Path) -> None:
    one = irregular()
    path = one.io.write(tmp_path / "one", name)
    with h5py.File(path) as root:
        stamps = root["time" if name == "netcdf" else "timestamp"][:]
    np.testing.assert_array_equal(stamps, one.get_array("time").astype("i8"))


def test_samples_in_two_pieces_off_one_line_are_refused(tmp_path: Path) -> None:
    halves = [TimeAxis.line(START + late, Fraction(2_000_000), 250) for late in (0, 500_000_000 + 4000)]
    with pytest.raises(InvalidInput, match="2 lines"):
        patch(axis=TimeAxis.concatenate(halves)).io.write(tmp_path / "one", "miniseed")


@pytest.mark.parametrize(
    ("name", "one", "said"),
    [
        ("miniseed", patch(samples("i8") + 2**40), "int64 samples fit none of int32"),
        ("segy", patch(samples("i8") + 2**40), "int64 samples fit none"),
        ("segy", patch(samples("f8") + 1e-9), "float64 samples fit none"),
        ("segy", patch(start=START + 1), "to the nanosecond"),
        ("segy", patch(step=Fraction(1500)), "whole microseconds"),
        ("segy", patch(samples("i2", (40_000, 1))), "40000 samples"),
        ("prodml", patch(start=START + 1), "whole microseconds"),
        ("prodml", patch(dim="channel"), "no distances"),
        ("prodml", patch(scale_factor=2.0), "scale_factor"),
        ("prodml", patch().update_coords(distance=np.array([0.0, 1, 3, 4, 8, 9, 11])), "no whole multiples"),
        ("wav", patch(start=START + 1_000_000), "between two"),
        ("wav", patch(step=Fraction(10**9, 7) / 3 * 2), "whole ones"),
        ("wav", patch(samples("f8", (2, 9000))), "9000 channels"),
        ("netcdf", patch(samples("f2")), "float16"),
        ("hdf5", patch(samples("c8")), "complex64"),
        ("hdf5", patch(samples("f4", (0, 7))), "no samples"),
        ("zip", patch(), "no format to write"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_leaves_no_file(
    name: str, one: lk.Patch, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=said):
        one.io.write(tmp_path / "one", name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "one.nc").write_text("mine")
    with pytest.raises(InvalidInput, match="such a file already"):
        patch().io.write(tmp_path / "one.nc", "netcdf")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreTrouble, match="nowhere"):
        patch().io.write(tmp_path / "nowhere/one", name)


def test_large_integers_that_happen_to_be_small_are_written(tmp_path: Path) -> None:
    _, _, data = read_again(patch(samples("i8")).io.write(tmp_path / "one.mseed", "miniseed"))
    np.testing.assert_array_equal(data, samples("i8"))


# -- the command ---------------------------------------------------------------------------------


def lightkeep(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if code == 0:
        assert done.exit_code == 0, (done.output, done.exception)
    else:
        raise done.exception or AssertionError(done.output)
    return done.output


@pytest.fixture
def archive_url(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    raw.mkdir()
    for number, start in enumerate((START, START + 10 * 10**9)):
        header = Header(start=start, rate=500.0, spacing=2.5)
        write_prodml(raw / f"{number}.h5", samples("i2", (1000, 7)) + number, header)
    lightkeep("init", tmp_path / "archive")
    lightkeep("ingest", raw, tmp_path / "archive")
    return tmp_path / "archive"


@pytest.mark.parametrize("name", FORMATS)
def test_export_writes_what_was_ingested_a_file_for_each_run(name: str, archive_url: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told: Any = json.loads(lightkeep("export", archive_url, "--format", name, "-O", folder, "--json"))
    files = sorted(folder.iterdir())
    assert [one["output"] for one in told] == [str(path) for path in files]
    for number, path in enumerate(files):
        _, block, data = read_again(path)
        np.testing.assert_array_equal(data, samples("i2", (1000, 7)) + number)
        assert block.coords["time"].values.first == START + number * 10 * 10**9
    assert len(files) == 2


def test_export_of_a_selection_is_one_file(archive_url: Path, tmp_path: Path) -> None:
    window = ("--time", "2023-11-14T22:13:20.5", "2023-11-14T22:13:20.998")
    said = lightkeep("export", archive_url, *window, "--format", "segy", "-O", tmp_path / "one.sgy")
    assert "one.sgy: 250 x 7 samples" in said
    np.testing.assert_array_equal(read_again(tmp_path / "one.sgy")[2], samples("i2", (1000, 7))[250:500])


def test_export_in_chunks_is_a_file_for_each(archive_url: Path, tmp_path: Path) -> None:
    lightkeep("export", archive_url, "--chunk", 0.5, "--format", "wav", "-O", tmp_path / "out")
    found = [read_again(path)[2] for path in sorted((tmp_path / "out").iterdir())]
    assert [len(data) for data in found] == [250] * 8
    np.testing.assert_array_equal(np.concatenate(found[4:]), samples("i2", (1000, 7)) + 1)


def test_export_of_several_runs_into_one_file_is_refused(archive_url: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="2 runs; give a folder"):
        lightkeep("export", archive_url, "--format", "wav", "-O", tmp_path / "one.wav", code=2)
    with pytest.raises(InvalidInput, match="no format to write"):
        lightkeep("export", archive_url, "--format", "zip", "-O", tmp_path / "out", code=2)
