"""Where the fibre lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from archive.errors import InvalidInput
from archive.viz.drawing import colours_for, coord_label, label_axis, limits_of, new_axes, positions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from archive.coords import Coord
    from archive.patch import Patch

__all__ = ["map_fiber"]

_MOST = 20_000  # points of a picture
_ALIKE = 20  # times that one axis may be longer than the other to be drawn to scale


def map_fiber(
    patch: Patch,
    x: NDArray[Any] | str,
    y: NDArray[Any] | str,
    color: NDArray[Any] | str,
    *,
    ax: Axes | None,
    cmap: str | None,
    scale: float | Sequence[float] | None,
    scale_type: Literal["relative", "absolute"],
) -> Axes:
    """Draw the channels as points coloured by a coordinate; `PatchViz.map_fiber` says the rest."""
    (across, x_coord), (up, y_coord), (values, shade) = (_values(patch, given) for given in (x, y, color))
    if not len(across) == len(up) == len(values):
        raise InvalidInput(f"x, y and color have {len(across)}, {len(up)} and {len(values)} values; give as many each")
    known = np.isfinite(across) & np.isfinite(up)
    if not known.any():
        raise InvalidInput("no channel has a place: x or y is NaN everywhere")
    step = -(-int(known.sum()) // _MOST)
    across, up, values = across[known][::step], up[known][::step], values[known][::step]
    ax = new_axes(ax, (8, 6))
    limits = limits_of(values, (0, 1) if scale is None else scale, scale_type)
    points = ax.scatter(
        across, up, c=values, s=12, cmap=colours_for(cmap, values), vmin=limits[0], vmax=limits[1], plotnonfinite=True
    )
    for which, name, coord in (("x", x, x_coord), ("y", y, y_coord)):
        if coord is not None:
            label_axis(ax, which, coord, coord_label(str(name), coord))
    if isinstance(x, str) and isinstance(y, str) and x != y and _to_scale(x_coord, y_coord, across, up):
        ax.set_aspect("equal", adjustable="datalim")
    ax.ticklabel_format(useOffset=False) if not any(c is not None and c.is_time for c in (x_coord, y_coord)) else None
    if cmap is not None:
        bar = ax.figure.colorbar(points, ax=ax, pad=0.02)
        bar.set_label(coord_label(color, shade) if isinstance(color, str) and shade is not None else "")
    return ax


def _values(patch: Patch, given: NDArray[Any] | str) -> tuple[NDArray[np.float64], Coord | None]:
    if isinstance(given, str):
        coord = patch.coords[given]
        if coord.to_numpy().dtype.kind not in "iufbMm":
            raise InvalidInput(f"{given} holds no numbers; a map needs some")
        return positions_of(coord), coord
    return np.asarray(given, dtype=np.float64), None


def _to_scale(x: Coord | None, y: Coord | None, across: NDArray[Any], up: NDArray[Any]) -> bool:
    if x is None or y is None or x.units != y.units:
        return False
    spans = sorted((float(np.ptp(across)), float(np.ptp(up))))
    return spans[0] > 0 and spans[1] / spans[0] <= _ALIKE
