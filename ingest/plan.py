"""From files to tasks: described, sorted into datasets and windows, nothing written yet."""

from __future__ import annotations

import re
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archive.errors import InvalidInput
from archive.index.layout import check_dataset_name
from ingest.gather import Loose
from ingest.looking import Looker, gathered, waits_for_others
from ingest.naming import check_same
from ingest.task import Refusal, TaskSource, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from archive.index.dataset import Dataset
    from ingest.index.ledger import Ledger
    from ingest.looking import Described
    from ingest.settings import Settings
    from ingest.sources import Found

__all__ = ["IngestPlan", "PlannedGroup", "Planner", "make_plan"]

_DESCRIBERS = 4
_DESCRIBED_AHEAD = 16
_LATER_OF_DATASET = 4  # files of the same dataset in other windows, after which a group counts as full
_LATER_OF_ALL = 64  # files of any dataset


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
        self._known, self._advance = known, advance
        self._looker = Looker(ledger, settings, lives or {})
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

    def _described(self, *, refuse: bool) -> Iterator[Described]:
        """Yield the sources that can be taken, in order, and keep count of the others.

        Files that may be parts of one source come last, together with those that they belong to.
        """
        waiting: list[tuple[Found, Loose | Refusal | str]] = []
        with ThreadPoolExecutor(_DESCRIBERS, thread_name_prefix="lightkeep-describe") as pool:
            for file, look in self._looks(pool, self._fresh()):
                self._advance()
                if waits_for_others(look):
                    waiting.append((file, look))
                elif one := self._taken(look, refuse=refuse):
                    yield one
            alone, joined = gathered(waiting)
            for look in alone:
                if one := self._taken(look, refuse=refuse):
                    yield one
            for _, look in self._looks(pool, self._new(joined)):
                if one := self._taken(look, refuse=refuse):
                    yield one

    def _taken(self, look: Loose | Refusal | str, *, refuse: bool) -> Described | None:
        """Return a source if it can be taken, else note why not."""
        outcome = self._looker.propose(look) if isinstance(look, Loose) else look
        if isinstance(outcome, Refusal):
            self.refusals.append(outcome)
        elif isinstance(outcome, str):
            self.ignored.append(outcome)
        else:
            try:
                for name, proposed in outcome.datasets.items():
                    check_same(self.datasets.setdefault(name, self._known.get(name, proposed)), proposed)
            except InvalidInput as error:
                if not refuse:
                    raise
                self.refusals.append(refusal_of(outcome.source.found, error, outcome.source.earlier))
            else:
                return outcome
        return None

    def _looks(self, pool: ThreadPoolExecutor, files: Iterable[Found]) -> Iterator[tuple[Found, Loose | Refusal | str]]:
        """Look at files in threads, a few ahead, and yield what they say in their order."""
        waiting: deque[tuple[Found, Future[Loose | Refusal | str]]] = deque()
        try:
            for file in files:
                waiting.append((file, pool.submit(self._looker.look, file)))
                if len(waiting) > _DESCRIBED_AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _new(self, joined: Iterable[Found]) -> Iterator[Found]:
        """Yield the sources of several files that the archive does not have; count the files of the others."""
        known: set[str] = set()
        for file in joined:
            if self._wanted(file):
                yield file
            else:
                known.update(part.url for part in file.parts)
        self.known += len(known)

    def _wanted(self, file: Found) -> bool:
        return self._settings.anew or self._ledger.seen(file.url, file.size, file.stamp) is None

    def _fresh(self) -> Iterator[Found]:
        for file in sorted(self._found, key=_by_name):
            if self._wanted(file):
                yield file
            else:
                self.known += 1
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
