"""Big arrays piece by piece, so that what is worked on stays in the processor's cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["copy", "pieces"]

_PIECE = 1 << 16  # samples; as float64 half a megabyte, which a core's second cache holds
_TURNED = 512  # rows that are turned at a time


def pieces(samples: NDArray[Any]) -> Iterator[slice]:
    """Return the pieces of the last dim of an array that are worked on at a time."""
    size = samples.shape[-1]
    step = max(_PIECE * size // max(samples.size, 1), 1)
    return (slice(start, start + step) for start in range(0, size, step))


def copy(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Copy an array into another of the same shape, whose dims may lie in memory in another order."""
    if source.ndim < 2 or np.argmin(source.strides) == np.argmin(target.strides):  # noqa: PLR2004 - nothing to turn
        target[...] = source
        return
    longest = int(np.argmax(source.shape))
    source, target = np.moveaxis(source, longest, 0), np.moveaxis(target, longest, 0)
    for start in range(0, len(source), _TURNED):
        target[start : start + _TURNED] = source[start : start + _TURNED]
