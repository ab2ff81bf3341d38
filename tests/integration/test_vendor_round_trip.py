"""Vendor files of every HDF5 format go into an archive, and come back out of a Spool as they were."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdf5_files import HDF5_FILES, HDF5_REAL

import archive as lk
from archive.store import open_store
from ingest.formats import format_named, open_format
from ingest.initialise import initialise
from ingest.run import ingest

SHARED = Path(os.environ.get("LIGHTKEEP_SHARED", Path(__file__).parents[3] / "shared")) / "raw"


def through_memory(path: Path) -> Any:
    """Return the one patch of an archive in memory that holds the file."""
    url = f"memory://{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    store = open_store(url)
    initialise(store)
    report = ingest(store, [str(path)])
    assert (report.sources, report.refusals) == (1, [])
    (patch,) = lk.open(url)
    return patch


def check(path: Path, fmt: str, patch: Any) -> None:
    """Compare a patch with what the reader says of the file."""
    with path.open("rb") as file:
        block = open_format(format_named(fmt)).describe(file).blocks[0]
    assert patch.dims == block.dims
    for name, coord in block.coords.items():
        np.testing.assert_array_equal(patch.coords[name].to_numpy(), coord.to_numpy())
        assert patch.coords[name].units == coord.units
    for name, value in block.attrs.items():
        assert patch.attrs.get(name) == value


@pytest.mark.parametrize("name", HDF5_FILES)
def test_what_was_made_comes_back(name: str, tmp_path: Path) -> None:
    fmt, write = HDF5_FILES[name]
    held = write(tmp_path / "sample.bin")
    patch = through_memory(tmp_path / "sample.bin")
    assert patch.data.dtype == held.dtype
    np.testing.assert_array_equal(patch.data, held)
    check(tmp_path / "sample.bin", fmt, patch)


@pytest.mark.parametrize("name", HDF5_REAL)
def test_what_was_recorded_equals_its_truth(name: str) -> None:
    if not SHARED.is_dir():
        reason = f"the sample files are not at {SHARED}"
        (pytest.fail if os.environ.get("LIGHTKEEP_REQUIRE_SHARED") else pytest.skip)(reason)
    (truth,) = json.loads((SHARED / "truth.json").read_text())[name]["patches"]
    patch = through_memory(SHARED / name)
    assert hashlib.sha256(np.ascontiguousarray(patch.data).tobytes()).hexdigest() == truth["sha256"]
    assert (list(patch.dims), list(patch.shape)) == (truth["dims"], truth["shape"])
    stamps = patch.coords["time"].to_numpy().astype(np.int64)
    assert abs(int(stamps[0]) - truth["coords"]["time"]["first"]) < 1000
    if HDF5_REAL[name] != "febus_t1":  # whose own stamps are kept, see test_truth
        assert abs(int(stamps[-1]) - truth["coords"]["time"]["last"]) < 1000
    check(SHARED / name, HDF5_REAL[name], patch)


def test_consecutive_files_of_a_slow_instrument_join(tmp_path: Path) -> None:
    write: Callable[..., Any] = HDF5_FILES["febus_g1"][1]
    for number in range(3):
        path = tmp_path / f"{number}.bsl"
        write(path)
        shift = number * 61.5
        text = path.read_text()
        for moment in (1_700_000_000.25, 1_700_000_061.63911):
            text = text.replace(f";{moment:.6f};", f";{moment + shift:.6f};")
        path.write_text(text)
    url = f"memory://{tmp_path.name}"
    store = open_store(url)
    initialise(store)
    assert ingest(store, [str(tmp_path)]).sources == 3
    (patch,) = lk.open(url)
    assert patch.shape == (3, 5000)
    steps = np.diff(patch.coords["time"].to_numpy()).astype(np.int64)
    assert steps.tolist() == [61_500_000_000] * 2
