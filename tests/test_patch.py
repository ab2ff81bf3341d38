"""Patches: arithmetic with units, coordinates that move, transposes, and how they present themselves."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import archive as lk
from archive.display import size_text
from archive.errors import InvalidInput
from archive.times import duration_to_ns, ns_to_text, time_to_ns
from archive.units import Hz, ft, get_quantity, m, ms, s  # type: ignore[attr-defined]

TIME = np.datetime64("2016-03-14T08:00", "ns") + np.arange(100) * np.timedelta64(4, "ms")
VALUES = np.random.default_rng(1).normal(size=(100, 5))


@pytest.fixture
def patch() -> lk.Patch:
    coords = {"time": TIME, "distance": np.arange(5) * 2.5, "depth": ("distance", np.array([3.0, 1, 4, 1, 5]))}
    made = lk.Patch(VALUES, coords, ("time", "distance"), {"tag": "a", "data_units": "m/s", "station": "XY01"})
    return made.update_coords(distance=lk.Coord(dims=("distance",), values=made.coords["distance"].values, units="m"))


def test_arithmetic_combines_units_and_keeps_the_coordinates(patch: lk.Patch) -> None:
    squared = patch * patch
    assert get_quantity(squared.attrs.data_units) == get_quantity("m**2/s**2")
    assert np.array_equal(squared.data, VALUES**2)
    assert (patch + 1).attrs.data_units == "m/s"
    assert get_quantity(np.sqrt(patch * patch).attrs.data_units) == get_quantity("m/s")
    assert get_quantity((patch / (2 * s)).attrs.data_units) == get_quantity("m/s**2")
    assert get_quantity((patch**2).attrs.data_units) == get_quantity("m**2/s**2")
    assert np.allclose((patch + patch.update_attrs(data_units="km/s")).data, VALUES * 1001)
    assert np.array_equal((-patch).data, -VALUES)
    assert (patch > 0).dtype == bool
    assert np.modf(patch)[1].shape == patch.shape
    with pytest.raises(InvalidInput, match="same coordinates"):
        patch + patch.select(time=(0, 50), samples=True)
    with pytest.raises(InvalidInput, match="cannot be expressed"):
        patch + patch.update_attrs(data_units="kg")


def test_selection_takes_quantities_lists_masks_and_open_ends(patch: lk.Patch) -> None:
    assert patch.select(distance=(2.5 * m, ...)).shape == (100, 4)
    assert patch.select(distance=(0 * ft, 20 * ft)).shape == (100, 3)
    assert patch.select(distance=np.array([0, 10.0])).shape == (100, 2)
    assert patch.select(distance=[0, 5.0, 10.0]).shape == (100, 3)
    assert patch.select(distance=np.array([True, False, True, False, False])).shape == (100, 2)
    assert patch.select(distance=slice(2.5, None)).shape == (100, 4)
    assert np.array_equal(patch.select(depth=(2, 4)).data, VALUES[:, [0, 2]])
    assert patch.select(time=(40 * ms, 80 * ms), relative=True).shape == (11, 5)
    assert patch.select(time=(-0.08, None), relative=True).shape == (21, 5)
    assert patch.select(distance=(-2.5, None), relative=True).shape == (100, 2)
    assert patch.select(time=TIME[[3, 7]]).shape == (2, 5)
    assert patch.select(time=np.array([3, 7]), samples=True).shape == (2, 5)
    assert patch.select(time=-1, samples=True).shape == (1, 5)
    assert patch.select(time=("2020", None)).shape == (0, 5)
    assert patch.select(distance=None).shape == patch.shape


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        ({"distanz": (0, 1)}, "no such coordinate"),
        ({"distance": (0 * Hz, 1 * Hz)}, "cannot be expressed"),
        ({"distance": ("a", "b")}, "no number"),
        ({"distance": (3, 1)}, "ends before it starts"),
        ({"distance": 3}, "give a range"),
        ({"distance": slice(0, 3, 2)}, "no step"),
        ({"distance": np.array([True])}, "mask"),
        ({"distance": np.array(["x"])}, "must be numbers"),
        ({"time": ("then", None)}, "no time"),
        ({"time": (None, 0.5), "samples": True}, "no sample number"),
        ({"time": np.array([200]), "samples": True}, "within"),
    ],
)
def test_a_selection_that_makes_no_sense_says_so(patch: lk.Patch, selectors: dict, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        patch.select(**selectors)


def test_coordinates_move_and_are_replaced(patch: lk.Patch) -> None:
    moved = patch.update_coords(time_min="2020-01-01", distance_max=100)
    assert moved.coords["time"].min() == np.datetime64("2020-01-01")
    assert moved.coords["distance"].max() == 100
    assert patch.update_coords(distance_step=1).coords["distance"].max() == 4
    assert patch.update_coords(depth_min=10).coords["depth"].min() == 10
    assert patch.update_coords(distance=np.arange(5)).coords["distance"].units == "m"
    with pytest.raises(InvalidInput):
        patch.update_coords(distance=np.arange(4))
    with pytest.raises(InvalidInput):
        patch.update_coords(time_step=3)


def test_transposing_turns_samples_and_coordinates(patch: lk.Patch) -> None:
    assert np.array_equal(patch.transpose().data, VALUES.T)
    assert patch.transpose("distance", ...).dims == ("distance", "time")
    with pytest.raises(InvalidInput):
        patch.transpose("time")


def test_patches_are_immutable_and_travel(patch: lk.Patch) -> None:
    with pytest.raises(ValueError, match="read-only"):
        patch.data[0] = 1
    with pytest.raises(AttributeError, match="update_attrs"):
        patch.attrs.tag = "b"
    with pytest.raises(AttributeError, match="no attribute"):
        _ = patch.attrs.nothing
    assert pickle.loads(pickle.dumps(patch)).equals(patch)
    assert not patch.equals(patch.update_attrs(tag="b"))
    assert not patch.equals(patch + 1)
    assert np.asarray(patch).shape == (100, 5)
    assert len(patch) == 100
    with pytest.raises(InvalidInput, match="does not fit"):
        lk.Patch(VALUES[:3], patch.coords)


def test_patches_and_spools_present_themselves(patch: lk.Patch) -> None:
    assert "100 time x 5 distance" in repr(patch)
    assert "XY01" in repr(patch)
    assert "<table>" in patch._repr_html_()
    spool = lk.spool([patch, patch.update_coords(time_min="2017-01-01")])
    assert "2 patches" in repr(spool)
    assert "<table>" in spool._repr_html_()
    assert list(spool.get_contents()["station"]) == ["XY01", "XY01"]


def test_sizes_are_told_as_people_read_them() -> None:
    told = [size_text(count) for count in (0, 999, 1000, 2.5e6, 1e9, 3.25e12, 7e15)]
    assert told == ["0 B", "999 B", "1.0 kB", "2.5 MB", "1.0 GB", "3.2 TB", "7.0 PB"]


def test_texts_in_a_notebook_are_no_markup(patch: lk.Patch) -> None:
    told = patch.update_attrs(note="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in told
    assert "&lt;script&gt;" in told
    assert "attributes" not in repr(lk.Patch(VALUES, dict(patch.coords), patch.dims))


def test_a_spool_of_many_datasets_shows_the_first_and_counts_the_rest(patch: lk.Patch) -> None:
    told = repr(lk.spool([patch.update_attrs(dataset=f"fibre-{number:02}") for number in range(15)]))
    assert told.startswith("Spool: 15 patches")
    assert "fibre-11" in told
    assert "fibre-12" not in told
    assert "and 3 more" in told


def test_spools_over_lists_select_sort_and_combine(patch: lk.Patch) -> None:
    later = patch.update_coords(time_min="2017-01-01").update_attrs(station="AB02", depth_of_hole=3)
    spool = lk.spool([later, patch])
    assert len(spool.select(station="XY*")) == 1
    assert len(spool.select(station=["AB02", "CD"])) == 1
    assert len(spool.select(depth_of_hole=(1, 5))) == 1
    assert len(spool.select(distance=(0, 2))) == 2
    assert spool.sort("time")[0].attrs.station == "XY01"
    assert spool.sort("station")[0].attrs.station == "AB02"
    with pytest.raises(InvalidInput):
        spool.sort("nothing")[0]
    with pytest.raises(InvalidInput, match="nothing"):
        len(spool.select(nothing=3))
    with pytest.raises(IndexError):
        spool[2]
    assert len(spool[np.array([True, False])]) == 1
    assert spool[[1]][0].attrs.station == "XY01"
    assert len(list(spool.split(count=2))) == 2
    assert spool.concatenate(time=None)[0].shape == (200, 5)
    assert np.allclose(spool.stack().data, 2 * VALUES)
    assert spool == lk.spool(spool)
    assert lk.spool(patch)[0] is patch
    assert spool.update() is spool
    assert spool.snapshot is None
    assert spool.map(len) == [100, 100]
    with pytest.raises(ValueError, match="wrong") as caught:
        spool.map(_fail)
    assert "Patch 0 of 2" in caught.value.__notes__[0]
    with pytest.raises(InvalidInput):
        spool.map(len, client=3)
    with pytest.raises(InvalidInput):
        lk.spool([1])


def _fail(patch: lk.Patch) -> None:
    raise ValueError("wrong")


def test_chunks_refuse_what_makes_no_sense(patch: lk.Patch) -> None:
    spool = lk.spool([patch])
    for options in ({"time": 0}, {"time": 1, "overlap": 1}, {"time": 1, "distance": 2}, {"time": 1, "conflict": "no"}):
        with pytest.raises(InvalidInput):
            spool.chunk(**options)
    assert [part.shape for part in spool.chunk(distance=5)] == [(100, 2), (100, 2)]
    assert [part.shape for part in spool.chunk(distance=5 * m, keep_partial=True)] == [(100, 2), (100, 2), (100, 1)]
    near = patch.update_coords(time_min=TIME[-1] + np.timedelta64(4, "ms")).update_attrs(note="x")
    with pytest.raises(InvalidInput, match="note"):
        len(lk.spool([patch, near]).chunk(time=None))
    assert "note" not in lk.spool([patch, near]).chunk(time=None, conflict="drop")[0].attrs
    assert lk.spool([patch, near]).chunk(time=None, conflict="keep_first")[0].attrs.note == "x"


@pytest.mark.parametrize(
    "value",
    [
        "2016-03-14T08:00:00",
        "2016-03-14T08:00:00Z",
        "2016-03-14T10:00:00+02:00",
        dt.datetime(2016, 3, 14, 8, tzinfo=dt.UTC),
        dt.datetime(2016, 3, 14, 8),  # noqa: DTZ001 - taken as UTC
        pd.Timestamp("2016-03-14T08:00"),
        np.datetime64("2016-03-14T08"),
        1457942400,
        1457942400.0,
        1457942400 * s,
    ],
)
def test_times_mean_the_same_however_they_are_written(value: object) -> None:
    assert time_to_ns(value) == 1_457_942_400_000_000_000


def test_times_are_told_without_needless_zeros() -> None:
    assert ns_to_text(1_457_942_400_500_000_000) == "2016-03-14T08:00:00.5"
    assert time_to_ns(dt.date(1970, 1, 2)) == 86_400 * 10**9
    assert duration_to_ns(dt.timedelta(seconds=1.5)) == duration_to_ns(np.timedelta64(1500, "ms")) == 1_500_000_000
    for wrong in (np.datetime64("NaT", "ns"), True, float("nan"), object(), "9999"):
        with pytest.raises(InvalidInput):
            time_to_ns(wrong)
    for wrong in (np.timedelta64("NaT", "ns"), np.timedelta64(1, "M")):
        with pytest.raises(InvalidInput):
            duration_to_ns(wrong)


def test_unordered_coordinates_are_selected_by_value() -> None:
    patch = lk.Patch(np.arange(4), {"x": np.array([3, 1, 0, 2])}, ("x",))
    assert patch.select(x=(1, 2)).data.tolist() == [1, 3]


STEPS = TIME[0] + np.array([0, 9, 3, 4, 7, 2]) * np.timedelta64(1, "s")


@pytest.mark.parametrize(
    "stamps", [STEPS, np.sort(STEPS), np.sort(STEPS)[::-1]], ids=["unordered", "rising", "falling"]
)
def test_times_in_any_order_are_selected_by_value(stamps: np.ndarray) -> None:
    patch = lk.Patch(np.arange(6), {"time": stamps, "shot": ("time", stamps[::-1])}, ("time",))
    first, second = (TIME[0] + np.timedelta64(seconds, "s") for seconds in (3, 7))
    for name in ("time", "shot"):
        held = patch.get_array(name)
        assert (patch.coords[name].min(), patch.coords[name].max()) == (held.min(), held.max())
        for low, high in ((first, second), (None, second), (first, None)):
            inside = (held >= (low or held.min())) & (held <= (high or held.max()))
            assert patch.select(**{name: (low, high)}).data.tolist() == np.flatnonzero(inside).tolist()
        near_ends = patch.select(**{name: (2, -2)}, relative=True)
        assert near_ends.data.tolist() == np.flatnonzero((held >= STEPS[5]) & (held <= STEPS[4])).tolist()
        with pytest.raises(InvalidInput, match="ends before it starts"):
            patch.select(**{name: (second, first)})
    ordered = patch.sort_coords("time")
    assert ordered.get_array("time").tolist() == np.sort(stamps).tolist()
    assert ordered.data.tolist() == np.argsort(stamps).tolist()


def test_times_that_fall_back_are_neither_cut_nor_merged() -> None:
    falling = lk.Patch(np.arange(6), {"time": np.sort(STEPS)[::-1]}, ("time",))
    later = falling.update_coords(time_min="2020-01-01")
    assert lk.spool([falling]).chunk(time=None)[0].equals(falling)
    with pytest.raises(InvalidInput, match=r"times that fall back cannot be cut into chunks; sort_coords\('time'\)"):
        len(lk.spool([falling]).chunk(time=2))
    with pytest.raises(InvalidInput, match="Patches whose times fall back cannot be merged"):
        len(lk.spool([falling, later]).chunk(time=None))


def test_a_patch_of_nothing_has_no_first_and_no_last_value(patch: lk.Patch) -> None:
    empty = patch.select(time=slice(0, 0), distance=slice(0, 0), samples=True)
    assert np.isnat(empty.coords["time"].min())
    assert empty.coords["time"].max().dtype == TIME.dtype
    assert np.isnan(empty.coords["distance"].max())
    assert empty.select(time=("2016", None)).shape == (0, 0)


def test_coordinates_are_arrays_and_are_compared_by_value(patch: lk.Patch) -> None:
    coord = patch.get_coord("distance")
    assert len(coord) == 5
    assert np.array_equal(coord.data, np.arange(5) * 2.5)
    assert np.array_equal(np.asarray(patch.get_coord("time"), dtype="M8[ms]"), TIME.astype("M8[ms]"))
    holes = patch.update_coords(depth=np.array([1, np.nan, 3, 4, 5]))
    assert holes.coords == patch.update_coords(depth=np.array([1, np.nan, 3, 4, 5])).coords
    assert holes.coords != patch.coords
    assert patch.coords != "coords"
    assert not patch.equals("patch")
    assert not patch.equals(patch.update_coords(distance=np.arange(5)))
    assert patch.update_coords(mark=(("distance",), np.arange(5))).coords["mark"].dims == ("distance",)
    assert patch.update_coords(mark=((), 3)).coords["mark"].dims == ()
    assert patch.update_coords(depth=np.arange(5) * get_quantity("km")).coords["depth"].units == "kilometer"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: lk.Patch(np.zeros(2), {"x": np.arange(2)}), r"plain coordinates needs dims=\(\.\.\.\)"),
        (lambda p: lk.Patch(np.zeros(2), {"y": np.arange(2)}, ("x",)), "the dim 'x' has no coordinate"),
        (lambda p: p.update_coords(mark=("depth", np.zeros(3))), "'mark' lies along 'depth', which is no dim"),
        (
            lambda p: p.update_coords(mark=("distance", np.zeros(3))),
            "'mark' has 3 values along 'distance', which has 5",
        ),
        (
            lambda p: p.update_coords(mark=(("time", "distance"), np.zeros((100, 5)))),
            "mark lies along time, distance, but a coordinate lies along one dim",
        ),
        (lambda p: p.get_axis("height"), "height: no such dim; there are time, distance"),
        (lambda p: p.update_coords(mark=(None, 3)).select(mark=3), "mark lies along no single dim"),
        (lambda p: p.update_coords(mark=("distance", [*"abcde"]), mark_min=3), "mark holds no numbers and cannot be"),
        (lambda p: lk.spool([p]).concatenate(distance=None), r"concatenate\(time=None\) puts Patches one after"),
        (lambda p: lk.spool([p]).concatenate(time=3), r"concatenate\(time=None\) puts Patches one after"),
        (lambda p: len(lk.spool([p, p.select(distance=(0, 5))]).concatenate(time=None)), "other dims or channels"),
        (lambda p: lk.spool([]).stack(), "there are no Patches to stack"),
        (lambda p: lk.spool([p, p.select(distance=(0, 5))]).stack(), r"\(100, 5\) and \(100, 3\) cannot be stacked"),
        (lambda p: lk.spool([p]).overlaps(), "this Spool is over none"),
    ],
)
def test_parts_that_do_not_fit_together_say_so(patch: lk.Patch, call: Callable[[lk.Patch], object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        call(patch)


def test_results_are_not_written_into_arrays(patch: lk.Patch) -> None:
    for call in (lambda: np.add(patch, 1, out=np.zeros(patch.shape)), lambda: np.multiply.outer(patch, patch)):
        with pytest.raises(TypeError, match="returned NotImplemented"):
            call()


def test_open_selectors_choose_every_patch(patch: lk.Patch) -> None:
    spool = lk.spool([patch])
    for selectors in (
        {"station": None},
        {"station": ...},
        {"time": slice("2016", "2017")},
        {"time": slice(None, None)},
    ):
        assert len(spool.select(**selectors)) == 1  # type: ignore[arg-type]
    assert len(spool.select(time=slice("2017", None))) == 0
    assert spool != [patch]
    assert len(lk.spool([]).concatenate(time=None)) == 0
