"""Tiles of a mosaic put together on one grid of the sky, by reproject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive.cube.cube import Cube

__all__ = ["mosaic_of"]


def mosaic_of(images: Sequence[Cube], *, resolution: Any = None, combine: str = "mean", **options: Any) -> Cube:
    """Return images of neighbouring parts of the sky as one; reads all of their pixels.

    Parameters
    ----------
    images
        Cubes whose two axes are both on the sky, each taken at its own time.
    resolution
        A quantity of angle: the size of a pixel of the common grid, the smallest of the images' without.
    combine
        What a pixel in several images becomes: "mean", "sum", "first", "last", "min" or "max".
    options
        Others of `reproject.mosaicking.reproject_and_coadd`, such as `match_background`.

    Raises
    ------
    InvalidInput
        There are no images, or one of them is not two axes on the sky.
    MissingExtra
        reproject is not installed.

    References
    ----------
    `reproject.mosaicking`: the grid is a tangent plane that holds all images; pixels are interpolated.
    """
    try:
        from reproject import reproject_interp
        from reproject.mosaicking import find_optimal_celestial_wcs, reproject_and_coadd
    except ModuleNotFoundError as error:
        raise MissingExtra("a mosaic needs reproject: pip install 'lightkeep[frames]'") from error
    if not images:
        raise InvalidInput("there is no image to make a mosaic of")
    for image in images:
        kinds = [kind or "" for kind in image.wcs.world_axis_physical_types]
        if image.ndim != 2 or len(kinds) != 2 or not all(kind.startswith(("pos.", "custom:pos.")) for kind in kinds):  # noqa: PLR2004 - a plane
            raise InvalidInput(
                f"a mosaic is made of images of two axes on the sky, not of {', '.join(kinds)} in the shape "
                f"{image.shape}: give an index for each other axis, as in cube.mosaic(3) for the fourth frame"
            )
    parts = [(_filled(image), image.wcs) for image in images]
    grid, shape = find_optimal_celestial_wcs(parts, resolution=resolution, negative_lon_cdelt="auto")
    data, footprint = reproject_and_coadd(
        parts, grid, shape_out=shape, reproject_function=reproject_interp, combine_function=combine, **options
    )
    first = images[0]
    meta = {key: value for key, value in first.meta.items() if key not in {"tile", "tiles"}}
    return type(first)(data, grid, unit=first.unit, mask=footprint == 0, meta=meta)


def _filled(image: Cube) -> Any:
    """Return the pixels with NaN where they are masked."""
    data = np.asarray(image.to_numpy(), dtype=float)
    return data if image.mask is None else np.where(np.asarray(image.mask), np.nan, data)
