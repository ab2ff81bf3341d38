"""Chunks that do not lie in C order in their shard are found by our reader and by zarr's own."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from archive.codec import codec_for
from archive.grid import chunk_starts, grid_shape
from archive.index.rows import ArrayRef
from archive.lazy import Fill, StoredPart
from archive.reading import load, plan
from archive.shard import array_metadata, encode_shard
from archive.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

SHAPE, CHUNKS = (19, 23, 31), (4, 9, 8)
ORDERS = [None, *itertools.permutations(range(3))]


def stored(order: tuple[int, ...] | None) -> tuple[np.ndarray, bytes, ArrayRef]:
    array = np.random.default_rng(5).integers(0, 900, SHAPE).astype("i4")
    codec = codec_for("portable", array.dtype)
    body, lengths = encode_shard(array, CHUNKS, codec, order=order)
    ref = ArrayRef(
        key="a/data/c/0/0/0",
        size=len(body),
        etag=None,
        sha256=hashlib.sha256(body).hexdigest(),
        shape=SHAPE,
        dtype="int32",
        chunks=CHUNKS,
        codec="portable",
        lengths=tuple(lengths),
        order=order,
    )
    return array, body, ArrayRef.from_json(json.loads(json.dumps(ref.to_json())))


@pytest.mark.parametrize("order", ORDERS)
def test_any_window_is_read(order: tuple[int, ...] | None) -> None:
    array, body, ref = stored(order)
    store = open_store(f"memory://{secrets.token_hex(6)}")
    store.create(ref.key, body)
    rng = np.random.default_rng(6)
    for _ in range(20):
        window = tuple(slice(int(a), int(b) + 1) for a, b in (sorted(rng.integers(0, n, 2)) for n in SHAPE))
        np.testing.assert_array_equal(load(StoredPart(store, ref, window)), array[window])


@pytest.mark.parametrize("order", ORDERS)
def test_zarr_reads_the_same(order: tuple[int, ...] | None, tmp_path: Path) -> None:
    array, body, _ = stored(order)
    target = tmp_path / "c" / "0" / "0"
    target.mkdir(parents=True)
    (target / "0").write_bytes(body)
    said = array_metadata(
        shape=SHAPE,
        dtype=array.dtype,
        dims=("frame", "y", "x"),
        codec=codec_for("portable", array.dtype),
        chunks=CHUNKS,
        sharded=True,
        attributes={},
    )
    (tmp_path / "zarr.json").write_text(json.dumps(said))
    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[:], array)


def test_neighbours_along_the_last_axis_of_the_order_are_one_range() -> None:
    _, _, ref = stored((1, 2, 0))
    store = open_store(f"memory://{secrets.token_hex(6)}")

    def ranges(*window: slice) -> int:
        target = np.empty([part.stop - part.start for part in window], "i4")
        return len(plan([Fill(store, ref, window, target)]))

    assert ranges(slice(0, 19), slice(3, 4), slice(9, 10)) == 1
    assert ranges(slice(3, 4), slice(0, 23), slice(0, 31)) > 1
    starts, stops = ref.starts, ref.starts + np.array(ref.lengths)
    assert sorted(starts.tolist())[1:] == sorted(stops.tolist())[:-1]
    np.testing.assert_array_equal(chunk_starts([3, 5, 7, 9], (2, 2), (1, 0)), [0, 10, 3, 15])
    assert grid_shape(SHAPE, CHUNKS) == (5, 3, 4)
