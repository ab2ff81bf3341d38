"""Arithmetic of chunks: which ones a window touches, and where they lie."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["chunk_numbers", "chunk_shape", "chunk_starts", "chunks_of", "grid_shape", "joined_ranges"]

CHUNK_BYTES = 768 * 1024
_CHANNELS = 128
_FRAMES = 32  # chunk lengths along time are multiples of this


def chunks_of(start: int, stop: int, size: int) -> range:
    """Return the numbers of the chunks that hold samples `start` to `stop`.

    Parameters
    ----------
    start, stop
        Half-open range of samples, counted from the array's origin.
    size
        Samples in a chunk.

    Raises
    ------
    InvalidInput
        `size` is not positive.

    References
    ----------
    Zarr v3 core specification, regular chunk grid: element i lies in chunk i // size.
    """
    if size <= 0:
        raise InvalidInput(f"a chunk has at least one sample, not {size}")
    return range(start // size, ceil(stop / size)) if stop > start else range(0)


def grid_shape(shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    """Return how many chunks an array has along each dim."""
    return tuple(-(-length // size) for length, size in zip(shape, chunks, strict=True))


def chunk_numbers(window: Sequence[slice], shape: Sequence[int], chunks: Sequence[int]) -> NDArray[np.int64]:
    """Return the chunks that a window touches, counted in C order over the array's grid, rising."""
    grid = grid_shape(shape, chunks)
    numbers = np.zeros((1,), dtype=np.int64)
    for part, count, size in zip(window, grid, chunks, strict=True):
        along = np.asarray(chunks_of(part.start, part.stop, size), dtype=np.int64)
        numbers = (numbers[:, None] * count + along[None, :]).reshape(-1)
    return numbers


def chunk_starts(lengths: Sequence[int], grid: Sequence[int], order: Sequence[int] | None = None) -> NDArray[np.int64]:
    """Return the first byte of each chunk, in C order, of chunks that follow each other from byte 0.

    Parameters
    ----------
    lengths
        Bytes of each, in C order.
    order
        In which they follow each other, where that is not C order: axes of the grid, the last one's neighbours side
        by side.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if order is None:
        return np.cumsum(sizes) - sizes
    stored = np.arange(sizes.size).reshape(tuple(grid)).transpose(tuple(order)).ravel()
    starts = np.empty_like(sizes)
    starts[stored] = np.cumsum(sizes[stored]) - sizes[stored]
    return starts


def chunk_shape(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Return the inner chunk for arrays of a shape whose first dim is time and grows.

    About ¾ MiB raw, at most 128 channels wide: narrow enough that one channel's hour does not cost all
    channels, wide enough that one minute of all channels is one run of bytes (C order, time first).
    """
    rest = list(shape[1:])
    if rest:
        parts = max(ceil(rest[-1] / _CHANNELS), 1)
        rest[-1] = max(ceil(rest[-1] / parts), 1)
        for axis in range(len(rest) - 1):
            rest[axis] = min(max(rest[axis], 1), _FRAMES)
    frames = max(CHUNK_BYTES // (itemsize * max(prod(rest), 1)), 1)
    return (frames - frames % _FRAMES if frames > _FRAMES else frames, *rest)


def joined_ranges(starts: NDArray[np.int64], stops: NDArray[np.int64], slack: float) -> list[tuple[int, int]]:
    """Return the runs of items to fetch together: half-open ranges of item numbers.

    Items that touch are joined always; across gaps the smallest first, while the bytes fetched in all
    stay within `1 + slack` times the bytes of the items.

    Parameters
    ----------
    starts, stops
        Byte range of each item, rising and disjoint.
    slack
        Share of bytes that may be fetched without need.
    """
    if not len(starts):
        return []
    gaps = starts[1:] - stops[:-1]
    room = int(slack * int((stops - starts).sum()))
    order = np.argsort(gaps, kind="stable")
    joined = np.zeros(len(gaps), dtype=bool)
    joined[order] = np.cumsum(gaps[order]) <= room
    borders = [0, *(int(cut) + 1 for cut in np.flatnonzero(~joined)), len(starts)]
    return list(pairwise(borders))
