"""Which of the frames that share a place is served, while rows come and go; and what is held of rows meanwhile."""

from __future__ import annotations

import gc
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from frame_sets import new_archive, write_set
from small import rows_of

from archive.cube.table import FrameTable
from ingest.keeping.claims import Contents, RowsTold, in_order
from ingest.keeping.compact import compact
from ingest.run import ingest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from archive.index.rows import Row
    from archive.store import Store

RNG = np.random.default_rng(4)


def archive_of(paths: list[Path]) -> Store:
    """Return an archive of files, each a granule of its own."""
    store = new_archive(f"memory://claims-{secrets.token_hex(6)}")
    for path in paths:
        ingest(store, [str(path)])
    return store


def tables() -> int:
    gc.collect()
    return sum(isinstance(one, FrameTable) for one in gc.get_objects())


def test_what_rows_tell_is_not_held_while_or_after_they_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = archive_of(write_set(tmp_path / "in", "plain int16"))
    before, meanwhile = tables(), []
    monkeypatch.setattr("ingest.frames.identity._GRANULE_FRAMES", 2)
    monkeypatch.setattr("ingest.keeping.compact._GROUPS_A_SWAP", 1)
    report = compact(store, advance=lambda _: meanwhile.append(tables()))
    assert report.swaps == 2
    assert max(meanwhile) <= before + 1
    assert tables() == before


def contents_of(rows: list[Row], told: RowsTold) -> dict[object, str]:
    served: dict[object, str] = {}
    for row in in_order(rows):
        for key, source in zip(told.of(row).keys, row.sources, strict=True):
            served.setdefault(key, source.sha256)
    return served


def test_rows_are_replaced_only_where_each_place_serves_what_it_did(tmp_path: Path) -> None:
    held = rows_of(archive_of(write_set(tmp_path / "in", "plain int16")[:4]))
    told = RowsTold()

    def another() -> Row:
        """Return a row of one of few places, times and contents."""
        row = held[RNG.integers(len(held))]
        source = row.sources[0]._replace(sha256="ab"[RNG.integers(2)])
        moved = row.time.shifted(int(RNG.integers(-3, 3)) * 10**10)
        return replace(row, id=secrets.token_hex(8), key=secrets.token_hex(8), time=moved, sources=(source,))

    rows = [another() for _ in range(20)]
    contents = Contents(rows, told)
    outcomes = set()
    for _ in range(200):
        gone = [row for row in rows if RNG.random() < 0.1]
        after = [row for row in rows if row not in gone]
        fresh = [another() for _ in gone]
        same = contents_of([*after, *fresh], told) == contents_of(rows, told)
        assert contents.replaced(gone, fresh) == same
        rows = [*after, *fresh] if same else rows
        outcomes.add(same)
    assert outcomes == {True, False}
