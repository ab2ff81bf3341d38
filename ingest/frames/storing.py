"""Frames and asdf files of one task to granules."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from archive.cube.table import Document, FrameTable, unpack
from archive.errors import FormatError
from archive.index.commits import Source
from archive.index.layout import new_granule_key
from ingest.encoders import encoders
from ingest.fits import read_frame
from ingest.frames.content import FrameContent, write_document, write_frames
from ingest.frames.held import FrameGroup, Held
from ingest.frames.identity import identify_frame
from ingest.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.store import Store
    from ingest.sources import Found, Opener, OpenSource

__all__ = [
    "Content",
    "FrameJob",
    "FrameSource",
    "FramesStored",
    "PlaceKey",
    "check_belongs",
    "held_of",
    "place_key",
    "place_keys",
    "places_of",
    "reread_frames",
    "store_frames",
]

type PlaceKey = tuple[Any, ...]


class Content(NamedTuple):
    """A file by its name, and the SHA-256 of what is in it."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameJob:
    """What a task of frames needs to know beside its sources.

    Parameters
    ----------
    document
        Of a task that stores an asdf: what the index is to know of it, packed.
    time
        ns UTC of the dataset's first frame, where it stores an asdf.
    taken
        File that the archive has at each place near those of the task.
    """

    document: str | None = None
    time: int = 0
    taken: Mapping[PlaceKey, Content] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSource:
    """One file of a task, as in `ingest.task.TaskSource`; whether its earlier content stays for another file's sake."""

    found: Found
    copies: frozenset[str]
    earlier: str | None
    shared: bool
    anew: bool


@dataclass(slots=True)
class FramesStored:
    """What came of a task: rows, sources, what was refused, contents that the rows stand for, and which stay."""

    begun: float = field(default_factory=time.time)
    rows: list[Row] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    refused: list[tuple[FrameSource, FormatError]] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)


def place_key(tile: tuple[int, ...] | None, place: tuple[int, ...], moment: int) -> PlaceKey:
    """Return what no two frames of a dataset may share: the place, or the time in a series."""
    return (tile, *(place or (moment,)))


def place_keys(table: FrameTable) -> list[PlaceKey]:
    """Return the place of each frame of a granule."""
    places = table.places or ((),) * len(table.files)
    return [place_key(table.tile, place, moment) for place, moment in zip(places, table.times, strict=True)]


def places_of(row: Row) -> dict[PlaceKey, Content]:
    """Return the files of a granule by their places; none of an asdf."""
    table = unpack(row.frames or "")
    if isinstance(table, Document):
        return {}
    files = (Content(file, part.sha256) for file, part in zip(table.files, row.sources, strict=True))
    return dict(zip(place_keys(table), files, strict=True))


def held_of(content: bytes, url: str, dataset: Dataset, sha256: str) -> Held:
    """Return a frame ready to be stored.

    Parameters
    ----------
    content
        The whole file.
    sha256
        Of the content (hex).

    Raises
    ------
    FormatError
        It is damaged, or no frame of this dataset.
    """
    frame = read_frame(content, url.rpartition("/")[2], sha256)
    keywords = frame.keywords
    found = identify_frame(keywords, url)
    check_belongs(found.fingerprint, dataset, url)
    if frame.image.shape != found.image:
        raise FormatError(f"{url}: holds an image of {frame.image.shape}, not of {found.image}; set it aside")
    return Held.of_frame(frame, time=found.time, place=found.place, tile=found.tile, keywords=keywords)


def check_belongs(fingerprint: Mapping[str, Any], dataset: Dataset, url: str) -> None:
    """Raise unless a frame is one of a dataset.

    Raises
    ------
    FormatError
        It is not; the message says in what it differs.
    """
    wrong = [name for name, value in dataset.fingerprint.items() if fingerprint.get(name) != value]
    if wrong:
        told = "; ".join(f"{name} is {fingerprint.get(name)!r} and not {dataset.fingerprint[name]!r}" for name in wrong)
        raise FormatError(f"{url}: no frame of the dataset {dataset.name} ({told}); set it aside")


def store_frames(
    store: Store,
    dataset: Dataset,
    sources: Sequence[FrameSource],
    job: FrameJob,
    options: Mapping[str, Any],
    *,
    opener: Opener = open_source,
) -> FramesStored:
    """Put the granules of some frames, or of an asdf; what cannot be read is set aside."""
    done = FramesStored()
    held: list[Held] = []
    taking = _Taking(store, dataset, job, done, held, dict(job.taken))
    for source in sources:
        try:
            with opener(source.found, options, digest=False) as opened:
                content = opened.file.read()
            taking.take(source, content)
        except FormatError as error:
            done.refused.append((source, error))
    done.rows += _written(store, dataset, held, done)
    made: dict[str, list[str]] = {}
    for row in done.rows:
        for part in row.sources:
            made.setdefault(part.sha256, []).append(row.id)
    first: set[str] = set()
    for number, entry in enumerate(done.sources):
        if entry.sha256 not in first:
            done.sources[number] = replace(entry, rows=tuple(made.get(entry.sha256, ())))
        first.add(entry.sha256)
    return done


