"""Files that are in granules and wait for their commit, together."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ingest.run import Committer, IngestReport, lives_of
from ingest.sources import look_up

if TYPE_CHECKING:
    from archive.store import Store
    from ingest.settings import Settings
    from ingest.watch import Pause
    from ingest.worker.intake import Ticket
    from ingest.worker.known import Known
    from ingest.worker.messages import Arrival
    from ingest.worker.taking import Taken, Taker

__all__ = ["Batch", "Work"]


@dataclass(slots=True, eq=False)
class Work:
    """A file to be taken in, for a message.

    Parameters
    ----------
    arrival, ticket
        The file, and the message that told of it.
    pause
        While its place is in trouble.
    since
        When the trouble began, by the clock that only goes on.
    awaits
        Whether it is an asdf that waits for its frames.
    """

    arrival: Arrival
    ticket: Ticket
    pause: Pause | None = None
    since: float | None = None
    awaits: bool = False


@dataclass(slots=True)
class Batch:
    """What the next commit makes visible.

    Parameters
    ----------
    store
        Of the archive.
    known
        The archive as it is known; looked at again before each commit.
    """

    store: Store
    known: Known
    taker: Taker
    settings: Settings
    report: IngestReport = field(default_factory=IngestReport)
    _works: list[tuple[Work, Taken]] = field(default_factory=list)
    _added: list[tuple[Work, Taken]] = field(default_factory=list)
    since: float | None = None
    _committer: Committer = field(init=False)

    def __post_init__(self) -> None:
        self._committer = Committer(self.store, self.taker.datasets, self.known.ledger, self.report)

    def __len__(self) -> int:
        return len(self._works) + len(self._added)

    def add(self, work: Work, taken: Taken) -> None:
        """Take in a file that is to be committed."""
        if self.since is None:
            self.since = time.monotonic()
        self._works.append((work, taken))

    def drain(self) -> list[Work]:
        """Return what waits for its commit, which will not come."""
        return [work for work, _ in [*self._works, *self._added]]

    def commit(self) -> tuple[list[tuple[Work, Taken]], list[Work]]:
        """Make visible what waits; return it, and the files that have to be taken in again.

        Other workers may have taken in earlier or later states of the same files. What they wrote is read first: an
        earlier state is replaced, and for a later one this gives way.

        Raises
        ------
        StoreTrouble
            The archive did not take it; the next call tries again.
        """
        again: list[Work] = []
        if self._works:
            self.known.look_again()
            self.taker.refresh(self.known.view)
            while self._works:
                work, taken = self._works[-1]
                settled = self._against(taken)
                self._works.pop()
                if settled is None:
                    self.taker.give_up(taken)
                    again.append(work)
                    continue
                if settled.result is not None:
                    self._committer.add(settled.result)
                self._added.append((work, settled))
        self._committer.flush()
        done, self._added, self.since = self._added, [], None
        return done, again

    def _against(self, taken: Taken) -> Taken | None:
        """Return what is to be committed of a file beside what others have, `None` if it has changed again."""
        ledger, lives = self.known.ledger, lives_of(self.known.view)
        mine, theirs, result = taken.found, ledger.earlier(taken.found.url), taken.result
        if result is None:
            return taken
        removed = any(lives.get(row.dataset, 1) != row.incarnation for row in result.rows)
        if removed or any(not source.rows and ledger.held(source.sha256) is None for source in result.sources):
            return None  # its dataset was removed meanwhile, or what it is a copy of
        if theirs is None or theirs.sha256 in result.replaced:
            return taken
        if (theirs.size, theirs.stamp) == (mine.size, mine.stamp):
            return replace(taken, outcome="known", result=None)
        if theirs.sha256 in {source.sha256 for source in result.sources}:
            return taken
        now = look_up(mine.url, self.settings.options)
        if now is None or (now.size, now.stamp) != (mine.size, mine.stamp):
            return None
        return replace(taken, result=replace(result, replaced=result.replaced | {theirs.sha256}))

    def fold_due(self) -> float:
        """Return when the next fold is due, by the clock that only goes on."""
        return self._committer.fold_due()

    def fold_when_due(self) -> None:
        """Fold, if it is this writer's turn."""
        self._committer.fold_when_due()

    def fold(self) -> None:
        """Fold what is left."""
        self._committer.fold()
