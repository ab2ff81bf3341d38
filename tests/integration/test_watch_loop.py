"""Watching, in a thread of the test: what it does with each kind of file, and with trouble."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from frame_sets import example_files, write_changed, write_set
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st
from landing import check, stored
from small import START, raw, rows_of, samples
from waiting import in_a_thread, until

import archive as lk
from archive.errors import InvalidInput, NotFound
from archive.store import open_store
from archive.view import open_view
from ingest.initialise import initialise
from ingest.lookout import Settling
from ingest.quarantine import newest_reports
from ingest.run import read_ledger
from ingest.settings import Settings
from ingest.sources import Found, scan
from ingest.synthetic.vendor import Header, write_prodml
from ingest.watch import Patience, Watch
from ingest.workers import Hiring

if TYPE_CHECKING:
    from proxy import FaultProxy

    from archive.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "incoming"
    made.mkdir()
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = open_store(str(tmp_path / "archive"))
    initialise(made)
    return made


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[str]:
    """A place in memory; its files appear whole."""
    name = f"/{tmp_path.name}"
    yield f"memory:/{name}"
    MemoryFileSystem().rm(name, recursive=True)


@pytest.mark.slow
def test_trouble_with_the_store_is_waited_out(
    s3_url: str, s3_options: dict[str, Any], proxy: FaultProxy, proxy_options: dict[str, Any], folder: Path
) -> None:
    initialise(open_store(s3_url, storage_options=s3_options))
    patient = open_store(s3_url, storage_options={**proxy_options, "max_retries": 0})
    told: list[str] = []
    watch = Watch(patient, [str(folder)], Settings(), Hiring(jobs=2), patience=Patience(settle=0.2), told=told.append)

    def seen() -> int:
        return sum(patch.shape[0] for patch in lk.open(s3_url, storage_options=s3_options))

    with in_a_thread(watch) as reports:
        raw(folder / "0.h5", 0)
        until(lambda: seen() == 200)
        for number, path in ((1, "/data/"), (2, "/commits/"), (3, "")):
            proxy.set(slowdown=1.0, path=path)
            raw(folder / f"{number}.h5", number)
            until(lambda: any("trouble" in line for line in told))
            assert seen() == 200 * number
            proxy.set()
            until(lambda count=number: seen() == 200 * (count + 1))  # type: ignore[misc]
            told.clear()
    assert (reports[0].sources, reports[0].refusals) == (4, [])
    found = [patch.data for patch in lk.open(s3_url, storage_options=s3_options)]
    assert np.array_equal(np.concatenate(found), np.concatenate([samples(number) for number in range(4)]))


def test_another_acquisition_under_the_name_is_set_aside_and_the_watch_goes_on(store: Store, folder: Path) -> None:
    raw(folder / "0.h5", 0)
    write_prodml(folder / "1.h5", samples(1)[:, :3], Header(start=START + 200 * 10**6))
    watch = Watch(store, [str(folder)], Settings(dataset="one"), Hiring(), patience=Patience(settle=0.1))
    with in_a_thread(watch) as reports:
        until(lambda: newest_reports(store))
        raw(folder / "2.h5", 1)
        until(lambda: stored(store.url) == 400)
    assert [refusal.kind for refusal in reports[0].refusals] == ["InvalidInput"]
    check(store.url, [0, 1])


def test_frames_share_granules_and_their_asdf_waits_for_them(store: Store, folder: Path, tmp_path: Path) -> None:
    asdf, *frames = example_files(tmp_path / "made", 12)

    def seen() -> int:
        return sum(len(cube.files) for cube in lk.open(store.url))

    def watch() -> Watch:
        return Watch(store, [str(folder)], Settings(), Hiring(jobs=2), patience=Patience(settle=0.3))

    with in_a_thread(watch()) as reports:
        (folder / asdf.name).write_bytes(asdf.read_bytes())
        for number, part in enumerate((frames[::2], frames[1::2]), 1):
            for path in part:
                (folder / path.name).write_bytes(path.read_bytes())
            until(lambda number=number: seen() == 6 * number)  # type: ignore[misc]
        (folder / "copy.fits").write_bytes(frames[3].read_bytes())
        (folder / "broken.fits").write_bytes(frames[0].read_bytes()[:-2880])
        until(lambda: newest_reports(store))
        until(lambda: read_ledger(open_view(store)).seen(*state_of(folder / "copy.fits")) is not None)
        until(lambda: len(read_ledger(open_view(store)).sources()) == len(frames) + 1)
    (cube,) = lk.open(store.url)
    assert cube.meta["inventory"]
    files = {path.name: path.read_bytes() for path in frames}
    assert {path.name: path.read_bytes() for path in cube.io.to_fits(tmp_path / "out")} == files
    assert [Path(refusal.found.url).name for refusal in reports[0].refusals] == ["broken.fits"]
    before = len(rows_of(store))
    assert before < len(frames)
    with in_a_thread(watch()) as reports:
        raw(folder / "late.h5", 0)  # when it is in, the others have been looked at
        until(lambda: len(read_ledger(open_view(store)).sources()) == len(frames) + 2)
    assert (reports[0].sources, len(rows_of(store))) == (1, before + 1)


def test_more_frames_than_are_looked_at_at_once_come_in_all_the_same(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.watch._FRAMES_AT_ONCE", 4)
    frames = write_set(folder)
    (folder / "notes.txt").write_text("no data")
    raw(folder / "0.h5", 0)
    watch = Watch(store, [str(folder)], Settings(), Hiring(), patience=Patience(settle=0.1))
    with in_a_thread(watch) as reports:
        until(lambda: len(read_ledger(open_view(store)).sources()) == len(frames) + 1)
    assert (reports[0].sources, reports[0].refusals) == (len(frames) + 1, [])


def test_one_frame_in_trouble_and_an_asdf_of_another_dataset_hold_nobody(
    store: Store, s3_url: str, proxy: FaultProxy, proxy_options: dict[str, Any], tmp_path: Path
) -> None:
    bad, *good = write_set(tmp_path)[:4]
    landing = open_store(f"{s3_url}/landing", storage_options=proxy_options)
    for path in (*good, bad, example_files(tmp_path / "other", 1)[0]):
        landing.create(path.name, path.read_bytes())
    proxy.set(slowdown=1.0, path=bad.name)
    told: list[str] = []
    options = {**proxy_options, "config_kwargs": {"retries": {"max_attempts": 0}}}
    settings, patience = Settings(options=options), Patience(poll=0.3)
    watch = Watch(store, [f"{s3_url}/landing"], settings, Hiring(), patience=patience, told=told.append)
    with in_a_thread(watch) as reports:
        until(lambda: sum(len(cube.files) for cube in lk.open(store.url)) == 3)
        assert any(line.startswith("trouble") and bad.name in line for line in told)
        proxy.set()
        until(lambda: sum(len(cube.files) for cube in lk.open(store.url)) == 4)
    assert (reports[0].sources, reports[0].refusals) == (4, [])
    assert len([line for line in told if line.startswith("waits for its frames")]) == 1


def test_a_stop_does_not_wait_for_all_frames_of_a_place_in_trouble(
    store: Store, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in write_set(tmp_path):
        MemoryFileSystem().pipe(f"{memory}/{path.name}", path.read_bytes())
    told: list[str] = []
    tried_again: list[str] = []
    watch = Watch(store, [memory], Settings(), Hiring(jobs=8), told=told.append)
    ask = MemoryFileSystem.info

    def no_answer(files: MemoryFileSystem, path: str, **more: Any) -> Any:
        if not path.endswith(".fits"):
            return ask(files, path, **more)
        if any(line.startswith("trouble") for line in told):  # from here on each is looked at by itself
            tried_again.append(path)
            watch.stop()
        raise OSError("no answer")

    monkeypatch.setattr(MemoryFileSystem, "info", no_answer)
    watch.run()
    assert len(tried_again) == 1


def test_frames_that_were_refused_after_trouble_share_a_granule_once_they_are_mended(
    store: Store, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{memory}/{path.name}": path.read_bytes() for path in write_set(tmp_path)[:2]}
    MemoryFileSystem().pipe(dict.fromkeys(files, b"SIMPLE  =                    T"))
    told: list[str] = []
    whole, ask, find = threading.Lock(), MemoryFileSystem.info, MemoryFileSystem.find

    def no_answer(files: MemoryFileSystem, path: str, **more: Any) -> Any:
        if path.endswith(".fits") and not any(line.startswith("trouble") for line in told):
            raise OSError("no answer")
        return ask(files, path, **more)

    def listed(*place: Any, **more: Any) -> Any:
        with whole:  # never one file mended and the other not
            return find(*place, **more)

    monkeypatch.setattr(MemoryFileSystem, "info", no_answer)
    monkeypatch.setattr(MemoryFileSystem, "find", listed)
    watch = Watch(store, [memory], Settings(), Hiring(), patience=Patience(poll=0.1), told=told.append)
    with in_a_thread(watch) as reports:
        until(lambda: len(newest_reports(store)) == len(files))
        with whole:
            MemoryFileSystem().pipe(files)
        until(lambda: read_ledger(open_view(store)).sources())
    assert (reports[0].sources, reports[0].granules) == (len(files), 1)


def test_a_frame_waits_for_what_comes_of_another_that_claims_its_place(
    store: Store, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_set(tmp_path)[0]
    other = write_changed(tmp_path / "other.fits", path)
    looks: list[str] = []
    ask = MemoryFileSystem.info

    def slowly(files: MemoryFileSystem, name: str, **more: Any) -> Any:
        looks.append(Path(name).name)
        if Path(name).name == path.name and looks.count(path.name) == 3:  # its header has been read: the task begins
            MemoryFileSystem().pipe(f"{memory}/{other.name}", other.read_bytes())
            until(lambda: looks.count(other.name) >= 2)
        return ask(files, name, **more)

    monkeypatch.setattr(MemoryFileSystem, "info", slowly)
    MemoryFileSystem().pipe(f"{memory}/{path.name}", path.read_bytes())
    watch = Watch(store, [memory], Settings(), Hiring(jobs=2), patience=Patience(poll=0.1))
    with in_a_thread(watch) as reports:
        until(lambda: newest_reports(store))
    assert reports[0].sources == 1
    (refusal,) = reports[0].refusals
    assert "claims the place" in refusal.reason


def test_what_is_no_data_is_left_alone_and_what_is_broken_may_be_mended(store: Store, folder: Path) -> None:
    told: list[str] = []
    watch = Watch(store, [str(folder)], Settings(), Hiring(), patience=Patience(settle=0.2), told=told.append)
    with in_a_thread(watch) as reports:
        (folder / "notes.txt").write_text("no data")
        whole = raw(folder / "whole.h5", 0).read_bytes()
        (folder / "broken.h5").write_bytes(whole[: len(whole) // 2])
        until(lambda: any(line.startswith("refused") for line in told))
        raw(folder / "broken.h5", 1)
        until(lambda: stored(store.url) == 400)
        raw(folder / "gone.h5", 2).unlink()
        (folder / "copy.h5").write_bytes(whole)
        until(lambda: read_ledger(open_view(store)).seen(*state_of(folder / "copy.h5")) is not None)
    check(store.url, [0, 1])
    assert [Path(refusal.found.url).name for refusal in reports[0].refusals] == ["broken.h5"]
    assert reports[0].sources == 3


def state_of(path: Path) -> tuple[str, int, str]:
    (found,) = scan([str(path)])
    return found.url, found.size, found.stamp


def test_a_place_that_is_not_there_is_said_before_anything_is_watched(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        Watch(store, [str(tmp_path / "nowhere")], Settings(), Hiring()).run()


def test_a_name_that_no_dataset_can_have_is_said_before_anything_is_watched(store: Store, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot name a dataset"):
        Watch(store, [str(folder)], Settings(dataset="no name"), Hiring())


STATES = st.lists(
    st.tuples(st.integers(1, 24).map(lambda n: n / 8), st.sampled_from("ab"), st.integers(0, 2)), max_size=30
)


@given(STATES)
def test_a_file_settles_once_and_only_after_it_has_not_changed_for_long_enough(
    sightings: list[tuple[float, str, int]],
) -> None:
    settling, now, changed, given_out = Settling(1.0), 0.0, {}, []
    state: dict[str, int] = {}
    for pause, name, size in sightings:
        now += pause
        url = f"file:///{name}.h5"
        if state.get(url) != size:
            state[url], changed[url] = size, now
        settling.saw(Found(url=url, size=size, stamp=""), now)
        for found in settling.settled(now):
            assert now - changed[found.url] >= 1.0
            assert found.size == state[found.url]
            given_out.append(found.url)
            del state[found.url]
    assert {found.url for found in settling.settled(now + 2.0)} == set(state)
    assert settling.next_due() == float("inf")
