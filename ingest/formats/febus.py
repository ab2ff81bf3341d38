"""Febus A1, versions 1 and 2: HDF5 with blocks that overlap, (block, time, channel), for each zone of a fibre.

A block is longer than the time from one block to the next; of what it has too much, half is cut off at its start
and half at its end, the odd sample at the end, as the vendor's own reader does. The stamp of a block and `Origin`
(ms) tell the time of its first sample. Blocks that follow one another within a step and a half are one block here;
where some are missing another begins.

The header does not always say what it means: a rate of blocks is in mHz, the pulse rate too, a time step in ms, and
the `SamplingRate` of files without `Version` is that of the samples unless it is that of the digitizer (> 100 MHz).

The sample file `febus_2.h5` holds a spectrum, by its name (`PSD [dB re 1 nStrain|sqrt(Hz)]`), its `DataDomain` and
its values of about -39 dB; its `Spacing` would then be 0.95 Hz, not 0.95 ms. DASCore reads 1050 of its 3001 bins as
strain rate. Its samples, times and distances are read here as there, but `data_type` and `data_units` say what the
name says.

References
----------
O. Coutant (ISTerre), `core_febus_file`; DASCore's notes on its issues 525, 587 and 589.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, TimeAxis, simplest_ratio
from archive.errors import FormatError, InvalidInput
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    distance_coord,
    float_of,
    in_units,
    nanoseconds,
    number,
    ranges_of,
    term,
    text,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_MARKS = {"AmpliPower", "Hostname", "SamplingRate", "WholeExtent"}
_OF_SAMPLES = 1e8  # Hz; a higher rate is the digitizer's
_LOOSE = Fraction(3, 2)  # steps that a block may come too early or too late
_QUANTITIES = {"StrainRate": ("strain_rate", "nanostrain/s"), "Strain": ("strain", "nanostrain")}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NANO = 10**9
_MICROSECOND = 1000  # ns
_LAST = 1 << 62  # ns
_FARTHEST = 1e9  # ms from a stamp to its block


@dataclass(frozen=True, slots=True, kw_only=True)
class _Zone:
    """One zone of a fibre, its samples unread; `kept` are the rows of a block that no other block repeats."""

    name: str
    said: dict[str, Any]
    data: Any
    kept: slice
    starts: NDArray[np.int64]
    step: Fraction

    @property
    def rows(self) -> int:
        """Samples that a block adds."""
        return int(self.kept.stop - self.kept.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Blocks of a zone that follow one another without a gap."""

    zone: _Zone
    blocks: slice

    @property
    def starts(self) -> NDArray[np.int64]:
        """Times of the blocks' first samples, ns."""
        return self.zone.starts[self.blocks]

    @property
    def shape(self) -> tuple[int, int]:
        """Samples, channels."""
        return len(self.starts) * self.zone.rows, self.zone.data.shape[2]


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the major version if this is a file of a Febus A1, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        sources = [source for _, source in _sources(root, file)]
        if not sources or not all(_MARKS.issubset(source.attrs) for source in sources):
            return None
        return _version_of(sources[0])


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return a block for each run of each zone; the stamps of blocks are read, samples are not."""
    with hdf5.opened(file) as root:
        runs = _runs(root, file)
        version = next(_version_of(source) for _, source in _sources(root, file))
        header = header_of(root, file)
        blocks = tuple(_block(run) for run in runs)
        return Description(format="febus", version=version, blocks=blocks, header=header)


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples of one run, time first, without what blocks repeat of each other."""
    with hdf5.opened(file) as root:
        runs = _runs(root, file)
        if not 0 <= block < len(runs):
            raise InvalidInput(f"block {block}: the file holds {len(runs)}, counted from 0")
        run = runs[block]
        time, distance = ranges_of(window, run.shape)
        zone, rows = run.zone, run.zone.rows
        first, last = time.start // rows, -(-time.stop // rows)
        of_file = slice(run.blocks.start + first, run.blocks.start + max(first, last))
        samples = hdf5.read_window(zone.data, (of_file, zone.kept, distance))
        fused = samples.reshape(len(samples) * rows, samples.shape[2])
        return fused[time.start - first * rows : time.stop - first * rows]


