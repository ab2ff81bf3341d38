"""Choosing Cubes, and frames in them, by what the index knows: attributes, headers and world coordinates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.coordinates import axis_values
from archive.errors import InvalidInput
from archive.select import is_open, time_bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.cube.cube import Cube
    from archive.wcs.cube_wcs import CubeWcs

__all__ = ["WORLD", "select_cube"]

WORLD = ("time", "wavelength", "stokes", "sky")
_STOKES = {"I": 1, "Q": 2, "U": 3, "V": 4}
_PROBES = 65  # pixels along each axis that are tried for a place in the sky
_PAIR = 2


def select_cube(cube: Cube, selectors: Mapping[str, Any]) -> Cube | None:
    """Return the part of a Cube that selectors take, unread; `None` where nothing is left.

    Parameters
    ----------
    selectors
        `time` as for Patches; `wavelength` a pair of quantities (or of numbers in the axis's unit); `stokes` a letter
        or several; `sky` two opposite corners of a box, as `SkyCoord`s or pairs of longitude and latitude in the
        axes' unit; else attributes of the Cube and keywords of its headers: a text (`*` and `?` are wildcards), a
        number, a list of either, or a pair for a range.

    Raises
    ------
    InvalidInput
        A selector cannot be understood.
    """
    frames: list[NDArray[np.bool_]] = []
    world: dict[str, Any] = {}
    for name, wanted in selectors.items():
        if is_open(wanted):
            continue
        if name in WORLD[1:]:
            world[name] = wanted
        elif name == "time":
            frames.append(_times_inside(cube, wanted))
        elif name in cube.attrs:
            if not bool(_matches(np.array([cube.attrs[name]], object), wanted)[0]):
                return None
        elif name in cube.header_names:
            frames.append(_matches(cube.header(name), wanted))
        else:
            return None
    part: Cube | None = cube
    if frames:
        part = cube.with_frames(np.logical_and.reduce(frames))
    for name, wanted in world.items():
        part = part and _SELECT[name](part, wanted)
    return part


def _times_inside(cube: Cube, wanted: Any) -> NDArray[np.bool_]:
    if isinstance(wanted, slice):
        wanted = (wanted.start, wanted.stop)
    if not isinstance(wanted, (tuple, list)) or len(wanted) != _PAIR:
        raise InvalidInput(f"time={wanted!r}: Cubes take a pair of times, either of which may be None")
    low, high = time_bounds(wanted[0], wanted[1], None, None)
    times = cube.times.astype(np.int64)
    inside = np.ones(times.shape, dtype=bool)
    if low is not None:
        inside &= times >= low
    if high is not None:
        inside &= times <= high
    return inside


def _matches(values: NDArray[Any], wanted: Any) -> NDArray[np.bool_]:
    """Return which values are what is wanted; a value that is missing, or of another kind, is not."""
    from fnmatch import fnmatchcase

    if isinstance(wanted, (list, set, frozenset, np.ndarray)):
        none = np.zeros(len(values), dtype=bool)
        return np.asarray(np.logical_or.reduce([none, *(_matches(values, one) for one in wanted)]), dtype=bool)
    if isinstance(wanted, tuple) and len(wanted) == _PAIR:
        low, high = (None if is_open(bound) else bound for bound in wanted)
        return np.array([_between(value, low, high) for value in values.tolist()], dtype=bool)
    if isinstance(wanted, str):
        return np.array(
            [value is not None and fnmatchcase(str(value), wanted) for value in values.tolist()], dtype=bool
        )
    return np.array([value == wanted for value in values.tolist()], dtype=bool)


def _between(value: Any, low: Any, high: Any) -> bool:
    try:
        return value is not None and (low is None or value >= low) and (high is None or value <= high)
    except TypeError:
        return False


# -- world coordinates ----------------------------------------------------------------------------------------


def _kinds(wcs: CubeWcs, kind: str) -> list[int]:
    return [number for number, (name, _, _) in enumerate(wcs.world_axis_object_components) if name == kind]


def _dropped(cube: Cube, kind: str) -> Any:
    """Return the value that a coordinate has in all of a Cube, where it does not vary any more."""
    dropped = cube.wcs.dropped_world_dimensions
    for value, (name, _, _) in zip(
        dropped.get("value", ()), dropped.get("world_axis_object_components", ()), strict=False
    ):
        if name == kind:
            return value
    return None


def _along(cube: Cube, kind: str, inside: Any) -> Cube | None:
    """Return a Cube cut along the one axis on which a coordinate hangs, to where it is wanted."""
    found = _kinds(cube.wcs, kind)
    if not found:
        fixed = _dropped(cube, kind)
        return None if fixed is None or not bool(inside(np.array([fixed]))[0]) else cube
    axes = sorted((cube.ndim - 1 - np.flatnonzero(cube.wcs.axis_correlation_matrix[found[0]])).tolist())
    values = axis_values(cube.wcs, found)[found[0]]
    if len(axes) != 1:
        raise InvalidInput(f"the {kind} coordinate of this Cube hangs on {len(axes)} axes; use crop")
    keep = inside(values)
    if not keep.any():
        return None
    places = np.flatnonzero(keep)
    key = slice(int(places[0]), int(places[-1]) + 1) if len(places) == places[-1] - places[0] + 1 else keep
    return cube[(*(slice(None),) * axes[0], key)]


def _wavelength(cube: Cube, wanted: Any) -> Cube | None:
    if not isinstance(wanted, tuple) or len(wanted) != _PAIR:
        raise InvalidInput(f"wavelength={wanted!r}: give a pair, as in wavelength=(630.1 * u.nm, 630.3 * u.nm)")
    units = dict(_units(cube.wcs))
    unit = units.get("spectral", "nm")
    low, high = (None if is_open(bound) else _in_unit(bound, unit) for bound in wanted)
    return _along(
        cube,
        "spectral",
        lambda values: (values >= (-np.inf if low is None else low)) & (values <= (np.inf if high is None else high)),
    )


def _in_unit(bound: Any, unit: str) -> float:
    import astropy.units as u

    try:
        return float(bound.to_value(u.Unit(unit)) if hasattr(bound, "to_value") else bound)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"wavelength: {bound!r} is neither a number of {unit} nor a length as 630.1 * u.nm"
        ) from error


def _units(wcs: CubeWcs) -> list[tuple[str, str]]:
    names = [name for name, _, _ in wcs.world_axis_object_components]
    return list(zip(names, wcs.world_axis_units, strict=True))


def _stokes(cube: Cube, wanted: Any) -> Cube | None:
    letters = list(wanted) if isinstance(wanted, Iterable) else [wanted]
    if unknown := [letter for letter in letters if letter not in _STOKES]:
        raise InvalidInput(f"stokes={unknown[0]!r}: there are {', '.join(_STOKES)}")
    numbers = [_STOKES[letter] for letter in letters]
    return _along(cube, "stokes", lambda values: np.isin(np.rint(values), numbers))


def _sky(cube: Cube, wanted: Sequence[Any]) -> Cube | None:
    """Return the smallest Cube with all that lies in a box of the sky, whatever else varies."""
    if not isinstance(wanted, (tuple, list)) or len(wanted) != _PAIR:
        raise InvalidInput(f"sky={wanted!r}: give two opposite corners of a box")
    wcs = cube.wcs
    found = _kinds(wcs, "celestial")
    if len(found) != _PAIR:
        return None
    corners = np.array([_corner(wcs, found, corner) for corner in wanted])
    low, high = corners.min(axis=0), corners.max(axis=0)
    depends = wcs.axis_correlation_matrix[found].any(axis=0)[::-1]
    numbers = [
        np.unique(np.linspace(0, length - 1, min(length, _PROBES)).round()) if along else np.zeros(1)
        for length, along in zip(cube.shape, depends, strict=True)
    ]
    grids = np.meshgrid(*numbers, indexing="ij", sparse=True)
    world = wcs.pixel_to_world_values(*grids[::-1])
    inside = np.logical_and.reduce(
        [(world[number] >= a) & (world[number] <= b) for number, a, b in zip(found, low, high, strict=True)]
    )
    inside = np.broadcast_to(inside, [len(one) for one in numbers])
    if not inside.any():
        return _around(cube, low, high)
    key = []
    for axis, along in enumerate(depends):
        hits = np.flatnonzero(inside.any(axis=tuple(other for other in range(cube.ndim) if other != axis)))
        probes = numbers[axis]
        first = int(probes[max(hits[0] - 1, 0)]) + (hits[0] > 0)
        last = int(probes[min(hits[-1] + 1, len(probes) - 1)]) - (hits[-1] < len(probes) - 1)
        key.append(slice(first, last + 1) if along else slice(None))
    return cube[tuple(key)]


def _corner(wcs: CubeWcs, found: Sequence[int], corner: Any) -> list[float]:
    if not hasattr(corner, "transform_to"):
        try:
            longitude, latitude = (float(value) for value in corner)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"sky: {corner!r} is neither a SkyCoord nor a pair of numbers") from error
        return [longitude, latitude]
    frame = wcs.world_axis_object_classes["celestial"][2]["frame"]
    here = corner.transform_to(frame)
    return [float(wcs.world_axis_object_components[number][2](here)) for number in found]


def _around(cube: Cube, low: NDArray[np.float64], high: NDArray[np.float64]) -> Cube | None:
    """Return the pixels around a box that lies between those that were tried, if it is in the Cube."""
    from astropy.coordinates import SkyCoord

    point = SkyCoord(*((low + high) / 2), **cube.wcs.world_axis_object_classes["celestial"][2])
    try:
        return cube.crop((point,), keepdims=True)
    except InvalidInput:
        return None


_SELECT = {"wavelength": _wavelength, "stokes": _stokes, "sky": _sky}
