"""NumPy's functions on Patches: samples, units and what must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, Coords, Explicit
from archive.coords.coord import same_values
from archive.errors import InvalidInput
from archive.patch import Patch, load_patches
from archive.units import convert_factor, get_quantity, is_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["apply_function", "apply_method", "apply_ufunc"]

_SAME = {"add", "subtract", "maximum", "minimum", "fmax", "fmin", "hypot"}
_COMPARE = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}
_KEEP = {"negative", "positive", "absolute", "fabs", "conjugate", "rint", "floor", "ceil", "trunc"}
_REDUCING = {"sum", "mean", "median", "min", "max", "amin", "amax", "std", "ptp", "quantile", "percentile"}
_REDUCING |= {f"nan{name}" for name in _REDUCING}
_COUNTING = {"any", "all", "argmin", "argmax", "count_nonzero", "nanargmin", "nanargmax", "prod", "var", "nanvar"}
_SAMPLEWISE = {"clip", "nan_to_num", "round", "around", "real", "imag", "where", "cumsum", "nancumsum", "copy"}
_SAMPLEWISE |= {"isclose", "angle", "real_if_close", "cumprod", "unwrap"}


def apply_ufunc(ufunc: np.ufunc, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what a NumPy function makes of Patches and numbers.

    A Patch whose dims the first one has too is spread along the others, as is a dim of one sample.

    Raises
    ------
    InvalidInput
        Two Patches have other coordinates, or units that cannot be brought together.
    """
    patches = [value for value in inputs if isinstance(value, Patch)]
    first = max(patches, key=lambda patch: (patch.ndim, patch.size))
    load_patches(patches)
    units = [_units_of(value) for value in inputs]
    values = [_values_of(value, first, ufunc.__name__) for value in inputs]
    values, result_units = _agree(ufunc.__name__, values, units)
    result = ufunc(*values, **kwargs)
    if isinstance(result, tuple):
        return tuple(_made(first, part, result_units) for part in result)
    return _made(first, np.asarray(result), result_units)


