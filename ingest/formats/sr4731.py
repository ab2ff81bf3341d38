"""OTDR traces as Telcordia SR-4731 lays them down (`.sor`), version 2: one trace, a time of one sample.

The samples are the loss in dB below the strongest one, as readers of these files show them: the greatest
number of the trace less each number, times a scale. So any part of a trace needs all of its numbers; they
are 32 kB.

References
----------
Telcordia SR-4731, issue 2, is not free; the layout is that which S. Li found and published in *The OTDR
(Optical Time-Domain Reflectometer) Data Format* (2016-2018), and DASCore's reader says which of it its
samples follow.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats.edge import at_edge, read_exactly, size_of
from ingest.formats.fields import attrs_from, distance_coord, ranges_of, recorded_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_MAP = b"Map\0"
_MAP_HEAD = struct.Struct("<HIH")  # version, size of this block, number of blocks with this one
_ENTRY = struct.Struct("<HI")  # version, size
_FIXED = struct.Struct("<I2sHiiHHIIIHIHI")
_FIXED_NAMES = (
    "date_time",  # s since 1970
    "units",
    "wavelength",  # 0.1 nm
    "acquisition_offset",
    "acquisition_offset_distance",
    "pulse_width_entries",
    "pulse_width",  # ns
    "data_spacing",  # 1e-8 µs, of the way there and back taken once
    "data_points",
    "group_index",  # 1e-5
    "backscatter_coefficient",
    "averages",
    "averaging_time",
    "acquisition_range",
)
_POINTS = struct.Struct("<IHIH")  # all points, traces, points of the trace, scale
_SUPPLIER = ("supplier", "otdr", "otdr_serial_number", "module", "module_serial_number", "software", "other")
_MOST_HEADER = 1 << 16
_SAMPLE = np.dtype("<u2")
_LIGHT = 299_792_458.0  # m/s
_NANO = 10**9


class _Part(NamedTuple):
    """One block of the file: where what follows its name begins, and where it ends."""

    start: int
    stop: int


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version of the map that a file begins with, else `None`."""
    file.seek(0)
    head = file.read(len(_MAP) + _MAP_HEAD.size)
    if len(head) < len(_MAP) + _MAP_HEAD.size or not head.startswith(_MAP):
        return None
    version, size, count = _MAP_HEAD.unpack_from(head, len(_MAP))
    return str(version) if len(head) <= size <= _MOST_HEADER and count > 1 else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file, one sample long."""
    parts, version = _parts_of(file)
    fixed, _, _ = _trace_of(file, parts)
    supplier = dict(zip(_SUPPLIER, _texts(file, parts, "SupParams"), strict=False))
    spacing, index = fixed["data_spacing"] * 1e-14, fixed["group_index"] * 1e-5
    if not spacing or not index:
        raise FormatError("no spacing or no refractive index in FxdParams; set the file aside")
    names = [supplier.get(name, "") for name in _SUPPLIER[:3]]
    block = Block(
        dims=("time", "distance"),
        coords=recorded_times(np.array([fixed["date_time"] * _NANO], dtype=np.int64))
        | {"distance": distance_coord(start=0.0, step=spacing * _LIGHT / index, size=fixed["data_points"])},
        dtype=np.dtype(np.float64),
        attrs=attrs_from(
            {
                "data_category": "OTDR",
                "data_type": "otdr",
                "data_units": "dB",
                "instrument_id": "-".join(name for name in names if name),
                "manufacturer": supplier.get("supplier"),
                "model": supplier.get("otdr"),
                "serial_number": supplier.get("otdr_serial_number"),
                "firmware_version": supplier.get("software"),
                "pulse_width": float(fixed["pulse_width"]),
                "wavelength": fixed["wavelength"] / 10,
                "fiber_refraction_index": index,
            }
        ),
    )
    header = {"FxdParams": fixed, "SupParams": supplier, "GenParams": _bytes(file, parts["GenParams"]).hex()}
    return Description(format="sr4731", version=version, blocks=(block,), header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return the loss in dB, time first."""
    if block != 0:
        raise InvalidInput(f"block {block}: an SR-4731 file holds one, number 0")
    fixed, start, scale = _trace_of(file, _parts_of(file)[0])
    count = fixed["data_points"]
    time, distance = ranges_of(window, (1, count))
    raw = np.frombuffer(read_exactly(file, start, count * _SAMPLE.itemsize), _SAMPLE)
    loss = (raw.max() - raw.astype(np.float64)) * scale / 1_000_000
    return np.ascontiguousarray(loss[np.newaxis][time, distance])


def _parts_of(file: BinaryIO) -> tuple[dict[str, _Part], str]:
    """Return the blocks that the map names, and its version."""
    head = read_exactly(file, 0, len(_MAP) + _MAP_HEAD.size)
    if not head.startswith(_MAP):
        raise FormatError("does not begin with a map of blocks; no SR-4731 file of version 2, set it aside")
    version, size, count = _MAP_HEAD.unpack_from(head, len(_MAP))
    table = read_exactly(file, 0, min(size, _MOST_HEADER))
    at, start, end = len(head), size, size_of(file)
    parts: dict[str, _Part] = {}
    for _ in range(count - 1):
        stop = table.index(b"\0", at)
        name = table[at:stop]
        _, length = _ENTRY.unpack_from(table, stop + 1)
        at = stop + 1 + _ENTRY.size
        if start + length > end:
            raise FormatError(f"a block ends at byte {start + length}, the file at {end}; it is cut, fetch it again")
        if read_exactly(file, start, min(length, len(name) + 1)) != name + b"\0":
            raise FormatError(f"byte {start}: no block {name!r} as the map says; the file is damaged, set it aside")
        parts[name.decode("latin-1")] = _Part(start + len(name) + 1, start + length)
        start += length
    missing = sorted({"GenParams", "SupParams", "FxdParams", "DataPts"} - set(parts))
    if missing:
        raise FormatError(f"no block {', '.join(missing)}; the file is no whole SR-4731 file, set it aside")
    return parts, str(version)


def _bytes(file: BinaryIO, part: _Part) -> bytes:
    return read_exactly(file, part.start, min(part.stop - part.start, _MOST_HEADER))


def _texts(file: BinaryIO, parts: dict[str, _Part], name: str) -> list[str]:
    return [piece.decode("latin-1").strip() for piece in _bytes(file, parts[name]).split(b"\0")]


def _trace_of(file: BinaryIO, parts: dict[str, _Part]) -> tuple[dict[str, Any], int, int]:
    """Return the fixed parameters, where the trace's numbers begin, and their scale."""
    values = _FIXED.unpack_from(_bytes(file, parts["FxdParams"]))
    fixed = dict(zip(_FIXED_NAMES, values, strict=True)) | {"units": values[1].decode("latin-1")}
    points = parts["DataPts"]
    every, traces, count, scale = _POINTS.unpack(read_exactly(file, points.start, _POINTS.size))
    if fixed["pulse_width_entries"] != 1 or traces != 1 or every != count or count != fixed["data_points"]:
        found = f"{traces} traces of {count} points, {fixed['pulse_width_entries']} pulse widths"
        raise FormatError(f"{found}: only one trace with one pulse width is read; set the file aside")
    start = points.start + _POINTS.size
    if not count or not scale or start + count * _SAMPLE.itemsize > points.stop:
        raise FormatError(f"{count} points with scale {scale} do not lie in DataPts; the file is damaged")
    return fixed, start, scale
