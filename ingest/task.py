"""One task of an ingest: some sources to granules. Runs anywhere, and any number of times."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis
from archive.errors import FormatError
from archive.index.commits import Source
from archive.index.layout import new_granule_key
from archive.index.rows import Row, SourceRange
from archive.reading import LazyValues
from ingest.encoders import encoders
from ingest.formats import format_named, open_format
from ingest.granule import GranuleContent, write_granule
from ingest.headers import shared_once
from ingest.naming import fingerprint_of, time_of
from ingest.sources import Found, OpenSource, SourceOptions, open_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from archive.index.dataset import Dataset
    from archive.model import Block, Description
    from archive.store import Store
    from ingest.frames.storing import FrameJob
    from ingest.sources import Opener

__all__ = ["HeldBlock", "Part", "Refusal", "Task", "TaskResult", "TaskSource", "content_of", "run_task"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSource:
    """A source of a task.

    Parameters
    ----------
    found
        The file.
    format
        Name of its format.
    datasets
        Name of the dataset of each of its blocks.
    copies
        Contents (SHA-256) of the same size that the archive holds already.
    earlier
        Content that came in under the same URL before, where there was one.
    others
        Names of the other files that have that content.
    anew
        Store it anew, even if the archive holds the same content already.
    """

    found: Found
    format: str
    datasets: tuple[str, ...]
    copies: frozenset[str] = frozenset()
    earlier: str | None = None
    others: frozenset[str] = frozenset()
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Sources to be put into granules together: those of one dataset that start in one window.

    `frames` says more of a task whose sources are frames of a telescope. Neither its text nor its pickle holds
    credentials.
    """

    store: Store
    sources: tuple[TaskSource, ...]
    datasets: Mapping[str, Dataset]
    options: SourceOptions = field(default_factory=SourceOptions)
    frames: FrameJob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A source that was set aside, and why.

    Parameters
    ----------
    found
        The file.
    reason, kind
        What is wrong with it, and the class of the error.
    earlier
        Content (SHA-256) that came in under the same URL before, where there was one.
    """

    found: Found
    reason: str
    kind: str
    earlier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What came of a task.

    Parameters
    ----------
    rows, sources
        Rows not yet visible, and the sources that are in them.
    refusals
        What was refused.
    replaced
        Contents (SHA-256) that these rows stand for from now on: of files that have changed, or come anew.
    begun
        When its first granule was put at the earliest, s since 1970 by the worker's clock.
    """

    rows: tuple[Row, ...] = ()
    sources: tuple[Source, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    replaced: frozenset[str] = frozenset()
    begun: float = field(default_factory=time.time)


@dataclass(slots=True)
class HeldBlock:
    """One block of an open source."""

    source: TaskSource
    opened: OpenSource
    description: Description
    number: int
    time: TimeAxis

    @property
    def block(self) -> Block:
        """What the source says of it."""
        return self.description.blocks[self.number]

    def samples(self, start: int, stop: int) -> NDArray[Any]:
        """Return samples from `start` up to `stop` along time, read."""
        reader = open_format(format_named(self.source.format))
        window = (slice(start, stop), *(slice(0, length) for length in self.block.shape[1:]))
        return reader.read(self.opened.file, self.number, window)


type Part = tuple[HeldBlock, int, int]
"""Samples of a block, half-open."""


def run_task(task: Task, opener: Opener = open_source) -> TaskResult:
    """Put the granules of a task, and return the rows that a commit makes visible.

    A source that cannot be read is set aside, and the others go on without it.

    Parameters
    ----------
    opener
        Opens the sources.
    """
    if task.frames is not None:
        return _run_frames(task, task.frames, opener)
    refusals: list[Refusal] = []
    left = list(task.sources)
    while left:
        try:
            result = _attempt(task, left, opener)
        except _SourceFailed as failed:
            left.remove(failed.source)
            refusals.append(refusal_of(failed.source.found, failed.error, failed.source.earlier))
        else:
            return replace(result, refusals=tuple(refusals))
    return TaskResult(refusals=tuple(refusals))


def _run_frames(task: Task, job: FrameJob, opener: Opener) -> TaskResult:
    from ingest.frames.storing import FrameSource, store_frames

    ((_, dataset),) = task.datasets.items()
    here = {one.found.url for one in task.sources}
    sources = [
        FrameSource(
            found=one.found, copies=one.copies, earlier=one.earlier, shared=not one.others <= here, anew=one.anew
        )
        for one in task.sources
    ]
    done = store_frames(task.store, dataset, sources, job, task.options, opener=opener)
    return TaskResult(
        rows=tuple(done.rows),
        sources=tuple(done.sources),
        refusals=tuple(refusal_of(source.found, error, source.earlier) for source, error in done.refused),
        replaced=frozenset(done.replaced),
        begun=done.begun,
    )


def refusal_of(found: Found, error: Exception, earlier: str | None) -> Refusal:
    """Return why a file is set aside, in one line."""
    return Refusal(found=found, reason=" ".join(str(error).split()), kind=type(error).__name__, earlier=earlier)


class _SourceFailed(Exception):
    def __init__(self, source: TaskSource, error: Exception) -> None:
        super().__init__(str(error))
        self.source, self.error = source, error


def _attempt(task: Task, sources: Iterable[TaskSource], opener: Opener) -> TaskResult:
    """Return rows and ledger entries for sources that are all taken to be good."""
    begun = time.time()
    held: list[HeldBlock] = []
    opened: dict[str, tuple[TaskSource, OpenSource]] = {}
    copies: list[tuple[TaskSource, str]] = []
    replaced: set[str] = set()
    shared: set[str] = set()  # with files that are as they were
    here = {source.found.url for source in task.sources}
    current: list[TaskSource] = []
    versions: dict[str, str] = {}
    with ExitStack() as stack:
        for source in sources:
            current[:] = [source]
            try:
                entered = stack.enter_context(_guarded(opener(source.found, task.options), source))
                if source.earlier not in {None, entered.sha256}:
                    replaced.add(str(source.earlier))
                    if not source.others <= here:
                        shared.add(str(source.earlier))
                if source.anew:
                    replaced.add(entered.sha256)
                if (entered.sha256 in source.copies and not source.anew) or entered.sha256 in opened:
                    copies.append((source, entered.sha256))
                    continue
                opened[entered.sha256] = (source, entered)
                description = _described(source, entered)
                versions[entered.sha256] = description.version
                held.extend(
                    HeldBlock(source, entered, description, number, time_of(block))
                    for number, block in enumerate(description.blocks)
                    if block.shape[0]
                )
            except FormatError as error:
                raise _SourceFailed(source, error) from error
        files = _files(opened, copies, versions)
        rows = _write(task, held, files, tuple(sorted(replaced - opened.keys() - shared)))
    made: dict[str, list[str]] = {}
    for row in rows:
        for part in row.sources:
            made.setdefault(part.sha256, []).append(row.id)
    first = {source.sha256: source.url for source in reversed(files)}  # a copy of a source made no rows
    return TaskResult(
        rows=tuple(rows),
        sources=tuple(
            replace(source, rows=tuple(dict.fromkeys(made.get(source.sha256, ()))))
            if first[source.sha256] == source.url
            else source
            for source in files
        ),
        replaced=frozenset(replaced),
        begun=begun,
    )


def _files(
    opened: Mapping[str, tuple[TaskSource, OpenSource]],
    copies: Iterable[tuple[TaskSource, str]],
    versions: Mapping[str, str],
) -> list[Source]:
    """Return the ledger's entry for each source, without its rows; copies last."""
    entries = [*((source, sha) for sha, (source, _) in opened.items()), *copies]
    return [
        Source(
            url=source.found.url,
            size=source.found.size,
            stamp=source.found.stamp,
            sha256=sha,
            format=source.format,
            version=versions.get(sha, ""),
            dataset=source.datasets[0] if source.datasets else "",
        )
        for source, sha in entries
    ]


class _guarded:  # noqa: N801 - a context manager, used like a function
    """Turns what a source raises when it is opened or closed into an error that names it."""

    def __init__(self, manager: Any, source: TaskSource) -> None:
        self._manager, self._source = manager, source

    def __enter__(self) -> Any:
        return self._manager.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return self._manager.__exit__(kind, error, trace)
        except FormatError as failed:
            raise _SourceFailed(self._source, failed) from failed


def _described(source: TaskSource, opened: OpenSource) -> Description:
    description = opened.description(format_named(source.format))
    if len(description.blocks) != len(source.datasets):
        raise FormatError(
            f"{source.found.url}: holds {len(description.blocks)} blocks, not {len(source.datasets)} as before"
        )
    return description


def _write(task: Task, held: list[HeldBlock], files: Iterable[Source], supersedes: tuple[str, ...]) -> list[Row]:
    pieces: list[tuple[Dataset, list[Part], TimeAxis]] = []
    by_dataset: dict[str, list[HeldBlock]] = {}
    for item in held:
        by_dataset.setdefault(item.source.datasets[item.number], []).append(item)
    for name, items in sorted(by_dataset.items()):
        dataset = task.datasets[name]
        for item in items:
            _check_fits(item, dataset)
        for group in _contiguous(items, dataset):
            pieces.extend((dataset, parts, time) for parts, time in _pieces(group, dataset))
    batch = [new_granule_key(dataset.name, time.first) for dataset, _, time in pieces]
    mapped = encoders().map
    return [
        write_granule(
            task.store,
            dataset,
            replace(content_of(parts, time, dataset, files), supersedes=supersedes),
            key=key,
            batch=batch,
            mapped=mapped,
        )
        for key, (dataset, parts, time) in zip(batch, pieces, strict=True)
    ]


def _check_fits(item: HeldBlock, dataset: Dataset) -> None:
    if fingerprint_of(item.block)["channels"] != dataset.fingerprint["channels"] or item.block.dtype != dataset.dtype:
        error = FormatError(f"{item.source.found.url}: has other channels than the dataset {dataset.name}")
        raise _SourceFailed(item.source, error)


def _contiguous(items: list[HeldBlock], dataset: Dataset) -> list[list[HeldBlock]]:
    """Return the blocks in groups that follow each other within half a step; what overlaps stands apart."""
    groups: list[list[HeldBlock]] = []
    last: list[int] = []
    step = dataset.step
    for item in sorted(items, key=lambda held: (held.time.first, held.opened.sha256)):
        for number, end in enumerate(last):
            if abs(item.time.first - end - step) <= step / 2:
                groups[number].append(item)
                last[number] = item.time.last
                break
        else:
            groups.append([item])
            last.append(item.time.last)
    return groups


def _pieces(group: list[HeldBlock], dataset: Dataset) -> Iterator[tuple[list[Part], TimeAxis]]:
    """Yield which samples go into each granule of a group: one, or one for each window if the group is long."""
    time = TimeAxis.concatenate(item.time for item in group)
    starts = np.cumsum([0, *(item.time.size for item in group)])
    cuts = [0, time.size]
    if time.last - time.first > dataset.window * 3 // 2:
        lines = range(-(-time.first // dataset.window) * dataset.window, time.last, dataset.window)
        cuts = sorted({0, time.size, *(time.find(line) for line in lines)})
    for start, stop in itertools.pairwise(cuts):
        parts = [
            (item, max(start - int(begin), 0), min(stop - int(begin), item.time.size))
            for item, begin in zip(group, starts, strict=False)
            if begin < stop and begin + item.time.size > start
        ]
        yield parts, time.cut(start, stop)


def content_of(parts: list[Part], time: TimeAxis, dataset: Dataset, files: Iterable[Source]) -> GranuleContent:
    """Return what a granule of some samples is to hold."""
    samples = np.empty((time.size, *dataset.widths), dtype=dataset.dtype)
    done = 0
    for item, start, stop in parts:
        try:
            samples[done : done + stop - start] = item.samples(start, stop)
        except FormatError as error:
            raise _SourceFailed(item.source, error) from error
        done += stop - start
    hashes = {item.opened.sha256 for item, _, _ in parts}
    names = {name for item, _, _ in parts for name, coord in item.block.coords.items() if coord.dims == ("time",)}
    return GranuleContent(
        samples=samples,
        time=time,
        sources=tuple(SourceRange(item.opened.sha256, item.number, start, stop) for item, start, stop in parts),
        recorded={
            name: np.concatenate([_stamps(item, name, start, stop) for item, start, stop in parts])
            for name in sorted(names - {"time"})
        },
        attrs=_differences([item.block.attrs for item, _, _ in parts], dataset),
        headers=shared_once({item.opened.sha256: item.description.header for item, _, _ in parts}),
        files=tuple(source for source in files if source.sha256 in hashes),
    )


def _stamps(item: HeldBlock, name: str, start: int, stop: int) -> NDArray[np.int64]:
    coord = item.block.coords[name] if name in item.block.coords else item.block.coords["time"]
    values = coord.values[slice(start, stop)]
    assert not isinstance(values, LazyValues)  # noqa: S101 - readers give values that are there
    return np.asarray(values.to_numpy()).astype("datetime64[ns]").astype(np.int64)


def _differences(all_attrs: list[Mapping[str, Any]], dataset: Dataset) -> dict[str, Any]:
    """Return the attributes in which the sources agree with each other and differ from the dataset."""
    different: dict[str, Any] = {}
    for name in sorted({*dataset.attrs, *(key for attrs in all_attrs for key in attrs)}):
        values = {repr(attrs.get(name)): attrs.get(name) for attrs in all_attrs}
        value = next(iter(values.values())) if len(values) == 1 else None
        if value != dataset.attrs.get(name):
            different[name] = value
    return different
