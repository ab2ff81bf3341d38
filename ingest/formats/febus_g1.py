"""Febus G1, strain or temperature along a fibre (DSS, DTS): text, one measurement a file, as `.bsl`.

Lines `Param;NAME;VALUE` come first, then one number for each channel. One measurement takes a minute or so: its
time is that of its start, and its step, to three digits, is its length, so that consecutive files join.
Spectra (`.mtx`) are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import floor, log10
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, TimeAxis
from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge, name_of, read_exactly, size_of
from ingest.formats.fields import attrs_from, distance_coord, number, ranges_of, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # files name none
_MARK = b"Param;"
_HEAD = 1 << 14  # bytes, in which the header lies
_LONGEST_LINE = 64  # bytes, of a sample
_NANO = 10**9
_DAY = 86_400 * _NANO
_KINDS = {"strain": ("DSS", "strain", "microstrain"), "temperature": ("DTS", "temperature", "degC")}
_DECIMAL = re.compile(r"\d{1,10}(\.\d{1,12})?")
_SAMPLE = re.compile(rb"[ \t]*(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?nan|[+-]?inf)[ \t\r]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The header, and where the samples begin, bytes from the start of the file."""

    said: dict[str, Any]
    end: int

    @property
    def size(self) -> int:
        """Number of channels."""
        start, stop = number(self.said, "fiberFrom"), number(self.said, "fiberTo")
        step = number(self.said, "sampling resolution", positive=True)
        return max(round((stop - start) / step), 0)


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if this is a text of a Febus G1, else `None`."""
    file.seek(0)
    if file.read(len(_MARK)) != _MARK:
        return None
    said = _header_of(file).said
    return _VERSION if {"fiberFrom", "fiberTo", "mode", "start time"} <= said.keys() else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; only the header is read."""
    header = _header_of(file)
    said, mode = header.said, text(header.said.get("mode")) or ""
    if mode not in _KINDS:
        raise FormatError(f"{name_of(file)}: mode {mode!r} is not read, only {' and '.join(_KINDS)}; set it aside")
    category, kind, units = _KINDS[mode]
    start = float(number(said, "fiberFrom"))
    step = float(number(said, "sampling resolution", positive=True))
    if header.size > size_of(file):
        raise FormatError(f"{name_of(file)}: {header.size} channels do not fit into the file; fetch it again")
    block = Block(
        dims=("time", "distance"),
        coords={"time": _time_of(said), "distance": distance_coord(start=start, step=step, size=header.size)},
        dtype=np.dtype(np.float64),
        attrs=attrs_from(
            {
                "data_category": category,
                "data_type": kind,
                "data_units": units,
                "manufacturer": "Febus Optics",
                "model": "G1",
                "channel": text(said.get("channel")),
                "spatial_resolution": float(number(said, "spatial resolution")),
            }
        ),
    )
    return Description(format="febus_g1", version=_VERSION, blocks=(block,), header=said)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples of the one measurement, shape `(1, channels)` or what the window leaves of it."""
    hdf5.the_one_block(block)
    header = _header_of(file)
    ranges = ranges_of(window, (1, header.size))
    end = size_of(file)
    if end - header.end > header.size * _LONGEST_LINE:
        raise FormatError(f"{name_of(file)}: more text than {header.size} samples take; set the file aside")
    lines = read_exactly(file, header.end, end - header.end).split(b"\n")
    # A file that was cut need not have lost a whole line: only the end of the last tells.
    if len(lines) != header.size + 1 or lines[-1].strip() or not all(map(_SAMPLE.fullmatch, lines[:-1])):
        found = f"{len(lines) - 1} whole lines for {header.size} channels"
        raise FormatError(f"{name_of(file)}: {found}, or some are no numbers; it is cut, fetch it again")
    return np.array([float(line) for line in lines[:-1]]).reshape(1, -1)[ranges]


def _header_of(file: BinaryIO) -> _Header:
    """Return the parameters by name: one value as text or number, several as a list."""
    file.seek(0)
    head = file.read(_HEAD)
    said: dict[str, Any] = {}
    end = 0
    while head.startswith(_MARK, end):
        stop = head.find(b"\n", end)
        if stop < 0:
            raise FormatError(f"{name_of(file)}: a header without an end; it is cut, fetch it again")
        _, name, *values = head[end:stop].decode("latin-1").strip().split(";")
        said[name] = values[0] if len(values) == 1 else values
        end = stop + 1
    return _Header(said=said, end=end)


def _time_of(said: dict[str, Any]) -> Coord:
    start, stop = (_decimal_ns(said, name) for name in ("start time", "end time"))
    if not 0 < stop - start < _DAY:
        raise FormatError(f"a measurement from {start} to {stop} ns: its times make no sense; set the file aside")
    length = Fraction(round(stop - start, 2 - floor(log10(stop - start))))
    return Coord(dims=("time",), values=TimeAxis.line(start, length, 1), units="s")


def _decimal_ns(said: dict[str, Any], name: str) -> int:
    """Return a time, written as seconds since 1970 in digits, in ns."""
    value = said.get(name)
    value = value[0] if isinstance(value, list) and value else value
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise FormatError(f"{name}: {value!r} in the header is no time in seconds; set the file aside")
    found = round(Fraction(value) * _NANO)
    if not 0 <= found < 1 << 62:
        raise FormatError(f"{name}: {value!r} in the header is not within 1970 to 2116; set the file aside")
    return found
