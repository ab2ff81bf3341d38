"""Ingest on a Dask cluster: the same archive, whatever happens to the workers, and no secret on the way."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import archive as lk
from archive.errors import InvalidInput, StoreTrouble
from archive.store import open_store
from archive.times import time_to_ns
from archive.view import open_view
from ingest.initialise import initialise
from ingest.run import Progress, ingest, plan_ingest, read_ledger
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml
from ingest.task import Task

if TYPE_CHECKING:
    from distributed import Client

    from archive.store import Store
    from ingest.server import LocalS3

pytestmark = pytest.mark.slow

START = time_to_ns("2016-03-14T00:00:00")
FILES, SAMPLES, CHANNELS = 6, 60_000, 64


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one day each, so that each is a task; 7.7 MB of noise that takes a while to encode."""
    folder = tmp_path_factory.mktemp("raw")
    for number in range(FILES):
        block = np.random.default_rng(number).integers(-9999, 9999, (SAMPLES, CHANNELS)).astype(np.int16)
        write_prodml(folder / f"{number}.h5", block, Header(start=START + number * 86400 * 10**9))
    return folder


@pytest.fixture(scope="module")
def client(server: LocalS3) -> Iterator[Client]:
    """Two worker processes, started with the server's keys in the environment."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def state(store: Store) -> dict[str, Any]:
    """What an archive says: each sample, each row and each source, whatever the keys."""
    view = open_view(store)
    (table,) = view.tables(None)
    rows = view.rows(table, range(len(table.spans)))
    sources = read_ledger(view).sources()
    return {
        "samples": [hashlib.sha256(patch.data.tobytes()).hexdigest() for patch in lk.open(store.url)],
        "rows": sorted(row.id for row in rows),
        "sources": sorted((source.url, source.sha256, source.rows) for source in sources),
    }


@pytest.mark.prove
def test_a_worker_killed_in_mid_task_changes_nothing_in_the_archive(server: LocalS3, raw: Path, client: Client) -> None:
    alone, shared = (open_store(f"s3://{server.bucket}/dask-{name}") for name in ("alone", "shared"))
    for store in (alone, shared):
        initialise(store)
    ingest(alone, [str(raw)])
    workers: dict[str, int] = client.run(os.getpid)
    killed: list[int] = []
    goes_on, ended = threading.Event(), threading.Event()

    def kill() -> None:
        """Kill the first worker that is seen at a task after the first commit."""
        goes_on.wait(120)
        while not killed and not ended.is_set():
            busy = [worker for worker, tasks in client.processing().items() if tasks and worker in workers]
            if busy:
                os.kill(workers[busy[0]], signal.SIGKILL)
                killed.append(workers[busy[0]])
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    address = client.scheduler.address
    try:
        report = ingest(shared, [str(raw)], dask=address, progress=Progress(done=lambda _: goes_on.set()))
    finally:
        goes_on.set()
        ended.set()
        killer.join()
    assert killed
    assert killed[0] not in client.run(os.getpid).values()
    assert (report.sources, report.granules, report.refusals) == (FILES, FILES, [])
    assert state(shared) == state(alone)
    assert ingest(shared, [str(raw)], dask=address).known == FILES


@pytest.mark.prove
def test_dask_local_hands_the_environment_to_its_workers(server: LocalS3, raw: Path) -> None:
    url = f"s3://{server.bucket}/dask-local"
    initialise(open_store(url))
    report = ingest(open_store(url), [str(raw / "[01].h5")], dask="local", jobs=2)
    assert (report.granules, len(lk.open(url))) == (2, 2)


def test_a_task_as_it_travels_holds_no_secret(server: LocalS3, raw: Path, s3_options: dict[str, Any]) -> None:
    url = f"s3://{server.bucket}/dask-secret"
    store = open_store(url)
    initialise(store)
    plan, _, _ = plan_ingest(store, [str(raw)], Settings())
    for held in (store, open_store(url, storage_options=s3_options)):
        sent = pickle.dumps(Task(store=held, sources=plan.groups[0], datasets=plan.datasets))
        assert server.secret.encode() not in sent
        assert server.key.encode() not in sent


def test_what_could_only_work_with_a_secret_on_the_way_is_refused(
    server: LocalS3, raw: Path, s3_options: dict[str, Any]
) -> None:
    url = f"s3://{server.bucket}/dask-refused"
    initialise(open_store(url))
    with pytest.raises(InvalidInput, match="environment of the workers"):
        ingest(open_store(url, storage_options=s3_options), [str(raw)], dask="local")
    with pytest.raises(InvalidInput, match="source option secret_access_key"):
        ingest(open_store(url), [str(raw)], Settings(options={"secret": "x"}), dask="local")


@pytest.mark.parametrize(("address", "error"), [("tcp://127.0.0.1:9", StoreTrouble), ("tcp//no:where", InvalidInput)])
def test_a_scheduler_that_is_not_there_is_one_clear_error(
    server: LocalS3, raw: Path, address: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.cluster._ANSWER_SECONDS", 1)
    store = open_store(f"s3://{server.bucket}/dask-refused")
    initialise(store)
    with pytest.raises(error, match=f"--dask {address}"):
        ingest(store, [str(raw)], dask=address)
