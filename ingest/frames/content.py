"""What goes into a granule of frames: their pixels, tiles and headers as arrays; put, and read again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.codec import codec_for
from archive.coords import TimeAxis
from archive.cube.files import BOUNDS, GranuleFiles
from archive.cube.pixels import FrameGranule
from archive.cube.table import Document, FrameTable, Kept, core_of, unpack
from archive.errors import InvalidInput
from archive.fits.image import Scaling, Tiling
from archive.fits.template import HeaderTemplate
from archive.index import layout
from archive.index.rows import Row, SourceRange, row_id
from archive.lazy import StoredPart
from archive.reading import load_many
from ingest.granule import GranuleContent, GranuleWriter, root_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.fits.frame import Frame
    from archive.index.commits import Source
    from archive.index.dataset import Dataset
    from archive.store import Store

__all__ = ["FrameGroup", "Held", "write_document", "write_frames"]

_SCALES_BYTES = 256 * 1024  # of one chunk of scales and zeros
_CF_TIME = {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian", "standard_name": "time"}
_BLOB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One frame, ready to be stored.

    Parameters
    ----------
    file
        Name of its file.
    sha256
        Of the file (hex).
    stored
        Numbers of the image, in the shape that the file has.
    tiling
        How it was compressed, with its scales and zeros; `None` where it was not.
    head, tail, header_start, size
        As in `archive.fits.frame.Frame`.
    rows, places, unit_size
        The table of tiles, shape `(tiles, 2)` and bytes of the data unit; empty for an image that is not compressed.
    kept
        Bytes to be stored as they are: tile, kind and bytes (see `archive.cube.table.Kept`).
    time
        ns UTC.
    place
        What its header says of its place, outermost axis first.
    tile
        Which tile of a mosaic, from 0.
    keywords
        Its header.
    """

    file: str
    sha256: str
    stored: NDArray[Any]
    scaling: Scaling
    tiling: Tiling | None
    head: bytes
    tail: bytes
    header_start: int
    size: int
    rows: bytes = b""
    places: NDArray[np.int64] | None = None
    unit_size: int = 0
    kept: tuple[tuple[int, str, bytes], ...] = ()
    time: int
    place: tuple[int, ...]
    tile: tuple[int, ...] | None
    keywords: Mapping[str, Any]

    @classmethod
    def of_frame(
        cls, frame: Frame, *, time: int, place: tuple[int, ...], tile: tuple[int, ...] | None, keywords: Mapping[str, Any]
    ) -> Held:
        """Return a frame that was read from its file."""
        image, table = frame.image, frame.table
        beside: dict[str, Any] = {}
        if table is not None:
            exact = {} if image.tiling is None else image.tiling.exact
            kept = [(number, _kind(body) if number in exact else "", body) for number, body in table.kept.items()]
            if table.whole is not None:
                kept.append((-1, "", table.whole))
            beside = {"rows": table.rows, "places": table.places, "unit_size": table.size, "kept": tuple(kept)}
        return cls(
            file=frame.name,
            sha256=frame.sha256,
            stored=image.stored,
            scaling=image.scaling,
            tiling=image.tiling,
            head=frame.head,
            tail=frame.tail,
            header_start=frame.header_start,
            size=frame.size,
            time=time,
            place=place,
            tile=tile,
            keywords=keywords,
            **beside,
        )

    @property
    def kin(self) -> tuple[Any, ...]:
        """What frames must share to lie in one granule."""
        tiling = self.tiling
        tiles = tiling and (
            tiling.shape,
            tiling.algorithm,
            tiling.block,
            tiling.item,
            tiling.dither,
            tiling.scale is None,
            None if isinstance(tiling.blank, np.ndarray) else tiling.blank,
            isinstance(tiling.blank, np.ndarray),
            len(self.rows),
        )
        return (self.tile, self.stored.shape, self.stored.dtype.str, self.scaling, tiles)


