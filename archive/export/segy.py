"""SEG-Y revision 1, big-endian: a trace for each channel; positions go into the trace headers.

References
----------
SEG Technical Standards Committee, *SEG Y rev 1 Data Exchange format* (2002), sections 4 and 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from archive.coords import Coord
    from archive.export.recording import Recording

__all__ = ["write"]

_CODES = {"i1": 8, "i2": 3, "i4": 2, "f4": 5}  # data format codes
_UNITS = {"Pa": 1, "V": 2, "mV": 3, "A": 4, "m": 5, "m/s": 6, "m/s**2": 7, "N": 8, "W": 9}
_MOST = (1 << 15) - 1  # of a 16-bit field that is signed
_SCALES = (1, 10, 100, 1000, 10_000)
_UTC = 4  # time basis code
_SECOND, _MILLISECOND, _MICROSECOND = 10**9, 10**6, 1000  # ns


def write(recording: Recording, path: Path) -> None:
    """Write one file.

    Raises
    ------
    InvalidInput
        The traces are longer than the fields of revision 1 tell, or samples, step, start or positions do not fit.
    """
    import segyio

    recording.no_scale()
    count, channels = recording.two_dims()
    step = recording.step()
    if step.denominator != 1 or step % _MICROSECOND or step > _MOST * _MICROSECOND:
        raise recording.says(f"a step of {float(step)} ns is none of 1 to {_MOST} whole microseconds")
    if count > _MOST:
        raise recording.says(f"{count} samples are beyond the {_MOST} of a trace; chunk it first")
    samples = recording.numbers(recording.patch.data, ("i1", "i2", "i4", "f4"))
    interval = int(step) // _MICROSECOND
    header = _start(recording) | {
        segyio.TraceField.TRACE_SAMPLE_COUNT: count,
        segyio.TraceField.TRACE_SAMPLE_INTERVAL: interval,
        segyio.TraceField.TraceIdentificationCode: 1,
        segyio.TraceField.TraceValueMeasurementUnit: _UNITS.get(str(recording.patch.attrs.get("data_units")), 0),
    }
    places = _positions(recording)
    spec = segyio.spec()
    spec.format, spec.samples, spec.tracecount = _CODES[samples.dtype.str[1:]], np.arange(count), channels
    keys = segyio.BinField
    with segyio.create(str(path), spec) as file:
        file.text[0] = segyio.tools.create_text_header({1: "Written by Lightkeep", 39: "SEG Y REV1"})
        file.bin.update({keys.Interval: interval, keys.Samples: count, keys.Traces: min(channels, _MOST)})
        file.bin.update({keys.SEGYRevision: 1, keys.TraceFlag: 1, keys.MeasurementSystem: 1})
        for number in range(channels):
            own = {key: int(values[number]) for key, values in places.items()}
            numbers = {segyio.TraceField.TRACE_SEQUENCE_LINE: number + 1, segyio.TraceField.TraceNumber: number + 1}
            file.header[number] = header | numbers | own
            file.trace[number] = np.ascontiguousarray(samples[:, number])


def _start(recording: Recording) -> dict[int, int]:
    """Return the fields for the time of the first sample: a second, and a delay in ms and tenths of it."""
    from segyio import TraceField

    start = recording.axis.first
    second = np.datetime64(start // _SECOND, "s")
    rest = start % _SECOND
    for scale in _SCALES:
        delay, over = divmod(rest * scale, _MILLISECOND)
        if not over and delay <= _MOST:
            break
    else:
        raise recording.says(
            f"its headers do not tell {recording.axis[0]} to the nanosecond; start it on a whole 0.1 ms, "
            "or write it as netcdf"
        )
    day, clock = second.astype("datetime64[D]"), int((second - second.astype("datetime64[D]")).astype(np.int64))
    return {
        TraceField.YearDataRecorded: int(str(day)[:4]),
        TraceField.DayOfYear: int((day - day.astype("datetime64[Y]")).astype(np.int64)) + 1,
        TraceField.HourOfDay: clock // 3600,
        TraceField.MinuteOfHour: clock // 60 % 60,
        TraceField.SecondOfMinute: clock % 60,
        TraceField.TimeBaseCode: _UTC,
        TraceField.DelayRecordingTime: delay,
        TraceField.ScalarTraceHeader: 1 if scale == 1 else -scale,
    }


def _positions(recording: Recording) -> dict[int, NDArray[np.int64]]:
    """Return the fields for x, y and elevation of the channels, those in metres."""
    from segyio import TraceField

    coords, (_, size) = recording.patch.coords, recording.two_dims()
    fields: dict[int, NDArray[np.int64]] = {}
    plane, height = ("x", "y"), ("elevation",)
    for names, scalar in ((plane, TraceField.SourceGroupScalar), (height, TraceField.ElevationScalar)):
        held = {
            name: coords.get_array(name).astype(float) for name in names if name in coords and _in_metres(coords[name])
        }
        if not held:
            continue
        scale = next((scale for scale in _SCALES if all(_whole(array * scale) for array in held.values())), None)
        if scale is None:
            raise recording.says(f"its positions ({', '.join(held)}) are no multiples of 0.1 mm; round them")
        fields[scalar] = np.full(size, 1 if scale == 1 else -scale)
        keys = {"x": TraceField.GroupX, "y": TraceField.GroupY, "elevation": TraceField.ReceiverGroupElevation}
        fields |= {keys[name]: np.rint(array * scale).astype(np.int64) for name, array in held.items()}
        if names == plane:
            fields[TraceField.CoordinateUnits] = np.ones(size, dtype=np.int64)
    return fields


def _in_metres(coord: Coord) -> bool:
    return len(coord.dims) == 1 and coord.dims != ("time",) and coord.units == "m"


def _whole(values: NDArray[np.float64]) -> bool:
    return bool((np.abs(values - np.rint(values)) < 1e-6).all() and (np.abs(values) < 1 << 31).all())  # noqa: PLR2004
