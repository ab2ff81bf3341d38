"""Mending an archive from what is left of it. Nothing is deleted, and nothing is mended silently."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Any

from archive.errors import Conflict, DamagedData, NotFound
from archive.index import layout
from archive.index.commits import Commit
from archive.index.leaves import LeafTable, encode_leaf
from archive.index.sealed import seal, unseal
from archive.index.snapshot import Snapshot
from archive.store import Get
from ingest.checking.findings import Finding, Progress
from ingest.checking.recover import Knowledge, commit_with, digest_of
from ingest.checking.remake import Remake
from ingest.checking.reseal import replace_parts
from ingest.checking.survey import Survey, decode_copy, survey
from ingest.checking.verify import verify
from ingest.index.fold import fold
from ingest.index.ledger import encode_segment
from ingest.initialise import new_root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archive.index.dataset import Dataset
    from archive.index.leaves import LeafEntry
    from archive.index.rows import Row
    from archive.index.snapshot import LedgerEntry
    from archive.store import Store
    from ingest.checking.recover import Candidate
    from ingest.checking.verify import Mode

__all__ = ["RepairReport", "repair"]

_AT_ONCE = 64
_MAYBE = "it may have been removed since, or never have been acknowledged"


@dataclass(slots=True, kw_only=True)
class RepairReport:
    """What a repair did, or would do.

    Parameters
    ----------
    dry_run
        Whether nothing was written.
    done
        Objects that were mended, and how.
    doubtful
        What could be taken back, and was not, since nothing proves that it should be.
    lost
        What cannot be mended.
    snapshot
        The state of the index afterwards.
    seconds
        Time it took.
    """

    dry_run: bool = False
    done: list[Finding] = field(default_factory=list)
    doubtful: list[Finding] = field(default_factory=list)
    lost: list[Finding] = field(default_factory=list)
    snapshot: int | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return asdict(self)


def repair(
    store: Store,
    mode: Mode = "full",
    *,
    unproven: bool = False,
    dry_run: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> RepairReport:
    """Mend an archive, and return what was mended, what is in doubt, and what is lost.

    CURRENT comes from the newest good copy; leaves, ledger and commits from older snapshots and from what granules
    tell of themselves; granules from their sources. What lay in a mended object's place is kept under `damaged/`.

    Parameters
    ----------
    mode
        How damaged granules are found, as in `verify`.
    unproven
        Take back granules that no part of the index names, though they may have been removed.
    dry_run
        Say what would be done, and do nothing.
    options
        For the places of raw files, as fsspec takes them.

    Raises
    ------
    NotFound
        There is no archive.
    """
    started = time.monotonic()
    report = RepairReport(dry_run=dry_run)
    held = survey(store, whole=True)
    index = _Index(store, held, report, unproven=unproven)
    index.mend()
    if not dry_run:
        with suppress(DamagedData, NotFound):  # a leaf that stays lost is told of already; what is young stays young
            while fold(store) is not None:
                pass
    found = verify(store, mode, progress=progress)
    granules = Remake(store, report.dry_run, options or {})
    for finding in granules.mend([one for one in found.findings if one.kind == "granule" and one.damage]):
        (report.lost if finding.damage else report.done).append(finding)
    report.snapshot = granules.snapshot or found.snapshot
    report.seconds = time.monotonic() - started
    return report


class _Index:
    """Mends the objects of the index, in the order in which they need each other."""

    def __init__(self, store: Store, held: Survey, report: RepairReport, *, unproven: bool) -> None:
        self._store, self._held, self._report, self._unproven = store, held, report, unproven
        self._known = Knowledge(store, held)
        self._bad: dict[str, list[str]] = defaultdict(list)
        for finding in held.findings:
            if finding.key not in self._bad[finding.kind]:
                self._bad[finding.kind].append(finding.key)
        self._bad["leaf"] = self._known.damaged_leaves
        self._returned: set[str] = set()
        self._strays = self._damaged_bodies()

    def _damaged_bodies(self) -> list[bytes]:
        """Return what lies in the place of damaged objects: it may be what is missing elsewhere."""
        keys = [key for kind in ("snapshot", "leaf", "ledger", "commit") for key in self._bad[kind]]
        bodies: list[bytes] = []
        for batch in batched(keys, _AT_ONCE):
            replies = self._store.wave([Get(key) for key in batch], return_errors=True)
            bodies += [bytes(reply.data) for reply in replies if not isinstance(reply, BaseException)]
        return bodies

    def _put_stray[T](self, key: str, kind: str, decode: Callable[[bytes], T]) -> T | None:
        """Put an object back that lies in another's place, if one does, and return what it holds."""
        for body in self._strays:
            try:
                held = decode(body)
            except DamagedData:
                continue
            self._put(key, body, "put back; it lay in the place of another object", kind)
            return held
        return None

    def mend(self) -> None:
        """Mend all there is to mend."""
        if self._bad["archive"]:
            self._put(layout.ROOT, new_root(), "made anew, with another id", "archive")
        youngest = self._mend_current()
        self._mend_commits()
        self._mend_segments()
        self._mend_leaves()
        self._mend_datasets()
        self._mend_copies()
        self._take_back(youngest)

    def _put(self, key: str, body: bytes, what: str, kind: str) -> None:
        """Put an object where another lies, or none; what lay there is kept."""
        self._report.done.append(Finding(key=key, what=what, kind=kind, damage=False))
        if self._report.dry_run:
            return
        reply = self._store.wave([Get(key)], return_errors=True)[0]
        if isinstance(reply, NotFound):
            self._store.create(key, body)
        elif isinstance(reply, BaseException):
            raise reply
        else:
            there = bytes(reply.data)
            with suppress(Conflict):  # kept by an earlier repair
                self._store.create(f"{layout.DAMAGED}{digest_of(there)}/{key}", there)
            self._store.swap(key, body, reply.etag)

    def _lost(self, key: str, what: str, kind: str) -> None:
        self._report.lost.append(Finding(key=key, what=what, kind=kind))

    # -- CURRENT --------------------------------------------------------------------------------

    def _mend_current(self) -> int | None:
        """Put the newest good copy in its place; return the time (ns) after which the index knows nothing."""
        if not self._bad["CURRENT"]:
            return None
        held, newest = self._held.snapshot, self._newest_copy()
        if held is not None and held.number >= newest:
            self._put(layout.CURRENT, held.encode(), f"taken from the copy of snapshot {held.number}", "CURRENT")
        else:
            base = held or Snapshot(number=-1, nonce="", created=0, datasets=self._datasets_told())
            new = replace(
                base,
                number=max(base.number, newest) + 1,
                nonce=secrets.token_hex(16),
                created=max(time.time_ns(), base.created + 1),
                note="repair",
                history=(*base.history, *([(held.number, held.created, held.note)] if held else [])),
            )
            source = f"snapshot {held.number}" if held else "granules alone"
            self._put(layout.CURRENT, new.encode(), f"made anew from {source}, as snapshot {new.number}", "CURRENT")
            self._held.snapshot = new
        if held is None:
            return 0
        copy = self._held.listed.get(layout.snapshot_key(held.number))
        return round(copy.modified.timestamp() * 1e9) if copy else 0

    def _newest_copy(self) -> int:
        numbers = [key.removeprefix(layout.SNAPSHOTS) for key in self._held.listed if key.startswith(layout.SNAPSHOTS)]
        return max((int(number) for number in numbers if number.isdecimal()), default=-1)

    def _datasets_told(self) -> dict[str, Dataset]:
        """Return the datasets that granules tell of where no snapshot is left: in their newest lives, as corrected."""
        datasets: dict[str, Dataset] = {}
        for one in self._known.candidates.values():
            dataset = one.record.dataset
            if dataset.name not in datasets or dataset.incarnation > datasets[dataset.name].incarnation:
                datasets[dataset.name] = dataset
        return {name: self._known.corrected(dataset) for name, dataset in sorted(datasets.items())}

    # -- commits, leaves, ledger ----------------------------------------------------------------

    def _mend_commits(self) -> None:
        keys = list(self._bad["commit"])
        for key in self._bad["commit"]:
            found = self._put_stray(key, "commit", partial(Commit.decode, key))
            if found is not None:
                self._returned.update(row.key for row in found.rows)
                keys.remove(key)
        for number, key in enumerate(keys):
            reply = self._store.wave([Get(key)], return_errors=True)[0]
            if isinstance(reply, BaseException):
                continue  # folded or mended meanwhile
            commit, sure = self._known.commit_of(key, bytes(reply.data), self._returned, others=len(keys) - 1 - number)
            if sure:
                self._put(key, commit.encode(), f"made anew from its {len(commit.rows)} granules", "commit")
            else:
                self._lost(
                    key, "which granules it made visible cannot be told; it is emptied, so that others read", "commit"
                )
                self._put(key, commit.encode(), "emptied", "commit")

    def _mend_leaves(self) -> None:
        live = {leaf.key for leaf in self._held.snapshot.leaves} if self._held.snapshot else set()
        swapped: dict[str, LeafEntry | None] = {}
        for key in sorted(self._bad["leaf"], key=lambda key: key not in live):
            leaf, dataset = self._held.leaves[key]
            found = self._put_stray(key, "leaf", partial(_rows_of, leaf, dataset))
            if found is not None:
                self._returned.update(row.key for row in found)
                continue
            rows, sure = self._known.rows_of_leaf(leaf, dataset, live=key in live)
            entry, body = encode_leaf(rows, dataset) if rows else (None, b"")
            if entry is not None and entry.sha256 == leaf.sha256:
                self._returned.update(row.key for row in rows)
                self._put(key, body, f"made anew, the same bytes with its {leaf.rows} rows", "leaf")
            elif key not in live:
                self._lost(key, "cannot be made anew; only older snapshots name it", "leaf")
            elif not sure and len(rows) > leaf.rows and not self._unproven:
                what = f"held {leaf.rows} rows, which could be any of {len(rows)}; take back all with --unproven"
                self._lost(key, what, "leaf")
            else:
                self._returned.update(row.key for row in rows)
                swapped[key] = entry
                self._note_swapped(key, leaf, entry)
                if entry is not None and not self._report.dry_run:
                    self._store.create(entry.key, body)
        self._swap(swapped, {})

    def _note_swapped(self, key: str, leaf: LeafEntry, entry: LeafEntry | None) -> None:
        count = entry.rows if entry else 0
        if count:
            what = f"another leaf with {count} rows takes its place"
            self._report.done.append(Finding(key=key, what=what, kind="leaf", damage=False))
        if count < leaf.rows:
            self._lost(key, f"{leaf.rows - count} of its {leaf.rows} rows are lost: no granule tells of them", "leaf")

    def _mend_segments(self) -> None:
        live = {entry.key for entry in self._held.snapshot.ledger} if self._held.snapshot else set()
        swapped: dict[str, LedgerEntry | None] = {}
        for key in self._bad["ledger"]:
            lost = self._held.segments[key]
            if self._put_stray(key, "ledger", partial(_same, lost)) is not None:
                continue
            sources, sure = self._known.sources_of_segment(lost)
            entry, body = encode_segment(sources)
            if entry.sha256 == lost.sha256:
                self._put(key, body, f"made anew, the same bytes with its {lost.sources} sources", "ledger")
            elif key not in live:
                self._lost(key, "cannot be made anew; only older snapshots name it", "ledger")
            else:
                swapped[key] = entry if sources else None
                what = f"another part with {len(sources)} sources takes its place"
                self._report.done.append(Finding(key=key, what=what, kind="ledger", damage=False))
                if not sure:
                    self._lost(
                        key,
                        f"it held {lost.sources} sources; a name that is missing is known again at its next ingest",
                        "ledger",
                    )
                if sources and not self._report.dry_run:
                    self._store.create(entry.key, body)
        self._swap({}, swapped)

    def _swap(self, leaves: dict[str, LeafEntry | None], segments: dict[str, LedgerEntry | None]) -> None:
        if (leaves or segments) and not self._report.dry_run:
            self._held.snapshot = replace_parts(self._store, leaves, segments, "repair") or self._held.snapshot

    # -- the rest -------------------------------------------------------------------------------

    def _mend_datasets(self) -> None:
        snapshot = self._held.snapshot
        known = {name: held for commit in self._held.commits for name, held in commit.datasets.items()}
        known.update(snapshot.datasets if snapshot else {})
        for key in self._bad["dataset"]:
            name = key.removeprefix(layout.DATA).partition("/")[0]
            body = seal(key, known[name].to_json())
            self._put(key, body, "made anew from the index", "dataset")

    def _mend_copies(self) -> None:
        current = self._held.snapshot
        for key in self._bad["snapshot"]:
            if current is not None and key == layout.snapshot_key(current.number):
                self._put(key, current.encode(), "copied from CURRENT", "snapshot")
            elif self._put_stray(key, "snapshot", partial(decode_copy, key)) is None:
                self._lost(
                    key, "an older state of the index that cannot be opened any more; no sample is lost", "snapshot"
                )

    def _take_back(self, youngest: int | None) -> None:
        """Return granules that nothing names: those younger than the index that is left, and all if asked to."""
        unsure = youngest is not None or self._unproven or any(self._bad[kind] for kind in ("commit", "leaf"))
        if not unsure:
            return
        for key, record in self._known.unnamed.items():
            if missing := self._known.missing_of(record):
                what = f"stays out: {len(missing)} of the {len(record.commit)} granules of its commit are missing"
                self._doubtful(key, what)
        for batch in self._known.batches():
            if any(one.row.key in self._returned for one in batch):
                continue
            if self._unproven or (youngest is not None and max(one.modified for one in batch) > youngest):
                self._return(batch)
            else:
                for one in batch:
                    self._doubtful(one.row.key, f"nothing names it; {_MAYBE}; take it back with --unproven")

    def _doubtful(self, key: str, what: str) -> None:
        self._report.doubtful.append(Finding(key=key, what=what, kind="granule", granule=key, damage=False))

    def _return(self, batch: list[Candidate]) -> None:
        commit = self._known.checked(commit_with(batch))
        for row in commit.rows:
            self._report.done.append(
                Finding(key=row.key, what=f"taken back; {_MAYBE}", kind="granule", granule=row.key, damage=False)
            )
        if not self._report.dry_run:
            for name, dataset in commit.datasets.items():
                self._known_dataset(name, dataset)
            self._store.create(commit.key, commit.encode())

    def _known_dataset(self, name: str, dataset: Dataset) -> None:
        key = layout.dataset_key(name)
        try:
            unseal(key, self._store.get(key).data)
        except NotFound:
            self._store.create(key, seal(key, dataset.to_json()))


def _rows_of(leaf: LeafEntry, dataset: Dataset, body: bytes) -> list[Row]:
    return LeafTable(leaf, body, dataset).rows()


def _same(entry: LedgerEntry, body: bytes) -> bytes:
    if digest_of(body) != entry.sha256:
        raise DamagedData(f"{entry.key}: another object lies in its place")
    return body
