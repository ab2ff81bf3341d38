"""Files made to the vendors' layouts, read by DASCore, xarray and here alike."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from hdf5_files import (
    HDF5_FILES,
    SECONDS,
    dascore,
    samples,
    write_dasdae,
    write_febus,
    write_gdr,
    write_netcdf,
    write_optodas,
)

from archive.units import get_quantity
from ingest.formats import format_named, open_format

if TYPE_CHECKING:
    from pathlib import Path

# Its name and version of each format; its detection unpickles, so that the format is named.
DASCORE = {
    "ap_sensing": ("APSensing", "10"),
    "dasdae": ("DASDAE", "1"),
    "dashdf5": ("DASHDF5", "1.0"),
    "febus 1": ("febus", "1"),
    "febus 2": ("febus", "2"),
    "febus_g1_hdf5, spectra": ("febus_mtx_h5", "1"),
    "febus_g1_hdf5, strain": ("febus_bsl_h5", "1"),
    "febus_t1": ("FEBUS_T1", "1"),
    "gdr, locus first": ("GDR_DAS", "1"),
    "h5simple": ("H5Simple", "1"),
    "neubrex_das": ("NeubrexDAS", "1"),
    "neubrex_rfs": ("NeubrexRFS", "1"),
    "optodas 11": ("OptoDAS", "11"),
}
MICROSECOND = 1000  # ns
# DASCore draws a line of its own through stamps, by their median step; here each stamp is kept or lies on the line.
STEP_OFF = {"dashdf5", "febus_g1_hdf5", "febus_t1", "neubrex_rfs"}


def read_both(path: Path, fmt: str, oracle: tuple[str, str]) -> tuple[Any, Any, Any]:
    """Return DASCore's patch with time first, and the block and the samples that are read here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch = dascore().read(path, file_format=oracle[0], file_version=oracle[1])[0]
    reader = open_format(format_named(fmt))
    with path.open("rb") as file:
        block = reader.describe(file).blocks[0]
        mine = reader.read(file, 0, ())
    return patch.transpose("time", ...), block, mine


@pytest.mark.parametrize("name", DASCORE)
def test_dascore_reads_the_same(name: str, make_sample: Any, tmp_path: Path) -> None:
    sample = make_sample(name)
    path = tmp_path / "sample.h5"
    path.write_bytes(sample.content)
    patch, block, mine = read_both(path, sample.format, DASCORE[name])
    scale = block.attrs.get("scale_factor", 1.0)
    np.testing.assert_array_equal(patch.data, mine * np.float32(scale) if scale != 1 else mine)
    assert patch.dims == block.dims
    for dim in block.dims:
        theirs, ours = patch.coords.get_array(dim), block.coords[dim].to_numpy()
        if dim == "time":
            apart = np.abs(theirs.astype("M8[ns]").astype(np.int64) - ours.astype(np.int64))
            assert apart.max() < (40_000_000 if sample.format in STEP_OFF else MICROSECOND)
        else:
            np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-9)
    if name != "neubrex_das" and patch.attrs.data_units is not None and sample.format != "febus":
        assert get_quantity(str(block.attrs["data_units"])) == get_quantity(str(patch.attrs.data_units))


@pytest.mark.parametrize(("overlap", "blocks"), [(100, 1), (100, 9), (20, 5), (0, 4), (33, 3)])
@pytest.mark.parametrize("version", [1, 2])
def test_dascore_cuts_the_same_out_of_overlapping_blocks(
    version: int, overlap: int, blocks: int, tmp_path: Path
) -> None:
    path = tmp_path / "febus.h5"
    held = write_febus(path, version, SECONDS + np.arange(blocks), overlap=overlap)
    patch, block, mine = read_both(path, "febus", ("febus", str(version)))
    np.testing.assert_array_equal(mine, held)
    np.testing.assert_array_equal(patch.data, held)
    apart = patch.coords.get_array("time").astype(np.int64) - block.coords["time"].to_numpy().astype(np.int64)
    assert np.abs(apart).max() < MICROSECOND


