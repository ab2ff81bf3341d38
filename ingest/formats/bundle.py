"""Several files read as one: a table of their names and sizes, and then their bytes one after the other.

A recording may lie in several files, one for each channel, or samples beside a header. Whoever plans joins
them (`ingest.gather`), and from then on they are one source with one size and one hash. Readers of such
formats ask `parts_of` for the files, and get the file itself where there is just one.
"""

from __future__ import annotations

import io
import json
import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO, cast

from archive.errors import FormatError
from ingest.formats.edge import name_of, read_exactly, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Joined", "is_bundle", "parts_of", "table_of"]

_TAG = b"lightkeep: several files as one\n"
_LENGTH = struct.Struct("<I")
_MOST_OPEN = 32  # files


def table_of(members: Sequence[tuple[str, int]]) -> bytes:
    """Return the bytes that stand before those of the files.

    Parameters
    ----------
    members
        Name and size of each file.
    """
    table = json.dumps([list(member) for member in members]).encode()
    return _TAG + _LENGTH.pack(len(table)) + table


def is_bundle(file: BinaryIO) -> bool:
    """Return whether a file is several read as one."""
    file.seek(0)
    return file.read(len(_TAG)) == _TAG


def parts_of(file: BinaryIO) -> tuple[BinaryIO, ...]:
    """Return the files that a bundle is made of; the file itself if it is none.

    Raises
    ------
    FormatError
        The table does not fit the bytes that follow.
    """
    if not is_bundle(file):
        return (file,)
    start = len(_TAG) + _LENGTH.size
    (length,) = _LENGTH.unpack(read_exactly(file, len(_TAG), _LENGTH.size))
    members = json.loads(read_exactly(file, start, min(length, size_of(file))))
    offset = start + length
    parts: list[BinaryIO] = []
    for name, size in members:
        if not isinstance(name, str) or type(size) is not int or size < 0:
            raise FormatError(f"{name_of(file)}: its table of files is damaged; set it aside")
        parts.append(cast("BinaryIO", _Part(file, name, offset, size)))
        offset += size
    if offset != size_of(file) or not parts:
        raise FormatError(f"{name_of(file)}: its files end at byte {offset}, it at {size_of(file)}; set it aside")
    return tuple(parts)


class _Part(io.RawIOBase):
    """One file of a bundle, by its place in it."""

    def __init__(self, file: BinaryIO, name: str, offset: int, size: int) -> None:
        super().__init__()
        self.name = name
        self._file, self._offset, self._size, self._at = file, offset, size, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return as many bytes as asked for, fewer only where the file ends."""
        rest = max(self._size - self._at, 0)
        wanted = rest if size is None or size < 0 else min(size, rest)
        self._file.seek(self._offset + self._at)
        data = self._file.read(wanted)
        self._at += len(data)
        return data


class Joined(io.RawIOBase):
    """Files that lie apart, as the one bundle that `parts_of` takes apart again.

    Parameters
    ----------
    members
        Name, size, and what opens each file.
    name
        What to call it in a message.
    """

    def __init__(self, members: Sequence[tuple[str, int, Callable[[], BinaryIO]]], name: str) -> None:
        super().__init__()
        self.name = name
        self._table = table_of([(name, size) for name, size, _ in members])
        self._openers = [opener for _, _, opener in members]
        self._starts = [len(self._table)]
        for _, size, _ in members:
            self._starts.append(self._starts[-1] + size)
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it."""
        self._at = offset + (0, self._at, self._starts[-1])[whence]
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return as many bytes as asked for, fewer only at the end."""
        rest = max(self._starts[-1] - self._at, 0)
        stop = self._at + (rest if size is None or size < 0 else min(size, rest))
        parts = [self._table[self._at : stop]]
        for number, (start, end) in enumerate(zip(self._starts, self._starts[1:], strict=False)):
            begin, until = max(start, self._at), min(end, stop)
            if begin < until:
                member = self._member(number)
                member.seek(begin - start)
                parts.append(member.read(until - begin))
        data = b"".join(parts)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close every file."""
        for member in self._open.values():
            member.close()
        self._open.clear()
        super().close()

    def _member(self, number: int) -> BinaryIO:
        member = self._open.pop(number, None) or self._openers[number]()
        self._open[number] = member
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return member
