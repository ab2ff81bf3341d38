"""What is particular to one or another of the HDF5 formats."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hdf5_files import (
    HDF5_FILES,
    SECONDS,
    SHAPE,
    START,
    samples,
    write_ap_sensing,
    write_febus,
    write_febus_g1,
    write_febus_t1,
    write_h5simple,
    write_neubrex_das,
    write_neubrex_rfs,
    write_optodas,
)

from archive.errors import FormatError
from ingest.formats import format_named, identify, open_format

if TYPE_CHECKING:
    from pathlib import Path


def describe(path: Path, fmt: str) -> Any:
    with path.open("rb") as file:
        return open_format(format_named(fmt)).describe(file)


def read(path: Path, fmt: str, block: int) -> Any:
    with path.open("rb") as file:
        return open_format(format_named(fmt)).read(file, block, ())


def test_a_lost_febus_block_parts_two_blocks(tmp_path: Path) -> None:
    path = tmp_path / "febus.h5"
    held = write_febus(path, stamps=SECONDS + np.array([0, 1, 2, 5, 6.0]))
    first, second = describe(path, "febus").blocks
    assert (first.shape[0], second.shape[0]) == (300, 200)
    assert second.coords["time"].values.first - first.coords["time"].values.first == 5 * 10**9
    np.testing.assert_array_equal(read(path, "febus", 0), held[:300])
    np.testing.assert_array_equal(read(path, "febus", 1), held[300:])


def test_a_febus_block_that_comes_twice_is_a_block_of_its_own(tmp_path: Path) -> None:
    write_febus(tmp_path / "febus.h5", stamps=SECONDS + np.array([0, 1, 1, 2.0]))
    assert [block.shape[0] for block in describe(tmp_path / "febus.h5", "febus").blocks] == [200, 200]


def test_febus_stamps_that_stray_are_kept_beside_the_line(tmp_path: Path) -> None:
    path = tmp_path / "febus.h5"
    write_febus(path, stamps=SECONDS + np.array([0, 1.003, 1.998, 3.0]))
    (block,) = describe(path, "febus").blocks
    assert block.coords["time"].values.pieces == 1
    apart = (block.coords["time_recorded"].values.to_ns() - block.coords["time"].values.to_ns())[::100]
    np.testing.assert_allclose(apart, [0, 3_000_000, -2_000_000, 0], atol=300)


def test_the_first_sample_of_febus_lies_where_origin_says(tmp_path: Path) -> None:
    write_febus(tmp_path / "febus.h5")  # blocks of 2 s around their stamps, half a second cut off at each end
    assert describe(tmp_path / "febus.h5", "febus").blocks[0].coords["time"].values.first == START - 500_000_000


@pytest.mark.parametrize(
    ("name", "kind", "units"),
    [("StrainRate", "strain_rate", "nanostrain/s"), ("Strain", "strain", "nanostrain"), ("PSD [dB re 1]", "psd", None)],
)
def test_what_febus_measures_is_what_its_array_is_called(
    name: str, kind: str, units: str | None, tmp_path: Path
) -> None:
    write_febus(tmp_path / "febus.h5", name=name)
    attrs = describe(tmp_path / "febus.h5", "febus").blocks[0].attrs
    assert (attrs["data_type"], attrs.get("data_units")) == (kind, units)
    assert attrs["pulse_rate"] == 25_000


@pytest.mark.parametrize(
    "change", [{"Spacing": [0.4]}, {"Spacing": [0.4, 0.0, 1]}, {"BlockRate": [100]}, {"Origin": [0, 1e12, 0]}]
)
def test_a_febus_header_that_makes_no_sense_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "febus.h5"
    write_febus(path)
    with h5py.File(path, "r+") as root:
        root["fa1-0001/Source1/Zone1"].attrs.update(change)
    with pytest.raises(FormatError):
        describe(path, "febus")


def test_temperatures_keep_the_times_at_which_they_were_taken(tmp_path: Path) -> None:
    stamps = SECONDS + np.array([0, 20.8125, 41.625, 62.4375, 83.2578125])
    write_febus_t1(tmp_path / "t1.h5", stamps)
    coords = describe(tmp_path / "t1.h5", "febus_t1").blocks[0].coords
    assert (coords["time"].values.to_ns() == [round(Fraction(stamp) * 10**9) for stamp in stamps.tolist()]).all()
    assert "time_recorded" not in coords


def test_stamps_of_neubrex_are_whole_microseconds(tmp_path: Path) -> None:
    write_neubrex_rfs(tmp_path / "rfs.h5")
    with h5py.File(tmp_path / "rfs.h5") as root:
        stamps = root["stamps_unix"][:]
    coords = describe(tmp_path / "rfs.h5", "neubrex_rfs").blocks[0].coords
    assert (coords["time"].values.to_ns() == stamps * 1000).all()


@pytest.mark.parametrize(("label", "kind"), [("micro-strain", "strain"), ("deg-C", "temperature"), ("GHz", None)])
def test_what_neubrex_measures_is_what_its_unit_is_of(label: str, kind: str | None, tmp_path: Path) -> None:
    write_neubrex_rfs(tmp_path / "rfs.h5", label)
    assert describe(tmp_path / "rfs.h5", "neubrex_rfs").blocks[0].attrs.get("data_type") == kind


@pytest.mark.parametrize("change", [{"TimeDecimationFilter": 4}, {"GPSTimeStamp(UTC)": "", "CPUTimeStamp(UTC)": ""}])
def test_neubrex_files_that_are_not_understood_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    write_neubrex_das(tmp_path / "das.h5")
    with h5py.File(tmp_path / "das.h5", "r+") as root:
        root["Acoustic"].attrs.update(change)
    with pytest.raises(FormatError):
        describe(tmp_path / "das.h5", "neubrex_das")


def test_neubrex_without_gps_takes_the_computers_clock(tmp_path: Path) -> None:
    write_neubrex_das(tmp_path / "das.h5")
    with h5py.File(tmp_path / "das.h5", "r+") as root:
        root["Acoustic"].attrs["GPSTimeStamp(UTC)"] = ""
    assert describe(tmp_path / "das.h5", "neubrex_das").blocks[0].coords["time"].values.first == START + 10**9


@pytest.mark.parametrize(
    ("path_in_file", "value", "reason"),
    [
        ("Metadata/TraceCount", np.int32(5), "fetch it again"),
        ("Metadata/Timestamp", "yesterday", "no date and time"),
        ("ProcessingServer/DataRate", np.int32(0), "not positive"),
    ],
)
def test_an_ap_sensing_header_that_makes_no_sense_is_refused(
    path_in_file: str, value: Any, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "ap.h5"
    write_ap_sensing(path)
    with h5py.File(path, "r+") as root:
        del root[path_in_file]
        root[path_in_file] = [value]
    with pytest.raises(FormatError, match=reason):
        describe(path, "ap_sensing")


def test_a_local_time_without_its_offset_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ap.h5"
    write_ap_sensing(path)
    with h5py.File(path, "r+") as root:
        del root["Metadata/Timestamp"], root["Metadata/Timezone"]
        root["Metadata/Timestamp"], root["Metadata/Timezone"] = ["2023-11-14T22:13:20"], ["CET"]
    with pytest.raises(FormatError, match="CET"):
        describe(path, "ap_sensing")


def test_small_datasets_are_the_header_and_large_ones_are_not(tmp_path: Path) -> None:
    write_optodas(tmp_path / "optodas.h5")
    with h5py.File(tmp_path / "optodas.h5", "r+") as root:
        root["header/phiOffs"] = np.zeros(11380)
        root["versions/Laser/serial"] = 213
        root["versions/Laser/link"] = h5py.ExternalLink("other.h5", "/x")
    header = describe(tmp_path / "optodas.h5", "optodas").header
    assert header["/versions/Laser/serial"] == {"value": 213}
    assert header["/header/unit"] == {"value": "rad/m/s"}
    assert "/header/phiOffs" not in header


def test_a_text_in_a_dataset_that_claims_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    write_ap_sensing(tmp_path / "ap.h5")
    with h5py.File(tmp_path / "ap.h5") as root:
        at = root["Interrogator/Model"].id.get_offset()
    content = bytearray((tmp_path / "ap.h5").read_bytes())
    content[at : at + 4] = (1 << 31).to_bytes(4, "little")
    with pytest.raises(FormatError, match="longer than the file"):
        open_format(format_named("ap_sensing")).describe(io.BytesIO(bytes(content)))


@pytest.mark.parametrize(("at", "value"), [(1, 0x7F), (1, 0x02), (1, 0x41), (2, 0x02)])
def test_a_type_that_is_neither_text_nor_sequence_is_refused(at: int, value: int, tmp_path: Path) -> None:
    """HDF5 2.0 reads beyond its memory to name such a type."""
    write_ap_sensing(tmp_path / "ap.h5")
    with h5py.File(tmp_path / "ap.h5") as root:
        header = h5py.h5o.get_info(root["Interrogator/SerialNumber"].id).addr
    content = bytearray((tmp_path / "ap.h5").read_bytes())
    content[content.index(b"\x19\x01\0\0\x10", header) + at] = value
    with pytest.raises(FormatError, match="neither text nor sequence"):
        open_format(format_named("ap_sensing")).describe(io.BytesIO(bytes(content)))


def test_a_circle_of_groups_is_walked_through_once(tmp_path: Path) -> None:
    write_ap_sensing(tmp_path / "ap.h5")
    before = describe(tmp_path / "ap.h5", "ap_sensing").header
    with h5py.File(tmp_path / "ap.h5", "r+") as root:
        root["Interrogator/again"] = root
        root["Interrogator/twice"] = root["DAQ"]
    assert describe(tmp_path / "ap.h5", "ap_sensing").header.keys() - before.keys() == set()


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_whole_stamps_of_plain_hdf5_are_taken_in_the_unit_that_makes_them_times(unit: int, tmp_path: Path) -> None:
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as root:
        root["data"], root["time"] = samples()[:100], (1_700_000_000 + np.arange(100)) * unit
    times = describe(path, "h5simple").blocks[0].coords["time"].values
    assert (times.to_ns() == (1_700_000_000 + np.arange(100)) * 10**9).all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: root.attrs.update({"Conventions": "CF-1.8"}),
        lambda root: root.attrs.update({"format": "other"}),
        lambda root: root.move("timestamp", "time_of_day"),
        lambda root: root["timestamp"].write_direct(np.arange(SHAPE[0]) * 0.002),
        lambda root: root.create_dataset("time", data=np.arange(3)),
    ],
)
def test_what_is_not_quite_plain_hdf5_is_claimed_by_none(spoil: Any, tmp_path: Path) -> None:
    write_h5simple(tmp_path / "plain.h5")
    with h5py.File(tmp_path / "plain.h5", "r+") as root:
        spoil(root)
    with pytest.raises(FormatError, match="no vendor that is known"):
        identify(io.BytesIO((tmp_path / "plain.h5").read_bytes()))


def test_a_square_of_samples_does_not_tell_which_side_is_time(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as root:
        root["data"], root["time"] = samples()[:64], SECONDS + np.arange(64)
    with pytest.raises(FormatError, match="which dim is time"):
        describe(tmp_path / "plain.h5", "h5simple")
    with h5py.File(tmp_path / "plain.h5", "r+") as root:
        root.attrs["dims"] = "channel,time"
    np.testing.assert_array_equal(read(tmp_path / "plain.h5", "h5simple", 0), samples()[:64].T)


def test_temperatures_of_a_g1_are_told_from_strains(tmp_path: Path) -> None:
    write_febus_g1(tmp_path / "g1.bsl", "temperature")
    attrs = describe(tmp_path / "g1.bsl", "febus_g1").blocks[0].attrs
    assert (attrs["data_type"], attrs["data_units"], attrs["data_category"]) == ("temperature", "degC", "DTS")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mode;strain", "mode;spectra"),
        ("start time;1700000000.25", "start time;tomorrow"),
        ("end time;1700000061", "end time;1600000061"),
        ("fiberTo;1200", "fiberTo;12000000"),
        ("sampling resolution;0.1", "sampling resolution;-0.1"),
    ],
)
def test_a_g1_header_that_makes_no_sense_is_refused(old: str, new: str, tmp_path: Path) -> None:
    write_febus_g1(tmp_path / "g1.bsl")
    text = (tmp_path / "g1.bsl").read_text()
    assert old in text
    (tmp_path / "g1.bsl").write_text(text.replace(old, new))
    with pytest.raises(FormatError):
        describe(tmp_path / "g1.bsl", "febus_g1")


@pytest.mark.parametrize("line", ["1_000", "12;13", "", "0x1f", "Param;late;1"])
def test_a_line_that_is_no_number_is_refused(line: str, tmp_path: Path) -> None:
    write_febus_g1(tmp_path / "g1.bsl")
    lines = (tmp_path / "g1.bsl").read_text().split("\n")
    lines[-50] = line
    (tmp_path / "g1.bsl").write_text("\n".join(lines))
    with pytest.raises(FormatError, match="no numbers"):
        read(tmp_path / "g1.bsl", "febus_g1", 0)


def _external_link(group: Any, name: str, shape: tuple[int, ...], dtype: Any, other: Path) -> None:
    group[name] = h5py.ExternalLink(str(other), "/samples")


def _soft_link(group: Any, name: str, shape: tuple[int, ...], dtype: Any, other: Path) -> None:
    group.file["hidden/deep/samples"] = np.zeros(shape, dtype)
    group[name] = h5py.SoftLink("/hidden/deep/samples")


def _external_storage(group: Any, name: str, shape: tuple[int, ...], dtype: Any, other: Path) -> None:
    group.create_dataset(name, shape, dtype, external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def _virtual(group: Any, name: str, shape: tuple[int, ...], dtype: Any, other: Path) -> None:
    layout = h5py.VirtualLayout(shape, dtype)
    layout[:] = h5py.VirtualSource(str(other), "samples", shape)
    group.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("place", [_external_link, _soft_link, _external_storage, _virtual])
@pytest.mark.parametrize("name", [name for name in HDF5_FILES if name != "febus_g1"])
def test_samples_that_lie_elsewhere_are_not_fetched(name: str, place: Any, make_sample: Any, tmp_path: Path) -> None:
    sample = make_sample(name)
    path, other = tmp_path / "sample.h5", tmp_path / "other.h5"
    path.write_bytes(sample.content)
    with h5py.File(path, "r+") as root, h5py.File(other, "w") as source:
        arrays: list[Any] = []
        root.visititems(lambda _, thing: arrays.append(thing) if isinstance(thing, h5py.Dataset) else None)
        data = max(arrays, key=lambda array: array.nbytes)
        source["samples"] = data[:]  # all that a reader would need, if it followed
        group, label, shape, dtype = data.parent, data.name.rpartition("/")[2], data.shape, data.dtype
        attributes = {key: value for key, value in data.attrs.items() if key != "DIMENSION_LIST"}
        del group[label]
        place(group, label, shape, dtype, other)
        if isinstance(group.get(label, getlink=True), h5py.HardLink):
            group[label].attrs.update(attributes)
    reader = open_format(format_named(sample.format))
    with path.open("rb") as file:
        for call in (reader.describe, lambda opened: reader.read(opened, 0, ())):
            with pytest.raises(FormatError):
                call(file)
