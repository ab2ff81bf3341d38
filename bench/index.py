"""Opening and planning, measured: what it costs with a small index, with young commits, and with a million granules."""

from __future__ import annotations

import hashlib
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import archive as lk
from archive.index import layout
from archive.index.leaves import LEAF_ROWS, encode_leaf
from archive.index.snapshot import Snapshot
from archive.view import open_view
from bench.recording import new_store
from bench.servers import BUCKET
from ingest.run import put_commit

if TYPE_CHECKING:
    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.store import Store
    from bench.servers import Counting

__all__ = ["measure"]

_YOUNG = 10
_DELAYS = (0, 25)
_REPEATS = 5


def _template(direct: str) -> tuple[Dataset, Row]:
    """Return a dataset and one of its rows, from the archive that was ingested."""
    view = open_view(lk.open(f"s3://{BUCKET}/pcodec", storage_options={"endpoint_url": direct})._root.view.store)  # type: ignore[attr-defined]  # noqa: SLF001
    (name, dataset), *_ = view.datasets().items()
    table = view.tables([name])[0]
    return dataset, view.rows(table, [0])[0]


def _row(row: Row, number: int) -> Row:
    """Return a row like another one, some granules later, of data that is not there."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    key = f"{row.key[:-21]}{digest[:16]}.zarr"
    length = row.time.size * row.time.step
    return replace(
        row,
        id=digest,
        key=key,
        time=row.time.shifted(int(number * length)),
        data=replace(row.data, key=f"{key}/data/c/0/0", etag=digest[:32], sha256=digest),
        sources=tuple(source._replace(sha256=digest) for source in row.sources),
    )


def _fill(store: Store, dataset: Dataset, row: Row, granules: int) -> float:
    """Write an index of granules that are not there, and return the seconds it took."""
    started = time.perf_counter()
    leaves, batch = [], []
    for first in range(0, granules, LEAF_ROWS):
        entry, body = encode_leaf(
            [_row(row, number) for number in range(first, min(first + LEAF_ROWS, granules))], dataset
        )
        leaves.append(entry)
        batch.append((entry.key, body))
        if len(batch) == 16 or first + LEAF_ROWS >= granules:
            store.create_many(batch)
            batch = []
    current = store.get(layout.CURRENT)
    snapshot = replace(Snapshot.decode(current.data), number=1, datasets={dataset.name: dataset}, leaves=tuple(leaves))
    store.swap(layout.CURRENT, snapshot.encode(), current.etag)
    return time.perf_counter() - started


def _plan(url: str, endpoint: str, when: np.datetime64) -> None:
    minute = np.timedelta64(60, "s")
    plan = lk.open(url, storage_options={"endpoint_url": endpoint}).select(time=(when, when + minute)).explain()
    assert plan.requests >= 1


def measure(proxy: Counting, direct: str, granules: int) -> list[dict[str, Any]]:
    """Return what a cold open and plan takes for each kind of index."""
    dataset, row = _template(direct)
    start = np.datetime64(row.time.first, "ns")
    length = int(row.time.size * row.time.step)
    young = new_store(direct, "young")
    _fill(young, dataset, row, 2 * LEAF_ROWS)
    for number in range(_YOUNG):
        put_commit(young, [_row(row, 2 * LEAF_ROWS + number)], [], {})
    many = new_store(direct, "many")
    print(f"an index of {granules} granules was made in {_fill(many, dataset, row, granules):.0f} s", flush=True)
    size = len(memoryview(many.get(layout.CURRENT).data))
    todo = [
        ("folded, one leaf", "pcodec", start),
        (f"{_YOUNG} young commits beside two leaves", "young", start),
        (
            f"{granules} granules, CURRENT {size / 1e3:.0f} kB",
            "many",
            start + np.timedelta64(granules // 2 * length, "ns"),
        ),
    ]
    records = []
    for delay in _DELAYS:
        proxy.set(delay_ms=delay)
        for label, name, when in todo:
            spent, counts = [], {}
            for turn in range(_REPEATS + 1):
                proxy.counts()
                begun = time.perf_counter()
                _plan(f"s3://{BUCKET}/{name}", proxy.endpoint, when)
                if turn:
                    spent.append(time.perf_counter() - begun)
                counts = proxy.counts()
            records.append(
                {
                    "index": label,
                    "added ms": delay,
                    "ms": round(statistics.median(spent) * 1e3, 1),
                    "requests": counts["requests"],
                    "waves": counts["waves"],
                    "kB": round(counts["body_down"] / 1e3, 1),
                }
            )
            print(records[-1], flush=True)
    proxy.set(delay_ms=0)
    return records
