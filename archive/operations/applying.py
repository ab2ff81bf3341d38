"""Operations on Patches: at once where the samples are there, else when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.lazy import InMemory, Lazy, Window, pretended
from archive.operations.operation import Part
from archive.operations.outline import Outline
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
        source = self.operation.source(self.given, self.target)
        needed = self.base.cut(source)
        size = int(np.prod(needed.shape)) * needed.dtype.itemsize
        if size > LIMIT:
            raise InvalidInput(
                f"{self.operation} needs {size / 1e9:.1f} GB of samples at once, more than {LIMIT / 1e9:.1f} GB; "
                "select or chunk first"
            )
        if not any(target.strides):  # only pretended, to plan the reads
            needed.fill(pretended(needed.shape, needed.dtype), work)
            return
        samples = np.empty(needed.shape, dtype=needed.dtype)
        needed.fill(samples, work)
        part = Part(whole=self.given, source=source, target=self.target)
        work.finish.append(lambda: np.copyto(target, self.operation.block(samples, part)))


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
    data: NDArray[Any] | Lazy = (
        operation.whole(patch.lazy.array, given)
        if isinstance(patch.lazy, InMemory)
        else Applied(patch.lazy, operation, given, out.window)
    )
    return patch.new(data, remembered.coords, remembered.attrs)
