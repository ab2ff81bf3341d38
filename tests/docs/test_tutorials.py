"""Each tutorial runs from the first to the last cell, and holds the examples of the talk word for word."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared import shared_folder

from ingest.server import serve_s3

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("build_site", ROOT / "tools/build_site.py")
assert spec is not None
assert spec.loader is not None
build_site = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_site)
PAGES = sorted((ROOT / "docs/tutorials").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cells(page: Path) -> list[str]:
    return CELL.findall(page.read_text())


@pytest.mark.prove
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path) -> None:
    """With warnings as errors; `make docs` runs it once more, as a notebook in a kernel."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(cells(page)))
    # DASCore's talk forks a process that has threads, and so does the page.
    warned = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    # No main module that workers would import again, as there is none in a notebook.
    command = [
        sys.executable,
        *warned,
        "-c",
        "import pathlib; exec(compile(pathlib.Path('page.py').read_text(), 'page.py', 'exec'))",
    ]
    with serve_s3(tmp_path / "server") as server:
        environment = {**build_site.environment(server, tmp_path), "MPLBACKEND": "template"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False
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
