"""The edge between readers and the libraries and files that they use: one kind of error comes out."""

from __future__ import annotations

import functools
import io
import struct
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Concatenate, cast
from weakref import WeakKeyDictionary

from archive.errors import FormatError, LightkeepError, MissingExtra, StoreTrouble

if TYPE_CHECKING:
    from collections.abc import Buffer, Callable, Iterator

__all__ = [
    "Watched",
    "at_edge",
    "header_wanted",
    "library",
    "name_of",
    "read_exactly",
    "remembered",
    "size_of",
    "without_header",
]

# What h5py, NumPy, struct and Python itself were seen to raise on damaged files.
_LIBRARY_ERRORS = (
    ArithmeticError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
    struct.error,
)

_header_wanted: ContextVar[bool] = ContextVar("_header_wanted", default=True)
_FARTHEST = (1 << 63) - 1
_known: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def at_edge[**P, R](function: Callable[Concatenate[BinaryIO, P], R]) -> Callable[Concatenate[BinaryIO, P], R]:
    """Return the function with every library error made a `FormatError`.

    What the file itself raises while it is read (a lost connection, a refused permission) says nothing
    about its content and becomes `StoreTrouble` instead, so that nobody sets a good file aside for it.
    """

    @functools.wraps(function)
    def guarded(file: BinaryIO, /, *args: P.args, **kwargs: P.kwargs) -> R:
        watched = file if isinstance(file, Watched) else Watched(file)
        try:
            return function(cast("BinaryIO", watched), *args, **kwargs)
        except LightkeepError:
            raise
        except _LIBRARY_ERRORS as error:
            where = watched.name
            if watched.trouble is not None:
                # Its frames hold memory of HDF5, which must not be let go of after that.
                cause, watched.trouble = watched.trouble.with_traceback(None), None
                raise StoreTrouble(f"{where}: reading failed: {cause}") from cause
            kind = function.__module__.rpartition(".")[2]
            what = str(error) or type(error).__name__
            message = f"{where}: damaged, or not of the format {kind}: {what}; set it aside"
            raise FormatError(message) from error

    return guarded


@contextmanager
def without_header() -> Iterator[None]:
    """Let `describe` leave out the verbatim header where that takes long: whoever only plans does not keep it."""
    token = _header_wanted.set(False)
    try:
        yield
    finally:
        _header_wanted.reset(token)


def header_wanted() -> bool:
    """Return whether `describe` is to give the verbatim header."""
    return _header_wanted.get()


def library(name: str, what: str) -> Any:
    """Return a library that a format needs, imported now.

    Parameters
    ----------
    name
        Its module.
    what
        The format, as people say it.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra(f"{what} needs {name}, which is not installed; pip install 'lightkeep[ingest]'") from error


def name_of(file: BinaryIO) -> str:
    """Return what to call a file in a message."""
    for attribute in ("full_name", "path", "name"):
        name = getattr(file, attribute, None)
        if isinstance(name, str) and name:
            return name
    return "the file"


def size_of(file: BinaryIO) -> int:
    """Return the size of a file in bytes."""
    return file.seek(0, io.SEEK_END)


def read_exactly(file: BinaryIO, offset: int, count: int) -> bytes:
    """Return `count` bytes from `offset`.

    Raises
    ------
    FormatError
        The file ends before.
    """
    file.seek(offset)
    data = file.read(count)
    if len(data) != count:
        ends = f"the file ends at byte {offset + len(data)}, {offset + count} are needed"
        raise FormatError(f"{name_of(file)}: {ends}; it is cut, fetch it again")
    return data


def remembered[T](file: BinaryIO, make: Callable[[BinaryIO], T]) -> T:
    """Return what a function says of a file, found out once for as long as somebody holds the file open.

    Without it, a file of a thousand blocks would have its headers read a thousand times.

    Parameters
    ----------
    make
        A function of a module, whose result does not hold the file itself.
    """
    held = _known.setdefault(file.base if isinstance(file, Watched) else file, {})
    if make not in held:
        held[make] = make(file)
    return cast("T", held[make])


class Watched(io.RawIOBase):
    """A file that remembers the error that it raised, whose reads are never short and never beyond its end.

    Parameters
    ----------
    file
        Any seekable binary file; it is not closed with this one, and is known as its `base`.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.base = file
        self.name = name_of(file)
        self.trouble: Exception | None = None
        self.size = self._guard(file.seek, 0, io.SEEK_END)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the file."""
        return self.base.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position and return it."""
        if whence == io.SEEK_END:
            return self._guard(self.base.seek, self.size + offset)
        if whence == io.SEEK_SET and not 0 <= offset <= _FARTHEST:
            raise ValueError(f"the file points to byte {offset} of itself, but has {self.size}")
        return self._guard(self.base.seek, offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return as many bytes as asked for, fewer only where the file ends."""
        rest = max(self.size - self.tell(), 0)
        wanted = rest if size is None or size < 0 else min(size, rest)
        parts = []
        while wanted:
            part = self._guard(self.base.read, wanted)
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer and return how many bytes there were."""
        view = memoryview(buffer).cast("B")
        reader = getattr(self.base, "readinto", None)
        if reader is None:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)
        done = 0
        while done < len(view):
            count = self._guard(reader, view[done:])
            if not count:
                break
            done += count
        return done

    def _guard[**P, R](self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            self.trouble = error
            raise
