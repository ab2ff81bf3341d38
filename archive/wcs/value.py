"""World coordinates as one frozen value: axes, frames and steps; as JSON and arrays, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import DamagedData, NewerVersion
from archive.wcs import sky, steps, tables
from archive.wcs.axes import SkyFrame, WorldAxis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.wcs.steps import Arrays, Step

__all__ = ["VERSION", "WorldCoordinates"]

VERSION = 1

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        steps.Affine,
        steps.Beside,
        steps.Chain,
        steps.Coupled,
        steps.Line,
        steps.Pick,
        tables.Ravel,
        sky.Sky,
        tables.Table,
        steps.Uncoupled,
        tables.Unravel,
        sky.VaryingSky,
    )
}
_COUNTS = {"n_inputs", "n_outputs"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorldCoordinates:
    """The world coordinates of a whole dataset: what is evaluated, and what comes out.

    Parameters
    ----------
    pixel_names
        Of the pixel axes, in APE 14's order: the reverse of the array's.
    axes
        Of the world, in order.
    sky
        The frame of the celestial axes, if there are some.
    epoch
        What temporal axes count from: `{"time": [jd1, jd2, scale, format]}`.
    forward
        From pixels, counted from 0 at the centre of the first, to the axes' numbers; longitudes go from
        -180 degrees (not with) to 180.
    """

    pixel_names: tuple[str, ...]
    axes: tuple[WorldAxis, ...]
    sky: SkyFrame | None
    epoch: Any
    forward: Step

    def to_world(self, *pixels: NDArray[np.float64]) -> Arrays:
        """Return the numbers of all axes; arrays that broadcast with each other."""
        return self.forward(*pixels)

    def to_pixel(self, *world: NDArray[np.float64]) -> Arrays:
        """Return the pixels of some numbers of all axes.

        Raises
        ------
        InvalidInput
            There is no way back.
        """
        return self.forward.inverse()(*world)

    def depends(self) -> NDArray[np.bool_]:
        """Return which world axis hangs on which pixel axis, shape `(world, pixel)`."""
        return self.forward.depends()

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return everything as what JSON can hold, and the arrays that it names."""
        arrays: dict[str, NDArray[Any]] = {}
        document = {
            "version": VERSION,
            "pixel_names": list(self.pixel_names),
            "axes": [asdict(axis) for axis in self.axes],
            "sky": self.sky.to_json() if self.sky else None,
            "epoch": self.epoch,
            "forward": _plain(self.forward, arrays),
        }
        return document, arrays

    @classmethod
    def from_parts(cls, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> WorldCoordinates:
        """Return the value that `to_parts` was called on.

        Raises
        ------
        NewerVersion
            It was written by a newer version than this.
        DamagedData
            Something in it is missing.
        """
        if document.get("version") != VERSION:
            raise NewerVersion(f"world coordinates of version {document.get('version')}; update lightkeep")
        try:
            return cls(
                pixel_names=tuple(document["pixel_names"]),
                axes=tuple(WorldAxis(**axis) for axis in document["axes"]),
                sky=SkyFrame(**document["sky"]) if document["sky"] else None,
                epoch=document["epoch"],
                forward=_step(document["forward"], arrays),
            )
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise DamagedData(f"world coordinates are damaged ({error!r}); run lightkeep verify") from error


def _plain(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    kind = type(value).__name__
    if kind in _KINDS:
        parameters = (
            field.name for field in fields(value) if field.init and (kind == "Pick" or field.name not in _COUNTS)
        )
        return {"step": kind, **{name: _plain(getattr(value, name), arrays) for name in parameters}}
    if isinstance(value, np.ndarray):
        name = f"table{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return [_plain(item, arrays) for item in value]
    return value


def _step(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_step(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    parameters = {name: _step(item, arrays) for name, item in value.items() if name != "step"}
    return _KINDS[value["step"]](**parameters)
