"""The recording that benchmarks read and write: a synthetic fibre, as vendor files and as archives in a bucket."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.store import Store, open_store
from bench.servers import BUCKET
from ingest.initialise import initialise
from ingest.synthetic import Acquisition, Earthquake, Train, write_prodml
from ingest.synthetic.vendor import Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHANNELS", "FIBRE", "RATE", "START", "machine", "new_store", "samples", "write_files"]

CHANNELS = 512
RATE = 200  # Hz
START = np.datetime64("2024-05-01T00:00:00", "ns").astype(np.int64).item()
_FILE_SECONDS = 60
FIBRE = Acquisition(
    channels=CHANNELS,
    spacing=1.0,
    rate=float(RATE),
    seed=3,
    trains=tuple(Train(start=60.0 + 420 * number, speed=25.0 * (-1) ** number) for number in range(9)),
    earthquakes=(Earthquake(start=1250.0), Earthquake(start=2900.0, strength=900.0)),
)


def samples(start: float, stop: float) -> NDArray[np.int16]:
    """Return the samples of some seconds of the fibre, shape (samples, channels)."""
    return FIBRE.samples(round(start * RATE), round(stop * RATE))


def _write(folder: Path, minute: int) -> Path:
    header = Header(start=START + minute * _FILE_SECONDS * 10**9, rate=float(RATE), spacing=1.0, acquisition="bench")
    block = samples(minute * _FILE_SECONDS, (minute + 1) * _FILE_SECONDS)
    return write_prodml(folder / f"fibre_{minute:04d}.h5", block, header)


def write_files(folder: Path, minutes: int) -> list[Path]:
    """Write PRODML files of one minute each."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(partial(_write, folder), range(minutes), chunksize=8))


def new_store(endpoint: str, name: str, **options: Any) -> Store:
    """Return the store of a new, empty archive in the bucket."""
    store = open_store(f"s3://{BUCKET}/{name}", storage_options={"endpoint_url": endpoint, **options})
    initialise(store)
    return store


def machine(sharing: str = "; client, proxy and server share them") -> str:
    """Return what it was measured on, in a few words, and who shares the cores."""
    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} cores, {model}{sharing}; load average {os.getloadavg()[0]:.1f}"
