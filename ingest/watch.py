"""Watching places: files are taken in as they are finished, until it is told to stop.

A raw file becomes a granule of its own; frames of a telescope that are finished at the same time share one.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from archive.errors import (
    DamagedData,
    FramesAwaited,
    InvalidInput,
    LightkeepError,
    MissingExtra,
    NotFound,
    ReadOnlyStore,
    StoreTrouble,
    UnsafeStore,
)
from archive.index.layout import check_dataset_name
from archive.view import open_view
from ingest.lookout import Lookout, Settling, appears_whole, notices
from ingest.places import Places
from ingest.quarantine import set_aside
from ingest.run import Committer, IngestReport, Tasks, frame_planner_of, planner_of, read_ledger
from ingest.sources import without_frames
from ingest.task import Refusal, Task, TaskResult, TaskSource, refusal_of, run_task
from ingest.workers import error_of, hired

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archive.index.dataset import Dataset
    from archive.store import Store
    from ingest.frames.storing import PlaceKey
    from ingest.framing import PlannedFrames
    from ingest.settings import Settings
    from ingest.sources import Found
    from ingest.workers import Hiring, Workers

__all__ = ["Patience", "Pause", "Watch"]

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_REFRESH_SECONDS = 10.0
_FRAMES_AT_ONCE = 1024
# Granules that no commit took for long must not be committed any more: gc may have removed them.
_GIVE_UP_SECONDS = 6 * 3600.0

_STOP = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for files.

    Parameters
    ----------
    settle
        Seconds without a change after which a file counts as finished; object stores need none.
    poll
        Seconds between listings of places that give no notices.
    """

    settle: float = 2.0
    poll: float = 5.0


