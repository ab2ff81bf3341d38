"""Tiles of a waterfall: a stretch of time by some channels, read from the store in bounded bytes.

A tile of level L has 256 columns of 2**L ns each, counted from 1970; with rows M, each of its rows is 2**M channels.
So a tile does not hang on the window that is looked at, and can be kept as long as the state of the archive is.
Where a tile has more samples than may be read for it, short stretches spread over it are read, and it says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput
from archive.index.runs import reach_of
from archive.reading import load_many
from archive.stored import patches_of
from ingest.serve.coverage import covered
from ingest.serve.parameters import NANOSECONDS
from ingest.serve.reducing import reduced
from ingest.serve.tile import NOTHING, SIDE, Tile, marked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from archive.index.dataset import Dataset
    from archive.patch import Patch
    from ingest.serve.blocks import Block
    from ingest.serve.pinned import Pinned

__all__ = ["LEVELS", "TileOf", "finest_level", "vertical", "waterfall_tile"]

LEVELS = (0, 54)  # of 256 columns, the coarsest are 146 years
_FINER = 4  # levels below a sample's length: the borders between samples lie true to a sixteenth
_BYTES = 48 << 20  # of decoded chunks for one tile
_GRANULES = 256  # objects that one tile may ask
_STRETCHES = (16, 128)
_LENGTH = 8  # parts of a chunk that a stretch is one of: it touches two chunks only now and then


@dataclass(frozen=True, slots=True, kw_only=True)
class TileOf:
    """Which tile.

    Parameters
    ----------
    dataset
        Of which dataset.
    level, column
        Columns are 2**level ns wide; the tile's number along time, counted from 1970.
    rows, row
        Rows are 2**rows channels high; the tile's number along the channels.
    how
        What becomes of many samples in one pixel: one of `reducing.REDUCERS`.
    """

    dataset: str
    level: int
    column: int
    rows: int
    row: int
    how: str

    @property
    def start(self) -> int:
        """First ns."""
        return (self.column * SIDE) << self.level

    @property
    def stop(self) -> int:
        """First ns after it."""
        return ((self.column + 1) * SIDE) << self.level


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A tile, and what it is a tile of."""

    pinned: Pinned
    dataset: Dataset
    of: TileOf
    channels: slice

    @property
    def width(self) -> int:
        """Number of channels of the dataset."""
        return _width(self.dataset)

    @property
    def group(self) -> int:
        """Number of channels that are read together: whole chunks, about as many as a tile has rows."""
        dim = vertical(self.dataset)
        chunk = 1 if dim is None else self.dataset.chunks[self.dataset.dims.index(dim)]
        return int(chunk * max(round(SIDE / chunk), 1))

    def runs(self, first: int, last: int) -> Iterator[Patch]:
        """Yield the runs in a window, ns, inclusive, of just the channels, unread."""
        for patch in patches_of(self.pinned.view, [self.of.dataset], first, last):
            part: Any = patch
            for dim in self.dataset.dims[1:]:
                part = part.take(dim, self.channels if dim == vertical(self.dataset) else slice(0, 1))
            yield part


def finest_level(dataset: Dataset) -> int:
    """Return the level below which a picture gains nothing."""
    return max(round(dataset.step).bit_length() - 1 - _FINER, 0)


def vertical(dataset: Dataset) -> str | None:
    """Return the dim that goes up: the longest beside time, `None` where there is none."""
    others = dict(zip(dataset.dims[1:], dataset.widths, strict=True))
    return max(others, key=lambda dim: others[dim]) if others else None


