"""What the mixes in integration leave out: relative bounds, sorting, workers, chunks along distance, a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archive as lk
from archive.coords import Coord, Linear, TimeAxis
from archive.errors import InvalidInput
from archive.index.dataset import Dataset
from archive.index.rows import SourceRange
from archive.store import open_store
from ingest.granule import GranuleContent, write_granule
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.run import put_commit

START = 1_457_942_400_000_000_000
CHANNELS = 9
PLAIN = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STEPS = {"fast": Fraction(10**6), "odd": Fraction(10**9, 1050), "slow": Fraction(3_990_000)}


@dataclass(repr=False)
class Run:
    """One contiguous run of one dataset, dense."""

    dataset: str
    stamps: np.ndarray[Any, Any]
    samples: np.ndarray[Any, Any]


@dataclass(repr=False)
class Case:
    """An archive of three datasets with a gap each, and its runs by time."""

    url: str
    runs: list[Run]

    def of(self, name: str) -> list[Run]:
        return [run for run in self.runs if run.dataset == name]


def build(url: str) -> Case:
    store = open_store(url)
    initialise(store)
    random = np.random.default_rng(11)
    runs = []
    for place, (name, step) in enumerate(STEPS.items()):
        dataset = Dataset(
            name=name,
            dims=("time", "distance"),
            coords={
                "distance": Coord(dims=("distance",), values=Linear(start=1.5, step=0.5, size=CHANNELS), units="m")
            },
            dtype=np.dtype("float32"),
            step=step,
            chunks=(40, 4),
            codec="pcodec",
            window=10**9,
            attrs={"station": name.upper(), "gauge_length": 10.0 * (place + 1)},
        )
        rows = []
        for block, start in enumerate((START + place * 777, START + place * 777 + 2 * 10**9)):
            whole = TimeAxis.line(start, step, 150)
            samples = random.standard_normal((150, CHANNELS)).astype("float32")
            runs.append(Run(name, whole.to_ns(), samples))
            for first, last in ((0, 70), (70, 150)):
                source = SourceRange(f"{place * 10 + block:064x}", 0, first, last)
                content = GranuleContent(samples=samples[first:last], time=whole.cut(first, last), sources=(source,))
                rows.append(write_granule(store, dataset, content))
        put_commit(store, rows[::-1], [], {name: dataset})
        if place == 1:
            fold(store)
    return Case(url, runs)


@pytest.fixture(scope="module", params=["memory", "folder", "s3"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    if request.param == "memory":
        yield build("memory://select-and-chunk")
    elif request.param == "folder":
        yield build(str(tmp_path_factory.mktemp("folder") / "archive"))
    else:
        bucket = request.getfixturevalue("server").bucket
        yield build(f"s3://{bucket}/select-and-chunk")


def stamps_of(patch: lk.Patch) -> np.ndarray[Any, Any]:
    return patch.coords["time"].to_numpy().astype(np.int64)


def same(patch: lk.Patch, stamps: np.ndarray[Any, Any], samples: np.ndarray[Any, Any]) -> None:
    assert np.array_equal(stamps_of(patch), stamps)
    assert np.array_equal(patch.data, samples)


def total(patch: lk.Patch) -> tuple[str, int, float]:
    """Module level, so that other processes can run it."""
    return str(patch.attrs["dataset"]), int(stamps_of(patch)[0]), float(patch.data.astype("float64").sum())


def test_every_run_of_every_dataset_is_a_patch(case: Case) -> None:
    spool = lk.open(case.url).sort("time")
    assert spool.datasets == ("fast", "odd", "slow")
    for patch, run in zip(spool, sorted(case.runs, key=lambda run: run.stamps[0]), strict=True):
        assert patch.attrs["dataset"] == run.dataset
        same(patch, run.stamps, run.samples)


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        ({"station": "F*"}, ["fast"]),
        ({"station": ["FAST", "SLOW"]}, ["fast", "slow"]),
        ({"gauge_length": (15, None)}, ["odd", "slow"]),
        ({"gauge_length": 20.0}, ["odd"]),
        ({"dataset": "?dd"}, ["odd"]),
        ({"dataset": ["slow", "none"]}, ["slow"]),
        ({"station": "none"}, []),
    ],
)
def test_attributes_choose_whole_patches(case: Case, selectors: dict[str, Any], names: list[str]) -> None:
    chosen = lk.open(case.url).select(**selectors)
    assert sorted({patch.attrs["dataset"] for patch in chosen}) == names
    assert len(chosen) == 2 * len(names)


@PLAIN
@given(low=st.none() | st.integers(-200, 200), high=st.none() | st.integers(-200, 200))
def test_relative_bounds_count_from_both_ends_inclusive(case: Case, low: int | None, high: int | None) -> None:
    for run, patch in zip(case.of("fast"), lk.open(case.url, dataset="fast"), strict=True):
        first, last = int(run.stamps[0]), int(run.stamps[-1])
        edges = [None if e is None else (first if e >= 0 else last) + e * 10**6 for e in (low, high)]
        bounds = tuple(None if e is None else e / 1000 for e in (low, high))
        if None not in edges and edges[0] > edges[1]:  # type: ignore[operator]
            with pytest.raises(InvalidInput, match="ends before"):
                patch.select(time=bounds, relative=True)
            continue
        keep = np.ones(len(run.stamps), dtype=bool)
        if edges[0] is not None:
            keep &= run.stamps >= edges[0]
        if edges[1] is not None:
            keep &= run.stamps <= edges[1]
        same(patch.select(time=bounds, relative=True), run.stamps[keep], run.samples[keep])


def test_a_relative_second_at_both_ends_is_a_sample_more(case: Case) -> None:
    patch = lk.open(case.url, dataset="fast")[0].select(time=(0.05, 0.1), relative=True)
    assert patch.shape == (51, CHANNELS)


@PLAIN
@given(data=st.data())
def test_arrays_are_membership_and_booleans_a_mask(case: Case, data: st.DataObject) -> None:
    run, patch = case.of("odd")[0], lk.open(case.url, dataset="odd")[0]
    picked = sorted(data.draw(st.sets(st.integers(0, CHANNELS - 1))))
    values = np.array([1.5 + 0.5 * number for number in picked] + [99.0])
    assert np.array_equal(patch.select(distance=values).data, run.samples[:, picked])
    mask = np.isin(np.arange(CHANNELS), picked)
    assert np.array_equal(patch.select(distance=mask).data, run.samples[:, mask])
    rows = sorted(data.draw(st.sets(st.integers(0, 149), max_size=5)))
    same(patch.select(time=run.stamps[rows].astype("datetime64[ns]")), run.stamps[rows], run.samples[rows])


def test_ranges_of_distance_take_quantities_and_shrink_inwards(case: Case) -> None:
    run, patch = case.of("slow")[0], lk.open(case.url, dataset="slow")[0]
    cm = lk.units.get_quantity("cm")
    assert np.array_equal(patch.select(distance=(160 * cm, 260 * cm)).data, run.samples[:, 1:3])
    assert np.array_equal(patch.select(distance=[2, 3]).data, run.samples[:, 1:4])
    assert np.array_equal(patch.select(distance=(..., 2)).data, run.samples[:, :2])
    assert np.array_equal(patch.select(distance=3, samples=True).data, run.samples[:, 3:4])


@PLAIN
@given(width=st.integers(1, 12), lap=st.integers(0, 11), partial=st.booleans())
def test_chunks_along_distance_hold_every_channel_in_their_range(
    case: Case, width: int, lap: int, *, partial: bool
) -> None:
    spool = lk.open(case.url, dataset="fast")[:1]
    if lap >= width:
        with pytest.raises(InvalidInput, match="overlap"):
            spool.chunk(distance=width * 0.5, overlap=lap * 0.5)
        return
    chunks = spool.chunk(distance=width * 0.5, overlap=lap * 0.5, keep_partial=partial)
    starts = [s for s in range(0, CHANNELS, width - lap) if partial or s + width <= CHANNELS]
    run = case.of("fast")[0]
    assert [patch.shape for patch in chunks] == [(150, min(s + width, CHANNELS) - s) for s in starts]
    for patch, start in zip(chunks, starts, strict=True):
        assert np.array_equal(patch.data, run.samples[:, start : start + width])


@pytest.mark.parametrize("step", list(STEPS))
def test_chunks_of_any_rate_lose_no_sample(case: Case, step: str) -> None:
    spool = lk.open(case.url, dataset=step).chunk(time=0.0317, keep_partial=True)
    pieces, runs = list(spool), case.of(step)
    assert np.array_equal(np.concatenate([stamps_of(p) for p in pieces]), np.concatenate([r.stamps for r in runs]))
    assert np.array_equal(np.concatenate([p.data for p in pieces]), np.concatenate([r.samples for r in runs]))
    assert {len(p) for p in pieces[:3]} <= {int(31_700_000 / STEPS[step]), int(31_700_000 / STEPS[step]) + 1}


def test_chunks_can_be_chosen_from_again(case: Case) -> None:
    """DASCore 0.1.24 returns duplicated samples here."""
    run = case.of("fast")[1]
    spool = lk.open(case.url, dataset="fast").chunk(time=0.03, overlap=0.01)
    low, high = run.stamps[25], run.stamps[58]
    found = spool.select(time=tuple(np.array([low, high]).astype("datetime64[ns]")))[1:3]
    for number, patch in zip((1, 2), found, strict=True):
        keep = np.arange(max(20 * number, 25), min(20 * number + 30, 59))
        same(patch, run.stamps[keep], run.samples[keep])


def test_fill_values_and_gaps_agree(case: Case) -> None:
    spool = lk.open(case.url, dataset="slow")
    gaps = spool.gaps()
    (whole,) = spool.chunk(time=None, fill_value=np.nan)
    runs = case.of("slow")
    assert gaps["samples"].tolist() == [whole.shape[0] - 300]
    missing = np.isnan(whole.data).all(axis=1)
    assert missing.sum() == whole.shape[0] - 300
    assert np.array_equal(whole.data[~missing], np.concatenate([run.samples for run in runs]))
    assert np.array_equal(stamps_of(whole)[~missing], np.concatenate([run.stamps for run in runs]))
    assert (np.diff(stamps_of(whole)) > 0).all()
    assert len(lk.open(case.url).overlaps()) == 0


def test_slices_splits_and_numbers_pick_patches(case: Case) -> None:
    spool = lk.open(case.url).sort("time")
    starts = sorted(int(run.stamps[0]) for run in case.runs)

    def found(part: lk.Spool) -> list[int]:
        return [int(stamps_of(patch)[0]) for patch in part]

    assert found(spool[::-2]) == starts[::-2]
    assert found(spool[[4, 0, -1]]) == [starts[4], starts[0], starts[-1]]
    assert found(spool[np.array(starts) > starts[2]]) == starts[3:]
    assert [found(part) for part in spool.split(size=4)] == [starts[:4], starts[4:]]
    assert [start for part in spool.split(count=3) for start in found(part)] == starts
    assert int(stamps_of(spool[-1])[0]) == starts[-1]


def test_workers_get_the_same_patches(case: Case) -> None:
    spool = lk.open(case.url).chunk(time=0.05).sort("time")
    expected = [total(patch) for patch in spool]
    assert spool.map(total) == expected
    with ThreadPoolExecutor(3) as pool:
        assert spool.map(total, client=pool) == expected
    assert len(expected) > 10


@pytest.mark.slow
def test_processes_get_the_same_patches_of_a_folder(tmp_path: Any) -> None:
    case = build(str(tmp_path / "archive"))
    spool = lk.open(case.url).chunk(time=0.1)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        arrays = spool.map(np.asarray, client=pool)
    assert len(arrays) == len(spool) > 5
    for array, patch in zip(arrays, spool, strict=True):
        assert np.array_equal(array, patch.data)


ORIGIN = np.datetime64(START, "ns")
TICK = np.timedelta64(4, "ms")


def plain(first: int, count: int = 10, beside: Any = None, step: int = 1, **attrs: Any) -> lk.Patch:
    """Return samples that are their own numbers, counted in steps of 4 ms; beside them what is made of the numbers."""
    numbers = first + np.arange(count)
    coords: dict[str, Any] = {"time": ORIGIN + numbers * step * TICK, "distance": np.arange(2.0)}
    if beside is not None:
        coords["other"] = ("time", beside(numbers))
    return lk.Patch(np.stack([numbers, -numbers], 1).astype(float), coords, ("time", "distance"), attrs)


BESIDE: dict[str, tuple[Any, Any]] = {
    "times": (lambda n: ORIGIN + n * TICK + np.timedelta64(7, "us"), lambda n: ORIGIN + n * TICK),
    "fractions": (lambda n: n * 1.5 - 3, lambda n: np.full(len(n), np.nan)),
    "whole numbers": (lambda n: n % 7, lambda n: np.full(len(n), np.nan)),
    "durations": (lambda n: n * TICK, lambda n: np.full(len(n), np.timedelta64("NaT", "ns"))),
    "texts": (lambda n: np.array([f"shot {k}" for k in n]), lambda n: np.full(len(n), "")),
    "bytes": (lambda n: np.array([b"shot %d" % k for k in n]), lambda n: np.full(len(n), b"")),
}


@pytest.mark.parametrize("kind", BESIDE)
def test_what_lies_beside_time_is_joined_as_it_is(kind: str) -> None:
    made, nothing = BESIDE[kind]
    numbers = np.arange(20)
    (both,) = lk.spool([plain(0, beside=made), plain(10, beside=made)]).chunk(time=None)
    np.testing.assert_array_equal(both.get_array("other"), made(numbers))
    assert both.get_array("other").dtype == made(numbers).dtype
    (half,) = lk.spool([plain(0, beside=made), plain(10)]).chunk(time=None)
    np.testing.assert_array_equal(half.get_array("other")[:10], made(numbers[:10]))
    np.testing.assert_array_equal(half.get_array("other")[10:], nothing(numbers[10:]))
    (filled,) = lk.spool([plain(0, beside=made), plain(12, 8, beside=made)]).chunk(time=None, fill_value=-1)
    np.testing.assert_array_equal(filled.data[:, 0], [*range(10), -1, -1, *range(12, 20)])
    other = filled.get_array("other")
    np.testing.assert_array_equal(other[[*range(10), *range(12, 20)]], made(np.delete(numbers, [10, 11])))
    np.testing.assert_array_equal(other[10:12], nothing(numbers[10:12]))


def test_times_beside_time_are_taken_apart_without_being_read() -> None:
    made = BESIDE["times"][0]
    (both,) = lk.spool([plain(0, beside=made), plain(10, beside=made)]).chunk(time=None)
    wanted = made(np.arange(20))
    for key in (
        slice(3, 15),
        slice(15, 3),
        slice(1, None, 4),
        slice(None, None, -1),
        np.array([2, 19, 11]),
        wanted > made(8),
    ):
        part = both.coords["other"][key]
        np.testing.assert_array_equal(part.to_numpy(), wanted[key])
        assert part.size == len(wanted[key])
    assert both.coords["other"].values[7] == wanted[7]
    picked = both.select(other=(made(4), made(8)))
    assert picked.data[:, 0].tolist() == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("kind", ["times", "durations", "texts", "bytes"])
def test_coordinates_of_other_kinds_or_units_are_not_joined(kind: str) -> None:
    numbers = BESIDE["fractions"][0]
    others = [plain(10, beside=made) for made in (BESIDE[kind][0], BESIDE["texts" if kind == "bytes" else "bytes"][0])]
    for last in (others[0], plain(10, beside=numbers).set_units(other="m")):
        with pytest.raises(InvalidInput, match=r"other is another kind of coordinate.*drop_coords\('other'\) first"):
            len(lk.spool([plain(0, beside=numbers), last]).chunk(time=None))
    with pytest.raises(InvalidInput, match="other is another kind of coordinate"):
        len(lk.spool([plain(0, beside=BESIDE[kind][0]), others[1]]).chunk(time=None))


def test_numbers_of_other_types_are_joined_but_integers_are_not_rounded() -> None:
    whole, fractions = BESIDE["whole numbers"][0], BESIDE["fractions"][0]
    (both,) = lk.spool([plain(0, beside=whole), plain(10, beside=fractions)]).chunk(time=None)
    np.testing.assert_array_equal(both.get_array("other")[:10], whole(np.arange(10)))
    np.testing.assert_array_equal(both.get_array("other")[10:], fractions(np.arange(10, 20)))

    def large(numbers: Any) -> Any:
        return numbers + (1 << 60)

    (both,) = lk.spool([plain(0, beside=large), plain(10, beside=large)]).chunk(time=None)
    np.testing.assert_array_equal(both.get_array("other"), large(np.arange(20)))
    for last in (plain(10), plain(10, beside=fractions), plain(10, beside=lambda n: n.astype("u8"))):
        with pytest.raises(InvalidInput, match=r"other has integers beyond 2\*\*53.*drop_coords\('other'\) first"):
            len(lk.spool([plain(0, beside=large), last]).chunk(time=None))


@pytest.mark.parametrize(
    ("patches", "wanted"),
    [
        ([plain(0), plain(2, 3), plain(8, 5)], [range(13)]),
        ([plain(0), plain(5, 10, step=2)], [range(10), range(5, 15)]),
        ([plain(0), plain(10, 0)], [range(10)]),
        ([plain(0, 0).transpose()], []),
    ],
    ids=["within another", "other steps", "empty", "empty along the last dim"],
)
def test_patches_are_merged_where_they_share_a_step(patches: list[lk.Patch], wanted: list[range]) -> None:
    merged = lk.spool(patches).chunk(time=None)
    assert [patch.data[:, 0].tolist() for patch in merged] == [list(one) for one in wanted]


def test_patches_are_merged_alike_whatever_the_order_of_their_dims() -> None:
    patches = [plain(0), plain(2, 3), plain(5)]
    (along,) = lk.spool(patches).chunk(time=None)
    (across,) = lk.spool([patch.transpose() for patch in patches]).chunk(time=None)
    assert across.dims == ("distance", "time")
    same(across.transpose(), stamps_of(along), along.data)
    assert along.data[:, 0].tolist() == list(range(15))


def test_chunks_are_taken_by_slices_and_there_are_none_of_nothing() -> None:
    chunks = lk.spool([plain(0)]).chunk(time=np.timedelta64(12, "ms"))
    assert [patch.data[:, 0].tolist() for patch in chunks[1:]] == [[3, 4, 5], [6, 7, 8]]
    partial = lk.spool([plain(0)]).chunk(time=np.timedelta64(12, "ms"), keep_partial=True)
    assert [len(patch) for patch in partial] == [3, 3, 3, 1]
    assert len(lk.spool([plain(0).select(distance=slice(0, 0), samples=True)]).chunk(distance=1)) == 0
    with pytest.raises(IndexError, match="2"):
        chunks[1:][2]


@pytest.mark.parametrize(
    ("patch", "chunk", "said"),
    [
        (plain(0).update_coords(distance=np.array([3.0, 1.0])), {"distance": 1}, "only a coordinate of rising numbers"),
        (plain(0).update_coords(distance=np.array(["a", "b"])), {"distance": 1}, "only a coordinate of rising numbers"),
        (plain(0).update_coords(time=np.arange(10.0)), {"time": None}, "without a time coordinate of points in time"),
        (plain(0), {"distance": "long"}, "distance='long' is no length; give a number"),
        (plain(0), {"distance": np.nan}, "distance=nan is no length that ends"),
        (plain(0), {"distance": np.inf}, "distance=inf is no length that ends"),
        (plain(0), {"distance": 0}, "chunks have a positive length, not 0"),
        (plain(0), {"depth": 2}, "depth: not every Patch has this dim"),
        (plain(0), {"distance": 1, "overlap": 1}, "an overlap of 1 is not shorter than the chunks of 1"),
        (plain(0), {"time": None, "conflict": "keep"}, "conflict='keep': one of 'raise', 'drop', 'keep_first'"),
    ],
)
def test_chunks_that_make_no_sense_say_so(patch: lk.Patch, chunk: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        len(lk.spool([patch]).chunk(**chunk))
