"""Example Cubes by name: frames that nobody took, with headers, files and coordinates as a data centre has them."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput, MissingExtra
from archive.examples.photosphere import spectra
from archive.times import ns_to_text, time_to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archive.cube import Cube

__all__ = ["CUBES", "get_example_cube"]

_NAME = "RASTER"
_STOKES = "IQUV"
_STEPS, _WAVELENGTHS, _SLIT = 8, 32, 64
_SHAPE = (len(_STOKES), _STEPS, _WAVELENGTHS, _SLIT)
_START = time_to_ns("2024-05-14T18:30:00.5")
_CADENCE = 10  # s from one slit position to the next
_FIRST, _SAMPLING = 630.1, 0.0064  # nm
_CENTRE = (-310.0, 122.0)  # arcsec from the middle of the disc, west and north: where the reference pixel points
_REFERENCE = (3.0, 31.0)  # raster step and slit pixel, from 0
_SCALE = (2.0, 0.25)  # arcsec a step and a slit pixel
_OBSERVER = (0.0, -2.7, 1.511e11)  # deg, deg and m: Stonyhurst
_AXES = (  # as the data centre counts them, from the fastest: type, pixel's name, world's name, unit
    ("SPATIAL", "slit position", "helioprojective latitude", "arcsec"),
    ("SPECTRAL", "wavelength", "wavelength", "nm"),
    ("SPATIAL", "raster position", "helioprojective longitude", "arcsec"),
    ("STOKES", "stokes", "stokes", ""),
)


def get_example_cube(name: str = "raster") -> Cube:
    """Return an example Cube by name; each call gives the same pixels.

    Its frames are files too: `cube.io.to_fits(folder)` writes them, `cube.io.to_asdf(path)` the asdf beside them.

    Parameters
    ----------
    name
        `"raster"`: a slit that steps over a pore in the photosphere, in all Stokes parameters of two lines of iron
        at 630 nm; shape (4, 8, 32, 64): Stokes, raster step, wavelength, place along the slit.

    Raises
    ------
    InvalidInput
        There is no such example.
    MissingExtra
        What Cubes need is not installed.
    """
    if name not in CUBES:
        raise InvalidInput(f"{name!r}: no example Cube; there are {', '.join(CUBES)}")
    return CUBES[name]()


def _raster() -> Cube:
    from archive.cube import Cube, Frames
    from archive.wcs.cube_wcs import CubeWcs
    from archive.wcs.from_gwcs import from_gwcs

    places = list(np.ndindex(_SHAPE[:2]))
    headers = [_header(*place) for place in places]
    frames = Frames.from_headers([str(header["FILENAME"]) for header in headers], headers, _Files())
    times = np.array([_time(step) for _, step in places], np.int64)
    return Cube(
        _pixels(),
        CubeWcs.whole(from_gwcs(_gwcs()), _SHAPE),
        unit="ct",
        frames=replace(frames, times=times),
        grid=np.arange(len(places), dtype=np.intp).reshape(*_SHAPE[:2], 1),
        meta={
            "dataset": _NAME,
            "instrument": "VISP",
            "inventory": _inventory(),
            "asdf": _asdf,
            "shape": _SHAPE,
        },
    )


@lru_cache(maxsize=1)
def _pixels() -> Any:
    wavelengths = _FIRST + _SAMPLING * np.arange(_WAVELENGTHS)
    west, north = (
        (np.arange(count) - reference) * scale
        for count, reference, scale in zip((_STEPS, _SLIT), _REFERENCE, _SCALE, strict=True)
    )
    pixels = spectra(wavelengths, west, north)
    pixels.flags.writeable = False  # all that ask for it share it
    return pixels


def _time(step: int) -> int:
    """Return the middle of a slit position's exposures, ns UTC."""
    return _START + step * _CADENCE * 10**9


def _inventory() -> dict[str, Any]:
    return {
        "datasetId": _NAME,
        "instrumentName": "VISP",
        "startTime": ns_to_text(_time(0)),
        "endTime": ns_to_text(_time(_STEPS - 1)),
        "stokesParameters": list(_STOKES),
        "wavelengthMin": _FIRST,
        "wavelengthMax": _FIRST + _SAMPLING * (_WAVELENGTHS - 1),
    }


# -- files ----------------------------------------------------------------------------------------------------


def _header(stokes: int, step: int) -> dict[str, Any]:
    """Return what one frame's header says.

    References
    ----------
    SPEC-0214, dataset axes; FITS Standard 4.0, section 8: along the axis of length one, CRPIX3 tells where the slit is.
    """
    moment = ns_to_text(_time(step))
    stamp = moment[:19].replace("-", "_").replace(":", "_")
    axes = {
        f"{key}{number}": value
        for number, (axis, length) in enumerate(zip(_AXES, _SHAPE[::-1], strict=True), 1)
        for key, value in zip(("DNAXIS", "DTYPE", "DPNAME", "DWNAME", "DUNIT"), (length, *axis), strict=True)
    }
    return {
        "BUNIT": "ct",
        "DATE-AVG": moment,
        "TELESCOP": "Daniel K. Inouye Solar Telescope",
        "INSTRUME": "VISP",
        "FILENAME": f"VISP_{stamp}_00630200_{_STOKES[stokes]}_{_NAME}_L1.fits",
        "DSETID": _NAME,
        "STOKES": _STOKES[stokes],
        "LINEWAV": 630.2,
        "ATMOS_R0": round(0.08 + 0.01 * step, 2),
        "DNAXIS": len(_AXES),
        "DAAXES": 2,
        "DEAXES": 2,
        **axes,
        "DINDEX3": step + 1,
        "DINDEX4": stokes + 1,
        "WCSAXES": 3,
        "LONPOLE": 180.0,
        "CTYPE1": "HPLT-TAN",
        "CTYPE2": "AWAV",
        "CTYPE3": "HPLN-TAN",
        "CUNIT1": "arcsec",
        "CUNIT2": "nm",
        "CUNIT3": "arcsec",
        "CRVAL1": _CENTRE[1],
        "CRVAL2": _FIRST,
        "CRVAL3": _CENTRE[0],
        "CDELT1": _SCALE[1],
        "CDELT2": _SAMPLING,
        "CDELT3": _SCALE[0],
        "CRPIX1": _REFERENCE[1] + 1,
        "CRPIX2": 1.0,
        "CRPIX3": _REFERENCE[0] + 1 - step,
        **dict(zip(("HGLN_OBS", "HGLT_OBS", "DSUN_OBS"), _OBSERVER, strict=True)),
    }


