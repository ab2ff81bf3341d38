"""From points in the world to the smallest part of a Cube that holds them.

Where all coordinates that a pixel axis needs are given, the pixels are those that the WCS finds, as in
ndcube. Where some are not (the sky without the time, under a pointing that varies), every pixel along the
axes that only they would tell is tried, and those are taken at which the point is nearest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.wcs.cube_wcs import CubeWcs

__all__ = ["crop_key", "crop_values_key"]

_ONE_PIXEL = 2.0  # in half pixels
_EXACT = 0.2

type Keys = tuple[int | slice, ...]


def crop_key(wcs: CubeWcs, points: Sequence[Sequence[Any]], *, keepdims: bool = False) -> Keys:
    """Return the index of the smallest part with some points, given as objects, `None` for any.

    Raises
    ------
    InvalidInput
        A point has another number of objects than the WCS, or is not in the Cube.
    """
    components = wcs.world_axis_object_components
    names = list(dict.fromkeys(name for name, _, _ in components))
    rows = []
    for number, point in enumerate(points):
        given = _by_name(wcs, names, point, number)
        row: list[float | None] = []
        for name, _, take in components:
            coordinate = _in_frame(given[name], wcs.world_axis_object_classes[name])
            row.append(None if coordinate is None else _taken(coordinate, take))
        rows.append(row)
    return _key(wcs, rows, keepdims=keepdims)


def _by_name(wcs: CubeWcs, names: Sequence[str], point: Sequence[Any], number: int) -> dict[str, Any]:
    """Return the coordinates of a point by the name that the WCS has for them: told by their class, else by place."""
    given: dict[str, Any] = dict.fromkeys(names)
    for place, coordinate in enumerate(point):
        if coordinate is None:
            continue
        found = [name for name in names if _is_of(coordinate, wcs.world_axis_object_classes[name][0])]
        name = found[0] if found else names[place] if len(point) == len(names) else None
        if name is None:
            raise InvalidInput(f"{coordinate!r} in point {number} is none of the coordinates {', '.join(names)}")
        if given[name] is not None:
            raise InvalidInput(f"point {number} has a {name} coordinate twice")
        given[name] = coordinate
    return given


def _is_of(coordinate: Any, cls: type[Any]) -> bool:
    """Return whether a coordinate is of a class; a plain quantity of length is a wavelength."""
    if isinstance(coordinate, cls):
        return True
    return (
        cls.__name__ == "SpectralCoord"
        and getattr(coordinate, "unit", None) is not None
        and (coordinate.unit.physical_type == "length")
    )


def _in_frame(coordinate: Any, kind: tuple[Any, ...]) -> Any:
    """Return a sky coordinate in the WCS's frame; others as they are, a Stokes letter as a coordinate."""
    if coordinate is None:
        return None
    cls, _, options, *_ = kind
    if "frame" in options:
        return coordinate.transform_to(options["frame"])
    return cls(coordinate) if cls.__name__ == "StokesCoord" and not isinstance(coordinate, cls) else coordinate


def _taken(coordinate: Any, take: Any) -> float:
    value = take(coordinate) if callable(take) else getattr(coordinate, take)
    return float(np.asarray(getattr(value, "value", value)).item())


def crop_values_key(
    wcs: CubeWcs, points: Sequence[Sequence[Any]], units: Sequence[Any] | None = None, *, keepdims: bool = False
) -> Keys:
    """Return the index of the smallest part with some points, given as quantities for each world axis.

    Raises
    ------
    InvalidInput
        A point has another number of values than the WCS has axes, a value has no unit or one that does not
        fit, or the points are not in the Cube.
    """
    import astropy.units as u

    rows = []
    for number, point in enumerate(points):
        if len(point) != wcs.world_n_dim:
            raise InvalidInput(f"point {number} has {len(point)} values, the Cube {wcs.world_n_dim} world axes")
        row: list[float | None] = []
        for axis, value in enumerate(point):
            if value is None:
                row.append(None)
                continue
            given = units[axis] if units is not None else None
            if not isinstance(value, u.Quantity) and given is None:
                raise InvalidInput(f"value {axis} of point {number} has no unit; give a quantity, or units=")
            try:
                row.append(float(u.Quantity(value, given).to_value(wcs.world_axis_units[axis])))
            except u.UnitConversionError as error:
                raise InvalidInput(f"value {axis} of point {number}: {error}") from error
        rows.append(row)
    return _key(wcs, rows, keepdims=keepdims)


