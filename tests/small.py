"""Small raw files, what a writer makes of them without committing it, and what an archive holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.index import layout
from archive.index.commits import Commit
from archive.times import time_to_ns
from archive.view import open_view
from ingest.run import adopt, plan_ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml
from ingest.task import Task, run_task

if TYPE_CHECKING:
    from archive.index.rows import Row
    from archive.store import Store

START = time_to_ns("2016-03-14T08:00:00")


def samples(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(-99, 99, (200, 5)).astype(np.int16)


def raw(path: Path, number: int = 0, **said: Any) -> Path:
    """Write a file of 200 ms; the next number follows without a gap."""
    path.parent.mkdir(exist_ok=True)
    return write_prodml(path, samples(number), Header(start=START + number * 200 * 10**6, **said))


def commits_of(store: Store, *paths: Path) -> list[Commit]:
    """Return the commit that an ingest of files would make, the granules being there."""
    plan, view, _ = plan_ingest(store, [str(path) for path in paths], Settings())
    datasets = {name: adopt(store, view, held) for name, held in plan.datasets.items()}
    made = []
    for group in plan.groups:
        result = run_task(Task(store=store, sources=group, datasets=datasets))
        made.append(
            Commit(key=layout.new_commit_key(1), created=1, rows=result.rows, sources=result.sources, datasets=datasets)
        )
    return made


def rows_of(store: Store) -> list[Row]:
    """Return all rows that a reader sees now, each once, in their order."""
    view = open_view(store)
    rows = [row for table in view.tables(None) for row in view.rows(table, range(len(table.sources)))]
    return sorted(rows, key=lambda row: (row.dataset, row.time.first))


def state(store: Store) -> dict[str, str]:
    return {entry.key: hashlib.sha256(store.get(entry.key).data).hexdigest() for entry in store.entries("")}
