"""Providers whose EffectiveCost can't be used, found the same way by a load and by ``outlay overspend``.

Some exports round EffectiveCost to whole numbers (a real FOCUS sample does). The rule: on five usage rows or more
BilledCost has decimals, and on none EffectiveCost has. Purchases are not asked: FOCUS gives them an EffectiveCost of 0,
and their use may cost whole amounts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["NO_PROVIDER", "degenerate_providers"]

NO_PROVIDER = "(no provider)"
_ROWS_FROM = 5


def degenerate_providers(connection: duckdb.DuckDBPyConnection, groups: str, rows: Callable[[], str]) -> list[str]:
    """Their names, :data:`NO_PROVIDER` for rows that name none.

    ``groups`` is a SELECT of sums of good rows (``provider``, ``billed``, ``effective``, ``effective_rows``), ``rows``
    gives a SELECT of typed rows. A sum with decimals proves a row with decimals, so the rows are looked at only where
    every effective sum is whole.
    """
    suspects = connection.execute(
        f"SELECT coalesce(provider, {literal(NO_PROVIDER)}) FROM ({groups}) GROUP BY 1 "
        "HAVING sum(effective_rows) > 0 AND bool_and(effective IS NULL OR effective = round(effective, 0)) "
        "AND bool_or(billed <> round(billed, 0)) ORDER BY 1"
    ).fetchall()
    if not suspects:
        return []
    names = ", ".join(literal(row[0]) for row in suspects)
    provider = f'coalesce("ServiceProviderName", {literal(NO_PROVIDER)})'
    found = connection.execute(
        f"SELECT {provider} FROM ({rows()}) WHERE __problem IS NULL AND {provider} IN ({names}) "
        "AND coalesce(\"ChargeCategory\", 'Usage') = 'Usage' GROUP BY 1 "
        f'HAVING count(*) FILTER (WHERE "BilledCost" <> round("BilledCost", 0)) >= {_ROWS_FROM} '
        f'AND count(*) FILTER (WHERE "EffectiveCost" <> round("EffectiveCost", 0)) = 0 ORDER BY 1'
    ).fetchall()
    return [row[0] for row in found]
