"""Reading, measured side by side: Lightkeep, the limit, zarr-python and tensorstore over the same S3 server.

    python -m bench.read [--minutes 60] [--repeats 5] [--write]

Everything goes through a proxy that adds time to each request and counts requests and bytes on the wire. The limit is
what it costs to ask obstore for exactly the bytes that Lightkeep asks for, their places being known, and to decode them
with the same decoder in as many threads.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import obstore
from obstore.store import S3Store

import archive as lk
from archive.codec import codec_for
from archive.index import layout
from archive.lazy import Work, pretended
from archive.reading import ByteRange, plan, worker_threads
from bench import index
from bench.recording import CHANNELS, RATE, START, machine, new_store, write_files
from bench.servers import BUCKET, Counting, counting, seaweed
from bench.table import markdown, save
from ingest.run import ingest
from ingest.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_IN_FLIGHT = 48
_DELAYS = (0, 25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is read: seconds from the start of the recording, and channels; half-open."""

    name: str
    start: float
    stop: float
    channels: tuple[int, int] = (0, CHANNELS)
    slow: bool = False

    @property
    def frames(self) -> tuple[int, int]:
        """Samples along time, counted from the start of the recording."""
        return round(self.start * RATE), round(self.stop * RATE)

    def select(self, spool: lk.Spool) -> Any:
        """Return the lazy Patch of the case."""
        first, last = (START + int(frame * 10**9 / RATE) for frame in self.frames)
        patch = spool.select(time=(np.datetime64(first, "ns"), np.datetime64(last - 1, "ns")))[0]
        return patch if self.channels == (0, CHANNELS) else patch.select(distance=self.channels, samples=True)


def cases(minutes: int) -> list[Case]:
    """Return what is read of a recording of some minutes."""
    middle = minutes * 60 * 0.35
    return [
        Case(name="1 min × all channels", start=middle, stop=middle + 60),
        Case(name="5 s × 100 channels", start=middle + 7, stop=middle + 12, channels=(200, 300)),
        Case(name=f"1 channel × {minutes} min", start=0, stop=minutes * 60, channels=(300, 301), slow=True),
        Case(name="everything", start=0, stop=minutes * 60, slow=True),
    ]


class Contender(Protocol):
    """One way to read a case: everything new each time (cold), or with what was learnt before (warm)."""

    name: str

    def read(self, case: Case, *, cold: bool) -> NDArray[Any] | None:
        """Return the samples; `None` where the contender has nothing of the kind."""
        ...


class Lightkeep:
    """What is measured."""

    name = "lightkeep"

    def __init__(self, url: str, endpoint: str) -> None:
        self._url, self._options = url, {"endpoint_url": endpoint}
        self._pinned = self._open()
        len(self._pinned)

    def _open(self) -> lk.Spool:
        return lk.open(self._url, storage_options=self._options)

    def read(self, case: Case, *, cold: bool) -> NDArray[Any]:
        data: NDArray[Any] = case.select(self._open() if cold else self._pinned).data
        return data


def ranges_of(spool: lk.Spool, case: Case) -> list[ByteRange]:
    """Return the byte ranges that Lightkeep asks for."""
    patch, work = case.select(spool), Work()
    patch.lazy.fill(pretended(patch.shape, patch.dtype), work)
    return plan(work.fills)


