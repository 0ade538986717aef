"""How the columns of an Azure cost export are found, and what kind of row each is.

The same fact has another header by agreement and by age of the export (``CostInBillingCurrency``, ``Cost``,
``PreTaxCost``; ``Date``, ``UsageDateTime``), in either case. ``raw.find`` folds case and separators; the
names here are tried in order. Older exports of other languages add the English name in parentheses (``Kosten
(PreTaxCost)``) and are read by it; a header without English names is not recognised.

What a row is stands in two cells only, ``ChargeType`` and ``PricingModel``; see
:mod:`outlay.sources.bills.azure_cost`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from outlay.ledger.engine.duckdb import literal
from outlay.money import MONEY_SQL
from outlay.sources.raw import RawFile
from outlay.sources.reader import column

__all__ = ["ACCOUNT", "COST", "CURRENCY", "DAY", "PRODUCT", "QUANTITY", "AzureCells", "AzureRows"]

COST = ("CostInBillingCurrency", "Cost", "PreTaxCost")
DAY = ("Date", "UsageDateTime")
QUANTITY = ("Quantity", "UsageQuantity")
CURRENCY = ("BillingCurrency", "BillingCurrencyCode", "Currency")
ACCOUNT = ("BillingProfileId", "BillingAccountId", "SubscriptionId", "SubscriptionGuid")
PRODUCT = ("ProductName", "Product")
_SLASHED_DATES = "['%m/%d/%Y', '%m/%d/%Y %H:%M:%S', '%m/%d/%Y %H:%M']"
_LOCALISED = re.compile(r"\(([A-Za-z0-9]+)\)$")


@dataclass(frozen=True, slots=True)
class AzureCells:
    """The file's cells as SQL text; a column that the file lacks is a NULL."""

    raw: RawFile

    def has(self, *names: str) -> bool:
        """Whether the file has one of the columns."""
        return any(self._named(name) is not None for name in names)

    def text(self, *names: str) -> str:
        """The first of the named columns that has a value in the row, as text."""
        found = [self._as_text(actual) for name in names if (actual := self._named(name)) is not None]
        if not found:
            return "CAST(NULL AS VARCHAR)"
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def number(self, *names: str) -> str:
        """The same as an exact decimal; NULL when it is not a number."""
        return f"try_cast({self.text(*names)} AS {MONEY_SQL})"

    def folded(self, *names: str) -> str:
        """The same in lower case and without blanks: ``On Demand`` and ``OnDemand`` are one pricing model."""
        return f"lower(replace({self.text(*names)}, ' ', ''))"

    def day_after(self, *names: str) -> str:
        """The exclusive end of an inclusive day. Text that is no date stays as it is, so that the row is rejected."""
        text = self.text(*names)
        day = (
            f"CASE WHEN contains({text}, '/') THEN try_strptime({text}, {_SLASHED_DATES}) "
            f"ELSE CAST(try_cast({text} AS TIMESTAMPTZ) AS TIMESTAMP) END"
        )
        return f"coalesce(CAST(date_trunc('day', {day}) + INTERVAL 1 DAY AS VARCHAR), {text})"

    def info(self, key: str) -> str:
        """A key of AdditionalInfo, Azure's JSON of service-specific facts."""
        whole = f"try_cast({self.text('AdditionalInfo')} AS JSON)"
        return f"nullif(json_extract_string({whole}, {literal(f'$.{key}')}), '')"

    def _named(self, name: str) -> str | None:
        """The column as the file spells it. Older localised exports add the English name: ``Kosten (PreTaxCost)``."""
        found = self.raw.find(name)
        if found is not None:
            return found
        for actual in self.raw.columns:
            match = _LOCALISED.search(actual)
            if match and match[1].lower() == name.lower():
                return actual
        return None

    def _as_text(self, actual: str) -> str:
        sql = column(self.raw, actual) or ""
        if self.raw.columns[actual] == "VARCHAR" or self.raw.kind == "jsonl":
            return sql
        return f"CAST({sql} AS VARCHAR)"


@dataclass(frozen=True, slots=True)
class AzureRows:
    """What kind of row it is, as SQL conditions that are never NULL."""

    cells: AzureCells

    @property
    def charge(self) -> str:
        """The charge type, folded. The pay-as-you-go file of 2019 has no such column: it holds usage only."""
        return f"coalesce({self.cells.folded('ChargeType')}, '')" if self.cells.has("ChargeType") else "'usage'"

    @property
    def model(self) -> str:
        """The pricing model, folded."""
        return f"coalesce({self.cells.folded('PricingModel')}, '')"

    @property
    def unused(self) -> str:
        """What of a commitment went unused."""
        return f"{self.charge} IN ('unusedreservation', 'unusedsavingsplan')"

    @property
    def commitment(self) -> str:
        """The row is about a commitment: its purchase, its use, or what went unused."""
        return f"({self.model} IN ('reservation', 'savingsplan') OR {self.unused})"

    @property
    def covered(self) -> str:
        """Usage that a commitment covers."""
        return f"({self.charge} = 'usage' AND {self.model} IN ('reservation', 'savingsplan'))"

    @property
    def bought(self) -> str:
        """A purchase of a commitment, or its refund."""
        return f"({self.charge} IN ('purchase', 'refund') AND {self.model} IN ('reservation', 'savingsplan'))"

    @property
    def unpriced(self) -> str:
        """Covered usage of an actual export: it costs 0 at no price, because it was paid for elsewhere."""
        cost, price = self.cells.number(*COST), self.cells.number("EffectivePrice")
        quantity = self.cells.number(*QUANTITY)
        return f"({self.covered} AND {cost} = 0 AND coalesce({price}, 0) = 0 AND coalesce({quantity}, 1) <> 0)"

    @property
    def one_currency(self) -> str:
        """Prices are in the currency of the costs. Only Customer and Partner Agreements price in another."""
        if not self.cells.has("PricingCurrency", "PricingCurrencyCode"):
            return "true"
        pricing = self.cells.text("PricingCurrency", "PricingCurrencyCode")
        return f"coalesce({pricing} = {self.cells.text(*CURRENCY)}, true)"

    def effective(self, *cost: str) -> str:
        """The effective cost from a cost column, in whichever currency that is."""
        amount = self.cells.text(*cost)
        bought = f"WHEN {self.bought} AND {amount} IS NOT NULL THEN '0'"
        return f"CASE {bought} WHEN {self.unpriced} THEN NULL ELSE {amount} END"
