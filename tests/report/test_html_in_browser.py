"""In a real browser the report asks for nothing, fits its window, switches to dark, and opens its receipts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from outlay.report.html import write_overspend
from tests.report.answers import answer, finding
from tests.report.browsing import WEAK, opened

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    long = finding(title="Idle: /subscriptions/" + "x" * 200)
    write_overspend(answer(findings=(long, *answer().findings[1:])), path)
    return path


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
    for scheme in ("light", "dark"):
        page, _, _ = opened(browser, report, 1280, scheme)
        assert page.evaluate(WEAK) == []
        page.context.close()
