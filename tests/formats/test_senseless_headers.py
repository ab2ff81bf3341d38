"""Headers that are whole and make no sense: each is refused with what is wrong, and with what to do."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import written
from hdf5_files import (
    SECONDS,
    SHAPE,
    START,
    write_ap_sensing,
    write_dasdae,
    write_febus,
    write_febus_g1,
    write_h5simple,
    write_netcdf,
    write_neubrex_rfs,
    write_optodas,
    write_xdas,
)

from archive.errors import FormatError, InvalidInput
from archive.testing import NamedFile
from ingest.formats import format_named, identify, open_format
from ingest.formats.bundle import table_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


POINTS = struct.Struct("<IHIH")  # of an OTDR's trace: points, traces, points of the first, scale


def refused(content: bytes, fmt: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        open_format(format_named(fmt)).describe(NamedFile(content, f"/night/{written.NAME}"))


# -- HDF5 -------------------------------------------------------------------------------------------

ZONE = "fa1-0001/Source1/Zone1"
HDF5: dict[str, tuple[str, Callable[[Path], Any], str, Any, str]] = {
    "two arrays in a zone": ("febus", write_febus, f"{ZONE}/Other", np.zeros(3), "one array is needed, there are"),
    "a zone that is a table": ("febus", write_febus, f"{ZONE}/StrainRate", np.zeros((6, 200)), "with 6 stamps of"),
    "fewer stamps than blocks": ("febus", write_febus, "fa1-0001/Source1/time", SECONDS + np.arange(5.0), "5 stamps"),
    "blocks that begin before 1970": (
        "febus", write_febus, "fa1-0001/Source1/time", np.arange(6.0), "not within 1970 to 2116",
    ),
    "stamps of two axes": ("h5simple", write_h5simple, "timestamp", np.zeros((3, 3)), r"with \(3, 3\) stamps"),
    "a stamp far off": (
        "h5simple", write_h5simple, "timestamp", np.append(np.arange(SHAPE[0] - 1) + START, 1 << 62),
        "4611686018427387904: a stamp is no time since 1970",
    ),
    "a first stamp of no unit": (
        "h5simple", write_h5simple, "timestamp", np.arange(SHAPE[0]), "0.0: the first stamp is no time since 1970",
    ),
    "distances of another length": (
        "h5simple", partial(write_h5simple, distance=True), "distance", np.zeros(3), r"\(3,\) values for 64 channels",
    ),
    "a table of one axis": ("ap_sensing", write_ap_sensing, "DAS", np.zeros(40, "f4"), "not that of time and channel"),
    "depth without time": ("neubrex_rfs", write_neubrex_rfs, "data", np.zeros(60), "not that of time and depth"),
    "microseconds of no time": (
        "neubrex_rfs", write_neubrex_rfs, "stamps_unix", np.full(60, 1 << 60), "no times since 1970",
    ),
    "channels that are no whole numbers": (
        "optodas", write_optodas, "header/channels", np.zeros(SHAPE[1]), "numbers of float64 for",
    ),
    "channels far away": (
        "optodas", write_optodas, "header/channels", np.arange(SHAPE[1]) + (1 << 50), "channel 112589990684",
    ),
    "stamps of another length": ("netcdf", write_netcdf, "time", np.arange(7), "stamps for|nothing to read"),
    "ties that are no whole numbers": ("netcdf", write_xdas, "time_indices", np.array([0.0, 9.0]), "ties of float64"),
    "ties that end early": ("netcdf", write_xdas, "time_indices", np.array([0, 9]), "do not lead from sample 0 to"),
    "ties that fall": ("netcdf", write_xdas, "time_values", np.array([9, 0]), "do not rise from 1970 to 2116"),
}  # fmt: skip


@pytest.mark.parametrize("what", HDF5)
def test_an_array_that_does_not_fit_its_header_is_refused(what: str, tmp_path: Path) -> None:
    fmt, write, place, value, words = HDF5[what]
    write(tmp_path / "file.h5")
    with h5py.File(tmp_path / "file.h5", "r+") as root:
        attributes: dict[str, Any] = {}
        if place in root:
            attributes = {name: root[place].attrs[name] for name in root[place].attrs if name != "REFERENCE_LIST"}
            del root[place]
        root[place] = value
        root[place].attrs.update({name: said for name, said in attributes.items() if name != "DIMENSION_LIST"})
    refused((tmp_path / "file.h5").read_bytes(), fmt, words)


def test_stamps_of_a_dasdae_file_that_are_no_times_are_refused(tmp_path: Path) -> None:
    write_dasdae(tmp_path / "file.h5")
    with h5py.File(tmp_path / "file.h5", "r+") as root:
        (waveform,) = root["waveforms"].values()
        del waveform["_coord_time"]
        waveform["_coord_time"] = np.arange(SHAPE[0]) * 0.002
    refused((tmp_path / "file.h5").read_bytes(), "dasdae", "values of float64 for .* samples are no stamps")


def test_a_coordinate_of_times_or_with_holes_beside_the_distance_is_left_out(tmp_path: Path) -> None:
    write_dasdae(tmp_path / "file.h5")
    reader = open_format(format_named("dasdae"))
    with h5py.File(tmp_path / "file.h5", "r+") as root:
        (waveform,) = root["waveforms"].values()
        waveform["_coord_elevation"][3] = np.nan
    with (tmp_path / "file.h5").open("rb") as file:
        assert "elevation" not in reader.describe(file).blocks[0].coords
    with h5py.File(tmp_path / "file.h5", "r+") as root:
        (waveform,) = root["waveforms"].values()
        waveform["_coord_elevation"][3] = 1.5
        waveform["_coord_elevation"].attrs["is_timedelta64"] = True
    with (tmp_path / "file.h5").open("rb") as file:
        coords = reader.describe(file).blocks[0].coords
    assert coords.keys() == {"time", "distance"}


@pytest.mark.parametrize(
    ("overlap", "kept"),
    [(None, 100), (100.0, 100), (0.0, 200), (300.0, 50)],
)
def test_of_a_lone_febus_block_as_much_is_kept_as_its_overlap_leaves(
    overlap: float | None, kept: int, tmp_path: Path
) -> None:
    write_febus(tmp_path / "febus.h5", stamps=np.array([SECONDS]))
    with h5py.File(tmp_path / "febus.h5", "r+") as root:
        zone = root[ZONE]
        del zone.attrs["BlockRate"], zone.attrs["BlockOverlap"]
        if overlap is not None:
            zone.attrs["Overlap"] = [overlap]
        samples = zone["StrainRate"][0]
    with (tmp_path / "febus.h5").open("rb") as file:
        reader = open_format(format_named("febus"))
        (block,) = reader.describe(file).blocks
        found = reader.read(file, 0, ())
    first = (200 - kept) // 2
    assert block.shape == (kept, 32)
    np.testing.assert_array_equal(found, samples[first : first + kept])


def test_without_a_rate_febus_blocks_are_as_long_as_their_stamps_are_apart(tmp_path: Path) -> None:
    samples = write_febus(tmp_path / "febus.h5")
    with h5py.File(tmp_path / "febus.h5", "r+") as root:
        del root[ZONE].attrs["BlockRate"]
    with (tmp_path / "febus.h5").open("rb") as file:
        np.testing.assert_array_equal(open_format(format_named("febus")).read(file, 0, ()), samples)


def test_the_dim_that_a_plain_file_calls_time_must_be_as_long_as_its_stamps(tmp_path: Path) -> None:
    write_h5simple(tmp_path / "file.h5")
    with h5py.File(tmp_path / "file.h5", "r+") as root:
        root.attrs["dims"] = "distance,time"
    refused((tmp_path / "file.h5").read_bytes(), "h5simple", r"with \(600,\) stamps along dim 1")


# -- XML beside binary ------------------------------------------------------------------------------

RAW = bytes(written.SHAPE[0] * written.SHAPE[1] * 2)
XML: dict[str, tuple[str, str, str]] = {
    "a type that is none": ("<DataType>int16<", "<DataType>text<", "'text' is no type of a number"),
    "a type with parts": ("<DataType>int16<", "<DataType><A>1</A><", "{'A': '1'} is no type of a number"),
    "another type": ("<DataType>int16<", "<DataType>float32<", "frames of 60 channels of float32; it is cut"),
    "half a frame": ("<NumberOfFrames>1500<", "<NumberOfFrames>1500.5<", "1500.5 is no whole number"),
    "no frames": ("<NumberOfFrames>1500<", "<NumberOfFrames>-3<", "NumberOfFrames: .* not positive"),
    "two zones": ("<Zones>", "<Zones><Other><Stride>1</Stride></Other>", "one zone is read, not several or none"),
    "a document type": ("<Metadata>", "<!DOCTYPE a [<!ENTITY b 'c'>]><Metadata>", "declares a document type"),
    "no end": ("</Metadata>", "", "no XML"),
    "elements in elements": ("<Metadata>", "<Metadata>" + "<a>" * 20 + "</a>" * 20, "deeper than 16"),
    "more text than any metadata": ("<Metadata>", "<Metadata>" + " " * (1 << 20), "bytes of XML are no metadata"),
}


@pytest.mark.parametrize("what", XML)
def test_metadata_that_make_no_sense_are_refused(what: str) -> None:
    before, after, words = XML[what]
    assert before in written.metadata()
    text = written.metadata().replace(before, after, 1).encode()
    name = f"night/{written.NAME}.raw"
    content = table_of([("night/metadata.xml", len(text)), (name, len(RAW))]) + text + RAW
    refused(content, "xml_binary", words)


def test_metadata_without_samples_say_that_the_whole_folder_is_needed() -> None:
    refused(written.metadata().encode(), "xml_binary", "no .raw file beside it; name its whole folder")
    refused(b"<Metadata>text</Metadata>", "xml_binary", "the XML has no elements")


# -- packets and chunks -----------------------------------------------------------------------------


def test_packets_of_another_kind_of_data_are_refused(tmp_path: Path) -> None:
    written.sintela_protobuf(tmp_path / "a.pb")
    content = (tmp_path / "a.pb").read_bytes()
    refused(content + written.envelope(b"FFT", b""), "sintela_protobuf", "packets FFT are not read, only TS05")
    refused(written.envelope(b"META", b""), "sintela_protobuf", "no packet TS05")
    other = content.replace(written.field(11, 4) + written.field(12, 1), written.field(11, 5) + written.field(12, 1))
    end = content.index(b"PBUFTS05", content.index(b"PBUFTS05") + 1)
    refused(content[:end] + other[end:], "sintela_protobuf", "a packet of other data than the first")
    refused(b"PBUF" + b"META" + struct.pack("<I", 0) + b"junk" * 3, "sintela_protobuf", "no packet begins here")


def test_a_file_whose_first_packets_hold_no_data_is_not_taken_for_a_recording() -> None:
    content = written.envelope(b"META", b"") * 100 + written.envelope(b"TS05", b"")
    with pytest.raises(FormatError, match="no raw format begins with b'PBUFMETA'"):
        identify(NamedFile(content, "night.pb"))


def test_packets_without_a_rate_are_refused(tmp_path: Path) -> None:
    written.sintela_protobuf(tmp_path / "a.pb")
    content = (tmp_path / "a.pb").read_bytes().replace(written.field(3, 500.0), written.field(3, -1.0))
    refused(content, "sintela_protobuf", "at -1.0 Hz: no samples of a recording")


@pytest.mark.parametrize("chunk", [b"fmt ", b"data"])
def test_a_wav_file_without_a_chunk_that_it_needs_is_refused(chunk: bytes, tmp_path: Path) -> None:
    written.wav(tmp_path / "a.wav")
    content = (tmp_path / "a.wav").read_bytes().replace(chunk, b"JUNK", 1)
    refused(content, "wav", "no chunk 'fmt ' or 'data'")


def test_a_large_wav_file_says_its_sizes_in_a_chunk_of_their_own(tmp_path: Path) -> None:
    """As EBU Tech 3306 lays out RF64: 32-bit sizes are all ones, and `ds64` comes first."""
    samples = written.wav(tmp_path / "a.wav")
    plain = (tmp_path / "a.wav").read_bytes()
    at = plain.index(b"data") + 4
    (size,) = struct.unpack_from("<I", plain, at)
    ones = struct.pack("<I", 0xFFFFFFFF)
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, len(plain) - 8 + 36, size, len(samples), 0)
    large = b"RF64" + ones + b"WAVE" + ds64 + plain[12:at] + ones + plain[at + 4 :]
    with NamedFile(large, "a.wav") as file:
        assert identify(file).name == "wav"
        np.testing.assert_array_equal(open_format(format_named("wav")).read(file, 0, ()), samples)
    refused(large[:-20], "wav", "it is cut")


def test_a_wav_file_without_a_date_is_timed_by_its_name(tmp_path: Path) -> None:
    written.wav(tmp_path / "a.wav")
    content = (tmp_path / "a.wav").read_bytes().replace(b"2023-11-14", b"0000-00-00")
    block = open_format(format_named("wav")).describe(NamedFile(content, f"/night/{written.NAME}.wav")).blocks[0]
    assert block.coords["time"].values.first == written.START
    with pytest.raises(FormatError, match="time"):
        open_format(format_named("wav")).describe(NamedFile(content, "/night/a.wav"))


def test_a_febus_text_whose_header_or_times_make_no_sense_is_refused(tmp_path: Path) -> None:
    write_febus_g1(tmp_path / "a.bsl")
    content = (tmp_path / "a.bsl").read_bytes()
    refused(content[: content.index(b"mode")], "febus_g1", "a header without an end")
    refused(content.replace(b"1700000000.25", b"9700000000.25"), "febus_g1", "is not within 1970 to 2116")
    refused(content.replace(b";1700000061", b";1600000061"), "febus_g1", "its times make no sense")


def test_a_trace_without_spacing_is_refused(tmp_path: Path) -> None:
    written.sr4731(tmp_path / "a.sor")
    content = (tmp_path / "a.sor").read_bytes()
    said = struct.pack("<II", 125003, 8000)
    assert content.count(said) == 1
    with pytest.raises(FormatError, match="no spacing or no refractive index"):
        open_format(format_named("sr4731")).describe(NamedFile(content.replace(said, struct.pack("<II", 0, 8000)), "a"))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"FxdParams\0", b"FxdOthers\0", "no block FxdParams; the file is no whole SR-4731 file"),
        (
            struct.pack("<IHIH", 8000, 1, 8000, 1000),
            struct.pack("<IHIH", 8000, 2, 8000, 1000),
            "2 traces of 8000 points",
        ),
        (struct.pack("<IHIH", 8000, 1, 8000, 1000), struct.pack("<IHIH", 8000, 1, 8000, 0), "8000 points with scale 0"),
    ],
)
def test_traces_that_do_not_fit_their_map_are_refused(before: bytes, after: bytes, words: str, tmp_path: Path) -> None:
    written.sr4731(tmp_path / "a.sor")
    refused((tmp_path / "a.sor").read_bytes().replace(before, after), "sr4731", words)


def test_a_channel_at_no_distance_is_refused(tmp_path: Path) -> None:
    written.sentek(tmp_path / "a.das")
    content = bytearray((tmp_path / "a.das").read_bytes())
    struct.pack_into("<f", content, 24 + 4 * 7, float("nan"))
    refused(bytes(content), "sentek", "a channel lies at no finite distance")


def test_segy_texts_that_never_end_are_refused(tmp_path: Path) -> None:
    written.segy_2_1(tmp_path / "a.sgy")
    content = bytearray((tmp_path / "a.sgy").read_bytes())
    struct.pack_into("<h", content, 3200 + 304, -1)  # as many as there are up to the one that ends them
    reader = open_format(format_named("segy"))
    with NamedFile(bytes(content), "a.sgy") as file:
        assert reader.describe(file).blocks[0].shape == written.SHAPE
    end = "((SEG: EndText))".encode("cp037")
    refused(bytes(content).replace(end, b"@" * len(end)) + bytes(3200 * 1000), "segy", "textual headers have no end")


@pytest.mark.parametrize("number", [-1, 7])
def test_a_block_that_a_file_has_not_is_named(sample: Any, number: int) -> None:
    with pytest.raises(InvalidInput, match=f"block {number}: "):
        open_format(format_named(sample.format)).read(sample.open(), number, ())


def test_a_file_comes_twice_only_as_a_mistake(tmp_path: Path) -> None:
    """Two files of one folder that are copies of each other."""
    written.miniseed(tmp_path / "a.mseed", reclen=512)
    (tmp_path / "b.mseed").write_bytes((tmp_path / "a.mseed").read_bytes())
    written.as_one(tmp_path / "both", [tmp_path / "a.mseed", tmp_path / "b.mseed"])
    refused((tmp_path / "both").read_bytes(), "miniseed", "comes twice; ingest the copies apart")
