"""Opening and planning, measured: what it costs with a small index, with young commits, and with a million granules."""

from __future__ import annotations

import hashlib
import statistics
import time
from dataclasses import replace
from itertools import batched
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import archive as lk
from archive.index import layout, leaves
from archive.index.leaves import LEAF_ROWS, LeafEntry, encode_leaf
from archive.index.snapshot import Snapshot
from archive.view import open_view
from bench.recording import new_store
from bench.servers import BUCKET
from ingest.run import put_commit

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def _leaves(dataset: Dataset, row: Row, granules: int) -> Iterator[tuple[LeafEntry, bytes]]:
    """Yield the leaves of granules that are not there: the first one encoded, the others like it, later."""
    rows = min(LEAF_ROWS, granules)
    entry, body = encode_leaf([_row(row, number) for number in range(rows)], dataset)
    table = pq.read_table(pa.BufferReader(body))
    assert entry.spans is not None
    random = np.random.default_rng(1)
    for number in range(granules // rows):
        later = number * rows * int(row.time.size * row.time.step)
        held = table
        for name in ("origin", "first", "last"):
            held = _with(held, name, pc.add(table[name], later))
        held = _with(held, "id", pa.array([random.bytes(32) for _ in range(rows)], pa.binary(32)))
        data = leaves._to_parquet(held)  # noqa: SLF001 - a leaf as the archive writes it
        digest = hashlib.sha256(data).hexdigest()
        shifted = replace(
            entry,
            key=f"{layout.LEAVES}{digest}.parquet",
            size=len(data),
            sha256=digest,
            narrow=leaves._narrow_offset(data),  # noqa: SLF001
            first=entry.first + later,
            last=entry.last + later,
            spans=tuple((first + later, last + later) for first, last in entry.spans),
        )
        yield shifted, data


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def _fill(store: Store, dataset: Dataset, row: Row, granules: int) -> float:
    """Write an index of granules that are not there, and return the seconds it took."""
    started = time.perf_counter()
    entries = []
    for batch in batched(_leaves(dataset, row, granules), 16):
        store.create_many([(entry.key, data) for entry, data in batch])
        entries.extend(entry for entry, _ in batch)
    current = store.get(layout.CURRENT)
    snapshot = replace(Snapshot.decode(current.data), number=1, datasets={dataset.name: dataset}, leaves=tuple(entries))
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
            f"{granules} granules, at the border of two leaves, CURRENT {size / 1e3:.0f} kB",
            "many",
            start + np.timedelta64(granules // 2 * length, "ns"),
        ),
    ]
    records = []
    for delay in _DELAYS:
        proxy.delay(delay)
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
                    "kB": round(counts["bytes_down"] / 1e3, 1),
                }
            )
            print(records[-1], flush=True)
    proxy.delay(0)
    return records
