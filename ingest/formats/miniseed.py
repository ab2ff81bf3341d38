"""miniSEED, versions 2 and 3: records of single channels, brought together into arrays of all channels.

A channel's records that follow each other make a stretch. Where the same channels run together there is one
block; where one begins or ends, a new block begins, so that nothing has to be filled in. Channels belong
together if their rates are equal and their samples fall on the same instants within 1 µs. To describe a
file, only the headers of its records are read; libmseed (through pymseed) reads headers and samples.

References
----------
FDSN, *SEED Reference Manual v2.4*, appendix G (miniSEED); FDSN, *miniSEED 3*; FDSN, *Source Identifiers*:
source S is linear strain, and its subsource F that along a fibre.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from archive.coords import Coord, Explicit, Linear, simplest_ratio
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats.bundle import parts_of
from ingest.formats.edge import at_edge, library, name_of, read_exactly, remembered
from ingest.formats.fields import attrs_from, ranges_of, steady_time
from ingest.formats.seed_records import Record, records_of, version_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_MICROSECOND = 1000  # ns
_NANO = 10**9
_TYPES = {1: "i4", 3: "i4", 4: "f4", 5: "f8", 10: "i4", 11: "i4"}  # of encodings
_SOURCE = re.compile(r"FDSN:([^_]*)_([^_]*)_([^_]*)_([^_]*)_([^_]*)_([^_]*)")


class _Held(NamedTuple):
    """A record, the number of the file that it lies in, and of its first sample in its stretch."""

    part: int
    record: Record
    first: int


@dataclass(slots=True)
class _Stretch:
    """Records of one channel that follow each other."""

    source: str
    start: int
    step: Fraction
    dtype: str
    records: list[_Held]
    size: int = 0

    def late(self, start: int) -> float:
        """Return how many half steps a record that starts at `start` (ns) comes after the end of this."""
        whole = (start - self.start) * self.step.denominator - self.size * self.step.numerator
        return 2 * whole / self.step.numerator


class _Cut(NamedTuple):
    """A part of a stretch that lies in a block: from which of its samples on."""

    stretch: _Stretch
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Array:
    """A block: the channels' stretches, cut to what they have in common."""

    start: int
    step: Fraction
    size: int
    dtype: str
    cuts: tuple[_Cut, ...]


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the version of the first record, `None` if the file does not begin with one."""
    return version_of(parts_of(file)[0])


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return one block for each time in which the same channels run."""
    arrays = remembered(file, _arrays_of)
    parts = parts_of(file)
    counts: dict[str, int] = defaultdict(int)
    for array in arrays:
        for cut in array.cuts:
            counts[cut.stretch.source] += array.size
    sources = [cut.stretch for array in arrays for cut in array.cuts]
    encodings = {stretch.source: stretch.records[0].record.encoding for stretch in sources}
    header = {
        "files": [name_of(part).rpartition("/")[2] for part in parts],
        "samples": dict(counts),
        "encodings": encodings,
    }
    return Description(
        format="miniseed", version=version_of(parts[0]) or "", blocks=tuple(map(_block, arrays)), header=header
    )


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first, one column for each channel."""
    arrays = remembered(file, _arrays_of)
    if not 0 <= block < len(arrays):
        raise InvalidInput(f"block {block}: the file holds {len(arrays)}, counted from 0")
    array = arrays[block]
    time, channels = ranges_of(window, (array.size, len(array.cuts)))
    out = np.empty((time.stop - time.start, channels.stop - channels.start), array.dtype)
    parts = parts_of(file)
    for column, cut in enumerate(array.cuts[channels]):
        if len(out):
            _fill(parts, cut, time, out[:, column])
    return out


def _fill(parts: Sequence[BinaryIO], cut: _Cut, time: slice, out: NDArray[Any]) -> None:
    """Fill `out` with the samples of one channel."""
    pymseed = library("pymseed", "miniSEED")
    begin, end = cut.first + time.start, cut.first + time.stop
    records = cut.stretch.records
    for held in records[max(bisect_right(records, begin, key=_first) - 1, 0) : bisect_left(records, end, key=_first)]:
        first, record, part = held.first, held.record, parts[held.part]
        start, stop = max(begin, first), min(end, first + record.samples)
        data = read_exactly(part, record.offset, record.size)
        found = pymseed.MS3Record.parse(data, unpack_data=True).np_datasamples
        if len(found) != record.samples or found.dtype != out.dtype:
            said = f"{record.samples} samples of {out.dtype} said, {len(found)} of {found.dtype} found"
            raise FormatError(f"{name_of(part)}: byte {record.offset}: {said}; the record is damaged")
        out[start - begin : stop - begin] = found[start - first : stop - first]


def _first(held: _Held) -> int:
    return held.first


def _arrays_of(file: BinaryIO) -> list[_Array]:
    """Return the blocks of a file in order of time."""
    groups: dict[tuple[Fraction, int, str], list[_Stretch]] = defaultdict(list)
    for stretch in _stretches(parts_of(file)):
        phase = stretch.start % stretch.step
        alike = next((key for key in groups if _same_instants(key, (stretch.step, phase, stretch.dtype))), None)
        groups[alike or (stretch.step, int(phase), stretch.dtype)].append(stretch)
    arrays = [array for stretches in groups.values() for array in _cut(stretches)]
    if not arrays:
        raise FormatError("the file holds no samples; set it aside")
    return sorted(arrays, key=lambda array: (array.start, array.step, array.cuts[0].stretch.source))


def _same_instants(one: tuple[Fraction, int, str], other: tuple[Fraction, Fraction, str]) -> bool:
    step, dtype = one[0], one[2]
    apart = abs(one[1] - other[1]) % step
    return (step, dtype) == (other[0], other[2]) and min(apart, step - apart) <= _MICROSECOND


def _stretches(parts: Sequence[BinaryIO]) -> list[_Stretch]:
    """Return the stretches of all channels, those of each in order of time."""
    channels: dict[str, list[tuple[int, Record]]] = defaultdict(list)
    for number, part in enumerate(parts):
        for record in records_of(part):
            if record.samples:
                channels[record.source].append((number, record))
    stretches: list[_Stretch] = []
    for source, held in sorted(channels.items()):
        last: _Stretch | None = None
        for number, record in sorted(held, key=lambda one: one[1].start):
            part = parts[number]
            step, dtype = _step_of(part, record), _type_of(part, record)
            late = 0 if last is None else last.late(record.start)
            if last is None or abs(late) > 1 or step != last.step or dtype != last.dtype:
                if late < -1:
                    at = f"{source} at {np.datetime64(record.start, 'ns')}"
                    raise FormatError(f"{name_of(part)}: {at} comes twice; ingest the copies apart")
                last = _Stretch(source, record.start, step, dtype, [])
                stretches.append(last)
            last.records.append(_Held(number, record, last.size))
            last.size += record.samples
    return stretches


def _step_of(part: BinaryIO, record: Record) -> Fraction:
    if not 0 < record.rate <= _NANO:
        raise FormatError(f"{name_of(part)}: byte {record.offset}: {record.rate} Hz; set the file aside")
    return _ratio(record.rate)


@lru_cache(maxsize=64)
def _ratio(rate: float) -> Fraction:
    return simplest_ratio(_NANO / Fraction(rate))


def _type_of(part: BinaryIO, record: Record) -> str:
    dtype = _TYPES.get(record.encoding)
    if dtype is None:
        found = f"samples of encoding {record.encoding}"
        raise FormatError(f"{name_of(part)}: byte {record.offset}: {found} are not read; set the file aside")
    return dtype


def _cut(stretches: list[_Stretch]) -> list[_Array]:
    """Return blocks of the same channels, of stretches on the same instants."""
    head = min(stretches, key=lambda stretch: stretch.start)
    spans = [(round((stretch.start - head.start) / stretch.step), stretch) for stretch in stretches]
    lines = sorted({line for begin, stretch in spans for line in (begin, begin + stretch.size)})
    running: list[tuple[int, int, tuple[_Cut, ...]]] = []
    spans.sort(key=lambda span: span[0])
    active: list[tuple[int, _Stretch]] = []
    waiting = iter([*spans, None])
    following = next(waiting)
    for begin, end in pairwise(lines):
        active = [(first, stretch) for first, stretch in active if first + stretch.size > begin]
        while following is not None and following[0] <= begin:
            active.append(following)
            following = next(waiting)
        cuts = sorted((_Cut(stretch, begin - first) for first, stretch in active), key=lambda cut: cut.stretch.source)
        if cuts:
            running.append((begin, end, tuple(cuts)))
    return [
        _Array(
            start=cuts[0].stretch.start + round(cuts[0].first * head.step),
            step=head.step,
            size=end - begin,
            dtype=head.dtype,
            cuts=cuts,
        )
        for begin, end, cuts in running
    ]


def _block(array: _Array) -> Block:
    sources = [cut.stretch.source for cut in array.cuts]
    codes = [match.groups() for source in sources if (match := _SOURCE.fullmatch(source))]
    shared: dict[str, str | None] = {}
    for number, name in enumerate(("network", "station", "location")):
        values = {code[number] for code in codes}
        shared[name] = values.pop() if len(values) == 1 and len(codes) == len(sources) else None
    strain = bool(codes) and all(code[4:] == ("S", "F") for code in codes)
    size = len(sources)
    return Block(
        dims=("time", "channel"),
        coords={
            "time": steady_time(array.start, float(_NANO / array.step), array.size),
            "channel": Coord(dims=("channel",), values=Linear(start=0, step=1, size=size)),
            "source_id": Coord(dims=("channel",), values=Explicit(np.array(sources))),
        },
        dtype=np.dtype(array.dtype),
        attrs=attrs_from({"data_category": "DAS" if strain else None, **shared}),
    )
