"""An archive of any size from one stored granule: rows that name the same object again and again, later each time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from archive.index.rows import SourceRange, row_id
from archive.operations import registry  # noqa: F401 - so that a child that measures itself has paid for its imports
from archive.store import open_store
from archive.times import time_to_ns
from archive.view import ALWAYS, open_view
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.run import ingest, put_commit
from ingest.synthetic.vendor import Header, write_prodml

__all__ = ["repeated"]

SECONDS, RATE, CHANNELS = 32, 1000, 1000


def repeated(folder: Path, gigabytes: float) -> str:
    """Make an archive of so many GB of int16 at 1 kHz and 1000 channels, and return its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).normal(0, 200, (SECONDS * RATE, CHANNELS))
    noise += 500 * np.sin(2 * np.pi * 0.125 * np.arange(SECONDS * RATE) / RATE)[:, None]  # whole periods: no seam
    header = Header(start=time_to_ns("2024-01-01"), rate=float(RATE), spacing=2.0)
    path = write_prodml(folder / "one.h5", noise.astype(np.int16), header)
    store = open_store(folder / "archive")
    initialise(store)
    ingest(store, [str(path)])
    view = open_view(store)
    (table,) = view.tables(None, *ALWAYS)
    rows = view.rows(table, range(len(table.spans)))
    made, length = [], SECONDS * 10**9
    for number in range(1, round(gigabytes * 1e9 / (SECONDS * RATE * CHANNELS * 2))):
        for row in rows:
            source = tuple(SourceRange(f"{number:064x}", *part[1:]) for part in row.sources)
            time = row.time.shifted(number * length)
            made.append(replace(row, id=row_id(row.dataset, row.incarnation, source), sources=source, time=time))
    put_commit(store, made, [], {table.dataset.name: table.dataset})
    fold(store)
    return str(folder / "archive")


if __name__ == "__main__":
    print(repeated(Path(sys.argv[1]), float(sys.argv[2])))  # noqa: T201 - the answer
