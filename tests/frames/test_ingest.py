"""Sets of frames come in once, whole or in part, from one worker or several; what does not belong is set aside."""

from __future__ import annotations

import re
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from frame_sets import KINDS, SHAPE, astropy_pixels, example_files, header, new_archive, pixels, write_frame, write_set
from shared import shared_folder

import archive as lk
from archive.view import open_view
from ingest.checking.remake import Remake
from ingest.checking.repair import repair
from ingest.checking.verify import verify
from ingest.index.ledger import Ledger
from ingest.keeping.collect import collect
from ingest.keeping.compact import compact
from ingest.keeping.remove import remove
from ingest.places import Places
from ingest.run import ingest, plan_ingest, read_ledger
from ingest.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # asdf and dkist warn of their own ways
RNG = np.random.default_rng(4)


def url() -> str:
    return f"memory://frames-{secrets.token_hex(6)}"


def whole(place: str, folder: Path) -> lk.Cube:
    """Return the only Cube of an archive, each of its frames compared with astropy's."""
    (cube,) = lk.open(place)
    data = cube.to_numpy()
    there = [one for one in np.ndindex(SHAPE[:2]) if one not in cube.missing]
    for one, file in zip(there, cube.files, strict=True):
        np.testing.assert_array_equal(data[one], astropy_pixels(folder / file)[0])
    return cube


def assert_sound(place: str) -> None:
    from archive.store import open_store

    for mode in ("quick", "full"):
        report = verify(open_store(place), mode)  # type: ignore[arg-type]
        assert not report.findings
        assert report.granules


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    write_set(tmp_path)
    place = url()
    store = new_archive(place)
    first, second = ingest(store, [str(tmp_path)]), ingest(store, [str(tmp_path)])
    assert (first.sources, first.granules, first.datasets) == (10, 1, ["TESTED"])
    assert (second.sources, second.known, second.commits) == (0, 10, 0)
    assert_sound(place)
    ledger = read_ledger(open_view(store)).sources()
    assert {source.url.rpartition("/")[2]: source.size for source in ledger} == {
        path.name: path.stat().st_size for path in tmp_path.iterdir()
    }


def test_frames_that_come_later_fill_the_cube(tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    place = url()
    store = new_archive(place)
    ingest(store, [str(path) for path in paths[:4]])
    cube = whole(place, tmp_path)
    assert len(cube.missing) == 6
    assert cube.mask is not None
    assert cube.mask[0, :4].sum() == 0
    assert cube.mask[0, 4].all()
    assert np.isnan(cube.to_numpy()[1]).all()
    report = ingest(store, [str(tmp_path)])
    assert (report.sources, report.known) == (6, 4)
    assert whole(place, tmp_path).missing == []
    assert_sound(place)


def test_workers_share_a_dataset_and_nothing_comes_twice(tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    place = url()
    store = new_archive(place)
    shares = [paths[:6], paths[4:], paths[::2]]
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda share: ingest(store, [str(path) for path in share]), shares))
    assert all(not report.refusals for report in reports)
    cube = whole(place, tmp_path)
    assert cube.missing == []
    assert len(set(cube.files)) == 10
    assert len(read_ledger(open_view(store)).sources()) == 10
    assert not verify(store, "full").damaged  # what two took in at once may lie there twice, named once


def test_a_run_in_processes_gives_the_same(tmp_path: Path) -> None:
    write_set(tmp_path / "in", "rice with fallback")
    place = str(tmp_path / "archive")
    report = ingest(new_archive(place), [str(tmp_path / "in")], jobs=2, processes=True)
    assert (report.sources, report.refusals) == (10, [])
    assert whole(place, tmp_path / "in").missing == []
    assert_sound(place)


def test_a_changed_file_replaces_what_was_made_of_it(tmp_path: Path) -> None:
    paths = write_set(tmp_path, "rice with nan")
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path)])
    before = lk.open(place)[0].to_numpy()
    write_frame(paths[7], pixels("nan", RNG), header(1, 2), {})
    report = ingest(store, [str(tmp_path)])
    assert (report.sources, report.refusals) == (1, [])
    cube = whole(place, tmp_path)
    assert cube.missing == []
    assert not np.array_equal(cube[1, 2].to_numpy(), before[1, 2], equal_nan=True)
    again = cube.io.to_fits(tmp_path / "out")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]
    assert_sound(place)


