"""A network that loses requests, answers and time: every way of writing goes on, or ends in one clear error."""

from __future__ import annotations

import time
from collections.abc import Callable
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
from archive.store import Store
from archive.view import open_view
from ingest.collect import collect
from ingest.compact import compact
from ingest.fold import fold
from ingest.initialise import initialise
from ingest.remove import remove
from ingest.run import ingest
from ingest.swap import read_current
from ingest.tags import tag

if TYPE_CHECKING:
    from proxy import FaultProxy

FAULTS = ("reset", "cut", "drop", "slowdown", "stall", "freeze")
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


@pytest.fixture
def place(s3_url: str, s3_options: dict[str, Any]) -> Place:
    """A fresh archive, reached directly."""
    place = Place(s3_url, s3_options)
    initialise(place.store())
    return place


@pytest.fixture
def behind(place: Place, proxy_options: dict[str, Any]) -> Place:
    """The same archive, reached through the proxy."""
    return Place(place.url, {**proxy_options, **QUICK})


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


def storm(place: Place, behind: Place, proxy: FaultProxy, raw: Path, faults: dict[str, float]) -> None:
    proxy.set(**faults)
    work(behind, raw)
    proxy.set()
    assert_done(place, raw)


@pytest.mark.slow
def test_a_storm_of_all_faults_loses_nothing(place: Place, behind: Place, proxy: FaultProxy, tmp_path: Path) -> None:
    storm(place, behind, proxy, tmp_path / "raw", dict.fromkeys(FAULTS, 0.01) | {"slowdown": 0.1, "drop": 0.05})


@pytest.mark.prove
@pytest.mark.parametrize("rate", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_storm_of_one_fault_loses_nothing(
    place: Place, behind: Place, proxy: FaultProxy, tmp_path: Path, fault: str, rate: float
) -> None:
    storm(place, behind, proxy, tmp_path / "raw", {fault: rate})


def other_writer(place: Place, raw: Path) -> Callable[[], None]:
    """Return what another writer does meanwhile, once: it commits a file, and folds whatever it finds on top."""
    path = write(raw, 90)

    def act() -> None:
        ingest(place.store(), [path])
        fold(place.store())

    return act


@pytest.mark.slow
@pytest.mark.parametrize("topped", [False, True], ids=["alone", "another on top"])
@pytest.mark.parametrize("kind", CONDITIONAL)
def test_a_lost_answer_to_a_conditional_put_costs_nothing(
    place: Place, behind: Place, proxy: FaultProxy, tmp_path: Path, kind: str, topped: bool
) -> None:
    raw = tmp_path / "raw"
    files = [write(raw, number) for number in range(4)]
    if kind != "dataset":
        ingest(place.store(), files[:1])
    dropped = []
    act = other_writer(place, tmp_path / "other")

    def meanwhile() -> None:
        dropped.append(True)
        if topped:
            act()

    proxy.before_drop = meanwhile
    proxy.set(drop=1.0, times=1, method="PUT", path=CONDITIONAL[kind])
    ingest(behind.store(), files)
    assert dropped
    settle(place)
    numbers = [*range(4), *([90] if topped else [])]
    assert held(place) == truth(numbers)
    assert len(contents(place)) == len(numbers)
    assert_sound(place)


def removed(store: Store) -> None:
    (name,) = open_view(store).datasets()
    remove(store, name, begin(1), begin(1) + 9 * STEP)


REPLACING: dict[str, Callable[[Store], object]] = {
    "compact": compact,
    "rm": removed,
    "tag": lambda store: tag(store, "now"),
    "gc": lambda store: collect(store, timedelta(0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("topped", [False, True], ids=["alone", "another on top"])
@pytest.mark.parametrize("what", REPLACING)
def test_a_lost_answer_to_the_swap_of_a_replacement_does_it_once(
    place: Place, behind: Place, proxy: FaultProxy, tmp_path: Path, what: str, topped: bool
) -> None:
    raw = tmp_path / "raw"
    for number in range(3):
        ingest(place.store(), [write(raw, number)])
    act = other_writer(place, tmp_path / "other") if topped else lambda: None
    proxy.before_drop = act
    proxy.set(drop=1.0, times=1, method="PUT", path=CONDITIONAL["CURRENT"])
    REPLACING[what](behind.store())
    assert proxy.faults.times == 0
    settle(place)
    cut = range(begin(1), begin(1) + 10 * STEP) if what == "rm" else ()
    expected = truth([*range(3), *([90] if topped else [])])
    assert held(place) == {stamp: row for stamp, row in expected.items() if stamp not in cut}
    snapshot = read_current(place.store()).snapshot
    noted = [note for _, _, note in snapshot.history] + [snapshot.note]
    assert sum(note.startswith(what) for note in noted) == 1
    assert_sound(place)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("direction", ["GET", "PUT"])
def test_what_cannot_succeed_ends_in_one_error_in_bounded_time(
    place: Place, proxy_options: dict[str, Any], proxy: FaultProxy, tmp_path: Path, fault: str, direction: str
) -> None:
    path = write(tmp_path / "raw", 0)
    limited = Place(place.url, {**proxy_options, "stall_seconds": 0.3, "max_retries": 2})
    proxy.set(**{fault: 1.0}, method=direction)
    started = time.monotonic()
    with pytest.raises(StoreTrouble, match=r"given up after 3 tries to (read|list|write) it"):
        ingest(limited.store(), [path])
    assert time.monotonic() - started < 20
    proxy.set()
    ingest(limited.store(), [path])
    settle(place)
    assert held(place) == truth([0])
    assert len(contents(place)) == 1
