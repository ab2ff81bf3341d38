"""Sintela's protobuf recordings: packets of a tag, a length and a message, `META` first.

Time series (`TS05`) are read; spectra (`FFT`) and band energies (`BAND`) are named and refused. Each packet
says its own time and count, and its samples lie in it as packed 32-bit floats, time first. The field numbers
are those found in a recording (checked against its lengths and times) and published with DASCore's reader.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats import wire
from ingest.formats.edge import at_edge, read_exactly, remembered, size_of
from ingest.formats.fields import attrs_from, ranges_of
from ingest.formats.rows import Rows, read_rows
from ingest.formats.sintela import Packet, coords_of, runs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_MAGIC = b"PBUF"
_HEAD = struct.Struct("<4s4sI")  # magic, tag, length of the message
_META, _SERIES = "META", "TS05"
_TAGS = frozenset({_SERIES, "BAND", "FFT", "FFT-", "RF01"})
_FIRST_FEW = 64  # packets, among which the first with data comes
_MOST_META = 16 << 20
_SAMPLE = np.dtype("<f4")
_COUNTS = 1 << 32
_NANO = 10**9
_TYPES = {  # data_type, data_units
    0: ("phase", "rad"),
    1: ("phase", "rad"),
    2: ("phase_difference", "rad"),
    3: ("phase_rate", "rad/s"),
    4: ("strain", "microstrain"),
    5: ("strain_rate", "microstrain/s"),
}


class _Envelope(NamedTuple):
    """One packet: its tag, and where its message lies."""

    tag: str
    start: int
    stop: int


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the tag of the first packet with data, if the file is made of Sintela's packets, else `None`."""
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        return None
    for number, envelope in enumerate(_envelopes(file)):
        if envelope.tag in _TAGS:
            return envelope.tag
        if number >= _FIRST_FEW:
            break
    return None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return one block for each run of packets that follow each other; the headers of all are read."""
    packets, meta, common = remembered(file, _packets_of)
    data_type, units = _TYPES.get(common["timeseries_data_type"], (None, None))
    attrs = attrs_from(
        {
            "data_category": "DAS",
            "data_type": data_type,
            "data_units": units,
            "gauge_length": common["gauge_length"] or None,
            "instrument_id": meta.get("serial_number"),
            "manufacturer": meta.get("manufacturer"),
            "model": meta.get("model"),
        }
    )
    blocks = tuple(
        Block(dims=("time", "distance"), coords=coords_of(run), dtype=_SAMPLE.newbyteorder("="), attrs=attrs)
        for run in runs_of(packets, _COUNTS)
    )
    header = {"META": meta, "TS05": common}
    return Description(format="sintela_protobuf", version=_SERIES, blocks=blocks, header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples of one run, time first as in the file."""
    runs = runs_of(remembered(file, _packets_of)[0], _COUNTS)
    if not 0 <= block < len(runs):
        raise InvalidInput(f"block {block}: the file holds {len(runs)}, counted from 0")
    rows, width = [packet.rows for packet in runs[block]], runs[block][0].channels
    time, distance = ranges_of(window, (sum(part.count for part in rows), width))
    return read_rows(file, rows, time, distance, width=width, dtype=_SAMPLE)


def _envelopes(file: BinaryIO) -> Iterator[_Envelope]:
    """Yield the packets of a file in order, unread."""
    end, offset = size_of(file), 0
    while offset < end:
        magic, tag, length = _HEAD.unpack(read_exactly(file, offset, _HEAD.size))
        start = offset + _HEAD.size
        if magic != _MAGIC:
            raise FormatError(f"byte {offset}: no packet begins here; the file is damaged, set it aside")
        if start + length > end:
            raise FormatError(f"a packet ends at byte {start + length}, the file at {end}; it is cut, fetch it again")
        yield _Envelope(tag.rstrip(b"\0").decode("latin-1"), start, start + length)
        offset = start + length


def _packets_of(file: BinaryIO) -> tuple[list[Packet], dict[str, Any], dict[str, Any]]:
    """Return the packets with samples, what META says, and the first packet's header."""
    packets: list[Packet] = []
    meta: dict[str, Any] = {}
    common: dict[str, Any] = {}
    for envelope in _envelopes(file):
        if envelope.tag == _META:
            meta = meta or _meta(file, envelope)
        elif envelope.tag == _SERIES:
            packet, said = _packet(file, envelope)
            common = common or said
            if _kind(said) != _kind(common):
                raise FormatError(f"byte {envelope.start}: a packet of other data than the first; set the file aside")
            packets.append(packet)
        elif envelope.tag in _TAGS:
            raise FormatError(f"byte {envelope.start}: packets {envelope.tag} are not read, only {_SERIES}")
    if not packets:
        raise FormatError(f"no packet {_SERIES}, and only those are read; set the file aside")
    return packets, meta, common


def _kind(said: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(said[name] for name in ("timeseries_data_type", "demod_data_type", "gauge_length"))


def _packet(file: BinaryIO, envelope: _Envelope) -> tuple[Packet, dict[str, Any]]:
    fields = {field.number: field for field in wire.fields_in(file, envelope.start, envelope.stop)}
    header = wire.message(file, fields.get(1))
    common = wire.message(file, header.get(1))
    time = wire.message(file, common.get(1))
    rows, channels = wire.integer(header, 3), wire.integer(common, 2)
    samples = fields.get(3)
    size = 0 if samples is None or samples.kind != wire.BYTES else samples.stop - samples.start
    if samples is None or rows < 1 or channels < 1 or size != rows * channels * _SAMPLE.itemsize:
        raise FormatError(
            f"byte {envelope.start}: {size} bytes of packed floats for {rows} samples of {channels} channels; "
            "nothing else is read, set the file aside"
        )
    said: dict[str, Any] = {
        "sample_count": wire.integer(header, 2),
        "channel_step": wire.integer(header, 4),
        "sample_rate": wire.single(file, common, 3),
        "channel_spacing": wire.single(file, common, 4),
        "gauge_length": wire.single(file, common, 5),
        "start_channel": wire.integer(common, 6),
        "fiber_flipped": bool(wire.integer(common, 8)),
        "loop_removed": bool(wire.integer(common, 9)),
        "has_dropped_samples": bool(wire.integer(common, 10)),
        "timeseries_data_type": wire.integer(common, 11),
        "demod_data_type": wire.integer(common, 12),
    }
    packet = Packet(
        time=wire.integer(time, 1) * _NANO + wire.integer(time, 2),
        count=said["sample_count"],
        rows=Rows(samples.start, rows),
        rate=said["sample_rate"],
        channels=channels,
        spacing=said["channel_spacing"],
        first=said["start_channel"],
        stride=said["channel_step"] or 1,
    )
    return packet, said


def _meta(file: BinaryIO, envelope: _Envelope) -> dict[str, Any]:
    """Return what identifies the instrument, and the whole message as hexadecimal digits."""
    if envelope.stop - envelope.start > _MOST_META:
        raise FormatError(f"byte {envelope.start}: more than {_MOST_META} bytes of metadata; the file is damaged")
    fields: dict[int, wire.Field] = {}
    for field in wire.fields_in(file, envelope.start, envelope.stop):
        fields.setdefault(field.number, field)
    names = {1: "manufacturer", 2: "system_type", 3: "model", 4: "serial_number"}
    identification = wire.message(file, fields.get(3))
    return {
        "recorder_namespace": wire.text_in(file, fields, 1),
        **{name: wire.text_in(file, identification, number) for number, name in names.items()},
        "message": read_exactly(file, envelope.start, envelope.stop - envelope.start).hex(),
    }
