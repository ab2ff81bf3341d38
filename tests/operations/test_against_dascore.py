"""Each operation against DASCore's of the same name: samples, types, coordinates and units."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import assert_same, dascore_of, patches, units

if TYPE_CHECKING:
    import archive as lk

Hz, m, s = units.Hz, units.m, units.s  # DASCore's, which takes no others; Lightkeep takes any

pytestmark = pytest.mark.filterwarnings("ignore")  # DASCore's own
EXAMPLES = settings(max_examples=5, deadline=None)

COMPARE = {"rtol", "atol", "dtype", "stamps", "coord_units", "data_units"}


# Calls that mean the same on both sides; the Patches that they are tried on; relative tolerance of the samples.
def moves(patch: Any, unit: Any) -> Any:
    """Return a shift for each channel, forth and back."""
    return np.array([0, 3, 1, -2, 4, -1, 0, 2])[np.arange(patch.shape[patch.dims.index("distance")]) % 8] * unit


CALLS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "imag": (lambda p: p.dft("time").imag(), {"dtypes": ("float64",), "data_units": False}),
    "angle": (lambda p: p.hilbert("time").angle(), {"dtypes": ("float64",), "data_units": False}),
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
    "taper range of two": (
        lambda p: p.taper_range(time=(0.008, 0.018), relative=True),
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
    "wiener": (
        lambda p: p.wiener_filter(time=5, distance=3, samples=True),
        {"dtype": False, "dtypes": ("float64", "float32")},
    ),
    "wiener of known noise": (
        lambda p: p.wiener_filter(time=5, samples=True, noise=0.3),
        {"dtype": False, "dtypes": ("float64", "float32")},
    ),
    "hampel": (lambda p: p.hampel_filter(time=0.02, threshold=2.0), {}),
    "hampel exact": (
        lambda p: p.hampel_filter(time=3, distance=3, samples=True, threshold=2.0, approximate=False),
        {"channels": (3, 6)},
    ),
    "abs": (lambda p: p.abs(), {"nan": True, "flips": True}),
    "real": (lambda p: p.real(), {}),
    "conj": (lambda p: p.conj(), {}),
    "fillna": (lambda p: p.fillna(3), {"nan": True}),
    "where": (lambda p: p.where(p.data > 0, 0), {"nan": True, "dtype": False}),
    "full": (lambda p: p.full(2.5), {}),
    "pad": (lambda p: p.pad(time=(0.01, 0.02), distance=2.5 * m), {}),
    "pad of samples": (lambda p: p.pad(time=3, samples=True, constant_values=7), {}),
    "pad fft": (lambda p: p.pad(time="fft"), {}),
    "pad correlate": (lambda p: p.pad(time="correlate"), {}),
    "roll": (lambda p: p.roll(time=0.012, update_coord=True), {}),
    "roll samples": (lambda p: p.roll(distance=-1, samples=True), {}),
    "flip": (lambda p: p.flip("time", "distance"), {}),
    "flip without coords": (lambda p: p.flip("time", flip_coords=False), {}),
    "dropna": (lambda p: p.dropna("time"), {"nan": True}),
    "dropna all": (lambda p: p.dropna("distance", how="all"), {"nan": True}),
    "decimate": (lambda p: p.decimate(time=3), {"times": (40, 80)}),
    "decimate fir": (lambda p: p.decimate(time=2, filter_type="fir"), {"times": (40, 80)}),
    "decimate bare": (lambda p: p.decimate(time=3, filter_type=None), {}),
    "resample": (
        lambda p: p.resample(time=np.timedelta64(10, "ms")),
        {"times": (10, 40), "stamps": 100, "atol": 1e-3, "dtype": False},
    ),
    "resample to a rate": (
        lambda p: p.resample(time=170 * Hz),
        {"times": (20, 40), "stamps": 100, "atol": 1e-3, "dtype": False},
    ),
    "resample of distance": (
        lambda p: p.resample(distance=1.1 * m),
        {"channels": (4, 12), "dtype": False, "coord_units": False},
    ),
    "resample to samples": (lambda p: p.resample(time=33, samples=True), {"stamps": 100}),
    "interpolate": (
        lambda p: p.interpolate(distance=np.array([9, 10.5, 11, 12.4, 20])),
        {"flips": True, "dtype": False, "coord_units": False},
    ),
    "interpolate nearest": (
        lambda p: p.interpolate(kind="nearest", distance=np.array([10.5, 11, 12.4])),
        {"coord_units": False},
    ),
    "interpolate cubic": (
        lambda p: p.interpolate(kind=3, time=p.get_array("time")[:-2] + np.timedelta64(1, "ms")),
        {"dtype": False, "rtol": 1e-3, "atol": 1e-3},
    ),
    "rolling mean": (lambda p: p.rolling(time=0.012).mean(), {"nan": True}),
    "rolling std": (lambda p: p.rolling(time=5, step=2, samples=True).std(), {}),
    "rolling median": (lambda p: p.rolling(time=4, step=3, center=True, samples=True).median(), {}),
    "rolling max": (lambda p: p.rolling(distance=2, samples=True, center=True).max(), {}),
    "rolling overlap": (lambda p: p.rolling(time=4, overlap=50 * units.percent, samples=True).min(), {}),
    "rolling sum": (lambda p: p.rolling(time=1, samples=True).sum(), {}),
    "rolling apply": (lambda p: p.rolling(time=6, step=2, samples=True).apply(np.percentile, 80), {}),
    "mean": (lambda p: p.mean("time"), {"nan": True, "flips": True}),
    "median along a dim": (lambda p: p.median("distance", dim_reduce="mean"), {"nan": True, "coord_units": False}),
    "std": (lambda p: p.std("time", dim_reduce="squeeze"), {}),
    "sum": (lambda p: p.sum(), {}),
    "max": (lambda p: p.max("time", dim_reduce="max"), {}),
    "min": (lambda p: p.min("time", dim_reduce="first"), {}),
    "any": (lambda p: p.any("time"), {}),
    "all": (lambda p: p.all("distance"), {}),
    "first": (lambda p: p.first("time"), {}),
    "last": (lambda p: p.last("time", dim_reduce="last"), {}),
    "slope filter": (
        lambda p: p.slope_filter([100, 200, 400, 500]),
        {"times": (16, 40), "channels": (8, 16), "dtype": False, "atol": 1e-8},
    ),
    "slope filter of quantities": (
        lambda p: p.slope_filter(np.array([0.1, 0.2, 0.6, 0.9]) * units.km / units.s, directional=True, invert=True),
        {"times": (16, 40), "channels": (8, 16), "dtype": False, "atol": 1e-8},
    ),
    "whiten": (lambda p: p.whiten(), {"times": (16, 40), "atol": 1e-6, "dtype": False, "units": ("m/s", None)}),
    "whiten a band": (
        lambda p: p.whiten(time=(20, 40, 60, 90), smooth_size=30, water_level=0.1),
        {"times": (60, 90), "dtype": False, "units": ("m/s", None)},
    ),
    "dft": (lambda p: p.dft("time"), {"units": ("m/s", None), "dtype": False}),
    "dft of all": (lambda p: p.dft(None, pad=False), {"units": ("m/s", None), "dtype": False}),
    "dft real": (lambda p: p.dft(("distance", "time"), real="time"), {"units": ("m/s", None), "dtype": False}),
    "dft psd": (lambda p: p.dft("time", real=True, output="PSD"), {"units": ("m/s", None), "dtype": False}),
    "dft amplitudes in decibels": (lambda p: p.dft("time", output="AS", db=True), {"dtype": False}),
    "dft powers": (lambda p: p.dft("distance", output="PS"), {"dtype": False}),
    "idft": (lambda p: p.dft(None).idft(), {"units": ("m/s", None), "dtype": False, "atol": 1e-7}),
    "idft real": (lambda p: p.dft("time", real=True).idft(), {"units": ("m/s", None), "dtype": False, "atol": 1e-7}),
    "stft": (
        lambda p: p.stft(time=8, samples=True, overlap=4),
        {"units": ("m/s", None), "dtype": False, "times": (20, 60)},
    ),
    "stft of percent": (
        lambda p: p.stft(time=0.048, taper_window="boxcar"),
        {"units": ("m/s", None), "dtype": False, "times": (20, 60)},
    ),
    "istft": (
        lambda p: p.stft(time=8, samples=True, overlap=4).istft(),
        {"units": ("m/s", None), "dtype": False, "times": (20, 60)},
    ),
    "hilbert": (lambda p: p.hilbert("time"), {"dtype": False}),
    "envelope": (lambda p: p.envelope("distance"), {"dtype": False}),
    "differentiate": (lambda p: p.differentiate("time"), {"nan": True}),
    "differentiate both": (lambda p: p.differentiate(None), {"channels": (3, 6)}),
    "differentiate with a step": (
        lambda p: p.differentiate("time", step=2),
        {"dtypes": ("float64", "float32"), "times": (10, 30)},
    ),
    "integrate": (lambda p: p.integrate("time"), {"units": ("m/s", None), "dtypes": ("float64", "float32")}),
    "integrate both": (lambda p: p.integrate(None), {"units": ("m/s", None), "dtypes": ("float64", "float32")}),
    "integrate definite": (lambda p: p.integrate("distance", definite=True), {"dtype": False, "coord_units": False}),
    "strain rate": (
        lambda p: p.update_attrs(data_type="velocity").velocity_to_strain_rate(4),
        {"channels": (8, 12), "dtypes": ("float64", "float32")},
    ),
    "strain rate edgeless": (
        lambda p: p.update_attrs(data_type="velocity").velocity_to_strain_rate_edgeless(3),
        {"channels": (8, 12), "dtype": False, "coord_units": False},
    ),
    "radians to strain": (lambda p: p.set_units("mrad/s").radians_to_strain(gauge_length=10), {"dtype": False}),
    "radians per metre": (lambda p: p.set_units("rad/m").radians_to_strain(), {"dtype": False}),
    "stalta": (lambda p: p.stalta(time=(0.012, 0.03)), {"atol": 1e-6, "times": (12, 40)}),
    "kurtosis": (lambda p: p.kurtosis(time=0.03), {"times": (12, 40)}),
    "kurtosis of windows": (lambda p: p.kurtosis(time=7, samples=True, recursive=False), {"atol": 1e-6}),
    "fbe": (lambda p: p.fbe(0.04, time=(10, 50)), {"times": (50, 80), "dtypes": ("float64",), "data_units": False}),
    "correlate": (
        lambda p: p.correlate(distance=12.5 * m),
        {"units": ("m/s", None), "dtype": False, "coord_units": False},
    ),
    "correlate several": (
        lambda p: p.correlate(distance=np.array([10.0, 12.5])),
        {"units": ("m/s", None), "dtype": False, "coord_units": False},
    ),
    "correlate spectra": (
        lambda p: p.dft("time", real=True).correlate(distance=1, samples=True).idft().correlate_shift("time"),
        {"dtype": False, "coord_units": False, "units": ("m/s", None)},
    ),
    "squeeze": (lambda p: p.select(time=0, samples=True).squeeze(), {}),
    "append dims": (lambda p: p.append_dims(face=[1, 2]), {}),
    "order": (lambda p: p.order(distance=np.array([12.5, 10.0])), {}),
    "order of samples": (lambda p: p.order(time=[0, 0, 2], samples=True), {}),
    "sort coords": (lambda p: p.sort_coords("time", "distance", reverse=True), {"flips": True}),
    "snap coords": (
        lambda p: p.interpolate(distance=np.array([10, 10.7, 12])).snap_coords(),
        {"coord_units": False, "dtype": False},
    ),
    "rename coords": (lambda p: p.rename_coords(distance="channel"), {}),
    "pipe": (lambda p: p.pipe(lambda patch, n: patch * n, 3), {}),
    "NumPy's sum": (np.sum, {}),
    "NumPy's mean": (lambda p: np.mean(p, axis=0), {}),
    "NumPy's maximum": (lambda p: np.maximum.reduce(p, axis=1), {}),
    "NumPy's cumulative sum": (lambda p: np.add.accumulate(p, axis=0), {}),
    "NumPy's clip": (lambda p: np.clip(p, -1, 1), {}),
    "a mean taken away": (lambda p: p - p.mean("time"), {"nan": True}),
    "a mean without its dim taken away": (lambda p: p - p.mean("time", dim_reduce="squeeze"), {"dtype": False}),
    "NumPy's functions": (lambda p: np.exp(np.sin(p)) ** 2 > np.abs(p) / 3, {"data_units": False}),
    "line mute": (lambda p: p.line_mute(time=(0.004, -0.004)), {"dtype": False}),
    "line mute inverted and smooth": (
        lambda p: p.line_mute(distance=(None, 5), invert=True, smooth=1),
        {"dtype": False},
    ),
    "line mute of early arrivals": (
        lambda p: p.transpose("time", "distance").line_mute(time=(0, [0, 0.0193]), distance=(None, [0, 5]), smooth=0.1),
        {"dtype": False, "channels": (4, 8)},
    ),
    "line mute of a wedge": (
        lambda p: p.transpose("time", "distance").line_mute(
            time=([0, 0.0413], [0, 0.0197]), distance=([0, 5], [0, 5]), invert=True
        ),
        {"dtype": False, "channels": (4, 8)},
    ),
    "slope mute": (
        lambda p: p.transpose("distance", "time").slope_mute((103, 411)),
        {"dtype": False, "channels": (4, 8), "times": (20, 40)},
    ),
    "slope mute from nothing": (
        lambda p: p.transpose("distance", "time").slope_mute((0, 307), smooth=1),
        {"dtype": False, "channels": (4, 8), "times": (20, 40)},
    ),
    "centroid": (lambda p: p.dft("time").spectral_centroid(), {"dtype": False, "times": (64, 64)}),
    "median frequency": (lambda p: p.dft("time", real=True).median_frequency(fmin=10), {"dtype": False}),
    "peak frequency": (lambda p: p.dft("time", real=True).spectral_peak_frequency("time"), {"dtype": False}),
    "peak amplitude": (
        lambda p: p.dft("time", real=True, output="PSD").spectral_peak_amplitude(fmax=80),
        {"dtype": False, "units": ("m/s", None)},
    ),
    "spectral entropy": (lambda p: p.dft("time", pad=False).spectral_entropy(), {"dtype": False, "times": (64, 64)}),
    "spectral kurtosis": (
        lambda p: p.dft("time", output="AS").spectral_kurtosis(negative_frequencies="drop"),
        {"dtype": False, "times": (64, 64)},
    ),
    "spectral flatness": (lambda p: p.dft("time", real=True).spectral_flatness(fmin=20, fmax=100), {"dtype": False}),
    "dispersion": (
        lambda p: p.dispersion_phase_shift(np.array([100.0, 300, 700]), approx_resolution=5.3, approx_freq=(10, 60)),
        {"dtype": False, "times": (20, 40)},
    ),
    "tau-p": (
        lambda p: p.transpose("distance", "time").tau_p(np.array([100.0, 300, 700])),
        {"dtype": False, "data_units": False},
    ),
    "aggregate": (lambda p: p.aggregate("time", method=np.ptp), {}),
    "phase weighted stack": (lambda p: p.phase_weighted_stack("distance"), {"dtype": False}),
    "phase weighted stack squeezed": (
        lambda p: p.phase_weighted_stack("distance", "time", power=1.0, dim_reduce="squeeze"),
        {"dtype": False},
    ),
    "spectrogram": (
        lambda p: p.spectrogram("time", nperseg=16),
        {"dtype": False, "times": (40, 80), "units": ("m/s", None), "coord_units": False, "rtol": 1e-6},
    ),
    **{
        f"align {mode}": (
            lambda p, mode=mode: p.update_coords(late=("distance", moves(p, 1))).align_to_coord(
                time="late", samples=True, mode=mode
            ),
            {"dtype": False, "times": (12, 40)},
        )
        for mode in ("same", "full", "valid")
    },
    "align by time, reversed": (
        lambda p: p.update_coords(late=("distance", moves(p, np.timedelta64(3_100, "us")))).align_to_coord(
            time="late", mode="full", reverse=True, fill_value=0.0
        ),
        {"dtype": False, "times": (12, 40)},
    ),
    "set dims": (
        lambda p: p.update_coords(other=("distance", np.arange(p.shape[p.dims.index("distance")]) ** 2.0)).set_dims(
            distance="other"
        ),
        {},
    ),
    "coordinates of a table": (
        lambda p: p.coords_from_df(
            pd.DataFrame({"distance": [11.0, 14, 19], "depth": [3.0, 5, 4], "x": [0, 1, 2]}), extrapolate=True
        ).set_dims(distance="depth"),
        {"coord_units": False},
    ),
}


@pytest.mark.parametrize("name", CALLS)
@EXAMPLES
@given(data=st.data())
def test_an_operation_gives_what_dascore_gives(name: str, data: st.DataObject) -> None:
    call, options = CALLS[name]
    patch = data.draw(patches(**{k: v for k, v in options.items() if k not in COMPARE}))
    compare = {k: v for k, v in options.items() if k in COMPARE}
    check(patch, call, **compare)


def check(patch: lk.Patch, call: Callable[[Any], Any], **compare: Any) -> None:
    """Compare both results; float32 within its own precision."""
    if patch.dtype == np.float32:
        compare = {"rtol": 2e-4, "atol": 2e-5} | {k: v for k, v in compare.items() if k != "rtol"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = call(dascore_of(patch))
    size = float(np.max(np.abs(patch.data), initial=0, where=np.isfinite(patch.data)))
    assert_same(call(patch), theirs, size=size, **compare)


@EXAMPLES
@given(patches())
def test_the_distance_to_a_point_is_that_of_dascore(patch: lk.Patch) -> None:
    def told(one: Any) -> Any:
        number = np.arange(one.shape[one.dims.index("distance")])
        placed = one.update_coords(x=("distance", number * 3.0), y=("distance", number**2 * 0.5))
        return placed.add_distance_to(pd.Series({"x": 10.0, "y": -2.0}))

    mine, theirs = told(patch), told(dascore_of(patch))
    for name in ("origin_distance", "origin_x", "origin_y"):
        np.testing.assert_allclose(mine.get_array(name), theirs.get_array(name), err_msg=name)
