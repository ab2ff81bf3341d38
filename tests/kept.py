"""Archives of a few small files in a folder, and what they hold."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

import archive as lk
from archive.index import layout
from archive.store import open_store
from ingest.checking.repair import repair
from ingest.index.ledger import read_segments
from ingest.index.swap import read_current
from ingest.run import ingest
from ingest.synthetic.vendor import Header, write_prodml

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from archive.store import Store

START = 1_700_000_000 * 10**9  # ns
STEP = 10**7  # ns: 100 Hz
SAMPLES, CHANNELS = 200, 5
AT_ONCE = timedelta(0)


def write(folder: Path, number: int, *, first: int | None = None, seed: int | None = None) -> NDArray[np.int16]:
    """Write one file, by default right after the one before, and return its samples."""
    folder.mkdir(exist_ok=True)
    made = np.random.default_rng(number if seed is None else seed).integers(-99, 99, (SAMPLES, CHANNELS)).astype("i2")
    begin = START + (number * SAMPLES if first is None else first) * STEP
    write_prodml(folder / f"{number:03d}.h5", made, Header(start=begin, rate=100.0))
    return made


def fill(url: str, folder: Path, count: int = 6) -> NDArray[np.int16]:
    """Ingest files one by one, each a granule of its own, and return all their samples."""
    parts = []
    for number in range(count):
        parts.append(write(folder, number))
        ingest(open_store(url), [str(folder / f"{number:03d}.h5")])
    return np.concatenate(parts)


def name_of(url: str) -> str:
    (name,) = lk.open(url).datasets
    return name


def held(url: str, as_of: int | str | None = None) -> NDArray[np.int16]:
    """Return every sample of the archive's only dataset, run by run."""
    patches = list(lk.open(url, as_of=as_of))
    return np.concatenate([patch.data for patch in patches]) if patches else np.empty((0, CHANNELS), "i2")


def granules(store: Store) -> set[str]:
    return {entry.key.partition(".zarr")[0] for entry in store.entries(layout.DATA) if ".zarr/" in entry.key}


def listed(store: Store) -> list[tuple[str, str]]:
    """Return name and content of what the ledger lists, however often it does."""
    return sorted((source.url, source.sha256) for source in read_segments(store, read_current(store).snapshot.ledger))


def commits_put(store: Store) -> list[tuple[str, bytes]]:
    """Return a list that grows by each commit that is put from now on."""
    put: list[tuple[str, bytes]] = []
    create = store.create

    def remembering(key: str, data: bytes) -> str:
        if key.startswith(layout.COMMITS):
            put.append((key, bytes(data)))
        return create(key, data)

    store.create = remembering  # type: ignore[method-assign]
    return put


def lose_and_mend(store: Store) -> None:
    """Delete the whole index, and have it made again from the granules alone."""
    store.delete([entry.key for entry in store.entries("index/")])
    repair(store)