class Limit:
    """The same bytes by the shortest way.

    Parameters
    ----------
    keys
        Of the leaves of the index: where there are some, the two waves of the index are made before, as raw requests.
    """

    def __init__(
        self, url: str, endpoint: str, ranges: dict[str, list[ByteRange]], keys: Sequence[str] | None = None
    ) -> None:
        self.name = "limit" if keys is None else "limit + index"
        self._prefix, self._endpoint, self._ranges, self._keys = url.split("/", 3)[3], endpoint, ranges, keys
        self._warm = self._store()
        self._pool = ThreadPoolExecutor(worker_threads())
        self._loop = asyncio.new_event_loop()

    def _store(self) -> S3Store:
        return S3Store(BUCKET, prefix=self._prefix, endpoint=self._endpoint, client_options={"allow_http": True})

    def read(self, case: Case, *, cold: bool) -> NDArray[Any] | None:
        if self._keys is not None and not cold:
            return None
        store = self._store() if cold else self._warm
        first, last = case.frames
        target = np.empty((last - first, case.channels[1] - case.channels[0]), dtype=np.int16)
        self._loop.run_until_complete(self._fetch(store, self._ranges[case.name], target))
        return target

    async def _fetch(self, store: S3Store, ranges: list[ByteRange], target: NDArray[Any]) -> None:
        gate, futures = asyncio.Semaphore(_IN_FLIGHT), []
        if self._keys is not None:
            await self._index(store)
        # Where the samples of a granule begin in the target: the ranges come in the order of time.
        rows, row = {}, 0
        for part in ranges:
            if part.array.key not in rows:
                rows[part.array.key] = row
                row += part.fill.window[0].stop - part.fill.window[0].start

        async def one(part: ByteRange) -> None:
            async with gate:
                body = await obstore.get_range_async(store, part.array.key, start=part.start, end=part.stop)
            view, share = memoryview(body), -(-len(part.chunks) // worker_threads())
            for begin in range(0, len(part.chunks), share):
                chunks = part.chunks[begin : begin + share]
                futures.append(self._pool.submit(_decode, part, view, chunks, target, rows[part.array.key]))

        await asyncio.gather(*map(one, ranges))
        for future in futures:
            future.result()

    async def _index(self, store: S3Store) -> None:
        await asyncio.gather(_whole(store, layout.CURRENT), obstore.list(store, "commits").collect_async())
        await asyncio.gather(*(_whole(store, key) for key in (layout.CURRENT, *(self._keys or ()))))


async def _whole(store: S3Store, key: str) -> Any:
    return await (await obstore.get_async(store, key)).bytes_async()


def _decode(part: ByteRange, view: memoryview, chunks: Any, target: NDArray[Any], row: int) -> None:
    array, window = part.array, part.fill.window
    codec = codec_for(array.codec, np.dtype(array.dtype))
    across = -(-array.shape[1] // array.chunks[1])
    held = np.empty(array.chunks, dtype=codec.dtype)
    for number, start, size in chunks:
        codec.decode(view[start : start + size], held, "")
        top, left = number // across * array.chunks[0], number % across * array.chunks[1]
        a, b = max(window[0].start, top), min(window[0].stop, top + array.chunks[0])
        c, d = max(window[1].start, left), min(window[1].stop, left + array.chunks[1])
        place = (
            slice(row + a - window[0].start, row + b - window[0].start),
            slice(c - window[1].start, d - window[1].start),
        )
        target[place] = held[a - top : b - top, c - left : d - left]


def granules_of(spool: lk.Spool, case: Case) -> list[tuple[str, slice, slice]]:
    """Return the key and the window of each granule that a case touches, in order."""
    found = {part.array.key: part.fill.window for part in ranges_of(spool, case)}
    return [(key.removesuffix("/data/c/0/0"), *window) for key, window in found.items()]


class ZarrPython:
    """zarr-python over obstore on the same granules, all at once; it is told which granules to read."""

    name = "zarr-python"

    def __init__(self, url: str, endpoint: str, granules: dict[str, list[tuple[str, slice, slice]]]) -> None:
        import zarr

        zarr.config.set({"async.concurrency": _IN_FLIGHT, "threading.max_workers": worker_threads()})
        self._prefix, self._endpoint, self._granules = url.split("/", 3)[3], endpoint, granules
        self._loop = asyncio.new_event_loop()
        self._held: dict[str, Any] = {}

    def read(self, case: Case, *, cold: bool) -> NDArray[Any]:
        granules = self._granules[case.name]
        return np.concatenate(self._loop.run_until_complete(self._gather(granules, cold=cold)))

    async def _gather(self, granules: Sequence[tuple[str, slice, slice]], *, cold: bool) -> list[NDArray[Any]]:
        from zarr.storage import ObjectStore

        store = S3Store(BUCKET, prefix=self._prefix, endpoint=self._endpoint, client_options={"allow_http": True})
        remote: Any = ObjectStore(store, read_only=True)

        async def one(key: str, *window: slice) -> Any:
            if cold or key not in self._held:
                self._held[key] = await self._array(remote, key)
            return await self._held[key].getitem(window)

        return await asyncio.gather(*(one(*granule) for granule in granules))

    async def _array(self, store: Any, key: str) -> Any:
        from zarr.api.asynchronous import open_group

        return await (await open_group(store, path=key, mode="r", use_consolidated=True)).getitem("data")


class TensorStore:
    """tensorstore on a copy with the portable codec, all granules at once; it is told which to read."""

    name = "tensorstore (portable)"

    def __init__(self, url: str, endpoint: str, granules: dict[str, list[tuple[str, slice, slice]]]) -> None:
        self._prefix, self._endpoint, self._granules = url.split("/", 3)[3], endpoint, granules
        self._held: dict[str, Any] = {}
        self._context = self._new_context()

    def _new_context(self) -> Any:
        import tensorstore

        return tensorstore.Context(
            {
                "s3_request_concurrency": {"limit": _IN_FLIGHT},
                "data_copy_concurrency": {"limit": worker_threads()},
                "aws_credentials": {"type": "environment"},
            }
        )

    def read(self, case: Case, *, cold: bool) -> NDArray[Any]:
        if cold:
            self._held, self._context = {}, self._new_context()
        granules = self._granules[case.name]
        opening = {key: self._open(key) for key, *_ in granules if key not in self._held}
        self._held |= {key: future.result() for key, future in opening.items()}
        reading = [self._held[key][times, channels].read() for key, times, channels in granules]
        return np.concatenate([future.result() for future in reading])

    def _open(self, key: str) -> Any:
        import tensorstore

        kvstore = {
            "driver": "s3",
            "bucket": BUCKET,
            "endpoint": self._endpoint,
            "aws_region": "us-east-1",
            "path": f"{self._prefix}/{key}/data/",
        }
        spec = {"driver": "zarr3", "kvstore": kvstore, "recheck_cached_data": "open"}
        return tensorstore.open(spec, context=self._context, open=True, read=True)


def measure(
    proxy: Counting, contenders: Sequence[Contender], chosen: Sequence[Case], repeats: int, needed: dict[str, int]
) -> list[dict[str, Any]]:
    """Return one record for each case, temperature, delay and contender; repetitions are interleaved."""
    records = []
    for case in chosen:
        for cold in (True, False):
            for delay in _DELAYS:
                proxy.delay(delay)
                seen: dict[str, list[tuple[float, dict[str, int]]]] = {one.name: [] for one in contenders}
                truth: NDArray[Any] | None = None
                for turn in range((3 if case.slow else repeats) + 1):
                    for one in contenders:
                        proxy.counts()
                        started = time.perf_counter()
                        data = one.read(case, cold=cold)
                        spent = time.perf_counter() - started
                        if data is None:
                            continue
                        if turn:  # the first one warms up
                            seen[one.name].append((spent * 1e3, proxy.counts()))
                        else:
                            truth = data if truth is None else truth
                            assert np.array_equal(truth, data), f"{one.name} reads something else"
                        del data
                records.extend(_records(case, seen, cold=cold, delay=delay, needed=needed))
                _show(records[-len(contenders) :])
    proxy.delay(0)
    return records


def _records(
    case: Case, seen: dict[str, list[tuple[float, dict[str, int]]]], *, cold: bool, delay: int, needed: dict[str, int]
) -> list[dict[str, Any]]:
    limit = statistics.median(spent for spent, _ in seen["limit"])
    made = []
    for name, runs in seen.items():
        if not runs:
            continue
        spent, counts = statistics.median(spent for spent, _ in runs), runs[-1][1]
        base = needed["portable" if "portable" in name else "pcodec", case.name]  # type: ignore[index]
        made.append(
            {
                "case": case.name,
                "index": "cold" if cold else "warm",
                "added ms": delay,
                "contender": name,
                "ms": round(spent, 1),
                "of the limit": round(spent / limit, 2),
                "requests": counts.get("requests", 0),
                "waves": counts.get("waves", 0),
                "MB": round(counts.get("bytes_down", 0) / 1e6, 2),
                "of the chunks": round(counts.get("bytes_down", 0) / base, 3),
            }
        )
    return made


def _show(records: Sequence[dict[str, Any]]) -> None:
    for record in records:
        print("  ".join(str(value) for value in record.values()), flush=True)


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60, help="length of the recording")
    parser.add_argument("--repeats", type=int, default=7, help="measured repetitions of the short cases")
    parser.add_argument("--granules", type=int, default=1_000_000, help="rows of the large synthetic index")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/read.md and read.json")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*(not have a Zarr V3 specification|Numcodecs codecs).*")
    with tempfile.TemporaryDirectory(prefix="lightkeep-bench-") as name:
        folder = Path(name)
        with seaweed(folder) as port, counting(port, folder) as proxy:
            print("making the recording and its archives", file=sys.stderr)
            write_files(folder / "raw", chosen.minutes)
            direct = f"http://127.0.0.1:{port}"
            for codec in ("pcodec", "portable"):
                report = ingest(
                    new_store(direct, codec), [str(folder / "raw")], Settings(codec=codec), jobs=worker_threads()
                )
                print(f"{codec}: {report.raw / 1e6:.0f} MB raw, {report.stored / 1e6:.0f} MB stored", file=sys.stderr)
            reads = _read_part(proxy, direct, chosen)
            opens = index.measure(proxy, direct, chosen.granules)
    text = _page(reads, opens, chosen.minutes)
    print(text)
    if chosen.write:
        save("read", text, {"machine": machine(), "reads": reads, "opens": opens})


