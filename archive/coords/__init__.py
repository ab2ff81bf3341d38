"""Coordinates: exact, never dense until asked for."""

from archive.coords.coord import Coord, Coords
from archive.coords.stamps import TimeAxis, simplest_ratio
from archive.coords.values import Explicit, Linear, Values, values_from_array

__all__ = ["Coord", "Coords", "Explicit", "Linear", "TimeAxis", "Values", "simplest_ratio", "values_from_array"]
