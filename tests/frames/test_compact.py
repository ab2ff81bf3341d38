"""Granules of frames become few again: each frame stored once, every file still the same, byte for byte."""

from __future__ import annotations

import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from frame_sets import SHAPE, astropy_pixels, header, new_archive, pixels, write_frame, write_set
from shared import shared_folder
from small import rows_of

import archive as lk
from archive.cube.table import Document, unpack
from archive.store import open_store
from archive.times import time_to_ns
from archive.view import open_view
from ingest.checking.repair import repair
from ingest.checking.verify import verify
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.keeping.tags import tag
from ingest.places import Places
from ingest.run import ingest, read_ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from archive.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")  # asdf and dkist warn of their own ways
MOMENT = time_to_ns("2024-05-14T18:30:20")  # of two frames
RNG = np.random.default_rng(4)


def url() -> str:
    return f"memory://frames-{secrets.token_hex(6)}"


def one_by_one(store: Store, paths: list[Path]) -> None:
    """Ingest files so that each becomes a granule of its own."""
    for path in paths:
        ingest(store, [str(path)])


def frames_of(place: str) -> list[int]:
    """Return how many frames each granule has."""
    return sorted(
        row.samples for row in rows_of(open_store(place)) if not isinstance(unpack(row.frames or ""), Document)
    )


