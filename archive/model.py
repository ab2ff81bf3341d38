"""What a source says of itself, and how one raw format is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from archive.coords import Coord

__all__ = ["Block", "Description", "Format", "Reader", "Scalar"]

type Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One contiguous array in a source, samples unread.

    Parameters
    ----------
    dims
        Time first, whatever the order in the file: `read` gives the samples in this order.
    coords
        One for each dim under its name, and any beside them (`time_recorded`, channel positions).
    dtype
        Type of a sample, in native byte order.
    attrs
        What the header says in the field's terms: DASCore's names where it has one (`network`, `station`,
        `tag`, `data_type`, `data_category`, `data_units`, `instrument_id`, `acquisition_id`,
        `gauge_length` in m, `pulse_rate` in Hz, `pulse_width` in ns, ...), FDSN's otherwise.
    """

    dims: tuple[str, ...]
    coords: Mapping[str, Coord]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples along each dim."""
        return tuple(self.coords[dim].size for dim in self.dims)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a source holds, as its header tells.

    Parameters
    ----------
    format, version
        Name in the table of formats, and the version that the file names.
    blocks
        The contiguous arrays, in order of time.
    header
        Every header value verbatim, nested as in the file, JSON-like.
    """

    format: str
    version: str
    blocks: tuple[Block, ...]
    header: Mapping[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """One raw format: three functions over any seekable binary file."""

    def sniff(self, file: BinaryIO) -> str | None:
        """Return the version if the file is of this format, else `None`; reads a few kilobytes."""
        ...

    def describe(self, file: BinaryIO) -> Description:
        """Return what the file holds, without reading samples."""
        ...

    def read(self, file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
        """Return the samples of one block in a window (a slice with step 1 for each dim)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One raw format that can be read: its line in the table of formats.

    Parameters
    ----------
    name
        As stored with each source; never changed once an archive may hold it.
    title
        As people say it.
    module
        Where `sniff`, `describe` and `read` are.
    suffixes
        How files of the format are usually called; the content decides, never the name.
    versions
        Those that are read, as `sniff` tells them.
    extra
        What to install with Lightkeep for the libraries that it needs.
    by_channel
        Whether a recording may lie in several files of a folder, one for each channel.
    beside
        Suffix of the files that are read together with one of this format in their folder, if any.
    """

    name: str
    title: str
    module: str
    suffixes: tuple[str, ...]
    versions: tuple[str, ...]
    extra: str = "ingest"
    by_channel: bool = False
    beside: str | None = None
