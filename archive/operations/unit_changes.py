"""Units of samples and coordinates: set, converted, simplified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.coords import Coord, Linear, values_from_array
from archive.errors import InvalidInput
from archive.operations.operation import Operation, Part, operation
from archive.operations.sample_types import floating
from archive.units import conversion, get_quantity, is_quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.operations.outline import Outline

__all__ = ["ConvertUnits", "SetUnits", "SimplifyUnits", "convert_units", "set_units", "simplify_units"]

type _Named = tuple[tuple[str, str | None], ...]


@operation
class SetUnits(Operation):
    """Other labels, the same numbers."""

    name: ClassVar[str] = "set_units"
    data_units: str | None
    relabel: bool
    coords: _Named

    def out(self, given: Outline) -> Outline:
        """Return the outline with the units set."""
        named = {
            name: Coord(dims=c.dims, values=c.values, units=units)
            for name, units in self.coords
            for c in [given.coords[name]]
        }
        changed = given.with_coords(given.coords.update(named))
        return changed.with_units(self.data_units) if self.relabel else changed

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - labels only
        """Return the samples as they are."""
        return samples


def set_units(data_units: Any = None, **coords: Any) -> SetUnits:
    """Set the units of the samples or of coordinates, whatever they were; no number changes.

    Parameters
    ----------
    data_units
        Units of the samples, as text, unit or quantity. Without it they stay if a coordinate is named,
        else they are taken away.
    **coords
        Units by coordinate; `None` takes them away.

    Raises
    ------
    InvalidInput
        A unit is not known, or there is no such coordinate.
    """
    relabel = data_units is not None or not coords
    named = tuple((name, units_text(units)) for name, units in coords.items())
    return SetUnits(data_units=units_text(data_units), relabel=relabel, coords=named)


@operation
class ConvertUnits(Operation):
    """Other units, and numbers to match."""

    name: ClassVar[str] = "convert_units"
    data_units: str | None
    coords: _Named

    def out(self, given: Outline) -> Outline:
        """Return the outline in the new units."""
        converted = {name: _converted(given.coords[name], units, name) for name, units in self.coords}
        changed = given.with_coords(given.coords.update(converted))
        if self.data_units is None:
            return changed
        changed = changed.with_units(self.data_units)
        return changed if self._change(given) == (1, 0) else changed.typed(floating(given.dtype))

    def _change(self, given: Outline) -> tuple[float, float]:
        if self.data_units is None or given.units is None:
            return 1, 0
        return conversion(given.units, self.data_units)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples in the new units."""
        return _changed(samples, self._change(part.whole))


def convert_units(data_units: Any = None, **coords: Any) -> ConvertUnits:
    """Convert the samples or coordinates to other units; what has none is only labelled.

    Parameters
    ----------
    data_units
        Units of the samples to come.
    **coords
        Units by coordinate. Coordinates of points in time are only labelled.

    Raises
    ------
    InvalidInput
        The old and the new units are of different dimensions.
    """
    named = tuple((name, units_text(units)) for name, units in coords.items())
    return ConvertUnits(data_units=units_text(data_units), coords=named)


@operation
class SimplifyUnits(Operation):
    """Base units of samples and coordinates."""

    name: ClassVar[str] = "simplify_units"

    def _conversion(self, given: Outline) -> ConvertUnits:
        coords = tuple(
            (name, base_units(coord.units)) for name, coord in given.coords.items() if coord.units and not coord.is_time
        )
        return ConvertUnits(data_units=None if given.units is None else base_units(given.units), coords=coords)

    def out(self, given: Outline) -> Outline:
        """Return the outline in base units."""
        return self._conversion(given).out(given)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples in base units."""
        return self._conversion(part.whole).compute(samples, part)


def simplify_units() -> SimplifyUnits:
    """Convert samples and coordinates to base units: metres, seconds, kilograms and their products."""
    return SimplifyUnits()


def units_text(units: Any) -> str | None:
    """Return units as the text that is kept, checked; `None` and an empty text for none."""
    if units is None or units == "":
        return None
    if is_quantity(units):
        return str(units.units) if units.magnitude == 1 else f"{units.magnitude} {units.units}"
    get_quantity(str(units))
    return str(units)


def base_units(units: str) -> str:
    """Return the base units that some units are made of."""
    return str(get_quantity(units).to_base_units().units)


def _changed(samples: NDArray[Any], change: tuple[float, float]) -> NDArray[Any]:
    factor, offset = change
    if change == (1, 0):
        return samples
    scaled = samples * np.asarray(factor, dtype=floating(samples.dtype))
    return np.asarray(scaled + np.asarray(offset, dtype=scaled.dtype) if offset else scaled)


def _converted(coord: Coord, units: str | None, name: str) -> Coord:
    if units is None or coord.units is None or coord.is_time:
        return Coord(dims=coord.dims, values=coord.values, units=units)
    factor, offset = conversion(coord.units, units)
    values = coord.values
    if (factor, offset) == (1, 0):
        return Coord(dims=coord.dims, values=values, units=units)
    if isinstance(values, Linear):
        start, step = float(values.start * factor + offset), float(values.step * factor)
        line = Linear(start=start, step=step, size=values.size, offset=values.offset, stride=values.stride)
        return Coord(dims=coord.dims, values=line, units=units)
    array = coord.to_numpy()
    if array.dtype.kind not in "iuf":
        raise InvalidInput(f"{name} holds {array.dtype}, which no units apply to")
    return Coord(dims=coord.dims, values=values_from_array(array * factor + offset), units=units)
