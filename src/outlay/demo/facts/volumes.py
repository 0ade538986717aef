"""How much each line of the bill used on each day, whatever the grain that the bill shows it in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from outlay.demo.catalogue import SERVICES
from outlay.demo.chance import MIX_MACROS
from outlay.demo.counts import Part, daily_sql, shapes
from outlay.demo.lines import Calendar, Line
from outlay.ledger.engine.duckdb import session

if TYPE_CHECKING:
    import duckdb

__all__ = ["by_day", "cost_by_team"]


def by_day(lines: Sequence[Line], calendar: Calendar, since: int, until: int) -> list[dict[int, int]]:
    """For each of ``lines``: day (since 1970, in ``[since, until)``) -> counted units. Days without any are absent."""
    found: list[dict[int, int]] = [{} for _ in lines]
    with session() as connection:
        _count(connection, lines, calendar, since, until)
        for line, day, n in connection.execute("SELECT line, day, n FROM counted").fetchall():
            found[line][day] = n
    return found


def cost_by_team(lines: Sequence[Line], calendar: Calendar, since: int, until: int) -> Mapping[str, dict[int, Decimal]]:
    """Team -> day -> effective cost in USD of the ``lines`` that carry a ``team`` tag."""
    tagged = [line for line in lines if line.tags and "team" in line.tags]
    prices = pa.table(
        {
            "line": pa.array(range(len(tagged)), pa.int32()),
            "team": [(line.tags or {})["team"] for line in tagged],
            "price": pa.array([line.sku.per_unit * line.effective_price for line in tagged], pa.decimal128(20, 15)),
        }
    )
    found: dict[str, dict[int, Decimal]] = defaultdict(dict)
    with session() as connection:
        _count(connection, tagged, calendar, since, until)
        connection.register("prices", prices)
        rows = connection.execute(
            "SELECT team, day, sum(n::DECIMAL(18,0) * price) FROM counted JOIN prices USING (line) GROUP BY team, day"
        ).fetchall()
    for team, day, cost in rows:
        found[team][day] = cost
    return found


def _count(
    connection: duckdb.DuckDBPyConnection, lines: Sequence[Line], calendar: Calendar, since: int, until: int
) -> None:
    """Table ``counted`` (line, day, n) of all lines."""
    connection.execute(MIX_MACROS)
    connection.register("arriving", shapes(lines, calendar))
    connection.execute("CREATE TEMP TABLE shapes AS SELECT * FROM arriving")
    providers = sorted({SERVICES[line.sku.service].provider for line in lines})
    parts = [Part(name, "", since, until, since, until, "") for name in providers]
    connection.execute("CREATE TEMP TABLE counted (line INTEGER, day BIGINT, n BIGINT)")
    for part in parts:
        connection.execute(f"INSERT INTO counted {daily_sql(part)}")
