"""Coordinates put in order, named, added and taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, cast

import numpy as np

from archive.coords import Coord, Coords, Explicit, values_from_array
from archive.errors import InvalidInput
from archive.operations.operation import Operation, Part, operation
from archive.operations.resampling import snapped
from archive.select import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Outline
    from archive.patch import Patch

__all__ = ["AppendDims", "Rearranged", "Squeeze", "append_dims", "squeeze"]


@operation
class Squeeze(Operation):
    """Dims of one sample taken away."""

    name: ClassVar[str] = "squeeze"
    dim: tuple[str, ...] | None

    def _dims(self, given: Outline) -> tuple[str, ...]:
        single = tuple(dim for dim, size in zip(given.dims, given.shape, strict=True) if size == 1)
        if self.dim is None:
            return single
        for axis in given.axes(self.dim):
            if axis.size != 1:
                raise InvalidInput(f"squeeze({axis.name!r}): it has {axis.size} samples, not one")
        return self.dim

    def out(self, given: Outline) -> Outline:
        """Return the outline without the dims; their coordinates go too."""
        gone = set(self._dims(given))
        kept = {name: coord for name, coord in given.coords.items() if not gone & set(coord.dims)}
        return given.with_coords(Coords(tuple(dim for dim in given.dims if dim not in gone), kept))

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples without the dims."""
        return samples.squeeze(tuple(axis.number for axis in part.whole.axes(self._dims(part.whole))))


def squeeze(dim: str | Sequence[str] | None = None) -> Squeeze:
    """Take away dims of one sample.

    Parameters
    ----------
    dim
        One dim or several; `None` for all that have one sample.

    Raises
    ------
    InvalidInput
        A dim that is named has more.
    """
    return Squeeze(dim=dim if dim is None else (dim,) if isinstance(dim, str) else tuple(dim))


