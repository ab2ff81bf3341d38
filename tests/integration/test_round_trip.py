"""Real vendor files go into a real S3 server, and come back out of a Spool as they were."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import archive as lk
from archive.store import open_store
from ingest.initialise import initialise
from ingest.run import ingest

if TYPE_CHECKING:
    from ingest.server import LocalS3

FILES = {
    "iDAS005_hdf5_example.626.h5": "prodml",
    "iDAS005_tdms_example.626.tdms": "tdms",
    "terra15_v5_test_file.hdf5": "terra15",
    "silixa_h5_1.hdf5": "silixa_hdf5",
}
# DASCore puts the first channel of this file beyond the fibre's end; the file's own start is kept.
OTHER_DISTANCES = {"silixa_h5_1.hdf5"}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_every_sample_equals_its_truth_after_raw_to_s3_to_spool(shared_raw: Path, server: LocalS3, jobs: int) -> None:
    truth = json.loads((shared_raw / "truth.json").read_text())
    url = f"s3://{server.bucket}/truth-{jobs}"
    store = open_store(url)
    initialise(store)
    report = ingest(store, [str(shared_raw / name) for name in FILES], jobs=jobs, processes=True)
    assert (report.sources, report.refusals) == (4, [])
    spool = lk.open(url)
    assert len(spool) == 4
    found = {hashlib.sha256(np.ascontiguousarray(patch.data).tobytes()).hexdigest(): patch for patch in spool}
    tdms = next(patch for patch in spool if patch.attrs.get("instrument_id") == "iDAS005")
    for name in FILES:
        held = truth[name]["patches"][0]
        patch = tdms if name.endswith(".tdms") else found[held["sha256"]]
        assert hashlib.sha256(np.ascontiguousarray(patch.data).tobytes()).hexdigest() == held["sha256"]
        assert list(patch.shape) == held["shape"]
        time = patch.coords["time"].to_numpy().astype(np.int64)
        assert abs(int(time[0]) - held["coords"]["time"]["first"]) <= 1000
        assert abs(int(time[-1]) - held["coords"]["time"]["last"]) <= 1000
        if name not in OTHER_DISTANCES:
            distance = patch.coords["distance"].to_numpy()
            assert distance[[0, -1]] == pytest.approx([held["coords"]["distance"][end] for end in ("first", "last")])


@pytest.mark.slow
def test_a_second_run_does_nothing_and_a_copy_under_another_name_is_not_stored_again(
    shared_raw: Path, server: LocalS3, tmp_path: Path
) -> None:
    url = f"s3://{server.bucket}/again"
    store = open_store(url)
    initialise(store)
    file = shared_raw / "iDAS005_hdf5_example.626.h5"
    assert ingest(store, [str(file)]).granules == 1
    again = ingest(store, [str(file)])
    assert (again.known, again.sources, again.commits) == (1, 0, 0)
    (tmp_path / "copy.h5").write_bytes(file.read_bytes())
    copied = ingest(store, [str(tmp_path)])
    assert (copied.sources, copied.granules) == (1, 0)
    assert ingest(store, [str(tmp_path)]).known == 1
    assert len(lk.open(url)) == 1


@pytest.mark.slow
def test_a_refused_file_is_reported_in_quarantine_and_the_rest_goes_on(
    shared_raw: Path, server: LocalS3, tmp_path: Path
) -> None:
    url = f"s3://{server.bucket}/refused"
    store = open_store(url)
    initialise(store)
    whole = (shared_raw / "iDAS005_hdf5_example.626.h5").read_bytes()
    (tmp_path / "whole.h5").write_bytes(whole)
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    report = ingest(store, [str(tmp_path)])
    assert report.granules == 1
    assert [refusal.found.url.rsplit("/", 1)[1] for refusal in report.refusals] == ["cut.h5"]
    (entry,) = store.entries("quarantine/")
    told = json.loads(bytes(store.get(entry.key).data))
    assert told["url"].endswith("cut.h5")
    assert told["reason"]
