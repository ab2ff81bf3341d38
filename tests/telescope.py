"""The coordinates of real and made telescope datasets, as gWCS has them."""

from __future__ import annotations

import gzip
import io
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from shared import shared_folder

if TYPE_CHECKING:
    from collections.abc import Callable

RNG = np.random.default_rng(11)


@dataclass(frozen=True)
class Known:
    """A gWCS, and the shape of the array that it belongs to."""

    gwcs: Any
    shape: tuple[int, ...]
    singly: bool = False  # dkist 1.18 mixes up points where the pointing varies along three axes

    def world(self, *pixels: Any) -> Any:
        """Return the gWCS's world coordinates."""
        return self._call(self.gwcs.pixel_to_world_values, pixels)

    def pixels(self, *world: Any) -> Any:
        """Return the gWCS's pixels."""
        return self._call(self.gwcs.world_to_pixel_values, world)

    def _call(self, function: Any, arrays: Any) -> Any:
        if not self.singly or np.ndim(arrays[0]) == 0:
            return function(*arrays)
        points = zip(*(array.tolist() for array in arrays), strict=True)
        return tuple(np.array([function(*point) for point in points], dtype=float).T)


@lru_cache
def open_asdf(path: str) -> list[Known]:
    """Return the coordinates in an asdf file of the data centre, one for each tile."""
    import asdf

    content = (shared_folder("frames") / path).read_bytes()
    content = gzip.decompress(content) if path.endswith(".gz") else content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the files are older than the schemas
        with asdf.open(io.BytesIO(content), lazy_load=False, memmap=False) as tree:
            dataset = tree["dataset"]
            tiles = list(dataset.flat) if hasattr(dataset, "flat") else [dataset]
            return [Known(tile.wcs, tuple(tile.data.shape)) for tile in tiles]


REAL = {
    path.split("/")[-1].partition(".")[0]: path
    for path in (
        "real_asdf/croppable_cryo.asdf.gz",
        "real_asdf/croppable_visp.asdf.gz",
        "real_asdf/large_vbi.asdf.gz",
        "real_asdf/large_visp.asdf.gz",
        "real_asdf/test_tiled_dataset-1.3.0_dataset-1.2.0.asdf",
        "real_asdf/test_visp.asdf",
        "visp/VISP_L1_20240514T183000_NJJEKB_metadata.asdf",
        "vbi_mosaic/VBI_L1_20240514T183000_IBYRBB_metadata.asdf",
    )
}


def varying(*shape: int, slit: bool = False, swapped: bool = False) -> Known:
    """Return a pointing that varies along some axes, with a table of times over the same ones, and Stokes."""
    import astropy.units as u
    from astropy.modeling import models as m
    from dkist.wcs.models import AsymmetricMapping, CoupledCompoundModel, varying_celestial_transform_from_tables
    from dkist_inventory.transforms import generate_lookup_table

    angles = RNG.uniform(-0.1, 0.1, shape)
    pc = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=-1).reshape(*shape, 2, 2)
    celestial = varying_celestial_transform_from_tables(
        crpix_table=RNG.uniform(0, 20, (*shape, 2)) * u.pix,
        cdelt=[0.3, 0.2] * u.arcsec / u.pix,
        pc_table=pc * u.pix,
        crval_table=RNG.uniform(-600, 600, (*shape, 2)) * u.arcsec,
        lon_pole=180 * u.deg,
        slit=(0 if swapped else 1) if slit else None,
    )
    shared = len(shape)
    if swapped:
        mapping = list(range(celestial.n_inputs))
        mapping[:2] = [1, 0]
        back = tuple(range(celestial.inverse.n_outputs))
        celestial = AsymmetricMapping(forward_mapping=mapping, backward_mapping=back) | celestial
    rising = np.cumsum(RNG.uniform(1, 3, np.prod(shape))).reshape(shape, order="F")
    time = generate_lookup_table(rising * u.s)
    stokes = generate_lookup_table([1, 2, 3, 4] * u.one, interpolation="nearest")
    model = CoupledCompoundModel("&", celestial, time & stokes, shared_inputs=shared)
    if not slit:
        model = m.Linear1D(slope=0.01 * u.nm / u.pix, intercept=630 * u.nm) & model
    lengths = {"wave": () if slit else (15,), "image": (25,) if slit else (20, 25)}
    pixel_shape = (*lengths["wave"], *lengths["image"], *shape, 4)
    return Known(frames_of(model, wave=not slit, pixels=len(pixel_shape)), pixel_shape[::-1], shared == 3)


def frames_of(model: Any, *, wave: bool, pixels: int) -> Any:
    """Return the gWCS of a model whose axes are [wavelength,] longitude, latitude, time, Stokes."""
    import astropy.units as u
    import gwcs
    from astropy.time import Time
    from gwcs import coordinate_frames as cf
    from sunpy.coordinates import HeliographicStonyhurst, Helioprojective

    when = Time("2024-05-14T18:30:00.5")
    observer = HeliographicStonyhurst(1 * u.deg, -3 * u.deg, 1.01 * u.AU, obstime=when)
    frames: list[Any] = [cf.SpectralFrame(axes_order=(0,), unit=u.nm, axes_names=("wavelength",))] if wave else []
    first = len(frames)
    frames += [
        cf.CelestialFrame(
            axes_order=(first, first + 1),
            reference_frame=Helioprojective(obstime=when, observer=observer),
            unit=(u.arcsec, u.arcsec),
            axis_physical_types=("custom:pos.helioprojective.lon", "custom:pos.helioprojective.lat"),
        ),
        cf.TemporalFrame(axes_order=(first + 2,), reference_frame=when, unit=(u.s,), axes_names=("time",)),
        cf.StokesFrame(axes_order=(first + 3,)),
    ]
    pixel = cf.CoordinateFrame(
        naxes=pixels, axes_type=["PIXEL"] * pixels, axes_order=range(pixels), unit=[u.pix] * pixels, name="pixel"
    )
    return gwcs.WCS(forward_transform=model, input_frame=pixel, output_frame=cf.CompositeFrame(frames))


MADE: dict[str, Callable[[], Known]] = {
    "pointing by one axis": lambda: varying(6),
    "pointing by two axes": lambda: varying(4, 3),
    "pointing by three axes": lambda: varying(3, 2, 2),
    "slit": lambda: varying(7, slit=True),
    "swapped slit": lambda: varying(5, slit=True, swapped=True),
}
