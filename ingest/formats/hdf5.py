"""HDF5 for the readers: opened once, nothing followed out of the file, shapes that the file can hold."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from archive.errors import FormatError, InvalidInput, MissingExtra
from ingest.formats.edge import name_of, size_of
from ingest.formats.hdf5_headers import check_header, root_address, size_of_lengths
from ingest.formats.hdf5_heap import HeapGuard, texts_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "Memory",
    "Ordered",
    "array_in",
    "child",
    "children",
    "first_value",
    "fits",
    "holds",
    "is_held",
    "is_signed",
    "member",
    "memory",
    "native",
    "opened",
    "opened_members",
    "read_ordered",
    "read_window",
    "shared",
    "the_one_block",
]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USUAL_LENGTH = 8  # bytes in which a file writes lengths
_MOST_SHRINKAGE = 1100  # deflate makes 1032 bytes of one at best


@dataclass(slots=True)
class Memory:
    """What was found out about an open file, by the paths of its objects.

    Parameters
    ----------
    file
        The file.
    shared, root
        Whether several `opened` share one `h5py.File`, and that.
    usual
        Whether lengths take eight bytes, as messages are read here.
    objects
        Those opened so far.
    messages
        Of their attributes, `None` where only the library can read them.
    attributes
        Those read so far.
    heaps
        Texts of the global heaps read so far, by the heap's address and their number.
    """

    file: BinaryIO
    shared: bool = False
    root: Any = None
    usual: bool = True
    objects: dict[str, Any] = field(default_factory=dict)
    messages: dict[str, list[bytes] | None] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    heaps: dict[int, dict[int, bytes]] = field(default_factory=dict)

    def look_at(self, address: int, path: str) -> None:
        """Look through an object's header, and keep the messages of its attributes.

        Raises
        ------
        FormatError
            It is damaged.
        """
        found = check_header(self.file, address, path)
        self.messages[path] = found if self.usual else None

    def heap(self, address: int) -> dict[int, bytes]:
        """Return the texts of the global heap at an address, by their number."""
        if address not in self.heaps:
            self.heaps[address] = texts_in(self.file, address)
        return self.heaps[address]


class _Here(threading.local):
    """What this thread remembers.

    No context variable: an event loop keeps copies of them, and where its thread is the last to let go of an object of
    h5py, it waits for the lock that a read through a Python file holds, and that read waits for the loop.
    """

    memory: Memory | None = None


_here = _Here()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Samples in a file, and which of its axes are time and channels."""

    data: Any
    order: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Samples, channels."""
        time, channel = (self.data.shape[axis] for axis in self.order)
        return time, channel


def is_signed(file: BinaryIO) -> bool:
    """Return whether a file begins with HDF5's signature; reads eight bytes.

    References
    ----------
    HDF5 File Format Specification 3.0, section II.A (superblock).
    """
    file.seek(0)
    return file.read(len(_SIGNATURE)) == _SIGNATURE


@contextmanager
def opened(file: BinaryIO) -> Iterator[Any]:
    """Give the file as an `h5py.File`, read-only.

    Raises
    ------
    FormatError
        The file is no HDF5 file.
    """
    known = _here.memory
    if known is not None and known.file is file and known.shared:
        if known.root is None:
            known.root = _open(file)
        yield known.root
        return
    with _remembering(Memory(file)), _open(file) as root:
        yield root


def memory() -> Memory | None:
    """Return what was found out about the open file, `None` where none is open."""
    return _here.memory


def _known(file: BinaryIO) -> Memory:
    """Return what was found out about an open file; forgotten at once where it is not the one that is open."""
    known = _here.memory
    return known if known is not None and known.file is file else Memory(file)


@contextmanager
def shared(file: BinaryIO) -> Iterator[None]:
    """Let every `opened` of this file inside the block share one `h5py.File`."""
    known = Memory(file, shared=True)
    try:
        with _remembering(known):
            yield
    finally:
        if known.root is not None:
            known.root.close()


@contextmanager
def _remembering(known: Memory) -> Iterator[None]:
    before, _here.memory = _here.memory, known
    try:
        yield
    finally:
        _here.memory = before


def _open(file: BinaryIO) -> Any:
    if not is_signed(file):
        raise FormatError(f"{name_of(file)}: does not begin with HDF5's signature; set it aside")
    try:
        import h5py
    except ImportError as error:
        message = "HDF5 needs h5py, which is not installed; pip install 'lightkeep[ingest]'"
        raise MissingExtra(message) from error
    guard = HeapGuard(file)
    try:
        root = h5py.File(guard, "r")
    except Exception:
        if guard.trouble is None:
            raise
        root = None
    guard.opening = False
    trouble, guard.trouble = guard.trouble, None
    if trouble is not None:
        if root is not None:
            root.close()
        raise trouble
    try:
        known = _known(file)
        known.usual = size_of_lengths(file) == _USUAL_LENGTH
        known.look_at(root_address(file), "/")
    except FormatError:
        root.close()
        raise
    return root


def holds(group: Any, name: str) -> bool:
    """Return whether a group has a member of this name; unlike h5py's `in`, this follows no link."""
    return bool(group.id.links.exists(_bytes(name)))


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def child(group: Any, name: str, file: BinaryIO) -> Any | None:
    """Return the member of a group, `None` if there is none.

    Raises
    ------
    FormatError
        The member is a link, which could lead out of the file, or its header is damaged.
    """
    import h5py

    where, known = f"{group.name.rstrip('/')}/{name}", _known(file)
    if where in known.objects:
        return known.objects[where]
    if not holds(group, name):
        return None
    link = group.id.links.get_info(_bytes(name))
    if link.type != h5py.h5l.TYPE_HARD:
        raise FormatError(f"{where} is a link, which is never followed; set the file aside")
    known.look_at(link.u, where)
    known.objects[where] = group[name]
    return known.objects[where]


