"""World coordinates along the axes of a Cube, as numbers and as objects of astropy."""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.wcs.cube_wcs import CubeWcs

__all__ = [
    "array_axis_physical_types",
    "axis_values",
    "axis_world_coords",
    "axis_world_coords_values",
    "global_coords",
    "objects_of",
    "world_ranges",
]

_PROBES = 9


def array_axis_physical_types(wcs: CubeWcs) -> list[tuple[str, ...]]:
    """Return the physical types that vary along each array axis."""
    types = np.array(wcs.world_axis_physical_types, dtype=object)
    return [tuple(types[column].tolist()) for column in wcs.axis_correlation_matrix.T[::-1]]


def axis_values(wcs: CubeWcs, world_axes: Sequence[int], *, corners: bool = False) -> dict[int, NDArray[np.float64]]:
    """Return the numbers of some world axes at every pixel, each over the array axes that it hangs on, in array order.

    Parameters
    ----------
    world_axes
        By number.
    corners
        At the corners of the pixels instead of their centres: one more along each axis.
    """
    shape = wcs.pixel_shape
    lengths = [length + 1 if corners else length for length in shape]
    out = {}
    for world in world_axes:
        depends = wcs.axis_correlation_matrix[world]
        grids = [
            (np.arange(length) - (0.5 if corners else 0.0)).reshape(
                [-1 if axis == along else 1 for axis in range(len(shape))]
            )
            if depends[along]
            else np.zeros((1,) * len(shape))
            for along, length in enumerate(lengths)
        ]
        values = wcs.pixel_to_world_values(*grids)
        array = np.asarray(values if wcs.world_n_dim == 1 else values[world])
        kept = tuple(length for length, wanted in zip(lengths, depends, strict=True) if wanted)
        out[world] = array.reshape(kept).T
    return out


def world_ranges(wcs: CubeWcs) -> list[tuple[str, float, float, str]]:
    """Return the range of each world axis by some pixels at and between the corners: physical type, ends, unit."""
    shape = wcs.array_shape
    numbers = [np.unique(np.linspace(0, length - 1, min(length, _PROBES)).round()) for length in shape]
    grids = np.meshgrid(*numbers, indexing="ij", sparse=True)
    values = wcs.pixel_to_world_values(*grids[::-1])
    found = []
    for array, kind, unit in zip(
        [values] if wcs.world_n_dim == 1 else values,
        wcs.world_axis_physical_types,
        wcs.world_axis_units,
        strict=True,
    ):
        there = array[np.isfinite(array)]
        if there.size:
            found.append((str(kind), float(there.min()), float(there.max()), str(unit)))
    return found


def _world_axes(wcs: CubeWcs, axes: Sequence[int | str]) -> list[int]:
    """Return the world axes that array axes or physical types stand for; all, where none is named."""
    if not axes:
        return list(range(wcs.world_n_dim))
    found: set[int] = set()
    for axis in axes:
        if isinstance(axis, str):
            types = [str(kind) for kind in wcs.world_axis_physical_types]
            matches = [number for number, kind in enumerate(types) if axis in kind]
            if len(matches) != 1:
                raise InvalidInput(f"{axis}: {len(matches)} physical types are called so; there are {', '.join(types)}")
            found.update(matches)
        else:
            column = wcs.pixel_n_dim - 1 - axis % wcs.pixel_n_dim
            found.update(np.flatnonzero(wcs.axis_correlation_matrix[:, column]).tolist())
    return sorted(found)


def axis_world_coords(wcs: CubeWcs, axes: Sequence[int | str], *, corners: bool = False) -> tuple[Any, ...]:
    """Return the world coordinates of every pixel along some axes, as objects."""
    components = wcs.world_axis_object_components
    names = {components[number][0] for number in _world_axes(wcs, axes)}
    wanted = [number for number, (name, _, _) in enumerate(components) if name in names]
    values = axis_values(wcs, wanted, corners=corners)
    return tuple(objects_of(wcs, values).values())


def axis_world_coords_values(wcs: CubeWcs, axes: Sequence[int | str], *, corners: bool = False) -> Any:
    """Return the world coordinates of every pixel along some axes, as quantities in a named tuple."""
    import astropy.units as u

    wanted = _world_axes(wcs, axes)
    values = axis_values(wcs, wanted, corners=corners)
    table = str.maketrans({":": "_", ".": "_", "-": "__"})
    named = {
        str(wcs.world_axis_physical_types[number]).translate(table): u.Quantity(
            values[number], wcs.world_axis_units[number], copy=False
        )
        for number in reversed(wanted)
    }
    return namedtuple("CoordValues", named)(**named)  # noqa: PYI024 - its fields are known only now


def objects_of(wcs: CubeWcs, values: dict[int, Any]) -> dict[str, Any]:
    """Return the objects that some numbers of world axes make, by the name of their class in the WCS."""
    return _objects(wcs.world_axis_object_components, wcs.world_axis_object_classes, values)


def _objects(components: Sequence[Any], classes: dict[str, Any], values: dict[int, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in dict.fromkeys(components[number][0] for number in values):
        kind, args, options, *converter = classes[name]
        numbers = sorted((number for number in values if components[number][0] == name), key=lambda n: components[n][1])
        make = converter[0] if converter else kind
        made[name] = make(*(values[number] for number in numbers), *args, **options)
    return made


def global_coords(wcs: CubeWcs) -> dict[Any, Any]:
    """Return the world coordinates that no longer vary, by name: a sky coordinate by that of its frame."""
    dropped = wcs.dropped_world_dimensions
    components = dropped["world_axis_object_components"]
    whole = set(dropped["world_axis_object_classes"])
    left = {name for name, _, _ in wcs.world_axis_object_components}
    values = {number: value for number, value in enumerate(dropped["value"]) if components[number][0] in whole - left}
    made = _objects(components, dropped["world_axis_object_classes"], values)
    out: dict[Any, Any] = {}
    for key, coordinate in made.items():
        axes = [number for number in values if components[number][0] == key]
        names = tuple(
            dropped["world_axis_names"][number] or dropped["world_axis_physical_types"][number] for number in axes
        )
        name: Any = names[0] if len(set(names)) == 1 else names
        out[coordinate.name if key == "celestial" and hasattr(coordinate, "name") else name] = coordinate
    return out
