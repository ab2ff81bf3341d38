"""From files to tasks: described, sorted into datasets and windows, nothing written yet."""

from __future__ import annotations

import re
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from archive.errors import FormatError, InvalidInput
from archive.index.layout import check_dataset_name
from ingest.formats import FORMATS, format_named, identify, open_format
from ingest.naming import dataset_of, time_of
from ingest.sources import Found, open_source
from ingest.task import Refusal, TaskSource, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from archive.index.dataset import Dataset
    from ingest.ledger import Ledger

__all__ = ["IngestPlan", "PlannedGroup", "Planner", "Settings", "check_same", "make_plan"]

_DESCRIBERS = 4
_DESCRIBED_AHEAD = 16
_LATER_OF_DATASET = 4  # files of the same dataset in other windows, after which a group counts as full
_LATER_OF_ALL = 64  # files of any dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user decides about an ingest.

    Parameters
    ----------
    dataset
        Name for all of it; `None` names each acquisition by its fingerprint.
    codec
        `"pcodec"` or `"portable"`, for datasets that are new.
    format
        Name of the raw format, where it is not to be found out.
    options
        For the places of raw files, as fsspec takes them.
    anew
        Read files again that the archive has, and replace what it made of them.
    """

    dataset: str | None = None
    codec: str = "pcodec"
    format: str | None = None
    options: Mapping[str, Any] | None = field(default=None, repr=False)
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestPlan:
    """What an ingest would do.

    Parameters
    ----------
    groups
        The sources of each task.
    datasets
        What is proposed for each dataset, by name.
    refusals
        Files that cannot be taken.
    ignored
        Files in folders that no format knows, by content or by name.
    known
        How many files the archive has already.
    samples
        Bytes of samples, raw.
    """

    groups: tuple[tuple[TaskSource, ...], ...]
    datasets: Mapping[str, Dataset]
    refusals: tuple[Refusal, ...]
    ignored: tuple[str, ...]
    known: int
    samples: int

    @property
    def sources(self) -> int:
        """Number of files to be read."""
        return sum(len(group) for group in self.groups)


@dataclass(frozen=True, slots=True)
class _Described:
    source: TaskSource
    datasets: Mapping[str, Dataset]
    window: tuple[str, int]
    samples: int


@dataclass(slots=True)
class _Group:
    """Sources of one window so far, and how many files had been seen when the last of them came."""

    sources: list[TaskSource] = field(default_factory=list)
    samples: int = 0
    of_all: int = 0
    of_dataset: int = 0


class Planner:
    """Plans as a stream: describes files in the order of their names, and hands out groups as they fill up.

    A group, the files of one dataset that start in one window, is handed out when enough later files went
    elsewhere. A file that comes after that makes a group of its own: a smaller granule, and nothing worse.
    What is held at a time does not grow with the number of files.

    Parameters
    ----------
    found
        The files.
    ledger
        What the archive has: files under the same name with the same size and stamp are not opened.
    known
        What is fixed for each dataset of the archive, by name.
    lives
        Incarnation of each dataset that is not in its first.
    advance
        Called for each file that has been looked at.

    Attributes
    ----------
    datasets
        Each dataset that has been met, by name, as it is known or as its first file proposes it.
    refusals, ignored
        Files that cannot be taken, and files in folders that no format knows, so far.
    known
        How many files the archive has already, so far.
    """

    def __init__(
        self,
        found: Sequence[Found],
        ledger: Ledger,
        settings: Settings,
        *,
        known: Mapping[str, Dataset],
        lives: Mapping[str, int] | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        if settings.dataset is not None:
            check_dataset_name(settings.dataset)
        self._found, self._ledger, self._settings = found, ledger, settings
        self._known, self._lives, self._advance = known, lives or {}, advance
        self.datasets: dict[str, Dataset] = {}
        self.refusals: list[Refusal] = []
        self.ignored: list[str] = []
        self.known = 0

    def groups(self) -> Generator[PlannedGroup]:
        """Yield the sources of each task; what comes next is described when it is asked for, a few files ahead.

        Raises
        ------
        InvalidInput
            Two acquisitions were to go under one name.
        """
        filling: dict[tuple[str, int], _Group] = {}
        seen: Counter[str] = Counter()
        for one in self._described(refuse=False):
            name = one.window[0]
            seen[name] += 1
            group = filling.setdefault(one.window, _Group())
            group.sources.append(one.source)
            group.samples += one.samples
            group.of_all, group.of_dataset = seen.total(), seen[name]
            for window, other in list(filling.items()):
                of_dataset = seen[window[0]] - other.of_dataset
                if of_dataset >= _LATER_OF_DATASET or group.of_all - other.of_all >= _LATER_OF_ALL:
                    yield _planned(filling.pop(window))
        for group in filling.values():
            yield _planned(group)

    def apart(self) -> Iterator[TaskSource]:
        """Yield each source by itself; one of another acquisition than its name's is refused."""
        for one in self._described(refuse=True):
            yield one.source

    def _described(self, *, refuse: bool) -> Iterator[_Described]:
        """Yield the files that can be taken, in order, and keep count of the others."""
        for look in self._looks():
            if isinstance(look, Refusal):
                self.refusals.append(look)
            elif isinstance(look, str):
                self.ignored.append(look)
            else:
                try:
                    self._meet(look.datasets)
                except InvalidInput as error:
                    if not refuse:
                        raise
                    self.refusals.append(refusal_of(look.source.found, error, look.source.earlier))
                else:
                    yield look

    def _meet(self, datasets: Mapping[str, Dataset]) -> None:
        for name, proposed in datasets.items():
            check_same(self.datasets.setdefault(name, self._known.get(name, proposed)), proposed)

    def _looks(self) -> Iterator[_Described | Refusal | str]:
        waiting: deque[Future[_Described | Refusal | str]] = deque()
        with ThreadPoolExecutor(_DESCRIBERS, thread_name_prefix="lightkeep-describe") as pool:
            try:
                for file in self._fresh():
                    waiting.append(pool.submit(self._look, file))
                    if len(waiting) > _DESCRIBED_AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _fresh(self) -> Iterator[Found]:
        for file in sorted(self._found, key=_by_name):
            if self._settings.anew or self._ledger.seen(file.url, file.size, file.stamp) is None:
                yield file
            else:
                self.known += 1
                self._advance()

    def _look(self, file: Found) -> _Described | Refusal | str:
        try:
            return _describe(file, self._ledger, self._settings, self._lives)
        except FormatError as error:
            suffix = PurePosixPath(file.url).suffix.lower()
            known = any(suffix in kind.suffixes for kind in FORMATS)
            earlier = self._ledger.earlier(file.url)
            held = None if earlier is None else earlier.sha256
            return refusal_of(file, error, held) if file.named or known else file.url
        finally:
            self._advance()


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """The sources of one task, and the bytes of their samples, raw."""

    sources: tuple[TaskSource, ...]
    samples: int


