"""Files that come again changed, moved or anew, and commits that are folded twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from kept import AT_ONCE, SAMPLES, commits_put, fill, granules, held, listed, lose_and_mend, write
from small import commits_of

import archive as lk
from archive.index import layout
from archive.store import Get, open_store
from archive.view import open_view
from ingest.index.fold import fold
from ingest.index.swap import read_current
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.run import ingest
from ingest.settings import Settings
from ingest.worker.known import Known

if TYPE_CHECKING:
    from pathlib import Path

    from archive.store import Store
    from archive.view import View


def test_a_changed_file_replaces_its_earlier_self_and_nothing_else(place: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    truth = np.concatenate([write(raw, number) for number in range(3)])
    ingest(open_store(place), [str(raw)])
    assert len(granules(open_store(place))) == 1  # one granule of three files
    before = read_current(open_store(place)).snapshot.number
    changed = truth.copy()
    changed[SAMPLES : 2 * SAMPLES] = write(raw, 1, seed=77)
    report = ingest(open_store(place), [str(raw)])
    assert (report.sources, report.known, report.refusals) == (1, 2, [])
    np.testing.assert_array_equal(held(place), changed)
    np.testing.assert_array_equal(held(place, before), truth)
    assert ingest(open_store(place), [str(raw)]).sources == 0
    compact(open_store(place))
    np.testing.assert_array_equal(held(place), changed)
    changed[SAMPLES : 2 * SAMPLES] = write(raw, 1)  # and back again
    ingest(open_store(place), [str(raw)])
    np.testing.assert_array_equal(held(place), truth)


def test_a_file_that_changes_place_in_time_leaves_a_gap_behind(place: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    first, _, third = (write(raw, number) for number in range(3))
    ingest(open_store(place), [str(raw)])
    moved = write(raw, 1, first=5 * SAMPLES, seed=5)
    ingest(open_store(place), [str(raw)])
    assert [len(patch.data) for patch in lk.open(place)] == [SAMPLES, SAMPLES, SAMPLES]
    np.testing.assert_array_equal(held(place), np.concatenate([first, third, moved]))


def test_content_that_another_file_holds_too_stays(place: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    first = write(raw, 0)
    (raw / "copy.h5").write_bytes((raw / "000.h5").read_bytes())
    ingest(open_store(place), [str(raw)])
    other = write(raw, 0, first=3 * SAMPLES, seed=9)
    ingest(open_store(place), [str(raw)])
    np.testing.assert_array_equal(held(place), np.concatenate([first, other]))


@pytest.mark.parametrize("late", [False, True])
def test_content_that_another_file_holds_too_comes_back_with_a_lost_index(
    place: str, tmp_path: Path, late: bool
) -> None:
    raw, store = tmp_path / "raw", open_store(place)
    first = write(raw, 0)
    if late:
        ingest(store, [str(raw)])
    (raw / "copy.h5").write_bytes((raw / "000.h5").read_bytes())
    ingest(store, [str(raw)])
    other = write(raw, 0, first=3 * SAMPLES, seed=9)
    ingest(store, [str(raw)])
    lose_and_mend(store)
    np.testing.assert_array_equal(held(place), np.concatenate([first, other]))
    ingest(store, [str(raw)])
    third = write(raw, 0, first=5 * SAMPLES, seed=10)
    (raw / "copy.h5").write_bytes((raw / "000.h5").read_bytes())
    ingest(store, [str(raw)])
    lose_and_mend(store)
    np.testing.assert_array_equal(held(place), third)


def test_replacing_reads_everything_again_and_nothing_doubles(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw", 4)
    report = ingest(open_store(place), [str(tmp_path / "raw")], Settings(anew=True))
    assert (report.sources, report.known) == (4, 0)
    np.testing.assert_array_equal(held(place), truth)
    store = open_store(place)
    assert len(open_view(store).tables(None)[0].sources) == 1
    assert ingest(store, [str(tmp_path / "raw")]).sources == 0
    assert collect(store, AT_ONCE).objects > 0
    np.testing.assert_array_equal(held(place), truth)


def test_a_listed_commit_that_was_folded_before_current_was_read_is_no_damage(place: str, tmp_path: Path) -> None:
    """The list of commits may be older than the CURRENT that is read beside it."""
    store = open_store(place)
    truth = fill(place, tmp_path / "raw", 2)
    wave = store.wave

    def older_list(requests: list[object], **options: object) -> list[object]:
        replies = wave(requests, **options)  # type: ignore[arg-type]
        if isinstance(requests[0], Get) and requests[0].key == layout.CURRENT and len(requests) == 2:
            gone = store.head(layout.ROOT)
            replies[1] = [type(gone)(key=f"{layout.COMMITS}{0:019d}-gone", size=1, etag="x", modified=gone.modified)]
        return replies

    store.wave = older_list  # type: ignore[method-assign,assignment]
    view = open_view(store)
    assert sum(table.spans.columns[4].sum() for table in view.tables(None)) == len(truth)


def test_what_is_committed_and_folded_again_is_listed_once(place: str, tmp_path: Path) -> None:
    """A folder that died before it deleted its commits; and the ledger is in a segment that no small fold takes in."""
    store = open_store(place)
    late = commits_put(store)
    write(tmp_path / "raw", 0)
    ingest(store, [str(tmp_path / "raw")])
    for number in range(1, 8):
        write(tmp_path / "raw", number)
    ingest(store, [str(tmp_path / "raw")])
    before = listed(store)
    assert len(before) == 8
    store.create(*late[0])
    fold(store)
    assert listed(store) == before


@pytest.mark.parametrize("asks", ["ingest", "worker"])
def test_a_changed_file_is_known_though_another_folds_while_the_ledger_is_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: str
) -> None:
    store, file = open_store(place), tmp_path / "raw" / "000.h5"
    write(tmp_path / "raw", 0)
    for commit in commits_of(store, file):  # young, of another writer
        store.create(commit.key, commit.encode())
    changed = write(tmp_path / "raw", 0, seed=77)
    opened: list[View] = []

    def folded_meanwhile(where: Store) -> View:
        opened.append(open_view(where))
        fold(open_store(place))
        return opened[-1]

    if asks == "worker":
        monkeypatch.setattr("ingest.worker.known.open_view", folded_meanwhile)
        assert Known(store).ledger.earlier(file.as_uri()) is not None
        return
    monkeypatch.setattr("ingest.run.open_view", folded_meanwhile)
    assert ingest(store, [str(file)]).sources == 1
    np.testing.assert_array_equal(held(place), changed)
