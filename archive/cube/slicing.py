"""What an index means to a Cube: a key for each axis, and the parts of arrays that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.lazies import Dropped
from archive.cube.pixels import FramePixels
from archive.cube.raw_pixels import RawFrames
from archive.errors import InvalidInput
from archive.lazy import Indexed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.lazy import Lazy

__all__ = ["cut", "orthogonal", "per_axis"]

type Key = int | slice | NDArray[np.int64]


def per_axis(key: Any, shape: tuple[int, ...]) -> list[Key]:
    """Return an int from 0, a slice, or numbers for each axis."""
    items = list(key) if isinstance(key, tuple) else [key]
    dots = [number for number, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1 or len(items) - len(dots) > len(shape):
        raise InvalidInput(f"{len(items)} indices for a Cube of {len(shape)} axes")
    place = dots[0] if dots else len(items)
    fill = [slice(None)] * (len(shape) - len(items) + len(dots))
    items[place : place + len(dots)] = fill
    return [_one(item, length, axis) for axis, (item, length) in enumerate(zip(items, shape, strict=True))]


def _one(item: Any, length: int, axis: int) -> Key:
    if isinstance(item, (bool, np.bool_)) or item is None:
        raise InvalidInput(f"{item!r} is no index; axis {axis} takes an int, a slice or a mask")
    if isinstance(item, slice):
        if not range(*item.indices(length)):
            raise InvalidInput(f"{item} leaves nothing of axis {axis}, which has {length}")
        return item
    if isinstance(item, (int, np.integer)):
        if not -length <= item < length:
            raise InvalidInput(f"index {item} is beyond axis {axis}, which has {length}")
        return int(item) % length
    array = np.asarray(item)
    if array.dtype == np.bool_ and array.shape == (length,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
        raise InvalidInput(f"axis {axis} takes an int, a slice, or a mask of {length} that leaves something")
    if (array < -length).any() or (array >= length).any():
        raise InvalidInput(f"a number is beyond axis {axis}, which has {length}")
    return array.astype(np.int64) % length


def cut(data: Lazy, keys: Sequence[Key], near: int) -> Lazy:
    """Return a part of an array, unread; along the first `near` axes no neighbour is read that is not wanted."""
    window, picks, dropped = [], [], []
    for axis, (key, length) in enumerate(zip(keys, data.shape, strict=True)):
        if isinstance(key, int):
            window.append(slice(key, key + 1))
            dropped.append(axis)
            continue
        numbers = np.arange(length)[key]
        first, last = int(numbers.min()), int(numbers.max())
        window.append(slice(first, last + 1))
        if len(numbers) != last - first + 1 or (np.diff(numbers) != 1).any():
            picks.append((axis, numbers - first))
    out = data.cut(tuple(window))
    for axis, numbers in picks:
        if isinstance(out, (FramePixels, RawFrames)) and axis < out.grid.ndim - 1:
            out = out.take(axis, numbers)
        else:
            out = Indexed(out, axis, numbers, 1) if axis < near else Indexed(out, axis, numbers)
    return Dropped(out, tuple(dropped)) if dropped else out


def orthogonal(array: NDArray[Any], keys: Sequence[Key]) -> NDArray[Any]:
    """Return a part of an array, each axis by its own key."""
    for axis in reversed(range(len(keys))):
        array = array[(slice(None),) * axis + (keys[axis],)]
    return array
