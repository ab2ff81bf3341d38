"""Which dataset a block belongs to: a pure function of what its source says of itself."""

from __future__ import annotations

import hashlib
import json
import re
from fractions import Fraction
from math import log10, prod
from typing import TYPE_CHECKING, Any

from archive.coords import TimeAxis
from archive.errors import FormatError, InvalidInput
from archive.grid import chunk_shape
from archive.index.dataset import Dataset, coord_to_json

if TYPE_CHECKING:
    from archive.model import Block

__all__ = ["check_same", "dataset_of", "fingerprint_of", "time_of"]

TARGET_BYTES = 64 << 20  # raw, of a granule
_WINDOWS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_IDENTITY = ("instrument_id", "network", "station", "data_type", "data_units", "gauge_length", "tag")


def time_of(block: Block) -> TimeAxis:
    """Return the stamps of a block.

    Raises
    ------
    FormatError
        Its time is no axis of points in time.
    """
    values = block.coords["time"].values
    if not isinstance(values, TimeAxis) or block.dims[0] != "time":
        raise FormatError("the samples have no time axis")
    return values


def _step_of(block: Block) -> Fraction:
    """Return the step in ns; three digits of it where the stamps jitter, so that files agree."""
    step = time_of(block).typical_step
    if step is None:
        return Fraction(10**9)
    if (
        any(coord.dims == ("time",) and name != "time" for name, coord in block.coords.items())
        or step != time_of(block).step
    ):
        return Fraction(round(step, 2 - int(log10(step))))
    return step


def fingerprint_of(block: Block) -> dict[str, Any]:
    """Return what identifies the acquisition of a block: instrument, channels, spacing, rate, units."""
    channels = {name: coord_to_json(coord) for name, coord in block.coords.items() if "time" not in coord.dims}
    text = json.dumps(channels, sort_keys=True)
    step = _step_of(block)
    return {
        "dims": list(block.dims),
        "dtype": block.dtype.name,
        "step_ns": [step.numerator, step.denominator],
        "shape": list(block.shape[1:]),
        "channels": hashlib.sha256(text.encode()).hexdigest()[:16],
        **{name: block.attrs[name] for name in _IDENTITY if block.attrs.get(name) is not None},
    }


def dataset_of(block: Block, source_format: str, *, name: str | None, codec: str, incarnation: int = 1) -> Dataset:
    """Return the dataset of a block, as the first worker that meets it proposes it.

    Parameters
    ----------
    name
        What the user calls it; `None` for the name that follows from the fingerprint.
    """
    fingerprint = fingerprint_of(block)
    step = Fraction(*fingerprint["step_ns"])
    if name is None:
        digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:8]
        kind = re.sub(r"[^A-Za-z0-9]+", "-", str(block.attrs.get("instrument_id") or source_format)).strip("-")[:40]
        name = f"{kind or source_format}-{float(10**9 / step):g}hz-{'x'.join(map(str, block.shape[1:]))}ch-{digest}"
    frame = prod(block.shape[1:]) * block.dtype.itemsize
    seconds = TARGET_BYTES / max(frame, 1) * float(step) / 1e9
    window = max((length for length in _WINDOWS if length <= seconds), default=_WINDOWS[0])
    return Dataset(
        name=name,
        dims=block.dims,
        coords={label: coord for label, coord in block.coords.items() if "time" not in coord.dims},
        dtype=block.dtype,
        step=step,
        chunks=chunk_shape(block.shape, block.dtype.itemsize),
        codec=codec,
        window=window * 10**9,
        attrs=dict(block.attrs),
        fingerprint=fingerprint,
        incarnation=incarnation,
    )


def check_same(held: Dataset, proposed: Dataset) -> None:
    """Raise unless two acquisitions are one.

    Raises
    ------
    InvalidInput
        They differ; the message says in what.
    """
    different = [
        f"{name}: {held.fingerprint.get(name)} and {proposed.fingerprint.get(name)}"
        for name in sorted({*held.fingerprint, *proposed.fingerprint})
        if held.fingerprint.get(name) != proposed.fingerprint.get(name)
    ]
    if different:
        raise InvalidInput(
            f"two acquisitions cannot share the name {held.name!r} ({'; '.join(different)}); "
            "leave out --dataset, or ingest them apart under two names"
        )
