"""Each operation against DASCore's of the same name: samples, types, coordinates and units."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archive as lk
from oracle import assert_same, dascore_of, patches, units

Hz, m, s = units.Hz, units.m, units.s  # DASCore's, which takes no others; Lightkeep takes any

pytestmark = pytest.mark.filterwarnings("ignore")  # DASCore's own
EXAMPLES = settings(max_examples=8, deadline=None)

# Calls that mean the same on both sides; the Patches that they are tried on; relative tolerance of the samples.
CALLS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "set_units": (lambda p: p.set_units("km/s", distance="ft"), {"flips": True}),
    "convert_units": (lambda p: p.convert_units(distance="ft"), {"flips": True}),
    "simplify_units": (lambda p: p.simplify_units(), {"flips": True}),
    "demean": (lambda p: p.demean(), {"nan": True, "flips": True}),
    "demean distance": (lambda p: p.demean("distance"), {"nan": True}),
    "demedian": (lambda p: p.demedian("time"), {"nan": True, "flips": True}),
    "normalize l1": (lambda p: p.normalize("time", norm="l1"), {"nan": True}),
    "normalize l2": (lambda p: p.normalize("distance"), {"nan": True}),
    "normalize max": (lambda p: p.normalize("time", norm="max"), {"nan": True}),
    "normalize bit": (lambda p: p.normalize("time", norm="bit"), {"nan": True}),
    "standardize": (lambda p: p.standardize("time"), {"nan": True, "flips": True}),
    "detrend": (lambda p: p.detrend("time"), {"flips": True}),
    "detrend distance": (lambda p: p.detrend("distance"), {}),
    "detrend constant": (lambda p: p.detrend("time", type="constant"), {"nan": True}),
    "taper": (lambda p: p.taper(time=0.1), {"dtypes": ("float64", "float32"), "nan": True}),
    "taper one end": (lambda p: p.taper(time=(0.3, None), window_type="triang"), {"dtypes": ("float64", "float32")}),
    "taper range": (
        lambda p: p.taper_range(time=(0.004, 0.01, 0.018, 0.024), relative=True),
        {"dtypes": ("float64", "int16")},
    ),
    "taper range inverted": (
        lambda p: p.taper_range(time=(2, 4, 5, 6), samples=True, invert=True),
        {"dtypes": ("float64", "int16")},
    ),
    "pass filter": (lambda p: p.pass_filter(time=(5, 40)), {"times": (40, 80)}),
    "pass filter causal": (lambda p: p.pass_filter(time=(..., 40), corners=2, zerophase=False), {}),
    "pass filter of periods": (lambda p: p.pass_filter(time=(0.02 * s, 0.1 * s)), {"times": (40, 80)}),
    "pass filter of one period": (lambda p: p.pass_filter(time=(0.05 * s, None)), {"times": (40, 80)}),
    "pass filter of wavelengths": (lambda p: p.pass_filter(distance=(7 * m, 50 * m)), {"channels": (40, 60)}),
    "notch": (lambda p: p.notch_filter(q=5, time=20 * Hz), {"times": (20, 60), "dtype": False}),
    "notch of two dims": (
        lambda p: p.notch_filter(q=5, time=20, distance=0.1),
        {"times": (20, 60), "channels": (12, 20), "dtype": False},
    ),
    "median": (lambda p: p.median_filter(time=0.012, distance=5 * m), {}),
    "median of samples": (lambda p: p.median_filter(time=4, samples=True, mode="nearest"), {}),
    "gaussian": (lambda p: p.gaussian_filter(time=2, distance=1, samples=True), {}),
    "savgol": (lambda p: p.savgol_filter(2, time=5, samples=True), {}),
    "sobel": (lambda p: p.sobel_filter("time"), {}),
    "wiener": (lambda p: p.wiener_filter(time=5, distance=3, samples=True), {"dtype": False, "dtypes": ("float64", "float32")}),
    "wiener of known noise": (lambda p: p.wiener_filter(time=5, samples=True, noise=0.3), {"dtype": False, "dtypes": ("float64", "float32")}),
    "hampel": (lambda p: p.hampel_filter(time=0.02, threshold=2.0), {}),
    "hampel exact": (
        lambda p: p.hampel_filter(time=3, distance=3, samples=True, threshold=2.0, approximate=False),
        {"channels": (3, 6)},
    ),
}


@pytest.mark.parametrize("name", CALLS)
@EXAMPLES
@given(data=st.data())
def test_an_operation_gives_what_dascore_gives(name: str, data: st.DataObject) -> None:
    call, options = CALLS[name]
    patch = data.draw(patches(**{k: v for k, v in options.items() if k not in {"rtol", "atol", "dtype"}}))
    compare = {k: v for k, v in options.items() if k in {"rtol", "atol", "dtype"}}
    check(patch, call, **compare)


def check(patch: lk.Patch, call: Callable[[Any], Any], **compare: Any) -> None:
    """Compare both results; float32 within its own precision."""
    if patch.dtype == np.float32:
        compare = {"rtol": 2e-4, "atol": 2e-5} | {k: v for k, v in compare.items() if k == "dtype"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = call(dascore_of(patch))
    size = float(np.max(np.abs(patch.data), initial=0, where=np.isfinite(patch.data)))
    assert_same(call(patch), theirs, size=size, **compare)
