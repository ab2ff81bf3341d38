"""Rows of contents that others stand for from now on: a changed file, or one that is read again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archive.index.commits import DERIVED
from ingest.index.fold import fold
from ingest.index.ledger import merge_segments, read_by_segment, without_contents
from ingest.index.replacing import rows_of, with_rows_replaced
from ingest.index.swap import Base, Change, change, successor
from ingest.keeping.remove import removed_ids, trimmed
from ingest.keeping.rewrite import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from archive.index.leaves import LeafEntry
    from archive.index.rows import Row
    from archive.index.snapshot import Snapshot
    from archive.store import Store

__all__ = ["supersede"]


def supersede(
    store: Store,
    rows: Sequence[Row],
    sources: Sequence[Source],
    datasets: Mapping[str, Dataset],
    contents: frozenset[str],
) -> Snapshot:
    """Make rows visible in the place of those made of some contents, in one swap, and return the new snapshot.

    Granules that hold other contents too are cut: what is left of them stays, in new granules. Content that
    is still known under the name of another file stays.

    Parameters
    ----------
    rows, sources, datasets
        What comes in, as in a commit.
    contents
        SHA-256 of what goes; may be that of `sources` themselves, which are then stored anew.
    """

    def edit(base: Base) -> Change:
        old = base.snapshot
        segments = read_by_segment(store, old.ledger)
        known = [source for _, held in segments for source in held]
        leaving = contents - _elsewhere(known, contents, sources)
        held = {**{name: dataset for name, dataset in datasets.items() if name not in old.datasets}, **old.datasets}
        state = replace(old, datasets=held)
        gone: list[Row] = []
        objects: list[tuple[str, bytes]] = []
        leaves: tuple[LeafEntry, ...] = old.leaves
        for name, dataset in held.items():
            live = [row for row in rows_of(store, state, name) if any(s.sha256 in leaving for s in row.sources)]
            fresh = [row for row in rows if row.dataset == name]
            if not live and not fresh:
                continue
            ids = tuple(dict.fromkeys(other for row in live for other in (row.id, *row.replaces)))
            fresh = [replace(row, replaces=tuple(other for other in ids if other != row.id)) for row in fresh]
            rest = trimmed(store, dataset, [part for row in live for part in _others(row, leaving)])
            leaves, put = with_rows_replaced(store, replace(state, leaves=leaves), name, live, [*fresh, *rest])
            gone += live
            objects += put
        ledger, forgotten, _ = without_contents(segments, leaving)
        ledger, put = merge_segments(store, replace(old, ledger=ledger), sources, forgotten)
        note = f"replace {len(gone)} granules by {len(rows)}"
        stay = {row.id for row in rows}
        snapshot = successor(
            old,
            note,
            datasets=held,
            leaves=leaves,
            ledger=ledger,
            removed=removed_ids(old, [row for row in gone if row.id not in stay]),
        )
        return Change(snapshot, [*objects, *forgotten, *put])

    made = change(store, edit, lambda: fold(store))
    assert made is not None  # noqa: S101 - the edit never gives up
    return made


def _elsewhere(known: Iterable[Source], contents: frozenset[str], sources: Sequence[Source]) -> frozenset[str]:
    """Return the contents that other files hold too, which do not come in now."""
    coming = {source.url for source in sources}
    anew = {source.sha256 for source in sources}
    return frozenset(
        source.sha256
        for source in known
        if source.sha256 in contents
        and source.sha256 not in anew
        and source.url not in coming
        and source.format != DERIVED  # a result has no other name
    )


def _others(row: Row, leaving: frozenset[str]) -> list[Part]:
    """Return the parts of a row that are made of other contents."""
    parts: list[Part] = []
    begin = 0
    for source in row.sources:
        end = begin + source.stop - source.start
        if source.sha256 not in leaving:
            if parts and parts[-1].stop == begin:
                parts[-1] = Part(row, parts[-1].start, end)
            else:
                parts.append(Part(row, begin, end))
        begin = end
    return parts
