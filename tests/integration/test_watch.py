"""Watching, as a process: files come in once they are finished, whatever happens to the process and the store."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import s3fs
from hypothesis import given
from hypothesis import strategies as st

import archive as lk
from archive.errors import DamagedData
from archive.store import open_store
from archive.times import time_to_ns
from archive.view import open_view
from ingest.initialise import initialise
from ingest.lookout import Settling
from ingest.quarantine import newest_reports
from ingest.run import read_ledger
from ingest.settings import Settings
from ingest.sources import Found
from ingest.synthetic.vendor import Header, write_prodml
from ingest.watch import Patience, Watch
from ingest.workers import Hiring

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from proxy import FaultProxy

    from ingest.run import IngestReport
    from ingest.server import LocalS3

START = time_to_ns("2016-03-14T00:00:00")
SETTLE = 0.6


def block(number: int) -> NDArray[np.int16]:
    return np.random.default_rng(number).integers(-99, 99, (200, 5)).astype(np.int16)


def raw(path: Path, number: int) -> Path:
    """Write a file of 200 ms; the next number follows without a gap."""
    return write_prodml(path, block(number), Header(start=START + number * 200 * 10**6))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "incoming"
    made.mkdir()
    return made


@contextmanager
def watching(*places: str, url: str, end: signal.Signals = signal.SIGTERM) -> Iterator[subprocess.Popen[str]]:
    """The command; it must end with 0 and without a traceback when it is told to."""
    line = [sys.executable, "-m", "ingest", "ingest", "--watch", "--settle", str(SETTLE), "--poll", "0.5", *places, url]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "watching" in process.stderr.readline()
            yield process
            if process.poll() is None:
                process.send_signal(end)
            _, errors = process.communicate(timeout=60)
            assert "Traceback" not in errors
            assert process.returncode in {0, -signal.SIGKILL}, errors
        finally:
            process.kill()


def until[T](ask: Callable[[], T | None], seconds: float = 30.0) -> T:
    """Return the first answer that is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def stored(url: str) -> int:
    """Number of samples that a reader sees."""
    with suppress(DamagedData):  # the reader came between a fold's swap and its deletions: it may open again
        return sum(patch.shape[0] for patch in lk.open(url))
    return -1


def check(url: str, numbers: list[int]) -> None:
    """The archive holds these blocks, each once."""
    found = [patch.data for patch in lk.open(url)]
    assert np.array_equal(np.concatenate(found), np.concatenate([block(number) for number in numbers]))
    sources = read_ledger(open_view(open_store(url))).sources()
    assert len(sources) == len(numbers)


