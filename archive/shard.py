"""The data object of a granule: one shard, written in C order without holes."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.codec import Codec, with_checksum
from archive.grid import chunk_starts, grid_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["array_metadata", "encode_shard", "group_metadata", "index_bytes"]

type _MapFunction = Callable[[Callable[[NDArray[Any]], bytes], Iterable[NDArray[Any]]], Iterable[bytes]]


def encode_shard(
    array: NDArray[Any],
    chunks: Sequence[int],
    codec: Codec,
    mapped: _MapFunction = map,
    order: Sequence[int] | None = None,
) -> tuple[bytes, list[int]]:
    """Return the shard that holds an array, and the length in bytes of each inner chunk.

    Chunks follow each other in C order from byte 0, those at the edge filled up with zeros, so that the
    place of any of them is a sum of lengths; the index at the end says the same for other readers.

    Parameters
    ----------
    array
        All samples of the granule, time first.
    chunks
        Shape of an inner chunk.
    mapped
        A `map` that may run in threads; the results in order.
    order
        Of the chunks in the shard, where that is not C order (see `archive.grid.chunk_starts`).

    References
    ----------
    Zarr v3 `sharding_indexed` codec: pairs of uint64 offset and length per inner chunk, then CRC-32C.
    """
    encoded = list(mapped(codec.encode, _inner_chunks(array, chunks)))
    lengths = [len(chunk) for chunk in encoded]
    starts = chunk_starts(lengths, grid_shape(array.shape, chunks), order)
    bodies = encoded if order is None else [encoded[number] for number in np.argsort(starts, kind="stable").tolist()]
    return b"".join([*bodies, index_bytes(lengths, starts)]), lengths


def index_bytes(lengths: Sequence[int], starts: NDArray[np.int64] | None = None) -> bytes:
    """Return a shard's index for chunks that follow each other from byte 0, in C order or where `starts` says."""
    index = np.empty((len(lengths), 2), dtype="<u8")
    index[:, 1] = lengths
    index[:, 0] = np.cumsum(index[:, 1]) - index[:, 1] if starts is None else starts
    return with_checksum(index.tobytes())


def _inner_chunks(array: NDArray[Any], chunks: Sequence[int]) -> Iterator[NDArray[Any]]:
    for corner in product(*(range(count) for count in grid_shape(array.shape, chunks))):
        part = array[tuple(slice(k * size, (k + 1) * size) for k, size in zip(corner, chunks, strict=True))]
        if part.shape != tuple(chunks):
            whole = np.zeros(tuple(chunks), dtype=array.dtype)
            whole[tuple(slice(length) for length in part.shape)] = part
            part = whole
        yield part


def array_metadata(
    *,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    dims: Sequence[str],
    codec: Codec,
    chunks: Sequence[int],
    sharded: bool,
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the `zarr.json` of one array of a granule, which is one object."""
    codecs: list[dict[str, Any]] = codec.to_zarr()
    whole = [count * size for count, size in zip(grid_shape(shape, chunks), chunks, strict=True)]
    if sharded:
        codecs = [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": list(chunks),
                    "codecs": codecs,
                    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    "index_location": "end",
                },
            }
        ]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": whole}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": False if dtype.kind == "b" else 0.0 if dtype.kind == "f" else 0,
        "codecs": codecs,
        "dimension_names": list(dims),
        "attributes": dict(attributes),
        "storage_transformers": [],
    }


def group_metadata(attributes: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the `zarr.json` of a granule's root, with the metadata of its arrays consolidated in it."""
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": dict(attributes),
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": dict(arrays)},
    }
