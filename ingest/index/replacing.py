"""Rows of the index replaced by others: what `compact`, `rm` and `--replace` put into a swap."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from archive.errors import DamagedData, NotFound
from archive.index.leaves import LeafTable, encode_leaf, leaf_rows
from archive.store import Get

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.index.dataset import Dataset
    from archive.index.leaves import LeafEntry
    from archive.index.rows import Row
    from archive.index.snapshot import Snapshot
    from archive.store import Store

__all__ = ["by_leaf", "encoded", "read_leaves", "rows_of", "with_rows_replaced"]


def read_leaves(store: Store, leaves: Sequence[LeafEntry], dataset: Dataset) -> list[LeafTable]:
    """Return leaves of a dataset, in one wave of requests.

    Raises
    ------
    DamagedData
        One is missing or altered.
    """
    replies = store.wave([Get(leaf.key) for leaf in leaves], return_errors=True)
    tables = []
    for leaf, reply in zip(leaves, replies, strict=True):
        if isinstance(reply, NotFound):
            raise DamagedData(f"{leaf.key}: this leaf of the index is missing; run lightkeep repair")
        if isinstance(reply, BaseException):
            raise reply
        tables.append(LeafTable(leaf, reply.data, dataset))
    return tables


def rows_of(
    store: Store, snapshot: Snapshot, name: str, first: int | None = None, last: int | None = None
) -> list[Row]:
    """Return the folded rows of a dataset that touch a window of time (ns, inclusive), sorted by start."""
    leaves = [
        leaf
        for leaf in snapshot.leaves
        if leaf.dataset == name and (first is None or leaf.last >= first) and (last is None or leaf.first <= last)
    ]
    rows = [row for table in read_leaves(store, leaves, snapshot.datasets[name]) for row in table.rows()]
    return sorted(
        (row for row in rows if (first is None or row.time.last >= first) and (last is None or row.time.first <= last)),
        key=lambda row: (row.time.first, row.id),
    )


def with_rows_replaced(
    store: Store, snapshot: Snapshot, name: str, gone: Iterable[Row], fresh: Iterable[Row]
) -> tuple[tuple[LeafEntry, ...], list[tuple[str, bytes]]]:
    """Return all leaves of a snapshot with some rows of a dataset replaced, and the bytes of those that are new.

    The caller has found the rows that go in this very snapshot.
    """
    dataset = snapshot.datasets[name]
    ordered = sorted((leaf for leaf in snapshot.leaves if leaf.dataset == name), key=lambda leaf: leaf.first)
    others = tuple(leaf for leaf in snapshot.leaves if leaf.dataset != name)
    leaving = {row.identity for row in gone}
    times = [(row.time.first, row.time.last) for row in gone]
    homes = by_leaf(fresh, ordered)
    touched = [
        number
        for number, leaf in enumerate(ordered)
        if number in homes or any(leaf.first <= last and first <= leaf.last for first, last in times)
    ]
    tables = dict(zip(touched, read_leaves(store, [ordered[number] for number in touched], dataset), strict=True))
    leaves: list[LeafEntry] = []
    objects: list[tuple[str, bytes]] = []
    for number in range(max(len(ordered), 1)):
        if ordered and number not in tables:
            leaves.append(ordered[number])
            continue
        before_rows = tables[number].rows() if ordered else []
        kept = [row for row in before_rows if row.identity not in leaving]
        if ordered and len(kept) == len(before_rows) and number not in homes:
            leaves.append(ordered[number])
            continue
        made = encoded([*kept, *homes.get(number, ())], dataset, last=number >= len(ordered) - 1)
        leaves.extend(entry for entry, _ in made)
        objects.extend((entry.key, body) for entry, body in made)
    return (*others, *leaves), objects


def by_leaf(rows: Iterable[Row], ordered: Sequence[LeafEntry]) -> dict[int, list[Row]]:
    """Return rows by the number of the leaf that they go into: the last that starts no later; leaves in order."""
    homes: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        before = [number for number, leaf in enumerate(ordered) if leaf.first <= row.time.first]
        homes[before[-1] if before else 0].append(row)
    return homes


def encoded(rows: Sequence[Row], dataset: Dataset, *, last: bool) -> list[tuple[LeafEntry, bytes]]:
    """Return rows as one leaf, or as several if they are too many for one, with their bytes."""
    return [encode_leaf(part, dataset) for part in _halved(rows, last=last, most=leaf_rows(dataset))]


def _halved(rows: Sequence[Row], *, last: bool, most: int) -> list[list[Row]]:
    """Return rows in leaves: the newest leaf of a dataset fills up, older ones are halved."""
    ordered = sorted(rows, key=lambda row: (row.time.first, row.id))
    size = most if last or len(ordered) <= most else -(-len(ordered) // (-(-len(ordered) // most)))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
