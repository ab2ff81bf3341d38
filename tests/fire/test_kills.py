"""Processes killed at random moments and between any two requests: what is left is sound, and a re-run completes it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fire.scene import (
    STEP,
    Held,
    Place,
    assert_sound,
    assert_stored_once,
    begin,
    contents,
    digest_of,
    held,
    leave_young,
    settle,
    stamps,
    truth,
    write,
)
from fire.work import Deed, begun

from ingest import run
from ingest.initialise import initialise

FILES = range(9)


@dataclass
class Killer:
    """Ends processes, half of them at a step of theirs and half after a random time."""

    random: random.Random
    steps: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    lives: int = 0
    killed: int = 0
    survived: int = 0

    def do(self, name: str, place: Place, deed: Deed) -> None:
        """Do something in a process, which is killed unless this is the first time that it is done."""
        if name not in self.steps:
            started = time.monotonic()
            child = begun(place, deed)
            child.wait_until_begun()
            self.steps[name] = child.end() or 0
            self.seconds[name] = time.monotonic() - started
            return
        by_step = self.random.random() < 0.5
        child = begun(place, deed, at=self.random.randint(1, self.steps[name]) if by_step else 0)
        if not by_step:
            child.wait_until_begun()
            time.sleep(self.random.uniform(0, self.seconds[name]))
            child.process.kill()
        killed = child.end() is None
        self.killed += killed
        self.survived += not killed


@dataclass(frozen=True)
class Outcome:
    """What an archive holds in the end."""

    samples: Held
    contents: set[str]


def live(place: Place, raw: Path, do: Callable[[str, Deed], None], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Lead the life of an archive; after each deed it is checked, done again, and checked to be as it should be."""
    initialise(place.store())
    for number in FILES:
        write(raw, number)
    files = [str(raw / f"{number:03d}.h5") for number in FILES]
    there: Held = {}

    def deed(name: str, what: Deed, after: Held, between: Callable[[Held], bool] | None = None) -> None:
        nonlocal there
        do(name, what)
        found = held(place)
        assert found in (there, after) or (between is not None and between(found)), f"{name} left something by halves"
        assert_sound(place)
        child = begun(place, what)
        assert child.end()
        assert held(place) == after, f"{name} was not completed"
        there = after

    def of_whole_files(found: Held) -> bool:
        """Whether it lies between before and after, and each file is there whole or as it was before."""
        after = truth(FILES)
        return found.items() <= after.items() and all(
            all((stamp in found) == (stamp in there) for stamp in stamps(number))
            or all(stamp in found for stamp in stamps(number))
            for number in FILES
        )

    deed("ingest", ("ingest", tuple(files[:6])), truth(range(6)), of_whole_files)
    for number in (6, 7):
        with monkeypatch.context() as patch:  # a writer that ends before it folds
            leave_young(patch)
            run.ingest(place.store(), [files[number]])
    there = truth(range(8))
    deed("fold", ("fold", ()), there)
    deed("compact", ("compact", ()), there)
    first, last = begin(1) - 20 * STEP, begin(1) + 30 * STEP
    less = {stamp: row for stamp, row in there.items() if not first <= stamp <= last}
    deed("rm a span", ("rm", (first, last)), less)
    deed("ingest again", ("ingest", tuple(files)), truth(FILES), of_whole_files)
    deed("compact again", ("compact", ()), truth(FILES))
    write(raw, 4, seed=1)
    changed = {**truth(FILES), **truth([4], seed=1)}
    deed("replace", ("ingest", (files[4],)), changed)
    deed("gc", ("gc", ()), changed)
    deed("rm a dataset", ("rm", ()), {})
    everything = {number: truth([number], seed=int(number == 4)) for number in FILES}

    def some_files(found: Held) -> bool:
        return (
            all(part.items() <= found.items() or part.keys().isdisjoint(found) for part in everything.values())
            and found.keys() <= truth(FILES).keys()
        )

    deed("ingest anew", ("ingest", tuple(files)), changed, some_files)
    settle(place)
    outcome = Outcome(held(place), contents(place))
    assert outcome.contents == {digest_of(path) for path in files}
    assert begun(place, ("compact", ())).end()
    assert held(place) == outcome.samples
    assert_stored_once(place)
    assert_sound(place)
    return outcome


def lives(kills: int, places: Iterator[Place], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Killer:
    """Lead one life without kills, then more until so many processes were killed; all must end alike."""
    seed = random.randrange(10**6)
    killer = Killer(random.Random(seed))
    first: Outcome | None = None
    while first is None or killer.killed < kills:
        place, raw = next(places), folder / f"raw-{killer.lives}"
        outcome = live(place, raw, lambda name, what, place=place: killer.do(name, place, what), monkeypatch)
        first = first or outcome
        assert outcome == first, f"seed {seed}"
        killer.lives += 1
    return killer


@pytest.mark.slow
@pytest.mark.parametrize("places", ["folder"], indirect=True)
def test_twenty_kills_lose_nothing(places: Iterator[Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lives(20, places, tmp_path, monkeypatch).killed >= 20


@pytest.mark.prove
def test_a_hundred_kills_lose_nothing(places: Iterator[Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lives(100, places, tmp_path, monkeypatch).killed >= 100


@pytest.mark.prove
def test_kills_lose_nothing_on_another_s3_server(
    moto_options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives(10, (Place(f"s3://archive/kills-{number}", moto_options) for number in range(100)), tmp_path, monkeypatch)
