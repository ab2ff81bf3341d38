"""Waterfalls: samples as colours over two dims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from archive.errors import InvalidInput
from archive.viz.drawing import colours_for, coord_label, evenly, few, label_axis, limits_of, new_axes, value_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from archive.patch import Patch

__all__ = ["draw", "waterfall"]


def waterfall(
    patch: Patch,
    ax: Axes | None,
    *,
    cmap: str | None,
    scale: float | Sequence[float] | None,
    scale_type: Literal["relative", "absolute"],
    interpolation: str | None,
    log: bool,
    cbar: bool,
) -> Axes:
    """Draw the samples as colours over time and distance; `PatchViz.waterfall` says the rest."""
    if patch.ndim != 2:  # noqa: PLR2004 - a picture has two dims
        raise InvalidInput(f"a waterfall shows two dims, not {patch.dims}; select one channel less, or squeeze")
    if patch.dtype.kind == "c":
        raise InvalidInput("a waterfall shows real samples; take patch.abs() or patch.real() first")
    down = "time" if "time" in patch.dims else patch.dims[0]
    across = next(dim for dim in patch.dims if dim != down)
    samples, positions, step = few(patch, down)
    if log:
        with np.errstate(divide="ignore"):
            samples = np.log10(np.abs(samples.astype(float)))
    limits = limits_of(samples, scale, scale_type)
    label = f"log₁₀ {value_label(patch)}" if log else value_label(patch)
    ax = draw(
        samples,
        positions,
        new_axes(ax),
        cmap=cmap,
        limits=limits,
        interpolation=interpolation,
        label=label if cbar else None,
    )
    for which, dim in (("x", down), ("y", across)):
        label_axis(ax, which, patch.coords[dim], coord_label(dim, patch.coords[dim]))
    if step > 1:
        ax.set_title(f"1 in {step} of {patch.coords[down].size} samples shown", fontsize="small", loc="right")
    return ax


def draw(
    samples: NDArray[Any],
    positions: Sequence[NDArray[np.float64]],
    ax: Axes,
    *,
    cmap: str | None,
    limits: tuple[float, float],
    interpolation: str | None,
    label: str | None,
) -> Axes:
    """Draw an array of two dims as an image, the first to the right, and a colour bar where it has a label."""
    samples = np.asarray(samples, dtype=np.uint8) if samples.dtype == np.bool_ else samples
    edges: list[float] = []
    for axis in (0, 1):
        samples, found = evenly(samples, positions[axis], axis)
        edges.extend(found)
    image = ax.imshow(
        samples.T,
        aspect="auto",
        origin="lower",
        interpolation=interpolation,
        cmap=colours_for(cmap, samples),
        vmin=limits[0],
        vmax=limits[1],
        extent=(edges[0], edges[1], edges[2], edges[3]),
    )
    if label is not None:
        ax.figure.colorbar(image, ax=ax, pad=0.02).set_label(label)
    return ax
