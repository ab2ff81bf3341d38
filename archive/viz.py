"""Pictures of Patches, on Matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from archive.errors import InvalidInput, MissingExtra
from archive.reading import load_many
from archive.units import get_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from archive.coords import Coord
    from archive.patch import Patch

__all__ = ["PatchViz"]

_ROWS = 2000  # of a picture: more samples than this along time are not to be told apart
_BLOCKS = 200  # stretches that a long Patch is read in for a picture
_TICKS_PER_INCH = 1.6
_NARROW = 3.0  # inches: below, a label and a date do not fit side by side
_MISSING = "0.8"  # grey of samples that are NaN: white is a value
_WHOLE = 8_000_000  # samples up to which a Patch is read whole


class PatchViz:
    """Pictures of one Patch."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch

    def waterfall(
        self,
        ax: Axes | None = None,
        *,
        cmap: str = "bwr",
        scale: float | Sequence[float] | None = None,
        scale_type: Literal["relative", "absolute"] = "relative",
        interpolation: str | None = "antialiased",
        log: bool = False,
        colorbar: bool = True,
        show: bool = False,
    ) -> Axes:
        """Draw the samples as colours over time and distance, and return the axes.

        Parameters
        ----------
        ax
            Where to draw; a new figure without.
        cmap
            Name of a Matplotlib colour map.
        scale
            `None`: limits that leave out outliers (quartiles ± 1.5 times their distance). A number with
            `scale_type="relative"`: the mean ± that share of half the dynamic range; with `"absolute"`:
            ± that value. A pair: shares of the dynamic range, or the limits themselves.
        interpolation
            As Matplotlib's `imshow` takes it.
        log
            Show the common logarithm of the absolute values.
        colorbar
            Draw a colour bar beside it.
        show
            Open a window.

        Raises
        ------
        InvalidInput
            The Patch has not two dims, or the scale makes no sense.
        MissingExtra
            Matplotlib is not installed.
        """
        plt = _pyplot()
        patch = self._patch
        if patch.ndim != 2:  # noqa: PLR2004 - a picture has two dims
            raise InvalidInput(f"a waterfall shows two dims, not {patch.dims}; select one channel less, or squeeze")
        down = "time" if "time" in patch.dims else patch.dims[0]
        across = next(dim for dim in patch.dims if dim != down)
        samples, thinned = _samples_for_picture(patch, down)
        if not samples.size:
            raise InvalidInput(f"this Patch of shape {patch.shape} has no samples to draw")
        if log:
            with np.errstate(divide="ignore"):
                samples = np.log10(np.abs(samples.astype(float)))
        if ax is None:
            _, ax = plt.subplots(figsize=(10, 6), layout="constrained")
        limits = _limits(samples, scale, scale_type)
        edges = [_edges(patch.coords[dim]) for dim in (down, across)]
        image = ax.imshow(
            samples.T,
            aspect="auto",
            origin="lower",
            interpolation=interpolation,
            cmap=plt.get_cmap(cmap).with_extremes(bad=_MISSING),
            vmin=limits[0],
            vmax=limits[1],
            extent=(*edges[0], *edges[1]),
        )
        _label(ax, patch, down, across)
        if colorbar:
            bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
            bar.set_label(f"log₁₀ {_value_label(patch)}" if log else _value_label(patch))
        if thinned:
            ax.set_title(f"1 in {thinned} of {patch.coords[down].size} samples shown", fontsize="small", loc="right")
        if show:
            plt.show()
        return ax


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise MissingExtra("pictures need Matplotlib: pip install 'lightkeep[viz]'") from error
    return plt


def _samples_for_picture(patch: Patch, down: str) -> tuple[NDArray[Any], int]:
    """Return samples with `down` first, thinned if they are many, and by how much.

    A Patch that is too long to be read whole is read in short stretches, spread evenly over it.
    """
    if down != patch.dims[0]:
        patch = patch.transpose(down, ...)
    count = patch.shape[0]
    step = max(-(-count // _ROWS), 1)
    if patch.loaded or patch.size <= _WHOLE:
        data = patch.data if patch.loaded else patch.load().data
        return np.asarray(data[::step] if step > 1 else data), step if step > 1 else 0
    rows = max(_ROWS // _BLOCKS, 1)
    starts = np.linspace(0, count - rows, _BLOCKS).astype(int)
    parts = load_many([patch.take(down, slice(int(start), int(start) + rows)).lazy for start in starts])
    return np.concatenate(parts), max(count // (rows * _BLOCKS), 1)


def _limits(samples: NDArray[Any], scale: Any, scale_type: str) -> tuple[float, float]:
    values = samples[np.isfinite(samples)].astype(float) if samples.size else np.zeros(1)
    if not values.size:
        return -1.0, 1.0
    low, high = float(values.min()), float(values.max())
    if scale_type not in {"relative", "absolute"}:
        raise InvalidInput(f"scale_type={scale_type!r}: 'relative' or 'absolute'")
    if scale is None:
        first, third = np.percentile(values, [25, 75])
        fence = 1.5 * (third - first)
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


def _edges(coord: Coord) -> tuple[float, float]:
    """Return where the outer pixels end: half a step beyond the first and last value; dates as Matplotlib counts."""
    if coord.is_time:
        stamps = np.array([coord.min(), coord.max()]).astype("datetime64[ns]").astype(np.int64) / 86_400e9
    else:
        stamps = np.array([coord.min(), coord.max()], dtype=float)
    half = (stamps[1] - stamps[0]) / max(coord.size - 1, 1) / 2
    half = half or (0.5 / 86_400 if coord.is_time else 0.5)
    return float(stamps[0] - half), float(stamps[1] + half)


def _label(ax: Axes, patch: Patch, down: str, across: str) -> None:
    for dim, name in ((down, "x"), (across, "y")):
        coord = patch.coords[dim]
        if coord.is_time:
            from matplotlib import dates

            made: Any = dates  # Matplotlib leaves these untyped
            axis = ax.xaxis if name == "x" else ax.yaxis
            inches = ax.get_window_extent().width / ax.figure.dpi
            most = min(max(int(inches * _TICKS_PER_INCH), 4), 9)
            locator = made.AutoDateLocator(minticks=3, maxticks=most)
            axis.set_major_locator(locator)
            axis.set_major_formatter(made.ConciseDateFormatter(locator))
            text = f"{dim} (UTC)" if inches >= _NARROW else "UTC"
        else:
            text = f"{dim} ({coord.units})" if coord.units else dim
        if name == "x":
            ax.set_xlabel(text, loc="left")  # the date stands at the right
        else:
            ax.set_ylabel(text)


def _value_label(patch: Patch) -> str:
    what = str(patch.attrs.get("data_type", "") or "samples").replace("_", " ")
    units = patch.attrs.get("data_units")
    if units is None:
        return what
    try:
        return f"{what} ({get_quantity(str(units)).units:~P})"
    except (InvalidInput, ValueError):
        return f"{what} ({units})"
