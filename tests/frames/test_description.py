"""A set of frames is described alike from its asdf and from its headers alone."""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from shared import shared_folder

from archive.cube import Cube
from archive.errors import FormatError
from archive.wcs.cube_wcs import CubeWcs
from ingest.fits import read_frame
from ingest.frames import describe_asdf, describe_headers

pytestmark = pytest.mark.filterwarnings("ignore")  # asdf and dkist warn of their own ways


@lru_cache
def read_folder(name: str) -> tuple[list[str], list[dict[str, Any]], Any]:
    folder = shared_folder("frames") / name
    paths = sorted(folder.glob("*.fits"))
    frames = {path.name: read_frame(path.read_bytes(), path.name) for path in paths}
    return list(frames), [frame.keywords for frame in frames.values()], frames


@pytest.mark.parametrize("name", ["visp", "vbi_mosaic"])
def test_headers_alone_say_what_the_asdf_says(name: str) -> None:
    files, headers, _ = read_folder(name)
    (path,) = (shared_folder("frames") / name).glob("*.asdf")
    ours, theirs = describe_headers(files, headers), describe_asdf(path.read_bytes(), path.name)
    assert (ours.name, ours.instrument, ours.mosaic) == (theirs.name, theirs.instrument, theirs.mosaic)
    assert len(ours.tiles) == len(theirs.tiles)
    for one, two in zip(ours.tiles, theirs.tiles, strict=True):
        assert (one.place, one.shape, one.dtype, one.unit) == (two.place, two.shape, two.dtype, two.unit)
        assert one.axis_names == two.axis_names
        named = [np.array(tile.frames.files)[tile.grid].tolist() for tile in (one, two)]
        assert named[0] == named[1]
        assert two.wcs is not None
        assert one.missing == two.missing == []
    assert theirs.asdf == path.read_bytes()
    assert theirs.documents["inventory"]


def test_a_cube_of_a_description_has_the_frames_where_they_belong() -> None:
    _, _, frames = read_folder("visp")
    (path,) = (shared_folder("frames") / "visp").glob("*.asdf")
    (tile,) = describe_asdf(path.read_bytes(), path.name).tiles
    data = np.empty(tile.shape, tile.dtype)
    for place in np.ndindex(tile.grid.shape):
        data[place] = frames[tile.frames.files[tile.grid[place]]].image.pixels().reshape(tile.frame_shape)
    wcs = CubeWcs.whole(tile.wcs, tile.shape)
    cube = Cube(data, wcs, unit=tile.unit, frames=tile.frames, grid=tile.grid[..., None])
    part = cube[2, 3:5]
    for file, pixels, header in zip(part.files, part.to_numpy(), part.headers, strict=True):
        np.testing.assert_array_equal(pixels, frames[file].image.pixels()[0])
        assert header["DATE-AVG"] == frames[file].keywords["DATE-AVG"]
        assert header["STOKES"] == "U"
    (times,) = part.axis_world_coords("time")
    assert [time.isot for time in times] == [f"{text[:23]}" for text in part.headers["DATE-AVG"]]


@pytest.mark.parametrize(
    "name", ["croppable_cryo.asdf.gz", "croppable_visp.asdf.gz", "large_vbi.asdf.gz", "large_visp.asdf.gz"]
)
def test_real_asdf_files_are_described(name: str) -> None:
    content = gzip.decompress((shared_folder("frames") / "real_asdf" / name).read_bytes())
    described = describe_asdf(content, name)
    for tile in described.tiles:
        assert tile.wcs is not None
        assert tile.frames.names
        assert tile.grid.size == len(tile.frames.files)
        assert tile.shape[: tile.grid.ndim] == tile.grid.shape
    assert described.tile_mask.sum() == np.prod(described.mosaic, dtype=int) - len(described.tiles)


def test_missing_frames_and_tiles_are_known() -> None:
    files, headers, _ = read_folder("visp")
    (tile,) = describe_headers(files[:5] + files[7:], headers[:5] + headers[7:]).tiles
    assert len(tile.missing) == 2
    assert (tile.grid >= 0).sum() == 38
    files, headers, _ = read_folder("vbi_mosaic")
    kept = [number for number, header in enumerate(headers) if (header["MINDEX1"], header["MINDEX2"]) != (2, 1)]
    some = describe_headers([files[n] for n in kept], [headers[n] for n in kept])
    assert some.tile_mask.tolist() == [[False, False], [True, False]]


