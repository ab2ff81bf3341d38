"""Every code block of the README and of the pages runs, as it stands, against a real S3 server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_blocks import RUN, SHOWN, blocks_of, command
from page_worlds import PRELUDES, WORLDS, World

from ingest.server import free_port

if TYPE_CHECKING:
    from ingest.server import LocalS3

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Blocks that are not run here, by their first words, each with what exercises it.
ELSEWHERE = {
    "make demo": "CI runs `make test`, and `make prove` the demo",
    "python -m build --wheel": "needs a container engine; tests/worker/test_image.py runs the same steps",
    "terraform init": "`make infra` runs Terraform",
}


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code(page: Path) -> list[tuple[str, str, str]]:
    return [
        (f"{label(page)}:{block.line}", block.language, block.body)
        for block in blocks_of(page)
        if block.language in RUN and not block.body.startswith(tuple(ELSEWHERE))
    ]


def test_every_block_says_what_it_is() -> None:
    known = {*RUN, *SHOWN}
    found = [block for page in PAGES for block in blocks_of(page) if not block.language.startswith("{")]
    assert not [(label(one.page), one.line, one.language) for one in found if one.language not in known]
    directives = {block.language for page in PAGES for block in blocks_of(page) if block.language.startswith("{")}
    assert directives <= {"{code-cell}", "{toctree}", "{command-line}", "{eval-rst}", "{include}"}


def test_every_page_with_code_has_its_world() -> None:
    assert {label(page) for page in PAGES if code(page)} == set(WORLDS)


@pytest.fixture
def world(server: LocalS3, tmp_path: Path) -> World:
    made = World(server=server, folder=tmp_path / "here")
    made.folder.mkdir()
    made.clean()
    return made


@pytest.mark.prove
@pytest.mark.parametrize(
    "page",
    [pytest.param(ROOT / name, id=name) for name in WORLDS],
)
def test_the_code_of_a_page_runs(page: Path, world: World, tmp_path: Path) -> None:
    WORLDS[label(page)](world)
    blocks = json.dumps([code(page), PRELUDES.get(label(page), "")])
    if "npm " in blocks and shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    blocks = (
        blocks.replace(":5000", f":{free_port()}").replace("-p 5000", "-p PORT").replace("--port 5000", "--port PORT")
    )
    blocks = blocks.replace("PORT", (re.findall(r"127\.0\.0\.1:(\d+)", blocks) or [""])[0])
    (world.folder / "blocks.json").write_text(blocks)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "aws").write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/docs/aws.py "$@"\n')
    (tools / "aws").chmod(0o755)
    (tmp_path / "credentials").write_text(
        f"[lab]\naws_access_key_id = {world.server.key}\naws_secret_access_key = {world.server.secret}\n"
    )
    packages = tmp_path / "packages"
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)]),
        "HOME": str(tmp_path),
        "AWS_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "MPLBACKEND": "agg",
        "LIGHTKEEP_HEALTH_PORT": "0",
        "PIP_NO_INDEX": "1",  # everything is there: what a page installs must be what the lock has
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **({"PIP_TARGET": str(packages)} if "./glow" in blocks else {"PIP_DRY_RUN": "1"}),
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_prefer_offline": "true",
    }
    if "-e '.[all]'" in blocks:
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, world.folder)
        for name in ("archive", "ingest"):
            (world.folder / name).symlink_to(ROOT / name)
    running = subprocess.Popen(
        command(),
        cwd=world.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        told, errors = running.communicate(timeout=500)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 0, f"{told[-3000:]}\n{errors[-3000:]}"
