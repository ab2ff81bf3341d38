"""Where a Spool meets Cubes: what only Patches can do is refused, the rest is asked of the Cube.

Nothing of `archive.cube` is imported before there is a Cube.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.patch import Patch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["line_of", "names_of", "only_patches", "part_of", "span_of", "start_of"]


def only_patches(items: Sequence[Any], what: str) -> Sequence[Patch]:
    """Return Patches, if there is nothing else.

    Raises
    ------
    InvalidInput
        There are Cubes, too; the message says that they cannot do `what`.
    """
    if any(not isinstance(item, Patch) for item in items):
        raise InvalidInput(f"Cubes {what}; choose other data with select(dataset=...), or work on one Cube: spool[0]")
    return items


def names_of(item: Any) -> tuple[str, ...]:
    """Return what a Patch or a Cube can be selected by."""
    if isinstance(item, Patch):
        return (*item.coords, *item.attrs)
    return ("time", "wavelength", "stokes", "sky", *item.attrs, *item.header_names)


def part_of(cube: Any, selectors: Mapping[str, Any], *, plain: bool) -> list[Any]:
    """Return what a selection takes of a Cube, nothing or one.

    Parameters
    ----------
    plain
        Whether it is by values: not by numbers of samples, nor relative to the ends.
    """
    from archive.cube.selecting import select_cube

    if not plain:
        raise InvalidInput("Cubes are selected by values; for pixels, slice them: cube[0, 2:8]")
    part = select_cube(cube, selectors)
    return [] if part is None else [part]


def span_of(cube: Any) -> tuple[int, int]:
    """Return first and last time of a Cube's frames, ns."""
    stamps = cube.times.astype(np.int64)
    return int(stamps.min()), int(stamps.max())


def start_of(cube: Any, name: str) -> Any:
    """Return what a Cube is sorted by: the first time, or an attribute.

    Raises
    ------
    InvalidInput
        It has no such attribute.
    """
    if name == "time":
        return cube.times.min()
    if name in cube.attrs:
        return cube.attrs[name]
    raise InvalidInput(f"sort({name!r}): not every Cube has such an attribute")


def line_of(cube: Any) -> dict[str, Any]:
    """Return a Cube's line in a table of contents."""
    dims = ",".join(name or "pixels" for name in cube.wcs.pixel_axis_names[::-1])
    first, last = (np.datetime64(stamp, "ns") for stamp in span_of(cube))
    held = {"dims": dims, "shape": cube.shape, "dtype": str(cube.dtype), "time_min": first, "time_max": last}
    return {**held, "frames": len(cube.files), "missing": len(cube.missing), **cube.attrs}
