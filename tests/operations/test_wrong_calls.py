"""A call that makes no sense is one error that says what would, for every operation that can be called wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import archive as lk
from archive import operations as do
from archive.errors import InvalidInput
from archive.operations.chain import process
from archive.units import Hz, get_quantity, m, s


def made(samples: Any = None) -> lk.Patch:
    """Return 4 s at 100 Hz of 12 channels, 1 m apart, or other samples."""
    samples = np.random.default_rng(0).normal(size=(400, 12)) if samples is None else samples
    coords = {"time": np.arange(samples.shape[0]) / 100, "distance": np.arange(float(samples.shape[1]))}
    return lk.Patch(samples, coords, ("time", "distance")).set_units(time="s", distance="m")


def bare() -> lk.Patch:
    """Return the same without units."""
    return lk.Patch(made().data, made().coords, made().dims).set_units(time=None, distance=None)


def uneven() -> lk.Patch:
    """Return 6 samples of 4 channels, at times and places that are not evenly spaced."""
    time = np.datetime64("2016-03-14T08:00", "ns") + np.array([0, 1, 3, 4, 9, 10]) * np.timedelta64(1, "s")
    coords = {"time": time, "distance": np.array([0, 1, 3.0, 4])}
    return lk.Patch(np.zeros((6, 4)), coords, ("time", "distance")).set_units(distance="m")


def moved(delay: Any, along: str = "distance") -> lk.Patch:
    """Return a Patch with evenly spaced times and delays along a dim."""
    patch = made().update_coords(time=np.arange(400.0))
    return patch.update_coords(delay=(along, delay))


SLOPES = np.array([1, 2, 3, 4])
CALLS: dict[str, tuple[Callable[[lk.Patch], Any], str]] = {
    "detrend": (lambda p: p.detrend("time", type="cubic"), "linear"),
    "taper three": (lambda p: p.taper(time=(1, 2, 3)), "one length"),
    "taper long": (lambda p: p.taper(time=7 * s), "longer"),
    "taper negative": (lambda p: p.taper(time=-1 * s), "negative"),
    "taper window": (lambda p: p.taper(time=0.1, window_type="round"), "window_type"),
    "taper range two": (lambda p: p.taper_range(time=3), "two or four"),
    "taper range three": (lambda p: p.taper_range(time=(1, 2, 3), relative=True), "two or four"),
    "taper range falls": (lambda p: p.taper_range(time=(3, 2, 1, 0), samples=True), "rise"),
    "pass band": (lambda p: p.pass_filter(time=5), "band"),
    "pass backwards": (lambda p: p.pass_filter(time=(40, 5)), "ends before"),
    "pass short": (lambda p: made(np.zeros((5, 2))).pass_filter(time=(5, 40)), "more than"),
    "notch nothing": (lambda p: p.notch_filter(q=30), "needs a dim"),
    "notch high": (lambda p: p.notch_filter(q=30, time=80), "between"),
    "savgol few": (lambda p: p.savgol_filter(5, time=3, samples=True), "too few"),
    "savgol long": (lambda p: p.savgol_filter(1, distance=51, samples=True), "longer"),
    "hampel": (lambda p: p.hampel_filter(threshold=-1, time=3, samples=True), "threshold"),
    "window of none": (lambda p: p.median_filter(), "needs"),
    "decimate": (lambda p: p.decimate(time=2, filter_type="best"), "filter_type"),
    "interpolate one": (lambda p: made(np.zeros((1, 2))).interpolate(time=np.zeros(1)), "two samples"),
    "interpolate words": (lambda p: p.interpolate(distance=np.array(["a"])), "numbers"),
    "resample": (lambda p: p.resample(time=0 * s), "step"),
    "resample samples": (lambda p: p.resample(time=0, samples=True), "one sample"),
    "normalize": (lambda p: p.normalize("time", norm="l3"), "norm"),
    "pad words": (lambda p: p.pad(time="more"), "fft"),
    "pad three": (lambda p: p.pad(time=(1, 2, 3)), "one length"),
    "pad negative": (lambda p: p.pad(time=-3, samples=True), "negative"),
    "pad mode": (lambda p: p.pad(time=1, mode="edge"), "constant"),
    "dropna": (lambda p: p.dropna("time", how="some"), "any"),
    "where numbers": (lambda p: p.where(np.ones((400, 12))), "booleans"),
    "where others": (lambda p: p.where(p.select(time=(1 * s, 2 * s)) > 0), "same coordinates"),
    "where shape": (lambda p: p.where(np.ones((3, 7), bool)), "fit"),
    "differentiate dims": (lambda p: p.differentiate(("time", "distance"), step=2), "one dim"),
    "differentiate order": (lambda p: p.differentiate("time", order=3), "even order"),
    "differentiate few": (lambda p: p.differentiate("distance", order=12, step=3), "needs"),
    "edgeless": (lambda p: p.velocity_to_strain_rate_edgeless(0), "above 0"),
    "radians": (lambda p: p.set_units("furlong").radians_to_strain(), "rad"),
    "aggregate all": (lambda p: p.aggregate(("time", "distance"), dim_reduce="squeeze"), "leave one"),
    "aggregate none": (lambda p: p.select(time=slice(0, 0), samples=True).max("time"), "no samples"),
    "correlate": (lambda p: p.correlate(distance=40, samples=True), "40"),
    "stalta": (lambda p: p.stalta(time=1), "short, long"),
    "kurtosis": (lambda p: p.kurtosis(time=1, samples=True), "at least 2"),
    "dft": (lambda p: (p * 1j).dft("time", real=True), "real samples"),
    "dft output": (lambda p: p.dft("time", output="loud"), "output"),
    "idft": (lambda p: p.dft("time").drop_coords("time").idft("time"), "dft"),
    "idft of power": (lambda p: p.dft("time", output="PSD").idft("time"), "FFT"),
    "hilbert": (lambda p: (p * 1j).hilbert("time"), "real"),
    "spectral": (lambda p: p.spectral_centroid(), "dft"),
    "spectral format": (lambda p: p.dft("time").spectral_centroid(spectral_format="odd"), "spectral_format"),
    "spectral negative": (lambda p: p.dft("time").spectral_centroid(negative_frequencies="raise"), "negative"),
    "spectral word": (lambda p: p.dft("time").spectral_centroid(negative_frequencies="odd"), "auto"),
    "spectral band": (lambda p: p.dft("time", real=True).spectral_centroid(fmin=900, fmax=950), "no frequency"),
    "phase shift": (lambda p: p.dispersion_phase_shift([100.0, 200.0], approx_resolution=-1), "above 0"),
    "phase shift falls": (lambda p: p.dispersion_phase_shift([200.0, 100.0]), "rise"),
    "tau p": (lambda p: p.tau_p([-1.0, 2.0]), "above 0"),
    "line mute dims": (lambda p: p.line_mute(), "one or two dims"),
    "line mute three": (lambda p: p.line_mute(time=(0, 1, 2)), "two bounds"),
    "line mute smooth": (lambda p: p.line_mute(time=(0, 1), smooth={"depth": 1}), "depth"),
    "line mute fraction": (lambda p: p.line_mute(time=(0, 1), smooth=1.5), "between 0 and 1"),
    "slope mute": (lambda p: p.slope_mute((1, -2)), "not negative"),
    "slope mute one": (lambda p: p.slope_mute((1,)), "two slopes"),
    "slope mute short": (lambda p: p.select(distance=slice(0, 1), samples=True).slope_mute((1, 2)), "length"),
    "align mode": (lambda p: p.align_to_coord(time="moves", mode="best"), "mode"),
    "stack": (lambda p: p.phase_weighted_stack("time", "time"), "one"),
    "rename": (lambda p: p.rename_coords(time="distance"), "one name"),
    "drop": (lambda p: p.drop_coords("time"), "labels a dim"),
    "sort": (lambda p: p.update_coords(other=("time", np.arange(400))).sort_coords("time", "other"), "one dim"),
    "set dims": (lambda p: p.update_coords(other=("distance", np.arange(12))).set_dims(time="other"), "along"),
    "frame no dim": (lambda p: p.coords_from_df(pd.DataFrame({"x": [1.0]})), "one column"),
    "frame twice": (lambda p: p.coords_from_df(pd.DataFrame({"distance": [1.0, 1.0], "x": [1, 2]})), "each once"),
    "frame words": (lambda p: p.coords_from_df(pd.DataFrame({"distance": [1.0, 2], "x": ["a", "b"]})), "no numbers"),
    "add distance": (lambda p: p.add_distance_to({"time": 1.0, "distance": 2.0}), "one dim"),
    "chunk merge": (lambda p: lk.spool([p]).chunk(distance=None), "time only"),
    "chunk overlap": (lambda p: lk.spool([p]).chunk(time=None, overlap=1 * s), "length"),
    "unit of a length": (lambda p: p.median_filter(time=3 * m), "cannot be expressed"),
    "whole samples": (lambda p: p.median_filter(time=1.5, samples=True), "whole number"),
    "two dims": (lambda p: p.sobel_filter("depth"), "depth"),
    "one dim": (lambda p: p.resample(), "it was given none"),
    "one of two dims": (lambda p: p.resample(time=1, distance=3), "it was given ['time', 'distance']"),
    "length": (lambda p: p.median_filter(time="long"), "time='long' is no length"),
    "more than there is": (lambda p: p.rolling(time=9 * s).mean(), "takes 900 samples, but there are only 400"),
    "frequency": (lambda p: p.notch_filter(q=3, time="a"), "time='a' is no frequency"),
    "frequency of no units": (lambda p: bare().pass_filter(time=(1 * Hz, 2 * Hz)), "has a unit, but the dim has none"),
    "one sample": (lambda p: p.select(time=slice(0, 1), samples=True).dft("time"), "1 values are not evenly spaced"),
    "uneven times": (lambda p: uneven().dft("time"), "its 6 values are not evenly spaced"),
    "uneven places": (lambda p: uneven().dft("distance"), "its 4 values are not evenly spaced"),
    "words along a dim": (lambda p: p.update_coords(distance=np.array([*"abcdefghijkl"])).integrate("distance"), "<U1"),
    "detrend holes": (lambda p: (p * np.nan).detrend("time"), "use fillna first"),
    "taper one": (lambda p: p.select(time=slice(0, 1), samples=True).taper(time=1 * s), "not evenly spaced"),
    "taper range open": (lambda p: p.taper_range(time=(None, 2)), "None needs four values"),
    "taper range window": (lambda p: p.taper_range(time=(1, 2), window_type="round"), "window_type='round'"),
    "dropna of a run": (lambda p: list(process(p, [do.dropna("time")])), "only known from the samples"),
    "decimate few": (lambda p: made(np.zeros((20, 2))).decimate(time=2), "needs more than 27 samples to filter"),
    "interpolate units": (lambda p: p.interpolate(distance=np.array([1, 2]) * s), "cannot be expressed in m"),
    "strain odd": (lambda p: p.velocity_to_strain_rate(3), "must be even"),
    "strain none": (lambda p: p.velocity_to_strain_rate(0), "must be even"),
    "strain channels": (
        lambda p: p.update_attrs(data_type="velocity").velocity_to_strain_rate_edgeless(12),
        "there are 12 channels",
    ),
    "radians per hour": (lambda p: p.set_units("rad*m").radians_to_strain(), "knows rad, rad/s, rad/m and rad/m/s"),
    "gauge none": (lambda p: p.set_units("rad").radians_to_strain(), "a gauge length above 0, not None"),
    "gauge zero": (lambda p: p.set_units("rad").radians_to_strain(gauge_length=0), "a gauge length above 0, not 0"),
    "spectrogram": (lambda p: (p * 1j).spectrogram("time"), "real samples"),
    "spectrogram of nothing": (lambda p: made(np.zeros((0, 3))).spectrogram("time"), "no samples along it"),
    "istft": (lambda p: p.stft(time=20, samples=True, overlap=10, detrend=True).istft(), "the lines are lost"),
    "slopes": (lambda p: p.slope_filter([1, 2, 3]), "four slopes [a, b, c, d], not 3"),
    "slopes fall": (lambda p: p.slope_filter([1, 2, 5, 4]), "rising slopes"),
    "slopes without units": (lambda p: bare().slope_filter(SLOPES * m / s), "distance or time has no units"),
    "slopes of mass": (lambda p: p.slope_filter(SLOPES * get_quantity("kg")), "cannot be expressed in"),
    "whiten level": (lambda p: p.whiten(water_level=2), "water_level=2) is not between 0 and 1"),
    "whiten size": (lambda p: p.whiten(smooth_size=900), "not between 0 and 50"),
    "whiten band": (lambda p: p.whiten(time=(5, 5.01, 5.02, 5.03)), "narrower than two steps"),
    "line mute ways": (
        lambda p: p.line_mute(time=((0, 3), (3, 0)), distance=((0, 5), (0, 5))),
        "the lines must go the same way",
    ),
    "line mute point": (
        lambda p: p.line_mute(time=((1, 1), (3, 0)), distance=((2, 2), (0, 11))),
        "each line needs two points",
    ),
    "align itself": (lambda p: moved(np.zeros(400), "time").align_to_coord(time="delay"), "one dim other than time"),
    "align parts": (lambda p: moved(np.zeros(12)).align_to_coord(time="delay", samples=True), "no integers"),
    "align words": (lambda p: moved(np.array([*"abcdefghijkl"])).align_to_coord(time="delay"), "holds no shifts along"),
    "align holes": (lambda p: moved(np.full(12, np.nan)).align_to_coord(time="delay"), "holds no shifts along time"),
    "align times": (
        lambda p: moved(np.zeros(400, "m8[ns]"), "time").align_to_coord(distance="delay"),
        "holds no shifts along distance",
    ),
    "align uneven": (
        lambda p: uneven().update_coords(delay=("distance", np.zeros(4))).align_to_coord(time="delay"),
        "time has no one step",
    ),
    "align uneven and grow": (
        lambda p: (
            uneven()
            .update_coords(delay=("distance", np.arange(4)))
            .align_to_coord(time="delay", samples=True, mode="full")
        ),
        "only an evenly spaced dim can grow",
    ),
    "align apart": (
        lambda p: moved(np.arange(12) * 100).align_to_coord(time="delay", samples=True, mode="valid"),
        "traces moved by 0 to 1100 samples share none",
    ),
    "stack three": (
        lambda p: lk.Patch(
            np.zeros((2, 2, 2)), dict.fromkeys("abc", np.arange(2.0)), ("a", "b", "c")
        ).phase_weighted_stack("a"),
        "name the transform_dim, one of b, c",
    ),
    "stack complex": (lambda p: (p * 1j).phase_weighted_stack("distance"), "real samples"),
    "gather of spectra": (lambda p: p.dft("time").tau_p([100.0, 200.0]), "needs the dims time and distance"),
    "gather frequencies": (
        lambda p: p.dispersion_phase_shift([100.0, 200.0], approx_freq=(5, 90)),
        "must rise between 0 and 50",
    ),
    "gather resolution": (
        lambda p: p.dispersion_phase_shift([100.0, 200.0], approx_resolution=25, approx_freq=(2, 3)),
        "no frequency lies between 2 and 3",
    ),
    "spectral decibels": (lambda p: p.dft("time", output="PSD", db=True).spectral_centroid(), "decibels"),
    "spectral kinds": (
        lambda p: p.dft("time", output="PSD").spectral_centroid(spectral_format="fft"),
        "spectral_format='fft' does not go with samples of float64",
    ),
    "spectral powers": (lambda p: (p.dft("time", output="PS") * -1).spectral_centroid(), "must not be negative"),
    "spectral sides": (lambda p: ((p * 1j) + p.data[::-1]).dft("time").spectral_centroid(), "is not symmetric"),
    "rename nothing": (lambda p: p.update_coords(mark=(None, 3)).sort_coords("mark"), "mark lies along no single dim"),
    "convert words": (
        lambda p: p.update_coords(other=("time", np.array(["a"] * 400))).set_units(other="m").convert_units(other="km"),
        "holds <U1, which no units apply to",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_is_one_clear_error(name: str) -> None:
    call, words = CALLS[name]
    with pytest.raises(InvalidInput) as said:
        call(made())
    assert words in str(said.value)
    assert "\n" not in str(said.value)
