"""Arrays that are not there yet: what they hold is known, and any part of them can be taken unread.

Every kind knows its shape and type, gives parts of itself without reading (`cut`), and puts its samples
into an array that is handed to it (`fill`). What must be read is returned as a list, so that many arrays
are read in one wave of requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from archive.coords import TimeAxis
    from archive.index.rows import ArrayRef
    from archive.store import Store

__all__ = [
    "AxisArray",
    "Constant",
    "Fill",
    "InMemory",
    "Indexed",
    "Joined",
    "Lazy",
    "RawFill",
    "RawPart",
    "RawSource",
    "StoredPart",
    "Transposed",
    "Work",
    "empty_like",
    "pretended",
]

_NEAR = 4096  # samples further apart than this are read by themselves

type Window = tuple[slice, ...]
"""One slice with start and stop, and no step, for each dim."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One read: the samples of a stored array in a window, and the array that they go to."""

    store: Store
    array: ArrayRef
    window: Window
    target: NDArray[Any]


class RawSource(Protocol):
    """A raw file, closed: what gives its samples through the reader of its format."""

    def read(self, wanted: Sequence[tuple[int, Window]]) -> Iterator[NDArray[Any]]:
        """Yield the samples of some windows of blocks (by their number), the file opened once for all."""
        ...


@dataclass(frozen=True, slots=True)
class RawFill:
    """One read: the samples of a block of a raw file in a window, and the array that they go to."""

    source: RawSource
    block: int
    window: Window
    target: NDArray[Any]


@dataclass(slots=True)
class Work:
    """What is to be done to fill arrays: first all the reads, in any order, then the last steps."""

    fills: list[Fill] = field(default_factory=list)
    raw: list[RawFill] = field(default_factory=list)
    finish: list[Callable[[], None]] = field(default_factory=list)


class Lazy(Protocol):
    """An array of known shape and type, samples unread."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        ...

    def cut(self, window: Window) -> Lazy:
        """Return a part, unread."""
        ...

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Add what puts the samples into `target` (of the same shape) to the work."""
        ...


def empty_like(target: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return room for samples; where the target is only pretended (see `pretended`), so is this."""
    if target.size and not any(target.strides):
        return pretended(shape, target.dtype)
    return np.empty(shape, dtype=target.dtype)


def pretended(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array of a shape that takes no memory: for planning, never for filling."""
    return np.broadcast_to(np.empty((), dtype=dtype), shape)


def _lengths(window: Window) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in window)


def _inner(outer: Window, window: Window) -> Window:
    """Return a window within a window, counted from the array's origin."""
    return tuple(
        slice(base.start + part.start, base.start + part.stop) for base, part in zip(outer, window, strict=True)
    )


@dataclass(frozen=True, slots=True)
class InMemory:
    """Samples that are there already."""

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self.array.dtype

    def cut(self, window: Window) -> InMemory:
        """Return a part: a view."""
        return InMemory(self.array[window])

    def fill(self, target: NDArray[Any], work: Work) -> None:  # noqa: ARG002 - nothing to be read
        """Copy the samples."""
        target[...] = self.array


@dataclass(frozen=True, slots=True)
class Constant:
    """One value everywhere: what a gap is filled with."""

    value: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def cut(self, window: Window) -> Constant:
        """Return a part."""
        return Constant(self.value, _lengths(window), self.dtype)

    def fill(self, target: NDArray[Any], work: Work) -> None:  # noqa: ARG002 - nothing to be read
        """Write the value."""
        target[...] = self.value


@dataclass(frozen=True, slots=True)
class AxisArray:
    """The stamps of a time axis in ns, made when they are needed."""

    axis: TimeAxis

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of stamps."""
        return (self.axis.size,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """int64."""
        return np.dtype(np.int64)

    def cut(self, window: Window) -> AxisArray:
        """Return a part."""
        return AxisArray(self.axis.cut(window[0].start, window[0].stop))

    def fill(self, target: NDArray[Any], work: Work) -> None:  # noqa: ARG002 - nothing to be read
        """Write the stamps."""
        target[...] = self.axis.to_ns()


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A window of one stored array."""

    store: Store
    array: ArrayRef
    window: Window

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return _lengths(self.window)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return np.dtype(self.array.dtype)

    def cut(self, window: Window) -> StoredPart:
        """Return a part, unread."""
        return StoredPart(self.store, self.array, _inner(self.window, window))

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Ask for the samples."""
        if target.size:
            work.fills.append(Fill(self.store, self.array, self.window, target))


@dataclass(frozen=True, slots=True)
class RawPart:
    """A window of one block of a raw file."""

    source: RawSource
    block: int
    dtype: np.dtype[Any]
    window: Window

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return _lengths(self.window)

    def cut(self, window: Window) -> RawPart:
        """Return a part, unread."""
        return RawPart(self.source, self.block, self.dtype, _inner(self.window, window))

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Ask for the samples."""
        if target.size:
            work.raw.append(RawFill(self.source, self.block, self.window, target))


