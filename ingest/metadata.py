"""Metadata that a user gives: an FDSN DAS document, onto a dataset, without data being rewritten.

References
----------
FDSN DAS metadata standard, version 2.0 (draft, 2025): overview, interrogator, acquisition, channel_group, cable, fiber.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, values_from_array
from archive.errors import InvalidInput
from archive.units import get_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from archive.index.dataset import Dataset
    from archive.model import Scalar

__all__ = ["Metadata", "read_metadata"]

_BLOCKS = ("overview", "interrogator", "acquisition", "channel_group", "cable", "fiber")
# Names that DASCore's users know; the others keep the standard's.
_NAMES = {
    "network_code": "network",
    "station_code": "station",
    "serial_number": "instrument_id",
    "unit_of_measure": "data_units",
}
_LENGTHS = {"gauge_length": "m", "pulse_width": "ns", "pulse_rate": "Hz"}
_CHECKED = {"acquisition_sample_rate", "number_of_channels"}  # against the data; what belongs to the data stays there
_RANGES = {"acquisition_start_time", "acquisition_end_time", "spatial_sampling_interval", "start_date", "end_date"}
_POSITIONS = {
    "x": ("x", "x_coordinate"),
    "y": ("y", "y_coordinate"),
    "elevation": ("elevation", "elevation_above_sea_level"),
    "distance_along_fiber": ("distances_along_fiber", "distance_along_fiber"),
}
_RATE_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a document says of one dataset.

    Parameters
    ----------
    attrs
        Attributes; `None` takes one away.
    positions
        Values of each channel, by the name of their coordinate, shape `(channels,)`.
    units
        Of the positions.
    rate, channels
        Hz, and number of channels, that the data are to have; `None` where the document does not say.
    """

    attrs: Mapping[str, Scalar]
    positions: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    units: Mapping[str, str | None] = field(default_factory=dict)
    rate: float | None = None
    channels: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Metadata:
        """Return what `to_json` gave."""
        positions = {name: tuple(values) for name, values in held["positions"].items()}
        return cls(**{**held, "positions": positions})

    def applied(self, dataset: Dataset) -> Dataset:
        """Return the dataset with this metadata above what its files say.

        Raises
        ------
        InvalidInput
            The document tells of another acquisition: its rate or its number of channels is another.
        """
        rate, width = float(10**9 / dataset.step), dataset.widths[0]
        if self.rate is not None and abs(self.rate - rate) > _RATE_TOLERANCE * rate:
            raise InvalidInput(
                f"{dataset.name} has {rate:g} Hz, the metadata {self.rate:g} Hz; name the dataset it is of"
            )
        counts = {len(values) for values in self.positions.values()} | ({self.channels} if self.channels else set())
        if counts - {width}:
            told = ", ".join(str(count) for count in sorted(counts))
            raise InvalidInput(f"{dataset.name} has {width} channels, the metadata {told}; give one position for each")
        dim = dataset.dims[1]
        coords = {
            name: Coord(dims=(dim,), values=values_from_array(np.array(values)), units=self.units.get(name))
            for name, values in self.positions.items()
        }
        attrs = {**dataset.attrs, **self.attrs}
        return replace(
            dataset,
            attrs={name: value for name, value in attrs.items() if value is not None},
            given={**dataset.given, **self.attrs},
            positions={**dataset.positions, **coords},
        )


