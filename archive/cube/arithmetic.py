"""Numbers of Cubes: units, arithmetic, bins. Unread where it can be."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.lazies import Computed
from archive.errors import InvalidInput
from archive.lazy import InMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archive.cube.cube import Cube

__all__ = ["add", "fill_masked", "multiply", "negative", "power", "rebin", "to_unit", "unit_of"]


def unit_of(unit: Any) -> Any:
    """Return a unit of astropy, `None` for none."""
    if unit is None:
        return None
    import astropy.units as u

    return u.Unit(unit)


def _computed(cube: Cube, function: Callable[..., Any], *others: Cube, **changed: Any) -> Cube:
    """Return a Cube of what a function makes of the pixels, unread."""
    parts = (cube._data, *(other._data for other in others))  # noqa: SLF001 - of one package
    dtype = np.asarray(function(*(np.ones(1, part.dtype) for part in parts))).dtype
    return cube._with(data=Computed(function, parts, dtype), **changed)  # noqa: SLF001


def _with_array(pixels: Any, *, function: Any, operand: Any) -> Any:
    return function(pixels, operand)


def _operand(cube: Cube, function: Any, value: Any, **changed: Any) -> Cube:
    """Return a Cube of its pixels and a number, or an array that broadcasts with them."""
    array = np.asarray(value)
    if array.ndim == 0:
        number = array.item() if array.dtype.kind in "iufb" and not hasattr(value, "dtype") else array
        return _computed(cube, partial(_with_array, function=function, operand=number), **changed)
    try:
        other = InMemory(np.broadcast_to(array, cube.shape))
    except ValueError as error:
        raise InvalidInput(f"an array of shape {array.shape} does not fit a Cube of shape {cube.shape}") from error
    dtype = function(np.ones(1, cube.dtype), np.ones(1, array.dtype)).dtype
    return cube._with(data=Computed(function, (cube._data, other), dtype), **changed)  # noqa: SLF001


def _joined_mask(cube: Cube, other: Cube) -> Any:
    if cube.shape != other.shape:
        raise InvalidInput(f"Cubes of shapes {cube.shape} and {other.shape} do not fit each other")
    masks = [mask for mask in (cube.mask, other.mask) if mask is not None]
    return np.logical_or.reduce(masks) if masks else None


def add(cube: Cube, other: Any, function: Any = np.add) -> Cube:
    """Return the sum, or the difference, of a Cube and a quantity, a number, an array or a Cube.

    Raises
    ------
    InvalidInput
        One has a unit and the other has none, or they do not fit.
    """
    import astropy.units as u

    own = u.dimensionless_unscaled if cube.unit is None else cube.unit
    if _is_cube(other):
        theirs = u.dimensionless_unscaled if other.unit is None else other.unit
        mask = _joined_mask(cube, other)
        factor = _convert(theirs, own)
        scaled = other if factor == 1 else _operand(other, np.multiply, factor)
        return _computed(cube, function, scaled, mask=mask)
    if isinstance(other, u.Quantity):
        _convert(other.unit, own)
        return _operand(cube, function, _number(other.to_value(own)))
    if own != u.dimensionless_unscaled:
        raise InvalidInput(f"a Cube in {own} and a number without a unit; give it one: 5 * u.{own}")
    return _operand(cube, function, other)


def _number(value: Any) -> Any:
    """Return a scalar as Python's number, so that float32 stays float32."""
    return value.item() if np.ndim(value) == 0 else value


def _convert(have: Any, want: Any) -> float:
    import astropy.units as u

    try:
        return float(have.to(want))
    except u.UnitConversionError as error:
        raise InvalidInput(f"{have} cannot be expressed in {want}") from error


def multiply(cube: Cube, other: Any, function: Any = np.multiply) -> Cube:
    """Return the product, or the quotient, of a Cube and a quantity, a number, an array or a Cube."""
    import astropy.units as u

    own = u.dimensionless_unscaled if cube.unit is None else cube.unit
    if _is_cube(other):
        theirs = u.dimensionless_unscaled if other.unit is None else other.unit
        unit = None if cube.unit is None and other.unit is None else function(1 * own, 1 * theirs).unit
        return _computed(cube, function, other, unit=unit, mask=_joined_mask(cube, other))
    if isinstance(other, (u.Quantity, u.UnitBase)):
        quantity = 1 * other
        unit = function(1 * own, 1 * quantity.unit).unit
        return _operand(cube, function, _number(quantity.value), unit=unit)
    return _operand(cube, function, other)


