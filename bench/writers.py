"""Processes that write at once: each takes the next free stretch of time, writes it, and commits it."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis
from archive.index import layout
from archive.index.dataset import Dataset
from archive.index.rows import SourceRange, row_id
from archive.store import open_store
from bench.recording import START
from bench.servers import BUCKET
from ingest.granule import GranuleContent, write_granule
from ingest.index.fold import FoldPace, fold
from ingest.initialise import initialise
from ingest.run import put_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["Job", "Written", "delta", "delta_rows", "icechunk", "lightkeep", "lightkeep_commits", "run"]


# Loaded once, before the writers are forked off.
_HEAVY = [
    "bench.writers",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pandas",
    "zarr",
    "numcodecs.blosc",
    "numcodecs.pcodec",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every writer is to do.

    Parameters
    ----------
    endpoint, name
        Where: the server, and the prefix in its bucket.
    samples
        File with the samples of one granule, time first; every writer writes the same ones, at other times.
    dataset
        As JSON.
    header
        What the raw file says of itself.
    seconds, most
        When to stop: after some time, or so many commits of all writers.
    key, secret
        Of the server's user.
    """

    endpoint: str
    name: str
    samples: Path
    dataset: dict[str, Any]
    header: dict[str, Any]
    seconds: float
    most: int
    key: str
    secret: str


@dataclass(slots=True)
class Written:
    """What one writer did.

    Parameters
    ----------
    whole, commits
        Seconds from samples in memory to samples that every reader sees; and of the commit by itself.
    stored
        Bytes of granules' data.
    counts
        `retries`, `folds`, `vain folds`, and what else is counted.
    stopped
        When it was done, on the clock that all share.
    """

    whole: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    stored: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    stopped: float = 0.0


@dataclass(frozen=True, slots=True)
class Turns:
    """The stretches of time that are still to be written, shared by all writers."""

    taken: Any
    gate: Any

    def take(self, job: Job) -> Iterator[int]:
        """Yield the numbers of stretches until the job is done; the first after all writers are ready."""
        self.gate.wait()
        deadline = time.monotonic() + job.seconds
        while time.monotonic() < deadline:
            with self.taken.get_lock():
                number = self.taken.value
                self.taken.value += 1
            if number >= job.most:
                return
            yield number


