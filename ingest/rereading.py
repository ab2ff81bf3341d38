"""Sources of granules that are there, read again: for comparing, and for making what is damaged anew."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archive.errors import NotFound, SourceChanged, StoreTrouble
from ingest.formats import format_named, open_format
from ingest.naming import time_of
from ingest.sources import Found, OpenSource, open_source
from ingest.task import HeldBlock, TaskSource, content_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.model import Description
    from ingest.frames.content import FrameContent
    from ingest.granule import GranuleContent
    from ingest.task import Part

__all__ = ["Rereading", "check_sources", "reread"]


@dataclass(frozen=True, slots=True)
class Rereading:
    """How sources of an archive are read again.

    Parameters
    ----------
    options
        For the places of raw files, as fsspec takes them.
    find
        Returns where a source lies now with all files that it is made of; `None` if it is gone.
    hashed
        SHA-256 of files that were hashed before; those that are hashed now are added.
    """

    options: Mapping[str, Any]
    find: Callable[[Source], Found | None]
    hashed: dict[Found, str] = field(default_factory=dict)


def reread(row: Row, dataset: Dataset, files: Sequence[Source], how: Rereading) -> GranuleContent | FrameContent:
    """Return what the granule of a row was made of, read from its sources again.

    Parameters
    ----------
    files
        The sources; more than one may be of one content, and the first that can be read serves.

    Raises
    ------
    NotFound
        A source is not where it was, or is no longer the same.
    FormatError
        A source cannot be read.
    """
    if row.frames is not None:
        from ingest.frames.storing import reread_frames

        return reread_frames(row, dataset, files, lambda stack, sha: _found_again(stack, sha, files, how))
    hashes = dict.fromkeys(part.sha256 for part in row.sources)
    with ExitStack() as stack:
        opened = {sha: _opened_again(stack, sha, files, how) for sha in hashes}
        parts: list[Part] = []
        for part in row.sources:
            source, file, description = opened[part.sha256]
            held = HeldBlock(source, file, description, part.block, time_of(description.blocks[part.block]))
            parts.append((held, part.start, part.stop))
        if sum(stop - start for _, start, stop in parts) != row.time.size:
            raise NotFound(f"{row.key}: its samples are a choice from sources that overlap; they are not read again")
        return content_of(parts, row.time, dataset, files)


def check_sources(row: Row, files: Sequence[Source], how: Rereading) -> None:
    """Raise unless the sources of a row are still where they were, with the same content; see `reread`."""
    for sha in dict.fromkeys(part.sha256 for part in row.sources):
        with ExitStack() as stack:
            _found_again(stack, sha, files, how)


def _opened_again(
    stack: ExitStack, sha256: str, files: Sequence[Source], how: Rereading
) -> tuple[TaskSource, OpenSource, Description]:
    found, entered = _found_again(stack, sha256, files, how)
    kind = next(file.format for file in files if file.sha256 == sha256)
    source = TaskSource(found=found, format=kind, datasets=())
    return source, entered, open_format(format_named(kind)).describe(entered.file)


def _found_again(stack: ExitStack, sha256: str, files: Iterable[Source], how: Rereading) -> tuple[Found, OpenSource]:
    tried: list[str] = []
    for file in files:
        if file.sha256 != sha256:
            continue
        try:
            found = how.find(file)
            if found is None:
                tried.append(f"{file.url}: no such file")
                continue
            entered = stack.enter_context(open_source(found, how.options, digest=found not in how.hashed))
        except (StoreTrouble, SourceChanged) as error:
            tried.append(str(error))
            continue
        if how.hashed.setdefault(found, entered.sha256) == sha256:
            entered.sha256 = sha256
            return found, entered
        tried.append(f"{file.url}: is not the file that was ingested")
    raise NotFound("; ".join(tried) or f"the source with SHA-256 {sha256} is known under no name")
