"""Checking an archive: every object that its index names, against what was recorded when it was written."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from archive.codec import codec_for
from archive.errors import DamagedData, FormatError, InvalidInput, NotFound
from archive.index import layout
from archive.lazy import StoredPart
from archive.reading import load
from archive.store import Get, List
from ingest.checking.findings import Finding, Progress, Report
from ingest.checking.survey import body_of, look_at_leaves, survey
from ingest.granule import GranuleRecord, coord_arrays, object_keys, root_key
from ingest.looking import Finder
from ingest.rereading import Rereading, check_sources, reread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from archive.index.dataset import Dataset
    from archive.index.rows import ArrayRef, Row
    from archive.store import Entry, Store
    from ingest.checking.survey import Survey

__all__ = ["Granules", "verify"]

Mode = Literal["quick", "full"]

LISTED_WHOLE = 16_000  # granules of a dataset, up to which one listing of all of them is held in memory
_AT_ONCE = 128  # granules looked at together
_PART = 8 << 20  # bytes of a large object in one request
_PARTS = 4  # of them in one wave
_ATTEMPTS = 3
_WORKERS = 4  # granules hashed at once: at most 4 x 32 MiB in memory
_MOVED = "has another etag than its row; altered, or moved here: check with --full, then seal it with --reseal"


def verify(
    store: Store,
    mode: Mode = "quick",
    *,
    sample: float | None = None,
    seed: int = 0,
    sources: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare an archive with what was recorded of it, and return what is wrong.

    Parameters
    ----------
    mode
        `"quick"` lists, and compares sizes and etags; `"full"` reads everything and compares checksums, of
        everything that a kept snapshot needs.
    sample
        Share of granules to look at, chosen at random: 0.01 is one in a hundred.
    seed
        Of the choice.
    sources
        Compare with the raw files too, where they still are: their hash, and in full mode every sample.
    options
        For the places of raw files, as fsspec takes them.

    Raises
    ------
    NotFound
        There is no archive.
    InvalidInput
        The share is not above 0 and up to 1.
    """
    if sample is not None and not 0 < sample <= 1:
        raise InvalidInput(f"a share of {sample} cannot be checked; give one above 0 and up to 1")
    started = time.monotonic()
    for _ in range(_ATTEMPTS):
        held = survey(store, whole=mode == "full")
        report = Report(mode=mode, snapshot=None if held.snapshot is None else held.snapshot.number)
        granules = Granules(store, report, full=mode == "full", sources=sources, options=options)
        _verify_all(held, report, granules, sample, random.Random(seed), progress or Progress())  # noqa: S311 - a sample
        if not report.damaged or not _collected(store, held):
            break
    report.seconds = time.monotonic() - started
    return report


def _collected(store: Store, held: Survey) -> bool:
    """Return whether `gc` has given up snapshots since the index was looked at: what it deleted is no damage."""
    now = survey(store, whole=False).snapshot
    return now is not None and held.snapshot is not None and now.oldest > held.snapshot.oldest


def _verify_all(  # noqa: PLR0917 - one call, taken out of `verify`
    held: Survey, report: Report, granules: Granules, sample: float | None, chosen: random.Random, progress: Progress
) -> None:
    full = report.mode == "full"
    report.findings += held.findings
    report.objects += len(held.listed)
    progress.total(sum(leaf.rows for leaf, _ in held.leaves.values()) + sum(len(one.rows) for one in held.commits))
    for dataset, batches in _rows_of(held, report):
        counted = sum(leaf.rows for leaf, _ in held.leaves.values() if leaf.dataset == dataset.name)
        whole = sample is None and counted <= LISTED_WHOLE
        granules.list_dataset(dataset, whole=whole)
        for rows in batches:
            granules.check([row for row in rows if sample is None or chosen.random() < sample])
            progress.done(len(rows))
        if whole and full and not any(one.kind in {"leaf", "commit", "CURRENT"} for one in report.findings):
            _report_orphans(held, granules, report)


def _rows_of(held: Survey, report: Report) -> Iterator[tuple[Dataset, Iterator[list[Row]]]]:
    """Yield each dataset with its rows in batches, each granule once; damaged leaves go into the report."""
    datasets: dict[str, Dataset] = {name: one for commit in held.commits for name, one in commit.datasets.items()}
    datasets.update((dataset.name, dataset) for _, dataset in reversed(held.leaves.values()))
    known = {finding.key for finding in report.findings}
    live = {leaf.key for leaf in held.snapshot.leaves} if held.snapshot else set()

    def batches(name: str) -> Iterator[list[Row]]:
        seen: set[int] = set()
        served: set[str] = set()  # ids that readers know from leaves: a young row of the same id is not read
        leaves = [(leaf, dataset) for leaf, dataset in held.leaves.values() if leaf.dataset == name]
        for leaf, _, rows in look_at_leaves(held.store, leaves):
            if not isinstance(rows, Finding):
                if held.commits and leaf.key in live:
                    served.update(other for row in rows for other in (row.id, *row.replaces))
                yield _fresh(rows, seen)
            elif leaf.key not in known:
                report.findings.append(rows)
        for commit in held.commits:
            young = [row for row in commit.rows if row.dataset == name and row.id not in served]
            served.update(row.id for row in young)
            yield _fresh(young, seen)

    for name in sorted(datasets):
        yield datasets[name], batches(name)


