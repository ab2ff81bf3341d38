"""NetCDF-4 after the CF conventions, as xdas and xarray write it: HDF5 with named dims.

Each variable of numbers that runs along time is a block; other variables and groups are left alone. A coordinate
is an array, or tie points between which it is a line (CF's subsampling, as xdas has it); where the ties of time jump,
another block begins. Coordinates along time beside the stamps are not kept.

References
----------
CF conventions 1.12, sections 4.4 (time) and 8.3 (lossy compression by coordinate subsampling);
NetCDF-4 file format (`_Netcdf4Dimid`, `_Netcdf4Coordinates`, HDF5 dimension scales).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, Linear
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.cf import is_time, times_of
from ingest.formats.edge import at_edge
from ingest.formats.fields import attrs_from, float_of, ranges_of, recorded_times, text, units_of, values_coord
from ingest.formats.hdf5_attributes import attributes_of, header_of
from ingest.formats.netcdf_dims import Dims, Ties, dims_of, ties_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "4"
_PLAIN_ATTRS = (
    "acquisition_id",
    "data_category",
    "data_type",
    "gauge_length",
    "instrument_id",
    "manufacturer",
    "model",
    "network",
    "pulse_rate",
    "pulse_width",
    "station",
    "tag",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A stretch of a variable without a jump in time."""

    data: Any
    dims: tuple[str, ...]
    time: str
    rows: slice
    coords: dict[str, Coord]

    @property
    def order(self) -> tuple[int, ...]:
        """The axis of each dim, time first."""
        first = self.dims.index(self.time)
        return (first, *(axis for axis in range(len(self.dims)) if axis != first))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim, time first."""
        rest = (self.data.shape[axis] for axis in self.order[1:])
        return (self.rows.stop - self.rows.start, *rest)


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return 4 if this is a NetCDF-4 file with samples along time, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if not _is_netcdf(root):
            return None
        return _VERSION if _variables(root, dims_of(root, file), file) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return a block for each stretch of each variable; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        said = attributes_of(root)
        blocks = tuple(
            Block(
                dims=("time", *(part.dims[axis] for axis in part.order[1:])),
                coords=part.coords,
                dtype=hdf5.native(part.data.dtype),
                attrs=_attrs_of(said, attributes_of(part.data), part.data),
            )
            for part in _parts(root, file)
        )
        return Description(format="netcdf", version=_VERSION, blocks=blocks, header=header_of(root, file))


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples of one block, time first, whatever the order in the file."""
    with hdf5.opened(file) as root:
        parts = _parts(root, file)
        if not 0 <= block < len(parts):
            raise InvalidInput(f"block {block}: the file holds {len(parts)}, counted from 0")
        part = parts[block]
        time, *rest = ranges_of(window, part.shape)
        rows = slice(part.rows.start + time.start, part.rows.start + time.stop)
        return hdf5.read_ordered(part.data, part.order, (rows, *rest))


def _is_netcdf(root: Any) -> bool:
    if "_NCProperties" in root.attrs:
        return True
    named = str(attributes_of(root).get("Conventions") if "Conventions" in root.attrs else "")
    return "CF-" in named and "DAS-HDF5-" not in named


def _variables(root: Any, dims: Dims, file: BinaryIO) -> dict[str, tuple[str, ...]]:
    """Return the dims of each variable that runs along time, by its name."""
    ties = ties_of(root, dims, file)
    found = {}
    for name in dims.variables:
        along = dims.along(name)
        if len(along) > 1 and any(_time_name(root, dim, ties, file) for dim in along):
            found[name] = along
    return found


def _time_name(root: Any, dim: str, ties: dict[str, Ties], file: BinaryIO) -> str | None:
    """Return the array that holds the times along a dim, `None` where they are no times."""
    name = ties[dim].values if dim in ties else dim
    array = hdf5.child(root, name, file)
    return name if array is not None and is_time(attributes_of(array)) else None


def _parts(root: Any, file: BinaryIO) -> tuple[_Part, ...]:
    """Return the stretches of all variables in order of time."""
    dims = dims_of(root, file)
    ties = ties_of(root, dims, file)
    parts = []
    for name, along in _variables(root, dims, file).items():
        data = hdf5.array_in(root, name, file)
        time = next(dim for dim in along if _time_name(root, dim, ties, file))
        others = {dim: size for dim, size in zip(along, data.shape, strict=True) if dim != time}
        beside: dict[str, Coord] = {}
        for dim, size in others.items():
            beside |= _labels(root, (dim, size), dims, ties.get(dim), file)
        for rows, coords in _times(root, time, data.shape[along.index(time)], ties.get(time), file):
            parts.append(_Part(data=data, dims=along, time=time, rows=rows, coords=coords | beside))
    if not parts:
        raise FormatError("no variable that runs along a time: nothing to read; set the file aside")
    return tuple(sorted(parts, key=lambda part: part.coords["time"].values[0]))


def _times(root: Any, dim: str, size: int, ties: Ties | None, file: BinaryIO) -> list[tuple[slice, dict[str, Coord]]]:
    """Return the rows and the times of each stretch."""
    if ties is None:
        array = hdf5.array_in(root, dim, file)
        if array.shape != (size,):
            raise FormatError(f"{array.name}: {array.shape} stamps for {size} samples; set the file aside")
        said = attributes_of(array)
        stamps = times_of(array[:], said)
        return [(slice(0, size), recorded_times(stamps, float_of(said.get("sampling_rate"))))]
    return [
        (rows, {"time": Coord(dims=("time",), values=axis, units="s")}) for rows, axis in ties.times(root, size, file)
    ]


def _labels(root: Any, axis: tuple[str, int], dims: Dims, ties: Ties | None, file: BinaryIO) -> dict[str, Coord]:
    """Return the coordinates along a dim (name, size) that is not time: its own, and those beside it."""
    dim, size = axis
    coords: dict[str, Coord] = {dim: Coord(dims=(dim,), values=Linear(start=0, step=1, size=size))}
    if ties is not None:
        units = units_of(attributes_of(hdf5.array_in(root, ties.values, file)).get("units"))
        coords[dim] = values_coord(ties.numbers(root, size, file), dim, units)
    for name in dims.coordinates(dim):
        array = hdf5.array_in(root, name, file)
        said = attributes_of(array)
        if array.shape == (size,) and not is_time(said) and (name == dim or np.isfinite(array[:]).all()):
            coords[name] = values_coord(array[:], dim, units_of(said.get("units")))
    return coords


def _attrs_of(said: dict[str, Any], own: dict[str, Any], data: Any) -> dict[str, Any]:
    both = {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in (said | own).items()
    }
    known = {name: both[name] for name in _PLAIN_ATTRS if isinstance(both.get(name), (str, int, float))}
    scale, offset = (float_of(own.get(name)) for name in ("scale_factor", "add_offset"))
    named = text(own.get("standard_name")) or str(data.name).lstrip("/").strip("_") or None
    return attrs_from(
        {"data_type": None if named == "values" else named}
        | known
        | {
            "data_units": units_of(own.get("units")),
            "scale_factor": None if scale == 1 else scale,
            "add_offset": offset or None,
        }
    )