def test_removing_compacting_and_collecting_leave_the_rest(tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path)])
    compact(store)
    assert whole(place, tmp_path).missing == []
    moment = int(np.datetime64("2024-05-14T18:30:20", "ns").astype(np.int64))
    report = remove(store, "TESTED", moment, moment + 10**9)
    assert (report.samples, report.sources) == (2, 2)
    assert whole(place, tmp_path).missing == [(0, 2), (1, 2)]
    collect(store, timedelta(0))
    assert whole(place, tmp_path).missing == [(0, 2), (1, 2)]
    assert_sound(place)
    assert ingest(store, [str(tmp_path)]).sources == 2
    assert whole(place, tmp_path).missing == []
    assert remove(store, "TESTED").sources == len(paths)
    assert len(lk.open(place)) == 0
    ingest(store, [str(tmp_path)])
    assert whole(place, tmp_path).missing == []


@pytest.mark.parametrize("lost", ["data", "heads", "root", "index"])
def test_repair_mends_granules_of_frames(lost: str, tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path)])
    keys = [entry.key for entry in store.entries("")]
    wanted = {"data": "/data/c/", "heads": "/heads/c/", "root": ".zarr/zarr.json", "index": "index/"}[lost]
    store.delete([key for key in keys if wanted in key])
    repair(store)
    cube = whole(place, tmp_path)
    assert [path.read_bytes() for path in cube.io.to_fits(tmp_path / "out")] == [path.read_bytes() for path in paths]
    assert not verify(store, "quick").findings
    collect(store, timedelta(0))  # older snapshots name what was damaged
    assert_sound(place)


def test_granules_whose_files_are_gone_are_made_anew_around_what_is_right(tmp_path: Path) -> None:
    asdf, *_ = example_files(tmp_path / "in", 0)
    paths = list((tmp_path / "in").iterdir())
    whole_files = {path.name: path.read_bytes() for path in paths}
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path / "in")])
    assert verify(store, "full", sources=True).findings == []
    roots = [entry.key for entry in store.entries("") if entry.key.endswith(".zarr/zarr.json")]
    assert len(roots) == 2  # the frames, and the asdf
    for path in paths:
        path.unlink()
    for root in roots:
        store.swap(root, b"{}", store.head(root).etag)

    def damaged() -> set[str]:
        """Return the granules that are damaged of those that the newest snapshot names."""
        (table,) = open_view(store).tables(None)
        named = {row.key for row in open_view(store).rows(table, range(len(table.sources)))}
        return named & {finding.granule for finding in verify(store, "full").findings}

    for dry, what in ((True, "to be made anew"), (False, "made anew")):
        report = repair(store, dry_run=dry)
        assert report.lost == []
        told = [one.what.partition(", as ")[0] for one in report.done]
        assert told == [f"{what} around its samples, which are right"] * 2
        assert len(damaged()) == (2 if dry else 0)
    (cube,) = lk.open(place)
    assert cube.meta["inventory"]
    files = {path.name: path.read_bytes() for path in cube.io.to_fits(tmp_path / "out")}
    files[asdf.name] = cube.io.to_asdf(tmp_path / "out.asdf").read_bytes()
    assert files == whole_files


def test_the_sources_of_frames_are_compared(tmp_path: Path) -> None:
    write_set(tmp_path)
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path)])
    report = verify(store, "full", sources=True)
    assert (report.findings, report.compared) == ([], 1)


def test_a_plan_says_what_would_be_done(tmp_path: Path) -> None:
    write_set(tmp_path)
    plan, _, _ = plan_ingest(new_archive(url()), [str(tmp_path)], Settings())
    assert (plan.sources, len(plan.groups), list(plan.datasets)) == (10, 1, ["TESTED"])
    assert plan.samples == 10 * 48 * 70 * 4


def frame(path: Path, kind: str = "rice", place: tuple[int, int] = (0, 2), **changed: Any) -> Path:
    what, options = KINDS[kind]
    return write_frame(path, pixels(what, RNG), header(*place, **changed), options)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:-size])


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-4000] ^= 0xFF
    path.write_bytes(bytes(content))


