"""Operations on Patches: at once where the samples are there, else when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.lazy import InMemory, Lazy, Window, pretended
from archive.operations.outline import Outline
from archive.operations.slabs import Step, run
from archive.reading import LIMIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.lazy import Work
    from archive.operations.operation import Operation
    from archive.patch import Patch

__all__ = ["Applied", "apply", "outline_of", "remember"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an operation makes of an array that is not read yet: a part of it reads what that part needs."""

    base: Lazy
    operation: Operation
    given: Outline
    target: Window

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return tuple(part.stop - part.start for part in self.target)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self.operation.out(self.given).dtype

    def cut(self, window: Window) -> Applied:
        """Return a part, unread."""
        target = tuple(
            slice(mine.start + wanted.start, mine.start + wanted.stop)
            for mine, wanted in zip(self.target, window, strict=True)
        )
        return Applied(self.base, self.operation, self.given, target)

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Ask for the samples that are needed, then compute.

        Raises
        ------
        InvalidInput
            They do not fit into memory.
        """
        if not target.size:
            return
        # Operations that follow each other are done together, so that what is between them is never there as a whole.
        steps: list[Step] = []
        lazy: Lazy = self
        while isinstance(lazy, Applied):
            source = lazy.operation.source(lazy.given, lazy.target)
            steps.insert(0, Step(lazy.operation, lazy.given, source, lazy.target))
            lazy = lazy.base.cut(source)
            size = int(np.prod(lazy.shape)) * lazy.dtype.itemsize
            if size > LIMIT:
                raise InvalidInput(
                    f"{steps[0].operation} needs {size / 1e9:.1f} GB of samples at once, more than "
                    f"{LIMIT / 1e9:.1f} GB; select or chunk first"
                )
        if not any(target.strides):  # only pretended, to plan the reads
            lazy.fill(pretended(lazy.shape, lazy.dtype), work)
            return
        fits = lazy.shape == target.shape and lazy.dtype == target.dtype
        samples = target if fits else np.empty(lazy.shape, dtype=lazy.dtype)
        for step in steps:
            step.operation.prepare(step.given)
        lazy.fill(samples, work)
        work.finish.append(lambda: run(steps, samples, target))


def outline_of(patch: Patch) -> Outline:
    """Return what is known of a Patch without its samples."""
    return Outline(coords=patch.coords, dtype=patch.dtype, attrs=patch.attrs)


def remember(out: Outline, operation: Operation) -> Outline:
    """Return an outline whose history ends in an operation."""
    return out.with_attrs(history=(*out.attrs.get("history", ()), operation))


def apply(patch: Patch, operation: Operation) -> Patch:
    """Return what an operation makes of a Patch; unread if the Patch is, though never unchecked."""
    given, operation = outline_of(patch), operation.settled(patch)
    out = operation.out(given)
    remembered = remember(out, operation)
    data: NDArray[Any] | Lazy = Applied(patch.lazy, operation, given, out.window)
    if isinstance(patch.lazy, InMemory):
        data = np.empty(out.shape, dtype=out.dtype)
        if data.size:
            source = operation.source(given, out.window)
            run([Step(operation, given, source, out.window)], patch.lazy.array[source], data)
    return patch.new(data, remembered.coords, remembered.attrs)
