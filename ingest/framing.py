"""From FITS files to tasks: each folder's frames and asdf, sorted into datasets and granules, nothing written yet."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.table import Document, DocumentTile
from archive.errors import FormatError, FramesAwaited
from ingest.fits import read_keywords
from ingest.frames import describe_asdf
from ingest.frames.identity import (
    FrameIdentity,
    dataset_of_frames,
    frames_per_granule,
    identify_frame,
    name_of,
    window_of,
)
from ingest.frames.storing import FrameJob, check_belongs, place_key
from ingest.sources import open_source
from ingest.task import Refusal, TaskSource, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from archive.index.dataset import Dataset
    from ingest.frames import FrameSet
    from ingest.frames.storing import Content, PlaceKey
    from ingest.index.ledger import Ledger
    from ingest.places import Places
    from ingest.settings import Settings
    from ingest.sources import Found, Opener

__all__ = ["FramePlanner", "PlannedFrames"]

_ASDF = ".asdf"
_READERS = 8


@dataclass(frozen=True, slots=True)
class PlannedFrames:
    """One task: frames for one granule (or few), or an asdf; the bytes of their pixels, raw, and their places."""

    sources: tuple[TaskSource, ...]
    job: FrameJob
    samples: int
    places: tuple[PlaceKey, ...] = ()

    @property
    def keys(self) -> set[tuple[str, PlaceKey]]:
        """The places, each with the name of its dataset."""
        (name,) = self.sources[0].datasets
        return {(name, place) for place in self.places}


@dataclass(frozen=True, slots=True)
class _Looked:
    found: Found
    identity: FrameIdentity


@dataclass(slots=True, kw_only=True)
class FramePlanner:
    """Plans the ingest of frames, folder by folder.

    Parameters
    ----------
    found
        Files that `ingest.sources.without_frames` told apart.
    places
        The archive as it is, and what it has at which places.
    whole
        Whether these are all files of their folders, so that an asdf tells which frames may lie beside it.
    opener
        Opens the files.

    Attributes
    ----------
    datasets
        Each dataset that has been met, by name, as it is known or as its frames propose it.
    refusals, known
        Files that cannot be taken, and how many the archive has already, so far.
    """

    found: Sequence[Found]
    ledger: Ledger
    settings: Settings
    lives: Mapping[str, int]
    places: Places
    whole: bool = True
    opener: Opener = open_source
    advance: Callable[[], None] = lambda: None
    datasets: dict[str, Dataset] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    known: int = 0

    def groups(self) -> Generator[PlannedFrames]:
        """Yield the tasks."""
        folders: dict[str, list[Found]] = defaultdict(list)
        for file in self.found:
            folders[file.url.rpartition("/")[0]].append(file)
        for _, files in sorted(folders.items()):
            yield from self._folder(files)

    def _folder(self, files: Sequence[Found]) -> Generator[PlannedFrames]:
        fresh = [file for file in files if self._wanted(file)]
        if not fresh:
            return
        asdfs = [file for file in files if file.url.lower().endswith(_ASDF)]
        described = [(file, told) for file in asdfs if (told := self._described(file, fresh=file in fresh))]
        frames = [file for file in fresh if file not in asdfs]
        sets: dict[str, list[_Looked]] = defaultdict(list)
        names = {_name(told) for _, told in described}
        for looked in self._looks(frames):
            if self.whole and names and looked.identity.name not in names:
                there = f"but its folder holds the asdf of {', '.join(sorted(names))}; set it aside"
                error = FormatError(f"{looked.found.url}: is of the dataset {looked.identity.name}, {there}")
                self._refuse(looked.found, error)
            else:
                sets[self.settings.dataset or looked.identity.name].append(looked)
        for name, members in sorted(sets.items()):
            yield from self._dataset(name, members)
        for file, told in described:
            if file in fresh:
                yield from self._document(file, told)

    def _wanted(self, file: Found) -> bool:
        if self.settings.anew or self.ledger.seen(file.url, file.size, file.stamp) is None:
            return True
        self.known += 1
        self.advance()
        return False

    def _refuse(self, file: Found, error: Exception) -> None:
        self.refusals.append(refusal_of(file, error, self._earlier(file)))

    def _earlier(self, file: Found) -> str | None:
        earlier = self.ledger.earlier(file.url)
        return None if earlier is None else earlier.sha256

    # -- looking --------------------------------------------------------------------------------

    def _looks(self, frames: Sequence[Found]) -> list[_Looked]:
        with ThreadPoolExecutor(_READERS, thread_name_prefix="lightkeep-headers") as pool:
            looks = list(pool.map(self._look, frames))
        taken = []
        for file, look in zip(frames, looks, strict=True):
            self.advance()
            if isinstance(look, FormatError):
                self._refuse(file, look)
            else:
                taken.append(look)
        return taken

    def _look(self, file: Found) -> _Looked | FormatError:
        try:
            with self.opener(file, self.settings.options, digest=False) as opened:
                keywords = read_keywords(opened.file, file.size, file.url)
            return _Looked(file, identify_frame(keywords, file.url))
        except FormatError as error:
            return error

    def _described(self, file: Found, *, fresh: bool) -> FrameSet | None:
        """Return what an asdf says; one that cannot be read is set aside, and its frames come in without it."""
        try:
            with self.opener(file, self.settings.options, digest=False) as opened:
                return describe_asdf(opened.file.read(), file.url)
        except FormatError as error:
            if fresh:
                self._refuse(file, error)
            return None
        finally:
            if fresh:
                self.advance()

    # -- datasets -------------------------------------------------------------------------------

    def _dataset(self, name: str, members: Sequence[_Looked]) -> Generator[PlannedFrames]:
        """Yield the tasks of the frames of one dataset: those that most of them, or the archive, take for it."""
        dataset = self._known(name)
        if dataset is None:
            votes = Counter(json.dumps(one.identity.fingerprint, sort_keys=True) for one in members)
            common = votes.most_common(1)[0][0]
            example = next(
                one.identity for one in members if json.dumps(one.identity.fingerprint, sort_keys=True) == common
            )
            dataset = dataset_of_frames(
                example,
                name=name,
                codec=self.settings.codec,
                layout=self.settings.layout,
                incarnation=self.lives.get(name, 1),
            )
        self.datasets[name] = dataset
        taken = {} if self.settings.anew else self.places.of(name)
        windows: dict[tuple[Any, ...], list[_Looked]] = defaultdict(list)
        places: dict[PlaceKey, str] = {}
        for number, one in enumerate(sorted(members, key=_order)):
            try:
                check_belongs(one.identity.fingerprint, dataset, one.found.url)
                self._claim(places, one)
            except FormatError as error:
                self._refuse(one.found, error)
            else:
                windows[_window(one.identity, dataset, number)].append(one)
        for members_ in windows.values():
            yield self._task(name, members_, taken)

    def _known(self, name: str) -> Dataset | None:
        return self.datasets.get(name) or self.places.view.datasets().get(name)

    def _claim(self, places: dict[PlaceKey, str], one: _Looked) -> None:
        found, url = one.identity, one.found.url
        key = place_key(found.tile, found.place, found.time)
        if key in places:
            raise FormatError(f"{places[key]} and {url} both claim the place {key[1:]}; set one of them aside")
        places[key] = url

    def _task(self, name: str, members: Sequence[_Looked], taken: Mapping[PlaceKey, Content]) -> PlannedFrames:
        keys = [place_key(one.identity.tile, one.identity.place, one.identity.time) for one in members]
        samples = sum(prod(one.identity.image) for one in members) * self.datasets[name].dtype.itemsize
        return PlannedFrames(
            sources=tuple(self._source(one.found, name, "fits") for one in members),
            job=FrameJob(taken={key: taken[key] for key in keys if key in taken}),
            samples=samples,
            places=tuple(keys),
        )

    def _source(self, file: Found, name: str, kind: str) -> TaskSource:
        return TaskSource(
            found=file,
            format=kind,
            datasets=(name,),
            copies=self.ledger.hashes_of_size(file.size),
            earlier=self._earlier(file),
            others=self.ledger.others(file.url),
            anew=self.settings.anew,
        )

    def _document(self, file: Found, told: FrameSet) -> Generator[PlannedFrames]:
        name = self.settings.dataset or _name(told)
        dataset = self._known(name)
        if dataset is None:
            self._refuse(file, FramesAwaited(f"{file.url}: an asdf without any of its frames; ingest them with it"))
            return
        self.datasets[name] = dataset
        shape = told.tiles[0].shape
        if tuple(dataset.fingerprint["shape"]) != shape:
            wanted = tuple(dataset.fingerprint["shape"])
            error = f"{file.url}: tells of a cube of {shape}, but its frames are of {wanted}; set it aside"
            self._refuse(file, FormatError(error))
            return
        job = FrameJob(document=_document_of(told, file).pack(), time=_first_time(told, dataset))
        yield PlannedFrames(sources=(self._source(file, name, "asdf"),), job=job, samples=0)


def _order(one: _Looked) -> tuple[Any, ...]:
    return (one.identity.tile or (), one.identity.place, one.identity.time, one.found.url)


def _name(told: FrameSet) -> str:
    return name_of(told.name)


def _window(found: FrameIdentity, dataset: Dataset, number: int) -> tuple[Any, ...]:
    """Return which granule a frame goes to: by its place, in a series by its number."""
    if not found.place:
        return (None, number // frames_per_granule(dataset))
    return window_of(found.tile, found.place, dataset)


def _first_time(told: FrameSet, dataset: Dataset) -> int:
    """Return the time of the first frame that an asdf tells of, ns UTC."""
    frames = told.tiles[0].frames
    times = [str(value) for value in frames.column(dataset.fingerprint["time"])]
    return int(np.datetime64(min(times).removesuffix("Z"), "ns").astype(np.int64))


def _document_of(told: FrameSet, file: Found) -> Document:
    tile = told.tiles[0]
    first = None
    key = f"DINDEX{len(tile.shape)}"
    if key in tile.frames.names and (tile.grid >= 0).any():
        place = np.argwhere(tile.grid == 0)[0]
        start = int(tile.frames.column(key)[0]) - int(place[0])
        first = start if start in {0, 1} else None
    documents = json.loads(json.dumps(dict(told.documents), default=str))
    return Document(
        name=file.url.rpartition("/")[2],
        first=first,
        tiles=tuple(DocumentTile(place=one.place, wcs=one.wcs) for one in told.tiles),
        documents=documents,
    )
