"""The known troubles of public archives, each ending in the right datasets, gaps or reports, none in silence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written

import archive as lk
from archive.store import open_store
from archive.times import time_to_ns
from ingest.initialise import initialise
from ingest.quarantine import newest_reports
from ingest.run import IngestReport, ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml

START = time_to_ns("2016-03-14T00:00:00")
SECOND = 10**9
LENGTH, RATE = 2000, 1000.0  # samples of a file, Hz
pytestmark = pytest.mark.slow


def block(number: int, channels: int = 6, length: int = LENGTH) -> np.ndarray:
    return np.random.default_rng(number).integers(-999, 999, (length, channels), "i2")


class Directory:
    """A directory of files, two seconds each."""

    def __init__(self, folder: Path) -> None:
        self.raw, self.url = folder / "raw", str(folder / "archive")
        self.raw.mkdir()

    def put(self, number: int, *, shift: int = 0, channels: int = 6, rate: float = RATE, name: str = "") -> Path:
        """Write file `number` of a recording; its clock is off by `shift` ns."""
        header = Header(start=START + number * 2 * SECOND + shift, rate=rate)
        path = self.raw / (name or f"das_{number:04d}.h5")
        return write_prodml(path, block(number, channels, round(2 * rate)), header)

    def ingest(self, **settings: Any) -> tuple[IngestReport, Any]:
        store = open_store(self.url)
        initialise(store)
        return ingest(store, [str(self.raw)], Settings(**settings)), lk.open(self.url)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def joined(numbers: range | list[int]) -> np.ndarray:
    return np.concatenate([block(number) for number in numbers])


def test_a_file_stored_twice_under_two_names_is_there_once(directory: Directory) -> None:
    for number in range(4):
        directory.put(number)
    shutil.copy(directory.raw / "das_0001.h5", directory.raw / "das_0001 (copy).h5")
    report, spool = directory.ingest()
    assert (report.sources, report.refusals) == (5, [])
    (patch,) = spool
    np.testing.assert_array_equal(patch.data, joined(range(4)))
    assert spool.overlaps().empty


def test_a_block_stored_twice_in_files_that_differ_is_read_once_and_reported(directory: Directory) -> None:
    for number in range(4):
        directory.put(number)
    again = np.concatenate([block(1)[1000:], block(2)[:1000]])  # the same samples, cut elsewhere
    write_prodml(directory.raw / "again.h5", again, Header(start=START + 3 * SECOND, rate=RATE))
    report, spool = directory.ingest()
    assert report.refusals == []
    (patch,) = spool
    np.testing.assert_array_equal(patch.data, joined(range(4)))
    overlaps = spool.overlaps(compare=True)
    assert len(overlaps)
    assert not overlaps["differ"].any()


def test_missing_hours_are_a_gap_and_nothing_is_moved(directory: Directory) -> None:
    for number in (0, 1, 3600, 3601):  # two hours
        directory.put(number)
    report, spool = directory.ingest()
    assert (report.sources, len(spool)) == (4, 2)
    gaps = spool.gaps()
    assert gaps["samples"].tolist() == [3598 * LENGTH]
    np.testing.assert_array_equal(spool[1].data, joined([3600, 3601]))
    assert spool[1].coords["time"].to_numpy()[0] == np.datetime64(START + 7200 * SECOND, "ns")


@pytest.mark.parametrize("shift", [300_000_000, 700_000])  # 0.3 s, and not a whole sample
def test_a_clock_that_jumps_ahead_leaves_a_gap_and_every_stamp_is_as_recorded(directory: Directory, shift: int) -> None:
    for number in range(4):
        directory.put(number, shift=shift if number >= 2 else 0)
    _, spool = directory.ingest()
    assert len(spool) == 2
    assert spool[1].coords["time"].to_numpy()[0] == np.datetime64(START + 4 * SECOND + shift, "ns")
    np.testing.assert_array_equal(np.concatenate([patch.data for patch in spool]), joined(range(4)))


def test_a_clock_that_jumps_back_makes_an_overlap_that_is_reported(directory: Directory) -> None:
    for number in range(4):
        directory.put(number, shift=-500_000_000 if number >= 2 else 0)
    _, spool = directory.ingest()
    overlaps = spool.overlaps(compare=True)
    assert len(overlaps) == 1
    assert overlaps["differ"].all()
    data = np.concatenate([patch.data for patch in spool])
    np.testing.assert_array_equal(
        data, np.concatenate([joined([0, 1]), joined([2, 3])[500:]])
    )  # the earlier block wins


def test_a_rate_that_changes_makes_two_datasets(directory: Directory) -> None:
    for number in range(4):
        directory.put(number, rate=RATE if number < 2 else 500.0)
    report, spool = directory.ingest()
    assert (len(report.datasets), report.refusals) == (2, [])
    steps = sorted(float(patch.coords["time"].step / np.timedelta64(1, "ms")) for patch in spool)
    assert steps == [1, 2]
    assert sorted(patch.shape for patch in spool) == [(2000, 6), (4000, 6)]


def test_a_channel_count_that_changes_makes_two_datasets(directory: Directory) -> None:
    for number in range(4):
        directory.put(number, channels=6 if number < 2 else 5)
    report, spool = directory.ingest()
    assert (len(report.datasets), report.refusals) == (2, [])
    assert sorted(patch.shape for patch in spool) == [(4000, 5), (4000, 6)]


def test_a_cut_file_is_set_aside_with_its_reason_and_its_time_is_a_gap(directory: Directory) -> None:
    for number in range(3):
        directory.put(number)
    cut = directory.raw / "das_0001.h5"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    report, spool = directory.ingest()
    assert report.sources == 2
    (refusal,) = report.refusals
    assert "das_0001.h5" in refusal.reason
    (kept,) = newest_reports(open_store(directory.url))
    assert kept.url.endswith("das_0001.h5")
    assert len(spool) == 2
    assert spool.gaps()["samples"].tolist() == [LENGTH]


def test_a_header_of_zeros_is_set_aside_and_no_time_is_made_up(directory: Directory) -> None:
    good, zeros = directory.raw / "good.sgy", directory.raw / "zeros.sgy"
    written.segy(good)
    content = bytearray(good.read_bytes())
    trace = 240 + 4 * written.SHAPE[0]
    for number in range(written.SHAPE[1]):
        content[3600 + number * trace : 3840 + number * trace] = bytes(240)
    zeros.write_bytes(bytes(content))
    report, spool = directory.ingest()
    assert report.sources == 1
    (refusal,) = report.refusals
    assert "zeros.sgy" in refusal.reason
    assert spool[0].coords["time"].to_numpy()[0] == np.datetime64(written.START, "ns")


def test_a_name_without_a_zone_is_utc_and_one_with_a_zone_is_converted(directory: Directory) -> None:
    samples = written.sentek(directory.raw / "DASShot_20230328155653.das")
    other = np.fromfile(directory.raw / "DASShot_20230328155653.das", "<f4")
    other[-samples.size :] *= 2
    other.tofile(directory.raw / "DASShot_20230328185753+0300.das")
    report, spool = directory.ingest()
    assert (report.sources, report.refusals) == (2, [])
    first = [patch.coords["time"].to_numpy()[0] for patch in spool]
    assert first == [np.datetime64(f"2023-03-28T15:{time}", "ns") for time in ("56:53", "57:53")]
    np.testing.assert_array_equal(spool[0].data, samples)
    np.testing.assert_array_equal(spool[1].data, samples * 2)