def _version_of(source: Any) -> str:
    """Return the major version of the software; the first did not write one."""
    return (text(attributes_of(source).get("Version")) or "1").split(".")[0]


def _sources(root: Any, file: BinaryIO) -> list[tuple[str, Any]]:
    """Return the instruments' names and their sources, none if the file holds anything else beside them."""
    found = []
    for instrument in hdf5.children(root, file):
        for source in hdf5.children(instrument, file):
            if not str(source.name).rpartition("/")[2].startswith("Source"):
                return []
            found.append((str(instrument.name).lstrip("/"), source))
    return found


def _runs(root: Any, file: BinaryIO) -> tuple[_Run, ...]:
    """Return the runs of all zones in order of time."""
    runs = []
    for instrument, source in _sources(root, file):
        times = hdf5.array_in(source, "time", file)
        stamps = nanoseconds(times[:].reshape(-1))
        for group in hdf5.children(source, file):
            if group.name != times.name:
                zone = _zone(instrument, group, stamps, file)
                runs += [_Run(zone=zone, blocks=blocks) for blocks in _contiguous(zone)]
    if not runs:
        raise FormatError("no zone with samples: not a file of a Febus A1, or an empty one; set it aside")
    return tuple(sorted(runs, key=lambda run: int(run.starts[0])))


def _zone(instrument: str, group: Any, stamps: NDArray[np.int64], file: BinaryIO) -> _Zone:
    names = [name for name in group if name != "time"]
    if len(names) != 1:
        raise FormatError(f"{group.name}: one array is needed, there are {names}; set the file aside")
    data, said = hdf5.array_in(group, names[0], file), attributes_of(group)
    if len(data.shape) != 3 or data.shape[0] != len(stamps) or not all(data.shape):  # noqa: PLR2004 - block, time, channel
        raise FormatError(f"{data.name}: shape {data.shape} with {len(stamps)} stamps of blocks; set the file aside")
    step = _step_of(said)
    kept = _kept_of(said, stamps, data.shape[1], step)
    origin = _listed(said, "Origin", 1)
    if abs(origin) > _FARTHEST:
        raise FormatError(f"{group.name}: a block {origin} ms off its stamp; the file is damaged, set it aside")
    starts = stamps + round(origin * 1e6) + round(kept.start * step)
    if starts.min() < 0 or int(starts.max()) + data.shape[0] * data.shape[1] * step >= _LAST:
        raise FormatError(f"{group.name}: the stamps are not within 1970 to 2116; it is damaged, set it aside")
    return _Zone(
        name=f"{instrument}/{group.name.split('/', 2)[2]}",
        said=said | {"quantity": names[0]},
        data=data,
        kept=kept,
        starts=starts,
        step=step,
    )


def _listed(said: dict[str, Any], name: str, at: int) -> float:
    """Return one number of a list in the header."""
    values = said.get(name)
    if not isinstance(values, list) or len(values) <= at:
        raise FormatError(f"{name}: {values!r} in the header is no list of {at + 1} numbers; set the file aside")
    return float(number({name: values[at]}, name))


def _step_of(said: dict[str, Any]) -> Fraction:
    """Return the time from one sample to the next, ns."""
    rate = float_of(said.get("SamplingRate"))
    if "Version" not in said and rate is not None and 0 < rate < _OF_SAMPLES:
        seconds = 1 / Fraction(rate)
    else:
        seconds = Fraction(_listed(said, "Spacing", 1)) / 1000
    if not Fraction(1, _NANO) <= seconds <= 10**6:
        raise FormatError(f"a sample every {float(seconds)} s: the header makes no sense; set the file aside")
    return simplest_ratio(seconds * _NANO)