def apply_method(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what `reduce` or `accumulate` of a NumPy function makes of a Patch.

    Parameters
    ----------
    ufunc, method, inputs, kwargs
        As NumPy hands them over; `axis` may be the name of a dim.
    """
    patch = next(value for value in inputs if isinstance(value, Patch))
    units = _units_of(patch) if ufunc.__name__ in _SAME else None
    if method == "accumulate":
        axis = _axes(patch, kwargs.get("axis", 0), 0)[0]
        return _made(patch, ufunc.accumulate(patch.data, axis=axis), units)
    axes = _axes(patch, kwargs.get("axis", 0), 0)
    options = {name: value for name, value in kwargs.items() if name not in {"axis", "keepdims"}}
    return _reduced(patch, axes, lambda data: ufunc.reduce(data, axis=axes, keepdims=True, **options), units)


def apply_function(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what one of NumPy's other functions makes of Patches: `np.sum`, `np.clip` and so on.

    Reductions keep the reduced dims with one sample, as `Patch.aggregate` does; functions that go sample
    by sample give a Patch; all others are given the bare samples and give what they give.
    """
    name = func.__name__
    patch = next((value for value in (*args, *kwargs.values()) if isinstance(value, Patch)), None)
    if patch is None or name not in _REDUCING | _COUNTING | _SAMPLEWISE or kwargs.get("out") is not None:
        return func(*_bare(list(args)), **_bare(dict(kwargs)))
    if name in _SAMPLEWISE:
        options = {**kwargs, "axis": _axes(patch, kwargs["axis"], None)[0]} if "axis" in kwargs else dict(kwargs)
        result = np.asarray(func(*_bare(list(args)), **_bare(options)))
        return _made(patch, result, _units_of(patch)) if result.shape == patch.shape else result
    position = 2 if "quantile" in name or "percentile" in name else 1
    given = args[position] if len(args) > position else kwargs.get("axis", kwargs.get("dim"))
    axes = _axes(patch, given, None)
    bare = _bare([value for number, value in enumerate(args) if number != position])
    options = {key: value for key, value in kwargs.items() if key not in {"axis", "dim", "keepdims"}}
    axis = axes[0] if len(axes) == 1 else axes if len(axes) < patch.ndim else None

    def reduce(_: NDArray[Any]) -> Any:
        return np.reshape(func(*bare, axis=axis, **options), _shape(patch, axes))

    return _reduced(patch, axes, reduce, _units_of(patch) if name in _REDUCING else None)


def _bare(value: Any) -> Any:
    """Return the samples of Patches, in lists and dicts too."""
    if isinstance(value, Patch):
        return value.data
    if isinstance(value, (list, tuple)):
        return type(value)(_bare(one) for one in value)
    return {name: _bare(one) for name, one in value.items()} if isinstance(value, dict) else value


def _axes(patch: Patch, axis: Any, default: int | None) -> tuple[int, ...]:
    axis = default if axis is None and default is not None else axis
    if axis is None:
        return tuple(range(patch.ndim))
    names = axis if isinstance(axis, (tuple, list)) else (axis,)
    return tuple(patch.get_axis(one) if isinstance(one, str) else int(one) % patch.ndim for one in names)


def _shape(patch: Patch, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if number in axes else size for number, size in enumerate(patch.shape))


def _reduced(patch: Patch, axes: tuple[int, ...], reduce: Callable[[NDArray[Any]], Any], units: str | None) -> Patch:
    """Return a Patch whose reduced dims have one sample without a value."""
    gone = {patch.dims[axis] for axis in axes}
    coords = {name: coord for name, coord in patch.coords.items() if not gone & set(coord.dims)}
    for dim in gone:
        nothing = np.array(["NaT"], dtype="datetime64[ns]") if patch.coords[dim].is_time else np.array([np.nan])
        coords[dim] = Coord(dims=(dim,), values=Explicit(nothing), units=patch.coords[dim].units)
    made = _made(patch, patch.data, units)
    return patch.new(np.asarray(reduce(patch.data)), Coords(patch.dims, coords), made.attrs)


def _made(first: Patch, data: NDArray[Any], units: str | None) -> Patch:
    attrs = {name: value for name, value in first.attrs.items() if name != "data_units"}
    if units is not None and data.dtype != np.bool_:
        attrs["data_units"] = units
    return first.new(np.asarray(data), attrs=attrs)


def _values_of(value: Any, first: Patch, name: str) -> Any:
    """Return the samples of an operand, its dims in the order of the first Patch's."""
    if not isinstance(value, Patch):
        return value.magnitude if is_quantity(value) else value
    fits = set(value.dims) <= set(first.dims) and all(
        value.coords[dim].size == 1 or same_values(value.coords[dim], first.coords[dim]) for dim in value.dims
    )
    if not fits or (value.dims == first.dims and value.shape == first.shape and value.coords != first.coords):
        raise InvalidInput(
            f"{name} needs Patches with the same coordinates; "
            f"{dict(zip(first.dims, first.shape, strict=True))} and "
            f"{dict(zip(value.dims, value.shape, strict=True))} differ: select what they share"
        )
    order = [dim for dim in first.dims if dim in value.dims]
    samples = value.data.transpose([value.dims.index(dim) for dim in order])
    return samples[tuple(slice(None) if dim in order else np.newaxis for dim in first.dims)]


def _units_of(value: Any) -> str | None:
    if isinstance(value, Patch):
        units = value.attrs.get("data_units")
        return None if units is None else str(units)
    return str(value.units) if is_quantity(value) else None


def _agree(name: str, values: list[Any], units: list[str | None]) -> tuple[list[Any], str | None]:
    """Return the values in units that fit each other, and the units of the result."""
    known = [unit for unit in units if unit is not None]
    if not known:
        return values, None
    if name in _KEEP:
        return values, units[0]
    if name in _SAME | _COMPARE and len(values) == 2:  # noqa: PLR2004 - two sides
        if units[0] and units[1] and units[0] != units[1]:
            values[1] = values[1] * convert_factor(units[1], units[0])
        return values, None if name in _COMPARE else known[0]
    if name in {"multiply", "divide", "true_divide"}:
        left, right = (get_quantity(unit or "dimensionless") for unit in units)
        return values, str(left * right if name == "multiply" else left / right)
    if name == "power" and units[1] is None and np.isscalar(values[1]):
        return values, str(get_quantity(known[0]) ** values[1])
    if name in {"square", "sqrt"}:
        return values, str(get_quantity(known[0]) ** (2 if name == "square" else 0.5))
    return values, None
