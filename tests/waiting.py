"""Waiting for what is going to happen, on a machine that may be slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

# Seconds: what takes longer will not come. Many times what it takes where other tests run beside it.
PATIENCE = 120.0


def until[T](ask: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """Return the first answer that is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


class Runs[R](Protocol):
    """What runs until it is stopped, and says then what it did."""

    def run(self) -> R: ...

    def stop(self) -> None: ...


@contextmanager
def in_a_thread[R](one: Runs[R]) -> Iterator[list[R]]:
    """Run it in a thread of the test, and stop it at the end; what it says is in the list then."""
    said: list[R] = []
    thread = threading.Thread(target=lambda: said.append(one.run()))
    thread.start()
    try:
        yield said
    finally:
        one.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert said
