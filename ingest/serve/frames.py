"""Pictures of frames: tiles of an image of a Cube, what its axes mean, and the header of the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from ingest.serve.reducing import reduced
from ingest.serve.tile import NOTHING, SIDE, Tile, marked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.serve.pinned import Pinned

__all__ = ["ImageOf", "cube_info", "frame_info", "frame_tile"]

_PROBES = 33  # pixels along an axis at which the world coordinates are told
_BYTES = 32 << 20  # of pixels that are read for one tile
_IMAGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOf:
    """Which image.

    Parameters
    ----------
    dataset, cube
        Of which Cube of which dataset, by number.
    at
        Its place: a number for each axis but the last two.
    """

    dataset: str
    cube: int
    at: tuple[int, ...]


def cube_info(cube: Any) -> dict[str, Any]:
    """Return what a page needs to draw the images of a Cube, as JSON."""
    from archive.cube.coordinates import world_ranges

    names = cube.wcs.pixel_axis_names[::-1]
    return {
        "shape": list(cube.shape),
        "axes": [name or f"axis {number}" for number, name in enumerate(names)],
        "dtype": str(cube.dtype),
        "unit": "" if cube.unit is None else str(cube.unit),
        "frames": len(cube.files),
        "missing": len(cube.missing),
        "world": [
            {"type": kind, "from": low, "to": high, "unit": unit} for kind, low, high, unit in world_ranges(cube.wcs)
        ],
        "tile": list(cube.attrs["tile"]) if "tile" in cube.attrs else None,
    }


def _image(pinned: Pinned, of: ImageOf) -> Any:
    """Return one image of a Cube, unread.

    Raises
    ------
    InvalidInput
        There is no such Cube, or the place is none of its images.
    """
    name, number, at = of.dataset, of.cube, of.at
    cubes = pinned.cubes(name)
    if number >= len(cubes):
        raise InvalidInput(f"cube={number}: {name} has {len(cubes)}, counted from 0")
    cube = cubes[number]
    if cube.ndim < _IMAGE:
        raise InvalidInput(f"{name}: a Cube of one axis has no images")
    outer = cube.shape[:-_IMAGE]
    if len(at) != len(outer) or any(place >= length for place, length in zip(at, outer, strict=True)):
        raise InvalidInput(f"at={','.join(map(str, at))}: wanted {len(outer)} numbers, each below {list(outer)}")
    return cube[(*at, slice(None), slice(None))] if at else cube


def frame_tile(pinned: Pinned, of: ImageOf, level: int, place: tuple[int, int], how: str) -> Tile:
    """Return a tile of an image: 256 by 256 pixels of 2**level by 2**level of its own.

    Parameters
    ----------
    place
        Number of the tile along the columns and along the rows.

    Raises
    ------
    InvalidInput
        There is no such image or tile.
    DamagedData, StoreTrouble
        The store does not give the pixels as they were committed.
    """
    image = _image(pinned, of)
    windows = []
    for length, index in zip(image.shape, place[::-1], strict=True):
        first = (index * SIDE) << level
        if first >= length:
            raise InvalidInput(f"tile {place} of level {level} lies outside of an image of {image.shape}")
        windows.append(slice(first, min(((index + 1) * SIDE) << level, length)))
    pixels = int(np.prod([window.stop - window.start for window in windows]))
    step = 1
    while pixels * image.dtype.itemsize / step**2 > _BYTES and step < 1 << level:
        step *= 2
    part = image[tuple(slice(window.start, window.stop, step) for window in windows)]
    values, masked = part.to_numpy(), part.mask
    if masked is not None:
        values = np.where(masked, np.nan, values)
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], max((1 << level) // step, 1))
        values = reduced(values, starts, axis, how)
        masked = None if masked is None else np.logical_and.reduceat(masked, starts, axis=axis)
    picture = marked(values)
    if masked is not None:
        picture[masked] = NOTHING
    return Tile(picture, {"read": 1 / step**2})


def frame_info(pinned: Pinned, of: ImageOf) -> dict[str, Any]:
    """Return what is known of an image, as JSON: file, time, header, and the world coordinates along its axes."""
    image = _image(pinned, of)
    header = {}
    if len(image.files) == 1:
        header = {key: _plain(image.header(key)[0]) for key in image.header_names}
    times = image.times.astype("datetime64[ns]").astype(np.int64)
    return {
        "files": image.files[:1],
        "frames": len(image.files),
        "missing": bool(image.missing),
        "time": str(int(times[0])) if len(times) else None,
        "header": header,
        "axes": [_axis(image.wcs, axis) for axis in (0, 1)],
    }


def _plain(value: Any) -> Any:
    """Return a header's value as JSON has it."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (str, bool, int)) else None if value is None else str(value)


def _axis(wcs: Any, axis: int) -> dict[str, Any]:
    """Return the world coordinate that changes most along one axis of an image, through its middle."""
    shape = wcs.array_shape
    probes = [np.unique(np.linspace(0, length - 1, min(length, _PROBES)).round()) for length in shape]
    along = _world(wcs, probes, axis)
    across = _world(wcs, probes, 1 - axis)
    name = wcs.pixel_axis_names[::-1][axis] or ("rows", "columns")[axis]
    found: dict[str, Any] = {"name": name, "pixels": probes[axis].tolist(), "values": None, "unit": "", "type": ""}
    best = 0.0
    kinds = zip(along, across, wcs.world_axis_physical_types, wcs.world_axis_units, strict=True)
    for values, other, kind, unit in kinds:
        if not np.isfinite(values).all() or kind in {"time", "phys.polarization.stokes"}:
            continue
        change, sideways = float(np.ptp(values)), float(np.ptp(other))
        share = change / (change + sideways) if change else 0.0
        if share > best:
            best = share
            found.update(values=values.tolist(), unit=str(unit), type=str(kind))
    return found


def _world(wcs: Any, probes: Sequence[NDArray[np.float64]], axis: int) -> list[NDArray[np.float64]]:
    """Return the world coordinates along one axis, the other in its middle."""
    places: list[Any] = [(length - 1) / 2 for length in wcs.array_shape]
    places[axis] = probes[axis]
    values = wcs.pixel_to_world_values(*np.broadcast_arrays(*places[::-1]))
    listed = [values] if wcs.world_n_dim == 1 else values
    return [np.asarray(one, dtype=float) for one in listed]
