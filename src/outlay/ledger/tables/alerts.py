"""The ``alerts`` table: what budget alerts did and when people acted.

The record that budget alerting writes (and a CSV can): when the threshold was crossed, when the alert was raised,
acknowledged, acted on. The response clock runs from the crossing to the corrective action.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column, FactTable
from outlay.money import MONEY_SQL

__all__ = ["ALERTS"]

ALERTS = FactTable(
    name="alerts",
    meaning="budget alerts and their clocks",
    time=("crossed_at",),
    moves=True,
    own=(
        Column("x_AlertId", "VARCHAR", False, meaning="the alert"),
        Column("x_Budget", "VARCHAR", False, meaning="the budget"),
        Column("x_Threshold", "DECIMAL(9,6)", False, meaning="share of the budget, e.g. 0.8"),
        Column("x_Amount", MONEY_SQL, meaning="the budget's amount"),
        Column("x_Currency", "VARCHAR", meaning="its currency"),
        Column("crossed_at", "TIMESTAMP", False, meaning="when spend crossed the threshold"),
        Column("raised_at", "TIMESTAMP", meaning="when the alert went out"),
        Column("acknowledged_at", "TIMESTAMP", meaning="when somebody took it"),
        Column("acted_at", "TIMESTAMP", meaning="when the corrective action was done; null while it is not"),
        Column("x_By", "VARCHAR", meaning="who"),
        Column("x_Action", "VARCHAR", meaning="what was done"),
    ),
)
