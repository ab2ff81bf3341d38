"""Granules made anew: from sources wherever they are named, around what is right, or told as lost."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import small
import written
from scipy.io import wavfile

import archive as lk
from archive.errors import DamagedData
from archive.index import layout
from archive.store import open_store
from archive.view import open_view
from ingest.checking.repair import repair
from ingest.checking.verify import verify
from ingest.index.fold import fold
from ingest.index.swap import read_current
from ingest.initialise import initialise
from ingest.keeping.compact import compact
from ingest.run import ingest
from ingest.synthetic.vendor import Header, write_prodml

if TYPE_CHECKING:
    from archive.index.rows import Row
    from archive.store import Store


@pytest.fixture
def store() -> Store:
    made = open_store(f"memory://remake-{secrets.token_hex(6)}")
    initialise(made)
    return made


def only_row(store: Store) -> Row:
    (table,) = open_view(store).tables(None)
    (row,) = open_view(store).rows(table, [0])
    return row


def overlapping(folder: Path) -> list[str]:
    """Write two files of 200 samples, of which the later one begins in the middle of the other."""
    paths = [folder / "a.h5", folder / "b.h5"]
    for number, path in enumerate(paths):
        write_prodml(path, small.samples(number), Header(start=small.START + number * 100 * 10**6))
    return [str(path) for path in paths]


def test_a_source_of_several_files_is_read_again(store: Store, tmp_path: Path) -> None:
    night, hour = tmp_path / "night [1]?", tmp_path / "[ab]" / written.NAME
    written.xml_folder(night)
    hour.mkdir(parents=True)
    for number in range(3):
        wavfile.write(hour / f"distance_{number}.wav", 500, np.arange(900, dtype=np.int16) * (number + 1))
    report = ingest(store, [str(night), str(hour)])
    assert report.refusals == []
    before = [patch.data for patch in lk.open(store.url)]
    again = verify(store, "full", sources=True)
    assert (again.findings, again.compared, again.unreachable) == ([], len(before), 0)
    store.delete([entry.key for entry in store.entries("data/") if "/data/c/" in entry.key])
    mended = repair(store)
    assert mended.lost == []
    assert {one.what.partition(", as ")[0] for one in mended.done} == {"read again from its sources"}
    for patch, samples in zip(lk.open(store.url), before, strict=True):
        np.testing.assert_array_equal(patch.data, samples)
    (hour / "distance_1.wav").unlink()
    assert verify(store, "full", sources=True).unreachable == 1


def test_a_source_with_the_signs_of_a_glob_in_its_name_is_read_again(store: Store, tmp_path: Path) -> None:
    file = small.raw(tmp_path / "night [1]?" / "a[0].h5")
    ingest(store, [str(file.parent)])
    assert verify(store, "full", sources=True).compared == 1
    store.delete([only_row(store).data.key])
    report = repair(store)
    assert report.lost == []
    assert [one.what.partition(", as ")[0] for one in report.done] == ["read again from its sources"]
    np.testing.assert_array_equal(lk.open(store.url)[0].data, small.samples(0))


@pytest.mark.parametrize("instead", ["nothing", "a folder", "another file"])
def test_samples_whose_source_is_gone_are_lost_and_said_to_be(store: Store, tmp_path: Path, instead: str) -> None:
    file = small.raw(tmp_path / "raw" / "a.h5")
    ingest(store, [str(file)])
    row = only_row(store)
    file.unlink()
    if instead == "a folder":
        file.mkdir()
    elif instead == "another file":
        small.raw(file, 1)
    store.delete([row.data.key])
    words = {
        "nothing": "a.h5: no such file",
        "a folder": "a.h5: is a folder now",
        "another file": "a.h5: is not the file that was ingested",
    }
    for dry in (True, False):
        report = repair(store, dry_run=dry)
        (lost,) = report.lost
        assert lost.key == row.key
        assert lost.what.startswith("its samples are lost, and its sources cannot be read (")
        assert words[instead] in lost.what
        assert report.done == []


def test_what_lies_around_right_samples_is_made_anew_without_their_source(store: Store, tmp_path: Path) -> None:
    file = small.raw(tmp_path / "raw" / "a.h5")
    ingest(store, [str(file)])
    file.unlink()
    root = f"{only_row(store).key}/zarr.json"
    store.delete([root])
    assert [one.key for one in verify(store).findings] == [root]
    (done,) = repair(store, dry_run=True).done
    assert done.what == "to be made anew around its samples, which are right"
    (done,) = repair(store).done
    assert done.what.startswith("made anew around its samples, which are right, as ")
    assert not verify(store).findings
    np.testing.assert_array_equal(lk.open(store.url)[0].data, small.samples(0))


def test_of_sources_that_overlap_the_same_choice_is_read_again(store: Store, tmp_path: Path) -> None:
    for path in overlapping(tmp_path):
        ingest(store, [path])
    truth = np.concatenate([patch.data for patch in lk.open(store.url)])
    assert truth.shape == (300, 5)
    assert compact(store).after == 1
    store.delete([only_row(store).data.key])
    assert repair(store).lost == []
    np.testing.assert_array_equal(lk.open(store.url)[0].data, truth)


def test_an_ingest_beside_a_lost_part_of_the_ledger_or_the_index_says_what_mends_it(
    store: Store, tmp_path: Path
) -> None:
    paths = [str(small.raw(tmp_path / "raw" / f"{number}.h5", number)) for number in range(2)]
    for path in paths:
        ingest(store, [path])
    while fold(store) is not None:
        pass
    snapshot = read_current(store).snapshot
    (segment, *_), (leaf, *_) = snapshot.ledger, snapshot.leaves
    store.delete([segment.key])
    with pytest.raises(DamagedData, match="this part of the ledger is missing; run lightkeep repair"):
        ingest(store, paths)
    assert repair(store).lost == []
    store.delete([leaf.key])
    with pytest.raises(DamagedData, match="this leaf of the index is missing; run lightkeep repair"):
        compact(store)
    assert repair(store).lost == []
    assert ingest(store, paths).known == 2


def test_a_granule_that_only_older_snapshots_name_is_told_as_such(store: Store, tmp_path: Path) -> None:
    paths = [str(small.raw(tmp_path / "raw" / f"{number}.h5", number)) for number in range(2)]
    for path in paths:
        ingest(store, [path])
    compact(store)
    live = only_row(store).key
    keys = [entry.key for entry in store.entries(layout.DATA) if "/data/c/" in entry.key]
    older = [key for key in keys if not key.startswith(live)]
    assert len(older) == 2
    store.delete(older)
    report = repair(store)
    assert sorted(one.key.partition(".zarr")[0] for one in report.lost) == sorted(
        key.partition(".zarr")[0] for key in older
    )
    assert {one.what.rpartition("; ")[2] for one in report.lost} == {"only older snapshots name it"}
    np.testing.assert_array_equal(
        lk.open(store.url)[0].data, np.concatenate([small.samples(number) for number in range(2)])
    )
