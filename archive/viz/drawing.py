"""What all pictures share: figures, axes with units and dates, limits, and samples few enough to be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput, MissingExtra
from archive.reading import load_many
from archive.units import get_quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from archive.coords import Coord
    from archive.patch import Patch

__all__ = [
    "MISSING",
    "colours_for",
    "coord_label",
    "edges_of",
    "evenly",
    "few",
    "label_axis",
    "limits_of",
    "new_axes",
    "positions_of",
    "pyplot",
    "shown_units",
    "value_label",
]

ROWS = 2000  # of a picture: more samples than this along a dim are not to be told apart
WHOLE = 8_000_000  # samples up to which a Patch is read whole
MISSING = "0.8"  # grey of samples that are NaN, or not there: white is a value
_BLOCKS = 200  # stretches that a long Patch is read in for a picture
_TICKS_PER_INCH = 1.6
_NARROW = 3.0  # inches: below, a label and a date do not fit side by side
_GAP = 1.5  # steps from one sample to the next, above which there is a gap
_DAY = 86_400e9  # ns


def pyplot() -> Any:
    """Return `matplotlib.pyplot`.

    Raises
    ------
    MissingExtra
        Matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise MissingExtra("pictures need Matplotlib: pip install 'lightkeep[viz]'") from error
    return plt


def new_axes(ax: Axes | None, size: tuple[float, float] = (10, 6)) -> Axes:
    """Return the axes to draw on, those of a new figure (inches) where none are given."""
    plt = pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout="constrained")
    assert ax is not None  # noqa: S101 - subplots has just made them
    return ax


# -- samples and where they lie ----------------------------------------------------------------------


