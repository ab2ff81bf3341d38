"""FITS files in place, as a Spool without an archive sees them: sorted into datasets as an ingest would."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.raw import RawFrameSet
from archive.cube.table import Document, FrameTable, unpack
from archive.errors import SourceChanged
from archive.fits.image import Scaling
from ingest.fits import read_frame, read_keywords
from ingest.frames.held import columns_of
from ingest.frames.identity import identify_frame
from ingest.framing import FramePlanner
from ingest.index.ledger import Ledger
from ingest.places import Places
from ingest.settings import Settings
from ingest.sources import SourceOptions, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.index.dataset import Dataset
    from archive.lazy import Window
    from ingest.framing import PlannedFrames
    from ingest.sources import Found

__all__ = ["FrameFile", "look_at_frames"]

_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFile:
    """A FITS file as it was found, closed: an `archive.cube.raw_pixels.FitsSource`."""

    found: Found
    options: SourceOptions = field(repr=False)

    def read(self, wanted: Sequence[tuple[int, Window]]) -> Iterator[NDArray[Any]]:
        """Yield the pixels of some windows of the frame, axes of length one left out.

        Raises
        ------
        SourceChanged
            The file is not the one that was looked at.
        FormatError
            It is damaged.
        """
        pixels = read_frame(self.content(), self.found.url).image.pixels()
        core = pixels.reshape([length for length in pixels.shape if length != 1] or [1])
        for _, window in wanted:
            yield core[window]

    def content(self) -> bytes:
        """Return the bytes of the file; see `read`."""
        try:
            with open_source(self.found, self.options, digest=False) as opened:
                return opened.file.read()
        except SourceChanged as error:
            what = "changed or gone since it was looked at; spool.update() looks again"
            raise SourceChanged(f"{self.found.url}: {what}") from error


class _NoArchive:
    """What an ingest would find in an empty archive."""

    def datasets(self) -> Mapping[str, Dataset]:
        return {}


def look_at_frames(
    found: Sequence[Found], options: Mapping[str, Any]
) -> tuple[tuple[RawFrameSet, ...], dict[str, tuple[Found, str]]]:
    """Return the sets that some FITS and asdf files make, and why others are left out, by URL."""
    nowhere: Any = _NoArchive()
    planner = FramePlanner(
        found=found,
        ledger=Ledger(()),
        settings=Settings(options=options or None),
        lives={},
        places=Places(nowhere),
    )
    planned: dict[str, list[PlannedFrames]] = defaultdict(list)
    for group in planner.groups():
        planned[group.sources[0].datasets[0]].append(group)
    travelling = SourceOptions(options)
    sets = tuple(_frame_set(planner.datasets[name], groups, travelling) for name, groups in sorted(planned.items()))
    return sets, {one.found.url: (one.found, one.reason) for one in planner.refusals}


def _frame_set(dataset: Dataset, groups: Sequence[PlannedFrames], options: SourceOptions) -> RawFrameSet:
    files = [source.found for group in groups if group.job.document is None for source in group.sources]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lightkeep-headers") as pool:
        headers = list(pool.map(lambda file: _keywords(file, options), files))
    tiles: dict[Any, list[tuple[Any, Found, Mapping[str, Any]]]] = defaultdict(list)
    for file, header in zip(files, headers, strict=True):
        identity = identify_frame(header, file.url)
        tiles[identity.tile].append((identity, file, header))
    document, asdf = None, None
    for group in groups:
        if group.job.document is not None:
            held = unpack(group.job.document)
            document = held if isinstance(held, Document) else None
            asdf = FrameFile(found=group.sources[0].found, options=options).content()
    return RawFrameSet(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        dtype=dataset.dtype,
        tables=tuple(_table(members) for members in tiles.values()),
        sources=tuple(
            tuple(FrameFile(found=file, options=options) for _, file, _ in members) for members in tiles.values()
        ),
        document=document,
        asdf=asdf,
    )


def _keywords(file: Found, options: SourceOptions) -> Mapping[str, Any]:
    with open_source(file, options, digest=False) as opened:
        return read_keywords(opened.file, file.size, file.url)


def _table(members: Sequence[tuple[Any, Found, Mapping[str, Any]]]) -> FrameTable:
    first = members[0][0]
    constant, varying = columns_of([header for _, _, header in members])
    bits = np.dtype(first.fingerprint["pixels"]).itemsize * 8
    return FrameTable(
        image=first.image,
        scaling=Scaling(bitpix=bits),
        tiling=None,
        files=tuple(file.url.rpartition("/")[2] for _, file, _ in members),
        times=tuple(identity.time for identity, _, _ in members),
        places=tuple(identity.place for identity, _, _ in members),
        tile=first.tile,
        constant=constant,
        varying=varying,
    )
