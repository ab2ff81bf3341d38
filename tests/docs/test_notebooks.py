"""Tutorials as notebooks in JupyterLab, in a browser: every cell runs, pictures and tables show, in light and in dark.

`make docs` runs the same pages by MyST-NB; this is what a user sees who runs them by hand. Where
`LIGHTKEEP_SCREENSHOTS` names a folder, the screenshots are kept there.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_tutorials import build_site
from waiting import PATIENCE, until

from ingest.server import free_port, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest.server import LocalS3

pytestmark = [pytest.mark.notebooks, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/tutorials").glob("*.md"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Behind each page one more cell, since sites are static and bars are not.
BAR = "import archive as lk\nlk.get_example_spool().map(lambda patch: float(patch.data.std()), progress=True)"
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are there too
}
TOKEN = "lightkeep"
SHOWN = ".jp-RenderedHTMLCommon table, .jp-RenderedImage img"


def notebook_of(page: Path) -> dict[str, Any]:
    """Return a page as a notebook, its last cell with a progress bar."""
    from myst_nb.core.read import read_myst_markdown_notebook
    from nbformat.v4 import new_code_cell

    made = read_myst_markdown_notebook(page.read_text())
    made.cells.append(new_code_cell(BAR))
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    held: dict[str, Any] = json.loads(json.dumps(made))
    return held


@contextmanager
def lab(folder: Path, environment: dict[str, str], theme: str) -> Iterator[str]:
    """Run JupyterLab over a folder, and yield its address."""
    settings = folder.parent / f"settings {theme}"
    for name, value in {**SETTINGS, "@jupyterlab/apputils-extension/themes": {"theme": theme}}.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    port = free_port()
    words = [
        "--no-browser",
        "--allow-root",
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]

    def ready() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", f"/api/status?token={TOKEN}")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    environment = {**environment, "JUPYTERLAB_SETTINGS_DIR": str(settings), "HOME": str(folder.parent)}
    command = [sys.executable, "-m", "jupyterlab", *words]
    with running("JupyterLab", command, ready, folder.parent / f"{theme}.log", environment):
        yield f"http://127.0.0.1:{port}/lab/tree/NAME?token={TOKEN}&reset"


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def outputs_of(path: Path) -> list[dict[str, Any]]:
    """Return what the cells of a saved notebook have put out; nothing while it is being saved."""
    try:
        cells = json.loads(path.read_text())["cells"]
    except json.JSONDecodeError:
        return []
    return [one for cell in cells for one in cell.get("outputs", ())]


def prompts(page: Any) -> list[str]:
    """Return what stands before each cell: [ ]: not run, [*]: running or waiting, [7]: run."""
    said: list[str] = page.evaluate(
        "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(one => one.innerText.trim())"
    )
    return said


def once_more(page: Any, act: Callable[[], None], done: Callable[[], bool]) -> None:
    """Do it until it has begun: menus, keys and a kernel that has just started do not hear everything."""
    for _ in range(12):
        page.wait_for_timeout(3000)
        with suppress(page_error()):
            act()
        for _ in range(10):
            if done():
                return
            page.wait_for_timeout(1000)
        page.keyboard.press("Escape")
    raise AssertionError(f"nothing was run: {prompts(page)}")


def page_error() -> type[Exception]:
    from playwright.sync_api import Error

    return Error


def run_all(page: Any) -> None:
    """Run every cell by the menu, as a user does, and wait until none is running or waiting."""

    def by_menu() -> None:
        page.get_by_role("menuitem", name="Run", exact=True).click(timeout=10_000)
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click(timeout=10_000)

    once_more(page, by_menu, lambda: any(re.search(r"[*\d]", one) for one in prompts(page)))
    until(lambda: page.wait_for_timeout(1000) or all(re.fullmatch(r"\[\d+\]:", one) for one in prompts(page)), 900)


def run_last(page: Any) -> None:
    """Run the last cell, and wait for its bar."""
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    bar = page.locator(".jp-CodeCell").last.get_by_text("100%")

    def by_keys() -> None:
        page.locator(".jp-CodeCell .jp-InputArea-editor").last.click(timeout=10_000)
        page.keyboard.press("Control+Enter")

    once_more(page, by_keys, lambda: prompts(page)[-1] == "[*]:" or bar.count() > 0)
    bar.wait_for()


def pictured(page: Any, folder: Path, name: str) -> None:
    """Keep what can be seen: each cell with a picture, a table or a bar."""
    for number, cell in enumerate(page.query_selector_all(".jp-CodeCell")):
        if cell.query_selector(".jp-RenderedHTML, .jp-RenderedImage, .jp-OutputArea-output [class*=widget]"):
            cell.scroll_into_view_if_needed()
            cell.screenshot(path=folder / f"{name} {number:02d}.png")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_tutorials_run_in_jupyterlab(server: LocalS3, tmp_path: Path) -> None:
    for library in ("jupyterlab", "playwright", "myst_nb", "ipywidgets"):
        pytest.importorskip(library, reason="make docs installs it")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    pictures = Path(os.environ.get("LIGHTKEEP_SCREENSHOTS", tmp_path / "screenshots"))
    pictures.mkdir(parents=True, exist_ok=True)
    environment = build_site.environment(server, tmp_path)
    for source in PAGES:
        (folder / source.stem).mkdir()
        (folder / source.stem / "page.ipynb").write_text(json.dumps(notebook_of(source)))
    with ExitStack() as stack:
        chromium = stack.enter_context(browser())
        for theme in ("JupyterLab Light", "JupyterLab Dark"):
            with lab(folder, environment, theme) as address:
                for source in PAGES:
                    page = chromium.new_page(viewport={"width": 1300, "height": 1000})
                    page.set_default_timeout(PATIENCE * 1000)
                    page.goto(address.replace("NAME", f"{source.stem}/page.ipynb"))
                    page.wait_for_selector(".jp-CodeCell")
                    if theme == "JupyterLab Light":
                        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
                        run_all(page)
                        check(page)
                        page.keyboard.press("Control+s")
                        until(lambda saved=folder / source.stem / "page.ipynb": outputs_of(saved))  # type: ignore[misc]
                    page.wait_for_selector(SHOWN)  # in dark, what was saved in light is drawn after the cells
                    page.wait_for_timeout(500)
                    dark = page.evaluate("document.body.dataset.jpThemeLight") == "false"
                    assert dark == (theme == "JupyterLab Dark")
                    assert_readable(page)
                    if dark and source is PAGES[-1]:
                        run_last(page)  # bars are not kept in notebooks; rich's own colours, its percentage is at 2.0
                    pictured(page, pictures, f"{source.stem} {'dark' if dark else 'light'}")
                    page.close()
    for source in PAGES:
        outputs = outputs_of(folder / source.stem / "page.ipynb")
        assert outputs, source.stem
        assert not [one for one in outputs if one["output_type"] == "error"]
    shown = {path.name.rpartition(" ")[0] for path in pictures.glob("*.png")}
    assert shown == {f"{source.stem} {theme}" for source in PAGES for theme in ("light", "dark")}


def check(page: Any) -> None:
    """Look for errors, and for what must be shown: HTML of Spools and Cubes, and a bar that is full."""
    assert not page.query_selector_all('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
    assert page.query_selector_all(SHOWN)
    bar = page.query_selector_all(".jp-CodeCell")[-1].inner_text()
    assert re.search(r"map.*100%", bar, re.DOTALL), bar


def assert_readable(page: Any) -> None:
    """No text of a result has nearly the colour of what it stands on."""
    ratios = page.evaluate(
        """() => {
            const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
            const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const light = ([r, g, b]) => [r, g, b].map(linear)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const behind = one => {
                for (; one; one = one.parentElement) {
                    const found = numbers(getComputedStyle(one).backgroundColor);
                    if (found.length === 3 || (found.length === 4 && found[3] > 0.5)) return found;
                }
                return [255, 255, 255];
            };
            return [...document.querySelectorAll('.jp-RenderedHTMLCommon.jp-OutputArea-output *')]
                .filter(one => !one.closest('svg, style, script'))
                .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
                .map(one => {
                    const [a, b] = [light(numbers(getComputedStyle(one).color)), light(behind(one))];
                    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.textContent.slice(0, 40)];
                });
        }"""
    )
    assert not [(ratio, text) for ratio, text in ratios if ratio < 3]
