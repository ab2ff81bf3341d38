"""What Sintela's two formats have in common: packets of samples, each with its own time and count."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from archive.coords import TimeAxis, simplest_ratio
from archive.errors import FormatError
from ingest.formats.fields import distance_coord, recorded_times, steady_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive.coords import Coord
    from ingest.formats.rows import Rows

__all__ = ["Packet", "coords_of", "runs_of"]

_MICROSECOND = 1000  # ns
_NANO = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """Rows of samples, and what their header says.

    Parameters
    ----------
    time
        Of the first sample, ns since 1970.
    count
        Number of the first sample, as the instrument counts.
    rows
        Where the samples lie, and how many of each channel.
    rate
        Samples a second.
    channels
        Number of channels.
    spacing, first, stride
        Metres between two of the instrument's channels, the first of them here, and how many further the next.
    """

    time: int
    count: int
    rows: Rows
    rate: float
    channels: int
    spacing: float
    first: int
    stride: int


def runs_of(packets: Sequence[Packet], modulus: int) -> list[list[Packet]]:
    """Return the packets in runs that continue each other, by count and within half a step by time.

    Parameters
    ----------
    modulus
        Where the instrument's count begins anew.

    Raises
    ------
    FormatError
        There are none, they differ in rate or channels, or their numbers make no sense.
    """
    if not packets:
        raise FormatError("the file holds no samples; set it aside")
    head = packets[0]
    alike = {(p.rate, p.channels, p.spacing, p.first, p.stride) for p in packets}
    if len(alike) > 1:
        raise FormatError("the packets differ in rate or channels; they make no one array, set the file aside")
    if not 0 < head.rate <= _NANO or head.channels < 1 or head.stride < 1:
        found = f"{head.channels} channels, every {head.stride}, at {head.rate} Hz"
        raise FormatError(f"{found}: no samples of a recording; set the file aside")
    step = Fraction(_NANO) / Fraction(head.rate)
    runs = [[head]]
    for packet in packets[1:]:
        last = runs[-1][-1]
        late = packet.time - last.time - last.rows.count * step
        follows = (last.count + last.rows.count - packet.count) % modulus == 0
        if follows and abs(late) <= step / 2:
            runs[-1].append(packet)
        else:
            runs.append([packet])
    return runs


def coords_of(run: Sequence[Packet]) -> dict[str, Coord]:
    """Return the coordinates of a run: one line of time if the packets keep it, else what each packet says."""
    head, size = run[0], sum(packet.rows.count for packet in run)
    time = steady_time(head.time, head.rate, size)
    starts = np.cumsum([0, *(packet.rows.count for packet in run)])[:-1]
    said = np.array([packet.time for packet in run], dtype=np.int64)
    times = {"time": time}
    line = TimeAxis.from_rate(head.time, head.rate, size).take(starts)
    if np.abs(line - said).max() > _MICROSECOND:
        step = float(simplest_ratio(Fraction(_NANO) / Fraction(head.rate)))
        offsets = [np.rint(np.arange(packet.rows.count) * step).astype(np.int64) for packet in run]
        times = recorded_times(np.concatenate([p.time + part for p, part in zip(run, offsets, strict=True)]))
    step_m = float(head.spacing) * head.stride
    start = float(head.spacing) * head.first
    return times | {"distance": distance_coord(start=start, step=step_m, size=head.channels)}
