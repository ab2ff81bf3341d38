"""Rows: what the index knows of one granule."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from archive.coords import TimeAxis
from archive.grid import chunk_starts, grid_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.model import Scalar

__all__ = ["ArrayRef", "Row", "SourceRange", "joined_sources", "row_id"]


class SourceRange(NamedTuple):
    """Samples `start` to `stop` along time of one block of a source, known by its SHA-256 (hex)."""

    sha256: str
    block: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRef:
    """One stored object that holds one array: all that is needed to read any part of it.

    Parameters
    ----------
    key, size, etag, sha256
        The object: where it lies, its bytes, the store's own tag for If-Match, its content (hex).
    shape, dtype, chunks, codec
        The array, its inner chunks, and the codec by its name.
    lengths
        Bytes of each inner chunk in C order; they follow each other from byte 0.
    order
        In which order, where that is not C order: axes of the grid, the last one's neighbours lie side by side.
    """

    key: str
    size: int
    etag: str | None
    sha256: str
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    codec: str
    lengths: Sequence[int]
    order: tuple[int, ...] | None = None

    @property
    def starts(self) -> NDArray[np.int64]:
        """First byte of each inner chunk, in C order."""
        return chunk_starts(self.lengths, grid_shape(self.shape, self.chunks), self.order)

    @property
    def nbytes(self) -> int:
        """Bytes of the array when decoded."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def is_whole(self) -> bool:
        """Return whether the lengths account for the object: chunks for the grid, bytes for the size."""
        return len(self.lengths) == prod(grid_shape(self.shape, self.chunks)) and sum(self.lengths) <= self.size

    def to_json(self) -> dict[str, Any]:
        """Return the reference as JSON."""
        held = {name: _plain(getattr(self, name)) for name in self.__slots__}
        if self.order is None:
            del held["order"]
        return held

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ArrayRef:
        """Return the reference that JSON holds."""
        lists = {name: tuple(data[name]) for name in ("shape", "chunks", "lengths", "order") if name in data}
        return cls(**{**data, **lists})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the index knows of one granule.

    Parameters
    ----------
    id
        SHA-256 (hex) of the dataset's incarnation and the source samples that it holds.
    dataset, incarnation
        The dataset, and which life of it.
    key
        Key of the granule's group.
    time
        Exact stamps.
    data
        Where the samples lie.
    attrs
        Attributes that differ from the dataset's (`None`: absent here).
    extras
        Coordinates stored beside the samples, by name, such as `time_recorded`.
    sources
        What it was made of.
    replaces
        Ids of the rows that it stands for since a `compact`.
    frames
        What the row says of frames of a telescope, packed (see `archive.cube.table`); `None` for samples in time.
        Its time is then that of the first and of the last frame, and each source is a frame.
    """

    id: str
    dataset: str
    incarnation: int
    key: str
    time: TimeAxis
    data: ArrayRef
    attrs: Mapping[str, Scalar] = field(default_factory=dict)
    extras: Mapping[str, ArrayRef] = field(default_factory=dict)
    sources: tuple[SourceRange, ...] = ()
    replaces: tuple[str, ...] = ()
    frames: str | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """What no two rows of an archive share; the id alone may be that of one that this stands for."""
        return self.id, self.key

    @property
    def samples(self) -> int:
        """Number of samples along time, or of frames: as many as its sources gave."""
        return self.time.size if self.frames is None else len(self.sources)

    def sources_of(self, start: int, stop: int) -> tuple[SourceRange, ...]:
        """Return the source samples that the granule's samples `start` to `stop` are."""
        found, begin = [], 0
        for source in self.sources:
            end = begin + source.stop - source.start
            first, last = max(start, begin), min(stop, end)
            if first < last:
                found.append(source._replace(start=source.start + first - begin, stop=source.start + last - begin))
            begin = end
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return {
            "id": self.id,
            "dataset": self.dataset,
            "incarnation": self.incarnation,
            "key": self.key,
            "time": time_to_json(self.time),
            "data": self.data.to_json(),
            "attrs": dict(self.attrs),
            "extras": {name: ref.to_json() for name, ref in self.extras.items()},
            "sources": [list(source) for source in self.sources],
            "replaces": list(self.replaces),
            **({"frames": self.frames} if self.frames is not None else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """Return the row that JSON holds."""
        return cls(
            id=data["id"],
            dataset=data["dataset"],
            incarnation=data["incarnation"],
            key=data["key"],
            time=time_from_json(data["time"]),
            data=ArrayRef.from_json(data["data"]),
            attrs=data["attrs"],
            extras={name: ArrayRef.from_json(ref) for name, ref in data["extras"].items()},
            sources=tuple(SourceRange(*source) for source in data["sources"]),
            replaces=tuple(data["replaces"]),
            frames=data.get("frames"),
        )


def row_id(dataset: str, incarnation: int, sources: Sequence[SourceRange]) -> str:
    """Return the id of the row that holds these samples: never of settings, worker or batch."""
    text = json.dumps([dataset, incarnation, sorted(list(source) for source in sources)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def joined_sources(sources: Iterable[SourceRange]) -> tuple[SourceRange, ...]:
    """Return source ranges with neighbours made one."""
    joined: list[SourceRange] = []
    for source in sources:
        last = joined[-1] if joined else None
        if last and (last.sha256, last.block, last.stop) == (source.sha256, source.block, source.start):
            joined[-1] = last._replace(stop=source.stop)
        else:
            joined.append(source)
    return tuple(joined)


def time_to_json(time: TimeAxis) -> list[list[int]]:
    """Return the pieces of an axis, column by column."""
    return [column.tolist() for column in time.columns()]


def time_from_json(columns: Sequence[Sequence[int]]) -> TimeAxis:
    """Return the axis whose pieces are given column by column."""
    return TimeAxis(*columns)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
