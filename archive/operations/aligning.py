"""Channels moved against each other, and put together where they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from archive.coords import Coord, Linear, TimeAxis
from archive.errors import InvalidInput
from archive.operations.aggregation import aggregate
from archive.operations.operation import WHOLE, Operation, Part, Reach, one_dim, operation
from archive.operations.sample_types import floating

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.operations.outline import Outline

__all__ = ["AlignToCoord", "PhaseWeightedStack", "align_to_coord", "phase_weighted_stack"]

_NEAR = 1e-6  # samples that arithmetic may be off
_MODES = ("full", "same", "valid")


@operation
class AlignToCoord(Operation):
    """Traces moved along a dim, each by what a coordinate beside another dim says."""

    name: ClassVar[str] = "align_to_coord"
    dim: str
    coord: str
    mode: str
    samples: bool
    reverse: bool
    fill_value: Any

    def _shifts(self, given: Outline) -> tuple[str, NDArray[np.int64]]:
        """Return the dim whose traces move, and by how many samples each does."""
        axis, along = given.axis(self.dim), given.coords[self.coord]
        if len(along.dims) != 1 or self.dim in along.dims:
            raise InvalidInput(f"align_to_coord: {self.coord} must lie along one dim other than {self.dim}")
        values = along.to_numpy()
        if self.samples:
            if values.dtype.kind not in "iu":
                raise InvalidInput(f"align_to_coord(samples=True): {self.coord} holds {values.dtype}, no integers")
            shifts = values.astype(np.int64)
        else:
            step = axis.coord.step
            if step is None:
                raise InvalidInput(f"align_to_coord: {self.dim} has no one step; snap_coords() first, or samples=True")
            if values.dtype.kind == "m":
                seconds = values.astype("timedelta64[ns]").astype(np.int64) / 1e9
                apart = seconds * axis.rate if axis.coord.is_time else None
            else:
                apart = values.astype(float) * axis.rate if values.dtype.kind in "iuf" else None
            if apart is None or not np.isfinite(apart).all():
                raise InvalidInput(f"align_to_coord: {self.coord} holds no shifts along {self.dim}")
            shifts = (np.sign(apart) * np.ceil(np.abs(apart) - _NEAR)).astype(np.int64)
        return along.dims[0], -shifts if self.reverse else shifts

    def _span(self, shifts: NDArray[np.int64], size: int) -> tuple[int, int]:
        """Return first and last sample (exclusive) of the result, counted from the first that there was."""
        low, high = int(shifts.min(initial=0)), int(shifts.max(initial=0))
        if self.mode == "full":
            return int(shifts.min()), int(shifts.max()) + size
        if self.mode == "same":
            return 0, size
        start, stop = int(shifts.max()), int(shifts.min()) + size
        if stop <= start:
            raise InvalidInput(f"align_to_coord(mode='valid'): traces moved by {low} to {high} samples share none")
        return start, stop

    def out(self, given: Outline) -> Outline:
        """Return the outline with the dim as long as the result."""
        axis, (_, shifts) = given.axis(self.dim), self._shifts(given)
        if not shifts.size or not axis.size:
            return given
        start, stop = self._span(shifts, axis.size)
        changed = (
            given if (start, stop) == (0, axis.size) else given.resampled(self.dim, _moved(axis.coord, start, stop))
        )
        keeps = self.mode == "valid" or not shifts.any()
        return changed if keeps else changed.typed(np.result_type(given.dtype, np.min_scalar_type(self.fill_value)))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that all samples of both dims are needed."""
        return {self.dim: WHOLE, self._shifts(given)[0]: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the traces in their new places."""
        given = part.whole
        out, axis = self.out(given), given.axis(self.dim)
        across, shifts = self._shifts(given)
        if not shifts.size or not axis.size:
            return samples
        start, stop = self._span(shifts, axis.size)
        moved = np.moveaxis(samples, (given.axis(across).number, axis.number), (0, 1))
        result = np.full((moved.shape[0], stop - start, *moved.shape[2:]), self.fill_value, dtype=out.dtype)
        for number, shift in enumerate(shifts):
            first, last = max(start, shift), min(stop, shift + axis.size)
            if first < last:
                result[number, first - start : last - start] = moved[number, first - shift : last - shift]
        return np.moveaxis(result, (0, 1), (given.axis(across).number, axis.number))


def _moved(coord: Coord, start: int, stop: int) -> Coord:
    """Return evenly spaced values from one number to another, which may lie outside those that there are."""
    values = coord.values
    if isinstance(values, TimeAxis) and values.pieces == 1 and values.step:
        origin, num, den, phase, _ = values.columns()
        return coord.with_values(TimeAxis(origin, num, den, phase + start, [stop - start]))
    if isinstance(values, Linear):
        offset = values.offset + start * values.stride
        return coord.with_values(
            Linear(start=values.start, step=values.step, size=stop - start, offset=offset, stride=values.stride)
        )
    raise InvalidInput("align_to_coord: only an evenly spaced dim can grow; snap_coords() first, or mode='same'")


def align_to_coord(
    mode: Literal["full", "valid", "same"] = "same",
    samples: bool = False,
    reverse: bool = False,
    fill_value: Any = np.nan,
    **dims: str,
) -> AlignToCoord:
    """Move traces along a dim, each by what a coordinate says.

    Parameters
    ----------
    mode
        "same" keeps the times that there are, "full" all samples, "valid" the times that all traces have.
    samples
        The coordinate counts samples; otherwise seconds or the units of the dim, where a
        part of a sample counts as one.
    reverse
        The other way, to undo an alignment.
    fill_value
        Where a trace has no sample.
    **dims
        The dim, and the name of the coordinate: `time="delay"`.

    Raises
    ------
    InvalidInput
        There is no such mode or coordinate, or the traces share no time.
    """
    dim, coord = one_dim(dims, "align_to_coord")
    if mode not in _MODES:
        raise InvalidInput(f"mode={mode!r}: one of {', '.join(_MODES)}")
    return AlignToCoord(dim=dim, coord=coord, mode=mode, samples=samples, reverse=reverse, fill_value=fill_value)


@operation
class PhaseWeightedStack(Operation):
    """The mean over a dim, weighted by how much the phases agree."""

    name: ClassVar[str] = "phase_weighted_stack"
    stack_dim: str
    transform_dim: str | None
    power: float
    dim_reduce: Any

    def _along(self, given: Outline) -> str:
        if self.transform_dim is not None:
            return given.axis(self.transform_dim).name
        others = [dim for dim in given.dims if dim != self.stack_dim]
        if len(others) != 1:
            raise InvalidInput(f"phase_weighted_stack: name the transform_dim, one of {', '.join(others) or 'none'}")
        return others[0]

    def out(self, given: Outline) -> Outline:
        """Return the outline of a mean over the dim."""
        if self._along(given) == self.stack_dim:
            raise InvalidInput("phase_weighted_stack: stack_dim and transform_dim are one")
        if given.dtype.kind == "c":
            raise InvalidInput("phase_weighted_stack needs real samples")
        reduced = aggregate(self.stack_dim, "mean", self.dim_reduce).out(given)
        return reduced.typed(floating(given.dtype)).with_attrs(data_type="phase_weighted_stack")

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every sample of both dims is needed."""
        return {self.stack_dim: WHOLE, self._along(given): WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the weighted mean."""
        from scipy.signal import hilbert

        given = part.whole
        axis, along = given.axis(self.stack_dim).number, given.axis(self._along(given)).number
        traces = samples.astype(floating(samples.dtype), copy=False)
        analytic = hilbert(traces, axis=along)
        size = np.abs(analytic)
        phase = np.divide(analytic, size, out=np.ones_like(analytic), where=size > 0)
        weight = np.abs(phase.mean(axis=axis, keepdims=True)) ** self.power
        stacked = traces.mean(axis=axis, keepdims=True) * weight
        return np.asarray(stacked.squeeze(axis) if self.dim_reduce == "squeeze" else stacked)


def phase_weighted_stack(
    stack_dim: str, transform_dim: str | None = None, power: float = 2.0, dim_reduce: Any = "empty"
) -> PhaseWeightedStack:
    """Stack what agrees in phase: the mean over a dim, times the mean of the phases to a power.

    Parameters
    ----------
    stack_dim
        What is stacked, such as distance.
    transform_dim
        What the phase runs along; the other dim where there are two.
    power
        How much agreement counts; 0 is the plain mean.
    dim_reduce
        What becomes of the stacked dim; see `aggregate`.

    Raises
    ------
    InvalidInput
        There are no such dims, or samples are complex.

    References
    ----------
    Schimmel, M. and Paulssen, H. (1997), Noise reduction and detection of weak, coherent signals through
    phase-weighted stacks, Geophys. J. Int. 130, 497-505.
    """
    return PhaseWeightedStack(stack_dim=stack_dim, transform_dim=transform_dim, power=power, dim_reduce=dim_reduce)
