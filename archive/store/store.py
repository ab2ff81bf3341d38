"""The face of every store: waves of requests, conditional writes that know their own, bounded retries."""

from __future__ import annotations

import asyncio
import queue
import random
import time
from typing import TYPE_CHECKING, Any, cast

from archive.errors import AccessDenied, Conflict, InvalidInput, NotFound, ReadOnlyStore, StoreTrouble, UnsafeStore
from archive.store.credentials import Place, backend_of, place_of
from archive.store.loop import run, submit
from archive.store.requests import Counts, Entry, Get, List, Object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Buffer, Callable, Generator, Iterable, Mapping, Sequence

    from archive.store.requests import Backend

__all__ = ["Store", "open_store"]

_IN_FLIGHT = 48
_FINAL = (AccessDenied, ReadOnlyStore, UnsafeStore)


def open_store(url: str, *, storage_options: Mapping[str, Any] | None = None) -> Store:
    """Return the store at a URL; nothing is asked of it yet.

    Parameters
    ----------
    url
        `s3://bucket/prefix`, `gs://`, `az://`, `https://`, `memory://NAME`, a path or `file://`; anything
        else that fsspec knows can be read.
    storage_options
        `endpoint_url`, `region`, `profile`, `anonymous`, `key`, `secret`, `token` (credentials come from
        the environment without), `stall_seconds` (20), `max_retries` (8), `retry_seconds` (120),
        `requests_in_flight` (48).

    Raises
    ------
    InvalidInput
        The URL or an option cannot be understood.
    """
    place, secrets = place_of(str(url), dict(storage_options or {}))
    return Store(place, secrets)


