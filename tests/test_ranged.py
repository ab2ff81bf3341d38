"""A remote file read in ranges: the same bytes, few requests, and no more of them than the reader forces."""

from __future__ import annotations

import gc
import io
from typing import TYPE_CHECKING, Any

import fsspec
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import AccessDenied, SourceChanged
from ingest.ranged import RangedFile, collector_at_rest
from ingest.sources import open_source, scan

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTENT = np.random.default_rng(5).bytes(400_000)


class Counted:
    """A file system of one file that notes what is fetched; fails as it is told."""

    def __init__(self, content: bytes, failure: Exception | None = None) -> None:
        self.content, self.failure = content, failure
        self.fetched: list[tuple[int, int]] = []

    def cat_ranges(self, paths: Sequence[str], starts: Sequence[int], ends: Sequence[int], **_: Any) -> list[Any]:
        self.fetched += zip(starts, ends, strict=True)
        return [self.failure or self.content[a:b] for _, a, b in zip(paths, starts, ends, strict=True)]

    @property
    def bytes(self) -> int:
        return sum(stop - start for start, stop in self.fetched)


def opened(files: Any, size: int) -> RangedFile:
    return RangedFile(files, "f", size, "s3://raw/f")


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), st.integers(-410_000, 410_000), st.integers(-1, 200_000)), max_size=12
    )
)
def test_any_seeks_and_reads_give_the_bytes_of_the_file(steps: list[tuple[int, int, int]]) -> None:
    file, truth = opened(Counted(CONTENT), len(CONTENT)), io.BytesIO(CONTENT)
    for whence, offset, size in steps:
        truth.seek(max(offset + (0, truth.tell(), len(CONTENT))[whence], 0))
        assert file.seek(offset, whence) == truth.tell()
        assert file.read(size) == truth.read(size)
        assert file.tell() == truth.tell()


def test_small_reads_that_follow_each_other_take_few_requests_and_nothing_twice() -> None:
    content = bytes(40_000_000)
    files = Counted(content)
    file = opened(files, len(content))
    for at in range(0, len(content), 1600):
        file.seek(at)
        assert len(file.read(2)) == 2
    assert files.bytes == len(content)
    assert len(files.fetched) < 14


def test_one_channel_of_a_contiguous_array_fetches_less_than_twice_what_its_layout_forces() -> None:
    body = io.BytesIO()
    data = np.random.default_rng(3).integers(-99, 99, (200, 60_000)).astype("i2")
    with h5py.File(body, "w") as root:
        root["by_channel"] = data
        root["by_time"] = np.ascontiguousarray(data[:, :10_000].T)
    content = body.getvalue()
    for name, window, forced in (
        ("by_channel", np.s_[7:8, :], data[7].nbytes),
        ("by_time", np.s_[:, 7:8], 200 * 10_000 * 2),  # a sample of the channel in every 400 bytes
    ):
        files = Counted(content)
        with h5py.File(opened(files, len(content))) as root:
            found = root[name][window]
        np.testing.assert_array_equal(found.ravel(), data[7, : found.size])
        assert files.bytes <= 2 * forced, (name, files.fetched)
        assert len(files.fetched) < 12


def test_a_large_read_is_fetched_in_pieces_and_exactly() -> None:
    content = np.random.default_rng(1).bytes(20_000_000)
    files = Counted(content)
    file = opened(files, len(content))
    file.seek(1000)
    assert file.read(19_000_000) == content[1000:19_001_000]
    assert files.bytes == 19_000_000
    assert len(files.fetched) == 3


@pytest.mark.parametrize(
    ("failure", "error", "said"),
    [
        (PermissionError("no"), AccessDenied, "s3://raw/f: the credentials"),
        (FileNotFoundError("f"), SourceChanged, "s3://raw/f: gone"),
    ],
)
def test_what_the_place_refuses_names_the_file(failure: Exception, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        opened(Counted(CONTENT, failure), len(CONTENT)).read(10)


def test_a_file_that_became_shorter_is_told() -> None:
    with pytest.raises(SourceChanged, match="s3://raw/f: changed"):
        opened(Counted(CONTENT[:100]), len(CONTENT)).read()


def test_a_server_that_knows_no_ranges_will_do() -> None:
    class Whole(Counted):
        def cat_ranges(self, paths: Sequence[str], starts: Sequence[int], ends: Sequence[int], **_: Any) -> list[Any]:
            return [self.content for _ in paths]

    file = opened(Whole(CONTENT), len(CONTENT))
    file.seek(300_000)
    assert file.read(50) == CONTENT[300_000:300_050]


def test_the_collector_rests_while_a_remote_file_is_open_and_runs_again_after() -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/ranged/a.bin", CONTENT)
    (found,) = scan(["memory://ranged/a.bin"])
    assert gc.isenabled()
    with open_source(found, digest=False) as one, collector_at_rest():
        assert not gc.isenabled()
        assert one.file.read(9) == CONTENT[:9]
    assert gc.isenabled()


def test_garbage_goes_while_remote_files_are_open_all_the_time() -> None:
    class Node:
        alive = 0

        def __init__(self) -> None:
            type(self).alive += 1
            self.me = self

        def __del__(self) -> None:
            type(self).alive -= 1

    with collector_at_rest():
        for _ in range(200):
            with collector_at_rest():
                Node()
    assert Node.alive < 100