@pytest.mark.parametrize("version", ["8", "9", "10", "11"])
@pytest.mark.parametrize("transposed", [False, True])
def test_dascore_scales_what_is_kept_with_its_scale(version: str, transposed: bool, tmp_path: Path) -> None:
    path = tmp_path / "optodas.h5"
    held = write_optodas(path, int(version), 2.5, transposed=transposed)
    patch, block, mine = read_both(path, "optodas", ("OptoDAS", version))
    np.testing.assert_array_equal(mine, held)
    np.testing.assert_array_equal(patch.data, mine * np.float32(block.attrs["scale_factor"]))
    np.testing.assert_allclose(patch.coords.get_array("distance"), block.coords["distance"].to_numpy())


def test_regions_of_a_fibre_keep_their_own_distances(tmp_path: Path) -> None:
    channels = np.concatenate([np.arange(0, 60, 2), np.arange(500, 534)])
    write_optodas(tmp_path / "optodas.h5", 9, channels=channels)
    _, block, _ = read_both(tmp_path / "optodas.h5", "optodas", ("OptoDAS", "9"))
    np.testing.assert_array_equal(block.coords["distance"].to_numpy(), channels * 1.02)


def test_gdr_keeps_its_order_and_its_units(tmp_path: Path) -> None:
    held = write_gdr(tmp_path / "gdr.h5")
    patch, block, mine = read_both(tmp_path / "gdr.h5", "gdr", ("GDR_DAS", "1"))
    np.testing.assert_array_equal(mine, held)
    assert (block.attrs["gauge_length"], block.attrs["pulse_width"]) == (patch.attrs.gauge_length * 1.0, 50.0)
    assert "network" not in block.attrs  # NaN, which is what the layout writes for nothing


def test_each_patch_of_dascore_is_a_block_in_order_of_time(tmp_path: Path) -> None:
    write_dasdae(tmp_path / "dasdae.h5", patches=3)
    reader = open_format(format_named("dasdae"))
    with (tmp_path / "dasdae.h5").open("rb") as file:
        blocks = reader.describe(file).blocks
        for number, block in enumerate(blocks):
            np.testing.assert_array_equal(reader.read(file, number, ()), samples() + number)
            assert block.coords["distance"].units == "m"
            assert block.coords["elevation"].size == block.shape[1]
            assert block.attrs["data_units"]
    starts = [int(block.coords["time"].values.first) for block in blocks]
    assert np.diff(starts).tolist() == [3 * 10**9] * 2


def test_xarray_and_here_read_one_netcdf_file_alike(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    write_netcdf(tmp_path / "sample.nc")
    reader = open_format(format_named("netcdf"))
    with (tmp_path / "sample.nc").open("rb") as file:
        block, mine = reader.describe(file).blocks[0], reader.read(file, 0, ())
    with xarray.open_dataarray(tmp_path / "sample.nc", engine="h5netcdf") as theirs:
        np.testing.assert_array_equal(theirs.transpose("time", "distance").values, mine)
        for name in ("time", "distance", "elevation"):
            np.testing.assert_array_equal(theirs[name].values, block.coords[name].to_numpy())
    assert (block.attrs["data_type"], block.attrs["data_units"], block.attrs["gauge_length"]) == (
        "strain_rate",
        "1/s",
        10.0,
    )


@pytest.mark.parametrize("name", HDF5_FILES)
def test_dascore_or_another_library_has_read_each_kind(name: str) -> None:
    others = {"febus_g1": "a real file", "h5simple, distance first": "as h5simple", "netcdf": "xarray"}
    assert name in DASCORE or name in others or name == "netcdf, xdas"  # made by xdas's layout, see test_netcdf


def test_a_pickle_that_dascore_would_run_is_not_run_here(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return pytest.fail, ("unpickled",)

    import pickle

    path = tmp_path / "dasdae.h5"
    write_dasdae(path)
    with h5py.File(path, "r+") as root:
        (group,) = root["waveforms"].values()
        group.attrs["_attrs_trap"] = np.bytes_(pickle.dumps(Trap(), 0))
        group.attrs["_attrs_coords"] = np.bytes_(pickle.dumps(Trap(), 0))
    reader = open_format(format_named("dasdae"))
    with path.open("rb") as file:
        description = reader.describe(file)
        np.testing.assert_array_equal(reader.read(file, 0, ()), samples())
    assert "trap" not in description.blocks[0].attrs
