"""Refused sources: listed while they are open, shown, and taken in once they are mended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import archive as lk
from archive.errors import DamagedData, NotFound
from archive.store import open_store
from archive.times import time_to_ns
from ingest.__main__ import app
from ingest.initialise import initialise
from ingest.quarantine import chosen, newest_reports
from ingest.run import ingest
from ingest.settings import Settings
from ingest.synthetic.vendor import Header, write_prodml

START = time_to_ns("2016-03-14T08:00:00")
BLOCK = np.random.default_rng(1).integers(-99, 99, (200, 5)).astype(np.int16)


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = str(tmp_path / "archive")
    initialise(open_store(made))
    return made


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """Half of a file."""
    path = write_prodml(tmp_path / "raw [1].h5", BLOCK, Header(start=START))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def mend(path: Path) -> None:
    write_prodml(path, BLOCK, Header(start=START))


def quarantine(command: str, url: str, *arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["quarantine", command, url, *arguments, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_a_refused_file_is_listed_and_shown_and_retried_once_it_is_mended(url: str, cut: Path) -> None:
    ingest(open_store(url), [str(cut.parent / "raw*.h5")], Settings(dataset="fibre"))
    (listed,) = quarantine("ls", url)
    assert listed["url"] == cut.as_uri().replace("%5B", "[").replace("%5D", "]").replace("%20", " ")
    assert listed["open"]
    shown = quarantine("show", url, listed["id"][:6])
    assert shown == listed
    assert quarantine("show", url, cut.name) == listed
    again = quarantine("retry", url, code=1)
    assert ([one["id"] for one in again["refused"]], again["settled"], again["gone"]) == ([listed["id"]], [], [])
    mend(cut)
    assert quarantine("retry", url)["settled"] == [listed["url"]]
    assert quarantine("ls", url) == []
    (settled,) = quarantine("ls", url, "--all")
    assert settled == {**listed, "open": False}
    (patch,) = lk.open(url, dataset="fibre")  # the name that it was first meant for
    assert np.array_equal(patch.data, BLOCK)


def test_a_retried_file_has_the_metadata_that_were_given_for_it(url: str, cut: Path, tmp_path: Path) -> None:
    channels = [{"x_coordinate": -119.0 + number, "y_coordinate": 39.0, "elevation": 1200.0} for number in range(5)]
    box = {"model": "iDAS2", "acquisition": [{"channel_group": [{"channels": channels}]}]}
    given = tmp_path / "fdsn.json"
    given.write_text(json.dumps({"overview": {"network_code": "XW", "interrogator": [box]}}))
    command = ["ingest", str(cut.parent / "raw*.h5"), url, "--metadata", str(given)]
    assert CliRunner().invoke(app, command).exit_code == 1
    mend(cut)
    quarantine("retry", url)
    (patch,) = lk.open(url)
    assert (patch.attrs["network"], patch.attrs["model"]) == ("XW", "iDAS2")
    assert patch.get_array("x").tolist() == [-119.0, -118.0, -117.0, -116.0, -115.0]


def test_an_ordinary_ingest_of_the_mended_file_settles_it_too(url: str, cut: Path) -> None:
    store = open_store(url)
    ingest(store, [str(cut.parent)])
    mend(cut)
    ingest(store, [str(cut.parent)])
    assert quarantine("ls", url) == []


def test_a_file_that_is_cut_after_it_came_in_stays_open_beside_its_earlier_self(url: str, cut: Path) -> None:
    store = open_store(url)
    mend(cut)
    ingest(store, [str(cut.parent)])
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    assert len(ingest(store, [str(cut.parent)]).refusals) == 1
    (listed,) = quarantine("ls", url)
    assert listed["error"] == "FormatError"
    (patch,) = lk.open(url)
    assert np.array_equal(patch.data, BLOCK)
    write_prodml(cut, BLOCK + 1, Header(start=START))
    os.utime(cut, ns=(1, 1))
    assert [Path(one).name for one in quarantine("retry", url)["settled"]] == [cut.name]
    (patch,) = lk.open(url)
    assert np.array_equal(patch.data, BLOCK + 1)


def test_the_same_refusal_is_reported_once_and_another_reason_beside_the_first(url: str, cut: Path) -> None:
    store = open_store(url)
    for _ in range(2):
        ingest(store, [str(cut.parent)])
    (first,) = newest_reports(store)
    assert len(store.entries("quarantine/")) == 1
    ingest(store, [str(cut.parent)], Settings(format="tdms"))  # the same bytes, refused for another reason
    (second,) = newest_reports(store)
    assert second.id == first.id
    assert second.reason != first.reason
    assert len(store.entries("quarantine/")) == 2


def test_a_file_that_is_gone_does_not_keep_the_others_from_being_retried(url: str, cut: Path) -> None:
    other = cut.with_name("other.h5")
    other.write_bytes(cut.read_bytes())
    ingest(open_store(url), [str(cut.parent)])
    cut.unlink()
    write_prodml(other, BLOCK, Header(start=START))
    done = quarantine("retry", url, code=1)
    assert [Path(one).name for one in done["gone"]] == [cut.name]
    assert [Path(one).name for one in done["settled"]] == ["other.h5"]
    assert [Path(one["url"]).name for one in quarantine("ls", url)] == [cut.name]


def test_what_is_not_in_quarantine_and_what_is_no_report_are_errors_that_name_it(url: str) -> None:
    with pytest.raises(NotFound, match="nothing\\.h5"):
        chosen([], ["nothing.h5"])
    store = open_store(url)
    store.create("quarantine/0123/1.json", b"{}")
    with pytest.raises(DamagedData, match="quarantine/0123/1"):
        newest_reports(store)
