"""The archive as the page sees it: pinned views, each under a token, and what is worked out of them once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput, NotFound
from archive.view import View, open_view
from ingest.serve.blocks import Blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.index.dataset import Dataset
    from archive.store import Store

__all__ = ["Pinned", "Spans", "Views"]

_KEPT = 3  # views that pages may still be looking at


@dataclass(frozen=True, slots=True)
class Spans:
    """The contiguous runs of a dataset, in order of time.

    Parameters
    ----------
    first, last
        First and last stamp of each, ns, shape `(n,)`.
    step
        Time that a sample stands for, ns.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    step: int

    def __len__(self) -> int:
        return len(self.first)


@dataclass(slots=True)
class Pinned:
    """One state of the archive, and what was worked out of it so far.

    Parameters
    ----------
    token
        Names the state; what is asked for under it never changes.
    view
        The pinned index.
    blocks
        Samples that were decoded lately, of all states.
    """

    token: str
    view: View
    blocks: Blocks
    _spans: dict[str, Spans] = field(default_factory=dict)
    _cubes: dict[str, list[Any]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def dataset(self, name: str) -> Dataset:
        """Return what is fixed for a dataset.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        return self.view.dataset(name)

    def spans(self, name: str) -> Spans:
        """Return the runs of a dataset of samples; of frames, each frame by itself."""
        with self._lock:
            if name not in self._spans:
                dataset = self.dataset(name)
                if dataset.holds_frames:
                    times = [cube.times.astype("datetime64[ns]").astype(np.int64) for cube in self.cubes(name)]
                    stamps = np.unique(np.concatenate([*times, np.empty(0, np.int64)]))
                    self._spans[name] = Spans(stamps, stamps, max(round(dataset.step), 1))
                else:
                    found = np.array(self.view.coverage(name), dtype=np.int64).reshape(-1, 2)
                    self._spans[name] = Spans(found[:, 0].copy(), found[:, 1].copy(), max(round(dataset.step), 1))
            return self._spans[name]

    def cubes(self, name: str) -> list[Any]:
        """Return the Cubes of a dataset of frames, unread.

        Raises
        ------
        InvalidInput
            It holds samples along time, no frames.
        MissingExtra
            What frames need is not installed.
        """
        with self._lock:
            if name not in self._cubes:
                if not self.dataset(name).holds_frames:
                    raise InvalidInput(f"{name}: no dataset of frames; ask /api/tile for its samples")
                from archive.cube import cubes_of

                self._cubes[name] = [cube for table in self.view.tables([name]) for cube in cubes_of(self.view, table)]
            return self._cubes[name]


class Views:
    """Opens the archive, and keeps the last few states that were handed out."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._blocks = Blocks()
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Pinned] = OrderedDict()

    def newest(self) -> Pinned:
        """Return the archive as it is now.

        Raises
        ------
        NotFound
            There is no archive.
        StoreTrouble
            The store does not answer.
        """
        view = open_view(self.store)
        view.settle()
        keys = "\n".join(sorted(commit.key for commit in view.commits))
        token = f"{view.snapshot.number}-{hashlib.sha256(keys.encode()).hexdigest()[:8]}"
        with self._lock:
            pinned = self._kept.setdefault(token, Pinned(token, view, self._blocks))
            self._kept.move_to_end(token)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return pinned

    def at(self, token: str) -> Pinned:
        """Return a state that was handed out.

        Raises
        ------
        NotFound
            It was too long ago; ask for the newest.
        """
        with self._lock:
            if token not in self._kept:
                raise NotFound("this state of the archive is no longer held; load /api/archive again")
            return self._kept[token]
