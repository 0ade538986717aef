"""In a real browser the plan's page asks for nothing, fits its window, needs no script, and can be read in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from outlay.report.commit_html import write_commit_plan
from tests.report.browsing import WEAK, opened
from tests.report.commit_plans import SERVED, whole_plan

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.html"
    write_commit_plan(whole_plan(), path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 420])
def test_fits_its_window_and_asks_for_nothing(browser: Browser, report: Path, width: int, scheme: str) -> None:
    page, requests, messages = opened(browser, report, width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawings = page.locator(f'[data-pool="{SERVED}"] .chart svg').all()
    assert [one.is_visible() for one in drawings] == [width > 720, width <= 720] * 3
    assert requests == [report.as_uri()]
    assert messages == []
    page.context.close()


def test_works_without_javascript(browser: Browser, report: Path, tmp_path: Path) -> None:
    page, requests, messages = opened(browser, report, 1280, "light", script=False)
    section = page.locator(f'section[data-pool="{SERVED}"]')
    page.get_by_role("link", name=SERVED).click()
    assert section.get_by_role("heading", name="Why").is_visible()
    assert not section.get_by_text("Coverage, utilisation").is_visible()
    section.get_by_text("Show the receipt").click()
    assert section.get_by_text("Coverage, utilisation").is_visible()
    assert {url.partition("#")[0] for url in requests} == {report.as_uri()}
    assert messages == []
    assert len(section.screenshot(path=tmp_path / "section.png")) > 50_000
    page.context.close()


def test_colours_follow_the_scheme_in_page_and_drawings(browser: Browser, report: Path) -> None:
    look = """() => [document.querySelector('.badge.commit'), document.querySelector('.wide svg .mark-line path')]
        .map(node => getComputedStyle(node)).map(style => [style.color, style.stroke])"""
    seen = []
    for scheme in ("light", "dark"):
        page, _, _ = opened(browser, report, 1280, scheme)
        (badge, _), (_, line) = page.evaluate(look)
        seen.append((badge, line))
        page.context.close()
    assert seen == [("rgb(23, 105, 58)", "rgb(44, 98, 198)"), ("rgb(116, 214, 156)", "rgb(120, 168, 255)")]


def test_marks_stand_on_the_drawing(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, 1280, "light")
    labels = page.locator(f'section[data-pool="{SERVED}"] .chart .wide').nth(1).locator("text").all_text_contents()
    for name in ("optimum: ", "cap of 70%: ", "recommended: ", "owned today: 40 GPUs"):
        assert [label for label in labels if label.startswith(name)], name
    page.context.close()


def test_paper_has_every_receipt(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, 1000, "light")
    page.emulate_media(media="print")
    assert all(one.is_visible() for one in page.locator(".pool details dl").all())
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(browser: Browser, report: Path, scheme: str) -> None:
    page, _, _ = opened(browser, report, 1280, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert page.evaluate(WEAK) == []
    page.context.close()
