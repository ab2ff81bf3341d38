"""Real files whose truth is not DASCore's reading, and written files against other libraries."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import written

from ingest.formats import format_named, identify, open_format

if TYPE_CHECKING:
    from pathlib import Path


def opened(path: Path) -> Any:
    """Return the format's reader, what it says of a file, and its first block's samples."""
    with path.open("rb") as file:
        reader = open_format(identify(file))
        return reader.describe(file), reader.read(file, 0, ())


def dascore() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dascore

    return dascore


def agrees(theirs: Any, description: Any, samples: Any) -> None:
    """Compare a DASCore Patch with the first block of a file."""
    block = description.blocks[0]
    theirs = theirs.transpose("time", ...)
    np.testing.assert_array_equal(theirs.data, samples)
    times = theirs.coords.get_array("time").astype(np.int64)
    assert np.abs(times - block.coords["time"].to_numpy().astype(np.int64)).max() <= 1000
    dim = block.dims[1]
    np.testing.assert_allclose(theirs.coords.get_array(dim), block.coords[dim].to_numpy())


def test_sentek_begins_behind_its_header(shared_raw: Path) -> None:
    path = shared_raw / "DASDMSShot00_20230328155653619.das"
    truth = json.loads((shared_raw / "truth.json").read_text())[path.name]["patches"][0]
    description, samples = opened(path)
    block = description.blocks[0]
    assert list(block.shape) == truth["shape"]
    # What DASCore reads begins 37 numbers too early: with the last seconds of the list, and ends so much before.
    before = np.frombuffer(path.read_bytes(), "<f4")[18376 - 37 : 18376]
    shifted = np.concatenate([before, samples.ravel()[:-37]])
    assert hashlib.sha256(shifted.tobytes()).hexdigest() == truth["sha256"]
    np.testing.assert_allclose(np.diff(before)[-20:], 0.027264, atol=0.016)  # seconds, as 32-bit floats hold them
    step = float(block.coords["time"].values.step) / 1000
    assert step == pytest.approx(description.header["sampling_interval"], rel=1e-5)  # µs
    distance = block.coords["distance"].to_numpy()
    assert (distance[0], distance[-1]) == (0.0, pytest.approx(61.8586))
    assert (np.diff(distance) > 1.9).all()


def test_real_miniseed_is_what_obspy_reads(shared_raw: Path) -> None:
    path = shared_raw / "geofon_3U_HSF.mseed"
    truth = json.loads((shared_raw / "truth.json").read_text())[path.name]["traces"]
    reader = open_format(format_named("miniseed"))
    with path.open("rb") as file:
        blocks = reader.describe(file).blocks
        assert len(blocks) == len(truth)
        for number, (block, trace) in enumerate(zip(blocks, truth, strict=True)):
            samples = reader.read(file, number, ())
            assert samples.shape == (trace["npts"], 1)
            assert samples.dtype == np.dtype(trace["dtype"])
            assert hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest() == trace["sha256"]
            time = block.coords["time"].values
            assert (time.first, time.last) == (trace["start_ns"], trace["end_ns"])
            assert block.coords["source_id"].to_numpy().tolist() == ["FDSN:3U_A0905__H_S_F"]
            assert block.attrs == {"data_category": "DAS", "network": "3U", "station": "A0905"}


def test_the_real_protobuf_recording_says_what_its_bytes_say(shared_raw: Path) -> None:
    path = shared_raw / "sintela_protobuf_1.pb"
    content = path.read_bytes()
    description, samples = opened(path)
    (block,) = description.blocks
    packets = [
        np.frombuffer(content[at + 6400 * 0 : at + 6400], "<f4")
        for at in (i + 3 for i in range(len(content)) if content.startswith(b"\x1a\x80\x32", i))  # field 3, 6400 bytes
    ]
    np.testing.assert_array_equal(np.concatenate(packets).reshape(-1, 200), samples)
    time = block.coords["time"].values
    assert time.first == 1_771_785_052_151_221_000
    assert time.step == 2_000_000
    assert block.attrs["gauge_length"] == 10.0
    assert block.attrs["manufacturer"] == "Sintela"


def test_dascore_reads_sintela_binary_alike(tmp_path: Path) -> None:
    written.sintela_binary(tmp_path / "made.raw")
    theirs = dascore().read(tmp_path / "made.raw", file_format="SINTELA_BINARY", file_version="3")[0]
    description, samples = opened(tmp_path / "made.raw")
    agrees(theirs, description, samples)
    for name in ("data_type", "gauge_length"):
        assert theirs.attrs[name] == description.blocks[0].attrs[name]


def test_dascore_reads_otdr_alike(tmp_path: Path) -> None:
    written.sr4731(tmp_path / "made.sor")
    theirs = dascore().read(tmp_path / "made.sor", file_format="SR4731", file_version="200")[0]
    agrees(theirs, *opened(tmp_path / "made.sor"))


def test_dascore_reads_xml_beside_raw_alike(tmp_path: Path) -> None:
    written.xml_binary(tmp_path / "made.raw")
    raw = tmp_path / "xml/DAS_20231114T221320_250000Z.raw"
    # DASCore 0.1.24 does not know pandas 3's texts.
    with warnings.catch_warnings(action="ignore"), pd.option_context("future.infer_string", 0):
        theirs = dascore().read(raw, file_format="XMLBINARY", file_version="1")[0]
    description, samples = opened(tmp_path / "made.raw")
    agrees(theirs, description, samples)
    assert theirs.attrs["gauge_length"] == description.blocks[0].attrs["gauge_length"]
    assert theirs.attrs["instrument_id"] == description.blocks[0].attrs["instrument_id"]


@pytest.mark.parametrize("endian", ["big", "little"])
@pytest.mark.parametrize("code", [1, 2, 3, 5, 8])
def test_segyio_reads_segy_alike(endian: str, code: int, tmp_path: Path) -> None:
    import segyio

    samples = written.segy(tmp_path / "made.sgy", endian=endian, code=code)
    description, found = opened(tmp_path / "made.sgy")
    with segyio.open(tmp_path / "made.sgy", ignore_geometry=True, endian=endian) as file:
        np.testing.assert_array_equal(file.trace.raw[:].T, found)
        headers = description.header["traces"]
        assert headers["GroupX"] == file.attributes(segyio.TraceField.GroupX)[:].tolist()
        assert headers["DayOfYear"] == file.header[7][segyio.TraceField.DayOfYear]
    np.testing.assert_array_equal(found, samples)
    block = description.blocks[0]
    assert block.coords["time"].values.first == written.START
    np.testing.assert_allclose(block.coords["x"].to_numpy(), 50_000 + np.arange(written.SHAPE[1]) * 1.5)
    assert block.coords["x"].units == "m"
    assert block.attrs["data_units"] == "m/s"


@pytest.mark.parametrize("order", ["<", ">"])
def test_segy_2_1_keeps_its_own_promises(order: str, tmp_path: Path) -> None:
    samples = written.segy_2_1(tmp_path / "made.sgy", order=order)
    description, found = opened(tmp_path / "made.sgy")
    np.testing.assert_array_equal(found, samples)
    time = description.blocks[0].coords["time"].values
    # GPS was 18 s ahead of UTC; the header's delay is 250 ms, and the interval exact where 16 bits are not.
    assert time.first == written.START
    assert time.step == 1_999_500
    assert description.version == "2.1"
    assert "written by hand" in description.header["text"][0]


def test_obspy_reads_big_endian_segy_alike(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from obspy.io.segy.core import _read_segy
    written.segy(tmp_path / "made.sgy")
    stream = _read_segy(str(tmp_path / "made.sgy"))
    _, found = opened(tmp_path / "made.sgy")
    np.testing.assert_array_equal(np.stack([trace.data for trace in stream], axis=1), found)
    assert stream[0].stats.delta == 0.002


def test_scipy_reads_wav_alike(tmp_path: Path) -> None:
    from scipy.io import wavfile

    for dtype in ("u1", "i2", "i4", "f4", "f8"):
        written.wav(tmp_path / "made.wav", dtype)
        description, found = opened(tmp_path / "made.wav")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # it knows no bext
            rate, theirs = wavfile.read(tmp_path / "made.wav")
        np.testing.assert_array_equal(theirs, found)
        time = description.blocks[0].coords["time"].values
        assert (time.first, time.step) == (written.START, 10**9 // rate)
        assert description.blocks[0].attrs["instrument_id"] == "maker"


def test_obspy_reads_miniseed_alike(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from obspy import read
    for options in ({"reclen": 512}, {"dtype": "f8"}, {"encoding": "INT32", "byteorder": "<"}, {"encoding": "STEIM1"}):
        written.miniseed(tmp_path / "made.mseed", **options)
        description, found = opened(tmp_path / "made.mseed")
        stream = read(str(tmp_path / "made.mseed"))
        np.testing.assert_array_equal(np.stack([trace.data for trace in stream], axis=1), found)
        assert description.blocks[0].coords["time"].values.first == stream[0].stats.starttime.ns


def test_a_channel_that_pauses_makes_blocks_without_it(tmp_path: Path) -> None:
    samples = written.counts("i4")
    stream = written.stream(samples)
    cut = stream.copy()
    start, step = stream[0].stats.starttime, 1 / written.RATE
    cut.traces[3:4] = [
        stream[3].slice(start, start + 399 * step),
        stream[3].slice(start + 700 * step, start + 1499 * step),
    ]
    cut.write(str(tmp_path / "made.mseed"), format="MSEED", reclen=512)
    with (tmp_path / "made.mseed").open("rb") as file:
        reader = open_format(identify(file))
        blocks = reader.describe(file).blocks
        others = [number for number in range(written.SHAPE[1]) if number != 3]
        wanted = (samples[:400], samples[400:700, others], samples[700:])
        assert len(blocks) == 3
        for number, part in enumerate(wanted):
            np.testing.assert_array_equal(reader.read(file, number, ()), part)
        firsts = [block.coords["time"].values.first - written.START for block in blocks]
        assert firsts == [0, 800_000_000, 1_400_000_000]


def test_lost_packets_make_blocks(tmp_path: Path) -> None:
    samples = written.sintela_binary(tmp_path / "made.raw", lost=[4, 5, 9])
    with (tmp_path / "made.raw").open("rb") as file:
        reader = open_format(identify(file))
        blocks = reader.describe(file).blocks
        assert [block.shape[0] for block in blocks] == [400, 300, 500]
        whole = np.concatenate([reader.read(file, number, ()) for number in range(3)])
    np.testing.assert_array_equal(whole, samples)
    assert [(block.coords["time"].values.first - written.START) // 10**6 for block in blocks] == [0, 1200, 2000]


def test_packets_that_stray_from_the_line_keep_their_stamps(tmp_path: Path) -> None:
    written.sintela_binary(tmp_path / "made.raw", jitter=50_000)
    (block,) = opened(tmp_path / "made.raw")[0].blocks
    recorded = block.coords["time_recorded"].to_numpy().astype(np.int64)
    np.testing.assert_array_equal(
        recorded[::100] - written.START, np.arange(15) * 200_000_000 + np.arange(15) % 2 * 50_000
    )


@pytest.mark.parametrize("tag", [b"BAND", b"FFT"])
def test_other_packets_of_sintela_are_named(tag: bytes, tmp_path: Path) -> None:
    from archive.errors import FormatError

    written.sintela_protobuf(tmp_path / "made.pb", tag=tag)
    with (tmp_path / "made.pb").open("rb") as file, pytest.raises(FormatError, match=f"{tag.decode()} is not read"):
        identify(file)