class Joined:
    """Arrays one after the other along one dim."""

    __slots__ = ("axis", "ends", "parts")

    def __init__(self, parts: Sequence[Lazy], axis: int = 0) -> None:
        self.parts, self.axis = tuple(parts), axis
        self.ends = np.cumsum([part.shape[axis] for part in self.parts])

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        shape = self.parts[0].shape
        return (*shape[: self.axis], int(self.ends[-1]), *shape[self.axis + 1 :])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds those of all parts."""
        dtypes = {part.dtype for part in self.parts}
        return dtypes.pop() if len(dtypes) == 1 else np.result_type(*dtypes)

    def _touched(self, start: int, stop: int) -> range:
        first = int(np.searchsorted(self.ends, start, side="right"))
        return range(
            min(first, len(self.parts) - 1), max(int(np.searchsorted(self.ends, stop, side="left")), first) + 1
        )

    def cut(self, window: Window) -> Lazy:
        """Return a part, unread, of just the arrays that it touches."""
        along, cut = window[self.axis], []
        for number in self._touched(along.start, along.stop):
            if number >= len(self.parts):
                break
            part = self.parts[number]
            begin = int(self.ends[number]) - part.shape[self.axis]
            start = min(max(along.start - begin, 0), part.shape[self.axis])
            inner = slice(start, max(min(along.stop - begin, part.shape[self.axis]), start))
            if inner.start < inner.stop or along.start >= along.stop:
                cut.append(part.cut((*window[: self.axis], inner, *window[self.axis + 1 :])))
        return cut[0] if len(cut) == 1 and cut[0].dtype == self.dtype else Joined(cut, self.axis)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Fill part by part."""
        before: list[slice] = [slice(None)] * self.axis
        for part, end in zip(self.parts, self.ends, strict=True):
            part.fill(target[(*before, slice(int(end) - part.shape[self.axis], int(end)))], work)


@dataclass(frozen=True, slots=True)
class Transposed:
    """An array with its dims in another order."""

    base: Lazy
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return tuple(self.base.shape[axis] for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self.base.dtype

    def cut(self, window: Window) -> Transposed:
        """Return a part, unread."""
        inner = tuple(window[self.order.index(axis)] for axis in range(len(window)))
        return Transposed(self.base.cut(inner), self.order)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Fill through a transposed view."""
        self.base.fill(target.transpose(np.argsort(self.order)), work)


@dataclass(frozen=True, slots=True)
class Indexed:
    """Some samples along one dim, by number: reads no more than the stretch between the outermost.

    Parameters
    ----------
    near
        Samples further apart than this are read by themselves.
    """

    base: Lazy
    axis: int
    numbers: NDArray[np.int64]
    near: int = _NEAR

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        shape = self.base.shape
        return (*shape[: self.axis], len(self.numbers), *shape[self.axis + 1 :])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self.base.dtype

    def cut(self, window: Window) -> Indexed:
        """Return a part, unread."""
        whole = slice(0, self.base.shape[self.axis])
        outer = self.base.cut((*window[: self.axis], whole, *window[self.axis + 1 :]))
        return Indexed(outer, self.axis, self.numbers[window[self.axis]], self.near)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Fill the stretches between neighbours that are close, then pick."""
        if not target.size:
            return
        wanted = np.unique(self.numbers)
        borders = np.flatnonzero(np.diff(wanted) > self.near) + 1
        held = empty_like(target, (*target.shape[: self.axis], len(wanted), *target.shape[self.axis + 1 :]))
        before: Window = tuple(slice(0, length) for length in target.shape[: self.axis])
        after: Window = tuple(slice(0, length) for length in target.shape[self.axis + 1 :])
        done = 0
        for group in np.split(wanted, borders):
            stretch = self.base.cut((*before, slice(int(group[0]), int(group[-1]) + 1), *after))
            loaded = empty_like(target, stretch.shape)
            stretch.fill(loaded, work)
            place = held[(*before, slice(done, done + len(group)), *after)]
            work.finish.append(lambda loaded=loaded, place=place, group=group: self._pick(loaded, place, group))  # type: ignore[misc]
            done += len(group)
        numbers = np.searchsorted(wanted, self.numbers)
        work.finish.append(lambda: np.copyto(target, held.take(numbers, axis=self.axis)))

    def _pick(self, loaded: NDArray[Any], place: NDArray[Any], group: NDArray[np.int64]) -> None:
        np.copyto(place, loaded.take(group - group[0], axis=self.axis))
