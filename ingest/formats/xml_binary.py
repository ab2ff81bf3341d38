"""XML beside raw binary: `metadata.xml` tells what every `.raw` file of its folder holds.

A raw file says nothing by itself, so it is read together with the metadata (`ingest.formats.bundle`), the metadata
first. Its time is in its name. Frames are stored one after the other, or channels if `TransposedData` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.parsers import expat

import numpy as np

from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats.bundle import parts_of
from ingest.formats.edge import at_edge, name_of, read_exactly, size_of
from ingest.formats.fields import attrs_from, distance_coord, in_units, number, ranges_of, steady_time, text, units_of
from ingest.formats.file_names import time_from_name
from ingest.formats.rows import Rows, read_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # files name none
_MARKS = {"OutputTemporalSamplingRate", "NumberOfChannels", "NumberOfFrames", "DataType"}
_TYPES = frozenset({"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"})
_MOST = 1 << 20  # bytes of metadata
_DEEPEST = 16
_HEAD = 16384  # bytes, in which the marks stand


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the metadata says, and the file of samples."""

    said: dict[str, Any]
    raw: BinaryIO
    dtype: np.dtype[Any]
    frames: int
    channels: int

    @property
    def transposed(self) -> bool:
        """Whether a channel's samples lie together."""
        return str(self.said.get("TransposedData")).lower() == "true"


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if the file begins with the metadata of such a folder, else `None`."""
    first = parts_of(file)[0]
    first.seek(0)
    head = first.read(_HEAD)
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return None
    return _VERSION if all(f"<{mark}>".encode() in head for mark in _MARKS) else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of a raw file."""
    layout = _layout_of(file)
    said = layout.said
    rate = number(said, "OutputTemporalSamplingRate", positive=True)
    serials = said.get("DasInterrogatorSerial")
    block = Block(
        dims=("time", "distance"),
        coords={
            "time": steady_time(time_from_name(layout.raw), rate, layout.frames),
            "distance": _distances(said, layout.channels),
        },
        dtype=layout.dtype,
        attrs=attrs_from(
            {
                "data_category": "DAS",
                "instrument_id": text(list(serials.values()) if isinstance(serials, dict) else serials),
                "gauge_length": in_units(said.get("GaugeLengthM"), None, "m"),
                "pulse_width": in_units(said.get("PulseWidthNs"), None, "ns"),
            }
        ),
    )
    return Description(format="xml_binary", version=_VERSION, blocks=(block,), header=said)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first, whatever the order in the file."""
    if block != 0:
        raise InvalidInput(f"block {block}: a raw file holds one, number 0")
    layout = _layout_of(file)
    time, distance = ranges_of(window, (layout.frames, layout.channels))
    little = layout.dtype.newbyteorder("<")
    if layout.transposed:
        rows = [Rows(0, layout.channels)]
        found = read_rows(layout.raw, rows, distance, time, width=layout.frames, dtype=little)
        return np.ascontiguousarray(found.T)
    rows = [Rows(0, layout.frames)]
    return read_rows(layout.raw, rows, time, distance, width=layout.channels, dtype=little)


def _layout_of(file: BinaryIO) -> _Layout:
    parts = parts_of(file)
    said = _metadata(parts[0])
    if len(parts) != 2:  # noqa: PLR2004 - the metadata and the samples
        raise FormatError(f"{name_of(file)}: no .raw file beside it; name its whole folder")
    if str(said.get("DataType")) not in _TYPES:
        raise FormatError(f"DataType: {said.get('DataType')!r} is no type of a number; set the files aside")
    dtype = np.dtype(str(said["DataType"]))
    frames, channels = (_count(said, name) for name in ("NumberOfFrames", "NumberOfChannels"))
    size = size_of(parts[1])
    if frames * channels * dtype.itemsize != size:
        found = f"{size} bytes for {frames} frames of {channels} channels of {dtype}"
        raise FormatError(f"{name_of(parts[1])}: {found}; it is cut, or not of this metadata, fetch it again")
    return _Layout(said, parts[1], dtype, frames, channels)


def _count(said: dict[str, Any], name: str) -> int:
    found = number(said, name, positive=True)
    if found != int(found):
        raise FormatError(f"{name}: {found} is no whole number; set the files aside")
    return int(found)


def _distances(said: dict[str, Any], channels: int) -> Any:
    """Return the distances: channel n of the instrument, counted from 1, lies at (n - 1) spacings."""
    zones = said.get("Zones")
    if not isinstance(zones, dict) or len(zones) != 1 or not isinstance(zone := next(iter(zones.values())), dict):
        raise FormatError("Zones: one zone is read, not several or none; set the files aside")
    spacing = float(number(said, "OriginalSpatialSamplingInterval", positive=True))
    stride = _count(zone, "Stride") if "Stride" in zone else 1
    first = _count(zone, "StartChannel") - 1
    units = units_of(said.get("Units")) or "m"
    return distance_coord(start=first * spacing, step=spacing * stride, size=channels, units=units)


def _metadata(file: BinaryIO) -> dict[str, Any]:
    """Return the elements of the XML as nested texts; no entity and no document type is taken."""
    size = size_of(file)
    if size > _MOST:
        raise FormatError(f"{name_of(file)}: {size} bytes of XML are no metadata; set it aside")
    stack: list[tuple[str, dict[str, Any], list[str]]] = [("", {}, [])]

    def begin(name: str, _: dict[str, str]) -> None:
        if len(stack) > _DEEPEST:
            raise FormatError(f"{name_of(file)}: elements lie deeper than {_DEEPEST}; set it aside")
        stack.append((name, {}, []))

    def end(_: str) -> None:
        name, inner, texts = stack.pop()
        stack[-1][1][name] = inner or "".join(texts).strip()

    def say(data: str) -> None:
        stack[-1][2].append(data)

    def refuse(*_: Any) -> None:
        raise FormatError(f"{name_of(file)}: declares a document type, which metadata has no use for; set it aside")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = say
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(read_exactly(file, 0, size), True)  # noqa: FBT003 - expat's own signature
    except expat.ExpatError as error:
        raise FormatError(f"{name_of(file)}: no XML ({error}); it is cut or damaged, set it aside") from error
    (root,) = stack[0][1].values()
    if not isinstance(root, dict):
        raise FormatError(f"{name_of(file)}: the XML has no elements; set it aside")
    return root
