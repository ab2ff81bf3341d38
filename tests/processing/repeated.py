"""An archive of any size from one stored granule: rows that name the same object again and again, later each time."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import archive as lk
from archive.index.rows import SourceRange, row_id
from archive.store import open_store
from archive.times import time_to_ns
from archive.view import ALWAYS, open_view
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.run import ingest, put_commit
from ingest.synthetic.vendor import Header, write_prodml

__all__ = ["low_pass", "repeated"]

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


# Its own peak: ru_maxrss would begin with that of the process that started it.
_CHILD = """
import json, resource, sys
import archive as lk
from archive import operations as do
chain = [do.detrend("time"), do.pass_filter(time=(..., 0.4)), do.decimate(time=1000, filter_type=None)]
lk.open(sys.argv[1]).process(chain, out=sys.argv[2])
used = resource.getrusage(resource.RUSAGE_SELF)
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
print(json.dumps({"peak": peak, "cpu": used.ru_utime + used.ru_stime}))
"""


def low_pass(url: str, kept: Path) -> dict[str, float]:
    """Take a repeated archive to one sample a second, in a process of its own, and return what that took.

    Returns
    -------
    dict
        `peak` (bytes of memory), `cpu` (s), and `off`: how far the mean over channels is from the wave that the
        samples hold below 0.4 Hz, counts.
    """
    initialise(open_store(kept))
    done = subprocess.run([sys.executable, "-c", _CHILD, url, str(kept)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    (given,), (made,) = lk.open(url), lk.open(str(kept))
    assert made.shape == (-(-given.shape[0] // RATE), CHANNELS)
    wave = 500 * np.sin(2 * np.pi * 0.125 * np.arange(made.shape[0]))
    off = np.abs(made.data.mean(axis=1) - wave)[60:-60].max()
    return {**json.loads(done.stdout), "off": float(off)}
