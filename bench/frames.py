"""Frames of a telescope, measured side by side: Lightkeep from S3, dkist with dask and astropy on the local disk.

    python -m bench.frames FOLDER [--repeats 5] [--asdf FILE] [--write]

FOLDER holds a dataset of FITS frames with its asdf, such as 1 000 frames of the simulator. Lightkeep reads through a
proxy that adds time to each request and counts; dkist and astropy read the files themselves from the local disk, which
the operating system holds in memory after the first look.
"""

from __future__ import annotations

import argparse
import gzip
import io
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import archive as lk
from archive.explain import plan_of
from archive.reading import worker_threads
from archive.store import open_store
from bench.recording import machine
from bench.servers import BUCKET, Counting, counting, seaweed
from bench.table import markdown, save
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.settings import LAYOUTS, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DELAYS = (0, 25)
_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Case:
    """What is read, as an index of the hypercube."""

    name: str
    key: tuple[Any, ...]


def cases(shape: Sequence[int]) -> list[Case]:
    """Return what is read of a hypercube whose last two axes are a frame's."""
    every = (slice(None),) * (len(shape) - 2)
    one = tuple(length // 3 for length in shape[:-2])
    row, column = shape[-2] // 2, shape[-1] // 2
    box = (slice(row - 20, row + 20), slice(column - 30, column + 30))
    return [
        Case("one pixel through all frames", (*every, row, column)),
        Case("one spectrum", (*one, slice(None), column)),
        Case("one wavelength map", (*every, row)),
        Case("40 × 60 pixels through all frames", (*every, *box)),
        Case("one whole frame", one),
    ]


def _timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median time in ms of some calls, and what the first one gave."""
    spent, first = [], None
    for turn in range(repeats):
        started = time.perf_counter()
        result = function()
        spent.append((time.perf_counter() - started) * 1e3)
        first = result if turn == 0 else first
    return statistics.median(spent), first


# -- the others -------------------------------------------------------------------------------------------------


def measure_others(folder: Path, repeats: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a record for each case by dkist and astropy, and what dkist reads, by case."""
    import dkist
    from astropy.io import fits

    dataset = dkist.load_dataset(folder)
    paths = np.array([folder / name for name in dataset.files.fileuri_array.ravel()], dtype=object)
    grid = np.arange(paths.size).reshape(dataset.files.fileuri_array.shape)
    outer = grid.ndim
    records, truth = [], {}
    for case in cases(dataset.data.shape):
        files = np.atleast_1d(grid[case.key[:outer]]).ravel()
        turns = repeats if len(files) == 1 else 1
        spent, data = _timed(lambda case=case: np.asarray(dataset[case.key].data.compute()), turns)  # type: ignore[misc]
        truth[case.name] = data
        size = sum(paths[number].stat().st_size for number in files.tolist())
        records.append(_record(case, "dkist + dask", spent, size, len(files)))

        def sections(case: Case = case, files: Any = files) -> list[Any]:
            parts = []
            for number in files.tolist():
                with fits.open(paths[number]) as hdus:
                    parts.append(hdus[1].section[(0, *case.key[outer:])] if case.key[outer:] else hdus[1].data)
            return parts

        spent, _ = _timed(sections, turns)
        records.append(_record(case, "astropy .section", spent, size, len(files)))
        _show(records[-2:])
    return records, truth


def _record(case: Case, who: str, spent: float, size: int, requests: int, **more: Any) -> dict[str, Any]:
    held = {"case": case.name, "contender": who, "added ms": more.get("delay"), "ms": round(spent, 1)}
    return {**held, "MB": round(size / 1e6, 3), "files or requests": requests, "waves": more.get("waves")}


def measure_ours(
    proxy: Counting, direct: str, layout: str, truth: dict[str, Any], repeats: int
) -> list[dict[str, Any]]:
    """Return a record for each case and delay; the index is read before, as a notebook has it."""
    counted, plain = (
        lk.open(f"s3://{BUCKET}/{layout}", storage_options={"endpoint_url": endpoint})[0]
        for endpoint in (proxy.endpoint, direct)
    )
    records = []
    for case in cases(plain.shape):
        for delay in _DELAYS:
            proxy.delay(delay)
            cube = counted if delay else plain  # without added time, none of the proxy's own is measured either
            for one in (plain, counted):
                _take(one, case)  # the first one connects
            proxy.counts()
            spent, data = _timed(lambda cube=cube, case=case: _take(cube, case), repeats)  # type: ignore[misc]
            if not delay:
                for _ in range(repeats):
                    _take(counted, case)
            counts = proxy.counts()
            assert np.array_equal(data, truth[case.name], equal_nan=True), f"{case.name}: not what dkist reads"
            records.append(
                _record(
                    case,
                    f"lightkeep, {layout}",
                    spent,
                    counts.get("bytes_down", 0) // repeats,
                    counts.get("requests", 0) // repeats,
                    delay=delay,
                    waves=round(counts.get("waves", 0) / repeats, 1),
                )
            )
            _show(records[-1:])
    proxy.delay(0)
    return records


def _take(cube: Any, case: Case) -> Any:
    return cube[case.key].to_numpy()


def measure_ingest(direct: str, folder: Path, layout: str) -> dict[str, Any]:
    """Return what an ingest into a new archive took, and what it made."""
    store = open_store(f"s3://{BUCKET}/{layout}", storage_options={"endpoint_url": direct})
    initialise(store)
    started = time.perf_counter()
    report = ingest(store, [str(folder)], Settings(layout=layout), jobs=worker_threads())
    spent = time.perf_counter() - started
    assert not report.refusals, report.refusals[0].reason
    stored = sum(entry.size for entry in store.entries(""))
    files = sum(path.stat().st_size for path in folder.glob("*.fits"))
    return {
        "layout": layout,
        "frames": report.sources,
        "s": round(spent, 1),
        "frames a second": round(report.sources / spent, 1),
        "stored MB, all objects": round(stored / 1e6, 1),
        "FITS MB": round(files / 1e6, 1),
        "of the FITS files": round(stored / files, 3),
    }


def measure_astropy(folder: Path) -> dict[str, Any]:
    """Return how long astropy takes to read every frame's pixels, in one process and in as many as there are cores."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    paths = sorted(map(str, folder.glob("*.fits")))
    for path in paths:
        Path(path).read_bytes()  # so that neither waits for the disk
    started = time.perf_counter()
    _read_all(paths)
    alone = time.perf_counter() - started
    cores = worker_threads()
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(_read_all, [[paths[0]]] * cores))
        started = time.perf_counter()
        list(pool.map(_read_all, [paths[number::cores] for number in range(cores)]))
        together = time.perf_counter() - started
    return {"frames": len(paths), "s, one process": round(alone, 1), f"s, {cores} processes": round(together, 1)}


def _read_all(paths: Sequence[str]) -> float:
    from astropy.io import fits

    total = 0.0
    for path in paths:
        with warnings.catch_warnings(), fits.open(path) as hdus:
            warnings.simplefilter("ignore")
            total += float(hdus[1].data[0, 0, 0])
    return total


def measure_world(path: Path) -> dict[str, Any]:
    """Return how long 10⁴ points of a real dataset's coordinates take: the tables, and gWCS itself."""
    import asdf
    import dkist  # noqa: F401 - its schemas

    from archive.wcs.from_gwcs import from_gwcs

    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    with asdf.open(io.BytesIO(content), lazy_load=False, memmap=False) as file:
        dataset = file.tree["dataset"]
    rng = np.random.default_rng(1)
    points = [rng.integers(0, length, _POINTS).astype(float) for length in dataset.data.shape[::-1]]
    root = from_gwcs(dataset.wcs)
    ours, found = _timed(lambda: root.to_world(*points), 7)
    theirs, expected = _timed(lambda: dataset.wcs.pixel_to_world_values(*points), 1)
    off = max(
        float(np.nanmax(np.abs((a - b + 648000) % 1296000 - 648000))) for a, b in zip(found, expected, strict=True)
    )
    return {
        "asdf": path.name,
        "points": _POINTS,
        "tables ms": round(ours, 2),
        "gWCS ms": round(theirs, 1),
        "times": round(theirs / ours),
        "largest difference (arcsec, nm, s)": f"{off:.1e}",
    }


def _show(records: Sequence[dict[str, Any]]) -> None:
    for record in records:
        print("  ".join(str(value) for value in record.values()), flush=True)


def _ratios(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how much faster Lightkeep is than dkist at no added time, and how many bytes it takes of dkist's."""
    theirs = {one["case"]: one for one in records if one["contender"] == "dkist + dask"}
    return [
        {
            "case": one["case"],
            "layout": one["contender"].partition(", ")[2],
            "times as fast as dkist": round(theirs[one["case"]]["ms"] / max(one["ms"], 0.05), 1),
            "bytes, of dkist's": round(one["MB"] / theirs[one["case"]]["MB"], 4),
            "plan": one["files or requests"],
        }
        for one in records
        if one["contender"].startswith("lightkeep") and one["added ms"] == 0
    ]


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="FITS frames and their asdf")
    parser.add_argument("--repeats", type=int, default=5, help="measured repetitions")
    parser.add_argument("--asdf", type=Path, nargs="*", default=[], help="real asdf files with coordinates to measure")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/frames.md and frames.json")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # of asdf, dkist and astropy about each other
    import dkist  # noqa: F401 - to import it takes seconds, which are of no contender
    from asdf import schema  # noqa: F401 - likewise

    with tempfile.TemporaryDirectory(prefix="lightkeep-bench-") as name:
        folder = Path(name)
        with seaweed(folder) as port, counting(port, folder) as proxy:
            direct = f"http://127.0.0.1:{port}"
            read = measure_astropy(chosen.folder)
            print(read, file=sys.stderr)
            ingests = [measure_ingest(direct, chosen.folder, layout) for layout in LAYOUTS]
            print(ingests, file=sys.stderr)
            records, truth = measure_others(chosen.folder, chosen.repeats)
            for layout in LAYOUTS:
                records += measure_ours(proxy, direct, layout, truth, chosen.repeats)
            cube = lk.open(f"s3://{BUCKET}/balanced", storage_options={"endpoint_url": direct})[0]
            shape = " × ".join(map(str, cube.shape))
            plans = {case.name: str(plan_of([cube[case.key]])) for case in cases(cube.shape)[1:]}
    world = [measure_world(path) for path in chosen.asdf]
    text = _page(shape, records, ingests, [read], world)
    print(text)
    if chosen.write:
        figures = {"machine": machine(), "reads": records, "ingest": ingests, "astropy": read, "world": world}
        save("frames", text, {**figures, "plans": plans})


def _page(
    shape: str,
    records: Sequence[dict[str, Any]],
    ingests: Sequence[dict[str, Any]],
    read: Sequence[dict[str, Any]],
    world: Sequence[dict[str, Any]],
) -> str:
    return "\n".join(
        [
            "# Frames, measured",
            "",
            f"`python -m bench.frames FOLDER --write`, on {machine()}.",
            f"A hypercube of {shape}: simulated frames of a slit spectrograph, RICE tiles of floats quantised at 16.",
            "Lightkeep reads from SeaweedFS, its index read before; time is added, and requests are counted, by a proxy;",
            "dkist with dask and a loop of astropy's `.section` read the files from the local disk. Each read is compared",
            "with dkist's, bit by bit. Medians; what takes dkist and astropy all files is measured once.",
            "",
            markdown(records),
            "",
            "## Beside dkist",
            "",
            "Both without added time. A chunk of n frames reads n frames' bytes for one frame, and N / n requests for a",
            "pixel of all N: `--layout` chooses.",
            "",
            markdown(_ratios(records)),
            "",
            "## Ingest and size",
            "",
            markdown(ingests),
            "",
            "astropy, reading the pixels of the same files:",
            "",
            markdown(read),
            "",
            "## Coordinates",
            "",
            markdown(world),
            "",
        ]
    )


if __name__ == "__main__":
    main()
