"""Terra15 Treble, file versions 4 to 6: HDF5 with its header on the root, samples and stamps in one group.

The stamps come from `gps_time` (seconds since 1970, UTC in spite of the name: it lies within a millisecond
of the computer's `posix_time`), from `posix_time` where that is missing. They jitter around a line by up to
a step or two; the step `dT` of the header is not the one that the stamps keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    distance_coord,
    in_units,
    nanoseconds,
    number,
    ranges_of,
    recorded_times,
    term,
    text,
    units_of,
)
from ingest.formats.hdf5_attributes import attributes_of, header_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_MARKS = {"acoustic_bandwidth_end", "amplifier_incoming_current", "file_start_computer_time", "file_version"}
_GROUP_NAMED_BY_PRODUCT = "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where a file keeps its samples."""

    version: str
    attributes: dict[str, Any]
    data: Any
    stamps: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        """Samples that have a stamp, channels."""
        return len(self.stamps), self.data.shape[1]


_SAID = (
    "data_product",
    "data_product_units",
    "dx",
    "file_version",
    "gauge_length",
    "pulse_length",
    "pulse_rate",
    "sensing_range_start",
    "serial_number",
)


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the file version if this is a Terra15 file, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        if not _MARKS.issubset(root.attrs):
            return None
        return text(attributes_of(root, "file_version").get("file_version"))


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file; the stamps are read, samples are not."""
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        return Description(
            format="terra15", version=layout.version, blocks=(_block(layout),), header=header_of(root, file)
        )


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples, time first as in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        return hdf5.read_window(layout.data, ranges_of(window, layout.shape))


def _layout_of(root: Any, file: BinaryIO) -> _Layout:
    attributes = attributes_of(root, *_SAID)
    version = text(attributes.get("file_version")) or ""
    name = str(attributes.get("data_product")) if version == _GROUP_NAMED_BY_PRODUCT else "data_product"
    group = hdf5.child(root, name, file)
    if group is None:
        raise FormatError(f"no group /{name}: not a Terra15 file of version {version}; set it aside")
    data = hdf5.array_in(group, "data", file)
    clock = next((clock for clock in ("gps_time", "posix_time") if hdf5.holds(group, clock)), "gps_time")
    times = hdf5.array_in(group, clock, file)
    if len(data.shape) != 2 or times.shape != data.shape[:1]:  # noqa: PLR2004 - time and distance
        raise FormatError(f"{data.name}: shape {data.shape} with {times.shape} stamps; set the file aside")
    return _Layout(version=version, attributes=attributes, data=data, stamps=_occupied(times[:]))


def _occupied(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the stamps in ns, without the frames at the end that were allocated and never written."""
    written = np.flatnonzero(seconds != 0)
    return nanoseconds(seconds[: int(written[-1]) + 1 if len(written) else 0])


def _block(layout: _Layout) -> Block:
    said = layout.attributes
    distance = distance_coord(
        start=float(number(said, "sensing_range_start")), step=float(number(said, "dx")), size=layout.shape[1]
    )
    return Block(
        dims=("time", "distance"),
        coords=recorded_times(layout.stamps) | {"distance": distance},
        dtype=hdf5.native(layout.data.dtype),
        attrs=attrs_from(
            {
                "data_category": "DAS",
                "data_type": term(said.get("data_product")),
                "data_units": units_of(said.get("data_product_units")),
                "instrument_id": text(said.get("serial_number")),
                "gauge_length": in_units(said.get("gauge_length"), None, "m"),
                "pulse_length": in_units(said.get("pulse_length"), None, "m"),
                "pulse_rate": in_units(said.get("pulse_rate"), None, "Hz"),
            }
        ),
    )
