"""WAV of as many channels as there are, with the time in a `bext` chunk (Broadcast Wave).

References
----------
Microsoft and IBM, *Multimedia Programming Interface and Data Specifications 1.0*; EBU Tech 3285 (`bext`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from archive.export.recording import Recording

__all__ = ["write"]

_PCM, _FLOAT = 1, 3
_WIDER = {"i1": "i2", "u2": "i4", "u4": "i8", "u8": "i8", "f2": "f4"}  # what the format has for what it lacks
_DAY, _NANO = 86_400 * 10**9, 10**9  # ns
_LARGEST = (1 << 32) - (1 << 16)  # bytes of samples, so that the file's size fits 32 bits


def write(recording: Recording, path: Path) -> None:
    """Write one file.

    Raises
    ------
    InvalidInput
        The rate is no whole number, the first sample is none of those counted from midnight, or there are too
        many channels or bytes.
    """
    recording.no_scale()
    count, channels = recording.two_dims()
    rate = recording.rate()
    if rate.denominator != 1 or rate >= 1 << 32:
        raise recording.says(f"its rate is {float(rate)} Hz and the format has whole ones; write it as netcdf")
    kept = recording.patch.dtype.str[1:]
    dtype = np.dtype("<" + _WIDER.get(kept, kept))
    width = channels * dtype.itemsize
    if width >= 1 << 16 or channels >= 1 << 16 or width * count > _LARGEST:
        found = f"{channels} channels of {count} samples"
        raise recording.says(f"{found} are beyond 65535 bytes at once or 4 GB; select fewer, or chunk it")
    bext = _bext(recording, int(rate))
    code = _FLOAT if dtype.kind == "f" else _PCM
    form = struct.pack("<HHIIHH", code, channels, int(rate), int(rate) * width, width, dtype.itemsize * 8)
    chunks = _chunk(b"fmt ", form + (b"\0\0" if code == _FLOAT else b""))
    if code == _FLOAT:
        chunks += _chunk(b"fact", struct.pack("<I", count))
    chunks += _chunk(b"bext", bext)
    size = width * count
    with path.open("wb") as file:
        file.write(struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) + 8 + size + size % 2, b"WAVE"))
        file.write(chunks + struct.pack("<4sI", b"data", size))
        for _, samples in recording.blocks():
            file.write(np.ascontiguousarray(recording.numbers(samples, (dtype.str,))).tobytes())
        file.write(bytes(size % 2))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + bytes(len(body) % 2)


def _bext(recording: Recording, rate: int) -> bytes:
    """Return the chunk that says when the first sample was: the day, and the samples since its midnight."""
    start = recording.axis.first
    since, attrs = start % _DAY, recording.patch.attrs
    number = round(since * rate / _NANO)
    if abs(number * _NANO - since * rate) > rate:  # more than the nanosecond of rounding
        raise recording.says(
            f"it counts whole samples since midnight, and the first is at {recording.axis[0]}, between two; "
            "write it as netcdf, or start it on one"
        )
    clock = str(np.datetime64(start, "ns").astype("datetime64[s]"))
    names = (_text(attrs.get("data_type")), _text(attrs.get("instrument_id")), _text(attrs.get("acquisition_id")))
    fields = (*names, clock[:10].encode(), clock[11:].encode(), number)
    return struct.pack("<256s32s32s10s8sQ", *fields) + bytes(254)


def _text(value: Any) -> bytes:
    return str(value or "").encode("ascii", "replace")
