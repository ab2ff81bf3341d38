"""Operations: frozen values that say what comes out, what they need around a sample, and how a block is done.

An operation never asks whether it works on a whole array or on a block of a long run. It is given the
outline of the whole and a window of samples, computes that window as if there were nothing around it,
and what lies too near to the window's inner edges is cut off again. How near is too near is its reach.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, dataclass_transform

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Outline
    from archive.patch import Patch

__all__ = ["WHOLE", "Gathering", "Kind", "Operation", "Part", "Reach", "one_dim", "operation"]

type Kind = Literal["local", "two-pass", "whole"]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a sample of the result needs along one dim.

    Parameters
    ----------
    before, after
        Samples on each side, beside its own.
    step
        Result sample `i` belongs to sample `i · step`.
    whole
        Every sample of the dim is needed; the others then say nothing.
    """

    before: int = 0
    after: int = 0
    step: int = 1
    whole: bool = False


WHOLE = Reach(whole=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where a block lies.

    Parameters
    ----------
    whole
        Outline of everything that the operation is applied to.
    source
        The samples that are given, counted in the whole.
    target
        The samples that are wanted, counted in the whole result.
    found
        What a first pass has gathered; `None` where the source is everything.
    spare
        Nobody else needs the samples that are given: the result may be written over them. New memory is slow.
    """

    whole: Outline
    source: Window
    target: Window
    found: Any = None
    spare: bool = False

    @property
    def outline(self) -> Outline:
        """Outline of the samples that are given."""
        return self.whole.cut(self.source)

    def room(self, samples: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array for a result of the samples' shape: themselves if they are spare, or one in their order."""
        if self.spare and samples.dtype == dtype and samples.flags.writeable:
            return samples
        return np.empty_like(samples, dtype=dtype)


class Gathering(Protocol):
    """Statistics of a run, taken in block by block."""

    def add(self, samples: NDArray[Any], window: Window) -> None:
        """Take in a block; blocks do not overlap."""
        ...

    def found(self) -> Any:
        """Return the statistics."""
        ...


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def operation[T](cls: type[T]) -> type[T]:
    """Make a class of parameters an operation's frozen value; equality and text are those of `Operation`."""
    return dataclass(frozen=True, eq=False, repr=False, kw_only=True)(cls)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Operation:
    """One step of processing; its parameters are the fields of the frozen dataclass that it is."""

    name: ClassVar[str]

    def out(self, given: Outline) -> Outline:
        """Return what comes out, without a sample.

        Raises
        ------
        InvalidInput
            The operation cannot be applied to such data.
        """
        return given

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - sample by sample unless said otherwise
        """Return the reach along each dim on which it is not just the sample itself."""
        return {}

    def statistics(self, given: Outline) -> str | None:  # noqa: ARG002 - none unless said otherwise
        """Return the dim whose statistics a first pass gathers, if there is one."""
        return None

    def gathering(self, given: Outline) -> Gathering:
        """Return what gathers the statistics along the dim that `statistics` names."""
        raise NotImplementedError(f"{self.name} gathers nothing of {given.dims}")

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the result for the samples that are given, as if there were no others."""
        raise NotImplementedError

    def prepare(self, given: Outline) -> None:
        """Begin, beside the reading of the samples, what takes a while before the first of them."""

    def settled(self, patch: Patch) -> Operation:  # noqa: ARG002 - most need no sample to know what comes out
        """Return the operation with what only the samples can say."""
        return self

    def __call__(self, patch: Patch) -> Patch:
        """Return what the operation makes of a Patch."""
        from archive.operations.applying import apply

        return apply(patch, self)

    # -- what follows from these --------------------------------------------------------------------

    def kind(self, given: Outline, dim: str) -> Kind:
        """Return how the operation goes over a long run along a dim."""
        if self.statistics(given) == dim:
            return "two-pass"
        return "whole" if self.reach(given).get(dim, Reach()).whole or dim not in self.out(given).dims else "local"

    def source(self, given: Outline, target: Window, *, found: bool = False) -> Window:
        """Return the samples that a part of the result needs.

        Parameters
        ----------
        given
            Outline of the whole.
        target
            The part of the whole result that is wanted.
        found
            The statistics are there already, so that the run itself is not needed for them.
        """
        reaches, dims = dict(self.reach(given)), self.out(given).dims
        gathered = None if found else self.statistics(given)
        window = []
        for dim, length in zip(given.dims, given.shape, strict=True):
            reach = WHOLE if dim == gathered or dim not in dims else reaches.get(dim, Reach())
            if reach.whole:
                window.append(slice(0, length))
                continue
            wanted = target[dims.index(dim)]
            start = max(wanted.start * reach.step - reach.before, 0) // reach.step * reach.step
            stop = min((wanted.stop - 1) * reach.step + reach.after + 1, length)
            window.append(slice(start, max(stop, start)))
        return tuple(window)

    def block(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples of the part's target, of exactly its shape and of the type that `out` says."""
        given = part.whole
        out = self.out(given)
        if 0 in (stop.stop - stop.start for stop in part.target):
            return np.empty([stop.stop - stop.start for stop in part.target], dtype=out.dtype)
        result = self.compute(samples, part)
        reaches, cut = self.reach(given), []
        for dim, wanted in zip(out.dims, part.target, strict=True):
            reach = reaches.get(dim, Reach())
            first = 0 if dim not in given.dims or reach.whole else part.source[given.dims.index(dim)].start
            first //= reach.step
            cut.append(slice(wanted.start - first, wanted.stop - first))
        return result[tuple(cut)].astype(out.dtype, copy=False)

    def whole(self, samples: NDArray[Any], given: Outline) -> NDArray[Any]:
        """Return the result for an array that is all there is, all of it at once; `slabs.run` takes less memory."""
        return self.block(samples, Part(whole=given, source=given.window, target=self.out(given).window))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, one.name), getattr(other, one.name)) for one in fields(self))

    def __hash__(self) -> int:
        return hash((type(self).__name__, repr(self)))

    def __repr__(self) -> str:
        held = ((one.name, getattr(self, one.name)) for one in fields(self))
        return f"{self.name}({', '.join(f'{name}={_shown(value)}' for name, value in held)})"

    def __str__(self) -> str:
        return repr(self)


def one_dim(dims: Mapping[str, Any], name: str) -> tuple[str, Any]:
    """Return the one dim that a call names, and its value.

    Parameters
    ----------
    dims
        What the call was given by name.
    name
        The operation's, for the message.

    Raises
    ------
    InvalidInput
        It names none, or several.
    """
    if len(dims) != 1:
        raise InvalidInput(f"{name} works along one dim, as in {name}(time=...); it was given {list(dims) or 'none'}")
    return next(iter(dims.items()))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other or one is other)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 4:  # noqa: PLR2004 - long arrays say nothing
        return f"<{value.dtype} {value.shape}>"
    return repr(value)
