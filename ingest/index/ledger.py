"""The ledger: every source that came in, once, under each of its names."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from archive.errors import DamagedData, NotFound
from archive.index import layout
from archive.index.commits import Source
from archive.index.snapshot import LedgerEntry
from archive.store import Get

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from archive.index.snapshot import Snapshot
    from archive.store import Store

__all__ = ["Ledger", "encode_segment", "merge_segments", "read_by_segment", "read_segments", "without_contents"]

_COLUMNS = ("url", "size", "stamp", "sha256", "format", "version", "dataset", "rows")


class Ledger:
    """What is known of sources: by name as they were seen, and by content.

    One thread may ask while another adds.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._seen: dict[tuple[str, int, str], Source] = {}
        self._hashes: dict[str, Source] = {}
        self._sizes: dict[int, set[str]] = defaultdict(set)
        self._urls: dict[str, Source] = {}
        self._copies: dict[str, set[str]] = defaultdict(set)  # names of further files, by content
        self._lock = threading.Lock()
        for source in sources:
            self.add(source)

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, source: Source) -> None:
        """Take in a source."""
        with self._lock:
            self._seen[source.url, source.size, source.stamp] = source
            if source.rows:  # else a copy: what it is a copy of may have been removed since
                self._hashes.setdefault(source.sha256, source)
                self._sizes[source.size].add(source.sha256)
            if source.sha256 not in self._hashes or self._hashes[source.sha256].url != source.url:
                self._copies[source.sha256].add(source.url)
            self._urls[source.url] = source

    def forget(self) -> None:
        """Know nothing any more."""
        with self._lock:
            for held in (self._seen, self._hashes, self._sizes, self._urls, self._copies):
                held.clear()

    def seen(self, url: str, size: int, stamp: str) -> Source | None:
        """Return the source that was under this name, if it looks unchanged and its content is held."""
        source = self._seen.get((url, size, stamp))
        return source if source is not None and source.sha256 in self._hashes else None

    def earlier(self, url: str) -> Source | None:
        """Return the source that was under this name, changed or not."""
        return self._urls.get(url)

    def others(self, url: str) -> frozenset[str]:
        """Return the names of the other files with the content that was under this name."""
        with self._lock:
            mine = self._urls.get(url)
            if mine is None or mine.sha256 not in self._copies:
                return frozenset()
            first = self._hashes.get(mine.sha256, mine)
            names = {first.url, *self._copies[mine.sha256]} - {url}
            return frozenset(name for name in names if self._urls[name].sha256 == mine.sha256)

    def held(self, sha256: str) -> Source | None:
        """Return the source with this content."""
        return self._hashes.get(sha256)

    def hashes_of_size(self, size: int) -> frozenset[str]:
        """Return the contents of a size that are known: what a file of this size may be a copy of."""
        with self._lock:
            return frozenset(self._sizes.get(size, ()))

    def sources(self) -> list[Source]:
        """Return each source once."""
        return list(self._hashes.values())


def read_segments(store: Store, entries: Sequence[LedgerEntry]) -> list[Source]:
    """Return the sources of some segments, in one wave of requests.

    Raises
    ------
    DamagedData
        A segment is missing or altered.
    """
    return [source for _, sources in read_by_segment(store, entries) for source in sources]


def read_by_segment(store: Store, entries: Sequence[LedgerEntry]) -> list[tuple[LedgerEntry, list[Source]]]:
    """Return some segments, each with its sources, in one wave of requests; see `read_segments`."""
    found = []
    replies = store.wave([Get(entry.key) for entry in entries], return_errors=True)
    for entry, reply in zip(entries, replies, strict=True):
        if isinstance(reply, NotFound):
            raise DamagedData(f"{entry.key}: this part of the ledger is missing; run lightkeep repair")
        if isinstance(reply, BaseException):
            raise reply
        found.append((entry, _decode(entry, bytes(reply.data))))
    return found


def _decode(entry: LedgerEntry, body: bytes) -> list[Source]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if hashlib.sha256(body).hexdigest() != entry.sha256:
        raise DamagedData(f"{entry.key}: this part of the ledger is altered; run lightkeep repair")
    return [Source.from_json(line) for line in pq.read_table(pa.BufferReader(body)).to_pylist()]


def _read(store: Store, entries: Sequence[LedgerEntry], bodies: Mapping[str, bytes]) -> list[Source]:
    """Return the sources of segments of which some are at hand."""
    near = [source for entry in entries if entry.key in bodies for source in _decode(entry, bodies[entry.key])]
    return [*near, *read_segments(store, [entry for entry in entries if entry.key not in bodies])]


