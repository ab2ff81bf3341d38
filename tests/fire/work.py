"""What the trials have other processes do: every way of writing, each in one call that pickles."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import TYPE_CHECKING, Any

import pytest
from fire.death import arm

from archive.errors import NotFound
from archive.view import open_view
from ingest.index.fold import fold
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.run import ingest

if TYPE_CHECKING:
    from fire.scene import Place

    from archive.store import Store

__all__ = ["ACTIONS", "FORKS", "Begun", "Deed", "begun", "warmed"]

FORKS = multiprocessing.get_context("forkserver")


@lru_cache
def warmed() -> None:
    """Start the process that others are forked from, with all imported: they are there in some milliseconds."""
    FORKS.set_forkserver_preload(["fire.warm"])
    with pytest.MonkeyPatch.context() as patch:  # Python 3.12 does not hand it sys.path
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()


def _ingest(store: Store, *places: str) -> None:
    ingest(store, places)


def _fold(store: Store) -> None:
    while store.entries("commits/"):
        fold(store)


def _compact(store: Store) -> None:
    compact(store)


def _rm(store: Store, first: int | None = None, last: int | None = None) -> None:
    for name in open_view(store).datasets():
        with suppress(NotFound):  # what an interrupted run has removed is removed
            remove(store, name, first, last)


def _gc(store: Store) -> None:
    collect(store, timedelta(0))


ACTIONS: dict[str, Callable[..., None]] = {
    "ingest": _ingest,
    "fold": _fold,
    "compact": _compact,
    "rm": _rm,
    "gc": _gc,
}

type Deed = tuple[str, tuple[Any, ...]]
"""The name of an action, and its arguments."""


def _child(place: Place, deed: Deed, at: int, answers: Connection, gate: Any) -> None:
    steps = arm(at)
    try:
        store = place.store()
        store.check()
        if gate is not None:
            gate.wait()
        answers.send("begun")
        ACTIONS[deed[0]](store, *deed[1])
    except BaseException:
        answers.send(traceback.format_exc())
        raise
    answers.send(steps())


class Begun:
    """An action in a process of its own."""

    def __init__(self, place: Place, deed: Deed, at: int, gate: Any) -> None:
        self._answers, theirs = FORKS.Pipe(duplex=False)
        self.process: ForkServerProcess = FORKS.Process(target=_child, args=(place, deed, at, theirs, gate))
        self.process.start()
        theirs.close()

    def wait_until_begun(self) -> None:
        assert self._answers.recv() == "begun"

    def end(self) -> int | None:
        """Wait for its end; return how many steps it took, or `None` if it was killed.

        Raises
        ------
        AssertionError
            It failed.
        """
        said: Any = None
        with suppress(EOFError):
            while True:
                said = self._answers.recv()
        self.process.join()
        self._answers.close()
        assert not (isinstance(said, str) and said != "begun"), said
        return said if isinstance(said, int) else None


def begun(place: Place, deed: Deed, *, at: int = 0, gate: Any = None) -> Begun:
    """Have a process begin an action, and die at its step `at` unless that is 0."""
    warmed()
    return Begun(place, deed, at, gate)
