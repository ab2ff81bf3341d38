"""Refused sources: listed while they are open, shown, and taken in once they are mended."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import run

import archive as lk
from archive.errors import DamagedData, InvalidInput, NotFound
from archive.store import open_store
from archive.times import time_to_ns
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
    return json.loads(run("quarantine", command, url, *arguments, "--json", code=code).stdout)


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
    run(*command, code=1)
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


def test_the_start_of_an_id_that_fits_several_is_not_enough(url: str, cut: Path) -> None:
    (cut.parent / "other.h5").write_bytes(cut.read_bytes())
    ingest(open_store(url), [str(cut.parent)])
    reports = newest_reports(open_store(url))
    assert chosen(reports, [one.id for one in reports]) == reports
    with pytest.raises(InvalidInput, match="2 reports start so; write more of the id"):
        chosen(reports, [""])


def test_people_are_told_the_same_in_words(url: str, cut: Path) -> None:
    assert run("quarantine", "ls", url).stdout == "nothing in quarantine\n"
    other = cut.with_name("other.h5")
    other.write_bytes(cut.read_bytes())
    ingest(open_store(url), [str(cut.parent)])
    first, second = quarantine("ls", url)
    lines = run("quarantine", "ls", url).stdout.splitlines()
    assert lines[0].startswith(f"{first['id']}  ")
    assert lines[0].endswith(f"  {first['url']}")
    assert lines[1] == f"    {first['reason']}"
    assert len(lines) == 4
    shown = dict(line.split(maxsplit=1) for line in run("quarantine", "show", url, second["id"]).stdout.splitlines())
    assert (shown["id"], shown["url"], shown["open"], shown["dataset"]) == (second["id"], second["url"], "True", "-")
    assert shown["refused"] == lines[2].split()[1]
    mend(cut)
    other.unlink()
    done = run("quarantine", "retry", url, code=1)
    assert done.stdout == "1 of 2 refused files are in the archive now\n"
    assert done.stderr == f"  no longer there: {other.as_uri()}\n"
    assert "  (settled)" in run("quarantine", "ls", url, "--all").stdout
    cut.write_bytes(cut.read_bytes()[:4000])
    ingest(open_store(url), [str(cut)])
    done = run("quarantine", "retry", url, cut.name, code=1)
    assert done.stdout == "0 of 1 refused files are in the archive now\n"
    assert done.stderr.startswith("  refused again: ")
    assert cut.name in done.stderr


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
