"""Any mix of select, chunk, slice and split gives what the same gives on dense arrays in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archive as lk
from archive.coords import Coord, Linear, TimeAxis
from archive.index.dataset import Dataset
from archive.index.rows import SourceRange
from archive.store import open_store
from ingest.granule import GranuleContent, write_granule
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.run import put_commit

START = 1_457_942_400_000_000_000
CHANNELS = 7
SECOND = 10**9


@dataclass(repr=False)
class Dense:
    """The model: stamps and samples of one contiguous run, all there."""

    stamps: np.ndarray
    samples: np.ndarray


@dataclass(repr=False)
class Case:
    """An archive, and what must be read from it."""

    url: str
    runs: list[Dense]
    step: Fraction


def build(name: str, step: Fraction, seed: int) -> Case:
    """Write granules with gaps, overlaps and starts that stray, and return what must be read."""
    rng = np.random.default_rng(seed)
    url = f"memory://{name}"
    store = open_store(url)
    initialise(store)
    dataset = Dataset(
        name="fibre",
        dims=("time", "distance"),
        coords={"distance": Coord(dims=("distance",), values=Linear(start=1.5, step=0.5, size=CHANNELS), units="m")},
        dtype=np.dtype("int32"),
        step=step,
        chunks=(64, 3),
        codec="pcodec",
        window=60 * SECOND,
    )
    rows, pieces = [], []
    start, half = START, int(step / 2)
    for number in range(9):
        size = int(rng.integers(30, 300))
        axis = TimeAxis.line(start, step, size)
        samples = rng.integers(-1000, 1000, (size, CHANNELS)).astype("int32")
        source = SourceRange(f"{number:064x}", 0, 0, size)
        rows.append(write_granule(store, dataset, GranuleContent(samples=samples, time=axis, sources=(source,))))
        pieces.append((axis.to_ns(), samples))
        follow = axis.last + int(step)
        change = number % 3
        if change == 0:
            start = follow + int(rng.integers(-half // 2, half // 2 + 1))  # joins, off the line
        elif change == 1:
            start = follow + int(step) * int(rng.integers(3, 40))  # a gap
        else:
            start = follow - int(step) * int(rng.integers(2, 20)) + int(rng.integers(0, half))  # an overlap
    order = rng.permutation(len(rows))
    put_commit(store, [rows[k] for k in order[:4]], [], {"fibre": dataset})
    fold(store)
    put_commit(store, [rows[k] for k in order[4:]], [], {"fibre": dataset})  # stays young
    return Case(url, dense_runs(pieces, step), step)


def dense_runs(pieces: list[tuple[np.ndarray, np.ndarray]], step: Fraction) -> list[Dense]:
    """The rule in plain words: who starts earlier serves; a gap is more than a step and a half."""
    runs: list[Dense] = []
    cursor = None
    for stamps, samples in sorted(pieces, key=lambda piece: piece[0][0]):
        keep = np.ones(len(stamps), dtype=bool) if cursor is None else stamps > cursor + int(step / 2)
        if not keep.any():
            continue
        part = Dense(stamps[keep], samples[keep])
        if cursor is not None and part.stamps[0] - cursor <= int(step) + int(step / 2):
            joined = (np.concatenate([getattr(runs[-1], k), getattr(part, k)]) for k in ("stamps", "samples"))
            runs[-1] = Dense(*joined)
        else:
            runs.append(part)
        cursor = int(part.stamps[-1])
    return runs


@pytest.fixture(scope="module", params=["1000 Hz", "1050 Hz", "3.999948 ms"])
def case(request: pytest.FixtureRequest) -> Case:
    steps = {"1000 Hz": Fraction(10**6), "1050 Hz": Fraction(20_000_000, 21), "3.999948 ms": Fraction(3_999_948)}
    name = request.param
    return build(f"equals-{name.replace(' ', '')}", steps[name], seed=len(name))


def equal(spool: lk.Spool, runs: list[Dense], channels: slice = slice(None)) -> None:
    assert len(spool) == len(runs)
    for patch, run in zip(spool, runs, strict=True):
        assert np.array_equal(patch.coords["time"].to_numpy().astype(np.int64), run.stamps)
        assert np.array_equal(patch.data, run.samples[:, channels])


def cut(runs: list[Dense], low: int, high: int) -> Iterator[Dense]:
    for run in runs:
        keep = (run.stamps >= low) & (run.stamps <= high)
        if keep.any():
            yield Dense(run.stamps[keep], run.samples[keep])


def chunked(runs: list[Dense], length: int, lap: int, step: Fraction, *, partial: bool) -> Iterator[Dense]:
    for run in sorted(runs, key=lambda run: int(run.stamps[0])):
        low = int(run.stamps[0])
        while low <= run.stamps[-1] if partial else low + length <= run.stamps[-1] + step + 1:
            keep = (run.stamps >= low) & (run.stamps < low + length)
            yield Dense(run.stamps[keep], run.samples[keep])
            low += length - lap


def test_the_archive_holds_the_runs_of_the_model(case: Case) -> None:
    assert len(case.runs) > 2
    equal(lk.open(case.url), case.runs)


bounds = st.integers(-SECOND // 2, 4 * SECOND)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_mix_of_select_chunk_slice_and_split_equals_the_model(case: Case, data: st.DataObject) -> None:
    check_any_mix(case, data)


@pytest.mark.prove
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_three_thousand_mixes_of_each_rate_equal_the_model(case: Case, data: st.DataObject) -> None:
    check_any_mix(case, data)


def check_any_mix(case: Case, data: st.DataObject) -> None:
    spool, runs, channels = lk.open(case.url), case.runs, slice(None)
    chunked_already = False
    for kind in data.draw(st.lists(st.sampled_from(["time", "distance", "chunk", "slice", "split"]), max_size=4)):
        if kind == "time":
            low, high = sorted(START + data.draw(bounds) for _ in range(2))
            spool = spool.select(time=(np.datetime64(low, "ns"), np.datetime64(high, "ns")))
            runs = list(cut(runs, low, high))
        elif kind == "distance" and channels == slice(None):
            first, last = sorted(data.draw(st.integers(0, CHANNELS - 1)) for _ in range(2))
            spool = spool.select(distance=(1.5 + 0.5 * first, 1.5 + 0.5 * last))
            channels = slice(first, last + 1)
        elif kind == "chunk" and not chunked_already:
            length = data.draw(st.integers(20, 900)) * 10**6
            lap = data.draw(st.integers(-20, 19)) * 10**6
            partial = data.draw(st.booleans())
            spool = spool.chunk(time=length / SECOND, overlap=lap / SECOND, keep_partial=partial)
            runs = list(chunked(runs, length, lap, case.step, partial=partial))
            chunked_already = True
        elif kind == "slice":
            part = data.draw(st.slices(max(len(runs), 1)))
            spool, runs = spool[part], runs[part]
        elif kind == "split" and len(runs) > 1:
            spool, runs = next(spool.split(size=2)), runs[:2]
    if any(len(run.stamps) == 0 for run in runs):
        runs = [run for run in runs if len(run.stamps)]
        spool = lk.spool([patch for patch in spool if patch.shape[0]])
    equal(spool, runs, channels)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(-400, 400), stop=st.integers(-400, 400), first=st.integers(-9, 9), last=st.integers(-9, 9))
def test_selecting_samples_is_slicing(case: Case, start: int, stop: int, first: int, last: int) -> None:
    for patch, run in zip(lk.open(case.url), case.runs, strict=True):
        part = patch.select(time=(start, stop), distance=(first, last), samples=True)
        assert np.array_equal(part.data, run.samples[start:stop, first:last])
        assert np.array_equal(part.coords["time"].to_numpy().astype(np.int64), run.stamps[start:stop])


def test_a_merge_across_gaps_needs_a_value_and_keeps_every_stamp(case: Case) -> None:
    spool = lk.open(case.url)
    assert len(spool.chunk(time=None)) == len(case.runs)
    (whole,) = spool.chunk(time=None, fill_value=-9999)
    stamps = whole.coords["time"].to_numpy().astype(np.int64)
    kept = np.isin(stamps, np.concatenate([run.stamps for run in case.runs]))
    assert np.array_equal(whole.data[kept], np.concatenate([run.samples for run in case.runs]))
    assert (whole.data[~kept] == -9999).all()
    assert len(spool.gaps()) == len(case.runs) - 1
    assert spool.gaps()["samples"].sum() == (~kept).sum()


def test_mapping_and_pickling_change_nothing(case: Case) -> None:
    spool = lk.open(case.url).chunk(time=0.1)
    sums = [int(run.samples.sum()) for run in chunked(case.runs, SECOND // 10, 0, case.step, partial=False)]
    assert spool.map(lambda patch: int(patch.data.sum())) == sums


def test_times_that_overlap_are_told(case: Case) -> None:
    table = lk.open(case.url).overlaps(compare=True)
    assert len(table) == 3 - (len(table) == 2)
    assert table["differ"].all()
