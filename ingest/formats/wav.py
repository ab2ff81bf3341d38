"""WAV: one file of many channels, or several of one channel each that begin together.

The time is that of the `bext` chunk (Broadcast Wave), to the sample, else that of the name of the file or of
its folder. A file that tells none is refused: a time made up would put one recording on top of another.
Numbers are returned as they are, 24-bit ones as 32-bit integers of the same value.

References
----------
Microsoft and IBM, *Multimedia Programming Interface and Data Specifications 1.0* (RIFF, WAVE);
Microsoft, *WAVEFORMATEXTENSIBLE*; EBU Tech 3285 (`bext`); ITU-R BS.2088 (RF64, `ds64`).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, Explicit, Linear
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats.bundle import parts_of
from ingest.formats.edge import at_edge, name_of, read_exactly, size_of
from ingest.formats.fields import attrs_from, plain, ranges_of, steady_time, time_of
from ingest.formats.file_names import label_of, time_from_name
from ingest.formats.rows import Rows, from_three_bytes, read_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_VERSION = "1"  # files name none
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")  # code, channels, rate, bytes a second, bytes of all channels, bits
_BEXT = struct.Struct("<256s32s32s10s8sQ")  # description, originator, reference, date, time, samples since midnight
_BEXT_NAMES = ("description", "originator", "originator_reference", "origination_date", "origination_time")
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_TYPES = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "V3",
    (_PCM, 32): "<i4",
    (_PCM, 64): "<i8",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}
_THREE_BYTES = np.dtype("V3")
_LARGE = 0xFFFFFFFF  # the size stands in ds64
_MOST_CHUNK = 1 << 20
_MOST_CHUNKS = 4096
_DISTANCE = re.compile(r"distance_(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)", re.IGNORECASE)
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wave:
    """One file: its samples, rows of all channels, and what its chunks say."""

    file: BinaryIO
    dtype: np.dtype[Any]
    channels: int
    rate: int
    rows: Rows
    start: int
    header: dict[str, Any]

    @property
    def kind(self) -> tuple[int, int, int, str]:
        """What waves have in common that make one block."""
        return self.start, self.rate, self.rows.count, self.dtype.str


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version if the file begins as WAV files do, else `None`."""
    head = _beginning(parts_of(file)[0])
    return _VERSION if head[:4] in {b"RIFF", b"RF64", b"BW64"} and head[8:12] == b"WAVE" else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return one block for the files that begin together, samples unread."""
    blocks = _blocks_of(file)
    header = {name_of(wave.file).rpartition("/")[2]: wave.header for waves in blocks for wave in waves}
    return Description(format="wav", version=_VERSION, blocks=tuple(map(_block, blocks)), header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first, the channels of one file after those of the other."""
    blocks = _blocks_of(file)
    if not 0 <= block < len(blocks):
        raise InvalidInput(f"block {block}: the file holds {len(blocks)}, counted from 0")
    waves = blocks[block]
    time, channels = ranges_of(window, (waves[0].rows.count, sum(wave.channels for wave in waves)))
    parts, first = [], 0
    for wave in waves:
        begin, end = max(channels.start - first, 0), min(channels.stop - first, wave.channels)
        part = slice(begin, max(begin, end))
        if part.start < part.stop:
            found = read_rows(wave.file, [wave.rows], time, part, width=wave.channels, dtype=wave.dtype)
            parts.append(from_three_bytes(found, "<") if wave.dtype == _THREE_BYTES else found)
        first += wave.channels
    empty = np.empty((time.stop - time.start, 0), _native(waves[0].dtype))
    return np.concatenate([empty, *parts], axis=1)


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.int32) if dtype == _THREE_BYTES else dtype.newbyteorder("=")


def _blocks_of(file: BinaryIO) -> list[list[_Wave]]:
    """Return the waves that make each block, in order of time, channels in order of their distance or name."""
    groups: dict[tuple[int, int, int, str], list[_Wave]] = {}
    for part in parts_of(file):
        wave = _wave_of(part)
        groups.setdefault(wave.kind, []).append(wave)
    return [sorted(groups[kind], key=_place) for kind in sorted(groups)]


