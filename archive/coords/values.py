"""Coordinate values that are not stamps: evenly spaced, or an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Explicit", "Linear", "Values", "values_from_array"]


class Values(Protocol):
    """What holds the values of one coordinate: any of the forms in this package."""

    @property
    def size(self) -> int:
        """Number of values."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value."""
        ...

    def to_numpy(self) -> NDArray[Any]:
        """Return every value, shape `(size,)`."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Return one value for a number, else some of them for a slice, an index array or a mask."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Evenly spaced numbers: value `i` is `start + (offset + i · stride) · step`, in that order of rounding.

    A part of it keeps `start` and `step`, so that its values are bit for bit those of the whole.
    """

    start: float
    step: float
    size: int
    offset: int = 0
    stride: int = 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value: int64 where start and step are whole, else float64."""
        return np.dtype(np.int64 if isinstance(self.start, int) and isinstance(self.step, int) else np.float64)

    @property
    def spacing(self) -> float:
        """Distance from one value to the next, negative where they fall."""
        return self.step * self.stride

    def at(self, index: int) -> float:
        """Return one value."""
        return self.start + (self.offset + index % self.size * self.stride) * self.step

    def to_numpy(self) -> NDArray[Any]:
        """Return every value, shape `(size,)`."""
        numbers = self.offset + np.arange(self.size) * self.stride
        return np.asarray(self.start + numbers * self.dtype.type(self.step))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            start, stop, step = key.indices(self.size)
            return Linear(
                start=self.start,
                step=self.step,
                size=len(range(start, stop, step)),
                offset=self.offset + start * self.stride,
                stride=self.stride * step,
            )
        if isinstance(key, np.ndarray):
            return Explicit(self.to_numpy()[key])
        return self.dtype.type(self.at(int(key)))


class Explicit:
    """Values as they are, one by one, in an array that cannot be written to."""

    __slots__ = ("_array",)

    def __init__(self, array: NDArray[Any]) -> None:
        array = np.asarray(array)
        if array.ndim != 1:
            raise InvalidInput(f"a coordinate has one dimension, not the shape {array.shape}")
        if array.flags.writeable:
            array = array.copy()
            array.flags.writeable = False
        self._array = array

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self._array)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a value."""
        return self._array.dtype

    def to_numpy(self) -> NDArray[Any]:
        """Return every value, shape `(size,)`, read-only."""
        return self._array

    def __getitem__(self, key: Any) -> Any:
        return Explicit(self._array[key]) if isinstance(key, (slice, np.ndarray)) else self._array[int(key)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Explicit):
            return NotImplemented
        mine, theirs = self._array, other._array
        floats = mine.dtype.kind in "fc" and theirs.dtype.kind in "fc"
        return mine.dtype == theirs.dtype and np.array_equal(mine, theirs, equal_nan=floats)

    def __hash__(self) -> int:
        return hash((self._array.dtype.str, self._array.tobytes()))

    def __repr__(self) -> str:
        return f"Explicit({self._array!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[NDArray[Any]]]:
        return type(self), (self._array,)


def values_from_array(array: NDArray[Any]) -> Values:
    """Return the most compact form that gives back exactly these values.

    Times become a `TimeAxis`, numbers a `Linear` where it reproduces every bit, anything else is kept.
    """
    from archive.coords.stamps import TimeAxis

    array = np.asarray(array)
    if array.dtype.kind == "M":
        return TimeAxis.from_regular(array.astype("datetime64[ns]").astype(np.int64))
    if array.ndim == 1 and len(array) > 1 and array.dtype in (np.dtype(np.float64), np.dtype(np.int64)):
        for step in (array[1] - array[0], (array[-1] - array[0]) / (len(array) - 1)):
            if array.dtype.kind == "i" and step != int(step):
                continue
            line = Linear(start=array[0].item(), step=array.dtype.type(step).item(), size=len(array))
            if np.array_equal(line.to_numpy(), array):
                return line
    return Explicit(array)
