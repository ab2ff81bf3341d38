"""Granules made of granules: parts of stored ones, joined and cut, bit for bit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import TimeAxis
from archive.errors import DamagedData, NotFound
from archive.index.rows import joined_sources
from archive.lazy import StoredPart
from archive.reading import load_many
from archive.store import Get
from ingest.encoders import encoders
from ingest.granule import GranuleContent, GranuleRecord, root_key, write_granule
from ingest.headers import each_whole, shared_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.index.dataset import Dataset
    from archive.index.rows import Row, SourceRange
    from archive.store import Store

__all__ = ["Part", "rewrite", "sources_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """Samples of a granule along time, or frames of it, half-open."""

    row: Row
    start: int
    stop: int


def rewrite(
    store: Store, dataset: Dataset, parts: Sequence[Part], *, replaces: Sequence[Row], key: str, batch: Sequence[str]
) -> Row:
    """Put one granule that holds parts of others, and return its row, for a swap to make visible.

    Parameters
    ----------
    parts
        Of samples in order of time, of frames row by row; their rows have the same attributes, or frames of one kin.
    replaces
        The rows that go when this one comes.
    key, batch
        Of this granule, and of all that come with it.

    Raises
    ------
    DamagedData
        A granule is missing or altered.
    """
    if dataset.holds_frames:
        return _rewrite_frames(store, dataset, parts, replaces=replaces, key=key, batch=batch)
    windows = tuple(slice(0, width) for width in dataset.widths)
    names = sorted({name for part in parts for name in part.row.extras})
    lazy = [StoredPart(store, part.row.data, (slice(part.start, part.stop), *windows)) for part in parts]
    extras = [
        StoredPart(store, part.row.extras[name], (slice(part.start, part.stop),))
        for part in parts
        for name in names
        if name in part.row.extras
    ]
    loaded = load_many([*lazy, *extras], limit=None)
    samples, stamps = loaded[: len(lazy)], iter(loaded[len(lazy) :])
    recorded: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    for part in parts:
        for name in names:
            held = next(stamps) if name in part.row.extras else part.row.time.cut(part.start, part.stop).to_ns()
            recorded[name].append(held.astype(np.int64, copy=False))
    wanted = {source.sha256 for part in parts for source in sources_of(part)}
    records = _records_of(store, parts)
    headers = {sha256: header for record in records for sha256, header in each_whole(record.headers).items()}
    files = [source for record in records for source in record.files]
    content = GranuleContent(
        samples=np.concatenate(samples) if len(samples) > 1 else samples[0],
        time=TimeAxis.concatenate(part.row.time.cut(part.start, part.stop) for part in parts),
        sources=joined_sources(source for part in parts for source in sources_of(part)),
        recorded={name: np.concatenate(values) for name, values in recorded.items()},
        attrs=parts[0].row.attrs,
        headers=shared_once(
            {sha256: header for sha256, header in sorted(headers.items()) if sha256 in wanted},
        ),
        files=tuple({source.sha256: source for source in files if source.sha256 in wanted}.values()),
        **_standing_for(store, replaces, records, parts),
    )
    return write_granule(store, dataset, content, key=key, batch=batch, mapped=encoders().map)


def _rewrite_frames(
    store: Store, dataset: Dataset, parts: Sequence[Part], *, replaces: Sequence[Row], key: str, batch: Sequence[str]
) -> Row:
    """Put one granule that holds some frames of others, all of one kin; an asdf is copied whole."""
    from archive.cube.table import Document, unpack
    from ingest.frames.content import write_document, write_frames
    from ingest.frames.held import FrameGroup

    records = _records_of(store, parts)
    wanted = {source.sha256 for part in parts for source in sources_of(part)}
    files = {source.sha256: source for record in records for source in record.files if source.sha256 in wanted}
    recorded = _standing_for(store, replaces, records, parts)
    row = parts[0].row
    held = unpack(row.frames or "")
    if isinstance(held, Document):
        content = load_many([StoredPart(store, row.data, (slice(0, row.data.shape[0]),))], limit=None)[0].tobytes()
        (file,) = files.values()
        return write_document(
            store, dataset, content, held, time=row.time.first, file=file, key=key, batch=batch, **recorded
        )
    members: list[tuple[Row, list[int]]] = []
    for _, run in itertools.groupby(parts, key=lambda part: part.row.identity):
        of_row = list(run)
        members.append((of_row[0].row, [number for part in of_row for number in range(part.start, part.stop)]))
    (group,) = FrameGroup.kin(FrameGroup.stored(store, members).frames)
    sources = [files[frame.sha256] for frame in group.frames]
    return write_frames(store, dataset, group, files=sources, key=key, batch=batch, mapped=encoders().map, **recorded)


def _standing_for(
    store: Store, replaces: Sequence[Row], records: Sequence[GranuleRecord], parts: Sequence[Part]
) -> dict[str, Any]:
    """Return what a granule records of those that go when it comes.

    Parameters
    ----------
    records
        Of the parts.
    """
    kept = {part.row.identity for part in parts}
    hidden = [row for row in replaces if row.identity not in kept]
    merged = [row for row in hidden if row.replaces]  # only these stand for others in their turn
    earlier = [key for record in records for key in record.instead]
    for record in _told(store, [row.key for row in merged]).values():  # nothing of one that is missing is served
        earlier += record.instead
    return {
        "replaces": tuple(dict.fromkeys(name for row in replaces for name in (row.id, *row.replaces))),
        "instead": tuple(dict.fromkeys([*(row.key for row in replaces), *earlier])),
        "left_out": tuple(_left_out(row) for row in hidden),
    }


def sources_of(part: Part) -> tuple[SourceRange, ...]:
    """Return the source samples that a part of a granule holds."""
    return part.row.sources_of(part.start, part.stop)


def _left_out(row: Row) -> dict[str, Any]:
    """Return what is recorded of a granule whose samples others serve."""
    return {
        "id": row.id,
        "key": row.key,
        "first": row.time.first,
        "last": row.time.last,
        "sources": [list(source) for source in row.sources],
    }


def _records_of(store: Store, parts: Sequence[Part]) -> list[GranuleRecord]:
    """Return what the granules of some parts tell of themselves, one after the other."""
    keys = list(dict.fromkeys(part.row.key for part in parts))
    told = _told(store, keys)
    for key in keys:
        if key not in told:
            raise DamagedData(f"{root_key(key)}: the object is missing; run lightkeep verify")
    return list(told.values())


def _told(store: Store, keys: Sequence[str]) -> dict[str, GranuleRecord]:
    """Return what granules tell of themselves, by key; those that are missing are left out."""
    told: dict[str, GranuleRecord] = {}
    for key, reply in zip(keys, store.wave([Get(root_key(key)) for key in keys], return_errors=True), strict=True):
        if isinstance(reply, NotFound):
            continue
        if isinstance(reply, BaseException):
            raise reply
        told[key] = GranuleRecord.decode(key, reply.data)
    return told