def few(patch: Patch, down: str) -> tuple[NDArray[Any], list[NDArray[np.float64]], int]:
    """Return samples with `down` first, few enough to be drawn, where they lie along each dim, and 1 in how many.

    A Patch that is too long to be read whole is read in short stretches, spread evenly over it. What is read here is
    not kept by the Patch.

    Raises
    ------
    InvalidInput
        There are no samples.
    """
    if not patch.size:
        raise InvalidInput(f"this Patch of shape {patch.shape} has no samples to draw")
    patch = patch.transpose(down, ...)
    for dim, size in zip(patch.dims[1:], patch.shape[1:], strict=True):
        if size > 2 * ROWS:  # more than any picture has lines
            patch = patch.take(dim, slice(0, size, -(-size // ROWS)))
    count = patch.shape[0]
    others = [positions_of(patch.coords[dim]) for dim in patch.dims[1:]]
    if patch.loaded or patch.size <= WHOLE:
        step = max(-(-count // ROWS), 1)
        kept = patch.take(down, slice(0, count, step)) if step > 1 and patch.loaded else patch
        data = (kept.data if patch.loaded else patch.new().data)[:: 1 if patch.loaded else step]
        positions = positions_of(patch.coords[down][np.arange(0, count, step)])
        return data, [positions, *others], step
    rows = max(ROWS // _BLOCKS, 1)
    starts = np.linspace(0, count - rows, _BLOCKS).astype(int)
    parts = load_many([patch.take(down, slice(int(start), int(start) + rows)).lazy for start in starts])
    begins = positions_of(patch.coords[down][starts])
    # Each stretch stands for the time until the next: its samples are spread over it.
    spread = np.median(np.diff(begins)) / rows * np.arange(rows)
    return np.concatenate(parts), [(begins[:, None] + spread).ravel(), *others], max(count // (rows * _BLOCKS), 1)


def positions_of(coord: Coord) -> NDArray[np.float64]:
    """Return where values lie on an axis: dates in days as Matplotlib counts them, durations in seconds."""
    values = coord.to_numpy()
    if values.dtype.kind == "M":
        return np.asarray(values.astype("datetime64[ns]").astype(np.int64) / _DAY)
    if values.dtype.kind == "m":
        return np.asarray(values / np.timedelta64(1, "s"))
    return np.asarray(values, dtype=np.float64) if values.dtype.kind in "iufb" else np.arange(len(values), dtype=float)


def evenly(
    samples: NDArray[Any], positions: NDArray[np.float64], axis: int
) -> tuple[NDArray[Any], tuple[float, float]]:
    """Return samples in rising order and at even distances, NaN where there are none, and where the outer pixels end.

    Parameters
    ----------
    samples
        The picture.
    positions
        Where they lie along one axis, in any order.
    axis
        The number of that axis.
    """
    order = np.argsort(positions, kind="stable")
    if np.any(order[1:] < order[:-1]):
        samples, positions = samples.take(order, axis=axis), positions[order]
    edges = edges_of(positions)
    if len(positions) <= 2:  # noqa: PLR2004 - two lie at one distance
        return samples, edges
    steps = np.diff(positions)
    typical = float(np.median(steps)) or float(steps.max()) or 1.0
    line = np.linspace(positions[0], positions[-1], len(positions))
    if np.abs(line - positions).max() <= typical / 2:
        return samples, edges
    count = int(min(max((positions[-1] - positions[0]) / typical + 1, 2), ROWS))
    grid = np.linspace(positions[0], positions[-1], count)
    after = np.searchsorted(positions, grid).clip(1, len(positions) - 1)
    nearest = np.where(grid - positions[after - 1] <= positions[after] - grid, after - 1, after)
    reach = max(typical, float(grid[1] - grid[0])) * _GAP / 2
    filled = samples.take(nearest, axis=axis).astype(np.result_type(samples.dtype, np.float32))
    empty = np.abs(positions[nearest] - grid) > reach
    filled[(slice(None),) * axis + (empty,)] = np.nan
    return filled, edges


def edges_of(positions: NDArray[np.float64]) -> tuple[float, float]:
    """Return where the outer pixels end: half a typical step beyond the first and last value."""
    half = float(np.median(np.abs(np.diff(positions)))) / 2 if len(positions) > 1 else 0.0
    half = half or 0.5 * (1 / 86_400 if positions[0] > 10 * 365 else 1)  # a single date: a second
    return float(positions.min() - half), float(positions.max() + half)


# -- limits and labels -------------------------------------------------------------------------------


def colours_for(cmap: Any, samples: NDArray[Any]) -> Any:
    """Return a colour map: as it is called, else one with a middle for values of both signs, one without for others."""
    name = cmap or ("bwr" if np.nanmin(samples, initial=0) < 0 < np.nanmax(samples, initial=0) else "viridis")
    return pyplot().get_cmap(name).with_extremes(bad=MISSING)


def limits_of(samples: NDArray[Any], scale: Any, scale_type: str) -> tuple[float, float]:
    """Return the values that the ends of the colours stand for; `PatchViz` says what a scale means."""
    values = samples[np.isfinite(samples)].astype(float) if samples.size else np.zeros(1)
    if not values.size:
        return -1.0, 1.0
    low, high = float(values.min()), float(values.max())
    if scale_type not in {"relative", "absolute"}:
        raise InvalidInput(f"scale_type={scale_type!r}: 'relative' or 'absolute'")
    if scale is None:
        first, third = np.percentile(values, [25, 75])
        fence = 1.5 * (third - first) or high - low  # more than half of the samples may be one value
        low, high = max(low, first - fence), min(high, third + fence)
        if low < 0 < high:
            high = max(-low, high)
            low = -high
    elif np.ndim(scale) == 0:
        number = float(scale)
        if number <= 0:
            raise InvalidInput(f"scale={scale!r} must be positive")
        half = (high - low) / 2 * number
        middle = float(values.mean())
        low, high = (middle - half, middle + half) if scale_type == "relative" else (-number, number)
    else:
        if np.shape(scale) != (2,):
            raise InvalidInput(f"scale={scale!r}: one number, or a pair of limits")
        first, last = (float(part) for part in scale)
        if first >= last:
            raise InvalidInput(f"scale={scale!r}: the first limit must be below the second")
        span = high - low
        low, high = (low + first * span, low + last * span) if scale_type == "relative" else (first, last)
    if not low < high:  # constant samples
        pad = abs(low) * 0.01 or 1.0
        return low - pad, high + pad
    return low, high


def label_axis(ax: Axes, which: str, coord: Coord, text: str) -> None:
    """Give one axis (`"x"` or `"y"`) its label, and dates as ticks where the coordinate is a time."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    if coord.is_time:
        from matplotlib import dates

        made: Any = dates  # Matplotlib leaves these untyped
        extent = ax.get_window_extent()
        inches = (extent.width if which == "x" else extent.height) / ax.figure.dpi
        locator = made.AutoDateLocator(minticks=3, maxticks=min(max(int(inches * _TICKS_PER_INCH), 4), 9))
        axis.set_major_locator(locator)
        axis.set_major_formatter(made.ConciseDateFormatter(locator))
        text = f"{text} (UTC)" if inches >= _NARROW else "UTC"
    if which == "x":
        ax.set_xlabel(text, loc="left" if coord.is_time else "center")  # the date stands at the right
    else:
        ax.set_ylabel(text)


def coord_label(name: str, coord: Coord) -> str:
    """Return the name of a coordinate with its units."""
    if coord.units is None or coord.is_time:
        return name
    return f"{name} ({shown_units(coord.units)})"


def shown_units(units: str) -> str:
    """Return units as short as people write them."""
    try:
        return f"{get_quantity(units).units:~P}" if get_quantity(units).magnitude == 1 else units
    except (InvalidInput, ValueError):
        return units


def value_label(patch: Patch) -> str:
    """Return what the samples are, with their units."""
    what = str(patch.attrs.get("data_type", "") or "samples").replace("_", " ")
    units = patch.attrs.get("data_units")
    return what if units is None else f"{what} ({shown_units(str(units))})"
