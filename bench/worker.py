"""The worker, measured: events a second, lag, requests and dollars, beside one-file-per-commit writing to a Delta table.

    python -m bench.worker [--files 10000] [--write]

Small vendor files lie in a landing bucket in SeaweedFS, and each is told of by an S3 event in an SQS queue (moto). The
worker is a process of its own. Throughput and lag are measured without a proxy; requests are counted in a run of their own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import boto3
import h5py
import numpy as np

from archive.index import layout
from archive.store import open_store
from bench.recording import CHANNELS, RATE, START, machine, new_store, samples
from bench.servers import BUCKET, Counting, counting, seaweed
from bench.table import markdown, save
from ingest.index.swap import read_current
from ingest.server import free_port, running
from ingest.synthetic import write_prodml
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SECONDS = 0.5  # of the fibre in a file
_COUNTED = 500  # files of the run that counts requests
_APPENDED = 500  # files of the Delta table
_STEADY = 0.5  # of the throughput, at which events come while the lag is measured
_STEADY_FILES = 500
_WAITING = 600
_FEWER = 2000  # files of the run with two workers
_GB = 1e9
_PRICES = Path(__file__).parents[1] / "terraform" / "prices.json"
_DATA = "Acquisition/Raw[0]/RawData"


@dataclass(frozen=True)
class Landing:
    """Where files land, and what tells of them."""

    direct: str  # endpoint of SeaweedFS
    moto: str
    count: int
    size: int  # bytes of a file

    @property
    def sqs(self) -> Any:
        return boto3.client("sqs", endpoint_url=self.moto, region_name="us-east-1")

    def key(self, number: int) -> str:
        return f"landing/fibre_{number:06d}.h5"

    def event(self, number: int, etag: str) -> str:
        held = {"key": quote_plus(self.key(number), safe="/"), "size": self.size, "eTag": etag}
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 10**6 % 1000:03d}Z"
        record = {
            "eventName": "ObjectCreated:Put",
            "eventTime": moment,
            "s3": {"bucket": {"name": BUCKET}, "object": held},
        }
        return json.dumps({"Records": [record]})


@contextmanager
def moto(base: Path) -> Iterator[str]:
    """Run moto's server, for SQS."""
    port = free_port()
    program = str(Path(sys.executable).parent / "moto_server")

    def ready() -> bool:
        try:
            return bool(
                boto3.client("sqs", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1").list_queues()
            )
        except Exception:  # noqa: BLE001 - not there yet
            return False

    with running("moto", [program, "-H", "127.0.0.1", "-p", str(port)], ready, base / "moto.log"):
        yield f"http://127.0.0.1:{port}"


def put_files(base: Path, direct: str, count: int) -> tuple[list[str], int]:
    """Put files of half a second each into the landing bucket; return their etags and the size of each."""
    s3 = boto3.client("s3", endpoint_url=direct, region_name="us-east-1")
    step = round(_SECONDS * 1e9)
    etags: list[str] = []
    size = 0
    with ThreadPoolExecutor(8) as pool:
        for first in range(0, count, 200):
            block = samples(first * _SECONDS, (first + 200) * _SECONDS)
            bodies = []
            for number in range(first, min(first + 200, count)):
                part = block[(number - first) * round(_SECONDS * RATE) :][: round(_SECONDS * RATE)]
                header = Header(start=START + number * step, rate=float(RATE), spacing=1.0, acquisition="bench")
                bodies.append((number, write_prodml(base / "one.h5", part, header).read_bytes()))
            size = len(bodies[0][1])
            puts = pool.map(
                lambda one: s3.put_object(Bucket=BUCKET, Key=f"landing/fibre_{one[0]:06d}.h5", Body=one[1])["ETag"],
                bodies,
            )
            etags += [etag.strip('"') for etag in puts]
    return etags, size


def new_queue(landing: Landing, name: str) -> str:
    sqs = landing.sqs
    dead = sqs.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    return str(sqs.create_queue(QueueName=f"work-{name}", Attributes={"RedrivePolicy": policy})["QueueUrl"])


def send(landing: Landing, queue: str, etags: Sequence[str], numbers: Sequence[int]) -> None:
    """Send the events of some files, in their order."""
    sqs = landing.sqs
    for start in range(0, len(numbers), 10):
        entries = [
            {"Id": str(number), "MessageBody": landing.event(number, etags[number])}
            for number in numbers[start : start + 10]
        ]
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")


@dataclass
class Run:
    """A worker's process and what it wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for line in self.log.read_text().splitlines()
            if line.startswith("{") and line.endswith("}")
        ]

    def stored(self) -> int:
        return sum(line["files"] for line in self.lines() if line.get("event") == "committed")

    def lags(self) -> list[float]:
        return [lag for line in self.lines() for lag in line.get("Lag", ())]


@contextmanager
def worker(base: Path, name: str, endpoint: str, queue: str, number: int = 0, **settings: Any) -> Iterator[Run]:
    """Run a worker until the block ends; it then stops as on SIGTERM."""
    options = json.dumps({"endpoint_url": endpoint})
    held = {
        "url": f"s3://{BUCKET}/{name}",
        "queue": queue,
        "store_options": options,
        "source_options": options,
        "health_port": 0,
        "emf_seconds": 1,
        **settings,
    }
    environment = {**os.environ, **{f"LIGHTKEEP_{key.upper()}": str(value) for key, value in held.items()}}
    log = base / f"{name}-{number}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest", "worker"], env=environment, stdout=output, stderr=output
        )
        run = Run(process, log)
        try:
            while not any(line.get("event") == "started" for line in run.lines()):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield run
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()[-2000:]
        finally:
            process.kill()


def feed(landing: Landing, queue: str, etags: Sequence[str], runs: Sequence[Run]) -> None:
    """Send the events of all files, so that always about `_WAITING` wait: moto takes the longer the more there are."""
    sent = 0
    while sent < landing.count:
        if sent - sum(run.stored() for run in runs) < _WAITING:
            send(landing, queue, etags, range(sent, min(sent + 100, landing.count)))
            sent = min(sent + 100, landing.count)
        else:
            time.sleep(0.5)


def wait_for(runs: Sequence[Run], count: int) -> None:
    while (done := sum(run.stored() for run in runs)) < count:
        assert all(run.process.poll() is None for run in runs), runs[0].log.read_text()[-2000:]
        time.sleep(0.5 if count - done > 500 else 0.1)


def check(endpoint: str, name: str, count: int) -> dict[str, int]:
    """Raise unless each file is there once; return what folding it took."""
    store = open_store(f"s3://{BUCKET}/{name}", storage_options={"endpoint_url": endpoint})
    snapshot = read_current(store).snapshot
    assert not store.entries(layout.COMMITS)
    assert sum(leaf.rows for leaf in snapshot.leaves) == count
    assert sum(entry.sources for entry in snapshot.ledger) == count
    return {"snapshots": snapshot.number}


def burst(base: Path, landing: Landing, etags: Sequence[str], workers: int, jobs: int) -> dict[str, Any]:
    """Return what is reached when there are always events that wait."""
    name = f"burst-{workers}-{jobs}"
    new_store(landing.direct, name)
    queue = new_queue(landing, name)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(worker(base, name, landing.direct, queue, number, jobs=jobs))
            for number in range(workers)
        ]
        begun = time.perf_counter()
        feeding = threading.Thread(target=feed, args=(landing, queue, etags, runs))
        feeding.start()
        wait_for(runs, landing.count)
        spent = time.perf_counter() - begun
        feeding.join()
    check(landing.direct, name, landing.count)
    commits = sum(line.get("event") == "committed" for run in runs for line in run.lines())
    return {
        "way": f"worker, {workers} process{'es' if workers > 1 else ''}, {jobs} jobs each",
        "files": landing.count,
        "events/s": round(landing.count / spent, 1),
        "MB/s": round(landing.count * landing.size / spent / 1e6, 2),
        "commits": commits,
        "files a commit": round(landing.count / commits, 1),
    }


def steady(base: Path, landing: Landing, etags: Sequence[str], rate: float, jobs: int) -> dict[str, Any]:
    """Return the lag from an event to what readers see, while events come at a steady rate."""
    name = "steady"
    count = min(landing.count, _STEADY_FILES)
    new_store(landing.direct, name)
    queue = new_queue(landing, name)
    with worker(base, name, landing.direct, queue, jobs=jobs) as run:
        begun = time.perf_counter()
        for start in range(0, count, 10):
            send(landing, queue, etags, range(start, min(start + 10, count)))
            time.sleep(max(begun + (start + 10) / rate - time.perf_counter(), 0.0))
        wait_for([run], count)
    lags = run.lags()
    assert len(lags) == count
    check(landing.direct, name, count)
    return {
        "events/s": round(rate, 1),
        "files": count,
        "lag p50 s": round(float(np.percentile(lags, 50)), 2),
        "lag p95 s": round(float(np.percentile(lags, 95)), 2),
        "lag max s": round(max(lags), 2),
    }


def counted(
    base: Path, landing: Landing, etags: Sequence[str], upstream: int, *, jobs: int, prices: dict[str, Any]
) -> dict[str, Any]:
    """Return the requests of a run, to the buckets and to the queue."""
    name, count = "counted", min(landing.count, _COUNTED)
    new_store(landing.direct, name)
    queue = new_queue(landing, name)
    send(landing, queue, etags, range(count))
    port = int(landing.moto.rpartition(":")[2])
    with counting(upstream, base) as s3, counting(port, base) as sqs:
        through = re.sub(r":\d+/", f":{sqs.port}/", queue, count=1)
        with worker(base, name, s3.endpoint, through, jobs=jobs) as run:
            wait_for([run], count)
        buckets, asked = s3.counts(), sqs.counts()
    check(landing.direct, name, count)
    return _cost(prices, "worker", count, landing.size, buckets=buckets, queue=asked["requests"])


def delta(
    landing: Landing, proxy: Counting, prices: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], list[int]]:
    """Return what writing the same files to a Delta table reaches, its requests, and ms an append at first and at last.

    Each file is one append.
    """
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    s3 = boto3.client("s3", endpoint_url=proxy.endpoint, region_name="us-east-1")
    options = {
        "AWS_ENDPOINT_URL": proxy.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": os.environ["AWS_SECRET_ACCESS_KEY"],
        "conditional_put": "etag",
    }
    schema = pa.schema([("number", pa.int64()), ("samples", pa.binary())])
    place, count = f"s3://{BUCKET}/delta", min(landing.count, _APPENDED)
    write_deltalake(place, schema.empty_table(), storage_options=options)
    table = DeltaTable(place, storage_options=options)
    proxy.counts()
    begun = time.perf_counter()
    lengths = []
    for number in range(count):
        body = s3.get_object(Bucket=BUCKET, Key=landing.key(number))["Body"].read()
        with h5py.File(io.BytesIO(body)) as held:
            block = held[_DATA][:].tobytes()
        started = time.perf_counter()
        write_deltalake(table, pa.table({"number": [number], "samples": [block]}, schema=schema), mode="append")
        lengths.append(time.perf_counter() - started)
    spent = time.perf_counter() - begun
    counts = proxy.counts()
    assert DeltaTable(place, storage_options=options).to_pyarrow_table().num_rows == count
    quarter = max(count // 4, 1)
    rates = {
        "way": "Delta, one append a file, one writer",
        "files": count,
        "events/s": round(count / spent, 1),
        "MB/s": round(count * landing.size / spent / 1e6, 2),
        "commits": count,
        "files a commit": 1.0,
    }
    growth = [round(float(np.median(part)) * 1e3) for part in (lengths[:quarter], lengths[-quarter:])]
    return rates, _cost(prices, "Delta", count, landing.size, buckets=counts, queue=0), growth


def _cost(
    prices: dict[str, Any], way: str, count: int, size: int, *, buckets: dict[str, int], queue: int
) -> dict[str, Any]:
    """Return requests for each file, and what they cost for each GB of raw files by the price table."""
    puts = sum(buckets.get(kind, 0) for kind in ("PUT", "POST", "PART", "MULTIPART"))
    gets = buckets.get("GET", 0) + buckets.get("HEAD", 0)
    dollars = {
        "put": puts * prices["s3"]["put_per_1000"]["STANDARD"] / 1e3,
        "list": buckets.get("LIST", 0) * prices["s3"]["list_per_1000"] / 1e3,
        "get": gets * prices["s3"]["get_per_1000"]["STANDARD"] / 1e3,
        "queue": queue * prices["sqs"]["requests_per_million"] / 1e6,
    }
    gigabytes = count * size / _GB
    return {
        "way": way,
        "files": count,
        "PUTs a file": round(puts / count, 2),
        "GETs and HEADs a file": round(gets / count, 2),
        "LISTs a file": round(buckets.get("LIST", 0) / count, 3),
        "queue requests a file": round(queue / count, 2),
        "$ a million files": round(sum(dollars.values()) / count * 1e6, 2),
        "$ a GB": round(sum(dollars.values()) / gigabytes, 3),
    }


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--prices", type=Path, default=_PRICES, help="the price table")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/worker.md and worker.json")
    chosen = parser.parse_args()
    prices = json.loads(chosen.prices.read_text())
    with tempfile.TemporaryDirectory(prefix="lightkeep-bench-") as folder:
        base = Path(folder)
        with seaweed(base) as port, moto(base) as queues:
            direct = f"http://127.0.0.1:{port}"
            etags, size = put_files(base, direct, chosen.files)
            landing = Landing(direct, queues, chosen.files, size)
            costs = [counted(base, landing, etags, port, jobs=chosen.jobs, prices=prices)]
            print(costs[-1], file=sys.stderr, flush=True)
            with counting(port, base) as proxy:
                appended, cost, growth = delta(landing, proxy, prices)
            costs.append(cost)
            print(appended, cost, growth, file=sys.stderr, flush=True)
            rates = []
            fewer = replace(landing, count=min(landing.count, _FEWER))
            for workers, part in ((1, landing), (2, fewer)):
                rates.append(burst(base, part, etags, workers, chosen.jobs))
                print(rates[-1], file=sys.stderr, flush=True)
            lag = steady(base, landing, etags, rates[0]["events/s"] * _STEADY, chosen.jobs)
            rates.append(appended)
    text = _page(rates, lag, costs, size, prices) + _reading(rates, costs, growth)
    print(text)
    if chosen.write:
        save(
            "worker",
            text,
            {"machine": machine(), "file bytes": size, "rates": rates, "lag": lag, "costs": costs, "growth": growth},
        )


def _page(
    rates: Sequence[dict[str, Any]],
    lag: dict[str, Any],
    costs: Sequence[dict[str, Any]],
    size: int,
    prices: dict[str, Any],
) -> str:
    return "\n".join(
        [
            "# The worker, measured",
            "",
            f"`python -m bench.worker --write`, on {machine()}.",
            f"PRODML files of {_SECONDS} s, {CHANNELS} channels, int16 at {RATE} Hz ({size / 1e3:.0f} kB), in a landing bucket in SeaweedFS; an S3 event",
            f"for each waits in an SQS queue ({_WAITING} at a time). moto, which plays the queue, and SeaweedFS take their share of the same cores. After",
            "each run every file is in the archive once and in the ledger once.",
            "",
            markdown(rates),
            "",
            "Delta is written by one loop in one process: fetch, decode, append a row with the samples (as they are, not encoded), through the proxy",
            "that counts. A Delta table with one writer has no conflicts; with several, each append is made upon the other's.",
            "",
            "## Lag",
            "",
            f"From the event's time to the commit after which readers see the file, while events come at {_STEADY:.0%} of what one worker",
            "does. A file waits up to 2 s for its commit (`LIGHTKEEP_BATCH_SECONDS`).",
            "",
            markdown([lag]),
            "",
            "## Requests and dollars",
            "",
            "Counted by proxies before the buckets and before the queue; landing and archive together, folds and index included. Prices",
            f"are those of `terraform/prices.json` ({prices['region']}, {prices['date']}). A GB is one of raw files: files of this size cost what they",
            "cost by their number, not by their bytes; a file of 100 MB costs the same requests, and a thousandth for each GB.",
            "",
            markdown(costs),
            "",
        ]
    )


def _reading(rates: Sequence[dict[str, Any]], costs: Sequence[dict[str, Any]], growth: Sequence[int]) -> str:
    """Return what the figures say."""
    worker, two, appended = rates
    puts = [round(cost["PUTs a file"]) for cost in costs]
    ours, theirs = (f"${cost['$ a million files']:.0f}" for cost in costs)
    return f"""
## What it says

- A worker needs no more commits for more files: {worker["files a commit"]:.0f} shared one here, over {worker["files"]} files. Delta needs one for each; an append
  took {growth[0]} ms in the first quarter of {appended["files"]} and {growth[1]} ms in the last, since the log grows. Here that is what folding is for.
- Nearly all of the cost is PUTs: {puts[0]} a file here, {puts[1]} for a Delta append, with the samples as they are and no coordinates, checksums or
  byte ranges. So a million files of this size cost more here ({ours}) than there ({theirs}, growing with the table). Files of tens of MB, as
  instruments write them, cost the same {ours} a million.
- Two workers on two cores, which SeaweedFS and moto need as well, take in {two["events/s"] / worker["events/s"]:.2f} times as many files a second as one.
"""


if __name__ == "__main__":
    main()
