"""Rows to commits to leaves and back, exactly; and every flipped bit is noticed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archive as lk
from archive.coords import Coord, Explicit, Linear, TimeAxis
from archive.errors import DamagedData
from archive.index import layout
from archive.index.commits import Commit, Source
from archive.index.dataset import Dataset
from archive.index.leaves import LEAF_ROWS, LeafTable, encode_leaf
from archive.index.rows import ArrayRef, Row, SourceRange, row_id
from archive.index.sealed import seal, unseal
from archive.index.snapshot import Snapshot
from archive.store import Store, open_store
from archive.view import open_view
from ingest.index.fold import FoldPace, fold
from ingest.index.ledger import Ledger, read_segments
from ingest.index.swap import Base, Change, read_current, successor, swap
from ingest.initialise import initialise
from ingest.keeping.collect import collect
from ingest.run import put_commit

START = 1_457_942_400_000_000_000
DATASET = Dataset(
    name="fibre",
    dims=("time", "distance"),
    coords={
        "distance": Coord(dims=("distance",), values=Linear(start=0.0, step=1.0, size=4), units="m"),
        "depth": Coord(dims=("distance",), values=Explicit(np.array([0.1, np.nan, 1e-300, -0.0])), units="km"),
        "name": Coord(dims=("distance",), values=Explicit(np.array(["a", "ü", "", "d"]))),
    },
    dtype=np.dtype("int16"),
    step=Fraction(10**9, 1050),
    chunks=(50, 4),
    codec="pcodec",
    window=10**9,
    attrs={"network": "LK", "gauge_length": 10.0, "on": True, "none": None},
    fingerprint={"shape": [4]},
)


def ref(key: str, size: int) -> ArrayRef:
    lengths = tuple(90 + n for n in range(-(-size // 50)))
    return ArrayRef(
        key=f"{key}/data/c/0/0",
        size=sum(lengths) + 20,
        etag=None,
        sha256="ab" * 32,
        shape=(size, 4),
        dtype="int16",
        chunks=(50, 4),
        codec="pcodec",
        lengths=lengths,
    )


def row(
    number: int, *, start: int | None = None, size: int = 100, sources: tuple[SourceRange, ...] = (), **other: Any
) -> Row:
    """Return the row of a granule whose data nobody reads; without a start, they follow each other."""
    key = f"data/fibre/{number}.zarr"
    sources = sources or (SourceRange(f"{number % 2**32:064x}", 0, 0, size),)
    first = START + round(number * 100 * DATASET.step) if start is None else start
    held = {"time": TimeAxis.line(first, DATASET.step, size), "data": ref(key, size), **other}
    return Row(id=row_id("fibre", 1, sources), dataset="fibre", incarnation=1, key=key, sources=sources, **held)


def source(number: int) -> Source:
    return Source(
        url=f"file:///raw/{number}",
        size=9,
        stamp="1",
        sha256=f"{number:064x}",
        format="x",
        version="1",
        dataset="fibre",
        rows=(f"{number}",),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = open_store(str(tmp_path / "archive"))
    initialise(made)
    return made


def commit(store: Store, *rows: Row, sources: tuple[Source, ...] = ()) -> None:
    put_commit(store, rows, sources, {"fibre": DATASET})


def held_rows(store: Store) -> list[Row]:
    view = open_view(store)
    (table,) = view.tables(["fibre"])
    return view.rows(table, range(len(table.sources)))


# -- round trips ------------------------------------------------------------------------------------

_HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(max_size=9)
)
_TIMES = st.lists(
    st.builds(
        TimeAxis.line,
        st.integers(START, START + 10**12),
        st.sampled_from([Fraction(10**6), Fraction(10**9, 1050), Fraction(3_990_000)]),
        st.integers(1, 120),
    ),
    min_size=1,
    max_size=3,
).map(lambda axes: TimeAxis.concatenate(sorted(axes, key=lambda axis: axis.first)))


@st.composite
def rows(draw: Any) -> Row:
    time = draw(_TIMES)
    ranges = st.builds(SourceRange, _HEX, st.integers(0, 9), st.integers(0, 10**9), st.integers(10**9, 2 * 10**9))
    sources = tuple(draw(st.lists(ranges, min_size=1, max_size=3)))
    number = draw(st.integers(0, 10**6))
    made = row(
        number,
        sources=sources,
        time=time,
        data=replace(
            ref(f"data/fibre/{number}.zarr", time.size), etag=draw(st.none() | st.text(min_size=1, max_size=9))
        ),
        attrs=draw(st.dictionaries(st.text(min_size=1, max_size=5), _SCALARS, max_size=3)),
        extras=draw(
            st.dictionaries(
                st.just("time_recorded"), st.just(replace(ref("x", 10), shape=(10,), chunks=(10,))), max_size=1
            )
        ),
        replaces=tuple(draw(st.lists(_HEX, max_size=2))),
    )
    return replace(made, id=draw(_HEX))


def plain(one: Row) -> dict[str, Any]:
    return one.to_json()


@settings(max_examples=60, deadline=None)
@given(st.lists(rows(), min_size=1, max_size=5, unique_by=lambda one: one.id))
def test_rows_go_through_a_commit_and_a_leaf_unchanged(made: list[Row]) -> None:
    whole = Commit(key="commits/k", created=5, rows=tuple(made), sources=(source(1),), datasets={"fibre": DATASET})
    again = Commit.decode("commits/k", whole.encode())
    assert [plain(one) for one in again.rows] == [plain(one) for one in made]
    assert again.sources == whole.sources
    assert again.datasets["fibre"].to_json() == DATASET.to_json()
    entry, body = encode_leaf(again.rows, DATASET)
    table = LeafTable(entry, body, DATASET)
    for _ in range(2):  # made, and kept
        assert [table.row(number) for number in range(len(table))] == table.rows()
    expected = sorted(made, key=lambda one: (one.time.first, one.id))
    assert [plain(one) for one in table.rows()] == [plain(one) for one in expected]
    assert [plain(table.row(n)) for n in range(len(table))] == [plain(one) for one in expected]
    assert [table.spans.axis(n) for n in range(len(table))] == [one.time for one in expected]
    assert set(table.ids()) == {name for one in made for name in (one.id, *one.replaces)}
    assert (entry.rows, entry.first) == (len(made), expected[0].time.first)
    assert entry.last == max(one.time.last for one in made)
    narrow = LeafTable(entry, body[entry.narrow :], DATASET, narrow=True)
    assert [narrow.spans.axis(n) for n in range(len(narrow))] == [one.time for one in expected]
    assert set(narrow.ids()) == set(table.ids())


def test_what_is_fixed_for_a_dataset_comes_back_to_the_last_bit() -> None:
    again = Dataset.from_json(DATASET.to_json())
    assert again.to_json() == DATASET.to_json()
    for name, coord in DATASET.coords.items():
        assert again.coords[name].units == coord.units
        assert again.coords[name].to_numpy().tobytes() == coord.to_numpy().tobytes()
    assert again.step == Fraction(10**9, 1050)


def test_a_snapshot_comes_back_as_it_was() -> None:
    entry, _ = encode_leaf([row(0), row(1), row(9)], DATASET)
    made = Snapshot(
        number=4, nonce="n", created=3, datasets={"fibre": DATASET}, leaves=(entry,), tags={"x": 2},
        incarnations={"gone": 2}, history=((3, 2, "fold"),),
    )  # fmt: skip
    again = Snapshot.decode(made.encode())
    assert again.leaves == made.leaves
    assert (again.tags, again.incarnations, again.history) == (made.tags, made.incarnations, made.history)
    assert again.encode() == made.encode()


# -- damage -----------------------------------------------------------------------------------------


def flips(body: bytes) -> Any:
    for place in range(len(body) * 8):
        changed = bytearray(body)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def test_every_flipped_bit_of_a_sealed_object_is_noticed() -> None:
    body = seal("index/CURRENT", {"number": 1, "text": "abc" * 20})
    assert unseal("index/CURRENT", body) == {"number": 1, "text": "abc" * 20}
    for changed in flips(body):
        with pytest.raises(DamagedData, match="index/CURRENT"):
            unseal("index/CURRENT", changed)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, -1])
def test_every_cut_of_a_sealed_object_is_noticed(size: int) -> None:
    with pytest.raises(DamagedData, match="k1"):
        unseal("k1", seal("k1", {"a": 1})[:size])


def test_an_object_sealed_under_another_key_is_noticed() -> None:
    with pytest.raises(DamagedData, match="another object"):
        unseal("commits/b", seal("commits/a", {"a": 1}))


@pytest.mark.parametrize("narrow", [False, True])
def test_every_flipped_bit_of_a_leaf_is_noticed(*, narrow: bool) -> None:
    entry, body = encode_leaf([row(0), row(1), row(5)], DATASET)
    body = body[entry.narrow :] if narrow else body
    random = np.random.default_rng(3)
    for place in random.choice(len(body) * 8, 400, replace=False).tolist():
        changed = bytearray(body)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedData, match="leaves"):
            LeafTable(entry, bytes(changed), DATASET, narrow=narrow)


# -- folding ----------------------------------------------------------------------------------------


def test_folding_keeps_every_row_and_a_second_fold_finds_nothing(store: Store) -> None:
    for number in range(5):
        commit(store, row(number), sources=(source(number),))
    before = held_rows(store)
    snapshot = fold(store)
    assert snapshot is not None
    assert sorted(map(plain, before), key=lambda one: one["id"]) == sorted(
        map(plain, held_rows(store)), key=lambda one: one["id"]
    )
    assert fold(store) is None
    assert not store.entries("commits/")
    assert {one.sha256 for one in Ledger(read_segments(store, snapshot.ledger)).sources()} == {
        f"{n:064x}" for n in range(5)
    }


def test_fewer_commits_than_asked_for_are_left(store: Store) -> None:
    commit(store, row(0))
    assert fold(store, at_least=2) is None
    assert len(store.entries("commits/")) == 1


def test_rows_that_came_twice_are_kept_once(store: Store) -> None:
    commit(store, row(0), row(1))
    commit(store, replace(row(1), key="data/fibre/again.zarr"))
    assert len(held_rows(store)) == 2
    fold(store)
    commit(store, replace(row(0), key="data/fibre/again.zarr"))
    assert len(held_rows(store)) == 2
    fold(store)
    (leaf,) = open_view(store).entries("fibre")
    assert leaf.rows == 2


def test_rows_that_a_compacted_one_replaces_do_not_come_back(store: Store) -> None:
    small = [row(0), row(1)]
    sources = tuple(one.sources[0] for one in small)
    commit(store, row(7, start=START, size=200, sources=sources, replaces=tuple(one.id for one in small)))
    fold(store)
    commit(store, *small)
    assert [one.key for one in held_rows(store)] == ["data/fibre/7.zarr"]
    fold(store)
    assert [one.key for one in held_rows(store)] == ["data/fibre/7.zarr"]


def test_rows_whose_source_samples_are_all_there_are_dropped(store: Store) -> None:
    sha = "5" * 64
    step = round(DATASET.step)
    commit(store, row(1, start=START, size=100, sources=(SourceRange(sha, 0, 0, 100),)))
    commit(store, row(2, start=START + 100 * step, size=100, sources=(SourceRange(sha, 0, 100, 200),)))
    fold(store)
    commit(store, row(3, start=START + 50 * step, size=100, sources=(SourceRange(sha, 0, 50, 150),)))
    commit(store, row(4, start=START + 50 * step, size=200, sources=(SourceRange(sha, 0, 50, 250),)))
    commit(store, row(5, start=START + 50 * step, size=100, sources=(SourceRange(sha, 1, 50, 150),)))
    fold(store)
    assert sorted(one.key[11:12] for one in held_rows(store)) == ["1", "2", "4", "5"]


def test_rows_of_another_life_of_a_dataset_are_dropped(store: Store) -> None:
    commit(store, row(0))
    fold(store)
    base = read_current(store)
    assert swap(store, base, Change(successor(base.snapshot, "test", incarnations={"fibre": 2})))
    commit(store, row(1))
    assert [one.key for one in held_rows(store)] == ["data/fibre/0.zarr"]
    fold(store)
    assert [one.key for one in held_rows(store)] == ["data/fibre/0.zarr"]


def test_leaves_split_at_their_size_and_late_rows_find_their_place(store: Store) -> None:
    late = 700
    commit(store, *(row(number) for number in range(LEAF_ROWS + 50) if number != late))
    fold(store)
    sizes = [leaf.rows for leaf in open_view(store).entries("fibre")]
    assert sizes == [LEAF_ROWS, 49]
    assert len(lk.open(store.url)) == 2
    commit(store, row(late), row(-3))
    fold(store)
    view = open_view(store)
    leaves = view.entries("fibre")
    assert sum(leaf.rows for leaf in leaves) == LEAF_ROWS + 51
    assert max(leaf.rows for leaf in leaves) <= LEAF_ROWS
    assert min(leaf.rows for leaf in leaves) >= 49
    assert view.coverage("fibre") == [
        (row(-3).time.first, row(-3).time.last),
        (START, row(LEAF_ROWS + 49).time.last),
    ]
    assert [one.id for one in sorted(held_rows(store), key=lambda one: one.time.first)] == [
        row(number).id for number in (-3, *range(LEAF_ROWS + 50))
    ]


def test_a_row_is_known_whatever_leaf_it_lies_in(store: Store) -> None:
    sha = "6" * 64
    long = row(LEAF_ROWS - 1, size=5000, sources=(SourceRange(sha, 0, 0, 5000),))
    commit(store, *(row(number) for number in range(LEAF_ROWS - 1)), long, row(LEAF_ROWS + 5))
    fold(store)
    assert [leaf.rows for leaf in open_view(store).entries("fibre")] == [LEAF_ROWS, 1]
    inside = row(LEAF_ROWS + 7, sources=(SourceRange(sha, 0, 800, 900),))
    commit(store, inside)
    fold(store)
    assert sum(leaf.rows for leaf in open_view(store).entries("fibre")) == LEAF_ROWS + 1


def test_two_folds_at_once_lose_nothing(store: Store) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for number in range(24):
        commit(store, row(number))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: fold(open_store(store.url)), range(6)))
    assert len(held_rows(store)) == 24
    numbers = [Snapshot.decode(store.get(entry.key).data).number for entry in store.entries("index/snapshots/")]
    assert numbers == list(range(len(numbers)))


def test_a_fold_that_another_has_claimed_is_left_to_it_and_no_more(store: Store) -> None:
    commit(store, row(0))
    claim = layout.folding_key(read_current(store).snapshot.number + 1)
    store.create(claim, b"another folder, dead by now")
    before = store.counts
    assert fold(store, claim=True) is None
    assert (store.counts - before).gets <= 2  # CURRENT and the claim: the commits are not read in vain
    made = fold(store)
    assert made is not None
    assert sum(leaf.rows for leaf in made.leaves) == 1
    assert not store.entries(layout.FOLDING)  # nobody else would take the claim of the dead away
    store.create(claim, b"a folder that has yet to delete what it folded")
    commit(store, row(1))
    assert fold(store, claim=True) is None
    assert fold(store) is not None
    commit(store, row(2))
    assert fold(store, claim=True) is not None  # that claim is older now
    assert [entry.key for entry in store.entries(layout.FOLDING)] == [claim]
    collect(store, timedelta(0))
    assert claim in {entry.key for entry in store.entries("")}  # as young as what a writer is about to commit
    assert len(held_rows(store)) == 3


def test_a_claim_goes_also_where_the_fold_was_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another folds between the claim and the swap."""
    from ingest.index import fold as module

    commit(store, row(0))
    swapped = module.swap

    def late(store: Store, base: Base, made: Change) -> bool:
        monkeypatch.setattr(module, "swap", swapped)
        assert fold(store) is not None
        return swapped(store, base, made)

    monkeypatch.setattr(module, "swap", late)
    assert fold(store, claim=True) is None
    assert not store.entries(layout.FOLDING)
    assert len(held_rows(store)) == 1


