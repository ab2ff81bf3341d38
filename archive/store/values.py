"""What is asked of a store and what comes back, as frozen values."""

from __future__ import annotations

from collections.abc import Buffer
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Buffer", "Counts", "Entry", "Get", "List", "Object"]


@dataclass(frozen=True, slots=True)
class Get:
    """One GET: a whole object or one range of it, which is always one request.

    Parameters
    ----------
    key
        The object, relative to the store's prefix.
    start, stop
        Half-open range in bytes; `None` means from the first, or to the last byte.
    etag
        Answer only if the object still has this ETag (If-Match), else `Conflict`.
    unless_etag
        Answer `None` if the object still has this ETag (If-None-Match).
    """

    key: str
    start: int | None = None
    stop: int | None = None
    etag: str | None = None
    unless_etag: str | None = None


@dataclass(frozen=True, slots=True)
class List:
    """One listing of a folder and all below it, sorted by key.

    Parameters
    ----------
    prefix
        A folder, with or without the last slash; empty for everything.
    limit
        At most so many entries, so that the first page (1 000 keys) answers.
    """

    prefix: str
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a store knows of an object without reading it.

    Parameters
    ----------
    key
        The object, relative to the store's prefix.
    size
        Bytes.
    etag
        The store's own mark of this version; no checksum, and other in every other store.
    modified
        When it was written, by the store's clock, in UTC.
    """

    key: str
    size: int
    etag: str | None
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object, or the range of it that was asked for.

    Parameters
    ----------
    key
        The object, relative to the store's prefix.
    data
        The bytes that were asked for; never copied on the way.
    size
        Bytes of the whole object, whatever the range.
    etag
        The store's own mark of this version.
    modified
        When it was written, by the store's clock, in UTC.
    """

    key: str
    data: Buffer
    size: int
    etag: str | None
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests as they went over the wire, retries included, and bytes of object bodies.

    Parameters
    ----------
    gets, puts, lists, heads, deletes
        Requests of each kind; a listing counts its pages.
    retries
        How many of them were repeats after a failure.
    bytes_read, bytes_written
        Bytes of bodies that arrived whole, or were sent.
    """

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
        """Requests of all kinds."""
        return self.gets + self.puts + self.lists + self.heads + self.deletes

    def copy(self) -> Counts:
        """Return the counts as they stand now, which never change."""
        return self

    def __sub__(self, earlier: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) - getattr(earlier, name) for name in self.__slots__})