BAD = {
    "cut": (lambda path: cut(path, 2880), "ends at"),
    "altered": (altered, "DATASUM|damaged"),
    "empty": (lambda path: path.write_bytes(b""), "FITS|image"),
    "no fits": (lambda path: path.write_bytes(b"PK\x03\x04" * 2000), "no FITS file"),
    "another shape": (lambda path: write_frame(path, pixels("noise", RNG)[:, :40], header(0, 2), {}), "an image of"),
    "another type": (lambda path: frame(path, "rice float64"), "pixels is"),
    "two at one place": (lambda path: frame(path, place=(1, 3)), "both claim"),
    "beyond the cube": (lambda path: frame(path, DINDEX3=17), "lies at"),
    "an axis that lies": (lambda path: frame(path, DNAXIS3=6), "shape is"),
    "no number": (lambda path: frame(path, DINDEX4="x"), "not a whole number"),
    "no time": (lambda path: frame(path, **{"DATE-AVG": None}), "no time"),
    "a time that is none": (lambda path: frame(path, **{"DATE-AVG": "yesterday"}), "no time"),
    "a time of another clock": (lambda path: frame(path, TIMESYS="UT1"), "DATE-AVG is in UT1, which is not read"),
    "more axes inside than there are": (lambda path: frame(path, DAAXES=4), "DAAXES is 4 of DNAXIS 4"),
    "no dataset": (lambda path: frame(path, DSETID=None), "DSETID"),
}


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_frame_is_set_aside_and_the_others_come_in(kind: str, tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    spoil, reason = BAD[kind]
    paths[2].unlink()
    frame(paths[2])
    if kind not in {"cut", "altered"}:
        paths[2].unlink()
    spoil(paths[2])
    place = url()
    store = new_archive(place)
    report = ingest(store, [str(tmp_path)])
    (refusal,) = report.refusals
    assert refusal.found.url.endswith((paths[2].name, "VISP_1_03.fits"))
    assert re.search(reason, refusal.reason), refusal.reason
    assert report.sources == 9
    assert len(list(store.entries("quarantine/"))) == 1
    (cube,) = lk.open(place)
    assert cube.missing == [(0, 2)]
    assert_sound(place)
    assert ingest(store, [str(tmp_path)]).sources == 0


def test_a_frame_for_a_place_that_the_archive_has_is_set_aside(tmp_path: Path) -> None:
    write_set(tmp_path / "in")
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path / "in")])
    (tmp_path / "more").mkdir()
    shutil.copy(tmp_path / "in" / "VISP_0_01.fits", tmp_path / "more" / "copy.fits")
    frame(tmp_path / "more" / "other.fits", place=(1, 1))
    report = ingest(store, [str(tmp_path / "more")])
    (refusal,) = report.refusals
    assert "claims the place (2, 2), which VISP_1_01.fits has" in refusal.reason
    assert report.sources == 1  # the copy, of which nothing is stored again
    assert report.granules == 0
    assert whole(place, tmp_path / "in").missing == []


def test_frames_of_two_datasets_go_to_two(tmp_path: Path) -> None:
    write_set(tmp_path)
    write_frame(tmp_path / "alien.fits", pixels("noise", RNG), header(0, 0, DSETID="ALIEN"), {})
    place = url()
    report = ingest(new_archive(place), [str(tmp_path)])
    assert (report.refusals, report.datasets) == ([], ["ALIEN", "TESTED"])
    assert [len(cube.files) for cube in lk.open(place)] == [1, 10]
    named = ingest(new_archive(url()), [str(tmp_path)], Settings(dataset="mine"))
    assert named.datasets == ["mine"]
    assert ["id is 'ALIEN'" in one.reason for one in named.refusals] == [True]


def test_an_alien_beside_an_asdf_and_a_bad_asdf_are_set_aside(tmp_path: Path) -> None:
    source = shared_folder("frames") / "visp"
    folder = tmp_path / "in"
    shutil.copytree(source, folder)
    write_frame(folder / "alien.fits", pixels("noise", RNG), header(0, 0), {})
    store = new_archive(place := url())
    report = ingest(store, [str(folder)])
    (refusal,) = report.refusals
    assert "is of the dataset TESTED, but its folder holds the asdf of NJJEKB" in refusal.reason
    assert len(lk.open(place)[0].files) == 40
    (asdf,) = folder.glob("*.asdf")
    content = asdf.read_bytes()
    asdf.write_bytes(content.replace(b"nso.edu/tags/dataset-1.3.0", b"nso.edu/tags/dataset-9.3.0"))
    (folder / "alien.fits").unlink()
    store = new_archive(place := url())
    report = ingest(store, [str(folder)])
    (refusal,) = report.refusals
    assert refusal.found.url.endswith(".asdf")
    cube = lk.open(place)[0]
    assert len(cube.files) == 40
    assert cube.inventory is None
    asdf.write_bytes(content)  # what it should have been comes later
    assert ingest(store, [str(folder)]).refusals == []
    assert lk.open(place)[0].inventory["datasetId"] == "NJJEKB"


