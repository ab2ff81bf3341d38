"""OptoDAS (ASN), file versions 8 to 11: HDF5 with its header in small datasets, samples in `data`.

Samples are stored as they are. `dataScale` makes them `unit` and becomes `scale_factor`; what a strain would
need beyond, the `sensitivities`, stays in the header. Channel n lies at n · `dx`, `dx` being the spacing before
channels were left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.coords import Coord, Linear
from archive.errors import FormatError
from archive.model import Block, Description
from ingest.formats import hdf5
from ingest.formats.edge import at_edge
from ingest.formats.fields import (
    attrs_from,
    float_of,
    in_units,
    nanoseconds,
    number,
    ranges_of,
    steady_time,
    term,
    text,
    units_of,
    values_coord,
)
from ingest.formats.hdf5_attributes import header_of
from ingest.formats.hdf5_values import value_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["describe", "read", "sniff"]

_MARKS = ("acqSpec", "cableSpec", "data", "fileVersion", "header")
_SAID = ("dataScale", "dt", "dx", "experiment", "gaugeLength", "instrument", "name", "time", "unit")


@at_edge
def sniff(file: BinaryIO) -> str | None:
    """Return the file version if this is an OptoDAS file, else `None`."""
    if not hdf5.is_signed(file):
        return None
    with hdf5.opened(file) as root:
        marked = all(hdf5.holds(root, name) for name in _MARKS)
        return text(value_at(root, "fileVersion", file)) if marked else None


@at_edge
def describe(file: BinaryIO) -> Description:
    """Return the one block of the file."""
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        said = {name: value_at(root, f"header/{name}", file) for name in _SAID}
        index = value_at(root, "cableSpec/refractiveIndex", file)
        coords = {"time": _time_of(root, file, layout, said), "distance": _distance_of(root, file, layout, said)}
        block = Block(
            dims=("time", "distance"),
            coords=coords,
            dtype=hdf5.native(layout.data.dtype),
            attrs=_attrs_of(said, index),
        )
        return Description(
            format="optodas",
            version=text(value_at(root, "fileVersion", file)) or "",
            blocks=(block,),
            header=header_of(root, file, values=True),
        )


@at_edge
def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return samples as they are stored, time first, whatever the order in the file."""
    hdf5.the_one_block(block)
    with hdf5.opened(file) as root:
        layout = _layout_of(root, file)
        return hdf5.read_ordered(layout.data, layout.order, ranges_of(window, layout.shape))


def _layout_of(root: Any, file: BinaryIO) -> hdf5.Ordered:
    data = hdf5.array_in(root, "data", file)
    names = value_at(root, "header/dimensionNames", file) or ["time", "distance"]
    if not isinstance(names, list) or sorted(map(str, names)) != ["distance", "time"] or len(data.shape) != len(names):
        raise FormatError(f"/data: dims {names} and shape {data.shape}, time and distance are needed; set it aside")
    return hdf5.Ordered(data=data, order=(names.index("time"), names.index("distance")))


def _time_of(root: Any, file: BinaryIO, layout: hdf5.Ordered, said: dict[str, Any]) -> Coord:
    """Return the times: sample n lies n · dt after `time`, and the first need not be number 0."""
    step = number(said, "dt", positive=True)
    (start,) = nanoseconds(np.array([number(said, "time")], dtype=np.float64))
    path = f"header/dimensionRanges/dimension{layout.order[0]}/min"
    skipped = number({path: value_at(root, path, file) or 0}, path)
    return steady_time(int(start) + round(skipped * step * 1e9), 1 / step, layout.shape[0])


def _distance_of(root: Any, file: BinaryIO, layout: hdf5.Ordered, said: dict[str, Any]) -> Coord:
    group = hdf5.child(root, "header", file)
    numbers = hdf5.array_in(group, "channels", file)
    if numbers.shape != (layout.shape[1],) or numbers.dtype.kind not in "iu" or not layout.shape[1]:
        found = f"{numbers.shape} numbers of {numbers.dtype} for {layout.shape[1]} channels"
        raise FormatError(f"{numbers.name}: {found}; the file is damaged, set it aside")
    channels, spacing = numbers[:].astype(np.int64), float(number(said, "dx", positive=True))
    if np.abs(channels).max() > 1 << 40:
        raise FormatError(f"{numbers.name}: channel {np.abs(channels).max()} is none; set the file aside")
    strides = np.unique(np.diff(channels))
    if len(strides) > 1 or (len(strides) and not strides[0]):  # several regions of the fibre
        return values_coord(channels * spacing)
    stride = int(strides[0]) if len(strides) else 1
    line = Linear(start=0.0, step=spacing, size=len(channels), offset=int(channels[0]), stride=stride)
    return Coord(dims=("distance",), values=line, units="m")


def _attrs_of(said: dict[str, Any], refraction: Any) -> dict[str, Any]:
    scale = float_of(said["dataScale"])
    return attrs_from(
        {
            "data_category": "DAS",
            "data_type": term(said["name"]),
            "data_units": units_of(said["unit"]),
            "scale_factor": None if scale == 1 else scale,
            "acquisition_id": text(said["experiment"]),
            "instrument_id": text(said["instrument"]),
            "manufacturer": "ASN",
            "gauge_length": in_units(said["gaugeLength"], None, "m"),
            "fiber_refraction_index": float_of(refraction),
        }
    )
