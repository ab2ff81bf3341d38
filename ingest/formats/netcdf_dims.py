"""The dims of NetCDF-4 variables, and coordinates that are given by tie points.

HDF5's own list of a variable's dims is made of references, which a damaged file can aim anywhere. NetCDF-4 numbers
its dims beside them; these numbers are taken, else sizes that leave no doubt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import TimeAxis
from archive.errors import FormatError
from ingest.formats import hdf5
from ingest.formats.cf import times_of
from ingest.formats.fields import float_of
from ingest.formats.hdf5_attributes import attributes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Dims", "Ties", "dims_of", "ties_of"]

_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
_MOST_VARIABLES = 10_000
_LOOSE = Fraction(3, 2)  # steps to the next sample, beyond which there is a gap
_LAST = 1 << 62  # ns
_THREE = re.compile(r"(\w+): (\w+) (\w+)\b(?!:)")
_TWO = re.compile(r"(\w+): (\w+)\b(?!:)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dims:
    """The dims of a file.

    Parameters
    ----------
    sizes
        Length of each dim by its name.
    variables
        The attributes of each variable of numbers by its name.
    shapes
        The shape of each variable.
    """

    sizes: dict[str, int]
    numbers: dict[int, str]
    variables: dict[str, dict[str, Any]]
    shapes: dict[str, tuple[int, ...]]

    def along(self, name: str) -> tuple[str, ...]:
        """Return the dims of a variable, none where the file does not tell."""
        shape = self.shapes[name]
        if name in self.sizes and len(shape) == 1:
            return (name,)
        numbers = self.variables[name].get("_Netcdf4Coordinates")
        if isinstance(numbers, list) and len(numbers) == len(shape):
            named = tuple(self.numbers.get(number, "") for number in numbers if isinstance(number, int))
            if tuple(self.sizes.get(dim) for dim in named) == shape:
                return named
        choices = [[dim for dim, length in self.sizes.items() if length == size] for size in shape]
        found = tuple(choice[0] for choice in choices if len(choice) == 1)
        return found if len(found) == len(shape) and len(set(found)) == len(found) else ()

    def coordinates(self, dim: str) -> list[str]:
        """Return the variables that label a dim: the one of its name, and those that variables name as theirs."""
        named = {word for said in self.variables.values() for word in str(said.get("coordinates", "")).split()}
        return [name for name in self.variables if name == dim or (name in named and self.along(name) == (dim,))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """A coordinate given at some of its samples, a line between each two.

    Parameters
    ----------
    indices, values
        The arrays with the numbers of these samples, and with the values there.
    """

    indices: str
    values: str

    def _points(self, root: Any, size: int, file: BinaryIO) -> tuple[NDArray[np.int64], Any]:
        indices, values = (hdf5.array_in(root, name, file) for name in (self.indices, self.values))
        if indices.dtype.kind not in "iu" or indices.shape != values.shape or len(indices.shape) != 1:
            raise FormatError(f"{indices.name}: {indices.shape} ties of {indices.dtype}; set the file aside")
        at = indices[:].astype(np.int64)
        if not len(at) or at[0] != 0 or at[-1] != size - 1 or (np.diff(at) <= 0).any():
            raise FormatError(f"{indices.name}: the ties do not lead from sample 0 to {size - 1}; set the file aside")
        return at, values

    def numbers(self, root: Any, size: int, file: BinaryIO) -> NDArray[np.float64]:
        """Return the values of all samples."""
        at, values = self._points(root, size, file)
        held = values[:].astype(np.float64)
        if len(at) == 2:  # noqa: PLR2004 - one line, which keeps its spacing to the last bit
            return np.asarray(held[0] + np.arange(size) * ((held[1] - held[0]) / (size - 1)))
        return np.asarray(np.interp(np.arange(size), at, held))

    def times(self, root: Any, size: int, file: BinaryIO) -> list[tuple[slice, TimeAxis]]:
        """Return the times of all samples, in stretches between which there is a gap."""
        at, values = self._points(root, size, file)
        stamps = times_of(values[:], attributes_of(values))
        if stamps.min() < 0 or stamps.max() >= _LAST or (np.diff(stamps) <= 0).any():
            raise FormatError(f"{values.name}: the stamps do not rise from 1970 to 2116; set the file aside")
        return [
            (slice(int(at[first]), int(at[last]) + 1), _line(at[first : last + 1], stamps[first : last + 1]))
            for first, last in _stretches(at, stamps)
        ]


def dims_of(root: Any, file: BinaryIO) -> Dims:
    """Return the dims and the variables of numbers in the root group.

    Raises
    ------
    FormatError
        A header is damaged, or there are too many variables.
    """
    sizes: dict[str, int] = {}
    numbers: dict[int, str] = {}
    variables: dict[str, dict[str, Any]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for count, thing in enumerate(hdf5.children(root, file)):
        if count > _MOST_VARIABLES:
            raise FormatError(f"more than {_MOST_VARIABLES} variables in one file; set it aside")
        shape = getattr(thing, "shape", None)
        if shape is None:
            continue
        name, said = str(thing.name).lstrip("/"), attributes_of(thing)
        if said.get("CLASS") == "DIMENSION_SCALE" and len(shape) == 1:
            sizes[name] = shape[0]
            if (number := float_of(said.get("_Netcdf4Dimid"))) is not None:
                numbers[int(number)] = name
        if thing.dtype.kind in "iuf" and not str(said.get("NAME", "")).startswith(_NO_VARIABLE):
            variables[name], shapes[name] = said, shape
    return Dims(sizes=sizes, numbers=numbers, variables=variables, shapes=shapes)


def ties_of(root: Any, dims: Dims, file: BinaryIO) -> dict[str, Ties]:
    """Return the coordinates that are given by tie points, by the dim that they label.

    xdas named them `time: time_indices time_values` in the attribute `coordinate_interpolation` of the samples;
    since CF 1.13 it names `time_values: time_interpolation`, and the latter's `tie_point_mapping` says
    `time: time_indices time_points`.
    """
    ties: dict[str, Ties] = {}
    for said in dims.variables.values():
        named = str(said.get("coordinate_interpolation", ""))[:4096]
        for dim, indices, values in _THREE.findall(named):
            ties[dim] = Ties(indices=indices, values=values)
        for values, container in _TWO.findall(named):
            thing = hdf5.child(root, container, file)
            mapping = str(attributes_of(thing).get("tie_point_mapping", ""))[:4096] if thing is not None else ""
            for dim, indices, _ in _THREE.findall(mapping):
                ties[dim] = Ties(indices=indices, values=values)
    return ties


def _stretches(at: NDArray[np.int64], stamps: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the first and last tie of each stretch: a gap is where neighbours lie too far apart."""
    steps = [Fraction(int(b), int(a)) for a, b in zip(np.diff(at), np.diff(stamps), strict=True)]
    usual = [step for step, apart in zip(steps, np.diff(at), strict=True) if apart > 1]
    gaps = [
        tie
        for tie, step in enumerate(steps)
        if at[tie + 1] - at[tie] == 1 and usual and not step <= _LOOSE * min(usual)
    ]
    edges = [-1, *gaps, len(at) - 1]
    return [(before + 1, last) for before, last in pairwise(edges)]


def _line(at: NDArray[np.int64], stamps: NDArray[np.int64]) -> TimeAxis:
    """Return the lines between ties; the sample of the last tie lies on the last line."""
    if len(at) == 1:
        return TimeAxis.exact(stamps)
    parts = []
    for tie in range(len(at) - 1):
        size = int(at[tie + 1] - at[tie])
        step = Fraction(int(stamps[tie + 1] - stamps[tie]), size)
        parts.append(TimeAxis.line(int(stamps[tie]), step, size + (tie == len(at) - 2)))
    return TimeAxis.concatenate(parts)
