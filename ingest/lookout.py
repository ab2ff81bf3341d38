"""Looking out for files that are finished: in folders by the system's notices, at URLs by listing."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from archive.errors import MissingExtra, NotFound
from ingest.sources import Found, look_up, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Lookout", "Settling", "notices"]

_RESCAN_SECONDS = 60.0  # of folders: what the notices miss, as on file systems of other machines
_UNFINISHED = frozenset({".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".writing", ".incomplete"})
# What is written there appears whole or not at all.
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})


@dataclass(slots=True)
class _Waiting:
    found: Found
    since: float


class Settling:
    """Files that may still be written, until their size and stamp have stayed the same for a while.

    Parameters
    ----------
    seconds
        How long; files of object stores, which appear whole, do not wait.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[str, _Waiting] = {}

    def saw(self, found: Found, now: float) -> None:
        """Take note of a file as it is now (s on any clock that only goes on)."""
        if PurePosixPath(found.url).suffix.lower() in _UNFINISHED:
            return
        before = self._waiting.get(found.url)
        if before is None or _state(before.found) != _state(found):
            self._waiting[found.url] = _Waiting(found, now)

    def gone(self, url: str) -> None:
        """Take note that a file is there no more."""
        self._waiting.pop(url, None)

    def settled(self, now: float) -> list[Found]:
        """Return the files that have not changed for long enough, sorted by name; they wait no longer."""
        found = [one.found for one in self._waiting.values() if self._due(one) <= now]
        for one in found:
            del self._waiting[one.url]
        return sorted(found, key=lambda one: one.url)

    def next_due(self) -> float:
        """Return when the next file may have settled."""
        return min((self._due(one) for one in self._waiting.values()), default=float("inf"))

    def _due(self, one: _Waiting) -> float:
        whole = one.found.url.partition("://")[0] in _WHOLE
        return one.since + (0.0 if whole else self._seconds)


def _state(found: Found) -> tuple[int, str]:
    return found.size, found.stamp


class Lookout:
    """Sees what is in places, whole at times and by notices in between.

    Parameters
    ----------
    places
        Local folders, and folders or globs of any kind that fsspec knows.
    options
        For the places, as fsspec takes them.
    poll
        Seconds between listings of what is no local folder.
    """

    def __init__(self, places: Sequence[str], options: Mapping[str, Any] | None, poll: float) -> None:
        self.folders = [Path(place).expanduser().resolve() for place in places if _is_folder(place)]
        self._polled = [place for place in places if not _is_folder(place)]
        self._options, self._poll = options, poll
        self._listed = {"folders": float("-inf"), "polled": float("-inf")}

    def listed(self, now: float) -> list[Found]:
        """Return what lies in the places whose listing is due, if any.

        Raises
        ------
        NotFound
            A folder does not exist.
        StoreTrouble
            A place cannot be listed.
        """
        found: list[Found] = []
        if now - self._listed["folders"] >= _RESCAN_SECONDS:
            self._listed["folders"] = now
            found.extend(scan([str(folder) for folder in self.folders], self._options))
        if now - self._listed["polled"] >= self._poll:
            self._listed["polled"] = now
            for place in self._polled:
                found.extend(self._list(place))
        return found

    def _list(self, place: str) -> list[Found]:
        try:
            return scan([place], self._options)
        except NotFound:
            if "://" not in place:
                raise
            return []  # a prefix of a bucket is not there before its first file

    def next_due(self) -> float:
        """Return when the next listing is due."""
        return min(
            self._listed["folders"] + _RESCAN_SECONDS if self.folders else float("inf"),
            self._listed["polled"] + self._poll if self._polled else float("inf"),
        )

    def noticed(self, path: Path) -> list[Found]:
        """Return the files at a path that the system has given notice of."""
        folder = next((folder for folder in self.folders if path.is_relative_to(folder)), None)
        if folder is None or any(part.startswith(".") for part in path.relative_to(folder).parts):
            return []
        if path.is_dir():  # renamed into place, or made and filled before it was watched
            return scan([str(path)], self._options)
        found = self.again(str(path))
        return [] if found is None else [found]

    def again(self, url: str) -> Found | None:
        """Return a file as it is now; `None` if it is gone."""
        found = look_up(url, self._options)
        return None if found is None else Found(url=found.url, size=found.size, stamp=found.stamp)


def _is_folder(place: str) -> bool:
    return "://" not in place and Path(place).expanduser().is_dir()


@contextmanager
def notices(folders: Sequence[Path], told: Callable[[set[Path]], None]) -> Iterator[None]:
    """Have the system tell of paths in folders that change, from a thread of its own.

    Where it cannot (no notices left, a file system without), the listing at times is what remains.

    Raises
    ------
    MissingExtra
        watchfiles is not installed.
    """
    if not folders:
        yield
        return
    try:
        import watchfiles
    except ImportError as error:
        raise MissingExtra("--watch needs watchfiles: pip install 'lightkeep[ingest]'") from error
    over = threading.Event()

    def watch() -> None:
        changes = watchfiles.watch(
            *folders,
            watch_filter=None,
            debounce=400,
            step=100,
            rust_timeout=500,
            stop_event=over,
            raise_interrupt=False,
        )
        for changed in changes:
            told({Path(path) for _, path in changed})

    thread = threading.Thread(target=watch, name="lightkeep-notices", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
