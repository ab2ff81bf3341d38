"""The page in Chromium: it shows what is stored, moves at a touch, and says what is wrong when a store fails."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from shown import CHANNELS, FIBRE, FRAMES, QUICK, START, STEP, Shown, serving
from waiting import PATIENCE

from archive.store import open_store
from archive.times import time_to_ns

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route
    from proxy import FaultProxy

    from ingest.serve.server import PageServer

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}; apt-get install chromium")
END = START + 8500 * STEP
DAY = 86_400 * 10**9
WHOLE = "#picture[data-complete=true]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A page that must end without an error in its console, unless the test takes them away."""
    tab = browser.new_page(viewport={"width": 1280, "height": 860})
    tab.set_default_timeout(PATIENCE * 1000)
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text) if _is_trouble(message) else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.said = said  # type: ignore[attr-defined]
    yield tab
    tab.close()
    assert not said


def _is_trouble(message: Any) -> bool:
    # Reading pixels back, as these tests do, is what Chromium warns of.
    return message.type in {"error", "warning"} and "willReadFrequently" not in message.text


def show(tab: Page, server: PageServer, address: str = f"d={FIBRE}") -> None:
    tab.goto(f"{server.url}#{address}")
    tab.wait_for_selector(WHOLE)


def window(tab: Page) -> tuple[int, int]:
    """Return the window that the page's address has, when it has come to rest."""
    tab.wait_for_timeout(300)
    tab.wait_for_selector(WHOLE)
    found = re.search(r"[#&]t=(-?\d+),(-?\d+)", tab.url)
    assert found, tab.url
    return int(found[1]), int(found[2])


def colour(tab: Page, across: float, up: float) -> tuple[int, ...]:
    """Return the colour of the picture at a share of its plot."""
    return tuple(
        tab.evaluate(
            """([across, up]) => {
              const canvas = document.getElementById("picture"), dense = devicePixelRatio;
              const x = 74 + (canvas.clientWidth - 166) * across, y = 18 + (canvas.clientHeight - 64) * (1 - up);
              return [...canvas.getContext("2d").getImageData(Math.round(x * dense), Math.round(y * dense), 1, 1).data];
            }""",
            [across, up],
        )
    )


def at(tab: Page, stamp: int, channel: float) -> tuple[int, ...]:
    first, last = window(tab)
    return colour(tab, (stamp - first) / (last - first), (channel + 0.5) / CHANNELS)


def test_the_page_loads_and_shows_gaps_overlaps_and_what_is_no_number(tab: Page, page: PageServer) -> None:
    show(tab, page)
    assert tab.title() == "archive \N{EN DASH} Lightkeep"
    assert window(tab) == (START, END)
    assert tab.text_content("#title") == FIBRE
    assert "1 gap, 1.5 s missing; 1 overlap" in (tab.text_content("#coverage-text") or "")
    assert (tab.text_content("#window") or "").startswith(
        "2016-03-14T08:00:00.000 to 2016-03-14T08:00:08.500 UTC (8.5 s)"
    )
    nan = tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--nan')").strip()
    strange = tuple(int(nan[place : place + 2], 16) for place in (1, 3, 5))
    assert at(tab, START + 560 * STEP, 130)[:3] == strange
    gap = {at(tab, START + (4200 + 10 * number) * STEP, 150 + 3 * number)[:3] for number in range(20)}
    assert all(194 <= min(one) <= max(one) <= 237 for one in gap), gap  # stripes of --gap and --gap-line
    assert len(gap) > 1
    tab.click("#tab-holes")
    assert "2016-03-14T08:00:03.999" in (tab.text_content("#holes") or "")
    assert tab.text_content("#refused") == "1 source in quarantine"
    tab.click("#refused")
    assert "cut.h5" in (tab.text_content("#quarantine") or "")


def test_a_click_on_a_gap_leads_there(tab: Page, page: PageServer) -> None:
    show(tab, page)
    tab.click("#tab-holes")
    tab.click("#holes tbody button >> nth=0")
    first, last = window(tab)
    assert first < START + 3999 * STEP < START + 5500 * STEP < last


def test_dragging_and_keys_move_the_window_by_just_so_much(tab: Page, page: PageServer) -> None:
    first, last = START + 1000 * STEP, START + 2000 * STEP
    show(tab, page, f"d={FIBRE}&t={first},{last}")
    assert window(tab) == (first, last)
    box = tab.locator("#picture").bounding_box()
    assert box is not None
    plot, x, y = box["width"] - 166, box["x"] + 500, box["y"] + 200
    before = at(tab, START + 1300 * STEP, 60)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x - 100, y, steps=4)
    tab.mouse.up()
    moved = window(tab)
    assert moved[0] - first == pytest.approx(100 / plot * (last - first), rel=0.02)
    assert moved[1] - moved[0] == last - first
    assert sum(abs(a - b) for a, b in zip(at(tab, START + 1300 * STEP, 60), before, strict=True)) < 60
    tab.focus("#picture")
    tab.keyboard.press("ArrowLeft")
    back = window(tab)
    assert moved[0] - back[0] == pytest.approx(0.15 * (last - first), abs=2)
    tab.keyboard.press("Home")
    assert window(tab) == (START, END)


