"""Patches as values of DASCore, ObsPy, pandas and xarray, and back: exact times, units, samples."""

from __future__ import annotations

import subprocess
import sys
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import archive as lk
from archive.coords import Linear, TimeAxis
from archive.errors import InvalidInput, MissingExtra
from archive.units import get_quantity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dascore as dc
    import obspy

WAYS = {
    "dascore": (lambda patch: patch.io.to_dascore(), lk.from_dascore),
    "obspy": (lambda patch: patch.io.to_obspy(), lk.from_obspy),
    "xarray": (lambda patch: patch.io.to_xarray(), lk.from_xarray),
    "pandas": (lambda patch: patch.io.to_dataframe(), lk.from_dataframe),
}
START = 1_457_942_400_123_456_789


def patch_at(hertz: float, *, size: int = 1000, dtype: str = "float32", first: int = 0) -> lk.Patch:
    """Return a Patch of 4 channels whose line of times began some samples before it."""
    time = TimeAxis.from_rate(START, hertz, size + first).cut(first, first + size)
    coords = {
        "time": lk.Coord(dims=("time",), values=time, units="s"),
        "distance": lk.Coord(dims=("distance",), values=Linear(start=10.0, step=2.5, size=4), units="m"),
    }
    data = np.random.default_rng(size).normal(0, 1e3, (size, 4)).astype(dtype)
    attrs = {"data_units": "nm/m/s", "network": "XX", "station": "DAS1", "tag": "a", "gauge_length": 10.0}
    return lk.Patch(data, coords, ("time", "distance"), attrs)


def assert_survives(back: lk.Patch, patch: lk.Patch, *, attrs: bool = True) -> None:
    assert back.dims == patch.dims
    assert back.dtype == patch.dtype
    assert_array_equal(back.data, patch.data)
    for name in patch.dims:
        assert_array_equal(back.get_array(name), patch.get_array(name))
        mine, theirs = back.coords[name].units, patch.coords[name].units
        assert mine == theirs or get_quantity(str(mine)) == get_quantity(str(theirs))
    assert get_quantity(back.attrs["data_units"]) == get_quantity(patch.attrs["data_units"])
    if attrs:
        rest = {name: value for name, value in patch.attrs.items() if name not in {"data_units", "history"}}
        assert {name: back.attrs.get(name) for name in rest} == rest


@pytest.mark.parametrize("way", list(WAYS))
@settings(max_examples=25, deadline=None)
@given(
    line=st.tuples(
        st.sampled_from([250.0, 300.0, 1050.0, 999.9, 1000 / 3, 2e4, 0.1]), st.integers(2, 4000), st.integers(0, 9999)
    ),
    dtype=st.sampled_from(["int16", "int32", "float32", "float64"]),
    turned=st.booleans(),
)
def test_times_units_samples_and_attributes_survive(
    way: str, line: tuple[float, int, int], dtype: str, turned: bool
) -> None:
    there, back = WAYS[way]
    hertz, size, first = line
    patch = patch_at(hertz, size=size, dtype=dtype, first=first)
    patch = patch.transpose() if turned else patch
    assert_survives(back(there(patch)), patch)


@pytest.mark.parametrize("way", ["dascore", "xarray", "pandas"])
def test_times_on_no_line_survive(way: str) -> None:
    there, back = WAYS[way]
    stamps = START + np.cumsum(np.random.default_rng(1).integers(1, 10**9, 200))
    patch = patch_at(250, size=200).update_coords(time=stamps.astype("datetime64[ns]"))
    assert_survives(back(there(patch)), patch)


def test_what_lies_beside_the_dims_survives_where_there_is_a_place_for_it() -> None:
    patch = patch_at(250).update_coords(
        latitude=("distance", np.array([1.5, 2.5, 2.0, 9.0])),
        name=("distance", np.array(["a", "b", "c", "d"])),
        time_recorded=("time", np.datetime64(START, "ns") + np.arange(1000) ** 2),
    )
    for way in ("dascore", "xarray"):
        there, back = WAYS[way]
        given = patch.drop_coords("name") if way == "dascore" else patch
        made = back(there(given))
        assert set(made.coords) == set(given.coords)
        for name in set(given.coords) - set(given.dims):
            assert made.coords[name].dims == patch.coords[name].dims
            assert_array_equal(made.get_array(name), patch.get_array(name))


def test_dascore_reads_its_own_examples_back_equal() -> None:
    """Independent of our own Patches: what DASCore made comes back as DASCore's equal."""
    for name in ("random_das", "random_patch_with_lat_lon", "sin_wav"):
        theirs = dc.get_example_patch(name)
        again = lk.from_dascore(theirs).io.to_dascore()
        assert again.coords == theirs.coords, name
        assert_array_equal(again.data, theirs.data)
        assert again.attrs.tag == theirs.attrs.tag


def test_dascore_works_on_what_it_is_given() -> None:
    patch = patch_at(250)
    ours = patch.set_units("m/s").pass_filter(time=(1, 10))
    theirs = patch.set_units("m/s").io.to_dascore().pass_filter(time=(1, 10))
    np.testing.assert_allclose(ours.data, theirs.data, atol=1e-3 * np.abs(ours.data).max())
    with_history = lk.from_dascore(ours.io.to_dascore())
    assert "pass_filter" in with_history.attrs["history"][-1]


