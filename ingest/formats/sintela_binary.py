"""Sintela's binary recordings, version 3: packets of a fixed header and 32-bit floats, time first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats.edge import at_edge, read_exactly, remembered, size_of
from ingest.formats.fields import attrs_from, plain, ranges_of
from ingest.formats.rows import Rows, read_rows
from ingest.formats.sintela import Packet, coords_of, runs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_SYNC_WORD = 0x11223344
_BASE = np.dtype([("sync_word", "<u4"), ("header_size", "<u4"), ("version", "<u4")])
_HEADER = np.dtype(
    [
        ("sync_word", "<u4"),
        ("header_size", "<u4"),
        ("version", "<u4"),
        ("sample_count", "<u8"),
        ("start_time_ns", "<u8"),
        ("num_channels", "<u4"),
        ("num_samples", "<u4"),
        ("sample_rate", "<f4"),
        ("channel_spacing", "<f4"),
        ("gauge_length", "<f4"),
        ("trigger", "<u4"),
        ("start_channel", "<u4"),
        ("channel_step", "<u4"),
        ("gps_pps_time", "<u4"),
        ("gps_pps_sample_offset", "<i4"),
        ("gps_status", "<u4"),
        ("trigger_flags", "u1"),
        ("status_flags", "u1"),
        ("axial_counter_states", "u1"),
        ("trigger_type", "u1"),
        ("data_type", "u1"),
        ("demod_data_type", "u1"),
        ("unused", "<u2"),
        ("trigger_offsets", "<u2", (8,)),
    ]
)
_VERSION = "3"
_SAMPLE = np.dtype("<f4")
_COUNTS = 1 << 64
_TYPES = {  # data_type, data_units
    0: ("phase", "rad"),
    1: ("phase_difference", "rad"),
    2: ("phase_rate", "rad/s"),
    3: ("strain", "microstrain"),
    4: ("strain_rate", "microstrain/s"),
}


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version of the header if the file begins with one, else `None`."""
    file.seek(0)
    head = file.read(_BASE.itemsize)
    if len(head) < _BASE.itemsize:
        return None
    base = np.frombuffer(head, _BASE)[0]
    if base["sync_word"] != _SYNC_WORD or not _BASE.itemsize < base["header_size"] <= 1 << 16:
        return None
    return str(base["version"])


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return one block for each run of packets that follow each other; the headers of all are read."""
    packets, header = remembered(file, _packets_of)
    data_type, units = _TYPES.get(header["data_type"], (None, None))
    attrs = attrs_from(
        {
            "data_category": "DAS",
            "data_type": data_type,
            "data_units": units,
            "gauge_length": float(header["gauge_length"]) or None,
        }
    )
    blocks = tuple(
        Block(dims=("time", "distance"), coords=coords_of(run), dtype=_SAMPLE.newbyteorder("="), attrs=attrs)
        for run in runs_of(packets, _COUNTS)
    )
    return Description(format="sintela_binary", version=_VERSION, blocks=blocks, header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples of one run, time first as in the file."""
    runs = runs_of(remembered(file, _packets_of)[0], _COUNTS)
    if not 0 <= block < len(runs):
        raise InvalidInput(f"block {block}: the file holds {len(runs)}, counted from 0")
    rows, width = [packet.rows for packet in runs[block]], runs[block][0].channels
    time, distance = ranges_of(window, (sum(part.count for part in rows), width))
    return read_rows(file, rows, time, distance, width=width, dtype=_SAMPLE)


def _packets_of(file: BinaryIO) -> tuple[list[Packet], dict[str, Any]]:
    """Return the packets of a file, and the first one's header."""
    end, offset = size_of(file), 0
    packets: list[Packet] = []
    first: dict[str, Any] = {}
    while offset < end:
        head = np.frombuffer(read_exactly(file, offset, _HEADER.itemsize), _HEADER)[0]
        said = {name: plain(head[name]) for name in _HEADER.names or ()}
        if (said["sync_word"], said["header_size"], str(said["version"])) != (_SYNC_WORD, _HEADER.itemsize, _VERSION):
            raise FormatError(f"byte {offset}: no header of a packet, version 3; the file is damaged, set it aside")
        first = first or said
        start = offset + _HEADER.itemsize
        size = said["num_channels"] * said["num_samples"] * _SAMPLE.itemsize
        if not size:
            raise FormatError(f"byte {offset}: a packet without samples; the file is damaged, set it aside")
        if start + size > end:
            raise FormatError(f"a packet ends at byte {start + size}, the file at {end}; it is cut, fetch it again")
        packets.append(
            Packet(
                time=said["start_time_ns"],
                count=said["sample_count"],
                rows=Rows(start, said["num_samples"]),
                rate=said["sample_rate"],
                channels=said["num_channels"],
                spacing=said["channel_spacing"],
                first=said["start_channel"],
                stride=said["channel_step"],
            )
        )
        offset = start + size
    return packets, first