def run(
    work: Callable[[Job, Turns, Any], None],
    job: Job,
    writers: int,
    meanwhile: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> tuple[list[Written], float]:
    """Return what writers in processes of their own did, and the seconds from the first to the last of it.

    Parameters
    ----------
    meanwhile
        Entered when all are ready, left when all are done.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(_HEAVY)
    turns = Turns(context.Value("q", 0), context.Barrier(writers + 1))
    ends, processes = [], []
    for _ in range(writers):
        end, other = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(job, turns, other), daemon=True)
        process.start()
        other.close()
        ends.append(end)
        processes.append(process)
    turns.gate.wait(300)
    started = time.monotonic()
    with meanwhile():
        written = [end.recv() for end in ends]
    for process in processes:
        process.join()
    return written, max(one.stopped for one in written) - started


def content_of(job: Job, samples: NDArray[Any], dataset: Dataset, number: int) -> GranuleContent:
    """Return what goes into the granule of a stretch: its own time and source."""
    size = samples.shape[0]
    sha256 = hashlib.sha256(f"{job.name} {number}".encode()).hexdigest()
    start = START + round(number * size * dataset.step)
    return GranuleContent(
        samples=samples,
        time=TimeAxis.line(start, dataset.step, size),
        sources=(SourceRange(sha256, 0, 0, size),),
        headers={sha256: job.header},
    )


def lightkeep(job: Job, turns: Turns, end: Any) -> None:
    """Write a granule and its commit, and fold when it is time."""
    _lightkeep(job, turns, end, granules=True)


def lightkeep_commits(job: Job, turns: Turns, end: Any) -> None:
    """Write commits by themselves, of granules that are there already."""
    _lightkeep(job, turns, end, granules=False)


def _lightkeep(job: Job, turns: Turns, end: Any, *, granules: bool) -> None:
    options = {"endpoint_url": job.endpoint, "access_key_id": job.key, "secret_access_key": job.secret}
    store = open_store(f"s3://{BUCKET}/{job.name}", storage_options=options)
    dataset, samples = Dataset.from_json(job.dataset), np.load(job.samples)
    store.get(layout.CURRENT)
    _warm(dataset, content_of(job, samples, dataset, -2))
    pace, done = FoldPace(store), Written()
    model = None if granules else write_granule(store, dataset, content_of(job, samples, dataset, -1))
    for number in turns.take(job):
        content = content_of(job, samples, dataset, number)
        begun = time.perf_counter()
        if model is None:
            row = write_granule(store, dataset, content)
        else:
            name = row_id(dataset.name, dataset.incarnation, content.sources)
            row = replace(model, id=name, time=content.time, sources=content.sources)
        put = time.perf_counter()
        put_commit(store, [row], [], {dataset.name: dataset})
        stopped = time.perf_counter()
        done.whole.append(stopped - begun)
        done.commits.append(stopped - put)
        done.stored += row.data.size
        pace.committed()
        pace.fold_when_due()
    done.stopped = time.monotonic()
    done.counts.update({"retries": store.counts.retries, "folds": pace.folds, "vain folds": pace.vain})
    end.send(done)


def _warm(dataset: Dataset, content: GranuleContent) -> None:
    """Write and fold once, in memory, as a writer that has been at work for a while has."""
    store = open_store("memory://warm")
    initialise(store)
    put_commit(store, [write_granule(store, dataset, content)], [], {dataset.name: dataset})
    fold(store)


def delta(job: Job, turns: Turns, end: Any) -> None:
    """Append one row with the samples to a Delta table; what its own retries do not settle is tried again."""
    _delta(job, turns, end, np.load(job.samples).tobytes())


def delta_rows(job: Job, turns: Turns, end: Any) -> None:
    """Append one row that says where samples would lie."""
    _delta(job, turns, end, f"data/{job.name}/data/c/0/0".encode())


def _delta(job: Job, turns: Turns, end: Any, body: bytes) -> None:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, write_deltalake
    from deltalake.exceptions import CommitFailedError

    table = DeltaTable(f"s3://{BUCKET}/{job.name}", storage_options=delta_options(job))
    done = Written()
    warm = pa.table({"number": pa.array([0], pa.int64()), "samples": pa.array([body], pa.binary())})
    write_deltalake(f"{job.samples.parent}/warm-{os.getpid()}", warm, mode="append")
    for number in turns.take(job):
        row = pa.table({"number": pa.array([number], pa.int64()), "samples": pa.array([body], pa.binary())})
        begun = time.perf_counter()
        while True:
            try:
                write_deltalake(table, row, mode="append", commit_properties=CommitProperties(max_commit_retries=1000))
            except CommitFailedError:
                done.counts["retries"] += 1
                table.update_incremental()
            else:
                break
        done.whole.append(time.perf_counter() - begun)
        done.stored += len(body)
    done.stopped = time.monotonic()
    end.send(done)


def delta_options(job: Job) -> dict[str, str]:
    """Return how delta-rs is told of the server, and that it knows conditional writes."""
    return {
        "AWS_ENDPOINT_URL": job.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": job.key,
        "AWS_SECRET_ACCESS_KEY": job.secret,
        "conditional_put": "etag",
    }


def icechunk(job: Job, turns: Turns, end: Any) -> None:
    """Write one chunk of an array in an Icechunk repository, and commit it upon whatever others committed."""
    import zarr
    from icechunk import ConflictDetector, ConflictError, RebaseFailedError, Repository, in_memory_storage

    repository = Repository.open(icechunk_storage(job))
    samples, done = np.load(job.samples), Written()
    warm = Repository.create(in_memory_storage()).writable_session("main")
    zarr.open_group(warm.store, mode="a").create_array("samples", data=samples)
    warm.commit("warm")
    for number in turns.take(job):
        begun = time.perf_counter()
        while True:
            session = repository.writable_session("main")
            array: Any = zarr.open_group(session.store, mode="r+")["samples"]
            array[number * samples.shape[0] : (number + 1) * samples.shape[0]] = samples
            try:
                session.commit(f"stretch {number}", rebase_with=ConflictDetector())
            except (ConflictError, RebaseFailedError):
                done.counts["retries"] += 1
                time.sleep(random.random() * 0.1)
            else:
                break
        done.whole.append(time.perf_counter() - begun)
        done.stored += samples.nbytes
    done.stopped = time.monotonic()
    end.send(done)


def icechunk_storage(job: Job) -> Any:
    """Return the place of the repository."""
    import icechunk as ic

    return ic.s3_storage(
        bucket=BUCKET,
        prefix=job.name,
        region="us-east-1",
        endpoint_url=job.endpoint,
        allow_http=True,
        force_path_style=True,
        access_key_id=job.key,
        secret_access_key=job.secret,
    )
