"""What goes into a granule of frames: their pixels, tiles and headers as arrays; put, and read again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.codec import codec_for
from archive.coords import TimeAxis
from archive.cube.files import BOUNDS
from archive.cube.table import Document, FrameTable, Kept, core_of, unpack
from archive.fits.template import HeaderTemplate
from archive.grid import grid_shape
from archive.index import layout
from archive.index.rows import Row, SourceRange, row_id
from archive.lazy import StoredPart
from archive.reading import load_many
from ingest.frames.held import FrameGroup, Held
from ingest.granule import GranuleContent, GranuleWriter, root_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from archive.store import Store

__all__ = ["FrameContent", "write_document", "write_frames"]

_SCALES_BYTES = 256 * 1024  # of one chunk of scales and zeros
_CF_TIME = {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian", "standard_name": "time"}
_BLOB = 1 << 20
_FEW_TILES = 32


@dataclass(slots=True)
class _Blobs:
    """Bytes that lie one after the other, and where each begins."""

    heads: bytearray = field(default_factory=bytearray)
    bounds: list[list[int]] = field(default_factory=list)
    kept: bytearray = field(default_factory=bytearray)
    index: list[Kept] = field(default_factory=list)

    @classmethod
    def of(cls, frames: Sequence[Held]) -> _Blobs:
        """Return those of some frames, behind the header that the others are told as differences from."""
        template = HeaderTemplate(frames[0].head)
        blobs = cls(heads=bytearray(template.template))
        for number, frame in enumerate(frames):
            blobs.add(number, frame, template)
        return blobs

    def add(self, number: int, frame: Held, template: HeaderTemplate) -> None:
        difference = template.difference(frame.head)
        head = len(self.heads), len(difference)
        self.heads += difference
        tail = frame.tail if frame.tail.strip(b"\0") else b""
        bounds = [frame.size, frame.header_start, *head, len(self.heads), len(frame.tail), len(tail), frame.unit_size]
        self.bounds.append(bounds)
        self.heads += tail
        for tile, kind, body in frame.kept:
            self.index.append(Kept(number, tile, len(self.kept), len(body), kind))
            self.kept += body


def write_frames(
    store: Store,
    dataset: Dataset,
    group: FrameGroup,
    *,
    files: Sequence[Source],
    key: str | None = None,
    batch: Sequence[str] = (),
    mapped: Callable[[Callable[..., bytes], Iterable[Any]], Iterable[bytes]] = map,
    **recorded: Any,
) -> Row:
    """Put a granule of frames, and return the row that a commit makes it visible with.

    Parameters
    ----------
    files
        Its sources whole, as the ledger has them.
    key, batch, mapped
        As in `ingest.granule.write_granule`.
    recorded
        What else a granule records: `replaces`, `instead`, `supersedes`, `left_out` of `GranuleContent`.
    """
    frames = group.frames
    first, last = min(frame.time for frame in frames), max(frame.time for frame in frames)
    key = key or layout.new_granule_key(dataset.name, first)
    blobs = _Blobs.of(frames)
    table = group.table(tuple(blobs.index), len(frames[0].head))
    writer = GranuleWriter(store, key)
    core = core_of(table.image)
    data = writer.put(
        "data",
        group.pixels(),
        ("frame", *(f"axis{number}" for number in range(len(core), 0, -1))),
        {"units": str(units)} if (units := frames[0].keywords.get("BUNIT")) else {},
        chunks=(chunks := _fitting(dataset.chunks, (len(frames), *core))),
        codec=codec_for(dataset.codec, frames[0].stored.dtype),
        mapped=mapped,
        order=_order((len(frames), *core), chunks),
    )
    time = span_of(first, last)
    writer.put_whole("time", time.to_ns(), ("time",), _CF_TIME)
    extras = {}
    for name, values, chunks in _arrays(group, blobs, table):
        dims = (
            ("frame", *(f"{name}{axis}" for axis in range(1, values.ndim)))
            if name not in {"heads", "kept"}
            else (name,)
        )
        extras[name] = writer.put(
            name, values, dims, {}, chunks=chunks, codec=codec_for(dataset.codec, values.dtype), mapped=mapped
        )
    sources = tuple(SourceRange(frame.sha256, 0, 0, 1) for frame in frames)
    row = Row(
        id=row_id(dataset.name, dataset.incarnation, sources),
        dataset=dataset.name,
        incarnation=dataset.incarnation,
        key=key,
        time=time,
        data=data,
        extras=extras,
        sources=sources,
        replaces=recorded.get("replaces", ()),
        frames=table.pack(),
    )
    return _finished(writer, row, dataset, files, batch, recorded)


def write_document(
    store: Store,
    dataset: Dataset,
    content: bytes,
    document: Document,
    *,
    time: int,
    file: Source,
    key: str | None = None,
    batch: Sequence[str] = (),
    mapped: Callable[[Callable[..., bytes], Iterable[Any]], Iterable[bytes]] = map,
    **recorded: Any,
) -> Row:
    """Put a granule that holds a dataset's asdf verbatim, and return its row.

    Parameters
    ----------
    time
        ns UTC of the first frame.
    """
    key = key or layout.new_granule_key(dataset.name, time)
    writer = GranuleWriter(store, key)
    values = np.frombuffer(content, np.uint8)
    data = writer.put(
        "data",
        values,
        ("byte",),
        {},
        chunks=(min(_BLOB, values.size),),
        codec=codec_for("portable", values.dtype),
        mapped=mapped,
    )
    axis = span_of(time, time)
    writer.put_whole("time", axis.to_ns(), ("time",), _CF_TIME)
    sources = (SourceRange(file.sha256, 0, 0, 1),)
    row = Row(
        id=row_id(dataset.name, dataset.incarnation, sources),
        dataset=dataset.name,
        incarnation=dataset.incarnation,
        key=key,
        time=axis,
        data=data,
        sources=sources,
        replaces=recorded.get("replaces", ()),
        frames=document.pack(),
    )
    return _finished(writer, row, dataset, [file], batch, recorded)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameContent:
    """All that a granule of frames, or of an asdf, was made of.

    Parameters
    ----------
    made_of
        The frames, or the asdf's bytes and what the index knows of it.
    files
        Its sources whole, as the ledger has them.
    """

    made_of: FrameGroup | tuple[bytes, Document]
    files: tuple[Source, ...]

    @property
    def samples(self) -> NDArray[Any]:
        """The array `data`."""
        return (
            self.made_of.pixels() if isinstance(self.made_of, FrameGroup) else np.frombuffer(self.made_of[0], np.uint8)
        )

    @property
    def recorded(self) -> dict[str, NDArray[Any]]:
        """The arrays beside it."""
        if not isinstance(self.made_of, FrameGroup):
            return {}
        blobs = _Blobs.of(self.made_of.frames)
        table = self.made_of.table(tuple(blobs.index), len(self.made_of.frames[0].head))
        return {name: values for name, values, _ in _arrays(self.made_of, blobs, table)}

    @classmethod
    def stored(cls, store: Store, row: Row, files: Sequence[Source]) -> FrameContent:
        """Return what lies in a granule, read.

        Raises
        ------
        DamagedData
            Something of it is missing or altered.
        """
        held = unpack(row.frames or "")
        known = {file.sha256: file for file in reversed(files)}
        mine = tuple(known[source.sha256] for source in row.sources if source.sha256 in known)
        if isinstance(held, Document):
            window = (slice(0, row.data.shape[0]),)
            return cls(
                made_of=(load_many([StoredPart(store, row.data, window)], limit=None)[0].tobytes(), held), files=mine
            )
        return cls(made_of=FrameGroup.stored(store, [(row, range(row.samples))]), files=mine)

    def write(self, store: Store, dataset: Dataset, time: int, **options: Any) -> Row:
        """Put it as a granule, and return its row.

        Parameters
        ----------
        time
            ns UTC of the first frame.
        options
            As for `write_frames`.
        """
        if isinstance(self.made_of, FrameGroup):
            return write_frames(store, dataset, self.made_of, files=self.files, **options)
        content, document = self.made_of
        return write_document(store, dataset, content, document, time=time, file=self.files[0], **options)


def span_of(first: int, last: int) -> TimeAxis:
    """Return the times of the first and of the last frame, ns, as an axis."""
    return TimeAxis([first], [last - first], [1], [0], [2 if last > first else 1])


def _finished(  # noqa: PLR0917 - one call, shared by two
    writer: GranuleWriter,
    row: Row,
    dataset: Dataset,
    files: Sequence[Source],
    batch: Sequence[str],
    recorded: Mapping[str, Any],
) -> Row:
    content = GranuleContent(samples=np.empty(0), time=row.time, sources=row.sources, files=tuple(files), **recorded)
    etags = writer.finish(root_attributes(row, dataset, content, batch or [row.key]))
    return replace(
        row,
        data=replace(row.data, etag=etags[row.data.key]),
        extras={name: replace(extra, etag=etags[extra.key]) for name, extra in row.extras.items()},
    )


def _fitting(chunks: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the dataset's chunk for an array, no longer than it along any axis."""
    if len(chunks) != len(shape):
        chunks = (chunks[0], *shape[1:])
    return tuple(min(size, length) for size, length in zip(chunks, shape, strict=True))


