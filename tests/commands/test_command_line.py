"""The command line: what it prints, how it ends, and that an error is one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import small
from command import run
from small import raw as raw_file
from typer.main import get_command

import archive as lk
from archive.index import layout
from ingest.__main__ import app
from ingest.synthetic.acquisition import write_acquisition


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write_acquisition(folder, megabytes=10, channels=64)
    return folder


@pytest.mark.slow
def test_the_whole_way_on_the_command_line(raw: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "archive")
    assert json.loads(run("init", url, "--json").stdout)["made"] is True
    assert json.loads(run("init", url, "--json").stdout)["made"] is False
    dry = json.loads(run("ingest", str(raw / "prodml"), url, "--dry-run", "--json").stdout)
    assert len(dry["datasets"]) == 1
    assert dry["sources"] > 2
    report = json.loads(run("ingest", str(raw / "prodml"), url, "--jobs", "2", "--json").stdout)
    assert report["sources"] == dry["sources"]
    assert json.loads(run("ingest", str(raw / "prodml"), url, "--json").stdout)["known"] == dry["sources"]
    (name,) = report["datasets"]
    listed = json.loads(run("ls", url, "--json").stdout)
    assert len(listed[name]) == 2  # there is a gap
    info = json.loads(run("info", url, "--leaves", "--json").stdout)
    assert info["datasets"][name]["rate_hz"] == 1000
    assert Path(info["leaves"][0].removeprefix("file://")).read_bytes()[:4] == b"PAR1"
    start = listed[name][0][0]
    stop = str(np.datetime64(start) + np.timedelta64(1, "s"))
    plan = json.loads(run("explain", url, "--time", start, stop, "--distance", "0", "10", "--json").stdout)
    assert 0 < plan["bytes"] <= 1.05 * plan["needed"]
    picture = tmp_path / "picture.png"
    run("plot", url, "--time", start, stop, "-O", str(picture))
    assert picture.read_bytes()[1:4] == b"PNG"
    for command in (["ls", url], ["info", url], ["explain", url], ["ingest", str(raw / "prodml"), url, "--dry-run"]):
        assert run(*command).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ls", "{here}/nothing"], 2, "lightkeep init"),
        (["init", "{here}"], 2, "not empty"),
        (["ingest", "{here}/raw"], 2, "SOURCE"),
        (["ingest", "{here}/nowhere", "{archive}"], 2, "no such file"),
        (["explain", "{archive}", "--dataset", "nope"], 2, "nope"),
        (["ingest", "{here}/file", "{archive}", "--codec", "zip"], 2, "--codec zip: there are pcodec and portable"),
        (["explain", "{archive}", "--time", "yesterday", "..."], 2, "yesterday"),
        (["explain", "{archive}", "--distance", "near", "far"], 2, "'near' is no distance in metres"),
        (["plot", "{archive}"], 2, "the selection holds no samples"),
        (["export", "{archive}", "--format", "segy", "-O", "{here}/x.sgy"], 2, "the selection holds no samples"),
        (["ls", "{archive}", "-o", "endpoint_url"], 2, "NAME=VALUE"),
        (["ls", "s3://user:password@bucket/x"], 2, "do not belong"),
        (["ls", "nosuch://x/y"], 2, "nosuch"),
        (["serve", "{archive}", "-o", "colour=true"], 2, "colour"),
        (["fly"], 2, "No such command"),
    ],
)
def test_an_error_is_one_line_that_tells_what_to_do(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "file").write_text("x")
    archive = str(tmp_path / "archive")
    run("init", archive)
    done = run(*(text.format(here=tmp_path, archive=archive) for text in arguments), code=code)
    assert said in done.stderr
    assert "password" not in done.stderr.replace("passwords", "")


def test_an_ingest_of_refused_files_ends_with_one(tmp_path: Path) -> None:
    archive = str(tmp_path / "archive")
    run("init", archive)
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    done = run("ingest", str(tmp_path / "bad.h5"), archive, code=1)
    assert "bad.h5" in done.stderr


def test_a_program_reads_an_error_as_json_and_a_person_on_standard_error(tmp_path: Path) -> None:
    done = run("ls", str(tmp_path / "nothing"), "--json", code=2)
    said = json.loads(done.stdout)
    assert said["kind"] == "NotFound"
    assert "lightkeep init" in said["error"]
    assert done.stderr == f"lightkeep: {said['error']}\n"


def test_damage_ends_with_three(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    run("init", str(archive))
    (archive / layout.CURRENT).write_bytes(b"no longer what it was")
    assert layout.CURRENT in run("ls", str(archive), code=3).stderr


def test_of_many_refused_files_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    archive = str(tmp_path / "archive")
    run("init", archive)
    (tmp_path / "raw").mkdir()
    for number in range(23):
        (tmp_path / "raw" / f"{number:02}.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50 + number))
    (tmp_path / "raw" / "notes.txt").write_text("windy")
    said = run("ingest", str(tmp_path / "raw"), archive, code=1).stderr.splitlines()
    refused = [line for line in said if line.startswith("  refused: ")]
    assert [f"{number:02}.h5" in line for number, line in enumerate(refused)] == [True] * 20
    assert said[-2:] == [
        "  and 3 more; their reports are under quarantine/ in the archive",
        "  1 files are no raw data and were left alone",
    ]


def test_a_dry_run_says_what_would_be_read_and_reads_nothing(tmp_path: Path) -> None:
    archive, file = str(tmp_path / "archive"), str(raw_file(tmp_path / "raw" / "a.h5"))
    (tmp_path / "raw" / "notes.txt").write_text("windy")
    run("init", archive)
    done = run("ingest", str(tmp_path / "raw"), archive, "--dry-run", "--dataset", "fibre")
    assert done.stdout.splitlines() == [
        "would read 1 files (2.0 kB of samples) into about 1 granules; 0 files are in the archive already",
        "  fibre: 5 distance, 1000 Hz, int16",
    ]
    assert done.stderr == "  1 files are no raw data and were left alone\n"
    assert len(lk.open(archive)) == 0
    assert json.loads(run("ingest", file, archive, "--dry-run", "--json").stdout)["sources"] == 1


def test_a_file_that_is_there_already_is_nothing_to_do(tmp_path: Path) -> None:
    archive, file = str(tmp_path / "archive"), str(raw_file(tmp_path / "raw" / "a.h5"))
    run("init", archive)
    assert run("ingest", file, archive).stdout.startswith("1 files in 1 granules: ")
    assert run("ingest", file, archive).stdout.startswith("nothing to do: all 1 files are in the archive (")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_watch_takes_a_file_in_and_ends_well_when_it_is_told_to(
    tmp_path: Path, end: signal.Signals, *, as_json: bool
) -> None:
    archive, file = str(tmp_path / "archive"), raw_file(tmp_path / "raw" / "a.h5")
    run("init", archive)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def tell() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not len(lk.open(archive)):
            time.sleep(0.02)
        os.kill(os.getpid(), end)

    # Were the watch to end before it is told to, the signal must find somebody.
    for number in before:
        signal.signal(number, lambda *_: None)
    teller = threading.Thread(target=tell)
    try:
        teller.start()
        done = run("ingest", "--watch", "--settle", "0", str(file.parent), archive, *(["--json"] if as_json else []))
        teller.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    (patch,) = lk.open(archive)
    np.testing.assert_array_equal(patch.data, small.samples(0))
    if as_json:
        assert json.loads(done.stdout)["sources"] == 1
        assert done.stderr == ""
    else:
        assert done.stdout.startswith("1 files in 1 granules: ")
        assert done.stderr.startswith(f"watching {file.parent}\n")


def test_every_command_has_an_example_in_its_help() -> None:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for words in [[name, inner] for inner in getattr(command, "commands", ())] or [[name]]:
            assert "Example" in run(*words, "--help").stdout, words


@pytest.mark.slow
def test_an_interrupt_says_that_what_was_committed_is_kept(raw: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "archive")
    run("init", url)
    command = [sys.executable, "-m", "ingest", "ingest", str(raw / "prodml"), url]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "archive" / "data").exists():
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode in {0, 130}  # it may have been done a moment before
    assert running.returncode == 0 or "run the same command again" in said
    report = json.loads(run("ingest", str(raw / "prodml"), url, "--json").stdout)
    assert report["known"] + report["sources"] > 2
    assert len(lk.open(url)) == 2


@pytest.mark.prove
def test_the_demo_runs_in_a_folder_and_cleans_up(tmp_path: Path) -> None:
    url = tmp_path / "archives"
    url.mkdir()
    picture = tmp_path / "waterfall.png"
    done = run("demo", "--url", f"file://{url}", "--megabytes", "10", "--picture", str(picture))
    assert "one wave" in done.stdout
    assert picture.exists()
    assert not list(url.iterdir())