@operation
class AppendDims(Operation):
    """New dims at the end, along which samples repeat."""

    name: ClassVar[str] = "append_dims"
    dims: tuple[tuple[str, Any], ...]

    def out(self, given: Outline) -> Outline:
        """Return the outline with the new dims."""
        added = {}
        for name, value in self.dims:
            if name in given.dims:
                continue
            values = np.full(value, np.nan) if isinstance(value, (int, np.integer)) else np.atleast_1d(value)
            added[name] = Coord(dims=(name,), values=values_from_array(values))
        return given.with_coords(Coords((*given.dims, *added), {**given.coords, **added}))

    def source(self, given: Outline, target: Window, *, found: bool = False) -> Window:  # noqa: ARG002 - nothing is found
        """Return the window along the dims that were there."""
        return target[: len(given.dims)]

    def block(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples, repeated."""
        shape = [wanted.stop - wanted.start for wanted in part.target]
        added = (1,) * (len(shape) - samples.ndim)
        return np.broadcast_to(samples.reshape(samples.shape + added), shape)


def append_dims(*empty_dims: str, **dims: Any) -> AppendDims:
    """Add dims at the end.

    Parameters
    ----------
    *empty_dims
        Names of dims of one sample without a value.
    **dims
        By name the values, or a number of samples without values; samples repeat along the dim. What is there
        already stays.
    """
    return AppendDims(dims=(*((name, 1) for name in empty_dims), *dims.items()))


class Rearranged:
    """What is done to coordinates without a look at the samples."""

    __slots__ = ()

    def order(self, *, relative: bool = False, samples: bool = False, **selectors: Any) -> Patch:
        """Return the samples in the order of some values of a coordinate, repeated where those are.

        Parameters
        ----------
        relative
            Values count from the start of the coordinate, negative ones from its end.
        samples
            Values are sample numbers.
        **selectors
            The values by coordinate.
        """
        patch = cast("Patch", self)
        for name, values in selectors.items():
            coord = patch.coords[name]
            numbers = [
                np.arange(coord.size)[key_of(coord, selector, name=name, relative=relative, samples=samples)]
                for one in np.atleast_1d(values)
                for selector in [int(one) if samples else (one, one)]
            ]
            patch = patch.take(_one_dim(coord, name), np.concatenate([np.zeros(0, dtype=np.int64), *numbers]))
        return patch

    def sort_coords(self, *coords: str, reverse: bool = False) -> Patch:
        """Return the samples in the order of one or more coordinates.

        Parameters
        ----------
        *coords
            Names of coordinates, no two along one dim.
        reverse
            From the largest to the smallest.

        Raises
        ------
        InvalidInput
            Two of them lie along one dim.
        """
        patch = cast("Patch", self)
        dims = [_one_dim(patch.coords[name], name) for name in coords]
        if len(set(dims)) != len(dims):
            raise InvalidInput(f"sort_coords{coords}: no two coordinates can sort one dim")
        for name, dim in zip(coords, dims, strict=True):
            numbers = np.argsort(patch.coords[name].to_numpy(), kind="stable")
            patch = patch.take(dim, numbers[::-1] if reverse else numbers)
        return patch

    def snap_coords(self, *coords: str, reverse: bool = False) -> Patch:
        """Return the samples sorted, and their coordinates evenly between the smallest and the largest value.

        Parameters
        ----------
        *coords
            Names of dims; all without any.
        reverse
            From the largest to the smallest.
        """
        names = coords or cast("Patch", self).dims
        patch = self.sort_coords(*names)
        patch = patch.new(coords=patch.coords.update({name: snapped(patch.coords[name]) for name in names}))
        for name in names if reverse else ():
            patch = patch.take(name, slice(None, None, -1))
        return patch

    def rename_coords(self, **names: str) -> Patch:
        """Return the Patch with other names for some coordinates and dims.

        Parameters
        ----------
        **names
            The new name by the old one.
        """
        patch = cast("Patch", self)
        for name in names:
            _ = patch.coords[name]
        renamed = {
            names.get(name, name): replace(coord, dims=tuple(names.get(dim, dim) for dim in coord.dims))
            for name, coord in patch.coords.items()
        }
        if len(renamed) != len(patch.coords):
            raise InvalidInput(f"rename_coords({names}): two coordinates would have one name")
        return patch.new(coords=Coords(tuple(names.get(dim, dim) for dim in patch.dims), renamed))

    def drop_coords(self, *coords: str) -> Patch:
        """Return the Patch without some coordinates that label no dim; names that are not there are passed over.

        Parameters
        ----------
        *coords
            Their names.

        Raises
        ------
        InvalidInput
            One labels a dim.
        """
        patch = cast("Patch", self)
        if labels := [name for name in coords if name in patch.dims]:
            raise InvalidInput(f"drop_coords{coords}: {', '.join(labels)} labels a dim; use squeeze or mean")
        kept = {name: coord for name, coord in patch.coords.items() if name not in coords}
        return patch.new(coords=Coords(patch.dims, kept))

    def set_dims(self, **dims: str) -> Patch:
        """Return the Patch with another coordinate to label a dim; the old one stays beside it.

        Parameters
        ----------
        **dims
            The name of the coordinate, which lies along the dim, by that of the dim.

        Raises
        ------
        InvalidInput
            There is no such dim, or the coordinate does not lie along it.
        """
        patch = cast("Patch", self)
        for old, new in dims.items():
            patch.get_axis(old)
            if patch.coords[new].dims != (old,):
                raise InvalidInput(f"set_dims({old}={new!r}): {new} does not lie along {old}")
            swapped = {
                name: replace(coord, dims=tuple(new if dim == old else dim for dim in coord.dims))
                for name, coord in patch.coords.items()
            }
            patch = patch.new(coords=Coords(tuple(new if dim == old else dim for dim in patch.dims), swapped))
        return patch

    def coords_from_df(
        self, dataframe: pd.DataFrame, units: Mapping[str, str] | None = None, extrapolate: bool = False
    ) -> Patch:
        """Return the Patch with the columns of a table as coordinates, interpolated linearly along a dim.

        Parameters
        ----------
        dataframe
            One column is named like a dim; each other becomes a coordinate along it.
        units
            By column.
        extrapolate
            Go on with the outermost slopes beyond the table; NaN otherwise.

        Raises
        ------
        InvalidInput
            None or several of the columns are dims, a column holds no numbers, or the table has too few lines.
        """
        patch = cast("Patch", self)
        named = [str(name) for name in dataframe.columns if name in patch.dims]
        if len(named) != 1:
            raise InvalidInput(f"coords_from_df: one column must be a dim of {patch.dims}; there are {named or 'none'}")
        dim = named[0]
        known, wanted = _numbers(dataframe[dim].to_numpy(), dim), _numbers(patch.get_array(dim), dim)
        order = np.argsort(known, kind="stable")
        if len(order) < 2 or np.any(np.diff(known[order]) == 0):  # noqa: PLR2004 - a line has two ends
            raise InvalidInput(f"coords_from_df: {dim} needs two values or more, each once")
        added = {}
        for name in (str(column) for column in dataframe.columns if column != dim):
            values = _along(wanted, known[order], _numbers(dataframe[name].to_numpy(), name)[order], extrapolate)
            added[name] = Coord(dims=(dim,), values=values_from_array(values), units=(units or {}).get(name))
        return patch.new(coords=patch.coords.update(added))

    def add_distance_to(self, origin: Mapping[str, float], ord: Any = None, prefix: str = "origin") -> Patch:  # noqa: A002 - NumPy's word
        """Return the Patch with the distance to a point as one more coordinate, and the point itself.

        Parameters
        ----------
        origin
            The point by names of coordinates, which must lie along one dim: a dict or a pandas Series.
        ord
            The norm, as NumPy's `linalg.norm` has it.
        prefix
            Before `_distance`, and before the names of the point's coordinates.

        Raises
        ------
        InvalidInput
            The coordinates do not lie along one dim.
        """
        patch, point = cast("Patch", self), dict(origin.items())
        found = [patch.coords[name] for name in point]
        if len({coord.dims for coord in found}) != 1:
            raise InvalidInput(f"add_distance_to needs coordinates along one dim; {', '.join(point)} are not")
        apart = np.stack([coord.to_numpy() - value for coord, value in zip(found, point.values(), strict=True)], -1)
        values = Explicit(np.linalg.norm(apart, axis=-1, ord=ord))
        added = {f"{prefix}_distance": Coord(dims=found[0].dims, values=values, units=found[0].units)}
        for name, coord in zip(point, found, strict=True):
            added[f"{prefix}_{name}"] = Coord(dims=(), values=Explicit(np.array([point[name]])), units=coord.units)
        return patch.new(coords=patch.coords.update(added))

    def pipe[**P, T](self, func: Callable[Concatenate[Patch, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function makes of the Patch and further arguments."""
        return func(cast("Patch", self), *args, **kwargs)


def _numbers(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    if values.dtype.kind not in "iufM":
        raise InvalidInput(f"coords_from_df: {name} holds {values.dtype}, no numbers")
    return np.asarray(values.astype("datetime64[ns]").astype(np.int64) if values.dtype.kind == "M" else values, float)


def _along(wanted: NDArray[Any], known: NDArray[Any], values: NDArray[Any], extrapolate: bool) -> NDArray[Any]:
    found = np.interp(wanted, known, values, left=np.nan, right=np.nan)
    if extrapolate:
        for outside, (a, b) in ((wanted < known[0], (0, 1)), (wanted > known[-1], (-2, -1))):
            slope = (values[b] - values[a]) / (known[b] - known[a])
            found[outside] = values[a] + (wanted[outside] - known[a]) * slope
    return np.asarray(found)


def _one_dim(coord: Coord, name: str) -> str:
    if len(coord.dims) != 1:
        raise InvalidInput(f"{name} lies along no single dim")
    return coord.dims[0]
