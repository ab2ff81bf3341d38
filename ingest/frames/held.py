"""Frames ready to be stored: read from their files, or from a granule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.cube.files import GranuleFiles
from archive.cube.pixels import FrameGranule
from archive.cube.table import Document, FrameTable, Kept, core_of, unpack
from archive.errors import InvalidInput
from archive.lazy import StoredPart
from archive.reading import load_many

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.fits.frame import Frame
    from archive.fits.image import Scaling, Tiling
    from archive.index.rows import Row
    from archive.store import Store

__all__ = ["FrameGroup", "Held", "columns_of", "kin_of_row"]

_WAVE_BYTES = 64 << 20  # decoded, of granules that are read together


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
        cls,
        frame: Frame,
        *,
        time: int,
        place: tuple[int, ...],
        tile: tuple[int, ...] | None,
        keywords: Mapping[str, Any],
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
        beside = frozenset[str]()
        if tiling is not None and tiling.scale is not None:
            beside = frozenset({"scales", "blanks"} if isinstance(tiling.blank, np.ndarray) else {"scales"})
        return _kin(self.tile, self.stored.shape, self.stored.dtype, self.scaling, tiling, beside, len(self.rows))


def kin_of_row(row: Row, table: FrameTable) -> tuple[Any, ...]:
    """Return what the frames of a granule share, as `Held.kin` of each."""
    beside = row.extras.keys() & {"scales", "blanks"}
    width = row.extras["rows"].shape[-1] if "rows" in row.extras else 0
    return _kin(table.tile, table.image, np.dtype(row.data.dtype), table.scaling, table.tiling, beside, width)


def _kin(  # noqa: PLR0917 - one expression, of two sources
    tile: tuple[int, ...] | None,
    image: tuple[int, ...],
    dtype: np.dtype[Any],
    scaling: Scaling,
    tiling: Tiling | None,
    beside: Collection[str],
    width: int,
) -> tuple[Any, ...]:
    tiles = tiling and (
        tiling.shape,
        tiling.algorithm,
        tiling.block,
        tiling.item,
        tiling.dither,
        None if "blanks" in beside else tiling.blank,
        tuple(sorted(beside)),
        width,
    )
    return (tile, image, dtype.newbyteorder("=").str, scaling, tiles)


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
    def stored(cls, store: Store, members: Iterable[tuple[Row, Sequence[int]]]) -> FrameGroup:
        """Return some frames of granules, read in as few waves of requests as memory allows.

        Parameters
        ----------
        members
            Rows, and numbers of the frames of each.

        Raises
        ------
        DamagedData
            Something of them is missing or altered.
        """
        return cls(tuple(frame for wave in _waves(members) for frame in _read(store, wave)))

    def pixels(self) -> NDArray[Any]:
        """Return the stored numbers of all frames, shape `(frames, *core)`."""
        core = core_of(self.frames[0].stored.shape)
        return np.stack([frame.stored.reshape(core) for frame in self.frames])

    def table(self, kept: tuple[Kept, ...], template: int) -> FrameTable:
        """Return what the index is to know of these frames."""
        first = self.frames[0]
        tiling = first.tiling
        if tiling is not None:
            blank = None if isinstance(tiling.blank, np.ndarray) else tiling.blank
            tiling = replace(tiling, scale=None, zero=None, exact={}, blank=blank, seed=0)
        constant, varying = columns_of([frame.keywords for frame in self.frames])
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


def _waves(members: Iterable[tuple[Row, Sequence[int]]]) -> Iterator[list[tuple[Row, Sequence[int]]]]:
    """Yield rows that are read together."""
    wave: list[tuple[Row, Sequence[int]]] = []
    held = 0
    for row, numbers in members:
        size = row.data.nbytes + sum(extra.nbytes for extra in row.extras.values())
        if wave and held + size > _WAVE_BYTES:
            yield wave
            wave, held = [], 0
        wave.append((row, numbers))
        held += size
    if wave:
        yield wave


def _read(store: Store, members: Sequence[tuple[Row, Sequence[int]]]) -> Iterator[Held]:
    """Yield some frames of granules, all read in one wave of requests."""
    granules: list[FrameGranule] = []
    lazy: list[StoredPart] = []
    for row, _ in members:
        table = unpack(row.frames or "")
        if isinstance(table, Document):
            raise InvalidInput(f"{row.key}: holds an asdf, no frames")
        granule = FrameGranule(store, row.key, row.data, row.extras, table)
        granules.append(granule)
        lazy.append(StoredPart(store, row.data, tuple(slice(0, length) for length in row.data.shape)))
        lazy += [granule.whole(name) for name in row.extras]
    loaded = iter(load_many(lazy, limit=None))
    for granule, (row, numbers) in zip(granules, members, strict=True):
        data = next(loaded)
        beside = {name: next(loaded) for name in row.extras}
        files = GranuleFiles(granule, [source.sha256 for source in row.sources], beside)
        chosen = data if len(numbers) == row.samples else data[list(numbers)]  # a view would hold all of them
        yield from (_held(files, image, beside, number) for image, number in zip(chosen, numbers, strict=True))


def _held(files: GranuleFiles, image: NDArray[Any], beside: Mapping[str, NDArray[Any]], number: int) -> Held:
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
        stored=image.reshape(table.image),
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


def columns_of(headers: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return headers as values that are the same in all, and columns of those that are not."""
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
