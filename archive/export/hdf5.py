"""Plain HDF5: `/data`, `/timestamp` in int64 nanoseconds since 1970 UTC, and `/distance` or `/channel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from archive.export.recording import Recording

__all__ = ["write"]


def write(recording: Recording, path: Path) -> None:
    """Write one file; attributes that are numbers or text go with the samples.

    Raises
    ------
    InvalidInput
        There are other dims than time and one more.
    """
    import h5py

    patch, shape = recording.patch, recording.two_dims()
    labels = patch.coords[recording.dim]
    with h5py.File(path, "w") as root:
        root.attrs["dims"] = ",".join(patch.dims)
        root.attrs["format"] = "H5Simple"
        times = root.create_dataset("timestamp", data=recording.axis.to_ns())
        times.attrs["units"] = "nanoseconds since 1970-01-01T00:00:00 UTC"
        if (rate := recording.steady_rate()) is not None:
            times.attrs["sampling_rate"] = rate
        values = labels.to_numpy()
        beside = root.create_dataset(recording.dim, data=values.astype("S") if values.dtype.kind == "U" else values)
        if labels.units is not None:
            beside.attrs["units"] = labels.units
        data = root.create_dataset("data", shape=shape, dtype=patch.dtype)
        for part, samples in recording.blocks():
            data[part] = samples
        for name, value in patch.attrs.items():
            if isinstance(value, (str, int, float, np.number)):
                data.attrs[name] = value
