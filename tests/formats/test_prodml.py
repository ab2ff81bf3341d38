"""What is particular to PRODML."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from archive.errors import FormatError
from ingest.formats import prodml
from ingest.synthetic import write_prodml
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000_123_456_000
SAMPLES = np.arange(1200, dtype="i2").reshape(120, 10)


def describe(path: Path) -> Any:
    return prodml.describe(io.BytesIO(path.read_bytes()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_prodml(tmp_path / "sample.h5", SAMPLES, Header(start=START, rate=300.0))


def edit(path: Path, **attributes: Any) -> None:
    """Set attributes of the acquisition, and of nothing else; `None` removes one."""
    with h5py.File(path, "r+") as root:
        for name, value in attributes.items():
            if value is None:
                del root["Acquisition"].attrs[name]
            else:
                root["Acquisition"].attrs[name] = value


def set_stamps(path: Path, stamps: Any, **attributes: Any) -> None:
    with h5py.File(path, "r+") as root:
        raw = root["Acquisition/Raw[0]"]
        kept = dict(raw["RawDataTime"].attrs) | attributes
        del raw["RawDataTime"]
        raw["RawDataTime"] = stamps
        raw["RawDataTime"].attrs.update(kept)


def test_the_rate_of_the_header_refines_stamps_of_whole_microseconds(path: Path) -> None:
    coords = describe(path).blocks[0].coords
    assert set(coords) == {"time", "distance"}
    assert coords["time"].values.step * 3 == 10**10 / 1000
    assert coords["time"].values.first == START


def test_the_stamps_win_over_a_rate_that_they_do_not_keep(path: Path) -> None:
    set_stamps(path, START // 1000 + np.arange(120, dtype="i8") * 3400)
    axis = describe(path).blocks[0].coords["time"].values
    assert (axis.pieces, axis.step) == (1, 3_400_000)


def test_stamps_that_stray_are_kept_beside_the_line(path: Path) -> None:
    stamps = START // 1000 + np.arange(120, dtype="i8") * 3400
    stamps[50] += 900
    set_stamps(path, stamps)
    coords = describe(path).blocks[0].coords
    assert coords["time"].values.step == 3_400_000
    np.testing.assert_array_equal(coords["time_recorded"].values.to_ns(), stamps * 1000)


def test_a_gap_inside_of_a_file_makes_the_time_explicit(path: Path) -> None:
    stamps = START // 1000 + np.arange(120, dtype="i8") * 3400
    stamps[60:] += 10**7
    set_stamps(path, stamps)
    coords = describe(path).blocks[0].coords
    np.testing.assert_array_equal(coords["time"].values.to_ns(), stamps * 1000)
    assert "time_recorded" not in coords


@pytest.mark.parametrize(("unit", "factor"), [("ns", 1), ("ms", 10**6)])
def test_other_units_of_the_stamps_are_told_from_the_start_time(path: Path, unit: str, factor: int) -> None:
    stamps = (START + np.arange(120, dtype="i8") * 4 * 10**6) // factor
    set_stamps(path, stamps)
    assert describe(path).blocks[0].coords["time"].values.first == stamps[0] * factor


def test_a_start_time_that_is_none_leaves_the_unit_that_is_named(path: Path) -> None:
    stamps = START + np.arange(120, dtype="i8") * 4 * 10**6
    set_stamps(path, stamps, PartStartTime="yesterday", StartTime="?", Uom="ns")
    assert describe(path).blocks[0].coords["time"].values.first == START


@pytest.mark.parametrize("stamps", [np.zeros(120, "i8") - 5, np.full(120, 1 << 62), np.arange(120)[::-1] * 10**9])
def test_stamps_that_are_no_times_are_refused(path: Path, stamps: Any) -> None:
    set_stamps(path, stamps, PartStartTime="?", StartTime="?")
    with pytest.raises(FormatError):
        describe(path)


def test_as_many_stamps_as_samples_are_needed(path: Path) -> None:
    set_stamps(path, np.arange(100, dtype="i8"))
    with pytest.raises(FormatError, match="stamps of int64 for 120 samples"):
        describe(path)


def test_several_arrays_are_blocks_in_order_of_time(path: Path, tmp_path: Path) -> None:
    earlier = write_prodml(tmp_path / "other.h5", -SAMPLES, Header(start=START - 10**9, rate=300.0))
    with h5py.File(path, "r+") as root, h5py.File(earlier, "r") as other:
        other.copy("Acquisition/Raw[0]", root["Acquisition"], "Raw[1]")
        root["Acquisition"].create_group("Raw[2]")  # without samples
    blocks = describe(path).blocks
    assert [block.coords["time"].values.first for block in blocks] == [START - 10**9, START]
    with path.open("rb") as file:
        np.testing.assert_array_equal(prodml.read(file, 0, ()), -SAMPLES)
        np.testing.assert_array_equal(prodml.read(file, 1, ()), SAMPLES)


def test_without_an_array_the_file_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as root:
        del root["Acquisition/Raw[0]"]
    with pytest.raises(FormatError, match=r"no array Raw\[n\]"):
        describe(path)


def test_the_distance_counts_from_the_start_locus(tmp_path: Path) -> None:
    header = Header(start=START, spacing=1.0209519863128662, first_locus=-118)
    coord = describe(write_prodml(tmp_path / "sample.h5", SAMPLES, header)).blocks[0].coords["distance"]
    assert coord.to_numpy().tolist() == [(n - 118) * 1.0209519863128662 for n in range(10)]


def test_header_quantities_are_converted_to_the_units_of_the_field(path: Path) -> None:
    edit(path, **{"GaugeLength": 1000.0, "GaugeLength.uom": "cm", "PulseRate": 2.0, "PulseRate.uom": "kHz"})
    attrs = describe(path).blocks[0].attrs
    assert (attrs["gauge_length"], attrs["pulse_rate"], attrs["pulse_width"]) == (10.0, 2000.0, 50.0)


def test_quantities_that_say_nothing_are_left_out(path: Path) -> None:
    edit(path, **{"GaugeLength.uom": "furlongs of light", "PulseRate": np.nan, "PulseWidth": "wide"})
    description = describe(path)
    assert not {"gauge_length", "pulse_rate", "pulse_width"} & set(description.blocks[0].attrs)
    assert description.header["/Acquisition"]["GaugeLength.uom"] == "furlongs of light"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SpatialSamplingInterval", None),
        ("SpatialSamplingInterval", -1.0),
        ("SpatialSamplingInterval", np.inf),
        ("SpatialSamplingInterval", "far"),
        ("SpatialSamplingInterval", True),
    ],
)
def test_without_a_spacing_the_file_is_refused(path: Path, name: str, value: Any) -> None:
    edit(path, **{name: value})
    with pytest.raises(FormatError, match=name):
        describe(path)


@pytest.mark.parametrize("dims", [["time", "depth"], ["time"], "time locus band"])
def test_other_dims_are_refused(path: Path, dims: Any) -> None:
    with h5py.File(path, "r+") as root:
        root["Acquisition/Raw[0]/RawData"].attrs["Dimensions"] = dims
    with pytest.raises(FormatError, match="time and locus are needed"):
        describe(path)


def test_a_broken_start_locus_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as root:
        root["Acquisition/Raw[0]"].attrs["StartLocusIndex"] = 1.5
    with pytest.raises(FormatError, match="StartLocusIndex"):
        describe(path)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    path = write_prodml(tmp_path / "sample.h5", SAMPLES[:1], Header(start=START))
    assert describe(path).blocks[0].shape == (1, 10)
    with h5py.File(path, "r+") as root:
        raw = root["Acquisition/Raw[0]"]
        del raw["RawData"], raw["RawDataTime"]
        raw["RawData"], raw["RawDataTime"] = np.zeros((0, 10), "i2"), np.zeros(0, "i8")
    with pytest.raises(FormatError, match="no samples"):
        describe(path)


def test_every_kind_of_attribute_is_kept_as_far_as_it_is_a_value(path: Path) -> None:
    with h5py.File(path, "r+") as root:
        attributes = root.create_group("Odd").attrs
        attributes["list"] = [1, 2]
        attributes["texts"] = ["a", "b"]
        attributes["empty"] = h5py.Empty("f4")
        attributes["none"] = np.zeros(0)
        attributes["latin"] = np.bytes_(b"\xb5m")
        attributes["pair"] = np.array((1, 2.5), dtype=[("a", "i4"), ("b", "f8")])
        attributes["yes"] = True
        attributes["reference"] = root.ref
        root["Odd"]["type"] = np.dtype("f8")
        attributes.create("committed", 1.5, dtype=root["Odd/type"])
        root["Odd"]["link"] = h5py.SoftLink("/Acquisition")
        sequences = np.empty(1, dtype=object)
        sequences[0] = np.arange(3, dtype="i4")
        attributes.create("sequence", sequences, dtype=h5py.vlen_dtype("i4"))
    assert describe(path).header["/Odd"] == {
        "list": [1, 2],
        "texts": ["a", "b"],
        "empty": None,
        "none": [],
        "latin": "µm",
        "pair": {"a": 1, "b": 2.5},
        "yes": True,
        "committed": 1.5,
    }
