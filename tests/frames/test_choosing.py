"""Cubes, and frames in them, are found by what the index knows, and told of on the command line."""

from __future__ import annotations

import json
import pickle
import secrets
import sys
from typing import TYPE_CHECKING, Any

import astropy.units as u
import dkist
import numpy as np
import pytest
import small
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from command import run as command
from frame_sets import new_archive, write_set
from shared import shared_folder

import archive as lk
from archive.cube import Cube
from archive.cube.selecting import select_cube
from archive.errors import InvalidInput
from ingest.__main__ import main
from ingest.run import ingest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # asdf and dkist warn of their own ways


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An archive with a raster and a mosaic."""
    url = str(tmp_path_factory.mktemp("frames") / "archive")
    ingest(new_archive(url), [str(shared_folder("frames") / name) for name in ("visp", "vbi_mosaic")])
    return url


def told(place: str, **selectors: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(cube.attrs["dataset"], cube.shape) for cube in lk.open(place).select(**selectors)]


def test_cubes_are_found_across_datasets(place: str) -> None:
    raster, tile = ("NJJEKB", (4, 10, 200, 500)), ("IBYRBB", (3, 512, 512))
    assert told(place) == [tile] * 4 + [raster]
    assert told(place, instrument="VISP") == [raster]
    assert told(place, INSTRUME="V?I") == [tile] * 4
    assert told(place, dataset="NJJEKB") == [raster]
    assert told(place, instrument="CRYO") == []
    with pytest.raises(InvalidInput, match="no such coordinate or attribute"):
        told(place, nothing=3)


def test_frames_are_found_by_header_values(place: str) -> None:
    cube = lk.open(place, dataset="NJJEKB")[0]
    values = cube.header("ATMOS_R0")
    wanted = min(values.tolist())
    found = lk.open(place, dataset="NJJEKB").select(ATMOS_R0=(None, wanted))[0]
    assert sorted(found.files) == sorted(np.array(cube.files)[values <= wanted].tolist())
    assert set(found.headers["ATMOS_R0"]) == {wanted}
    some = lk.open(place, dataset="NJJEKB").select(STOKES=["I", "V"], DINDEX3=[0, 4, 5])[0]
    assert some.shape == (2, 3, 200, 500)
    np.testing.assert_array_equal(some.to_numpy(), cube.to_numpy()[::3][:, [0, 4, 5]])


def test_times_wavelengths_and_stokes_cut(place: str) -> None:
    cube = lk.open(place, dataset="NJJEKB")[0]
    late = lk.open(place).select(time=("2024-05-14T18:31:00", None))
    border = np.datetime64("2024-05-14T18:31:00")
    assert [len(part.files) for part in late] == [(one.times >= border).sum() for one in lk.open(place)]
    assert all((part.times >= border).all() for part in late)
    (waves,) = cube[0, 0].axis_world_coords("em.wl")
    part = lk.open(place).select(wavelength=(waves[10], waves[20]))[0]
    np.testing.assert_array_equal(part.to_numpy(), cube.to_numpy()[:, :, 10:21])
    assert told(place, wavelength=(500 * u.nm, 600 * u.nm)) == []
    part = lk.open(place).select(stokes="QV")[0]
    np.testing.assert_array_equal(part.to_numpy(), cube.to_numpy()[[1, 3]])
    with pytest.raises(InvalidInput, match="stokes"):
        told(place, stokes="X")
    with pytest.raises(InvalidInput, match="slice them"):
        lk.open(place).select(samples=True, stokes="I")[0]
    with pytest.raises(InvalidInput, match="not chunked"):
        lk.open(place).chunk(time=10)[0]


def test_a_box_in_the_sky_cuts_what_lies_in_it(place: str) -> None:
    cube = lk.open(place, dataset="NJJEKB")[0]
    corners = ((-0.2, -5.0), (0.2, 5.0))
    (part,) = lk.open(place, dataset="NJJEKB").select(sky=corners)
    values = cube[0, :, 0].axis_world_coords_values()
    lat = next(value for name, value in values._asdict().items() if name.endswith("lat")).to_value("arcsec")
    inside = (np.abs(lat) <= 5).any(axis=0)
    assert abs(part.shape[3] - inside.sum()) <= 2 * 500 // 64 + 2  # the border is found to within a probe
    objects = [SkyCoord(*corner, unit="arcsec", frame=_frame(cube)) for corner in corners]
    assert lk.open(place, dataset="NJJEKB").select(sky=objects)[0].shape == part.shape
    assert told(place, sky=((3000, 3000), (3100, 3100))) == []


def _frame(cube: lk.Cube) -> Any:
    return cube.wcs.world_axis_object_classes["celestial"][2]["frame"]


@pytest.mark.parametrize(
    ("selectors", "key"),
    [
        ({"time": None, "wavelength": None}, ...),
        ({"time": slice("2024-05-14T18:30:20", None)}, (slice(None), slice(2, None))),
        ({"time": (None, "2024-05-14T18:30:20")}, (slice(None), slice(0, 2))),
        ({"time": [None, "2024-05-14T18:30:20"], "DINDEX4": 2}, (slice(1, 2), slice(0, 2))),
        ({"wavelength": (630.15, None)}, (..., slice(8, None), slice(None))),
        ({"wavelength": (None, 6301.5 * u.AA)}, (..., slice(0, 8), slice(None))),
        ({"stokes": ["U"]}, slice(2, 3)),
        ({"instrument": ("A", "Z"), "stokes": "IQ"}, slice(0, 2)),
        ({"instrument": ("A", 3)}, None),
        ({"instrument": []}, None),
        ({"wavelength": (631, 632)}, None),
        ({"nothing": 3}, None),
    ],
)
def test_selectors_cut_what_a_slice_would(selectors: dict[str, Any], key: Any) -> None:
    cube = lk.get_example_cube()
    part = select_cube(cube, selectors)
    if key is None:
        assert part is None
        return
    assert part is not None
    assert part.wcs.window == cube[key].wcs.window
    np.testing.assert_array_equal(part.to_numpy(), cube[key].to_numpy())


def test_what_all_of_a_cube_has_selects_all_of_it_or_nothing() -> None:
    cube = lk.get_example_cube()
    for part, inside, outside in (
        (cube[1], {"stokes": "QU"}, {"stokes": "I"}),
        (cube[:, :, 3], {"wavelength": (630 * u.nm, 631 * u.nm)}, {"wavelength": (631 * u.nm, None)}),
    ):
        kept = select_cube(part, inside)
        assert kept is not None
        assert kept.shape == part.shape
        assert select_cube(part, outside) is None
    assert select_cube(cube[:, 0, :, 0], {"sky": ((-400, 0), (0, 400))}) is None


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        ({"time": 3}, "time=3: Cubes take a pair of times"),
        ({"time": "2024"}, "Cubes take a pair of times"),
        ({"stokes": 1}, "stokes=1: there are I, Q, U, V"),
        ({"stokes": "QX"}, "stokes='X'"),
        ({"wavelength": 630.2}, "wavelength=630.2: give a pair"),
        ({"wavelength": ("a", "b")}, "'a' is neither a number of nm nor a length"),
        ({"wavelength": (1 * u.s, None)}, "<Quantity 1. s> is neither a number of nm nor a length"),
        ({"sky": 3}, "sky=3: give two opposite corners"),
        ({"sky": (1, 2)}, "sky: 1 is neither a SkyCoord nor a pair of numbers"),
        ({"sky": ((1, 2), (3, "a"))}, "is neither a SkyCoord nor a pair of numbers"),
        ({"sky": ((1, 2, 3), (1, 2))}, r"\(1, 2, 3\) is neither a SkyCoord nor a pair"),
    ],
)
def test_a_selector_of_cubes_that_makes_no_sense_says_so(selectors: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        select_cube(lk.get_example_cube(), selectors)


def test_what_slices_cannot_say_is_refused() -> None:
    with pytest.raises(InvalidInput, match="binned, or are not known; select before that"):
        select_cube(lk.get_example_cube().rebin((1, 2, 1, 1)), {"time": ("2024-05-14", None)})
    tilted = WCS({"CTYPE1": "WAVE", "CUNIT1": "nm", "CDELT1": 0.1, "CRVAL1": 630, "CTYPE2": "SLIT", "PC1_2": 0.1})
    with pytest.raises(InvalidInput, match="the spectral coordinate of this Cube hangs on 2 axes; use crop"):
        select_cube(Cube(np.zeros((4, 5)), tilted), {"wavelength": (630, 631)})


def test_spools_and_cubes_travel_and_tell(place: str) -> None:
    spool = lk.open(place)
    assert "NJJEKB" in repr(spool)
    cube = spool[4]
    again = pickle.loads(pickle.dumps(spool))[4]
    np.testing.assert_array_equal(again[0, 0].to_numpy(), cube[0, 0].to_numpy())
    moved = pickle.loads(pickle.dumps(cube))
    np.testing.assert_array_equal(moved[:, 2, 3, 4].data.compute(), cube.to_numpy()[:, 2, 3, 4])
    assert spool.map(lambda one: one.shape) == [one.shape for one in spool]
    assert cube.missing == []
    table = spool.get_contents()
    assert table["frames"].tolist() == [3, 3, 3, 3, 40]
    assert spool.sort("time")[0].times[0] == min(one.times[0] for one in spool)
    assert [one.attrs["dataset"] for one in spool.sort("dataset")][-1] == "NJJEKB"
    for refused in (spool.to_xarray, spool.gaps, spool.concatenate):
        with pytest.raises(InvalidInput, match="Cubes"):
            refused(**({"time": None} if refused == spool.concatenate else {}))  # type: ignore[operator]
    assert spool.coverage().keys() == {"IBYRBB", "NJJEKB"}
    assert len(spool.select(instrument="VISP").coverage()["NJJEKB"]) == 1


def test_a_slice_as_asdf_is_what_dkist_makes_of_it(place: str, tmp_path: Path) -> None:
    cube = lk.open(place, dataset="NJJEKB")[0]
    (path,) = (shared_folder("frames") / "visp").glob("*.asdf")
    whole = dkist.load_dataset(path)
    for number, key in enumerate([(0, slice(2, 8)), (slice(None), slice(2, 5), 5)]):
        made = dkist.load_dataset(cube[key].io.to_asdf(tmp_path / f"{number}.asdf"))
        assert made.data.shape == whole[key].data.shape
        assert list(made.files.filenames) == list(whole[key].files.filenames) == cube[key].files
    with pytest.raises(InvalidInput, match="steps"):
        cube[::2].io.to_asdf(tmp_path / "x.asdf")


@pytest.mark.slow
def test_the_command_line_knows_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "in")
    (tmp_path / "in" / "VISP_1_04.fits").unlink()
    url = str(tmp_path / "archive")

    def run(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["lightkeep", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == code, printed.err
        return printed.out

    run("init", url)
    assert "9 files" in run("ingest", str(tmp_path / "in"), url, "--dry-run")
    run("ingest", str(tmp_path / "in"), url, "--layout", "cubes", code=2)
    assert json.loads(run("ingest", str(tmp_path / "in"), url, "--layout", "frames", "--json"))["sources"] == 9
    assert "9 frames, 1 missing" in run("ls", url)
    info = json.loads(run("info", url, "--json"))["datasets"]["TESTED"]
    assert (info["frames"], info["missing"]) == (9, 1)
    assert info["em.wl"] == "630.0 to 630.47 nm"
    assert json.loads(run("explain", url, "--json"))["chunks"] == 9 + 1
    run("plot", url, "-O", str(tmp_path / "x.png"))
    assert (tmp_path / "x.png").read_bytes()[1:4] == b"PNG"
    run("export", url, "--format", "fits", "-O", str(tmp_path / "out"))
    for path in (tmp_path / "in").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    run("export", url, "--format", "wav", "-O", str(tmp_path / "x.wav"), code=2)
    run("export", url, "--format", "asdf", "-O", str(tmp_path / "x.asdf"), code=2)


def test_many_folders_in_one_archive_stand_apart(tmp_path: Path) -> None:
    write_set(tmp_path / "a")
    write_set(tmp_path / "b", seed=5, DSETID="OTHER")
    url = f"memory://{secrets.token_hex(6)}"
    ingest(new_archive(url), [str(tmp_path)])
    one, two = lk.open(url)
    assert (one.attrs["dataset"], two.attrs["dataset"]) == ("OTHER", "TESTED")
    total = (two[0] + one[0].to_numpy()[...] * one.unit).to_numpy()
    np.testing.assert_array_equal(total, two[0].to_numpy() + one[0].to_numpy())


def test_the_command_line_tells_of_mosaics_and_draws_one_of_their_images(place: str, tmp_path: Path) -> None:
    said = command("info", place).stdout
    assert "  tiles        4 of a mosaic of 2 x 2" in said
    assert "instrument       VISP" in said
    assert "in 4 tiles" in command("ls", place).stdout
    told = json.loads(command("info", place, "--dataset", "IBYRBB", "--leaves", "--json").stdout)
    assert list(told["datasets"]) == ["IBYRBB"]
    leaves = [line for line in command("info", place, "--leaves").stdout.splitlines() if "/index/leaves/" in line]
    assert set(told["leaves"]) < set(leaves)
    assert len(leaves) == len(lk.open(place).datasets)
    drawn = json.loads(command("plot", place, "-d", "IBYRBB", "-O", str(tmp_path / "x.png"), "--json").stdout)
    assert drawn == {"output": str(tmp_path / "x.png"), "shape": [512, 512], "patches": 4}
    assert (tmp_path / "x.png").read_bytes()[1:4] == b"PNG"
    for name in ("x.nosuch", "none/x.png"):
        done = command("plot", place, "-d", "IBYRBB", "-O", str(tmp_path / name), code=2)
        assert f"{tmp_path / name}: the picture cannot be written" in done.stderr


def test_an_archive_of_both_lists_and_exports_each_as_what_it_is(tmp_path: Path) -> None:
    write_set(tmp_path / "in")
    small.raw(tmp_path / "in" / "a.h5")
    url = str(tmp_path / "archive")
    ingest(new_archive(url), [str(tmp_path / "in")])
    (fibre,) = (name for name in lk.open(url).datasets if name != "TESTED")
    lines = command("ls", url).stdout.splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == ["10 frames", "1 run"]
    assert set(json.loads(command("info", url, "--json").stdout)["datasets"]) == {"TESTED", fibre}
    done = command("plot", url, "-d", fibre, "-O", str(tmp_path / "x.nosuch"), code=2)
    assert "the picture cannot be written" in done.stderr
    (written,) = json.loads(command("export", url, "--format", "fits", "-O", str(tmp_path / "out"), "--json").stdout)
    assert written == {"output": str(tmp_path / "out"), "dataset": "TESTED", "files": 10}
    assert all((tmp_path / "in" / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "out").iterdir())
    done = command("export", url, "-d", fibre, "--format", "fits", "-O", str(tmp_path / "none"), code=2)
    assert "the selection holds no frames, which fits is for" in done.stderr
    for place, name in ((["-d", fibre], "segy"), (["-d", "TESTED"], "fits")):
        done = command("export", url, *place, "--format", name, "-O", str(tmp_path / "in" / "a.h5" / "x"), code=3)
        assert "give another folder" in done.stderr
