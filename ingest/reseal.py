"""Putting other leaves into CURRENT: for an archive that was moved, and for granules that were made anew."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from archive.errors import Conflict, NotFound
from archive.index import layout
from archive.index.leaves import encode_leaf
from archive.index.snapshot import Snapshot
from archive.store import List
from ingest.findings import Finding, Progress, Report
from ingest.fold import fold
from ingest.survey import read_leaves, survey
from ingest.verify import fault_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archive.index.leaves import LeafEntry
    from archive.index.rows import ArrayRef, Row
    from archive.index.snapshot import LedgerEntry
    from archive.store import Entry, Store

__all__ = ["change", "replace_parts", "reseal"]

_ATTEMPTS = 16
_HISTORY = 256


def change(store: Store, edit: Callable[[Snapshot], Snapshot | None], note: str) -> Snapshot | None:
    """Swap CURRENT for what `edit` makes of it, and return the new snapshot; `None` if it makes nothing.

    Raises
    ------
    Conflict
        Others were first again and again.
    """
    for _ in range(_ATTEMPTS):
        current = store.get(layout.CURRENT)
        old = Snapshot.decode(current.data)
        edited = edit(old)
        if edited is None:
            return None
        new = replace(
            edited,
            number=old.number + 1,
            nonce=secrets.token_hex(16),
            created=max(time.time_ns(), old.created + 1),
            note=note,
            history=(*old.history, (old.number, old.created, old.note))[-_HISTORY:],
        )
        _copy(store, old.number, bytes(current.data))
        try:
            store.swap(layout.CURRENT, new.encode(), current.etag)
        except Conflict:
            if not _was_ours(store, new):
                continue
        _copy(store, new.number, new.encode())
        return new
    raise Conflict(f"{layout.CURRENT}: other writers were first {_ATTEMPTS} times; try again when fewer write")


def _copy(store: Store, number: int, body: bytes) -> None:
    try:
        store.create(layout.snapshot_key(number), body)
    except Conflict:
        return


def _was_ours(store: Store, new: Snapshot) -> bool:
    try:
        return Snapshot.decode(store.get(layout.snapshot_key(new.number)).data).nonce == new.nonce
    except NotFound:
        return False


def replace_parts(
    store: Store,
    leaves: Mapping[str, LeafEntry | None],
    segments: Mapping[str, LedgerEntry | None],
    note: str,
) -> Snapshot | None:
    """Swap in leaves and ledger segments for others, which must be put already; return the new snapshot.

    Parameters
    ----------
    leaves, segments
        What comes for what, by key; `None` for what goes. Who is no longer in CURRENT is left out.
    """

    def edit(old: Snapshot) -> Snapshot | None:
        held = [leaves.get(leaf.key, leaf) for leaf in old.leaves]
        ledger = [segments.get(entry.key, entry) for entry in old.ledger]
        new = replace(
            old,
            leaves=tuple(sorted((leaf for leaf in held if leaf), key=lambda leaf: (leaf.dataset, leaf.first))),
            ledger=tuple(entry for entry in ledger if entry),
        )
        return None if (new.leaves, new.ledger) == (old.leaves, old.ledger) else new

    return change(store, edit, note)


def reseal(store: Store, progress: Progress | None = None) -> Report:
    """Give the rows the ETags of this store, and return what was not right.

    For an archive that was moved: objects have other ETags here, and readers check each whole before they believe
    it. Rows whose objects have the recorded SHA-256 are swapped in with the ETags that they have here.

    Raises
    ------
    DamagedData
        CURRENT or a young commit is damaged: run repair first.
    """
    started = time.monotonic()
    progress = progress or Progress()
    while fold(store) is not None:
        pass
    held = survey(store, whole=False)
    report = Report(mode="reseal", findings=list(held.findings))
    progress.total(sum(leaf.rows for leaf, _ in held.leaves.values()))
    leaves: dict[str, LeafEntry | None] = {}
    for leaf, dataset, rows in read_leaves(store, held.leaves.values()):
        if isinstance(rows, Finding):
            report.findings.append(rows)
            continue
        sealed = _sealed(store, rows, report)
        progress.done(len(rows))
        if sealed != rows:
            entry, body = encode_leaf(sealed, dataset)
            store.create(entry.key, body)
            leaves[leaf.key] = entry
    new = replace_parts(store, leaves, {}, "reseal") if leaves else held.snapshot
    report.snapshot = None if new is None else new.number
    report.seconds = time.monotonic() - started
    return report


def _sealed(store: Store, rows: list[Row], report: Report) -> list[Row]:
    """Return rows with the etags of this store, where their objects are right."""
    entries: dict[str, Entry] = {}
    for found in store.wave([List(f"{row.key}/") for row in rows]):
        entries.update((entry.key, entry) for entry in found)
    report.granules += len(rows)

    def seal(ref: ArrayRef, row: Row) -> ArrayRef:
        report.objects += 1
        entry = entries.get(ref.key)
        if entry is not None and entry.etag == ref.etag:
            return ref
        wrong = "the object is missing" if entry is None else fault_of(store, ref.key, ref.size, ref.sha256)
        if entry is None or wrong is not None:
            what = wrong or ""
            report.findings.append(Finding(key=ref.key, what=what, kind="granule", granule=row.key))
            return ref
        report.bytes += ref.size
        return replace(ref, etag=entry.etag)

    return [
        replace(
            row,
            data=seal(row.data, row),
            extras={name: seal(extra, row) for name, extra in row.extras.items()},
        )
        for row in rows
    ]
