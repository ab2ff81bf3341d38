"""Sentek's `.das`, version 5: nothing but 32-bit floats, little-endian.

Six of header (channels, samples, sampling interval in µs, whether these are strain rates, position of the
trigger, decimation), the distance of each channel, the seconds of each sample, then the samples, time first.
The seconds count from the time in the file's name: the content tells none.

DASCore 0.1.24 looks for both lists from the beginning of the file instead of behind the header, and so
begins 37 numbers too early in the sample file: its times are distances (a step of 9.5 s, where the
header and the list say 27.264 ms) and its samples begin with the last seconds. The size of the file, exactly
that of all six parts, and lists that rise evenly say that it is as described here.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, Explicit
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats.edge import at_edge, name_of, read_exactly, size_of
from ingest.formats.fields import attrs_from, nanoseconds, ranges_of, recorded_times
from ingest.formats.file_names import time_from_name
from ingest.formats.rows import Rows, read_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "5"  # as the field calls it; files name none
_FLOAT = np.dtype("<f4")
_FIELDS = ("sensor_num", "measurement_count", "sampling_interval", "strain_rate", "trigger_position", "decimation")
_HEAD = struct.Struct("<6f")
_MOST = 1 << 24  # whole numbers up to here are exact in 32-bit floats


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the header says: values by name, and how many channels and samples follow."""

    said: dict[str, float]
    channels: int
    samples: int

    @property
    def start(self) -> int:
        """Byte of the first sample."""
        return _HEAD.size + (self.channels + self.samples) * _FLOAT.itemsize


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if the six numbers make sense and give just the file's size, else `None`."""
    return None if _layout_of(file) is None else _VERSION


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the list of seconds is read, samples are not."""
    layout = _checked(file)
    lists = read_exactly(file, _HEAD.size, layout.start - _HEAD.size)
    with np.errstate(invalid="ignore"):  # what is no number is refused below
        distances, seconds = np.split(np.frombuffer(lists, _FLOAT).astype(np.float64), [layout.channels])
    if not np.isfinite(distances).all():
        raise FormatError("a channel lies at no finite distance; the file is damaged, set it aside")
    stamps = nanoseconds(seconds) + time_from_name(file)
    block = Block(
        dims=("time", "distance"),
        coords=recorded_times(stamps) | {"distance": Coord(dims=("distance",), values=Explicit(distances), units="m")},
        dtype=_FLOAT.newbyteorder("="),
        attrs=attrs_from(
            {"data_category": "DAS", "data_type": "strain_rate" if layout.said["strain_rate"] else "strain"}
        ),
    )
    return Description(
        format="sentek",
        version=_VERSION,
        blocks=(block,),
        header={**layout.said, "name": name_of(file).rpartition("/")[2]},
    )


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first as in the file."""
    if block != 0:
        raise InvalidInput(f"block {block}: a Sentek file holds one, number 0")
    layout = _checked(file)
    time, distance = ranges_of(window, (layout.samples, layout.channels))
    return read_rows(file, [Rows(layout.start, layout.samples)], time, distance, width=layout.channels, dtype=_FLOAT)


def _layout_of(file: BinaryIO) -> _Layout | None:
    size = size_of(file)
    if size < _HEAD.size:
        return None
    values = _HEAD.unpack(read_exactly(file, 0, _HEAD.size))
    if not all(math.isfinite(value) for value in values):
        return None
    said = dict(zip(_FIELDS, values, strict=True))
    channels, samples = said["sensor_num"], said["measurement_count"]
    whole = all(1 <= value <= _MOST and value.is_integer() for value in (channels, samples))
    if not whole or said["strain_rate"] not in {0.0, 1.0} or said["sampling_interval"] <= 0:
        return None
    layout = _Layout(said, int(channels), int(samples))
    return layout if layout.start + layout.channels * layout.samples * _FLOAT.itemsize == size else None


def _checked(file: BinaryIO) -> _Layout:
    layout = _layout_of(file)
    if layout is None:
        raise FormatError(
            "the six numbers of the header do not give the size of the file; it is cut, or no Sentek file"
        )
    return layout
