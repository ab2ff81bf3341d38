"""The store as the rest of Lightkeep sees it: plain functions over one place."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput
from archive.store import loop, streaming
from archive.store.values import Counts, Entry, Get, List, Object

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from archive.store.engine import Engine
    from archive.store.recipe import Recipe
    from archive.store.values import Buffer

__all__ = ["Store"]


class Store:
    """A place for objects: a prefix in a bucket, a folder, a web folder or memory.

    Made by `open_store`. It may be used from any number of threads, and pickles without secrets:
    the copy takes credentials from the same kind of source, in the environment that it lands in.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._lock = threading.Lock()
        self._made: tuple[int, Engine] | None = None

    def check(self) -> None:
        """Raise now what is wrong with the URL or the options; nothing is asked of the store."""
        _ = self._engine

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return self._recipe.shown

    @property
    def writable(self) -> bool:
        """Whether this kind of store has the conditional writes that an archive needs."""
        return self._engine.backend.writable

    @property
    def can_list(self) -> bool:
        """Whether this kind of store can be listed."""
        return self._engine.backend.can_list

    @property
    def travels(self) -> bool:
        """Whether a copy in another process can use it: not memory, nor one with literal credentials."""
        return self._recipe.travels

    @property
    def counts(self) -> Counts:
        """Requests and bytes since the store was opened in this process."""
        return self._engine.counts

    def get(self, key: str) -> Object:
        """Return the object `key`.

        Raises
        ------
        NotFound
            It is not there.
        AccessDenied, StoreTrouble
            The store refuses, or does not answer within the retry limit.
        """
        return self.get_many([Get(key)])[0]

    def get_if_changed(self, key: str, etag: str | None) -> Object | None:
        """Return the object `key`, or `None` if it still has `etag`."""
        return loop.run(self._engine.get(Get(key, unless_etag=etag)))

    def get_many(self, gets: Sequence[Get]) -> list[Object]:
        """Return objects or ranges, in order, asked for in one wave of one request each.

        Raises
        ------
        NotFound, Conflict, DamagedData
            An object is missing, has another ETag than asked for, or is shorter than its range.
        """
        found = self.wave(gets)
        return [_object(request, answer) for request, answer in zip(gets, found, strict=True)]

    def wave(self, requests: Sequence[Get | List], *, return_errors: bool = False) -> list[Any]:
        """Return the answers to requests that are all sent at once, in their order.

        An answer is an `Object` (or `None`, if it still has `unless_etag`) for a `Get` and a list
        of `Entry` for a `List`.

        Parameters
        ----------
        requests
            What to ask for.
        return_errors
            Put an error in the place of the answer instead of raising the first one.
        """
        return loop.run(streaming.wave(self._engine, requests, return_errors=return_errors))

    def stream(self, gets: Iterable[Get], *, return_errors: bool = False) -> Generator[tuple[int, Any]]:
        """Yield the number of each request and its object as they arrive, one request each.

        So that decoding runs beside the network. Closing the iterator cancels the rest.

        Parameters
        ----------
        gets
            What to ask for.
        return_errors
            Yield an error in the place of the object instead of raising it.
        """
        return streaming.stream(self._engine, list(gets), return_errors=return_errors)

    def head(self, key: str) -> Entry:
        """Return size, ETag and age of the object `key`."""
        return loop.run(self._engine.head(key))

    def entries(self, prefix: str, limit: int | None = None) -> list[Entry]:
        """Return the entries of the folder `prefix` and all below it, sorted by key.

        Parameters
        ----------
        prefix
            A folder; empty for everything.
        limit
            At most so many entries; no more pages are asked for than they need.

        Raises
        ------
        AccessDenied
            The store cannot be listed, or not with these credentials.
        """
        return loop.run(self._engine.entries(List(prefix, limit)))

    def create(self, key: str, data: Buffer) -> str:
        """Write the object `key`, which must not exist; return its ETag.

        To write the very same bytes again is no error, so a lost answer is none either.

        Raises
        ------
        Conflict
            Something else has this name.
        ReadOnlyStore
            This kind of store, or this folder, cannot be written.
        """
        return loop.run(self._engine.create(key, data))

    def create_many(self, objects: Sequence[tuple[str, Buffer]]) -> list[str]:
        """Write objects that must not exist, in parallel; return their ETags."""

        async def all_of_them() -> list[str]:
            engine = self._engine
            return await streaming.gather([asyncio.create_task(engine.create(key, data)) for key, data in objects])

        return loop.run(all_of_them())

    def swap(self, key: str, data: Buffer, etag: str | None) -> str:
        """Replace the object `key` if it still has `etag`; return its new ETag.

        The answer to a write can be lost, so what is there then is compared with `data`: put a
        nonce into it, and equality means that it is this very write.

        Parameters
        ----------
        key, data
            The object.
        etag
            What it must have now; `None` means that it must not exist.

        Raises
        ------
        Conflict
            Another writer was first.
        """
        return loop.run(self._engine.swap(key, data, etag))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; missing ones are fine."""
        loop.run(self._engine.delete(list(keys)))

    def now(self) -> datetime:
        """Return the time by the store's clock, in UTC; it writes and removes a small object."""
        if self._engine.backend.local_clock:
            return datetime.now(UTC)
        key = f"clock/{secrets.token_hex(8)}"
        self.create(key, key.encode())
        try:
            return self.head(key).modified
        finally:
            self.delete([key])

    @property
    def _engine(self) -> Engine:
        made = self._made
        if made is None or made[0] != os.getpid():
            with self._lock:
                made = self._made
                # A fork leaves the parent's loop, and all that hangs on it, behind.
                if made is None or made[0] != os.getpid():
                    self._made = made = (os.getpid(), self._recipe.engine())
        return made[1]

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def __reduce__(self) -> tuple[type[Store], tuple[Recipe]]:
        return Store, (self._recipe.without_secrets(),)


def _object(request: Get, answer: Object | None) -> Object:
    if answer is None:
        raise InvalidInput(f"{request.key}: unchanged; ask for what may be unchanged with get_if_changed or wave")
    return answer
