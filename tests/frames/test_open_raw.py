"""FITS files in place, without an archive: the same Cubes as those of an archive."""

from __future__ import annotations

import pickle
import secrets
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from frame_sets import SHAPE, astropy_pixels, header, new_archive, pixels, write_frame, write_set
from shared import shared_folder

import archive as lk
from archive.errors import FormatError, SourceChanged
from ingest.run import ingest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # asdf and dkist warn of their own ways


@pytest.mark.parametrize("name", ["visp", "vbi_mosaic"])
def test_files_in_place_are_what_an_archive_of_them_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = shared_folder("frames") / name
    place = f"memory://{secrets.token_hex(6)}"
    ingest(new_archive(place), [str(folder)])
    raw, stored = lk.open_raw(folder), lk.open(place)
    assert len(raw) == len(stored)
    for one, other in zip(raw, stored, strict=True):
        assert one.files == other.files
        assert one.attrs == other.attrs
        key = (slice(None, None, 2), -1, slice(3, 40), slice(None, None, 7))[-one.ndim :]
        np.testing.assert_array_equal(one[key].to_numpy(), other[key].to_numpy())
        points = [np.arange(3.0)] * one.ndim
        for a, b in zip(one.wcs.pixel_to_world_values(*points), other.wcs.pixel_to_world_values(*points), strict=True):
            np.testing.assert_array_equal(a, b)
        assert one.inventory == other.inventory
        assert list(one.headers["DATE-AVG"]) == list(other.headers["DATE-AVG"])


def test_only_files_that_are_needed_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths = write_set(tmp_path / "in", "rice with fallback")
    paths[3].unlink()
    (cube,) = lk.open_raw(tmp_path / "in")
    assert cube.shape == SHAPE
    assert cube.missing == [(0, 3)]
    part = lk.open_raw(tmp_path / "in").select(STOKES="Q", ATMOS_R0=(0.1, None))[0]
    assert part.files == ["VISP_1_03.fits", "VISP_1_04.fits"]
    np.testing.assert_array_equal(part.to_numpy()[0, 0], astropy_pixels(paths[8])[0])
    moved = pickle.loads(pickle.dumps(cube))
    np.testing.assert_array_equal(moved[1, 0].to_numpy(), astropy_pixels(paths[5])[0])
    assert [path.read_bytes() for path in cube[1].io.to_fits(tmp_path / "out")] == [p.read_bytes() for p in paths[5:]]
    write_frame(paths[9], pixels("flat", np.random.default_rng(1)), header(1, 4), {})
    np.testing.assert_array_equal(cube[1, 0].to_numpy(), astropy_pixels(paths[5])[0])
    with pytest.raises(SourceChanged, match="changed or gone"):
        cube[1].to_numpy()


def test_what_does_not_belong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths = write_set(tmp_path / "in")
    paths[2].write_bytes(paths[2].read_bytes()[:-2880])
    with pytest.warns(UserWarning, match="left out"):
        spool = lk.open_raw(tmp_path / "in")
    assert spool[0].missing == [(0, 2)]
    assert "ends at" in next(iter(spool.root.refused.values()))
    with pytest.raises(FormatError, match="ends at"):
        lk.open_raw(paths[2])
    assert lk.read(paths[0])[0].files == [paths[0].name]


def test_turned_images_with_oblong_pixels_lie_where_astropy_has_them(tmp_path: Path) -> None:
    for number in range(3):
        told = {
            "DATE-OBS": f"2020-01-01T00:0{number}:00",
            "INSTRUME": "AIA",
            "TELESCOP": "SDO",
            "WAVELNTH": 171,
            "CTYPE1": "HPLN-TAN",
            "CTYPE2": "HPLT-TAN",
            "CUNIT1": "arcsec",
            "CUNIT2": "arcsec",
            "CRVAL1": 10.0 + number,
            "CRVAL2": -5.0,
            "CRPIX1": 20.0,
            "CRPIX2": 11.0,
            "CDELT1": 0.6,
            "CDELT2": 0.5,
            "CROTA2": 20.0 + number,
            "DSUN_OBS": 1.48e11,
            "HGLN_OBS": 0.0,
        }
        image = np.random.default_rng(number).normal(size=(30, 40)).astype("f4")
        fits.PrimaryHDU(image, fits.Header(told)).writeto(tmp_path / f"{number}.fits")
    cube = lk.open_raw(str(tmp_path))[0]
    y, x = np.mgrid[:30, :40].astype(float)
    for number in range(3):
        lon, lat, _ = cube.wcs.pixel_to_world_values(x, y, np.full_like(x, number))
        wanted = WCS(fits.getheader(tmp_path / f"{number}.fits")).pixel_to_world_values(x, y)
        assert np.abs((lon - wanted[0] * 3600 + 648_000) % 1_296_000 - 648_000).max() < 1e-6
        assert np.abs(lat - wanted[1] * 3600).max() < 1e-6
