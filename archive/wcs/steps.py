"""The steps from pixel to world coordinates: small frozen values, evaluated on whole arrays with NumPy.

They mirror the models that a DKIST gWCS is made of, with units resolved to plain factors. Each step maps
some arrays to others, knows its inverse where there is one, and which output hangs on which input.

References
----------
APE 14: a shared Python interface for World Coordinate Systems. dkist.wcs.models: the models mirrored here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Affine",
    "Beside",
    "Chain",
    "Coupled",
    "Line",
    "NoInverse",
    "Pick",
    "Ravel",
    "Step",
    "Table",
    "Uncoupled",
    "Unravel",
]

_SLACK = 1e-6

type Arrays = tuple[NDArray[np.float64], ...]


class NoInverse(InvalidInput):
    """These coordinates cannot be turned back into pixels."""


class Step(Protocol):
    """One step, from `n_inputs` arrays to `n_outputs` arrays that broadcast with each other."""

    @property
    def n_inputs(self) -> int:
        """Number of arrays that go in."""
        ...

    @property
    def n_outputs(self) -> int:
        """Number of arrays that come out."""
        ...

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the outputs."""
        ...

    def inverse(self) -> Step:
        """Return the way back; `NoInverse` where there is none."""
        ...

    def depends(self) -> NDArray[np.bool_]:
        """Return which output hangs on which input, shape `(n_outputs, n_inputs)`."""
        ...


@dataclass(frozen=True, slots=True)
class Chain:
    """Steps one after the other."""

    steps: tuple[Step, ...]

    @property
    def n_inputs(self) -> int:
        """Those of the first step."""
        return self.steps[0].n_inputs

    @property
    def n_outputs(self) -> int:
        """Those of the last step."""
        return self.steps[-1].n_outputs

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return what comes out of the last step."""
        for step in self.steps:
            arrays = step(*arrays)
        return arrays

    def inverse(self) -> Chain:
        """Return the steps' inverses from the last to the first."""
        return Chain(tuple(step.inverse() for step in reversed(self.steps)))

    def depends(self) -> NDArray[np.bool_]:
        """Return the product of the steps' own."""
        matrix = np.eye(self.n_inputs, dtype=bool)
        for step in self.steps:
            matrix = step.depends() @ matrix
        return matrix


@dataclass(frozen=True, slots=True)
class Beside:
    """Steps beside each other, each with its own inputs."""

    steps: tuple[Step, ...]

    @property
    def n_inputs(self) -> int:
        """Those of all steps."""
        return sum(step.n_inputs for step in self.steps)

    @property
    def n_outputs(self) -> int:
        """Those of all steps."""
        return sum(step.n_outputs for step in self.steps)

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return what comes out of each step, in order."""
        out: list[NDArray[np.float64]] = []
        start = 0
        for step in self.steps:
            out.extend(step(*arrays[start : start + step.n_inputs]))
            start += step.n_inputs
        return tuple(out)

    def inverse(self) -> Beside:
        """Return the steps' inverses beside each other."""
        return Beside(tuple(step.inverse() for step in self.steps))

    def depends(self) -> NDArray[np.bool_]:
        """Return the steps' own as blocks along the diagonal."""
        matrix = np.zeros((self.n_outputs, self.n_inputs), dtype=bool)
        row = column = 0
        for step in self.steps:
            block = step.depends()
            matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
            row, column = row + block.shape[0], column + block.shape[1]
        return matrix


@dataclass(frozen=True, slots=True)
class Coupled:
    """Two steps beside each other that share inputs: the last of the left are the first of the right.

    The way back asks the right step first: the left one's inverse needs the pixels that it gives.

    Parameters
    ----------
    shared
        Number of inputs that both take.
    """

    left: Step
    right: Step
    shared: int

    @property
    def n_inputs(self) -> int:
        """Those of both, the shared ones once."""
        return self.left.n_inputs + self.right.n_inputs - self.shared

    @property
    def n_outputs(self) -> int:
        """Those of both."""
        return self.left.n_outputs + self.right.n_outputs

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return what comes out of the left, then of the right."""
        return (*self.left(*arrays[: self.left.n_inputs]), *self.right(*arrays[-self.right.n_inputs :]))

    def inverse(self) -> Uncoupled:
        """Return the way back through the right step."""
        return Uncoupled(self.left.inverse(), self.right.inverse(), self.shared)

    def depends(self) -> NDArray[np.bool_]:
        """Return both blocks, overlapping in the shared inputs."""
        matrix = np.zeros((self.n_outputs, self.n_inputs), dtype=bool)
        left, right = self.left.depends(), self.right.depends()
        matrix[: left.shape[0], : left.shape[1]] = left
        matrix[left.shape[0] :, -right.shape[1] :] = right
        return matrix


@dataclass(frozen=True, slots=True)
class Uncoupled:
    """The inverse of `Coupled`: `left` takes its own inputs and the first `shared` outputs of `right`."""

    left: Step
    right: Step
    shared: int

    @property
    def n_inputs(self) -> int:
        """The left one's own and the right one's."""
        return self.left.n_inputs - self.shared + self.right.n_inputs

    @property
    def n_outputs(self) -> int:
        """Those of both."""
        return self.left.n_outputs + self.right.n_outputs

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return what comes out of the left, then of the right."""
        own = self.left.n_inputs - self.shared
        right = self.right(*arrays[own:])
        return (*self.left(*arrays[:own], *right[: self.shared]), *right)

    def inverse(self) -> Coupled:
        """Return the way that this is the inverse of."""
        return Coupled(self.left.inverse(), self.right.inverse(), self.shared)

    def depends(self) -> NDArray[np.bool_]:
        """Return that every output may hang on every input."""
        return np.ones((self.n_outputs, self.n_inputs), dtype=bool)


