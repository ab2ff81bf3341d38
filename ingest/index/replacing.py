"""Rows of the index replaced by others: what `compact`, `rm` and `--replace` put into a swap."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from archive.errors import DamagedData, NotFound
from archive.index.leaves import LEAF_ROWS, LeafTable, encode_leaf
from archive.store import Get

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.index.dataset import Dataset
    from archive.index.leaves import LeafEntry
    from archive.index.rows import Row
    from archive.index.snapshot import Snapshot
    from archive.store import Store

__all__ = ["halved", "read_leaves", "rows_of", "with_rows_replaced"]


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
    leaving = {(row.id, row.key) for row in gone}
    times = [(row.time.first, row.time.last) for row in gone]
    homes: dict[int, list[Row]] = defaultdict(list)
    for row in fresh:
        before = [number for number, leaf in enumerate(ordered) if leaf.first <= row.time.first]
        homes[before[-1] if before else 0].append(row)
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
        kept = [row for row in before_rows if (row.id, row.key) not in leaving]
        if ordered and len(kept) == len(before_rows) and number not in homes:
            leaves.append(ordered[number])
            continue
        for part in halved([*kept, *homes.get(number, ())], last=number >= len(ordered) - 1):
            entry, body = encode_leaf(part, dataset)
            leaves.append(entry)
            objects.append((entry.key, body))
    return (*others, *leaves), objects


def halved(rows: Sequence[Row], *, last: bool) -> list[list[Row]]:
    """Return rows in leaves: the newest leaf of a dataset fills up, older ones are halved."""
    ordered = sorted(rows, key=lambda row: (row.time.first, row.id))
    size = LEAF_ROWS if last or len(ordered) <= LEAF_ROWS else -(-len(ordered) // (-(-len(ordered) // LEAF_ROWS)))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]
