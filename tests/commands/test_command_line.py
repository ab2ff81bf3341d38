"""The command line: what it prints, how it ends, and that an error is one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import archive as lk
from ingest.synthetic.acquisition import write_acquisition


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write_acquisition(folder, megabytes=10, channels=64)
    return folder


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ingest", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


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
        (["explain", "{archive}", "--time", "yesterday", "..."], 2, "yesterday"),
        (["ls", "{archive}", "-o", "endpoint_url"], 2, "NAME=VALUE"),
        (["ls", "s3://user:password@bucket/x"], 2, "do not belong"),
        (["ls", "nosuch://x/y"], 2, "nosuch"),
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


def test_every_command_has_an_example_in_its_help() -> None:
    for command in (
        "init",
        "ingest",
        "metadata",
        "identify",
        "ls",
        "info",
        "explain",
        "plot",
        "verify",
        "repair",
        "demo",
    ):
        assert "Example" in run(command, "--help").stdout


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
    _, said = running.communicate(timeout=60)
    assert running.returncode in {0, 130}  # it may have been done a moment before
    assert running.returncode == 0 or "run the same command again" in said
    report = json.loads(run("ingest", str(raw / "prodml"), url, "--json").stdout)
    assert report["known"] + report["sources"] > 2
    assert len(lk.open(url)) == 2


@pytest.mark.slow
def test_the_demo_runs_in_a_folder_and_cleans_up(tmp_path: Path) -> None:
    url = tmp_path / "archives"
    url.mkdir()
    picture = tmp_path / "waterfall.png"
    done = run("demo", "--url", f"file://{url}", "--megabytes", "10", "--picture", str(picture))
    assert "one wave" in done.stdout
    assert picture.exists()
    assert not list(url.iterdir())