def test_writers_that_do_not_know_of_each_other_fold_about_every_32_commits(store: Store) -> None:
    """Twelve writers of 30 commits each: none has 32 of its own, all together have 360."""
    from concurrent.futures import ThreadPoolExecutor

    random.seed(5)
    young: list[int] = []

    def write(writer: int) -> int:
        mine = open_store(store.url)
        pace = FoldPace(mine)
        for number in range(30):
            commit(mine, row(30 * writer + number))
            pace.committed()
            pace.fold_when_due()
            young.append(len(mine.entries(layout.COMMITS)))
        return pace.folds

    with ThreadPoolExecutor(12) as pool:
        folds = sum(pool.map(write, range(12)))
    assert folds >= 2
    assert max(young) < 330
    fold(store)
    assert len(held_rows(store)) == 360
    assert not store.entries(layout.FOLDING)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_order_of_arrival_changes_nothing(data: st.DataObject) -> None:
    made = [
        row(0),
        row(1, start=START + 40_000_000),
        row(2, start=START + 40_000_000),
        row(3),
        row(6, size=70),
        row(7, size=1),
    ]
    seen = []
    for order in (list(range(len(made))), data.draw(st.permutations(range(len(made))))):
        store = open_store(f"memory://{data.draw(st.uuids())}")
        initialise(store)
        for place, number in enumerate(order):
            commit(store, made[number])
            if place in data.draw(st.sets(st.integers(0, 5))):
                fold(store)
        view = open_view(store)
        (table,) = view.tables(["fibre"])
        seen.append(
            [
                [
                    (one.key, int(a), int(b))
                    for one, a, b in zip(view.rows(table, run.rows), run.start, run.stop, strict=True)
                ]
                for run in table.runs()
            ]
        )
        assert [(run.first, run.last) for run in table.runs()] == view.coverage("fibre")
    assert seen[0] == seen[1]