def _place(wave: _Wave) -> tuple[Any, ...]:
    label = label_of(wave.file)
    if match := _DISTANCE.search(label):
        return (0, float(match[1]), ())
    return (1, 0.0, tuple((int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(label)))


def _block(waves: list[_Wave]) -> Block:
    head = waves[0]
    size = sum(wave.channels for wave in waves)
    places = [_DISTANCE.search(label_of(wave.file)) for wave in waves]
    if all(places) and size == len(waves):
        values = np.array([float(place[1]) for place in places if place])
        across = Coord(dims=("distance",), values=Explicit(values), units="m")
    else:
        across = Coord(dims=("channel",), values=Linear(start=0, step=1, size=size))
    (dim,) = across.dims
    coords = {"time": steady_time(head.start, head.rate, head.rows.count), dim: across}
    if size == len(waves):  # the channels have names: those of their files
        names = np.array([label_of(wave.file) for wave in waves])
        coords["channel_name"] = Coord(dims=(dim,), values=Explicit(names))
    said = head.header.get("bext", {})
    attrs = attrs_from({"instrument_id": said.get("originator"), "acquisition_id": said.get("originator_reference")})
    return Block(dims=("time", dim), coords=coords, dtype=_native(head.dtype), attrs=attrs)


def _beginning(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(12)


def _wave_of(file: BinaryIO) -> _Wave:
    chunks = _chunks_of(file)
    if "fmt " not in chunks or "data" not in chunks:
        raise FormatError(f"{name_of(file)}: no chunk 'fmt ' or 'data'; the file is damaged, set it aside")
    found = _chunk(file, chunks["fmt "])
    code, channels, rate, _, frame, bits = _FORMAT.unpack_from(found)
    if code == _EXTENSIBLE:
        (code,) = struct.unpack_from("<H", found, _FORMAT.size + 8)  # begins the sub-format
    dtype = np.dtype(_TYPES.get((code, bits), "V0"))
    if not dtype.itemsize or not channels or not rate or frame != channels * dtype.itemsize:
        what = f"{channels} channels of {bits} bits, {frame} bytes together, coded as {code} at {rate} Hz"
        raise FormatError(f"{name_of(file)}: {what}; only plain integers and floats are read, set the file aside")
    offset, size = chunks["data"]
    header: dict[str, Any] = {"code": code, "channels": channels, "rate": rate, "bits": bits}
    if "bext" in chunks:
        header["bext"] = _bext(_chunk(file, chunks["bext"]))
    return _Wave(
        file=file,
        dtype=dtype,
        channels=channels,
        rate=rate,
        rows=Rows(offset, size // frame),
        start=_start_of(file, header),
        header=header | {name: _chunk(file, chunks[name]).hex() for name in ("LIST", "iXML") if name in chunks},
    )


def _bext(data: bytes) -> dict[str, Any]:
    *texts, samples = _BEXT.unpack_from(data)
    said = {name: plain(part.split(b"\0")[0]).strip() for name, part in zip(_BEXT_NAMES, texts, strict=True)}
    return {**said, "time_reference": samples}


def _start_of(file: BinaryIO, header: dict[str, Any]) -> int:
    """Return the time of the first sample, ns: `bext` says the day, and the samples since midnight."""
    said = header.get("bext")
    if said is not None:
        day = said["origination_date"].replace(":", "-").replace("_", "-").replace(".", "-")
        begin = time_of(f"{day}T00:00:00")
        if begin is not None:
            return begin + round(Fraction(said["time_reference"] * 10**9, header["rate"]))
    return time_from_name(file, folder=True)


def _chunk(file: BinaryIO, place: tuple[int, int]) -> bytes:
    offset, size = place
    return read_exactly(file, offset, min(size, _MOST_CHUNK))


def _chunks_of(file: BinaryIO) -> dict[str, tuple[int, int]]:
    """Return where each chunk lies: its first byte, and how many."""
    head = _beginning(file)
    end, offset = size_of(file), len(head)
    if len(head) < offset or head[8:] != b"WAVE" or head[:4] not in {b"RIFF", b"RF64", b"BW64"}:
        raise FormatError(f"{name_of(file)}: does not begin as WAV files do; set it aside")
    (said,) = struct.unpack_from("<I", head, 4)
    chunks: dict[str, tuple[int, int]] = {}
    large = b""
    for _ in range(_MOST_CHUNKS):
        if offset + _CHUNK.size > end:
            break
        tag, size = _CHUNK.unpack(read_exactly(file, offset, _CHUNK.size))
        offset += _CHUNK.size
        if tag == b"ds64":
            large = read_exactly(file, offset, min(size, 16))
        elif tag == b"data" and size == _LARGE and len(large) >= 16:  # noqa: PLR2004 - sizes of the file, of the data
            (size,) = struct.unpack_from("<Q", large, 8)
        if offset + size > end:
            raise FormatError(f"{name_of(file)}: a chunk ends at byte {offset + size}, the file at {end}; it is cut")
        chunks.setdefault(tag.decode("latin-1"), (offset, size))
        offset += size + size % 2
    whole = struct.unpack_from("<Q", large)[0] if said == _LARGE and len(large) >= 8 else said  # noqa: PLR2004
    if whole + 8 > end:
        raise FormatError(f"{name_of(file)}: ends at byte {end}, not {whole + 8}; it is cut, fetch it again")
    return chunks