def _kind(body: bytes) -> str:
    return "gzip" if body.startswith(b"\x1f\x8b\x08") else "plain"


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """Frames of one kin, in the order of their places."""

    frames: tuple[Held, ...] = field(default_factory=tuple)

    @classmethod
    def kin(cls, frames: Iterable[Held]) -> list[FrameGroup]:
        """Return frames in groups that each fit into one granule."""
        groups: dict[tuple[Any, ...], list[Held]] = {}
        for frame in frames:
            groups.setdefault(frame.kin, []).append(frame)
        return [
            cls(tuple(sorted(members, key=lambda one: (one.place, one.time, one.file)))) for members in groups.values()
        ]

    @classmethod
    def stored(cls, store: Store, row: Row, numbers: Sequence[int]) -> FrameGroup:
        """Return some frames of a granule, read.

        Raises
        ------
        DamagedData
            Something of it is missing or altered.
        """
        table = unpack(row.frames or "")
        if isinstance(table, Document):
            raise InvalidInput(f"{row.key}: holds an asdf, no frames")
        granule = FrameGranule(store, row.key, row.data, row.extras, table)
        hashes = [source.sha256 for source in row.sources]
        files = GranuleFiles(granule, hashes)
        lazy = [StoredPart(store, row.data, tuple(slice(0, length) for length in row.data.shape))]
        names = [name for name in ("scales", "blanks") if name in row.extras]
        loaded = load_many([*lazy, *(granule.whole(name) for name in names)], limit=None)
        beside = dict(zip(names, loaded[1:], strict=True))
        return cls(tuple(_held(files, loaded[0], beside, number) for number in numbers))

    def table(self, kept: tuple[Kept, ...], template: int) -> FrameTable:
        """Return what the index is to know of these frames."""
        first = self.frames[0]
        tiling = first.tiling
        if tiling is not None:
            blank = None if isinstance(tiling.blank, np.ndarray) else tiling.blank
            tiling = replace(tiling, scale=None, zero=None, exact={}, blank=blank, seed=0)
        constant, varying = _columns([frame.keywords for frame in self.frames])
        dithered = tiling is not None and tiling.dither != "NO_DITHER"
        return FrameTable(
            image=first.stored.shape,
            scaling=first.scaling,
            tiling=tiling,
            files=tuple(frame.file for frame in self.frames),
            times=tuple(frame.time for frame in self.frames),
            places=tuple(frame.place for frame in self.frames),
            tile=first.tile,
            constant=constant,
            varying=varying,
            seeds=tuple(frame.tiling.seed for frame in self.frames if frame.tiling) if dithered else (),
            kept=kept,
            template=template,
        )


def _held(files: GranuleFiles, data: NDArray[Any], beside: Mapping[str, NDArray[Any]], number: int) -> Held:
    table, one = files.granule.table, files.stored_frame(number)
    tiling = table.tiling_of(number)
    if tiling is not None and "scales" in beside:
        scales = beside["scales"][number].reshape(-1, 2)
        blank = beside["blanks"][number].ravel() if "blanks" in beside else tiling.blank
        tiling = replace(tiling, scale=scales[:, 0], zero=scales[:, 1], blank=blank)
    kinds = {kept.tile: kept.kind for kept in table.kept if kept.frame == number}
    kept: list[tuple[int, str, bytes]] = []
    rest: dict[str, Any] = {}
    if one.table is not None:
        kept = [(tile, kinds[tile], body) for tile, body in one.table.kept.items()]
        kept += [(-1, "", one.table.whole)] if one.table.whole is not None else []
        rest = {"rows": one.table.rows, "places": one.table.places, "unit_size": one.table.size}
    return Held(
        file=table.files[number],
        sha256=files.hashes[number],
        stored=data[number].reshape(table.image),
        scaling=table.scaling,
        tiling=tiling,
        head=one.head,
        tail=one.tail,
        header_start=one.header_start,
        size=one.size,
        kept=tuple(kept),
        time=table.times[number],
        place=table.places[number] if table.places else (),
        tile=table.tile,
        keywords=table.header(number),
        **rest,
    )


def _columns(headers: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    constant: dict[str, Any] = {}
    varying: dict[str, list[Any]] = {}
    first = headers[0]
    for key in dict.fromkeys(key for header in headers for key in header):
        value = first.get(key)
        if all(key in header and type(header[key]) is type(value) and header[key] == value for header in headers):
            constant[key] = value
        else:
            varying[key] = [header.get(key) for header in headers]
    return constant, varying


@dataclass(slots=True)
class _Blobs:
    """Bytes that lie one after the other, and where each begins."""

    heads: bytearray = field(default_factory=bytearray)
    bounds: list[list[int]] = field(default_factory=list)
    kept: bytearray = field(default_factory=bytearray)
    index: list[Kept] = field(default_factory=list)

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
    template = HeaderTemplate(frames[0].head)
    blobs = _Blobs(heads=bytearray(template.template))
    for number, frame in enumerate(frames):
        blobs.add(number, frame, template)
    table = group.table(tuple(blobs.index), len(template.template))
    writer = GranuleWriter(store, key)
    core = core_of(table.image)
    data = writer.put(
        "data",
        np.stack([frame.stored.reshape(core) for frame in frames]),
        ("frame", *(f"axis{number}" for number in range(len(core), 0, -1))),
        {"units": str(units)} if (units := frames[0].keywords.get("BUNIT")) else {},
        chunks=_fitting(dataset.chunks, (len(frames), *core)),
        codec=codec_for(dataset.codec, frames[0].stored.dtype),
        mapped=mapped,
    )
    time = span_of(first, last)
    writer.put_whole("time", time.to_ns(), ("time",), _CF_TIME)
    extras = {}
    for name, values, chunks in _arrays(group, blobs, table):
        dims = ("frame", *(f"{name}{axis}" for axis in range(1, values.ndim))) if name not in {"heads", "kept"} else (name,)
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


def span_of(first: int, last: int) -> TimeAxis:
    """Return the times of the first and of the last frame, ns, as an axis."""
    return TimeAxis([first], [last - first], [1], [0], [2 if last > first else 1])


def _finished(
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


def _arrays(
    group: FrameGroup, blobs: _Blobs, table: FrameTable
) -> Iterable[tuple[str, NDArray[Any], tuple[int, ...]]]:
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
