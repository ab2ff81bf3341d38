"""Looking out for files: what is listed when, what counts as finished, and what is told of trouble."""

from __future__ import annotations

import queue
import secrets
import sys
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from archive.errors import MissingExtra, NotFound
from ingest.lookout import Lookout, Settling, notices
from ingest.sources import Found

if TYPE_CHECKING:
    from pathlib import Path


def found(url: str, size: int = 1, stamp: str = "1") -> Found:
    return Found(url=url, size=size, stamp=stamp)


def names(files: list[Found]) -> list[str]:
    return [file.url.rpartition("/")[2] for file in files]


def test_a_file_settles_once_it_has_stayed_the_same_and_one_of_an_object_store_at_once() -> None:
    settling = Settling(2.0)
    assert settling.next_due() == float("inf")
    settling.saw(found("file:///b.h5"), 10.0)
    settling.saw(found("s3://bucket/a.h5"), 10.5)
    settling.saw(found("file:///half.h5.part"), 10.0)  # named as what is still being written
    assert settling.next_due() == 10.5
    assert names(settling.settled(10.5)) == ["a.h5"]
    settling.saw(found("file:///b.h5", size=2), 11.0)
    assert settling.settled(12.5) == []
    settling.saw(found("file:///b.h5", size=2), 12.6)  # as it was: it does not wait anew
    assert names(settling.settled(13.0)) == ["b.h5"]
    assert settling.settled(99.0) == []


def test_a_file_that_is_gone_before_it_settles_is_forgotten() -> None:
    settling = Settling(2.0)
    settling.saw(found("file:///a.h5"), 0.0)
    settling.gone("file:///a.h5")
    settling.gone("file:///never.h5")
    assert settling.settled(99.0) == []


def test_folders_are_listed_rarely_and_other_places_as_often_as_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"a")
    bucket = f"memory://landing-{secrets.token_hex(6)}"
    lookout = Lookout([str(tmp_path), bucket], None, poll=5.0)
    assert lookout.folders == [tmp_path]
    assert names(lookout.listed(0.0)) == ["a.h5"]  # a prefix of a bucket is not there before its first file
    fsspec.filesystem("memory").pipe_file(bucket.removeprefix("memory:/") + "/b.h5", b"b")
    assert lookout.next_due() == 5.0
    assert lookout.listed(4.9) == []
    assert names(lookout.listed(5.0)) == ["b.h5"]
    lookout.without_notices()
    assert names(lookout.listed(5.1)) == ["a.h5"]
    assert lookout.next_due() == 10.0


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    lookout = Lookout([str(tmp_path / "nowhere")], None, poll=5.0)
    with pytest.raises(NotFound, match="nowhere: no such file or folder"):
        lookout.listed(0.0)
    assert Lookout([], None, poll=5.0).next_due() == float("inf")


def test_what_a_notice_names_is_looked_at_but_nothing_hidden_and_nothing_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "landing"
    (folder / "day" / ".cache").mkdir(parents=True)
    for path in (folder / "a.h5", folder / "day" / "b.h5", folder / "day" / ".cache" / "c.h5", tmp_path / "d.h5"):
        path.write_bytes(b"x")
    lookout = Lookout([str(folder)], None, poll=5.0)
    assert names(lookout.noticed(folder / "a.h5")) == ["a.h5"]
    assert names(lookout.noticed(folder / "day")) == ["b.h5"]  # renamed into place with what is in it
    assert lookout.noticed(folder / "day" / ".cache" / "c.h5") == []
    assert lookout.noticed(tmp_path / "d.h5") == []
    assert lookout.noticed(folder / "gone.h5") == []


def test_the_system_tells_of_a_file_that_is_written(tmp_path: Path) -> None:
    told: queue.Queue[Any] = queue.Queue()
    with notices([tmp_path], told.put):
        for number in range(100):  # until the watch has begun
            (tmp_path / f"{number}.h5").write_bytes(b"x")
            try:
                paths = told.get(timeout=0.5)
                break
            except queue.Empty:
                continue
    assert {path.parent for path in paths} == {tmp_path}
    assert {path.suffix for path in paths} == {".h5"}


def test_what_cannot_be_watched_is_told_as_an_error_and_nothing_needs_no_watch(tmp_path: Path) -> None:
    told: queue.Queue[Any] = queue.Queue()
    with notices([tmp_path / "nowhere"], told.put):
        assert isinstance(told.get(timeout=120), OSError)
    with notices([], told.put):
        assert told.empty()


def test_without_watchfiles_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtra, match=r"--watch needs watchfiles: pip install 'lightkeep\[ingest\]'"):
        notices([tmp_path], print).__enter__()