def assert_same(place: str, paths: Sequence[Path], folder: Path) -> None:
    """Every file comes back as it was, and nothing is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    files = {path.name: path.read_bytes() for path in paths}
    for cube in lk.open(place):
        for path in cube.io.to_fits(folder):
            assert files.pop(path.name) == path.read_bytes()
    assert not files
    for mode in ("quick", "full"):
        assert not verify(open_store(place), mode).damaged  # type: ignore[arg-type]
    ledger = read_ledger(open_view(open_store(place))).sources()
    assert sorted(source.url.rpartition("/")[2] for source in ledger) == sorted(path.name for path in paths)


@pytest.mark.parametrize(
    "kind",
    [
        "rice",
        "rice with nan",
        "rice with fallback",
        "rice with dither 1",
        "gzip lossless",
        "plain float32",
        "plain uint16",
    ],
)
def test_frames_that_came_a_few_at_a_time_become_one_granule(kind: str, tmp_path: Path) -> None:
    paths = write_set(tmp_path / "in", kind)
    place = url()
    store = new_archive(place)
    for part in (paths[1::3], paths[::3], paths[2::3]):
        ingest(store, [str(path) for path in part])
    assert frames_of(place) == [3, 3, 4]
    report = compact(store)
    assert frames_of(place) == [10]
    assert (report.before, report.after, report.given_up, report.hidden) == (3, 1, 0, 0)
    assert_same(place, paths, tmp_path / "out")
    (cube,) = lk.open(place)
    np.testing.assert_array_equal(cube[1, 3].to_numpy(), astropy_pixels(paths[8])[0])
    assert compact(store).before == 0
    assert ingest(store, [str(tmp_path / "in")]).sources == 0
    collect(store, timedelta(0))
    assert_same(place, paths, tmp_path / "out")


@pytest.mark.parametrize(("memory", "waves"), [(64 << 20, 1), (1, 10)])
def test_granules_are_read_in_as_few_waves_as_memory_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int, waves: int
) -> None:
    paths = write_set(tmp_path / "in", "rice with fallback")
    place = url()
    store = new_archive(place)
    one_by_one(store, paths)
    monkeypatch.setattr("ingest.frames.held._WAVE_BYTES", memory)
    stream, asked = store.stream, []

    def counted(gets: list[Any], **options: Any) -> Any:
        asked.append(len(gets))
        return stream(gets, **options)

    monkeypatch.setattr(store, "stream", counted)
    compact(store)
    assert len(asked) == waves
    assert sum(asked) > len(paths)
    assert_same(place, paths, tmp_path / "out")


def test_frames_that_were_compressed_otherwise_have_a_granule_of_their_own(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "in")
    for path in paths[1::2]:
        stokes, step = (int(part) for part in path.stem.split("_")[1:])
        write_frame(path, pixels("noise", RNG), header(stokes, step), None)
    place = url()
    store = new_archive(place)
    for part in (paths[:5], paths[5:]):
        ingest(store, [str(path) for path in part])
    assert frames_of(place) == [2, 2, 3, 3]
    assert compact(store).after == 2
    assert frames_of(place) == [5, 5]
    assert_same(place, paths, tmp_path / "out")


def test_what_workers_took_in_at_once_is_stored_once(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "in")
    place = url()
    store = new_archive(place)
    shares = [paths[:6], paths[4:], paths[::2], paths[::-1]]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda share: ingest(store, [str(path) for path in share]), shares))
    compact(store)
    assert frames_of(place) == [10]
    assert_same(place, paths, tmp_path / "out")


def test_of_two_frames_at_one_place_the_one_that_is_served_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_set(tmp_path / "in")
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path / "in")])
    other = write_frame(tmp_path / "other.fits", pixels("noise", RNG), header(1, 3, **{"DATE-AVG": "2029-01-01"}), {})
    with monkeypatch.context() as meanwhile:  # who looked before the others were there sees no claim
        meanwhile.setattr(Places, "of", lambda *_: {})
        assert ingest(store, [str(other)]).granules == 1
    assert frames_of(place) == [1, 10]
    before = lk.open(place)[0].to_numpy()
    report = compact(store)
    assert (report.before, report.after, report.hidden) == (2, 1, 1)
    assert frames_of(place) == [10]
    np.testing.assert_array_equal(lk.open(place)[0].to_numpy(), before)
    assert ingest(store, [str(other)]).sources == 0  # known, and still not served
    collect(store, timedelta(0))
    assert not verify(store, "full").damaged
    assert lk.open(place)[0].files == [path.name for path in paths]


def test_a_reader_and_a_tag_keep_what_was(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "in", "rice with nan")
    place = url()
    store = new_archive(place)
    for part in (paths[:3], paths[3:]):
        ingest(store, [str(path) for path in part])
    (early,) = lk.open(place)
    tag(store, "before")
    compact(store)
    collect(store, timedelta(0))
    (now,) = lk.open(place)
    np.testing.assert_array_equal(early.to_numpy(), now.to_numpy())
    (tagged,) = lk.open(place, as_of="before")
    np.testing.assert_array_equal(tagged.to_numpy(), now.to_numpy())


def test_what_was_merged_can_be_changed_removed_and_mended(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "in")
    place = url()
    store = new_archive(place)
    one_by_one(store, paths)
    compact(store)
    write_frame(paths[7], pixels("noise", RNG), header(1, 2), {})
    assert ingest(store, [str(tmp_path / "in")]).sources == 1
    assert_same(place, paths, tmp_path / "out")
    compact(store)
    assert frames_of(place) == [10]
    store.delete([entry.key for entry in store.entries("index/")])
    repair(store)
    assert frames_of(place) == [10]
    collect(store, timedelta(0))
    assert_same(place, paths, tmp_path / "out")
    remove(store, "TESTED", MOMENT, MOMENT + 10**9)
    compact(store)
    (cube,) = lk.open(place)
    assert cube.missing == [(0, 2), (1, 2)]
    assert cube.shape == SHAPE


def test_a_frame_that_is_removed_meanwhile_is_not_brought_back(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "in")
    place = url()
    store = new_archive(place)
    one_by_one(store, paths)
    begun: list[int] = []

    def meanwhile(_: int) -> None:
        if not begun:
            begun.append(remove(store, "TESTED", MOMENT, MOMENT + 10**9).samples)

    report = compact(store, advance=meanwhile)
    assert (begun, report.given_up, report.after) == ([2], 1, 0)
    assert lk.open(place)[0].missing == [(0, 2), (1, 2)]
    assert compact(store).after == 1
    assert frames_of(place) == [8]
    assert not verify(store, "full").damaged


def test_an_archive_whose_index_is_lost_is_mended_whole_after_it_was_compacted(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "in")
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path / "in")])
    other = write_frame(tmp_path / "other.fits", pixels("noise", RNG), header(1, 3, **{"DATE-AVG": "2029-01-01"}), {})
    with pytest.MonkeyPatch.context() as meanwhile:
        meanwhile.setattr(Places, "of", lambda *_: {})
        ingest(store, [str(other)])
    compact(store)  # what comes has the id of what goes
    mended(store)
    assert sorted(lk.open(place)[0].files) == [path.name for path in paths]
    write_frame(paths[7], pixels("noise", RNG), header(1, 2), {})
    ingest(store, [str(tmp_path / "in")])  # cuts it, so that both ends stand for each other's first self
    mended(store)
    assert_same(place, paths, tmp_path / "out")
    remove(store, "TESTED", MOMENT, MOMENT + 10**9)
    collect(store, timedelta(0))
    mended(store)
    assert lk.open(place)[0].missing == [(0, 2), (1, 2)]


def mended(store: Store) -> None:
    store.delete([entry.key for entry in store.entries("index/")])
    repair(store)


def test_merging_some_of_the_granules_that_share_a_place_serves_no_other_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frame(name: str, step: int, moment: str, options: dict[str, Any] | None) -> str:
        head = header(0, step, **{"DATE-AVG": f"2024-05-14T{moment}"})
        return str(write_frame(tmp_path / f"{name}.fits", pixels("noise", RNG), head, options))

    early = frame("early", 0, "18:00:00", {"tile_shape": (1, 1, 70)})
    plain = [frame("hidden", 0, "18:30:00", None), frame("serves", 4, "18:30:40", None)]
    rice = [frame("beside", 4, "18:30:20", {}), frame("last", 3, "18:30:30", {})]
    place = url()
    store = new_archive(place)
    with monkeypatch.context() as meanwhile:  # three writers who know nothing of each other
        meanwhile.setattr(Places, "of", lambda *_: {})
        for part in ([early], plain, rice):
            ingest(store, part)
    served = ["early.fits", "last.fits", "serves.fits"]
    assert sorted(lk.open(place)[0].files) == served
    monkeypatch.setattr("ingest.keeping.compact._GROUPS_A_SWAP", 1)
    while compact(store).before:
        assert sorted(lk.open(place)[0].files) == served
    assert frames_of(place) == [1, 1, 1]


def test_a_series_is_merged_and_stays_in_order(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    paths = []
    for number in range(9):
        told = {"DATE-OBS": f"2024-05-14T18:30:{(number * 7) % 60:02}", "TELESCOP": "SDO/AIA", "WAVELNTH": 171}
        head = header(0, 0)
        for key in [key for key in head if key.startswith(("D", "CUNIT", "STOKES", "ATMOS"))]:
            del head[key]
        head.update(told)
        paths.append(write_frame(tmp_path / "in" / f"aia{number}.fits", pixels("small", RNG), head, {}))
    place = url()
    store = new_archive(place)
    one_by_one(store, paths)
    before = lk.open(place)[0].to_numpy()
    compact(store)
    assert frames_of(place) == [9]
    np.testing.assert_array_equal(lk.open(place)[0].to_numpy(), before)
    assert_same(place, paths, tmp_path / "out")
    assert compact(store).before == 0


def test_a_mosaic_and_its_asdf_are_each_stored_once(tmp_path: Path) -> None:
    folder = shared_folder("frames/vbi_mosaic")
    paths = sorted(path for path in folder.iterdir() if path.suffix in {".fits", ".asdf"})
    place = url()
    store = new_archive(place)
    frames = [path for path in paths if path.suffix == ".fits"]
    shares = [[str(path) for path in frames[:-3]], [str(path) for path in frames[3:]]]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda share: ingest(store, share), shares))
        list(pool.map(lambda _: ingest(store, [str(folder)]), shares))
    compact(store)
    names = [
        file
        for row in rows_of(open_store(place))
        if row.frames
        for file in getattr(unpack(row.frames), "files", ["asdf"])
    ]
    assert sorted(names) == sorted([*(path.name for path in frames), "asdf"])
    fits = {path.name: path.read_bytes() for path in frames}
    for cube in lk.open(place):
        for path in cube.io.to_fits(tmp_path / "out"):
            assert fits.pop(path.name) == path.read_bytes()
    assert not fits
    assert not verify(store, "full").damaged
