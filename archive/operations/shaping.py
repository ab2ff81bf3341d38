"""Samples added at the ends, turned round, reversed or left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from archive.coords import Coord, Coords, Explicit, Linear, TimeAxis
from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, one_dim, operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Axis, Outline
    from archive.patch import Patch

__all__ = ["Dropna", "Flip", "Pad", "Roll", "dropna", "flip", "pad", "roll"]


@operation
class Pad(Operation):
    """Samples of one value before and after."""

    name: ClassVar[str] = "pad"
    dims: tuple[tuple[str, Any], ...]
    constant_values: Any
    expand_coords: bool
    samples: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline with longer dims."""
        held = dict(given.coords)
        for dim, (before, after) in self._widths(given).items():
            axis = given.axis(dim)
            held = {name: coord for name, coord in held.items() if name == dim or dim not in coord.dims}
            held[dim] = _extended(axis, before, after, expand=self.expand_coords)
        return given.with_coords(Coords(given.dims, held))

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - the dims that are named
        """Return that every sample of the padded dims is needed."""
        return {dim: WHOLE for dim, _ in self.dims}

    def _widths(self, given: Outline) -> dict[str, tuple[int, int]]:
        return {dim: self._width(given.axis(dim), value) for dim, value in self.dims}

    def _width(self, axis: Axis, value: Any) -> tuple[int, int]:
        if isinstance(value, str):
            from scipy.fft import next_fast_len

            if value not in {"fft", "correlate"}:
                raise InvalidInput(f"pad({axis.name}={value!r}): one of 'fft', 'correlate', or lengths")
            length = axis.size if value == "fft" else 2 * axis.size - 1
            return 0, int(next_fast_len(length)) - axis.size
        both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
        if len(both) != 2:  # noqa: PLR2004 - before and after
            raise InvalidInput(f"pad({axis.name}={value!r}) needs one length, or one before and one after")
        before, after = (axis.samples(one, samples=self.samples) for one in both)
        if before < 0 or after < 0:
            raise InvalidInput(f"pad({axis.name}={value!r}) must not be negative")
        return before, after

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the padded samples."""
        widths = self._widths(part.whole)
        width = [widths.get(dim, (0, 0)) for dim in part.whole.dims]
        return np.pad(samples, width, mode="constant", constant_values=self.constant_values)


def pad(
    mode: Literal["constant"] = "constant",
    constant_values: Any = 0,
    expand_coords: bool = True,
    samples: bool = False,
    **dims: Any,
) -> Pad:
    """Add samples of one value before and after.

    Parameters
    ----------
    mode
        Only "constant".
    constant_values
        The value.
    expand_coords
        Go on with even coordinates; else, and where they are uneven, the new ones are NaN or NaT.
    samples
        Lengths are numbers of samples.
    **dims
        By dim a length, a pair (before, after), "fft" for the next length that is fast to transform, or
        "correlate" for the next one that holds a correlation.

    Raises
    ------
    InvalidInput
        A length makes no sense.
    """
    if mode != "constant" or isinstance(constant_values, (list, tuple)):
        raise InvalidInput("pad knows mode='constant' with one value for all dims")
    return Pad(dims=tuple(dims.items()), constant_values=constant_values, expand_coords=expand_coords, samples=samples)


@operation
class Roll(Operation):
    """Samples shifted, those that leave at one end coming in at the other."""

    name: ClassVar[str] = "roll"
    dim: str
    shift: Any
    samples: bool
    update_coord: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline, its coordinate rolled if that is wanted."""
        axis = given.axis(self.dim)
        count = self._count(axis)
        if not self.update_coord:
            return given
        return given.with_coords(given.coords.take({self.dim: np.roll(np.arange(axis.size), count)}))

    def _count(self, axis: Axis) -> int:
        return axis.samples(self.shift, samples=self.samples)

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the rolled samples."""
        axis = part.whole.axis(self.dim)
        return np.roll(samples, self._count(axis), axis=axis.number)


def roll(samples: bool = False, update_coord: bool = False, **dims: Any) -> Roll:
    """Shift samples along a dim, those that leave at one end coming in at the other.

    Parameters
    ----------
    samples
        The shift is a number of samples.
    update_coord
        Shift the coordinates with the samples.
    **dims
        One dim and the shift.
    """
    dim, shift = one_dim(dims, "roll")
    return Roll(dim=dim, shift=shift, samples=samples, update_coord=update_coord)


@operation
class Flip(Operation):
    """Samples in reverse order."""

    name: ClassVar[str] = "flip"
    dims: tuple[str, ...]
    flip_coords: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline, its coordinates reversed if that is wanted."""
        given.axes(self.dims)
        if not self.flip_coords:
            return given
        return given.with_coords(given.coords.take({dim: slice(None, None, -1) for dim in self.dims}))

    def source(self, given: Outline, target: Window, *, found: bool = False) -> Window:  # noqa: ARG002 - nothing is found
        """Return the mirrored window."""
        return tuple(
            slice(length - wanted.stop, length - wanted.start) if dim in self.dims else wanted
            for dim, length, wanted in zip(given.dims, given.shape, target, strict=True)
        )

    def block(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples in reverse order."""
        return np.flip(samples, axis=tuple(axis.number for axis in part.whole.axes(self.dims)))


def flip(*dims: str, flip_coords: bool = True) -> Flip:
    """Reverse the order of samples along some dims.

    Parameters
    ----------
    *dims
        The dims.
    flip_coords
        Reverse the coordinates too.
    """
    return Flip(dims=dims, flip_coords=flip_coords)


@operation
class Kept(Operation):
    """Samples left out along a dim, by number."""

    name: ClassVar[str] = "dropna"
    dim: str
    how: str
    include_inf: bool
    kept: NDArray[Any]

    def out(self, given: Outline) -> Outline:
        """Return the outline of what stays."""
        return given.with_coords(given.coords.take({self.dim: self.kept}))

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return what stays."""
        return samples.take(self.kept, axis=part.whole.axis(self.dim).number)


@operation
class Dropna(Operation):
    """What is no number left out."""

    name: ClassVar[str] = "dropna"
    dim: str
    how: str
    include_inf: bool

    def out(self, given: Outline) -> Outline:
        """Refuse: only the samples know what stays."""
        raise InvalidInput(
            f"what dropna({self.dim!r}) leaves of {given.shape} is only known from the samples, so it cannot be part "
            "of a chain over a run; use fillna, or drop after chunking"
        )

    def settled(self, patch: Patch) -> Operation:
        """Return the operation with what the samples say."""
        samples, axis = patch.data, patch.get_axis(self.dim)
        missing = np.zeros(samples.shape, dtype=bool)
        if samples.dtype.kind in "fc":
            missing = ~np.isfinite(samples) if self.include_inf else np.isnan(samples)
        others = tuple(number for number in range(samples.ndim) if number != axis)
        dropped = missing.any(axis=others) if self.how == "any" else missing.all(axis=others)
        return Kept(dim=self.dim, how=self.how, include_inf=self.include_inf, kept=np.flatnonzero(~dropped))


def dropna(dim: str, how: Literal["any", "all"] = "any", include_inf: bool = True) -> Dropna:
    """Leave out what holds NaN.

    Parameters
    ----------
    dim
        The dim along which it is left out.
    how
        Where any sample is NaN, or only where all are.
    include_inf
        Infinite samples count as well.
    """
    if how not in {"any", "all"}:
        raise InvalidInput(f"dropna(how={how!r}): one of 'any', 'all'")
    return Dropna(dim=dim, how=how, include_inf=include_inf)


def _extended(axis: Axis, before: int, after: int, *, expand: bool) -> Coord:
    """Return a coordinate with values added at both ends."""
    coord, size = axis.coord, axis.size + before + after
    try:
        step = axis.exact_step if expand else None
    except InvalidInput:
        step = None
    if step is None:
        array = coord.to_numpy()
        nothing = np.datetime64("NaT", "ns") if coord.is_time else np.nan
        array = array.astype(np.float64) if array.dtype.kind in "iu" else array
        return replace(coord, values=Explicit(np.pad(array, (before, after), constant_values=nothing)))
    values = coord.values
    if isinstance(values, TimeAxis) and step > 0:
        start = values.first - round(before * step * 10**9)
        return replace(coord, values=TimeAxis.line(start, step * 10**9, size))
    if coord.is_time:
        first = int(coord.to_numpy().astype("datetime64[ns]").astype(np.int64)[0])
        stamps = first + np.rint((np.arange(size) - before) * float(step) * 1e9).astype(np.int64)
        return replace(coord, values=TimeAxis.exact(stamps))
    if isinstance(values, Linear):
        return replace(coord, values=replace(values, size=size, offset=values.offset - before * values.stride))
    array = coord.to_numpy()
    kind = float if array.dtype.kind == "f" else int
    return replace(coord, values=Linear(start=kind(array[0] - before * step), step=kind(step), size=size))
