"""What comes in as FITS files is read bit by bit as astropy reads it, and goes out byte by byte as it came."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from frame_sets import KINDS, SHAPE, astropy_pixels, new_archive, write_set
from shared import shared_folder

import archive as lk
from archive.errors import DamagedData, InvalidInput
from archive.explain import plan_of
from ingest.fits import read_frame
from ingest.run import ingest
from ingest.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # asdf and dkist warn of their own ways


def url() -> str:
    return f"memory://frames-{secrets.token_hex(6)}"


def same_bits(one: Any, other: Any) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def assert_is(cube: lk.Cube, folder: Path, target: Path) -> None:
    """Compare every pixel with astropy's, and every file that is written with the original."""
    whole = cube.to_numpy()
    outer = np.ndindex(cube.shape[: cube.ndim - 2])
    places = [place for place in outer if cube.mask is None or not cube.mask[place].all()]
    assert len(places) == len(cube.files)
    for place, file in zip(places, cube.files, strict=True):
        expected = astropy_pixels(folder / file)
        assert same_bits(whole[place], expected.reshape(whole[place].shape)), file
    written = cube.io.to_fits(target)
    assert [path.name for path in written] == cube.files
    for path in written:
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256((folder / path.name).read_bytes()).digest()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_frame_comes_back_bit_by_bit_and_byte_by_byte(kind: str, tmp_path: Path) -> None:
    write_set(tmp_path / "in", kind)
    place = url()
    store = new_archive(place)
    report = ingest(store, [str(tmp_path / "in")])
    assert (report.sources, report.refusals) == (10, [])
    (cube,) = lk.open(place)
    assert cube.shape == SHAPE
    assert str(cube.unit) == "ct"
    assert_is(cube, tmp_path / "in", tmp_path / "out")
    whole = cube.to_numpy()
    rng = np.random.default_rng(2)
    for _ in range(8):  # parts that cut tiles anywhere
        keys: list[Any] = [slice(int(a), int(b) + 1) for a, b in (sorted(rng.integers(0, n, 2)) for n in SHAPE)]
        assert same_bits(cube[tuple(keys)].to_numpy(), whole[tuple(keys)])
    key = (1, slice(None, None, -2), 19, slice(3, 66, 7))
    assert same_bits(cube[key].to_numpy(), whole[key])


@pytest.mark.parametrize("layout", ["frames", "balanced", "pixels"])
def test_the_layout_says_what_one_read_costs(layout: str, tmp_path: Path) -> None:
    write_set(tmp_path / "in")
    place = url()
    ingest(new_archive(place), [str(tmp_path / "in")], Settings(layout=layout))
    (cube,) = lk.open(place)
    assert_is(cube, tmp_path / "in", tmp_path / "out")
    frame, pixel = plan_of([cube[0, 0]]), plan_of([cube[:, :, 5, 7:8]])
    expected = {"frames": (1, 10), "balanced": (1, 2), "pixels": (1, 1)}[layout]
    assert frame.chunks - 1 >= expected[0]  # beside the scales
    assert pixel.chunks - 1 == expected[1]
    whole = plan_of([cube])
    assert (frame.bytes < whole.bytes / 5) == (layout == "frames")


