"""Compaction, against an array that holds what went in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from kept import AT_ONCE, CHANNELS, SAMPLES, START, STEP, fill, held, lose_and_mend, name_of, write

import archive as lk
from archive.errors import DamagedData, NotFound
from archive.index import layout
from archive.store import open_store
from archive.view import open_view
from ingest.checking.repair import repair
from ingest.checking.verify import verify
from ingest.index.swap import read_current
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.run import ingest
from ingest.synthetic.vendor import Header, write_prodml

if TYPE_CHECKING:
    from pathlib import Path


def test_compaction_merges_a_window_and_no_spool_notices(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw")
    before = lk.open(place)
    stamps = before[0].coords["time"].to_numpy()
    report = compact(open_store(place))
    assert (report.before, report.after, report.hidden, report.given_up) == (6, 1, 0, 0)
    np.testing.assert_array_equal(held(place), truth)
    np.testing.assert_array_equal(lk.open(place)[0].coords["time"].to_numpy(), stamps)
    np.testing.assert_array_equal(before[0].data, truth)  # the old granules are still there for who reads them
    assert compact(open_store(place)).snapshot is None


def test_a_compacted_granule_records_what_it_is_made_of(place: str, tmp_path: Path) -> None:
    fill(place, tmp_path / "raw", 3)
    store = open_store(place)
    (table,) = open_view(store).tables(None)
    rows = open_view(store).rows(table, range(3))
    compact(store)
    (table,) = open_view(store).tables(None)
    (row,) = open_view(store).rows(table, [0])
    assert set(row.replaces) == {one.id for one in rows}
    assert row.sources == tuple(source for one in rows for source in one.sources)
    root = json.loads(bytes(store.get(f"{row.key}/zarr.json").data))["attributes"]
    assert root["lightkeep"]["row"]["id"] == row.id
    assert len(root["headers"]["sources"]) == 3


def test_compacted_files_are_known_and_come_in_only_once(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw", 4)
    compact(open_store(place))
    assert ingest(open_store(place), [str(tmp_path / "raw")]).sources == 0
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in (tmp_path / "raw").iterdir():
        (copies / f"again-{path.name}").write_bytes(path.read_bytes())
    ingest(open_store(place), [str(copies)])
    np.testing.assert_array_equal(held(place), truth)


def test_compaction_resolves_overlaps_as_readers_do_and_records_them(place: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for number, first in ((0, 0), (1, 150), (2, 300), (3, 40)):  # the last has parts of 0 and 1, seen after them
        write(raw, number, first=first)
        ingest(open_store(place), [str(raw / f"{number:03d}.h5")])
    write(raw, 4, first=0, seed=44)  # all of it lies where others are served
    ingest(open_store(place), [str(raw / "004.h5")])
    seen = held(place)
    report = compact(open_store(place))
    assert report.after == 1
    assert report.hidden >= 1
    np.testing.assert_array_equal(held(place), seen)
    assert len(lk.open(place).overlaps()) == 0
    store = open_store(place)
    (table,) = open_view(store).tables(None)
    (row,) = open_view(store).rows(table, [0])
    left_out = json.loads(bytes(store.get(f"{row.key}/zarr.json").data))["attributes"]["lightkeep"]["left_out"]
    assert len(left_out) == report.hidden
    assert len(row.replaces) == 5


def test_two_compactions_and_an_ingest_meet(place: str, tmp_path: Path) -> None:
    """What one has replaced while the other was writing is given up by the other, and nothing is lost."""
    truth = fill(place, tmp_path / "raw", 4)
    other: list[object] = []

    def meanwhile(_: int) -> None:
        if not other:
            other.append(True)
            other.append(compact(open_store(place)))
            write(tmp_path / "raw", 4)
            ingest(open_store(place), [str(tmp_path / "raw" / "004.h5")])

    report = compact(open_store(place), advance=meanwhile)
    assert (report.given_up, report.after) == (1, 0)
    np.testing.assert_array_equal(held(place)[: len(truth)], truth)
    assert len(held(place)) == 5 * SAMPLES


def test_compaction_of_a_granule_whose_description_is_missing_replaces_nothing(place: str, tmp_path: Path) -> None:
    fill(place, tmp_path / "raw", 2)
    store = open_store(place)
    number = read_current(store).snapshot.number
    (root, *_) = (entry.key for entry in store.entries(layout.DATA) if entry.key.endswith(".zarr/zarr.json"))
    store.delete([root])
    with pytest.raises(DamagedData, match="the object is missing; run lightkeep verify"):
        compact(store)
    assert read_current(store).snapshot.leaves
    assert read_current(store).snapshot.number in {number, number + 1}  # young commits may have been folded


def test_a_dataset_that_is_not_there_is_not_compacted_nor_is_any_beside_it(place: str, tmp_path: Path) -> None:
    fill(place, tmp_path / "raw", 2)
    store, there = open_store(place), name_of(place)
    with pytest.raises(NotFound, match=rf"nope: no such dataset in .*; there are: {there}$"):
        compact(store, [there, "nope"])
    assert compact(store, [there]).before == 2


def test_stamps_that_stray_are_kept_beside_those_that_do_not(place: str, tmp_path: Path) -> None:
    import h5py

    stamps = START + np.arange(2 * SAMPLES, dtype=np.int64) * STEP
    stamps[SAMPLES + 3] += STEP // 5
    samples = np.random.default_rng(5).normal(size=(2 * SAMPLES, CHANNELS)).astype("f4")
    for number, part in enumerate((slice(0, SAMPLES), slice(SAMPLES, None))):
        with h5py.File(tmp_path / f"{number}.h5", "w") as root:
            root["raw"], root["timestamp"] = samples[part], stamps[part]
        ingest(open_store(place), [str(tmp_path / f"{number}.h5")])
    assert compact(open_store(place)).before == 2
    (patch,) = lk.open(place)
    np.testing.assert_array_equal(patch.data, samples)
    np.testing.assert_array_equal(patch.coords["time_recorded"].to_numpy().astype(np.int64), stamps)


def test_a_file_that_is_longer_than_a_window_becomes_a_granule_for_each(place: str, tmp_path: Path) -> None:
    truth = np.random.default_rng(9).integers(-99, 99, (5000, CHANNELS)).astype("i2")
    write_prodml(tmp_path / "slow.h5", truth, Header(start=START, rate=0.01))
    ingest(open_store(place), [str(tmp_path / "slow.h5")])
    store = open_store(place)
    (table,) = open_view(store).tables(None)
    rows = open_view(store).rows(table, range(len(table.sources)))
    window = open_view(store).dataset(name_of(place)).window
    assert len(rows) == len({row.time.first // window for row in rows}) > 2
    assert all(row.time.first // window == row.time.last // window for row in rows)
    (patch,) = lk.open(place)
    np.testing.assert_array_equal(patch.data, truth)
    assert not verify(store, "full", sources=True).findings


def test_an_index_lost_after_a_compaction_comes_back_with_what_has_the_id_of_what_it_stands_for(
    place: str, tmp_path: Path
) -> None:
    raw, store = tmp_path / "raw", open_store(place)
    whole = np.random.default_rng(9).integers(-99, 99, (2 * SAMPLES, CHANNELS)).astype("i2")
    raw.mkdir()
    write_prodml(raw / "long.h5", whole, Header(start=START, rate=100.0))
    ingest(store, [str(raw / "long.h5")])
    write(raw, 0, first=SAMPLES // 2)  # all of it is hidden by the longer one
    ingest(store, [str(raw / "000.h5")])
    report = compact(store)
    assert (report.before, report.after, report.hidden) == (2, 1, 1)
    lose_and_mend(store)
    np.testing.assert_array_equal(held(place), whole)
    (raw / "000.h5").unlink()
    parts = [write(raw, number) for number in (2, 3, 4)]
    for number in (2, 3, 4):
        ingest(store, [str(raw / f"{number:03d}.h5")])
    compact(store)
    parts[1] = write(raw, 3, seed=77)
    ingest(store, [str(raw)])  # cuts the granule: its end is again what was ingested first
    for _ in range(2):
        lose_and_mend(store)
        np.testing.assert_array_equal(held(place), np.concatenate([whole, *parts]))
        compact(store)
        collect(store, AT_ONCE)


def test_what_is_left_on_both_sides_of_a_changed_file_comes_back(place: str, tmp_path: Path) -> None:
    """Each end has the id of a granule that the other stands for, too."""
    store, raw = open_store(place), tmp_path / "raw"
    truth = fill(place, raw, 3)
    compact(store)
    truth[SAMPLES : 2 * SAMPLES] = write(raw, 1, seed=77)
    ingest(store, [str(raw)])
    lose_and_mend(store)
    np.testing.assert_array_equal(held(place), truth)


def test_a_compacted_granule_whose_files_have_all_changed_is_not_in_doubt(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, raw = open_store(place), tmp_path / "raw"
    fill(place, raw, 2)
    compact(store)
    monkeypatch.setattr("ingest.keeping.remove._REMEMBERED", 0)  # as after two days
    parts = [write(raw, number, seed=77) for number in range(2)]
    ingest(store, [str(raw)])
    for seed in (78, 79):
        other = write(raw, 2, seed=seed)
        ingest(store, [str(raw)])
    newest = layout.snapshot_key(read_current(store).snapshot.number)
    store.delete([entry.key for entry in store.entries(layout.SNAPSHOTS) if entry.key != newest])
    assert repair(store).doubtful == []
    assert repair(store, unproven=True).done == []
    np.testing.assert_array_equal(held(place), np.concatenate([*parts, other]))
