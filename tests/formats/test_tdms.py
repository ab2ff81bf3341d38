"""What is particular to TDMS."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archive.errors import FormatError
from archive.store import open_store
from ingest.formats import ni_tdms, tdms
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.synthetic import write_tdms
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from pathlib import Path

START = 1_559_291_930_626_927_706
SAMPLES = np.arange(1200, dtype="i2").reshape(120, 10)
HEADER = Header(start=START, rate=200.0)
LEAD_IN = ni_tdms.LEAD_IN


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return write_tdms(tmp_path / "sample.tdms", SAMPLES, HEADER).read_bytes()


def with_lead_in(content: bytes, **fields: int) -> bytes:
    names = ("tag", "contents", "version", "next", "raw")
    values = dict(zip(names, LEAD_IN.unpack_from(content), strict=True)) | fields
    return LEAD_IN.pack(*values.values()) + content[LEAD_IN.size :]


def read(content: bytes, *window: slice) -> Any:
    return tdms.read(io.BytesIO(content), 0, window)


def test_time_stamps_are_exact_to_the_nanosecond(content: bytes) -> None:
    description = tdms.describe(io.BytesIO(content))
    assert description.blocks[0].coords["time"].values.first == START
    assert description.header["/"]["GPSTimeStamp"] == "2019-05-31T08:38:50.626927706"


def test_the_clock_of_the_computer_counts_where_there_is_no_gps(tmp_path: Path) -> None:
    content = write_tdms(tmp_path / "sample.tdms", SAMPLES, HEADER).read_bytes()
    at = content.index(b"GPSTimeStamp") + len(b"GPSTimeStamp") + 4
    unset = content[:at] + struct.pack("<Qq", 0, 0) + content[at + 16 :]
    assert tdms.describe(io.BytesIO(unset)).blocks[0].coords["time"].values.first == START
    at = content.index(b"CPUTimeStamp") + len(b"CPUTimeStamp") + 4
    with pytest.raises(FormatError, match="no time"):
        tdms.describe(io.BytesIO(unset[:at] + struct.pack("<Qq", 0, 0) + unset[at + 16 :]))


def test_a_time_stamp_far_out_is_refused(content: bytes) -> None:
    at = content.index(b"GPSTimeStamp") + len(b"GPSTimeStamp") + 4
    with pytest.raises(FormatError, match="since 1904"):
        tdms.describe(io.BytesIO(content[:at] + struct.pack("<Qq", 0, 1 << 50) + content[at + 16 :]))


def test_segments_follow_each_other(content: bytes) -> None:
    raw = (-SAMPLES).tobytes()
    contents = (1 << 3) | (1 << 5)  # raw data, interleaved; the channels are those of before
    both = content + LEAD_IN.pack(b"TDSm", contents, 4713, len(raw), 0) + raw
    expected = np.concatenate((SAMPLES, -SAMPLES))
    assert tdms.describe(io.BytesIO(both)).blocks[0].shape == (240, 10)
    np.testing.assert_array_equal(read(both), expected)
    np.testing.assert_array_equal(read(both, slice(100, 150), slice(3, 7)), expected[100:150, 3:7])


def test_a_segment_may_add_properties_to_those_before(content: bytes) -> None:
    root = struct.pack("<I", 1) + b"/" + struct.pack("<I", 0xFFFFFFFF)
    note = struct.pack("<I", 4) + b"Note" + struct.pack("<II", 0x20, 2) + b"ok"
    metadata = struct.pack("<I", 1) + root + struct.pack("<I", 1) + note
    both = content + LEAD_IN.pack(b"TDSm", 1 << 1, 4713, len(metadata), len(metadata)) + metadata
    description = tdms.describe(io.BytesIO(both))
    assert description.header["/"]["Note"] == "ok"
    assert description.header["/"]["GaugeLength"] == 10.0
    np.testing.assert_array_equal(read(both), SAMPLES)


def test_metadata_beyond_all_measure_is_refused(monkeypatch: Any, content: bytes) -> None:
    monkeypatch.setattr(ni_tdms, "_MOST_METADATA", 100)
    with pytest.raises(FormatError, match="bytes of metadata"):
        tdms.describe(io.BytesIO(content))


def test_what_a_recording_that_was_broken_off_holds_is_read(content: bytes, tmp_path: Path) -> None:
    unfinished = with_lead_in(content, next=(1 << 64) - 1)
    np.testing.assert_array_equal(read(unfinished), SAMPLES)
    np.testing.assert_array_equal(read(unfinished[:-7]), SAMPLES[:-1])
    path = write_tdms(tmp_path / "by_channel.tdms", SAMPLES, HEADER, interleaved=False)
    unfinished = with_lead_in(path.read_bytes(), next=(1 << 64) - 1)
    np.testing.assert_array_equal(read(unfinished), SAMPLES)


def test_an_index_that_does_not_divide_the_samples_is_no_damage(content: bytes) -> None:
    index = struct.pack("<IIIQ", 20, 2, 1, 120)
    assert content.count(index) == SAMPLES.shape[1]
    odd = content.replace(index, struct.pack("<IIIQ", 20, 2, 1, 50))
    np.testing.assert_array_equal(read(odd), SAMPLES)


def test_the_last_of_several_chunks_by_channel_may_be_shorter(tmp_path: Path) -> None:
    chunks = [SAMPLES[first : first + 50] for first in range(0, 120, 50)]
    content = write_tdms(tmp_path / "sample.tdms", SAMPLES, HEADER, interleaved=False).read_bytes()
    head = content[: len(content) - SAMPLES.nbytes]
    head = head.replace(struct.pack("<IIIQ", 20, 2, 1, 120), struct.pack("<IIIQ", 20, 2, 1, 50))
    content = head + b"".join(np.ascontiguousarray(chunk.T).tobytes() for chunk in chunks)
    np.testing.assert_array_equal(read(content), SAMPLES)
    np.testing.assert_array_equal(read(content, slice(45, 118), slice(2, 5)), SAMPLES[45:118, 2:5])


def test_few_of_many_channels_are_read_without_the_others(tmp_path: Path, counting: Any) -> None:
    samples = np.random.default_rng(1).integers(-9, 9, (30, 40_000), "i2")
    content = write_tdms(tmp_path / "sample.tdms", samples, HEADER).read_bytes()
    file, described = counting(content), counting(content)
    tdms.describe(described)
    np.testing.assert_array_equal(tdms.read(file, 0, (slice(5, 25), slice(100, 110))), samples[5:25, 100:110])
    assert file.count == described.count + 20 * 10 * 2


def test_other_tdms_files_are_not_claimed(content: bytes) -> None:
    assert tdms.sniff(io.BytesIO(content.replace(b"MeasureLength[m]", b"MeasuredWith[m]."))) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"/'Measurement'/'9'\x14", b"/'Measurement'/'9'\x13", "is not read"),
        (
            struct.pack("<IIIQ", 20, 2, 1, 120),
            struct.pack("<IIIQ", 20, 0x20, 1, 120),
            "raw data of type 0x20",
        ),
        (struct.pack("<IIIQ", 20, 2, 1, 120), struct.pack("<IIIQ", 20, 2, 2, 120), "in 2 dims"),
        (struct.pack("<IIIQ", 20, 2, 1, 120), struct.pack("<IIIQ", 20, 2, 1, 0), "without values"),
        (struct.pack("<IIIQ", 20, 2, 1, 120), struct.pack("<IIIQ", 20, 3, 1, 120), None),
        (b"/'Measurement'/'9'\x14\0\0\0\x02", b"/'Measurement'/'9'\x14\0\0\0\x05", "differ in type"),
        (b"GaugeLength\x0a", b"GaugeLength\x7f", "a property of type 0x7f"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(content: bytes, old: bytes, new: bytes, reason: str | None) -> None:
    changed = content.replace(old, new)
    assert changed != content
    if reason is None:  # half as many samples of twice the size, as far as anyone can tell
        assert tdms.describe(io.BytesIO(changed)).blocks[0].shape == (60, 10)
        return
    with pytest.raises(FormatError, match=reason):
        tdms.describe(io.BytesIO(changed))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"contents": 0x6E}, "no little-endian"),
        ({"contents": 0x6}, "no samples"),
        ({"next": 10}, "ends at byte"),
        ({"next": 1 << 40}, "it is cut"),
        ({"next": (1 << 64) - 1, "raw": 1 << 62}, "ends at byte"),
    ],
)
def test_a_lead_in_that_makes_no_sense_is_refused(content: bytes, fields: dict[str, int], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        tdms.describe(io.BytesIO(with_lead_in(content, **fields)))


def test_numbers_that_are_not_finite_are_kept_as_strict_json(content: bytes, tmp_path: Path) -> None:
    values = {"Nothing": float("nan"), "Most": float("inf"), "Least": float("-inf"), "Half": 0.5}
    held = b"".join(
        struct.pack("<I", len(name)) + name.encode() + struct.pack("<Id", 10, value) for name, value in values.items()
    )
    root = struct.pack("<I", 1) + b"/" + struct.pack("<II", 0xFFFFFFFF, len(values)) + held
    metadata = struct.pack("<I", 1) + root
    raw = SAMPLES.tobytes()
    contents = (1 << 1) | (1 << 3) | (1 << 5)
    more = LEAD_IN.pack(b"TDSm", contents, 4713, len(metadata) + len(raw), len(metadata)) + metadata + raw
    (tmp_path / "a.tdms").write_bytes(content + more)
    store = open_store(tmp_path / "archive")
    initialise(store)
    ingest(store, [str(tmp_path / "a.tdms")])

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    (key,) = [entry.key for entry in store.entries("data/") if entry.key.endswith(".zarr/zarr.json")]
    document = json.loads(bytes(store.get(key).data), parse_constant=refuse)
    headers = document["attributes"]["headers"]
    (own,) = headers["sources"].values()
    header = {**headers["shared"]["/"], **own.get("/", {})}
    assert [header[name] for name in values] == ["NaN", "Infinity", "-Infinity", 0.5]
