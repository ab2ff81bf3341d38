"""The worker's life: messages in, granules and commits out, until it is told to stop."""

from __future__ import annotations

import logging
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from archive.errors import (
    AccessDenied,
    FramesAwaited,
    InvalidInput,
    LightkeepError,
    MissingExtra,
    ReadOnlyStore,
    StoreTrouble,
    UnsafeStore,
)
from ingest.quarantine import set_aside
from ingest.settings import Settings
from ingest.watch import Pause
from ingest.worker.batch import Batch, Work
from ingest.worker.health import health_server
from ingest.worker.intake import Intake, Ticket
from ingest.worker.known import Known
from ingest.worker.logs import log
from ingest.worker.messages import arrivals
from ingest.worker.taking import Taker

if TYPE_CHECKING:
    from archive.store import Store
    from ingest.task import Refusal
    from ingest.worker.metrics import Metrics
    from ingest.worker.queue import Queue
    from ingest.worker.settings import WorkerSettings
    from ingest.worker.taking import Taken

__all__ = ["Worker", "WorkerReport"]

_LONGEST_PAUSE = 1.0
_DEAD_SECONDS = 60.0  # without a turn of the loop, after which the worker does not count as alive
_COMMIT_SHARE = 0.3  # of the grace time, for the commit and what comes after it

_STOP = object()


@dataclass(slots=True, kw_only=True)
class WorkerReport:
    """What a worker did.

    Parameters
    ----------
    stored, known, ignored, refused
        Files, by what came of them.
    commits
        Commits made.
    abandoned
        Files that were still being worked on at the end of the grace time; their messages were given back.
    """

    stored: int = 0
    known: int = 0
    ignored: int = 0
    refused: int = 0
    commits: int = 0
    abandoned: int = 0


