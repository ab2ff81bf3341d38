"""Reading: windows to byte ranges by arithmetic, then one wave of requests, decoded beside the network."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.codec import codec_for
from archive.errors import Conflict, DamagedData, InvalidInput, NotFound
from archive.grid import chunk_numbers, grid_shape, joined_ranges
from archive.lazy import Fill, Indexed, Lazy, RawFill, Work
from archive.store import Get

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from archive.index.rows import ArrayRef
    from archive.store import Store

__all__ = ["ByteRange", "LazyValues", "load", "load_many", "plan", "worker_threads"]

_SLACK = 0.05  # bytes fetched without need, to save requests
_HELD = 64 << 20  # bytes that came and wait to be decoded, beside those under way
LIMIT = 8 << 30  # bytes of samples that one array may have, unless the caller says otherwise


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One request: a byte range of one object, the chunks in it, and where their samples go.

    Parameters
    ----------
    array
        The stored array.
    start, stop
        Bytes of its object, half-open.
    chunks
        Number, first byte (within the range) and bytes of each chunk.
    needed
        Bytes of the chunks that the window touches.
    fill
        The read that it serves.
    """

    array: ArrayRef
    start: int
    stop: int
    chunks: tuple[tuple[int, int, int], ...]
    needed: int
    fill: Fill


def plan(fills: Iterable[Fill]) -> list[ByteRange]:
    """Return the requests that some reads take. Pure arithmetic: the rows know where every chunk lies."""
    return [part for fill in fills for part in _ranges_of(fill)]


def _ranges_of(fill: Fill) -> Iterator[ByteRange]:
    array = fill.array
    numbers = chunk_numbers(fill.window, array.shape, array.chunks)
    starts = array.starts[numbers]
    if array.order is not None:
        nearest = np.argsort(starts)
        numbers, starts = numbers[nearest], starts[nearest]
    stops = starts + np.asarray(array.lengths, dtype=np.int64)[numbers]
    for first, last in joined_ranges(starts, stops, _SLACK):
        begin = int(starts[first])
        members = zip(
            numbers[first:last].tolist(),
            (starts[first:last] - begin).tolist(),
            (stops[first:last] - starts[first:last]).tolist(),
            strict=True,
        )
        needed = int((stops[first:last] - starts[first:last]).sum())
        yield ByteRange(array, begin, int(stops[last - 1]), tuple(members), needed, fill)


