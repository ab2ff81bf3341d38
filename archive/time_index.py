"""The xarray index over a time axis: exact, a few numbers however long, and never dense."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pandas as pd

from archive.coords import TimeAxis
from archive.errors import InvalidInput, MissingExtra

try:
    import xarray as xr
    from xarray.backends import BackendArray
    from xarray.core import indexing
    from xarray.core.indexes import PandasIndex
    from xarray.core.indexing import IndexSelResult
except ImportError as error:  # pragma: no cover - the tests have it
    raise MissingExtra("to_xarray needs xarray: pip install 'lightkeep[interop]'") from error

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray


__all__ = ["Stamps", "TimeAxisIndex", "rises"]

_DENSE = 1 << 28  # stamps above which no dense index is made
_INT64_ROOM = 1 << 62
_UNITS = (86_400 * 10**9, 3600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3, 1)  # ns: day to nanosecond


class Stamps(BackendArray):
    """The stamps of a time axis, made when xarray asks for them."""

    def __init__(self, axis: TimeAxis) -> None:
        self.axis, self.shape, self.dtype = axis, (axis.size,), axis.dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._make)

    def _make(self, key: tuple[Any, ...]) -> Any:
        (part,) = key
        if isinstance(part, slice):
            start, stop, step = part.indices(self.axis.size)
            if step == 1:
                return self.axis.cut(start, stop).to_numpy()
            part = np.arange(start, stop, step)
        return self.axis.take(np.asarray(part, dtype=np.int64).reshape(-1)).view("M8[ns]").reshape(np.shape(part))

    def __deepcopy__(self, memo: Any) -> Self:
        return self


# -- the index ----------------------------------------------------------------------------------


class TimeAxisIndex(xr.Index):
    """An index over exact times that rise, as straight pieces: small however many samples there are.

    Parameters
    ----------
    axis
        The stamps, rising.
    dim
        The dim they lie along.
    name
        Name of the coordinate; that of the dim without.
    """

    def __init__(self, axis: TimeAxis, dim: Hashable, name: Hashable | None = None) -> None:
        self.axis, self.dim, self.name = axis, dim, dim if name is None else name

    @classmethod
    def from_variables(cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return the index over a variable of rising times."""
        if len(variables) != 1:
            raise InvalidInput(f"TimeAxisIndex takes one variable, not {len(variables)}")
        name, variable = next(iter(variables.items()))
        if variable.ndim != 1 or variable.dtype.kind != "M":
            raise InvalidInput(f"{name}: TimeAxisIndex takes times along one dim")
        axis = TimeAxis.from_regular(variable.values.astype("M8[ns]").view(np.int64))
        if not rises(axis):
            raise InvalidInput(f"{name}: TimeAxisIndex takes rising times; sort them, or keep xarray's own index")
        return cls(axis, variable.dims[0], name)

    @classmethod
    def concat(cls, indexes: Sequence[Any], dim: Hashable, positions: Iterable[Iterable[int]] | None = None) -> Self:
        """Return the index of axes one after the other; xarray's own where the times do not rise."""
        if not indexes:
            return cls(TimeAxis.empty(), dim)
        axes = [index.axis if isinstance(index, cls) else _axis_of(index) for index in indexes]
        axis = TimeAxis.concatenate(axes)
        if positions is not None:
            order = np.argsort(np.concatenate([np.asarray(list(part)) for part in positions]))
            axis = TimeAxis.from_regular(axis.take(order))
        name = next((index.name for index in indexes if isinstance(index, cls)), dim)
        return cast("Self", _index(axis, dim, name))

    def create_variables(self, variables: Mapping[Any, xr.Variable] | None = None) -> dict[Any, Any]:
        """Return the coordinate, its stamps made only where they are looked at."""
        old = (variables or {}).get(self.name)
        lazy = indexing.LazilyIndexedArray(Stamps(self.axis))
        attrs, encoding = (None, None) if old is None else (old.attrs, old.encoding)
        return {self.name: xr.Variable((self.dim,), lazy, attrs=attrs, encoding=encoding, fastpath=True)}

    def to_pandas_index(self) -> pd.Index[Any]:
        """Return the dense index, if it fits."""
        if self.axis.size > _DENSE:
            raise TypeError(f"{self.axis.size} stamps are too many for a dense index; select less first")
        return pd.DatetimeIndex(self.axis.to_numpy(), name=self.name)

    def isel(self, indexers: Mapping[Any, Any]) -> xr.Index | None:
        """Return the index of some samples by number; none for a single one."""
        key = indexers[self.dim]
        if isinstance(key, xr.Variable):
            if key.dims != (self.dim,):
                return None
            key = key.values
        if isinstance(key, slice):
            return _index(_sliced(self.axis, key), self.dim, self.name)
        if np.ndim(key) == 0:
            return None
        return _index(TimeAxis.from_regular(self.axis.take(np.asarray(key))), self.dim, self.name)

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> IndexSelResult:
        """Return the numbers of the samples at some times: a slice has both ends inclusive."""
        ((name, label),) = labels.items()
        if isinstance(label, slice):
            if method is not None:
                raise NotImplementedError("cannot use ``method`` argument if any indexers are slice objects")
            return IndexSelResult({self.dim: self._between(label)})
        values = np.asarray(label.values if isinstance(label, (xr.Variable, xr.DataArray)) else label)
        if values.dtype.kind == "b":
            return IndexSelResult({self.dim: values})
        if values.ndim == 0 and isinstance(values.item(), str) and method is None:
            low, high = _period(str(values.item()))
            if high - low + 1 > self._resolution():
                found = slice(self.axis.find(low), self.axis.find(high, "right"))
                if found.start == found.stop:
                    raise KeyError(f"no samples in {name}={values.item()!r}")
                return IndexSelResult({self.dim: found})
        numbers = self._find(np.reshape(_to_ns(values), -1), method, tolerance)
        if (numbers < 0).any():
            raise KeyError(f"not all values found in index {name!r}; method='nearest' takes the closest")
        numbers = numbers.reshape(values.shape)
        indexer: Any = numbers if values.ndim else int(numbers)
        if isinstance(label, xr.Variable):
            indexer = xr.Variable(label.dims, numbers)
        elif isinstance(label, xr.DataArray):
            indexer = xr.DataArray(numbers, coords=label.coords, dims=label.dims)
        return IndexSelResult({self.dim: indexer})

    def _between(self, label: slice) -> slice:
        start = 0 if label.start is None else self.axis.find(_bound(label.start, 0))
        stop = self.axis.size if label.stop is None else self.axis.find(_bound(label.stop, 1), "right")
        return slice(start, max(start, stop), label.step)

    def _resolution(self) -> int:
        """Return the longest of day, hour, ..., ns that all stamps are multiples of, as pandas has it."""
        origin, num, den, _, _ = self.axis.columns()
        steps = np.where(den == 1, num, 1)
        common = math.gcd(*self.axis.bounds[0].tolist(), *steps.tolist(), *origin.tolist())
        return next(unit for unit in _UNITS if common % unit == 0)

    def _find(self, stamps: NDArray[np.int64], method: str | None, tolerance: Any) -> NDArray[np.int64]:
        """Return the numbers of the samples at stamps (ns), -1 where there is none."""
        axis, size = self.axis, self.axis.size
        if not size:
            return np.full(stamps.shape, -1)
        after = _search(axis, stamps)
        below, above = np.maximum(after - 1, 0), np.minimum(after, size - 1)
        exact = axis.take(above) == stamps
        if method is None:
            return np.where(exact, above, -1)
        if method in {"pad", "ffill"}:
            found = np.where(exact, above, after - 1)
        elif method in {"backfill", "bfill"}:
            found = np.where(after < size, after, -1)
        elif method == "nearest":
            # Of two that are equally near pandas takes the later one.
            found = np.where(np.abs(stamps - axis.take(below)) < np.abs(axis.take(above) - stamps), below, above)
        else:
            raise InvalidInput(f"method={method!r}: 'nearest', 'pad' or 'backfill'")
        if tolerance is not None:
            limit = pd.Timedelta(tolerance).value
            found = np.where(np.abs(axis.take(np.maximum(found, 0)) - stamps) <= limit, found, -1)
        return found

    def equals(self, other: xr.Index, *, exclude: frozenset[Hashable] | None = None) -> bool:  # noqa: ARG002
        """Return whether the other index has the same stamps along the same dim."""
        if not isinstance(other, TimeAxisIndex) or self.dim != other.dim or self.axis.size != other.axis.size:
            return False
        return self.axis == other.axis or bool(np.array_equal(self.axis.to_ns(), other.axis.to_ns()))

    def join(self, other: Self, how: str = "inner") -> Self:
        """Return the index of the stamps of both (`"inner"`) or of either (`"outer"`)."""
        joined = _outer(self.axis, other.axis) if how == "outer" else _inner(self.axis, other.axis)
        return type(self)(joined, self.dim, self.name)

    def reindex_like(self, other: Self, method: str | None = None, tolerance: Any = None) -> dict[Hashable, Any]:
        """Return the numbers of the other index's stamps in this one, -1 where they are not in it."""
        return {self.dim: self._find(other.axis.to_ns(), method, tolerance)}

    def rename(self, name_dict: Mapping[Any, Hashable], dims_dict: Mapping[Any, Hashable]) -> Self:
        """Return the index under other names."""
        return type(self)(self.axis, dims_dict.get(self.dim, self.dim), name_dict.get(self.name, self.name))

    def _copy(self, deep: bool = True, memo: dict[int, Any] | None = None) -> Self:  # noqa: ARG002, FBT001, FBT002
        return type(self)(self.axis, self.dim, self.name)

    def __repr__(self) -> str:
        return f"TimeAxisIndex({self.axis!r})"

    def _repr_inline_(self, max_width: int) -> str:
        return repr(self)[:max_width]