class Worker:
    """Takes in what a queue tells of.

    Parameters
    ----------
    store
        The archive's store.
    queue
        Where messages come from.

    Raises
    ------
    NotFound
        There is no archive, or no such queue.
    InvalidInput
        The queue has no dead-letter queue.
    StoreTrouble
        One of them cannot be reached.
    """

    def __init__(self, store: Store, queue: Queue, settings: WorkerSettings, metrics: Metrics) -> None:
        self._store, self._settings, self._metrics = store, settings, metrics
        self._ingest = _ingest_settings(settings)
        queue.check()
        self._queue = queue
        self._known = Known(store)
        self._taker = Taker(store, self._known.view, self._known.ledger, self._ingest)
        self._batch = Batch(store, self._known, self._taker, self._ingest)
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._intake = Intake(queue, settings, metrics, max(2 * settings.jobs, 10), self._inbox.put)
        self._ready: deque[Work] = deque()
        self._running: dict[Future[Taken], Work] = {}
        self._later: list[Work] = []  # until their place may be out of trouble
        self._same: dict[str, deque[Work]] = {}  # URLs under way, and what waits for them
        self._refused: list[tuple[Work, Refusal]] = []
        self._pause = Pause()  # of the archive
        self._trouble_since: float | None = None
        self._stopping = False
        self._stopped = 0.0
        self._turned = time.monotonic()
        self._report = WorkerReport()

    def stop(self) -> None:
        """End within the grace time. Safe in a signal handler and from any thread."""
        self._inbox.put(_STOP)

    def run(self) -> WorkerReport:
        """Work until `stop`, or until nothing has come for long enough; return what was done.

        Raises
        ------
        StoreTrouble
            The archive cannot be written, or was in trouble for too long. What was not committed comes again.
        """
        settings = self._settings
        pool = ThreadPoolExecutor(settings.jobs, thread_name_prefix="lightkeep-take")
        with health_server(settings.health_host, settings.health_port, self._state, self._metrics) as port:
            log("started", archive=self._store.url, queue=settings.queue, health_port=port, tries=self._queue.tries)
            self._intake.start()
            try:
                while not self._stopping and not self._idle():
                    self._turned = time.monotonic()
                    self._listen()
                    self._gather()
                    self._keep()
                    self._hand_out(pool)
                    self._intake.sweep()
                self._end()
            except BaseException as error:
                log("ended by an error; what was not committed comes again", logging.ERROR, error=error)
                self._intake.let_go(self._intake.held())
                raise
            finally:
                self._intake.close()
                pool.shutdown(wait=False, cancel_futures=True)
        return self._report

    def _state(self) -> dict[str, bool]:
        live = time.monotonic() - self._turned < _DEAD_SECONDS + self._settings.grace_seconds
        return {
            "live": live,
            "ready": live and not self._stopping and self._intake.well and self._trouble_since is None,
        }

    def _idle(self) -> bool:
        limit = self._settings.idle_seconds
        return bool(limit) and not self._intake.held() and time.monotonic() - self._intake.last > limit

    # -- seeing ----------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Wait until something is due or told, and take in what is told."""
        now = time.monotonic()
        works = min([self._batch.fold_due(), *(work.pause.until for work in self._later if work.pause)])
        due = min(self._commit_due(), max(works, self._pause.until), now + _LONGEST_PAUSE)
        try:
            self._take(self._inbox.get(timeout=max(due - now, 0.001)))
            while True:
                self._take(self._inbox.get_nowait())
        except Empty:
            return

    def _take(self, told: Any) -> None:
        if told is _STOP:
            self._stopping, self._stopped = True, time.monotonic()
        elif isinstance(told, Ticket):
            self._admit(told)

    def _admit(self, ticket: Ticket) -> None:
        """See what a message tells of."""
        delivery = ticket.delivery
        try:
            found = arrivals(delivery.body, self._settings.sources)
        except InvalidInput as error:
            log("a message was refused", logging.WARNING, message=delivery.id, tries=delivery.tries, reason=str(error))
            self._metrics.failed("message")
            self._intake.taken(ticket)
            self._intake.settled(ticket, failed=True)
            return
        own = f"{self._store.url.rstrip('/')}/"
        found = [arrival for arrival in found if not arrival.url.startswith(own)]
        if not found:
            log("a message tells of no new file", logging.DEBUG, message=delivery.id)
            self._intake.taken(ticket)
            self._intake.settled(ticket)
            return
        ticket.todo = ticket.left = len(found)
        for arrival in found:
            work = Work(arrival, ticket)
            if arrival.url in self._same:
                self._same[arrival.url].append(work)
            else:
                self._same[arrival.url] = deque()
                self._ready.append(work)

    def _seen(self, work: Work) -> bool:
        """Return whether a file is in the archive in the state that a message tells of, without asking its place."""
        if self._is_known(work):
            return True
        if (work.ticket.delivery.tries == 1 and not work.awaits) or not self._known.stale():
            return False
        self._known.look_again()  # another may have done it and died before saying so, or what it waits for
        self._taker.refresh(self._known.view)
        return self._is_known(work)

    def _is_known(self, work: Work) -> bool:
        file = work.arrival.found
        return file is not None and self._known.ledger.seen(file.url, file.size, file.stamp) is not None

    # -- doing -----------------------------------------------------------------------------------

    def _hand_out(self, pool: ThreadPoolExecutor) -> None:
        """Begin what is ready, as much as runs at once."""
        now = time.monotonic()
        if now < self._pause.until:
            return
        due = [work for work in self._later if work.pause is not None and work.pause.until <= now]
        self._later = [work for work in self._later if work not in due]
        self._ready.extendleft(reversed(due))
        for work in due:
            if work.awaits:
                self._intake.again(work.ticket)
        while self._ready and len(self._running) < self._settings.jobs + 1:
            work = self._ready[0]
            try:
                seen = self._seen(work)
            except StoreTrouble as error:
                self._archive_trouble(error)
                return
            self._ready.popleft()
            work.awaits = False
            if seen:
                self._done(work, "known")
                continue
            future = pool.submit(self._taker.take, work.arrival)
            self._running[future] = work
            future.add_done_callback(lambda _: self._inbox.put(None))

    def _gather(self) -> None:
        """Take in what has been done."""
        for future in [future for future in self._running if future.done()]:
            work = self._running.pop(future)
            error = future.exception()
            if error is not None:
                self._failed(work, error)
                continue
            taken = future.result()
            awaits = taken.refusal is not None and taken.refusal.kind == FramesAwaited.__name__
            if awaits and (pause := self._waits(work)):
                work.awaits = True
                self._intake.taken(work.ticket)  # what it waits for must have room to come
                log("waits for its frames", url=work.arrival.url, seconds=pause.seconds)
                continue
            work.pause = work.since = None
            if taken.refusal is not None:
                self._refused.append((work, taken.refusal))
            elif taken.result is not None:
                self._batch.add(work, taken)
                self._intake.taken(work.ticket)
            else:
                self._done(work, taken.outcome)

    def _failed(self, work: Work, error: BaseException) -> None:
        """Try a file again, here as long as its place is in trouble, else by giving its message back."""
        if isinstance(error, (ReadOnlyStore, UnsafeStore)) or not isinstance(error, Exception):
            raise error
        self._metrics.failed(type(error).__name__)
        waits = isinstance(error, (StoreTrouble, OSError))
        denied = isinstance(error, (AccessDenied, PermissionError, MissingExtra))
        if waits and not denied and (pause := self._waits(work)):
            url, reason = work.arrival.url, str(error)
            log("trouble, to be tried again", logging.WARNING, url=url, reason=reason, seconds=pause.seconds)
            return
        expected = isinstance(error, LightkeepError) or waits
        log(
            "a file could not be taken in; its message is given back",
            logging.ERROR,
            error=None if expected else error,
            url=work.arrival.url,
            reason=str(error),
            tries=work.ticket.delivery.tries,
        )
        self._next(work, failed=True)

    def _waits(self, work: Work) -> Pause | None:
        """Keep a file for later, and return after what pause, each time a longer; `None` if it has waited enough."""
        now = time.monotonic()
        work.since = work.since or now
        if now - work.since >= self._settings.patience_seconds:
            return None
        work.pause = work.pause or Pause()
        work.pause.longer()
        self._later.append(work)
        return work.pause

    def _done(self, work: Work, outcome: str) -> None:
        """Be done with a file that needs no commit."""
        self._metrics.done(outcome)
        setattr(self._report, outcome, getattr(self._report, outcome) + 1)
        log(outcome, logging.DEBUG, url=work.arrival.url)
        self._next(work)

    def _next(self, work: Work, *, failed: bool = False, taken: bool = False) -> None:
        """Settle a file with its message, and go on with what waits for the same file."""
        if not taken:
            self._intake.taken(work.ticket)
        self._intake.settled(work.ticket, failed=failed)
        waiting = self._same[work.arrival.url]
        if waiting:
            self._ready.append(waiting.popleft())
        else:
            del self._same[work.arrival.url]

    # -- keeping ---------------------------------------------------------------------------------

    def _commit_due(self) -> float:
        if self._refused:
            return self._pause.until
        if self._batch.since is None:
            return float("inf")
        full = len(self._batch) >= self._settings.batch_files
        return max(float("-inf") if full else self._batch.since + self._settings.batch_seconds, self._pause.until)

    def _keep(self) -> None:
        """Set aside what was refused, commit what is due, and fold on this worker's turn; wait out trouble."""
        now = time.monotonic()
        if now < self._pause.until:
            return
        try:
            self._set_aside()
            if self._commit_due() <= now:
                self._commit()
            if self._batch.fold_due() <= now:
                self._batch.fold_when_due()
        except StoreTrouble as error:
            self._archive_trouble(error)
        else:
            if self._trouble_since is not None:
                self._trouble_since = None
                self._pause.over()
                self._intake.halt(halted=False)

    def _set_aside(self) -> None:
        set_aside(self._store, [refusal for _, refusal in self._refused], self._ingest)
        refused, self._refused = self._refused, []
        for work, refusal in refused:
            delivery = work.ticket.delivery
            self._metrics.done("refused")
            self._metrics.failed(refusal.kind)
            self._report.refused += 1
            log(
                "refused",
                logging.WARNING,
                url=refusal.found.url,
                reason=refusal.reason,
                kind=refusal.kind,
                tries=delivery.tries,
                message=delivery.id,
                last=self._queue.tries is not None and delivery.tries >= self._queue.tries,
            )
            self._next(work, failed=True)

    def _commit(self) -> None:
        """Make visible what waits, and only then be done with its messages."""
        done, again = self._batch.commit()
        now = time.time()
        if done:
            self._metrics.committed()
            self._report.commits = self._batch.report.commits
        lags = []
        for work, taken in done:
            happened = work.arrival.happened or work.ticket.delivery.sent
            lags.append(0.0 if happened is None else max(now - happened, 0.0))
            stored = taken.outcome == "stored"
            self._metrics.done(taken.outcome, taken.found.size if stored else 0, lags[-1] if stored else None)
            setattr(self._report, taken.outcome, getattr(self._report, taken.outcome) + 1)
            self._next(work, taken=True)
        for work in again:
            self._intake.again(work.ticket)
            self._ready.append(work)
        if done:
            log(
                "committed",
                files=len(done),
                bytes=sum(taken.found.size for _, taken in done),
                longest_lag=round(max(lags), 3),
            )

    def _archive_trouble(self, error: StoreTrouble) -> None:
        """Wait a while, unless waiting cannot help."""
        now = time.monotonic()
        self._trouble_since = self._trouble_since or now
        hopeless = isinstance(error, (ReadOnlyStore, UnsafeStore))
        if hopeless or self._stopping or now - self._trouble_since > self._settings.patience_seconds:
            raise error
        self._metrics.failed(type(error).__name__)
        self._intake.halt(halted=True)
        self._pause.longer()
        log("the archive is in trouble", logging.WARNING, reason=str(error), seconds=self._pause.seconds)

    def _end(self) -> None:
        """Finish what runs if there is time, commit it, and give everything else back."""
        self._stopping = True
        begun = self._stopped or time.monotonic()
        end = begun + self._settings.grace_seconds
        log("stopping", running=len(self._running), waiting=len(self._ready) + len(self._later))
        self._intake.stop()
        unbegun = [*self._ready, *self._later, *(work for waiting in self._same.values() for work in waiting)]
        self._intake.let_go({work.ticket for work in unbegun})
        self._ready, self._later = deque(), []
        for waiting in self._same.values():
            waiting.clear()
        for future in self._running:
            future.cancel()
        running = [future for future in self._running if not future.cancelled()]
        wait(running, timeout=max(end - self._settings.grace_seconds * _COMMIT_SHARE - time.monotonic(), 0.0))
        self._running = {future: work for future, work in self._running.items() if not future.cancelled()}
        self._gather()
        self._set_aside()
        if len(self._batch):
            self._commit()
        self._report.abandoned = len(self._running)
        self._intake.let_go(self._intake.held())
        self._intake.sweep()
        if self._report.commits and time.monotonic() < end - self._settings.grace_seconds * _COMMIT_SHARE / 2:
            try:
                self._batch.fold()
            except StoreTrouble as error:
                log("not folded, which the next worker does", logging.WARNING, reason=str(error))
        held = {name: getattr(self._report, name) for name in self._report.__slots__}
        log("stopped", seconds=round(time.monotonic() - begun, 2), **held)


def _ingest_settings(settings: WorkerSettings) -> Settings:
    metadata = None
    if settings.metadata is not None:
        from ingest.metadata import read_metadata

        metadata = read_metadata(Path(settings.metadata))
    return Settings(
        dataset=settings.dataset,
        codec=settings.codec,
        format=settings.format,
        options=settings.source_options,
        metadata=metadata,
    )