def _is_cube(value: Any) -> bool:
    return type(value).__name__ == "Cube" and hasattr(value, "_data")


def power(cube: Cube, exponent: float) -> Cube:
    """Return the pixels and the unit to a power."""
    return _operand(cube, np.power, exponent, unit=None if cube.unit is None else cube.unit**exponent)


def negative(cube: Cube) -> Cube:
    """Return the pixels with their signs turned."""
    return _computed(cube, np.negative)


def to_unit(cube: Cube, unit: Any, equivalencies: Any = ()) -> Cube:
    """Return a Cube in another unit, unread.

    Raises
    ------
    InvalidInput
        It has no unit, or one that cannot be expressed so.
    """
    import astropy.units as u

    if cube.unit is None:
        raise InvalidInput("this Cube has no unit that could be converted; multiply it by one")
    target = u.Unit(unit)
    try:
        convert = cube.unit.get_converter(target, equivalencies=list(equivalencies))
    except u.UnitConversionError as error:
        raise InvalidInput(f"{cube.unit} cannot be expressed in {target}") from error
    return _computed(cube, convert, unit=target)


def fill_masked(cube: Cube, fill_value: Any, *, unmask: bool = False) -> Cube:
    """Return a Cube with a number where pixels are masked."""
    mask = cube.mask
    if mask is None:
        return cube
    value = fill_value.to_value(cube.unit) if hasattr(fill_value, "to_value") else fill_value
    filled = cube.to_numpy()
    filled[mask] = value
    if not unmask:
        return cube._with(data=filled)  # noqa: SLF001 - of one package
    return cube._with(data=filled, mask=None, grid=None, frames=None)  # noqa: SLF001


def rebin(
    cube: Cube,
    bin_shape: Sequence[int],
    operation: Callable[..., Any] = np.mean,
    *,
    operation_ignores_mask: bool = False,
    handle_mask: Callable[..., Any] | None = np.all,
    new_unit: Any = None,
) -> Cube:
    """Return bins of so many pixels along each axis.

    Raises
    ------
    InvalidInput
        The bins do not divide the axes.
    """
    sizes = [length if size == -1 else int(size) for size, length in zip(bin_shape, cube.shape, strict=False)]
    if len(bin_shape) != cube.ndim:
        raise InvalidInput(f"bins of {len(bin_shape)} axes for a Cube of {cube.ndim}")
    if any(size < 1 or length % size for size, length in zip(sizes, cube.shape, strict=True)):
        raise InvalidInput(f"bins of {tuple(sizes)} do not divide a Cube of shape {cube.shape}")
    folded = tuple(part for size, length in zip(sizes, cube.shape, strict=True) for part in (length // size, size))
    axes = tuple(range(1, 2 * cube.ndim, 2))
    pixels, mask = cube.to_numpy().reshape(folded), cube.mask
    if mask is not None and not operation_ignores_mask:
        pixels = np.ma.masked_array(pixels, mask.reshape(folded))
    new = operation(pixels, axis=axes)
    new_mask = None
    if mask is not None and handle_mask is not None:
        new_mask = handle_mask(mask.reshape(folded), axis=axes)
    return cube._with(  # noqa: SLF001 - of one package
        data=np.asarray(new.data if isinstance(new, np.ma.MaskedArray) else new),
        wcs=cube.wcs.rebin(tuple(sizes)),
        mask=new_mask,
        grid=_binned_grid(cube, sizes),
        unit=new_unit if new_unit is not None else cube.unit,
    )


def _binned_grid(cube: Cube, sizes: Sequence[int]) -> Any:
    """Return the frames of each bin along the last axis; those that are missing are left to the mask."""
    grid = cube._grid  # noqa: SLF001 - of one package
    if grid is None:
        return None
    rank = grid.ndim - 1
    folded: list[int] = []
    for size, length in zip(sizes[:rank], grid.shape[:-1], strict=True):
        folded += [length // size, size]
    order = (*range(0, 2 * rank, 2), *range(1, 2 * rank, 2), 2 * rank)
    shape = tuple(length // size for size, length in zip(sizes, grid.shape[:-1], strict=False))
    return grid.reshape(*folded, grid.shape[-1]).transpose(order).reshape(*shape, -1)
