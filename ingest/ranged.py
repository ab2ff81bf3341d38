"""A remote raw file, read in the ranges that its reader asks for.

File objects of fsspec fetch blocks of up to 50 MB ahead of every read, and keep one: a header that lies at both ends
of a file costs more than the whole file. Here small reads fetch small blocks, ahead by as much again only while
they follow each other, and large reads fetch what is asked for, in pieces at once.
"""

from __future__ import annotations

import gc
import io
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from archive.errors import SourceChanged
from ingest.filesystems import asking

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterator

__all__ = ["RangedFile", "collector_at_rest"]

_BLOCK = 1 << 15
_MOST_AHEAD = 1 << 23
_PIECE = 1 << 23  # of a large read
_KEPT = 1 << 26  # bytes of blocks
_COLLECTED_EVERY, _ALL_EVERY = 64, 1024  # files, while the collector rests: what is young, and everything


class _Resting:
    """How many remote files are open, and whether the collector ran by itself before."""

    lock = threading.Lock()
    files = closed = 0
    enabled = False


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep Python's garbage collector from running by itself in the block, in any thread.

    HDF5 holds h5py's lock while it reads through a Python file, and a remote read waits for fsspec's event loop. If the
    collector runs in the loop's thread and meets an object of h5py, that thread waits for the lock: for ever. Here it
    runs in the thread of one who has just closed a file, and holds no lock.
    """
    with _Resting.lock:
        if not _Resting.files:
            _Resting.enabled = gc.isenabled()
            gc.disable()
        _Resting.files += 1
    try:
        yield
    finally:
        with _Resting.lock:
            _Resting.files -= 1
            _Resting.closed += 1
            due = _Resting.enabled and _Resting.closed % _COLLECTED_EVERY == 0
            all_of_it = _Resting.closed % _ALL_EVERY == 0
            if not _Resting.files and _Resting.enabled:
                gc.enable()
        if due:
            gc.collect(2 if all_of_it else 1)


class RangedFile(io.RawIOBase):
    """A file in a remote place, read-only; not safe for threads, like any file object.

    Parameters
    ----------
    files, path
        fsspec's file system, and the file in it.
    size
        Of the file, bytes.
    url
        What to call it.

    Attributes
    ----------
    name
        The URL.
    """

    def __init__(self, files: Any, path: str, size: int, url: str) -> None:
        super().__init__()
        self._files, self._path, self._size, self.name = files, path, size, url
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next = -1  # the block after those last fetched
        self._ahead = _BLOCK

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any part of it can be read."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it."""
        self._at = max(offset + (0, self._at, self._size)[whence], 0)
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer up to the end of the file, and return how many bytes there were.

        Raises
        ------
        AccessDenied
            The file may not be read.
        SourceChanged
            It is gone, or shorter than it was.
        """
        view = memoryview(buffer).cast("B")
        part = self._range(self._at, min(self._at + len(view), self._size))
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, all without a number."""
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        part = self._range(self._at, stop)
        self._at += len(part)
        return part

    def readall(self) -> bytes:
        """Return all bytes from here to the end."""
        return self.read()

    def _range(self, start: int, stop: int) -> bytes:
        if stop <= start:
            return b""
        if stop - start > _BLOCK:
            return self._fetch([(at, min(at + _PIECE, stop)) for at in range(start, stop, _PIECE)])
        first, last = start // _BLOCK, (stop - 1) // _BLOCK
        for number in range(first, last + 1):
            if number not in self._blocks:
                self._load(number)
        held = b"".join(self._blocks[number] for number in range(first, last + 1))
        for number in range(first, last + 1):
            self._blocks.move_to_end(number)
        return held[start - first * _BLOCK : stop - first * _BLOCK]

    def _load(self, number: int) -> None:
        """Fetch a block, and more after it the longer reads go on from block to block."""
        self._ahead = min(self._ahead * 2, _MOST_AHEAD) if number == self._next else _BLOCK
        start, stop = number * _BLOCK, min(number * _BLOCK + self._ahead, self._size)
        found = self._fetch([(start, stop)])
        for offset in range(0, len(found), _BLOCK):
            self._blocks[number + offset // _BLOCK] = found[offset : offset + _BLOCK]
        self._next = number + -(-len(found) // _BLOCK)
        while len(self._blocks) * _BLOCK > _KEPT:
            self._blocks.popitem(last=False)

    def _fetch(self, ranges: list[tuple[int, int]]) -> bytes:
        starts, stops = ([one[end] for one in ranges] for end in (0, 1))
        try:
            with asking(self.name, "broke off while it was read", "read"):
                parts = self._files.cat_ranges([self._path] * len(ranges), starts, stops, on_error="return")
                for part in parts:
                    if isinstance(part, BaseException):
                        raise part
        except FileNotFoundError as error:
            raise SourceChanged(f"{self.name}: gone while it was read") from error
        return b"".join(self._cut(part, start, stop) for part, (start, stop) in zip(parts, ranges, strict=True))

    def _cut(self, part: bytes, start: int, stop: int) -> bytes:
        if len(part) == self._size:  # servers may give the whole file instead of a range
            part = part[start:stop]
        if len(part) != stop - start:
            raise SourceChanged(f"{self.name}: changed while it was read; ingest it again once it is finished")
        return part
