"""Many samples to one along a dim: means, extremes, sums, firsts and lasts."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.coords import Coord, Coords, Explicit, TimeAxis
from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.operations.outline import Outline

__all__ = [
    "Aggregate",
    "aggregate",
    "all_",
    "any_",
    "first",
    "last",
    "max_",
    "mean",
    "median",
    "min_",
    "std",
    "sum_",
]

_METHODS: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "min": np.nanmin,
    "max": np.nanmax,
    "std": np.nanstd,
    "sum": np.nansum,
    "any": np.any,
    "all": np.all,
    "first": lambda samples, axis: np.take(samples, 0, axis=axis),
    "last": lambda samples, axis: np.take(samples, -1, axis=axis),
}


@operation
class Aggregate(Operation):
    """One sample for all of a dim, one dim after the other."""

    name: ClassVar[str] = "aggregate"
    dim: tuple[str, ...] | None
    method: Any
    dim_reduce: Any

    def out(self, given: Outline) -> Outline:
        """Return the outline with dims of one sample, or without them."""
        axes = given.axes(self.dim)
        if self.dim_reduce == "squeeze" and len(axes) == len(given.dims):
            raise InvalidInput("aggregate(dim_reduce='squeeze') cannot take away every dim; leave one")
        if 0 in (axis.size for axis in axes) and self.method not in {"sum", "any", "all"}:
            raise InvalidInput(f"{self.method} of no samples: {dict(zip(given.dims, given.shape, strict=True))}")
        for axis in axes:
            given = self._without(given, axis.name)
        sample = np.ones((1,) * max(len(given.dims) + len(axes), 1), dtype=given.dtype)
        for _ in axes:
            sample = np.expand_dims(np.asarray(self._call(sample, 0)), 0)
        found = given.typed(sample.dtype)
        return found.with_attrs(data_type=None) if self.method in {"any", "all"} else found

    def _without(self, given: Outline, dim: str) -> Outline:
        kept = {name: coord for name, coord in given.coords.items() if dim not in coord.dims}
        if self.dim_reduce == "squeeze":
            return given.with_coords(Coords(tuple(name for name in given.dims if name != dim), kept))
        return given.with_coords(Coords(given.dims, {**kept, dim: _reduced(given.coords[dim], self.dim_reduce)}))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every sample of the dims is needed."""
        return {axis.name: WHOLE for axis in given.axes(self.dim)}

    def _call(self, samples: NDArray[Any], axis: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NaN for nothing but NaN needs no words
            return _method(self.method)(samples, axis=axis)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the aggregates."""
        axes = part.whole.axes(self.dim)
        for axis in axes:
            samples = np.expand_dims(np.asarray(self._call(samples, axis.number)), axis.number)
        if self.dim_reduce == "squeeze":
            samples = samples.squeeze(tuple(axis.number for axis in axes))
        return samples


def _method(method: Any) -> Callable[..., Any]:
    found = _METHODS.get(method, method) if isinstance(method, str) else method
    if not callable(found):
        raise InvalidInput(f"method={method!r}: one of {', '.join(_METHODS)}, or a function with an axis")
    return found


def _reduced(coord: Coord, how: Any) -> Coord:
    """Return what is left of a coordinate whose dim has become one sample."""
    if how == "empty":
        nothing = np.array(["NaT"], dtype="datetime64[ns]") if coord.is_time else np.array([np.nan])
        return replace(coord, values=Explicit(nothing))
    values = coord.to_numpy()
    if not coord.is_time:
        return replace(coord, values=Explicit(np.atleast_1d(np.asarray(_method(how)(values, axis=0)))))
    stamps = values.astype("datetime64[ns]").astype(np.int64)
    since = np.asarray(_method(how)(stamps - stamps[0], axis=0))
    return replace(coord, values=TimeAxis.exact(np.atleast_1d(np.rint(since).astype(np.int64) + stamps[0])))


def aggregate(dim: str | Sequence[str] | None = None, method: Any = "mean", dim_reduce: Any = "empty") -> Aggregate:
    """Make one sample of all samples of a dim.

    Parameters
    ----------
    dim
        One dim, or several, one after the other; `None` for all.
    method
        mean, median, min, max, std or sum, for which NaN does not count; any, all, first, last; or a
        function of an array and `axis`.
    dim_reduce
        What the dim's coordinate becomes: "empty" is one value that is NaN or NaT, "squeeze" takes the dim
        away; or the name of a method, or a function, applied to its values.

    Raises
    ------
    InvalidInput
        There is no such dim or method, or none would be left.
    """
    dims = dim if dim is None else (dim,) if isinstance(dim, str) else tuple(dim)
    _method(method)
    if dim_reduce not in {"empty", "squeeze"}:
        _method(dim_reduce)
    return Aggregate(dim=dims, method=method, dim_reduce=dim_reduce)


def mean(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return means along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "mean", dim_reduce)


def median(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return medians along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "median", dim_reduce)


def min_(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return the smallest samples along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "min", dim_reduce)


def max_(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return the largest samples along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "max", dim_reduce)


def std(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return standard deviations along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "std", dim_reduce)


def sum_(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return sums along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "sum", dim_reduce)


def any_(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return whether any sample is true along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "any", dim_reduce)


def all_(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return whether every sample is true along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "all", dim_reduce)


def first(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return the first samples along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "first", dim_reduce)


def last(dim: str | Sequence[str] | None = None, dim_reduce: Any = "empty") -> Aggregate:
    """Return the last samples along one or more dims, or all; see `aggregate`."""
    return aggregate(dim, "last", dim_reduce)
