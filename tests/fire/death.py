"""A process that ends itself with SIGKILL at a chosen step: before or after a request, or a call of the file system."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from archive.store.engine import Engine

__all__ = ["arm"]

_CALLS = ("fsync", "link", "rename", "unlink", "rmdir", "mkdir", "write")


def arm(at: int) -> Callable[[], int]:
    """Kill this process at its step number `at`, counted from 1; 0 lets it live. Returns what counts the steps.

    A step lies before each request and after its answer, and around each call that changes the file system:
    so between any two things that others can see.
    """
    numbers = itertools.count(1)
    taken = [0]

    def step() -> None:
        taken[0] = next(numbers)
        if taken[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    plain = Engine._repeat

    async def repeat(self: Engine, kind: str, key: str, send: Callable[[int], Awaitable[Any]]) -> Any:
        async def between(retry: int) -> Any:
            step()
            answer = await send(retry)
            step()
            return answer

        return await plain(self, kind, key, between)

    Engine._repeat = repeat  # type: ignore[method-assign,assignment]
    for name in _CALLS:
        setattr(os, name, _around(getattr(os, name), step))
    return lambda: taken[0]


def _around(call: Callable[..., Any], step: Callable[[], None]) -> Callable[..., Any]:
    def stepped(*args: Any, **options: Any) -> Any:
        step()
        answer = call(*args, **options)
        step()
        return answer

    return stepped
