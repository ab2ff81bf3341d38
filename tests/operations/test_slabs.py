"""Chains on unread samples: together, in slabs and threads, in little memory, and equal to one after the other."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

import archive as lk
from archive import operations as do
from archive.lazy import Constant, Joined
from archive.operations import filtering, slabs
from archive.operations.chain import process
from archive.units import s

CHAINS: dict[str, Callable[[lk.Patch], lk.Patch]] = {
    "along time": lambda p: p.detrend("time").taper(time=0.05).pass_filter(time=(..., 30)),
    "along both": lambda p: p.detrend("time").median_filter(distance=5.0).taper(distance=0.2).abs(),
    "turned": lambda p: p.transpose().detrend("time").decimate(time=4).flip("distance").demean("distance"),
    "fewer dims": lambda p: p.pass_filter(time=(1, 20)).mean("distance", dim_reduce="squeeze").abs(),
    "more dims": lambda p: p.detrend("time").append_dims(face=[1, 2]).standardize("time"),
    "part of it": lambda p: p.detrend("time").pass_filter(time=(2, ...)).select(time=(40, 200), samples=True),
    "backwards": lambda p: p.flip("time").flip("distance").roll(time=3, samples=True),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2"])
def test_a_chain_on_unread_samples_is_that_on_read_ones(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "_SLAB", 20_000)  # many slabs
    data = np.random.default_rng(3).normal(0, 1e3, (400, 37)).astype(dtype)
    coords = {"time": np.datetime64("2020-01-01", "ns") + np.arange(400) * np.timedelta64(10, "ms")}
    coords["distance"] = np.arange(37) * 1.0
    there = lk.Patch(data, coords, ("time", "distance"))
    unread = there.new(Joined([there.take("time", part).lazy for part in (slice(0, 150), slice(150, 400))]))
    assert not unread.loaded
    made, wanted = CHAINS[name](unread), CHAINS[name](there)
    np.testing.assert_allclose(made.data, wanted.data, rtol=1e-5 if dtype == "f4" else 1e-9, atol=1e-3)
    assert made.dtype == wanted.dtype
    assert np.array_equal(there.data, data)


def test_a_long_chain_holds_little_more_than_its_result() -> None:
    """Three operations on 128 MB of float64 that come from elsewhere: read into the place of the result."""
    rows, channels = 80_000, 200
    coords = {"time": np.datetime64("2020-01-01", "ns") + np.arange(rows) * np.timedelta64(1, "ms")}
    coords["distance"] = np.arange(channels) * 1.0
    patch = lk.Patch(Constant(3.0, (rows, channels), np.dtype("f8")), coords, ("time", "distance"))
    chain = patch.detrend("time").taper(time=0.05).pass_filter(time=(..., 300))
    tracemalloc.start()
    assert chain.data.nbytes == rows * channels * 8
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.2 * chain.data.nbytes, peak / chain.data.nbytes


@pytest.mark.parametrize("shape", [(600,), (600, 1), (600, 21)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_samples_that_somebody_has_are_never_written_over(
    shape: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filtering, "_WORTH_COMPILING", 0)
    dims = ("time", "distance")[: len(shape)]
    time = np.datetime64("2024-01-01", "ns") + np.arange(600) * np.timedelta64(1, "ms")
    coords = {"time": time, "distance": np.arange(21.0)[: shape[-1]]}
    samples = np.random.default_rng(3).normal(5, 1, shape).astype(dtype)
    patch = lk.Patch(samples.copy(), {dim: coords[dim] for dim in dims}, dims)
    for one in (
        do.detrend("time"),
        do.detrend("time", type="constant"),
        do.taper(time=0.2 * s),
        do.pass_filter(time=(None, 50)),
    ):
        made = one(patch).data
        assert not np.array_equal(made, samples)
        assert np.array_equal(patch.data, samples), one
        assert sum(part.shape[0] for part in process(patch, [one])) == 600
        assert np.array_equal(patch.data, samples), one


def test_a_small_patch_takes_little_memory() -> None:
    patch = lk.Patch(
        np.ones((1000, 6), dtype="f4"), {"time": np.arange(1000.0), "distance": np.arange(6.0)}, ("time", "distance")
    )
    patch.detrend("time")
    tracemalloc.start()
    patch.detrend("time")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20