@dataclass(frozen=True, slots=True)
class _Files:
    """Gives the bytes of each frame's FITS file, RICE-compressed without loss."""

    def __call__(self, number: int) -> bytes:
        from astropy.io import fits

        place = np.unravel_index(number, _SHAPE[:2])
        stokes, step = (int(index) for index in place)
        head = fits.Header(list(_header(stokes, step).items()))
        image = fits.CompImageHDU(_pixels()[stokes, step][None], head, tile_shape=(1, _WAVELENGTHS, _SLIT))
        out = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(out)
        return out.getvalue()


def _asdf() -> bytes:
    """Return the bytes of the asdf that tells how the files make a hypercube."""
    import asdf
    import astropy.units as u
    from astropy.table import Table
    from dkist import Dataset
    from dkist.io import DKISTFileManager
    from dkist.io.dask.loaders import AstropyFITSLoader

    headers = [_header(*place) for place in np.ndindex(_SHAPE[:2])]
    names = np.array([header["FILENAME"] for header in headers]).reshape(_SHAPE[:2])
    files = DKISTFileManager.from_parts(names.tolist(), 1, "int16", (1, *_SHAPE[2:]), loader=AstropyFITSLoader)
    meta = {"inventory": _inventory(), "headers": Table(headers)}
    dataset = Dataset(files.dask_array, _gwcs(), unit=u.ct, meta=meta)
    dataset._file_manager = files  # noqa: SLF001 - as the data centre's own generator does
    out = io.BytesIO()
    asdf.AsdfFile({"dataset": dataset}).write_to(out)
    return out.getvalue()


# -- coordinates ----------------------------------------------------------------------------------------------


def _gwcs() -> Any:
    """Return the coordinates: longitude, latitude, wavelength, time and Stokes of slit, wavelength, step and Stokes.

    Raises
    ------
    MissingExtra
        gwcs or dkist is not installed.
    """
    try:
        import gwcs
        from dkist.wcs.models import generate_celestial_transform
    except ModuleNotFoundError as error:
        message = f"example Cubes need {error.name}, which is not installed; pip install 'lightkeep[frames]'"
        raise MissingExtra(message) from error
    import astropy.units as u
    from astropy.modeling import models as m

    sky = generate_celestial_transform(
        crpix=_REFERENCE * u.pix,
        cdelt=_SCALE * u.arcsec / u.pix,
        pc=np.eye(2) * u.pix,
        crval=_CENTRE * u.arcsec,
        lon_pole=180 * u.deg,
    )
    wavelength = m.Linear1D(slope=_SAMPLING * u.nm / u.pix, intercept=_FIRST * u.nm)
    time = m.Linear1D(slope=_CADENCE * u.s / u.pix, intercept=0 * u.s)
    stokes = m.Tabular1D(
        points=np.arange(4) * u.pix,
        lookup_table=np.arange(1, 5) * u.one,
        method="nearest",
        bounds_error=False,
        fill_value=np.nan,
    )
    model = m.Mapping((2, 0, 1, 2, 3)) | sky & wavelength & time & stokes
    return gwcs.WCS(forward_transform=model, input_frame=_pixel_frame(), output_frame=_world_frame())


def _pixel_frame() -> Any:
    import astropy.units as u
    from gwcs import coordinate_frames as cf

    count = len(_AXES)
    names = [name for _, name, _, _ in _AXES]
    return cf.CoordinateFrame(
        count, ["PIXEL"] * count, range(count), unit=[u.pix] * count, axes_names=names, name="pixel"
    )


def _world_frame() -> Any:
    import astropy.units as u
    from astropy.time import Time
    from gwcs import coordinate_frames as cf
    from sunpy.coordinates import HeliographicStonyhurst, Helioprojective

    start = Time(ns_to_text(_time(0)))
    longitude, latitude, distance = _OBSERVER
    observer = HeliographicStonyhurst(longitude * u.deg, latitude * u.deg, distance * u.m, obstime=start)
    sky = cf.CelestialFrame(
        axes_order=(0, 1),
        reference_frame=Helioprojective(obstime=start, observer=observer),
        unit=(u.arcsec, u.arcsec),
        axis_physical_types=("custom:pos.helioprojective.lon", "custom:pos.helioprojective.lat"),
        axes_names=("helioprojective longitude", "helioprojective latitude"),
    )
    wavelength = cf.SpectralFrame(axes_order=(2,), unit=u.nm, axes_names=("wavelength",))
    time = cf.TemporalFrame(axes_order=(3,), reference_frame=start, unit=(u.s,), axes_names=("time",))
    return cf.CompositeFrame([sky, wavelength, time, cf.StokesFrame(axes_order=(4,))])


CUBES: Mapping[str, Callable[[], Cube]] = {"raster": _raster}
