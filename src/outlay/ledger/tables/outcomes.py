"""The ``outcomes`` table: what the business got, by use case and day.

Revenue, tickets resolved, users served: whatever a team counts. It is what unit economics divides cost by, so each
measure keeps its own unit, and amounts of money their currency.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column, FactTable
from outlay.money import MONEY_SQL

__all__ = ["OUTCOMES"]

OUTCOMES = FactTable(
    name="outcomes",
    meaning="business outcomes by use case and day",
    time=("date",),
    measures=("x_Value",),
    own=(
        Column("date", "DATE", False, meaning="the day"),
        Column("x_UseCase", "VARCHAR", False, meaning="the use case, as the tag use_case names it"),
        Column("x_Measure", "VARCHAR", False, meaning="what was counted: revenue, tickets resolved, users served, …"),
        Column("x_Value", MONEY_SQL, False, meaning="how much or how many"),
        Column("x_Unit", "VARCHAR", False, meaning="its unit: an ISO 4217 currency for money, else a word"),
    ),
)
