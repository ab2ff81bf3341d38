"""Putting other leaves into CURRENT: for an archive that was moved, and for granules that were made anew."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from archive.index.leaves import encode_leaf
from archive.store import List
from ingest.checking.findings import Finding, Progress, Report
from ingest.checking.survey import look_at_leaves, survey
from ingest.checking.verify import fault_of
from ingest.index.fold import fold
from ingest.index.swap import Base, Change, change, successor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archive.index.leaves import LeafEntry
    from archive.index.rows import ArrayRef, Row
    from archive.index.snapshot import LedgerEntry, Snapshot
    from archive.store import Entry, Store

__all__ = ["replace_parts", "reseal"]


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

    def edit(base: Base) -> Change | None:
        old = base.snapshot
        held = [leaves.get(leaf.key, leaf) for leaf in old.leaves]
        kept = tuple(sorted((leaf for leaf in held if leaf), key=lambda leaf: (leaf.dataset, leaf.first)))
        ledger = tuple(entry for entry in (segments.get(entry.key, entry) for entry in old.ledger) if entry)
        if (kept, ledger) == (old.leaves, old.ledger):
            return None
        return Change(successor(old, note, leaves=kept, ledger=ledger))

    return change(store, edit, lambda: None)


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
    for leaf, dataset, rows in look_at_leaves(store, held.leaves.values()):
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
