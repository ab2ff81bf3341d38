"""An archive with every kind of object in it, and ways to damage them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import archive as lk
from archive.index import layout
from archive.store import Store, open_store
from archive.view import open_view
from ingest.initialise import initialise
from ingest.run import adopt, ingest, plan_ingest, put_commit, read_ledger
from ingest.settings import Settings
from ingest.task import Task, run_task


def fill(store: Store, files: list[Path], others: list[Path]) -> None:
    """Make an archive of two datasets: three snapshots, several leaves and ledger segments, two young commits."""
    initialise(store)
    ingest(store, [str(path) for path in files[:2]])
    ingest(store, [str(files[2]), str(others[0])])
    for file in (files[3], others[1]):
        plan, view, _ = plan_ingest(store, [str(file)], Settings())
        datasets = {name: adopt(store, view, held) for name, held in plan.datasets.items()}
        (group,) = plan.groups
        result = run_task(Task(store=store, sources=group, datasets=datasets))
        put_commit(store, result.rows, result.sources, datasets)


@dataclass(frozen=True, slots=True)
class Content:
    """All that an archive tells its readers, and its ledger."""

    samples: dict[str, list[bytes]]
    times: dict[str, list[list[int]]]
    ledger: set[tuple[Any, ...]]

    @classmethod
    def of(cls, url: str, options: dict[str, Any] | None = None) -> Content:
        spool = lk.open(url, storage_options=options or {})
        samples: dict[str, list[bytes]] = {}
        times: dict[str, list[list[int]]] = {}
        for patch in spool:
            name = str(patch.attrs["dataset"])
            samples.setdefault(name, []).append(np.ascontiguousarray(patch.data).tobytes())
            stamps = patch.coords["time"].to_numpy().astype(np.int64)
            times.setdefault(name, []).append(stamps.tolist())
        known = read_ledger(open_view(open_store(url, storage_options=options or {})))
        ledger = {(one.url, one.size, one.stamp, one.sha256, one.format, one.rows) for one in known.sources()}
        return cls(samples, times, ledger)


def keys_of(store: Store, kind: str) -> list[str]:
    """Return the keys of two objects of a kind, the first one live."""
    view = open_view(store)
    rows = [row for table in view.tables(None) for row in view.rows(table, range(len(table.sources)))]
    first, *_, last = sorted(rows, key=lambda row: (row.dataset, row.time.first))
    snapshot = view.snapshot
    listed = [entry.key for entry in store.entries("")]

    def other(prefix: str, key: str) -> list[str]:
        return [key, next(name for name in listed if name.startswith(prefix) and name != key)]

    match kind:
        case "archive":
            return [layout.ROOT]
        case "CURRENT":
            return [layout.CURRENT]
        case "dataset":
            return [layout.dataset_key(name) for name in snapshot.datasets]
        case "snapshot":
            return [layout.snapshot_key(1), layout.snapshot_key(0)]
        case "leaf":
            return [leaf.key for leaf in snapshot.leaves]
        case "ledger":
            return other(layout.LEDGER, snapshot.ledger[-1].key)
        case "commit":
            return [key for key in listed if key.startswith(layout.COMMITS)]
        case "data":
            return [first.data.key, last.data.key]
        case _:
            return [f"{row.key}/{kind}" for row in (first, last)]


def overwrite(store: Store, key: str, body: bytes) -> None:
    store.swap(key, body, store.head(key).etag)


def inflict(store: Store, damage: str, keys: list[str]) -> list[str]:
    """Damage the first of some objects, and return what is damaged."""
    one = keys[0]
    body = bytes(store.get(one).data)
    middle = len(body) // 2
    if damage == "flip":
        overwrite(store, one, body[:middle] + bytes([body[middle] ^ 4]) + body[middle + 1 :])
    elif damage == "cut":
        overwrite(store, one, body[:-7])
    elif damage == "delete":
        store.delete([one])
    else:
        other = bytes(store.get(keys[1]).data)
        overwrite(store, one, other)
        overwrite(store, keys[1], body)
        return [one, keys[1]] if body != other else []
    return [one]


def linked(source: Path, target: Path) -> str:
    """Return a copy of a folder whose files are the same ones, etags and all; writers never change a file in place."""
    shutil.copytree(source, target, copy_function=os.link)
    return str(target)