def encode_segment(sources: Sequence[Source]) -> tuple[LedgerEntry, bytes]:
    """Return what CURRENT says of a segment, and its bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = sorted((source.to_json() for source in sources), key=lambda line: (line["url"], line["sha256"]))
    sink = pa.BufferOutputStream()
    types = {"size": pa.int64(), "rows": pa.list_(pa.string())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in _COLUMNS])
    pq.write_table(pa.Table.from_pylist(lines, schema=schema), sink, compression="zstd")
    body = sink.getvalue().to_pybytes()
    digest = hashlib.sha256(body).hexdigest()
    entry = LedgerEntry(key=layout.new_ledger_key(digest), size=len(body), sha256=digest, sources=len(lines))
    return entry, body


def merge_segments(
    store: Store,
    snapshot: Snapshot,
    fresh: Sequence[Source],
    unput: Sequence[tuple[str, bytes]] = (),
    again: frozenset[str] = frozenset(),
) -> tuple[tuple[LedgerEntry, ...], list[tuple[str, bytes]]]:
    """Return the ledger with new sources in it, and the objects to be put.

    A new segment takes in the last ones that are not much larger, so that there are few of them and each
    source is written a few times in all, like a log-structured merge tree.

    Parameters
    ----------
    unput
        Segments of the snapshot that are not in the store yet, by key.
    again
        Contents that may be listed already: only for them are all segments read.
    """
    bodies = dict(unput)
    kept = list(snapshot.ledger)
    objects: dict[str, bytes] = {}
    if any(source.sha256 in again for source in fresh):
        kept, objects, fresh = _without_twins(store, kept, fresh, bodies)
        bodies |= objects
    if not fresh:
        return tuple(kept), list(objects.items())
    count = len(fresh)
    taken: list[LedgerEntry] = []
    while kept and kept[-1].sources <= 2 * count:
        taken.append(kept.pop())
        count += taken[-1].sources
    held = {(source.url, source.sha256): source for source in [*_read(store, taken, bodies), *fresh]}
    entry, body = encode_segment(list(held.values()))
    put = {key: made for key, made in objects.items() if key not in {one.key for one in taken}}
    return (*kept, entry), [*put.items(), (entry.key, body)]


def _without_twins(
    store: Store, entries: Sequence[LedgerEntry], fresh: Sequence[Source], bodies: Mapping[str, bytes]
) -> tuple[list[LedgerEntry], dict[str, bytes], list[Source]]:
    """Return segments, those of them to be put, and new sources, without what would be listed twice.

    What is listed with its rows stays as it is; a name that was only heard of makes room.
    """
    mine = {(source.url, source.sha256): source for source in fresh}
    kept: list[LedgerEntry] = []
    objects: dict[str, bytes] = {}
    for entry in entries:
        sources = _read(store, [entry], bodies)
        left = []
        for source in sources:
            twin = mine.get((source.url, source.sha256))
            if twin is None or source.rows or not twin.rows:
                left.append(source)
                mine.pop((source.url, source.sha256), None)
        if len(left) == len(sources):
            kept.append(entry)
        elif left:
            made, body = encode_segment(left)
            kept.append(made)
            objects[made.key] = body
    return kept, objects, list(mine.values())


def without_contents(
    segments: Iterable[tuple[LedgerEntry, list[Source]]], gone: frozenset[str], heard: frozenset[str] = frozenset()
) -> tuple[tuple[LedgerEntry, ...], list[tuple[str, bytes]], int]:
    """Return the ledger without the sources of some contents, the objects to be put, and how many are forgotten.

    Parameters
    ----------
    segments
        The ledger as `read_by_segment` gives it.
    heard
        Those of which a part is still stored: their names stay, without rows, so that they can come again and
        a changed file is known for what it is.
    """
    kept: list[LedgerEntry] = []
    objects: list[tuple[str, bytes]] = []
    forgotten: set[str] = set()
    for entry, sources in segments:
        left = [
            source if source.sha256 not in gone else replace(source, rows=())
            for source in sources
            if source.sha256 not in gone or source.sha256 in heard
        ]
        forgotten |= {source.sha256 for source in sources if source.sha256 in gone and source.rows}
        if left == sources:
            kept.append(entry)
        elif left:
            made, body = encode_segment(left)
            kept.append(made)
            objects.append((made.key, body))
    return tuple(kept), objects, len(forgotten)
