"""A network that loses requests, answers and time: every way of writing goes on, or ends in one clear error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fire.scene import (
    STEP,
    Place,
    assert_sound,
    assert_stored_once,
    begin,
    contents,
    digest_of,
    held,
    seen,
    settle,
    truth,
    write,
)

from archive.errors import StoreTrouble
from archive.view import open_view
from ingest.index.fold import fold
from ingest.index.swap import read_current
from ingest.initialise import initialise
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.keeping.tags import tag
from ingest.run import ingest

if TYPE_CHECKING:
    from proxy import FaultProxy

    from archive.store import Store

FAULTS = ("reset", "cut", "drop", "slowdown", "stall", "freeze")
OTHER = 90  # number of the file that another writer brings
QUICK = {"stall_seconds": 0.5, "max_retries": 12}
# What is put on condition, by a pattern of its key.
CONDITIONAL = {
    "granule object": r"/data/c/0/0",
    "granule root": r"\.zarr/zarr\.json",
    "dataset": r"/dataset\.json",
    "commit": r"/commits/",
    "leaf": r"/index/leaves/",
    "ledger": r"/index/ledger/",
    "CURRENT": r"/index/CURRENT",
    "snapshot copy": r"/index/snapshots/",
}


@dataclass(frozen=True)
class Line:
    """An archive, reached directly and through a proxy, and a folder for raw files."""

    place: Place
    behind: Place
    proxy: FaultProxy
    raw: Path


@pytest.fixture
def line(
    s3_url: str, s3_options: dict[str, Any], proxy_options: dict[str, Any], proxy: FaultProxy, tmp_path: Path
) -> Line:
    """A fresh archive."""
    place = Place(s3_url, s3_options)
    initialise(place.store())
    return Line(place, Place(s3_url, {**proxy_options, **QUICK}), proxy, tmp_path / "raw")


def work(place: Place, raw: Path) -> None:
    """Do all that can be done to an archive; what is left are files 0 to 5, the second cut."""
    for number in range(5):
        write(raw, number)
    ingest(place.store(), [str(raw)], jobs=2)
    assert held(place) == truth(range(5))
    ingest(place.store(), [write(raw, 5)])
    compact(place.store())
    assert seen(place.open()) == truth(range(6))
    tag(place.store(), "whole")
    (name,) = place.open().datasets
    remove(place.store(), name, begin(1), begin(1) + 9 * STEP)
    assert held(place, "whole") == truth(range(6))
    collect(place.store(), timedelta(0))


def assert_done(place: Place, raw: Path) -> None:
    settle(place)
    cut = range(begin(1), begin(1) + 10 * STEP)
    assert held(place) == {stamp: row for stamp, row in truth(range(6)).items() if stamp not in cut}
    assert held(place, "whole") == truth(range(6))
    contents(place)
    assert_sound(place)
    ingest(place.store(), [str(raw)])
    compact(place.store())
    assert held(place) == truth(range(6))
    assert contents(place) == {digest_of(str(path)) for path in raw.iterdir()}
    assert_stored_once(place)


def storm(line: Line, faults: dict[str, float]) -> None:
    line.proxy.set(**faults)
    work(line.behind, line.raw)
    line.proxy.set()
    assert_done(line.place, line.raw)


@pytest.mark.slow
def test_a_storm_of_all_faults_loses_nothing(line: Line) -> None:
    storm(line, {**dict.fromkeys(FAULTS, 0.01), "slowdown": 0.1, "drop": 0.05})


@pytest.mark.prove
@pytest.mark.parametrize("rate", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_storm_of_one_fault_loses_nothing(line: Line, fault: str, rate: float) -> None:
    storm(line, {fault: rate})


def another(line: Line) -> None:
    """Commit a file as another writer, and fold whatever is there on top."""
    ingest(line.place.store(), [write(line.raw.with_name("other"), OTHER)])
    fold(line.place.store())


def lose_an_answer(line: Line, kind: str, work: Callable[[Store], object], *, topped: bool) -> None:
    """Do work while the answer to the first put of a kind is lost, and maybe another writer comes in between."""
    over = threading.Event()

    def meanwhile() -> None:
        if topped:
            another(line)
        over.set()

    line.proxy.before_drop = meanwhile
    line.proxy.set(drop=1.0, times=1, method="PUT", path=CONDITIONAL[kind])
    work(line.behind.store(stall_seconds=30.0))  # it looks when the other is done, not before
    assert over.is_set()


def lose_one_of_an_ingest(line: Line, kind: str, *, topped: bool) -> None:
    files = [write(line.raw, number) for number in range(4)]
    if kind != "dataset":
        ingest(line.place.store(), files[:1])
    lose_an_answer(line, kind, lambda store: ingest(store, files), topped=topped)
    settle(line.place)
    numbers = [*range(4), *([OTHER] if topped else [])]
    assert held(line.place) == truth(numbers)
    assert len(contents(line.place)) == len(numbers)
    assert_sound(line.place)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONDITIONAL)
def test_a_lost_answer_to_a_conditional_put_costs_nothing_though_another_folds_on_top(line: Line, kind: str) -> None:
    lose_one_of_an_ingest(line, kind, topped=True)


@pytest.mark.prove
@pytest.mark.parametrize("kind", CONDITIONAL)
def test_a_lost_answer_to_a_conditional_put_costs_nothing(line: Line, kind: str) -> None:
    lose_one_of_an_ingest(line, kind, topped=False)


def cut(store: Store) -> None:
    (name,) = open_view(store).datasets()
    remove(store, name, begin(1), begin(1) + 9 * STEP)


REPLACING: dict[str, Callable[[Store], object]] = {
    "compact": compact,
    "rm": cut,
    "tag": lambda store: tag(store, "now"),
    "gc": lambda store: collect(store, timedelta(0)),
}


def lose_one_of_a_replacement(line: Line, what: str, *, topped: bool) -> None:
    for number in range(3):
        ingest(line.place.store(), [write(line.raw, number)])
    lose_an_answer(line, "CURRENT", REPLACING[what], topped=topped)
    settle(line.place)
    gone = range(begin(1), begin(1) + 10 * STEP) if what == "rm" else ()
    expected = truth([*range(3), *([OTHER] if topped else [])])
    assert held(line.place) == {stamp: row for stamp, row in expected.items() if stamp not in gone}
    snapshot = read_current(line.place.store()).snapshot
    notes = [note for _, _, note in snapshot.history] + [snapshot.note]
    assert sum(note.startswith(what) for note in notes) == 1
    assert_sound(line.place)


@pytest.mark.slow
@pytest.mark.parametrize("what", REPLACING)
def test_a_lost_answer_to_a_swap_does_it_once_though_another_folds_on_top(line: Line, what: str) -> None:
    lose_one_of_a_replacement(line, what, topped=True)


@pytest.mark.prove
@pytest.mark.parametrize("what", REPLACING)
def test_a_lost_answer_to_a_swap_does_it_once(line: Line, what: str) -> None:
    lose_one_of_a_replacement(line, what, topped=False)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_cannot_succeed_ends_in_one_error_in_bounded_time(line: Line, fault: str, method: str) -> None:
    path = write(line.raw, 0)
    limited = Place(line.place.url, {**line.behind.options, "stall_seconds": 0.3, "max_retries": 2})
    line.proxy.set(**{fault: 1.0}, method=method)
    started = time.monotonic()
    with pytest.raises(StoreTrouble, match=r"given up after 3 tries to (read|list|write) it"):
        ingest(limited.store(), [path])
    assert time.monotonic() - started < 60
    line.proxy.set()
    ingest(line.behind.store(), [path])
    settle(line.place)
    assert held(line.place) == truth([0])
    assert len(contents(line.place)) == 1
