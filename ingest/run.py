"""Ingest: scan, plan, run the tasks, commit what is done, fold."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archive.errors import Conflict, StoreTrouble
from archive.index import layout
from archive.index.commits import Commit, Source
from archive.index.dataset import Dataset
from archive.index.sealed import seal, unseal
from archive.view import View, open_view
from ingest.index.fold import FoldPace
from ingest.index.ledger import Ledger, read_segments
from ingest.keeping.correct import correct
from ingest.keeping.supersede import supersede
from ingest.naming import check_same
from ingest.places import Places
from ingest.plan import IngestPlan, Planner, make_plan
from ingest.quarantine import set_aside
from ingest.settings import Settings
from ingest.sources import SourceOptions, open_source, scan, without_frames
from ingest.task import Refusal, Task, TaskResult, TaskSource
from ingest.workers import Hiring, completed, hired

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from concurrent.futures import Executor

    from archive.index.rows import Row
    from archive.index.snapshot import Snapshot
    from archive.store import Store
    from ingest.framing import FramePlanner
    from ingest.sources import Found, Opener

__all__ = ["IngestReport", "Progress", "ingest", "ingest_found", "plan_ingest"]

_STALE_SECONDS = 12 * 3600.0  # half of the age at which gc takes what no commit names


@dataclass(slots=True, kw_only=True)
class IngestReport:
    """What an ingest did.

    Parameters
    ----------
    sources, known, granules
        Files read, files that were in the archive already, granules written.
    refusals, ignored
        Files set aside, and files in folders that are no raw data.
    raw, stored
        Bytes of samples, raw and as stored.
    commits, snapshot
        Commits made, and the snapshot they were folded into.
    datasets
        Names of the datasets that got something.
    seconds
        Time it took.
    """

    sources: int = 0
    known: int = 0
    granules: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    ignored: tuple[str, ...] = ()
    raw: int = 0
    stored: int = 0
    commits: int = 0
    snapshot: int | None = None
    datasets: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        held = {name: getattr(self, name) for name in self.__slots__}
        refused = [{"url": refusal.found.url, "reason": refusal.reason} for refusal in self.refusals]
        return {**held, "refusals": refused, "ignored": list(self.ignored)}


@dataclass(frozen=True, slots=True)
class Progress:
    """Told how an ingest goes on; each is called with what has been added."""

    looked: Callable[[int], None] = lambda _: None
    planned: Callable[[int, int], None] = lambda _files, _bytes: None
    done: Callable[[int], None] = lambda _: None


def read_ledger(view: View) -> Ledger:
    """Return the ledger of sources as a view has it."""
    view.settle()  # first: what was folded since it was opened is in the ledger of a newer snapshot
    ledger = Ledger(read_segments(view.store, view.snapshot.ledger))
    for commit in view.commits:
        for source in commit.sources:
            ledger.add(source)
    return ledger


def plan_ingest(
    store: Store, places: Sequence[str], settings: Settings, progress: Progress | None = None
) -> tuple[IngestPlan, View, Ledger]:
    """Return what an ingest would do, and the view and ledger that it was planned with."""
    progress = progress or Progress()
    view = open_view(store)
    ledger = read_ledger(view)
    others, frames = without_frames(scan(places, settings.options), settings.format)
    plan = make_plan(planner_of(others, view, ledger, settings, progress))
    if frames:
        framed = frame_planner_of(frames, Places(view), ledger, settings, progress=progress)
        groups = list(framed.groups())
        plan = replace(
            plan,
            groups=(*plan.groups, *(group.sources for group in groups)),
            datasets={**plan.datasets, **framed.datasets},
            refusals=(*plan.refusals, *framed.refusals),
            known=plan.known + framed.known,
            samples=plan.samples + sum(group.samples for group in groups),
        )
    return plan, view, ledger


def frame_planner_of(
    found: Sequence[Found],
    places: Places,
    ledger: Ledger,
    settings: Settings,
    *,
    progress: Progress | None = None,
    datasets: Mapping[str, Dataset] | None = None,
    whole: bool = True,
    opener: Opener = open_source,
) -> FramePlanner:
    """Return what plans the ingest of frames into an archive as a view shows it.

    Parameters
    ----------
    datasets
        Those that were adopted since.
    whole, opener
        As in `FramePlanner`.
    """
    from ingest.framing import FramePlanner

    progress = progress or Progress()
    progress.looked(-len(found))
    return FramePlanner(
        found=found,
        ledger=ledger,
        settings=settings,
        lives=lives_of(places.view),
        places=places,
        whole=whole,
        opener=opener,
        advance=lambda: progress.looked(1),
        datasets=dict(datasets or {}),
    )


def planner_of(
    found: Sequence[Found], view: View, ledger: Ledger, settings: Settings, progress: Progress | None = None
) -> Planner:
    """Return what plans the ingest of files into an archive as a view shows it."""
    progress = progress or Progress()
    progress.looked(-len(found))
    return Planner(
        found, ledger, settings, known=view.datasets(), lives=lives_of(view), advance=lambda: progress.looked(1)
    )


def lives_of(view: View) -> dict[str, int]:
    """Return the incarnation of each dataset that is known."""
    held = view.datasets()  # first: its snapshot may be a newer one afterwards
    return {**view.snapshot.incarnations, **{name: one.incarnation for name, one in held.items()}}


def ingest(
    store: Store,
    places: Sequence[str],
    settings: Settings | None = None,
    *,
    jobs: int = 1,
    processes: bool = False,
    dask: str | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Put raw files into an archive, and return what was done.

    What is committed stays, whatever comes after: an interrupted run is taken up where it stopped, and a
    second run over the same files does nothing.

    Parameters
    ----------
    store
        The archive's store.
    places
        Files, folders and globs, local or of any kind that fsspec knows.
    jobs
        Tasks that run at once, each on a granule's worth of samples.
    processes
        Run them in processes of their own rather than in threads: slower to start, and safe from a
        library that crashes on a damaged file.
    dask
        Run them on a Dask cluster: the address of its scheduler, or `"local"` for one of this machine, with
        `jobs` workers. Workers take credentials from their own environment.
    executor
        Runs the tasks instead.

    Raises
    ------
    NotFound
        There is no archive, or a place does not exist.
    StoreTrouble
        The store gave up; what was committed is safe.
    """
    settings, progress = settings or Settings(), progress or Progress()
    found = scan(places, settings.options)
    hiring = Hiring(jobs=jobs, processes=processes, dask=dask, executor=executor)
    return ingest_found(store, found, settings, hiring, progress)


