"""Budget alerts from a CSV file: what was crossed, and when somebody did something about it.

One row an alert, with the times of its life: crossed, raised, acknowledged, acted on. The budget alerts of clouds and
of ticket systems can all be written so. The response clock, which is what the KPI measures, runs from the crossing to
the corrective action, not from the mail.

The traps: a threshold of ``80`` may mean 80% or 80 times the budget, so it must be written ``0.8`` or ``80%``; an
empty ``acted_at`` means that nothing was done yet, and is not zero seconds; times without a zone are UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from outlay.ledger.tables.alerts import ALERTS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact, Value
from outlay.sources.reader import Format
from outlay.sources.records.cells import currency, fold, instant, number, text

__all__ = ["AlertsReader"]

_NEEDED = ("alert_id", "budget", "threshold", "crossed_at")
_TIMES = ("crossed_at", "raised_at", "acknowledged_at", "acted_at")
_OWN = {*_NEEDED, *_TIMES, "amount", "currency", "by", "action"}
_ORDER = (
    ("crossed_at", "raised_at"),
    ("crossed_at", "acknowledged_at"),
    ("crossed_at", "acted_at"),
    ("raised_at", "acknowledged_at"),
)
"""What can't be before what. Somebody may act before anyone acknowledges, or before the alert goes out."""
_MOST = Decimal(5)  # times the budget; a larger number is a percentage that does not say so
_PLACES = Decimal("0.000001")


class AlertsReader:
    """Reads one row an alert; an alert told again, in this file or a later one, replaces what was known of it."""

    format = Format(
        "alerts",
        "Budget alerts and their clocks (CSV)",
        "A CSV with alert_id, budget, threshold, crossed_at, and where known amount, currency, raised_at, "
        "acknowledged_at, acted_at, by, action.",
    )
    table = ALERTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """The four columns that every alert needs."""
        return file.kind == "csv" and {fold(name) for name in file.header} >= set(_NEEDED)

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """A row an alert; columns that are none of the alert's own are tags."""
        names = {fold(name): name for name in reversed(file.header)}
        own = {names[key] for key in _OWN & set(names)}
        for found in file.records():
            if isinstance(found, Problem):
                yield found
                continue
            line, row = found
            record = {key: row[name] for key, name in names.items() if key in _OWN}
            tags = {name: tag for name in row if name and name not in own and (tag := text(row, name))}
            try:
                values = _values(record)
                yield Fact(str(values["x_AlertId"]), line, values, tags)
            except Unusable as error:
                yield error.problem(file, line)


def _values(record: Mapping[str, str | None]) -> dict[str, Value]:
    for key in ("alert_id", "budget"):
        if text(record, key) is None:
            raise Unusable("unusable-record", f"{key} is empty")
    times = {key: instant(record, key) for key in _TIMES}
    if times["crossed_at"] is None:
        raise Unusable("missing-time", "the alert has no crossed_at")
    for before, after in _ORDER:
        first, second = times[before], times[after]
        if first is not None and second is not None and second < first:
            raise Unusable("unusable-record", f"{after} ({second}) is before {before} ({first})")
    amount = number(record, "amount")
    values: dict[str, Value] = {
        "x_AlertId": text(record, "alert_id"),
        "x_Budget": text(record, "budget"),
        "x_Threshold": _threshold(text(record, "threshold")),
        "x_Amount": amount,
        "x_Currency": currency(record, "currency", amount),
        **times,
        "x_By": text(record, "by"),
        "x_Action": text(record, "action"),
    }
    return {column: value for column, value in values.items() if value is not None}


def _threshold(shown: str | None) -> Decimal:
    """A share of the budget: ``0.8``, or ``80%``."""
    if shown is None:
        raise Unusable("unusable-record", "threshold is empty")
    of_hundred = shown.endswith("%")
    found = number({"threshold": shown.removesuffix("%")}, "threshold")
    if found is None:
        raise Unusable("unparsable-amount", f"threshold is no number: {shown[:60]!r}")
    share = found / 100 if of_hundred else found
    if not of_hundred and share > _MOST:
        raise Unusable("unusable-record", f"threshold {shown[:60]} is unclear: write 0.8 or 80%")
    if not 0 < share < 1000:
        raise Unusable("unusable-record", f"threshold {shown[:60]} is no share of a budget")
    rounded = share.quantize(_PLACES, rounding=ROUND_HALF_EVEN)
    if not rounded:
        raise Unusable("unusable-record", f"threshold {shown[:60]} is no share of a budget")
    return rounded
