"""The image: a linter reads its Containerfile, and its steps run in a clean virtual environment."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE, until

if TYPE_CHECKING:
    from landing import Scene

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "Containerfile"


def instructions(name: str) -> list[str]:
    text = re.sub(r"^\s*#.*\n", "", CONTAINERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(None, 1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_a_linter_finds_nothing_to_say() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, CONTAINERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_pinned_runs_without_rights_and_imports_nothing_from_where_it_stands() -> None:
    assert all(line.split()[0].endswith("@${PYTHON_DIGEST}") for line in instructions("FROM"))
    assert "PYTHON_DIGEST" in instructions("ARG")  # without a default
    (user,) = instructions("USER")
    assert int(user.partition(":")[0]) > 0
    assert any("PYTHONSAFEPATH=1" in line for line in instructions("ENV"))
    assert any("--require-hashes" in line for line in instructions("RUN"))


def test_its_lock_has_a_hash_for_each_package_in_the_version_of_the_other_lock() -> None:
    pinned = {}
    for name in ("requirements.lock", "requirements-worker.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        packages = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
        assert not [package.split()[0] for package in packages if "--hash=sha256:" not in package]
        pinned[name] = {package.split()[0] for package in packages}
    assert pinned["requirements-worker.lock"] <= pinned["requirements.lock"]
    names = {pin.partition("==")[0] for pin in pinned["requirements-worker.lock"]}
    assert {"boto3", "prometheus-client", "h5py", "obstore", "s3fs"} <= names


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the RUN line makes, from the wheel, with /opt moved here."""
    folder = tmp_path_factory.mktemp("image")
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent.name.startswith(("image", "pytest", "popen")):
            parent.chmod(0o755)  # others are to come in
    build = folder / "build"
    build.mkdir()
    wheel = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(build / "dist")]
    subprocess.run([sys.executable, *wheel], cwd=ROOT, check=True, capture_output=True)
    (build / "requirements-worker.lock").write_text((ROOT / "requirements-worker.lock").read_text())
    (run,) = instructions("RUN")
    made = folder / "opt"
    python = shlex.quote(str(Path(sys.base_prefix) / "bin" / "python3"))
    line = run.replace("/opt/lightkeep", str(made)).replace("python -m venv", f"{python} -m venv", 1)
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        ["bash", "-euc", line], cwd=build, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return made


def lean(place: Path, home: Path) -> dict[str, str]:
    """Return the environment of the image."""
    return {"PATH": f"{place}/bin", "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(home)}


@pytest.mark.prove
def test_its_steps_make_a_worker_in_a_clean_virtual_environment(place: Path, tmp_path: Path) -> None:
    def ran(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = lean(place, tmp_path) | settings
        command = [str(place / "bin" / "lightkeep"), *arguments]
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)

    shown = ran("worker", "--settings")
    assert shown.returncode == 0, shown.stderr
    assert "LIGHTKEEP_QUEUE" in shown.stdout
    started = ran("worker", LIGHTKEEP_URL="file:///nowhere/archive", LIGHTKEEP_QUEUE="http://127.0.0.1:9/1/q")
    assert started.returncode == 3, started.stderr  # boto3 and all else are there, the queue is not
    assert "Traceback" not in started.stderr
    assert "pip install" not in started.stderr


# All that the container takes away: the root file system is read-only but for one folder, and the program is nobody,
# without any capability. An interpreter below a home that others may not enter is shown without the rest of the home.
CONFINED = """
scratch=$1 base=$2; shift 2
mount -t tmpfs -o mode=1777 none "$scratch"
if ! setpriv --reuid=65532 --regid=65532 --clear-groups test -x "$base/bin"; then
  mkdir "$scratch/.base" && mount --bind "$base" "$scratch/.base"
  home=/$(cut -d/ -f2 <<< "$base")
  mount -t tmpfs -o mode=755 none "$home" && mkdir -p "$base" && mount --bind "$scratch/.base" "$base"
  mount -o remount,bind,ro "$home"
fi
mount -o remount,bind,ro /
exec setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


@pytest.mark.prove
def test_nobody_takes_files_in_where_nothing_can_be_written(place: Path, scene: Scene, tmp_path: Path) -> None:
    enter = ["unshare", "--mount", "--propagation", "private"]
    if os.getuid() != 0 or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may make a read-only view of the file system here")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    confined = [*enter, "bash", "-euc", CONFINED, "confined", str(scratch), sys.base_prefix]
    alone = lean(place, scratch) | {"TMPDIR": str(scratch), "PATH": f"{place}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def ran(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*confined, *command], cwd="/", env=alone, capture_output=True, text=True, check=False)

    assert ran("id", "-u").stdout == "65532\n"
    for folder in (place, ROOT, Path(sys.base_prefix), Path("/var/tmp")):
        refused = ran("touch", str(folder / "new")).stderr
        assert "cannot touch" in refused
    assert "ead-only file system" in refused  # everybody may write there elsewhere
    scene.send(*(scene.put(f"{number}.h5", scene.raw(number)) for number in range(5)))
    keys = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}
    settings = scene.environment(batch_seconds=0.2) | keys
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        command = [*confined, str(place / "bin" / "lightkeep"), "worker"]
        running = subprocess.Popen(command, cwd="/", env=alone | settings, stdout=output, stderr=output)
        try:
            until(scene.emptied)
            running.send_signal(signal.SIGTERM)
            assert running.wait(PATIENCE) == 0, log.read_text()
        finally:
            running.kill()
            running.wait()
    scene.check(list(range(5)))
