"""Requests with bounded concurrency, repeats and counters; runs inside the loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING

from archive.errors import AccessDenied, Conflict, InvalidInput, NotFound, ReadOnlyStore, StoreTrouble
from archive.store.backend import Transient
from archive.store.keys import check_key, check_new_key, check_prefix
from archive.store.patience import Patience
from archive.store.values import Counts, Entry, Get, List, Object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from archive.store.backend import Backend
    from archive.store.patience import Limits
    from archive.store.values import Buffer

__all__ = ["Engine"]

# Above this, what a write met is first compared by its size.
_SMALL = 1 << 20
# How often a conditional write that met nothing at all is sent again (S3 says 409 while another
# conditional write or a delete of the same key is under way).
_PUZZLES = 5


class Engine:
    """One store at work.

    Parameters
    ----------
    backend
        The store.
    limits
        When to give up.
    width
        Requests in flight at once.
    url
        For messages, without secrets.
    """

    def __init__(self, *, backend: Backend, limits: Limits, width: int, url: str) -> None:
        self.backend = backend
        self._limits = limits
        self.width = width
        self._gate = asyncio.Semaphore(width)
        self._url = url
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Counts:
        """What was asked so far."""
        return Counts(**self._counts)

    async def answer(self, request: Get | List) -> Object | list[Entry] | None:
        """Return what one request of a wave gives."""
        return await (self.get(request) if isinstance(request, Get) else self.entries(request))

    async def get(self, request: Get) -> Object | None:
        """Return the object or range, or `None` if it still has the ETag `unless_etag`."""
        check_key(request.key)
        start, stop = request.start or 0, request.stop
        if start < 0 or (stop is not None and stop <= start):
            raise InvalidInput(f"{request.key}: no range of bytes: {start} to {stop}; start at 0, end after the start")
        found = await self._repeat("gets", request.key, lambda _: self.backend.get(request))
        if found is not None:
            self._counts["bytes_read"] += memoryview(found.data).nbytes
        return found

    async def head(self, key: str) -> Entry:
        """Return what the store knows of the object."""
        check_key(key)
        return await self._repeat("heads", key, lambda _: self.backend.head(key))

    async def entries(self, request: List) -> list[Entry]:
        """Return the entries of a folder, sorted by key."""
        if not self.backend.can_list:
            raise AccessDenied(f"{self._url}: this store cannot be listed; read what its index names")
        wanted = List(check_prefix(request.prefix), request.limit)
        found = await self._repeat("lists", wanted.prefix, lambda _: self._list(wanted))
        found.sort(key=lambda entry: entry.key)
        return found[: wanted.limit]

    async def _list(self, wanted: List) -> list[Entry]:
        # After a failure it begins anew: SeaweedFS 4.48 loses keys where a listing is to start
        # after one (start-after=b-c leaves out b/c, which sorts behind it).
        found: list[Entry] = []
        pages = 0
        async with aclosing(self.backend.pages(wanted)) as listing:
            async for page in listing:
                # The repeat counts the first page as its request.
                self._counts["lists"] += 1 if pages else 0
                pages += 1
                found.extend(page)
                if wanted.limit is not None and len(found) >= wanted.limit:
                    break
        return found

    async def create(self, key: str, data: Buffer) -> str:
        """Write an object that must not exist yet; return its ETag."""
        return await self._write(key, data, None)

    async def swap(self, key: str, data: Buffer, etag: str | None) -> str:
        """Replace the object if it still has `etag`; return the new one."""
        return await self._write(key, data, etag)

    async def _write(self, key: str, data: Buffer, etag: str | None) -> str:
        check_new_key(key)
        self._check_writable()
        for _ in range(_PUZZLES):
            try:
                return await self._put(key, data, etag)
            except Conflict as conflict:
                # The answer to an earlier try may have been lost: it may be our own write.
                settled = await self._settle(key, data, etag, conflict)
            if settled is not None:
                return settled
            await asyncio.sleep(self._limits.stall_seconds / 200)
        raise StoreTrouble(
            f"{self._url}/{key}: the store refuses a conditional write though its condition holds "
            f"({_PUZZLES} tries); try again later"
        )

    async def _put(self, key: str, data: Buffer, etag: str | None) -> str:
        size = memoryview(data).nbytes

        def send(retry: int) -> Awaitable[str]:
            self._counts["bytes_written"] += size
            return self.backend.put(key, data, etag, self._limits.seconds_for_put(size, retry))

        return await self._repeat("puts", key, send)

    async def _settle(self, key: str, data: Buffer, etag: str | None, conflict: Conflict) -> str | None:
        """Return the ETag of our own write, or `None` if the condition holds after all."""
        size = memoryview(data).nbytes
        try:
            entry = await self.head(key) if size > _SMALL else None
            there = None if entry is not None and entry.size != size else await self.get(Get(key))
        except NotFound:
            if etag is None:
                return None
            raise Conflict(f"{self._url}/{key}: another writer has removed it meanwhile; read it again") from conflict
        if there is not None and there.etag is not None and memoryview(there.data) == memoryview(data).cast("B"):
            return there.etag
        if etag is not None and there is not None and there.etag == etag:
            return None
        what = "another object of this name exists already" if etag is None else "another writer has changed it"
        raise Conflict(f"{self._url}/{key}: {what}; read it again and decide anew") from conflict

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; missing ones are fine."""
        for key in keys:
            check_key(key)
        if not keys:
            return
        self._check_writable()
        requests = await self._repeat("deletes", keys[0], lambda _: self.backend.delete(keys))
        self._counts["deletes"] += requests - 1

    def _check_writable(self) -> None:
        if not self.backend.writable:
            raise ReadOnlyStore(
                f"{self._url}: this kind of store can only be read: it has no conditional writes; "
                "write to s3://, gs://, az:// or a folder"
            )

    async def _repeat[T](self, kind: str, key: str, send: Callable[[int], Awaitable[T]]) -> T:
        """Return what `send` returns, repeated while its failures may pass."""
        patience = Patience(self._limits)
        while True:
            try:
                async with self._gate:
                    self._counts[kind] += 1
                    return await send(patience.retries)
            except Transient as failure:
                pause = patience.pause(failure)
                if pause is None:
                    raise self._given_up(kind, key, patience, failure) from failure
            self._counts["retries"] += 1
            await asyncio.sleep(pause)

    def _given_up(self, kind: str, key: str, patience: Patience, failure: Transient) -> StoreTrouble:
        unsure = "; whether it was written is not known" if kind == "puts" else ""
        return StoreTrouble(
            f"{self._url}/{key}: given up after {patience.retries + 1} tries to {_VERBS[kind]} it, "
            f"the last failed with: {failure}{unsure}; check the network and the endpoint, then try again"
        )


_VERBS = {"gets": "read", "puts": "write", "lists": "list", "heads": "look at", "deletes": "delete"}
