"""Which frames of a dataset are served: at each place those of the first row that has one there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.index.rows import Row

__all__ = ["Claims", "Contents", "RowTold", "RowsTold", "claims_of", "in_order"]


@dataclass(frozen=True, slots=True)
class RowTold:
    """What a row of frames tells of them, as far as it is asked for here.

    Parameters
    ----------
    kin
        What its frames share; `None` of an asdf.
    tile, place
        Of the first frame; no place in a series.
    keys
        What no two frames of a dataset may share, for each frame; of an asdf, its content.
    """

    kin: tuple[Any, ...] | None
    tile: tuple[int, ...] | None
    place: tuple[int, ...]
    keys: tuple[tuple[Any, ...], ...]


class RowsTold:
    """What rows of frames tell; each is unpacked once, and little of it is held."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], RowTold] = {}
        self._kins: dict[tuple[Any, ...], tuple[Any, ...]] = {}  # one of those that are equal

    def of(self, row: Row) -> RowTold:
        """Return what one row tells."""
        told = self._told.get(row.identity)
        if told is None:
            told = self._told[row.identity] = self._unpacked(row)
        return told

    def _unpacked(self, row: Row) -> RowTold:
        from archive.cube.table import Document, unpack
        from ingest.frames.held import kin_of_row
        from ingest.frames.storing import place_keys

        table = unpack(row.frames or "")
        if isinstance(table, Document):
            return RowTold(None, None, (), (("asdf", row.sources[0].sha256),))
        kin = kin_of_row(row, table)
        place = table.places[0] if table.places else ()
        return RowTold(self._kins.setdefault(kin, kin), table.tile, place, tuple(place_keys(table)))


@dataclass(frozen=True, slots=True)
class Claims:
    """Who serves what.

    Parameters
    ----------
    served
        Numbers of the frames that rows serve.
    hidden
        Rows that serve none, and which row serves what they hold.
    """

    served: dict[tuple[str, str], list[int]]
    hidden: dict[tuple[str, str], tuple[str, str]]


def claims_of(rows: Sequence[Row], told: RowsTold) -> Claims:
    """Return who serves what: of two frames at one place the first, as a Cube has it; of an asdf one copy."""
    owners: dict[tuple[Any, ...], tuple[str, str]] = {}
    claims = Claims({}, {})
    for row in in_order(rows):
        name = row.identity
        keys = told.of(row).keys
        mine = [number for number, key in enumerate(keys) if owners.setdefault(key, name) == name]
        if mine:
            claims.served[name] = mine
        else:
            claims.hidden[name] = owners[keys[0]]
    return claims


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return rows in the order in which they claim places."""
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[int, str, str]:
    return row.time.first, row.id, row.key


class Contents:
    """Which content (SHA-256) each place of a dataset serves, while rows come and go."""

    def __init__(self, rows: Iterable[Row], told: RowsTold) -> None:
        self._told = told
        self._claims: dict[tuple[Any, ...], dict[tuple[int, str, str], str]] = defaultdict(dict)
        for row in rows:
            self._add(row)

    def replaced(self, gone: Sequence[Row], fresh: Sequence[Row]) -> bool:
        """Put rows in the place of others, and return whether each place serves what it did; if not, undo it."""
        keys = {key for row in (*gone, *fresh) for key in self._told.of(row).keys}
        before = {key: self._served(key) for key in keys}
        self._swap(gone, fresh)
        if all(self._served(key) == content for key, content in before.items()):
            return True
        self._swap(fresh, gone)
        return False

    def _served(self, key: tuple[Any, ...]) -> str | None:
        claims = self._claims[key]
        return claims[min(claims)] if claims else None

    def _swap(self, gone: Iterable[Row], fresh: Iterable[Row]) -> None:
        for row in gone:
            for key in self._told.of(row).keys:
                self._claims[key].pop(_order(row), None)
        for row in fresh:
            self._add(row)

    def _add(self, row: Row) -> None:
        for key, source in zip(self._told.of(row).keys, row.sources, strict=True):
            self._claims[key].setdefault(_order(row), source.sha256)
