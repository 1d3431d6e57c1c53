"""The console in a real browser: by keyboard alone, wide and on a phone, and nothing asked of others."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from console_village import TOKEN, flagged, join, open_rooms, served, version_added, write_report
from running import Target
from townsfolk.serving import Rooms

WIDE, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=360, height=740)
Scheme = Literal["light", "dark"]
PAGES = (
    "",
    "review",
    "villagers",
    "villagers/demo-world/wren",
    "adapters",
    "reports",
    "reports/friday",
    "playground",
)
WAIT_MS = 60_000
MOST_TABS = 80
CONTROLS = "button, input:not([type=hidden], [type=checkbox]), textarea, .choice, li a, nav a, summary"
TOO_SMALL = """(controls) => controls
  .map((it) => [it.outerHTML.slice(0, 80), it.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && Math.min(box.width, box.height) < 43.9).map(([html]) => html)"""
OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
FOCUS_IS_SEEN = "parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2"


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    folder = tmp_path_factory.mktemp("console")
    opened = open_rooms(folder)
    version = version_added(opened, folder, "guard", 1)
    version_added(opened, folder, "guard", 2)
    opened.promotions.promote("guard", version)
    write_report(folder / "reports", "friday")
    flagged(opened, "t-shown")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def target(rooms: Rooms) -> Iterator[Target]:
    with served(rooms) as address:
        join(address, "Wren")
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "no Chromium on the PATH: scripts/install test"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, target: Target, viewport: ViewportSize, scheme: Scheme) -> Iterator[Page]:
    """A page that must ask nobody but the service for anything, and have no error or warning."""
    wrong: list[str] = []

    def told(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            wrong.append(message.text)

    def asked(url: str) -> None:
        if urlsplit(url).netloc != urlsplit(target.http).netloc:
            wrong.append(f"asked {url}")

    context = browser.new_context(viewport=viewport, color_scheme=scheme, base_url=f"{target.http}/console/")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.on("console", told)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked(request.url))
    yield page
    assert wrong == []
    context.close()


def tab_to(page: Page, wanted: Locator) -> None:
    """Go there by the Tab key alone; where one is must be seen all the way."""
    element = wanted.element_handle()
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_IS_SEEN)
        if page.evaluate("it => it === document.activeElement", element):
            return
    raise AssertionError(f"{wanted} is not reached in {MOST_TABS} steps of the Tab key")


def log_in(page: Page) -> None:
    page.goto("login")
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=WAIT_MS)


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_turn_is_reviewed_by_keyboard_alone(
    chromium: Browser, target: Target, rooms: Rooms, viewport: ViewportSize
) -> None:
    turn = f"t-keyboard-{viewport['width']}"
    flag = flagged(rooms, turn, words=f"{turn} puts fire to the barn")
    with watched(chromium, target, viewport, "light") as page:
        log_in(page)
        tab_to(page, page.get_by_role("link", name="Review", exact=True))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("link", name=f"{turn} puts fire"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_label("Note"))
        page.keyboard.type("no fire")
        tab_to(page, page.get_by_role("button", name="Reject"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("The turn is rejected.", timeout=WAIT_MS)
    decided = rooms.store.read_flag(flag)
    assert (decided.state, decided.note, decided.who) == ("rejected", "no fire", "TOWNSFOLK_API_TOKEN")


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def test_every_page_is_for_everybody(
    chromium: Browser, target: Target, viewport: ViewportSize, scheme: Scheme
) -> None:
    axe = Axe()
    found: list[str] = []
    with watched(chromium, target, viewport, scheme) as page:
        log_in(page)
        flag = page.request.get("review").text().partition("/console/review/")[2].partition('"')[0]
        for path in (*PAGES, f"review/{flag}", "login"):
            page.goto(path)
            result = axe.run(page)
            found += [f"{path}: {result.generate_report(it['id'])}" for it in result.response["violations"]]
            if small := page.locator(CONTROLS).evaluate_all(TOO_SMALL):
                found.append(f"{path}: too small for a finger: {small}")
            if page.evaluate(OVERFLOWS):
                found.append(f"{path}: is wider than the screen")
    assert found == []


def test_villagers_are_renewed_and_can_be_paused(chromium: Browser, target: Target) -> None:
    with watched(chromium, target, WIDE, "light") as page:
        log_in(page)
        page.goto("villagers")
        pause = page.get_by_role("button", name="Pause")
        pause.click()
        expect(pause).to_have_attribute("aria-pressed", "true")
        pause.click()
        join(target, "Wren", "Brita")
        expect(page.get_by_role("link", name="Brita")).to_be_visible(timeout=WAIT_MS)
