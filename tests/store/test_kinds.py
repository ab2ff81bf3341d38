"""What is particular to folders, to stores that only fsspec knows, and to stores that lie."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archive.errors import (
    AccessDenied,
    Conflict,
    DamagedData,
    MissingExtra,
    NotFound,
    ReadOnlyStore,
    StoreTrouble,
    UnsafeStore,
)
from archive.store import Get, open_store, probe
from archive.store.writing import sync_folder


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's privilege to read and write everything, where the tests run as root."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, fail)


def test_a_folder_leaves_nothing_but_its_objects(tmp_path: Path) -> None:
    store = open_store(tmp_path / "deep" / "archive")
    assert store.entries("") == []
    store.create("a/b/c", b"1")
    names = [path.name for path in (tmp_path / "deep" / "archive").rglob("*")]
    assert sorted(names) == ["a", "b", "c"]
    store.delete(["a/b/c"])
    assert list((tmp_path / "deep" / "archive").iterdir()) == []


def test_what_a_crash_leaves_is_hidden_and_harmless(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.create("a/one", b"1")
    (tmp_path / "a" / ".0123.part").write_bytes(b"half")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x").write_bytes(b"")
    assert [entry.key for entry in store.entries("")] == ["a/one"]
    store.delete(["a/one"])
    assert store.entries("") == []


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    with monkeypatch.context() as patch:
        failing(patch, "fsync", errno.ENOSPC)
        with pytest.raises(StoreTrouble, match="No space left"):
            store.create("one", b"1")
    assert list(tmp_path.iterdir()) == []
    store.create("one", b"1")


def test_a_file_system_without_links_keeps_the_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "link", errno.EPERM)
    store = open_store(tmp_path)
    probe(store)
    store.create("one", b"1")
    with pytest.raises(Conflict):
        store.create("one", b"2")


def test_an_object_whose_folder_another_removes_was_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = open_store(tmp_path), open_store(tmp_path)

    def deleted_first(folder: Path) -> None:
        monkeypatch.setattr("archive.store.folder.sync_folder", sync_folder)
        other.delete(["commits/one"])
        assert not folder.exists()
        sync_folder(folder)

    monkeypatch.setattr("archive.store.folder.sync_folder", deleted_first)
    assert store.create("commits/one", b"1")


def test_other_trouble_of_a_link_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "link", errno.EIO)
    with pytest.raises(StoreTrouble, match="Input/output"):
        open_store(tmp_path).create("one", b"1")


def test_a_folder_without_permission_is_read_only() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        store = open_store(folder)
        store.create("one", b"1")
        (folder / "secret").write_bytes(b"2")
        (folder / "secret").chmod(0o000)
        folder.chmod(0o555)
        with as_nobody():
            assert bytes(store.get("one").data) == b"1"
            with pytest.raises(ReadOnlyStore, match="cannot be written"):
                store.create("two", b"2")
            with pytest.raises(ReadOnlyStore, match="cannot be written"):
                store.delete(["one"])
            with pytest.raises(AccessDenied, match="may not be read"):
                store.get("secret")
        folder.chmod(0o755)


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = open_store(tmp_path / "file")
    assert store.entries("") == []
    with pytest.raises(NotFound):
        store.get("one")
    with pytest.raises(StoreTrouble, match="file"):
        store.create("one", b"1")


def test_folders_come_and_go_beneath_writers(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    errors: list[Exception] = []

    def churn(name: str) -> None:
        try:
            for number in range(40):
                store.create(f"a/b/{name}-{number}", b"1")
                store.delete([f"a/b/{name}-{number}"])
        except Exception as error:  # noqa: BLE001 -- shown below
            errors.append(error)

    threads = [threading.Thread(target=churn, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.entries("") == []


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("archive")
    store.create("one", b"1")
    monkeypatch.chdir("/")
    assert bytes(store.get("one").data) == b"1"


def test_what_only_fsspec_knows_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data/one", b"0123456789")
        archive.writestr("data/two", b"2")
    store = open_store(f"zip://::{tmp_path / 'a.zip'}")
    found = store.get("data/one")
    assert (bytes(found.data), found.size) == (b"0123456789", 10)
    assert [bytes(part.data) for part in store.get_many([Get("data/one", 2, 5), Get("data/one", 8)])] == [b"234", b"89"]
    assert store.get_if_changed("data/one", found.etag) is None
    assert store.head("data/two").size == 1
    assert [entry.key for entry in store.entries("data")] == ["data/one", "data/two"]
    assert store.entries("none") == []
    for key in ("none", "data"):
        with pytest.raises(NotFound):
            store.get(key)
    with pytest.raises(DamagedData):
        store.get_many([Get("data/one", 5, 50)])
    with pytest.raises(Conflict):
        store.get_many([Get("data/one", 0, 1, "other")])
    with pytest.raises(ReadOnlyStore):
        store.create("x", b"")
    with pytest.raises(ReadOnlyStore):
        probe(store)


def test_a_foreign_file_is_told_by_its_time_of_change(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"abc")
    store = open_store(f"local://{tmp_path}")
    before = store.head("one")
    assert abs(before.modified.timestamp() - (tmp_path / "one").stat().st_mtime) < 1e-3
    (tmp_path / "one").write_bytes(b"abcd")
    os.utime(tmp_path / "one", (5, 5))
    assert store.head("one").etag != before.etag
    with pytest.raises(ReadOnlyStore):
        store.delete(["one"])


def test_a_kind_of_store_without_its_library_names_it() -> None:
    with pytest.raises(MissingExtra, match="paramiko"):
        open_store("sftp://host/x")


def test_a_foreign_store_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(StoreTrouble, match=r"ftp://127.0.0.1:1/x: cannot be reached") as caught:
        open_store("ftp://user:pass@127.0.0.1:1/x")
    assert "pass" not in str(caught.value)


def test_trouble_of_a_foreign_store_is_repeated_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one", b"1")
    store = open_store(f"zip://::{tmp_path / 'a.zip'}")
    files = store._engine.backend._files  # type: ignore[attr-defined]
    failures: list[Exception] = [RuntimeError("flaky"), PermissionError("closed")]

    def cat_file(*_: Any, **__: Any) -> bytes:
        if failures:
            raise failures.pop(0)
        return b"1"

    monkeypatch.setattr(files, "cat_file", cat_file)
    with pytest.raises(AccessDenied, match="closed"):
        store.get("one")
    assert store.counts.retries == 1
    assert bytes(store.get("one").data) == b"1"


def test_a_store_that_ignores_conditions_is_refused(rclone: dict[str, Any]) -> None:
    store = open_store("s3://archive/x", storage_options=rclone)
    with pytest.raises(UnsafeStore, match=r"s3://archive/x: .*put-if-absent"):
        probe(store)


LIES: list[tuple[str, Callable[..., Any], str]] = [
    ("swap", lambda store, key, data, etag: store._put(key, data), "compare-and-swap"),
    ("get_if_changed", lambda store, key, etag: store.get(key), "conditional read"),
    ("get_many", lambda store, gets: [store.get(get.key) for get in gets], "range"),
    ("entries", lambda store, prefix: [], "listing"),
    ("delete", lambda store, keys: None, "compare-and-swap"),
    (
        "create",
        lambda store, key, data: store._put(key, data) if data == b"later" else store.real.create(key, data),
        "put-if-absent: an object that existed was overwritten",
    ),
    (
        "get",
        lambda store, key: replace(store.real.get(key), data=b"another"),
        "put-if-absent: the object that stayed is not the one whose writer won",
    ),
    (
        "swap",
        lambda store, key, data, etag: store.real.swap(key, data, etag) + "x",
        "compare-and-swap: the object that stayed is not the one whose writer won",
    ),
    (
        "swap",
        lambda store, key, data, etag: store._put(key, data) if data == b"stale" else store.real.swap(key, data, etag),
        "compare-and-swap: a writer with a stale ETag won",
    ),
    ("get_if_changed", lambda store, key, etag: None, "conditional read: a changed object was called unchanged"),
    (
        "get_many",
        lambda store, gets: store.real.get_many([replace(get, etag=None) for get in gets]),
        "conditional read: a range of another version was sent",
    ),
    (
        "delete",
        lambda store, keys: None if keys[0].endswith("listed") else store.real.delete(keys),
        "listing: an object that was just deleted is still in it",
    ),
]


@pytest.mark.parametrize(
    ("method", "lie", "promise"), LIES, ids=[f"{lie[0]} {number}" for number, lie in enumerate(LIES)]
)
def test_each_broken_promise_is_named(method: str, lie: Callable[..., Any], promise: str) -> None:
    honest = open_store(f"memory://{secrets.token_hex(6)}")

    class Liar:
        url, writable, real = "memory://liar", True, honest

        def __getattr__(self, name: str) -> Any:
            return getattr(honest, name)

        def _put(self, key: str, data: bytes) -> str:
            honest.delete([key])
            return honest.create(key, data)

    setattr(Liar, method, lie)
    with pytest.raises(UnsafeStore, match=promise):
        probe(Liar())  # type: ignore[arg-type]
