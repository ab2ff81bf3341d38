"""The one event loop of the process, in a thread of its own.

Synchronous code hands coroutines to it and waits; so any number of threads share the connections
of a store, and nothing above needs to know about asyncio.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["call", "run", "start", "was_forked"]

# Seconds that the end of the process waits for requests under way to let go.
_FAREWELL = 2.0
_AFTERMATH = 0.05


class _Loop:
    """An event loop that runs in a daemon thread until the process ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="lightkeep-store", daemon=True)
        self.thread.start()

    def close(self) -> None:
        # A thread of obstore's that wants the GIL while the interpreter goes down aborts the process
        # (obstore 0.12, Python 3.12). So nothing may be under way, and what was cancelled needs a
        # moment to be dropped over there, of which nobody tells.
        asyncio.run_coroutine_threadsafe(_cancel_all(), self.loop)
        self.thread.join(_FAREWELL)
        time.sleep(_AFTERMATH)


class _Process:
    """The loop of this process, made at its first use and made anew after a fork."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.current: _Loop | None = None
        self.forked = False

    def loop(self) -> asyncio.AbstractEventLoop:
        with self.lock:
            if self.current is None:
                self.current = _Loop()
            return self.current.loop

    def after_fork(self) -> None:
        # The parent's thread does not exist here, and its lock may be held for ever.
        self.forked = self.forked or self.current is not None
        self.lock = threading.Lock()
        self.current = None

    def close(self) -> None:
        if self.current is not None:
            self.current.close()


async def _cancel_all() -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    loop.stop()


_process = _Process()
os.register_at_fork(after_in_child=_process.after_fork)
atexit.register(_process.close)


def was_forked() -> bool:
    """Return whether this process was forked from one that had used a store."""
    return _process.forked


def start[T](work: Coroutine[Any, Any, T]) -> Future[T]:
    """Return the future of `work`, which runs in the loop from now on."""
    return asyncio.run_coroutine_threadsafe(work, _process.loop())


def call(function: Callable[[], object]) -> None:
    """Have the loop call `function` soon."""
    _process.loop().call_soon_threadsafe(function)


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, once the loop has done it.

    An interrupt (Ctrl-C) while waiting cancels the work.
    """
    future = start(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
