"""How a file comes to be, and goes, so that a crash at any moment does no harm."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from archive.store.values import Buffer

__all__ = ["locked", "remove_file", "staged", "sync_folder"]

# A folder can be removed, as empty, between its making and the first file in it.
_TRIES = 100


def _make_folder(folder: Path) -> None:
    """Make `folder` and its parents, each of them durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in `folder` on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def staged(path: Path, data: Buffer) -> Iterator[Path]:
    """Give a hidden file in the folder of `path`, which is made, whose bytes are on the disk; it is gone afterwards."""
    temporary = path.with_name(f".{secrets.token_hex(12)}.part")
    try:
        descriptor = _open_new(temporary)
        try:
            view = memoryview(data).cast("B")
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _open_new(path: Path) -> int:
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            _make_folder(path.parent)
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    raise FileNotFoundError(errno.ENOENT, "its folder is removed again and again", str(path))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path` against every other thread and process of this machine.

    The lock file stays: to remove it would let two holders in, one by the old file and one by the new.
    """
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_file(root: Path, key: str) -> None:
    """Remove a file if it is there, and the folders above it that are empty then."""
    path = root / key
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return
    with suppress(OSError):  # not empty, or another writer is at it
        for folder in path.parents:
            if folder == root:
                break
            folder.rmdir()