def _read_part(proxy: Counting, direct: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    urls = {codec: f"s3://{BUCKET}/{codec}" for codec in ("pcodec", "portable")}
    spools = {codec: lk.open(url, storage_options={"endpoint_url": direct}) for codec, url in urls.items()}
    todo = cases(chosen.minutes)
    ranges = {case.name: ranges_of(spools["pcodec"], case) for case in todo}
    needed: Any = {
        (codec, case.name): sum(part.needed for part in ranges_of(spool, case))
        for codec, spool in spools.items()
        for case in todo
    }
    granules = {codec: {case.name: granules_of(spool, case) for case in todo} for codec, spool in spools.items()}
    view = spools["pcodec"]._root.view  # type: ignore[attr-defined]  # noqa: SLF001 - the pinned index
    leaves = [leaf.key for leaf in view.snapshot.leaves]
    contenders: list[Contender] = [
        Limit(urls["pcodec"], proxy.endpoint, ranges),
        Limit(urls["pcodec"], proxy.endpoint, ranges, leaves),
        Lightkeep(urls["pcodec"], proxy.endpoint),
        ZarrPython(urls["pcodec"], proxy.endpoint, granules["pcodec"]),
        TensorStore(urls["portable"], proxy.endpoint, granules["portable"]),
    ]
    return measure(proxy, contenders, todo, chosen.repeats, needed)


def _page(reads: Sequence[dict[str, Any]], opens: Sequence[dict[str, Any]], minutes: int) -> str:
    return "\n".join(
        [
            "# Reading, measured",
            "",
            f"`python -m bench.read --write`, on {machine()}.",
            f"{CHANNELS} channels, int16 at {RATE} Hz, {minutes} minutes, from one-minute PRODML files, in SeaweedFS,",
            "through a proxy that adds time to each request and counts. Medians of interleaved repetitions.",
            "",
            "*limit* asks obstore for exactly the bytes that Lightkeep asks for, their places known, and decodes them in the",
            "same way; *limit + index* makes the index's two waves before, as raw requests. *cold* opens everything anew;",
            "zarr-python and tensorstore are told which granules to read, and so need no index. *of the chunks*: bytes of",
            "answers over bytes of the compressed chunks that the selection touches. What needs more than 128 MiB asks for the",
            "rest while answers come, which the proxy counts as waves.",
            "",
            markdown(reads),
            "",
            "## Open and plan",
            "",
            "A new `lk.open`, and the plan of one minute.",
            "",
            markdown(opens),
            "",
        ]
    )


if __name__ == "__main__":
    main()
