"""In a real browser the report asks for nothing, fits its window, switches to dark, and opens its receipts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from outlay.report.html import write_overspend
from tests.report.answers import answer, finding

pytestmark = pytest.mark.system

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    long = finding(title="Idle: /subscriptions/" + "x" * 200)
    write_overspend(answer(findings=(long, *answer().findings[1:])), path)
    return path


def opened(browser: Browser, report: Path, width: int, scheme: str) -> tuple[Page, list[str], list[str]]:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=True,
    )
    page = context.new_page()
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(report.as_uri())
    return page, requests, messages


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 420])
def test_fits_its_window_and_asks_for_nothing(browser: Browser, report: Path, width: int, scheme: str) -> None:
    page, requests, messages = opened(browser, report, width, scheme)
    assert requests == [report.as_uri()]
    assert messages == []
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [drawing.is_visible() for drawing in page.locator(".chart svg").all()] == [width > 720, width <= 720]
    page.context.close()


def test_colours_follow_the_scheme_in_page_and_drawing(browser: Browser, report: Path) -> None:
    look = """() => [getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector('.wide svg .mark-rect path')).fill]"""
    seen = {}
    for scheme in ("light", "dark"):
        page, _, _ = opened(browser, report, 1280, scheme)
        seen[scheme] = page.evaluate(look)
        page.context.close()
    assert seen == {
        "light": ["rgb(244, 245, 247)", "rgb(44, 98, 198)"],
        "dark": ["rgb(16, 19, 24)", "rgb(120, 168, 255)"],
    }


def test_a_receipt_opens(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, 1280, "light")
    first = page.locator(".finding").first
    assert not first.get_by_text("bill.csv").is_visible()
    first.get_by_text("Show the receipt").click()
    assert first.get_by_text("bill.csv").is_visible()
    page.context.close()


def test_paper_shows_every_receipt_in_the_wide_layout(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, 703, "light")  # A4 less its margins
    receipts = page.locator(".finding dl")
    assert [one.is_visible() for one in receipts.all()] == [False, False, False]
    page.emulate_media(media="print")
    assert [one.is_visible() for one in receipts.all()] == [True, True, True]
    assert page.locator(".finding").first.get_by_text("bill.csv").is_visible()
    assert not page.get_by_text("Show the receipt").first.is_visible()
    assert [drawing.is_visible() for drawing in page.locator(".chart svg").all()] == [True, False]
    page.context.close()


def test_every_text_has_contrast(browser: Browser, report: Path) -> None:
    """WCAG 2 AA: 4.5 to 1 for every text element, against the nearest background that is painted."""
    weak = """() => {
      const rgb = text => text.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const ground = node => { while (node) {
        const c = rgb(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] > 0) return c;
        node = node.parentElement; } return [255, 255, 255]; };
      return [...document.body.querySelectorAll('*')].filter(node => !node.closest('svg') &&
        [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())).map(node => {
          const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
          return [node.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)]; }).filter(([, ratio]) => ratio < 4.5);
    }"""
    for scheme in ("light", "dark"):
        page, _, _ = opened(browser, report, 1280, scheme)
        assert page.evaluate(weak) == []
        page.context.close()
