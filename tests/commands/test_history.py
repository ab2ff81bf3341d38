"""`tag`, `log`, `rm`, `compact` and `gc` on the command line, each undone or looked back at."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import run

import archive as lk
from archive.index import layout
from archive.store import open_store
from archive.times import time_to_ns
from ingest.synthetic.vendor import Header, write_prodml

START = time_to_ns("2016-03-14T08:00:00")


def said(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An archive of four commits: one file of 1 s each, without a gap."""
    made = str(tmp_path / "archive")
    run("init", made)
    for number in range(4):
        path = tmp_path / "raw" / f"{number}.h5"
        path.parent.mkdir(exist_ok=True)
        samples = np.random.default_rng(number).normal(0, 300, (1000, 8)).astype("i2")
        write_prodml(path, samples, Header(start=START + number * 10**9))
        run("ingest", str(path), made, "--dataset", "brady")
    return made


def test_what_is_removed_is_there_as_of_a_tag_until_it_goes(url: str) -> None:
    before = lk.open(url)[0].data
    number = said("tag", url, "whole")["snapshot"]
    assert run("tag", url, "also", "--as-of", "whole").stdout == f"also is snapshot {number}\n"
    told = run("rm", url, "--dataset", "brady", "--time", "2016-03-14T08:00:01.5", "...", "--yes").stdout
    assert f"undo with as_of={number + 2}" in told  # a tag is a snapshot, too
    assert lk.open(url)[0].shape[0] < 4000
    np.testing.assert_array_equal(lk.open(url, as_of="whole")[0].data, before)
    run("gc", url, "--retention", "0s")
    np.testing.assert_array_equal(lk.open(url, as_of="whole")[0].data, before)
    entries = said("log", url)
    assert [entry["snapshot"] for entry in entries] == sorted((e["snapshot"] for e in entries), reverse=True)
    assert next(entry for entry in entries if entry["snapshot"] == number)["tags"] == ["whole", "also"]
    shown = run("log", url).stdout
    assert "[whole, also]" in shown
    assert said("tag", url, "whole", "--delete") == {"tag": "whole", "snapshot": number, "deleted": True}
    assert "no longer names" in run("tag", url, "also", "--delete").stdout


def test_small_granules_become_one_and_gc_tells_before_it_removes(url: str) -> None:
    before = lk.open(url)[0].data
    assert run("compact", url).stdout.startswith("4 granules are now 1 ")
    assert run("compact", url).stdout == "nothing to do: every window is one granule\n"
    assert said("compact", url, "--dataset", "brady")["before"] == 0
    np.testing.assert_array_equal(lk.open(url)[0].data, before)
    told = run("gc", url, "--retention", "0s", "--dry-run").stdout
    assert told.startswith("would remove ")
    assert said("gc", url, "--retention", "7d")["objects"] == 0
    np.testing.assert_array_equal(lk.open(url)[0].data, before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gc", "--retention", "a week"], "7d"),
        (["rm", "--dataset", "nothing", "--yes"], "nothing"),
        (
            ["rm", "--dataset", "brady", "--time", "2020-01-01", "...", "--yes"],
            "brady: nothing of it lies in this span; see lightkeep ls",
        ),
        (["tag", "no/name"], "no/name"),
        (["tag", "later", "--as-of", "yesterday"], "yesterday"),
    ],
)
def test_a_wrong_call_changes_nothing(url: str, arguments: list[str], words: str) -> None:
    before = said("log", url)
    command, *rest = arguments
    assert words in run(command, url, *rest, code=2).stderr
    assert said("log", url) == before


def test_removal_asks_first_and_does_nothing_without_a_yes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = said("log", url)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    done = run("rm", url, "--dataset", "brady", code=130)
    assert done.stdout.startswith(f"remove brady (all of it) from {url}? [y/N]:")
    assert "what was committed is kept" in done.stderr
    assert said("log", url) == before
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    span = ("2016-03-14T08:00", "2016-03-14T08:00:00.999")
    done = run("rm", url, "--dataset", "brady", "--time", *span)
    assert f"remove brady ({span[0]} to {span[1]}) from {url}?" in done.stdout
    assert "removed 1 granules and cut 0; 1 files can be ingested again" in done.stdout
    assert lk.open(url)[0].shape[0] == 3000


def test_what_would_be_removed_is_told_in_part_and_what_is_too_young_is_counted(url: str) -> None:
    store = open_store(url)
    report = said("rm", url, "--dataset", "brady", "--yes")
    assert (report["granules"], report["cut"], report["sources"]) == (4, 0, 4)
    assert run("ls", url).stdout == f"no data yet; put some in with: lightkeep ingest SOURCE {url}\n"
    store.create(f"{layout.new_granule_key('brady', START)}/data/c/0/0", b"put a moment ago")
    would = said("gc", url, "--retention", "0s", "--dry-run")
    lines = run("gc", url, "--retention", "0s", "--dry-run").stdout.splitlines()
    assert [line.strip() for line in lines[1:21]] == would["keys"][:20]
    assert lines[21:] == [
        f"  and {len(would['keys']) - 20} more; --json lists them all",
        "1 objects that nothing refers to are too young to go",
    ]
    assert all(store.get(key).data for key in would["keys"])
