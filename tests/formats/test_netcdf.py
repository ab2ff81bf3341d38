"""What is particular to NetCDF and to the times of the CF conventions."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hdf5_files import SHAPE, START, samples, write_netcdf, write_xdas
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import FormatError
from ingest.formats import identify, netcdf
from ingest.formats.cf import times_of

if TYPE_CHECKING:
    from pathlib import Path

UNITS = {"seconds": 10**9, "ms": 10**6, "microseconds": 1000, "nanoseconds": 1, "days": 86_400 * 10**9}


def describe(path: Path) -> Any:
    with path.open("rb") as file:
        return netcdf.describe(file)


@given(first=st.integers(0, 10**18), step=st.integers(1, 10**9), unit=st.sampled_from(sorted(UNITS)))
def test_whole_numbers_of_any_unit_stay_exact(first: int, step: int, unit: str) -> None:
    count = np.arange(5, dtype=np.int64) * step // UNITS[unit]
    moment = np.datetime64(first // 10**9, "s")
    found = times_of(count, {"units": f"{unit} since {moment}", "calendar": "proleptic_gregorian"})
    assert found.tolist() == [int(moment.astype("M8[ns]").astype(np.int64)) + int(n) * UNITS[unit] for n in count]


@pytest.mark.parametrize(
    "units",
    [
        "seconds",
        "parsecs since 1970-01-01",
        "s since 1970-01-01 05:00 +07:00",
        "s since 1970-13-01",
        "s since 0001-01-01",
    ],
)
def test_units_that_are_no_times_are_refused(units: str) -> None:
    with pytest.raises(FormatError):
        times_of(np.array([1, 2]), {"units": units})


def test_a_calendar_of_models_is_refused() -> None:
    with pytest.raises(FormatError, match="360_day"):
        times_of(np.array([1, 2]), {"units": "days since 2000-01-01", "calendar": "360_day"})


@pytest.mark.parametrize(
    "values", [np.array([1.0, np.nan]), np.array([1e300]), np.array([1 << 62]), np.array([2**64 - 1], "u8")]
)
def test_stamps_that_are_no_times_are_refused(values: Any) -> None:
    with pytest.raises(FormatError, match="no time"):
        times_of(values, {"units": "seconds since 1970-01-01"})


@pytest.mark.parametrize("old", [False, True])
def test_tie_points_are_a_line_to_the_nanosecond(old: bool, tmp_path: Path) -> None:
    write_xdas(tmp_path / "xdas.nc", old=old)
    (block,) = describe(tmp_path / "xdas.nc").blocks
    assert (block.coords["time"].values.to_ns() == START + np.arange(SHAPE[0]) * 2_000_000).all()
    assert block.coords["time"].values.pieces == 1
    np.testing.assert_allclose(block.coords["distance"].to_numpy(), 10 + np.arange(SHAPE[1]) * 2.5)


@pytest.mark.parametrize("old", [False, True])
def test_a_gap_between_tie_points_parts_two_blocks(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "xdas.nc"
    write_xdas(path, [0, 199, 200, SHAPE[0] - 1], gap=5 * 10**9, old=old)
    first, second = describe(path).blocks
    assert (first.shape[0], second.shape[0]) == (200, SHAPE[0] - 200)
    assert second.coords["time"].values.first - first.coords["time"].values.last == 5 * 10**9 + 2_000_000
    with path.open("rb") as file:
        np.testing.assert_array_equal(netcdf.read(file, 0, ()), samples()[:200])
        np.testing.assert_array_equal(netcdf.read(file, 1, (slice(10, 20),)), samples()[210:220])


def test_ties_that_continue_the_line_part_nothing(tmp_path: Path) -> None:
    write_xdas(tmp_path / "xdas.nc", [0, 199, 200, SHAPE[0] - 1])
    (block,) = describe(tmp_path / "xdas.nc").blocks
    assert (block.coords["time"].values.to_ns() == START + np.arange(SHAPE[0]) * 2_000_000).all()


@pytest.mark.parametrize("ties", [[1, SHAPE[0] - 1], [0, 10], [0, 300, 200, SHAPE[0] - 1]])
def test_ties_that_do_not_lead_through_the_samples_are_refused(ties: list[int], tmp_path: Path) -> None:
    write_xdas(tmp_path / "xdas.nc", ties)
    with pytest.raises(FormatError):
        describe(tmp_path / "xdas.nc")


def test_a_packed_variable_keeps_its_factor_beside_it(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "sample.nc")
    with h5py.File(tmp_path / "sample.nc", "r+") as root:
        root["strain_rate"].attrs["scale_factor"] = 0.5
    assert describe(tmp_path / "sample.nc").blocks[0].attrs["scale_factor"] == 0.5


def test_netcdf_without_a_time_is_claimed_by_none(tmp_path: Path) -> None:
    h5netcdf = pytest.importorskip("h5netcdf")
    with h5netcdf.File(tmp_path / "map.nc", "w") as root:
        root.attrs["Conventions"] = "CF-1.8"
        root.dimensions = {"x": 20, "y": 30}
        root.create_variable("height", ("x", "y"), "f4", data=np.zeros((20, 30), "f4"))
    with pytest.raises(FormatError, match="no vendor that is known"):
        identify(io.BytesIO((tmp_path / "map.nc").read_bytes()))
