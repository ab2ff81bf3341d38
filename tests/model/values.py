"""What lies in the model's store, and the arithmetic of rows: which serve, which are known, which are covered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = [
    "SLOTS",
    "Commit",
    "Row",
    "Snapshot",
    "Source",
    "content_of",
    "covered",
    "cut",
    "new_row",
    "served",
    "slots_of",
]

SLOTS = 6
"""Time is six slots long. Source k < 6 holds slot k; source 8 is another recorder that holds slots 2 and 3."""

OTHER = 8
_OTHER_SLOTS = (2, 3)
_VERSION = 10  # source k in version v is k + 10 v: its SHA-256, in short

type Content = tuple[tuple[int, int], ...]
"""Which source holds each slot of a granule: (slot, source), sorted."""


class Row(NamedTuple):
    """What the index knows of a granule; `origin` is the model's own: the commits that it came from."""

    id: int
    life: int
    content: Content
    key: str
    replaces: frozenset[int]
    origin: frozenset[str]


class Source(NamedTuple):
    """A line of the ledger."""

    name: str
    sha: int
    life: int


class Commit(NamedTuple):
    """Rows that become visible together, and their sources."""

    key: str
    rows: tuple[Row, ...]
    sources: tuple[Source, ...]


class Snapshot(NamedTuple):
    """The folded state of the index.

    `lives` is, for each slot, the life that its last removal began. `folded` is the model's own: the
    commits that are in it.
    """

    number: int = 0
    nonce: int = 0
    note: str = "init"
    created: float = 0.0
    life: int = 1
    lives: tuple[int, ...] = (1,) * SLOTS
    leaves: tuple[str | None, ...] = (None, None)
    ledger: tuple[Source, ...] = ()
    tags: tuple[int, ...] = ()
    floor: int = 0
    dropped: tuple[str, ...] = ()
    folded: frozenset[str] = frozenset()


def slots_of(sha: int) -> tuple[int, ...]:
    """Return the slots that a source holds."""
    number = sha % _VERSION
    return _OTHER_SLOTS if number == OTHER else (number,)


def version_of(sha: int) -> int:
    """Return the version of a source."""
    return sha // _VERSION


def content_of(shas: Iterable[int]) -> Content:
    """Return the content of a granule made of sources."""
    return tuple(sorted((slot, sha) for sha in shas for slot in slots_of(sha)))


def new_row(life: int, content: Content, key: str, origin: frozenset[str]) -> Row:
    """Return a row; its id says which samples it holds in which life, and never who wrote it."""
    return Row(hash((life, content)), life, content, key, frozenset(), origin)


def cut(row: Row, lives: Sequence[int]) -> Row | None:
    """Return what removals leave of a row: nothing where a later life has begun."""
    life = row.life
    left = tuple([held for held in row.content if lives[held[0]] <= life])
    if len(left) == len(row.content):
        return row
    return row._replace(content=left) if left else None


def rank(row: Row) -> tuple[int, int]:
    """Return the order in which rows serve a slot: who starts earlier, then the smaller id."""
    return row.content[0][0], row.id


def served(rows: Iterable[Row]) -> dict[int, tuple[int, Row]]:
    """Return which source of which row serves each slot."""
    found: dict[int, tuple[int, Row]] = {}
    for row in sorted(rows, key=rank):
        for slot, sha in row.content:
            if slot not in found:
                found[slot] = (sha, row)
    return found


def covered(content: Content, rows: Iterable[Row]) -> bool:
    """Return whether rows together hold all samples of a content."""
    held = {pair for row in rows for pair in row.content}
    return all(pair in held for pair in content)


def leaf_of(row: Row) -> int:
    """Return in which of the two leaves a row lies."""
    return 0 if row.content[0][0] < SLOTS // 2 else 1
