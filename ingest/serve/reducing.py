"""Many samples to one for each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["REDUCERS", "reduced"]

REDUCERS = ("peak", "mean")
"""The value furthest from zero, so that nothing loud is lost; or the mean."""


def reduced(samples: NDArray[Any], starts: NDArray[np.intp], axis: int, how: str) -> NDArray[Any]:
    """Return one value for each group of neighbouring samples along an axis; NaN only where all of them are.

    Parameters
    ----------
    samples
        Of any shape.
    starts
        Number of the first sample of each group, strictly rising; a group ends where the next begins.
    how
        One of `REDUCERS`.
    """
    if len(starts) == samples.shape[axis] and (len(starts) == 0 or starts[0] == 0):
        return samples
    along = np.moveaxis(samples, axis, 0)
    width = int(starts[1] - starts[0]) if len(starts) > 1 else len(along)
    if how == "peak" and width < len(starts) and np.array_equal(starts, np.arange(0, len(along), width)):
        return np.moveaxis(_peaks_of_alike(along, width), 0, axis)
    stops = [*starts[1:].tolist(), len(along)]
    # A loop over groups, each reduced as a whole: reduceat takes ten times as long along the first axis.
    groups = [along[start:stop] for start, stop in zip(starts.tolist(), stops, strict=True)]
    found = np.stack([_mean(group) for group in groups]) if how == "mean" else _peaks(groups, along.dtype)
    return np.moveaxis(found, 0, axis)


def _peaks(groups: list[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    pair: Any = (np.fmax, np.fmin) if dtype.kind == "f" else (np.maximum, np.minimum)
    highest, lowest = (np.stack([each.reduce(group, axis=0) for group in groups]) for each in pair)
    return _further(highest, lowest)


def _further(highest: NDArray[Any], lowest: NDArray[Any]) -> NDArray[Any]:
    """Return which of two is further from zero."""
    if highest.dtype.kind != "f":  # the lowest int has no positive counterpart
        highest, lowest = highest.astype(np.float64), lowest.astype(np.float64)
    peaks: NDArray[Any] = np.where(np.abs(lowest) > np.abs(highest), lowest, highest)
    return peaks


def _peaks_of_alike(along: NDArray[Any], width: int) -> NDArray[Any]:
    """Return the peaks of groups of one width, the last perhaps shorter: a few operations on whole arrays."""
    pair: Any = (np.fmax, np.fmin) if along.dtype.kind == "f" else (np.maximum, np.minimum)
    highest, lowest = along[::width].copy(), along[::width].copy()
    for offset in range(1, width):
        part = along[offset::width]
        for each, held in zip(pair, (highest, lowest), strict=True):
            each(held[: len(part)], part, out=held[: len(part)])
    return _further(highest, lowest)


def _mean(group: NDArray[Any]) -> NDArray[Any]:
    if group.dtype.kind != "f":
        means: NDArray[Any] = group.mean(axis=0, dtype=np.float64)
        return means
    there = np.isfinite(group)
    count = there.sum(axis=0)
    total = np.sum(group, axis=0, where=there, dtype=np.float64)
    found: NDArray[Any] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return found
