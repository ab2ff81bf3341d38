"""DASCore's code over a Spool of ours."""

from __future__ import annotations

import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import raw

import archive as lk
from archive.store import open_store
from ingest.initialise import initialise
from ingest.run import ingest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dascore as dc

    import archive.dascore


def mean(patch: Any, *, times: float = 1.0) -> float:
    assert isinstance(patch, dc.Patch)
    return float(patch.data.mean()) * times


def archived(tmp_path: Path) -> str:
    store = open_store(tmp_path / "archive")
    initialise(store)
    for number in (0, 1, 4):
        raw(tmp_path / "raw" / f"{number}.h5", number)
    ingest(store, [str(tmp_path / "raw")])
    return str(tmp_path / "archive")


def test_dascore_iterates_an_archive(tmp_path: Path) -> None:
    ours = lk.open(archived(tmp_path))
    spool = dc.spool(ours)
    assert isinstance(spool, dc.BaseSpool)
    assert isinstance(spool, archive.dascore.DascoreSpool)
    assert spool.lightkeep is ours
    assert len(spool) == 2
    for theirs, mine in zip(spool, ours, strict=True):
        assert isinstance(theirs, dc.Patch)
        assert np.array_equal(theirs.data, mine.data)
        assert np.array_equal(theirs.get_array("time"), mine.get_array("time"))
    filtered = spool[0].pass_filter(time=(1, 10))
    np.testing.assert_allclose(filtered.data, ours[0].pass_filter(time=(1, 10)).data, atol=1e-3)


def test_what_is_chosen_of_it_is_the_same_kind_of_spool(tmp_path: Path) -> None:
    spool = dc.spool(lk.open(archived(tmp_path)))
    part = spool.select(distance=(0, 4)).chunk(time=0.5, overlap=0.1).sort("time")[1:3]
    assert isinstance(part, archive.dascore.DascoreSpool)
    assert [patch.shape[0] for patch in part] == [len(patch) for patch in part.lightkeep]
    assert len(spool.get_contents()) == 2
    assert sum(len(one) for one in spool.split(size=1)) == 2
    assert spool.update() == spool
    assert spool != part
    assert "patches" in str(spool)
    assert "patches" in repr(spool)


def test_map_gives_functions_the_patches_of_dascore(tmp_path: Path) -> None:
    ours = lk.open(archived(tmp_path))
    expected = [float(patch.data.mean()) * 2 for patch in ours]
    spool = dc.spool(ours)
    assert spool.map(mean, progress=False, times=2.0) == expected


@pytest.mark.prove  # a process that imports DASCore takes seconds
def test_map_gives_functions_in_processes_the_patches_of_dascore(tmp_path: Path) -> None:
    ours = lk.open(archived(tmp_path))
    expected = [float(patch.data.mean()) * 2 for patch in ours]
    spool = dc.spool(ours)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert spool.map(mean, client=pool, progress=False, times=2.0) == expected


def test_examples_go_both_ways() -> None:
    spool = dc.spool(lk.get_example_spool("random_das"))
    merged = spool.chunk(time=None)[0]
    theirs = dc.get_example_spool("random_das").chunk(time=None)[0]
    assert np.array_equal(merged.data, theirs.data)
    assert merged.coords == theirs.coords
