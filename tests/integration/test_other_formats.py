"""Files that are not HDF5 go into an archive, alone or several as one, and come out of a Spool as they were."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import written

import archive as lk
from archive.store import Store, open_store
from ingest.formats import identify, open_format
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.sources import IN_MEMORY

_numbers = count()


@pytest.fixture
def url() -> str:
    return f"memory://other-formats-{next(_numbers)}"


@pytest.fixture
def store(url: str) -> Store:
    store = open_store(url)
    initialise(store)
    return store


def blocks_of(path: Path) -> list[tuple[Any, Any]]:
    """Return what a file says of its blocks, and their samples."""
    with path.open("rb") as file:
        reader = open_format(identify(file))
        blocks = reader.describe(file).blocks
        return [(block, reader.read(file, number, ())) for number, block in enumerate(blocks)]


@pytest.mark.parametrize("name", list(written.REAL))
def test_a_real_file_comes_out_as_it_went_in(name: str, shared_raw: Path, url: str, store: Store) -> None:
    report = ingest(store, [str(shared_raw / name)])
    assert (report.sources, report.refusals) == (1, [])
    truth = json.loads((shared_raw / "truth.json").read_text())[name]
    patches = sorted(lk.open(url), key=lambda patch: patch.coords["time"].to_numpy()[0])
    direct = blocks_of(shared_raw / name)
    assert len(patches) == len(direct)
    for patch, (block, samples) in zip(patches, direct, strict=True):
        np.testing.assert_array_equal(patch.data, samples)
        for dim in block.dims:
            np.testing.assert_array_equal(patch.coords[dim].to_numpy(), block.coords[dim].to_numpy())
    if name not in {"DASDMSShot00_20230328155653619.das", "sintela_protobuf_1.pb"}:
        wanted = [part["sha256"] for part in truth.get("patches", truth.get("traces"))]
        assert [hashlib.sha256(np.ascontiguousarray(patch.data).tobytes()).hexdigest() for patch in patches] == wanted


# Samples of several files are single files here, made for readers; below they are folders.
SINGLE = [name for name in written.MADE if "folder" not in name and "xml" not in name]


@pytest.mark.parametrize("name", SINGLE)
def test_a_made_file_comes_out_as_it_went_in(name: str, url: str, store: Store, tmp_path: Path) -> None:
    _, file, writer = written.MADE[name]
    samples = writer(tmp_path / file)
    assert ingest(store, [str(tmp_path / file)]).refusals == []
    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, samples)


def test_a_folder_of_wav_channels_is_one_dataset(url: str, store: Store, tmp_path: Path) -> None:
    samples = written.wav_folder(tmp_path / "made.wav")
    report = ingest(store, [str(tmp_path / written.NAME)])
    assert (report.sources, report.refusals, len(report.datasets)) == (1, [], 1)
    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, samples)
    np.testing.assert_array_equal(patch.coords["distance"].to_numpy(), np.arange(written.SHAPE[1]) * 2.5)
    assert patch.coords["time"].to_numpy()[0] == np.datetime64(written.START, "ns")
    again = ingest(store, [str(tmp_path / written.NAME)])
    assert (again.known, again.sources, again.commits) == (written.SHAPE[1], 0, 0)


def write_channels(folder: Path, samples: Any, start: int, suffix: str = "") -> None:
    for trace in written.stream(samples, start):
        trace.write(str(folder / f"{trace.stats.station}{suffix}.mseed"), format="MSEED", reclen=512)


def test_the_next_window_of_a_folder_is_the_next_source(url: str, store: Store, tmp_path: Path) -> None:
    samples = written.counts("i4", (3000, 7))
    write_channels(tmp_path, samples[:1500], written.START, "-1")
    first = ingest(store, [str(tmp_path)])
    write_channels(tmp_path, samples[1500:], written.START + 3 * 10**9, "-2")
    second = ingest(store, [str(tmp_path)])
    assert (first.sources, second.sources, second.known) == (1, 1, 7)
    assert first.datasets == second.datasets
    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, samples)


def test_a_copy_of_a_channel_does_not_become_another_channel(url: str, store: Store, tmp_path: Path) -> None:
    samples = written.counts("i4", (1500, 4))
    write_channels(tmp_path, samples, written.START)
    shutil.copy(tmp_path / "00002.mseed", tmp_path / "zz-copy.mseed")
    assert ingest(store, [str(tmp_path)]).refusals == []
    shapes = sorted(patch.shape for patch in lk.open(url))
    assert shapes == [(1500, 1), (1500, 4)]


def test_a_channel_that_comes_late_makes_the_recording_anew_and_nothing_is_stored_twice(
    url: str, store: Store, tmp_path: Path
) -> None:
    samples = written.counts("i4", (1500, 4))
    write_channels(tmp_path, samples, written.START)
    (tmp_path / "00003.mseed").rename(tmp_path.parent / "late.mseed")
    ingest(store, [str(tmp_path)])
    (tmp_path.parent / "late.mseed").rename(tmp_path / "00003.mseed")
    assert ingest(store, [str(tmp_path)]).refusals == []
    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, samples)


@pytest.mark.parametrize("transposed", [False, True])
def test_raw_files_are_read_with_the_metadata_beside_them(
    *, transposed: bool, url: str, store: Store, tmp_path: Path
) -> None:
    samples = written.xml_folder(tmp_path / "night", transposed=transposed)
    report = ingest(store, [str(tmp_path / "night")])
    assert (report.sources, report.refusals, report.ignored) == (2, [], ())
    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, samples)
    np.testing.assert_array_equal(patch.coords["distance"].to_numpy()[:2], [10.0, 12.5])
    again = ingest(store, [str(tmp_path / "night")])
    assert (again.known, again.sources, again.refusals) == (3, 0, [])


def test_metadata_alone_and_raw_files_alone_are_refused(store: Store, tmp_path: Path) -> None:
    written.xml_folder(tmp_path / "night")
    for name, reason in (
        ("metadata.xml", "no .raw file lies beside it"),
        ("DAS_20231114T221320_250000Z.raw", "begins"),
    ):
        (refusal,) = ingest(store, [str(tmp_path / "night" / name)]).refusals
        assert reason in refusal.reason


def test_files_in_a_place_that_has_no_folders_are_gathered_too(
    url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = written.wav_folder(tmp_path / "made.wav")
    memory = fsspec.filesystem("memory")
    for file in (tmp_path / written.NAME).iterdir():
        memory.pipe(f"/gathered/{written.NAME}/{file.name}", file.read_bytes())
    try:
        for limit in (IN_MEMORY, 0):
            monkeypatch.setattr("ingest.sources.IN_MEMORY", limit)
            report = ingest(store, [f"memory://gathered/{written.NAME}"])
            assert report.refusals == []
        (patch,) = lk.open(url)
        np.testing.assert_array_equal(patch.data, samples)
    finally:
        memory.rm("/gathered", recursive=True)


def test_a_file_that_tells_no_time_is_refused(store: Store, tmp_path: Path) -> None:
    written.wav_24(tmp_path / "concert.wav")
    written.sentek(tmp_path / "shot.das")
    refusals = ingest(store, [str(tmp_path)]).refusals
    assert len(refusals) == 2
    assert all("tells no time" in refusal.reason for refusal in refusals)
