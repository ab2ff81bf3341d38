"""Ingest, measured side by side: Lightkeep, the encoder by itself (the limit), and plain zarr writing.

    python -m bench.ingest [--minutes 30] [--repeats 3] [--write]

PRODML files on the local disk go into SeaweedFS. The limit is the encoder's own speed: the same samples, in memory, in
as many threads as there are cores, nothing read and nothing stored.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import psutil
from obstore.store import S3Store

from archive.codec import codec_for
from archive.grid import chunk_shape
from archive.reading import worker_threads
from archive.shard import encode_shard
from archive.store import open_store
from bench.recording import CHANNELS, RATE, machine, new_store, samples, write_files
from bench.servers import BUCKET, counting, seaweed
from bench.table import markdown, save
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archive.store import Store

_GRANULE_MINUTES = 5
_ROOT = Path(__file__).parents[1]


def server_seconds() -> float:
    """Return the processor time that the S3 server has taken so far."""
    servers = [child for child in psutil.Process().children() if child.name() == "weed"]
    return sum(server.cpu_times().user + server.cpu_times().system for server in servers)


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


def lightkeep(store: Store, folder: Path, jobs: int) -> float:
    """Return the seconds that an ingest takes, index folded."""
    started = time.perf_counter()
    report = ingest(store, [str(folder)], Settings(codec="pcodec"), jobs=jobs)
    assert not report.refusals
    return time.perf_counter() - started


def peak_of_command(base: Path, folder: Path) -> float:
    """Return the most memory that the command holds, in MB, when it ingests a folder into another with two jobs."""
    url = str(base / f"archive-{uuid.uuid4().hex}")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "-m", "ingest"]
    subprocess.run([*command, "init", url], check=True, capture_output=True, env=environment)
    process = psutil.Popen(
        [*command, "ingest", str(folder), url, "--jobs", "2"], env=environment, stdout=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        with suppress(psutil.Error):
            peak = max(peak, process.memory_info().rss)
        time.sleep(0.02)
    assert process.returncode == 0
    shutil.rmtree(url)
    return peak / 1e6


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


def measure(base: Path, endpoint: str, folder: Path, files: Sequence[Path], repeats: int) -> list[dict[str, Any]]:
    """Return one record for each way to write the files; repetitions are interleaved."""
    raw = len(files) * 60 * RATE * CHANNELS * 2 / 1e6

    def into_s3(jobs: int) -> float:
        return lightkeep(new_store(endpoint, f"run-{uuid.uuid4().hex}"), folder, jobs)

    def into_folder() -> float:
        place = base / f"archive-{uuid.uuid4().hex}"
        store = open_store(str(place))
        initialise(store)
        spent = lightkeep(store, folder, 2)
        shutil.rmtree(place)
        return spent

    ways: dict[str, Callable[[], float]] = {
        "the encoder alone (limit)": lambda: encode(len(files)),
        "lightkeep ingest --jobs 2, into S3": lambda: into_s3(2),
        "lightkeep ingest --jobs 1, into S3": lambda: into_s3(1),
        "lightkeep ingest --jobs 2, into a folder": into_folder,
        "zarr-python, pcodec, into S3": lambda: write_zarr(endpoint, files, "pcodec"),
        "zarr-python, blosc-zstd, into S3": lambda: write_zarr(endpoint, files, "portable"),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    served: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            before = server_seconds()
            spent[name].append(way())
            served[name].append(server_seconds() - before)
            print(f"{name}: {raw / spent[name][-1]:.1f} MB/s", file=sys.stderr, flush=True)
    medians = {name: statistics.median(times) for name, times in spent.items()}
    limit = medians["the encoder alone (limit)"]
    records = []
    for name, seconds in medians.items():
        server = statistics.median(served[name])
        beside = limit + server / worker_threads()
        records.append(
            {
                "way": name,
                "s": round(seconds, 2),
                "MB/s raw": round(raw / seconds, 1),
                "of the limit": round(limit / seconds, 2),
                "server's CPU s": round(server, 2),
                "of the limit beside the server": round(beside / seconds, 2),
            }
        )
    return records


def memory(base: Path, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the peak memory of the command for batches of several sizes."""
    records = []
    for minutes in sorted({2 * _GRANULE_MINUTES, len(files)}):
        part = base / f"part-{minutes}"
        part.mkdir()
        for path in files[:minutes]:
            (part / path.name).hardlink_to(path)
        granule = _GRANULE_MINUTES * 60 * RATE * CHANNELS * 2 / 1e6
        batch = minutes * 60 * RATE * CHANNELS * 2 / 1e6
        records.append(
            {"batch MB": round(batch), "granule MB": round(granule), "peak MB": round(peak_of_command(base, part))}
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
            ways = measure(base, endpoint, folder, files, chosen.repeats)
            proxy.counts()
            lightkeep(new_store(proxy.endpoint, f"run-{uuid.uuid4().hex}"), folder, 2)
            counts = proxy.counts()
        held = memory(base, files)
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
            "in as many threads as there are cores, and stores nothing. The S3 server runs on the same cores: its processor time",
            "is added to the limit in the last column, which is how fast nothing but the encoder and the server could be.",
            "",
            markdown(ways),
            "",
            f"Requests of one ingest, as the proxy counts them: {asked}; {counts['bytes_up'] / 1e6:.1f} MB sent.",
            "",
            "## Memory of the command with two jobs",
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