def _index(axis: TimeAxis, dim: Hashable, name: Hashable) -> xr.Index:
    """Return the index over an axis: an exact one where it rises, else xarray's own."""
    if rises(axis):
        return TimeAxisIndex(axis, dim, name)
    return PandasIndex(pd.DatetimeIndex(axis.to_numpy(), name=name), dim)


def rises(axis: TimeAxis) -> bool:
    """Return whether each stamp is later than the one before."""
    _, num, den, _, size = axis.columns()
    firsts, lasts = axis.bounds
    return bool(((num >= den) | (size == 1)).all() and (firsts[1:] > lasts[:-1]).all())


def _axis_of(index: xr.Index) -> TimeAxis:
    return TimeAxis.from_regular(index.to_pandas_index().to_numpy().astype("M8[ns]").view(np.int64))


def _sliced(axis: TimeAxis, key: slice) -> TimeAxis:
    """Return every nth stamp without making the stamps, wherever the lines allow it."""
    start, stop, step = key.indices(axis.size)
    if step == 1:
        return axis.cut(start, stop)
    if step > 0 and start < stop:
        thinned = _thinned(axis.cut(start, stop), step)
        if thinned is not None:
            return thinned
    return TimeAxis.from_regular(axis.take(np.arange(start, stop, step)))


