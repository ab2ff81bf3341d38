"""A Spool over raw files, without an archive: the same samples and times, looked at once, changes noticed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hdf5_files import write_febus_g1
from written import MADE, metadata, xml_folder

import archive as lk
from archive.errors import FormatError, InvalidInput, NotFound, SourceChanged
from archive.store import open_store
from ingest.initialise import initialise
from ingest.raw_index import index_folder
from ingest.run import ingest
from ingest.synthetic import write_prodml, write_tdms
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.server import LocalS3

START = 1_700_000_000_123_456_000  # ns
SECOND = 10**9
SHAPE = (500, 40)
# DASCore reads this file 37 numbers too early: tests/formats/test_other_truth.py shows it.
OTHER_SAMPLES = {"DASDMSShot00_20230328155653619.das"}
HEADER = Header(start=START, rate=500.0, spacing=2.5)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "raw"
    path.mkdir()
    return path


def _counts(seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).normal(0, 300, SHAPE).astype("i2")


def _header(start: int) -> Header:
    return Header(start=start, rate=HEADER.rate, spacing=HEADER.spacing)


def _prodml(path: Path, seed: int, start: int) -> NDArray[np.int16]:
    write_prodml(path, _counts(seed), _header(start))
    return _counts(seed)


def _starts(spool: lk.Spool) -> list[int]:
    return [int(patch.coords["time"].to_numpy()[0].astype(np.int64)) for patch in spool]


def test_every_file_is_a_patch_with_its_samples_and_times(folder: Path) -> None:
    later = _prodml(folder / "a.h5", 1, START + SECOND)
    (folder / "below").mkdir()
    write_tdms(folder / "below" / "z.tdms", _counts(2), HEADER)
    spool = lk.open_raw(folder)
    assert len(spool) == 2
    for number, (samples, start) in enumerate([(_counts(2), START), (later, START + SECOND)]):
        patch = spool[number]
        assert patch.dims == ("time", "distance")
        assert not patch.loaded
        np.testing.assert_array_equal(patch.data, samples)
        stamps = start + np.arange(SHAPE[0]) * 2_000_000
        np.testing.assert_array_equal(patch.coords["time"].to_numpy().astype(np.int64), stamps)
        np.testing.assert_allclose(np.diff(patch.coords["distance"].to_numpy()), 2.5)


def test_files_of_one_recording_join_and_are_cut_as_in_an_archive(folder: Path) -> None:
    parts = [_prodml(folder / f"{number}.h5", number, START + number * SECOND) for number in range(3)]
    whole = np.concatenate(parts)
    (merged,) = lk.open_raw(folder).chunk(time=None)
    np.testing.assert_array_equal(merged.data, whole)
    begin = np.datetime64(START + 900_000_000, "ns")
    (part,) = lk.open_raw(folder).chunk(time=None).select(time=(begin, begin + np.timedelta64(1998, "ms")))
    np.testing.assert_array_equal(part.transpose().data, whole[450:1450].T)
    picked = merged.select(distance=np.array([3, 17]), samples=True)
    np.testing.assert_array_equal(picked.data, whole[:, [3, 17]])


def test_raw_files_and_their_archive_are_the_same_spool(folder: Path, tmp_path: Path) -> None:
    _prodml(folder / "a.h5", 1, START)
    _prodml(folder / "b.h5", 2, START + 5 * SECOND)
    write_tdms(folder / "c.tdms", _counts(3), HEADER)
    url = f"memory://{tmp_path.name}"
    store = open_store(url)
    initialise(store)
    assert ingest(store, [str(folder)]).sources == 3
    raw, stored = lk.open_raw(folder), lk.open(url)
    assert raw.datasets == stored.datasets
    for name in raw.datasets:
        assert raw.select(dataset=name).sort() == stored.select(dataset=name).sort()


def test_samples_stay_where_they_are_until_they_are_wanted(folder: Path) -> None:
    samples = _prodml(folder / "a.h5", 1, START)
    patch = lk.open_raw(folder)[0].select(distance=(7, 9), samples=True)
    plan = lk.open_raw(folder).select(distance=(7, 9), samples=True).explain()
    assert not patch.loaded
    assert (plan.granules, plan.requests, plan.bytes) == (1, 1, SHAPE[0] * 2 * 2)
    np.testing.assert_array_equal(patch.data, samples[:, 7:9])


def test_what_has_not_changed_is_not_looked_at_again_and_what_has_is(folder: Path) -> None:
    path = folder / "a.h5"
    _prodml(path, 1, START)
    before = path.stat()
    assert _starts(lk.open_raw(folder)) == [START]
    _prodml(path, 1, START + SECOND)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _starts(lk.open_raw(folder)) == [START]  # size and time of change are the same: as it was
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert _starts(lk.open_raw(folder)) == [START + SECOND]


def test_new_and_deleted_files_are_noticed(folder: Path) -> None:
    _prodml(folder / "a.h5", 1, START)
    _prodml(folder / "b.h5", 2, START + SECOND)
    spool = lk.open_raw(folder)
    assert _starts(spool) == [START, START + SECOND]
    (folder / "a.h5").unlink()
    _prodml(folder / "c.h5", 3, START + 2 * SECOND)
    assert _starts(spool) == [START, START + SECOND]
    assert _starts(spool.update()) == _starts(lk.open_raw(folder)) == [START + SECOND, START + 2 * SECOND]
    (index,) = index_folder().iterdir()
    with closing(sqlite3.connect(index)) as base:
        kept = {Path(url).name for (url,) in base.execute("SELECT url FROM files")}
    assert kept == {"b.h5", "c.h5"}


@pytest.mark.parametrize("change", ["rewritten", "cut", "deleted"])
def test_a_file_that_changes_between_look_and_read_is_named(folder: Path, change: str) -> None:
    path = folder / "a.h5"
    _prodml(path, 1, START)
    patch = lk.open_raw(folder)[0]
    if change == "deleted":
        path.unlink()
    elif change == "cut":
        os.truncate(path, 5000)
    else:
        stamp = path.stat().st_mtime_ns
        _prodml(path, 2, START)
        os.utime(path, ns=(stamp, stamp + 1))
    with pytest.raises(SourceChanged, match=r"a\.h5: changed or gone since it was looked at; spool\.update\(\)"):
        patch.data  # noqa: B018 - reading is the point


def test_a_file_that_is_damaged_behind_its_header_is_named_when_it_is_read(folder: Path) -> None:
    path = folder / "a.bsl"
    write_febus_g1(path)
    patch = lk.open_raw(folder)[0]
    stamp = path.stat().st_mtime_ns
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"nonsense\n")
    os.utime(path, ns=(stamp, stamp))
    with pytest.raises(FormatError, match=r"a\.bsl: .* whole lines for .* channels, or some are no numbers"):
        patch.data  # noqa: B018 - reading is the point


def test_a_header_without_its_samples_is_left_out_or_refused(folder: Path) -> None:
    (folder / "metadata.xml").write_text(metadata())
    _prodml(folder / "a.h5", 1, START)
    for _ in range(2):  # the second time out of the index
        with pytest.warns(UserWarning, match=r"metadata\.xml: no \.raw file lies beside it; name its whole folder"):
            assert len(lk.open_raw(folder)) == 1
    with pytest.raises(FormatError, match="name its whole folder"):
        lk.open_raw(folder / "metadata.xml")


@pytest.mark.parametrize("said", ["no json", "{}", '{"format": "none"}', '{"format": "prodml", "blocks": [{}]}'])
def test_what_an_index_holds_and_nobody_wrote_is_asked_of_the_file_again(folder: Path, said: str) -> None:
    samples = _prodml(folder / "a.h5", 1, START)
    lk.open_raw(folder)
    (index,) = index_folder().iterdir()
    with closing(sqlite3.connect(index)) as base, base:
        base.execute("UPDATE files SET said = ?", (said,))
    np.testing.assert_array_equal(lk.open_raw(folder)[0].data, samples)


def test_a_damaged_index_is_made_anew_and_none_is_needed(folder: Path, cache: Path) -> None:
    _prodml(folder / "a.h5", 1, START)
    assert len(lk.open_raw(folder)) == 1
    (index,) = index_folder().iterdir()
    index.write_bytes(b"no database " * 1000)
    assert len(lk.open_raw(folder)) == 1
    assert index.read_bytes().startswith(b"SQLite format 3")
    shutil.rmtree(cache)
    cache.write_text("a file where the folder should be")
    assert len(lk.open_raw(folder)) == 1


def test_what_cannot_be_read_is_told_and_what_is_no_raw_data_is_passed_over(folder: Path) -> None:
    _prodml(folder / "a.h5", 1, START)
    (folder / "notes.txt").write_text("the fibre was moved on Tuesday")
    (folder / "cut.h5").write_bytes((folder / "a.h5").read_bytes()[:700])
    for _ in range(2):  # the second time out of the index
        with pytest.warns(UserWarning, match=r"1 raw file is left out .*cut\.h5"):
            spool = lk.open_raw(folder)
        assert len(spool) == 1
        assert [Path(url).name for url in spool.root.refused] == ["cut.h5"]  # type: ignore[attr-defined]
    for name in ("notes.txt", "cut.h5"):
        with pytest.raises(FormatError, match=name):
            lk.open_raw([folder / "a.h5", folder / name])


def test_read_takes_one_file(folder: Path, cache: Path) -> None:
    samples = _prodml(folder / "a.h5", 1, START)
    np.testing.assert_array_equal(lk.read(folder / "a.h5")[0].data, samples)
    assert not cache.exists()
    assert lk.read(str(folder / "a.h5"), format="prodml") == lk.open_raw(folder)
    _prodml(folder / "b.h5", 2, START)
    for wrong in (folder, folder / "*.h5"):
        with pytest.raises(InvalidInput, match=r"open_raw\(\)"):
            lk.read(wrong)
    with pytest.raises(FormatError, match=r"a\.h5"):
        lk.read(folder / "a.h5", format="tdms")


def test_spool_takes_what_lies_there(folder: Path, tmp_path: Path) -> None:
    _prodml(folder / "a.h5", 1, START)
    _prodml(folder / "b.h5", 2, START + SECOND)
    raw = lk.open_raw(folder)
    archive = str(tmp_path / "archive")
    store = open_store(archive)
    initialise(store)
    ingest(store, [str(folder)])
    assert lk.spool(archive).snapshot is not None
    assert lk.spool(folder) == lk.spool(f"file://{folder}") == lk.spool(f"{folder}/*.h5") == raw
    assert lk.spool([folder / "b.h5", str(folder / "a.h5")]) == raw
    assert lk.spool(f"{folder}/a.h5") == raw[:1]
    (tmp_path / "empty").mkdir()
    for nowhere in ("empty", "missing"):
        with pytest.raises(NotFound, match=nowhere):
            lk.spool(tmp_path / nowhere)
        assert not (tmp_path / "missing").exists()
    with pytest.raises(InvalidInput, match="as_of: no option for raw files"):
        lk.spool(folder, as_of=3)
    for wrong in ([3], [], 3):
        with pytest.raises(InvalidInput):
            lk.open_raw(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput):
        lk.spool([folder, raw[0]])


@pytest.mark.parametrize("name", ["xml", "miniseed, folder", "wav, folder"])
def test_files_that_are_one_source_are_read_as_one(folder: Path, name: str) -> None:
    if name == "xml":
        samples: Any = xml_folder(folder)
    else:
        _, file, write = MADE[name]
        samples = write(folder / file)
        (folder / file).unlink()  # the members lie beside it, as an instrument leaves them
    for _ in range(2):
        spool = lk.open_raw(folder)
        np.testing.assert_array_equal(np.concatenate([patch.data for patch in spool]), samples)
        assert len(spool) == (2 if name == "xml" else 1)


def test_a_bar_is_shown_when_asked_for(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _prodml(folder / "a.h5", 1, START)
    lk.open_raw(folder)
    assert capfd.readouterr().err == ""
    _prodml(folder / "b.h5", 2, START + SECOND)
    lk.open_raw(folder, progress=True)
    assert "looking at raw files" in capfd.readouterr().err


def test_remote_files_give_the_same_and_a_pickle_holds_no_secret(
    folder: Path, server: LocalS3, s3_url: str, s3_options: dict[str, Any]
) -> None:
    import s3fs

    _prodml(folder / "a.h5", 1, START)
    write_tdms(folder / "b.tdms", _counts(2), HEADER)
    files = s3fs.S3FileSystem(**s3_options)
    for path in folder.iterdir():
        files.put(str(path), f"{s3_url}/{path.name}")
    spool = lk.spool(s3_url, storage_options=s3_options)
    assert spool == lk.open_raw(folder)
    travelled = pickle.dumps(lk.open_raw(s3_url, storage_options=s3_options))
    assert s3_options["secret"].encode() not in travelled
    assert s3_options["secret"].encode() not in b"".join(path.read_bytes() for path in index_folder().iterdir())
    patch = lk.open_raw(s3_url, storage_options=s3_options)[0]
    _prodml(folder / "a.h5", 5, START)
    for name in ("a.h5", "b.tdms"):
        files.put(str(folder / "a.h5"), f"{s3_url}/{name}")
    with pytest.raises(SourceChanged, match=s3_url):
        patch.data  # noqa: B018 - reading is the point
    assert len(spool.update()) == 2


def test_real_files_are_what_their_truth_says(shared_raw: Path) -> None:
    truth = json.loads((shared_raw / "truth.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        spool = lk.open_raw(shared_raw)
    files = {Path(file.url).name: file for file in spool.root.files}  # type: ignore[attr-defined]
    compared = 0
    for name in files.keys() & truth.keys() - OTHER_SAMPLES:
        expected = truth[name].get("patches") or truth[name].get("traces") or []
        # Strict only where something is expected: an optical trace has a truth of another kind.
        for patch, one in zip(files[name].patches(), expected, strict=bool(expected)):
            samples = np.ascontiguousarray(patch.data)
            little = samples.astype(samples.dtype.newbyteorder("<"))
            assert hashlib.sha256(little.tobytes()).hexdigest() == one["sha256"], name
            compared += 1
    assert compared >= len(files) - 3
