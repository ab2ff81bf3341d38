"""One file taken in: looked at, read, and put into granules. Runs in a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archive.errors import InvalidInput, NotFound, SourceChanged, StoreTrouble
from ingest.gather import Loose
from ingest.looking import Described, Looker
from ingest.places import Places
from ingest.run import Tasks, frame_planner_of, lives_of
from ingest.sources import Found, KeptOpen, look_up, without_frames
from ingest.task import Refusal, TaskResult, refusal_of, run_task

if TYPE_CHECKING:
    from archive.store import Store
    from archive.view import View
    from ingest.index.ledger import Ledger
    from ingest.settings import Settings
    from ingest.worker.messages import Arrival

__all__ = ["Taken", "Taker"]

_LOOKS = 4  # at a file that changes each time


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a file.

    Parameters
    ----------
    found
        The file as it was taken; not always as the message told, since it may have changed since.
    result
        Rows and sources to be committed; `None` for a file that is known or no raw data.
    refusal
        Why it is set aside.
    outcome
        `"stored"`, `"known"`, `"ignored"` or `"refused"`.
    """

    found: Found
    outcome: str
    result: TaskResult | None = None
    refusal: Refusal | None = None


class Taker:
    """Takes in files one by one; threads may share it.

    Parameters
    ----------
    store
        The archive's store.
    view, ledger
        The archive as it is known so far.
    """

    def __init__(self, store: Store, view: View, ledger: Ledger, settings: Settings) -> None:
        self._ledger, self._settings = ledger, settings
        self._tasks = Tasks(store, view, settings)
        self._looker, self._places = Looker(ledger, settings, lives_of(view)), Places(view)
        self._lock = threading.Lock()  # the first file of a dataset settles what is fixed for it
        self.datasets = self._tasks.datasets

    def refresh(self, view: View) -> None:
        """Go on with a newer view."""
        with self._lock:
            self._tasks.refresh(view)
            self._looker = Looker(self._ledger, self._settings, lives_of(view))
            self._places.renew(view)

    def take(self, arrival: Arrival) -> Taken:
        """Return what came of a file; nothing of it is visible yet.

        Raises
        ------
        StoreTrouble
            Its place or the archive cannot be reached now.
        """
        found = arrival.found
        for _ in range(_LOOKS):
            found = found or look_up(arrival.url, self._settings.options)
            if found is None:
                gone = Found(url=arrival.url, size=arrival.size or 0, stamp=arrival.stamp or "", named=arrival.named)
                error = NotFound(f"{arrival.url}: is not there; put it there again, or mend the message")
                return _refused(refusal_of(gone, error, None))
            if self._ledger.seen(found.url, found.size, found.stamp) is not None:
                return Taken(found=found, outcome="known")
            taken = self._try(found)
            if taken.refusal is None or taken.refusal.kind != SourceChanged.__name__:
                return taken
            found = None  # another file lies there than the message told of: that one is taken
        return taken

    def give_up(self, taken: Taken) -> None:
        """Let go of the places of frames that will not be committed."""
        if taken.result is not None:
            self._places.forget(taken.result.rows)

    def _try(self, found: Found) -> Taken:
        frame = bool(without_frames([found], self._settings.format)[1])
        opener = KeptOpen()
        try:
            taken = (self._frame if frame else self._opened)(found, opener)
        except BaseException:
            _let_go(opener)
            raise
        return _closed(opener, taken)

    def _opened(self, found: Found, opener: KeptOpen) -> Taken:
        look = self._looker.look_by(opener, found)
        described = self._looker.propose(look) if isinstance(look, Loose) else look
        if isinstance(described, str):
            return Taken(found=found, outcome="ignored")
        if not isinstance(described, Described):
            return _refused(described)
        source = described.source
        try:
            with self._lock:
                task = self._tasks.one((source,), described.datasets)
        except InvalidInput as error:  # the name belongs to another acquisition
            return _refused(refusal_of(found, error, source.earlier))
        return _stored(found, run_task(task, opener))

    def _frame(self, found: Found, opener: KeptOpen) -> Taken:
        """Take in a frame by itself, or an asdf.

        A frame whose place another thread is about to fill waits for what comes of that: it is refused if another
        file has been stored there, and taken if that failed.
        """
        with self._lock:
            planner = frame_planner_of(
                [found],
                self._places,
                self._ledger,
                self._settings,
                datasets=self.datasets,
                whole=False,
                opener=opener,
            )
        planned = list(planner.groups())
        if planner.refusals:
            return _refused(planner.refusals[0])
        if not planned:
            return Taken(found=found, outcome="known")
        (one,) = planned
        (name,) = one.sources[0].datasets
        with self._places.held(name, one.places):
            there = self._places.of(name)
            job = replace(one.job, taken={place: there[place] for place in one.places if place in there})
            try:
                with self._lock:
                    task = replace(self._tasks.one(one.sources, planner.datasets), frames=job)
            except InvalidInput as error:
                return _refused(refusal_of(found, error, one.sources[0].earlier))
            taken = _closed(opener, _stored(found, run_task(task, opener)))
            if taken.result is not None:
                self._places.note(taken.result.rows)
        return taken


def _stored(found: Found, result: TaskResult) -> Taken:
    return _refused(result.refusals[0]) if result.refusals else Taken(found=found, outcome="stored", result=result)


def _refused(refusal: Refusal) -> Taken:
    return Taken(found=refusal.found, outcome="refused", refusal=refusal)


def _closed(opener: KeptOpen, taken: Taken) -> Taken:
    """Return what came of a file, if it has stayed the same until here."""
    try:
        opener.close()
    except SourceChanged as error:
        return _refused(refusal_of(taken.found, error, None))
    return taken


def _let_go(opener: KeptOpen) -> None:
    try:
        opener.close()
    except (SourceChanged, StoreTrouble, OSError):
        return  # what went wrong first is what counts
