"""NI's TDMS container: segments of metadata and raw samples, read by offset.

npTDMS reads these files too, but channel by channel: of interleaved samples it reads all for each of the
channels, 1 152 times the bytes, and it takes an index that does not divide the raw data for damage, which
is how iDAS writes it. Here a segment is a table of rows, whatever its size.

References
----------
NI, *TDMS File Format Internal Structure*: lead-in, metadata, raw data, interleaved data, time stamps.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from ingest.formats.edge import read_exactly, size_of
from ingest.formats.rows import fill_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEAD_IN", "TAG", "Segment", "Tdms", "open_tdms", "read_rows"]

TAG = b"TDSm"
LEAD_IN = struct.Struct("<4sIIQQ")  # tag, table of contents, version, next segment, raw data
_META_DATA, _RAW_DATA, _INTERLEAVED, _BIG_ENDIAN, _DAQMX = 1 << 1, 1 << 3, 1 << 5, 1 << 6, 1 << 7
_NEW_OBJECTS = 1 << 2
_UNFINISHED = (1 << 64) - 1  # the next segment's offset in a file that was never closed
_NO_RAW_DATA, _SAME_AS_BEFORE, _INDEX_SIZE = 0xFFFFFFFF, 0, 20
_STRING, _BOOLEAN, _TIME_STAMP = 0x20, 0x21, 0x44
_NUMBERS = dict(enumerate(("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"), 1)) | {
    0x19: "f4",
    0x1A: "f8",
}
_EPOCH = int(np.datetime64("1904-01-01", "s").astype(np.int64))
_MOST_METADATA = 64 << 20
_INTEGER, _RAW_INDEX, _STAMP = struct.Struct("<I"), struct.Struct("<IIQ"), struct.Struct("<Qq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Rows of raw data that lie together.

    Parameters
    ----------
    offset
        Of the first sample, bytes from the start of the file.
    rows
        Samples of each channel.
    chunk
        Rows that lie together channel by channel; 1 where the samples are interleaved.
    channels
        Number of channels.
    dtype
        Type of a sample in the file.
    """

    offset: int
    rows: int
    chunk: int
    channels: int
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tdms:
    """A file of one table: every channel of one type and length."""

    version: int
    properties: dict[str, dict[str, Any]]
    channels: tuple[str, ...]
    dtype: np.dtype[Any]
    segments: tuple[Segment, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, channels."""
        return sum(segment.rows for segment in self.segments), len(self.channels)


def open_tdms(file: BinaryIO) -> Tdms:
    """Return what a file holds; reads lead-ins and metadata only.

    Raises
    ------
    FormatError
        The file is cut, damaged, or its channels make no table.
    """
    end, offset, version = size_of(file), 0, 0
    objects = _Objects()
    segments = []
    while offset < end:
        lead_in = LEAD_IN.unpack(read_exactly(file, offset, LEAD_IN.size))
        tag, contents, version, next_offset, raw_offset = lead_in
        begin = offset + LEAD_IN.size
        stop = end if next_offset == _UNFINISHED else begin + next_offset
        if tag != TAG or contents & (_BIG_ENDIAN | _DAQMX):
            raise FormatError(f"byte {offset}: no little-endian TDMS segment; set the file aside")
        if stop > end or raw_offset > stop - begin:
            raise FormatError(f"a segment ends at byte {stop}, the file at {end}; it is cut, fetch it again")
        if contents & _META_DATA:
            if raw_offset > _MOST_METADATA:
                raise FormatError(f"byte {offset}: {raw_offset} bytes of metadata; the file is damaged")
            objects.take(read_exactly(file, begin, raw_offset), fresh=bool(contents & _NEW_OBJECTS))
        if contents & _RAW_DATA:
            segments.append(
                objects.segment(
                    begin + raw_offset,
                    stop,
                    interleaved=bool(contents & _INTERLEAVED),
                    whole=next_offset != _UNFINISHED,
                )
            )
        offset = stop
    channels, dtype, _ = objects.table()
    return Tdms(
        version=version,
        properties=objects.properties,
        channels=channels,
        dtype=dtype,
        segments=tuple(segments),
    )


class _Objects:
    """The objects of a file, as the segments so far tell: their properties, and which have raw data."""

    def __init__(self) -> None:
        self.properties: dict[str, dict[str, Any]] = {}
        self._raw: dict[str, tuple[int, int]] = {}
        self._order: dict[str, None] = {}

    def take(self, metadata: bytes, *, fresh: bool) -> None:
        """Take in the metadata of one segment."""
        cursor = _Cursor(metadata)
        if fresh:
            self._order = {}
        for _ in range(cursor.number()):
            path = cursor.string()
            index = cursor.number()
            if index == _INDEX_SIZE:
                kind, dimension, count = cursor.numbers(_RAW_INDEX)
                if dimension != 1 or kind not in _NUMBERS:
                    found = f"raw data of type {kind:#x} in {dimension} dims"
                    raise FormatError(f"{path}: {found}, numbers in one are read; set the file aside")
                self._raw[path] = kind, count
            elif index != _NO_RAW_DATA and (index != _SAME_AS_BEFORE or path not in self._raw):
                raise FormatError(f"{path}: raw data of kind {index:#x} is not read; set the file aside")
            if index != _NO_RAW_DATA:
                self._order[path] = None
            properties = self.properties.setdefault(path, {})
            for _ in range(cursor.number()):
                name = cursor.string()
                properties[name] = cursor.value(cursor.number())

    def table(self) -> tuple[tuple[str, ...], np.dtype[Any], int]:
        """Return the channels with raw data, their type, and the values of each in a chunk."""
        if not self._order:
            raise FormatError("the file has no channel with raw data; set it aside")
        kinds = {self._raw[path] for path in self._order}
        if len(kinds) > 1:
            raise FormatError("the channels differ in type or length, so they make no table; set the file aside")
        ((kind, count),) = kinds
        return tuple(self._order), np.dtype(_NUMBERS[kind]), count

    def segment(self, offset: int, stop: int, *, interleaved: bool, whole: bool) -> Segment:
        """Return the segment whose raw data lies from `offset` to `stop`."""
        channels, dtype, count = self.table()
        rows, rest = divmod(stop - offset, len(channels) * dtype.itemsize)
        if rest and whole:
            found = f"{stop - offset} bytes of raw data"
            raise FormatError(f"{found} are no whole rows of {len(channels)} channels; the file is damaged")
        if count < 1:
            raise FormatError("a chunk of raw data without values; the file is damaged")
        if not interleaved and not whole:
            rows -= rows % count
        chunk = 1 if interleaved else count
        return Segment(offset=offset, rows=rows, chunk=chunk, channels=len(channels), dtype=dtype)


class _Cursor:
    """Metadata, taken value by value."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise self._cut()
        self._at += count
        return part

    def numbers(self, layout: struct.Struct) -> tuple[Any, ...]:
        """Return the next numbers."""
        try:
            found = layout.unpack_from(self._data, self._at)
        except struct.error:
            raise self._cut() from None
        self._at += layout.size
        return found

    def number(self) -> int:
        """Return the next integer."""
        found: int = self.numbers(_INTEGER)[0]
        return found

    def string(self) -> str:
        """Return the next text."""
        return self.bytes(self.numbers(_INTEGER)[0]).decode("utf-8", "replace")

    def _cut(self) -> FormatError:
        return FormatError(f"the metadata ends within a value at byte {self._at}; the file is damaged")

    def value(self, kind: int) -> Any:
        """Return the value of a property."""
        if kind == _STRING:
            return self.string()
        if kind == _BOOLEAN:
            return self.bytes(1) != b"\0"
        if kind == _TIME_STAMP:
            return _stamp(*self.numbers(_STAMP))
        if kind not in _NUMBERS:
            raise FormatError(f"a property of type {kind:#x}, no text, number or time; the file is damaged")
        dtype = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self.bytes(dtype.itemsize), dtype)[0].item()


