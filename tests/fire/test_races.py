"""Many processes at once upon the same files and the same index, beside a reader whose snapshot stays as it is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fire.scene import (
    Held,
    Place,
    assert_sound,
    assert_stored_once,
    contents,
    digest_of,
    held,
    leave_young,
    seen,
    settle,
    truth,
    write,
)
from fire.work import FORKS, Begun, Deed, begun, warmed

from ingest import run
from ingest.initialise import initialise


def together(place: Place, deeds: Sequence[Deed]) -> None:
    """Have processes begin at the same moment, and wait for them all."""
    warmed()
    gate = FORKS.Barrier(len(deeds))
    children: list[Begun] = [begun(place, deed, gate=gate) for deed in deeds]
    for child in children:
        assert child.end() is not None


@contextmanager
def a_reader(place: Place) -> Iterator[list[int]]:
    """Read a pinned snapshot over and over in another thread; it must always give the same samples."""
    import threading

    spool = place.open()
    first = seen(spool)
    looks, failures, over = [0], [], threading.Event()

    def look() -> None:
        while not over.is_set() and not failures:
            try:
                assert seen(spool) == first
            except BaseException as error:  # noqa: BLE001 - raised again in the thread of the test
                failures.append(error)
            looks[0] += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()
    assert not failures, failures[0]
    assert looks[0] > 0


def race(place: Place, raw: Path, *, writers: int, files: int, folders: int, randomly: random.Random) -> int:
    """Let writers, folders and compactions meet; return how often the reader looked meanwhile."""
    initialise(place.store())
    paths = [write(raw, number) for number in range(files)]
    expected: Held = truth(range(files))
    run.ingest(place.store(), paths[:3])
    shares = [randomly.sample(paths, files // 2) for _ in range(writers)]
    for number, path in enumerate(paths):  # each has a home, and most have many
        shares[number % writers].append(path)
    with a_reader(place) as looks:
        together(place, [("ingest", tuple(share)) for share in shares])
        assert held(place) == expected
        with pytest.MonkeyPatch.context() as patch:  # writers that end before they fold
            leave_young(patch)
            for number in range(files, files + folders):
                run.ingest(place.store(), [write(raw, number)])
        expected = truth(range(files + folders))
        together(place, [("fold", ())] * folders)
        settle(place)
        assert held(place) == expected
        assert contents(place) == {digest_of(str(path)) for path in raw.iterdir()}
        late = [write(raw, number) for number in range(files + folders, files + folders + 2)]
        together(place, [("compact", ()), ("compact", ()), ("ingest", tuple(late)), ("ingest", (late[0],))])
    expected = truth(range(files + folders + 2))
    settle(place)
    assert held(place) == expected
    together(place, [("compact", ())])
    assert held(place) == expected
    assert_stored_once(place)
    assert contents(place) == {digest_of(str(path)) for path in raw.iterdir()}
    assert_sound(place)
    return looks[0]


@pytest.mark.slow
@pytest.mark.parametrize("places", ["folder"], indirect=True)
def test_writers_folders_and_compactions_meet(places: Iterator[Place], tmp_path: Path) -> None:
    race(next(places), tmp_path / "raw", writers=4, files=16, folders=3, randomly=random.Random())


@pytest.mark.prove
def test_sixteen_writers_eight_folders_and_two_compactions_meet_again_and_again(
    places: Iterator[Place], tmp_path: Path
) -> None:
    for number in range(5):
        randomly = random.Random(number)
        race(next(places), tmp_path / f"raw-{number}", writers=16, files=64, folders=8, randomly=randomly)


@pytest.mark.prove
def test_they_meet_on_another_s3_server(moto_options: dict[str, Any], tmp_path: Path) -> None:
    place = Place("s3://archive/races", moto_options)
    race(place, tmp_path / "raw", writers=4, files=16, folders=3, randomly=random.Random())
