"""The commands `identify` and `metadata`, and `ingest --metadata`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written
from command import run

import archive as lk
from ingest.synthetic.vendor import Header, write_prodml, write_tdms

START = 1_700_000_000 * 10**9
SAMPLES = np.arange(6000, dtype="i2").reshape(1000, 6)


def lightkeep(*arguments: object, code: int = 0) -> str:
    done = run(*map(str, arguments), code=code)
    return done.stdout + done.stderr


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    write_prodml(folder / "a.h5", SAMPLES, Header(start=START, rate=500.0))
    write_tdms(folder / "b.tdms", SAMPLES, Header(start=START, rate=500.0))
    return folder


def test_identify_tells_format_version_shape_and_times(raw: Path) -> None:
    told: Any = json.loads(lightkeep("identify", raw, "--json"))
    assert [(one["format"], one["version"]) for one in told] == [("prodml", "2.1"), ("tdms", "4713")]
    for one in told:
        (block,) = one["blocks"]
        assert (block["dims"], block["shape"], block["dtype"]) == (["time", "distance"], [1000, 6], "int16")
        assert block["first"].startswith("2023-11-14T22:13:20")
        assert block["last"].startswith("2023-11-14T22:13:21.998")
        assert block["rate_hz"] == 500
    said = lightkeep("identify", raw / "a.h5")
    assert "PRODML DAS 2.1" in said
    assert "1000 time x 6 distance, int16, 500 Hz, 2023-11-14T22:13:20" in said


def test_identify_goes_on_after_a_file_that_is_none_and_ends_with_one(raw: Path) -> None:
    (raw / "text.h5").write_text("no raw data")
    told: Any = json.loads(lightkeep("identify", raw, "--json", code=1))
    assert ["error" in one for one in told] == [False, False, True]
    assert "text.h5" in lightkeep("identify", raw, code=1)
    assert f"{raw}/a.h5: " in lightkeep("identify", raw / "a.h5", "--format", "tdms", code=1)


def test_identify_says_of_a_header_that_its_samples_lie_beside_it(tmp_path: Path) -> None:
    written.xml_folder(tmp_path / "night")
    assert ".raw files beside it" in lightkeep("identify", tmp_path / "night" / "metadata.xml")


def test_metadata_come_with_an_ingest_and_later(raw: Path, tmp_path: Path) -> None:
    url, first, second = tmp_path / "archive", tmp_path / "first.json", tmp_path / "second.json"
    first.write_text(json.dumps({"overview": {"network_code": "XW"}}))
    second.write_text(json.dumps({"channel_group": {"channels": {"elevation": [10, 11, 12, 13, 14, 15]}}}))
    lightkeep("init", url)
    lightkeep("ingest", raw / "a.h5", url, "--dataset", "fibre", "--metadata", first)
    assert lk.open(str(url))[0].attrs["network"] == "XW"
    assert json.loads(lightkeep("metadata", url, second, "--dataset", "fibre", "--json"))["changed"]
    assert "had all the metadata" in lightkeep("metadata", url, second, "--dataset", "fibre")
    (patch,) = lk.open(str(url))
    assert patch.coords["elevation"].to_numpy().tolist() == [10, 11, 12, 13, 14, 15]
    assert patch.attrs["network"] == "XW"
    np.testing.assert_array_equal(patch.data, SAMPLES)
