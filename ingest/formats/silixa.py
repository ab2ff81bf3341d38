"""What the headers of Silixa's iDAS say, alike in its TDMS and its HDF5 files.

Two origins of distance stand in them. `StartPosition[m]` counts from inside the instrument; DASCore takes
it for TDMS, and so do we, that a selection means the same in both. `Start Distance (m)` counts from the zero
that the operator set, as the PRODML files of the same instrument do; it is kept as `distance_along_fiber`.
(For Silixa's HDF5, DASCore 0.1.24 adds the length of the fibre to the first, which puts the sample
file's first channel at 8082.9 m, beyond the `Stop Distance (m)` of 7839.7 m: not followed here.)

The rate is `SamplingFrequency[Hz]`; `Precise Sampling Frequency (Hz)` is that of the pulses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from archive.errors import FormatError
from archive.model import Block
from ingest.formats.fields import (
    attrs_from,
    distance_coord,
    in_units,
    number,
    steady_time,
    text,
    time_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from archive.coords import Coord

__all__ = ["MARKS", "block_of"]

MARKS = ("SamplingFrequency[Hz]", "SpatialResolution[m]", "MeasureLength[m]", "GPSTimeStamp", "CPUTimeStamp")
_DAY_FIRST = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d:\d\d:\d\d(?:\.\d+)?)(?: \(UTC\))?")


def block_of(header: Mapping[str, Any], shape: tuple[int, int], dtype: np.dtype[Any]) -> Block:
    """Return the block of a file from its header and the shape (samples, channels) of its array.

    Raises
    ------
    FormatError
        A number that times or distances need is missing, or makes no sense.
    """
    rate = number(header, "SamplingFrequency[Hz]", positive=True)
    time = steady_time(_start_of(header), rate, shape[0])
    # iDAS puts out the strain rate, scaled, unless told otherwise: its PRODML twin says so in words.
    differential = text(header.get("Acoustic Output")) == "Differential"
    return Block(
        dims=("time", "distance"),
        coords={"time": time} | _distances_of(header, shape[1]),
        dtype=dtype,
        attrs=attrs_from(
            {
                "data_category": "DAS",
                "data_type": "strain_rate" if differential else None,
                "instrument_id": text(header.get("SystemInfomation.OS.HostName")),
                "tag": text(header.get("Tags")),
                "gauge_length": in_units(header.get("GaugeLength"), "m", "m"),
                "pulse_width": in_units(header.get("PulseWidth[ns]"), "ns", "ns"),
            }
        ),
    )


def _start_of(header: Mapping[str, Any]) -> int:
    """Return the time of the first sample, ns; the computer's clock counts where there is no GPS."""
    for name in ("GPSTimeStamp", "CPUTimeStamp"):
        stamp = text(header.get(name)) or ""
        if match := _DAY_FIRST.fullmatch(stamp):
            day, month, year, clock = match.groups()
            stamp = f"{year}-{month}-{day}T{clock}"
        start = time_of(stamp)
        if start is not None and start > 0:
            return start
    raise FormatError("no time in GPSTimeStamp or CPUTimeStamp; set the file aside")


def _distances_of(header: Mapping[str, Any], size: int) -> dict[str, Coord]:
    multiplier = number(header, "Fibre Length Multiplier") if "Fibre Length Multiplier" in header else 1.0
    step = float(number(header, "SpatialResolution[m]", positive=True) * multiplier)
    origins = {"distance": "StartPosition[m]", "distance_along_fiber": "Start Distance (m)"}
    return {
        name: distance_coord(start=float(number(header, origin)), step=step, size=size)
        for name, origin in origins.items()
        if name == "distance" or origin in header
    }
