"""Requests sent together: their answers in order, or as they come."""

from __future__ import annotations

import asyncio
import queue
from functools import partial
from typing import TYPE_CHECKING

from archive.errors import LightkeepError, StoreTrouble
from archive.store import loop

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from archive.store.engine import Engine
    from archive.store.values import Entry, Get, List, Object

__all__ = ["gather", "stream", "wave"]

# Bytes that are asked for, or have come and wait for a slow reader; one larger answer comes alone.
_ROOM = 128 << 20

type Answer = Object | list[Entry] | LightkeepError | None
type _Arrival = tuple[int, Object | Exception | None]


async def gather[T](tasks: Sequence[asyncio.Task[T]]) -> list[T]:
    """Return the results of all tasks, or raise the first error and cancel the rest."""
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wave(engine: Engine, requests: Sequence[Get | List], *, return_errors: bool) -> list[Answer]:
    """Return the answers to requests that are all sent at once, in their order."""

    async def one(request: Get | List) -> Answer:
        try:
            return await engine.answer(request)
        except LightkeepError as error:
            if not return_errors:
                raise
            return error

    return await gather([asyncio.create_task(one(request)) for request in requests])


def stream(engine: Engine, gets: Sequence[Get], *, return_errors: bool) -> Generator[tuple[int, Answer]]:
    """Yield the number of each request and its answer, in the order of arrival.

    Closing the iterator cancels what is still under way.
    """
    # Filled by the loop's thread, read by the caller's.
    arrived: queue.SimpleQueue[_Arrival] = queue.SimpleQueue()
    # To wake the loop takes as long as to decode a small chunk, so only where something may wait for it.
    room = _Room(_ROOM) if sum(map(_size, gets)) > _ROOM else None
    future = loop.start(_fill(engine, gets, arrived, room))
    future.add_done_callback(lambda _: arrived.put((-1, StoreTrouble("reading was cancelled"))))
    try:
        for _ in gets:
            number, answer = arrived.get()
            if isinstance(answer, Exception) and not (return_errors and isinstance(answer, LightkeepError)):
                raise answer
            yield number, answer
            if room is not None:
                loop.call(partial(room.leave, _size(gets[number])))
    finally:
        future.cancel()


class _Room:
    """Bytes that may be under way at once; used inside the loop only."""

    def __init__(self, limit: int) -> None:
        self._limit, self._taken = limit, 0
        self._left = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Wait until there is room for `size` bytes, or for anything at all."""
        while self._taken and self._taken + size > self._limit:
            self._left.clear()
            await self._left.wait()
        self._taken += size

    def leave(self, size: int) -> None:
        """Give room back."""
        self._taken -= size
        self._left.set()


def _size(request: Get) -> int:
    """Return the bytes to expect: a whole object, whose size nobody knows yet, counts as 2 MiB."""
    return _ROOM // 64 if request.stop is None else request.stop - (request.start or 0)


async def _fill(engine: Engine, gets: Sequence[Get], arrived: queue.SimpleQueue[_Arrival], room: _Room | None) -> None:
    async def one(number: int, request: Get) -> None:
        try:
            arrived.put((number, await engine.get(request)))
        except Exception as error:  # noqa: BLE001 -- raised again in the caller's thread
            arrived.put((number, error))

    tasks: list[asyncio.Task[None]] = []
    try:
        for number, request in enumerate(gets):
            if room is not None:
                await room.enter(_size(request))
            tasks.append(asyncio.create_task(one(number, request)))
        await gather(tasks)
    finally:
        for task in tasks:
            task.cancel()
