"""Results that are worked out by hand or with NumPy and SciPy: uneven, falling and long dims, mutes, other units."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from oracle import START, patch_of

import archive as lk
from archive import operations as do
from archive.coords import TimeAxis
from archive.errors import InvalidInput
from archive.units import cm, km, m, ms, s

RNG = np.random.default_rng(31)
SECOND = np.timedelta64(1, "s")
MS = np.timedelta64(1, "ms")


def noise(count: int = 6, channels: int = 4) -> lk.Patch:
    """Return noise at 250 Hz of channels 2.5 m apart, from 10 m on."""
    return patch_of(RNG.normal(size=(count, channels)), units="m/s")


def ones(count: int = 6, channels: int = 5) -> lk.Patch:
    return patch_of(np.ones((count, channels)))


def uneven(value: float = 1.0) -> lk.Patch:
    """Return one value at times and places that are not evenly spaced."""
    coords = {"time": START + np.array([0, 1, 3, 4, 9, 10]) * SECOND, "distance": np.array([0, 1, 3.0, 4])}
    return lk.Patch(np.full((6, 4), value), coords, ("time", "distance")).set_units(distance="m")


def since(patch: lk.Patch, name: str = "time") -> list[int]:
    """Return the stamps of a Patch in ms since the start."""
    return ((patch.get_array(name) - START) // MS).astype(int).tolist()


# -- coordinates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expand", [True, False])
def test_what_is_added_to_an_uneven_dim_has_no_place(expand: bool) -> None:
    padded = uneven().pad(time=(1, 2), distance=1, samples=True, expand_coords=expand)
    times, places = padded.get_array("time"), padded.get_array("distance")
    assert np.isnat(times[[0, -2, -1]]).all()
    np.testing.assert_array_equal(times[1:-2], uneven().get_array("time"))
    np.testing.assert_array_equal(places, [np.nan, 0, 1, 3, 4, np.nan])
    assert padded.data.sum() == uneven().data.size


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([0, 0.1, 0.2, 0.3]), [-0.1, 0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (np.array([3, 2, 1, 0]), [4, 3, 2, 1, 0, -1, -2]),
        (np.array([1e9, 2e9, 3e9, 4e9]), [0, 1e9, 2e9, 3e9, 4e9, 5e9, 6e9]),
    ],
)
def test_what_is_added_to_an_even_dim_goes_on_at_its_step(values: Any, wanted: Any) -> None:
    padded = noise().update_coords(distance=values).pad(distance=(1, 2), samples=True)
    np.testing.assert_allclose(padded.get_array("distance"), wanted, atol=1e-12)


def test_falling_times_go_on_falling() -> None:
    falling = noise().flip("time")
    assert since(falling.pad(time=(1, 2), samples=True)) == [24, 20, 16, 12, 8, 4, 0, -4, -8]
    assert since(falling.decimate(time=4, filter_type=None)) == [20, 4]
    assert since(falling.resample(time=8 * ms)) == [20, 12, 4]
    assert since(uneven().decimate(time=2, filter_type=None)) == [0, 3000, 9000]


def test_frequencies_of_falling_times_are_those_of_rising_ones() -> None:
    patch = noise()
    mine = patch.flip("time").dft("time", pad=False)
    np.testing.assert_allclose(mine.get_array("ft_time"), np.fft.fftshift(np.fft.fftfreq(6, 0.004)))
    np.testing.assert_allclose(mine.data, np.fft.fftshift(np.fft.fft(patch.data[::-1], axis=0), axes=0) * 0.004)


def kept_as(axis: TimeAxis) -> lk.Patch:
    """Return a Patch of ones whose times are kept as they are given."""
    time = lk.Coord(dims=("time",), values=axis, units="s")
    return lk.Patch(np.ones((axis.size, 1)), {"time": time, "distance": np.zeros(1)}, ("time", "distance"))


def test_times_have_one_step_however_they_are_kept() -> None:
    step, start = 4_000_000, int(START.astype(np.int64))
    stamps = start + step * np.arange(6)
    line = TimeAxis.line(start, Fraction(step), 6)
    joined = TimeAxis.concatenate([line.cut(0, 2), TimeAxis.line(int(stamps[2]) + 900, Fraction(step), 4)])
    for axis in (line, TimeAxis.exact(stamps), joined):
        np.testing.assert_allclose(kept_as(axis).dft("time", pad=False).get_array("ft_time")[-1], 250 / 3)
    one = kept_as(line.cut(0, 1)).dft("time", pad=False)
    np.testing.assert_allclose(one.data, 0.004)
    other = TimeAxis.concatenate([line, TimeAxis.line(int(stamps[-1]) + step, Fraction(2 * step), 4)])
    with pytest.raises(InvalidInput, match="its 10 values are not evenly spaced"):
        kept_as(other).dft("time")


def test_places_may_be_given_in_other_units_and_times_as_texts() -> None:
    patch = noise()
    between = patch.interpolate(distance=np.array([1000, 1125, 1500]) * cm)
    np.testing.assert_allclose(between.get_array("distance"), [10, 11.25, 15])
    middle = patch.data[:, :2].mean(axis=1)
    np.testing.assert_allclose(between.data, np.stack([patch.data[:, 0], middle, patch.data[:, 2]], axis=1))
    said = patch.interpolate(time=["2016-03-14T08:00:00.002", "2016-03-14T08:00:00.020"])
    assert since(said) == [2, 20]
    np.testing.assert_allclose(said.data, [patch.data[:2].mean(axis=0), patch.data[5]])


def test_a_dim_that_is_integrated_over_stands_for_its_middle() -> None:
    patch = noise()
    whole = patch.integrate("time", definite=True)
    np.testing.assert_allclose(whole.data, np.trapezoid(patch.data, dx=0.004, axis=0)[None])
    names = ("time", "pre_integrate_time_min", "pre_integrate_time_max")
    assert [since(whole, name) for name in names] == [[10], [0], [20]]


def test_uneven_numbers_are_converted_one_by_one() -> None:
    patch = uneven().convert_units(distance="cm")
    np.testing.assert_allclose(patch.get_array("distance"), [0, 100, 300, 400])
    assert patch.coords["distance"].units == "cm"
    assert uneven().set_units(distance=2.5 * m).coords["distance"].units == "2.5 meter"


# -- windows at the ends ----------------------------------------------------------------------------------------


def test_tapers_of_uneven_dims_reach_as_far_as_they_say() -> None:
    first, last = scipy.signal.windows.hann(6)[:3], scipy.signal.windows.hann(4)[2:]
    wanted = np.ones(6)
    wanted[:3], wanted[-2:] = first, last  # within 3 s of the start lie three samples, of the end two
    np.testing.assert_allclose(uneven().taper(time=3 * s).data, np.repeat(wanted[:, None], 4, axis=1))


def test_tapers_take_lengths_of_numpy_and_whole_numbers() -> None:
    wanted = np.repeat(scipy.signal.windows.hann(6)[:, None], 5, axis=1)
    np.testing.assert_allclose(ones().taper(time=np.timedelta64(8, "ms")).data, wanted)
    whole = patch_of(np.full((6, 5), 3, dtype=np.int16)).taper(time=0.4)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(whole.data, 3 * wanted)


def test_open_ranges_run_to_the_edges() -> None:
    open_ended = ones().taper_range(time=(None, 2, 3, None), samples=True)
    closed = ones().taper_range(time=(0, 2, 3, 5), samples=True)
    np.testing.assert_array_equal(open_ended.data, closed.data)


# -- mutes ------------------------------------------------------------------------------------------------------


def test_bounds_may_be_times_and_places_themselves() -> None:
    times = ones().line_mute(time=(START + 4 * MS, "2016-03-14T08:00:00.012"), relative=False)
    np.testing.assert_array_equal(times.data[:, 0], [1, 0, 0, 0, 1, 1])
    places = ones().line_mute(distance=(0.012 * km, 17.5), relative=False)
    np.testing.assert_array_equal(places.data[0], [1, 0, 0, 0, 1])


def plane(patch: lk.Patch) -> tuple[Any, Any]:
    """Return seconds and metres since the first sample, as a plane."""
    return np.arange(patch.shape[0])[:, None] * 0.004, np.arange(patch.shape[1])[None] * 2.5


def test_between_two_parallel_lines_all_is_muted_wherever_they_go() -> None:
    patch = ones(20, 9)
    time, distance = plane(patch)
    ahead = time - 0.002 * distance
    wanted = ~((ahead > 0.0005) & (ahead < 0.0215))
    for other in ((0.0215, 0.0415), (0.0415, 0.0215)):
        along = (0, 10) if other[0] < other[1] else (10, 0)
        muted = patch.line_mute(time=((0.0005, 0.0205), other), distance=((0, 10), along))
        np.testing.assert_array_equal(muted.data, wanted)


def test_a_line_and_a_constant_bound_the_wedge_before_they_cross() -> None:
    patch = ones(20, 9)
    time, distance = plane(patch)
    line = 0.0615 - 0.002 * distance
    muted = patch.line_mute(time=(0.0205, (0.0415, 0.0615)), distance=(None, (10, 0)))
    np.testing.assert_array_equal(muted.data == 0, (time > 0.0205) & (time < line))
    turned = patch.line_mute(time=((0.0415, 0.0615), 0.0205), distance=((10, 0), None))
    np.testing.assert_array_equal(turned.data, muted.data)


def test_an_infinite_slope_is_the_first_sample_of_all_channels() -> None:
    patch = ones(20, 9)
    time, distance = plane(patch)
    muted = patch.slope_mute((700, np.inf))
    np.testing.assert_array_equal(muted.data == 0, (time > 0) & (distance > 700 * time))


@pytest.mark.parametrize("smooth", [{"time": 2}, {"time": 2, "distance": None}])
def test_a_dim_without_a_length_is_not_smoothed(smooth: dict[str, Any]) -> None:
    lines = {"time": (0.0205, (0.0415, 0.0615)), "distance": (None, (10, 0))}
    hard, soft = ones(20, 9).line_mute(**lines), ones(20, 9).line_mute(**lines, smooth=smooth)
    np.testing.assert_allclose(soft.data, scipy.ndimage.gaussian_filter1d(hard.data, 2, axis=0))


# -- traces moved -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delay", [np.array([0, 0.008, -0.004]), np.array([0, 8, -4]) * MS, np.array([0, 0.0079, -0.003])]
)
def test_traces_are_moved_by_whole_samples(delay: Any) -> None:
    patch = noise(6, 3).update_coords(delay=("distance", delay))
    wanted = np.full((6, 3), np.nan)
    wanted[:, 0], wanted[2:, 1], wanted[:-1, 2] = patch.data[:, 0], patch.data[:-2, 1], patch.data[1:, 2]
    moved = patch.align_to_coord(time="delay")
    np.testing.assert_array_equal(moved.data, wanted)
    full = patch.align_to_coord(time="delay", mode="full")
    assert since(full) == [-4, 0, 4, 8, 12, 16, 20, 24, 28]
    np.testing.assert_array_equal(full.data[1:7], wanted)
    np.testing.assert_array_equal(full.data[7:, 1], patch.data[-2:, 1])


def test_channels_are_moved_along_the_fibre() -> None:
    patch = noise(3, 4).update_coords(delay=("time", np.array([0, 1, -2])))
    full = patch.align_to_coord(distance="delay", samples=True, mode="full")
    np.testing.assert_allclose(full.get_array("distance"), 5 + 2.5 * np.arange(7))
    for row, first in enumerate((2, 3, 0)):
        np.testing.assert_array_equal(full.data[row, first : first + 4], patch.data[row])
        assert np.isnan(np.delete(full.data[row], np.arange(first, first + 4))).all()


def test_a_trace_that_is_moved_out_leaves_nothing() -> None:
    patch = noise(3, 2).update_coords(delay=("distance", np.array([0, 9])))
    moved = patch.align_to_coord(time="delay", samples=True, fill_value=7)
    np.testing.assert_array_equal(moved.data, np.stack([patch.data[:, 0], np.full(3, 7.0)], axis=1))
    empty = patch.select(distance=slice(0, 0), samples=True)
    assert empty.align_to_coord(time="delay", samples=True, mode="full").shape == (3, 0)


# -- spectra ----------------------------------------------------------------------------------------------------


def test_windowed_spectra_of_numbers_are_those_of_scipy() -> None:
    patch = noise(50, 40)
    hertz, middles, power = scipy.signal.spectrogram(patch.data, fs=0.4, axis=1, nperseg=16, noverlap=4)
    mine = patch.spectrogram("distance", nperseg=16, noverlap=4)
    np.testing.assert_allclose(mine.get_array("ft_distance"), hertz)
    np.testing.assert_allclose(mine.get_array("distance"), middles + 10)
    np.testing.assert_allclose(mine.data, power)
    window = scipy.signal.windows.hann(10)
    for overlap, hop in ((None, 10), (5, 5)):
        made = patch.stft(distance=10, samples=True, overlap=overlap)
        of_scipy = scipy.signal.ShortTimeFFT(window, hop, 0.4)
        np.testing.assert_allclose(made.get_array("distance"), of_scipy.t(40) + 10)
        np.testing.assert_allclose(made.data, of_scipy.stft(patch.data, axis=1) * 2.5, atol=1e-12)
    level = patch.stft(distance=10, samples=True, overlap=5, detrend=True)
    np.testing.assert_allclose(level.data, of_scipy.stft_detrend(patch.data, "linear", axis=1) * 2.5, atol=1e-12)


def test_no_dim_to_transform_changes_nothing() -> None:
    patch = noise()
    np.testing.assert_array_equal(patch.dft(()).data, patch.data)
    np.testing.assert_array_equal(patch.idft().data, patch.data)


def test_filters_of_a_spectrum_are_those_of_its_samples() -> None:
    patch = noise(60, 8)
    slopes = [100, 200, 400, 500]
    there = patch.dft(("distance", "time")).slope_filter(slopes)
    np.testing.assert_allclose(there.idft().data.real, patch.slope_filter(slopes).data, atol=1e-12)
    white = patch.dft("time", real=True).whiten()
    np.testing.assert_allclose(np.abs(white.data[1:-1]), 1)
    np.testing.assert_allclose(white.idft().data, patch.whiten().data, atol=1e-12)


def test_whitening_divides_by_the_mean_around_each_frequency() -> None:
    spectrum = noise(60, 3).dft("time", pad=False)
    size = np.abs(spectrum.data)
    around = sum(np.roll(size, shift, axis=0) for shift in range(-1, 2)) / 3
    width = 3 * 250 / 60  # Hz of three samples
    np.testing.assert_allclose(spectrum.whiten(smooth_size=width).data, spectrum.data / around)
    level = np.maximum(around, 0.5 * around.max())
    np.testing.assert_allclose(spectrum.whiten(smooth_size=width, water_level=0.5).data, spectrum.data / level)


def test_velocities_may_be_given_in_other_units() -> None:
    patch = noise(30, 5)
    mine = patch.tau_p(np.array([0.5, 1.0, 2.0]) * km / s)
    np.testing.assert_array_equal(mine.data, patch.tau_p([500.0, 1000.0, 2000.0]).data)


# -- operations as values ---------------------------------------------------------------------------------------


def test_operations_are_alike_where_their_arrays_are() -> None:
    short, long = np.array([True, False]), np.arange(9.0) > 3
    assert do.where(short) == do.where(short.copy())
    assert do.where(short) != do.where(~short)
    assert do.where(short) != do.where(list(short))
    assert do.where(short) != "where"
    assert repr(do.where(short, 0)) == "where(cond=array([ True, False]), other=0)"
    assert repr(do.where(long, 0)) == "where(cond=<bool (9,)>, other=0)"
    assert len({do.where(short), do.where(short.copy()), do.where(~short)}) == 2