@dataclass(frozen=True, slots=True)
class Pick:
    """Inputs in another order, some of them twice or left out.

    Parameters
    ----------
    forward
        For each output, the input that it is.
    n_inputs
        Number of inputs.
    backward
        For each output of the inverse, which of its inputs it is; `None`: the first one that `forward` names.
    n_backward
        Number of inputs of the inverse where they are not the outputs of this.
    """

    forward: tuple[int, ...]
    n_inputs: int
    backward: tuple[int, ...] | None = None
    n_backward: int | None = None

    @property
    def n_outputs(self) -> int:
        """One for each entry of `forward`."""
        return len(self.forward)

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the picked inputs."""
        return tuple(arrays[number] for number in self.forward)

    def inverse(self) -> Pick:
        """Return what puts the inputs back."""
        if self.backward is not None:
            count = self.n_outputs if self.n_backward is None else self.n_backward
            return Pick(self.backward, count, self.forward, self.n_inputs)
        if set(self.forward) != set(range(self.n_inputs)):
            raise NoInverse("an axis of these coordinates is left out on the way; its pixel cannot be found")
        first = tuple(self.forward.index(number) for number in range(self.n_inputs))
        return Pick(first, self.n_outputs, self.forward, self.n_inputs)

    def depends(self) -> NDArray[np.bool_]:
        """Return a one for each picked input."""
        matrix = np.zeros((self.n_outputs, self.n_inputs), dtype=bool)
        matrix[np.arange(self.n_outputs), list(self.forward)] = True
        return matrix


@dataclass(frozen=True, slots=True)
class Line:
    """`slope * x + intercept`."""

    slope: float
    intercept: float = 0.0
    n_inputs: int = 1
    n_outputs: int = 1

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the value on the line."""
        (x,) = arrays
        return (self.slope * x + self.intercept,)

    def inverse(self) -> Line:
        """Return the inverse line."""
        if self.slope == 0:
            raise NoInverse("a coordinate is the same for all pixels along its axis; its pixel cannot be found")
        return Line(1 / self.slope, -self.intercept / self.slope)

    def depends(self) -> NDArray[np.bool_]:
        """Return that the output hangs on the input."""
        return np.ones((1, 1), dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """`matrix @ (x, y) + translation`.

    Parameters
    ----------
    matrix, translation
        Shape `(2, 2)` and `(2,)`.
    """

    matrix: NDArray[np.float64]
    translation: NDArray[np.float64]
    n_inputs: int = 2
    n_outputs: int = 2

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the two sums."""
        x, y = arrays
        (a, b), (c, d) = self.matrix
        return a * x + b * y + self.translation[0], c * x + d * y + self.translation[1]

    def inverse(self) -> Affine:
        """Return the inverse map."""
        try:
            matrix = np.linalg.inv(self.matrix)
        except np.linalg.LinAlgError as error:
            raise NoInverse("the rotation matrix of these coordinates is singular") from error
        return Affine(matrix, -matrix @ self.translation)

    def depends(self) -> NDArray[np.bool_]:
        """Return that both hang on both, whatever the numbers."""
        return np.ones((2, 2), dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Values at points, and between them; NaN beyond.

    Parameters
    ----------
    points
        Strictly rising, shape `(n,)`.
    values
        At the points, shape `(n,)`.
    nearest
        The value of the nearest point, the lower one halfway, instead of interpolation.
    slack
        How far beyond the ends still counts as the end, in steps between points: a coordinate that went
        through an object of astropy comes back a little off.
    """

    points: NDArray[np.float64]
    values: NDArray[np.float64]
    nearest: bool = False
    slack: float = 0.0
    n_inputs: int = 1
    n_outputs: int = 1

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the looked up values."""
        (x,) = arrays
        points, values = self.points, self.values
        if points.size == 1:
            return (np.where(np.abs(x - points[0]) <= self.slack, values[0], np.nan),)
        if self.slack:
            near = self.slack * (points[1] - points[0]), self.slack * (points[-1] - points[-2])
            inside = (x >= points[0] - near[0]) & (x <= points[-1] + near[1])
            x = np.where(inside, np.clip(x, points[0], points[-1]), np.nan)
        if points[0] == 0 and points[-1] == points.size - 1 and (np.diff(points) == 1).all():
            low = np.fmax(np.fmin(np.floor(x), points.size - 2), 0).astype(np.intp)  # pixels: no search
            part = x - low
        else:
            low = np.clip(np.searchsorted(points, x, side="right") - 1, 0, points.size - 2)
            part = (x - points[low]) / (points[low + 1] - points[low])
        if self.nearest:
            out = values.take(low + (part > 0.5))  # noqa: PLR2004 - halfway
        else:
            out = values.take(low) * (1 - part) + values.take(low + 1) * part
        return (np.where((x >= points[0]) & (x <= points[-1]), out, np.nan),)

    def inverse(self) -> Table:
        """Return the table read the other way."""
        steps = np.diff(self.values)
        if (steps > 0).all():
            return Table(self.values, self.points, self.nearest, slack=_SLACK)
        if (steps < 0).all():
            return Table(self.values[::-1], self.points[::-1], self.nearest, slack=_SLACK)
        raise NoInverse("a coordinate has the same value at several pixels; its pixel cannot be found")

    def depends(self) -> NDArray[np.bool_]:
        """Return that the output hangs on the input."""
        return np.ones((1, 1), dtype=bool)


@dataclass(frozen=True, slots=True)
class Ravel:
    """Pixels of several axes to the place in a flat table; the fraction of one axis is carried over.

    Parameters
    ----------
    shape
        Of the table.
    order
        `C` or `F`: which axis runs fastest, the last or the first.
    """

    shape: tuple[int, ...]
    order: str = "C"

    @property
    def n_inputs(self) -> int:
        """One for each axis."""
        return len(self.shape)

    @property
    def n_outputs(self) -> int:
        """The place."""
        return 1

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the place, NaN outside of the table."""
        place: Any = 0.0
        outside: Any = np.False_
        axes = list(range(self.n_inputs))
        for axis in axes if self.order == "C" else reversed(axes):
            index = np.rint(arrays[axis])
            outside = outside | ~((index >= 0) & (index < self.shape[axis]))
            place = place * self.shape[axis] + index
        fastest = arrays[-1 if self.order == "C" else 0]
        return (np.where(outside, np.nan, place + (fastest - np.rint(fastest))),)

    def inverse(self) -> Unravel:
        """Return the way back."""
        return Unravel(self.shape, self.order)

    def depends(self) -> NDArray[np.bool_]:
        """Return that the place hangs on every axis."""
        return np.ones((1, self.n_inputs), dtype=bool)


@dataclass(frozen=True, slots=True)
class Unravel:
    """The inverse of `Ravel`."""

    shape: tuple[int, ...]
    order: str = "C"

    @property
    def n_inputs(self) -> int:
        """The place."""
        return 1

    @property
    def n_outputs(self) -> int:
        """One for each axis."""
        return len(self.shape)

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return the pixels, NaN outside of the table; what is all but the next place counts as that."""
        (place,) = arrays
        whole = np.floor(place + 1e-9)
        inside = (whole >= 0) & (whole < np.prod(self.shape))
        rest = np.where(inside, whole, 0)
        fraction = np.where(inside, place - whole, np.nan)
        out: list[NDArray[np.float64]] = [np.float64(0) * rest] * self.n_outputs
        axes = list(range(self.n_outputs))
        fast_first = axes if self.order == "F" else axes[::-1]
        for axis in fast_first:
            out[axis] = np.where(inside, rest % self.shape[axis], np.nan)
            rest = rest // self.shape[axis]
        out[fast_first[0]] = out[fast_first[0]] + fraction
        return tuple(out)

    def inverse(self) -> Ravel:
        """Return the way that this is the inverse of."""
        return Ravel(self.shape, self.order)

    def depends(self) -> NDArray[np.bool_]:
        """Return that every axis hangs on the place."""
        return np.ones((self.n_outputs, 1), dtype=bool)
