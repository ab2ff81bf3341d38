"""Whatever else fsspec knows, for reading only: none of it promises conditional writes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from archive.errors import (
    AccessDenied,
    Conflict,
    DamagedData,
    InvalidInput,
    MissingExtra,
    NotFound,
    ReadOnlyStore,
    StoreTrouble,
)
from archive.store.backend import Transient
from archive.store.faults import redact
from archive.store.values import Entry, Object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from archive.store.values import Buffer, Get, List

__all__ = ["ForeignBackend"]

_PAGE = 1000
_MOST_THREADS = 32


class ForeignBackend:
    """A store that only fsspec knows.

    Parameters
    ----------
    url, shown
        As it was given, and without secrets.
    options
        What its file system takes.
    width
        Requests at once, so threads.
    """

    writable = False
    can_list = True
    local_clock = False

    def __init__(self, *, url: str, shown: str, options: Mapping[str, Any], width: int) -> None:
        self._url = shown
        self._files, self._root = _file_system(url, shown, options)
        self._threads = ThreadPoolExecutor(min(width, _MOST_THREADS), "lightkeep-foreign")

    async def get(self, request: Get) -> Object | None:
        """Return the object or range, or `None` if it still has the ETag `unless_etag`."""
        entry = await self.head(request.key)
        if request.unless_etag is not None and entry.etag == request.unless_etag:
            return None
        if request.etag is not None and entry.etag != request.etag:
            raise Conflict(f"{self._url}/{request.key}: has changed meanwhile; open the archive again")
        start, stop = request.start or 0, entry.size if request.stop is None else request.stop
        path = self._path(request.key)
        data = await self._in_thread(
            lambda: self._files.cat_file(path, start=start, end=stop) if stop > start else b"", request.key
        )
        if len(data) != stop - start:
            raise DamagedData(
                f"{self._url}/{request.key}: has {entry.size} bytes where bytes {start} to {stop} were wanted; "
                "restore it"
            )
        return Object(key=request.key, data=data, size=entry.size, etag=entry.etag, modified=entry.modified)

    async def head(self, key: str) -> Entry:
        """Return what the file system knows of the object."""
        info = await self._in_thread(lambda: self._files.info(self._path(key)), key)
        if info.get("type") == "directory":
            raise NotFound(f"{self._url}/{key}: no such object, but a folder of this name")
        return _entry(key, info)

    async def pages(self, request: List) -> AsyncGenerator[list[Entry]]:
        """Yield the pages of a listing, sorted by key."""
        folder = self._path(request.prefix).rstrip("/")
        try:
            infos = await self._in_thread(lambda: self._files.find(folder, detail=True), request.prefix)
        except NotFound:
            infos = {}
        root = self._files._strip_protocol(self._root).rstrip("/")  # noqa: SLF001 -- fsspec's own way to a path
        entries = [_entry(path.removeprefix(root).lstrip("/"), info) for path, info in infos.items()]
        found = sorted(entries, key=lambda entry: entry.key)
        for first in range(0, len(found) or 1, _PAGE):
            yield found[first : first + _PAGE]

    async def put(self, key: str, data: Buffer, etag: str | None, seconds: float) -> str:  # noqa: ARG002
        """Refuse."""
        raise ReadOnlyStore(f"{self._url}/{key}: can only be read")

    async def delete(self, keys: Sequence[str]) -> int:
        """Refuse."""
        raise ReadOnlyStore(f"{self._url}/{keys[0]}: can only be read")

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    async def _in_thread(self, work: Callable[[], Any], key: str) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except FileNotFoundError as error:
            raise NotFound(f"{self._url}/{key}: no such object") from error
        except PermissionError as error:
            raise AccessDenied(f"{self._url}/{key}: may not be read ({redact(str(error))})") from error
        except Exception as error:
            # fsspec has no error tree of its own: each file system raises what its library does.
            raise Transient(redact(f"{type(error).__name__}: {error}")) from error


def _file_system(url: str, shown: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra(f"{shown}: needs fsspec; run: pip install 'lightkeep[ingest]'") from error
    try:
        files, root = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise MissingExtra(f"{shown}: fsspec needs another library for it: {redact(str(error))}") from error
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{shown}: not a store that Lightkeep or fsspec knows: {redact(str(error))}") from error
    except OSError as error:  # some file systems connect at once
        raise StoreTrouble(f"{shown}: cannot be reached: {redact(str(error))}; check the host and port") from error
    return files, str(root)


def _entry(key: str, info: Mapping[str, Any]) -> Entry:
    modified = next((info[name] for name in ("LastModified", "mtime", "modified", "created") if info.get(name)), 0)
    if isinstance(modified, int | float):
        modified = datetime.fromtimestamp(modified, UTC)
    if not isinstance(modified, datetime):
        modified = datetime.fromtimestamp(0, UTC)
    size = int(info.get("size") or 0)
    etag = info.get("ETag") or info.get("etag") or f"{modified.timestamp():.6f}-{size:x}"
    return Entry(key=key, size=size, etag=str(etag), modified=modified.astimezone(UTC))
