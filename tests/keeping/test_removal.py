"""Removal of datasets and spans of time, against an array that holds what went in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from kept import SAMPLES, START, STEP, commits_put, fill, held, listed, name_of, write

import archive as lk
from archive.errors import NotFound
from archive.store import open_store
from ingest.keeping.collect import collect
from ingest.keeping.remove import remove
from ingest.run import ingest

if TYPE_CHECKING:
    from pathlib import Path


def test_removing_a_span_cuts_to_the_sample_and_is_undone_by_the_snapshot_before(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw")
    first, last = 150, 449
    report = remove(open_store(place), name_of(place), START + first * STEP, START + last * STEP)
    assert (report.granules, report.cut, report.samples) == (1, 2, 300)
    np.testing.assert_array_equal(held(place), np.concatenate([truth[:first], truth[last + 1 :]]))
    np.testing.assert_array_equal(held(place, report.snapshot - 1), truth)
    assert len(lk.open(place).gaps()) == 1


def test_what_was_removed_can_come_again(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw")
    remove(open_store(place), name_of(place), START + 150 * STEP, START + 449 * STEP)
    assert ingest(open_store(place), [str(tmp_path / "raw")]).sources == 3
    np.testing.assert_array_equal(held(place), truth)


def test_a_removed_dataset_is_gone_and_can_come_again(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw", 3)
    name = name_of(place)
    report = remove(open_store(place), name)
    assert (report.granules, report.sources) == (3, 3)
    assert list(lk.open(place).datasets) == []
    np.testing.assert_array_equal(held(place, report.snapshot - 1), truth)
    assert ingest(open_store(place), [str(tmp_path / "raw")]).sources == 3
    np.testing.assert_array_equal(held(place), truth)
    with pytest.raises(NotFound, match="no such dataset"):
        remove(open_store(place), "other")


def test_a_delayed_copy_of_a_commit_brings_nothing_back(place: str, tmp_path: Path) -> None:
    """A request that the network held back arrives after its commit was folded and its rows were removed."""
    store = open_store(place)
    write(tmp_path / "raw", 0)
    truth = write(tmp_path / "raw", 1)
    late = commits_put(store)
    ingest(store, [str(tmp_path / "raw" / "000.h5")])
    ingest(store, [str(tmp_path / "raw" / "001.h5")])
    remove(store, name_of(place), START, START + (SAMPLES - 1) * STEP)
    for key, body in list(late):
        store.create(key, body)
    np.testing.assert_array_equal(held(place), truth)
    collect(store)  # folds
    np.testing.assert_array_equal(held(place), truth)
    name = name_of(place)
    remove(store, name)
    for key, body in list(late):
        store.create(key, body)
    assert list(lk.open(place).datasets) == []
    collect(store)
    assert list(lk.open(place).datasets) == []


def test_removal_leaves_known_what_it_did_not_touch(place: str, tmp_path: Path) -> None:
    """Files of one granule: one that is cut can come again, its neighbour is known, and changed it replaces itself."""
    raw = tmp_path / "raw"
    truth = [write(raw, number) for number in range(3)]
    ingest(open_store(place), [str(raw)])
    remove(open_store(place), name_of(place), START + 10 * STEP, START + 49 * STEP)
    changed = [write(raw, number, seed=77 + number) for number in (0, 2)]
    report = ingest(open_store(place), [str(raw)])
    assert report.known == 1
    np.testing.assert_array_equal(held(place), np.concatenate([changed[0], truth[1], changed[1]]))
    assert len(listed(open_store(place))) == 3
