"""A chain of operations over a run of any length, block by block in bounded memory.

Every operation says which samples a part of its result needs. From the wanted block these needs are
followed back through the chain to the samples that are read; forward again, each operation computes just
what the next one needs. Statistics of the whole run (`detrend`, `demean`, …) take a pass of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.operations.applying import outline_of, remember
from archive.operations.operation import Part
from archive.reading import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.lazy import Lazy, Window
    from archive.operations.operation import Operation
    from archive.operations.outline import Outline
    from archive.patch import Patch

__all__ = ["MEMORY", "Chain", "plan", "process"]

MEMORY = 256 << 20  # bytes of samples that a block may hold at a time, what is computed from them included
_COPIES = 4  # arrays of a block's size that an operation has at a time: what goes in, what comes out, two between
_WIDE = 8  # bytes that a sample takes at least while it is filtered
_WORTH = 2  # blocks that read more than this many times what they make are cut along other dims as well


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of operations, made ready for one run of samples.

    Parameters
    ----------
    dim
        The dim that the run is long in.
    operations
        What is done, in order.
    outlines
        What goes into each operation, and at the end what comes out of the last.
    found
        By number of an operation: the statistics of the run that it needs, once they are there.
    """

    dim: str
    operations: tuple[Operation, ...]
    outlines: tuple[Outline, ...]
    found: Mapping[int, Any] = field(default_factory=dict)

    @property
    def given(self) -> Outline:
        """Outline of what goes in."""
        return self.outlines[0]

    @property
    def out(self) -> Outline:
        """Outline of what comes out."""
        return self.outlines[-1]

    def passes(self) -> list[int]:
        """Return the numbers of the operations that need statistics of the run first."""
        return [
            number
            for number, one in enumerate(self.operations)
            if one.statistics(self.outlines[number]) == self.dim and number not in self.found
        ]

    def until(self, number: int) -> Chain:
        """Return the chain of the operations before one."""
        return replace(self, operations=self.operations[:number], outlines=self.outlines[: number + 1])

    def windows(self, target: Window) -> list[Window]:
        """Return the samples that each operation is given for a part of the result, and at the end that part."""
        windows = [target]
        for number in range(len(self.operations) - 1, -1, -1):
            gathered = self.operations[number].statistics(self.outlines[number]) == self.dim
            windows.append(self.operations[number].source(self.outlines[number], windows[-1], found=gathered))
        return windows[::-1]

    def compute(self, samples: NDArray[Any], windows: Sequence[Window]) -> NDArray[Any]:
        """Return a part of the result from the samples that it needs, which may be written over."""
        for number, one in enumerate(self.operations):
            part = Part(
                whole=self.outlines[number],
                source=windows[number],
                target=windows[number + 1],
                found=self.found.get(number),
                spare=True,
            )
            samples = one.block(samples, part)
        return samples

    def size(self, target: Window) -> int:
        """Return the bytes that a part of the result takes while it is computed."""
        sizes = [
            _count(window) * max(outline.dtype.itemsize, _WIDE)
            for window, outline in zip(self.windows(target), self.outlines, strict=True)
        ]
        return max(sizes) * _COPIES

    def blocks(
        self, memory: int = MEMORY, lengths: Mapping[str, int] | None = None, within: Window | None = None
    ) -> list[Window]:
        """Return the parts of the result that are computed at a time, in order along the dim.

        Parameters
        ----------
        memory
            Bytes that a block may take; see `size`.
        lengths
            Samples of a block along some dims, for those who know better.
        within
            The part of the result that is wanted; all of it without.

        Raises
        ------
        InvalidInput
            Not even one sample fits into the memory.
        """
        wanted = dict(zip(self.out.dims, within or self.out.window, strict=True))
        shape = {dim: part.stop - part.start for dim, part in wanted.items()}
        if 0 in shape.values():
            return []
        chosen = {**shape, **(lengths or self._lengths(wanted, memory))}
        order = [self.dim, *(dim for dim in self.out.dims if dim != self.dim)]
        steps = [range(wanted[dim].start, wanted[dim].stop, max(chosen[dim], 1)) for dim in order]
        windows = []
        for starts in product(*steps):
            ends = dict(zip(order, starts, strict=True))
            windows.append(
                tuple(slice(ends[dim], min(ends[dim] + max(chosen[dim], 1), wanted[dim].stop)) for dim in self.out.dims)
            )
        return windows

    def _lengths(self, wanted: Mapping[str, slice], memory: int) -> dict[str, int]:
        """Return the longest block that fits; narrower along the other dims if its halo would dwarf it."""
        best: tuple[float, dict[str, int]] | None = None
        shape = {dim: part.stop - part.start for dim, part in wanted.items()}
        narrow = max((dim for dim in shape if dim != self.dim), key=lambda dim: shape[dim], default=None)
        width = 1 if narrow is None else shape[narrow]
        while width:
            lengths = {**shape} if narrow is None else {**shape, narrow: width}
            while self.size(self._middle(wanted, lengths)) > memory and lengths[self.dim] > 1:
                lengths[self.dim] = -(-lengths[self.dim] // 2)
            middle = self._middle(wanted, lengths)
            if self.size(middle) <= memory:
                waste = _count(self.windows(middle)[0]) / _count(middle) * self._yield()
                if best is None or waste < best[0]:
                    best = (waste, lengths)
                if waste <= _WORTH:
                    break
            width //= 2
        if best is None:
            size = self.size(self._middle(wanted, dict.fromkeys(shape, 1)))
            raise InvalidInput(
                f"one sample of the result takes {size / 1e6:.0f} MB, more than the {memory / 1e6:.0f} MB "
                "that were allowed: give more memory, or select fewer channels"
            )
        return best[1]

    def _yield(self) -> float:
        """Return how many samples come out for one that goes in."""
        return _count(self.out.window) / max(_count(self.given.window), 1)

    def _middle(self, wanted: Mapping[str, slice], lengths: Mapping[str, int]) -> Window:
        starts = {dim: (part.start + part.stop - lengths[dim]) // 2 for dim, part in wanted.items()}
        return tuple(slice(starts[dim], starts[dim] + lengths[dim]) for dim in self.out.dims)


def plan(given: Outline, operations: Sequence[Operation], dim: str = "time") -> Chain:
    """Return a chain of operations made ready for a run along a dim; no sample is touched.

    Raises
    ------
    InvalidInput
        An operation does not fit what comes before it, or needs the whole run at once.
    """
    given.axis(dim)
    outlines = [given]
    for one in operations:
        before = outlines[-1]
        if one.kind(before, dim) == "whole":
            raise InvalidInput(
                f"{one.name} needs all of {dim} at once and cannot go over a run of {before.axis(dim).size} samples "
                f"piece by piece; cut it yourself first, as in spool.chunk({dim}=...), or use it along another dim"
            )
        outlines.append(remember(one.out(before), one))
    return Chain(dim, tuple(operations), tuple(outlines))


def process(
    patch: Patch,
    operations: Sequence[Operation],
    *,
    dim: str = "time",
    memory: int = MEMORY,
    lengths: Mapping[str, int] | None = None,
) -> Iterator[Patch]:
    """Return the result of a chain of operations on a Patch of any length, part by part.

    Put together, the parts are the whole result: exactly for operations of finite reach, within
    `archive.operations.filtering.TOLERANCE` times the largest sample for recursive filters.

    Parameters
    ----------
    patch
        The samples, which need not be read yet: only what a part needs is, and only for that part.
    operations
        What is done, in order.
    dim
        The dim that is cut into blocks.
    memory
        Bytes that the samples of a block may take, and what is computed from them.
    lengths
        Samples of a block of the result along some dims, instead.

    Raises
    ------
    InvalidInput
        An operation needs the whole run at once.
    """
    chain = plan(outline_of(patch), operations, dim)
    return _parts(patch, chain, memory, lengths)


def _parts(patch: Patch, chain: Chain, memory: int, lengths: Mapping[str, int] | None) -> Iterator[Patch]:
    chain = gather(patch.lazy, chain, memory)
    for target, samples in computed(patch.lazy, chain, memory, lengths):
        part = chain.out.cut(target)
        yield patch.new(samples, part.coords, part.attrs)


def gather(lazy: Lazy, chain: Chain, memory: int = MEMORY) -> Chain:
    """Return the chain with the statistics of the run that its operations need; one pass for each of them."""
    for number in chain.passes():
        before = chain.until(number)
        gathering = chain.operations[number].gathering(before.out)
        for target, samples in computed(lazy, before, memory, None):
            gathering.add(samples, target)
        chain = replace(chain, found={**chain.found, number: gathering.found()})
    return chain


def computed(
    lazy: Lazy, chain: Chain, memory: int, lengths: Mapping[str, int] | None, within: Window | None = None
) -> Iterator[tuple[Window, NDArray[Any]]]:
    """Return the parts of the result and where they lie, one after the other."""
    for one, given in zip(chain.operations, chain.outlines, strict=False):  # what comes out is the last outline
        one.prepare(given)
    for target in chain.blocks(memory, lengths, within):
        windows = chain.windows(target)
        yield target, chain.compute(load(lazy.cut(windows[0]), None), windows)


def _count(window: Window) -> int:
    return int(np.prod([part.stop - part.start for part in window]))
