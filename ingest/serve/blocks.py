"""Decoded samples kept for the next tile: what one picture needs, its neighbours and the next zoom need again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

__all__ = ["Block", "Blocks"]

type Block = list[tuple[NDArray[Any], NDArray[Any]]]
"""The runs in a stretch of time: stamps (ns) of shape `(n,)`, and samples of shape `(n, channels)`."""

_BYTES = 256 << 20


class Blocks:
    """Holds the blocks that were used last; a block that several ask for at once is read once.

    Parameters
    ----------
    limit
        Bytes that are kept.
    """

    def __init__(self, limit: int = _BYTES) -> None:
        self._limit, self._bytes = limit, 0
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, Future[Block]] = OrderedDict()

    def get(self, keys: Sequence[Hashable], read: Callable[[list[int]], list[Block]]) -> list[Block]:
        """Return blocks; those that are not there are read, all by one call.

        Parameters
        ----------
        keys
            What names them.
        read
            Takes the numbers, in `keys`, of those that are missing, and returns them.
        """
        mine: list[int] = []
        with self._lock:
            futures = []
            for number, key in enumerate(keys):
                if key not in self._held:
                    self._held[key] = Future()
                    mine.append(number)
                self._held.move_to_end(key)
                futures.append(self._held[key])
        if mine:
            self._read([keys[number] for number in mine], [futures[number] for number in mine], mine, read)
        return [future.result() for future in futures]

    def _read(
        self,
        keys: list[Hashable],
        futures: list[Future[Block]],
        mine: list[int],
        read: Callable[[list[int]], list[Block]],
    ) -> None:
        try:
            blocks = read(mine)
        except BaseException as error:
            with self._lock:
                for key in keys:  # the next who asks tries again
                    self._held.pop(key, None)
            for future in futures:
                future.set_exception(error)
            raise
        for future, block in zip(futures, blocks, strict=True):
            future.set_result(block)
        with self._lock:
            self._bytes += sum(_size(block) for block in blocks)
            for key in list(self._held):
                if self._bytes <= self._limit:
                    break
                if self._held[key].done():
                    self._bytes -= _size(self._held.pop(key).result())


def _size(block: Block) -> int:
    return sum(stamps.nbytes + samples.nbytes for stamps, samples in block)
