"""One named format, read by an installed DASCore: for formats that only it knows.

Its detection is never asked, as that unpickles files. Readers of DASCore that unpickle are refused too. DASCore
reads paths and whole files, so a file is put into a temporary folder under its own name, to describe it as well
as to read it.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError, InvalidInput, MissingExtra, NotFound
from archive.model import Block, Description
from ingest.formats.edge import at_edge, name_of, remembered
from ingest.formats.fields import attrs_from, plain, ranges_of, recorded_times, values_coord

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from archive.coords import Coord

__all__ = ["DascoreReader"]

_UNPICKLE = {"PICKLE", "DASDAE"}
_COPIED = 1 << 22  # bytes at a time
_NOT_ATTRS = {"coords", "dims", "history", "file_format", "file_version", "file_path", "path"}


class DascoreReader:
    """A reader of one format by DASCore.

    Parameters
    ----------
    name
        What DASCore calls the format.

    Raises
    ------
    MissingExtra
        DASCore is not installed.
    NotFound
        It knows no such format.
    InvalidInput
        Its reader of this format unpickles.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._readers = _readers_of(name)
        self.sniff: Callable[[BinaryIO], str | None] = at_edge(self._sniff)
        self.describe: Callable[[BinaryIO], Description] = at_edge(self._describe)
        self.read: Callable[[BinaryIO, int, tuple[slice, ...]], NDArray[Any]] = at_edge(self._read)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DascoreReader) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def _sniff(self, file: BinaryIO) -> str | None:
        del file  # a format of DASCore is only ever named, never found
        return None

    def _describe(self, file: BinaryIO) -> Description:
        version, patches = remembered(file, self._patches)
        blocks = tuple(_block_of(patch) for patch in patches)
        header = {"patches": [_header_of(patch) for patch in patches]}
        return Description(format=f"dascore:{self.name}", version=version, blocks=blocks, header=header)

    def _read(self, file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
        _, patches = remembered(file, self._patches)
        if not 0 <= block < len(patches):
            raise InvalidInput(f"block {block}: the file holds {len(patches)}, counted from 0")
        samples = np.asarray(patches[block].transpose("time", ...).data)
        samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
        return np.ascontiguousarray(samples[ranges_of(window, samples.shape)])

    def _patches(self, file: BinaryIO) -> tuple[str, list[Any]]:
        """Return the version that DASCore takes the file for, and what it reads of it, in order of time."""
        reasons = []
        with tempfile.TemporaryDirectory(prefix="lightkeep-dascore-") as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder) / (PurePosixPath(name_of(file)).name or "file")
            _copy(file, path)
            for reader in _fitting(self._readers, path):
                try:
                    patches = [patch for patch in reader.read(path) if patch.size]
                except Exception as error:  # noqa: BLE001 - DASCore's readers raise whatever their libraries do
                    reasons.append(f"version {reader.version}: {error or type(error).__name__}")
                    continue
                if patches:
                    return reader.version, sorted(patches, key=lambda patch: patch.attrs["time_min"])
                reasons.append(f"version {reader.version}: no samples")
        raise FormatError(
            f"{name_of(file)}: DASCore cannot read it as {self.name} ({'; '.join(reasons)}); set it aside"
        )


def _readers_of(name: str) -> list[Any]:
    """Return DASCore's readers of a format, the newest version first."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            manager = import_module("dascore.io.core").FiberIO.manager
            unpickling = import_module("dascore.utils.hdf5").PyTablesReader
    except ImportError as error:
        raise MissingExtra(
            f"dascore:{name} needs DASCore, which is not installed; pip install 'lightkeep[dascore]'"
        ) from error
    if name in _UNPICKLE:
        raise InvalidInput(f"dascore:{name}: DASCore unpickles such files, which runs what their writer put into them")
    if name not in manager.known_formats:
        raise NotFound(
            f"dascore:{name}: DASCore knows no such format; it has {', '.join(sorted(manager.known_formats))}"
        )
    readers = [reader for reader in manager.yield_fiberio(format=name) if reader.implements_read]
    if not readers:
        raise NotFound(f"dascore:{name}: DASCore writes this format, and does not read it")
    if any(getattr(reader.read, "_required_type", None) is unpickling for reader in readers):
        raise InvalidInput(f"dascore:{name}: DASCore reads such files with PyTables, which unpickles; they are refused")
    return readers


def _fitting(readers: list[Any], path: Path) -> list[Any]:
    """Return the readers of the versions that claim a file, or all of them where none does."""
    claiming = []
    for reader in readers if len(readers) > 1 else ():
        try:
            claiming += [reader] if reader.get_format(path) == (reader.name, reader.version) else []
        except Exception:  # noqa: BLE001, S112 - as when they read: whatever their libraries do
            continue
    return claiming or readers


def _copy(file: BinaryIO, path: Path) -> None:
    file.seek(0)
    with path.open("wb") as copy:
        while part := file.read(_COPIED):
            copy.write(part)


def _block_of(patch: Any) -> Block:
    ordered = patch.transpose("time", ...)
    coords: dict[str, Coord] = recorded_times(ordered.coords.get_array("time").astype("M8[ns]").astype(np.int64))
    for dim in ordered.dims[1:]:
        units = ordered.coords.coord_map[dim].units
        values = np.asarray(ordered.coords.get_array(dim))
        coords[dim] = values_coord(values, dim, _units_text(units))
    dtype = np.dtype(ordered.data.dtype).newbyteorder("=")
    return Block(dims=tuple(ordered.dims), coords=coords, dtype=dtype, attrs=_attrs_of(patch))


def _attrs_of(patch: Any) -> dict[str, Any]:
    said = {name: value for name, value in patch.attrs.model_dump().items() if name not in _NOT_ATTRS}
    kept: dict[str, Any] = {name: value for name, value in said.items() if isinstance(value, (str, int, float, bool))}
    kept["data_units"] = _units_text(patch.attrs.data_units)
    return attrs_from(kept)


def _units_text(units: Any) -> str | None:
    """Return units, which DASCore holds as a quantity, as text."""
    if units is None:
        return None
    return f"{units.units:~}" if getattr(units, "magnitude", 1) == 1 else f"{units:~}"


def _header_of(patch: Any) -> dict[str, Any]:
    """Return everything that DASCore says of a patch, JSON-like."""

    def said(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return plain(value) if isinstance(value, (str, int, float, bool, np.generic)) else str(value)

    return {name: said(value) for name, value in patch.attrs.model_dump().items() if value not in (None, "")}
