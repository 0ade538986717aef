"""The charts of a pool: its demand, and saving against commitment. (:mod:`~.commit_ladder` draws the ladder.)

Demand is drawn by the hour up to six weeks, then as the mean and the range of each day, of each week beyond two years.
It is drawn in steps, because an hour's figure holds for that hour; where nothing is known the line stops and the
ground is shaded, since a line across would be a claim and a line at 0 a false one.

The second chart is the curve on which a commitment is chosen: what each quantity would have saved of the on-demand
cost, at the price of the offer that would have saved most.

Floats exist only inside the drawings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from outlay.optimize.commitments.demand import HOURS_A_DAY, HOURS_A_WEEK, NANOS, Demand
from outlay.report.drawing import NARROW, WIDE, milliseconds, svg

__all__ = [
    "Level",
    "Mark",
    "demand_steps",
    "draw_curve",
    "draw_demand",
    "frame",
    "grain_of",
    "time_axis",
    "within",
    "y_axis",
]

_HOURS_AS_HOURS = 6 * HOURS_A_WEEK
_DAYS_AS_DAYS = 731
_MONDAY = datetime(1970, 1, 5)
_LEAST_HEIGHT = 0.1
_LABEL_HEIGHT = 17
_ROOM = {False: 0.8, True: 0.6}  # a label right of this share of the width, wide or narrow, would be cut
_Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Level:
    """A quantity drawn across the demand; ``slot`` names its CSS class and colour, ``dash`` its line."""

    name: str
    slot: str
    dash: tuple[int, ...]
    value: Decimal


@dataclass(frozen=True, slots=True)
class Mark:
    """A point on the curve, with its label. Small ones are drawn over large ones, so that none is hidden."""

    name: str
    slot: str
    shape: str
    quantity: Decimal
    rate: Decimal
    text: str
    size: int


def grain_of(demand: Demand) -> str:
    """How demand of that length is drawn: by ``hour``, ``day`` or ``week``."""
    if len(demand) <= _HOURS_AS_HOURS:
        return "hour"
    return "day" if len(demand) <= _DAYS_AS_DAYS * HOURS_A_DAY else "week"


def draw_demand(demand: Demand, levels: Sequence[Level], *, narrow: bool = False) -> str:
    """Demand over time with levels across it, as SVG."""
    width, height = NARROW if narrow else WIDE
    steps, gaps = demand_steps(demand)
    x = {"field": "at", **time_axis(isinstance(demand.first, datetime), "day", 3 if narrow else 8)}
    y: _Spec = {"field": "mean", "type": "quantitative", "scale": {"zero": True, "nice": True}, "axis": y_axis("~s")}
    layers: list[_Spec] = [
        {
            "data": {"values": gaps},
            "mark": {"type": "rect", "fill": "var(--gap)"},
            "encoding": {"x": {**x, "field": "start"}, "x2": {"field": "end"}},
        },
        {
            "mark": {"type": "area", "fill": "var(--bar)", "fillOpacity": 0.22},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "detail": {"field": "run"}},
        },
        {
            "mark": {"type": "line", "stroke": "var(--bar)", "strokeWidth": 1.5, "strokeCap": "round"},
            "encoding": {"x": x, "y": y, "detail": {"field": "run"}},
        },
        *(
            {
                "data": {"values": [{"mean": float(one.value)}]},
                "mark": {"type": "rule", "stroke": f"var(--{one.slot})", "strokeWidth": 2, "strokeDash": one.dash},
                "encoding": {"y": y},
            }
            for one in levels
        ),
    ]
    return svg(frame(width, height, layers if gaps else layers[1:], steps))


def demand_steps(demand: Demand) -> tuple[list[_Spec], list[_Spec]]:
    """Two points a bucket, in runs without a gap; and the stretches of which nothing is known."""
    size = {"hour": 1, "day": HOURS_A_DAY, "week": HOURS_A_WEEK}[grain_of(demand)]
    hours = len(demand)
    since = -demand.position(_MONDAY) if isinstance(demand.first, datetime) else demand.first
    front = since % size
    padding = (front, -(front + hours) % size)
    nanos = np.pad(demand.nanos, padding).reshape(-1, size)
    known = np.pad(demand.known, padding).reshape(-1, size)
    counts = known.sum(axis=1)
    means = nanos.sum(axis=1) / np.maximum(counts, 1) / NANOS
    lows = np.where(known, nanos, np.iinfo(np.int64).max).min(axis=1) / NANOS
    highs = nanos.max(axis=1) / NANOS
    steps: list[_Spec] = []
    gaps: list[_Spec] = []
    run = 0
    for number, count in enumerate(counts.tolist()):
        start = max(0, number * size - front)
        edges = [_place(demand, start), _place(demand, min(hours, (number + 1) * size - front))]
        if count:
            figures = {"mean": float(means[number]), "low": float(lows[number]), "high": float(highs[number])}
            steps += [{"at": edge, "run": run, **figures} for edge in edges]
        elif gaps and gaps[-1]["end"] == edges[0]:
            gaps[-1]["end"] = edges[1]
        else:
            gaps.append({"start": edges[0], "end": edges[1]})
            run += 1
    return steps, gaps


def _place(demand: Demand, position: int) -> float:
    """On the axis: milliseconds, or days where hours are only counted."""
    at = demand.at(position)
    return milliseconds(at) if isinstance(at, datetime) else at / HOURS_A_DAY


def within(points: Sequence[tuple[Decimal, Decimal]]) -> list[tuple[Decimal, Decimal]]:
    """The curve up to where it loses as much as it could have saved: past it a drawing would show little but loss."""
    most = max((rate for _, rate in points), default=Decimal(0))
    return [point for point in points if point[1] >= -max(most, Decimal(str(_LEAST_HEIGHT)))]


def draw_curve(points: Sequence[tuple[Decimal, Decimal]], marks: Sequence[Mark], unit: str, *, narrow: bool) -> str:
    """Saving rate by quantity as SVG, with marks whose labels stand in rows of their own above the curve."""
    width, height = NARROW if narrow else WIDE
    shown = [(float(quantity), float(rate)) for quantity, rate in points]
    marked = [(float(mark.quantity), float(mark.rate)) for mark in marks]
    peak = max(quantity for quantity, _ in shown + marked)
    low, high = (limit([0.0, *(rate for _, rate in shown + marked)]) for limit in (min, max))
    free = 1 - (_LABEL_HEIGHT * len(marks) + 10) / height
    top = low + max(high - low, _LEAST_HEIGHT) / free
    x: _Spec = {
        "field": "quantity",
        "type": "quantitative",
        "scale": {"domain": [0, peak or 1], "nice": False},
        "axis": {**_x_axis(3 if narrow else 8), "title": f"committed {unit}", "format": ",~r" if peak > 10 else "~g"},
    }
    y: _Spec = {
        "field": "rate",
        "type": "quantitative",
        "scale": {"domain": [low, top], "nice": False},
        "axis": y_axis(".0%"),
    }
    layers: list[_Spec] = [
        {
            "data": {"values": [{"rate": 0}]},
            "mark": {"type": "rule", "stroke": "var(--line-strong)"},
            "encoding": {"y": y},
        },
        {
            "mark": {"type": "line", "stroke": "var(--bar)", "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "order": {"field": "quantity"}},
        },
    ]
    labels: list[_Spec] = []
    dots: list[tuple[int, _Spec]] = []
    for row, mark in enumerate(_in_rows(marks, peak * _ROOM[narrow])):
        data = {"values": [{"quantity": float(mark.quantity), "rate": float(mark.rate)}]}
        right = mark.quantity > peak * _ROOM[narrow]
        row_at = {"value": 9 + row * _LABEL_HEIGHT}
        text: _Spec = {"type": "text", "align": "right" if right else "left", "dx": -6 if right else 6, "fontSize": 12}
        at: _Spec = {"x": x, "y": row_at, "text": {"value": mark.name if narrow else f"{mark.name}: {mark.text}"}}
        rule = {"type": "rule", "stroke": f"var(--{mark.slot})", "strokeWidth": 1}
        dot = {"type": "point", "shape": mark.shape, "size": mark.size, "fill": f"var(--{mark.slot})", "opacity": 1}
        edge = {"stroke": "var(--surface)", "strokeWidth": 1.5}
        labels += [
            {"data": data, "mark": rule, "encoding": {"x": x, "y": y, "y2": row_at}},
            {"data": data, "mark": {**text, "stroke": "var(--surface)", "strokeWidth": 4}, "encoding": at},
            {"data": data, "mark": {**text, "fill": "var(--text)"}, "encoding": at},
        ]
        dots.append((mark.size, {"data": data, "mark": {**dot, **edge}, "encoding": {"x": x, "y": y}}))
    layers += labels + [layer for _, layer in sorted(dots, key=lambda one: -one[0])]
    return svg(frame(width, height, layers, [{"quantity": quantity, "rate": rate} for quantity, rate in shown]))


def _in_rows(marks: Sequence[Mark], edge: float) -> list[Mark]:
    """Labels from the top row down so that no label lies under the line of another on its side of ``edge``."""
    left = sorted((mark for mark in marks if mark.quantity <= edge), key=lambda mark: mark.quantity)
    right = sorted((mark for mark in marks if mark.quantity > edge), key=lambda mark: -mark.quantity)
    return left + right


def frame(width: int, height: int, layers: Sequence[_Spec], values: Sequence[_Spec]) -> _Spec:
    """A chart of layers over ``values``."""
    return {
        "width": width,
        "height": height,
        "padding": {"left": 12, "right": 8, "top": 6, "bottom": 2},
        "data": {"values": list(values)},
        "layer": list(layers),
    }


def _x_axis(ticks: int) -> _Spec:
    return {
        "title": None,
        "grid": False,
        "tickCount": ticks,
        "domainColor": "var(--line-strong)",
        "tickColor": "var(--line-strong)",
        "labelFlush": True,
        "labelOverlap": True,
        "labelSeparation": 14,
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
    }


def time_axis(dated: bool, counted: str, ticks: int) -> _Spec:
    """Dates in UTC; where time is only counted, its number with what it counts."""
    axis = _x_axis(ticks)
    if dated:
        return {"type": "temporal", "scale": {"type": "utc", "nice": False}, "axis": {**axis, "format": "%-d %b %y"}}
    return {"type": "quantitative", "scale": {"nice": False, "zero": False}, "axis": {**axis, "title": counted}}


def y_axis(form: str) -> _Spec:
    """Light lines and numbers in the format ``form``."""
    return {
        "title": None,
        "domain": False,
        "ticks": False,
        "gridColor": "var(--line)",
        "tickCount": 5,
        "format": form,
    }