@lru_cache(maxsize=1)
def _decoders(process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process makes its own
    return ThreadPoolExecutor(worker_threads(), thread_name_prefix="lightkeep-decode")


def worker_threads() -> int:
    """Return how many threads decode or encode: one for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load(lazy: Lazy, limit: int | None = LIMIT) -> NDArray[Any]:
    """Return the samples of one array, read in one wave; see `load_many`."""
    return load_many([lazy], limit)[0]


def load_many(arrays: Sequence[Lazy], limit: int | None = LIMIT) -> list[NDArray[Any]]:
    """Return the samples of several arrays, all read in one wave of requests.

    Raises
    ------
    InvalidInput
        They take more memory than `limit` bytes.
    DamagedData
        An object is missing or altered; nothing is made up for it.
    FormatError
        A raw file is damaged, or has changed since it was described.
    """
    size = sum(int(np.prod(lazy.shape)) * lazy.dtype.itemsize for lazy in arrays)
    if limit is not None and size > limit:
        raise InvalidInput(
            f"these samples take {size / 2**30:.1f} GiB, more than the limit of {limit / 2**30:.1f} GiB; "
            "read them in parts with spool.chunk(time=...), or select less"
        )
    targets = [np.empty(lazy.shape, dtype=lazy.dtype) for lazy in arrays]
    work = Work()
    for lazy, target in zip(arrays, targets, strict=True):
        lazy.fill(target, work)
    stores = {id(fill.store): fill.store for fill in work.fills}
    for number, store in stores.items():
        _read(store, plan(fill for fill in work.fills if id(fill.store) == number))
    _read_raw(work.raw)
    for step in work.finish:
        step()
    return targets


def _read_raw(fills: Sequence[RawFill]) -> None:
    """Fill arrays from raw files, each opened once, several at a time."""
    files: dict[int, list[RawFill]] = {}
    for fill in fills:
        files.setdefault(id(fill.source), []).append(fill)
    if len(files) <= 1:
        for group in files.values():
            _read_file(group)
        return
    with ThreadPoolExecutor(worker_threads(), thread_name_prefix="lightkeep-raw") as pool:
        for _ in pool.map(_read_file, files.values()):
            pass


def _read_file(fills: Sequence[RawFill]) -> None:
    samples = fills[0].source.read([(fill.block, fill.window) for fill in fills])
    for fill, found in zip(fills, samples, strict=True):
        np.copyto(fill.target, found)


def _read(store: Store, ranges: Sequence[ByteRange]) -> None:
    if not ranges:
        return
    gets = [Get(part.array.key, part.start, part.stop, etag=part.array.etag) for part in ranges]
    pool = _decoders(os.getpid())
    pending: deque[tuple[int, list[Future[None]]]] = deque()
    held = 0
    received = store.stream(gets, return_errors=True)
    try:
        for number, reply in received:
            part = ranges[number]
            body = _checked(store, part, reply)
            pending.append((part.stop - part.start, list(_decode_range(pool, part, body))))
            held += part.stop - part.start
            del reply, body  # the threads have it now, and let go of it
            while held > _HELD:
                held -= _finished(pending)
        while pending:
            _finished(pending)
    finally:
        received.close()
        for _, futures in pending:
            for future in futures:
                future.cancel()


def _finished(pending: deque[tuple[int, list[Future[None]]]]) -> int:
    """Wait for the chunks of the range that came first; return its bytes."""
    size, futures = pending[0]
    for future in futures:
        future.result()
    pending.popleft()
    return size


def _checked(store: Store, part: ByteRange, reply: Any) -> Buffer:
    """Return the bytes of a range, or say what is wrong with the object that should hold them."""
    if isinstance(reply, NotFound):
        raise DamagedData(f"{part.array.key}: the object is missing; run lightkeep verify") from reply
    if isinstance(reply, Conflict):
        return _whole_object(store, part.array)[part.start : part.stop]
    if isinstance(reply, BaseException):
        raise reply
    body: Buffer = reply.data
    return body


def _whole_object(store: Store, array: ArrayRef) -> memoryview:
    """Return all bytes of an object whose etag is another one, if they are those that were committed.

    An archive that was moved to another store has other etags there; its bytes are the same.
    """
    body = memoryview(store.get(array.key).data)
    if hashlib.sha256(body).hexdigest() != array.sha256:
        raise DamagedData(f"{array.key}: the object was altered or swapped after its commit; run lightkeep verify")
    return body


def _decode_range(pool: ThreadPoolExecutor, part: ByteRange, body: Buffer) -> Iterator[Future[None]]:
    """Give the chunks of one range to the threads, in as many tasks as there are threads."""
    view = memoryview(body)
    if len(view) != part.stop - part.start:
        raise DamagedData(f"{part.array.key}: {len(view)} bytes came instead of {part.stop - part.start}")
    chunks = iter(part.chunks)
    share = -(-len(part.chunks) // pool._max_workers)  # noqa: SLF001 - the pool's own size
    while batch := tuple(islice(chunks, share)):
        yield pool.submit(_decode_chunks, part, view, batch)


def _decode_chunks(part: ByteRange, view: memoryview, chunks: Iterable[tuple[int, int, int]]) -> None:
    array, fill = part.array, part.fill
    codec = codec_for(array.codec, np.dtype(array.dtype))
    grid = grid_shape(array.shape, array.chunks)
    samples = np.empty(array.chunks, dtype=codec.dtype)  # memory is slow when it is new, so one for all
    for number, start, size in chunks:
        codec.decode(view[start : start + size], samples, f"{array.key} chunk {number}")
        corner = np.unravel_index(number, grid)
        source, target = [], []
        for window, place, length in zip(fill.window, corner, array.chunks, strict=True):
            begin = int(place) * length
            first, last = max(window.start, begin), min(window.stop, begin + length)
            source.append(slice(first - begin, last - begin))
            target.append(slice(first - window.start, last - window.start))
        fill.target[tuple(target)] = samples[tuple(source)]


class LazyValues:
    """Coordinate values that are read when they are needed, such as recorded times.

    Parameters
    ----------
    lazy
        One dim.
    dtype
        Type at the user's face, of the same size as the stored one.
    """

    def __init__(self, lazy: Lazy, dtype: np.dtype[Any]) -> None:
        self.lazy, self.dtype = lazy, dtype
        self._array: NDArray[Any] | None = None

    @property
    def size(self) -> int:
        """Number of values."""
        return self.lazy.shape[0]

    def to_numpy(self) -> NDArray[Any]:
        """Return every value, shape `(size,)`, read-only."""
        if self._array is None:
            array = load(self.lazy).view(self.dtype)
            array.flags.writeable = False
            self._array = array
        return self._array

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            start, stop, step = key.indices(self.size)
            if step == 1:
                return LazyValues(self.lazy.cut((slice(start, max(stop, start)),)), self.dtype)
            key = np.arange(start, stop, step)
        if isinstance(key, np.ndarray):
            numbers = np.flatnonzero(key) if key.dtype == np.bool_ else key
            return LazyValues(Indexed(self.lazy, 0, numbers), self.dtype)
        return self.to_numpy()[int(key)]
