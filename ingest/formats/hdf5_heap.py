"""HDF5's global heaps, looked through before the library reads them.

Texts of varying length lie in them. HDF5 2.0 walks through a heap by the sizes that stand in it, and walks
for ever if the size of the free space is 0: one flipped bit, and the process never comes back.

References
----------
HDF5 File Format Specification 3.0, section III.E (global heap).
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

from archive.errors import FormatError
from ingest.formats.edge import read_exactly, size_of

if TYPE_CHECKING:
    from collections.abc import Buffer

__all__ = ["HeapGuard", "texts_in"]

_SIGNATURE = b"GCOL\x01"  # and the version
_COLLECTION = struct.Struct("<4sB3xQ")  # signature, version, size with this
_OBJECT = struct.Struct("<HH4xQ")  # number, references, size


class HeapGuard(io.RawIOBase):
    """A file that refuses to give a global heap which the library could not walk through.

    Parameters
    ----------
    file
        Any seekable binary file whose reads are never short; it is not closed with this one.

    Attributes
    ----------
    opening
        Whether the library is about to open it. A file that fails to open is never let go of; with the error
        of a failed read it would hold memory of HDF5, and take the process down at its end. So the library gets zeros
        then, which it refuses in good order, and `trouble` says why.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._seen: set[int] = set()
        self.opening = True
        self.trouble: Exception | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position in the file."""
        return self._file.tell()

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer and return how many bytes there were."""
        view = memoryview(buffer).cast("B")
        try:
            return self._read(view)
        except Exception as error:
            if not self.opening:
                raise
            self.trouble = self.trouble or error.with_traceback(None)  # whose frames hold the library's memory
            view[:] = bytes(len(view))
            return len(view)

    def _read(self, view: memoryview) -> int:
        start = self._file.tell()
        count: int = self._file.readinto(view)  # type: ignore[attr-defined]
        if bytes(view[: len(_SIGNATURE)]) == _SIGNATURE and start not in self._seen:
            texts_in(self._file, start)
            self._file.seek(start + count)
            self._seen.add(start)
        return count


def texts_in(file: BinaryIO, start: int) -> dict[int, bytes]:
    """Return the objects of the heap at `start` by their number.

    Raises
    ------
    FormatError
        There is no heap, or its objects do not fill it from one end to the other.
    """
    signature, version, size = _COLLECTION.unpack(read_exactly(file, start, _COLLECTION.size))
    if bytes([*signature, version]) != _SIGNATURE:
        raise FormatError(f"no heap at byte {start}; the file is damaged, set it aside")
    if start + size > size_of(file):
        raise FormatError(f"the heap at byte {start} is larger than the file; it is damaged, set it aside")
    heap = read_exactly(file, start, size)
    at, found = _COLLECTION.size, {}
    while at + _OBJECT.size <= size:
        number, _, length = _OBJECT.unpack_from(heap, at)
        # The free space counts its own header, the objects do not, and are filled up to whole eights.
        step = length if number == 0 else _OBJECT.size + -(-length // 8) * 8
        if step < _OBJECT.size or at + step > size:
            raise FormatError(f"the heap at byte {start} breaks off at {at}; the file is damaged, set it aside")
        if number:
            found[number] = heap[at + _OBJECT.size : at + _OBJECT.size + length]
        at += step
    return found
