"""Units, by pint, loaded when the first unit is met.

`archive.units.m`, `archive.units.Hz` and any other unit that pint knows are quantities: `50 * m`.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from pint import Quantity, UnitRegistry

__all__ = ["convert_factor", "get_quantity", "is_quantity", "magnitude", "seconds_of"]

_LONGEST = 200  # characters
_LARGEST_POWER = 1000
_NUMBER = r"[+-]?\d{1,4}(?:\.\d*)?"
# What may follow `**`: a number or a fraction in brackets, and no further power.
_EXPONENT = re.compile(rf"\s*(?:({_NUMBER})|\(\s*({_NUMBER})\s*(?:/\s*\d{{1,4}}\s*)?\))(?![\w.]|\s*\*\*)")
_NO_NUMBERS = (ArithmeticError, AssertionError, AttributeError, RecursionError, TokenError, TypeError, ValueError)


@lru_cache(maxsize=1)
def _registry() -> UnitRegistry[Any]:
    """Return a registry of our own; quantities of others are taken by their text.

    pint's application registry may be replaced by any package that is imported later, and quantities of
    two registries do not mix.
    """
    import pint

    registry: UnitRegistry[Any] = pint.UnitRegistry()
    for definition in ("strain = [] = ε = ϵ", "PPM = 1e-6 = ppm_of_strain"):
        name = definition.split(" = ")[0]
        if name not in registry:
            registry.define(definition)
    return registry


def __getattr__(name: str) -> Quantity[Any]:
    """Return one of a unit by its name, such as `archive.units.Hz`."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return get_quantity(name)
    except InvalidInput as error:
        raise AttributeError(str(error)) from error


@lru_cache(maxsize=512)
def get_quantity(text: str) -> Quantity[Any]:
    """Return the quantity that a text such as `"10 m/s"` or `"Hz"` stands for.

    The text is an expression, which may come from a damaged header: its length and its powers are bounded, and
    so is the time that it takes.

    Raises
    ------
    InvalidInput
        pint does not know such a unit, its number is not finite, or its powers are too large.
    """
    import pint

    try:
        if len(text) <= _LONGEST and _power(pint.util.string_preprocessor(text)) <= _LARGEST_POWER:
            quantity: Quantity[Any] = _registry().Quantity(text)
            if math.isfinite(float(quantity.magnitude)):
                return quantity
    except (pint.errors.PintError, *_NO_NUMBERS) as error:
        raise InvalidInput(_unknown(text)) from error
    raise InvalidInput(_unknown(text))


def _unknown(text: str) -> str:
    shown = repr(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!r}..."
    return f"{shown} is no unit that is known; write it as in 'm/s' or 'nm / m / s'"


def _power(expression: str) -> float:
    """Return a bound of the power to which an expression raises anything, infinity where nothing bounds it."""
    power = 1.0
    for sign in re.finditer(r"\*\*", expression):
        found = _EXPONENT.match(expression, sign.end())
        if found is None:
            return math.inf
        power *= max(1.0, abs(float(found[1] or found[2])))
    return power


def is_quantity(value: object) -> bool:
    """Return whether a value is a number with a unit, of any pint registry."""
    return hasattr(value, "magnitude") and hasattr(value, "units")


def magnitude(quantity: Any, units: str | None) -> float:
    """Return the number that a quantity is in some units.

    Raises
    ------
    InvalidInput
        The units are of another dimension, or the coordinate has none.
    """
    import pint

    if units is None:
        raise InvalidInput(f"{quantity} has a unit, but the coordinate has none; give a bare number")
    target = get_quantity(units)
    try:
        # By text, so that a quantity of another registry can be taken as well.
        own = _registry().Quantity(quantity.magnitude, str(quantity.units))
        return float((own / target).to("dimensionless").magnitude)
    except pint.errors.PintError as error:
        raise InvalidInput(f"{quantity} cannot be expressed in {units}") from error


def seconds_of(quantity: Any) -> Fraction:
    """Return a duration as an exact number of seconds, as far as its digits go."""
    return Fraction(repr(magnitude(quantity, "s")))


@lru_cache(maxsize=512)
def convert_factor(have: str, want: str) -> float:
    """Return what a number in units `have` is multiplied with to be in units `want`.

    Raises
    ------
    InvalidInput
        The two are of different dimensions, or one is unknown.
    """
    return magnitude(get_quantity(have), want)
