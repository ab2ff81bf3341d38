"""Compaction, removal, replacement, tags and collection, against an array that holds what went in."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

import archive as lk
from archive.errors import DamagedData, InvalidInput, NotFound
from archive.index import layout
from archive.store import Get, open_store
from archive.view import open_view
from ingest.checking.verify import verify
from ingest.index.fold import fold
from ingest.index.ledger import read_segments
from ingest.index.swap import read_current
from ingest.initialise import initialise
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.keeping.tags import log, tag, untag
from ingest.run import ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from archive.store import Store

START = 1_700_000_000 * 10**9  # ns
STEP = 10**7  # ns: 100 Hz
SAMPLES, CHANNELS = 200, 5
AT_ONCE = timedelta(0)


@pytest.fixture
def place(tmp_path: Path) -> str:
    """The URL of an empty archive in a folder."""
    url = str(tmp_path / "archive")
    initialise(open_store(url))
    return url


def write(folder: Path, number: int, *, first: int | None = None, seed: int | None = None) -> NDArray[np.int16]:
    """Write one file, by default right after the one before, and return its samples."""
    folder.mkdir(exist_ok=True)
    made = np.random.default_rng(number if seed is None else seed).integers(-99, 99, (SAMPLES, CHANNELS)).astype("i2")
    begin = START + (number * SAMPLES if first is None else first) * STEP
    write_prodml(folder / f"{number:03d}.h5", made, Header(start=begin, rate=100.0))
    return made


def fill(url: str, folder: Path, count: int = 6) -> NDArray[np.int16]:
    """Ingest files one by one, each a granule of its own, and return all their samples."""
    parts = []
    for number in range(count):
        parts.append(write(folder, number))
        ingest(open_store(url), [str(folder / f"{number:03d}.h5")])
    return np.concatenate(parts)


def name_of(url: str) -> str:
    (name,) = lk.open(url).datasets
    return name


def held(url: str, as_of: int | str | None = None) -> NDArray[np.int16]:
    """Return every sample of the archive's only dataset, run by run."""
    patches = list(lk.open(url, as_of=as_of))
    return np.concatenate([patch.data for patch in patches]) if patches else np.empty((0, CHANNELS), "i2")


def granules(store: Store) -> set[str]:
    return {entry.key.partition(".zarr")[0] for entry in store.entries(layout.DATA) if ".zarr/" in entry.key}


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
    late: list[tuple[str, bytes]] = []
    create = store.create

    def remembering(key: str, data: bytes) -> str:
        if key.startswith(layout.COMMITS):
            late.append((key, bytes(data)))
        return create(key, data)

    store.create = remembering  # type: ignore[method-assign]
    ingest(store, [str(tmp_path / "raw" / "000.h5")])
    ingest(store, [str(tmp_path / "raw" / "001.h5")])
    remove(store, name_of(place), START, START + (SAMPLES - 1) * STEP)
    for key, body in late:
        create(key, body)
    np.testing.assert_array_equal(held(place), truth)
    collect(store)  # folds
    np.testing.assert_array_equal(held(place), truth)
    name = name_of(place)
    remove(store, name)
    for key, body in late:
        create(key, body)
    assert list(lk.open(place).datasets) == []
    collect(store)
    assert list(lk.open(place).datasets) == []


