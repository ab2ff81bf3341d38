"""Tags, and the collection of what nobody needs any more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest
from kept import AT_ONCE, START, STEP, fill, granules, held, name_of

import archive as lk
from archive.errors import DamagedData, InvalidInput, NotFound
from archive.index import layout
from archive.store import open_store
from ingest.checking.verify import verify
from ingest.index.swap import read_current
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.keeping.tags import log, tag, untag

if TYPE_CHECKING:
    from pathlib import Path


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


def test_collection_deletes_nothing_where_a_kept_snapshot_is_missing(place: str, tmp_path: Path) -> None:
    fill(place, tmp_path / "raw", 3)
    store = open_store(place)
    number = tag(store, "old")
    compact(store)
    store.delete([layout.snapshot_key(number)])
    before = granules(store)
    with pytest.raises(DamagedData, match="a kept snapshot is missing; run lightkeep verify, nothing was deleted"):
        collect(store, AT_ONCE)
    assert granules(store) == before
    with pytest.raises(InvalidInput, match="is negative"):
        collect(store, timedelta(seconds=-1))


def test_a_reader_that_began_before_reads_on_while_everything_changes(place: str, tmp_path: Path) -> None:
    truth = fill(place, tmp_path / "raw", 4)
    reader = lk.open(place)
    assert len(reader) == 1  # pinned from here on
    store = open_store(place)
    compact(store)
    remove(store, name_of(place), START, START + 300 * STEP)
    collect(store)  # keeps for the usual time
    np.testing.assert_array_equal(reader[0].data, truth)


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
