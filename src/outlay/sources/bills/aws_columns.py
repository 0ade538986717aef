"""How the columns of a Cost and Usage Report are found: one name for both spellings, one call for columns and maps.

``raw.find`` folds case and separators, so ``line_item_unblended_cost`` finds ``lineItem/UnblendedCost`` too. Where the
legacy report has a column for each product attribute and tag, CUR 2.0 has maps: JSON text in CSV, a MAP in Parquet.

Tags keep the key that users gave them (``Team``): the report writes ``resourceTags/user:Team``,
``resource_tags_user_team`` or ``user_team``. Keys of AWS' own (``aws:createdBy``, ``aws_created_by``) and of other
kinds (``iamPrincipal/team``, ``accountTag/team``) keep their prefix: whose tag it is matters, and ``outlay.toml`` can
name them as aliases.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from outlay.ledger.engine.duckdb import identifier, literal
from outlay.money import MONEY_SQL
from outlay.sources.raw import RawFile
from outlay.sources.reader import column

__all__ = [
    "COMMITMENT_CELLS", "LIST_COST", "PLAN_EFFECTIVE", "RESERVATION", "RESERVATION_EFFECTIVE", "TOTAL_COMMITMENT",
    "UNBLENDED", "UNUSED_RECURRING", "UNUSED_UPFRONT", "USAGE_TYPE", "USED_COMMITMENT", "CurCells", "tags_sql",
]  # fmt: skip

USAGE_TYPE = "line_item_usage_type"
RESERVATION = "reservation_reservation_a_r_n"
LIST_COST = "pricing_public_on_demand_cost"
UNBLENDED = ("line_item_net_unblended_cost", "line_item_unblended_cost")
PLAN_EFFECTIVE = ("savings_plan_net_savings_plan_effective_cost", "savings_plan_savings_plan_effective_cost")
RESERVATION_EFFECTIVE = ("reservation_net_effective_cost", "reservation_effective_cost")
TOTAL_COMMITMENT, USED_COMMITMENT = "savings_plan_total_commitment_to_date", "savings_plan_used_commitment"
UNUSED_UPFRONT = (
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
)
UNUSED_RECURRING = ("reservation_net_unused_recurring_fee", "reservation_unused_recurring_fee")
COMMITMENT_CELLS = (TOTAL_COMMITMENT, USED_COMMITMENT, *UNUSED_UPFRONT, *UNUSED_RECURRING)
_TAG_COLUMN = re.compile(r"(?:resourceTags/|resource_tags_)(.+)$", re.IGNORECASE)
_PREFIX = r"^(?:resourceTags/)?user[:_]|^resourceTags/"
_JSON_PREFIX = r"""([{,]\s*")(?:(?:resourceTags/)?user[:_]|resourceTags/)"""
_JSON_BARE = r"\1"
_NO_TAGS = literal("{}")


@dataclass(frozen=True, slots=True)
class CurCells:
    """The cells of a report as SQL text. A column that the report lacks is a NULL of the wanted type."""

    raw: RawFile

    def text(self, *names: str) -> str:
        """The first of the named columns that has a value in the row, as text."""
        found = [self._as_text(name) for name in names if self.raw.find(name) is not None]
        if not found:
            return "CAST(NULL AS VARCHAR)"
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _as_text(self, name: str) -> str:
        sql = column(self.raw, name)
        kind = self.raw.columns[self.raw.find(name) or ""]
        return f"{sql}" if kind in ("VARCHAR", "JSON") else f"CAST({sql} AS VARCHAR)"

    def money(self, *names: str) -> str:
        """The same as an exact decimal; NULL when it is not a number."""
        return f"try_cast({self.text(*names)} AS {MONEY_SQL})"

    def product(self, attribute: str) -> str:
        """A product attribute: a column in the legacy report, a column or a key of the ``product`` map in CUR 2.0."""
        found = []
        if self.raw.find(f"product_{attribute}") is not None:
            found.append(self.text(f"product_{attribute}"))
        if (whole := self.raw.columns.get("product")) is not None:
            cell, key = identifier("product"), literal(attribute)
            if whole.startswith("MAP"):
                found.append(f"nullif({cell}[{key}], '')")
            else:
                path = literal(f'$."{attribute}"')
                found.append(f"nullif(json_extract_string(try_cast({cell} AS JSON), {path}), '')")
        if not found:
            return "CAST(NULL AS VARCHAR)"
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    @property
    def kind(self) -> str:
        """The line item type."""
        return self.text("line_item_line_item_type")

    @property
    def billed(self) -> str:
        """What the row adds to the invoice: net of negotiated discounts where the report says so.

        Rows that split a node's cost over its pods have no cost of their own.
        """
        amount = self.text(*UNBLENDED)
        parent = self.raw.find("split_line_item_parent_resource_id")
        if parent is None:
            return amount
        return (
            f"coalesce({amount}, CASE WHEN {self.text('split_line_item_parent_resource_id')} IS NOT NULL THEN '0' END)"
        )

    @property
    def unused(self) -> str:
        """What of a commitment's fee went unused, as a decimal; NULL where the report does not say.

        AWS' two parts are rounded apart, so used may exceed the total by the last digit: that is nothing unused.
        """
        plan = f"{self.money(TOTAL_COMMITMENT)} - {self.money(USED_COMMITMENT)}"
        upfront, recurring = self.money(*UNUSED_UPFRONT), self.money(*UNUSED_RECURRING)
        left = (
            f"CASE {self.kind} WHEN 'SavingsPlanRecurringFee' THEN {plan} "
            f"WHEN 'RIFee' THEN coalesce({upfront} + {recurring}, {upfront}, {recurring}) END"
        )
        return f"(CASE WHEN {left} < 0 THEN 0 ELSE {left} END)"

    @property
    def is_unused(self) -> str:
        """Whether the row is a commitment's fee of which a part went unused."""
        return f"coalesce({self.unused} > 0, false)"

    @property
    def currency(self) -> str:
        """The currency of the row's amounts."""
        return self.text("line_item_currency_code")

    def not_a_number(self, *names: str) -> str:
        """The first of the named cells that holds text but no number, marked as such; NULL if there is none."""
        bad = (f"CASE WHEN {self.money(name)} IS NULL THEN 'no number: ' || {self.text(name)} END" for name in names)
        return f"coalesce({', '.join(bad)})"


def tags_sql(cells: CurCells) -> dict[str, str]:
    """The Tags column; empty where the report has no tags.

    CUR 2.0's ``tags`` holds the resource tags and more (``iamPrincipal/team``), so it comes before ``resource_tags``.
    """
    raw = cells.raw
    whole = [name for name in ("tags", "resource_tags") if name in raw.columns]
    if whole and all(raw.columns[name].startswith("MAP") for name in whole):
        filled = [f"CASE WHEN cardinality({identifier(name)}) > 0 THEN {identifier(name)} END" for name in whole]
        given = f"coalesce({', '.join(filled)})"
        bare = f"list_transform(map_keys({given}), lambda k: regexp_replace(k, {literal(_PREFIX)}, ''))"
        # where two keys differ by their prefix only, both keep it
        return {"Tags": f"coalesce(try(map({bare}, map_values({given}))), {given})"}
    if whole:
        given = f"coalesce({', '.join(f'nullif({_json_text(raw, name)}, {_NO_TAGS})' for name in whole)})"
        return {"Tags": f"regexp_replace({given}, {literal(_JSON_PREFIX)}, {literal(_JSON_BARE)}, 'g')"}
    return _tag_columns(cells)


def _json_text(raw: RawFile, name: str) -> str:
    kind, cell = raw.columns[name], identifier(name)
    return f"nullif({cell}, '')" if kind == "VARCHAR" else f"CAST(to_json({cell}) AS VARCHAR)"


def _tag_columns(cells: CurCells) -> dict[str, str]:
    """Tags from one column a key, as JSON text."""
    raw = cells.raw
    named = {name: found[1] for name in raw.columns if (found := _TAG_COLUMN.match(raw.title(name)))}
    bare = {name: re.sub(_PREFIX, "", key) for name, key in named.items()}
    taken = list(bare.values())
    pairs = [
        f"{literal(json.dumps(bare[name] if taken.count(bare[name]) == 1 else key) + ':')} || "
        f"CAST(to_json(nullif(CAST({identifier(name)} AS VARCHAR), '')) AS VARCHAR)"
        for name, key in named.items()
    ]
    if not pairs:
        return {}
    return {"Tags": f"nullif('{{' || concat_ws(',', {', '.join(pairs)}) || '}}', '{{}}')"}
