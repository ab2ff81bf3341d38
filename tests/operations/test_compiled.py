"""The compiled filter against SciPy's: the same sums in the same order, so the same bits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt_zi, sosfiltfilt

import archive as lk
from archive.operations import filtering
from archive.operations.compiled import BLOCK, LANES, TILE, forward_backward

BANDS = {"low": (4, 300), "deep": (4, 0.05), "band": (3, [1, 40]), "high": (8, 5)}


@pytest.mark.parametrize("band", BANDS)
@settings(max_examples=25, deadline=None)
@given(
    channels=st.sampled_from([1, 3, LANES - 1, LANES, LANES + 1, 3 * LANES + 5]),
    size=st.sampled_from([40, TILE - 1, TILE, TILE + 1, 3 * TILE + 7, BLOCK, BLOCK + 1, 3 * BLOCK + TILE + 7]),
    layout=st.tuples(st.sampled_from([("f4", "C"), ("f8", "F")]), st.booleans()),  # each is compiled for seconds
    seed=st.integers(0, 1000),
)
def test_compiled_is_scipy_bit_by_bit(
    band: str, channels: int, size: int, layout: tuple[tuple[str, str], bool], seed: int
) -> None:
    (dtype, order_in_memory), over_itself = layout
    order, corners = BANDS[band]
    kind = {"low": "lowpass", "deep": "lowpass", "band": "bandpass", "high": "highpass"}[band]
    sections = butter(order, corners, kind, fs=1000, output="sos")
    samples = np.random.default_rng(seed).normal(3, 50, (channels, size)).astype(dtype, order=order_in_memory)
    expected = sosfiltfilt(sections, samples.astype("f8"), axis=-1).astype(dtype)
    made = samples if over_itself else np.empty_like(samples)
    forward_backward(sections, sosfilt_zi(sections), samples, filtering._padding(sections), made)
    np.testing.assert_array_equal(made, expected)


def test_nan_stays_in_its_channel() -> None:
    sections = butter(4, 100, fs=1000, output="sos")
    samples = np.random.default_rng(0).normal(size=(20, 500))
    samples[7, 100] = np.nan
    made = np.empty_like(samples)
    forward_backward(sections, sosfilt_zi(sections), samples, 15, made)
    assert np.isnan(made[7]).all()
    assert np.isfinite(np.delete(made, 7, axis=0)).all()


@pytest.mark.parametrize("dims", [("time", "distance"), ("distance", "time"), ("time", "distance", "face")])
def test_a_patch_is_the_same_with_and_without(dims: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    shape = dict(zip(("time", "distance", "face"), (600, 21, 3), strict=True))
    coords = {
        "time": np.datetime64("2020-01-01", "ns") + np.arange(600) * np.timedelta64(1, "ms"),
        "distance": np.arange(21.0),
        "face": np.arange(3),
    }
    data = np.random.default_rng(1).normal(size=[shape[dim] for dim in dims]).astype("f4")
    patch = lk.Patch(data, {dim: coords[dim] for dim in dims}, dims)
    without = patch.pass_filter(time=(10, 200))
    monkeypatch.setattr(filtering, "_WORTH_COMPILING", 0)
    with_it = patch.pass_filter(time=(10, 200))
    assert with_it.equals(without)
    monkeypatch.setitem(sys.modules, "archive.operations.compiled", None)  # as where the extra is missing
    assert patch.pass_filter(time=(10, 200)).equals(without)


@pytest.mark.parametrize(("samples", "loaded"), [(1 << 24, True), (1 << 10, False)])
def test_numba_is_loaded_beside_the_reading_of_much_and_not_of_little(samples: int, loaded: bool) -> None:
    code = f"""
import sys, threading
import numpy as np
import archive as lk
from archive.operations.applying import outline_of
from archive.operations.filtering import pass_filter
coords = {{"time": np.arange({samples} // 4) / 1000, "distance": np.arange(4.0)}}
patch = lk.Patch(np.broadcast_to(np.float32(0), ({samples} // 4, 4)), coords, ("time", "distance"))
pass_filter(time=(1, 10)).prepare(outline_of(patch))
for thread in threading.enumerate():
    if thread is not threading.main_thread() and thread.name == "lightkeep-numba":
        thread.join()
print("archive.operations.compiled" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(loaded)
