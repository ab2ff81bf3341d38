"""The tables give what the gWCS gives, for pixels, slices and objects, both ways."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import (
    FK5,
    ICRS,
    AltAz,
    CartesianRepresentation,
    CylindricalRepresentation,
    EarthLocation,
)
from astropy.modeling import models as m
from astropy.time import Time
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from sunpy.coordinates import HeliographicStonyhurst, Helioprojective
from telescope import MADE, REAL, Known, frames_of, open_asdf

from archive.errors import DamagedData, InvalidInput, NewerVersion
from archive.wcs.axes import SkyFrame
from archive.wcs.cube_wcs import CubeWcs
from archive.wcs.from_gwcs import UnknownTransform, from_gwcs
from archive.wcs.value import WorldCoordinates

pytestmark = pytest.mark.filterwarnings("ignore")  # astropy and gwcs warn of their own ways
RNG = np.random.default_rng(3)
ARCSEC = 1e-6
NM = 1e-9  # relative
SECONDS = 1e-6
AWAY = 1 * u.AU, 2 * u.deg, 3 * u.AU
NOON = Time("2024-05-14T12:00")


@pytest.fixture(params=[*REAL, *MADE])
def known(request: pytest.FixtureRequest) -> Known:
    """One of the gWCS; of a mosaic, the last tile."""
    return open_asdf(REAL[request.param])[-1] if request.param in REAL else MADE[request.param]()


def assert_world(ours: Any, theirs: Any, wcs: Any) -> None:
    """Compare world numbers within the limits that are promised, longitudes by the turn."""
    for mine, other, kind, unit in zip(ours, theirs, wcs.world_axis_physical_types, wcs.world_axis_units, strict=True):
        mine, other = np.asarray(mine, dtype=float), np.asarray(other, dtype=float)  # noqa: PLW2901 - the same
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(other))
        valid = ~np.isnan(mine)
        difference = np.abs(mine - other)[valid]
        if kind.startswith("custom:pos"):
            turn = (360 * u.deg).to_value(unit)
            difference = (difference + turn / 2) % turn - turn / 2
            assert (np.abs(difference) * u.Unit(unit)).to_value("arcsec").max(initial=0) < ARCSEC
            assert (np.abs(mine[valid]) <= turn / 2).all()
        elif kind == "em.wl":
            assert (difference / np.abs(other[valid])).max(initial=0) < NM
        elif kind == "time":
            assert difference.max(initial=0) < SECONDS
        else:
            assert difference.max(initial=0) == 0


def pixels(shape: tuple[int, ...], count: int = 300, *, whole: bool = False) -> list[Any]:
    if whole:
        return [RNG.integers(0, length, count).astype(float) for length in shape[::-1]]
    return [RNG.uniform(-0.7, length - 0.3, count) for length in shape[::-1]]


def ours_of(known: Known) -> CubeWcs:
    document, arrays = from_gwcs(known.gwcs).to_parts()
    return CubeWcs.whole(WorldCoordinates.from_parts(json.loads(json.dumps(document)), arrays), known.shape)


def test_random_pixels_have_the_world_coordinates_of_the_gwcs(known: Known) -> None:
    wcs, points = ours_of(known), pixels(known.shape, 60 if known.singly else 300)
    assert_world(wcs.pixel_to_world_values(*points), known.world(*points), wcs)
    np.testing.assert_array_equal(wcs.axis_correlation_matrix, known.gwcs.axis_correlation_matrix)
    assert wcs.world_axis_physical_types == list(known.gwcs.world_axis_physical_types)
    assert wcs.world_axis_units == list(known.gwcs.world_axis_units)
    assert wcs.pixel_axis_names == list(known.gwcs.pixel_axis_names)
    assert wcs.array_shape == known.shape


def test_pixels_come_back_wherever_gwcs_finds_them(known: Known) -> None:
    wcs, points = ours_of(known), pixels(known.shape, 30 if known.singly else 300, whole=True)
    back = wcs.world_to_pixel_values(*wcs.pixel_to_world_values(*points))
    np.testing.assert_allclose(back, points, atol=1e-6)
    theirs = known.pixels(*known.world(*points))
    np.testing.assert_allclose(back, theirs, atol=1e-6)


def test_slices_have_the_world_coordinates_of_their_pixels(known: Known) -> None:
    for _ in range(6):
        wcs, keys = ours_of(known), []
        for length in known.shape:
            start, stop = np.sort(RNG.integers(0, length + 1, 2)).tolist()
            step = int(RNG.choice([1, 2, 3]))
            choice = RNG.integers(5)
            forms: list[Any] = [slice(None), slice(start, max(stop, start + 1), step), slice(None, None, -step)]
            forms += [int(RNG.integers(-length, length)), RNG.random(length) < 0.5]
            key = forms[choice]
            if len(np.atleast_1d(np.arange(length)[key])) == 0:
                key = 0
            keys.append(key)
        if all(isinstance(key, int) for key in keys):
            keys[0] = slice(None)
        sliced = wcs[tuple(keys)]
        numbers = [np.atleast_1d(np.arange(length)[key]) for length, key in zip(known.shape, keys, strict=True)]
        picks = [RNG.integers(0, len(row), 40) for row in numbers]
        inside = [pick.astype(float) for pick, key in zip(picks, keys, strict=True) if not isinstance(key, int)]
        whole = [row[pick].astype(float) for row, pick in zip(numbers, picks, strict=True)]
        theirs = known.world(*whole[::-1])
        kept = [types for types, row in enumerate(np.asarray(known.gwcs.axis_correlation_matrix))
                if any(row[::-1][axis] and not isinstance(key, int) for axis, key in enumerate(keys))]  # fmt: skip
        got = sliced.pixel_to_world_values(*inside[::-1])
        got = got if sliced.world_n_dim > 1 else (got,)
        assert_world(got, [theirs[number] for number in kept], sliced)
        back = sliced.world_to_pixel_values(*got)
        back = back if sliced.pixel_n_dim > 1 else (back,)
        determined = sliced.axis_correlation_matrix.any(axis=0)
        for place, found, is_found in zip(inside[::-1], back, determined, strict=True):
            if is_found and not np.isnan(np.concatenate(got)).any():
                np.testing.assert_allclose(found, place, atol=1e-6)


def test_a_slice_of_a_slice_is_the_slice_of_the_whole(known: Known) -> None:
    wcs = ours_of(known)
    twice = wcs[..., ::-1, 1:][..., 1::2, ::-1]
    points = [np.zeros(3), np.zeros(3), *[np.zeros(3)] * (len(known.shape) - 2)]
    length, width = known.shape[-2:]
    whole = [np.full(3, width - 1.0), np.full(3, length - 2.0), *points[2:]]
    assert_world(twice.pixel_to_world_values(*points), wcs.pixel_to_world_values(*whole), wcs)


def test_objects_are_those_of_the_gwcs(known: Known) -> None:
    wcs, points = ours_of(known), pixels(known.shape, 1 if known.singly else 5, whole=True)
    for mine, other in zip(wcs.pixel_to_world(*points), known.gwcs.pixel_to_world(*points), strict=True):
        assert type(mine) is type(other)
        if hasattr(other, "separation"):
            assert mine.frame.is_equivalent_frame(other.frame)
            assert mine.separation(other).arcsec.max() < ARCSEC
        elif hasattr(other, "jd1"):
            assert abs((mine - other).sec).max() < SECONDS
        else:
            assert u.allclose(np.asarray(mine), np.asarray(other), rtol=NM)
    np.testing.assert_allclose(wcs.world_to_pixel(*wcs.pixel_to_world(*points)), points, atol=1e-6)


def test_what_a_slice_drops_is_told_as_astropy_tells_it(known: Known) -> None:
    wcs = ours_of(known)
    ours = wcs[0].dropped_world_dimensions
    theirs = SlicedLowLevelWCS(known.gwcs, (0, *[slice(None)] * (len(known.shape) - 1))).dropped_world_dimensions
    assert ours["world_axis_physical_types"] == theirs.get("world_axis_physical_types", [])
    np.testing.assert_allclose(ours["value"], np.array(theirs.get("value", []), dtype=float))


def test_other_transforms_are_left_to_gwcs_and_sliced_all_the_same(known: Known) -> None:
    wcs, direct = ours_of(known), CubeWcs.whole(known.gwcs, known.shape)
    points = pixels((*known.shape[:-1], known.shape[-1] // 2), 1 if known.singly else 30)
    sliced = wcs[..., ::-2], direct[..., ::-2]
    assert_world(*(one.pixel_to_world_values(*points) for one in sliced), wcs)
    assert [type(one) for one in sliced[0].pixel_to_world(*points)] == [
        type(one) for one in sliced[1].pixel_to_world(*points)
    ]


def test_ten_thousand_points_of_a_long_raster_are_much_faster_than_gwcs() -> None:
    known = open_asdf(REAL["croppable_visp"])[0]
    wcs, points = ours_of(known), pixels(known.shape, 10_000, whole=True)

    def seconds(call: Any) -> float:
        start = time.process_time()
        call(*points)
        return time.process_time() - start

    seconds(wcs.pixel_to_world_values)
    ours = min(seconds(wcs.pixel_to_world_values) for _ in range(5))
    assert seconds(known.gwcs.pixel_to_world_values) > 200 * ours  # measured: 2 000


def test_a_model_that_is_not_known_says_so() -> None:
    import gwcs

    model = m.Polynomial1D(2, c0=1, c1=2) & m.Identity(3)
    with pytest.raises(UnknownTransform, match="Polynomial1D"):
        from_gwcs(frames_of(model, wave=False, pixels=4))
    boxed = frames_of(m.Identity(4), wave=False, pixels=4)
    boxed.bounding_box = ((0, 1),) * 4
    assert isinstance(boxed, gwcs.WCS)
    with pytest.raises(UnknownTransform, match="bounding box"):
        from_gwcs(boxed)


def table(values: Any, **said: Any) -> Any:
    """Return a table over four pixels, as a model of astropy."""
    return m.Tabular1D(np.arange(4.0), values, **{"bounds_error": False, "fill_value": np.nan, **said})


def turned_back() -> Any:
    model = m.Shift(1)
    model.inverse = m.Shift(-2)
    return model


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (turned_back() & m.Identity(3), "an inverse of its own"),
        (turned_back() | m.Shift(1), "an inverse of its own"),
        (m.Shift(1) + m.Scale(2), r"models joined by \+"),
        (m.Pix2Sky_TAN() & m.Identity(2), "Pix2Sky_Gnomonic"),
        (m.Identity(2) | m.Pix2Sky_TAN(), "a projection without a rotation"),
        (m.Pix2Sky_TAN() | m.Identity(2), "a projection without a rotation"),
        (m.Pix2Sky_SIN() | m.RotateNative2Celestial(1, 2, 180), "Pix2Sky_SlantOrthographic"),
        (table([1, 2, 3, 4], bounds_error=True), "goes on beyond its points"),
        (table([1, 2, 3, 4], fill_value=None), "goes on beyond its points"),
        (table([1, 2, 3, 4], fill_value=0.0), "goes on beyond its points"),
        (table([1, 2, 3, 4], method="splinef2d"), "goes on beyond its points"),
    ],
)
def test_models_that_plain_steps_cannot_say_are_left_to_gwcs(model: Any, said: str) -> None:
    spare = 4 - model.n_inputs
    with pytest.raises(UnknownTransform, match=said):
        from_gwcs(frames_of(model & m.Identity(spare) if spare else model, wave=False, pixels=4))


def test_a_table_that_does_not_rise_or_points_in_two_ways_is_left_to_gwcs() -> None:
    falling = m.Tabular1D(np.arange(4.0), [1.0, 2, 3, 4], bounds_error=False, fill_value=np.nan)
    falling.points = (np.array([3.0, 2, 1, 0]),)
    with pytest.raises(UnknownTransform, match="points do not rise"):
        from_gwcs(frames_of(falling & m.Identity(3), wave=False, pixels=4))


def test_models_without_units_are_what_gwcs_makes_of_them() -> None:
    model = table([5.0, 7, 8, 30], method="nearest") & m.Identity(1) & m.Shift(3) & table([9.0, 6, 5, 1])
    known = Known(frames_of(model, wave=False, pixels=4), (4, 4, 4, 4))
    points = pixels(known.shape, 40)
    assert_world(ours_of(known).pixel_to_world_values(*points), known.world(*points), ours_of(known))


def frame_of(sky: Any = None, time: Any = None, *, twice: bool = False) -> Any:
    """Return the gWCS of a frame of the sky, a time and a wavelength, or of the latter twice."""
    from gwcs import WCS
    from gwcs import coordinate_frames as cf

    frames: list[Any] = [cf.SpectralFrame(axes_order=(0,), unit=u.nm)]
    if twice:
        frames.append(cf.SpectralFrame(axes_order=(1,), unit=u.nm))
    elif sky is not None:
        frames.append(
            cf.CelestialFrame(axes_order=(1, 2), reference_frame=sky, axes_names=("x", "y"), unit=(u.deg, u.deg))
        )
    else:
        frames.append(cf.TemporalFrame(axes_order=(1,), reference_frame=time, unit=(u.s,)))
    count = sum(frame.naxes for frame in frames)
    pixel = cf.CoordinateFrame(
        naxes=count, axes_type=["PIXEL"] * count, axes_order=range(count), unit=[u.pix] * count, name="pixel"
    )
    model = m.Identity(count - 1) & m.Shift(2)
    return WCS(forward_transform=model, input_frame=pixel, output_frame=cf.CompositeFrame(frames))


class Mine(ICRS):
    """A frame of the sky that neither astropy nor sunpy has."""


def observer(place: Any) -> Any:
    return Helioprojective(obstime=NOON, observer=HeliographicStonyhurst(place, obstime=NOON))


def earthly() -> Any:
    return AltAz(obstime=NOON, location=EarthLocation(1 * u.m, 2 * u.m, 3 * u.m))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (lambda: frame_of(twice=True), "the frames SpectralFrame, SpectralFrame"),
        (lambda: frame_of(Mine()), "the frame Mine"),
        (lambda: frame_of(earthly()), "the attribute EarthLocation of a frame"),
        (lambda: frame_of(observer(CylindricalRepresentation(*AWAY))), "an observer as cylindrical"),
        (lambda: frame_of(time=Time(["2024-05-14", "2024-05-15"])), "a frame with several times"),
    ],
)
def test_frames_that_cannot_be_kept_are_left_to_gwcs(frame: Callable[[], Any], said: str) -> None:
    with pytest.raises(UnknownTransform, match=said):
        from_gwcs(frame())


def test_frames_of_astropy_come_back_as_they_were() -> None:
    for sky in (ICRS(), FK5(equinox=NOON), observer(CartesianRepresentation(0.1 * u.AU, 0.2 * u.AU, 0.3 * u.AU))):
        kept = from_gwcs(frame_of(sky)).sky
        assert kept is not None
        assert kept.build().is_equivalent_frame(sky)


def test_damaged_and_newer_values_say_so() -> None:
    document, arrays = from_gwcs(MADE["slit"]().gwcs).to_parts()
    with pytest.raises(NewerVersion):
        WorldCoordinates.from_parts({**document, "version": 9}, arrays)
    with pytest.raises(DamagedData):
        WorldCoordinates.from_parts(document, {})


def test_coordinates_are_pickled_and_refuse_what_does_not_fit() -> None:
    known = MADE["pointing by two axes"]()
    wcs = ours_of(known)[:, 1]
    again = pickle.loads(pickle.dumps(wcs))
    assert again.window == wcs.window
    assert wcs.pixel_to_world_values(1, 2, 3, 1, 1) == again.pixel_to_world_values(1, 2, 3, 1, 1)
    with pytest.raises(InvalidInput, match="pixel arrays"):
        wcs.pixel_to_world_values(1, 2)
    with pytest.raises(InvalidInput, match="world arrays"):
        wcs.world_to_pixel_values(1, 2)
    with pytest.raises(InvalidInput, match="beyond"):
        wcs[99]
    with pytest.raises(InvalidInput, match="6 indices for 5 axes"):
        wcs[0, ..., 0, 0, 0, 0, 0]
    with pytest.raises(InvalidInput, match="a mask of 2 for an axis of 4"):
        wcs[np.array([True, False])]
    with pytest.raises(InvalidInput, match="a window of 2 axes for coordinates of 6 pixel axes"):
        CubeWcs(wcs.root, wcs.window[:2])


def test_chosen_pixels_are_those_of_the_whole_and_bins_of_them_lie_between() -> None:
    wcs = ours_of(MADE["pointing by one axis"]())
    chosen = wcs[..., np.array([2, 3, 9, 11])]
    assert chosen.pixel_bounds is None
    whole = wcs.pixel_to_world_values(9, 4, 5, 1, 1)
    assert chosen.pixel_to_world_values(2, 4, 5, 1, 1) == whole
    assert chosen[..., 2].pixel_to_world_values(4, 5, 1, 1) == whole[1:]
    binned = chosen.rebin((1,) * 4 + (2,))
    for number, middle in ((0, 2.5), (1, 10.0)):
        np.testing.assert_allclose(
            binned.pixel_to_world_values(number, 4, 5, 1, 1), wcs.pixel_to_world_values(middle, 4, 5, 1, 1)
        )


def test_a_frame_or_a_value_that_nobody_knows_is_damage() -> None:
    with pytest.raises(DamagedData, match="Nowhere: no such frame of the sky"):
        SkyFrame(name="Nowhere", attributes={}).build()
    with pytest.raises(DamagedData, match="mood: no such value of a frame"):
        SkyFrame(name="ICRS", attributes={"equinox": {"mood": 1}}).build()