@pytest.mark.parametrize("layout", ["frames", "balanced", "pixels"])
@pytest.mark.parametrize("shape", [(200, 500), (1024, 1024), (4096, 4096), (1, 2560), (31, 17)])
def test_chunks_and_granules_stay_of_a_size_whatever_the_frame(layout: str, shape: tuple[int, int]) -> None:
    from ingest.frames.identity import dataset_of_frames, frames_per_granule, identify_frame

    keywords = {"NAXIS": 2, "NAXIS1": shape[1], "NAXIS2": shape[0], "BITPIX": -32, "DATE-OBS": "2024-05-14T18:30:00"}
    dataset = dataset_of_frames(identify_frame(keywords, "x.fits"), name=None, codec="pcodec", layout=layout)
    count, size = frames_per_granule(dataset), int(np.prod(shape)) * 4
    assert count % dataset.chunks[0] == 0
    assert count * size <= max(128 << 20, size)
    assert np.prod(dataset.chunks) * 4 <= 2 << 20
    core = [length for length in shape if length != 1]
    tiles = np.prod([-(-length // step) for length, step in zip(core, dataset.chunks[1:], strict=True)])
    assert tiles * count / dataset.chunks[0] <= 4096


@pytest.mark.parametrize("name", ["visp", "vbi_mosaic"])
@pytest.mark.parametrize("alone", [False, True], ids=["with asdf", "headers alone"])
def test_real_like_sets_come_back_bit_by_bit_and_byte_by_byte(name: str, alone: bool, tmp_path: Path) -> None:
    folder = shared_folder("frames") / name
    place = url()
    ingest(new_archive(place), [f"{folder}/*.fits" if alone else str(folder)])
    spool = lk.open(place)
    assert len(spool) == len(list(spool)) == {"visp": 1, "vbi_mosaic": 4}[name]
    for number, cube in enumerate(spool):
        assert_is(cube, folder, tmp_path / str(number))
    if alone:
        return
    (asdf,) = folder.glob("*.asdf")
    assert spool[0].io.to_asdf(tmp_path / "x.asdf").read_bytes() == asdf.read_bytes()
    assert spool[0].inventory["datasetId"]


def test_coordinates_of_an_archive_are_those_of_the_asdf() -> None:
    from telescope import REAL, open_asdf

    place = url()
    ingest(new_archive(place), [str(shared_folder("frames") / "visp"), str(shared_folder("frames") / "vbi_mosaic")])
    rng = np.random.default_rng(8)
    expected = {
        "IBYRBB": open_asdf(REAL["VBI_L1_20240514T183000_IBYRBB_metadata"]),
        "NJJEKB": open_asdf(REAL["VISP_L1_20240514T183000_NJJEKB_metadata"]),
    }
    for name, tiles in expected.items():
        for cube, known in zip(lk.open(place, dataset=name), tiles, strict=True):
            assert cube.shape == known.shape
            points = [rng.integers(0, length, 50).astype(float) for length in cube.shape[::-1]]
            world, theirs = cube.wcs.pixel_to_world_values(*points), known.world(*points)
            for unit, one, two in zip(cube.wcs.world_axis_units, world, theirs, strict=True):
                if unit == "arcsec":
                    assert np.abs((one - two + 648000) % 1296000 - 648000).max() < 1e-6
                else:
                    np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-9)


def test_headers_alone_place_the_axes(tmp_path: Path) -> None:
    write_set(tmp_path / "in")
    place = url()
    ingest(new_archive(place), [str(tmp_path / "in")])
    cube = lk.open(place)[0]
    (waves,) = cube[0, 0].axis_world_coords("em.wl")
    np.testing.assert_allclose(waves.to_value("nm"), 630 + 0.01 * np.arange(48), rtol=1e-12)
    times = [time.isot for time in cube[1, :, 0].axis_world_coords("time")[0]]
    assert times[1] == "2024-05-14T18:30:10.100"
    assert [str(one) for one in cube[:, 0, 0].axis_world_coords("stokes")[0].symbol] == ["I", "Q"]


def test_what_is_read_is_what_is_asked_for(tmp_path: Path) -> None:
    write_set(tmp_path / "in")
    place = url()
    ingest(new_archive(place), [str(tmp_path / "in")], Settings(layout="frames"))
    cube = lk.open(place)[0]
    steps = plan_of([cube[:, ::2]])
    assert steps.chunks == 6 + 1  # every second frame, and the scales
    assert plan_of([cube[0, 3]]).requests == 2
    part = lk.open(place).select(STOKES="Q", ATMOS_R0=(0.08, None))[0]
    assert part.shape == (1, 3, *SHAPE[2:])
    assert plan_of([part]).chunks == 3 + 1
    np.testing.assert_array_equal(part.to_numpy(), cube.to_numpy()[1:, 2:])


def test_zarr_opens_a_granule_of_frames(tmp_path: Path) -> None:
    import zarr

    paths = write_set(tmp_path / "in", "rice with nan")
    store = new_archive(str(tmp_path / "archive"))
    ingest(store, [str(tmp_path / "in")], Settings(codec="portable"))
    (folder,) = (tmp_path / "archive" / "data" / "TESTED").glob("*.zarr")
    group = zarr.open_group(folder, mode="r", use_consolidated=True)
    frames = [read_frame(path.read_bytes(), path.name) for path in paths]
    np.testing.assert_array_equal(group["data"][:], np.stack([frame.image.stored[0] for frame in frames]))
    scales = np.stack([frame.image.tiling.scale for frame in frames if frame.image.tiling])
    np.testing.assert_array_equal(group["scales"][:].reshape(10, -1, 2)[..., 0], scales)
    assert set(group.array_keys()) == {"data", "time", "scales", "rows", "places", "bounds", "heads"}


def test_a_missing_or_altered_object_is_an_error(tmp_path: Path) -> None:
    write_set(tmp_path / "in")
    place = url()
    store = new_archive(place)
    ingest(store, [str(tmp_path / "in")])
    cube = lk.open(place)[0]
    key = next(entry.key for entry in store.entries("data/") if "/data/c/" in entry.key)
    body = bytearray(store.get(key).data)
    store.delete([key])
    with pytest.raises(DamagedData, match="missing"):
        cube[0, 0].to_numpy()
    body[50] ^= 1
    store.create(key, bytes(body))
    with pytest.raises(DamagedData):
        lk.open(place)[0].to_numpy()


def test_a_cube_without_files_writes_none(tmp_path: Path) -> None:
    write_set(tmp_path / "in")
    place = url()
    ingest(new_archive(place), [str(tmp_path / "in")])
    cube = lk.open(place)[0]
    with pytest.raises(InvalidInput, match="such a file"):
        cube[0, 0].io.to_fits(tmp_path / "in")
    with pytest.raises(lk.errors.NotFound, match="without an asdf"):
        cube.io.to_asdf(tmp_path / "x.asdf")
