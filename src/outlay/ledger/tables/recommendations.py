"""The ``recommendations`` table: what was recommended for each pool of GPUs each time that it was computed.

Rows are only ever added, all pools of one computation in one commit, so the table says what was recommended at any
time, on what demand, and when and why it was withdrawn. Files are put together where there are many, row for row. What
stands now are the rows of the newest ``at``. A row carries since when it has held, so that nobody has to read all that
came before it.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column
from outlay.money import MONEY_SQL

__all__ = ["CHANGES", "RECOMMENDATIONS", "RECOMMENDATIONS_PARTITION", "TRIGGERS"]

RECOMMENDATIONS_PARTITION = ("x_Trigger", "x_Month")
TRIGGERS = ("load", "daily", "asked")
CHANGES = ("new", "changed", "fulfilled", "withdrawn")
_VERDICTS = ("commit", "wait", "never")

RECOMMENDATIONS: tuple[Column, ...] = (
    Column("at", "TIMESTAMP", False, meaning="when it was computed, UTC; the same for all pools of one computation"),
    Column("pool", "VARCHAR", False, meaning="GPU/region/workload; pools that share an offer are joined by a bar"),
    Column("verdict", "VARCHAR", False, allowed=_VERDICTS, meaning="commit, wait or never"),
    Column("since", "TIMESTAMP", False, meaning="the first computation since which it has held"),
    Column("because", "VARCHAR", False, meaning="the reason that decided"),
    Column("reasons", "VARCHAR", False, meaning="all reasons, a JSON list"),
    Column("would_change", "VARCHAR", False, meaning="what would change it, a JSON list"),
    Column("offer", "VARCHAR", meaning="the offer to buy; null unless the verdict is commit, as are the next five"),
    Column("level", MONEY_SQL, meaning="how much to be committed to in all, what is owned included"),
    Column("level_then", MONEY_SQL, meaning="the level at since"),
    Column("buy", MONEY_SQL, meaning="how much of it is to be bought"),
    Column("currency", "VARCHAR", meaning="ISO 4217, of the offer"),
    Column("p50", MONEY_SQL, meaning="median saving over the term, an estimate; null without simulated futures"),
    Column("unit", "VARCHAR", False, meaning="of the quantities: GPUs, or on-demand money per hour"),
    Column("owned", MONEY_SQL, False, meaning="how much was owned then"),
    Column("change", "VARCHAR", allowed=CHANGES, meaning="what changed at this computation; null where it went on"),
    Column("verdict_before", "VARCHAR", allowed=_VERDICTS, meaning="what it took the place of; null without a change"),
    Column("since_before", "TIMESTAMP", meaning="since when that had held"),
    Column("offer_before", "VARCHAR", meaning="the offer of that"),
    Column("level_before", MONEY_SQL, meaning="the level of that"),
    Column("demand_until", "TIMESTAMP", meaning="the end of the demand that it rests on"),
    Column("inputs", "VARCHAR", False, meaning="digest of demand, offers, settings and what is owned"),
    Column("glance", "VARCHAR", meaning="digest of the files, offers and settings that all that was read from"),
    Column("tables", "VARCHAR", False, meaning="versions of the tables that it was computed from, a JSON object"),
    Column("x_Trigger", "VARCHAR", False, allowed=TRIGGERS, meaning="why it was computed: load, daily or asked"),
    Column("x_Month", "VARCHAR", False, meaning="YYYY-MM of at"),
)
