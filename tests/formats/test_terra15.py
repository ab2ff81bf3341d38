"""What is particular to Terra15."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from archive.errors import FormatError
from ingest.formats import terra15

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 1.7e9 + np.arange(100) * 0.002


def describe(path: Path) -> Any:
    with path.open("rb") as file:
        return terra15.describe(file)


def test_float_stamps_become_the_nearest_nanosecond(write_terra15: Any, tmp_path: Path) -> None:
    seconds = 1.7e9 + np.sort(np.random.default_rng(1).uniform(0, 1, 500))
    write_terra15(tmp_path / "sample.h5", 5, seconds)
    coords = describe(tmp_path / "sample.h5").blocks[0].coords
    exact = [round(Fraction(second) * 10**9) for second in seconds.tolist()]
    recorded = coords.get("time_recorded", coords["time"])
    assert recorded.values.to_ns().tolist() == exact


def test_the_stamps_of_a_real_file_lie_within_a_step_or_two_of_the_line(shared_raw: Path) -> None:
    coords = describe(shared_raw / "terra15_v5_test_file.hdf5").blocks[0].coords
    assert coords["time"].values.pieces == 1
    apart = np.abs(coords["time"].values.to_ns() - coords["time_recorded"].values.to_ns())
    assert 100_000 < apart.max() < 1.5 * 310_771
    assert apart[0] == apart[-1] == 0


def test_even_stamps_are_not_kept_twice(write_terra15: Any, tmp_path: Path) -> None:
    write_terra15(tmp_path / "sample.h5", 6, SECONDS)
    assert set(describe(tmp_path / "sample.h5").blocks[0].coords) == {"time", "distance"}


def test_stamps_that_lie_on_no_line_and_fall_are_refused(write_terra15: Any, tmp_path: Path) -> None:
    write_terra15(tmp_path / "sample.h5", 6, SECONDS[::-1].copy())
    with pytest.raises(FormatError, match="do not rise"):
        describe(tmp_path / "sample.h5")


@pytest.mark.parametrize("value", [np.nan, -1.0, 1e30])
def test_stamps_that_are_no_times_are_refused(write_terra15: Any, tmp_path: Path, value: float) -> None:
    seconds = SECONDS.copy()
    seconds[40] = value
    write_terra15(tmp_path / "sample.h5", 6, seconds)
    with pytest.raises(FormatError, match="no times since 1970"):
        describe(tmp_path / "sample.h5")


def test_a_file_of_which_nothing_was_written_is_refused(write_terra15: Any, tmp_path: Path) -> None:
    write_terra15(tmp_path / "sample.h5", 6, np.zeros(100))
    with pytest.raises(FormatError, match="no samples"):
        describe(tmp_path / "sample.h5")


def test_gps_wins_over_the_computers_clock(write_terra15: Any, tmp_path: Path) -> None:
    path = tmp_path / "sample.h5"
    write_terra15(path, 5, SECONDS)
    with h5py.File(path, "r+") as root:
        root["data_product/posix_time"] = SECONDS + 5
    assert describe(path).blocks[0].coords["time"].values.first == 1_700_000_000 * 10**9


@pytest.mark.parametrize("part", ["data_product", "data_product/data", "data_product/gps_time"])
def test_a_missing_part_is_named(write_terra15: Any, tmp_path: Path, part: str) -> None:
    path = tmp_path / "sample.h5"
    write_terra15(path, 5, SECONDS)
    with h5py.File(path, "r+") as root:
        del root[part]
    with pytest.raises(FormatError, match=f"/{part}"):
        describe(path)


def test_as_many_stamps_as_samples_are_needed(write_terra15: Any, tmp_path: Path) -> None:
    path = tmp_path / "sample.h5"
    write_terra15(path, 5, SECONDS)
    with h5py.File(path, "r+") as root:
        del root["data_product/gps_time"]
        root["data_product/gps_time"] = SECONDS[:50]
    with pytest.raises(FormatError, match="stamps"):
        describe(path)
