"""A page in a real browser: opened at a width and in a scheme, and what of it can't be read."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page

__all__ = ["WEAK", "opened"]

WEAK = """() => {
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
"""The texts whose contrast with the nearest painted background is under 4.5 to 1 (WCAG 2 AA)."""


def opened(
    browser: Browser, report: Path, width: int, scheme: str, *, script: bool = True
) -> tuple[Page, list[str], list[str]]:
    """The page, what it asked for, and what it said on the console. ``script``: whether JavaScript is on."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=script,
    )
    page = context.new_page()
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(report.as_uri())
    return page, requests, messages