def _thinned(axis: TimeAxis, step: int) -> TimeAxis | None:
    """Return every nth stamp of all pieces; `None` if a line's phase does not fall on one of its own."""
    parts = []
    passed = 0
    for origin, num, den, phase, size in zip(*(column.tolist() for column in axis.columns()), strict=True):
        skip = -passed % step
        passed += size
        if skip >= size:
            continue
        if math.gcd(den, step) != 1 or num * step * den >= _INT64_ROOM:
            return None
        # round((p + i·k)·n/d) is a line of step k·n/d again, if whole turns of d make p a multiple of k.
        first = phase + skip
        turns = -first * pow(den, -1, step) % step
        line = (origin - turns * num, num * step, den, (first + turns * den) // step, -(-(size - skip) // step))
        parts.append(TimeAxis(*([value] for value in line)))
    return TimeAxis.concatenate(parts)


def _search(axis: TimeAxis, stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each stamp how many samples lie before it."""
    low, high = np.zeros(stamps.shape, dtype=np.int64), np.full(stamps.shape, axis.size, dtype=np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        before = (low < high) & (axis.take(np.minimum(middle, axis.size - 1)) < stamps)
        low, high = np.where(before, middle + 1, low), np.where(before, high, middle)
    return low


def _shared(one: TimeAxis, other: TimeAxis) -> tuple[int, int]:
    return max(one.first, other.first), min(one.last, other.last)


def _window(axis: TimeAxis, low: int, high: int) -> TimeAxis:
    return axis.cut(axis.find(low), axis.find(high, "right"))


def _inner(one: TimeAxis, other: TimeAxis) -> TimeAxis:
    if not one.size or not other.size:
        return TimeAxis.empty()
    one, other = (_window(axis, *_shared(one, other)) for axis in (one, other))
    return one if one == other else TimeAxis.from_regular(np.intersect1d(one.to_ns(), other.to_ns()))


def _outer(one: TimeAxis, other: TimeAxis) -> TimeAxis:
    if not one.size or not other.size:
        return one if one.size else other
    low, high = _shared(one, other)
    if low > high:
        return TimeAxis.concatenate(sorted((one, other), key=lambda axis: axis.first))
    heads = [axis.cut(0, axis.find(low)) for axis in (one, other)]
    tails = [axis.cut(axis.find(high, "right"), axis.size) for axis in (one, other)]
    mine, theirs = _window(one, low, high), _window(other, low, high)
    both = mine if mine == theirs else TimeAxis.from_regular(np.union1d(mine.to_ns(), theirs.to_ns()))
    return TimeAxis.concatenate([*heads, both, *tails])


def _to_ns(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels as ns: datetime64 of any unit, texts, datetimes."""
    if values.dtype.kind == "M":
        return values.astype("M8[ns]").view(np.int64)
    if values.dtype.kind not in "OUS":
        raise KeyError(f"{values.dtype} is no type of time; give texts such as '2016-03-14T08:00' or datetime64")
    return np.array([_bound(value, 0) for value in values.reshape(-1)], dtype=np.int64)


def _bound(label: Any, side: int) -> int:
    """Return the first (side 0) or last (1) ns that a label means; a text means all of its minute, day, ..."""
    if isinstance(label, str):
        return _period(label)[side]
    if isinstance(label, xr.DataArray):
        label = label.values[()]
    stamp = pd.Timestamp(label)
    return int((stamp if stamp.tz is None else stamp.tz_convert(None)).as_unit("ns").value)


def _period(text: str) -> tuple[int, int]:
    """Return the first and last ns of the period that a text names, as pandas does."""
    try:
        stamp = pd.Timestamp(text)
        if stamp.tz is not None and not text.rstrip().endswith("Z"):
            value = stamp.tz_convert(None).as_unit("ns").value
            return value, value
        period = pd.Period(text.rstrip().removesuffix("Z"))
        return period.start_time.as_unit("ns").value, period.end_time.as_unit("ns").value
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time; write it as in '2016-03-14T08:00:00'") from error


# -- Patches and Spools -------------------------------------------------------------------------
