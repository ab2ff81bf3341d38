"""Which places of its datasets an archive has frames for, kept as long as it is looked at."""

from __future__ import annotations

import threading
import time
from collections import ChainMap
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from archive.index.rows import Row
    from archive.view import View
    from ingest.frames.storing import Content, PlaceKey

__all__ = ["Places"]

_SHARE = 50  # places are looked up again after so many times what it took


@dataclass(slots=True)
class _Looked:
    """The files of a dataset by their places, and until when that is good enough."""

    incarnation: int | None
    files: dict[PlaceKey, Content]
    until: float
    stale: bool = False


class _Noted(NamedTuple):
    """A file that was stored, and all that its place may show until that is committed."""

    content: Content
    incarnation: int
    before: frozenset[Content | None]


@dataclass(slots=True)
class Places:
    """Which file an archive has at each place of its datasets of frames; threads may share it.

    What was noted stands above what was looked up, until its place shows that very file, or one that came later.

    Parameters
    ----------
    view
        The archive as it is; each dataset is looked through when it is first asked for.
    """

    view: View
    _looked: dict[str, _Looked] = field(default_factory=dict)
    _noted: dict[str, dict[PlaceKey, _Noted]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: set[tuple[str, PlaceKey]] = field(default_factory=set)
    _free: threading.Condition = field(default_factory=threading.Condition)

    def of(self, name: str) -> Mapping[PlaceKey, Content]:
        """Return the files of a dataset by their places.

        Raises
        ------
        StoreTrouble
            The index cannot be read.
        """
        with self._lock:
            known = self.view.datasets().get(name)
            life = None if known is None else known.incarnation
            looked = self._looked.get(name)
            if looked is None or looked.stale or looked.incarnation != life:
                looked = self._looked[name] = self._look(name, life)
                self._noted[name] = {
                    place: noted
                    for place, noted in self._noted.get(name, {}).items()
                    if life in {None, noted.incarnation} and looked.files.get(place) in noted.before
                }
            noted = self._noted[name].items()
            later = {place: one.content for place, one in noted if life in {None, one.incarnation}}
            return ChainMap(later, looked.files)

    def _look(self, name: str, life: int | None) -> _Looked:
        from ingest.frames.storing import places_of

        begun = time.monotonic()
        files: dict[PlaceKey, Content] = {}
        for table in () if life is None else self.view.tables([name]):
            for row in self.view.rows(table, range(len(table.sources))):
                files.update(places_of(row))
        now = time.monotonic()
        return _Looked(life, files, now + _SHARE * (now - begun))

    @contextmanager
    def held(self, name: str, places: Iterable[PlaceKey]) -> Iterator[None]:
        """Hold places of a dataset while files are stored there; who wants one of them meanwhile waits.

        So a file is only refused for the sake of one that has been stored and noted. Where that fails, the next has
        the place.
        """
        mine = {(name, place) for place in places}
        with self._free:
            self._free.wait_for(lambda: not mine & self._held)
            self._held |= mine
        try:
            yield
        finally:
            with self._free:
                self._held -= mine
                self._free.notify_all()

    def note(self, rows: Iterable[Row]) -> None:
        """Take in what has been stored since, and may not have been committed yet."""
        from ingest.frames.storing import places_of

        with self._lock:
            for row in rows:
                if row.frames is None:
                    continue
                looked = self._looked.get(row.dataset)
                noted = self._noted.setdefault(row.dataset, {})
                for place, content in places_of(row).items():
                    before = frozenset({None if looked is None else looked.files.get(place)})
                    if place in noted:
                        before |= {noted[place].content, *noted[place].before}
                    noted[place] = _Noted(content, row.incarnation, before - {content})

    def forget(self, rows: Iterable[Row]) -> None:
        """Let go of what was stored and will not be committed."""
        from ingest.frames.storing import places_of

        with self._lock:
            for row in rows:
                noted = self._noted.get(row.dataset, {})
                for place, content in places_of(row).items() if noted else ():
                    if place in noted and noted[place].content == content:
                        del noted[place]

    def renew(self, view: View) -> None:
        """Go on with a newer view; what it does not show yet of what was noted is kept."""
        with self._lock:
            now = time.monotonic()
            for looked in self._looked.values():
                looked.stale |= looked.until <= now
            self.view = view
