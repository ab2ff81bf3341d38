"""SEG-Y, revisions 0 to 2.1, big- and little-endian: one trace for each channel, all of one length.

Time comes from the trace headers, in nanoseconds; positions, where they are given, become coordinates. segyio gives
the names of the header fields and turns IBM floats into IEEE ones. It reads no file but by its path on
a disk, so the arithmetic of where a trace lies is done here, and any part of a file is read from any place.

References
----------
SEG Technical Standards Committee, *SEG-Y_r2.1: SEG-Y revision 2.1 Data Exchange format* (2023), sections 3
to 6; *SEG Y rev 1 Data Exchange format* (2002); K. Barry et al., Geophysics 40 (1975), 344-352 (revision 0).
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, Explicit, Linear
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats.edge import at_edge, library, read_exactly, remembered
from ingest.formats.fields import attrs_from, plain, ranges_of, steady_time
from ingest.formats.file_names import time_from_name
from ingest.formats.rows import from_three_bytes
from ingest.formats.segy_layout import BINARY, TEXT, TRACE, Layout, layout_of, revision_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_IBM, _INT24 = 1, 7  # data format codes
_NEAR = 1 << 16  # bytes of a trace that are read though they were not asked for
_AT_ONCE = 8 << 20  # bytes
_LINE = 80  # characters of the textual header
_NANO, _MILLISECOND = 10**9, 10**6  # ns
_GPS = 5  # time basis code
_UNITS = {1: "Pa", 2: "V", 3: "mV", 4: "A", 5: "m", 6: "m/s", 7: "m/s**2", 8: "N", 9: "W"}
# Days on which GPS time went one more second ahead of UTC (IERS Bulletin C).
_LEAPS = np.array(
    [
        "1981-07",
        "1982-07",
        "1983-07",
        "1985-07",
        "1988-01",
        "1990-01",
        "1991-01",
        "1992-07",
        "1993-07",
        "1994-07",
        "1996-01",
        "1997-07",
        "1999-01",
        "2006-01",
        "2009-01",
        "2012-07",
        "2015-07",
        "2017-01",
    ],
    dtype="datetime64[ns]",
).astype(np.int64)


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the revision if both file headers and the first trace's make sense together, else `None`."""
    return revision_of(file)


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return one block for the traces that begin together; every trace's header is read, no samples are."""
    layout, headers, groups = remembered(file, _known_of)
    basis = {1: "local", _GPS: "GPS, converted to UTC"}.get(int(headers["TimeBaseCode"][0]))
    codes = set(headers["TraceValueMeasurementUnit"].tolist())
    units = _UNITS.get(codes.pop()) if len(codes) == 1 else None
    blocks = []
    for start, traces in groups:
        channel = Coord(dims=("channel",), values=Linear(start=0, step=1, size=traces.stop - traces.start))
        time = steady_time(start, 1e6 / _interval_of(layout, headers), layout.samples)
        blocks.append(
            Block(
                dims=("time", "channel"),
                coords={"time": time, "channel": channel} | _positions(file, layout, headers[traces]),
                dtype=_native(layout),
                attrs=attrs_from({"data_units": units, "time_basis": basis}),
            )
        )
    header = _verbatim(file, layout, headers)
    return Description(format="segy", version=layout.revision, blocks=tuple(blocks), header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first: the file has a channel's together."""
    layout, _, groups = remembered(file, _known_of)
    if not 0 <= block < len(groups):
        raise InvalidInput(f"block {block}: the file holds {len(groups)}, counted from 0")
    traces = groups[block][1]
    time, channels = ranges_of(window, (layout.samples, traces.stop - traces.start))
    out = np.empty((time.stop - time.start, channels.stop - channels.start), _native(layout))
    if out.size:
        offset = layout.start + (traces.start + channels.start) * layout.stride + layout.head
        _fill(file, layout, offset + time.start * layout.dtype.itemsize, out)
    return out


def _known_of(file: BinaryIO) -> tuple[Layout, NDArray[Any], list[tuple[int, slice]]]:
    """Return where traces lie, their headers, and which begin together."""
    layout = layout_of(file)
    headers = _headers_of(file, layout)
    return layout, headers, _groups_of(file, headers)


def _fill(file: BinaryIO, layout: Layout, offset: int, out: NDArray[Any]) -> None:
    """Fill `out`, shape (time, channel), with parts of traces, the first of which begins at byte `offset`."""
    length = len(out) * layout.dtype.itemsize
    near = layout.stride - length <= _NEAR
    step = max(_AT_ONCE // layout.stride, 1) if near else 1
    for first in range(0, out.shape[1], step):
        count = min(step, out.shape[1] - first)
        size = (count - 1) * layout.stride + length
        data = np.frombuffer(read_exactly(file, offset + first * layout.stride, size), np.uint8)
        parts = np.lib.stride_tricks.as_strided(data, (count, length), (layout.stride, 1), writeable=False)
        found = np.ascontiguousarray(parts).view(layout.dtype)
        out[:, first : first + count] = _values(found, layout).T


def _values(found: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Return samples as NumPy knows them: IBM's floats as IEEE's, 24-bit integers as 32-bit ones."""
    if layout.dtype.kind == "V":
        return from_three_bytes(found, layout.order, signed=layout.code == _INT24)
    if layout.code != _IBM:
        return found
    library("segyio._segyio", "SEG-Y")  # which `tools.native` uses, and segyio imports only with a file
    # It wants them as they stand in a big-endian file, and takes any NumPy type of that size.
    big = found if layout.order == ">" else found.byteswap()
    native = library("segyio", "SEG-Y").tools.native(big.view(np.single).ravel(), format=_IBM)
    return np.asarray(native).reshape(found.shape)


def _native(layout: Layout) -> np.dtype[Any]:
    if layout.dtype.kind == "V":
        return np.dtype(np.int32 if layout.code == _INT24 else np.uint32)
    return layout.dtype.newbyteorder("=")


def _fields(keys: Mapping[str, int], origin: int, size: int, order: str) -> np.dtype[Any]:
    """Return a header as NumPy's type of it: each field reaches to the next.

    Parameters
    ----------
    keys
        Byte of each field, as the standard counts them.
    origin
        Byte of the header itself in that count.
    """
    ends = [*list(keys.values())[1:], origin + size]
    unsigned = {"TRACE_SAMPLE_COUNT", "TRACE_SAMPLE_INTERVAL", "Samples", "Interval"}
    kinds = {1: "u1", 2: "i2", 4: "i4"}
    kept = {
        name: (order + ("u2" if name in unsigned else kinds[end - start]), start - origin)
        for (name, start), end in zip(keys.items(), ends, strict=True)
        if end - start in kinds
    }
    formats, offsets = [kind for kind, _ in kept.values()], [offset for _, offset in kept.values()]
    return np.dtype({"names": list(kept), "formats": formats, "offsets": offsets, "itemsize": size})


def _headers_of(file: BinaryIO, layout: Layout) -> NDArray[Any]:
    """Return the headers of all traces, checked to be of one length and interval."""
    dtype = _fields(library("segyio", "SEG-Y").tracefield.keys, 1, TRACE, layout.order)
    parts = (read_exactly(file, layout.start + number * layout.stride, TRACE) for number in range(layout.traces))
    headers = np.frombuffer(b"".join(parts), dtype)
    for name, said in (("TRACE_SAMPLE_COUNT", {layout.samples & 0xFFFF}), ("TRACE_SAMPLE_INTERVAL", set())):
        found = set(headers[name].tolist()) - {0}
        if len(found | said) > 1:
            values = ", ".join(map(str, sorted(found | said)[:5]))
            raise FormatError(f"{name}: {values} in the headers of one file; set it aside")
    return headers


def _interval_of(layout: Layout, headers: NDArray[Any]) -> float:
    """Return the time between samples, µs: revision 2 may have it exactly, else the traces' own counts."""
    interval = layout.interval if layout.interval % 1 else float(headers["TRACE_SAMPLE_INTERVAL"][0])
    interval = interval or layout.interval
    if not interval:
        raise FormatError("no header tells the time between samples; set the file aside")
    return interval


def _groups_of(file: BinaryIO, headers: NDArray[Any]) -> list[tuple[int, slice]]:
    """Return the traces that begin together, in order of time: when, in ns, and which they are."""
    names = ["YearDataRecorded", "DayOfYear", "HourOfDay", "MinuteOfHour", "SecondOfMinute", "TimeBaseCode"]
    said = np.stack([headers[name].astype(np.int64) for name in names])
    scale = headers["ScalarTraceHeader"].astype(np.float64)
    factor = np.where(scale < 0, 1 / np.where(scale, np.abs(scale), 1), np.where(scale > 0, scale, 1))
    delay = np.rint(headers["DelayRecordingTime"] * factor * _MILLISECOND).astype(np.int64)
    whole = np.vstack([said, delay])
    ends = [0, *(np.flatnonzero((np.diff(whole) != 0).any(axis=0)) + 1).tolist(), len(headers)]
    groups = [(_start_of(file, whole[:, begin]), slice(begin, end)) for begin, end in pairwise(ends)]
    return sorted(groups, key=lambda group: (group[0], group[1].start))


def _start_of(file: BinaryIO, said: NDArray[np.int64]) -> int:
    """Return the time of a trace's first sample, ns; that of the file's name where the headers are empty."""
    year, day, hour, minute, second, basis, delay = map(int, said)
    if not year:
        return time_from_name(file) + delay
    if not (1970 <= year <= 2116 and 1 <= day <= 366 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):  # noqa: PLR2004 - a clock
        found = f"year {year}, day {day}, {hour}:{minute}:{second}"
        raise FormatError(f"a trace begins at no time: {found}; set the file aside")
    midnight = int(np.datetime64(f"{year}-01-01", "ns").astype(np.int64)) + (day - 1) * 86_400 * _NANO
    start = midnight + ((hour * 60 + minute) * 60 + second) * _NANO
    if basis == _GPS:
        start -= int(np.searchsorted(_LEAPS + np.arange(len(_LEAPS)) * _NANO, start, side="right")) * _NANO
    return start + delay


def _positions(file: BinaryIO, layout: Layout, headers: NDArray[Any]) -> dict[str, Coord]:
    """Return x, y and elevation of the channels, those that the headers give."""
    (system,) = struct.unpack(layout.order + "h", read_exactly(file, TEXT + 54, 2))
    length = {1: "m", 2: "ft"}.get(system, "m")
    units = {0: length, 1: length, 2: "arcsecond", 3: "degree"}.get(int(headers["CoordinateUnits"][0]))
    sources = {"x": ("GroupX", "SourceGroupScalar"), "y": ("GroupY", "SourceGroupScalar")} if units else {}
    sources["elevation"] = ("ReceiverGroupElevation", "ElevationScalar")
    coords = {}
    for name, (field, scalar) in sources.items():
        values, scale = headers[field].astype(np.float64), headers[scalar].astype(np.float64)
        if values.any():
            divided = values / np.where(scale < 0, -scale, 1)
            exact = Explicit(np.where(scale > 0, values * scale, divided))
            coords[name] = Coord(dims=("channel",), values=exact, units=length if name == "elevation" else units)
    return coords


def _verbatim(file: BinaryIO, layout: Layout, headers: NDArray[Any]) -> dict[str, Any]:
    """Return all headers: texts by line, fields by segyio's names, those of traces once where they are all the same."""
    segyio = library("segyio", "SEG-Y")
    binary = np.frombuffer(
        read_exactly(file, TEXT, BINARY), _fields(segyio.binfield.keys, TEXT + 1, BINARY, layout.order)
    )[0]
    texts = [read_exactly(file, 0, TEXT)]
    texts += [read_exactly(file, TEXT + BINARY + number * TEXT, TEXT) for number in range(layout.texts)]
    traces: dict[str, Any] = {}
    for name in headers.dtype.names or ():
        column = headers[name]
        if column.any():
            traces[name] = plain(column[0]) if (column == column[0]).all() else plain(column)
    return {
        "byte_order": "big" if layout.order == ">" else "little",
        "text": [line for text in texts for line in _lines(text)],
        "binary": {name: plain(binary[name]) for name in binary.dtype.names or () if binary[name]},
        "traces": traces,
    }


def _lines(block: bytes) -> list[str]:
    """Return the lines of a textual header, EBCDIC or ASCII, as they are but for spaces at the end."""
    coding = "cp037" if block[:1] in {b"\xc3", b"\x40"} else "latin-1"
    text = block.decode(coding)
    return [text[at : at + _LINE].rstrip(" \0") for at in range(0, len(text), _LINE)]
