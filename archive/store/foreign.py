"""Read-only access to stores that only fsspec knows."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any, NoReturn

from archive.errors import InvalidInput, MissingExtra, NotFound, ReadOnlyStore
from archive.store.requests import Entry, Get, List, Object

if TYPE_CHECKING:
    from collections.abc import Buffer, Mapping, Sequence

__all__ = ["ForeignBackend"]


class ForeignBackend:
    """A store behind fsspec: no conditions on writes, so there are none."""

    writable = False
    can_list = True

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingExtra(
                f"{url} is read through fsspec; install it with: pip install 'lightkeep[ingest]'"
            ) from error
        try:
            self._files, self._root = url_to_fs(url, **options)
        except (ValueError, ImportError) as error:
            raise InvalidInput(
                f"{url.split('://', maxsplit=1)[0]}://: no such kind of store is known ({error})"
            ) from error

    async def get(self, request: Get) -> Object | None:
        """Return an object; there are no tags."""
        path = f"{self._root}/{request.key}"
        try:
            data = await asyncio.to_thread(self._files.cat_file, path, request.start, request.stop)
        except FileNotFoundError:
            raise NotFound(f"{request.key}: no such object in {self._root}") from None
        return Object(request.key, data, len(data), None)

    async def head(self, key: str) -> Entry:
        """Return what a listing would say of an object."""
        try:
            found = await asyncio.to_thread(self._files.info, f"{self._root}/{key}")
        except FileNotFoundError:
            raise NotFound(f"{key}: no such object in {self._root}") from None
        return self._entry(key, found)

    async def entries(self, request: List) -> Sequence[Entry]:
        """Return the objects under a prefix, sorted by key."""
        folder = request.prefix.rpartition("/")[0]
        found = await asyncio.to_thread(self._files.find, f"{self._root}/{folder}", detail=True)
        entries = [self._entry(path[len(self._root) + 1 :], state) for path, state in found.items()]
        entries = [entry for entry in entries if entry.key.startswith(request.prefix)]
        return sorted(entries, key=lambda entry: entry.key)[: request.limit]

    async def put(self, key: str, data: Buffer, etag: str) -> NoReturn:  # noqa: ARG002 - the protocol's
        """Refuse."""
        raise ReadOnlyStore(f"{self._root}: stores known only to fsspec have no conditional writes and are read-only")

    async def delete(self, keys: Sequence[str]) -> NoReturn:  # noqa: ARG002 - the protocol's
        """Refuse."""
        raise ReadOnlyStore(f"{self._root}: stores known only to fsspec are read-only")

    def _entry(self, key: str, state: Mapping[str, Any]) -> Entry:
        modified = state.get("mtime") or state.get("LastModified") or state.get("created")
        if not isinstance(modified, dt.datetime):
            modified = dt.datetime.fromtimestamp(float(modified or 0), dt.UTC)
        return Entry(key, int(state.get("size") or 0), None, modified)