def _stamp(fraction: int, seconds: int) -> str:
    """Return a time stamp (2⁻⁶⁴ s, and s since 1904 UTC) as ISO 8601 to the nearest nanosecond."""
    whole, nanoseconds = divmod((fraction * 10**9 + (1 << 63)) >> 64, 10**9)
    since = seconds + whole + _EPOCH
    if not -(1 << 40) < since < 1 << 40:
        raise FormatError(f"a time stamp of {seconds} s since 1904; the file is damaged")
    return f"{np.datetime64(since, 's')}.{nanoseconds:09d}"


def read_rows(file: BinaryIO, table: Tdms, rows: slice, channels: slice) -> NDArray[Any]:
    """Return samples, shape (rows, channels), in native byte order.

    Parameters
    ----------
    file, table
        The file, and what `open_tdms` says of it.
    rows, channels
        Half-open ranges inside the table.
    """
    out = np.empty((rows.stop - rows.start, channels.stop - channels.start), table.dtype.newbyteorder("="))
    first = 0
    for segment in table.segments:
        start, stop = max(rows.start, first), min(rows.stop, first + segment.rows)
        if start < stop and out.size:
            reader = _read_interleaved if segment.chunk == 1 else _read_by_channel
            part = out[start - rows.start : stop - rows.start]
            reader(file, segment, slice(start - first, stop - first), channels, part)
        first += segment.rows
    return out


def _read_interleaved(file: BinaryIO, segment: Segment, rows: slice, channels: slice, out: NDArray[Any]) -> None:
    """Fill `out` from rows that hold one sample of each channel."""
    offset = segment.offset + rows.start * segment.channels * segment.dtype.itemsize
    fill_rows(file, offset, channels, out, width=segment.channels, dtype=segment.dtype)


def _read_by_channel(file: BinaryIO, segment: Segment, rows: slice, channels: slice, out: NDArray[Any]) -> None:
    """Fill `out` from chunks that hold some samples of the first channel, then of the next."""
    size, count = segment.dtype.itemsize, segment.channels
    for chunk in range(rows.start - rows.start % segment.chunk, rows.stop, segment.chunk):
        length = min(segment.chunk, segment.rows - chunk)  # the last one may be shorter
        begin, end = max(rows.start - chunk, 0), min(rows.stop - chunk, length)
        for channel in range(channels.start, channels.stop):
            offset = segment.offset + (chunk * count + channel * length + begin) * size
            data = np.frombuffer(read_exactly(file, offset, (end - begin) * size), segment.dtype)
            out[chunk + begin - rows.start : chunk + end - rows.start, channel - channels.start] = data
