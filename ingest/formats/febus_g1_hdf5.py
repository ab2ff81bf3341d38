"""Febus G1 in HDF5: strain profiles (`bsl_data`) or Brillouin spectra (`mtx`), one measurement a row.

Temperatures of the instrument lie along time and are not kept as a coordinate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from archive.coords import Coord, Linear
from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    float_of,
    nanoseconds,
    number,
    ranges_of,
    slow_times,
    term,
    text,
    values_coord,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_ARRAYS = ("distances", "end_times", "start_times", "temperatures")
_MARKS = {"bsl_data": {"channel", "fiberFrom", "fiberTo", "mode"}, "mtx": {"freq_offset_abs", "freq_step"}}
_DIMS = {"bsl_data": ("time", "distance"), "mtx": ("time", "distance", "frequency")}
_STRAIN = 1  # the mode


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the format version if this is HDF5 of a Febus G1, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if "formatVersion" not in root.attrs or not all(hdf5.holds(root, name) for name in _ARRAYS):
            return None
        return _version_of(root) if _name_of(root) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        name, array = _array_of(root, file)
        said = attributes_of(root)
        times, distances = (hdf5.array_in(root, part, file) for part in ("start_times", "distances"))
        if (times.shape, distances.shape) != (array.shape[:1], array.shape[1:2]):
            found = f"{times.shape} stamps and {distances.shape} distances for samples of {array.shape}"
            raise FormatError(f"{array.name}: {found}; the file is damaged, set it aside")
        coords = slow_times(nanoseconds(times[:])) | {"distance": values_coord(distances[:])}
        if name == "mtx":
            start, step = (float(number(_single(said), part)) for part in ("freq_offset_abs", "freq_step"))
            line = Linear(start=start, step=step, size=array.shape[2])
            coords["frequency"] = Coord(dims=("frequency",), values=line, units="MHz")
        block = Block(
            dims=_DIMS[name], coords=coords, dtype=hdf5.native(array.dtype), attrs=_attrs_of(name, _single(said))
        )
        version = _version_of(root) or ""
        return Description(format="febus_g1_hdf5", version=version, blocks=(block,), header=header_of(root, file))


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first as in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        _, array = _array_of(root, file)
        return hdf5.read_window(array, ranges_of(window, array.shape))


def _version_of(root: Any) -> str | None:
    return text(attributes_of(root).get("formatVersion"))


def _name_of(root: Any) -> str | None:
    """Return the name of the array with the samples, `None` without one."""
    return next((name for name, marks in _MARKS.items() if hdf5.holds(root, name) and marks <= set(root.attrs)), None)


def _array_of(root: Any, file: BinaryIO) -> tuple[str, Any]:
    name = _name_of(root)
    if name is None:
        raise FormatError("neither /bsl_data nor /mtx: not HDF5 of a Febus G1; set it aside")
    array = hdf5.array_in(root, name, file)
    if len(array.shape) != len(_DIMS[name]) or not all(array.shape):
        raise FormatError(f"{array.name}: shape {array.shape}, not {_DIMS[name]}; set the file aside")
    return name, array


def _single(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in said.items()}


def _attrs_of(name: str, said: dict[str, Any]) -> dict[str, Any]:
    strain = name == "bsl_data" and float_of(said.get("mode")) == _STRAIN
    spectrum = (term(said.get("febusDataKind")) or "brillouin_spectrum") if name == "mtx" else None
    return attrs_from(
        {
            "data_category": "DSS",
            "data_type": "strain" if strain else spectrum,
            "data_units": "microstrain" if strain else None,
            "manufacturer": "Febus Optics",
            "model": "G1",
            "channel": text(said.get("channel")),
            "spatial_resolution": float_of(said.get("spatial_resolution")),
        }
    )
