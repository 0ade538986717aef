"""Budget alerts of the last months: a team's AI spend reached 80% of its budget, and somebody acted, late, or not yet.

The budgets are drawn from the bill: the amount is such that the threshold is reached with the end of the day on which
the alert says that it was. The clock runs from there to the action.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

from outlay.demo.chance import key_of, mix
from outlay.demo.facts.volumes import cost_by_team
from outlay.demo.lines import Calendar, Line, day_text
from outlay.money import plain

__all__ = ["write_alerts"]

_MONTHS = 3
_TEAMS = ("assistant", "research", "search", "vision")
_THRESHOLD = Decimal("0.8")
_LATE_AFTER = 48
_RESPONSES = (9, 62, 26, 5, 31, 14, 40, 20, 11, 28, 7)
"""Hours from the crossing to the action, alert after alert; one is late. The last alert is open."""

_TIMES = ("crossed_at", "raised_at", "acknowledged_at", "acted_at")
_COLUMNS = ("alert_id", "budget", "threshold", "amount", "currency", *_TIMES, "by", "action", "team", "synthetic")
_ACTIONS = ("capped the batch jobs", "turned off notebooks", "moved to a smaller model", "raised the budget")


@dataclass(frozen=True, slots=True)
class _Alert:
    """``crossed`` is the day that begins when the threshold has been reached; ``hours`` from then to the action."""

    team: str
    month: str
    amount: int
    crossed: int
    hours: int | None


def write_alerts(
    folder: Path, lines: Sequence[Line], calendar: Calendar, seed: int
) -> tuple[list[Path], dict[str, object]]:
    """Writes an alert a team and month; returns the file and what it holds."""
    ai = [line for line in lines if line.is_ai and line.charge_category == "Usage"]
    spent = cost_by_team(ai, calendar, calendar.months[-_MONTHS:][0][1], calendar.last_day)
    alerts = list(_alerts(spent, calendar, seed))
    path = folder / "synthetic-alerts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for number, alert in enumerate(alerts):
            writer.writerow(_row(alert, number))
    return [path], {"alerts": _told(alerts)}


def _alerts(spent: Mapping[str, Mapping[int, Decimal]], calendar: Calendar, seed: int) -> Iterator[_Alert]:
    number = 0
    months = calendar.months[-_MONTHS:]
    for month, first, last in months:
        for team in _TEAMS:
            days = spent.get(team, {})
            crossed = min(last - 1, first + 20 + mix(key_of(seed, team, "budget"), first) % 5)
            before = sum((days.get(day, Decimal(0)) for day in range(first, crossed)), Decimal(0))
            amount = max(1, int((before / _THRESHOLD).to_integral_value(ROUND_FLOOR)))
            final = month == months[-1][0] and team == _TEAMS[-1]
            yield _Alert(team, month, amount, crossed, None if final else _RESPONSES[number])
            number += 1


def _row(alert: _Alert, number: int) -> Sequence[str | int]:
    acted = "" if alert.hours is None else _at(alert, alert.hours)
    return (
        f"synthetic-{alert.month}-{alert.team}",
        f"{alert.team} AI {alert.month}",
        str(_THRESHOLD),
        alert.amount,
        "USD",
        _at(alert, 0),
        _at(alert, 1),
        "" if alert.hours is None else _at(alert, 2 + alert.hours // 3),
        acted,
        "" if alert.hours is None else f"{alert.team} lead",
        "" if alert.hours is None else _ACTIONS[number % len(_ACTIONS)],
        alert.team,
        "true",
    )


def _at(alert: _Alert, hours: int) -> str:
    return f"{day_text(alert.crossed + hours // 24)}T{hours % 24:02}:00:00Z"


def _told(alerts: Sequence[_Alert]) -> dict[str, object]:
    answered = [alert.hours for alert in alerts if alert.hours is not None]
    return {
        "alerts": len(alerts),
        "acted": len(answered),
        "open": len(alerts) - len(answered),
        "late": sum(hours > _LATE_AFTER for hours in answered),
        "late_is": f"acted more than {_LATE_AFTER} hours after the crossing; the open one is apart",
        "response_hours": str(sum(answered)),
        "response_hours_is": "sum over the acted ones, from crossing to action; the mean is this / acted",
        "budgets": {f"{alert.team} AI {alert.month}": plain(Decimal(alert.amount)) for alert in alerts},
    }
