"""A plain folder as a store that keeps the promises of a bucket.

An object appears whole and at once, with its bytes on the disk before its name: written to a
hidden temporary file, fsync, then a hard link (put-if-absent) or, under a lock, a rename
(compare-and-swap), then fsync of the folder. A crash leaves hidden temporary files at most.
obstore's LocalStore has no compare-and-swap and does not fsync.
"""

from __future__ import annotations

import asyncio
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from archive.errors import AccessDenied, Conflict, DamagedData, NotFound, ReadOnlyStore, StoreTrouble
from archive.store.values import Entry, Object
from archive.store.writing import locked, remove_file, staged, sync_folder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from archive.store.values import Buffer, Get, List

__all__ = ["FolderBackend"]

_PAGE = 1000
_MOST_THREADS = 8  # each keeps memory of its own
_ONE_READ = 1 << 30  # Linux moves at most 2 GiB in one call
# File systems without hard links (exFAT, some FUSE and network mounts) answer a link with these.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FolderBackend:
    """A folder of this machine.

    Parameters
    ----------
    root
        Its absolute path; made by the first write.
    url
        As the user wrote it, for messages.
    width
        Requests at once, so threads.
    """

    writable = True
    can_list = True
    local_clock = True

    def __init__(self, *, root: str, url: str, width: int) -> None:
        self._root = Path(root)
        self._url = url
        self._threads = ThreadPoolExecutor(min(width, _MOST_THREADS), "lightkeep-folder")

    async def get(self, request: Get) -> Object | None:
        """Return the object or range, or `None` if it still has the ETag `unless_etag`."""
        return await self._in_thread(lambda: self._read(request), "read", request.key)

    async def head(self, key: str) -> Entry:
        """Return what the file system knows of the object."""
        return await self._in_thread(lambda: _entry(key, _plain(self._root / key)), "read", key)

    async def pages(self, request: List) -> AsyncGenerator[list[Entry]]:
        """Yield the pages of a listing, sorted by key."""
        found = await self._in_thread(lambda: self._scan(request), "list", request.prefix)
        for first in range(0, len(found) or 1, _PAGE):
            yield found[first : first + _PAGE]

    async def put(self, key: str, data: Buffer, etag: str | None, seconds: float) -> str:  # noqa: ARG002
        """Write `data` if the object has `etag` (or, with `None`, does not exist), else `Conflict`."""
        return await self._in_thread(lambda: self._write(key, data, etag), "write", key)

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove objects, and the folders that this leaves empty; missing ones are fine."""
        for key in keys:
            await self._in_thread(lambda key=key: remove_file(self._root, key), "delete", key)  # type: ignore[misc]
        return len(keys)

    def _read(self, request: Get) -> Object | None:
        descriptor = os.open(self._root / request.key, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            entry = _entry(request.key, status)
            if not _is_file(status):
                raise IsADirectoryError(request.key)
            if request.unless_etag is not None and entry.etag == request.unless_etag:
                return None
            if request.etag is not None and entry.etag != request.etag:
                raise Conflict(f"{self._url}/{request.key}: has changed meanwhile; open the archive again")
            start = request.start or 0
            stop = entry.size if request.stop is None else request.stop
            data = _read_range(descriptor, start, stop) if stop <= entry.size and start <= stop else b""
        finally:
            os.close(descriptor)
        if len(data) != stop - start:
            raise DamagedData(
                f"{self._url}/{request.key}: has {entry.size} bytes where bytes {start} to {stop} were wanted; "
                "restore it or ingest its source again"
            )
        return Object(key=request.key, data=data, size=entry.size, etag=entry.etag, modified=entry.modified)

    def _write(self, key: str, data: Buffer, etag: str | None) -> str:
        path = self._root / key
        with staged(path, data) as temporary:
            if etag is not None:
                self._swap(path, temporary, key, etag)
            else:
                self._create(path, temporary, key)
            written = _entry(key, temporary.stat() if temporary.exists() else path.stat())
        with suppress(FileNotFoundError):  # another has removed the object since, as the last of its folder
            sync_folder(path.parent)
        return written.etag or ""

    def _create(self, path: Path, temporary: Path, key: str) -> None:
        try:
            os.link(temporary, path)
        except FileExistsError as error:
            raise Conflict(f"{self._url}/{key}: exists already") from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with locked(path):
                if path.exists():
                    raise Conflict(f"{self._url}/{key}: exists already") from error
                temporary.rename(path)

    def _swap(self, path: Path, temporary: Path, key: str, etag: str) -> None:
        with locked(path):
            try:
                there = _entry(key, path.stat()).etag
            except FileNotFoundError as error:
                raise Conflict(f"{self._url}/{key}: is gone") from error
            if there != etag:
                raise Conflict(f"{self._url}/{key}: has changed meanwhile")
            temporary.rename(path)

    def _scan(self, request: List) -> list[Entry]:
        found: list[Entry] = []
        folders = [request.prefix]
        while folders:
            prefix = folders.pop()
            try:
                with os.scandir(self._root / prefix) as names:
                    for item in names:
                        key = prefix + item.name
                        if item.name.startswith("."):
                            continue
                        if item.is_dir():
                            folders.append(f"{key}/")
                        else:
                            found += _entry_of(item, key)
            except _MISSING:
                continue  # removed meanwhile
        found.sort(key=lambda entry: entry.key)
        return found

    async def _in_thread[T](self, work: Callable[[], T], action: str, key: str) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise self._wrapped(error, action, key) from error

    def _wrapped(self, error: OSError, action: str, key: str) -> Exception:
        place = f"{self._url}/{key}"
        if isinstance(error, AccessDenied | StoreTrouble):
            return error
        if isinstance(error, _MISSING) and action == "read":
            return NotFound(f"{place}: no such object; see what is there with lightkeep ls {self._url}")
        denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        if denied and action in ("write", "delete"):
            return ReadOnlyStore(f"{place}: this folder cannot be written ({error.strerror}); check its permissions")
        if denied:
            return AccessDenied(f"{place}: may not be read ({error.strerror}); check its permissions")
        return StoreTrouble(f"{place}: the file system did not {action} it ({error.strerror}); see to the disk")


def _entry(key: str, status: os.stat_result) -> Entry:
    return Entry(
        key=key,
        size=status.st_size,
        etag=f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
    )


def _entry_of(item: os.DirEntry[str], key: str) -> list[Entry]:
    try:
        return [_entry(key, item.stat())]
    except FileNotFoundError:
        return []  # removed between the listing and the look at it


def _plain(path: Path) -> os.stat_result:
    status = path.stat()
    if not _is_file(status):
        raise IsADirectoryError(path)
    return status


def _is_file(status: os.stat_result) -> bool:
    import stat

    return stat.S_ISREG(status.st_mode)


def _read_range(descriptor: int, start: int, stop: int) -> bytes:
    parts: list[bytes] = []
    while start < stop:
        part = os.pread(descriptor, min(stop - start, _ONE_READ), start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
