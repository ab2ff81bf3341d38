"""Operations one after the other, in slabs that share no sample: little memory between them, and all cores at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.operations.cached import copy
from archive.operations.operation import Operation, Part
from archive.reading import worker_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Outline

__all__ = ["Step", "run"]

_SLAB = 16 << 20  # bytes of samples that a thread works on
_LINE = 128  # bytes that memory hands out at a time, with the next: a narrower slab of a row fetches the rest in vain


@dataclass(frozen=True, slots=True)
class Step:
    """One operation, and which samples of its whole it is given and is to make."""

    operation: Operation
    given: Outline
    source: Window
    target: Window

    def free(self) -> set[str]:
        """Return the dims along which every sample is made of those of its own number alone."""
        out = self.operation.out(self.given)
        held = {*self.operation.reach(self.given), self.operation.statistics(self.given)}
        return {
            dim
            for dim in set(self.given.dims) & set(out.dims) - held
            if out.coords[dim].size == self.given.coords[dim].size and self._keeps(dim)
        }

    def _keeps(self, dim: str) -> bool:
        """Return whether a sample's number along a dim stays what it is: not where the dim is turned or shifted."""
        axis, out = self.given.dims.index(dim), self.operation.out(self.given)
        size = self.target[out.dims.index(dim)].stop - self.target[out.dims.index(dim)].start
        if size != self.source[axis].stop - self.source[axis].start:
            return False
        for number in {0, size - 1} if size else ():
            part = self.narrowed(dim, number, number + 1)
            if self.operation.source(self.given, part.target)[axis] != part.source[axis]:
                return False
        return True

    def narrowed(self, dim: str, start: int, stop: int) -> Part:
        """Return the part that a slab of it is: samples `start` to `stop` along a free dim, copied from the step's."""
        return Part(
            whole=self.given,
            source=_narrowed(self.source, self.given.dims, dim, start, stop),
            target=_narrowed(self.target, self.operation.out(self.given).dims, dim, start, stop),
            spare=True,
        )


def run(steps: Sequence[Step], samples: NDArray[Any], target: NDArray[Any]) -> None:
    """Put what operations make of samples into `target`, even their own array if shape and type agree."""
    while steps:
        count, dim = _together(steps)
        last = steps[count - 1]
        if count == len(steps):
            result = target
        else:
            shape = [part.stop - part.start for part in last.target]
            result = np.empty(shape, dtype=last.operation.out(last.given).dtype)
        _slabs(steps[:count], dim, samples, result)
        samples, steps = result, steps[count:]


def _together(steps: Sequence[Step]) -> tuple[int, str | None]:
    """Return how many of the first operations share a free dim, and the longest that they share."""
    shared, count = steps[0].free(), 1
    for step in steps[1:]:
        both = shared & step.free()
        if not both:
            break
        shared, count = both, count + 1
    return (count if shared else 1), max(shared, key=lambda dim: steps[0].given.coords[dim].size, default=None)


def _slabs(steps: Sequence[Step], dim: str | None, samples: NDArray[Any], result: NDArray[Any]) -> None:
    if dim is None:
        (step,) = steps
        result[...] = step.operation.block(samples, Part(whole=step.given, source=step.source, target=step.target))
        return
    before = steps[0].given.dims.index(dim)
    after = steps[-1].operation.out(steps[-1].given).dims.index(dim)
    length = samples.shape[before]
    width = max(length * _SLAB // max(samples.nbytes, result.nbytes, 1), _LINE // samples.itemsize, 1)
    width = min(width, length)
    rooms: list[NDArray[Any]] = []  # memory is slow when it is new, so each thread takes what another has left

    def one(start: int) -> None:
        stop = min(start + width, length)
        # With the slab's dim outermost, what operations run along lies together in memory.
        slab = np.moveaxis(samples, before, 0)[start:stop]
        try:
            room = rooms.pop()
        except IndexError:
            room = np.empty((width, *slab.shape[1:]), dtype=slab.dtype)
        turned = room[: stop - start]
        copy(slab, turned)
        block = np.moveaxis(turned, 0, before)
        for step in steps:
            block = step.operation.block(block, step.narrowed(dim, start, stop))
        copy(np.moveaxis(block, after, 0), np.moveaxis(result, after, 0)[start:stop])
        rooms.append(room)

    starts = range(0, length, width)
    if len(starts) == 1:
        one(0)
        return
    with ThreadPoolExecutor(worker_threads(), thread_name_prefix="lightkeep-compute") as pool:
        for _ in pool.map(one, starts):
            pass


def _narrowed(window: Window, dims: Sequence[str], dim: str, start: int, stop: int) -> Window:
    axis = dims.index(dim)
    base = window[axis].start
    return (*window[:axis], slice(base + start, base + stop), *window[axis + 1 :])
