"""A Cube does what ndcube does over the gWCS itself, and what ndcube cannot."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import astropy.units as u
import dask.array as da
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, StokesCoord
from ndcube import NDCube
from telescope import MADE, REAL, Known, open_asdf

from archive.cube import Cube, Frames
from archive.errors import InvalidInput, NotFound
from archive.lazy import InMemory, Work
from archive.wcs.cube_wcs import CubeWcs
from archive.wcs.from_gwcs import from_gwcs

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.filterwarnings("ignore")  # astropy and ndcube warn of their own ways
RNG = np.random.default_rng(21)
VISP = REAL["VISP_L1_20240514T183000_NJJEKB_metadata"]


class Counted(InMemory):
    """An array that counts the pixels that are asked for."""

    asked = 0

    def cut(self, window: Any) -> Counted:
        return Counted(self.array[window])

    def fill(self, target: NDArray[Any], work: Work) -> None:
        Counted.asked += target.size
        target[...] = self.array


@pytest.fixture(params=["visp", "drifting slit", "drifting image"])
def known(request: pytest.FixtureRequest) -> Known:
    kinds = {"drifting slit": "slit", "drifting image": "pointing by one axis"}
    return MADE[kinds[request.param]]() if request.param in kinds else open_asdf(VISP)[0]


def pair(known: Known, *, mask: bool = False) -> tuple[Cube, NDCube]:
    data = RNG.normal(100, 10, known.shape).astype("f4")
    masked = RNG.random(known.shape) < 0.1 if mask else None
    known.gwcs.array_shape = known.shape
    cube = Cube(data, from_gwcs_whole(known), unit="ct", mask=masked, meta={"a": 1})
    return cube, NDCube(data, wcs=known.gwcs, unit="ct", mask=masked, meta={"a": 1})


def small() -> Known:
    return MADE["slit"]()


def assert_alike(cube: Cube, other: NDCube) -> None:
    """Compare pixels, unit, mask and the world coordinates of some pixels."""
    np.testing.assert_array_equal(np.asarray(cube.data), np.asarray(other.data))
    assert (cube.unit or u.dimensionless_unscaled) == (other.unit or u.dimensionless_unscaled)
    theirs = None if other.mask is None or other.mask is False else np.broadcast_to(other.mask, cube.shape)
    assert (cube.mask is None) == (theirs is None)
    if theirs is not None:
        np.testing.assert_array_equal(cube.mask, theirs)
    points = [RNG.integers(0, length, 20).astype(float) for length in cube.shape[::-1]]
    assert cube.wcs.world_axis_physical_types == list(other.wcs.low_level_wcs.world_axis_physical_types)
    mine, expected = cube.wcs.pixel_to_world_values(*points), other.wcs.low_level_wcs.pixel_to_world_values(*points)
    for one, two in zip(np.atleast_2d(mine), np.atleast_2d(expected), strict=True):
        np.testing.assert_allclose(np.sin(np.radians(one / 3600)), np.sin(np.radians(two / 3600)), atol=1e-12)
    assert cube.array_axis_physical_types == other.array_axis_physical_types


def slices(shape: tuple[int, ...]) -> list[Any]:
    last = (slice(None),) * (len(shape) - 1)
    ranges = [(*last, slice(2, 7)), (slice(1, None), ..., slice(3, 9)), (0, slice(1, 4))]
    return [0, shape[0] - 1, slice(1, 3), ..., (..., 2), *ranges]  # a negative int is an error in ndcube over gWCS


def test_slices_are_those_of_ndcube(known: Known) -> None:
    for key in slices(known.shape):
        cube, other = pair(known, mask=True)
        assert_alike(cube[key], other[key])
        again = slice(0, 1) if isinstance(key, tuple) else (..., slice(1, 2))
        assert_alike(cube[key][again], other[key][again])


def test_steps_negative_and_boolean_indices_take_the_same_pixels_everywhere(known: Known) -> None:
    cube, _ = pair(known, mask=True)
    data, mask = np.asarray(cube.data), cube.mask
    assert mask is not None
    keep = RNG.random(known.shape[1]) < 0.5
    keep[:2] = True
    part = cube[::-1, keep][..., ::3]
    np.testing.assert_array_equal(np.asarray(part.data), data[::-1][:, keep][..., ::3])
    np.testing.assert_array_equal(part.mask, mask[::-1][:, keep][..., ::3])
    rows = np.flatnonzero(keep)
    whole = cube.wcs.pixel_to_world_values(6, *(0,) * (len(known.shape) - 3), rows[1], known.shape[0] - 1)
    mine = part.wcs.pixel_to_world_values(2, *(0,) * (len(known.shape) - 3), 1, 0)
    np.testing.assert_allclose(mine, whole)


def test_a_slice_reads_only_its_own_pixels() -> None:
    known = small()
    frames = Frames.from_headers(["a"] * 28, [{}] * 28)
    data = Counted(np.arange(np.prod(known.shape), dtype="f4").reshape(known.shape))
    cube = Cube(data, from_gwcs_whole(known), frames=frames, grid=np.arange(28).reshape(4, 7, 1))
    Counted.asked = 0
    part = cube[1, ::3, 4:9]
    assert Counted.asked == 0
    np.testing.assert_array_equal(part.to_numpy(), data.array[1, ::3, 4:9])
    assert Counted.asked == 3 * 5
    assert isinstance(part.data, da.Array)
    np.testing.assert_array_equal(part.data.compute(), data.array[1, ::3, 4:9])
    np.testing.assert_array_equal(part.data[0, 1:3].compute(), data.array[1, 0, 5:7])


def from_gwcs_whole(known: Known) -> Any:
    return CubeWcs.whole(from_gwcs(known.gwcs), known.shape)


def test_world_coordinates_along_axes_are_those_of_ndcube(known: Known) -> None:
    cube, other = pair(known)
    part, theirs = cube[0, :, :7], other[0, :, :7]
    for axes in [(), (0,), (-1,), ("time",), ("lat",)]:
        for corners in (False, True):
            mine = part.axis_world_coords(*axes, pixel_corners=corners)
            expected = theirs.axis_world_coords(*axes, pixel_corners=corners)
            assert len(mine) == len(expected)
            for one, two in zip(mine, expected, strict=True):
                assert one.shape == two.shape
                if isinstance(two, SkyCoord):
                    assert np.nanmax(one.separation(two).arcsec) < 1e-6
                elif hasattr(two, "jd1"):
                    assert np.nanmax(np.abs((one - two).sec)) < 1e-6
                else:
                    assert u.allclose(np.asarray(one), np.asarray(two), rtol=1e-9)
        values, quantities = part.axis_world_coords_values(*axes), theirs.axis_world_coords_values(*axes)
        assert values._fields == quantities._fields
        for one, two in zip(values, quantities, strict=True):
            assert one.unit == two.unit
            assert one.shape == two.shape


def test_what_no_longer_varies_is_a_global_coordinate_as_in_ndcube(known: Known) -> None:
    cube, other = pair(known)
    for key in [0, (0, 1), (..., 3), (1, ..., 2)]:
        mine, theirs = cube[key].global_coords, other[key].global_coords
        assert set(mine) == set(theirs)
        for name, value in mine.items():
            assert type(value) is type(theirs[name])
            assert str(value)[:40] == str(theirs[name])[:40]


def corners(known: Known, *pixels: tuple[int, ...]) -> list[list[Any]]:
    return [list(known.gwcs.pixel_to_world(*pixel[::-1])) for pixel in pixels]


def spans(known: Known) -> tuple[tuple[int, ...], tuple[int, ...]]:
    low = tuple(min(1, length - 2) for length in known.shape)
    return low, tuple(min(low_ + 2, length - 1) for low_, length in zip(low, known.shape, strict=True))


def test_crops_by_points_are_those_of_ndcube(known: Known) -> None:
    cube, other = pair(known)
    points = corners(known, *spans(known))
    if cube.wcs.world_axis_object_components[0][0] == cube.wcs.world_axis_object_components[2][0]:
        # ndcube wants a coordinate whose numbers do not stand beside each other later than `pixel_to_world` gives it.
        swapped = [[point[1], point[0], *point[2:]] for point in points]
        assert_alike(cube.crop(*points), other.crop(*swapped))
        assert_alike(cube.crop(*swapped), other.crop(*swapped))
        return
    assert_alike(cube.crop(*points), other.crop(*points))
    assert_alike(cube.crop(points[0], keepdims=True), other.crop(points[0], keepdims=True))
    n_objects = len(points[0])
    for keep in range(n_objects):
        some = [[value if number == keep else None for number, value in enumerate(point)] for point in points]
        try:
            expected = other.crop(*some)
        except Exception:  # noqa: BLE001, S112 - what ndcube cannot do is proved below
            continue
        assert_alike(cube.crop(*some), expected)


def test_a_crop_by_any_subset_keeps_the_points(known: Known) -> None:
    cube, _ = pair(known)
    low, high = spans(known)
    points = corners(known, low, high)
    kinds = [type(value).__name__ for value in points[0]]
    along = {"Time": "time", "SpectralCoord": "em.wl", "StokesCoord": "phys.polarization.stokes", "SkyCoord": "lat"}
    for keep, kind in enumerate(kinds):
        some = [[value if number == keep else None for number, value in enumerate(point)] for point in points]
        for order in (some, some[::-1]):
            part = cube.crop(*order, keepdims=True)
            for axis, types in enumerate(cube.array_axis_physical_types):
                if not any(along[kind] in name for name in types):
                    assert part.shape[axis] == cube.shape[axis]
                elif kind != "SkyCoord":
                    assert part.shape[axis] == high[axis] - low[axis] + 1
                else:
                    assert part.wcs.window[axis].size <= cube.shape[axis]
            assert cube.crop(*([point[keep]] for point in order), keepdims=True).shape == part.shape
            if kind == "SkyCoord":
                for pixel in (low, high):
                    parts = zip(pixel, part.wcs.window, strict=True)
                    assert all(line.start <= number < line.start + line.size for number, line in parts)


def test_a_crop_outside_of_the_cube_is_an_error(known: Known) -> None:
    cube, _ = pair(known)
    points = corners(known, *spans(known))
    late = [[value + 1 * u.day if hasattr(value, "jd1") else None for value in point] for point in points]
    with pytest.raises(InvalidInput, match="outside"):
        cube.crop(*late)
    with pytest.raises(InvalidInput, match="none of the coordinates"):
        cube.crop([3 * u.kg])
    with pytest.raises(InvalidInput, match="twice"):
        cube.crop([points[0][-1], points[0][-1]])


def test_crops_by_values_are_those_of_ndcube() -> None:
    known = open_asdf(VISP)[0]
    cube, other = pair(known)
    wave = [[None, 630.05 * u.nm, None, None, None], [None, 630.1 * u.nm, None, None, None]]
    assert_alike(cube.crop_by_values(*wave), other.crop_by_values(*wave))
    plain = [[None, 6300.5, None, None, None], [None, 6301, None, None, None]]
    units = [None, u.AA, None, None, None]
    assert_alike(cube.crop_by_values(*plain, units=units), other.crop_by_values(*plain, units=units))
    assert cube.crop_by_values([None] * 5).shape == cube.shape
    for wrong in ([[None, 630.05, None, None, None]], [[None, 1 * u.s, None, None, None]], [[None]]):
        with pytest.raises(InvalidInput):
            cube.crop_by_values(*wrong)


def test_a_stokes_letter_crops_as_its_coordinate() -> None:
    cube, _ = pair(small())
    n = len(cube.wcs.world_axis_object_classes)
    assert cube.crop([None] * (n - 1) + ["Q"]).shape == cube.crop([None] * (n - 1) + [StokesCoord("Q")]).shape


@pytest.mark.parametrize(
    "work",
    [
        lambda c: c + 5 * u.ct, lambda c: c * 2, lambda c: c * (3 * u.s), lambda c: c / (2 * u.s),
        lambda c: c**2, lambda c: -c, lambda c: c * np.arange(c.shape[-1]), lambda c: c - 1 * u.ct, lambda c: 1 / c,
        lambda c: c.rebin((1,) * (len(c.shape) - 1) + (5,)), lambda c: c.rebin([2, -1, 1][: len(c.shape)]),
        lambda c: c.rebin((2, 1, 5), operation=np.sum), lambda c: c.rebin((2, 1, 5), operation_ignores_mask=True),
        lambda c: c.rebin((2, 1, 5), handle_mask=np.any), lambda c: c[:, 2:3].squeeze(),
        lambda c: c[:1, 2:3].squeeze(1),        lambda c: c.fill_masked(7 * u.ct), lambda c: c.fill_masked(1),
        lambda c: (c * (1 * u.s)).to(u.ct * u.min),
        lambda c: c.explode_along_axis(1)[3], lambda c: c.explode_along_axis(-1)[3],
    ],
)  # fmt: skip
@pytest.mark.parametrize("mask", [False, True])
def test_operations_are_those_of_ndcube(work: Any, mask: bool) -> None:
    cube, other = pair(small(), mask=mask)
    mine, theirs = work(cube), work(other)
    np.testing.assert_allclose(mine.to_numpy(), np.asarray(theirs.data), rtol=1e-6)
    assert mine.unit == theirs.unit
    theirs_mask = None if theirs.mask is None or theirs.mask is False else theirs.mask
    assert (mine.mask is None) == (theirs_mask is None)
    if theirs_mask is not None:
        np.testing.assert_array_equal(mine.mask, theirs_mask)
    points = [np.zeros(1)] * mine.ndim
    low = theirs.wcs.low_level_wcs
    for one, two in zip(mine.wcs.pixel_to_world_values(*points), low.pixel_to_world_values(*points), strict=True):
        np.testing.assert_allclose(
            np.sin(np.radians(one / 3600)), np.sin(np.radians(np.asarray(two) / 3600)), atol=1e-12
        )


def test_a_quantity_may_come_first() -> None:
    cube, _ = pair(small())
    np.testing.assert_allclose((5 * u.ct - cube).to_numpy(), 5 - cube.to_numpy(), rtol=1e-6)
    assert (3 * u.s * cube).unit == u.s * u.ct
    np.testing.assert_allclose((np.ones(cube.shape) * cube * u.s).to_numpy(), cube.to_numpy())


def test_two_cubes_are_combined_unread() -> None:
    cube, _ = pair(small())
    other, _ = pair(small(), mask=True)
    both = cube + other * 1000 / 1000
    np.testing.assert_allclose(both.to_numpy(), cube.to_numpy() + other.to_numpy(), rtol=1e-5)
    np.testing.assert_array_equal(both.mask, other.mask)
    assert (cube / other).unit == u.dimensionless_unscaled
    assert (cube * other).unit == u.ct**2
    np.testing.assert_allclose((cube / other)[1:, 2].to_numpy(), (cube.to_numpy() / other.to_numpy())[1:, 2], rtol=1e-6)
    assert (cube * 2).dtype == np.float32


@pytest.mark.parametrize(
    "wrong",
    [
        lambda c: c + 5, lambda c: c + 1 * u.m, lambda c: c.to("m"), lambda c: c + c[:, :3], lambda c: c[0, 0, 0],
        lambda c: c[99], lambda c: c[4:4], lambda c: c[0, 0, 0, 0], lambda c: c[None], lambda c: c[np.ones(3, bool)],
        lambda c: c[..., ...], lambda c: c.rebin((3, 1, 1)), lambda c: c.rebin((1, 1)), lambda c: c.squeeze(0),
        lambda c: c * np.ones(3), lambda c: c.axis_world_coords("pos"), lambda c: c.io.to_fits("/nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_clear_error(wrong: Any) -> None:
    cube, _ = pair(small())
    with pytest.raises(InvalidInput):
        wrong(cube)


def test_a_cube_of_pixels_alone_has_no_frames() -> None:
    cube, other = pair(small())
    assert (cube.frame_numbers.size, cube.missing, cube.times.size) == (0, [], 0)
    assert cube.quantity.unit == u.ct
    np.testing.assert_array_equal(cube.quantity.value, np.asarray(other.data))
    with pytest.raises(InvalidInput, match="ATMOS_R0: this Cube has no frames, and no headers"):
        cube.header("ATMOS_R0")
    with pytest.raises(InvalidInput, match="the frames of this Cube were binned, or are not known"):
        cube.with_frames(np.ones(0, bool))


def test_a_loaded_cube_is_read_once() -> None:
    known = small()
    data = Counted(np.arange(np.prod(known.shape), dtype="f4").reshape(known.shape))
    Counted.asked = 0
    cube = Cube(data, from_gwcs_whole(known)).load()
    assert Counted.asked == data.array.size
    np.testing.assert_array_equal(cube[1].to_numpy(), data.array[1])
    assert Counted.asked == data.array.size


def test_parts_that_do_not_fit_make_no_cube() -> None:
    known = small()
    with pytest.raises(InvalidInput, match=r"coordinates of shape .* for data of shape \(2, 3\)"):
        Cube(np.zeros((2, 3)), from_gwcs_whole(known))
    with pytest.raises(InvalidInput, match=r"frames on a grid of \(4, 6\) for data of shape"):
        Cube(np.zeros(known.shape), from_gwcs_whole(known), grid=np.zeros((4, 6, 1), int))


def framed() -> Cube:
    known = small()
    headers = [{"TELESCOP": "DKIST", "ATMOS_R0": 0.01 * n, "NOTE": "x" if n else None, "N": n} for n in range(27)]
    files = [f"frame{n:02}.fits" for n in range(27)]
    content = {n: f"bytes of {n}".encode() for n in range(27)}
    frames = Frames.from_headers(files, headers, content.__getitem__)
    grid = np.arange(28).reshape(4, 7, 1)
    grid[3, 6] = -1
    data = np.zeros(known.shape, "f4")
    return Cube(data, from_gwcs_whole(known), frames=frames, grid=grid, meta={"inventory": {"id": 1}, "asdf": b"#ASDF"})


def test_headers_files_and_mask_follow_every_slice() -> None:
    cube = framed()
    part = cube[::2, ::-3][1]
    assert part.files == ["frame20.fits", "frame17.fits", "frame14.fits"]
    assert list(part.headers["ATMOS_R0"]) == pytest.approx([0.2, 0.17, 0.14])
    assert set(part.headers["TELESCOP"]) == {"DKIST"}
    assert len(cube.headers) == len(cube.files) == 27
    assert cube.inventory == {"id": 1}
    mask = cube[3:, 5:].mask
    assert mask is not None
    assert mask[0, 1].all()
    assert not mask[0, 0].any()
    assert cube[:3].mask is None
    binned = cube[:, :6].rebin((2, 3, 1))
    assert binned[1, 1].files == [f"frame{n}.fits" for n in (17, 18, 19, 24, 25, 26)]
    assert "27 frames" in repr(cube)


def test_files_are_written_as_they_came(tmp_path: Path) -> None:
    cube = framed()[2, 3:5]
    written = cube.io.to_fits(tmp_path / "out")
    assert [path.name for path in written] == ["frame17.fits", "frame18.fits"]
    assert hashlib.sha256(written[1].read_bytes()).digest() == hashlib.sha256(b"bytes of 18").digest()
    with pytest.raises(InvalidInput, match="already"):
        cube.io.to_fits(tmp_path / "out")
    assert cube.io.to_asdf(tmp_path / "x.asdf").read_bytes() == b"#ASDF"
    with pytest.raises(NotFound):
        Cube(np.zeros(small().shape), from_gwcs_whole(small())).io.to_asdf(tmp_path / "y.asdf")


def test_an_ndcube_and_an_xarray_have_the_same_pixels_and_coordinates(known: Known) -> None:
    cube, other = pair(known, mask=True)
    assert_alike(cube[1:], cube.io.to_ndcube()[1:])
    assert_alike(cube, other)
    array = cube.io.to_xarray()
    assert array.shape == cube.shape
    np.testing.assert_array_equal(array.values, np.asarray(cube.data))
    (time,) = cube.axis_world_coords("time")
    np.testing.assert_array_equal(array.time.values, time.datetime64.astype("datetime64[ns]"))


def test_a_cube_is_reprojected_and_plotted_as_by_ndcube() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    known = MADE["pointing by one axis"]()
    cube, other = pair(known)
    image, theirs = cube[0, 0, :, :, 0], other[0, 0, :, :, 0]
    target = image.wcs[2:9, 3:12]
    mine = image.reproject_to(target, shape_out=(7, 9))
    expected = theirs.reproject_to(other[0, 0, 2:9, 3:12, 0].wcs, shape_out=(7, 9))
    np.testing.assert_allclose(mine.to_numpy(), expected.data, rtol=1e-4)
    assert mine.array_axis_physical_types == image.array_axis_physical_types
    assert image.plot() is not None
    assert cube[0, 0, :, :, :2].plot() is not None
    assert cube.pixel_to_world(*(0 * u.pix,) * cube.ndim)[0] == cube.pixel_to_world(*(0,) * cube.ndim)[0]
    np.testing.assert_allclose(cube.world_to_pixel(*cube.pixel_to_world(*(1,) * cube.ndim)), 1, atol=1e-6)