class Store:
    """An archive's prefix in an object store, or its folder. Keys are relative to it.

    Requests run on the process's one event loop, a bounded number at a time; passing trouble is tried
    again with growing pauses. A conditional write whose answer was lost is settled by reading back.
    """

    def __init__(self, place: Place, secrets: Mapping[str, Any] | None = None) -> None:
        self._place = place
        self._backend: Backend = backend_of(place, secrets or {})
        self.counts = Counts()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gates: dict[str, asyncio.Semaphore] = {}
        options = place.options
        self._retries = int(options.get("max_retries", 8))
        self._seconds = float(options.get("retry_seconds", 120))

    def __reduce__(self) -> tuple[type[Store], tuple[Place]]:
        return Store, (self._place,)

    def __repr__(self) -> str:
        return f"Store({self.url!r}, credentials={self._place.credentials!r})"

    @property
    def url(self) -> str:
        """Where it is, without anything secret."""
        return self._place.url

    @property
    def writable(self) -> bool:
        """Whether it has the conditional writes that an archive needs."""
        return self._backend.writable

    @property
    def travels(self) -> bool:
        """Whether another process can use it: not if it lives in memory, or its keys were given as literals."""
        return not self._place.home and self._place.credentials != "given"

    @property
    def can_list(self) -> bool:
        """Whether it can tell which objects there are."""
        return self._backend.can_list

    # -- reading --------------------------------------------------------------------------------

    def get(self, key: str) -> Object:
        """Return an object whole.

        Raises
        ------
        NotFound
            There is none of this key.
        """
        return cast("Object", self.wave([Get(key)])[0])

    def head(self, key: str) -> Entry:
        """Return what a listing would say of an object."""
        return run(self._try("heads", lambda: self._backend.head(_checked(key))))

    def entries(self, prefix: str, limit: int | None = None) -> Sequence[Entry]:
        """Return the objects under a prefix, sorted by key; with `limit`, no more than one page."""
        return cast("Sequence[Entry]", self.wave([List(prefix, limit)])[0])

    def wave(self, requests: Sequence[Get | List], *, return_errors: bool = False) -> list[Any]:
        """Return the answers to requests made all at once, in order.

        An answer is an `Object`, `None` for what has not changed, or entries for a `List`; with
        `return_errors`, a request that failed is answered by its error.
        """

        async def gather() -> list[Any]:
            return await asyncio.gather(*map(self._answer, requests), return_exceptions=True)

        replies = run(gather())
        if not return_errors:
            for reply in replies:
                if isinstance(reply, BaseException):
                    raise reply
        return replies

    def stream(self, requests: Iterable[Get], *, return_errors: bool = False) -> Generator[tuple[int, Any], None, None]:
        """Yield the number of each request and its answer as they come; closing it cancels the rest."""
        replies: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()

        async def fetch(number: int, request: Get) -> None:
            try:
                replies.put((number, await self._answer(request)))
            except Exception as error:  # noqa: BLE001 - handed to the caller as it is
                replies.put((number, error))

        async def gather(numbered: list[tuple[int, Get]]) -> None:
            await asyncio.gather(*(fetch(number, request) for number, request in numbered))

        numbered = list(enumerate(requests))
        future = submit(gather(numbered))
        try:
            for _ in numbered:
                number, reply = replies.get()
                if isinstance(reply, BaseException) and not return_errors:
                    raise reply
                yield number, reply
        finally:
            future.cancel()

    async def _answer(self, request: Get | List) -> Any:
        if isinstance(request, List):
            found = await self._try("lists", lambda: self._backend.entries(request))
            self.counts.lists += max(len(found) - 1, 0) // 1000  # further pages
            return found
        _checked(request.key)
        found_object = await self._try("gets", lambda: self._backend.get(request))
        if found_object is not None:
            self.counts.bytes_read += memoryview(found_object.data).nbytes
        return found_object

    # -- writing --------------------------------------------------------------------------------

    def create(self, key: str, data: Buffer) -> str:
        """Write an object that must not be there yet, and return its etag.

        Raises
        ------
        Conflict
            Another object has this key.
        """
        return run(self._put(key, data, ""))

    def create_many(self, objects: Sequence[tuple[str, Buffer]]) -> list[str]:
        """Write several objects at once, none of which must be there yet, and return their etags."""

        async def gather() -> list[str]:
            return await asyncio.gather(*(self._put(key, data, "") for key, data in objects))

        return run(gather())

    def swap(self, key: str, data: Buffer, etag: str | None) -> str:
        """Replace an object if it is still the one with this etag (`None`: not there), and return the new etag.

        Raises
        ------
        Conflict
            It is another one by now.
        """
        return run(self._put(key, data, etag or ""))

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is missing is fine."""

        async def gather() -> None:
            await asyncio.gather(*(self._try("deletes", lambda key=key: self._backend.delete([key])) for key in keys))  # type: ignore[misc]

        run(gather())

    async def _put(self, key: str, data: Buffer, etag: str) -> str:
        """Write conditionally; an answer that may be due to our own earlier try is settled by reading back."""
        _checked(key)
        if not self.writable:
            raise ReadOnlyStore(f"{self.url}: this kind of store has no conditional writes, so Lightkeep only reads it")

        async def once() -> str:
            try:
                written = await self._backend.put(key, data, etag)
            except Conflict:
                return await self._settle(key, data, etag)
            self.counts.bytes_written += memoryview(data).nbytes
            return written

        return await self._try("puts", once)

    async def _settle(self, key: str, data: Buffer, etag: str) -> str:
        """Return the etag of an object that is ours after all; else raise `Conflict`, or say: try again."""
        try:
            found = await self._try("gets", lambda: self._backend.get(Get(key)))
        except NotFound:
            if etag:
                raise Conflict(f"{key}: is no longer there to be replaced") from None
            raise StoreTrouble(f"{key}: the store says that it exists, and then that it does not") from None
        if found is not None and memoryview(found.data) == memoryview(data) and found.etag is not None:
            return found.etag
        raise Conflict(f"{key}: another writer was first")

    # -- trying ---------------------------------------------------------------------------------

    async def _try[T](self, kind: str, call: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to a call, tried again on passing trouble within the limits."""
        started = time.monotonic()
        tries = 0
        while True:
            setattr(self.counts, kind, getattr(self.counts, kind) + 1)
            try:
                if kind == "puts":  # a put reads back within itself, and must not hold two places
                    async with self._gate("puts"):
                        return await call()
                async with self._gate("gets"):
                    return await call()
            except _FINAL:
                raise
            except StoreTrouble as error:
                tries += 1
                pause = min(0.1 * 2**tries, 5.0) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
                spent = time.monotonic() - started
                if tries > self._retries or spent + pause > self._seconds:
                    raise StoreTrouble(
                        f"{error}; gave up after {tries} tries in {spent:.0f} s, try again later"
                    ) from error
                self.counts.retries += 1
                await asyncio.sleep(pause)

    def _gate(self, kind: str) -> asyncio.Semaphore:
        """Return the bound on requests in flight; each loop has its own."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            size = int(self._place.options.get("requests_in_flight", _IN_FLIGHT))
            self._gates = {name: asyncio.Semaphore(size) for name in ("gets", "puts")}
        return self._gates[kind]


def _checked(key: str) -> str:
    """Return a key that stays within the archive.

    Raises
    ------
    InvalidInput
        It has empty segments, `..`, or control characters.
    """
    parts = key.split("/")
    if any(part in {"", ".", ".."} for part in parts) or not key.isprintable() or "\\" in key:
        raise InvalidInput(f"{key!r} cannot be the key of an object")
    return key
