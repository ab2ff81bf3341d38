"""The archive as the worker knows it: its ledger and its datasets, kept up with what other writers do."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archive.view import open_view
from ingest.index.ledger import Ledger, read_segments
from ingest.run import lives_of

if TYPE_CHECKING:
    from archive.store import Store
    from archive.view import View

__all__ = ["Known"]

_FRESH_SECONDS = 1.0  # so long an answer stands, however many messages ask


@dataclass(slots=True)
class Known:
    """What is known of an archive.

    Parameters
    ----------
    store
        Of the archive.

    Attributes
    ----------
    view, ledger
        As they were when last looked at; the ledger stays the same object.
    """

    store: Store
    view: View = field(init=False)
    ledger: Ledger = field(init=False)
    _segments: set[str] = field(default_factory=set)
    _commits: set[str] = field(default_factory=set)
    _looked: float = float("-inf")

    def __post_init__(self) -> None:
        self.ledger = Ledger(())
        self.view = open_view(self.store)
        self._read(self.view)

    def stale(self) -> bool:
        """Return whether looking again may tell something new."""
        return time.monotonic() - self._looked >= _FRESH_SECONDS

    def look_again(self) -> None:
        """Read what others have written since.

        Where a dataset was removed meanwhile, its sources are forgotten.

        Raises
        ------
        StoreTrouble
            The archive cannot be read.
        """
        view = open_view(self.store)
        view.settle()
        before, now = lives_of(self.view), lives_of(view)
        if any(before.get(name, 1) != now.get(name, 1) for name in before.keys() | now.keys()):
            self.ledger.forget()
            self._segments, self._commits = set(), set()
        self._read(view)

    def _read(self, view: View) -> None:
        view.settle()  # as in `read_ledger`
        entries = [entry for entry in view.snapshot.ledger if entry.key not in self._segments]
        found = read_segments(self.store, entries)
        for commit in view.commits:
            if commit.key not in self._commits:
                found.extend(commit.sources)
        for source in found:
            self.ledger.add(source)
        self._segments = {entry.key for entry in view.snapshot.ledger}
        self._commits = {commit.key for commit in view.commits}
        self.view, self._looked = view, time.monotonic()