@dataclass(slots=True)
class Pause:
    """Doubling pauses while a store is in trouble."""

    until: float = float("-inf")
    seconds: float = 0.0

    def longer(self) -> None:
        """Wait twice as long from now on, a minute at most."""
        self.seconds = min(max(self.seconds * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        self.until = time.monotonic() + self.seconds

    def over(self) -> None:
        """Wait no more."""
        self.until, self.seconds = float("-inf"), 0.0


class Watch:
    """Takes in files of places as they are finished.

    Parameters
    ----------
    store
        The archive's store.
    places
        Folders, and URLs of folders or globs of any kind that fsspec knows.
    hiring
        What runs the tasks.
    told
        Called with lines that say what has happened.

    Raises
    ------
    InvalidInput
        The settings name a dataset as none can be named.
    NotFound
        There is no archive, or no such folder.
    StoreTrouble
        The archive cannot be opened.
    """

    def __init__(
        self,
        store: Store,
        places: Sequence[str],
        settings: Settings,
        hiring: Hiring,
        *,
        patience: Patience | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        if settings.dataset is not None:
            check_dataset_name(settings.dataset)
        hiring.check(store, settings.options)
        patience = patience or Patience()
        self._store, self._settings, self._hiring, self._told = store, settings, hiring, told
        self._lookout = Lookout(places, settings.options, patience.poll)
        self._settling = Settling(patience.settle)
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._stopping = False
        self._view, self._refreshed = open_view(store), time.monotonic()
        self._ledger = read_ledger(self._view)
        self._report = IngestReport()
        self._tasks, self._places = Tasks(store, self._view, settings), Places(self._view)
        self._committer = Committer(store, self._tasks.datasets, self._ledger, self._report)
        self._ready: deque[Found] = deque()
        self._taken: set[str] = set()  # what is ready, running or to be tried again
        self._running: dict[Future[TaskResult], Task] = {}
        self._filling: dict[Future[TaskResult], set[tuple[str, PlaceKey]]] = {}  # places of frames that run
        self._refused: list[Refusal] = []
        self._handled: dict[str, tuple[int, str]] = {}  # what need not be looked at again in this state
        self._pause = Pause()  # of the archive
        self._pauses: dict[str, Pause] = {}  # of files that could not be read, or their task not run
        self._later: dict[str, Found] = {}
        self._alone: set[str] = set()  # frames that were in trouble together with others
        self._awaited: set[str] = set()  # asdf files of which it was told that they wait
        self._uncommitted: float | None = None  # since when there is something that the store has not taken

    def stop(self) -> None:
        """End the watch: what runs is finished and committed. Safe in a signal handler and from any thread."""
        self._inbox.put(_STOP)

    def run(self) -> IngestReport:
        """Watch until `stop`, and return what was done.

        Raises
        ------
        StoreTrouble
            The archive cannot be written, or was in trouble to the end; what was committed is safe, and another
            watch takes up what was not.
        """
        started = time.monotonic()
        with ExitStack() as stack:
            workers = stack.enter_context(hired(self._store, self._hiring, self._settings.options))
            pool = workers.pool or stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="lightkeep-ingest"))
            stack.enter_context(notices(self._lookout.folders, self._inbox.put))
            self._list(first=True)
            self._told(f"watching {', '.join(map(str, self._lookout.folders)) or 'for new objects'}")
            while not self._stopping:
                self._listen()
                self._list()
                self._ready.extend(self._finished())
                self._gather()
                self._commit()
                self._hand_out(pool, workers)
            self._end()
        self._report.seconds = time.monotonic() - started
        return self._report

    # -- seeing ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Wait until something is due or told, and take in what is told."""
        now = time.monotonic()
        works = self._refused or self._uncommitted is not None or (self._ready and self._pause.until > now)
        keeps = max(now if works else self._committer.fold_due(), self._pause.until)
        retries = min((self._pauses[url].until for url in self._later), default=float("inf"))
        due = min(self._settling.next_due(), self._lookout.next_due(), keeps, retries)
        try:
            self._take(self._inbox.get(timeout=min(max(due - now, 0.001), _LONGEST_PAUSE)))
            while True:
                self._take(self._inbox.get_nowait())
        except Empty:
            return

    def _take(self, message: Any) -> None:
        if message is _STOP:
            self._stopping = True
        elif isinstance(message, set):
            for path in sorted(message):
                self._notice(path)
        elif isinstance(message, OSError):
            self._told(f"the system gives no notice of new files, so they are listed instead: {message}")
            self._lookout.without_notices()

    def _notice(self, path: Path) -> None:
        try:
            found = self._lookout.noticed(path)
        except (StoreTrouble, LookupError):  # gone again, or not to be asked now: the next listing tells
            return
        if not found:
            self._settling.gone(f"file://{path}")
        self._saw(found)

    def _saw(self, found: Sequence[Found]) -> None:
        now = time.monotonic()
        for file in found:
            known = self._ledger.seen(file.url, file.size, file.stamp) is not None
            if not known and self._handled.get(file.url) != (file.size, file.stamp) and file.url not in self._taken:
                self._settling.saw(file, now)

    def _list(self, *, first: bool = False) -> None:
        try:
            self._saw(self._lookout.listed(time.monotonic()))
        except (StoreTrouble, NotFound) as error:
            if first:
                raise
            self._told(f"trouble: {error}")

    def _finished(self) -> list[Found]:
        """Return the files that are finished: settled, and still as they were."""
        finished = []
        for file in self._settling.settled(time.monotonic()):
            now: Found | None = file
            if not appears_whole(file.url):
                with suppress(StoreTrouble):  # opening it tells
                    now = self._lookout.again(file.url)
            if now is not None and (now.size, now.stamp) == (file.size, file.stamp):
                finished.append(file)
            elif now is not None:
                self._settling.saw(now, time.monotonic())
        self._taken.update(file.url for file in finished)
        again = [url for url in self._later if self._pauses[url].until <= time.monotonic()]
        return [*finished, *(self._later.pop(url) for url in again)]

    # -- doing ----------------------------------------------------------------------------------

    def _hand_out(self, pool: Executor, workers: Workers) -> None:
        """Describe files that are ready and hand out a task for each, as many as there is room for."""
        room = workers.ahead() - len(self._running)
        if room <= 0 or not self._ready or time.monotonic() < self._pause.until or self._stopping:
            return
        try:
            self._refresh()
        except StoreTrouble as error:
            self._trouble(error)
            return
        others, frames = without_frames(self._ready, self._settings.format)
        some = frames[:_FRAMES_AT_ONCE]
        together = [file for file in some if file.url not in self._alone]  # these share granules
        lone = [file for file in some if file.url in self._alone]
        groups = [*([together] if together else []), *([file] for file in lone[:room])]
        while groups and self._describe_frames(groups.pop(0), pool):
            pass
        left = [file for group in groups for file in group]
        self._ready = deque([*others[room:], *frames[_FRAMES_AT_ONCE:], *left, *lone[room:]])
        for file in others[:room]:
            self._describe(file, pool)
        if self._ready and len(self._running) < workers.ahead():
            self._inbox.put(None)  # there is room for more at once

    def _describe(self, file: Found, pool: Executor) -> None:
        planner = planner_of([file], self._view, self._ledger, self._settings)
        try:
            for source in planner.apart():
                self._start(pool, (source,), planner.datasets)
        except StoreTrouble as error:
            self._retry([file], error)
        for refusal in planner.refusals:
            self._refuse(refusal)
        if planner.ignored:
            self._handled[file.url] = (file.size, file.stamp)
        if planner.ignored or planner.known:
            self._let_go(file.url)

    def _describe_frames(self, frames: Sequence[Found], pool: Executor) -> bool:
        """Hand out the tasks of frames, and return whether there was no trouble with their place."""
        left = {file.url: file for file in frames}
        trouble: LightkeepError | None = None
        refusals: Sequence[Refusal] = ()
        try:
            planner = frame_planner_of(
                frames, self._places, self._ledger, self._settings, datasets=self._tasks.datasets, whole=False
            )
            refusals = planner.refusals
            for planned in planner.groups():
                files = [left.pop(source.found.url) for source in planned.sources]
                if any(planned.keys & filling for filling in self._filling.values()):
                    self._put_off(files)  # what comes of another file tells whether there is room
                else:
                    self._start(pool, planned.sources, planner.datasets, planned)
        except (StoreTrouble, DamagedData, MissingExtra) as error:
            trouble = error
        for refusal in refusals:
            left.pop(refusal.found.url, None)
            if refusal.kind == FramesAwaited.__name__:
                self._await_frames(refusal.found)
            else:
                self._refuse(refusal)
        if trouble is None:
            for url in left:  # known
                self._let_go(url)
        elif left:
            self._in_trouble(list(left.values()), trouble)
        return trouble is None

    def _await_frames(self, asdf: Found) -> None:
        if asdf.url not in self._awaited:
            self._awaited.add(asdf.url)
            self._told(f"waits for its frames: {asdf.url}")
        self._put_off([asdf])

    def _put_off(self, files: Sequence[Found]) -> None:
        for file in files:
            self._later[file.url] = file
            self._pauses.setdefault(file.url, Pause()).longer()

    def _in_trouble(self, files: Sequence[Found], trouble: LightkeepError) -> None:
        if isinstance(trouble, MissingExtra):
            for file in files:
                self._refuse(refusal_of(file, trouble, None))
            return
        if isinstance(trouble, DamagedData):  # the view may be so old that gc has taken its index
            self._refreshed = float("-inf")
        self._retry(files, trouble)

    def _retry(self, files: Sequence[Found], error: LightkeepError) -> None:
        """Take files up again later, each by itself, unless waiting cannot help."""
        if isinstance(error, (ReadOnlyStore, UnsafeStore)) or isinstance(error.__cause__, BrokenExecutor):
            raise error
        self._put_off(files)
        self._alone.update(file.url for file in files)
        wait = min(self._pauses[file.url].seconds for file in files)
        self._told(f"trouble, again in {wait:.0f} s: {error}")

    def _start(
        self,
        pool: Executor,
        sources: tuple[TaskSource, ...],
        datasets: dict[str, Dataset],
        frames: PlannedFrames | None = None,
    ) -> None:
        try:
            task = replace(self._tasks.one(sources, datasets), frames=None if frames is None else frames.job)
        except InvalidInput as error:  # another writer has given the name to another acquisition
            for source in sources:
                self._refuse(refusal_of(source.found, error, source.earlier))
            return
        future = pool.submit(run_task, task)
        self._running[future] = task
        if frames is not None:
            self._filling[future] = frames.keys
        future.add_done_callback(lambda _: self._inbox.put(None))

    def _refresh(self) -> None:
        """See what others have done to the datasets, now and then."""
        if time.monotonic() - self._refreshed >= _REFRESH_SECONDS:
            view = open_view(self._store)
            view.settle()
            self._tasks.refresh(view)
            self._places.renew(view)
            self._view, self._refreshed = view, time.monotonic()

    def _gather(self) -> None:
        """Take in what tasks have done."""
        for future in [future for future in self._running if future.done()]:
            task = self._running.pop(future)
            self._filling.pop(future, None)
            error = error_of(future, task)
            if error is None:
                result = future.result()
                for source in task.sources:
                    self._let_go(source.found.url)
                self._report.raw += sum(row.data.nbytes for row in result.rows)
                self._places.note(result.rows)
                self._committer.add(replace(result, refusals=()))
                for refusal in result.refusals:
                    self._refuse(refusal)
                if result.sources and self._uncommitted is None:
                    self._uncommitted = time.monotonic()
            elif isinstance(error, MissingExtra):
                self._in_trouble([source.found for source in task.sources], error)
            elif type(error.__cause__).__name__ == "KilledWorker" and len(task.sources) == 1:
                (source,) = task.sources
                self._refuse(refusal_of(source.found, StoreTrouble(str(error)), source.earlier))
            elif isinstance(error, StoreTrouble):
                self._retry([source.found for source in task.sources], error)
            else:
                raise error

    def _let_go(self, url: str) -> None:
        """Be done with a file in the state that it has."""
        self._pauses.pop(url, None)
        self._taken.discard(url)
        self._alone.discard(url)

    def _refuse(self, refusal: Refusal) -> None:
        """Set a file aside, unless it is only not finished yet, or gone."""
        file = refusal.found
        self._let_go(file.url)
        if refusal.kind == "SourceChanged" or not appears_whole(file.url):
            now: Found | None = file
            with suppress(StoreTrouble):
                now = self._lookout.again(file.url)
            if now is None:
                return
            if (now.size, now.stamp) != (file.size, file.stamp):
                self._settling.saw(now, time.monotonic())
                return
        self._handled[file.url] = (file.size, file.stamp)
        self._refused.append(refusal)

    # -- keeping --------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Make visible, in one commit, what tasks have done since the last time; try again later in trouble."""
        if time.monotonic() < self._pause.until and not self._stopping:
            return
        try:
            self._set_aside()
            self._committer.flush()
            if self._uncommitted is not None:
                self._uncommitted = None
                self._pause.over()
                self._told(f"committed: {self._report.sources} files in {self._report.granules} granules so far")
            if not self._stopping:
                self._committer.fold_when_due()
        except StoreTrouble as error:
            self._trouble(error)

    def _set_aside(self) -> None:
        set_aside(self._store, self._refused, self._settings)
        for refusal in self._refused:
            self._told(f"refused: {refusal.reason}")
        self._report.refusals.extend(self._refused)
        self._refused = []

    def _trouble(self, error: StoreTrouble) -> None:
        """Wait a while, unless waiting cannot help."""
        waited = 0.0 if self._uncommitted is None else time.monotonic() - self._uncommitted
        if isinstance(error, (ReadOnlyStore, UnsafeStore)) or waited > _GIVE_UP_SECONDS or self._stopping:
            raise error
        self._pause.longer()
        self._told(f"trouble, again in {self._pause.seconds:.0f} s: {error}")

    def _end(self) -> None:
        """Finish what runs, commit it, and fold."""
        self._told("stopping: what has begun is finished")
        for future in self._running:
            future.cancel()
        self._running = {future: task for future, task in self._running.items() if not future.cancelled()}
        for future in self._running:
            future.exception()  # waits
        self._gather()
        self._commit()
        try:
            if self._report.commits:
                self._committer.fold()
        except StoreTrouble as error:
            self._told(f"not folded, which the next one does: {error}")
