"""DASDAE, what DASCore writes: HDF5 with one group for each patch below `/waveforms`.

Samples and coordinates are plain arrays. Attributes that are no plain text or number are pickles; they are looked at,
never run (`ingest.formats.pickle_constants`). Coordinates along time beside the stamps, and those of two dims, are
not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, Linear
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import attrs_from, ranges_of, recorded_times, text, units_of, values_coord
from ingest.formats.hdf5_attributes import attributes_of, header_of
from ingest.formats.pickle_constants import constants_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_COORD, _COORD_DIMS, _ATTR = "_coord_", "_cdims_", "_attrs_"
_NO_ATTRS = {"coords", "dims", "history"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waveform:
    """One patch of a file, its samples unread."""

    group: Any
    data: Any
    dims: tuple[str, ...]
    said: Mapping[str, Any]

    @property
    def order(self) -> tuple[int, ...]:
        """The axis of each dim, time first."""
        time = self.dims.index("time")
        return (time, *(axis for axis in range(len(self.dims)) if axis != time))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim, time first."""
        return tuple(self.data.shape[axis] for axis in self.order)


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if this is a DASDAE file, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if "__format__" not in root.attrs:
            return None
        said = attributes_of(root)
        return text(said.get("__DASDAE_version__")) if said["__format__"] == "DASDAE" else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return one block for each patch; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        return Description(
            format="dasdae",
            version=text(attributes_of(root).get("__DASDAE_version__")) or "",
            blocks=tuple(_block(waveform, file) for waveform in _waveforms(root, file)),
            header=header_of(root, file),
        )


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples of one patch, time first, whatever the order in the file."""
    with hdf5.opened(file) as root:
        waveforms = _waveforms(root, file)
        if not 0 <= block < len(waveforms):
            raise InvalidInput(f"block {block}: the file holds {len(waveforms)}, counted from 0")
        waveform = waveforms[block]
        return hdf5.read_ordered(waveform.data, waveform.order, ranges_of(window, waveform.shape))


def _waveforms(root: Any, file: BinaryIO) -> tuple[_Waveform, ...]:
    """Return the patches that have samples, in order of time."""
    groups = [group for group in hdf5.children(hdf5.child(root, "waveforms", file), file) if "_dims" in group.attrs]
    waveforms = [_waveform(group, file) for group in groups if hdf5.holds(group, "data")]
    if not waveforms:
        raise FormatError("no patch with samples in /waveforms: nothing to read; set the file aside")
    return tuple(sorted(waveforms, key=lambda waveform: int(_stamps_of(waveform, file)[0])))


def _waveform(group: Any, file: BinaryIO) -> _Waveform:
    said = {name: _value_of(group.attrs[name], value) for name, value in attributes_of(group).items()}
    data, dims = hdf5.array_in(group, "data", file), tuple((text(said.get("_dims")) or "").split(","))
    if "time" not in dims or len(set(dims)) != len(dims) or len(data.shape) != len(dims) or not all(data.shape):
        raise FormatError(f"{data.name}: dims {dims} and shape {data.shape}, time is needed; set the file aside")
    return _Waveform(group=group, data=data, dims=dims, said=said)


def _value_of(stored: Any, value: Any) -> Any:
    """Return an attribute as it was before PyTables pickled it, if it did: it takes bytes with a dot at the end."""
    if not isinstance(stored, bytes) or not stored.endswith(b"."):
        return value
    try:
        return constants_of(bytes(stored))
    except ValueError:
        return value


def _stamps_of(waveform: _Waveform, file: BinaryIO) -> NDArray[np.int64]:
    times = hdf5.array_in(waveform.group, f"{_COORD}time", file)
    size = waveform.shape[0]
    if times.shape != (size,) or times.dtype != np.dtype(np.int64) or not attributes_of(times).get("is_datetime64"):
        found = f"{times.shape} values of {times.dtype} for {size} samples"
        raise FormatError(f"{times.name}: {found} are no stamps; set the file aside")
    return np.asarray(times[:])


def _block(waveform: _Waveform, file: BinaryIO) -> Block:
    dims = tuple(waveform.dims[axis] for axis in waveform.order)
    coords: dict[str, Coord] = dict(recorded_times(_stamps_of(waveform, file)))
    for dim, size in zip(dims[1:], waveform.shape[1:], strict=True):
        coords[dim] = Coord(dims=(dim,), values=Linear(start=0, step=1, size=size))
    names = (name.removeprefix(_COORD) for name in waveform.group if name.startswith(_COORD))
    for name in sorted(set(names) - {"time"}):
        coord = _coord_of(waveform, name, dict(zip(dims[1:], waveform.shape[1:], strict=True)), file)
        coords |= {} if coord is None else {name: coord}
    prefixed = {name.removeprefix(_ATTR): value for name, value in waveform.said.items() if name.startswith(_ATTR)}
    scalars = {name: value for name, value in prefixed.items() if isinstance(value, (str, bool, int, float))}
    known = {name: value for name, value in scalars.items() if name not in _NO_ATTRS and name != "data_units"}
    attrs = attrs_from(known | {"data_units": units_of(scalars.get("data_units"))})
    return Block(dims=dims, coords=coords, dtype=hdf5.native(waveform.data.dtype), attrs=attrs)


def _coord_of(waveform: _Waveform, name: str, sizes: dict[str, int], file: BinaryIO) -> Coord | None:
    """Return one coordinate along a dim that is not time, `None` where it is another."""
    along = text(waveform.said.get(_COORD_DIMS + name)) or name
    array: Any = hdf5.child(waveform.group, _COORD + name, file)
    if along not in sizes or getattr(array, "shape", None) != (sizes[along],) or array.dtype.kind not in "iuf":
        return None
    said = attributes_of(array)
    if said.get("is_datetime64") or said.get("is_timedelta64"):
        return None
    values = hdf5.array_in(waveform.group, _COORD + name, file)[:]
    if name != along and not np.isfinite(values).all():
        return None
    return values_coord(values, along, _coord_units(waveform, name, said))


def _coord_units(waveform: _Waveform, name: str, said: Mapping[str, Any]) -> str | None:
    """Return the units of a coordinate: on its array, in the summary of the patch, or in an attribute."""
    summary = waveform.said.get(f"{_ATTR}coords")
    told = summary.get(name) if isinstance(summary, dict) else None
    values = (said.get("units"), told.get("units") if isinstance(told, dict) else None)
    named = (*values, waveform.said.get(f"{_ATTR}{name}_units"))
    return next((units_of(value) for value in named if isinstance(value, str) and units_of(value)), None)