def waterfall_tile(pinned: Pinned, of: TileOf) -> Tile:
    """Return a tile of a dataset of samples.

    Raises
    ------
    InvalidInput
        The dataset holds frames, or has no such channels.
    DamagedData, StoreTrouble
        The store does not give the samples as they were committed.
    """
    dataset = pinned.dataset(of.dataset)
    if dataset.holds_frames:
        raise InvalidInput(f"{of.dataset}: a dataset of frames; ask /api/frame-tile for its pictures")
    channels = _channels(dataset, of)
    wanted = _Wanted(pinned, dataset, of, channels)
    nothing = np.full((-(-(channels.stop - channels.start) // (1 << of.rows)), SIDE), NOTHING, dtype=np.float32)
    edges = of.start + (np.arange(SIDE + 1, dtype=np.int64) << of.level)
    there = covered(pinned.spans(of.dataset), edges) > 0
    if not there.any() and (1 << of.level) > round(dataset.step):
        return Tile(nothing, {"read": 1.0})
    count, whole = _cost(wanted)
    return _whole(wanted, nothing) if whole else _sampled(wanted, nothing, there, count)


def _width(dataset: Dataset) -> int:
    dim = vertical(dataset)
    return 1 if dim is None else dataset.widths[dataset.dims.index(dim) - 1]


def _channels(dataset: Dataset, of: TileOf) -> slice:
    """Return the channels of a tile."""
    width = _width(dataset)
    first = (of.row * SIDE) << of.rows
    if first >= width:
        raise InvalidInput(f"row={of.row}: {of.dataset} has {width} channels")
    return slice(first, min(((of.row + 1) * SIDE) << of.rows, width))


def _chunk_bytes(dataset: Dataset, channels: slice) -> int:
    """Return how many bytes a sample of some channels takes, all chunks counted that are decoded for it."""
    dim, size = vertical(dataset), dataset.dtype.itemsize
    for name, chunk in zip(dataset.dims[1:], dataset.chunks[1:], strict=True):
        if name == dim:
            size *= (-(-channels.stop // chunk) - channels.start // chunk) * chunk
        else:
            size *= chunk
    return size


def _cost(wanted: _Wanted) -> tuple[int, bool]:
    """Return how many stretches may be read, and whether there is no need for it since all can be."""
    pinned, dataset, of = wanted.pinned, wanted.dataset, wanted.of
    per_sample = _chunk_bytes(dataset, wanted.channels)
    samples = (of.stop - of.start) / float(dataset.step)
    granules = 0.0
    for leaf in pinned.view.entries(of.dataset, of.start, of.stop):
        length = max(leaf.last - leaf.first, 1)
        granules += leaf.rows * min((min(leaf.last, of.stop) - max(leaf.first, of.start)) / length, 1)
    low, high = _STRETCHES
    count = low
    while count < high and 2 * count * (1 + 1 / _LENGTH) * dataset.chunks[0] * per_sample <= _BYTES:
        count *= 2
    return count, (samples + dataset.chunks[0]) * per_sample <= _BYTES and granules <= _GRANULES


def _flat(samples: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Return samples as real numbers, shape `(time, channel)`."""
    dim = vertical(dataset)
    if dim is None:
        samples = samples[:, None]
    else:
        samples = np.moveaxis(samples, dataset.dims.index(dim), 1).reshape(samples.shape[0], -1)
    if samples.dtype.kind == "c":
        return np.abs(samples)
    return samples.astype(np.uint8) if samples.dtype.kind == "b" else samples


def _up(values: NDArray[Any], of: TileOf) -> NDArray[np.float32]:
    """Return columns by channels as rows by columns."""
    starts = np.arange(0, values.shape[1], 1 << of.rows)
    return marked(reduced(values, starts, 1, of.how).T)


def _whole(wanted: _Wanted, picture: NDArray[np.float32]) -> Tile:
    """Return a tile for which every sample is read."""
    of, step = wanted.of, round(wanted.dataset.step)
    low, high = max(of.start - step, NANOSECONDS[0]), min(of.stop + step, NANOSECONDS[1])
    for stamps, samples in _joined(_pieces(wanted, low, high), reach_of(wanted.dataset.step)):
        columns, values = _columns(stamps, samples, of, step)
        if len(columns):
            picture[:, columns] = _up(values, of)
    return Tile(picture, {"read": 1.0})


def _pieces(wanted: _Wanted, low: int, high: int) -> Block:
    """Return the runs in a window, ns, inclusive, in pieces, from blocks that other tiles use too."""
    dataset, of = wanted.dataset, wanted.of
    length = 1 << (int(dataset.chunks[0] * dataset.step) - 1).bit_length()
    width = wanted.group
    times = range(low // length, high // length + 1)
    groups = range(wanted.channels.start // width, -(-wanted.channels.stop // width))
    places = [(time, group) for time in times for group in groups]

    def read(missing: list[int]) -> list[Block]:
        parts: list[list[Patch]] = []
        for number in missing:
            time, group = places[number]
            block = replace(wanted, channels=slice(group * width, min((group + 1) * width, wanted.width)))
            first = max(time * length, NANOSECONDS[0])
            parts.append(list(block.runs(first, min((time + 1) * length - 1, NANOSECONDS[1]))))
        loaded = iter(load_many([patch.lazy for part in parts for patch in part]))
        return [[(_stamps(patch), _flat(next(loaded), dataset)) for patch in part] for part in parts]

    token = wanted.pinned.token
    held = wanted.pinned.blocks.get([(token, of.dataset, *place) for place in places], read)
    pieces: Block = []
    for number in range(0, len(places), len(groups)):
        for side in zip(*held[number : number + len(groups)], strict=True):  # the same runs, other channels
            stamps = side[0][0]
            inside = slice(*np.searchsorted(stamps, [low, high + 1]))
            if inside.stop > inside.start:
                samples = (
                    np.concatenate([samples[inside] for _, samples in side], axis=1)
                    if len(side) > 1
                    else side[0][1][inside]
                )
                from_group = groups.start * width
                channels = slice(wanted.channels.start - from_group, wanted.channels.stop - from_group)
                pieces.append((stamps[inside], samples[:, channels]))
    return pieces


def _stamps(patch: Patch) -> NDArray[np.int64]:
    axis: Any = patch.coords["time"].values
    found: NDArray[np.int64] = axis.to_ns()
    return found


def _joined(pieces: Block, reach: int) -> Block:
    """Return pieces of runs joined to runs again."""
    groups: list[Block] = []
    for piece in pieces:
        if groups and piece[0][0] - groups[-1][-1][0][-1] <= reach:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return [
        group[0] if len(group) == 1 else (np.concatenate([a for a, _ in group]), np.concatenate([b for _, b in group]))
        for group in groups
    ]


def _columns(
    stamps: NDArray[np.int64], samples: NDArray[Any], of: TileOf, step: int
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return which columns the samples of a run fill, and with what, shape `(columns, channels)`."""
    width = 1 << of.level
    edges = of.start + (np.arange(SIDE + 1, dtype=np.int64) << of.level)
    places = np.searchsorted(stamps, edges)
    starts, stops = places[:-1], places[1:]
    full = np.flatnonzero(stops > starts)
    if width > step and len(full):
        between = np.arange(full[0], full[-1] + 1)
        values = reduced(samples[: stops[full[-1]]], starts[full], 0, of.how)
        # A run has no gap: a column without a stamp shows what is before it.
        return between, values[np.searchsorted(full, between, side="right") - 1]
    # Columns are narrower than samples: each shows the sample nearest to its middle.
    middles = edges[:-1] + width // 2
    inside = np.flatnonzero((middles >= stamps[0] - step // 2) & (middles < stamps[-1] + (step + 1) // 2))
    after = np.searchsorted(stamps, middles[inside]).clip(0, len(stamps) - 1)
    before = (after - 1).clip(0)
    nearest = np.where(middles[inside] - stamps[before] <= stamps[after] - middles[inside], before, after)
    return inside, samples[nearest]


def _sampled(wanted: _Wanted, picture: NDArray[np.float32], there: NDArray[np.bool_], count: int) -> Tile:
    """Return a tile for which only stretches are read; each stands for its part of the columns that have samples."""
    pinned, dataset, of = wanted.pinned, wanted.dataset, wanted.of
    view, share = pinned.view, SIDE // count
    chosen = [
        (number, window) for number in range(count) if (window := _stretch(wanted, number * share, share)) is not None
    ]
    leaves = {leaf.key: leaf for _, window in chosen for leaf in view.entries(of.dataset, *window)}
    view.fetch_leaves(list(leaves.values()), whole=True)
    owners, patches = [], []
    for number, window in chosen:
        for patch in wanted.runs(*window):
            owners.append(number)
            patches.append(patch)
    loaded = load_many([patch.lazy for patch in patches])
    read = 0
    for number, samples in zip(owners, loaded, strict=True):
        if not len(samples):
            continue
        values = reduced(_flat(samples, dataset), np.array([0]), 0, of.how)
        columns = number * share + np.flatnonzero(there[number * share : (number + 1) * share])
        picture[:, columns] = _up(values, of)
        read += len(samples)
    total = float(covered(pinned.spans(of.dataset), np.array([of.start, of.stop]))[0]) * (of.stop - of.start)
    return Tile(picture, {"read": min(read / max(total / float(dataset.step), 1.0), 1.0)})


def _stretch(wanted: _Wanted, column: int, share: int) -> tuple[int, int] | None:
    """Return a window in the middle of the longest run in some columns, ns, inclusive; `None` without samples."""
    of, spans = wanted.of, wanted.pinned.spans(wanted.of.dataset)
    low, high = of.start + (column << of.level), of.start + ((column + share) << of.level) - 1
    begin = int(np.searchsorted(spans.last, low))
    end = int(np.searchsorted(spans.first, high, side="right"))
    if end <= begin:
        return None
    first, last = np.maximum(spans.first[begin:end], low), np.minimum(spans.last[begin:end], high)
    longest = int(np.argmax(last - first))
    length = int(wanted.dataset.chunks[0] * wanted.dataset.step) // _LENGTH
    middle = (int(first[longest]) + int(last[longest])) // 2
    return max(middle - length // 2, int(first[longest])), min(middle + length // 2, int(last[longest]))
