"""Operations on samples that are not read yet: what is read, how much memory it takes, what is refused."""

from __future__ import annotations

import inspect
import pickle
import tracemalloc
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from oracle import patch_of

import archive as lk
from archive import operations as do
from archive.coords import Coord, Coords, Linear, TimeAxis
from archive.errors import InvalidInput
from archive.lazy import Work, pretended
from archive.operations.applying import outline_of
from archive.operations.chain import plan, process
from archive.operations.filtering import TOLERANCE, ringing
from archive.operations.operation import Part
from archive.operations.registry import Operations, names


@dataclass
class Source:
    """An array of any length, made when it is read, that remembers which windows were."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    origin: tuple[int, ...] = (0, 0)
    read: list[tuple[int, int]] = field(default_factory=list)

    def cut(self, window: tuple[slice, ...]) -> Source:
        shape = tuple(part.stop - part.start for part in window)
        origin = tuple(base + part.start for base, part in zip(self.origin, window, strict=True))
        return Source(shape, self.dtype, origin, self.read)

    def fill(self, target: np.ndarray, work: Work) -> None:
        self.read.append((self.origin[0], self.origin[0] + self.shape[0]))
        if not any(target.strides):  # only planned
            return
        rows, columns = (np.arange(start, start + size) for start, size in zip(self.origin, self.shape, strict=True))
        np.add(np.sin(rows * 0.1)[:, None], (rows * 1e-6)[:, None] + columns, out=target, casting="unsafe")


def run(size: int, channels: int = 3, rate: int = 1000, dtype: str = "float32") -> tuple[lk.Patch, Source]:
    source = Source((size, channels), np.dtype(dtype))
    time = TimeAxis.line(10**18, Fraction(10**9, rate), size)
    coords = {
        "time": Coord(dims=("time",), values=time, units="s"),
        "distance": Coord(dims=("distance",), values=Linear(start=0.0, step=2.0, size=channels), units="m"),
    }
    return lk.Patch(source, Coords(("time", "distance"), coords)), source


def test_a_part_of_a_filtered_patch_reads_that_part_and_the_halo() -> None:
    patch, source = run(100_000, dtype="float64")
    filtered = patch.pass_filter(time=(20, 60)).decimate(time=5, filter_type="fir")
    assert not filtered.loaded
    assert not source.read
    part = filtered.select(time=(9000, 9100), samples=True).data
    assert len(source.read) == 1
    start, stop = source.read[0]
    assert 44_000 < start < 45_000
    assert 45_500 < stop < 46_500
    whole = lk.Patch(patch.data, patch.coords).pass_filter(time=(20, 60)).decimate(time=5, filter_type="fir")
    assert np.abs(part - whole.data[9000:9100]).max() <= TOLERANCE * np.abs(patch.data).max()


def test_a_plan_of_what_would_be_read_computes_nothing() -> None:
    patch, source = run(100_000)
    part = patch.detrend("distance").median_filter(time=5, samples=True).select(time=(100, 200), samples=True)
    work = Work()
    part.lazy.fill(pretended(part.shape, part.dtype), work)
    assert source.read == [(98, 202)]
    assert not work.finish


def test_what_is_wrong_is_said_before_anything_is_read() -> None:
    patch, source = run(1000)
    for wrong in (
        lambda: patch.pass_filter(time=(1, 600)),
        lambda: patch.pass_filter(time=(None, ...)),
        lambda: patch.pass_filter(time=(1 * lk.units.s, 5 * lk.units.Hz)),
        lambda: patch.detrend("depth"),
        lambda: patch.taper(time=0.6),
        lambda: patch.taper(time=0.1, window_type="square"),
        lambda: patch.decimate(time=0.5),
        lambda: patch.rolling(time=5, step=1, overlap=1).mean(),
        lambda: patch.convert_units(distance="s"),
        lambda: patch.set_units("nonsense"),
        lambda: patch.interpolate(kind="wild", time=None),
        lambda: patch.median_filter(time=3, samples=True, mode="sideways"),
        lambda: patch.hampel_filter(time=4, samples=True),
        lambda: patch.dft("time", db=True),
        patch.velocity_to_strain_rate,
        patch.radians_to_strain,
        lambda: patch.stalta(time=(0.2, 0.1)),
        lambda: patch.mean("time", dim_reduce="nonsense"),
        lambda: patch.aggregate("time", method="mode"),
        lambda: patch.idft("time"),
        patch.istft,
        lambda: patch.squeeze("time"),
    ):
        with pytest.raises(InvalidInput):
            wrong()
    assert not source.read


def test_uneven_samples_are_refused_where_a_rate_is_needed() -> None:
    patch = patch_of(np.ones((50, 3)), distance=np.array([0.0, 1, 5]))
    for wrong in (
        lambda: patch.pass_filter(distance=(None, 0.1)),
        lambda: patch.dft("distance"),
        lambda: patch.rolling(distance=2).mean(),
    ):
        with pytest.raises(InvalidInput, match="not evenly spaced"):
            wrong()
    assert patch.differentiate("distance").shape == (50, 3)


def test_a_long_run_goes_through_in_bounded_memory() -> None:
    patch, _ = run(2_000_000, channels=4)
    operations = [do.detrend("time"), do.pass_filter(time=(..., 8)), do.decimate(time=40, filter_type=None)]
    memory, size = 24 << 20, 0
    list(process(run(20_000)[0], operations))  # what is loaded and cached once does not count
    tracemalloc.start()
    for part in process(patch, operations, memory=memory):
        size += part.size
        assert part.dtype == np.float32
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 50_000 * 4
    assert peak < memory < patch.nbytes


def test_a_halo_that_would_dwarf_its_block_makes_blocks_narrower() -> None:
    patch, source = run(3_600_000, channels=2000)
    chain = plan(outline_of(patch), [do.pass_filter(time=(0.05, 1))])
    (halo,) = chain.operations[0].reach(chain.given).values()
    assert halo.before > 60_000
    windows = chain.blocks(memory=1 << 30)
    assert windows[0][1].stop < 2000
    assert all(chain.size(window) <= 1 << 30 for window in (windows[0], windows[len(windows) // 2], windows[-1]))
    assert sum(np.prod([part.stop - part.start for part in window]) for window in windows) == patch.size
    assert not source.read


def test_a_filter_that_rings_too_long_is_refused() -> None:
    patch, _ = run(10_000_000)
    with pytest.raises(InvalidInput, match="decimate first"):
        plan(outline_of(patch), [do.pass_filter(time=(1e-6, 1e-5))])


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_ringing_is_forgotten_where_it_is_said_to_be(tolerance: float) -> None:
    from scipy.signal import butter, sosfilt

    sections = butter(4, [5, 20], "bandpass", fs=250, output="sos")
    length = ringing(sections.tobytes(), tolerance, both=True)
    impulse = np.zeros(20 * length)
    impulse[0] = 1
    once = sosfilt(sections, impulse)
    both = np.correlate(once, once, mode="full")[len(once) - 1 :]
    assert 4 * np.abs(both[length:]).sum() <= tolerance
    assert 4 * np.abs(both[length // 2 :]).sum() > tolerance


def test_history_is_the_operations_in_order() -> None:
    patch = patch_of(np.random.default_rng(3).normal(size=(60, 3)))
    done = patch.detrend("time").taper(time=0.1).pass_filter(time=(10, 40))
    history = done.attrs.history[-3:]
    assert history == (do.detrend("time"), do.taper(time=0.1), do.pass_filter(time=(10, 40)))
    assert history != (do.detrend("time"), do.taper(time=0.2), do.pass_filter(time=(10, 40)))
    again = patch
    for one in history:
        again = one(again)
    assert np.array_equal(again.data, done.data)
    assert "pass_filter(dim='time', low=10, high=40" in repr(done)
    assert pickle.loads(pickle.dumps(history)) == history
    assert hash(history) == hash(done.attrs.history[-3:])


@pytest.mark.parametrize("name", names())
def test_every_operation_is_a_documented_method_and_a_function(name: str) -> None:
    method = getattr(lk.Patch, name)
    assert name in dir(lk.Patch)
    assert inspect.getdoc(method)
    assert next(iter(inspect.signature(method).parameters)) == "self"
    made = getattr(do, name)
    assert list(inspect.signature(made).parameters) == list(inspect.signature(method).parameters)[1:]
    assert name == "rolling" or vars(Operations)[name].make is made


def test_gaps_are_not_bridged_by_filters_along_uneven_time() -> None:
    first = patch_of(np.random.default_rng(1).normal(size=(80, 3)))
    later = first.update_coords(time_min=first.coords["time"].max() + np.timedelta64(1, "s"))
    runs = list(lk.spool([first, later]).chunk(time=None))
    assert len(runs) == 2
    for run_, original in zip(runs, (first, later), strict=True):
        parts = list(process(run_, [do.pass_filter(time=(10, 40))], lengths={"time": 30}))
        assert [part.shape[0] for part in parts] == [30, 30, 20]
        wanted = original.pass_filter(time=(10, 40)).data
        assert np.allclose(np.concatenate([part.data for part in parts]), wanted, atol=1e-5)


def test_large_arrays_are_done_slab_by_slab_with_the_same_result() -> None:
    patch = patch_of(np.random.default_rng(5).normal(size=(1500, 3000)))
    for one in (do.detrend("time"), do.pad(distance=2, samples=True), do.flip("time")):
        given = outline_of(patch)
        out = one.out(given)
        at_once = one.block(patch.data, Part(whole=given, source=given.window, target=out.window))
        np.testing.assert_allclose(one(patch).data, at_once, rtol=1e-10, atol=1e-12)
