"""Removal: a dataset, or a span of it, out of the newest snapshot; older ones keep it until `gc`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archive.errors import NotFound
from archive.index import layout
from archive.index.dataset import dataset_named
from archive.index.snapshot import REMOVED_DIGITS
from ingest.index.fold import fold
from ingest.index.ledger import read_by_segment, without_contents
from ingest.index.replacing import rows_of, with_rows_replaced
from ingest.index.swap import Base, Change, change, successor
from ingest.keeping.rewrite import Part, rewrite, sources_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.index.dataset import Dataset
    from archive.index.rows import Row
    from archive.index.snapshot import Snapshot
    from archive.store import Store

__all__ = ["RemoveReport", "contents_of", "remove", "removed_ids", "trimmed"]

_REMEMBERED = 2 * 86_400 * 10**9  # ns; longer than any delayed request lives


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveReport:
    """What a removal did.

    Parameters
    ----------
    granules, cut
        Granules that are gone whole, and granules of which a part stays, in new ones.
    samples
        Samples along time that are gone.
    sources
        Raw files that the ledger has forgotten, so that they can come again.
    snapshot
        The snapshot without them; the one before still has them.
    """

    granules: int
    cut: int
    samples: int
    sources: int
    snapshot: int

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def remove(store: Store, name: str, first: int | None = None, last: int | None = None) -> RemoveReport:
    """Remove a dataset, or the samples of it in a span of time, from the newest snapshot.

    Undone by opening the snapshot before, as long as `gc` has not run past it. The ledger forgets the
    files that held any of it, so that they can be ingested again.

    Parameters
    ----------
    first, last
        Span, ns, inclusive; the whole dataset without both.

    Raises
    ------
    NotFound
        There is no such dataset, or nothing of it in the span.
    """
    whole = first is None and last is None
    done: dict[str, Any] = {}

    def edit(base: Base) -> Change:
        old = base.snapshot
        dataset = dataset_named(name, old.datasets, store.url)
        rows = rows_of(store, old, name, first, last)
        if not rows and not whole:
            raise NotFound(f"{name}: nothing of it lies in this span; see lightkeep ls {store.url}")
        gone, parts = _split(rows, first, last)
        left = trimmed(store, dataset, parts)
        lost = contents_of(gone)
        ledger, segments, forgotten = without_contents(
            read_by_segment(store, old.ledger), lost, _held(store, old, name, rows, parts)
        )
        kept = sum(row.samples for row in left)
        done.update(
            granules=len(rows) - len({row.replaces[0] for row in left}),
            cut=len({row.replaces[0] for row in left}),
            samples=sum(row.samples for row in rows) - kept,
            sources=forgotten,
        )
        if whole:
            snapshot = successor(
                old,
                f"rm {name}",
                datasets={other: held for other, held in old.datasets.items() if other != name},
                incarnations={**old.incarnations, name: dataset.incarnation + 1},
                leaves=tuple(leaf for leaf in old.leaves if leaf.dataset != name),
                ledger=ledger,
            )
            return Change(snapshot, segments)
        leaves, objects = with_rows_replaced(store, old, name, rows, left)
        snapshot = successor(
            old,
            f"rm {name}, {len(rows)} granules",
            datasets={**old.datasets, name: dataset.reborn(dataset.incarnation + 1)},
            removed=removed_ids(old, rows),
            leaves=leaves,
            ledger=ledger,
        )
        return Change(snapshot, [*objects, *segments])

    made = change(store, edit, lambda: fold(store))
    assert made is not None  # noqa: S101 - the edit never gives up
    return RemoveReport(**done, snapshot=made.number)


def _split(rows: Sequence[Row], first: int | None, last: int | None) -> tuple[list[Part], list[Part]]:
    """Return the parts of granules that lie in a span, and those that do not."""
    gone: list[Part] = []
    left: list[Part] = []
    for row in rows:
        if row.frames is not None:
            for number, inside in enumerate(_frames_inside(row, first, last)):
                (gone if inside else left).append(Part(row, number, number + 1))
            continue
        start = 0 if first is None else row.time.find(first)
        stop = row.time.size if last is None else row.time.find(last, "right")
        gone += [Part(row, start, stop)] if start < stop else []
        left += [Part(row, a, b) for a, b in ((0, start), (stop, row.time.size)) if a < b]
    return gone, left


def _frames_inside(row: Row, first: int | None, last: int | None) -> list[bool]:
    """Return which frames of a granule lie in a span; its asdf only goes with the whole dataset."""
    from archive.cube.table import Document, unpack

    held = unpack(row.frames or "")
    if isinstance(held, Document):
        return [first is None and last is None]
    return [(first is None or time >= first) and (last is None or time <= last) for time in held.times]


def _held(store: Store, old: Snapshot, name: str, rows: Sequence[Row], left: Sequence[Part]) -> frozenset[str]:
    """Return the contents of which a dataset still holds a part without some rows, of which parts are left."""
    going = {row.identity for row in rows}
    others = [row for row in rows_of(store, old, name) if row.identity not in going]
    return contents_of([*left, *(Part(row, 0, row.samples) for row in others)])


def trimmed(store: Store, dataset: Dataset, parts: Sequence[Part]) -> list[Row]:
    """Put parts of granules as granules of their own, and return their rows."""
    parts = _joined(parts)
    keys = [
        layout.new_granule_key(
            dataset.name, part.row.time.at(part.start) if part.row.frames is None else part.row.time.first
        )
        for part in parts
    ]
    return [
        rewrite(store, dataset, [part], replaces=[part.row], key=key, batch=keys)
        for part, key in zip(parts, keys, strict=True)
    ]


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Return parts of one granule that follow each other as one."""
    joined: list[Part] = []
    for part in parts:
        if joined and joined[-1].row is part.row and joined[-1].stop == part.start:
            joined[-1] = Part(part.row, joined[-1].start, part.stop)
        else:
            joined.append(part)
    return joined


def contents_of(parts: Iterable[Part]) -> frozenset[str]:
    """Return the contents (SHA-256) of the sources of which parts of granules hold samples."""
    return frozenset(source.sha256 for part in parts for source in sources_of(part))


def removed_ids(old: Snapshot, rows: Sequence[Row]) -> dict[int, frozenset[str]]:
    """Return what a snapshot remembers of removed rows, with some more; what is long ago is forgotten."""
    now = time.time_ns()
    names = frozenset(name[:REMOVED_DIGITS] for row in rows for name in (row.id, *row.replaces))
    lately = {when: ids for when, ids in old.removed.items() if when > now - _REMEMBERED}
    return {**lately, max(now, *lately, 0): names}
