"""Where the tasks of an ingest run: this thread, threads, processes, or another executor."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingest.task import run_task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from archive.store import Store
    from ingest.task import Task, TaskResult

__all__ = ["Workers", "completed", "hired"]

_TASKS_AHEAD = 2  # tasks handed out for each worker


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
def hired(store: Store, jobs: int, executor: Executor | None = None, *, processes: bool = False) -> Iterator[Workers]:
    """Give what runs tasks: `jobs` of them at once here, or an executor of the caller's.

    Threads serve as well as processes, since hashing and encoding release the GIL, and start at once.
    """
    ahead = max(jobs, 1) * _TASKS_AHEAD
    if executor is not None:
        yield Workers(executor, lambda: ahead)
    elif jobs <= 1:
        yield Workers(None, lambda: ahead)
    elif processes and store.travels:
        # Threads of obstore and HDF5 do not survive a fork, so processes are spawned.
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield Workers(pool, lambda: ahead)
    else:
        with ThreadPoolExecutor(jobs, thread_name_prefix="lightkeep-ingest") as threads:
            yield Workers(threads, lambda: ahead)


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


def _there(
    workers: Workers, planner: Executor, made: Future[Task | None], tasks: Generator[Task]
) -> Iterator[TaskResult]:
    assert workers.pool is not None  # noqa: S101 - this thread is `_here`
    making: Future[Task | None] | None = made
    running: set[Future[TaskResult]] = set()
    failed: BaseException | None = None
    try:
        while making is not None or running:
            if making is not None and making.done() and len(running) < workers.ahead():
                task, failed = _outcome(making, failed)
                making = None
                if task is not None:
                    running.add(workers.pool.submit(run_task, task))
                    making = planner.submit(next, tasks, None)
                continue
            waiting: set[Future[Any]] = {*running}
            if making is not None and not making.done():
                waiting.add(making)
            wait(waiting, return_when=FIRST_COMPLETED)
            for future in [future for future in running if future.done()]:
                running.discard(future)
                result, failed = _outcome(future, failed)
                if failed is not None and making is not None:
                    making.cancel()
                    making = None
                if result is not None:
                    yield result
        if failed is not None:
            raise failed
    finally:
        for future in running:
            future.cancel()


def _outcome(future: Future[Any], failed: BaseException | None) -> tuple[Any, BaseException | None]:
    """Return what came of a future, and the first error of all."""
    error = future.exception()
    return (None, failed or error) if error is not None else (future.result(), failed)
