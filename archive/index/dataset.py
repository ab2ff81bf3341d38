"""What is fixed for a dataset: its channels, rate, chunks and codec."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, Explicit, Linear, TimeAxis
from archive.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archive.model import Scalar

__all__ = ["Dataset", "coord_from_json", "coord_to_json", "dataset_named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What every granule of a dataset shares.

    Parameters
    ----------
    name, incarnation
        Its name, and which life of it: raised when it is removed, so that it can come again.
    dims
        Time first.
    coords
        Coordinates that do not run along time.
    dtype
        Type of a sample.
    step
        Time from one sample to the next, ns; decides what joins what.
    chunks
        Inner chunk, time first.
    codec
        Name of the codec.
    window
        Length of the windows, ns since 1970, into which sources are grouped as granules.
    attrs
        Attributes of the first source; rows say where they differ.
    fingerprint
        What identifies the acquisition.
    given
        Attributes that a user gave or corrected; they stand above what files say. `None` takes one away.
    positions
        Coordinates that a user gave; they stand here alone, and in no granule.
    """

    name: str
    dims: tuple[str, ...]
    coords: Mapping[str, Coord]
    dtype: np.dtype[Any]
    step: Fraction
    chunks: tuple[int, ...]
    codec: str
    window: int
    attrs: Mapping[str, Scalar] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    incarnation: int = 1
    given: Mapping[str, Scalar] = field(default_factory=dict)
    positions: Mapping[str, Coord] = field(default_factory=dict)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of samples along each dim but time."""
        return tuple(self.coords[dim].size for dim in self.dims[1:])

    @property
    def holds_frames(self) -> bool:
        """Whether it is made of a telescope's frames: its granules have no axis of time, its rows tell of frames."""
        return self.fingerprint.get("kind") == "frames"

    def reborn(self, incarnation: int) -> Dataset:
        """Return the dataset in another life."""
        return replace(self, incarnation=incarnation)

    def to_json(self) -> dict[str, Any]:
        """Return the dataset as JSON."""
        positions = {name: coord_to_json(coord) for name, coord in self.positions.items()}
        return {
            "name": self.name,
            "incarnation": self.incarnation,
            "dims": list(self.dims),
            "coords": {name: coord_to_json(coord) for name, coord in self.coords.items()},
            "dtype": self.dtype.name,
            "step": [self.step.numerator, self.step.denominator],
            "chunks": list(self.chunks),
            "codec": self.codec,
            "window": self.window,
            "attrs": dict(self.attrs),
            "fingerprint": dict(self.fingerprint),
            **({"given": dict(self.given)} if self.given else {}),
            **({"positions": positions} if positions else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Dataset:
        """Return the dataset that JSON holds."""
        return cls(
            **{
                **data,
                "dims": tuple(data["dims"]),
                "coords": {name: coord_from_json(coord) for name, coord in data["coords"].items()},
                "positions": {name: coord_from_json(coord) for name, coord in data.get("positions", {}).items()},
                "dtype": np.dtype(data["dtype"]),
                "step": Fraction(*data["step"]),
                "chunks": tuple(data["chunks"]),
            }
        )


def dataset_named(name: str, there: Mapping[str, Dataset], url: str) -> Dataset:
    """Return one of the datasets that an archive has.

    Raises
    ------
    NotFound
        There is none of this name.
    """
    if name not in there:
        raise NotFound(f"{name}: no such dataset in {url}; there are: {', '.join(there) or 'none'}")
    return there[name]


def coord_to_json(coord: Coord) -> dict[str, Any]:
    """Return a coordinate as JSON, exact to the last bit."""
    values = coord.values
    if isinstance(values, Linear):
        held: dict[str, Any] = {name: getattr(values, name) for name in Linear.__slots__}
    elif isinstance(values, TimeAxis):
        held = {"time": [column.tolist() for column in values.columns()]}
    else:
        array = values.to_numpy()
        if array.dtype.kind in "OUS":
            held = {"texts": [str(item) for item in array]}
        else:
            little = array.astype(array.dtype.newbyteorder("<"))
            packed = base64.b85encode(zlib.compress(little.tobytes(), 9)).decode()
            held = {"dtype": array.dtype.name, "array": packed}
    return {"dims": list(coord.dims), "units": coord.units, "values": held}


def coord_from_json(data: Mapping[str, Any]) -> Coord:
    """Return the coordinate that JSON holds."""
    held = data["values"]
    if "step" in held:
        values: Any = Linear(**held)
    elif "time" in held:
        values = TimeAxis(*held["time"])
    elif "texts" in held:
        values = Explicit(np.array(held["texts"]))
    else:
        dtype = np.dtype(held["dtype"]).newbyteorder("<")
        array = np.frombuffer(zlib.decompress(base64.b85decode(held["array"])), dtype=dtype)
        values = Explicit(array.astype(dtype.newbyteorder("=")))
    return Coord(dims=tuple(data["dims"]), values=values, units=data["units"])
