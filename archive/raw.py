"""Raw files without an archive: what was found in them, and one lazy Patch for each block.

Which files there are, and how each is read, is the business of `ingest`, which this package must not import. It is
found by the entry point `lightkeep.raw`, and knows the formats of the entry points `lightkeep.formats`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

from archive.coords import Coords
from archive.errors import MissingExtra
from archive.lazy import RawPart, RawSource
from archive.patch import Patch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from archive.cube.raw import RawFrameSet
    from archive.model import Block

__all__ = ["GROUP", "Finder", "Findings", "RawFile", "RawRoot", "raw_root"]

GROUP = "lightkeep.raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A raw file, or several that are read as one.

    Parameters
    ----------
    url, format
        Where it lies, and the name of its format.
    blocks, datasets
        What it holds, and the name of the dataset that each block would come to in an archive.
    source
        What reads it.
    """

    url: str
    format: str
    blocks: tuple[Block, ...]
    datasets: tuple[str, ...]
    source: RawSource

    def patches(self) -> list[Patch]:
        """Return a lazy Patch for each block that holds samples."""
        return [
            Patch(
                RawPart(self.source, number, block.dtype, tuple(slice(0, length) for length in block.shape)),
                Coords(block.dims, block.coords),
                attrs={**{key: value for key, value in block.attrs.items() if value is not None}, "dataset": dataset},
            )
            for number, (block, dataset) in enumerate(zip(self.blocks, self.datasets, strict=True))
            if block.shape[0]
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What lies in some places.

    Parameters
    ----------
    files
        The raw files, sorted by URL.
    refused
        Why others that look like raw files are not read, by URL.
    options
        For the places, as they travel to other processes: without secrets.
    frames
        Sets of a telescope's frames.
    """

    files: tuple[RawFile, ...]
    refused: Mapping[str, str]
    options: Mapping[str, Any] = field(repr=False)
    frames: tuple[RawFrameSet, ...] = ()


class Finder(Protocol):
    """What stands behind the entry point `lightkeep.raw`."""

    def __call__(
        self,
        places: Sequence[str],
        *,
        format: str | None,  # noqa: A002 - the word for it
        options: Mapping[str, Any],
        progress: bool | None,
        keep: bool,
    ) -> Findings:
        """Return what lies in some places, from the index of an earlier look where that still holds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRoot:
    """Raw files as they were found.

    Parameters
    ----------
    places
        Paths, URLs and globs.
    format
        Name of their format, where it is not to be found out.
    keep
        Whether what they say of themselves is kept for the next time.
    progress
        Whether a progress bar is shown; `None` where there is a terminal.
    """

    places: tuple[str, ...]
    format: str | None
    keep: bool
    progress: bool | None
    found: Findings
    held: tuple[Any, ...] = field(repr=False)

    def patches(self, first: int, last: int, names: Sequence[str] | None) -> Sequence[Patch]:  # noqa: ARG002 - as every root
        """Return a Patch for each block, in order of time, then the Cubes: selecting among them costs nothing."""
        return self.held

    @property
    def files(self) -> tuple[RawFile, ...]:
        """The files, sorted by URL."""
        return self.found.files

    @property
    def refused(self) -> Mapping[str, str]:
        """Why files that look like raw files are not read, by URL."""
        return self.found.refused

    def updated(self) -> RawRoot:
        """Return the same places as they are now."""
        return raw_root(
            self.places, format=self.format, options=self.found.options, progress=self.progress, keep=self.keep
        )


def raw_root(
    places: Sequence[str],
    *,
    format: str | None = None,  # noqa: A002 - the word for it
    options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    keep: bool = True,
) -> RawRoot:
    """Return what lies in some places, ready for a Spool.

    Raises
    ------
    NotFound
        A place does not exist.
    FormatError
        A file that was named is no raw file that can be read.
    MissingExtra
        The package `ingest`, or a library that it needs, is not installed.
    """
    found = _finder()(tuple(places), format=format, options=options or {}, progress=progress, keep=keep)
    patches = [patch for file in found.files for patch in file.patches()]
    patches.sort(key=lambda patch: patch.coords["time"].values[0])
    cubes = [cube for frames in found.frames for cube in frames.cubes()]
    held = (*patches, *cubes)
    return RawRoot(places=tuple(places), format=format, keep=keep, progress=progress, found=found, held=held)


def _finder() -> Finder:
    for entry in entry_points(group=GROUP):
        try:
            return cast("Finder", entry.load())
        except ImportError as error:
            raise MissingExtra(f"raw files need {error.name}: pip install 'lightkeep[ingest]'") from error
    raise MissingExtra(f"no package brings the entry point {GROUP}; install it anew: pip install 'lightkeep[ingest]'")