def test_a_mosaic_knows_its_tiles_and_those_that_are_missing(tmp_path: Path) -> None:
    source = shared_folder("frames") / "vbi_mosaic"
    store = new_archive(place := url())
    keep = [path for path in source.glob("*.fits") if not _is_of(path, 2, 1)]
    ingest(store, [str(path) for path in keep])
    cubes = list(lk.open(place))
    assert [cube.attrs["tile"] for cube in cubes] == [(0, 0), (0, 1), (1, 1)]
    tiles = cubes[0][0].tiles
    assert tiles.mask.tolist() == [[False, False], [True, False]]
    assert tiles[1, 1].files == cubes[2].files
    np.testing.assert_array_equal(tiles[0, 1].to_numpy(), cubes[1].to_numpy())
    write_set(tmp_path)
    ingest(store, [str(tmp_path)])
    with pytest.raises(lk.errors.InvalidInput, match="no tile"):
        _ = lk.open(place, dataset="TESTED")[0].tiles


def _is_of(path: Path, row: int, column: int) -> bool:
    from ingest.fits import read_keywords

    with path.open("rb") as file:
        keywords = read_keywords(file, path.stat().st_size, path.name)
    return (keywords["MINDEX1"], keywords["MINDEX2"]) == (row, column)


def test_plain_images_are_a_series_in_the_order_of_their_times(tmp_path: Path) -> None:
    times = ["2017.09.06_12:00:39.2_TAI", "2017.09.06_11:59:59.9_TAI", "2017.09.06_12:01:14.0_TAI"]
    data = [RNG.integers(-500, 500, (20, 30)).astype("i2") for _ in times]
    for number, (time, one) in enumerate(zip(times, data, strict=True)):
        head = header(0, 0, DNAXIS=None, DSETID=None, TELESCOP="SDO/HMI", INSTRUME="HMI_SIDE1", T_OBS=time)
        for key in [key for key in head if key.startswith(("DINDEX", "DTYPE", "DAAXES", "DEAXES", "DNAXIS", "DATE"))]:
            del head[key]
        write_frame(tmp_path / f"{number}.fits", one, head, {"tile_shape": (1, 30)})
    place = url()
    report = ingest(new_archive(place), [str(tmp_path)])
    assert report.refusals == []
    (cube,) = lk.open(place)
    assert cube.files == ["1.fits", "0.fits", "2.fits"]
    np.testing.assert_array_equal(cube.to_numpy(), np.stack([data[1], data[0], data[2]]))
    assert str(cube.times[1]) == "2017-09-06T12:00:02.200000000"  # TAI was 37 s ahead of UTC
    (late,) = lk.open(place).select(time=("2017-09-06T12:00:00", None))
    assert late.files == ["0.fits", "2.fits"]


def test_made_anew_is_the_very_same(tmp_path: Path) -> None:
    write_set(tmp_path)
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path)])
    report = ingest(store, [str(tmp_path)], Settings(anew=True))
    assert (report.sources, report.refusals) == (10, [])
    assert whole(place, tmp_path).missing == []
    assert Remake(store, dry_run=True, options={}).mend([]) == []


def test_what_was_just_stored_has_its_place_until_a_view_shows_it(tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    place = url()
    store = new_archive(place)
    ingest(store, [str(path) for path in paths[:3]])
    old = Places(open_view(store))
    assert len(old.of("TESTED")) == 3
    ingest(store, [str(paths[5])])
    now = open_view(store)
    (fresh,) = (row for table in now.tables(["TESTED"]) for row in now.rows(table, [1]))
    old.note([fresh])
    for view in (old.view, old.view, now, now):
        assert sorted(one.file for one in old.of("TESTED").values()) == [path.name for path in (*paths[:3], paths[5])]
        old.renew(view)
    moment = int(np.datetime64("2024-05-14T18:30:00", "ns").astype(np.int64))
    remove(store, "TESTED", moment, moment + 10**9)
    old.renew(open_view(store))
    assert len(old.of("TESTED")) == 2  # the rest of the others; what was noted came before
    assert not old.of("other")


def test_a_copy_that_came_before_the_view_knew_of_it_is_no_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_set(tmp_path / "in")
    (tmp_path / "copy").mkdir()
    shutil.copy(paths[0], tmp_path / "copy" / "again.fits")
    place = url()
    store = new_archive(place)
    ingest(store, [str(paths[0])])
    with monkeypatch.context() as meanwhile:  # a ledger that was read before
        meanwhile.setattr("ingest.run.read_ledger", lambda _: Ledger(()))
        report = ingest(store, [str(tmp_path / "copy")])
    assert (report.refusals, report.sources) == ([], 1)
    compact(store)
    assert len(lk.open(place)[0].files) == 1
    assert not verify(store, "full").damaged