def test_the_wheel_zooms_about_the_pointer_down_to_single_samples(tab: Page, page: PageServer) -> None:
    show(tab, page)
    box = tab.locator("#picture").bounding_box()
    assert box is not None
    plot = box["width"] - 166
    tab.mouse.move(box["x"] + 74 + plot * 0.25, box["y"] + 200)
    held = START + (END - START) // 4
    for _ in range(10):
        tab.mouse.wheel(0, -240)
    first, last = window(tab)
    assert last - first == pytest.approx(8 * STEP, abs=2)
    assert (held - first) / (last - first) == pytest.approx(0.25, abs=0.01)
    tab.mouse.move(box["x"] + 74 + plot * 0.5, box["y"] + 210)
    tab.wait_for_timeout(100)
    told = re.match(r"(\S+)", tab.text_content("#point") or "")
    assert told
    assert time_to_ns(told[1]) == pytest.approx(first + (last - first) / 2, abs=(last - first) / 100)
    rows = tab.text_content("#window") or ""
    for _ in range(3):
        tab.keyboard.down("Shift")
        tab.mouse.wheel(0, -240)
        tab.keyboard.up("Shift")
    window(tab)
    assert tab.text_content("#window") != rows
    assert "y=" in tab.url


def test_the_value_under_the_pointer_is_the_samples(tab: Page, page: PageServer, shown: Shown) -> None:
    first = START + 1000 * STEP
    show(tab, page, f"d={FIBRE}&t={first - STEP // 2},{first + 15 * STEP // 2}&y=10,20")
    box = tab.locator("#picture").bounding_box()
    assert box is not None
    plot, tall = box["width"] - 166, box["height"] - 64
    for number, channel in ((0, 10), (3, 14), (7, 19)):
        tab.mouse.move(
            box["x"] + 74 + plot * (number + 0.5) / 8, box["y"] + 18 + tall * (1 - (channel - 10 + 0.5) / 10)
        )
        tab.wait_for_timeout(60)
        told = (tab.text_content("#point") or "").split("·")[-1].split()[0]
        assert float(told) == pytest.approx(float(shown.samples["a"][1000 + number, channel]), rel=1e-5)


def test_another_dataset_is_picked_and_its_images_turned(tab: Page, page: PageServer, shown: Shown) -> None:
    show(tab, page)
    tab.click(f"#datasets button[data-name={FRAMES}]")
    tab.locator("#window", has_text="VISP_0_00.fits").wait_for()
    tab.wait_for_selector(WHOLE)
    assert tab.get_attribute(f"#datasets button[data-name={FRAMES}]", "aria-current") == "true"
    tab.focus("#picture")
    tab.keyboard.press("PageDown")
    tab.locator("#window", has_text="VISP_1_00.fits").wait_for()
    tab.click("#tab-header")
    assert "INSTRUME" in (tab.text_content("#header") or "")
    address = tab.url
    tab.wait_for_timeout(300)
    address = tab.url
    assert f"d={FRAMES}" in address
    assert "f=0,1,0" in address
    tab.goto("about:blank")
    tab.goto(address)
    tab.locator("#window", has_text="VISP_1_00.fits").wait_for()


def test_colours_are_set_by_hand_and_kept_in_the_address(tab: Page, page: PageServer) -> None:
    show(tab, page)
    tab.fill("#low", "-0.5")
    tab.fill("#high", "0.5")
    tab.select_option("#map", "grey")
    tab.keyboard.press("Tab")
    window(tab)
    assert "c=grey" in tab.url
    assert "s=-0.5,0.5" in tab.url
    seen = at(tab, START + 1000 * STEP, 250)
    assert max(seen[:3]) - min(seen[:3]) <= 1
    tab.fill("#low", "9")
    tab.keyboard.press("Tab")
    assert tab.get_attribute("#low", "aria-invalid") == "true"