def ingest_found(
    store: Store,
    found: Sequence[Found],
    settings: Settings,
    hiring: Hiring,
    progress: Progress | None = None,
) -> IngestReport:
    """Put files that have been found into an archive; `ingest` says the rest."""
    started = time.monotonic()
    hiring.check(store, settings.options)
    progress, report = progress or Progress(), IngestReport()
    view = open_view(store)
    ledger = read_ledger(view)
    others, frames = without_frames(found, settings.format)
    planner = planner_of(others, view, ledger, settings, progress)
    framed = frame_planner_of(frames, Places(view), ledger, settings, progress=progress) if frames else None
    tasks = Tasks(store, view, settings)
    committer = Committer(store, tasks.datasets, ledger, report)
    planned = tasks.of(planner, report, progress, framed)
    first = next(planned, None)
    if first is not None:
        with hired(store, hiring, settings.options) as workers:
            for result in completed(workers, _after(first, planned)):
                set_aside(store, result.refusals, settings)
                committer.add(result)
                committer.flush()  # one commit a task: its granules record each other as one commit
                committer.fold_when_due()
                progress.done(len(result.sources) + len(result.refusals))
    if report.commits:
        committer.fold()
    if settings.metadata is not None:  # on datasets that were there before, too
        for name in planner.datasets:
            correct(store, name, settings.metadata)
    report.known = planner.known + (framed.known if framed else 0)
    report.ignored = tuple(planner.ignored)
    report.seconds = time.monotonic() - started
    return report


def _after(first: Task, rest: Generator[Task]) -> Generator[Task]:
    yield first
    yield from rest


class Tasks:
    """Makes tasks of what is planned; a dataset is adopted with the first task that has samples of it."""

    def __init__(self, store: Store, view: View, settings: Settings) -> None:
        self._store, self._view, self._settings = store, view, settings
        self.datasets: dict[str, Dataset] = {}

    def refresh(self, view: View) -> None:
        """Go on with a newer view: datasets may have been removed and begun anew since."""
        self._view = view
        for name, held in self.datasets.items():
            self.datasets[name] = held.reborn(lives_of(view).get(name, 1))

    def of(
        self, planner: Planner, report: IngestReport, progress: Progress, frames: FramePlanner | None = None
    ) -> Generator[Task]:
        """Yield tasks as they are planned, and report what is refused on the way."""
        for group in planner.groups():
            self._refused(planner, report)
            report.raw += group.samples
            progress.planned(len(group.sources), group.samples)
            yield self.one(group.sources, planner.datasets)
        self._refused(planner, report)
        if frames is not None:
            for planned in frames.groups():
                self._refused(frames, report)
                report.raw += planned.samples
                progress.planned(len(planned.sources), planned.samples)
                yield replace(self.one(planned.sources, frames.datasets), frames=planned.job)
            self._refused(frames, report)

    def one(self, sources: tuple[TaskSource, ...], proposed: Mapping[str, Dataset]) -> Task:
        """Return the task of some sources.

        Raises
        ------
        InvalidInput
            Another writer has given the name to another acquisition meanwhile.
        """
        names = {name for source in sources for name in source.datasets}
        for name in names:
            if name not in self.datasets:
                self.datasets[name] = adopt(self._store, self._view, proposed[name])
            check_same(self.datasets[name], proposed[name])
        datasets = {name: self.datasets[name] for name in names}
        return Task(
            store=self._store, sources=sources, datasets=datasets, options=SourceOptions(self._settings.options)
        )

    def _refused(self, planner: Planner | FramePlanner, report: IngestReport) -> None:
        refusals, planner.refusals = planner.refusals, []
        set_aside(self._store, refusals, self._settings)
        report.refusals.extend(refusals)


