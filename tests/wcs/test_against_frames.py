"""The tables against the FITS WCS of single frames, and against the gWCS of simulated instruments."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from shared import shared_folder

from archive.cube import Frames
from archive.cube.header_wcs import wcs_of_headers
from archive.wcs.cube_wcs import CubeWcs
from archive.wcs.from_gwcs import from_gwcs
from ingest.frames import describe_asdf

pytestmark = pytest.mark.filterwarnings("ignore")  # astropy, gwcs and the simulator warn of their own ways
RNG = np.random.default_rng(4)


@pytest.mark.parametrize("name", ["visp", "vbi_mosaic"])
def test_a_frame_lies_where_its_own_fits_wcs_says(name: str) -> None:
    folder = shared_folder("frames") / name
    (path,) = folder.glob("*.asdf")
    for tile in describe_asdf(path.read_bytes(), path.name).tiles:
        assert tile.wcs is not None
        whole = CubeWcs.whole(tile.wcs, tile.shape)
        for place in [(0,) * tile.grid.ndim, tuple(length - 1 for length in tile.grid.shape)]:
            file = folder / tile.frames.files[int(tile.grid[place])]
            with fits.open(file) as hdus:
                header = hdus[1].header
            wcs = WCS(header)
            pixels = [RNG.uniform(0, length - 1, 50) for length in tile.frame_shape[::-1]]
            extra = [np.zeros(50)] * (wcs.pixel_n_dim - len(pixels))
            theirs = dict(zip(wcs.wcs.ctype, wcs.wcs_pix2world(np.array([*pixels, *extra]).T, 0).T, strict=True))
            mine = whole[place].pixel_to_world_values(*pixels)
            for kind, unit, values in zip(
                whole[place].world_axis_physical_types, whole[place].world_axis_units, mine, strict=True
            ):
                if kind == "em.wl":
                    # The data centre's gWCS has its wavelengths one pixel lower: λ(0) = CRVAL - CRPIX * CDELT.
                    axis = [*theirs].index("AWAV")
                    shifted = (theirs["AWAV"] - wcs.wcs.cdelt[axis]) * wcs.wcs.cunit[axis]
                    np.testing.assert_allclose(values, shifted.to_value(unit), rtol=1e-9)
                elif kind.startswith("custom:pos"):
                    axis = "HPLN-TAN" if kind.endswith("lon") else "HPLT-TAN"
                    other = (theirs[axis] * u.deg).to_value(unit)
                    difference = (values - other + 648000) % 1296000 - 648000
                    assert np.abs(difference).max() < 1e-6
            times = whole[place].dropped_world_dimensions
            offset = times["value"][times["world_axis_physical_types"].index("time")]
            epoch = Time(*tile.wcs.epoch["time"][:2], format="jd", scale="utc")
            assert abs((epoch + offset * u.s - Time(header["DATE-AVG"])).sec) < 1e-6


def simulated(kind: str) -> tuple[Any, tuple[int, ...]]:
    """Return the gWCS that the data centre's own tools make of simulated headers, and the shape of the cube."""
    from dkist_data_simulator.spec214.visp import TimeDependentVISPDataset
    from dkist_data_simulator.spec214.vtf import SimpleVTFDataset
    from dkist_inventory.header_parsing import HeaderParser
    from dkist_inventory.transforms import TransformBuilder

    drift = {"pointing_shift_rate": 0.002 * u.arcsec / u.s, "rotation_shift_rate": 1e-4 * u.deg / u.s}
    slit = {"n_maps": 2, "n_steps": 3, "n_stokes": 1, "time_delta": 10, "detector_shape": (12, 20)}
    image = {"time_delta": 10, "detector_shape": (16, 20)}
    made = {
        "visp": lambda: TimeDependentVISPDataset(**slit, linewave=630.2 * u.nm, raster_step=0.05 * u.arcsec, **drift),
        "vtf": lambda: SimpleVTFDataset(n_wave=3, n_repeats=2, n_stokes=1, linewave=630.2 * u.nm, **image),
    }
    dataset = made[kind]()
    dataset.start_time = dt.datetime(2024, 5, 14, 18, 30, tzinfo=None)  # noqa: DTZ001 - as the simulator has it
    headers = [{key: value for key, value in dict(one.header()).items() if value is not None} for one in dataset]
    parser = HeaderParser.from_headers(headers, filenames=[f"{number}.fits" for number in range(len(headers))])
    gwcs = TransformBuilder(parser).gwcs
    return gwcs, tuple(gwcs.array_shape)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["visp", "vtf"])
def test_simulated_instruments_have_the_coordinates_of_their_gwcs(kind: str) -> None:
    logging.getLogger().setLevel(logging.ERROR)
    gwcs, shape = simulated(kind)
    wcs = CubeWcs.whole(from_gwcs(gwcs), shape)
    pixels = [RNG.integers(0, length, 200).astype(float) for length in shape[::-1]]
    mine, theirs = wcs.pixel_to_world_values(*pixels), gwcs.pixel_to_world_values(*pixels)
    for one, two, unit in zip(mine, theirs, wcs.world_axis_units, strict=True):
        turn = (360 * u.deg).to_value(unit) if unit == "arcsec" else np.inf
        difference = np.abs(one - two)
        assert np.minimum(difference, np.abs(difference - turn)).max() < 1e-6
    back = wcs.world_to_pixel_values(*mine)
    try:
        expected = gwcs.world_to_pixel_values(*theirs)
    except (NotImplementedError, ValueError):  # its times repeat; the other axes are found all the same
        known = [axis for axis, found in enumerate(back) if not np.isnan(found).any()]
        assert len(known) >= 2
        np.testing.assert_allclose([back[axis] for axis in known], [pixels[axis] for axis in known], atol=1e-6)
    else:
        np.testing.assert_allclose(back, expected, atol=1e-6)


