"""Operations over a run: put together, the blocks are what the whole gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import START, patch_of

import archive as lk
from archive import operations as do
from archive.errors import InvalidInput
from archive.operations.applying import outline_of
from archive.operations.chain import plan, process

EXAMPLES = settings(max_examples=5, deadline=None)
SIZE = 400
COND = np.random.default_rng(9).random((SIZE, 1)) > 0.5

# Chains whose blocks are the whole bit for bit, or as far as sums in another order are.
EXACT: dict[str, list[Any]] = {
    "detrend": [do.detrend("time")],
    "level": [do.demean("time"), do.standardize("time")],
    "norm": [do.normalize("time", norm="l1"), do.normalize("distance", norm="max")],
    "taper": [do.taper(time=100 * lk.units.ms)],
    "taper range": [do.taper_range(time=(10, 30, 200, 300), samples=True, invert=True)],
    "units": [do.convert_units("km/s", distance="ft")],
    "many": [do.detrend("time"), do.taper(time=0.2 * lk.units.s), do.demean("distance"), do.normalize("time")],
}


# Chains with windows and recursive filters, the latter within their tolerance.
NEAR: dict[str, list[Any]] = {
    "band": [do.pass_filter(time=(20, 60))],
    "low causal": [do.pass_filter(time=(None, 30), zerophase=False, corners=2)],
    "loose": [do.pass_filter(time=(30, None), tolerance=1e-3)],
    "notch": [do.notch_filter(q=3, time=50)],
    "median": [do.median_filter(time=5, distance=2, samples=True)],
    "gaussian": [do.gaussian_filter(time=3, distance=1, samples=True, mode="nearest")],
    "savgol": [do.savgol_filter(3, time=7, samples=True)],
    "sobel": [do.sobel_filter("distance")],
    "wiener": [do.wiener_filter(time=6, distance=2, samples=True, noise=0.5)],
    "hampel": [do.hampel_filter(time=5, distance=3, samples=True, threshold=2.0)],
    "decimate": [do.decimate(time=4)],
    "decimate fir": [do.decimate(time=3, filter_type="fir")],
    "decimate bare": [do.decimate(time=7, filter_type=None)],
    "interpolate": [do.interpolate(time=START + np.arange(-3, 410) * np.timedelta64(3900, "us"))],
    "nearest": [do.interpolate(kind="nearest", time=START + np.arange(210) * np.timedelta64(7100, "us"))],
    "rolling": [do.rolling(time=9, samples=True).mean()],
    "rolling step": [do.rolling(time=9, step=4, samples=True).median()],
    "rolling center": [do.rolling(time=10, step=3, center=True, samples=True).std()],
    "fill": [do.fillna(2), do.abs(), do.pad(distance=1, samples=True)],
    "mean across": [do.mean("distance"), do.max("distance", dim_reduce="squeeze")],
    "flip": [do.flip("distance"), do.flip("time", flip_coords=False)],
    "gradient": [do.differentiate("time"), do.differentiate("distance")],
    "gradient of order 6": [do.differentiate("time", order=6, step=2)],
    "strain": [do.velocity_to_strain_rate_edgeless(1)],
    "stalta": [do.stalta(time=(3, 12), samples=True)],
    "kurtosis": [do.kurtosis(time=6, samples=True, recursive=False)],
    "fbe": [do.fbe(0.04, 0.012, time=(30, 60), db=False)],
    "spectra along the fibre": [do.dft("distance"), do.idft(), do.real(), do.hilbert("distance"), do.abs()],
    "low frequency": [do.detrend("time"), do.decimate(time=5), do.pass_filter(time=(..., 15))],
    "talk": [do.detrend("time"), do.taper(time=0.1 * lk.units.s), do.pass_filter(time=(..., 60))],
}


def run() -> lk.Patch:
    """Return a run with an offset and a trend."""
    rng = np.random.default_rng(4)
    ramp = np.linspace(3, 9, SIZE)[:, None]
    return patch_of(rng.normal(size=(SIZE, 3)) + ramp, units="m/s").update_attrs(data_type="velocity")


def assembled(parts: list[lk.Patch], outline: Any) -> np.ndarray:
    """Return parts of a result put where their coordinates say."""
    result = np.full(outline.shape, np.nan, dtype=outline.dtype)
    seen = np.zeros(outline.shape, dtype=int)
    for part in parts:
        place = np.ix_(*(_found(outline.coords.get_array(d), part.get_array(d)) for d in outline.dims))
        result[place] = part.data
        seen[place] += 1
    assert (seen == 1).all()
    return result


def _found(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    return order[np.searchsorted(values, wanted, sorter=order)]


def cut(patch: lk.Patch, operations: list[Any], lengths: dict[str, int]) -> tuple[np.ndarray, Any]:
    out = plan(outline_of(patch), operations).out
    return assembled(list(process(patch, operations, lengths=lengths)), out), out


@pytest.mark.parametrize("name", [*EXACT, *NEAR])
@EXAMPLES
@given(time=st.integers(1, SIZE), distance=st.integers(1, 3), turn=st.booleans())
@example(time=133, distance=1, turn=False)  # leaves one sample for the last block
def test_chunked_is_whole(name: str, time: int, distance: int, turn: bool) -> None:
    patch = run().transpose() if turn else run()
    operations = (EXACT | NEAR)[name]
    mine, out = cut(patch, operations, {"time": max(time, SIZE // 12), "distance": distance})
    wanted = patch
    for one in operations:
        wanted = one(wanted)
    assert out.shape == wanted.shape
    assert out.dtype == wanted.dtype == mine.dtype
    assert out.coords == wanted.coords
    assert dict(out.attrs) == dict(wanted.attrs)
    tolerance = 1e-9 if name in EXACT else max(getattr(one, "tolerance", 1e-9) for one in operations)
    np.testing.assert_allclose(mine, wanted.data, rtol=1e-9, atol=tolerance * np.nanmax(np.abs(patch.data)))


def test_what_needs_the_whole_run_is_refused_and_says_what_to_do() -> None:
    for one in (do.demedian("time"), do.taper(time=0.05)):
        with pytest.raises(InvalidInput, match=r"needs all of time at once.*spool.chunk\(time=...\)"):
            process(run(), [one])
    assert len(list(process(run(), [do.demedian("distance")], lengths={"time": 100}))) == 4


def test_blocks_stay_within_their_memory() -> None:
    chain = plan(outline_of(run()), [do.detrend("time"), do.taper(time=0.1 * lk.units.s)])
    windows = chain.blocks(memory=16000)
    assert len(windows) >= 4
    assert all(chain.size(window) <= 16000 for window in windows)
    with pytest.raises(InvalidInput, match="more memory"):
        chain.blocks(memory=3)
