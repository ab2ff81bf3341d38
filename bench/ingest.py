"""Ingest, measured side by side: Lightkeep, the encoder by itself (the limit), and plain zarr writing.

    python -m bench.ingest [--minutes 30] [--repeats 3] [--write]

PRODML files on the local disk go into SeaweedFS. The limit is the encoder's own speed: the same samples, in memory, in
as many threads as there are cores, nothing read and nothing stored.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import psutil
from obstore.store import S3Store

from archive.codec import codec_for
from archive.grid import chunk_shape
from archive.read import worker_threads
from archive.shard import encode_shard
from bench.recording import CHANNELS, RATE, machine, new_store, samples, write_files
from bench.servers import BUCKET, counting, seaweed
from bench.table import markdown, save
from ingest.plan import Settings
from ingest.run import ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_GRANULE_MINUTES = 5
_ROOT = Path(__file__).parents[1]


class Peak:
    """The most memory that any child process held, in MB; seen twenty times a second."""

    def __init__(self) -> None:
        self.megabytes = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look while the block runs."""
        done, me = threading.Event(), psutil.Process()

        def look() -> None:
            before = {child.pid for child in me.children()}
            while not done.wait(0.05):
                for child in me.children():
                    try:
                        if child.pid not in before:
                            self.megabytes = max(self.megabytes, child.memory_info().rss / 1e6)
                    except psutil.NoSuchProcess:
                        continue

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def encode(minutes: int, codec_name: str = "pcodec") -> float:
    """Return the seconds that encoding some minutes takes in as many threads as there are cores."""
    spent = 0.0
    with ThreadPoolExecutor(worker_threads()) as pool:
        for first in range(0, minutes, _GRANULE_MINUTES):
            block = samples(first * 60, min(first + _GRANULE_MINUTES, minutes) * 60)
            codec = codec_for(codec_name, block.dtype)
            started = time.perf_counter()
            encode_shard(block, chunk_shape(block.shape, block.dtype.itemsize), codec, pool.map)
            spent += time.perf_counter() - started
    return spent