def test_indices_from_one_are_those_from_zero() -> None:
    files, headers, _ = read_folder("visp")
    real = [{**header, "DINDEX3": header["DINDEX3"] + 1, "DINDEX4": header["DINDEX4"] + 1} for header in headers]
    (one,), (two,) = describe_headers(files, headers).tiles, describe_headers(files, real).tiles
    np.testing.assert_array_equal(one.grid, two.grid)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DSETID": "OTHER"}, "DSETID"), ({"ZNAXIS1": 7}, "an image of"), ({"ZBITPIX": -64}, "an image of"),
        ({"DINDEX3": 1, "DINDEX4": 0}, "both claim"), ({"DINDEX3": 99}, "lies at"), ({"DNAXIS3": 99}, "DNAXIS3"),
        ({"DINDEX4": "x"}, "not a whole number"), ({"DNAXIS": None}, "DNAXIS"),
    ],
)  # fmt: skip
def test_a_frame_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    files, headers, _ = read_folder("visp")
    wrong = [*headers[:3], {**headers[3], **change}, *headers[4:]]
    with pytest.raises(FormatError, match=message) as caught:
        describe_headers(files, wrong)
    assert files[3] in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"DAAXES": 4}, "DAAXES is 4 of DNAXIS 4"), ({"DAAXES": 0}, "DAAXES is 0 of DNAXIS 4"),
        ({"DNAXIS1": 7}, "an image of .* in a dataset of"),
        ({"MAXIS": 2, "MAXIS1": 2, "MAXIS2": 3, "MINDEX1": 1, "MINDEX2": 4}, "MINDEX2 is 4 of 3"),
    ],
)  # fmt: skip
def test_headers_that_all_lie_are_refused(change: dict[str, Any], message: str) -> None:
    files, headers, _ = read_folder("visp")
    with pytest.raises(FormatError, match=f"{files[0]}: {message}"):
        describe_headers(files, [{**header, **change} for header in headers])


def test_a_frame_among_those_of_another_kind_is_named() -> None:
    files, headers, _ = read_folder("visp")
    alien = {key: value for key, value in headers[3].items() if key != "DNAXIS"}
    with pytest.raises(FormatError, match=f"{files[3]}: has no DNAXIS, other frames have"):
        describe_headers(files, [*headers[:3], alien, *headers[4:]])


@pytest.mark.parametrize(
    ("times", "key"),
    [
        (["2017-09-06T12:00:02.1", "2017-09-06T11:59:59.9", "2017-09-06T12:00:14.0"], "DATE-OBS"),
        (["2017.09.06_12:00:02_TAI", "2017.09.06_11:59:59_TAI", "2017.09.06_12:00:14_TAI"], "T_OBS"),
    ],
)
def test_other_images_are_a_series_in_order_of_time(times: list[str], key: str) -> None:
    common = {"NAXIS": 2, "NAXIS1": 30, "NAXIS2": 20, "BITPIX": 16, "TELESCOP": "SDO/AIA", "WAVELNTH": 171}
    headers = [{**common, key: time} for time in times]
    described = describe_headers(["a", "b", "c"], headers)
    (tile,) = described.tiles
    assert described.name == "SDO-AIA_171"
    assert tile.frames.files == ("b", "a", "c")
    assert tile.shape == (3, 20, 30)
    assert tile.axis_names[0] == "time"
    for wrong in (
        [*headers[:2], {**headers[1]}],
        [*headers[:2], common],
        [*headers[:2], {**headers[2], "WAVELNTH": 304}],
    ):
        with pytest.raises(FormatError):
            describe_headers(["a", "b", "c"], wrong)


def test_a_damaged_or_alien_asdf_is_a_format_error() -> None:
    (path,) = (shared_folder("frames") / "visp").glob("*.asdf")
    content = path.read_bytes()
    newer = content.replace(b"nso.edu/tags/dataset-1.3.0", b"nso.edu/tags/dataset-9.3.0")
    for wrong in (b"", b"SIMPLE  =", content[:3000], content[: len(content) // 2], newer, b"#ASDF 1.0.0\n"):
        with pytest.raises(FormatError, match=r"x\.asdf"):
            describe_asdf(wrong, "x.asdf")
    with pytest.raises(FormatError, match="no frames"):
        describe_headers([], [])
