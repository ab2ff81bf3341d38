"""What a kind of store must be able to do: one request each, without retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from archive.store.values import Buffer, Entry, Get, List, Object

__all__ = ["Backend", "Transient"]


class Transient(Exception):
    """A request failed in a way that may pass: it is worth another try.

    Whether a write took effect is not known. `hopeless` marks what hardly ever passes
    (a host name that does not resolve): few tries are enough.
    """

    def __init__(self, message: str, *, hopeless: bool = False) -> None:
        super().__init__(message)
        self.hopeless = hopeless


class Backend(Protocol):
    """One kind of store. Every call is one request; failures are Lightkeep's errors or `Transient`."""

    writable: bool
    can_list: bool
    local_clock: bool

    async def get(self, request: Get) -> Object | None:
        """Return the object or range, or `None` if it still has the ETag `unless_etag`."""
        ...

    async def head(self, key: str) -> Entry:
        """Return what the store knows of the object."""
        ...

    def pages(self, request: List) -> AsyncGenerator[list[Entry]]:
        """Yield the pages of a listing, one request each, sorted by key."""
        ...

    async def put(self, key: str, data: Buffer, etag: str | None, seconds: float) -> str:
        """Write `data` if the object has `etag` (or, with `None`, does not exist), else `Conflict`.

        `seconds` bound the whole request.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove objects; missing ones are fine. Returns the number of requests."""
        ...
