"""A plain folder as a store, with its own lock and every write on the disk before it is seen."""

from __future__ import annotations

import asyncio
import datetime as dt
import fcntl
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from archive.errors import Conflict, DamagedData, NotFound, ReadOnlyStore, StoreTrouble
from archive.store.requests import Entry, Get, List, Object

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterator, Sequence

__all__ = ["FolderBackend"]

_LOCK = ".lightkeep.lock"


class FolderBackend:
    """A folder. A write is a hidden temporary file, fsync, link or rename, fsync of the folder."""

    writable = True
    can_list = True

    def __init__(self, root: Path) -> None:
        self._root = root

    async def get(self, request: Get) -> Object | None:
        """Return an object; tags are the file's inode, time of change and size."""
        return await asyncio.to_thread(self._get, request)

    async def head(self, key: str) -> Entry:
        """Return what a listing would say of a file."""
        return await asyncio.to_thread(self._head, key)

    async def put(self, key: str, data: Buffer, etag: str) -> str:
        """Write a file if the condition holds, and return its tag."""
        return await asyncio.to_thread(self._put, key, data, etag)

    async def entries(self, request: List) -> Sequence[Entry]:
        """Return the files under a prefix, sorted by key."""
        return await asyncio.to_thread(self._list, request)

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove files."""
        await asyncio.to_thread(self._delete, keys)

    def _get(self, request: Get) -> Object | None:
        try:
            descriptor = os.open(self._root / request.key, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound(f"{request.key}: no such object in {self._root}") from None
        try:
            state = os.fstat(descriptor)
            etag = _etag(state)
            if request.etag is not None and request.etag != etag:
                raise Conflict(f"{request.key}: the file is another one than was committed")
            if request.unless_etag is not None and request.unless_etag == etag:
                return None
            start = request.start or 0
            length = (state.st_size if request.stop is None else request.stop) - start
            data = _read(descriptor, start, length)
        finally:
            os.close(descriptor)
        if len(data) != length:
            raise DamagedData(f"{request.key}: {state.st_size} bytes, too few for bytes {start} to {start + length}")
        return Object(request.key, data, state.st_size, etag, _modified(state))

    def _head(self, key: str) -> Entry:
        path = self._root / key
        try:
            state = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{key}: no such object in {self._root}") from None
        return Entry(key, state.st_size, _etag(state), _modified(state))

    def _put(self, key: str, data: Buffer, etag: str) -> str:
        path = self._root / key
        with _errors(path):
            _make_folders(path.parent)
            draft = path.parent / f".{path.name[:100]}.{secrets.token_hex(8)}"
            try:
                _write(draft, data)
                if etag:
                    self._replace(draft, path, etag)
                else:
                    os.link(draft, path)  # fails if the name is taken: link is put-if-absent
                written = _etag(path.stat())
            except FileExistsError:
                raise Conflict(f"{key}: exists already") from None
            finally:
                draft.unlink(missing_ok=True)
            _sync_folder(path.parent)
        return written

    def _replace(self, draft: Path, path: Path, etag: str) -> None:
        with (path.parent / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                found = _etag(path.stat())
            except FileNotFoundError:
                raise Conflict(f"{path.name}: is not there to be replaced") from None
            if found != etag:
                raise Conflict(f"{path.name}: was replaced meanwhile")
            draft.replace(path)

    def _list(self, request: List) -> list[Entry]:
        folder, _, _name = request.prefix.rpartition("/")
        found: list[Entry] = []
        for place, folders, files in os.walk(self._root / folder):
            folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
            base = Path(place).relative_to(self._root)
            for file in files:
                key = (base / file).as_posix()
                if file.startswith(".") or not key.startswith(request.prefix):
                    continue
                try:
                    state = (self._root / key).stat()
                except FileNotFoundError:
                    continue  # removed meanwhile
                found.append(Entry(key, state.st_size, _etag(state), _modified(state)))
        found.sort(key=lambda entry: entry.key)
        return found[: request.limit]

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with _errors(self._root / key):
                (self._root / key).unlink(missing_ok=True)


def _etag(state: os.stat_result) -> str:
    return f"{state.st_ino:x}-{state.st_mtime_ns:x}-{state.st_size:x}"


def _modified(state: os.stat_result) -> dt.datetime:
    return dt.datetime.fromtimestamp(state.st_mtime, dt.UTC)


def _read(descriptor: int, start: int, length: int) -> bytes:
    """Return bytes of a file; `pread` gives at most 2 GiB at once."""
    parts = []
    while length > 0:
        part = os.pread(descriptor, min(length, 1 << 30), start)
        if not part:
            break
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write(path: Path, data: Buffer) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        _sync_folder(new.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise ReadOnlyStore(f"{path}: this folder cannot be written to; check its permissions") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise Conflict(f"{path}: another file stands in the way") from error
    except OSError as error:
        raise StoreTrouble(f"{path}: {error.strerror}") from error
