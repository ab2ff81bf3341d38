"""NetCDF-4 after the CF conventions: any dims, each stamp an exact 64-bit integer, coordinates and attributes kept.

References
----------
CF conventions 1.12, sections 3.1 (units), 4.4 (time) and 8.1 (`scale_factor`, `add_offset`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis

if TYPE_CHECKING:
    from pathlib import Path

    from archive.coords import Coord
    from archive.export.recording import Recording

__all__ = ["write"]

_SINCE = {"units": "nanoseconds since 1970-01-01T00:00:00", "calendar": "proleptic_gregorian"}


def write(recording: Recording, path: Path) -> None:
    """Write one file: the samples under the name of their `data_type`, coordinates under their own."""
    import h5netcdf

    patch = recording.patch
    if patch.dtype == np.float16:
        raise recording.says("its samples are float16, which NetCDF does not know; convert them to float32")
    with h5netcdf.File(path, "w") as root:
        root.attrs["Conventions"] = "CF-1.12"
        root.dimensions = dict(zip(patch.dims, patch.shape, strict=True))
        for name, coord in patch.coords.items():
            _put_coord(root, name, coord)
        if (rate := recording.steady_rate()) is not None:
            root["time"].attrs["sampling_rate"] = rate
        name = str(patch.attrs.get("data_type") or "data").replace("/", "_")
        data = root.create_variable(name if name not in patch.coords else "data", patch.dims, patch.dtype)
        for part, samples in recording.blocks():
            data[part] = samples
        beside = [name for name in patch.coords if name not in patch.dims]
        attrs = {("units" if name == "data_units" else name): value for name, value in patch.attrs.items()}
        for key, value in {**attrs, "coordinates": " ".join(beside)}.items():
            if isinstance(value, (str, int, float, np.number)) and not isinstance(value, bool) and value != "":
                data.attrs[key] = value


def _put_coord(root: Any, name: str, coord: Coord) -> None:
    said = {} if coord.units is None else {"units": coord.units}
    if isinstance(coord.values, TimeAxis):
        values, said = coord.values.to_ns(), dict(_SINCE)
        if coord.dims == (name,):
            said |= {"standard_name": "time", "axis": "T"}
    else:
        values = coord.to_numpy()
    if values.dtype.kind == "U":
        values = values.astype(object)
    if coord.dims:
        kind: Any = _text_type() if values.dtype.kind == "O" else values.dtype
        variable = root.create_variable(name, coord.dims, kind)
        variable[...] = values
    else:
        variable = root.create_variable(name, (), values.dtype)
        variable[...] = values.reshape(())
    for key, value in said.items():
        variable.attrs[key] = value


def _text_type() -> Any:
    import h5py

    return h5py.string_dtype()