def member(root: Any, path: str, file: BinaryIO) -> Any | None:
    """Return what lies at a path of several names, `None` where one is missing.

    Raises
    ------
    FormatError
        A part of the path is a link, or its header is damaged.
    """
    import h5py

    found = root
    for name in path.split("/"):
        found = child(found, name, file) if isinstance(found, h5py.Group) else None
    return found


def children(thing: Any, file: BinaryIO) -> Iterator[Any]:
    """Give the groups and datasets in a group, none for a dataset; links are passed over.

    Parameters
    ----------
    thing
        A group or a dataset.
    file
        The file that it lies in.

    Raises
    ------
    FormatError
        The header of one is damaged.
    """
    import h5py

    for name in thing if isinstance(thing, h5py.Group) else ():
        if thing.id.links.get_info(_bytes(name)).type == h5py.h5l.TYPE_HARD:
            yield child(thing, name, file)


def opened_members(group: Any, path: str, file: BinaryIO, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Give path and h5py's low-level object of each group and dataset in a group; links are passed over.

    h5py's own objects cost three times as much, and some headers are hundreds of datasets.

    Parameters
    ----------
    group
        The group's low-level object, at this path.
    file
        The file that it lies in.
    seen
        Addresses of objects that are not given again; those given are added.

    Raises
    ------
    FormatError
        The header of one is damaged.
    """
    import h5py

    links, known = group.links, _known(file)
    for name in list(group):
        link = links.get_info(name)
        if link.type != h5py.h5l.TYPE_HARD or link.u in seen:
            continue
        seen.add(link.u)
        where = f"{path.rstrip('/')}/{name.decode('utf-8', 'surrogateescape')}"
        known.look_at(link.u, where)
        yield where, h5py.h5o.open(group, name)


def array_in(group: Any, name: str, file: BinaryIO) -> Any:
    """Return a dataset of numbers that the file really holds.

    Raises
    ------
    FormatError
        It is missing, no array of numbers, kept outside of the file, or larger than the file can hold.
    """
    import h5py

    array = child(group, name, file)
    where = f"{group.name.rstrip('/')}/{name}"
    if not isinstance(array, h5py.Dataset):
        raise FormatError(f"{where}: no such array in the file; set the file aside")
    if array.dtype.kind not in "iuf":
        raise FormatError(f"{where}: holds {array.dtype}, not numbers; set the file aside")
    if array.is_virtual or array.external:
        raise FormatError(f"{where}: lies in other files, which are never followed; copy them into one")
    if not is_held(array, file):
        found = f"{array.nbytes} bytes of shape {array.shape}"
        raise FormatError(f"{where}: {found}, more than the file can hold; it is cut, fetch it again")
    return array


def is_held(array: Any, file: BinaryIO) -> bool:
    """Return whether a file is large enough to hold a dataset of its own and one of its chunks."""
    return fits(array.id.get_create_plist(), prod(array.id.shape), array.id.dtype.itemsize, file)


def fits(properties: Any, count: int, itemsize: int, file: BinaryIO) -> bool:
    """Return whether a file is large enough for so many values, and for one chunk of them.

    Parameters
    ----------
    properties
        With which the dataset was made.
    count, itemsize
        Number of values, and bytes of each.
    """
    import h5py

    room = size_of(file) * (_MOST_SHRINKAGE if properties.get_nfilters() else 1)
    chunk = properties.get_chunk() if properties.get_layout() == h5py.h5d.CHUNKED else ()
    return bool(count * itemsize <= room and prod(chunk) * itemsize <= room)


def read_window(array: Any, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return a window of a dataset in native byte order, axes as in the file."""
    samples: NDArray[Any] = array[window]
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def read_ordered(array: Any, order: tuple[int, ...], window: tuple[slice, ...]) -> NDArray[Any]:
    """Return a window of a dataset with its axes in another order.

    Parameters
    ----------
    array
        The dataset.
    order
        For each dim wanted the axis of the dataset that it is.
    window
        A range for each dim wanted.
    """
    in_file = tuple(window[order.index(axis)] for axis in range(len(order)))
    return np.ascontiguousarray(read_window(array, in_file).transpose(order))


def the_one_block(block: int) -> None:
    """Raise unless the block asked for is the first, in formats that hold one.

    Raises
    ------
    InvalidInput
        It is another.
    """
    if block != 0:
        raise InvalidInput(f"block {block}: the file holds one, number 0")


def first_value(attributes: dict[str, Any], *names: str) -> Any:
    """Return the value of the first of some names that is there, `None` if none is."""
    return next((attributes[name] for name in names if name in attributes), None)


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a type in native byte order."""
    return np.dtype(dtype).newbyteorder("=")
