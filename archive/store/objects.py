"""Buckets, web folders and memory, through obstore."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any

import obstore

from archive.errors import DamagedData, StoreTrouble, UnsafeStore
from archive.store.backend import Transient
from archive.store.faults import FAILURES, Asked, translate
from archive.store.loop import was_forked
from archive.store.values import Entry, Object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from obstore import GetOptions, ObjectMeta, PutMode, UpdateVersion
    from obstore.store import ObjectStore

    from archive.store.values import Buffer, Get, List

__all__ = ["ObjectBackend"]

# Both what S3 gives in a page and what it deletes at once.
_PAGE = 1000


class ObjectBackend:
    """A store that obstore knows.

    Parameters
    ----------
    reader, writer
        Two clients of one store: time without progress bounds the reader, whose body arrives in
        pieces; a PUT makes no progress that could be seen, so the writer has no limit of its own.
        A client takes milliseconds to make, so the writer is made when it is first needed.
    prefix
        Folder inside the store, empty or with a slash at its end.
    url, credentials
        For messages: the place and where its credentials came from, without secrets.
    versioned
        A write names the version it replaces by a number beside the ETag (Google Cloud Storage).
    bulk
        Deletes go by the thousand.
    """

    local_clock = False

    def __init__(
        self,
        *,
        reader: ObjectStore,
        writer: Callable[[], ObjectStore],
        prefix: str,
        url: str,
        credentials: str,
        writable: bool = True,
        can_list: bool = True,
        versioned: bool = False,
        bulk: bool = False,
    ) -> None:
        self._reader = reader
        self._make_writer = writer
        self._prefix = prefix
        self._url = url
        self._credentials = credentials
        self._versioned = versioned
        self._bulk = bulk
        self.writable = writable
        self.can_list = can_list

    @cached_property
    def _writer(self) -> ObjectStore:
        return self._make_writer()

    async def get(self, request: Get) -> Object | None:
        """Return the object or range, or `None` if it still has the ETag `unless_etag`."""
        asked = self._asked("read", request.key)
        try:
            answer = await obstore.get_async(self._reader, self._prefix + request.key, options=_options(request))
            data = await answer.bytes_async()
        except obstore.exceptions.NotModifiedError:
            return None
        except FAILURES as error:
            raise translate(error, asked) from error
        _check_length(request, len(data), answer.meta["size"], asked)
        entry = self._entry(answer.meta)
        return Object(key=request.key, data=data, size=entry.size, etag=entry.etag, modified=entry.modified)

    async def head(self, key: str) -> Entry:
        """Return what the store knows of the object."""
        asked = self._asked("read", key)
        try:
            return self._entry(await obstore.head_async(self._reader, self._prefix + key))
        except FAILURES as error:
            raise translate(error, asked) from error

    async def pages(self, request: List) -> AsyncGenerator[list[Entry]]:
        """Yield the pages of a listing, one request each, sorted by key."""
        asked = self._asked("list", request.prefix)
        try:
            stream = obstore.list(self._reader, (self._prefix + request.prefix) or None, chunk_size=_PAGE)
            async for page in stream:
                yield [self._entry(meta) for meta in page]
        except FAILURES as error:
            raise translate(error, asked) from error

    async def put(self, key: str, data: Buffer, etag: str | None, seconds: float) -> str:
        """Write `data` if the object has `etag` (or, with `None`, does not exist), else `Conflict`."""
        asked = self._asked("write", key)
        mode: PutMode = "create" if etag is None else self._version(etag)
        try:
            async with asyncio.timeout(seconds):
                result = await obstore.put_async(
                    self._writer, self._prefix + key, memoryview(data).cast("B"), mode=mode, use_multipart=False
                )
        except TimeoutError as error:
            raise Transient(f"no answer to a write of {memoryview(data).nbytes} bytes in {seconds:.0f} s") from error
        except FAILURES as error:
            raise translate(error, asked) from error
        written = self._etag(result["e_tag"], result["version"])
        if written is None:
            raise UnsafeStore(f"{self._url}: the store gives no ETags, so no write can be told from another")
        return written

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove objects; missing ones are fine. Returns the number of requests."""
        step = _PAGE if self._bulk else 1
        for first in range(0, len(keys), step):
            await self._delete_some(keys[first : first + step])
        return -(-len(keys) // step)

    async def _delete_some(self, keys: Sequence[str]) -> None:
        asked = self._asked("delete", keys[0])
        try:
            await obstore.delete_async(self._reader, [self._prefix + key for key in keys])
        except FAILURES as error:
            # Some stores (Google's, Azure's) say 404 where S3 says nothing.
            if not isinstance(error, FileNotFoundError) or "NoSuchBucket" in str(error) or len(keys) > 1:
                raise translate(error, asked) from error

    def _asked(self, action: str, key: str) -> Asked:
        if was_forked():
            # obstore's threads stay behind in the parent, and a request here would wait for ever.
            raise StoreTrouble(
                f"{self._url}: this process was forked from one that had used a store; "
                "start workers with the spawn or forkserver method"
            )
        place = f"{self._url}/{key}" if key else self._url
        return Asked(action=action, place=place, store=self._url, credentials=self._credentials)

    def _entry(self, meta: ObjectMeta) -> Entry:
        return Entry(
            key=meta["path"].removeprefix(self._prefix),
            size=meta["size"],
            etag=self._etag(meta["e_tag"], meta["version"]),
            modified=meta["last_modified"],
        )

    def _etag(self, etag: str | None, version: str | None) -> str | None:
        return f"{etag}#{version}" if self._versioned and etag and version else etag

    def _version(self, etag: str) -> UpdateVersion:
        # obstore 0.12 raises TypeError on a version of None, so the key is left out.
        plain, mark, version = etag.partition("#")
        return {"e_tag": plain, "version": version} if self._versioned and mark else {"e_tag": etag}


def _options(request: Get) -> GetOptions | None:
    options: dict[str, Any] = {}
    if request.stop is not None:
        options["range"] = (request.start or 0, request.stop)
    elif request.start:
        options["range"] = {"offset": request.start}
    if request.etag is not None:
        options["if_match"] = request.etag.partition("#")[0]
    if request.unless_etag is not None:
        options["if_none_match"] = request.unless_etag.partition("#")[0]
    return options or None  # type: ignore[return-value] # a TypedDict, built key by key


def _check_length(request: Get, got: int, size: int, asked: Asked) -> None:
    """Raise unless all the bytes of the range have arrived."""
    start = request.start or 0
    wanted = (size if request.stop is None else request.stop) - start
    if got == wanted:
        return
    if start + wanted <= size:
        raise Transient(f"{got} of {wanted} bytes arrived")
    raise DamagedData(
        f"{asked.place}: has {size} bytes where bytes {start} to {start + wanted} were wanted; "
        "restore it or ingest its source again"
    )
