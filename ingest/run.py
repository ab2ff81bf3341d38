"""Ingest: scan, plan, run the tasks, commit what is done, fold."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archive.errors import Conflict
from archive.index import layout
from archive.index.commits import Commit, Source
from archive.index.dataset import Dataset
from archive.index.sealed import seal, unseal
from archive.view import View, open_view
from ingest.fold import FoldPace
from ingest.ledger import Ledger, read_segments
from ingest.plan import IngestPlan, Settings, check_same, make_plan
from ingest.quarantine import set_aside
from ingest.sources import SourceOptions, scan
from ingest.task import Refusal, Task, TaskResult, run_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from archive.index.rows import Row
    from archive.index.snapshot import Snapshot
    from archive.store import Store

__all__ = ["IngestReport", "Progress", "ingest", "plan_ingest"]

_TASKS_AHEAD = 2  # tasks handed out for each worker


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
    planned: Callable[[IngestPlan], None] = lambda _: None
    done: Callable[[int], None] = lambda _: None


def read_ledger(view: View) -> Ledger:
    """Return the ledger of sources as a view has it."""
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
    found = scan(places, settings.options)
    progress.looked(-len(found))
    lives = {**view.snapshot.incarnations, **{name: held.incarnation for name, held in view.datasets().items()}}
    plan = make_plan(found, ledger, settings, lives=lives, advance=lambda: progress.looked(1))
    for name, held in view.datasets().items():
        if name in plan.datasets:
            check_same(held, plan.datasets[name])
    return plan, view, ledger


def ingest(
    store: Store,
    places: Sequence[str],
    settings: Settings | None = None,
    *,
    jobs: int = 1,
    processes: bool = False,
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
    executor
        Runs the tasks instead.

    Raises
    ------
    NotFound
        There is no archive, or a place does not exist.
    StoreTrouble
        The store gave up; what was committed is safe.
    """
    started = time.monotonic()
    settings, progress = settings or Settings(), progress or Progress()
    plan, view, ledger = plan_ingest(store, places, settings, progress)
    progress.planned(plan)
    report = IngestReport(known=plan.known, refusals=list(plan.refusals), ignored=plan.ignored, raw=plan.samples)
    set_aside(store, plan.refusals)
    if plan.groups:
        datasets = {name: adopt(store, view, held) for name, held in plan.datasets.items()}
        options = SourceOptions(settings.options)
        tasks = [
            Task(
                store=store,
                sources=group,
                datasets={name: datasets[name] for source in group for name in source.datasets},
                options=options,
            )
            for group in plan.groups
        ]
        committer = _Committer(store, datasets, ledger, report)
        with _executor(store, options, min(jobs, len(tasks)), executor, processes=processes) as pool:
            for result in _completed(pool, tasks, max(jobs, 1) * _TASKS_AHEAD):
                set_aside(store, result.refusals)
                committer.add(result)
                committer.flush()  # one commit a task: its granules record each other as one commit
                progress.done(len(result.sources) + len(result.refusals))
        if report.commits:
            committer.fold()
    report.seconds = time.monotonic() - started
    return report


def adopt(store: Store, view: View, proposed: Dataset) -> Dataset:
    """Return what is fixed for a dataset: as it is known, or as the first worker to say so has it.

    Raises
    ------
    InvalidInput
        The name belongs to another acquisition.
    """
    known = view.datasets().get(proposed.name)
    if known is not None:
        return known
    key = layout.dataset_key(proposed.name)
    try:
        store.create(key, seal(key, proposed.to_json()))
    except Conflict:
        held = Dataset.from_json(unseal(key, store.get(key).data))
        check_same(held, proposed)
        return replace(held, incarnation=proposed.incarnation)
    return proposed


class _Committer:
    """Makes what tasks have done visible, in few commits, and folds when it is time."""

    def __init__(self, store: Store, datasets: dict[str, Dataset], ledger: Ledger, report: IngestReport) -> None:
        self._store, self._datasets, self._ledger, self._report = store, datasets, ledger, report
        self._rows: list[Row] = []
        self._sources: list[Source] = []
        self._pace = FoldPace(store)

    def add(self, result: TaskResult) -> None:
        """Take in what a task has done."""
        report = self._report
        fresh = [row for row in result.rows if not self._all_held(row)]
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
        """Commit what has been taken in, if anything, and fold if it is time."""
        if not self._rows and not self._sources:
            return
        used = {row.dataset for row in self._rows}
        put_commit(self._store, self._rows, self._sources, {name: self._datasets[name] for name in sorted(used)})
        self._rows, self._sources = [], []
        self._report.commits += 1
        self._note(self._pace.committed())

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


@contextmanager
def _executor(
    store: Store, options: SourceOptions, jobs: int, given: Executor | None, *, processes: bool
) -> Iterator[Executor | None]:
    """Give what runs the tasks: `None` for this very thread.

    Threads serve as well as processes, since hashing and encoding release the GIL, and start at once.
    """
    if given is not None:
        yield given
    elif jobs <= 1:
        yield None
    elif processes and store.travels and options.travels:
        # Threads of obstore and HDF5 do not survive a fork, so processes are spawned.
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield pool
    else:
        with ThreadPoolExecutor(jobs, thread_name_prefix="lightkeep-ingest") as threads:
            yield threads


def _completed(pool: Executor | None, tasks: Sequence[Task], ahead: int) -> Iterator[TaskResult]:
    """Yield results as they come, with a bounded number of tasks handed out."""
    if pool is None:
        for task in tasks:
            yield run_task(task)
        return
    waiting: set[Future[TaskResult]] = set()
    rest = iter(tasks)
    try:
        while True:
            for task in rest:
                waiting.add(pool.submit(run_task, task))
                if len(waiting) >= ahead:
                    break
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in waiting:
            future.cancel()