@pytest.mark.slow
def test_files_written_slowly_renamed_into_place_and_broken_ones_are_each_taken_as_they_should(
    server: LocalS3, folder: Path, tmp_path: Path
) -> None:
    url = f"s3://{server.bucket}/watch-folder"
    initialise(open_store(url))
    raw(folder / "0.h5", 0)  # there before the watch
    whole = [raw(tmp_path / f"{number}.h5", number).read_bytes() for number in range(5)]
    with watching(str(folder), url=url):
        until(lambda: stored(url) == 200)
        with (folder / "1.h5").open("wb") as slow:  # written for longer than the time to settle
            for start in range(0, len(whole[1]), len(whole[1]) // 8):
                slow.write(whole[1][start : start + len(whole[1]) // 8])
                slow.flush()
                time.sleep(SETTLE / 3)
        ended = time.monotonic()
        until(lambda: stored(url) == 400)
        assert time.monotonic() - ended < 15
        (folder / ".2.h5").write_bytes(whole[2][:999])  # hidden, and half a file
        (folder / "2.h5.part").write_bytes(whole[2])
        time.sleep(2 * SETTLE)
        assert stored(url) == 400
        (folder / "2.h5.part").rename(folder / "2.h5")
        (folder / "broken.h5").write_bytes(whole[3][: len(whole[3]) // 2])
        (folder / "notes.txt").write_text("no data")
        (report,) = until(lambda: newest_reports(open_store(url)))
        assert report.url.endswith("broken.h5")
        (tmp_path / "day").mkdir()
        (tmp_path / "day" / "3.h5").write_bytes(whole[3])
        (tmp_path / "day").rename(folder / "day")  # a whole folder at once
        until(lambda: stored(url) == 800)
        (folder / "broken.h5").write_bytes(whole[4])  # mended
        until(lambda: stored(url) == 1000)
    check(url, [0, 1, 2, 3, 4])
    assert [Path(report.url).name for report in newest_reports(open_store(url))] == ["broken.h5"]
    assert not open_store(url).entries("commits/")  # folded at the end


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_file_is_missed_or_doubled_across_a_restart(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    url = str(tmp_path / "archive")
    initialise(open_store(url))
    stopped = threading.Event()

    def write() -> int:
        """Files keep coming, renamed into place, before, during and after the stop."""
        for number in range(10_000):
            raw(tmp_path / "next.h5", number).rename(folder / f"{number:04d}.h5")
            time.sleep(0.15)
            if stopped.is_set():
                return number + 1
        return -1

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        with watching(str(folder), url=url) as process:
            until(lambda: stored(url) >= 400)
            process.send_signal(how)
            code = process.wait(30)
            assert code == (-signal.SIGKILL if how == signal.SIGKILL else 0)
        stopped.set()
        count = writing.result()
    with watching(str(folder), url=url):
        until(lambda: stored(url) == 200 * count)
    check(url, list(range(count)))


@pytest.mark.slow
def test_new_objects_of_a_bucket_are_taken_as_they_appear(server: LocalS3, tmp_path: Path) -> None:
    url = f"s3://{server.bucket}/watch-objects"
    initialise(open_store(url))
    files = s3fs.S3FileSystem(key=server.key, secret=server.secret, endpoint_url=server.endpoint)
    with watching(f"s3://{server.bucket}/landing", url=url, end=signal.SIGINT):  # nothing is there yet
        for number in range(2):
            files.pipe_file(f"{server.bucket}/landing/{number}.h5", raw(tmp_path / "one.h5", number).read_bytes())
            put = time.monotonic()
            until(lambda seen=200 * (number + 1): stored(url) == seen)  # type: ignore[misc]
            assert time.monotonic() - put < 15
    check(url, [0, 1])


@contextmanager
def in_a_thread(watch: Watch) -> Iterator[list[IngestReport]]:
    reports: list[IngestReport] = []
    thread = threading.Thread(target=lambda: reports.append(watch.run()))
    thread.start()
    try:
        yield reports
    finally:
        watch.stop()
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.slow
def test_trouble_with_the_store_is_waited_out(
    s3_url: str, s3_options: dict[str, Any], proxy: FaultProxy, proxy_options: dict[str, Any], folder: Path
) -> None:
    initialise(open_store(s3_url, storage_options=s3_options))
    patient = open_store(s3_url, storage_options={**proxy_options, "max_retries": 0})
    told: list[str] = []
    watch = Watch(patient, [str(folder)], Settings(), Hiring(jobs=2), patience=Patience(settle=0.2), told=told.append)

    def seen() -> int:
        return sum(patch.shape[0] for patch in lk.open(s3_url, storage_options=s3_options))

    with in_a_thread(watch) as reports:
        raw(folder / "0.h5", 0)
        until(lambda: seen() == 200)
        for number, path in ((1, "/data/"), (2, "/commits/"), (3, "")):
            proxy.set(slowdown=1.0, path=path)
            raw(folder / f"{number}.h5", number)
            until(lambda: any("trouble" in line for line in told))
            assert seen() == 200 * number
            proxy.set()
            until(lambda count=number: seen() == 200 * (count + 1))  # type: ignore[misc]
            told.clear()
    assert (reports[0].sources, reports[0].refusals) == (4, [])
    found = [patch.data for patch in lk.open(s3_url, storage_options=s3_options)]
    assert np.array_equal(np.concatenate(found), np.concatenate([block(number) for number in range(4)]))


def test_another_acquisition_under_the_name_is_set_aside_and_the_watch_goes_on(folder: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "archive"))
    initialise(store)
    raw(folder / "0.h5", 0)
    write_prodml(folder / "1.h5", block(1)[:, :3], Header(start=START + 200 * 10**6))
    watch = Watch(store, [str(folder)], Settings(dataset="one"), Hiring(), patience=Patience(settle=0.1))
    with in_a_thread(watch) as reports:
        until(lambda: newest_reports(store))
        raw(folder / "2.h5", 1)
        until(lambda: stored(store.url) == 400)
    assert [refusal.kind for refusal in reports[0].refusals] == ["InvalidInput"]
    check(store.url, [0, 1])


STATES = st.lists(
    st.tuples(st.integers(1, 24).map(lambda n: n / 8), st.sampled_from("ab"), st.integers(0, 2)), max_size=30
)


@given(STATES)
def test_a_file_settles_once_and_only_after_it_has_not_changed_for_long_enough(
    sightings: list[tuple[float, str, int]],
) -> None:
    settling, now, changed, given_out = Settling(1.0), 0.0, {}, []
    state: dict[str, int] = {}
    for pause, name, size in sightings:
        now += pause
        url = f"file:///{name}.h5"
        if state.get(url) != size:
            state[url], changed[url] = size, now
        settling.saw(Found(url=url, size=size, stamp=""), now)
        for found in settling.settled(now):
            assert now - changed[found.url] >= 1.0
            assert found.size == state[found.url]
            given_out.append(found.url)
            del state[found.url]
    assert {found.url for found in settling.settled(now + 2.0)} == set(state)
    assert settling.next_due() == float("inf")
