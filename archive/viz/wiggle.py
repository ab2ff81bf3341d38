"""Wiggles: each channel as a line, beside the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.viz.drawing import coord_label, few, label_axis, new_axes, value_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from archive.patch import Patch

__all__ = ["wiggle"]

_MOST = 150  # lines that can be told apart
_FAINT = 0.5


def wiggle(
    patch: Patch, dim: str, *, scale: float, alpha: float | None, color: str, shade: bool, ax: Axes | None
) -> Axes:
    """Draw each channel as a line; `PatchViz.wiggle` says the rest."""
    singles = [name for name, size in zip(patch.dims, patch.shape, strict=True) if size == 1]
    for name in singles[: max(patch.ndim - 1, 0)]:
        patch = patch.squeeze(name)
    if patch.dtype.kind == "c" or not 1 <= patch.ndim <= 2:  # noqa: PLR2004 - a picture has two dims
        raise InvalidInput(f"wiggles show real samples of one or two dims, not {patch.dtype} of {patch.dims}")
    along = patch.dims[0] if patch.ndim == 1 else dim
    if along not in patch.dims:
        raise InvalidInput(f"{along}: no such dim; there are {', '.join(patch.dims)}")
    across = next((name for name in patch.dims if name != along), None)
    left_out = 1
    if across is not None and patch.coords[across].size > _MOST:
        left_out = -(-patch.coords[across].size // _MOST)
        patch = patch.take(across, slice(0, patch.coords[across].size, left_out))
    samples, positions, step = few(patch, along)
    ax = new_axes(ax)
    where, order = positions[0], np.argsort(positions[0], kind="stable")
    if across is None:
        lines, offsets = _broken(samples.astype(float)[order, None], where[order]), np.zeros(1)
    else:
        lines = _broken(samples.astype(float)[order], where[order])
        offsets = positions[1]
        lines = offsets + lines * _gain(lines, offsets, scale)
    _lines(
        ax, where[order], lines, offsets, alpha=alpha or (1.0 if across is None else _FAINT), color=color, shade=shade
    )
    label_axis(ax, "x", patch.coords[along], coord_label(along, patch.coords[along]))
    if across is None:
        ax.set_ylabel(value_label(patch))
    else:
        label_axis(ax, "y", patch.coords[across], coord_label(across, patch.coords[across]))
    told = [f"1 in {left_out} of the lines"] * (left_out > 1) + [f"1 in {step} of the samples"] * (step > 1)
    if told:
        ax.set_title(f"{' and '.join(told)} shown", fontsize="small", loc="right")
    if len(where) > 1:
        ax.set_xlim(where.min(), where.max())
    if not np.isfinite(lines).any():
        ax.set_ylim(offsets.min() - 1, offsets.max() + 1)
    return ax


def _gain(lines: NDArray[Any], offsets: NDArray[Any], scale: float) -> float:
    """Return what makes lines as high as they are apart, on the average."""
    finite = np.where(np.isfinite(lines), lines, np.nan)
    known = finite[:, np.isfinite(finite).any(axis=0)]
    swing = float(np.mean(np.nanmax(known, axis=0) - np.nanmin(known, axis=0))) if known.size else 0.0
    apart = float(np.median(np.abs(np.diff(offsets)))) if len(offsets) > 1 else 1.0
    return scale * (apart or 1.0) / swing if swing > 0 else 0.0


def _broken(lines: NDArray[Any], where: NDArray[np.float64]) -> NDArray[Any]:
    """Return lines that end where samples are missing."""
    steps = np.diff(where)
    if not len(steps):
        return lines
    gaps = np.flatnonzero(steps > 1.5 * np.median(steps))
    lines = lines.copy()
    lines[gaps] = np.nan
    return lines


def _lines(
    ax: Axes, where: NDArray[Any], lines: NDArray[Any], offsets: NDArray[Any], *, alpha: float, color: str, shade: bool
) -> None:
    marker = "." if len(where) == 1 else None
    for line, offset in zip(lines.T, offsets, strict=True):
        ax.plot(where, line, color=color, alpha=alpha, linewidth=0.8, marker=marker)
        if shade:
            ax.fill_between(where, offset, line, where=line > offset, color=color, alpha=alpha, linewidth=0)
