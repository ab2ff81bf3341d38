"""The files that frames came as, put together again from what a granule holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData
from archive.fits.frame import Frame, TileTable
from archive.fits.image import Image
from archive.fits.template import HeaderTemplate
from archive.lazy import StoredPart
from archive.reading import load_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from archive.cube.pixels import FrameGranule

__all__ = ["BOUNDS", "GranuleFiles", "StoredFrame"]

BOUNDS = ("size", "header_start", "head_start", "head_size", "tail_start", "tail_size", "tail_kept", "unit_size")
"""Columns of a granule's array `bounds`, for each frame: bytes of the file; where the image's own header starts in the
bytes before its data; where in `heads` the difference lies; likewise what stands behind the data, of which only zeros
are not kept; bytes of the data unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFrame:
    """One frame of a granule as it was a file."""

    head: bytes
    tail: bytes
    header_start: int
    size: int
    table: TileTable | None


@dataclass(slots=True, eq=False)
class GranuleFiles:
    """Gives the files of one granule; what all of them need is read once.

    Parameters
    ----------
    hashes
        SHA-256 (hex) of each file.
    """

    granule: FrameGranule
    hashes: Sequence[str]
    _beside: dict[str, NDArray[Any]] = field(default_factory=dict)
    _block: tuple[int, NDArray[Any]] | None = None
    _lock: Any = field(default_factory=Lock)

    def __reduce__(self) -> tuple[Any, ...]:
        return GranuleFiles, (self.granule, self.hashes)

    def content(self, frame: int) -> bytes:
        """Return the bytes of one file, as they came in.

        Raises
        ------
        DamagedData
            What comes out is not the file that came in.
        """
        with self._lock:
            stored = self._stored(frame)
            held = self.stored_frame(frame)
        return self._frame(frame, stored, held).to_bytes()

    def stored_frame(self, frame: int) -> StoredFrame:
        """Return all of one frame but its pixels."""
        beside = self._read()
        heads = beside["heads"]
        held = dict(zip(BOUNDS, beside["bounds"][frame].tolist(), strict=True))

        def text(name: str, size: str) -> bytes:
            part: bytes = heads[held[name] : held[name] + held[size]].tobytes()
            return part

        template = HeaderTemplate(heads[: self.granule.table.template].tobytes())
        return StoredFrame(
            head=template.header(text("head_start", "head_size")),
            tail=text("tail_start", "tail_kept") or bytes(held["tail_size"]),
            header_start=held["header_start"],
            size=held["size"],
            table=self._table(frame, held["unit_size"]),
        )

    def _read(self) -> dict[str, NDArray[Any]]:
        if not self._beside:
            names = [name for name in ("heads", "bounds", "rows", "places", "kept") if name in self.granule.extras]
            arrays = load_many([self.granule.whole(name) for name in names], limit=None)
            self._beside.update(zip(names, arrays, strict=True))
        return self._beside

    def _stored(self, frame: int) -> NDArray[Any]:
        """Return the stored numbers of a frame; those of its chunk are kept for the next."""
        data = self.granule.data
        block = frame // data.chunks[0]
        if self._block is None or self._block[0] != block:
            start = block * data.chunks[0]
            window = (
                slice(start, min(start + data.chunks[0], data.shape[0])),
                *(slice(0, length) for length in data.shape[1:]),
            )
            (numbers,) = load_many([StoredPart(self.granule.store, data, window)], limit=None)
            self._block = block, numbers
        part: NDArray[Any] = self._block[1][frame - block * data.chunks[0]]
        return part

    def _table(self, frame: int, size: int) -> TileTable | None:
        if self.granule.table.tiling is None:
            return None
        beside = self._read()
        kept = {
            one.tile: beside["kept"][one.start : one.start + one.size].tobytes()
            for one in self.granule.table.kept
            if one.frame == frame
        }
        whole = kept.pop(-1, None)
        return TileTable(
            rows=beside["rows"][frame].tobytes(),
            size=size,
            places=beside["places"][frame],
            kept=MappingProxyType(kept),
            whole=whole,
        )

    def _frame(self, frame: int, stored: NDArray[Any], held: StoredFrame) -> Frame:
        table = self.granule.table
        if stored.size == 0:
            raise DamagedData(f"{self.granule.key}: a frame without pixels; run lightkeep verify")
        tiling = table.tiling_of(frame)
        return Frame(
            name=table.files[frame],
            head=held.head,
            image=Image(
                stored=stored.reshape(table.image),
                scaling=table.scaling,
                tiling=None if tiling is None else replace(tiling),
            ),
            table=held.table,
            tail=held.tail,
            header_start=held.header_start,
            size=held.size,
            sha256=self.hashes[frame],
        )
