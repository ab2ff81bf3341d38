"""Small sets of FITS frames of all kinds, written by astropy, with headers as a telescope's data centre writes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from archive.store import Store

SHAPE = (2, 5, 48, 70)
"""Stokes, raster steps, and pixels of a frame."""
START = np.datetime64("2024-05-14T18:30:00", "ms")

# How a frame is written: what its pixels are, and how they are compressed; `None` for not at all.
KINDS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "rice": ("noise", {}),
    "rice float64": ("double", {}),
    "rice in rows": ("noise", {"tile_shape": (1, 1, 70)}),
    "rice in one tile": ("noise", {"tile_shape": (1, 48, 70)}),
    "rice coarse": ("noise", {"quantize_level": 1}),
    "rice with nan": ("nan", {}),
    "rice with fallback": ("flat", {}),
    "rice with dither 1": ("nan", {"quantize_method": 1, "dither_seed": 9998}),
    "rice with dither 2": ("noise", {"quantize_method": 2, "dither_seed": 5}),
    "rice int16": ("small", {}),
    "gzip quantised": ("nan", {"compression_type": "GZIP_1"}),
    "gzip lossless": ("nan", {"compression_type": "GZIP_2", "quantize_level": 0}),
    "plain float32": ("nan", None),
    "plain float64": ("double", None),
    "plain int16": ("small", None),
    "plain uint16": ("unsigned", None),
    "plain int32": ("whole", None),
}


def pixels(kind: str, rng: np.random.Generator) -> NDArray[Any]:
    """Return the pixels of one frame."""
    noise = rng.normal(20000, 40, (1, *SHAPE[2:]))
    made = {
        "noise": lambda: noise.astype("f4"),
        "double": lambda: noise,
        "nan": lambda: np.where(rng.random(noise.shape) < 0.02, np.nan, noise).astype("f4"),
        "flat": lambda: np.where(np.arange(SHAPE[3]) < 40, 7.0, noise).astype("f4"),
        "small": lambda: (noise - 20000).astype("i2"),
        "unsigned": lambda: noise.astype("u2"),
        "whole": lambda: noise.astype("i4"),
    }
    return made[kind]()


def header(stokes: int, step: int, **changed: Any) -> fits.Header:
    """Return the header of one frame; its place counts from 1."""
    moment = START + np.timedelta64(10_000 * step + 100 * stokes, "ms")
    values = {
        "BUNIT": "ct",
        "DATE-AVG": str(moment),
        "INSTRUME": "VISP",
        "DSETID": "TESTED",
        "STOKES": "IQUV"[stokes],
        "ATMOS_R0": 0.05 + 0.02 * step,
        "DNAXIS": 4,
        "DAAXES": 2,
        "DEAXES": 2,
        **{f"DNAXIS{axis}": length for axis, length in enumerate(SHAPE[::-1], 1)},
        "DTYPE1": "SPATIAL",
        "DTYPE2": "SPECTRAL",
        "DTYPE3": "SPATIAL",
        "DTYPE4": "STOKES",
        "DINDEX3": step + 1,
        "DINDEX4": stokes + 1,
        "CTYPE2": "AWAV",
        "CUNIT2": "nm",
        "CRPIX2": 1.0,
        "CRVAL2": 630.0,
        "CDELT2": 0.01,
    }
    made = fits.Header()
    for key, value in {**values, **changed}.items():
        if value is not None:
            made[key] = value
    return made


def write_frame(path: Path, data: NDArray[Any], head: fits.Header, options: dict[str, Any] | None) -> Path:
    """Write one FITS file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if options is None:
            hdus: list[Any] = [fits.PrimaryHDU(data, head)]
        else:
            defaults = {"tile_shape": (1, 20, 32), **({"quantize_level": 16} if data.dtype.kind == "f" else {})}
            hdus = [fits.PrimaryHDU(), fits.CompImageHDU(data, head, **{**defaults, **options})]
        fits.HDUList(hdus).writeto(path, checksum=True, overwrite=True)
    return path


def write_set(folder: Path, kind: str = "rice", *, seed: int = 3, **changed: Any) -> list[Path]:
    """Write all frames of a dataset, a file for each, in the order of their places."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    what, options = KINDS[kind]
    return [
        write_frame(
            folder / f"VISP_{stokes}_{step:02}.fits", pixels(what, rng), header(stokes, step, **changed), options
        )
        for stokes in range(SHAPE[0])
        for step in range(SHAPE[1])
    ]


def astropy_pixels(path: Path) -> NDArray[Any]:
    """Return what astropy reads of a file's image, in native byte order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            data = np.asarray(next(hdu.data for hdu in hdus if hdu.data is not None))
    return data.astype(data.dtype.newbyteorder("="))


def new_archive(url: str) -> Store:
    """Return the store of an archive that is made there."""
    from archive.store import open_store
    from ingest.initialise import initialise

    store = open_store(url)
    initialise(store)
    return store


def example_files(folder: Path, frames: int) -> list[Path]:
    """Return files of an example dataset, as a data centre would hand them out: the asdf, then some of its frames."""
    import archive as lk

    cube = lk.get_example_cube("raster")
    folder.mkdir(parents=True)
    asdf = cube.io.to_asdf(folder / "raster.asdf")
    return [asdf, *cube.io.to_fits(folder)[:frames]]


def write_changed(path: Path, original: Path) -> Path:
    """Write a file that is the same frame of the same dataset, with other pixels."""
    with warnings.catch_warnings(), fits.open(original) as hdus:
        warnings.simplefilter("ignore")
        for hdu in hdus:
            if hdu.data is not None:
                hdu.data = hdu.data[..., ::-1] + 1
        hdus.writeto(path, checksum=True)
    return path
