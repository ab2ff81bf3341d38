"""Where the tasks of an ingest run: this thread, threads, processes, a Dask cluster, or another executor."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archive.errors import MissingExtra, StoreTrouble
from ingest.cluster import check_travels, on_dask
from ingest.sources import SourceOptions
from ingest.task import run_task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from archive.store import Store
    from ingest.task import Task, TaskResult

__all__ = ["Hiring", "Workers", "completed", "error_of", "hired"]

_TASKS_AHEAD = 2  # tasks handed out for each worker
_ATTEMPTS = 4  # of a task that a restarted cluster has forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Hiring:
    """What is to run tasks.

    Parameters
    ----------
    jobs
        Tasks that run at once.
    processes
        In processes of their own rather than in threads: slower to start, and safe from a library that crashes.
    dask
        Address of a Dask scheduler, or `"local"` for a cluster of this machine.
    executor
        Runs the tasks instead.
    """

    jobs: int = 1
    processes: bool = False
    dask: str | None = None
    executor: Executor | None = None

    def check(self, store: Store, source_options: Mapping[str, Any] | None) -> None:
        """Raise unless the tasks can reach those that run them.

        Raises
        ------
        InvalidInput
            They are to go to a Dask cluster, and would need secrets on the way.
        """
        if self.dask is not None:
            check_travels(store, source_options or {})


@dataclass(frozen=True, slots=True)
class Workers:
    """What runs tasks.

    Parameters
    ----------
    pool
        The executor; `None` for the thread that asks for results.
    ahead
        Returns how many tasks may be handed out at once, which bounds the memory.
    """

    pool: Executor | None
    ahead: Callable[[], int]


@contextmanager
def hired(store: Store, hiring: Hiring, source_options: Mapping[str, Any] | None = None) -> Iterator[Workers]:
    """Give what runs tasks.

    Threads serve as well as processes, since hashing and encoding release the GIL, and start at once.
    """
    jobs, ahead = hiring.jobs, max(hiring.jobs, 1) * _TASKS_AHEAD
    if hiring.executor is not None:
        yield Workers(hiring.executor, lambda: ahead)
    elif hiring.dask is not None:
        with on_dask(hiring.dask, jobs) as (pool, threads):
            yield Workers(pool, lambda: threads() * _TASKS_AHEAD)
    elif jobs <= 1:
        yield Workers(None, lambda: ahead)
    elif hiring.processes and store.travels and SourceOptions(source_options).travels:
        # Threads of obstore and HDF5 do not survive a fork, so processes are spawned.
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as processes:
            yield Workers(processes, lambda: ahead)
    else:
        with ThreadPoolExecutor(jobs, thread_name_prefix="lightkeep-ingest") as threads_here:
            yield Workers(threads_here, lambda: ahead)


def completed(workers: Workers, tasks: Generator[Task]) -> Iterator[TaskResult]:
    """Yield results as they come, with a bounded number of tasks handed out.

    The next task is made beside those that run. What fails to be made or to run ends the handing out; the tasks
    that run then are still waited for and their results given, before the error is raised.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="lightkeep-plan") as planner:
        made = planner.submit(next, tasks, None)
        try:
            yield from _here(planner, made, tasks) if workers.pool is None else _there(workers, planner, made, tasks)
        finally:
            planner.shutdown(wait=True, cancel_futures=True)
            tasks.close()


def _here(planner: Executor, made: Future[Task | None], tasks: Generator[Task]) -> Iterator[TaskResult]:
    while (task := made.result()) is not None:
        made = planner.submit(next, tasks, None)
        yield run_task(task)


@dataclass(slots=True)
class _Running:
    task: Task
    attempt: int = 1


def _there(
    workers: Workers, planner: Executor, made: Future[Task | None], tasks: Generator[Task]
) -> Iterator[TaskResult]:
    assert workers.pool is not None  # noqa: S101 - this thread is `_here`
    making: Future[Task | None] | None = made
    running: dict[Future[TaskResult], _Running] = {}
    failed: BaseException | None = None
    try:
        while making is not None or running:
            if making is not None and making.done() and len(running) < workers.ahead():
                task, failed = _made(making, failed)
                making = None
                if task is not None:
                    running[workers.pool.submit(run_task, task)] = _Running(task)
                    making = planner.submit(next, tasks, None)
                continue
            waiting: set[Future[Any]] = {*running}
            if making is not None and not making.done():
                waiting.add(making)
            wait(waiting, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future.done()]:
                was = running.pop(future)
                if future.cancelled() and was.attempt < _ATTEMPTS and failed is None:
                    running[workers.pool.submit(run_task, was.task)] = _Running(was.task, was.attempt + 1)
                elif (error := error_of(future, was.task)) is None:
                    yield future.result()
                else:
                    failed, making = failed or error, None
        if failed is not None:
            raise failed
    finally:
        for future in running:
            future.cancel()


def _made(making: Future[Task | None], failed: BaseException | None) -> tuple[Task | None, BaseException | None]:
    """Return the next task, if there is one, and the first error of all."""
    error = making.exception()
    return (None, failed or error) if error is not None else (making.result(), failed)


def error_of(future: Future[TaskResult], task: Task) -> BaseException | None:
    """Return why a task has failed, in words that say what to do."""
    error = CancelledError() if future.cancelled() else future.exception()
    if isinstance(error, (CancelledError, BrokenExecutor)) or type(error).__name__ in {
        "KilledWorker",
        "CommClosedError",
    }:
        names = ", ".join(source.found.url for source in task.sources)
        trouble = StoreTrouble(
            f"the workers that took {names} died again and again: a library crashed, or they had too little memory; "
            "what was committed is kept, run the same command again to go on, or leave these files out"
        )
        trouble.__cause__ = error
        return trouble
    if isinstance(error, ModuleNotFoundError):
        missing = MissingExtra(
            f"a worker has no module {error.name}: install the same lightkeep[ingest] where workers run"
        )
        missing.__cause__ = error
        return missing
    return error
