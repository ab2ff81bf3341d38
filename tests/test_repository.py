"""What the repository promises about itself: links, layers, lock and targets."""

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "terraform").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _label(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_label)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", DECISIONS, ids=_label)
def test_a_decision_has_its_four_parts_and_its_number(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Figures"]
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert f"({page.name})" in (ROOT / "docs/decisions/index.md").read_text()


def test_decisions_are_numbered_without_holes() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("package", ["archive", "ingest"])
def test_the_picture_of_the_layers_is_that_of_the_contract(package: str) -> None:
    contract = next(one for one in PROJECT["tool"]["importlinter"]["contracts"] if one.get("containers") == [package])
    wanted = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    picture = (ROOT / "docs/architecture.md").read_text().split(f"\n{package}\n    ")[1]
    lines = re.split(r"\n(?!    )", picture, maxsplit=1)[0].split("\n    ")
    assert [re.split(r"  +", line)[0].split() for line in lines] == wanted


def test_the_lock_names_no_host_and_has_a_hash_for_each_package() -> None:
    packages = re.split(r"^(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)[1:]
    assert not [line for line in packages if "://" in line or re.search(r"^ *--(?!hash=)", line, re.MULTILINE)]
    assert not [line.split()[0] for line in packages if "--hash=sha256:" not in line]


def test_make_help_lists_what_the_readme_and_the_checks_call() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^make (\w+) ", done.stdout, re.MULTILINE))
    assert {"test", "demo", "prove", "bench", "lock", "clean", "help"} <= listed
    called = re.findall(r"`make ([a-z]+)", "".join(page.read_text() for page in PAGES))
    assert set(called) <= listed


def test_the_page_of_the_formats_is_that_of_the_table() -> None:
    spec = importlib.util.spec_from_file_location("formats_page", ROOT / "tools/formats_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs/formats.md").read_text() == module.page(), "run make formats"