IMAGE = {
    "NAXIS": 2, "NAXIS1": 5, "NAXIS2": 4, "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec",
    "CUNIT2": "arcsec", "CRPIX1": 2.5, "CRPIX2": 1.0, "CRVAL1": -310.0, "CRVAL2": 122.0, "CDELT1": 0.5, "CDELT2": 2.0,
    "CROTA2": 12.0, "DATE-OBS": "2024-05-14T18:30:00", "HGLN_OBS": 0.5, "HGLT_OBS": -2.7, "DSUN_OBS": 1.511e11,
}  # fmt: skip
SPECTRUM = {
    "NAXIS": 2, "NAXIS1": 5, "NAXIS2": 4, "CTYPE1": "AWAV", "CUNIT1": "Angstrom", "CRPIX1": 3.0, "CRVAL1": 6302.0,
    "CDELT1": 0.1, "CTYPE2": "HPLT-TAN",
}  # fmt: skip


def told(headers: list[dict[str, Any]], grid: Any) -> CubeWcs:
    """Return the coordinates of frames of 4 by 5 pixels, 10 s apart, at their places."""
    frames = Frames.from_headers([f"{number}.fits" for number in range(len(headers))], headers)
    start = int(np.datetime64("2024-05-14T18:30", "ns").astype(np.int64))
    frames = replace(frames, times=start + np.arange(len(headers)) * 10**10)
    grid = np.asarray(grid, dtype=np.intp)
    return CubeWcs.whole(wcs_of_headers(frames, grid, (4, 5), ()), (*grid.shape, 4, 5))


def test_headers_of_images_put_them_where_astropy_does() -> None:
    wcs = told([{**IMAGE, "CRVAL1": -310.0 + number} for number in range(3)], [0, 1, 2])
    x, y = RNG.uniform(0, 4, 30), RNG.uniform(0, 3, 30)
    for number in range(3):
        lon, lat = WCS(fits.Header({**IMAGE, "CRVAL1": -310.0 + number})).wcs_pix2world(x, y, 0)
        mine = wcs[number].pixel_to_world_values(x, y)
        np.testing.assert_allclose(mine[0], ((lon + 180) % 360 - 180) * 3600, atol=1e-6)
        np.testing.assert_allclose(mine[1], lat * 3600, atol=1e-6)
    (place, _) = wcs.pixel_to_world(0, 0, 0)
    observer = place.frame.observer
    found = [observer.lon.to_value("deg"), observer.lat.to_value("deg"), observer.radius.to_value("m")]
    np.testing.assert_allclose(found, [0.5, -2.7, 1.511e11])
    np.testing.assert_allclose(wcs.pixel_to_world_values(0, 0, [0, 1, 2])[2], [0, 10, 20])


def test_headers_of_spectra_give_the_wavelengths_that_astropy_gives() -> None:
    header = {key: value for key, value in SPECTRUM.items() if key != "CTYPE2"}
    wave, _ = WCS(fits.Header(header)).wcs_pix2world(np.arange(5), np.zeros(5), 0)
    wcs = told([SPECTRUM] * 2, [0, 1])
    assert wcs.world_axis_physical_types == ["em.wl", "time"]
    np.testing.assert_allclose(wcs.pixel_to_world_values(np.arange(5), 0, 0)[0], wave * 1e9, rtol=1e-12)


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ([{**IMAGE, "CRVAL1": "east"}], ["time"]),
        ([{**IMAGE, "CUNIT2": "furlong"}], ["time"]),
        ([IMAGE, {**IMAGE, "CDELT1": 0.6}], ["time"]),
        ([{**SPECTRUM, "CDELT1": None}], ["time"]),
        ([SPECTRUM, {**SPECTRUM, "CRVAL1": 6303.0}], ["time"]),
        ([{**SPECTRUM, "CUNIT1": "eV"}], ["time"]),
        ([{**SPECTRUM, "STOKES": letter} for letter in "IQ"], ["em.wl", "time", "phys.polarization.stokes"]),
        ([{**SPECTRUM, "STOKES": letter} for letter in "IX"], ["em.wl", "time"]),
    ],
)
def test_an_axis_that_headers_tell_only_half_of_is_left_out(headers: list[dict[str, Any]], kept: list[str]) -> None:
    assert told(headers, range(len(headers))).world_axis_physical_types == kept


def test_stokes_that_change_along_two_axes_are_no_coordinate() -> None:
    headers = [{**SPECTRUM, "STOKES": letter} for letter in "IQQI"]
    assert "phys.polarization.stokes" not in told(headers, [[0, 1], [2, 3]]).world_axis_physical_types
    along_one = told([{**SPECTRUM, "STOKES": letter} for letter in "IQIQ"], [[[0, 1]], [[2, 3]]])
    np.testing.assert_array_equal(along_one.pixel_to_world_values(0, 0, [0, 1], 0, 1)[2], [1, 2])
