"""The steps from pixel to world coordinates: small frozen values, evaluated on whole arrays with NumPy.

They mirror the models that a DKIST gWCS is made of, with units resolved to plain factors. Each step maps
some arrays to others, knows its inverse where there is one, and which output hangs on which input.

References
----------
APE 14: a shared Python interface for World Coordinate Systems. dkist.wcs.models: the models mirrored here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

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
    "Nowhere",
    "Pick",
    "Step",
    "Uncoupled",
]

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


def _inverse(step: Step) -> Step:
    """Return the way back of one of several steps beside each other; the others' is found without it."""
    try:
        return step.inverse()
    except NoInverse:
        return Nowhere(step)


@dataclass(frozen=True, slots=True)
class Nowhere:
    """The inverse of a step that has none: NaN."""

    step: Step

    @property
    def n_inputs(self) -> int:
        """The outputs of the step."""
        return self.step.n_outputs

    @property
    def n_outputs(self) -> int:
        """The inputs of the step."""
        return self.step.n_inputs

    def __call__(self, *arrays: NDArray[np.float64]) -> Arrays:
        """Return NaN for each."""
        return tuple(np.full(np.broadcast_shapes(*map(np.shape, arrays)), np.nan) for _ in range(self.n_outputs))

    def inverse(self) -> Step:
        """Return the step."""
        return self.step

    def depends(self) -> NDArray[np.bool_]:
        """Return that nothing hangs on anything."""
        return np.zeros((self.n_outputs, self.n_inputs), dtype=bool)


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
        return Beside(tuple(_inverse(step) for step in self.steps))

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
        return Uncoupled(_inverse(self.left), _inverse(self.right), self.shared)

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
