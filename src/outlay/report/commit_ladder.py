"""The ladder as a picture: what is held from today to the end of the last purchase's term.

What is owned today stands below, what is to be bought above it. Steps up are purchases, steps down are expiries, so
the picture shows for how long the money is bound and which day it comes free. A term is counted in calendar months
from the day of purchase. Where today is not known, as hours are only counted, months are.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from outlay.optimize.commitments.demand import NANOS, gpus
from outlay.optimize.commitments.ladder import Owned, Step
from outlay.report.commit_charts import frame, time_axis, y_axis
from outlay.report.commit_figures import level_text
from outlay.report.drawing import NARROW, WIDE, milliseconds, svg

__all__ = ["Holding", "Ladder", "after", "draw_ladder", "ladder_of"]

_LABEL = (55, 18)  # pixels that a label takes
_BEYOND = 0.03  # of the width, so that the last step down is seen
_Place = date | int


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held in ``[start, end)``, in billionths of a GPU: of what is owned today, and of the purchases."""

    start: _Place
    end: _Place
    owned: int
    bought: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """The holdings in order, and the purchases as ``(when, size, held after it)``."""

    holdings: tuple[Holding, ...]
    purchases: tuple[tuple[_Place, int, int], ...]


def after(start: date, months: int) -> date:
    """The same day ``months`` months later, or the last of that month."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def ladder_of(steps: Sequence[Step], owned: Sequence[Owned], term_months: int, today: date | None) -> Ladder:
    """What ``steps`` and what is ``owned`` make, until the last purchase has ended."""
    start: _Place = 0 if today is None else today
    changes: dict[_Place, list[int]] = {start: [0, 0]}

    def change(at: _Place, owned_nanos: int, bought_nanos: int) -> None:
        found = changes.setdefault(at, [0, 0])
        found[0] += owned_nanos
        found[1] += bought_nanos

    last = max((_end(step, term_months, today) for step in steps), key=_x, default=start)
    for held in owned:
        until = None if today is None else held.until
        if until is None or _x(until) > _x(start):
            change(start, held.nanos, 0)
            if until is not None and _x(until) < _x(last):
                change(until, -held.nanos, 0)
    purchases: dict[_Place, int] = {}
    for step in steps:
        begin = _begin(step, today)
        purchases[begin] = purchases.get(begin, 0) + step.nanos
        change(begin, 0, step.nanos)
        change(_end(step, term_months, today), 0, -step.nanos)
    places = sorted(changes, key=_x)
    holdings = []
    standing = bought = 0
    for place, following in zip(places, [*places[1:], last], strict=True):
        standing, bought = standing + changes[place][0], bought + changes[place][1]
        if following != place:
            holdings.append(Holding(place, following, standing, bought))
    heights = {one.start: one.owned + one.bought for one in holdings}
    return Ladder(tuple(holdings), tuple((at, nanos, heights[at]) for at, nanos in purchases.items()))


def _begin(step: Step, today: date | None) -> _Place:
    return step.on if today is not None and step.on is not None else step.month


def _end(step: Step, term_months: int, today: date | None) -> _Place:
    begin = _begin(step, today)
    return after(begin, term_months) if isinstance(begin, date) else begin + term_months


def draw_ladder(ladder: Ladder, wanted: Decimal, *, narrow: bool = False) -> str:
    """The holdings as SVG, with the recommended level across them."""
    width, height = NARROW if narrow else WIDE
    dated = isinstance(ladder.holdings[0].start, date)
    rectangles: list[dict[str, Any]] = []
    for one in ladder.holdings:
        span = {"start": _x(one.start), "end": _x(one.end)}
        for slot, low, high in (("owned", 0, one.owned), ("commit", one.owned, one.owned + one.bought)):
            if high > low:
                rectangles.append({**span, "low": low / NANOS, "high": high / NANOS, "slot": slot})
    x = {"field": "start", **time_axis(dated, "months from now", 3 if narrow else 8)}
    first, last = _x(ladder.holdings[0].start), _x(ladder.holdings[-1].end)
    x["scale"]["domain"] = [first, last + (last - first) * _BEYOND]
    y = {"field": "low", "type": "quantitative", "scale": {"zero": True, "nice": True}, "axis": y_axis("~s")}
    colour = {
        "field": "slot",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["owned", "commit"], "range": ["var(--owned-area)", "var(--commit-area)"]},
    }
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rect", "strokeWidth": 0.7},
            "encoding": {
                "x": x,
                "x2": {"field": "end"},
                "y": y,
                "y2": {"field": "high"},
                "fill": colour,
                "stroke": colour,
            },
        },
        {
            "data": {"values": [{"low": float(wanted)}]},
            "mark": {"type": "rule", "stroke": "var(--commit)", "strokeWidth": 2, "strokeDash": [6, 4]},
            "encoding": {"y": y},
        },
    ]
    text = {"type": "text", "align": "left", "baseline": "top", "dx": 5, "dy": 4, "fontSize": 12, "fill": "var(--text)"}
    at = {"x": x, "y": y, "text": {"field": "text"}}
    layers.append({"data": {"values": _labels(ladder, width, height)}, "mark": text, "encoding": at})
    return svg(frame(width, height, layers, rectangles))


def _labels(ladder: Ladder, width: int, height: int) -> list[dict[str, Any]]:
    """The size of each purchase at its step, without those that would lie on one before; the table has them all."""
    first, last = _x(ladder.holdings[0].start), _x(ladder.holdings[-1].end)
    tallest = max(one.owned + one.bought for one in ladder.holdings)
    found: list[dict[str, Any]] = []
    taken: list[tuple[float, float]] = []
    for at, nanos, level in ladder.purchases:
        place = ((_x(at) - first) / max(last - first, 1) * width, level / tallest * height)
        if all(abs(place[0] - x) > _LABEL[0] or abs(place[1] - y) > _LABEL[1] for x, y in taken):
            taken.append(place)
            found.append({"start": _x(at), "low": level / NANOS, "text": f"+{level_text(gpus(nanos))}"})
    return found


def _x(place: _Place) -> int:
    return milliseconds(place) if isinstance(place, date) else place
