"""The one picture of the report: AI cost over time, stacked by kind.

Days are shown as days up to 120 of them, as weeks (from Monday) up to two years, as months beyond. The eight
costliest kinds have a colour of their own, the rest is one grey series, and spend of which nothing says what it was
for is always its own grey series: what is unknown must not look like an answer. A first or last bar that the window
cuts is drawn paler, since it is not comparable.

Sums stay exact decimals; floats exist only inside the drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from outlay.money import add_exactly
from outlay.report.drawing import NARROW, WIDE, milliseconds, svg
from outlay.report.wording import currency_symbol, kind_label

__all__ = ["Chart", "Period", "Series", "cost_chart", "draw"]

_LARGEST_KINDS = 8
_DAYS_AS_DAYS = 120
_DAYS_AS_WEEKS = 731
_DAYS_AS_DATES = 200


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of the stack. ``slot`` names its CSS colour: ``1`` to ``8``, ``unknown`` or ``rest``."""

    label: str
    slot: str
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Period:
    """One bar, ``[start, end)``; ``amounts`` go with the chart's series. ``partial`` when the window cuts it."""

    start: date
    end: date
    partial: bool
    amounts: tuple[Decimal, ...]

    @property
    def total(self) -> Decimal:
        """The height of the bar."""
        return add_exactly(self.amounts)


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, exactly: the same figures stand in the table below the drawing."""

    grain: str
    series: tuple[Series, ...]
    periods: tuple[Period, ...]


def cost_chart(days: Sequence[tuple[date, str, Decimal]], since: datetime, until: datetime) -> Chart | None:
    """The chart of ``(day, kind, cost)`` in the window ``[since, until)``; None when there was none."""
    days = [one for one in days if one[2] != 0]
    if not days:
        return None
    first, last = days[0][0], days[-1][0]
    span = (last - first).days + 1
    grain = "day" if span <= _DAYS_AS_DAYS else "week" if span <= _DAYS_AS_WEEKS else "month"
    series, index = _series(days)
    sums: dict[date, list[list[Decimal]]] = {}
    for moment, kind, cost in days:
        start = _start(moment, grain)
        sums.setdefault(start, [[] for _ in series])[index[kind]].append(cost)
    opened, closed = since.date(), (until - timedelta(microseconds=1)).date()
    periods = tuple(
        Period(
            start,
            _end(start, grain),
            start < opened or _end(start, grain) - timedelta(days=1) > closed,
            tuple(add_exactly(costs) for costs in columns),
        )
        for start, columns in sorted(sums.items())
    )
    return Chart(grain, series, periods)


def _series(days: Iterable[tuple[date, str, Decimal]]) -> tuple[tuple[Series, ...], dict[str, int]]:
    """The series from the bottom of the stack up, and the series that each kind belongs to."""
    costs: dict[str, list[Decimal]] = {}
    for _, kind, cost in days:
        costs.setdefault(kind, []).append(cost)
    sums = {kind: add_exactly(found) for kind, found in costs.items()}
    known = sorted((kind for kind in sums if not _unknown(kind)), key=lambda kind: (-sums[kind], kind))
    shown, rest = known[:_LARGEST_KINDS], known[_LARGEST_KINDS:]
    unknown = sorted(kind for kind in sums if _unknown(kind))
    series = [Series(kind_label(kind), str(number), sums[kind]) for number, kind in enumerate(shown, start=1)]
    index = {kind: number for number, kind in enumerate(shown)}
    for kinds, label, slot in (
        (rest, f"Other ({len(rest)} kinds)", "rest"),
        (unknown, kind_label(unknown[0]) if len(unknown) == 1 else "Not stated on the bill", "unknown"),
    ):
        if kinds:
            index |= dict.fromkeys(kinds, len(series))
            series.append(Series(label, slot, add_exactly(sums[kind] for kind in kinds)))
    return tuple(series), index


def _unknown(kind: str) -> bool:
    return kind == "ai_other" or kind.endswith(" / other")


def _start(moment: date, grain: str) -> date:
    if grain == "week":
        return moment - timedelta(days=moment.weekday())
    return moment.replace(day=1) if grain == "month" else moment


def _end(start: date, grain: str) -> date:
    if grain == "month":
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=7 if grain == "week" else 1)


def draw(chart: Chart, currency: str, *, narrow: bool = False) -> str:
    """The chart as SVG markup. Raises :class:`MissingExtraError` when the drawing package is not installed."""
    return svg(_specification(chart, currency, *(NARROW if narrow else WIDE)))


def _specification(chart: Chart, currency: str, width: int, height: int) -> dict[str, Any]:
    ticks = 4 if width < WIDE[0] else 10
    short = (chart.periods[-1].end - chart.periods[0].start).days <= _DAYS_AS_DATES
    x = {
        "field": "start",
        "type": "temporal",
        "scale": {"type": "utc", "nice": False},
        "axis": {
            "title": None,
            "grid": False,
            "tickCount": ticks,
            "domainColor": "var(--line-strong)",
            "tickColor": "var(--line-strong)",
            "labelFlush": True,
            "labelOverlap": True,
            "format": "%-d %b" if short else "%b %Y",
        },
    }
    y = {
        "field": "low",
        "type": "quantitative",
        "scale": {"zero": True, "nice": True},
        "axis": {
            "title": None,
            "domain": False,
            "ticks": False,
            "gridColor": "var(--line)",
            "tickCount": 5,
            "labelExpr": f"'{currency_symbol(currency)}' + replace(format(datum.value, '~s'), 'G', 'B')",
        },
    }
    slots = [series.slot for series in chart.series]
    return {
        "width": width,
        "height": height,
        "padding": {"left": 12, "right": 8, "top": 6, "bottom": 2},
        "data": {"values": _rectangles(chart)},
        "mark": {"type": "rect", "aria": False, "stroke": "var(--surface)", "strokeWidth": 0.6},
        "encoding": {
            "x": x,
            "x2": {"field": "end"},
            "y": y,
            "y2": {"field": "high"},
            "color": {
                "field": "slot",
                "type": "nominal",
                "legend": None,
                "scale": {"domain": slots, "range": [f"var(--series-{slot})" for slot in slots]},
            },
            "opacity": {"condition": {"test": "datum.partial", "value": 0.45}, "value": 1},
        },
    }


def _rectangles(chart: Chart) -> list[dict[str, Any]]:
    """One rectangle an amount, stacked here: charges upwards from nothing, credits downwards."""
    values: list[dict[str, Any]] = []
    for period in chart.periods:
        up = down = Decimal(0)
        for series, amount in zip(chart.series, period.amounts, strict=True):
            if amount == 0:
                continue
            base = up if amount > 0 else down
            if amount > 0:
                up += amount
            else:
                down += amount
            values.append(
                {
                    "start": milliseconds(period.start),
                    "end": milliseconds(period.end),
                    "low": float(base),
                    "high": float(base + amount),
                    "slot": series.slot,
                    "partial": period.partial,
                }
            )
    return values
