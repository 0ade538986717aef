"""Vega-Lite to SVG: what all charts of the reports share.

Colours are CSS variables that the page defines for light, dark and print, so one drawing serves all three. A chart is
drawn once wide and once narrow, because text in a scaled drawing can't be read. Coordinates are kept to a tenth of a
pixel: more digits are most of a file's size and nothing that an eye could see.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Any

from outlay.errors import MissingExtraError

__all__ = ["CONFIG", "NARROW", "SCHEMA", "WIDE", "milliseconds", "svg"]

WIDE, NARROW = (1000, 250), (350, 210)
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "aria": False,
    "axis": {"labelColor": "var(--muted)", "labelFontSize": 12},
}
_PATH = re.compile(r' d="[^"]*"')
_LONG = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")


def svg(specification: dict[str, Any]) -> str:
    """The chart as SVG markup. Raises :class:`MissingExtraError` when the drawing package is not installed."""
    try:
        import vl_convert
    except ImportError:
        raise MissingExtraError(
            "the HTML report needs the package vl-convert-python.", hint="Run: pip install 'outlay[report]'"
        ) from None
    drawn = str(vl_convert.vegalite_to_svg({"$schema": SCHEMA, "config": CONFIG, **specification}))
    return _PATH.sub(lambda path: _LONG.sub(_tenths, path[0]), drawn)


def milliseconds(moment: date) -> int:
    """A day, or an hour in naive UTC, as Vega counts time."""
    at = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
    return int(at.replace(tzinfo=UTC).timestamp() * 1000)


def _tenths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")