def read_metadata(path: Path) -> Metadata:
    """Return what a JSON document in the FDSN layout says.

    Blocks may be nested or side by side, each alone or in a list of one.

    Raises
    ------
    InvalidInput
        There is no such file, it is no such document, or tells of several acquisitions.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InvalidInput(f"{path}: is no JSON ({error})") from error
    blocks: dict[str, dict[str, Any]] = {}
    _collect(document, blocks, str(path))
    if not blocks:
        raise InvalidInput(f"{path}: has none of the blocks {', '.join(_BLOCKS)} of the FDSN DAS metadata standard")
    attrs: dict[str, Scalar] = {}
    for block in _BLOCKS:
        attrs |= _attrs_of(block, blocks.get(block, {}), str(path))
    acquisition, group = blocks.get("acquisition", {}), blocks.get("channel_group", {})
    positions = _positions_of(group.get("channels"), str(path))
    angles = str(group.get("coordinate_system", "")).lower().startswith("geo")
    horizontal = "degrees" if angles else str(group.get("coordinate_unit", "m"))
    return Metadata(
        attrs=attrs,
        positions=positions,
        units={"x": horizontal, "y": horizontal, "elevation": "m", "distance_along_fiber": "m"},
        rate=_number(acquisition.get("acquisition_sample_rate"), "acquisition_sample_rate", str(path)),
        channels=int(_number(acquisition.get("number_of_channels"), "number_of_channels", str(path)) or 0) or None,
    )


def _collect(thing: Any, blocks: dict[str, dict[str, Any]], where: str) -> None:
    """Find the blocks in a document, however deep."""
    if not isinstance(thing, dict):
        raise InvalidInput(f"{where}: {type(thing).__name__} where a block of names and values was to be")
    for name, inner in thing.items():
        if name not in _BLOCKS:
            continue
        alone = inner[0] if isinstance(inner, list) and len(inner) == 1 else inner
        if isinstance(alone, list):
            raise InvalidInput(f"{where}: tells of {len(alone)} of {name}; give a document of one for each dataset")
        if name in blocks:
            raise InvalidInput(f"{where}: {name} stands there twice; give a document of one for each dataset")
        blocks[name] = {}
        _collect(alone, blocks, where)
        blocks[name] |= {key: value for key, value in alone.items() if key not in _BLOCKS}


def _attrs_of(block: str, said: Mapping[str, Any], where: str) -> dict[str, Scalar]:
    """Return the attributes of a block; lengths in the field's units, units that are units."""
    attrs: dict[str, Scalar] = {}
    for key, value in said.items():
        if key in _CHECKED | _RANGES or isinstance(value, (list, dict)) or key.endswith("_unit"):
            continue
        if not (value is None or isinstance(value, (str, bool, int, float))) or value == "":
            continue
        name = _NAMES.get(key, key)
        if block in {"cable", "fiber", "channel_group"} and not key.startswith(block):
            name = f"{block}_{key}"
        if key in _LENGTHS and value is not None:
            number = _number(value, key, where)
            unit = str(said.get(f"{key}_unit") or _LENGTHS[key])
            value = float((number * get_quantity(unit)).to(_LENGTHS[key]).magnitude)  # noqa: PLW2901
        if key == "unit_of_measure" and value is not None:
            name, value = _measured(str(value))  # noqa: PLW2901
        attrs[name] = value
    return attrs


def _measured(told: str) -> tuple[str, str]:
    """Return the units of samples, or the quantity where the standard names that in their place."""
    try:
        get_quantity(told)
    except InvalidInput:
        return "data_type", "_".join(told.lower().replace("-", " ").split())
    return "data_units", told


def _positions_of(channels: Any, where: str) -> dict[str, tuple[float, ...]]:
    """Return the positions of channels, given as arrays by name or channel by channel."""
    if channels is None:
        return {}
    if isinstance(channels, list) and all(isinstance(one, dict) for one in channels):
        names = {key for one in channels for key in one}
        channels = {key: [one.get(key) for one in channels] for key in names}
    if not isinstance(channels, dict):
        raise InvalidInput(f"{where}: channels are neither arrays by name nor a list of channels")
    found: dict[str, tuple[float, ...]] = {}
    for name, spellings in _POSITIONS.items():
        values: Sequence[Any] | None = next((channels[one] for one in spellings if one in channels), None)
        if values is None:
            continue
        if not isinstance(values, list):
            raise InvalidInput(f"{where}: {name} of the channels is no list")
        # A channel whose position is not known has none, as NumPy writes it.
        found[name] = tuple(math.nan if one is None else float(_number(one, name, where) or 0) for one in values)
    return found


def _number(value: Any, name: str, where: str) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise InvalidInput(f"{where}: {name}: {value!r} is no number")
    return number
