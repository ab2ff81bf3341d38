"""An archive to be shown in a page: a fibre with a gap, an overlap and NaN; frames; a bad file."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from frame_sets import write_set

from archive.times import time_to_ns
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.serve.server import PageServer
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml

if TYPE_CHECKING:
    from pathlib import Path

    from archive.store import Store

START = time_to_ns("2016-03-14T08:00:00")
STEP = 10**6
CHANNELS = 300
FILES = {"a": 0, "b": 2000, "c": 5500, "d": 6500}
"""First sample of each file of 2000, ms: no gap, a gap of 1.5 s, an overlap of 1 s."""
FIBRE, FRAMES = "fibre", "raster"
QUICK = {"retry_seconds": 0.4, "stall_seconds": 2, "max_retries": 2}
"""Options with which a store is given up soon."""


@dataclass(frozen=True)
class Shown:
    """What an archive holds."""

    store: Store
    samples: dict[str, np.ndarray[Any, Any]]
    folder: Path

    def truth(self) -> dict[int, np.ndarray[Any, Any]]:
        """Return the samples by their stamps; where two files have them, those of the file that starts earlier."""
        held: dict[int, np.ndarray[Any, Any]] = {}
        for name, first in FILES.items():
            for number, line in enumerate(self.samples[name]):
                held.setdefault(START + (first + number) * STEP, line)
        return held


def _wave(first: int, seed: int) -> np.ndarray[Any, Any]:
    time, channel = np.arange(first, first + 2000)[:, None] / 1000, np.arange(CHANNELS)[None]
    noise = np.random.default_rng(seed).normal(0, 0.05, (2000, CHANNELS))
    wave = np.sin(2 * np.pi * (1.3 * time - channel / 90)) * np.exp(-(((channel - 40 * time) / 60) ** 2))
    return (wave + noise).astype(np.float32)


def make_shown(store: Store, folder: Path) -> Shown:
    """Make the archive."""
    initialise(store)
    samples = {name: _wave(first, seed) for seed, (name, first) in enumerate(FILES.items())}
    samples["a"][500:620, 100:160] = np.nan
    (folder / "raw").mkdir(parents=True)
    for name, first in FILES.items():
        path = folder / "raw" / f"{name}.h5"
        header = Header(start=START + first * STEP)
        ingest(store, [str(write_prodml(path, samples[name], header))], Settings(dataset=FIBRE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_set(folder / "frames")
        ingest(store, [str(folder / "frames")], Settings(dataset=FRAMES))
    (folder / "raw" / "cut.h5").write_bytes((folder / "raw" / "a.h5").read_bytes()[:4000])
    ingest(store, [str(folder / "raw" / "cut.h5")])
    return Shown(store, samples, folder)


@contextmanager
def serving(store: Store, **options: Any) -> Iterator[PageServer]:
    """Serve an archive's page until the block ends; what it logs is in `server.lines`."""
    lines: list[str] = []
    server = PageServer(store, log=lines.append, **options)
    server.lines = lines  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
