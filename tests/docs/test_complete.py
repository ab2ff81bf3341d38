"""Nothing is missing from the pages: every command and option, every setting, every public name, every page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from page_blocks import RUN, blocks_of

import archive as lk
from archive.store import options as store_options
from ingest.worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXT = {page: page.read_text() for page in [ROOT / "README.md", *PAGES]}


def extension(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"_extensions/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> dict[str, Any]:
    from typer.main import get_command

    from ingest.__main__ import app

    return dict(extension("command_pages").commands(get_command(app), "lightkeep"))


def test_every_command_is_shown_at_work() -> None:
    """In a block of some page that is run, not only in the reference."""
    run = "\n".join(
        block.body
        for page in TEXT
        for block in blocks_of(page)
        if block.language in RUN or "code-cell" in block.language
    )
    called = re.sub(r"[\"',()]+", " ", run)  # from Python, words are in quotes
    called = re.sub(r"\s+", " ", called)
    missing = [words for words in commands() if not re.search(rf"{words}\b", called)]
    assert missing == []


def test_the_reference_has_every_command_and_option_of_the_program() -> None:
    page = extension("command_pages").page()
    sections = dict(re.findall(r"^## (lightkeep .*?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(commands())
    for words, command in commands().items():
        assert command.help.splitlines()[0] in sections[words]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            names = (
                parameter.opts
                if parameter.param_type_name == "option"
                else [f"`{parameter.metavar or parameter.name.upper()}"]
            )
            assert [name for name in names if name.rstrip(".") not in sections[words]] == [], words
            assert (parameter.help or "") != "", f"{words} {parameter.name} has no help"


def test_every_setting_of_the_environment_is_explained() -> None:
    source = "".join(path.read_text() for package in ("archive", "ingest") for path in (ROOT / package).rglob("*.py"))
    read = set(re.findall(r"[\"'](LIGHTKEEP_[A-Z_]*[A-Z])[\"']", source))
    read -= {"LIGHTKEEP_SHARED", "LIGHTKEEP_REQUIRE_SHARED"}  # of the tests
    read |= {f"LIGHTKEEP_{name.upper()}" for name in WorkerSettings.__dataclass_fields__}
    pages = "".join(TEXT.values())
    assert len(read) > 15
    assert {name for name in read if f"`{name}`" not in pages} == set()


def test_every_storage_option_is_explained() -> None:
    page = TEXT[DOCS / "how-to/credentials.md"]
    names = {*store_options.CLIENT, *store_options._OTHER_NAMES, *store_options._OTHER_NAMES.values()}
    names |= {*store_options._LIMITS, "profile"}
    assert {name for name in names if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("name", lk.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert re.search(rf"auto\w+:: archive\.{name}$", TEXT[DOCS / "reference/python.md"], re.MULTILINE)


def test_every_page_is_in_the_contents() -> None:
    found: set[Path] = set()
    for page in PAGES:
        for block in blocks_of(page):
            if block.language != "{toctree}":
                continue
            for line in block.body.splitlines():
                if line and not line.startswith(":"):
                    found |= set(page.parent.glob(f"{line}.md"))
    assert {str(page) for page in PAGES} - {str(page) for page in found} == {str(DOCS / "index.md")}


def _anchor(heading: str) -> str:
    plain = re.sub(r"[`*\[\]]|\]\([^)]*\)", "", heading.lower())
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


@pytest.mark.parametrize("page", list(TEXT), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings_that_are_there(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", TEXT[page]):
        there = (page.parent / target).resolve() if target else page
        headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
        assert anchor in {_anchor(heading) for heading in headings}, f"{target}#{anchor}"


# The hosts that pages may name; those of package indexes, badges and whoever counts readers are none of them.
HOSTS = {"127.0.0.1", "glueviz.org", "s3.lab.example", "…"}


def test_pages_name_no_other_hosts_and_show_no_pictures_from_elsewhere() -> None:
    for page, text in TEXT.items():
        assert set(re.findall(r"https?://([^/:)\s\"'`>]+)", text)) <= HOSTS, page
        assert not re.search(r"!\[[^\]]*\]\(http", text), page
