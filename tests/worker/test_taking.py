"""What a worker's threads take in side by side."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from frame_sets import new_archive, write_changed, write_set
from fsspec.implementations.memory import MemoryFileSystem

from archive.errors import StoreTrouble
from archive.view import open_view
from ingest.run import read_ledger
from ingest.settings import Settings
from ingest.worker.messages import Arrival
from ingest.worker.taking import Taker

if TYPE_CHECKING:
    from archive.store import Store

_LOOKS_BEFORE = 2  # what lies there, and whether it is still that when it is opened


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_archive(str(tmp_path / "archive"))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Arrival, Arrival]]:
    """Two frames that claim one place."""
    paths = write_set(tmp_path / "in")
    yield arrival(paths[0]), arrival(write_changed(tmp_path / "other.fits", paths[0]))
    MemoryFileSystem().rm(str(tmp_path), recursive=True)


def arrival(path: Path) -> Arrival:
    url = f"memory://{path}"
    MemoryFileSystem().pipe(url, path.read_bytes())
    return Arrival(url=url)


def taker_of(store: Store) -> Taker:
    view = open_view(store)
    return Taker(store, view, read_ledger(view), Settings())


def test_what_is_stored_while_the_archive_is_looked_at_again_keeps_its_place(
    store: Store, two: tuple[Arrival, Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    taker, ask = taker_of(store), MemoryFileSystem.info

    def meanwhile(*place: Any, **more: Any) -> Any:
        taker.refresh(open_view(store))
        return ask(*place, **more)

    with monkeypatch.context() as looking:
        looking.setattr(MemoryFileSystem, "info", meanwhile)
        assert taker.take(two[0]).outcome == "stored"
    refused = taker.take(two[1])
    assert refused.refusal is not None
    assert "claims the place" in refused.refusal.reason


@pytest.mark.parametrize("trouble", [False, True])
def test_of_two_frames_at_one_place_taken_at_once_one_is_stored(
    store: Store, two: tuple[Arrival, Arrival], trouble: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taker, ask, both = taker_of(store), MemoryFileSystem.info, threading.Barrier(2, timeout=60)
    looks: list[str] = []

    def side_by_side(files: MemoryFileSystem, path: str, **more: Any) -> Any:
        looks.append(path)
        if looks.count(path) == _LOOKS_BEFORE:
            both.wait()
        elif looks.count(path) > _LOOKS_BEFORE and trouble and not failed:
            failed.append(path)
            raise OSError("no answer")
        return ask(files, path, **more)

    def outcome(one: Arrival) -> str:
        try:
            return taker.take(one).outcome
        except StoreTrouble:
            return "failed"

    failed: list[str] = []
    monkeypatch.setattr(MemoryFileSystem, "info", side_by_side)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(outcome, two)) == ["failed" if trouble else "refused", "stored"]


def test_a_frame_is_fetched_once_and_asked_for_before_and_after(
    store: Store, two: tuple[Arrival, Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()

    def count(name: str) -> None:
        ask = getattr(MemoryFileSystem, name)

        def counted(*arguments: Any, **more: Any) -> Any:
            asked[name] += 1
            return ask(*arguments, **more)

        monkeypatch.setattr(MemoryFileSystem, name, counted)

    for name in ("info", "cat_ranges"):
        count(name)
    assert taker_of(store).take(two[0]).outcome == "stored"
    assert asked == {"info": 3, "cat_ranges": 1}


def test_a_frame_that_changes_before_it_is_read_to_the_end_has_no_place(
    store: Store, two: tuple[Arrival, Arrival], monkeypatch: pytest.MonkeyPatch
) -> None:
    taker, ask = taker_of(store), MemoryFileSystem.info
    looks: list[str] = []

    def changing(files: MemoryFileSystem, path: str, **more: Any) -> Any:
        looks.append(path)
        if len(looks) == _LOOKS_BEFORE + 1:
            MemoryFileSystem().pipe(path, b"SIMPLE  =                    T")
        return ask(files, path, **more)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(MemoryFileSystem, "info", changing)
        assert taker.take(two[0]).outcome == "refused"
    assert taker.take(two[1]).outcome == "stored"
