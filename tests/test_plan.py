"""The plan is a stream: bounded ahead of the tasks, in the order of names, complete whatever the order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archive as lk
from archive.errors import InvalidInput, StoreTrouble
from archive.store import open_store
from archive.times import time_to_ns
from ingest.initialise import initialise
from ingest.run import Progress, ingest, plan_ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml
from ingest.workers import Workers, completed

START = time_to_ns("2016-03-14T00:00:00")
FILES = 80
SAMPLES = 200  # of 1 ms
HOUR = 3600 * 10**9


def write(folder: Path, number: int, name: str, *, start: int | None = None, channels: int = 4) -> np.ndarray:
    block = np.random.default_rng(number).integers(-99, 99, (SAMPLES, channels)).astype(np.int16)
    folder.mkdir(exist_ok=True)
    write_prodml(folder / name, block, Header(start=START + number * 6 * HOUR if start is None else start))
    return block


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = str(tmp_path / "archive")
    initialise(open_store(made))
    return made


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_task_is_done_long_before_the_last_file_is_described(url: str, tmp_path: Path, jobs: int) -> None:
    """A file each six hours: each is a task of its own, since a window is a day at most and here 6 hours or less."""
    blocks = [write(tmp_path / "raw", number, f"f{number:03d}.h5") for number in range(FILES)]
    looked: list[int] = []
    at_done: list[int] = []
    progress = Progress(looked=lambda n: looked.append(max(n, 0)), done=lambda _: at_done.append(sum(looked)))
    report = ingest(open_store(url), [str(tmp_path / "raw")], jobs=jobs, progress=progress)
    assert (report.sources, report.refusals) == (FILES, [])
    assert at_done[0] < 0.6 * FILES
    # What is described and not yet ingested does not grow: the groups that fill, those ahead, and those running.
    waiting = [seen - done for done, seen in enumerate(at_done, start=1)]
    assert max(waiting) < 50
    assert sum(looked) == FILES
    for patch, block in zip(lk.open(url), blocks, strict=True):
        assert np.array_equal(patch.data, block)


def test_names_are_taken_as_people_number_them_so_that_windows_fill_up(url: str, tmp_path: Path) -> None:
    for number in range(24):  # 1, 10, 11, ... by letter; 200 ms each, without a gap
        write(tmp_path / "raw", number, f"run_{number + 1}.h5", start=START + number * SAMPLES * 10**6)
    plan, _, _ = plan_ingest(open_store(url), [str(tmp_path / "raw")], Settings())
    (group,) = plan.groups
    assert [Path(source.found.url).name for source in group] == [f"run_{number + 1}.h5" for number in range(24)]


def test_files_in_any_order_come_in_whole_in_a_few_more_granules(url: str, tmp_path: Path) -> None:
    order = np.random.default_rng(7).permutation(40)
    blocks = {int(when): write(tmp_path / "raw", int(when), f"{place:03d}.h5") for place, when in enumerate(order)}
    ingest(open_store(url), [str(tmp_path / "raw")], jobs=2)
    found = list(lk.open(url))
    assert len(found) == 40
    for patch, (_, block) in zip(found, sorted(blocks.items()), strict=True):
        assert np.array_equal(patch.data, block)


def test_two_instruments_whose_files_alternate_are_grouped_as_if_they_lay_apart(url: str, tmp_path: Path) -> None:
    for number in range(30):
        for channels in (4, 6):
            start = START + number * SAMPLES * 10**6
            write(tmp_path / "raw", number, f"{number:03d}_{channels}.h5", start=start, channels=channels)
    plan, _, _ = plan_ingest(open_store(url), [str(tmp_path / "raw")], Settings())
    assert sorted(len(group) for group in plan.groups) == [30, 30]


def test_what_is_committed_before_a_conflict_of_names_stays_and_the_error_lists_both(url: str, tmp_path: Path) -> None:
    blocks = [write(tmp_path / "raw", number, f"f{number:03d}.h5") for number in range(60)]
    write(tmp_path / "raw", 60, "z.h5", channels=7)
    with pytest.raises(InvalidInput, match="two acquisitions cannot share the name 'one'"):
        ingest(open_store(url), [str(tmp_path / "raw")], Settings(dataset="one"), jobs=2)
    found = list(lk.open(url))
    assert 0 < len(found) <= 60
    for patch, block in zip(found, blocks, strict=False):
        assert np.array_equal(patch.data, block)
    (tmp_path / "raw" / "z.h5").unlink()
    assert ingest(open_store(url), [str(tmp_path / "raw")], Settings(dataset="one")).known == len(found)
    assert len(lk.open(url)) == 60


class Ours(ThreadPoolExecutor):
    """An executor that runs something else than `run_task`."""

    def __init__(self, run: Callable[[Any], Any]) -> None:
        super().__init__(2)
        self._ours = run

    def submit(self, _fn: Any, /, *args: Any, **_kwargs: Any) -> Future[Any]:
        return super().submit(self._ours, *args)


def test_what_runs_when_a_task_fails_is_finished_and_given_before_the_error() -> None:
    failed = threading.Event()

    def run(task: str) -> str:
        if task == "bad":
            failed.set()
            raise StoreTrouble("gone")
        assert failed.wait(60)
        return task

    tasks: Any = (task for task in ("good", "bad", "never", "never"))
    with Ours(run) as pool:
        results = completed(Workers(pool, lambda: 2), tasks)
        assert str(next(results)) == "good"
        with pytest.raises(StoreTrouble, match="gone"):
            next(results)