def _planned(group: _Group) -> PlannedGroup:
    return PlannedGroup(tuple(group.sources), group.samples)


def _by_name(file: Found) -> tuple[list[tuple[int, str]], str]:
    """Return what sorts names as people number them: 2 before 10, with or without leading zeros."""
    parts = re.split(r"([0-9]+)", file.url)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], file.url


def make_plan(planner: Planner) -> IngestPlan:
    """Return the whole plan of what an ingest would do.

    Raises
    ------
    InvalidInput
        Two acquisitions were to go under one name.
    """
    groups = list(planner.groups())
    return IngestPlan(
        groups=tuple(group.sources for group in groups),
        datasets=planner.datasets,
        refusals=tuple(planner.refusals),
        ignored=tuple(planner.ignored),
        known=planner.known,
        samples=sum(group.samples for group in groups),
    )


def check_same(held: Dataset, proposed: Dataset) -> None:
    """Raise unless two acquisitions are one.

    Raises
    ------
    InvalidInput
        They differ; the message says in what.
    """
    different = [
        f"{name}: {held.fingerprint.get(name)} and {proposed.fingerprint.get(name)}"
        for name in sorted({*held.fingerprint, *proposed.fingerprint})
        if held.fingerprint.get(name) != proposed.fingerprint.get(name)
    ]
    if different:
        raise InvalidInput(
            f"two acquisitions cannot share the name {held.name!r} ({'; '.join(different)}); "
            "leave out --dataset, or ingest them apart under two names"
        )


def _describe(file: Found, ledger: Ledger, settings: Settings, lives: Mapping[str, int]) -> _Described:
    with open_source(file, settings.options, digest=False) as opened:
        kind = format_named(settings.format) if settings.format else identify(opened.file, file.url)
        description = open_format(kind).describe(opened.file)
    earlier = ledger.earlier(file.url)
    proposed: dict[str, Dataset] = {}
    names: list[str] = []
    for block in description.blocks:
        dataset = dataset_of(block, kind.name, name=settings.dataset, codec=settings.codec)
        dataset = dataset.reborn(lives.get(dataset.name, 1))
        names.append(dataset.name)
        check_same(proposed.setdefault(dataset.name, dataset), dataset)
    blocks = [block for block in description.blocks if block.shape[0]]
    if not blocks:
        raise FormatError(f"{file.url}: holds no samples; set it aside")
    home = proposed[names[description.blocks.index(blocks[0])]]
    return _Described(
        source=TaskSource(
            found=file,
            format=kind.name,
            datasets=tuple(names),
            copies=ledger.hashes_of_size(file.size),
            earlier=None if earlier is None else earlier.sha256,
            anew=settings.anew,
        ),
        datasets=proposed,
        window=(home.name, time_of(blocks[0]).first // home.window),
        samples=sum(prod(block.shape) * block.dtype.itemsize for block in blocks),
    )