def test_a_stream_has_a_trace_for_each_channel_that_obspy_reads_alike() -> None:
    patch = patch_at(250)
    stream = patch.io.to_obspy()
    assert len(stream) == 4
    assert [trace.stats.distance for trace in stream] == [10.0, 12.5, 15.0, 17.5]
    assert {trace.stats.network for trace in stream} == {"XX"}
    assert stream[0].stats.starttime.ns == START
    assert stream[0].stats.endtime.ns == patch.coords["time"].values.last
    assert_array_equal(stream[2].data, patch.data[:, 2])
    theirs = dc.Patch(  # DASCore's own way to ObsPy
        data=patch.data.T, coords={n: patch.get_array(n) for n in patch.dims}, dims=("distance", "time")
    ).io.to_obspy()
    assert [len(trace) for trace in theirs] == [len(trace) for trace in stream]
    assert_array_equal(theirs[1].data, stream[1].data)


def test_a_stream_that_was_processed_comes_back_with_its_new_times() -> None:
    patch = patch_at(300, size=3000)
    stream = patch.io.to_obspy()
    cut = stream.copy().trim(obspy.UTCDateTime(ns=START + 10**9))
    back = lk.from_obspy(cut)
    assert back.shape[0] == 2700
    assert_array_equal(back.get_array("time"), patch.get_array("time")[300:])
    slow = lk.from_obspy(stream.copy().decimate(2, no_filter=True))
    line = TimeAxis.line(START, Fraction(10**9, 150), 1500)
    assert_array_equal(slow.get_array("time").view(np.int64), line.to_ns())


def test_streams_of_others_become_patches() -> None:
    stream = obspy.read()  # ObsPy's example: three components of one station
    back = lk.from_obspy(stream)
    assert back.dims == ("time", "channel")
    assert list(back.get_array("seed_id")) == [trace.id for trace in stream]
    assert back.attrs["station"] == stream[0].stats.station
    assert back.coords["time"].values.first == stream[0].stats.starttime.ns
    assert_array_equal(back.data[:, 1], stream[1].data)
    assert lk.from_obspy(stream[0]).shape == (len(stream[0]), 1)


def test_what_cannot_be_converted_is_refused_with_a_reason() -> None:
    patch = patch_at(250)
    gappy = obspy.Stream([obspy.Trace(np.ma.masked_less(np.arange(9.0), 3))])
    uneven = obspy.Stream([obspy.Trace(np.zeros(4)), obspy.Trace(np.zeros(5))])
    cube = lk.Patch(np.zeros((2, 2, 2)), {"time": [1, 2], "a": [1, 2], "b": [1, 2]}, ("time", "a", "b"))
    grid = patch.io.to_xarray().assign_coords(both=(("time", "distance"), np.zeros((1000, 4))))
    broken = np.array([1, 5, 90] + [10**9 + n for n in range(997)], "M8[ns]")
    wide = dc.get_example_patch().update_coords(z2=(("distance", "time"), np.zeros((300, 2000))))
    named = patch.update_coords(name=("distance", np.array(["a", "b", "c", "d"])))
    cases: list[tuple[Any, str]] = [
        (named.io.to_dascore, "drop_coords"),
        (lambda: lk.from_obspy(gappy), "gaps"),
        (lambda: lk.from_obspy(uneven), "differs"),
        (lambda: lk.from_obspy(obspy.Stream()), "no Trace"),
        (patch.update_coords(time=broken).io.to_obspy, "rate"),
        (lambda: lk.from_dascore(3), "dascore.Patch"),
        (lambda: lk.from_xarray(np.zeros(3)), "DataArray"),  # type: ignore[arg-type]
        (lambda: lk.from_xarray(grid), "drop_vars"),
        (cube.io.to_dataframe, "two dims"),
        (lambda: lk.from_dataframe(pd.DataFrame(np.zeros((2, 2)))), "names"),
        (lambda: lk.from_dascore(wide), "drop"),
    ]
    for call, said in cases:
        with pytest.raises(InvalidInput, match=said):
            call()


def test_a_table_has_times_down_and_distances_across() -> None:
    table = patch_at(250).io.to_dataframe()
    assert isinstance(table.index, pd.DatetimeIndex)
    assert (table.index.name, table.columns.name) == ("time", "distance")
    assert table.attrs["units"] == {"time": "s", "distance": "m"}
    assert table.index[0].value == START
    one = patch_at(250).select(distance=(10, 10)).squeeze("distance").io.to_dataframe()
    assert one.shape == (1000, 1)


def test_the_contents_of_a_spool_are_a_table() -> None:
    spool = lk.spool([patch_at(250), patch_at(300)])
    pd.testing.assert_frame_equal(spool.to_pandas(), spool.get_contents())
    assert list(spool.to_pandas()["time_min"]) == [np.datetime64(START, "ns")] * 2


@pytest.mark.parametrize(("library", "extra"), [("obspy", "obspy"), ("dascore", "dascore")])
def test_without_a_library_an_error_names_the_extra(library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'lightkeep\[{extra}\]'"):
        WAYS[library][0](patch_at(250))


def test_importing_the_package_loads_none_of_them() -> None:
    heavy = ("obspy", "dascore", "pandas", "xarray")
    code = f"import archive, archive.patch, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
