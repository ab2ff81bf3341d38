"""Each kind of bad input gives one clear error of the right class, and what is stored stays as it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archive as lk
from archive.errors import (
    AccessDenied,
    InvalidInput,
    LightkeepError,
    NewerVersion,
    NotFound,
    StoreTrouble,
)
from archive.index import layout
from archive.index.sealed import seal, unseal
from archive.store import open_store
from archive.times import time_to_ns
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml, write_tdms

START = time_to_ns("2016-03-14T08:00:00")


def samples(seed: int = 1, channels: int = 5) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(-99, 99, (200, channels)).astype(np.int16)


def prodml(path: Path, *, start: int = START, channels: int = 5, seed: int = 1) -> Path:
    return write_prodml(path, samples(seed, channels), Header(start=start))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An archive with one good file in it."""
    made = str(tmp_path / "archive")
    initialise(open_store(made))
    (tmp_path / "good").mkdir()
    ingest(open_store(made), [str(prodml(tmp_path / "good" / "a.h5"))])
    return made


@pytest.fixture
def untouched(url: str) -> Iterator[None]:
    """Whatever happens, no object that was there is changed or gone; only quarantine and commits may come."""

    def state() -> dict[str, str]:
        files = (path for path in Path(url).rglob("*") if path.is_file() and not path.name.startswith("."))
        return {str(path.relative_to(url)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = state()
    yield
    after = state()
    assert {key: after.get(key) for key in before} == before
    assert all(key.startswith("quarantine/") for key in after.keys() - before.keys())
    assert np.array_equal(lk.open(url)[0].data, samples())


# -- raw files --------------------------------------------------------------------------------------


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    body = prodml(path, seed=2).read_bytes()
    path.write_bytes(body[: len(body) // 2])


def foreign(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7 no samples here\n" * 50)


def other_hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["things"] = np.arange(10)


def flipped(path: Path) -> None:
    body = bytearray(prodml(path, seed=2).read_bytes())
    for place in range(8, 600, 3):
        body[place] ^= 0x55
    path.write_bytes(body)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("make", [empty, cut, foreign, other_hdf5, flipped])
def test_a_bad_file_is_refused_with_a_reason_and_the_others_go_on(
    url: str, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    make(folder / "bad.h5")
    report = ingest(open_store(url), [str(folder / "bad.h5"), str(tmp_path / "good")])
    assert (report.sources, report.known, report.granules) == (0, 1, 0)
    (refusal,) = report.refusals
    assert refusal.found.url.endswith("bad.h5")
    assert refusal.kind in {"FormatError", "SourceChanged"}
    assert len(refusal.reason) > 20
    assert "\n" not in refusal.reason
    assert "Traceback" not in refusal.reason
    assert len(open_store(url).entries("quarantine/")) == 1


@pytest.mark.parametrize("make", [empty, cut, foreign, other_hdf5, flipped])
def test_a_bad_file_does_not_keep_the_good_ones_out(url: str, tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    make(folder / "bad.h5")
    prodml(folder / "next.h5", start=START + 200 * 10**6, seed=3)
    report = ingest(open_store(url), [str(folder / "bad.h5"), str(folder / "next.h5")])
    assert (report.sources, len(report.refusals)) == (1, 1)
    (patch,) = lk.open(url)
    assert np.array_equal(patch.data, np.concatenate([samples(1), samples(3)]))


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_cut_tdms_file_is_refused_or_read_as_far_as_it_goes(url: str, tmp_path: Path, keep: float) -> None:
    path = write_tdms(tmp_path / "cut.tdms", samples(4), Header(start=START, instrument="other"))
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * keep)])
    report = ingest(open_store(url), [str(path)])
    assert report.sources + len(report.refusals) == 1
    for patch in lk.open(url).select(dataset="other*") if report.sources else ():
        assert np.array_equal(patch.data, samples(4)[: patch.shape[0]])


def test_a_file_that_changes_while_it_is_read_is_refused(url: str, tmp_path: Path) -> None:
    """The plan sees one file, the task another: nothing of it is committed."""
    from dataclasses import replace

    from ingest.run import adopt, plan_ingest
    from ingest.task import Task, run_task

    path = prodml(tmp_path / "grows.h5", start=START + 200 * 10**6, seed=5)
    store = open_store(url)
    plan, view, _ = plan_ingest(store, [str(path)], Settings())
    datasets = {name: adopt(store, view, held) for name, held in plan.datasets.items()}
    prodml(path, start=START + 200 * 10**6, seed=6)
    os.utime(path, ns=(1, 1))
    result = run_task(Task(store=store, sources=plan.groups[0], datasets=datasets))
    assert (result.rows, result.sources) == ((), ())
    assert result.refusals[0].kind == "SourceChanged"
    assert "again" in result.refusals[0].reason
    assert replace(result) == result


@pytest.mark.usefixtures("untouched")
def test_a_folder_without_data_ingests_nothing_and_says_so(url: str, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("none here")
    report = ingest(open_store(url), [str(tmp_path / "none")])
    assert (report.sources, report.granules, report.commits, report.refusals) == (0, 0, 0, [])
    assert [Path(one).name for one in report.ignored] == ["notes.txt"]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("place", ["nowhere", "nowhere/*.h5", "good/*.none"])
def test_a_place_that_is_not_there_is_an_error_that_names_it(url: str, tmp_path: Path, place: str) -> None:
    with pytest.raises(NotFound, match=place.rsplit("/", maxsplit=1)[-1].replace("*", ".")):
        ingest(open_store(url), [str(tmp_path / place)])


@pytest.mark.usefixtures("untouched")
def test_two_acquisitions_under_one_name_are_an_error_that_lists_them(url: str, tmp_path: Path) -> None:
    files = [prodml(tmp_path / "five.h5", seed=7), prodml(tmp_path / "six.h5", channels=6)]
    with pytest.raises(InvalidInput, match="two acquisitions"):
        ingest(open_store(url), [str(path) for path in files], Settings(dataset="both"))
    (name,) = lk.open(url).datasets
    with pytest.raises(InvalidInput, match="two acquisitions"):
        ingest(open_store(url), [str(files[1])], Settings(dataset=name))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "ü", "a" * 200])
def test_a_name_that_no_dataset_can_have_is_refused(url: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        ingest(open_store(url), [str(prodml(tmp_path / "b.h5", seed=8))], Settings(dataset=name))


# -- stores -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"secret": "wrong"}, {"key": "nobody"}])
def test_wrong_credentials_are_refused_without_telling_them(
    s3_url: str, s3_options: dict[str, Any], wrong: dict[str, str]
) -> None:
    with pytest.raises(AccessDenied, match="credentials") as caught:
        lk.open(s3_url, storage_options={**s3_options, **wrong})
    assert s3_options["secret"] not in str(caught.value)
    assert "wrong" not in str(caught.value)
    with pytest.raises(AccessDenied):
        initialise(open_store(s3_url, storage_options={**s3_options, **wrong}))


def test_a_bucket_that_is_not_there_is_named(s3_options: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="no-such-bucket"):
        lk.open("s3://no-such-bucket/x", storage_options=s3_options)


def test_a_prefix_that_is_no_archive_says_how_to_make_one(
    s3_url: str, s3_options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="lightkeep init"):
        lk.open(s3_url, storage_options=s3_options)
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotFound, match="lightkeep init"):
            lk.open(str(place))
    with pytest.raises(NotFound, match="lightkeep init"):
        ingest(open_store(str(tmp_path)), [str(prodml(tmp_path / "c.h5"))])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.h5"]


def test_a_place_with_other_things_in_it_becomes_no_archive(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InvalidInput, match=r"mine\.txt"):
        initialise(open_store(str(tmp_path)))
    assert [path.name for path in tmp_path.rglob("*")] == ["mine.txt"]


@pytest.mark.usefixtures("untouched")
def test_making_an_archive_that_is_there_does_nothing(url: str) -> None:
    assert initialise(open_store(url)) is False


def test_an_archive_whose_making_broke_off_is_made_whole_and_one_that_lost_its_state_is_not_emptied(url: str) -> None:
    store = open_store(f"{url}-other")
    store.create(layout.ROOT, open_store(url).get(layout.ROOT).data)
    assert initialise(store) is False
    assert len(lk.open(store.url)) == 0
    damaged = open_store(url)
    damaged.delete([layout.CURRENT])
    with pytest.raises(NotFound, match=f"older ones are there; run lightkeep repair {damaged.url}"):
        initialise(damaged)
    assert damaged.entries(layout.DATA)


def test_a_server_that_is_not_there_is_store_trouble() -> None:
    place = {"endpoint_url": "http://127.0.0.1:9", "key": "a", "secret": "b", "max_retries": 1}
    with pytest.raises(StoreTrouble):
        lk.open("s3://archive/x", storage_options=place)


@pytest.mark.parametrize(
    ("place", "given"),
    [("s3://", {}), ("s3://bucket/x", {"colour": "red"}), ("s3://user:secret-word@bucket/x", {})],
)
def test_a_url_or_an_option_that_makes_no_sense_is_refused(place: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        lk.open(place, storage_options=given)
    assert "secret-word" not in str(caught.value)


# -- versions ---------------------------------------------------------------------------------------


def test_an_archive_of_a_newer_format_is_neither_read_nor_written(url: str, tmp_path: Path) -> None:
    path = Path(url) / layout.CURRENT
    document = unseal(layout.CURRENT, path.read_bytes())
    path.write_bytes(seal(layout.CURRENT, {**document, "format": layout.FORMAT_VERSION + 1}))
    before = path.read_bytes()
    for attempt in (lambda: lk.open(url), lambda: ingest(open_store(url), [str(prodml(tmp_path / "d.h5", seed=9))])):
        with pytest.raises(NewerVersion, match="upgrade"):
            attempt()
    assert path.read_bytes() == before


# -- questions --------------------------------------------------------------------------------------


def bad_questions() -> dict[str, tuple[Callable[[str], Any], type[LightkeepError], str]]:
    def ask(**selectors: Any) -> Callable[[str], Any]:
        return lambda url: list(lk.open(url).select(**selectors))

    def ask_patch(**selectors: Any) -> Callable[[str], Any]:
        return lambda url: lk.open(url)[0].select(**selectors)

    def chunk(**options: Any) -> Callable[[str], Any]:
        return lambda url: list(lk.open(url).chunk(**options))

    return {
        "dataset": (lambda url: lk.open(url, dataset="none"), NotFound, "none"),
        "snapshot": (lambda url: lk.open(url, as_of=99), NotFound, "99"),
        "tag": (lambda url: lk.open(url, as_of="release"), NotFound, "release"),
        "time before the first snapshot": (lambda url: lk.open(url, as_of="1999-01-01"), NotFound, "snapshot"),
        "coordinate": (ask(distnace=(0, 1)), InvalidInput, "distnace.*distance"),
        "coordinate of a patch": (ask_patch(distnace=(0, 1)), InvalidInput, "distnace.*distance"),
        "attribute": (ask(colour="red"), InvalidInput, "colour"),
        "unit": (ask(distance=(1 * lk.units.get_quantity("s"), None)), InvalidInput, "distance|convert|s"),
        "time": (ask(time=("yesterday", None)), InvalidInput, "yesterday"),
        "month": (ask(time=("2016-13-01", None)), InvalidInput, "2016-13-01"),
        "time out of range": (ask(time=("1500-01-01", None)), InvalidInput, "1678"),
        "NaT": (ask(time=(np.datetime64("NaT", "ns"), None)), InvalidInput, "NaT"),
        "NaN": (ask(time=(float("nan"), None)), InvalidInput, "nan"),
        "order": (ask(time=("2016-03-15", "2016-03-14")), InvalidInput, "ends before"),
        "order of channels": (ask(distance=(3, 1)), InvalidInput, "ends before"),
        "text for a distance": (ask(distance=("a", None)), InvalidInput, "a"),
        "step of a slice": (ask(distance=slice(0, 3, 2)), InvalidInput, "step"),
        "fraction of a sample": (ask_patch(time=(0.5, None), samples=True), InvalidInput, "0.5"),
        "mask": (ask_patch(distance=np.array([True])), InvalidInput, "mask"),
        "overlap as long as the chunk": (chunk(time=1, overlap=1), InvalidInput, "overlap"),
        "length of nothing": (chunk(time=0), InvalidInput, "length"),
        "negative length": (chunk(time=-1), InvalidInput, "length"),
        "two dims": (chunk(time=1, distance=1), InvalidInput, "one dim"),
        "conflict": (chunk(time=None, conflict="maybe"), InvalidInput, "maybe"),
        "dim to chunk": (chunk(depth=1), InvalidInput, "depth"),
        "sort": (lambda url: list(lk.open(url).sort("colour")), InvalidInput, "colour"),
        "split": (lambda url: list(lk.open(url).split(size=0)), InvalidInput, "size"),
        "client": (lambda url: lk.open(url).map(len, client=3), InvalidInput, "submit"),
        "transpose": (lambda url: lk.open(url)[0].transpose("time"), InvalidInput, "time"),
        "spool": (lambda url: lk.spool([1, 2]), InvalidInput, "Patches"),
    }


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", list(bad_questions()))
def test_a_question_that_makes_no_sense_is_one_clear_error(url: str, name: str) -> None:
    ask, kind, said = bad_questions()[name]
    with pytest.raises(kind, match=said) as caught:
        ask(url)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_a_patch_that_is_not_there_is_an_index_error(url: str) -> None:
    with pytest.raises(IndexError):
        lk.open(url)[5]


def test_nothing_selected_is_no_error(url: str) -> None:
    spool = lk.open(url)
    assert len(spool.select(time=("1990-01-01", "1991-01-01"))) == 0
    assert len(spool.select(dataset="no*such")) == 0
    assert spool[0].select(distance=(10**6, None)).shape == (200, 0)
    assert spool[0].select(distance=(10**6, None)).data.shape == (200, 0)
