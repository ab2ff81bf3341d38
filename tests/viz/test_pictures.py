"""Wiggles, spectrograms, spectra and maps: right in numbers, for any data and any size."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import dates
from matplotlib import pyplot as plt
from scipy.signal import spectrogram

import archive as lk
from archive.coords import Coord, Linear, TimeAxis
from archive.errors import InvalidInput, MissingExtra
from archive.lazy import Constant, InMemory, Joined

START = 1_500_000_000 * 10**9


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def huge() -> lk.Patch:
    """40 GB that nobody could hold."""
    count = 20_000_000
    time = TimeAxis.from_rate(1_500_000_000 * 10**9, 500, count)
    coords = {
        "time": Coord(dims=("time",), values=time, units="s"),
        "distance": Coord(dims=("distance",), values=Linear(start=0.0, step=2.0, size=500), units="m"),
    }
    return lk.Patch(Constant(3.0, (count, 500), np.dtype("f4")), coords, ("time", "distance"))


def gappy() -> lk.Patch:
    return lk.get_example_spool("gaps_and_overlaps").concatenate(time=None)[0]


def image(ax: Any) -> np.ndarray[Any, Any]:
    return np.ma.filled(ax.images[0].get_array().astype(float), np.nan).T


def seconds(ax: Any) -> np.ndarray[Any, Any]:
    """Return the middles of the pixels along the dates, s after 09:00."""
    low, high = ax.images[0].get_extent()[:2]
    start = dates.date2num(np.datetime64("2024-05-14T09:00"))
    count = image(ax).shape[0]
    return (low + (np.arange(count) + 0.5) * (high - low) / count - start) * 86_400


def test_a_gap_is_a_gap_in_every_picture() -> None:
    patch = gappy()
    drawn = patch.viz.waterfall()
    missing = np.isnan(image(drawn)).all(axis=1)
    expected = [(10, 15), (26, 30)]
    where = seconds(drawn)
    inside = np.any([(where > a + 0.1) & (where < b - 0.1) for a, b in expected], axis=0)
    outside = np.all([(where < a - 0.1) | (where > b + 0.1) for a, b in expected], axis=0)
    assert missing[inside].all()
    assert not missing[outside].any()
    drawn = patch.viz.spectrogram()
    missing, where = np.isnan(image(drawn)).all(axis=1), seconds(drawn)
    assert missing[(where > 11) & (where < 14)].all()
    assert not missing[(where > 2) & (where < 8)].any()
    lines = patch.viz.wiggle().lines
    assert all(np.isnan(line.get_ydata()).sum() >= 2 for line in lines)


def test_samples_stand_where_they_belong_however_the_coordinate_runs() -> None:
    patch = lk.get_example_patch("moving_vehicle")
    straight, turned = patch.viz.waterfall(), patch.flip("distance").viz.waterfall()
    assert np.array_equal(image(straight), image(turned))
    assert straight.images[0].get_extent() == turned.images[0].get_extent()


def test_colours_have_a_middle_where_samples_have_both_signs() -> None:
    patch = lk.get_example_patch("moving_vehicle")
    assert patch.viz.waterfall().images[0].get_cmap().name == "bwr"
    assert patch.abs().viz.waterfall().images[0].get_cmap().name == "viridis"
    assert patch.viz.waterfall(cmap="gray").images[0].get_cmap().name == "gray"


def test_lines_stand_at_their_distance_and_are_as_high_as_they_are_apart() -> None:
    patch = lk.get_example_patch("chirp")
    ax = patch.viz.wiggle(scale=0.5)
    assert len(ax.lines) == 50
    heights = [np.ptp(line.get_ydata()) for line in ax.lines]
    assert np.mean(heights) == pytest.approx(0.5 * 5.0, rel=1e-6)
    assert np.median(ax.lines[7].get_ydata()) == pytest.approx(35.0, abs=1.3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (UTC)", "distance (m)")
    assert patch.viz.wiggle(dim="distance").get_xlabel() == "distance (m)"
    one = patch.select(distance=(10, 10)).viz.wiggle(shade=True)
    assert one.get_ylabel() == "velocity (m/s)"
    assert len(one.lines) == 1
    assert one.collections
    wide = lk.get_example_patch("random_das").viz.wiggle()
    assert len(wide.lines) == 150
    assert "1 in 2 of the lines" in wide.get_title(loc="right")


def test_a_spectrogram_is_that_of_scipy_averaged_over_channels() -> None:
    patch = lk.get_example_patch("chirp")
    ax = patch.viz.spectrogram(nperseg=128)
    hertz, at, power = spectrogram(patch.data.astype(float), fs=500.0, nperseg=128, axis=0)
    np.testing.assert_allclose(image(ax), power.mean(axis=1).T, rtol=1e-9, atol=1e-15)
    low, high, bottom, top = ax.images[0].get_extent()
    start = dates.date2num(np.datetime64("2020-01-01"))
    half = (at[1] - at[0]) / 2
    assert ((low - start) * 86400, (high - start) * 86400) == pytest.approx((at[0] - half, at[-1] + half), abs=1e-4)
    assert (bottom, top) == pytest.approx((-hertz[1] / 2, 250 + hertz[1] / 2))
    assert ax.get_ylabel() == "frequency (Hz)"
    assert "(m/s)²/Hz" in ax.figure.axes[1].get_ylabel()
    mixed = patch.viz.spectrogram(nperseg=128, aggr_domain="time")
    hertz, at, power = spectrogram(patch.data.astype(float).mean(axis=1), fs=500.0, nperseg=128)
    np.testing.assert_allclose(image(mixed), power.T, rtol=1e-6, atol=1e-15)
    assert patch.viz.spectrogram(dim="distance").get_ylabel() == "wavenumber (1/m)"


def test_a_long_spectrogram_is_made_of_samples_here_and_there() -> None:
    count, hertz = 410_000, 50.0
    wave = np.sin(2 * np.pi * hertz * np.arange(count, dtype=np.float32) / 500)[:, None] * np.ones(20, dtype=np.float32)
    coords = {
        "time": Coord(dims=("time",), values=TimeAxis.from_rate(START, 500, count), units="s"),
        "distance": Coord(dims=("distance",), values=Linear(start=0.0, step=2.0, size=20), units="m"),
    }
    halves = Joined([InMemory(wave[:200_000]), InMemory(wave[200_000:])])
    patch = lk.Patch(halves, coords, ("time", "distance"))
    for domain in ("time", "frequency"):
        ax = patch.viz.spectrogram(aggr_domain=domain)
        assert image(ax).shape == (400, 129)
        assert set(image(ax).argmax(axis=1)) == {round(hertz / (500 / 256))}
        low, high = (edge - dates.date2num(np.datetime64(START, "ns")) for edge in ax.images[0].get_extent()[:2])
        assert (low * 86_400, high * 86_400) == pytest.approx((0, count / 500), abs=2)
    assert not patch.loaded


def test_a_stretch_too_short_for_a_segment_is_left_out_of_a_spectrogram() -> None:
    patch = gappy()  # 500 samples lie alone from 15 s to 19 s
    for length, there in ((500, True), (501, False)):
        drawn = patch.viz.spectrogram(nperseg=length, noverlap=400)
        filled, where = ~np.isnan(image(drawn)).all(axis=1), seconds(drawn)
        assert filled[(where > 4) & (where < 6)].all()
        assert filled[(where > 16) & (where < 19)].any() == there


def test_units_that_are_not_known_are_not_told() -> None:
    patch = lk.get_example_patch("chirp").set_units(distance=None)
    assert patch.dft("distance").abs().viz.specplot().get_ylabel() == "wavenumber"
    assert patch.viz.spectrogram(dim="distance").get_ylabel() == "wavenumber"
    bare = patch.dft("time", real=True).viz.specplot(log=True, cbar=False)
    assert len(bare.figure.axes) == 1
    lasting = patch.update_coords(lasted=("distance", np.arange(50) * np.timedelta64(2, "s")))
    drawn = lasting.viz.map_fiber("lasted", np.arange(50) % 7)
    np.testing.assert_allclose(drawn.collections[0].get_offsets()[:, 0], np.arange(50) * 2)
    assert drawn.get_aspect() == "auto"


def test_a_spectrum_is_named_for_what_it_is() -> None:
    patch = lk.get_example_patch("chirp")
    spectrum = patch.dft("time", real=True)
    ax = spectrum.viz.specplot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("frequency (Hz)", "distance (m)")
    ax = spectrum.viz.specplot(log=True)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("distance (m)", "frequency (Hz)", "log")
    both = patch.dft(("time", "distance")).abs()
    assert both.viz.specplot(scale=None).get_ylabel() == "wavenumber (1/m)"
    assert both.select(ft_time=(0, ...)).transpose("ft_distance", ...).viz.specplot(log=True).get_yscale() == "symlog"


def test_a_map_shows_each_channel_where_it_lies() -> None:
    patch = lk.get_example_patch("moving_vehicle")
    numbers = np.arange(400)
    place = patch.update_coords(
        x=("distance", np.cos(numbers / 60) * 300),
        y=("distance", np.where(numbers < 50, np.nan, np.sin(numbers / 40) * 200)),
    ).set_units(x="m", y="m")
    ax = place.viz.map_fiber("x", "y", place.data.std(axis=0))
    points = ax.collections[0].get_offsets()
    assert len(points) == 350
    np.testing.assert_allclose(points[:, 0], np.cos(numbers[50:] / 60) * 300)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_aspect()) == ("x (m)", "y (m)", 1.0)
    assert len(place.viz.map_fiber("x", "y", cmap=None).figure.axes) == 1
    assert huge().viz.map_fiber().get_xlabel() == "distance (m)"  # no sample is read for it
    for call, said in (
        (lambda: place.viz.map_fiber("x", np.zeros(3)), "as many"),
        (lambda: place.viz.map_fiber("x", np.full(400, np.nan)), "no channel has a place"),
    ):
        with pytest.raises(InvalidInput, match=said):
            call()


@pytest.mark.parametrize("kind", ["constant", "nan", "one channel", "one sample", "two samples", "booleans", "gappy"])
@pytest.mark.parametrize("picture", ["waterfall", "wiggle", "spectrogram"])
def test_odd_data_are_drawn_without_a_warning(kind: str, picture: str) -> None:
    patch = lk.get_example_patch("moving_vehicle")
    odd = {
        "constant": patch.new(np.full(patch.shape, 7)),
        "nan": patch.new(np.full(patch.shape, np.nan)),
        "one channel": patch.select(distance=(100, 101)),
        "one sample": patch.select(time=(0, 1), samples=True),
        "two samples": patch.select(time=(0, 2), samples=True),
        "booleans": patch > 0,
        "gappy": gappy(),
    }[kind]
    if (kind, picture) == ("one sample", "spectrogram"):
        with pytest.raises(InvalidInput, match="more samples"):
            odd.viz.spectrogram()
        return
    getattr(odd.viz, picture)().figure.canvas.draw()


@pytest.mark.parametrize("picture", ["waterfall", "wiggle", pytest.param("spectrogram", marks=pytest.mark.prove)])
def test_what_no_memory_holds_is_drawn_from_a_part_of_it(picture: str) -> None:
    patch = huge()
    getattr(patch.viz, picture)().figure.canvas.draw()
    assert not patch.loaded


def test_pictures_that_make_no_sense_are_refused() -> None:
    patch = lk.get_example_patch("chirp")
    cases: list[tuple[Any, str]] = [
        (patch.viz.specplot, "shows spectra"),
        (patch.dft("time").viz.waterfall, "abs"),
        (patch.dft("time").viz.wiggle, "real samples"),
        (lambda: patch.viz.wiggle(dim="depth"), "no such dim"),
        (lambda: patch.viz.spectrogram(aggr_domain="x"), "aggr_domain"),  # type: ignore[arg-type]
        (lambda: patch.viz.spectrogram(dim="depth"), "among them"),
        (patch.select(time=(0, 0), samples=True).viz.wiggle, "no samples"),
        (lambda: gappy().viz.spectrogram(nperseg=100_000), "no stretch without a gap holds 100000 samples"),
        (lambda: patch.update_coords(distance=np.arange(50) ** 2).viz.spectrogram(dim="distance"), "has no one step"),
        (
            lambda: patch.dft("time", real=True).select(ft_time=(0, 0)).viz.specplot(log=True),
            "ft_time has no positive frequencies",
        ),
        (
            lambda: patch.update_coords(word=("distance", np.array(["a"] * 50))).viz.map_fiber("word"),
            "word holds no numbers",
        ),
    ]
    for call, said in cases:
        with pytest.raises(InvalidInput, match=said):
            call()


def test_without_matplotlib_an_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"lightkeep\[viz\]"):
        lk.get_example_patch("chirp").viz.waterfall()
