"""What runs the tasks of an ingest: what becomes of those that die with it, and what its user is told."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small

import archive as lk
from archive.errors import InvalidInput, LightkeepError, MissingExtra, StoreTrouble
from archive.store import open_store
from ingest.initialise import initialise
from ingest.run import ingest


class Losing(Executor):
    """An executor whose workers die at the first tasks, in one way or another."""

    def __init__(self, lose: Callable[[Future[Any]], object], times: int) -> None:
        self._lose, self._left = lose, times
        self.submitted = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        future: Future[Any] = Future()
        if self._left:
            self._left -= 1
            self._lose(future)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def cancelled(future: Future[Any]) -> None:
    future.cancel()
    future.set_running_or_notify_cancel()


def failing(error: Exception) -> Callable[[Future[Any]], object]:
    return lambda future: future.set_exception(error)


@pytest.fixture
def url() -> str:
    made = f"memory://workers-{secrets.token_hex(6)}"
    initialise(open_store(made))
    return made


@pytest.fixture
def raw(tmp_path: Path) -> str:
    return str(small.raw(tmp_path / "raw" / "a.h5"))


def test_a_task_that_was_cancelled_with_its_worker_is_run_again(url: str, raw: str) -> None:
    workers = Losing(cancelled, 1)
    assert ingest(open_store(url), [raw], executor=workers).sources == 1
    assert workers.submitted == 2
    np.testing.assert_array_equal(lk.open(url)[0].data, small.samples(0))


class KilledWorker(Exception):
    """As Dask says that the workers which took a task have died."""


@pytest.mark.parametrize(
    ("lose", "error", "words"),
    [
        (cancelled, StoreTrouble, r"the workers that took .*a\.h5 died again and again"),
        (failing(BrokenProcessPool("a process died")), StoreTrouble, r"the workers that took .*a\.h5 died"),
        (failing(KilledWorker()), StoreTrouble, "what was committed is kept, run the same command again to go on"),
        (failing(ModuleNotFoundError("x", name="h5py")), MissingExtra, r"a worker has no module h5py: .*\[ingest\]"),
        (failing(StoreTrouble("the store is full")), StoreTrouble, "^the store is full$"),
    ],
)
def test_a_task_that_cannot_be_run_is_one_clear_error_and_the_next_run_takes_it(
    url: str, raw: str, lose: Callable[[Future[Any]], object], error: type[LightkeepError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        ingest(open_store(url), [raw], executor=Losing(lose, 99))
    assert type(caught.value) is error
    if "died" in words:
        assert isinstance(caught.value.__cause__, (CancelledError, BrokenProcessPool))
    assert len(lk.open(url)) == 0
    assert ingest(open_store(url), [raw]).sources == 1


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask scheduler in this process, with one worker beside it."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp"
    ) as cluster:
        yield cluster.scheduler_address


def test_tasks_on_a_dask_cluster_give_what_they_give_here(scheduler: str, tmp_path: Path) -> None:
    url = str(tmp_path / "archive")
    initialise(open_store(url))
    files = [str(small.raw(tmp_path / "raw" / f"{number}.h5", number)) for number in range(3)]
    assert ingest(open_store(url), files, dask=scheduler).sources == 3
    (patch,) = lk.open(url)
    np.testing.assert_array_equal(patch.data, np.concatenate([small.samples(number) for number in range(3)]))


def test_what_is_no_address_and_what_is_not_installed_is_said(
    raw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(tmp_path / "archive")
    initialise(open_store(url))
    with pytest.raises(InvalidInput, match="it lies in this process's memory"):
        ingest(open_store("memory://x"), [raw], dask="local")
    with pytest.raises(InvalidInput, match="--dask nosuch://x: is no address of a scheduler, as tcp://HOST:PORT"):
        ingest(open_store(url), [raw], dask="nosuch://x")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"pip install 'lightkeep\[dask\]'"):
        ingest(open_store(url), [raw], dask="tcp://127.0.0.1:9")
    assert len(lk.open(url)) == 0
