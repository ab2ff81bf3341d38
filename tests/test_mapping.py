"""spool.map: in order, on any executor, with errors that name the Patch."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from small import raw

import archive as lk
from archive.errors import InvalidInput
from archive.store import open_store
from ingest.initialise import initialise
from ingest.run import ingest


def mean_of(patch: lk.Patch, *, key: float = 1.0) -> tuple[str, float]:
    """`key` is a name that Dask's own submit takes: it must reach the function all the same."""
    return str(patch.coords["time"].min()), float(patch.data.mean()) * key


def slower_at_first(patch: lk.Patch) -> str:
    stamp = patch.coords["time"].min()
    time.sleep(0.2 if stamp == np.datetime64("2020-01-03") else 0)
    return str(stamp)


def fail_on_the_second(patch: lk.Patch) -> int:
    if patch.coords["time"].min() == np.datetime64("2020-01-03T00:00:08"):
        raise ValueError("broken")
    return 1


@pytest.fixture
def archived(tmp_path: Any) -> lk.Spool:
    store = open_store(tmp_path / "archive")
    initialise(store)
    for number in range(3):
        raw(tmp_path / "raw" / f"{number}.h5", number * 3)
    ingest(store, [str(tmp_path / "raw")])
    return lk.open(str(tmp_path / "archive"))


def test_processes_read_their_patches_themselves(archived: lk.Spool) -> None:
    alone = archived.map(mean_of, key=2.0)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert archived.map(mean_of, client=pool, key=2.0) == alone
    assert [stamp for stamp, _ in alone] == sorted(stamp for stamp, _ in alone)
    assert len(alone) == 3
    assert not any(patch.loaded for patch in archived._patches)


def test_results_are_in_order_though_the_first_is_last_to_come() -> None:
    spool = lk.get_example_spool("random_das")
    with ThreadPoolExecutor(3) as pool:
        assert spool.map(slower_at_first, client=pool) == sorted(spool.map(slower_at_first))


def test_an_error_names_the_patch_and_what_waits_is_cancelled() -> None:
    spool = lk.get_example_spool("random_das")
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="broken") as caught:
        spool.map(fail_on_the_second, client=pool)
    (note,) = caught.value.__notes__
    assert "Patch 1 of 3" in note
    assert "2020-01-03T00:00:08" in note
    assert "300 distance x 2000 time" in note


def test_what_may_pass_is_tried_again_and_what_lasts_is_not() -> None:
    spool, tries = lk.get_example_spool("random_das")[:1], []

    def flaky(patch: lk.Patch) -> int:
        tries.append(patch)
        if len(tries) < 3:
            raise OSError("try again")
        return len(tries)

    assert spool.map(flaky, retries=2) == [3]
    assert len({id(patch) for patch in tries}) == 3
    tries.clear()
    with pytest.raises(OSError, match="try again"):
        spool.map(flaky, retries=1)

    def wrong(patch: lk.Patch) -> None:
        tries.append(patch)
        patch.select(nothing=1)

    tries.clear()
    with pytest.raises(InvalidInput):
        spool.map(wrong, retries=5)
    assert len(tries) == 1
    with pytest.raises(InvalidInput, match="retries"):
        spool.map(wrong, retries=-1)


class Counting(Executor):
    """Counts how much was handed out that nobody has asked for yet."""

    def __init__(self) -> None:
        self.open, self.most, self.lock = 0, 0, threading.Lock()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        self.open += 1
        self.most = max(self.most, self.open)
        result = future.result
        future.result = lambda timeout=None: (setattr(self, "open", self.open - 1), result(timeout))[1]  # type: ignore[method-assign]
        return future


def test_a_long_spool_is_handed_out_bit_by_bit() -> None:
    spool = lk.get_example_spool("random_das").chunk(time=0.02)
    client = Counting()
    assert spool.map(len, client=client) == [300] * len(spool)
    assert client.most <= 256 < len(spool)


def test_a_bar_is_shown_where_it_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    lk.get_example_spool("random_das").map(len, progress=True)
    assert "100%" in capfd.readouterr().out
    lk.get_example_spool("random_das").map(len)
    assert not capfd.readouterr().out


@pytest.mark.slow
def test_a_dask_client_serves_as_any_executor(archived: lk.Spool) -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert archived.map(mean_of, client=client, key=2.0) == archived.map(mean_of, key=2.0)
        with pytest.raises(ValueError, match="broken") as caught:
            lk.get_example_spool("random_das").map(fail_on_the_second, client=client)
    assert "Patch 1 of 3" in caught.value.__notes__[-1]
