"""Committing, measured side by side: many Lightkeep writers, and Delta and Icechunk writers, through one server.

    python -m bench.commit [--seconds 15] [--repeats 3] [--write]

Every writer is a process of its own, and all write to one archive, one table or one repository in SeaweedFS, through a
proxy that adds the time of a network and counts. Index, folds and everything else
that is sent counts as written.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.index import layout
from bench import writers
from bench.recording import CHANNELS, RATE, START, machine, new_store, samples
from bench.servers import BUCKET, Counting, counting, seaweed
from bench.table import markdown, save
from bench.writers import Job, Written
from ingest.formats import format_named, open_format
from ingest.index.fold import fold
from ingest.index.swap import read_current
from ingest.keeping.compact import compact
from ingest.run import plan_ingest
from ingest.settings import Settings
from ingest.synthetic import write_prodml
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from archive.store import Store

_SMALL = 0.5  # seconds of the fibre in a small granule: 100 kB
_GRANULES = {"1 MB": (12.0, 160), "8 MB": (96.0, 50)}  # seconds of the fibre, and how many granules
_PAUSE = 0.25
_ALIKE = (
    ("lightkeep: granule and commit", "Delta: append with the samples"),
    ("lightkeep: granule and commit", "Icechunk: chunk and commit"),
    ("lightkeep: commit of a row", "Delta: append of a row"),
)


@contextmanager
def watching(store: Store, young: list[int]) -> Iterator[None]:
    """Note how many commits are young while the block runs, past the proxy."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_PAUSE):
            young.append(len(store.entries(layout.COMMITS)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def job_of(base: Path, endpoint: str, seconds: float, stop: float, most: int = 1 << 40) -> Job:
    """Return a job of granules of some seconds of the fibre: the dataset as ingest makes it of a file of that length."""
    block = samples(600, 600 + seconds)
    start = START - round(seconds * 1e9)
    path = base / f"fibre-{seconds}.npy"
    np.save(path, block)
    header = Header(start=start, rate=float(RATE), spacing=1.0, acquisition="bench")
    raw = write_prodml(base / f"fibre-{seconds}.h5", block, header)
    plan, _, _ = plan_ingest(new_store(endpoint, f"plan-{uuid.uuid4().hex}"), [str(raw)], Settings())
    (dataset,) = plan.datasets.values()
    with raw.open("rb") as file:
        said = open_format(format_named("prodml")).describe(file).header
    return Job(
        endpoint=endpoint,
        name=f"{uuid.uuid4().hex}",
        samples=path,
        dataset=dataset.to_json(),
        header=dict(said),
        seconds=stop,
        most=most,
        key=os.environ["AWS_ACCESS_KEY_ID"],
        secret=os.environ["AWS_SECRET_ACCESS_KEY"],
    )


def lightkeep(job: Job, work: Callable[..., None], count: int, proxy: Counting, direct: str) -> dict[str, Any]:
    """Return what writers of one archive reach, after it was checked that nothing is lost and nothing twice."""
    store = new_store(direct, job.name)
    young: list[int] = []
    proxy.counts()
    written, spent = writers.run(work, job, count, lambda: watching(store, young))
    counts = proxy.counts()
    commits = sum(len(one.commits) for one in written)
    fold(store)
    held = sum(leaf.rows for leaf in read_current(store).snapshot.leaves)
    assert held == commits, f"{commits} commits were acknowledged, {held} granules are there"
    return {
        **_figures(written, spent, counts),
        "of it the commit, p50 ms": _ms(_all(written, "commits"), 50),
        "commit p95 ms": _ms(_all(written, "commits"), 95),
        "young, early": round(statistics.median(young[: len(young) // 2])),
        "young, late": round(statistics.median(young[len(young) // 2 :])),
        "young, most": max(young),
        "folds": sum(one.counts["folds"] for one in written),
        "in vain": sum(one.counts["vain folds"] for one in written),
    }


def delta(job: Job, count: int, proxy: Counting, work: Callable[..., None] = writers.delta) -> dict[str, Any]:
    """Return what writers that append to one Delta table reach."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    place, options = f"s3://{BUCKET}/{job.name}", writers.delta_options(job)
    schema = pa.schema([("number", pa.int64()), ("samples", pa.binary())])
    write_deltalake(place, schema.empty_table(), storage_options=options)
    first = DeltaTable(place, storage_options=options).version()
    proxy.counts()
    written, spent = writers.run(work, job, count)
    counts = proxy.counts()
    table = DeltaTable(place, storage_options=options)
    commits = sum(len(one.whole) for one in written)
    assert commits == table.version() - first == len(set(table.to_pyarrow_table()["number"].to_pylist()))
    return _figures(written, spent, counts)


def icechunk(job: Job, count: int, proxy: Counting) -> dict[str, Any]:
    """Return what writers that commit to one Icechunk repository reach."""
    import zarr
    from icechunk import Repository

    repository = Repository.create(writers.icechunk_storage(job))
    session = repository.writable_session("main")
    block = np.load(job.samples)
    zarr.open_group(session.store, mode="a").create_array(
        "samples", shape=(block.shape[0] * 100_000, block.shape[1]), chunks=block.shape, dtype=block.dtype
    )
    session.commit("the array")
    proxy.counts()
    written, spent = writers.run(writers.icechunk, job, count)
    counts = proxy.counts()
    commits = sum(len(one.whole) for one in written)
    log = [one.message for one in Repository.open(writers.icechunk_storage(job)).ancestry(branch="main")]
    assert commits == len({message for message in log if message.startswith("stretch")})
    return _figures(written, spent, counts)


def _figures(written: Sequence[Written], spent: float, counts: dict[str, int]) -> dict[str, Any]:
    whole = _all(written, "whole")
    return {
        "commits": len(whole),
        "commits/s": round(len(whole) / spent, 1),
        "p50 ms": _ms(whole, 50),
        "p95 ms": _ms(whole, 95),
        "retries": sum(one.counts["retries"] for one in written),
        "PUTs a commit": round(counts.get("PUT", 0) / len(whole), 2),
        "sent kB a commit": round(counts["bytes_up"] / len(whole) / 1e3, 1),
    }


def _all(written: Sequence[Written], name: str) -> list[float]:
    return [seconds for one in written for seconds in getattr(one, name)]


def _ms(seconds: Sequence[float], percent: int) -> float:
    return round(float(np.percentile(seconds, percent)) * 1e3, 1)


def rates(base: Path, proxy: Counting, direct: str, seconds: float, repeats: int) -> list[dict[str, Any]]:
    """Return medians for each system, interleaved repetitions in one run."""

    def ours(work: Callable[..., None], count: int) -> Callable[[], dict[str, Any]]:
        return lambda: lightkeep(job_of(base, proxy.endpoint, _SMALL, seconds), work, count, proxy, direct)

    def theirs(measure: Callable[..., dict[str, Any]], count: int) -> Callable[[], dict[str, Any]]:
        return lambda: measure(job_of(base, proxy.endpoint, _SMALL, seconds), count, proxy)

    ways: list[tuple[str, int, int, Callable[[], dict[str, Any]]]] = []
    for delay, counts in ((25, (16, 50)), (0, (50,))):
        for count in counts:
            ways.append(("lightkeep: granule and commit", count, delay, ours(writers.lightkeep, count)))
            ways.append(("lightkeep: commit of a row", count, delay, ours(writers.lightkeep_commits, count)))
        if delay:
            ways.append(("Delta: append with the samples", 16, delay, theirs(delta, 16)))
            ways.append(("Delta: append of a row", 16, delay, theirs(partial(delta, work=writers.delta_rows), 16)))
            ways.append(("Icechunk: chunk and commit", 16, delay, theirs(icechunk, 16)))
    found: dict[int, list[dict[str, Any]]] = {number: [] for number in range(len(ways))}
    for _ in range(repeats):
        for number, (way, count, delay, measure) in enumerate(ways):
            proxy.delay(delay)
            found[number].append({"load": round(os.getloadavg()[0], 1), **measure()})
            print(way, count, delay, found[number][-1], file=sys.stderr, flush=True)
    return [
        {"way": way, "writers": count, "added ms": delay, **_medians(found[number])}
        for number, (way, count, delay, _) in enumerate(ways)
    ]


def _medians(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    worst = {"retries", "young, most"}
    return {
        name: round((max if name in worst else statistics.median)([record[name] for record in records]), 2)
        for name in records[0]
    }


def amplification(base: Path, proxy: Counting, direct: str, count: int) -> list[dict[str, Any]]:
    """Return what is sent for each byte of granules' data, before and with compaction."""
    records = []
    proxy.delay(0)
    for label, (seconds, granules) in _GRANULES.items():
        job = job_of(base, proxy.endpoint, seconds, 600.0, granules)
        store = new_store(direct, job.name)
        proxy.counts()
        written, spent = writers.run(writers.lightkeep, job, count)
        through = new_store(proxy.endpoint, job.name)
        fold(through)
        before = proxy.counts()
        keys = [entry.key for entry in store.entries("") if entry.key.startswith(layout.DATA)]
        stored = sum(one.stored for one in written)
        report = compact(through)
        after = proxy.counts()
        records.append(
            {
                "granules of": label,
                "writers": count,
                "granules": granules,
                "MB each": round(stored / granules / 1e6, 2),
                "objects a granule": round((len(keys) - 1) / granules, 2),
                "PUTs a granule": round(before["PUT"] / granules, 2),
                "amplification": round(before["bytes_up"] / stored, 4),
                "with compaction": round((before["bytes_up"] + after["bytes_up"]) / stored, 4),
                "granules after": report.after,
                "retries": sum(one.counts["retries"] for one in written),
                "MB/s": round(stored / spent / 1e6, 1),
            }
        )
        print(records[-1], file=sys.stderr, flush=True)
    return records


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="of each repetition")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/commit.md and commit.json")
    chosen = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lightkeep-bench-") as name:
        base = Path(name)
        with seaweed(base) as port, counting(port, base) as proxy:
            direct = f"http://127.0.0.1:{port}"
            written = amplification(base, proxy, direct, 16)
            rated = rates(base, proxy, direct, chosen.seconds, chosen.repeats)
    text = _page(rated, written, chosen.seconds, chosen.repeats)
    print(text)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    if chosen.write:
        save("commit", text, {"machine": machine(), "rates": rated, "amplification": written, "ratios": _ratios(rated)})


def _ratios(rated: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return how many times as many commits a second as others that write the same, with 16 writers at 25 ms."""
    pace = {
        record["way"]: record["commits/s"] for record in rated if (record["writers"], record["added ms"]) == (16, 25)
    }
    return {
        f"{ours} / {other}": round(pace[ours] / pace[other], 1)
        for ours, other in _ALIKE
        if ours in pace and other in pace
    }


def _page(rated: Sequence[dict[str, Any]], written: Sequence[dict[str, Any]], seconds: float, repeats: int) -> str:
    names = list(dict.fromkeys(name for record in rated for name in record))
    return "\n".join(
        [
            "# Commits, measured",
            "",
            f"`python -m bench.commit --write`, on {machine()}.",
            "Each writer is a process; all of them write to one archive, one Delta table or one Icechunk repository in SeaweedFS,",
            f"through a proxy that adds time to each request. Medians of {repeats} interleaved repetitions of {seconds:.0f} s (retries and",
            f"`young, most`: the worst). With samples, each commit carries the same {CHANNELS * RATE * _SMALL * 2 / 1e3:.0f} kB; `of a row` is an entry of the index alone.",
            "`p50` and `p95` run from samples in memory to samples that readers see. Folding is done by the writers, within",
            "the time; `young` is how many commits waited to be folded, looked at four times a second: medians of the first and the",
            "second half of the time, and the most. After each repetition every acknowledged commit is there once. `retries` are those that a writer makes: of requests in Lightkeep, of whole appends in",
            "the others, whose libraries repeat inside; what they send again shows in `PUTs a commit`.",
            "",
            markdown([{name: record.get(name) for name in names} for record in rated]),
            "",
            "As many commits a second, with 16 writers at 25 ms:",
            "",
            *(f"- {pair}: {ratio} ×" for pair, ratio in _ratios(rated).items()),
            "",
            "## Write amplification",
            "",
            "Bytes of all bodies sent through the proxy (granules with their coordinates and metadata, commits, leaves, CURRENT and",
            "its copies, lost folds included) for each byte of the granules' samples as stored; then also with the compaction of",
            "everything into the windows of the dataset. The commits name no raw files, so that the ledger, some hundred bytes a",
            "file, is not in it.",
            "",
            markdown(written),
            "",
        ]
    )


if __name__ == "__main__":
    main()
