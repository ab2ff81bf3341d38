"""Tiles on one grid: every pixel against the field that the tiles were taken of."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
import sunpy.coordinates  # noqa: F401 - so that astropy knows the Sun's frames
from astropy.wcs import WCS

import archive as lk
from archive.cube.cube import Cube
from archive.cube.mosaic import mosaic_of
from archive.errors import InvalidInput


def field(x: Any, y: Any) -> Any:
    """Return the brightness at places on the sky, arcsec."""
    return 100 + 3 * np.sin(x / 9) + 2 * np.cos(y / 7)


def image(x: float, y: float, turn: float) -> Cube:
    """Return an image of 40 by 50 pixels of 0.5 arcsec whose middle lies at a place, turned by some degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    wcs.wcs.cunit = ["arcsec", "arcsec"]
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = [25.5, 20.5], [x, y], [0.5, 0.5]
    angle = np.radians(turn)
    wcs.wcs.pc = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    wcs.wcs.dateobs, wcs.wcs.aux.dsun_obs, wcs.wcs.aux.hgln_obs, wcs.wcs.aux.hglt_obs = (
        "2024-05-14T18:30:00",
        1.5e11,
        0,
        0,
    )
    wcs.wcs.set()
    wcs.array_shape = (40, 50)
    column, row = np.meshgrid(np.arange(50), np.arange(40))
    lon, lat = (np.asarray(value) for value in wcs.pixel_to_world_values(column, row))
    lon = (
        (lon * 3600 + 648000) % 1296000 - 648000
        if wcs.world_axis_units[0] == "deg"
        else (lon + 648000) % 1296000 - 648000
    )
    lat = lat * 3600 if wcs.world_axis_units[1] == "deg" else lat
    return Cube(field(lon, lat), wcs, unit=u.ct, meta={"dataset": "sky", "tile": (0, 0)})


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_a_mosaic_is_the_field_that_its_tiles_show() -> None:
    tiles = [image(0, 0, 0), image(20, 3, 4), image(2, 17, -3), image(21, 18, 1)]
    made = mosaic_of(tiles)
    assert made.unit == u.ct
    assert made.meta == {"dataset": "sky"}
    row, column = np.nonzero(~np.asarray(made.mask))
    assert len(row) > 0.8 * sum(tile.data.size for tile in tiles) - 4 * 400
    sky = made.pixel_to_world(column, row)
    seen = np.asarray(made.data)[row, column]
    off = np.abs(seen - field(sky.Tx.to_value("arcsec"), sky.Ty.to_value("arcsec")))
    assert np.quantile(off, 0.94) < 2e-3, "bilinear interpolation of a smooth field"
    assert off.max() < 0.1, "half a pixel beyond an edge the last pixel stands"
    lon = made.pixel_to_world([0, 10], [5, 5]).Tx
    assert lon[1] > lon[0], "longitude grows to the right, as everywhere in solar physics"
    assert not np.asarray(made.mask).all()


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_a_coarser_grid_and_masked_pixels() -> None:
    tile = image(0, 0, 0)
    mask = np.zeros((40, 50), bool)
    mask[10:20, 10:20] = True
    made = mosaic_of([Cube(np.where(mask, 1e9, tile.data), tile.wcs, unit=u.ct, mask=mask)], resolution=1 * u.arcsec)
    assert made.shape == (20, 25)
    assert np.nanmax(np.asarray(made.data)[~np.asarray(made.mask)]) < 110


def test_what_is_no_image_of_the_sky_is_refused() -> None:
    cube = lk.get_example_cube("raster")
    with pytest.raises(InvalidInput, match="two axes on the sky"):
        mosaic_of([cube])
    with pytest.raises(InvalidInput, match="no image"):
        mosaic_of([])
    with pytest.raises(InvalidInput, match="no tile"):
        cube.mosaic(0)
