"""The one event loop that runs all requests of a process, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Coroutine

__all__ = ["run", "submit"]

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


def _loop() -> asyncio.AbstractEventLoop:
    """Return this process's loop; a forked child starts its own, since threads do not survive a fork."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="lightkeep-io", daemon=True).start()
            _loops.clear()
            _loops[os.getpid()] = loop
        return loop


def submit[T](work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Start work on the loop."""
    return asyncio.run_coroutine_threadsafe(work, _loop())


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Return what work on the loop results in; an interrupt cancels it."""
    future = submit(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
