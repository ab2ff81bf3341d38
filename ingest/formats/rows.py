"""Samples that lie row after row, one sample of each channel in a row, in one or more stretches of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ingest.formats.edge import read_exactly

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["Rows", "fill_rows", "from_three_bytes", "read_rows"]

_NEAR = 1 << 16  # bytes between two rows' channels below which all is read
_AT_ONCE = 8 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """A stretch of rows: where its first sample lies (bytes), and how many rows follow."""

    offset: int
    count: int


def read_rows(
    file: BinaryIO, stretches: Iterable[Rows], rows: slice, channels: slice, *, width: int, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return samples, shape (rows, channels), in native byte order.

    Parameters
    ----------
    stretches
        Where the rows lie, in order.
    rows, channels
        Half-open ranges inside of what the stretches hold.
    width
        Channels in a row.
    dtype
        Type of a sample in the file.

    Raises
    ------
    FormatError
        The file ends before.
    """
    out = np.empty((rows.stop - rows.start, channels.stop - channels.start), dtype.newbyteorder("="))
    first = 0
    for stretch in stretches:
        start, stop = max(rows.start, first), min(rows.stop, first + stretch.count)
        if start < stop and out.size:
            part = out[start - rows.start : stop - rows.start]
            offset = stretch.offset + (start - first) * width * dtype.itemsize
            fill_rows(file, offset, channels, part, width=width, dtype=dtype)
        first += stretch.count
    return out


def fill_rows(
    file: BinaryIO, offset: int, channels: slice, out: NDArray[Any], *, width: int, dtype: np.dtype[Any]
) -> None:
    """Fill `out`, shape (rows, channels), with the rows of `width` samples that begin at byte `offset`."""
    row = width * dtype.itemsize
    if (width - out.shape[1]) * dtype.itemsize > _NEAR:
        for number in range(len(out)):
            begin = offset + number * row + channels.start * dtype.itemsize
            out[number] = np.frombuffer(read_exactly(file, begin, out.shape[1] * dtype.itemsize), dtype)
        return
    step = max(_AT_ONCE // row, 1)
    for number in range(0, len(out), step):
        count = min(step, len(out) - number)
        part = np.frombuffer(read_exactly(file, offset + number * row, count * row), dtype).reshape(count, width)
        out[number : number + count] = part[:, channels]


def from_three_bytes(samples: NDArray[Any], order: str, *, signed: bool = True) -> NDArray[Any]:
    """Return 24-bit integers (items of type `V3`) as 32-bit ones of the same value, shape kept.

    Parameters
    ----------
    order
        `"<"` where the lowest byte comes first, else `">"`.
    """
    wide = np.zeros((*samples.shape, 4), np.uint8)
    parts = np.ascontiguousarray(samples).view(np.uint8).reshape(*samples.shape, 3)
    wide[..., 1:] = parts if order == "<" else parts[..., ::-1]
    return wide.view("<i4" if signed else "<u4")[..., 0].astype(np.int32 if signed else np.uint32) >> 8