def write_zarr(endpoint: str, files: Sequence[Path], codec_name: str) -> float:
    """Return the seconds that zarr-python takes: files of five minutes at a time, one sharded array each."""
    import zarr
    from zarr.storage import ObjectStore

    zarr.config.set({"async.concurrency": 48, "threading.max_workers": worker_threads()})
    name = f"zarr-{uuid.uuid4().hex}"
    store: Any = ObjectStore(S3Store(BUCKET, prefix=name, endpoint=endpoint, client_options={"allow_http": True}))
    started = time.perf_counter()
    for first in range(0, len(files), _GRANULE_MINUTES):
        parts = []
        for path in files[first : first + _GRANULE_MINUTES]:
            with h5py.File(path) as root:
                parts.append(root["Acquisition/Raw[0]/RawData"][:])
        block = np.concatenate(parts)
        chunks = chunk_shape(block.shape, block.dtype.itemsize)
        whole = tuple(-(-length // size) * size for length, size in zip(block.shape, chunks, strict=True))
        array = zarr.create_array(
            store,
            name=f"{first:04d}",
            shape=block.shape,
            dtype=block.dtype,
            chunks=chunks,
            shards=whole,
            **_zarr_codec(codec_name),
        )
        array[:] = block
    return time.perf_counter() - started


def _zarr_codec(name: str) -> dict[str, Any]:
    from zarr.codecs import BloscCodec

    if name == "portable":
        return {"compressors": BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle")}
    from zarr.codecs.numcodecs import PCodec

    return {"serializer": PCodec(level=8), "compressors": None}


def lightkeep(endpoint: str, folder: Path, jobs: int, peak: Peak | None = None) -> float:
    """Return the seconds that an ingest takes, processes started and index folded."""
    store = new_store(endpoint, f"run-{uuid.uuid4().hex}")
    started = time.perf_counter()
    with (peak or Peak()).watched():
        report = ingest(store, [str(folder)], Settings(codec="pcodec"), jobs=jobs)
    assert not report.refusals
    return time.perf_counter() - started


def start_seconds(*arguments: str) -> float:
    """Return the median time of five runs of Python with some arguments."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    spent = []
    for _ in range(6):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment, cwd=_ROOT)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent[1:])


def measure(endpoint: str, folder: Path, files: Sequence[Path], repeats: int) -> list[dict[str, Any]]:
    """Return one record for each way to write the files; repetitions are interleaved."""
    raw = len(files) * 60 * RATE * CHANNELS * 2 / 1e6
    ways: dict[str, Callable[[], float]] = {
        "the encoder alone (limit)": lambda: encode(len(files)),
        "lightkeep ingest --jobs 2": lambda: lightkeep(endpoint, folder, 2),
        "lightkeep ingest --jobs 1": lambda: lightkeep(endpoint, folder, 1),
        "zarr-python, pcodec": lambda: write_zarr(endpoint, files, "pcodec"),
        "zarr-python, blosc-zstd": lambda: write_zarr(endpoint, files, "portable"),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            spent[name].append(way())
            print(f"{name}: {raw / spent[name][-1]:.1f} MB/s", file=sys.stderr, flush=True)
    speeds = {name: raw / statistics.median(times) for name, times in spent.items()}
    limit = speeds["the encoder alone (limit)"]
    return [
        {"way": name, "s": round(raw / speed, 2), "MB/s raw": round(speed, 1), "of the limit": round(speed / limit, 2)}
        for name, speed in speeds.items()
    ]


def memory(endpoint: str, folder: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the peak memory of a worker for batches of several sizes."""
    records = []
    for minutes in sorted({2 * _GRANULE_MINUTES, len(files)}):
        part, peak = folder.parent / f"part-{minutes}", Peak()
        part.mkdir()
        for path in files[:minutes]:
            (part / path.name).hardlink_to(path)
        lightkeep(endpoint, part, 2, peak)
        granule = _GRANULE_MINUTES * 60 * RATE * CHANNELS * 2 / 1e6
        batch = minutes * 60 * RATE * CHANNELS * 2 / 1e6
        records.append(
            {"batch MB": round(batch), "granule MB": round(granule), "peak of a worker MB": round(peak.megabytes)}
        )
    return records


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30, help="length of the recording; 12.3 MB a minute")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/ingest.md and ingest.json")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*(not have a Zarr V3 specification|Numcodecs codecs).*")
    with tempfile.TemporaryDirectory(prefix="lightkeep-bench-") as name:
        base = Path(name)
        folder = base / "raw"
        files = write_files(folder, chosen.minutes)
        with seaweed(base) as port, counting(port, base) as proxy:
            endpoint = f"http://127.0.0.1:{port}"
            ways = measure(endpoint, folder, files, chosen.repeats)
            held = memory(endpoint, folder, files)
            proxy.counts()
            lightkeep(proxy.endpoint, folder, 2)
            counts = proxy.counts()
    bare = start_seconds("-c", "pass")
    starts = [
        {"what": "python -c pass", "s": round(bare, 3)},
        {"what": "python -c 'import archive'", "s": round(start_seconds("-c", "import archive"), 3)},
        {"what": "lightkeep --help", "s": round(start_seconds("-m", "ingest", "--help"), 3)},
    ]
    text = _page(chosen.minutes, ways, held, counts, starts)
    print(text)
    if chosen.write:
        save("ingest", text, {"machine": machine(), "ways": ways, "memory": held, "requests": counts, "starts": starts})


def _page(
    minutes: int,
    ways: Sequence[dict[str, Any]],
    held: Sequence[dict[str, Any]],
    counts: dict[str, int],
    starts: Sequence[dict[str, Any]],
) -> str:
    kinds = {name: counts[name] for name in sorted(counts) if name.isupper()}
    asked = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return "\n".join(
        [
            "# Ingest, measured",
            "",
            f"`python -m bench.ingest --write`, on {machine()}.",
            f"{minutes} PRODML files of one minute, {CHANNELS} channels, int16 at {RATE} Hz, from the local disk into",
            "SeaweedFS. Medians of interleaved repetitions. The limit encodes the same samples, which are in memory already,",
            "in as many threads as there are cores, and stores nothing; the S3 server takes its time from the same cores.",
            "",
            markdown(ways),
            "",
            f"Requests of one ingest, as the proxy counts them: {asked}; {counts['bytes_up'] / 1e6:.1f} MB sent.",
            "",
            "## Memory of a worker",
            "",
            markdown(held),
            "",
            "## Starting",
            "",
            markdown(starts),
            "",
        ]
    )


if __name__ == "__main__":
    main()
