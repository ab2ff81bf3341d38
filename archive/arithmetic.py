"""NumPy's functions on Patches: samples, units and what must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.patch import Patch, load_patches
from archive.units import convert_factor, get_quantity, is_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["apply_ufunc"]

_SAME = {"add", "subtract", "maximum", "minimum", "fmax", "fmin", "hypot"}
_COMPARE = {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"}
_KEEP = {"negative", "positive", "absolute", "fabs", "conjugate", "rint", "floor", "ceil", "trunc"}


def apply_ufunc(ufunc: np.ufunc, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what a NumPy function makes of Patches and numbers.

    Raises
    ------
    InvalidInput
        Two Patches have other coordinates, or units that cannot be brought together.
    """
    patches = [value for value in inputs if isinstance(value, Patch)]
    first = patches[0]
    for other in patches[1:]:
        if other.dims != first.dims or other.coords != first.coords:
            raise InvalidInput(
                f"{ufunc.__name__} needs Patches with the same coordinates; "
                f"{dict(zip(first.dims, first.shape, strict=True))} and "
                f"{dict(zip(other.dims, other.shape, strict=True))} differ: select what they share"
            )
    load_patches(patches)
    units = [_units_of(value) for value in inputs]
    values = [_values_of(value) for value in inputs]
    values, result_units = _agree(ufunc.__name__, values, units)
    result = ufunc(*values, **kwargs)
    attrs = {name: value for name, value in first.attrs.items() if name != "data_units"}
    if result_units is not None:
        attrs["data_units"] = result_units
    if isinstance(result, tuple):
        return tuple(first.new(part, attrs=attrs) for part in result)
    return first.new(np.asarray(result), attrs=attrs)


def _values_of(value: Any) -> Any:
    if isinstance(value, Patch):
        return value.data
    return value.magnitude if is_quantity(value) else value


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
