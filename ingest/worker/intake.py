"""Messages in hand: received as there is room, kept hidden while they are worked on, removed or given back after."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from archive.errors import LightkeepError
from ingest.watch import Pause
from ingest.worker.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.worker.metrics import Metrics
    from ingest.worker.queue import Delivery, Queue
    from ingest.worker.settings import WorkerSettings

__all__ = ["Intake", "Ticket"]

_WAIT_SECONDS = 20  # of one request for messages: the longest that SQS allows, and the cheapest
_DEPTH_SECONDS = 15.0
_LAST_SECONDS = 2.0  # for a request that still waits: it takes what has just been given back


@dataclass(slots=True, eq=False)
class Ticket:
    """A message in hand, and what is left to do for it.

    Parameters
    ----------
    delivery
        The message.
    todo
        Its files that are not taken in yet.
    left
        Its files that are not settled yet: committed, known, ignored or refused.
    failed
        Whether one of them was not taken in, so that the message must come again.
    wait
        Seconds after which it comes again; `None` for longer with each try.
    """

    delivery: Delivery
    todo: int = 1
    left: int = 1
    failed: bool = False
    wait: int | None = None


class Intake:
    """Receives messages in a thread of its own and answers for them to the queue.

    Parameters
    ----------
    queue
        Where they come from.
    ahead
        Messages that may wait or run at once; those that only wait for their commit do not count.
    received
        Called with each message.
    """

    def __init__(
        self,
        queue: Queue,
        settings: WorkerSettings,
        metrics: Metrics,
        ahead: int,
        received: Callable[[Ticket], None],
    ) -> None:
        self._queue, self._settings, self._metrics = queue, settings, metrics
        self._ahead, self._received = ahead, received
        self._changed = threading.Condition()
        self._todo = 0  # messages that wait or run
        self._held: set[Ticket] = set()
        self._gone: deque[Delivery] = deque()
        self._halted = self._over = False
        self._ended = threading.Event()
        self._receiver = threading.Thread(target=self._receive, name="lightkeep_receive", daemon=True)
        self._returned = False  # whether something was given back at the end
        self._requests = ThreadPoolExecutor(2, thread_name_prefix="lightkeep-queue")
        self.well = True  # whether the queue answered last time
        self.last = time.monotonic()  # when a message came last

    def start(self) -> None:
        """Begin to receive."""
        self.last = time.monotonic()
        threading.Thread(target=self._keep, name="lightkeep_keep", daemon=True).start()
        self._receiver.start()

    def halt(self, *, halted: bool) -> None:
        """Receive nothing more, or go on."""
        with self._changed:
            self._halted = halted
            self._changed.notify_all()

    def held(self) -> list[Ticket]:
        """Return the messages in hand."""
        with self._changed:
            return list(self._held)

    def taken(self, ticket: Ticket) -> None:
        """Take note that a file of a message waits no longer for anything but its commit."""
        with self._changed:
            ticket.todo -= 1
            self._todo -= ticket.todo == 0
            self._changed.notify_all()

    def again(self, ticket: Ticket) -> None:
        """Take note that a file of a message has to be taken in once more."""
        with self._changed:
            self._todo += ticket.todo == 0
            ticket.todo += 1

    def settled(self, ticket: Ticket, *, failed: bool = False) -> None:
        """Take note that a file of a message is done with; after the last one, remove the message or give it back."""
        with self._changed:
            ticket.left -= 1
            ticket.failed |= failed
            if ticket.left or ticket not in self._held:
                return
            self._held.discard(ticket)
            self._changed.notify_all()
        if ticket.failed:
            self._give_back([ticket])
        else:
            self._gone.append(ticket.delivery)

    def let_go(self, tickets: Iterable[Ticket]) -> None:
        """Give messages back at once, whatever is left to do for them."""
        with self._changed:
            mine = [ticket for ticket in tickets if ticket in self._held]
            self._held.difference_update(mine)
        for ticket in mine:
            ticket.wait = 0
        self._give_back(mine)

    def sweep(self) -> None:
        """Have the messages removed for which everything is done."""
        gone = [self._gone.popleft() for _ in range(len(self._gone))]
        if gone:
            self._requests.submit(self._guarded, lambda: self._delete(gone))

    def stop(self) -> None:
        """Receive nothing more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def close(self) -> None:
        """Wait until the queue has been told everything, and keep nothing hidden any more."""
        self.stop()
        self.sweep()
        self._requests.shutdown(wait=True)
        if self._returned and self._receiver.is_alive():
            self._receiver.join(_LAST_SECONDS)  # it gives back once more what it is sent; nobody asks after it
        self._ended.set()

    # -- the two threads -------------------------------------------------------------------------

    def _receive(self) -> None:
        pause = Pause()
        while (room := self._room()) > 0:
            try:
                deliveries = self._queue.receive(room, _WAIT_SECONDS)
            except LightkeepError as error:
                self._trouble("no messages could be received", error)
                pause.longer()
                with self._changed:
                    self._changed.wait_for(lambda: self._over, pause.seconds)
                continue
            pause.over()
            self.well = True
            tickets = [Ticket(delivery) for delivery in deliveries]
            with self._changed:
                over = self._over
                if not over:
                    self._held.update(tickets)
                    self._todo += len(tickets)
            if over:  # told to stop while it asked
                self._guarded(partial(self._queue.give_back, [(one, 0) for one in deliveries]))
                return
            for ticket in tickets:
                self.last = time.monotonic()
                self._received(ticket)

    def _room(self) -> int:
        """Return how many messages may come, once there is room; 0 at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or (not self._halted and self._todo < self._ahead))
            return 0 if self._over else self._ahead - self._todo

    def _keep(self) -> None:
        """Keep what is in hand hidden, and look at how long the queue is."""
        every = self._settings.visibility_seconds / 3
        prolonged, looked = time.monotonic(), float("-inf")
        while not self._ended.wait(min(every, 1.0)):
            now = time.monotonic()
            if now - prolonged >= every:
                prolonged = now
                self._guarded(self._prolong)
            if now - looked >= _DEPTH_SECONDS:
                looked = now
                self._guarded(lambda: self._metrics.queue(self._queue.depth(), len(self.held())))

    def _prolong(self) -> None:
        mine = {ticket.delivery.receipt: ticket for ticket in self.held()}
        for lost in self._queue.prolong([ticket.delivery for ticket in mine.values()]) if mine else ():
            if mine[lost.receipt] in self.held():  # not removed or given back in the meantime
                log("a message is no longer ours; what comes of its file counts once", logging.WARNING, message=lost.id)

    def _delete(self, gone: list[Delivery]) -> None:
        failed = self._queue.delete(gone)
        if failed:
            self._metrics.failed("delete")
            log("messages were not removed; they come again and are known then", logging.WARNING, messages=failed)

    def _give_back(self, tickets: Iterable[Ticket]) -> None:
        first = self._settings.retry_seconds
        waits = [
            (one.delivery, self._queue.wait_of(one.delivery, first) if one.wait is None else one.wait)
            for one in tickets
        ]
        if waits:
            self._returned |= self._over
            self._requests.submit(self._guarded, lambda: self._queue.give_back(waits))

    def _guarded(self, request: Callable[[], object]) -> None:
        try:
            request()
        except LightkeepError as error:
            self._trouble("the queue was not told", error)

    def _trouble(self, event: str, error: LightkeepError) -> None:
        self.well = False
        self._metrics.failed(type(error).__name__)
        log(event, logging.WARNING, reason=str(error))
