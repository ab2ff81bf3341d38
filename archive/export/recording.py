"""What a file is to hold: a Patch with time first, and the questions that writers ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Linear, TimeAxis
from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from archive.patch import Patch

__all__ = ["Recording", "recording_of"]

_NANO = 10**9
_AT_ONCE = 64 << 20  # bytes
_ELSEWHERE = "write it as netcdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A Patch on its way into a file.

    Parameters
    ----------
    patch
        Its first dim is time; samples are integers or floats.
    title
        What the format is called, for messages.
    """

    patch: Patch
    title: str

    @property
    def axis(self) -> TimeAxis:
        """The times."""
        values = self.patch.coords["time"].values
        assert isinstance(values, TimeAxis)  # noqa: S101 - `recording_of` has seen to it
        return values

    @property
    def size(self) -> int:
        """Number of samples in time."""
        return self.patch.shape[0]

    @property
    def dim(self) -> str:
        """The name of the one dim beside time."""
        return self.patch.dims[1]

    def says(self, problem: str) -> InvalidInput:
        """Return the error that names the format and what it cannot hold."""
        return InvalidInput(f"{self.title} cannot hold this Patch: {problem}")

    def two_dims(self) -> tuple[int, int]:
        """Return the numbers of samples and channels.

        Raises
        ------
        InvalidInput
            There are other dims.
        """
        if self.patch.ndim != 2:  # noqa: PLR2004 - time and one more
            raise self.says(f"its dims are {', '.join(self.patch.dims)}, not time and one more; {_ELSEWHERE}")
        return self.patch.shape[0], self.patch.shape[1]

    def step(self) -> Fraction:
        """Return the time from sample to sample, ns, of times on one line.

        Raises
        ------
        InvalidInput
            They are on none, to the nanosecond that they are rounded to.
        """
        axis, step = self.axis, self.axis.step
        if step is None:
            raise self.says(f"its times keep no one rate, and the format has no other; {_ELSEWHERE}")
        if axis.pieces > 1:
            line = TimeAxis.line(axis.first, step, axis.size)
            if np.abs(line.to_ns() - axis.to_ns()).max() > 1:
                raise self.says(
                    f"its times lie on {axis.pieces} lines and the format has one; {_ELSEWHERE}, or chunk it"
                )
        return step

    def rate(self) -> Fraction:
        """Return samples a second; see `step`."""
        return _NANO / self.step()

    def steady_rate(self) -> float | None:
        """Return samples a second where the times are one line, else `None`."""
        axis = self.axis
        return float(_NANO / axis.step) if axis.pieces == 1 and axis.step else None

    def no_scale(self) -> None:
        """Raise an error if samples are still to be multiplied, and the format cannot say so."""
        scale, offset = (self.patch.attrs.get(name) for name in ("scale_factor", "add_offset"))
        if scale not in {None, 1} or offset not in {None, 0}:
            raise self.says("it has a scale_factor or add_offset beside its samples; multiply the samples by it first")

    def spacing(self) -> tuple[int, float]:
        """Return the number of the first channel and the distance between channels, counted from distance 0.

        Raises
        ------
        InvalidInput
            The channels do not lie at whole multiples of one distance.
        """
        _, size = self.two_dims()
        coord = self.patch.coords[self.dim]
        if self.dim != "distance":
            raise self.says(f"it has no distances but {self.dim}; give them, or {_ELSEWHERE}")
        values = coord.to_numpy().astype(np.float64)
        step = float(coord.values.spacing) if isinstance(coord.values, Linear) else _spacing_of(values)
        first = round(values[0] / step) if size and step > 0 else 0
        if not step > 0 or np.abs((first + np.arange(size)) * step - values).max(initial=0) > 1e-9 * max(step, 1):
            raise self.says(f"its distances are no whole multiples of one spacing; {_ELSEWHERE}")
        return first, step

    def numbers(self, array: NDArray[Any], kinds: tuple[str, ...]) -> NDArray[Any]:
        """Return samples in a type that holds all of them exactly: the first that always does, else the last that can.

        Parameters
        ----------
        array
            The samples.
        kinds
            Types that the format knows, from narrow to wide.

        Raises
        ------
        InvalidInput
            None does.
        """
        # Counts stay counts.
        known = [np.dtype(kind) for kind in kinds if (np.dtype(kind).kind == "f") == (array.dtype.kind == "f")]
        found = next((dtype for dtype in known if np.can_cast(array.dtype, dtype)), None)
        found = found or next((dtype for dtype in reversed(known) if _fits(array, dtype)), None)
        if found is not None:
            return array.astype(found, copy=False)
        kept = ", ".join(np.dtype(kind).name for kind in kinds)
        raise self.says(f"its {array.dtype.name} samples fit none of {kept} exactly; convert them, or {_ELSEWHERE}")

    def blocks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield the samples in order of time, some MB at once, with their place."""
        row = max(self.patch.nbytes // max(self.size, 1), 1)
        count = max(_AT_ONCE // row, 1)
        for start in range(0, self.size, count):
            part = slice(start, min(start + count, self.size))
            taken = self.patch.take("time", part)
            yield part, taken.data


def _spacing_of(values: NDArray[np.float64]) -> float:
    return float(values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else 0.0


def _fits(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Return whether a type of the same kind holds values that are there."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.kind == "f" and np.array_equal(array.astype(dtype), array, equal_nan=True)
    if dtype.kind not in "iu" or not array.size:
        return dtype.kind in "iu"
    limits = np.iinfo(dtype)
    return limits.min <= int(array.min()) and int(array.max()) <= limits.max


def recording_of(patch: Patch, title: str) -> Recording:
    """Return a Patch with time first, as a format of some title is to hold it.

    Raises
    ------
    InvalidInput
        It has no times, no samples, or samples that are no numbers.
    """
    if "time" not in patch.dims or not isinstance(patch.coords["time"].values, TimeAxis):
        raise InvalidInput(f"{title} needs a dim time with points in time; the dims are {', '.join(patch.dims)}")
    if not patch.size:
        raise InvalidInput(f"{title}: the Patch holds no samples; widen the selection")
    if patch.dtype.kind not in "iuf":
        raise InvalidInput(f"{title} holds integers or floats, not {patch.dtype}; convert the samples first")
    return Recording(patch=patch.transpose("time", ...), title=title)
