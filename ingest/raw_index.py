"""What raw files said of themselves, kept beside the user's cache directory for the next time."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["RawIndex", "index_folder"]

_KEPT = 90 * 86400  # seconds that an index stays without being used
_TABLE = "CREATE TABLE IF NOT EXISTS files (url TEXT PRIMARY KEY, size INTEGER, stamp TEXT, said TEXT) WITHOUT ROWID"


def index_folder() -> Path:
    """Return where indexes are kept: `lightkeep/raw` in `XDG_CACHE_HOME`, or in `~/.cache`.

    References
    ----------
    XDG Base Directory Specification 0.8: a relative path in the variable is ignored.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".cache") / "lightkeep" / "raw"


class RawIndex:
    """The index of some places: what each file said, by URL, while its size and stamp stay the same.

    It is only ever a shortcut: where it cannot be kept, or was damaged, files are looked at again.

    Parameters
    ----------
    file
        Where it is kept, `None` for not at all.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, tuple[int, str, str]] = {}
        self._kept = False

    @classmethod
    def of(cls, places: Sequence[str], readers: Any) -> Self:
        """Return the index of some places.

        Parameters
        ----------
        places
            As the user names them, local ones absolute.
        readers
            What decides how files are read, JSON-like: another index is kept for each.
        """
        key = hashlib.sha256(json.dumps([sorted(places), readers], sort_keys=True).encode()).hexdigest()[:32]
        index = cls(index_folder() / f"{key}.sqlite")
        index._load()
        return index

    def said(self, url: str, size: int, stamp: str) -> dict[str, Any] | None:
        """Return what a file said, if it has not changed since."""
        held = self._known.get(url)
        if held is None or held[:2] != (size, stamp):
            return None
        try:
            return dict(json.loads(held[2]))
        except ValueError:
            return None

    def keep(self, news: Mapping[str, tuple[int, str, Mapping[str, Any]]], gone: Iterable[str] = ()) -> None:
        """Keep what some files said (size, stamp, and that), and forget files that are gone."""
        rows = [(url, size, stamp, json.dumps(said)) for url, (size, stamp, said) in news.items()]
        self._known.update({url: (size, stamp, said) for url, size, stamp, said in rows})
        lost = [(url,) for url in gone]
        if self._file is None or not self._kept or not (rows or lost):
            return
        with suppress(sqlite3.Error, OSError), closing(sqlite3.connect(self._file, timeout=5)) as base, base:
            base.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
            base.executemany("DELETE FROM files WHERE url = ?", lost)

    @property
    def urls(self) -> frozenset[str]:
        """The files that it knows."""
        return frozenset(self._known)

    def _load(self) -> None:
        assert self._file is not None  # noqa: S101 - `of` has just named it
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _forget_old(self._file.parent)
            self._read(self._file)
        except sqlite3.OperationalError:
            return  # locked, or may not be written
        except sqlite3.DatabaseError:
            with suppress(OSError, sqlite3.Error):
                self._file.unlink()  # damaged
                self._read(self._file)
        except OSError:
            return

    def _read(self, file: Path) -> None:
        with closing(sqlite3.connect(file, timeout=5)) as base, base:
            base.execute(_TABLE)
            rows = base.execute("SELECT url, size, stamp, said FROM files").fetchall()
        self._known = {url: (size, stamp, said) for url, size, stamp, said in rows}
        self._kept = True
        os.utime(file)


def _forget_old(folder: Path) -> None:
    for file in folder.glob("*.sqlite"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > _KEPT:
                file.unlink()
