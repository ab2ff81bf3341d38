"""The wavefield that is made up."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.synthetic import Acquisition, Earthquake, Train

LIVELY = Acquisition(
    channels=300,
    rate=200.0,
    trains=(Train(start=2.0), Train(start=20.0, speed=-45.0)),
    earthquakes=(Earthquake(start=25.0),),
)
LENGTH = 40 * 200


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return LIVELY.samples(0, LENGTH)


@settings(deadline=None, max_examples=60)
@given(st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(sorted))
def test_a_sample_does_not_depend_on_the_window(whole: np.ndarray, ends: list[int]) -> None:
    start, stop = ends
    np.testing.assert_array_equal(LIVELY.samples(start, stop), whole[start:stop])


def test_an_equal_acquisition_gives_equal_samples(whole: np.ndarray) -> None:
    again = Acquisition(channels=300, rate=200.0, trains=LIVELY.trains, earthquakes=LIVELY.earthquakes)
    np.testing.assert_array_equal(again.samples(0, LENGTH), whole)
    other = Acquisition(channels=300, rate=200.0, seed=2)
    assert not np.array_equal(other.samples(0, 200), whole[:200])


def test_the_background_has_six_to_nine_bits_and_varies_along_the_fibre() -> None:
    noise = Acquisition(channels=1152).samples(10**9, 10**9 + 2000)
    assert 6 < np.log2(noise.std() * (2 * np.pi * np.e) ** 0.5) < 9.5
    each = noise.std(axis=0)
    assert each.max() > 2 * each.min()
    assert abs(noise.mean()) < 5


def test_the_background_does_not_repeat_within_minutes() -> None:
    noise = Acquisition(channels=50).samples(0, 60_000).astype("f4")
    for lag in (3125, 4096, 8192, 12_500, 20_000):
        assert abs(np.corrcoef(noise[:-lag, 5], noise[lag:, 5])[0, 1]) < 0.75


def test_a_train_moves_along_the_fibre(whole: np.ndarray) -> None:
    for seconds in (4, 8, 11):
        loudness = whole[seconds * 200 : seconds * 200 + 100].std(axis=0)
        assert abs(np.argmax(loudness) - (seconds + 0.25 - 2) * 30) < 90


def test_s_comes_after_p_and_is_stronger_and_both_move() -> None:
    quake = Acquisition(channels=3000, rate=500.0, noise=1.0, earthquakes=(Earthquake(start=1.0),))
    quiet, p, s = (np.abs(quake.samples(*ends)).max() for ends in ((0, 490), (500, 2400), (2600, 5000)))
    assert quiet * 10 < p < s
    shaken = np.abs(quake.samples(400, 2000)) > 60
    first = shaken.argmax(axis=0)
    assert abs((first[2900:].mean() - first[:100].mean()) / 500 - 2900 / 6000) < 0.1


def test_samples_are_made_fast() -> None:
    field = Acquisition()
    field.samples(0, 10)
    begin = time.process_time()
    made = field.samples(0, 20_000)
    assert made.nbytes / (time.process_time() - begin) > 20e6
