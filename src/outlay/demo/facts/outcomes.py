"""Business outcomes by use case and day, as a team would write them down: tickets, revenue, documents, users."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from outlay.demo.chance import key_of, mix
from outlay.demo.lines import Calendar, day_text

__all__ = ["write_outcomes"]

_COLUMNS = ("date", "use_case", "measure", "value", "unit", "team", "synthetic")


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a use case brings, on an average weekday at the start; ``weekend`` in thousandths of it."""

    use_case: str
    team: str
    measure: str
    unit: str
    base: int
    weekend: int = 600


_MEASURES = (
    _Measure("chat-assistant", "assistant", "tickets resolved", "tickets", 9_000),
    _Measure("chat-assistant", "assistant", "revenue", "USD", 21_000),
    _Measure("document-extraction", "vision", "documents processed", "documents", 14_000, 200),
    _Measure("query-rewriting", "search", "users served", "users", 85_000, 800),
    _Measure("query-rewriting", "search", "revenue", "USD", 6_500, 800),
)


def write_outcomes(folder: Path, calendar: Calendar, seed: int) -> tuple[list[Path], dict[str, object]]:
    """Writes a row a measure and day; returns the file and the sums."""
    path = folder / "synthetic-outcomes.csv"
    sums: dict[str, dict[str, int]] = {}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for one in _MEASURES:
            of = sums.setdefault(one.use_case, {})
            for day, value in _values(one, calendar, seed):
                writer.writerow((day_text(day), one.use_case, one.measure, value, one.unit, one.team, "true"))
                label = f"{one.measure} [{one.unit}]"
                of[label] = of.get(label, 0) + value
    told = {
        "since": day_text(calendar.first_day),
        "until": day_text(calendar.last_day - 1),
        "rows": len(_MEASURES) * calendar.days,
        "by_use_case": {use_case: {label: str(value) for label, value in of.items()} for use_case, of in sums.items()},
    }
    return [path], {"outcomes": told}


def _values(one: _Measure, calendar: Calendar, seed: int) -> Iterator[tuple[int, int]]:
    chance = key_of(seed, one.use_case, one.measure)
    for day in range(calendar.first_day, calendar.last_day):
        grown = one.base * (1000 + 300 * (day - calendar.first_day) // 365) // 1000
        rested = grown * (one.weekend if (day + 3) % 7 >= 5 else 1000) // 1000
        yield day, rested * (900 + mix(chance, day) % 201) // 1000
