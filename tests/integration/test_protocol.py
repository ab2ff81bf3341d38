"""Commits, folds and opening: what they cost and what they promise, on a real S3 server."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import archive as lk
from archive.coords import Coord, Linear, TimeAxis
from archive.errors import DamagedData, NewerVersion
from archive.index import layout
from archive.index.dataset import Dataset
from archive.index.leaves import encode_leaf
from archive.index.rows import ArrayRef, Row, SourceRange, row_id
from archive.index.snapshot import Snapshot
from archive.store import open_store
from archive.view import open_view
from ingest.granule import GranuleContent, write_granule
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.run import put_commit

if TYPE_CHECKING:
    from ingest.server import LocalS3

START = 1_457_942_400_000_000_000
DATASET = Dataset(
    name="fibre",
    dims=("time", "distance"),
    coords={"distance": Coord(dims=("distance",), values=Linear(start=0.0, step=1.0, size=4), units="m")},
    dtype=np.dtype("int16"),
    step=Fraction(10**6),
    chunks=(50, 4),
    codec="pcodec",
    window=10**9,
)


def content(number: int) -> GranuleContent:
    samples = np.full((100, 4), number, dtype=np.int16)
    return GranuleContent(
        samples=samples,
        time=TimeAxis.line(START + number * 10**8, Fraction(10**6), 100),
        sources=(SourceRange(f"{number:064x}", 0, 0, 100),),
    )


def commit_some(url: str, numbers: list[int]) -> int:
    """Run in another process: commit granules one by one, folding when there is much, and return the retries."""
    store = open_store(url)
    for number in numbers:
        put_commit(store, [write_granule(store, DATASET, content(number))], [], {"fibre": DATASET})
        if number % 10 == 7:
            fold(store, at_least=32)
    return store.counts.retries


@pytest.mark.prove
def test_sixteen_writers_commit_without_conflict_while_folding_keeps_up(server: LocalS3) -> None:
    url = f"s3://{server.bucket}/writers"
    initialise(open_store(url))
    shares = [list(range(writer * 10, writer * 10 + 10)) for writer in range(16)]
    with ProcessPoolExecutor(16, mp_context=multiprocessing.get_context("spawn")) as pool:
        retries = list(pool.map(commit_some, [url] * 16, shares))
    assert sum(retries) == 0
    while fold(open_store(url)) is not None:
        pass
    (patch,) = lk.open(url)
    assert patch.shape == (16_000, 4)
    assert np.array_equal(patch.data[::100, 0], np.arange(160))
    assert not open_store(url).entries("commits/")


@pytest.mark.parametrize("young", [0, 3])
def test_a_cold_plan_takes_three_requests_and_the_leaves_and_the_young_commits(server: LocalS3, young: int) -> None:
    url = f"s3://{server.bucket}/open-{young}"
    store = open_store(url)
    initialise(store)
    commit_some(url, [0, 1, 2])
    fold(store)
    commit_some(url, list(range(3, 3 + young)))
    fresh = open_store(url)
    view = open_view(fresh)
    assert fresh.counts.requests == 2
    (table,) = view.tables(["fibre"])
    assert fresh.counts.requests == 3 + 1 + young
    assert len(table.spans) == 3 + young


def test_length_and_coverage_come_from_current_alone(server: LocalS3) -> None:
    url = f"s3://{server.bucket}/alone"
    initialise(open_store(url))
    commit_some(url, [0, 1, 5])
    fold(open_store(url))
    spool = lk.open(url)
    assert len(spool) == 2
    assert "2 runs" in repr(spool)
    assert spool.root.view.store.counts.requests == 3  # type: ignore[attr-defined]


def test_opening_while_another_folds_sees_every_commit_once(server: LocalS3) -> None:
    url = f"s3://{server.bucket}/between"
    store = open_store(url)
    initialise(store)
    commit_some(url, [0, 1])
    view = open_view(store)  # the first wave: CURRENT without them, and the two commits
    fold(open_store(url))
    commit_some(url, [2])
    (table,) = view.tables(["fibre"])
    assert len(table.spans) == 2
    assert view.snapshot.number == 1


def million(store_url: str) -> Snapshot:
    """Put an index of a million granules, whose data nobody reads."""
    store = open_store(store_url)
    leaves, size = [], 2000
    datas = {}
    for leaf in range(500):
        rows = []
        for number in range(size) if leaf == 250 else ():
            place = leaf * size + number
            source = SourceRange(f"{place:064x}", 0, 0, 100)
            ref = ArrayRef(
                key=f"data/fibre/{place}.zarr/data/c/0/0",
                size=200,
                etag=None,
                sha256="0" * 64,
                shape=(100, 4),
                dtype="int16",
                chunks=(50, 4),
                codec="pcodec",
                lengths=(90, 90),
            )
            axis = TimeAxis.line(START + place * 10**8, Fraction(10**6), 100)
            rows.append(
                Row(
                    id=row_id("fibre", 1, [source]),
                    dataset="fibre",
                    incarnation=1,
                    key=f"data/fibre/{place}.zarr",
                    time=axis,
                    data=ref,
                    sources=(source,),
                )
            )
        if rows:
            entry, body = encode_leaf(rows, DATASET)
            datas[entry.key] = body
        first = START + leaf * size * 10**8
        last = first + (size * 100 - 1) * 10**6
        leaves.append((leaf, first, last))
    entries = [
        replace(
            entry,
            key=entry.key if leaf == 250 else f"{layout.LEAVES}{leaf}",
            first=first,
            last=last,
            spans=((first, last),),
        )
        for leaf, first, last in leaves
    ]
    for key, body in datas.items():
        store.create(key, body)
    current = store.get(layout.CURRENT)
    snapshot = replace(
        Snapshot.decode(current.data), number=1, nonce="1" * 32, datasets={"fibre": DATASET}, leaves=tuple(entries)
    )
    store.swap(layout.CURRENT, snapshot.encode(), current.etag)
    return snapshot


@pytest.mark.slow
def test_an_index_of_a_million_granules_opens_in_as_many_requests_as_a_small_one(server: LocalS3) -> None:
    url = f"s3://{server.bucket}/million"
    initialise(open_store(url))
    million(url)
    start = np.datetime64(START + 250 * 2000 * 10**8 + 5 * 10**9, "ns")
    spool = lk.open(url)
    plan = spool.select(time=(start, start + np.timedelta64(60, "s"))).explain()
    assert plan.granules == 601
    assert spool.root.view.store.counts.requests == 4  # type: ignore[attr-defined]
    assert len(lk.open(url)) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "swapped"])
@pytest.mark.parametrize("kind", ["data", "commit", "leaf", "CURRENT"])
def test_damage_is_an_error_that_names_the_object(tmp_path: Path, kind: str, damage: str) -> None:
    store = open_store(str(tmp_path / "archive"))
    initialise(store)
    rows = [write_granule(store, DATASET, content(number)) for number in (0, 1)]
    commits = [put_commit(store, [row], [], {"fibre": DATASET}) for row in rows]
    if kind in {"leaf", "CURRENT"}:
        fold(store)
    keys = {
        "data": [row.data.key for row in rows],
        "commit": [commit.key for commit in commits],
        "leaf": [entry.key for entry in store.entries(layout.LEAVES)] + [layout.ROOT],
        "CURRENT": [layout.CURRENT, layout.snapshot_key(0)],
    }[kind]
    one, other = (tmp_path / "archive" / key for key in keys[:2])
    whole = one.read_bytes()
    if damage == "flip":
        one.write_bytes(whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 4]) + whole[len(whole) // 2 + 1 :])
    elif damage == "cut":
        one.write_bytes(whole[:-7])
    elif damage == "missing" and kind != "commit":  # a commit that is not listed was never made
        one.unlink()
    elif damage == "swapped" and kind != "CURRENT":  # an older CURRENT is an older state
        one.write_bytes(other.read_bytes())
    else:
        return
    with pytest.raises(DamagedData, match=keys[0].rsplit("/", 1)[1][:20]):
        lk.open(str(tmp_path / "archive")).map(lambda patch: patch.data)


def test_an_archive_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path / "archive"))
    initialise(store)
    monkeypatch.setattr(layout, "FORMAT_VERSION", 2)
    put_commit(store, [write_granule(store, DATASET, content(0))], [], {"fibre": DATASET})
    fold(store)
    monkeypatch.undo()
    with pytest.raises(NewerVersion, match="upgrade"):
        lk.open(str(tmp_path / "archive"))


def test_folding_twice_or_the_same_rows_again_changes_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "archive"))
    initialise(store)
    row = write_granule(store, DATASET, content(0))
    again = write_granule(store, DATASET, content(0))  # the same source, by another worker
    put_commit(store, [row], [], {"fibre": DATASET})
    put_commit(store, [again], [], {"fibre": DATASET})
    assert fold(store) is not None
    put_commit(store, [again], [], {"fibre": DATASET})
    assert len(lk.open(str(tmp_path / "archive"))[0]) == 100
    assert fold(store) is not None
    assert fold(store) is None
    (leaf,) = open_view(store).entries("fibre")
    assert (leaf.rows, leaf.samples, leaf.overlapping) == (1, 100, False)


def test_older_snapshots_stay_as_they_were(tmp_path: Path) -> None:
    url = str(tmp_path / "archive")
    store = open_store(url)
    initialise(store)
    for number in range(3):
        commit_some(url, [number])
        fold(store)
    assert [sum(len(patch) for patch in lk.open(url, as_of=number)) for number in range(4)] == [0, 100, 200, 300]
    moment = np.datetime64(open_view(store, 2).snapshot.created, "ns")
    assert lk.open(url, as_of=moment).snapshot == 2