def _fresh(rows: Iterable[Row], seen: set[int]) -> list[Row]:
    """Return the rows whose granules have not been met yet."""
    fresh = {hash(row.key): row for row in rows if hash(row.key) not in seen}
    seen.update(fresh)
    return list(fresh.values())


class Granules:
    """Compares granules with their rows and with what they say of themselves.

    Parameters
    ----------
    report
        Where findings and counts go.
    full
        Read and hash everything.
    sources
        Compare with the raw files.
    """

    def __init__(
        self,
        store: Store,
        report: Report,
        *,
        full: bool,
        sources: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._store, self._report = store, report
        self._full, self._sources = full, sources
        self._how = Rereading(options or {}, Finder(options or {}))
        self._lock = threading.Lock()
        self._listed: dict[str, Entry] | None = None
        self._coords: dict[str, int] = {}
        self._dataset: Dataset | None = None
        self.met: set[str] = set()

    def list_dataset(self, dataset: Dataset, *, whole: bool) -> None:
        """Turn to a dataset: one listing of all of it, or one for each granule where these are too many."""
        self._dataset, self._coords = dataset, coord_arrays(dataset)
        prefix = f"{layout.DATA}{dataset.name}/"
        self._listed = {entry.key: entry for entry in self._store.entries(prefix)} if whole else None
        self.met = set()

    @property
    def unmet(self) -> set[str]:
        """Granules of the dataset that were listed, and that no row named."""
        keys = {key.partition(".zarr/")[0] + ".zarr" for key in self._listed or () if ".zarr/" in key}
        return keys - self.met

    def check(self, rows: Sequence[Row]) -> None:
        """Compare some granules of the dataset."""
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="lightkeep-verify") as pool:
            for batch in batched(rows, _AT_ONCE):
                self.met.update(row.key for row in batch)
                self._report.granules += len(batch)
                for row, findings in zip(batch, pool.map(self._one, batch, self._entries(batch)), strict=True):
                    self._report.findings += [_of_granule(row, *finding) for finding in findings]

    def _count(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                setattr(self._report, name, getattr(self._report, name) + count)

    def _entries(self, rows: Sequence[Row]) -> list[Mapping[str, Entry]]:
        if self._listed is not None:
            return [self._listed] * len(rows)
        replies = self._store.wave([List(f"{row.key}/") for row in rows])
        return [{entry.key: entry for entry in found} for found in replies]

    def _one(self, row: Row, entries: Mapping[str, Entry]) -> list[tuple[str, str, bool]]:
        """Return what is wrong with one granule: objects, sentences, and whether it is damage."""
        findings: dict[str, tuple[str, bool]] = {}
        keys = object_keys(row, self._coords)
        refs = {ref.key: ref for ref in (row.data, *row.extras.values())}
        self._count(objects=len(keys))
        for key in keys:
            entry = entries.get(key)
            if entry is None:
                findings[key] = ("the object is missing", True)
            elif key in refs and entry.size != refs[key].size:
                findings[key] = (f"has {entry.size} bytes instead of {refs[key].size}", True)
            elif key in refs and refs[key].etag not in {None, entry.etag}:
                findings[key] = (_MOVED, True)
        record = None
        if self._full or self._sources:
            record = self._root(row, findings)
        if self._full:
            self._hash_all(row, record, refs, findings)
        if self._sources and record is not None and not any(damage for _, damage in findings.values()):
            self._compare_sources(row, record, findings)
        return [(key, what, damage) for key, (what, damage) in findings.items()]

    def _root(self, row: Row, findings: dict[str, tuple[str, bool]]) -> GranuleRecord | None:
        key = root_key(row.key)
        if key in findings:
            return None
        try:
            record = GranuleRecord.decode(row.key, body_of(self._store.wave([Get(key)], return_errors=True)[0]))
        except NotFound:
            findings[key] = ("the object is missing", True)
        except DamagedData as error:
            findings[key] = (_short(error), True)
        else:
            said, known = record.row, row
            if (said.id, said.data.sha256, said.time) != (known.id, known.data.sha256, known.time):
                findings[key] = ("tells of another row than the index", True)
            return record
        return None

    def _hash_all(
        self,
        row: Row,
        record: GranuleRecord | None,
        refs: Mapping[str, ArrayRef],
        findings: dict[str, tuple[str, bool]],
    ) -> None:
        wanted = {key: (ref.size, ref.sha256) for key, ref in refs.items()}
        if record is not None:
            wanted = {**record.objects, **wanted}
        for key, (size, sha256) in wanted.items():
            moved = findings.get(key, ("",))[0] == _MOVED
            if key in findings and not moved:
                continue
            wrong = fault_of(self._store, key, size, sha256)
            self._count(bytes=size)
            if wrong is not None:
                findings[key] = (wrong, True)
            elif moved:
                findings[key] = ("is right, and has another etag than its row; seal it with --reseal", False)
        stamps = f"{row.key}/time/c/0"
        if stamps not in findings:
            findings.update(_stamps_differ(self._store, row, stamps))

    def _compare_sources(self, row: Row, record: GranuleRecord, findings: dict[str, tuple[str, bool]]) -> None:
        """Compare a granule with its sources, where they are: their hash, or every sample."""
        assert self._dataset is not None  # noqa: S101 - set before granules are checked
        try:
            if not self._full:
                check_sources(row, record.files, self._how)
                self._count(compared=1)
                return
            content = reread(row, self._dataset, record.files, self._how)
        except NotFound as error:
            self._count(unreachable=1)
            if "is not the file" in str(error):
                findings[record.files[0].url] = (_short(error), False)
            return
        except FormatError as error:
            findings[record.files[0].url] = (f"cannot be read any more ({error})", False)
            return
        self._count(compared=1)
        wanted = {"data": content.samples, **content.recorded}
        for name, ref in {"data": row.data, **row.extras}.items():
            if name not in wanted or not _same_bits(_stored(self._store, ref), wanted[name]):
                findings[ref.key] = ("its samples are not those of the source", True)


def _stored(store: Store, ref: ArrayRef) -> Any:
    return load(StoredPart(store, ref, tuple(slice(0, size) for size in ref.shape)), limit=None)


def _same_bits(one: Any, other: Any) -> bool:
    bits = np.dtype(f"u{one.dtype.itemsize}")
    return one.dtype == other.dtype and np.array_equal(one.view(bits), np.ascontiguousarray(other).view(bits))


def _of_granule(row: Row, key: str, what: str, damage: bool) -> Finding:  # noqa: FBT001 - a finding's own
    kind = "granule" if key.startswith(row.key) else "source"
    return Finding(key=key, what=what, kind=kind, granule=row.key, damage=damage)


def _short(error: Exception) -> str:
    """Return what an error says of an object, without its name and without what to do."""
    return str(error).partition(": ")[2].partition(";")[0]


def fault_of(store: Store, key: str, size: int, sha256: str) -> str | None:
    """Return what is wrong with an object, by its size and SHA-256 (hex); read in parts of a few MiB."""
    hasher = hashlib.sha256()
    parts = [Get(key, start, min(start + _PART, size)) for start in range(0, size, _PART)] or [Get(key)]
    for batch in batched(parts, _PARTS):
        for reply in store.wave(batch, return_errors=True):
            try:
                hasher.update(body_of(reply))
            except NotFound:
                return "the object is missing"
            except DamagedData:
                return f"is shorter than {size} bytes"
            if reply.size != size:
                return f"has {reply.size} bytes instead of {size}"
    return None if hasher.hexdigest() == sha256 else "its bytes were altered: the SHA-256 is another one"


def _stamps_differ(store: Store, row: Row, key: str) -> dict[str, tuple[str, bool]]:
    """Return whether the stored stamps are not those of the row."""
    try:
        body = body_of(store.wave([Get(key)], return_errors=True)[0])
        stamps = np.empty(row.time.size, dtype=np.int64)
        codec_for("portable", stamps.dtype).decode(body, stamps, key)
    except NotFound:
        return {key: ("the object is missing", True)}
    except DamagedData as error:
        return {key: (_short(error), True)}
    if np.array_equal(stamps, row.time.to_ns()):
        return {}
    return {key: ("its stamps are not those of the row", True)}


def _report_orphans(held: Survey, granules: Granules, report: Report) -> None:
    """Report granules that no row names, unless writers are at work that may have named them meanwhile."""
    if not granules.unmet or held.snapshot is None:
        return
    now = survey(held.store, whole=False)
    if now.snapshot is None or now.snapshot.number != held.snapshot.number:
        return
    named = {row.key for commit in now.commits for row in commit.rows}
    for key in sorted(granules.unmet - named):
        what = "no row names it: it came twice, or its commit is missing, was never made, or is about to be"
        report.findings.append(Finding(key=key, what=what, kind="granule", granule=key, damage=False))
