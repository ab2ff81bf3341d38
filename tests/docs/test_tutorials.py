"""Each tutorial runs from the first to the last cell, and holds the examples of the talk word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared import shared_folder

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/tutorials").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cells(page: Path) -> list[str]:
    return CELL.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(cells(page)))
    environment = {**os.environ, "MPLBACKEND": "template", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
    # DASCore's talk forks a process that has threads, and so does the page.
    warned = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, *warned, str(script)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_examples_of_the_talk_are_on_its_page_as_written() -> None:
    """The code of each slide is there line by line; only the packages are called otherwise."""
    talk = (shared_folder("talks") / "000_3759b5793555ae19.txt").read_text().replace("\xa0", " ")
    page = "\n".join(cells(ROOT / "docs/tutorials/dascore-talk.md"))
    there = {_plain(line) for line in page.splitlines()}
    slides = re.findall(r"^import dascore as dc$(.*?)^DASCore: ", talk, re.MULTILINE | re.DOTALL)
    assert len(slides) >= 20
    code = [line for slide in slides for line in slide.splitlines() if re.search(r"[=()]|import", line)]
    wanted = {_plain(line.replace("dascore.units", "archive.units")) for line in code}
    assert len(wanted) > 25
    assert wanted - there == set()


def _plain(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()
