"""How much a line uses in an hour, a day or a month: SQL on whole numbers only.

Each line is laid over the hours or days of a part of the bill with ``unnest(range(...))`` and gets a count: hours
run by a schedule, or a volume of tokens or thousandths of a GB that grows over the year, rests at weekends,
follows the hour of the day and varies by a tenth either way. All of it is 64-bit integer arithmetic with
truncating division, so every machine and every version of the engine counts the same. 1970-01-01 was a Thursday,
hence ``(day + 3) % 7``: Monday is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from outlay.demo.catalogue import SERVICES
from outlay.demo.lines import Calendar, Line
from outlay.ledger.engine.duckdb import literal

__all__ = ["Part", "daily_sql", "narrow_sql", "shapes"]

_VARIES = 201
"""A volume is 900 to 1100 thousandths of its season."""


@dataclass(frozen=True, slots=True)
class Part:
    """Days ``[first_day, last_day)`` of one month of one provider's bill, and the file they become."""

    provider: str
    month: str
    first_day: int
    last_day: int
    month_first_day: int
    month_last_day: int
    file_name: str


def shapes(lines: Sequence[Line], calendar: Calendar) -> pa.Table:
    """What counting needs to know of each line; ``line`` is its place in ``lines``."""
    columns: dict[str, Sequence[object]] = {
        "line": list(range(len(lines))),
        "provider": [SERVICES[line.sku.service].provider for line in lines],
        "grain": [line.grain for line in lines],
        "counts": [line.counts for line in lines],
        "first_hour": [line.first_hour for line in lines],
        "last_hour": [line.last_hour for line in lines],
        "weekday_from": [line.schedule.weekday[0] for line in lines],
        "weekday_to": [line.schedule.weekday[1] for line in lines],
        "weekend_from": [line.schedule.weekend[0] for line in lines],
        "weekend_to": [line.schedule.weekend[1] for line in lines],
        "wobble": [line.schedule.wobble for line in lines],
        "inverse": [line.schedule.inverse for line in lines],
        "units": [line.units for line in lines],
        "base": [line.base for line in lines],
        "growth_permille": [line.growth_permille for line in lines],
        "weekend_permille": [line.weekend_permille for line in lines],
        "boost": [line.boost for line in lines],
        "chance": [line.chance for line in lines],
        "day_zero": [calendar.first_day] * len(lines),
    }
    return pa.table(columns)


def _volume(amount: str) -> str:
    grown = f"({amount}) * (1000 + growth_permille * (d - day_zero) // 365) // 1000"
    rested = f"{grown} * (CASE WHEN weekend THEN weekend_permille ELSE 1000 END) // 1000"
    return f"greatest(1, {rested} * (900 + mixed % {_VARIES}) // 1000) * boost"


def _late(late_from_day: int | None) -> str:
    """The count ``n``, less a tenth of each volume from a day on if that day is given."""
    if late_from_day is None:
        return "n"
    return f"CASE WHEN counts = 'volume' AND d >= {late_from_day} THEN greatest(1, n * 9 // 10) ELSE n END"


def narrow_sql(part: Part, late_from_day: int | None) -> str:
    """SQL that gives (line, first_hour, last_hour, n) of every row of ``part``.

    Rows by the month stand in the part that ends the month. ``late_from_day``: see
    :meth:`outlay.demo.rows.Writer.write`.
    """
    branches = [_hours_sql(part, late_from_day), _days_sql(part, late_from_day)]
    if part.last_day == part.month_last_day:
        branches.append(_months_sql(part, late_from_day))
    return " UNION ALL ".join(branches)


def daily_sql(part: Part) -> str:
    """SQL that gives (line, day, n) of every day of ``part``, whatever the grain of its rows on the bill.

    A row of a month is the sum of its days, and a day the sum of its hours, so these add up to the bill.
    """
    days = " UNION ALL ".join(
        f"SELECT line, d AS day, n FROM ({_used_by_day(part, grain, part.first_day, part.last_day)}) WHERE n > 0"
        for grain in ("day", "month")
    )
    return f"""
        SELECT line, day::BIGINT AS day, sum(n)::BIGINT AS n FROM (
            SELECT line, first_hour // 24 AS day, n FROM ({_hours_sql(part, None)}) UNION ALL {days})
        GROUP BY line, day ORDER BY line, day"""


def _hours_sql(part: Part, late_from_day: int | None) -> str:
    seasonal = "(base // 24) * (1500 - 80 * abs(h % 24 - 14)) // 1000"
    return f"""
                SELECT line, h AS first_hour, h + 1 AS last_hour, ({_late(late_from_day)})::BIGINT AS n FROM (
                SELECT *, CASE counts WHEN 'volume' THEN {_volume(seasonal)} WHEN 'hours' THEN CASE WHEN (h % 24
                >= start AND h % 24 < stop) <> inverse THEN units ELSE 0 END END AS n FROM ({
        _scheduled(part, "hour", part.first_day, part.last_day)
    }))
        WHERE n > 0"""


def _days_sql(part: Part, late_from_day: int | None) -> str:
    used = _used_by_day(part, "day", part.first_day, part.last_day)
    return f"""
        SELECT line, h, h + 24, ({_late(late_from_day)})::BIGINT FROM ({used}) WHERE n > 0"""


def _months_sql(part: Part, late_from_day: int | None) -> str:
    used = _used_by_day(part, "month", part.month_first_day, part.month_last_day)
    total = f"CASE WHEN any_value(counts) = 'flat' THEN 1 ELSE sum({_late(late_from_day)}) END"
    return f"""
        SELECT line, min(h), max(h) + 24, ({total})::BIGINT FROM ({used})
        GROUP BY line HAVING sum(n) > 0 ORDER BY line"""


def _used_by_day(part: Part, grain: str, first_day: int, last_day: int) -> str:
    return f"""
            SELECT *, CASE counts WHEN 'volume' THEN {_volume("base")}
                ELSE units * CASE WHEN inverse THEN 24 - (stop - start) ELSE stop - start END END AS n
            FROM ({_scheduled(part, grain, first_day, last_day)})"""


def _scheduled(part: Part, grain: str, first_day: int, last_day: int) -> str:
    """Each line of ``grain`` in every bucket between two days, with its schedule's hours ``[start, stop)`` on that day.

    The columns are made in stages, so that the hash stands in the query once and the engine has little to plan.
    """
    hours = 1 if grain == "hour" else 24
    first, last = first_day * 24, last_day * 24
    buckets = f"range(greatest(first_hour, {first}), least(last_hour, {last}), {hours})"
    return f"""
                SELECT *, ends - CASE WHEN wobble > 0 AND ends > start THEN mixed % (wobble + 1) ELSE 0 END AS
                stop FROM ( SELECT *, CASE WHEN weekend THEN weekend_from ELSE weekday_from END AS start, CASE
                WHEN weekend THEN weekend_to ELSE weekday_to END AS ends, mix(chance, time) AS mixed FROM ( SELECT
                *, (d + 3) % 7 >= 5 AS weekend, CASE WHEN counts = 'volume' AND grain = 'hour' THEN h ELSE d END
                AS time FROM ( SELECT *, h // 24 AS d FROM ( SELECT *, unnest({buckets}) AS h FROM shapes
                WHERE provider = {literal(part.provider)} AND grain = '{grain}'
                    AND first_hour < {last} AND last_hour > {first}))))"""
