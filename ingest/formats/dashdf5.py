"""DAS-HDF5: an HDF5 layout after the CF conventions, samples in `das`, axes in `channel`, `t`, `x`, `y` and `z`.

`t` are seconds since 1970 unless its units say otherwise. `trace`, a number for each stamp, is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.cf import is_time, times_of
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    float_of,
    ranges_of,
    recorded_times,
    term,
    text,
    units_of,
    values_coord,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.coords import Coord

__all__ = ["describe", "read", "sniff"]

_ARRAYS = ("channel", "das", "t", "trace", "x", "y", "z")
_PREFIX = "DAS-HDF5-"
_SECONDS = {"units": "seconds since 1970-01-01"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout(hdf5.Ordered):
    """Where a file keeps its samples and their stamps."""

    times: Any


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if the conventions that the file names are those of DAS-HDF5, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        version = _version_of(root)
        return version if version and all(hdf5.holds(root, name) for name in _ARRAYS) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        said = attributes_of(layout.times)
        stamps = times_of(layout.times[:], said if is_time(said) else _SECONDS)
        coords = recorded_times(stamps) | {
            name: _channel_coord(root, name, layout.shape[1], file) for name in ("channel", "x", "y", "z")
        }
        block = Block(
            dims=("time", "channel"),
            coords=coords,
            dtype=hdf5.native(layout.data.dtype),
            attrs=_attrs_of(root, attributes_of(layout.data), file),
        )
        version = _version_of(root) or ""
        return Description(format="dashdf5", version=version, blocks=(block,), header=header_of(root, file))


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first, whatever the order in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        return hdf5.read_ordered(layout.data, layout.order, ranges_of(window, layout.shape))


def _version_of(root: Any) -> str | None:
    if "Conventions" not in root.attrs:
        return None
    named = attributes_of(root).get("Conventions")
    words = [str(word).strip() for word in (named if isinstance(named, list) else str(named).replace(",", " ").split())]
    return next((word.removeprefix(_PREFIX) for word in words if word.startswith(_PREFIX)), None)


def _layout_of(root: Any, file: BinaryIO) -> _Layout:
    """Return where the samples are: channels come first unless the shape says otherwise."""
    data, times, channels = (hdf5.array_in(root, name, file) for name in ("das", "t", "channel"))
    sizes = (channels.shape, times.shape)
    for order in ((1, 0), (0, 1)):
        if len(data.shape) == len(order) and tuple((data.shape[axis],) for axis in order[::-1]) == sizes:
            return _Layout(data=data, times=times, order=order)
    raise FormatError(f"/das: shape {data.shape} with {sizes} channels and stamps; the file is damaged, set it aside")


def _channel_coord(root: Any, name: str, size: int, file: BinaryIO) -> Coord:
    array = hdf5.array_in(root, name, file)
    if array.shape != (size,):
        raise FormatError(f"/{name}: {array.shape} values for {size} channels; the file is damaged, set it aside")
    units = None if name == "channel" else units_of(attributes_of(array).get("units"))
    return values_coord(np.asarray(array[:]), "channel", units)


def _attrs_of(root: Any, said: dict[str, Any], file: BinaryIO) -> dict[str, Any]:
    crs = hdf5.child(root, "crs", file)
    code = attributes_of(crs).get("epsg_code") if crs is not None else None
    scale = float_of(said.get("scale_factor"))
    return attrs_from(
        {
            "data_category": "DAS",
            "data_type": term(said.get("long_name")),
            "data_units": units_of(said.get("units")),
            "scale_factor": None if scale == 1 else scale,
            "project": text(attributes_of(root).get("project")),
            "coordinate_system": text(code),
        }
    )