def test_time_is_told_and_read_to_the_nanosecond(tab: Page, page: PageServer) -> None:
    show(tab, page)
    stamps = [0, 1, -1, 1457942400123456789, 951782400000000000, -(1 << 62)]
    said = tab.evaluate(
        "async (stamps) => { const { format, parse } = await import('/time.js');"
        " return stamps.map((ns) => [format(BigInt(ns)), String(parse(format(BigInt(ns))))]); }",
        [str(stamp) for stamp in stamps],
    )
    for stamp, (text, back) in zip(stamps, said, strict=True):
        assert time_to_ns(text) == stamp
        assert int(back) == stamp
    made: Callable[[int, float], Any] = lambda first, span: tab.evaluate(  # noqa: E731
        "async ([start, span]) => { const { ticks } = await import('/time.js');"
        " return ticks(BigInt(start), span, 8).map(({ ns, label }) => [String(ns), label]); }",
        [str(first), span],
    )
    for span in (16.0, 1e4, 3e7, 2e9, 9e10, 4e12, 3e14, 9e15, 3e17, 4e18):
        found = made(START - START % 7 + 3, span)
        assert 2 <= len(found) <= 12, (span, found)
        labels = [(int(stamp) // DAY, label) for stamp, label in found]  # the day stands below where it changes
        assert len(set(labels)) == len(labels), (span, labels)
        if span <= 4e12:  # labels that are clock times say the very stamp
            for stamp, label in found:
                clock = label if label.count(":") == 2 else f"{label}:00"
                hours, minutes, seconds = clock.split(":")
                whole, _, part = seconds.partition(".")
                ns = (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * 10**9 + int(part.ljust(9, "0"))
                assert int(stamp) // DAY * DAY + ns == int(stamp)


def test_a_store_that_fails_is_one_message_and_is_tried_again(
    tab: Page, shown_on_s3: str, proxy: FaultProxy, proxy_options: dict[str, Any]
) -> None:
    with serving(open_store(shown_on_s3, storage_options={**proxy_options, **QUICK})) as server:
        server.views._blocks._limit = 0  # so that each picture asks the store
        proxy.set(slowdown=1.0)
        tab.goto(server.url)
        tab.wait_for_selector("#trouble:visible")
        assert tab.text_content("#trouble h3") == "The store does not answer"
        assert (
            "503" in (tab.text_content("#trouble p") or "") or "slow" in (tab.text_content("#trouble p") or "").lower()
        )
        proxy.set()
        tab.click("#trouble button")
        tab.wait_for_selector(WHOLE)
        assert not tab.is_visible("#trouble")
        before = colour(tab, 0.1, 0.3)
        proxy.set(slowdown=1.0)
        tab.hover("#picture", position={"x": 300, "y": 200})
        for _ in range(6):
            tab.mouse.wheel(0, -240)
        tab.wait_for_selector("#trouble:visible")
        assert tab.locator("[role=alert]:visible").count() == 1
        assert colour(tab, 0.1, 0.3)[3] == before[3] == 255  # what was there is still shown
        proxy.set()
        tab.click("#trouble button")
        tab.wait_for_selector(WHOLE)
        assert not tab.is_visible("#trouble")
    said: list[str] = tab.said  # type: ignore[attr-defined]
    assert said
    assert all("503" in line for line in said)
    said.clear()


def test_what_was_asked_before_trying_again_does_not_fail_what_is_asked_after(tab: Page, page: PageServer) -> None:
    from playwright.sync_api import Error

    held: list[Route] = []
    mended = False

    def hold(route: Route) -> None:
        if mended:
            route.continue_()
            return
        held.append(route)
        if len(held) == 1:
            refuse(route)

    def refuse(route: Route) -> None:
        route.fulfill(status=503, json={"error": "the store answered 503", "kind": "StoreTrouble", "retry": True})

    tab.route("**/api/tile?*", hold)
    tab.goto(f"{page.url}#d={FIBRE}")
    tab.wait_for_selector("#trouble:visible")
    while len(held) < 3:
        tab.wait_for_timeout(20)
    mended = True
    tab.click("#trouble button")
    for late in held[1:]:
        with contextlib.suppress(Error):  # the page has let go of it
            refuse(late)
    tab.wait_for_selector(WHOLE)
    assert not tab.is_visible("#trouble")
    said: list[str] = tab.said  # type: ignore[attr-defined]
    assert all("503" in line for line in said)
    said.clear()


def test_a_dataset_that_is_not_there_is_said(tab: Page, page: PageServer) -> None:
    tab.goto(f"{page.url}#d=%3Cimg%20src=x%20onerror=alert(1)%3E")
    tab.wait_for_selector("#trouble:visible")
    assert "no such dataset" in (tab.text_content("#trouble p") or "")
    tab.click("#trouble button")
    tab.wait_for_selector(WHOLE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_by_day_and_by_night(browser: Browser, page: PageServer, scheme: Any, tmp_path: Path) -> None:
    tab = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme=scheme)
    show(tab, page)
    tab.screenshot(path=tmp_path / f"{scheme}.png")
    colours = tab.evaluate(
        "['body', '#title', '.quiet', '#datasets .name', '[role=tab][aria-selected=true]'].map((one) =>"
        " getComputedStyle(document.querySelector(one)).color).concat(getComputedStyle(document.body).backgroundColor)"
    )
    *inks, ground = [_luminance(text) for text in colours]
    assert (ground > 0.7) == (scheme == "light")
    for ink in inks:
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5  # WCAG 2.2, AA
    unnamed = tab.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas')].filter((one) => one.offsetParent &&"
        " !one.textContent.trim() && !one.labels?.length && !one.ariaLabel && !one.ariaHidden)"
        ".map((one) => one.outerHTML)"
    )
    assert unnamed == []
    tab.close()


def _luminance(text: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", text)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