def test_tags_name_snapshots_and_open_them(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw", 2)
    store = open_store(place)
    number = tag(store, "paper")
    remove(store, name_of(place), START, START + 99 * STEP)
    np.testing.assert_array_equal(held(place, "paper"), truth)
    assert tag(store, "paper-too", number) == number
    assert [entry["tags"] for entry in log(store) if entry["snapshot"] == number] == [["paper", "paper-too"]]
    with pytest.raises(InvalidInput, match="names snapshot"):
        tag(store, "paper")
    with pytest.raises(InvalidInput, match="cannot be a tag"):
        tag(store, "2024")
    assert untag(store, "paper") == number
    with pytest.raises(NotFound, match="no such tag"):
        untag(store, "paper")


def test_collection_keeps_what_tags_and_young_snapshots_need(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw", 4)
    store = open_store(place)
    tag(store, "small")
    compact(store)
    small = granules(store)
    assert collect(store, timedelta(days=1)).objects == 0
    assert granules(store) == small
    collect(store, AT_ONCE)
    assert granules(store) == small  # the tag needs them
    np.testing.assert_array_equal(held(place, "small"), truth)
    untag(store, "small")
    would = collect(store, AT_ONCE, dry_run=True)
    assert granules(store) == small
    did = collect(store, AT_ONCE)
    assert set(would.keys) <= set(did.keys)
    assert len(granules(store)) == 1
    np.testing.assert_array_equal(held(place), truth)
    assert collect(store, AT_ONCE).waiting == 0
    with pytest.raises(NotFound, match="removed by gc"):
        lk.open(place, as_of=1)
    with pytest.raises(NotFound, match="removed by gc"):
        tag(store, "late", 1)


def test_collection_leaves_what_a_writer_may_be_about_to_commit(place: str, tmp_path: Path) -> None:
    fill(place, tmp_path / "raw", 1)
    store = open_store(place)
    orphan = layout.new_granule_key(name_of(place), START)
    store.create(f"{orphan}/data/c/0/0", b"put a moment ago")
    assert collect(store, AT_ONCE).waiting == 1
    assert store.get(f"{orphan}/data/c/0/0").data


def test_collection_deletes_nothing_where_the_index_is_damaged(place: str, tmp_path: Path) -> None:
    fill(place, tmp_path / "raw", 3)
    store = open_store(place)
    tag(store, "old")
    compact(store)
    leaf = read_current(store).snapshot.leaves[0]
    store.delete([leaf.key])
    before = granules(store)
    with pytest.raises(DamagedData, match="index/leaves"):
        collect(store, AT_ONCE)
    assert granules(store) == before


def test_a_reader_that_began_before_reads_on_while_everything_changes(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw", 4)
    reader = lk.open(place)
    assert len(reader) == 1  # pinned from here on
    store = open_store(place)
    compact(store)
    remove(store, name_of(place), START, START + 300 * STEP)
    collect(store)  # keeps for the usual time
    np.testing.assert_array_equal(reader[0].data, truth)


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


def listed(store: Store) -> list[tuple[str, str]]:
    """Return name and content of what the ledger lists, however often it does."""
    return sorted((source.url, source.sha256) for source in read_segments(store, read_current(store).snapshot.ledger))


def test_what_is_committed_and_folded_again_is_listed_once(place: str, tmp_path: Path) -> None:
    """A folder that died before it deleted its commits; and the ledger is in a segment that no small fold takes in."""
    store = open_store(place)
    late: list[tuple[str, bytes]] = []
    create = store.create

    def remembering(key: str, data: bytes) -> str:
        if key.startswith(layout.COMMITS):
            late.append((key, bytes(data)))
        return create(key, data)

    store.create = remembering  # type: ignore[method-assign]
    write(tmp_path / "raw", 0)
    ingest(store, [str(tmp_path / "raw")])
    for number in range(1, 8):
        write(tmp_path / "raw", number)
    ingest(store, [str(tmp_path / "raw")])
    before = listed(store)
    assert len(before) == 8
    create(*late[0])
    fold(store)
    assert listed(store) == before


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


def test_a_snapshot_that_collection_gave_up_is_not_opened_though_its_copy_lies_there(
    place: str, tmp_path: Path
) -> None:
    """A collection that died before its last deletion has removed granules already."""
    fill(place, tmp_path / "raw", 2)
    store = open_store(place)
    copy = bytes(store.get(layout.snapshot_key(1)).data)
    compact(store)
    collect(store, AT_ONCE)
    store.create(layout.snapshot_key(1), copy)
    with pytest.raises(NotFound, match="removed by gc"):
        lk.open(place, as_of=1)
    with pytest.raises(NotFound, match="removed by gc"):
        tag(store, "late", 1)
    assert not verify(store, "full").damaged
