"""Waterfalls: limits as DASCore means them, axes in the data's own units, any data and any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import dates
from matplotlib import pyplot as plt

from archive.coords import Coord, Coords, TimeAxis, values_from_array
from archive.errors import InvalidInput
from archive.lazy import Constant
from archive.patch import Patch


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


def patch_of(data: Any, rate: float = 100) -> Patch:
    samples, channels = data.shape
    coords = {
        "time": Coord(dims=("time",), values=TimeAxis.from_rate(1_500_000_000 * 10**9, rate, samples), units="s"),
        "distance": Coord(dims=("distance",), values=values_from_array(np.arange(channels) * 2.0), units="m"),
    }
    return Patch(data, Coords(("time", "distance"), coords), attrs={"data_type": "velocity", "data_units": "m/s"})


def noise(samples: int = 400, channels: int = 30) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=(samples, channels)).astype(np.float32)


def test_the_axes_are_dates_and_metres() -> None:
    ax = patch_of(noise()).viz.waterfall()
    ax.figure.canvas.draw()
    assert isinstance(ax.xaxis.get_major_formatter(), dates.ConciseDateFormatter)
    assert ax.get_ylabel() == "distance (m)"
    assert ax.get_ylim() == (-1, 59)
    ends = [np.datetime64(dates.num2date(value).replace(tzinfo=None)) for value in ax.get_xlim()]
    assert abs(ends[0] - np.datetime64("2017-07-14T02:40")) < np.timedelta64(6, "ms")
    assert abs(ends[1] - np.datetime64("2017-07-14T02:40:04")) < np.timedelta64(6, "ms")
    assert ax.figure.axes[1].get_ylabel() == "velocity (m/s)"


def test_the_scale_means_what_dascore_means() -> None:
    data = noise()
    patch, low, high = patch_of(data), float(data.min()), float(data.max())
    mean, half = float(data.mean(dtype=float)), (high - low) / 2

    def limits(**options: Any) -> tuple[float, float]:
        clim: tuple[float, float] = patch.viz.waterfall(**options).images[0].get_clim()
        return clim

    assert limits(scale=0.1) == pytest.approx((mean - 0.1 * half, mean + 0.1 * half))
    assert limits(scale=(0.25, 0.5)) == pytest.approx((low + half / 2, low + half))
    assert limits(scale=2, scale_type="absolute") == (-2, 2)
    assert limits(scale=(-1, 3), scale_type="absolute") == (-1, 3)


@pytest.mark.parametrize("size", [(3, 2), (12, 6)])
@pytest.mark.parametrize(
    "data",
    [noise(), np.full((50, 4), 7), np.full((50, 4), np.nan), noise(500, 1), noise(1, 20), np.zeros((20, 3), np.int16)],
    ids=["noise", "constant", "nan", "one channel", "one sample", "zeros"],
)
def test_any_data_can_be_drawn_at_any_size(data: np.ndarray[Any, Any], size: tuple[float, float]) -> None:
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    assert patch_of(data).viz.waterfall(ax) is ax
    figure.canvas.draw()
    low, high = ax.images[0].get_clim()
    assert low < high


def test_logarithms_and_no_colour_bar() -> None:
    data = noise()
    data[3] = 0
    ax = patch_of(data).viz.waterfall(log=True, interpolation=None, cbar=False)
    assert len(ax.figure.axes) == 1
    ax.figure.canvas.draw()


@pytest.mark.parametrize("rate", [1e5, 1, 1e-4])
def test_milliseconds_and_weeks_have_readable_dates(rate: float) -> None:
    ax = patch_of(noise(), rate).viz.waterfall()
    ax.figure.canvas.draw()
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert 2 <= len([text for text in labels if text]) <= 15


def test_a_patch_too_long_to_read_is_thinned_and_says_so() -> None:
    axis = TimeAxis.from_rate(0, 1000, 10**9)
    coords = {
        "time": Coord(dims=("time",), values=axis, units="s"),
        "distance": Coord(dims=("distance",), values=values_from_array(np.arange(100.0)), units="m"),
    }
    patch = Patch(Constant(1, (axis.size, 100), np.dtype(np.float32)), Coords(("time", "distance"), coords))
    ax = patch.viz.waterfall()
    assert "of 1000000000" in ax.get_title(loc="right")
    assert not patch.loaded


@pytest.mark.parametrize(
    "options",
    [{"scale": 0}, {"scale": (2, 1)}, {"scale_type": "some"}, {"scale": (-1, 1, 2), "scale_type": "absolute"}],
)
def test_a_scale_without_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        patch_of(noise()).viz.waterfall(**options)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no samples"):
        patch_of(noise()).take("time", slice(0, 0)).viz.waterfall()