def adopt(store: Store, view: View, proposed: Dataset) -> Dataset:
    """Return what is fixed for a dataset: as it is known, or as the first worker to say so has it.

    Raises
    ------
    InvalidInput
        The name belongs to another acquisition.
    """
    known = view.datasets().get(proposed.name)
    if known is not None:
        check_same(known, proposed)
        return known
    key = layout.dataset_key(proposed.name)
    try:
        store.create(key, seal(key, proposed.to_json()))
    except Conflict:
        held = Dataset.from_json(unseal(key, store.get(key).data))
        check_same(held, proposed)
        return replace(held, incarnation=proposed.incarnation)
    return proposed


class Committer:
    """Makes what tasks have done visible, in few commits, and folds when it is time."""

    def __init__(self, store: Store, datasets: dict[str, Dataset], ledger: Ledger, report: IngestReport) -> None:
        self._store, self._datasets, self._ledger, self._report = store, datasets, ledger, report
        self._rows: list[Row] = []
        self._sources: list[Source] = []
        self._replaced: set[str] = set()
        self._pace = FoldPace(store)

    def add(self, result: TaskResult) -> None:
        """Take in what a task has done."""
        report = self._report
        if time.time() - result.begun > _STALE_SECONDS and result.rows:
            raise StoreTrouble(
                f"{self._store.url}: a task took over {_STALE_SECONDS / 3600:.0f} hours, and gc may remove what it put "
                "before it can be committed; run the same command again"
            )
        fresh = [row for row in result.rows if result.replaced or not self._all_held(row)]
        self._replaced |= result.replaced
        self._rows.extend(fresh)
        self._sources.extend(result.sources)
        for source in result.sources:
            self._ledger.add(source)
        report.refusals.extend(result.refusals)
        report.sources += len(result.sources)
        report.granules += len(fresh)
        report.stored += sum(row.data.size for row in fresh)
        report.datasets = sorted({*report.datasets, *(row.dataset for row in fresh)})

    def _all_held(self, row: Row) -> bool:
        """Return whether the same content came in already in this run, under another name."""
        return all(self._ledger.held(source.sha256) is not None for source in row.sources)

    def flush(self) -> None:
        """Commit what has been taken in, if anything."""
        if not self._rows and not self._sources:
            return
        used = {row.dataset for row in self._rows}
        datasets = {name: self._datasets[name] for name in sorted(used)}
        if self._replaced:
            made = supersede(self._store, self._rows, self._sources, datasets, frozenset(self._replaced))
            self._report.snapshot = made.number
        else:
            put_commit(self._store, self._rows, self._sources, datasets)
        self._rows, self._sources, self._replaced = [], [], set()
        self._report.commits += 1
        self._pace.committed()

    def fold_due(self) -> float:
        """Return when the next fold is due, by the clock that only goes on."""
        return self._pace.due()

    def fold_when_due(self) -> None:
        """Fold, if it is time."""
        self._note(self._pace.fold_when_due())

    def fold(self) -> None:
        """Fold what is left; who is not first leaves it to the other."""
        self._note(self._pace.fold())

    def _note(self, folded: Snapshot | None) -> None:
        if folded is not None:
            self._report.snapshot = folded.number


def put_commit(store: Store, rows: Sequence[Row], sources: Sequence[Source], datasets: dict[str, Dataset]) -> Commit:
    """Make rows visible, all or none, in one request that no other writer can be in the way of."""
    now = time.time_ns()
    commit = Commit(
        key=layout.new_commit_key(now), created=now, rows=tuple(rows), sources=tuple(sources), datasets=datasets
    )
    store.create(commit.key, commit.encode())
    return commit