def _kept_of(said: dict[str, Any], stamps: NDArray[np.int64], rows: int, step: Fraction) -> slice:
    """Return the rows of a block that are kept: as many as lie between two blocks, from its middle."""
    rate = float_of(hdf5.first_value(said, "BlockRate", "FreqRes"))  # mHz
    if rate is not None and rate > 0:
        count = round(_NANO * 1000 / Fraction(rate) / step)
    elif len(stamps) > 1:
        count = round(int(np.median(np.diff(stamps))) / step)
    else:
        overlap = float_of(hdf5.first_value(said, "Overlap", "BlockOverlap"))
        count = round(rows / (1 + (100.0 if overlap is None else overlap) / 100))
    if not 0 < count <= rows:
        raise FormatError(f"a block of {rows} samples every {count} samples: gaps in it; set the file aside")
    start = (rows - count) // 2
    return slice(start, start + count)


def _contiguous(zone: _Zone) -> list[slice]:
    """Return the ranges of blocks of which each follows the one before within a step and a half."""
    length = zone.rows * zone.step
    apart = np.diff(zone.starts)
    breaks = (np.abs(apart - float(length)) > float(_LOOSE * zone.step)) | (apart <= 0)
    cuts = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(zone.starts)]
    ranges = [slice(start, stop) for start, stop in pairwise(cuts)]
    return [part for whole in ranges for part in ([whole] if _fits(zone, whole) else _singles(whole))]


def _fits(zone: _Zone, blocks: slice) -> bool:
    """Return whether the blocks lie on one line, though each may stray a little."""
    starts = zone.starts[blocks]
    return bool(np.abs(starts - _on_line(zone, starts)).max() <= float(_LOOSE * zone.step))


def _on_line(zone: _Zone, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the run's line has the first samples of its blocks, ns."""
    axis = _line(zone, starts)
    return axis.take(np.arange(0, axis.size, zone.rows))


def _singles(blocks: slice) -> list[slice]:
    return [slice(block, block + 1) for block in range(blocks.start, blocks.stop)]


def _line(zone: _Zone, starts: NDArray[np.int64]) -> TimeAxis:
    """Return the times of a run: the header's step where it fits to 1 µs, else that of its first and last block."""
    size = len(starts) * zone.rows
    nominal = TimeAxis.line(int(starts[0]), zone.step, size)
    if len(starts) == 1 or np.abs(nominal.take(np.arange(0, size, zone.rows)) - starts).max() <= _MICROSECOND:
        return nominal
    span = Fraction(int(starts[-1]) - int(starts[0]), (len(starts) - 1) * zone.rows)
    return TimeAxis.line(int(starts[0]), simplest_ratio(span), size)


def _block(run: _Run) -> Block:
    zone = run.zone
    axis = _line(zone, run.starts)
    coords = {"time": Coord(dims=("time",), values=axis, units="s")}
    if np.abs(_on_line(zone, run.starts) - run.starts).max() > _MICROSECOND:
        own = TimeAxis.concatenate(TimeAxis.line(int(start), zone.step, zone.rows) for start in run.starts)
        coords["time_recorded"] = Coord(dims=("time",), values=own, units="s")
    spacing = _listed(zone.said, "Spacing", 0)
    start = _listed(zone.said, "Extent", 0) * spacing + _listed(zone.said, "Origin", 0)
    coords["distance"] = distance_coord(start=start, step=spacing, size=run.shape[1])
    return Block(dims=("time", "distance"), coords=coords, dtype=hdf5.native(zone.data.dtype), attrs=_attrs_of(zone))


def _attrs_of(zone: _Zone) -> dict[str, Any]:
    said, quantity = zone.said, str(zone.said["quantity"])
    kind, units = _QUANTITIES.get(quantity, (term(_WORDS.sub(" ", quantity.partition("[")[0])), None))
    pulses = in_units(said.get("PulseRateFreq"), None, "Hz")
    return attrs_from(
        {
            "data_category": "DAS",
            "data_type": kind,
            "data_units": units,
            "quantity": quantity,
            "instrument_id": text(said.get("Hostname")),
            "manufacturer": "Febus Optics",
            "model": "A1",
            "firmware_version": text(said.get("Version")),
            "zone": zone.name,
            "gauge_length": in_units(said.get("GaugeLength"), None, "m"),
            "pulse_length": in_units(said.get("PulseWidth"), None, "m"),
            "pulse_rate": None if pulses is None else pulses / 1000,
        }
    )
