"""What is asked of a store and what comes back, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Buffer, Sequence

__all__ = ["Backend", "Counts", "Entry", "Get", "List", "Object"]


@dataclass(frozen=True, slots=True)
class Get:
    """One request for an object, or for bytes `start` to `stop` of it.

    Parameters
    ----------
    key
        Relative to the archive.
    start, stop
        Half-open byte range; `None` for the whole object.
    etag
        Only if the object is still this one (If-Match).
    unless_etag
        Only if the object is no longer this one (If-None-Match); the answer is then `None`.
    """

    key: str
    start: int | None = None
    stop: int | None = None
    etag: str | None = None
    unless_etag: str | None = None


@dataclass(frozen=True, slots=True)
class List:
    """A request for the objects under a prefix, sorted by key; with `limit`, no more than one page."""

    prefix: str
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An object in a listing; `modified` is the store's own clock."""

    key: str
    size: int
    etag: str | None
    modified: dt.datetime


@dataclass(frozen=True, slots=True)
class Object:
    """An object, or the part of it that was asked for; `size` is the whole's."""

    key: str
    data: Buffer
    size: int
    etag: str | None
    modified: dt.datetime | None = None


@dataclass(slots=True)
class Counts:
    """Requests made so far, one for each try, and bytes of bodies."""

    gets: int = 0
    puts: int = 0
    lists: int = 0
    heads: int = 0
    deletes: int = 0
    retries: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def requests(self) -> int:
        """All requests."""
        return self.gets + self.puts + self.lists + self.heads + self.deletes

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) - getattr(other, name) for name in Counts.__slots__))

    def copy(self) -> Counts:
        """Return the counts as they stand now."""
        return self - Counts()


class Backend(Protocol):
    """One kind of store: single requests, tried once, Lightkeep's errors.

    Conditional writes are `put(..., etag=...)`: the tag that must be there now, `""` for nothing there,
    and fail with `Conflict`. Passing trouble is `StoreTrouble`, which the caller tries again.
    """

    writable: bool
    can_list: bool

    async def get(self, request: Get) -> Object | None:
        """Return an object, or `None` where `unless_etag` is still its tag."""
        ...

    async def head(self, key: str) -> Entry:
        """Return what a listing would say of an object."""
        ...

    async def put(self, key: str, data: Buffer, etag: str) -> str:
        """Write an object if the condition holds, and return its new tag."""
        ...

    async def entries(self, request: List) -> Sequence[Entry]:
        """Return the objects under a prefix, sorted by key."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; one that is missing is fine."""
        ...
