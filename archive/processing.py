"""A chain of operations over the Patches of a Spool: `spool.process`.

Each Patch, which over an archive is a run without a gap, is processed part by part. Who wants the result kept has it
written as a dataset of an archive; writing is the business of `ingest`, which this package must not import, and
which is found by the entry point `lightkeep.derive`.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from archive.coords import TimeAxis
from archive.errors import InvalidInput, MissingExtra
from archive.identity import digest_of, identity_of, named, operations_named
from archive.lazy import pretended
from archive.operations.applying import outline_of
from archive.operations.chain import MEMORY, Chain, computed, gather, plan
from archive.operations.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.lazy import Window, Work
    from archive.operations.outline import Outline
    from archive.patch import Patch

__all__ = ["GROUP", "Derivation", "Derived", "Deriver", "Wish", "derivations_of", "parts_of", "write"]

GROUP = "lightkeep.derive"
_DIM = "time"


class Derivation:
    """What a chain of operations makes of one Patch, part by part; nothing is read before a part is asked for.

    Parameters
    ----------
    patch
        The samples, unread.
    operations
        What is done, in order.
    memory
        Bytes that a block may take while it is computed.

    Raises
    ------
    InvalidInput
        An operation does not fit the Patch, or needs all of it at once.
    """

    def __init__(self, patch: Patch, operations: tuple[Operation, ...], memory: int) -> None:
        self.patch, self.operations, self.memory = patch, operations, memory
        self._chain = plan(outline_of(patch), operations, _DIM)
        self._lock = threading.Lock()

    @property
    def out(self) -> Outline:
        """Outline of the whole result."""
        return self._chain.out

    @property
    def axis(self) -> TimeAxis:
        """The times of the whole result.

        Raises
        ------
        InvalidInput
            It has no points in time.
        """
        values = self.out.coords[_DIM].values
        if not isinstance(values, TimeAxis):
            raise InvalidInput("the result has no points in time, by which an archive would keep it")
        return values

    def gathered(self) -> Chain:
        """Return the chain with the statistics of the whole run, which is read once for each of them."""
        with self._lock:
            self._chain = gather(self.patch.lazy, self._chain, self.memory)
        return self._chain

    def samples(self, target: Window) -> NDArray[Any]:
        """Return a part of the result, computed in blocks of bounded memory."""
        result = np.empty([part.stop - part.start for part in target], dtype=self.out.dtype)
        for window, block in computed(self.patch.lazy, self.gathered(), self.memory, None, target):
            place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(window, target, strict=True))
            result[place] = block
        return result

    def along_time(self, start: int, stop: int) -> Window:
        """Return the part of the result between two of its samples along time."""
        return tuple(
            slice(start, stop) if dim == _DIM else part
            for dim, part in zip(self.out.dims, self.out.window, strict=True)
        )

    def identity(self, target: Window) -> str:
        """Return what a part of the result follows from, as a SHA-256 (hex): source samples, operations, metadata.

        Raises
        ------
        InvalidInput
            The Patch's samples have no name.
        """
        chain = self._chain
        needed = chain.windows(target)[0]
        if any(one.statistics(before) == _DIM for one, before in zip(self.operations, chain.outlines, strict=False)):
            source = self._whole
        else:
            source = identity_of(self.patch.lazy.cut(needed))
        return digest_of(
            [
                "lightkeep derivation 1",
                operations_named(self.operations),
                named(chain.given.cut(needed)),
                named(chain.out.cut(target)),
                source,
            ]
        )

    @cached_property
    def _whole(self) -> Any:
        return identity_of(self.patch.lazy)


@dataclass(frozen=True, slots=True)
class Derived:
    """A part of what a chain makes of a Patch, not computed yet."""

    derivation: Derivation
    target: Window

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return tuple(part.stop - part.start for part in self.target)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample."""
        return self.derivation.out.dtype

    def cut(self, window: Window) -> Derived:
        """Return a part, not computed."""
        pairs = zip(self.target, window, strict=True)
        return Derived(self.derivation, tuple(slice(a.start + b.start, a.start + b.stop) for a, b in pairs))

    def fill(self, target: NDArray[Any], work: Work) -> None:
        """Compute when everything else has been read; block by block, each reading what it needs."""
        if not target.size:
            return
        if not any(target.strides):  # only pretended, to plan the reads
            needed = self.derivation.patch.lazy.cut(self.derivation._chain.windows(self.target)[0])  # noqa: SLF001 - its own
            needed.fill(pretended(needed.shape, needed.dtype), work)
            return
        work.finish.append(lambda: np.copyto(target, self.derivation.samples(self.target)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without locks, and with the statistics that are there."""
        derivation = self.derivation
        return _revived, (
            derivation.patch,
            derivation.operations,
            derivation.memory,
            derivation.gathered().found,
            self.target,
        )


def _revived(
    patch: Patch, operations: tuple[Operation, ...], memory: int, found: Mapping[int, Any], target: Window
) -> Derived:
    derivation = Derivation(patch, operations, memory)
    derivation._chain = Chain(_DIM, operations, derivation._chain.outlines, found)  # noqa: SLF001 - its own
    return Derived(derivation, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How the result is to be kept.

    Parameters
    ----------
    url, options
        The archive, and how its store is opened.
    dataset
        Name of the new dataset; one that follows from where it comes from and what was done, without.
    codec
        How it is stored.
    progress
        Told how many bytes of the result have been written, of how many.
    """

    url: str
    options: Mapping[str, Any] | None = field(default=None, repr=False)
    dataset: str | None = None
    codec: str = "pcodec"
    progress: Callable[[int, int], None] = lambda _done, _total: None


class Deriver(Protocol):
    """What stands behind the entry point `lightkeep.derive`."""

    def __call__(self, derivations: Sequence[Derivation], wish: Wish) -> tuple[str, ...]:
        """Write the results that are not there yet, and return the names of their datasets."""
        ...


def derivations_of(patches: Sequence[Patch], operations: Any, memory: int = MEMORY) -> list[Derivation]:
    """Return what a chain of operations makes of each Patch.

    Raises
    ------
    InvalidInput
        These are no operations, there is nothing to process, or an operation does not fit.
    """
    chain = (operations,) if isinstance(operations, Operation) else tuple(operations)
    wrong = [one for one in chain if not isinstance(one, Operation)]
    if wrong or not chain:
        raise InvalidInput(
            f"process() takes operations, not {wrong[0] if wrong else 'none'!r}: process([do.detrend('time'), ...]) "
            "after `from archive import operations as do`"
        )
    return [Derivation(patches[number].new(), chain, memory) for number in range(len(patches)) if patches[number].size]


def parts_of(derivation: Derivation) -> list[Patch]:
    """Return the result as Patches that take bounded memory each, not computed yet."""
    chain = derivation._chain  # noqa: SLF001 - its own
    parts = []
    for target in _along(chain, derivation.memory):
        outline = chain.out.cut(target)
        parts.append(derivation.patch.new(Derived(derivation, target), outline.coords, outline.attrs))
    return parts


def _along(chain: Chain, memory: int) -> list[Window]:
    """Return the blocks of a chain whole along the other dims."""
    axis = chain.out.dims.index(_DIM)
    borders = sorted({(part[axis].start, part[axis].stop) for part in chain.blocks(memory)})
    return [(*chain.out.window[:axis], slice(*border), *chain.out.window[axis + 1 :]) for border in borders]


def write(
    derivations: Sequence[Derivation],
    wish: Wish,
    *,
    progress: bool | None,
) -> tuple[str, ...]:
    """Write results into an archive, and return the names of their datasets; `Spool.process` says the rest."""
    if not derivations:
        raise InvalidInput("there are no samples to process; widen the selection")
    made = _deriver()
    if not (sys.stderr.isatty() if progress is None else progress):
        return made(derivations, wish)
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("process", total=None)
        told = replace(wish, progress=lambda done, total: bar.update(task, completed=done, total=total))
        return made(derivations, told)


def _deriver() -> Deriver:
    """Return what writes results into archives.

    Raises
    ------
    MissingExtra
        The package `ingest`, or a library that it needs, is not installed.
    """
    for entry in entry_points(group=GROUP):
        try:
            return cast("Deriver", entry.load())
        except ImportError as error:
            raise MissingExtra(f"writing needs {error.name}: pip install 'lightkeep[ingest]'") from error
    raise MissingExtra(f"no package brings the entry point {GROUP}; install it anew: pip install 'lightkeep[ingest]'")