def _key(wcs: CubeWcs, rows: Sequence[Sequence[float | None]], *, keepdims: bool) -> Keys:
    """Return the index of the smallest part that holds points, `None` for what does not matter."""
    low, high = np.full(wcs.pixel_n_dim, np.inf), np.full(wcs.pixel_n_dim, -np.inf)
    for row in rows:
        for axis, places in _pixels_of(wcs, row).items():
            low[axis], high[axis] = min(low[axis], places.min()), max(high[axis], places.max())
    key: list[int | slice] = []
    for axis, length in enumerate(wcs.pixel_shape):
        if not np.isfinite(low[axis]):
            key.append(slice(None))
            continue
        # A pixel reaches half a pixel to each side; an upper end on a border does not take in the next one.
        start, stop = int(np.floor(low[axis] + 0.5)), int(np.ceil(high[axis] - 0.5)) + 1
        if stop <= 0 or start >= length:
            name = wcs.pixel_axis_names[axis] or f"pixel axis {axis}"
            raise InvalidInput(
                f"the points lie at {low[axis]:.1f} to {high[axis]:.1f} of {length} along {name}, outside"
            )
        start, stop = max(start, 0), min(max(stop, start + 1), length)
        key.append(start if stop - start == 1 and not keepdims else slice(start, stop))
    if all(isinstance(one, int) for one in key):
        raise InvalidInput("the points lie in a single pixel; keep its axes with keepdims=True")
    return tuple(key[::-1])


def _pixels_of(wcs: CubeWcs, row: Sequence[float | None]) -> dict[int, NDArray[np.float64]]:
    """Return the pixels at which a point lies, for each pixel axis that its coordinates say something of."""
    matrix = wcs.axis_correlation_matrix
    given = [number for number, value in enumerate(row) if value is not None]
    axes = np.flatnonzero(matrix[given].any(axis=0)).tolist() if given else []
    if not axes:
        return {}
    # What the inverse needs beside: the other world coordinates that hang on these axes, and on which more.
    unknown = [number for number, value in enumerate(row) if value is None and matrix[number][axes].any()]
    tried = np.flatnonzero(matrix[unknown].any(axis=0)).tolist() if unknown else []
    if any(matrix[number].sum() > 1 and not set(np.flatnonzero(matrix[number])) <= set(axes) for number in unknown):
        tried = [axis for axis in tried if axis in axes]
    grids = np.meshgrid(*(np.arange(wcs.pixel_shape[axis], dtype=float) for axis in tried), indexing="ij")
    pixels: list[Any] = [np.zeros(grids[0].shape if grids else ())] * wcs.pixel_n_dim
    for axis, grid in zip(tried, grids, strict=True):
        pixels[axis] = grid
    world = wcs.pixel_to_world_values(*pixels)
    world = [world] if wcs.world_n_dim == 1 else list(world)
    for number in given:
        world[number] = np.full(np.shape(world[number]), row[number])
    found = wcs.world_to_pixel_values(*world)
    found = [np.asarray(found)] if wcs.pixel_n_dim == 1 else [np.asarray(one) for one in found]
    nearest = _nearest(wcs, found, {number: float(row[number] or 0.0) for number in given}) if tried else ...
    places = {axis: found[axis][nearest].ravel() for axis in axes}
    if any(not np.isfinite(one).all() or not one.size for one in places.values()):
        raise InvalidInput("a point lies where these coordinates are not defined, outside of the Cube")
    return places


def _nearest(wcs: CubeWcs, found: list[NDArray[np.float64]], wanted: dict[int, float]) -> Any:
    """Return at which of the tried pixels the point comes out where it should, or is nearest to it."""
    world = wcs.pixel_to_world_values(*found)
    world = [world] if wcs.world_n_dim == 1 else list(world)
    shifted = [wcs.pixel_to_world_values(*(pixel + (0.5 if axis == n else 0) for n, pixel in enumerate(found)))
               for axis in range(wcs.pixel_n_dim)]  # fmt: skip
    # Counted in half pixels: how far the point comes out from where it should, along the worst world axis.
    off: Any = 0.0
    for number, value in wanted.items():
        moved = [one if wcs.world_n_dim == 1 else one[number] for one in shifted]
        size = np.fmax.reduce([np.abs(one - world[number]) for one in moved])
        miss = np.abs(world[number] - value)
        off = np.fmax(off, np.divide(miss, size, out=np.where(miss > 0, np.inf, 0.0), where=size > 0))
    inside = np.isfinite(off)
    for axis, length in enumerate(wcs.pixel_shape):
        if np.isfinite(found[axis]).any():
            inside &= np.abs(found[axis] - (length - 1) / 2) <= length / 2
    best = np.min(off, where=inside, initial=np.inf)
    if best > _ONE_PIXEL:
        raise InvalidInput("a point lies outside of the Cube, whatever the coordinates that were left open")
    return inside & (off <= max(best * (1 + 1e-9), _EXACT))