def _order(shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...] | None:
    """Return the order of chunks in the shard: those of one tile side by side, where a frame has few tiles.

    Then one pixel through all frames is one range of a granule, and a frame is as many as it has tiles.
    """
    blocks, *tiles = grid_shape(shape, chunks)
    return (*range(1, len(shape)), 0) if blocks > 1 and 1 < prod(tiles) <= _FEW_TILES else None


def _arrays(group: FrameGroup, blobs: _Blobs, table: FrameTable) -> Iterable[tuple[str, NDArray[Any], tuple[int, ...]]]:
    """Yield what lies beside the pixels: name, values and chunk."""
    frames, count = group.frames, len(group.frames)
    first = frames[0]
    if table.tiling is not None:
        steps = [step for step, length in zip(table.tiling.shape, table.image, strict=True) if length != 1] or [1]
        tiles = tuple(-(-length // step) for length, step in zip(table.core, steps, strict=True))
        if first.tiling is not None and first.tiling.scale is not None:
            pairs = [np.stack([f.tiling.scale, f.tiling.zero], -1) for f in frames if f.tiling is not None]  # type: ignore[list-item]
            scales = np.stack(pairs).reshape(count, *tiles, 2)
            along = max(_SCALES_BYTES // (count * prod(tiles[1:]) * 16), 1)
            yield "scales", scales, (count, min(along, tiles[0]), *tiles[1:], 2)
            if isinstance(first.tiling.blank, np.ndarray):
                blanks = np.stack([f.tiling.blank for f in frames if f.tiling is not None]).reshape(count, *tiles)  # type: ignore[misc]
                yield "blanks", blanks, (count, min(2 * along, tiles[0]), *tiles[1:])
        rows = np.stack([np.frombuffer(frame.rows, np.uint8) for frame in frames])
        yield "rows", rows, rows.shape
        places = np.stack([frame.places for frame in frames if frame.places is not None])
        yield "places", places, places.shape
    bounds = np.array(blobs.bounds, np.int64).reshape(count, len(BOUNDS))
    yield "bounds", bounds, bounds.shape
    heads = np.frombuffer(bytes(blobs.heads), np.uint8)
    yield "heads", heads, heads.shape
    if blobs.kept:
        kept = np.frombuffer(bytes(blobs.kept), np.uint8)
        yield "kept", kept, (min(64 * 1024, kept.size),)
