"""Metadata in the FDSN layout: at ingest and later, above what files say, without data rewritten."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archive as lk
from archive.errors import InvalidInput, NotFound
from archive.store import open_store
from ingest.checking.repair import repair
from ingest.checking.verify import verify
from ingest.initialise import initialise
from ingest.keeping.collect import collect
from ingest.keeping.correct import correct
from ingest.keeping.tags import log
from ingest.metadata import read_metadata
from ingest.run import ingest
from ingest.settings import Settings
from ingest.synthetic import write_prodml
from ingest.synthetic.vendor import Header

SAMPLES = np.random.default_rng(2).normal(0, 300, (1000, 20)).astype("i2")
DOCUMENT = {
    "overview": {
        "network_code": "XW",
        "location": "Brady Hot Springs",
        "interrogator": [
            {
                "manufacturer": "Silixa",
                "model": "iDAS2",
                "serial_number": "iDAS-7",
                "acquisition": [
                    {
                        "acquisition_id": "noisy-night",
                        "acquisition_sample_rate": 500.0,
                        "number_of_channels": 20,
                        "gauge_length": 32.8084,
                        "gauge_length_unit": "ft",
                        "pulse_width": 0.05,
                        "pulse_width_unit": "us",
                        "unit_of_measure": "strain-rate",
                        "channel_group": [
                            {
                                "coordinate_system": "geographic",
                                "channels": [
                                    {"x_coordinate": -119 + i / 1000, "y_coordinate": 39.8, "elevation": 1200.5 + i}
                                    for i in range(20)
                                ],
                            }
                        ],
                    }
                ],
            }
        ],
        "fiber": [{"fiber_geometry": "linear", "fiber_mode": "single-mode", "fiber_refraction_index": 1.468}],
    }
}


def written(path: Path, document: Any = None) -> Path:
    path.write_text(json.dumps(DOCUMENT if document is None else document))
    return path


@pytest.fixture
def raw(tmp_path: Path) -> list[str]:
    """Return files of one recording, one of which says another gauge length than the others."""
    paths = []
    for number in range(3):
        header = Header(start=1_700_000_000 * 10**9 + number * 2 * 10**9, rate=500.0, spacing=2.0, first_locus=0)
        paths.append(str(write_prodml(tmp_path / f"{number}.h5", SAMPLES + number, header)))
    return paths


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    store = open_store(str(tmp_path / "archive"))
    initialise(store)
    return store


def check(url: str) -> None:
    (patch,) = lk.open(url)
    assert patch.attrs["network"] == "XW"
    assert patch.attrs["instrument_id"] == "iDAS-7"
    assert patch.attrs["gauge_length"] == pytest.approx(10, rel=1e-6)
    assert patch.attrs["pulse_width"] == pytest.approx(50)
    assert patch.attrs["data_type"] == "strain_rate"
    assert patch.attrs["fiber_refraction_index"] == 1.468
    assert patch.coords["elevation"].to_numpy().tolist() == [1200.5 + i for i in range(20)]
    assert patch.coords["x"].units == "degrees"
    assert patch.coords["x"].dims == ("distance",)
    np.testing.assert_array_equal(patch.data, np.concatenate([SAMPLES, SAMPLES + 1, SAMPLES + 2]))


def test_metadata_at_ingest_stand_above_what_files_say(raw: list[str], archive: Any, tmp_path: Path) -> None:
    settings = Settings(dataset="brady", metadata=read_metadata(written(tmp_path / "fdsn.json")))
    ingest(archive, raw, settings)
    check(archive.url)
    assert len(log(archive)) == 2  # init and one fold: no swap was needed for it


def test_metadata_are_given_later_and_no_data_are_rewritten(raw: list[str], archive: Any, tmp_path: Path) -> None:
    ingest(archive, raw[:2], Settings(dataset="brady"))
    before = {entry.key: entry.etag for entry in archive.entries("data/")}
    metadata = read_metadata(written(tmp_path / "fdsn.json"))
    assert correct(archive, "brady", metadata)
    assert not correct(archive, "brady", metadata)
    after = {entry.key: entry.etag for entry in archive.entries("data/")}
    assert before.items() <= after.items()
    assert [key.count(".zarr") for key in after.keys() - before.keys()] == [0]  # what it is now, for repair
    (patch,) = lk.open(archive.url)
    assert patch.attrs["network"] == "XW"
    assert patch.coords["elevation"].size == 20
    old = lk.open(archive.url, as_of=1)
    assert "network" not in old[0].attrs
    assert not verify(archive).findings


def test_a_later_file_does_not_undo_what_was_given(raw: list[str], archive: Any, tmp_path: Path) -> None:
    settings = Settings(dataset="brady")
    ingest(archive, raw[:2], settings)
    correct(archive, "brady", read_metadata(written(tmp_path / "fdsn.json")))
    ingest(archive, raw, settings)
    check(archive.url)


def test_metadata_on_a_dataset_that_is_there_come_with_an_ingest(raw: list[str], archive: Any, tmp_path: Path) -> None:
    ingest(archive, raw[:2], Settings(dataset="brady"))
    metadata = read_metadata(written(tmp_path / "fdsn.json"))
    ingest(archive, raw, Settings(dataset="brady", metadata=metadata))
    check(archive.url)


def test_null_takes_an_attribute_away(raw: list[str], archive: Any, tmp_path: Path) -> None:
    ingest(archive, raw, Settings(dataset="brady"))
    assert "gauge_length" in lk.open(archive.url)[0].attrs
    document = {"acquisition": {"gauge_length": None, "acquisition_id": "A1"}}
    correct(archive, "brady", read_metadata(written(tmp_path / "fdsn.json", document)))
    (patch,) = lk.open(archive.url)
    assert "gauge_length" not in patch.attrs
    assert patch.attrs["acquisition_id"] == "A1"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "none of the blocks"),
        ([], "a block of names"),
        ({"acquisition": [{}, {}]}, "tells of 2 of acquisition"),
        ({"acquisition": {"a": 1}, "interrogator": {"acquisition": {"a": 2}}}, "acquisition stands there twice"),
        ({"acquisition": {"gauge_length": "long"}}, "'long' is no number"),
        ({"acquisition": {"gauge_length": 1, "gauge_length_unit": "parsnips"}}, "parsnips"),
        ({"acquisition": {"acquisition_sample_rate": 1000}}, "500 Hz, the metadata 1000 Hz"),
        ({"channel_group": {"channels": {"x": [1, 2, 3]}}}, "20 channels, the metadata 3"),
        ({"channel_group": {"channels": "all"}}, "neither arrays"),
        ({"channel_group": {"channels": {"x": 3}}}, "no list"),
    ],
)
def test_what_does_not_fit_is_said(raw: list[str], archive: Any, tmp_path: Path, document: Any, said: str) -> None:
    ingest(archive, raw[:1], Settings(dataset="brady"))
    with pytest.raises(InvalidInput, match=said):
        correct(archive, "brady", read_metadata(written(tmp_path / "fdsn.json", document)))


def test_what_is_no_document_is_said(archive: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_metadata(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("no json")
    with pytest.raises(InvalidInput, match="is no JSON"):
        read_metadata(tmp_path / "text.json")
    with pytest.raises(NotFound, match="no such dataset"):
        correct(archive, "brady", read_metadata(written(tmp_path / "fdsn.json")))


def test_metadata_given_later_outlive_the_index(raw: list[str], archive: Any, tmp_path: Path) -> None:
    ingest(archive, raw, Settings(dataset="brady"))
    document = json.loads(json.dumps(DOCUMENT))
    document["overview"]["network_code"] = "YY"
    assert correct(archive, "brady", read_metadata(written(tmp_path / "first.json", document)))
    assert correct(archive, "brady", read_metadata(written(tmp_path / "fdsn.json")))
    collect(archive, timedelta(0))
    archive.delete([entry.key for folder in ("index/", "commits/") for entry in archive.entries(folder)])
    repair(archive, unproven=True)
    check(archive.url)
    assert not verify(archive).damaged
