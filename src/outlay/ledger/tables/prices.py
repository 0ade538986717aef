"""The ``prices`` table: every price list that a row of the ledger was priced by, whole, so that it can be priced again.

A row of ``requests`` keeps the version of its price (``x_PriceVersion``). The list of that version stands here from the
load that first used it: what a figure rested on can be read and summed again when the list has long moved on. A row
says what one unit of a meter costs, for whom and when, see :mod:`outlay.prices.price_row`; a version is written once
and never changed.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column
from outlay.money import MONEY_SQL

__all__ = ["PRICES", "PRICES_PARTITION"]

PRICES_PARTITION = ("x_List", "x_Version")

PRICES: tuple[Column, ...] = (
    Column("provider", "VARCHAR", False, meaning="the price list's id of the provider"),
    Column("model", "VARCHAR", False, meaning="its id of the model; * is every model of the provider"),
    Column("meter", "VARCHAR", False, meaning="what is charged, see docs/reference/prices.md"),
    Column("unit_price", MONEY_SQL, meaning="of one unit: a token, a search, a second"),
    Column("multiplier", MONEY_SQL, meaning="of rows that multiply another price (an uplift, a discount)"),
    Column("taken_from", "VARCHAR", meaning="the meter whose price stands in, where the list has none of its own"),
    Column("when", "VARCHAR", meaning="the price context that selects it: processing=batch; empty is the ordinary one"),
    Column("input_tokens_above", "BIGINT", meaning="it holds for calls of more input than this, all of their tokens"),
    Column("time_from", "VARCHAR", meaning="start of the part of the day, HH:MM:SS, UTC"),
    Column("time_to", "VARCHAR", meaning="its end, exclusive; empty is midnight"),
    Column("valid_from", "TIMESTAMP", meaning="start of its validity, UTC; empty is ever"),
    Column("valid_to", "TIMESTAMP", meaning="its end, exclusive; empty is open"),
    Column("currency", "VARCHAR", False, meaning="ISO 4217"),
    Column("source", "VARCHAR", meaning="where it was read"),
    Column("x_List", "VARCHAR", False, meaning="the list: genai-prices, or the name of a price file"),
    Column("x_Version", "VARCHAR", False, meaning="its version: of the package, or the digest of the file"),
)