def reread_frames(
    row: Row,
    dataset: Dataset,
    files: Sequence[Source],
    opened: Callable[[ExitStack, str], tuple[Found, OpenSource]],
) -> FrameContent:
    """Return what the granule of a row was made of, read from its files again.

    Parameters
    ----------
    files
        The sources.
    opened
        Opens the source with a content (SHA-256) for as long as a stack lasts.

    Raises
    ------
    FormatError
        A file is no frame of the dataset.
    """
    table = unpack(row.frames or "")
    frames: list[Held] = []
    sources: list[Source] = []
    for part in row.sources:
        with ExitStack() as stack:
            found, file = opened(stack, part.sha256)
            content = file.file.read()
        sources.append(next(one for one in files if one.sha256 == part.sha256 and one.url == found.url))
        if isinstance(table, Document):
            return FrameContent(made_of=(content, table), files=tuple(sources))
        frames.append(held_of(content, found.url, dataset, hashlib.sha256(content).hexdigest()))
    return FrameContent(made_of=FrameGroup(tuple(frames)), files=tuple(sources))


@dataclass(slots=True)
class _Taking:
    """Takes in one file after the other."""

    store: Store
    dataset: Dataset
    job: FrameJob
    done: FramesStored
    held: list[Held]
    places: dict[PlaceKey, Content]
    seen: set[str] = field(default_factory=set)

    def take(self, source: FrameSource, content: bytes) -> None:
        """Take in a file: a frame to be written with the others, an asdf, or a copy of what is there.

        Raises
        ------
        FormatError
            It is damaged, no frame of the dataset, or claims the place of another.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        entry = _entry(source, sha256, self.dataset, "fits" if self.job.document is None else "asdf")
        if sha256 not in self.seen and (sha256 not in source.copies or source.anew):
            if self.job.document is not None:
                self.done.rows.append(_document(self.store, self.dataset, content, entry, self.job))
            else:
                frame = held_of(content, source.found.url, self.dataset, sha256)
                _claim(self.places, frame, source)
                self.held.append(frame)
        if source.earlier not in {None, sha256}:
            self.done.replaced.add(str(source.earlier))
            if source.shared:
                self.done.shared.add(str(source.earlier))
        if source.anew:
            self.done.replaced.add(sha256)
        self.seen.add(sha256)
        self.done.sources.append(entry)


def _entry(source: FrameSource, sha256: str, dataset: Dataset, kind: str) -> Source:
    found = source.found
    return Source(
        url=found.url, size=found.size, stamp=found.stamp, sha256=sha256, format=kind, version="", dataset=dataset.name
    )


def _claim(places: dict[PlaceKey, Content], frame: Held, source: FrameSource) -> None:
    """Note that a frame has a place, or raise if another has it."""
    key = place_key(frame.tile, frame.place, frame.time)
    other = places.get(key)
    if other is not None and other.sha256 != frame.sha256 and source.earlier is None and not source.anew:
        url, file = source.found.url, other.file
        raise FormatError(f"{url}: claims the place {key[1:]}, which {file} has; set one of them aside")
    places[key] = Content(frame.file, frame.sha256)


def _written(store: Store, dataset: Dataset, held: list[Held], done: FramesStored) -> list[Row]:
    groups = FrameGroup.kin(held)
    batch = [new_granule_key(dataset.name, min(one.time for one in group.frames)) for group in groups]
    batch += [row.key for row in done.rows]
    known = {source.sha256: source for source in done.sources}
    return [
        write_frames(
            store,
            dataset,
            group,
            files=[known[frame.sha256] for frame in group.frames],
            key=key,
            batch=batch,
            mapped=encoders().map,
            supersedes=tuple(sorted(done.replaced - known.keys() - done.shared)),
        )
        for key, group in zip(batch, groups, strict=False)
    ]


def _document(store: Store, dataset: Dataset, content: bytes, entry: Source, job: FrameJob) -> Row:
    document = unpack(job.document or "")
    assert isinstance(document, Document)  # noqa: S101 - the planner packed it
    return write_document(store, dataset, content, document, time=job.time, file=entry, mapped=encoders().map)
