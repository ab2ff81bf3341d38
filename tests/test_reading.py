"""What is read equals what was written, costs what was said, and damage is never read as data."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archive as lk
from archive.coords import Coord, Linear, TimeAxis
from archive.errors import DamagedData, InvalidInput
from archive.index.dataset import Dataset
from archive.index.rows import Row, SourceRange
from archive.store import open_store
from ingest.granule import GranuleContent, write_granule
from ingest.index.fold import fold
from ingest.initialise import initialise
from ingest.run import put_commit

if TYPE_CHECKING:
    from ingest.server import LocalS3

START = 1_457_942_400_000_000_000
SIZES = (130, 64, 201)
CHANNELS = 11
WINDOWS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(repr=False)
class Stored:
    """An archive of one contiguous run in three granules, and its samples."""

    url: str
    samples: np.ndarray[Any, Any]
    rows: list[Row]


def samples_of(dtype: str, seed: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(seed)
    shape = (sum(SIZES), CHANNELS)
    if np.dtype(dtype).kind != "f":
        info = np.iinfo(dtype)
        return random.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    samples = random.standard_normal(shape).astype(dtype)
    samples[3, 2], samples[70, 1], samples[71, 1] = np.nan, np.inf, -0.0
    return samples


def build(url: str, *, dtype: str = "int16", codec: str = "pcodec", folded: bool = True) -> Stored:
    """Write an archive whose granules have edges that fit no chunk."""
    dataset = Dataset(
        name="fibre",
        dims=("time", "distance"),
        coords={"distance": Coord(dims=("distance",), values=Linear(start=5.0, step=2.0, size=CHANNELS), units="m")},
        dtype=np.dtype(dtype),
        step=Fraction(10**6),
        chunks=(32, 4),
        codec=codec,
        window=10**9,
        attrs={"data_units": "m/s"},
    )
    store = open_store(url)
    initialise(store)
    samples, rows, done = samples_of(dtype, len(dtype)), [], 0
    for number, size in enumerate(SIZES):
        axis = TimeAxis.line(START, Fraction(10**6), sum(SIZES)).cut(done, done + size)
        source = SourceRange(f"{number:064x}", 0, 0, size)
        held = GranuleContent(samples=samples[done : done + size], time=axis, sources=(source,))
        rows.append(write_granule(store, dataset, held))
        done += size
    put_commit(store, rows, [], {"fibre": dataset})
    if folded:
        fold(store)
    return Stored(url, samples, rows)


def store_of(spool: lk.Spool) -> Any:
    return spool.root.view.store  # type: ignore[attr-defined]


@pytest.fixture(
    scope="module", params=list(itertools.product(["int16", "int32", "float32", "float64"], ["pcodec", "portable"]))
)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    dtype, codec = request.param
    return build(str(tmp_path_factory.mktemp("archive") / "here"), dtype=dtype, codec=codec)


bounds = st.tuples(
    st.integers(0, sum(SIZES)), st.integers(0, sum(SIZES)), st.integers(0, CHANNELS), st.integers(0, CHANNELS)
)


@WINDOWS
@given(window=bounds)
def test_any_window_equals_a_slice_bit_for_bit(stored: Stored, window: tuple[int, int, int, int]) -> None:
    a, b, c, d = window
    patch = lk.open(stored.url)[0].select(time=(a, b), distance=(c, d), samples=True)
    assert patch.data.tobytes() == np.ascontiguousarray(stored.samples[a:b, c:d]).tobytes()
    assert patch.dtype == stored.samples.dtype
    assert not patch.data.flags.writeable


@WINDOWS
@given(rows=st.lists(st.integers(0, sum(SIZES) - 1), max_size=9), columns=st.sets(st.integers(0, CHANNELS - 1)))
def test_any_choice_of_samples_equals_the_same_choice_in_numpy(
    stored: Stored, rows: list[int], columns: set[int]
) -> None:
    mask = np.isin(np.arange(CHANNELS), list(columns))
    patch = lk.open(stored.url)[0].select(time=np.array(rows, dtype=np.int64), samples=True).select(distance=mask)
    expected = stored.samples[rows][:, mask]
    assert patch.transpose().data.tobytes() == np.ascontiguousarray(expected.T).tobytes()
    assert patch.data.tobytes() == np.ascontiguousarray(expected).tobytes()
    assert np.array_equal(
        patch.coords["time"].to_numpy().astype(np.int64), START + np.array(rows, dtype=np.int64) * 10**6
    )


def test_zarr_reads_the_same_samples_and_times_of_every_granule(stored: Stored) -> None:
    import zarr

    import archive.codec  # noqa: F401 - registers nothing by itself; zarr knows the codecs it knows

    done = 0
    for row in stored.rows:
        group = zarr.open_group(zarr.storage.LocalStore(Path(stored.url) / row.key, read_only=True), mode="r")
        size = row.time.size
        if row.data.codec == "pcodec":
            import numcodecs.zarr3  # noqa: F401 - the codec's registration
        assert np.asarray(group["data"][:]).tobytes() == stored.samples[done : done + size].tobytes()
        assert np.asarray(group["data"][7:50, 3:9]).tobytes() == stored.samples[done + 7 : done + 50, 3:9].tobytes()
        assert np.array_equal(group["time"][:], row.time.to_ns())
        assert np.array_equal(group["distance"][:], 5.0 + 2.0 * np.arange(CHANNELS))
        done += size


def test_xarray_opens_a_granule_with_right_times_and_distances(tmp_path: Path) -> None:
    import xarray as xr

    stored = build(str(tmp_path / "archive"), codec="portable")
    with xr.open_zarr(tmp_path / "archive" / stored.rows[1].key) as held:
        assert np.array_equal(held["time"].to_numpy().astype("datetime64[ns]"), stored.rows[1].time.to_numpy())
        assert held["distance"].attrs["units"] == "m"
        assert np.array_equal(held["data"].to_numpy(), stored.samples[SIZES[0] : SIZES[0] + SIZES[1]])


@WINDOWS
@given(window=bounds)
def test_reading_makes_the_requests_that_explain_told_of(stored: Stored, window: tuple[int, int, int, int]) -> None:
    a, b, c, d = window
    spool = lk.open(stored.url).select(time=(a, b), distance=(c, d), samples=True)
    plan = spool.explain()
    before = store_of(spool).counts.copy()
    for patch in spool:
        patch.load()
    made = store_of(spool).counts - before
    assert (made.requests, made.gets, made.bytes_read) == (plan.requests, plan.requests, plan.bytes)
    assert plan.needed <= plan.bytes <= 1.05 * plan.needed
    assert plan.samples == stored.samples[a:b, c:d].nbytes


def test_whole_granules_are_one_request_each(stored: Stored) -> None:
    plan = lk.open(stored.url).explain()
    assert (plan.patches, plan.granules, plan.requests) == (1, 3, 3)
    assert plan.bytes == plan.needed == sum(sum(row.data.lengths) for row in stored.rows)


@pytest.mark.parametrize("folded", [True, False])
def test_a_cold_read_is_three_waves_and_a_warm_one_a_single(server: LocalS3, *, folded: bool) -> None:
    url = f"s3://{server.bucket}/waves-{folded}"
    build(url, folded=folded)
    spool = lk.open(url)
    store = store_of(spool)
    assert (store.counts.gets, store.counts.lists) == (1, 1)
    low, high = (np.datetime64(START + k * 10**6, "ns") for k in (140, 170))
    narrow = spool.select(time=(low, high))
    plan = narrow.explain()
    assert plan.granules == 1
    assert store.counts.requests == 4, "CURRENT, LIST, CURRENT again, and one leaf or one young commit"
    narrow[0].load()
    assert store.counts.requests == 4 + plan.requests
    spool.select(time=(low, high), distance=(5, 9))[0].load()
    warm = store.counts.copy()
    part = spool.select(time=(low, high), distance=(9, 13))
    part[0].load()
    assert (store.counts - warm).requests == part.explain().requests
    assert (store.counts.heads, store.counts.retries) == (0, 0)


def test_many_threads_read_one_spool_alike(stored: Stored) -> None:
    spool = lk.open(stored.url).chunk(time=0.02, keep_partial=True)
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda number: spool[number].data, range(len(spool))))
    assert np.concatenate(parts).tobytes() == stored.samples.tobytes()


def test_samples_beyond_the_limit_are_refused_with_their_size(stored: Stored) -> None:
    with pytest.raises(InvalidInput, match="chunk"):
        lk.open(stored.url)[0].load(limit=1000)


def read_all(url: str) -> np.ndarray[Any, Any]:
    return np.concatenate([patch.data for patch in lk.open(url)])


def damaged(original: bytes, path: Path, body: bytes) -> None:
    path.write_bytes(body)
    assert body != original


@pytest.mark.parametrize("codec", ["pcodec", "portable"])
def test_no_flipped_bit_of_the_samples_is_read_as_data(tmp_path: Path, codec: str) -> None:
    """The stores' own tags are left out: as in an archive that was moved, only its checksums can tell."""
    from archive.lazy import StoredPart
    from archive.reading import load

    stored = build(str(tmp_path / "archive"), codec=codec)
    store, row = open_store(stored.url), stored.rows[1]
    path = tmp_path / "archive" / row.data.key
    original = path.read_bytes()
    used = sum(row.data.lengths)
    window = tuple(slice(0, length) for length in row.data.shape)
    random = np.random.default_rng(7)
    for place in random.choice(used * 8, 150, replace=False).tolist():
        body = bytearray(original)
        body[place // 8] ^= 1 << place % 8
        path.write_bytes(body)
        from dataclasses import replace

        etag = open_store(stored.url).head(row.data.key).etag
        part = StoredPart(store, replace(row.data, etag=etag), window)
        with pytest.raises(DamagedData, match=row.key.rsplit("/", 1)[1]):
            load(part)
    path.write_bytes(original)
    assert np.array_equal(read_all(stored.url), stored.samples)


@pytest.mark.parametrize("how", ["flip", "cut", "grow", "empty", "delete", "swap"])
def test_a_damaged_object_is_named_and_the_others_are_still_read(server: LocalS3, how: str) -> None:
    url = f"s3://{server.bucket}/damage-{how}"
    stored = build(url)
    store, (first, second, _) = open_store(url), stored.rows
    original = bytes(store.get(first.data.key).data)
    flipped = bytes([original[0] ^ 1]) + original[1:]
    bodies = {"flip": flipped, "cut": original[:-9], "grow": original + b"x", "empty": b""}
    bodies["swap"] = bytes(store.get(second.data.key).data)
    store.delete([first.data.key])
    if how != "delete":
        store.create(first.data.key, bodies[how])
    patch = lk.open(url)[0]
    with pytest.raises(DamagedData, match=first.key.rsplit("/", 1)[1]):
        patch.select(time=(0, 10), samples=True).load()
    rest = patch.select(time=(SIZES[0], None), samples=True)
    assert np.array_equal(rest.data, stored.samples[SIZES[0] :])


def test_an_archive_that_was_moved_reads_the_same(tmp_path: Path) -> None:
    import shutil

    stored = build(str(tmp_path / "archive"))
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    assert np.array_equal(read_all(str(tmp_path / "copy")), stored.samples)