@settings(max_examples=60, deadline=None)
@given(shift=st.integers(-3, 3), size=st.integers(2, 60))
def test_a_block_that_overlaps_by_half_a_step_joins_without_a_gap(shift: int, size: int) -> None:
    """To the nanosecond: what an overlap leaves of a block always follows what hides the rest."""
    one = row(0)
    half = int(DATASET.step / 2)
    other = row(1, start=one.time.last + half + shift, size=size)
    store = open_store(f"memory://half-{shift}-{size}-{np.random.default_rng().integers(2**60)}")
    initialise(store)
    commit(store, one, other)
    view = open_view(store)
    (table,) = view.tables(["fibre"])
    assert len(table.runs()) == len(view.coverage("fibre")) == 1


def test_many_leaves_are_planned_from_their_narrow_columns(store: Store) -> None:
    commit(store, *(row(number) for number in range(9 * LEAF_ROWS)))
    fold(store)
    entries = open_view(store).entries("fibre")
    assert len(entries) == 9
    fresh = open_store(store.url)
    view = open_view(fresh)
    (table,) = view.tables(["fibre"])
    assert fresh.counts.bytes_read < sum(leaf.size for leaf in entries)
    assert len(table.runs()) == 1
    assert plain(view.rows(table, [9 * LEAF_ROWS - 1])[0]) == plain(row(9 * LEAF_ROWS - 1))
