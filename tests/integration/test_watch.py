"""Watching, as a process: files come in once they are finished, whatever happens to the process and the store."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import s3fs
from landing import check, stored
from small import raw
from waiting import PATIENCE, until

from archive.store import open_store
from ingest.initialise import initialise
from ingest.quarantine import newest_reports

if TYPE_CHECKING:
    from ingest.server import LocalS3

SETTLE = 0.6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "incoming"
    made.mkdir()
    return made


@contextmanager
def watching(
    *places: str, url: str, end: signal.Signals = signal.SIGTERM, settle: float = SETTLE
) -> Iterator[subprocess.Popen[str]]:
    """The command; it must end with 0 and without a traceback when it is told to."""
    line = [sys.executable, "-m", "ingest", "ingest", "--watch", "--settle", str(settle), "--poll", "0.5", *places, url]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "watching" in process.stderr.readline()
            yield process
            if process.poll() is None:
                process.send_signal(end)
            _, errors = process.communicate(timeout=PATIENCE)
            assert "Traceback" not in errors
            assert process.returncode in {0, -signal.SIGKILL}, errors
        finally:
            process.kill()


@pytest.mark.slow
def test_files_written_slowly_renamed_into_place_and_broken_ones_are_each_taken_as_they_should(
    server: LocalS3, folder: Path, tmp_path: Path
) -> None:
    url = f"s3://{server.bucket}/watch-folder"
    initialise(open_store(url))
    raw(folder / "0.h5", 0)  # there before the watch
    whole = [raw(tmp_path / f"{number}.h5", number).read_bytes() for number in range(5)]
    with watching(str(folder), url=url, settle=2.0):  # a pause of this test between two writes is shorter
        until(lambda: stored(url) == 200)
        with (folder / "1.h5").open("wb") as slow:  # written for longer than the time to settle
            for start in range(0, len(whole[1]), len(whole[1]) // 8):
                slow.write(whole[1][start : start + len(whole[1]) // 8])
                slow.flush()
                time.sleep(0.3)
        ended = time.monotonic()
        until(lambda: stored(url) == 400)
        assert time.monotonic() - ended < 60
        (folder / ".2.h5").write_bytes(whole[2][:999])  # hidden, and half a file
        (folder / "2.h5.part").write_bytes(whole[2])
        time.sleep(3)
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
@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.prove), signal.SIGKILL])
def test_no_file_is_missed_or_doubled_across_a_restart(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    url = str(tmp_path / "archive")
    initialise(open_store(url))
    stopped = threading.Event()

    def write() -> int:
        """Files keep coming, renamed into place, before, during and after the stop."""
        for number in range(1000):
            raw(tmp_path / "next.h5", number).rename(folder / f"{number:04d}.h5")
            time.sleep(0.3)
            if stopped.is_set():
                return number + 1
        return -1

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        with watching(str(folder), url=url) as process:
            until(lambda: stored(url) >= 400)
            process.send_signal(how)
            code = process.wait(PATIENCE)
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
            assert time.monotonic() - put < 60
    check(url, [0, 1])
