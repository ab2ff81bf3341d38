"""Archives in xarray: through `to_xarray`, through the engine, and granules by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

import archive as lk
from archive.errors import InvalidInput
from archive.store import open_store
from archive.xarray import LightkeepEntrypoint, TimeAxisIndex, from_xarray, spool_to_xarray
from ingest.initialise import initialise
from ingest.run import ingest
from ingest.synthetic import write_acquisition

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive in a folder: two datasets, one with a gap."""
    root = tmp_path_factory.mktemp("xarray")
    recording = write_acquisition(root / "raw", megabytes=4, channels=64)
    store = open_store(str(root / "archive"))
    initialise(store)
    ingest(store, [str(path) for path in recording.paths])
    return root / "archive"


def test_several_datasets_are_a_tree_and_one_is_an_array_with_gaps(folder: Path) -> None:
    spool = lk.open(str(folder))
    tree = spool.to_xarray()
    assert isinstance(tree, xr.DataTree)
    assert set(tree.children) == set(spool.datasets)
    for name in spool.datasets:
        part = spool.select(dataset=name)
        array = part.to_xarray()
        assert isinstance(array, xr.DataArray)
        assert isinstance(array.xindexes["time"], TimeAxisIndex)
        np.testing.assert_array_equal(array.values, np.concatenate([patch.data for patch in part]))
        np.testing.assert_array_equal(array.time.values, np.concatenate([p.get_array("time") for p in part]))
        assert tree[name]["data"].sizes == array.sizes
    assert max(len(spool.select(dataset=name)) for name in spool.datasets) > 1


def test_the_engine_opens_one_dataset_lazily(folder: Path) -> None:
    spool = lk.open(str(folder))
    name = spool.datasets[0]
    truth = spool.select(dataset=name).to_xarray()
    opened = xr.open_dataset(folder, engine="lightkeep", dataset=name)
    assert not opened["data"].variable._in_memory
    part = opened["data"].isel(time=slice(5, 500, 3), distance=[3, 1])
    np.testing.assert_array_equal(part.values, truth.values[5:500:3][:, [3, 1]])
    xr.testing.assert_equal(opened["data"].drop_vars(set(opened.coords) - set(truth.coords)), truth)


@pytest.mark.filterwarnings("ignore:The specified chunks separate")
def test_the_engine_gives_dask_arrays(folder: Path) -> None:
    name = lk.open(str(folder)).datasets[0]
    chunked = xr.open_dataset(folder, engine="lightkeep", dataset=name, chunks={})
    assert chunked["data"].chunks is not None
    small = xr.open_dataset(folder, engine="lightkeep", dataset=name, chunks={"time": 1000})
    assert max(small["data"].chunks[0]) == 1000
    xr.testing.assert_equal(small["data"].compute(), chunked["data"].compute())
    assert float(small["data"].mean()) == pytest.approx(float(chunked["data"].mean()), abs=1e-3)


def test_the_engine_asks_which_dataset(folder: Path) -> None:
    names = lk.open(str(folder)).datasets
    with pytest.raises(InvalidInput, match=names[1]):
        xr.open_dataset(folder, engine="lightkeep")
    tree = xr.open_datatree(folder, engine="lightkeep")
    assert set(tree.children) == set(names)
    assert set(xr.open_groups(folder, engine="lightkeep")) >= {f"/{name}" for name in names}


def test_the_engine_leaves_variables_out(folder: Path) -> None:
    name = lk.open(str(folder)).datasets[0]
    opened = xr.open_dataset(folder, engine="lightkeep", dataset=name, drop_variables="distance")
    assert "distance" not in opened.coords


def test_a_dataset_can_be_written_to_zarr_and_read_back(folder: Path, tmp_path: Path) -> None:
    name = lk.open(str(folder)).datasets[0]
    opened = xr.open_dataset(folder, engine="lightkeep", dataset=name).isel(time=slice(0, 200))
    opened.to_zarr(tmp_path / "copy.zarr", consolidated=False)
    back = xr.open_zarr(tmp_path / "copy.zarr", consolidated=False)
    np.testing.assert_array_equal(back["data"].values, opened["data"].values)
    np.testing.assert_array_equal(back.time.values, opened.time.values)


def test_a_granule_opens_by_itself_in_plain_zarr(folder: Path) -> None:
    import archive.codec  # noqa: F401 - as a reader who has Lightkeep installed

    spool = lk.open(str(folder))
    granules = sorted((folder / "data").glob("*/*.zarr"))
    assert granules
    for granule in granules:
        group = xr.open_zarr(granule)
        name = granule.parent.name
        data = next(group[key] for key in group.data_vars if group[key].ndim == 2)
        times = group["time"].values
        truth = spool.select(dataset=name, time=(times[0], times[-1]))
        assert len(truth) == 1
        np.testing.assert_array_equal(times, truth[0].get_array("time"))
        np.testing.assert_array_equal(group["distance"].values, truth[0].get_array("distance"))
        np.testing.assert_array_equal(data.values, truth[0].data)


def test_no_patches_are_an_error() -> None:
    with pytest.raises(InvalidInput, match="no Patches"):
        spool_to_xarray([])


def runs(*firsts: int, step: int = 10, channels: int = 2, tag: str = "a") -> list[lk.Patch]:
    """Return Patches of 5 samples, `step` ms apart, from some samples on."""
    return [
        lk.Patch(
            np.full((5, channels), first),
            {
                "time": np.datetime64("2016-03-14", "ns") + (first + np.arange(5)) * np.timedelta64(step, "ms"),
                "distance": np.arange(float(channels)),
            },
            ("time", "distance"),
            {"tag": tag},
        )
        for first in firsts
    ]


def test_runs_of_one_kind_are_one_array_and_others_stand_beside_it() -> None:
    tree = spool_to_xarray([*runs(0, 5, 90), *runs(0, step=20), *runs(0, channels=3)])
    assert isinstance(tree, xr.DataTree)
    assert set(tree.children) == {"data", "data_2", "data_3"}
    assert tree["data"].to_dataset()["data"].shape == (15, 2)
    np.testing.assert_array_equal(tree["data"].to_dataset()["data"][::5, 0], [0, 5, 90])
    assert {tree[name].to_dataset()["data"].shape for name in ("data_2", "data_3")} == {(5, 2), (5, 3)}


def test_an_array_without_coordinates_or_units_is_a_patch_by_number() -> None:
    patch = from_xarray(xr.DataArray(np.arange(6.0).reshape(3, 2), dims=("x", "y"), attrs={"who": "me"}))
    assert patch.dims == ("x", "y")
    assert patch.get_array("x").tolist() == [0, 1, 2]
    assert dict(patch.attrs) == {"who": "me"}
    with pytest.raises(InvalidInput, match="from_xarray takes a DataArray, not Dataset; of a Dataset name one"):
        from_xarray(xr.Dataset())  # type: ignore[arg-type]
    flat = xr.DataArray(np.zeros((2, 2)), dims=("x", "y"), coords={"z": (("x", "y"), np.zeros((2, 2)))})
    with pytest.raises(InvalidInput, match="the coordinate z lies along x, y; drop_vars it first"):
        from_xarray(flat)


def test_lazy_samples_are_copied_without_being_read() -> None:
    array = lk.spool(runs(0, 5)).concatenate(time=None)[0].io.to_xarray()
    deep = array.variable.copy(deep=True)
    np.testing.assert_array_equal(deep.values[:, 0], [0] * 5 + [5] * 5)


def test_a_path_is_not_taken_for_an_archive_unasked() -> None:
    assert not LightkeepEntrypoint().guess_can_open("archive")
