"""Examples: the same everywhere, with what their names say in them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.signal import spectrogram

import archive as lk
from archive.errors import InvalidInput
from archive.examples.patches import PATCHES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dascore as dc


@pytest.mark.parametrize("name", list(PATCHES))
def test_each_call_gives_the_same_samples_of_a_small_patch(name: str) -> None:
    one, two = lk.get_example_patch(name), lk.get_example_patch(name)
    assert one.equals(two)
    assert one.nbytes < 10e6
    assert np.isfinite(one.data).all()
    assert one.coords["distance"].units == "m"


def test_random_das_is_that_of_dascore_sample_by_sample() -> None:
    mine, theirs = lk.get_example_patch(), dc.get_example_patch("random_das")
    back = lk.from_dascore(theirs)
    assert mine.dims == back.dims
    assert np.array_equal(mine.data, back.data)
    assert mine.coords == back.coords
    assert dict(mine.attrs) == dict(back.attrs)


def test_the_spool_of_random_das_is_that_of_dascore() -> None:
    mine, theirs = lk.get_example_spool("random_das"), dc.get_example_spool("random_das")
    assert len(mine) == len(theirs) == 3
    for one, other in zip(mine, theirs, strict=True):
        assert np.array_equal(one.get_array("time"), other.get_array("time"))
        assert np.array_equal(one.data, other.data)
    assert len(mine.chunk(time=None)) == 1


def test_a_chirp_rises_from_one_to_another_frequency() -> None:
    patch = lk.get_example_patch("chirp")
    hertz, seconds, power = spectrogram(patch.data[:, 0], 500.0, nperseg=512)
    loudest = hertz[power.argmax(axis=0)]
    wanted = 1 + 99 * seconds / 20
    assert np.abs(loudest - wanted).max() < 3
    assert not patch.select(distance=(245, 245)).data[:900].any()


def test_an_earthquake_moves_out_with_its_velocities() -> None:
    """P's onset is found in the samples of the nearest and the furthest channels."""
    patch = lk.get_example_patch("earthquake").pass_filter(time=(4, 15))
    onsets = []
    for channel in (slice(0, 20), slice(280, 300)):
        loud = np.abs(patch.data[:, channel].astype(float)).mean(axis=1)
        onsets.append(np.argmax(loud > 4 * loud[:300].mean()) / 100)
    apart = 280 * 10.0 / 5200.0
    assert onsets[0] == pytest.approx(4.0, abs=0.15)
    assert onsets[1] - onsets[0] == pytest.approx(apart, abs=0.15)


def test_a_vehicle_passes_each_channel_when_its_speed_says() -> None:
    patch = lk.get_example_patch("moving_vehicle")
    low = np.abs(patch.pass_filter(time=(..., 5)).data.astype(float))
    times = [low[:, channel].argmax() / 100 for channel in (100, 300)]
    assert times[1] - times[0] == pytest.approx(200 * 2.0 / 28.0, abs=3)


def test_an_event_arrives_first_where_it_is_nearest() -> None:
    patch = lk.get_example_patch("example_event_1").detrend("time").pass_filter(time=(50, 300))
    loud = np.abs(patch.data) > 0.5
    assert 40 <= loud.any(axis=1).argmax() + loud.any(axis=1).sum() / 2 <= 100
    assert patch.shape == (180, 3000)


def test_gaps_and_overlaps_are_where_they_were_made() -> None:
    spool = lk.get_example_spool("gaps_and_overlaps")
    gaps = spool.gaps()
    start = np.datetime64("2024-05-14T09:00:00", "ns")
    assert [(stamp - start) / np.timedelta64(1, "s") for stamp in gaps["time_min"]] == [10.0, 26.0]
    assert len(spool.chunk(time=None)) == 3
    whole = lk.get_example_patch("moving_vehicle")
    for merged in spool.chunk(time=None):
        first, last = (merged.coords["time"].min(), merged.coords["time"].max())
        assert np.array_equal(merged.data, whole.select(time=(first, last)).data)


def test_diverse_das_has_what_there_is_to_choose_from() -> None:
    spool = lk.get_example_spool("diverse_das")
    assert len(spool.select(network="das2")) == 3
    assert len(spool.select(station="way*")) == 3
    assert len(spool.select(tag="experiment1", time=(None, "2021-01-01"), distance=(10, 100))) == 2
    assert len(spool.select(time=(None, "1990-01-01"))) == 1


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="random_das, example_event_1"):
        lk.get_example_patch("x")
    with pytest.raises(InvalidInput, match="diverse_das"):
        lk.get_example_spool("x")
