"""FOCUS Contract Commitment, 1.3 and 1.4: the dataset that lists what was promised to a provider.

It stands beside Cost and Usage and joins to it: ``ContractApplied`` of a charge names ``ContractCommitmentId``. 1.3
has 13 columns, 1.4 has 30; columns are matched without regard to case, and one that is not delivered is null. The file
is CSV, or JSON lines as a SaaS vendor's API serves it.

The traps: it holds no spend, so its cost never adds to a bill; a savings plan and the minimum spend of the contract
around it may both be listed, and the same dollar counts towards both; a commitment of category Usage may have no cost;
and 1.3 says neither who the provider is nor whether the commitment is still in force.

Source: FOCUS specification 1.3 and 1.4, Contract Commitment, https://focus.finops.org (CC-BY-4.0).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Literal

from outlay.ledger.tables.commitments import COMMITMENTS, FOCUS_COMMITMENT_COLUMNS
from outlay.money import MONEY_SQL
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable
from outlay.sources.facts import Fact, Value
from outlay.sources.reader import Format
from outlay.sources.records.cells import currency, instant, number, period, text

__all__ = ["FocusCommitmentsReader"]

_OWN = {column.name.casefold(): column for column in FOCUS_COMMITMENT_COLUMNS}
_MARKS = {
    name.casefold()
    for name in ("ContractCommitmentId", "ContractCommitmentCategory", "ContractCommitmentPeriodStart", "ContractId")
}
_CATEGORIES = {"spend": "Spend", "usage": "Usage"}


class FocusCommitmentsReader:
    """Reads both versions; which one it is shows in the columns that are filled."""

    format = Format(
        "focus-commitments",
        "FOCUS 1.3-1.4 Contract Commitment (any provider)",
        "The Contract Commitment dataset of a FOCUS export, CSV or JSON lines.",
    )
    table = COMMITMENTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """The ids and terms of commitments, and no billed cost."""
        if file.kind == "csv":
            names: set[str] = {name.casefold() for name in file.header}
        elif file.kind in ("json", "jsonl"):
            first = file.first
            names = {name.casefold() for name in first or ()}
        else:
            return False
        return names >= _MARKS and "billedcost" not in names

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """A row a commitment; the id must not be repeated within a file."""
        seen: set[str] = set()
        for found in file.records() if file.kind == "csv" else file.objects():
            if isinstance(found, Problem):
                yield found
                continue
            line, record = found
            try:
                values = _values({key.casefold(): value for key, value in record.items()})
                identity = str(values["ContractCommitmentId"])
                if identity in seen:
                    raise Unusable("repeated-record", f"commitment {identity} is in the file already")
                seen.add(identity)
                yield Fact(identity, line, values)
            except Unusable as error:
                yield error.problem(file, line)


def _values(cells: Mapping[str, Json]) -> dict[str, Value]:
    record = {column.name: cells.get(folded) for folded, column in _OWN.items()}
    if text(record, "ContractCommitmentId") is None:
        raise Unusable("unusable-record", "ContractCommitmentId is empty")
    values: dict[str, Value] = {}
    for column in FOCUS_COMMITMENT_COLUMNS:
        found: Value
        if column.sql_type == MONEY_SQL:
            found = number(record, column.name, signed=True)
        elif column.sql_type == "TIMESTAMP":
            found = instant(record, column.name)
        else:
            found = _text(record, column.name)
        if found is not None:
            values[column.name] = found
    category = _CATEGORIES.get((text(record, "ContractCommitmentCategory") or "").casefold())
    if category is None:
        raise Unusable("unusable-record", "ContractCommitmentCategory is neither Spend nor Usage")
    values["ContractCommitmentCategory"] = category
    period(instant(record, "ContractCommitmentPeriodStart"), instant(record, "ContractCommitmentPeriodEnd"))
    currency(record, "BillingCurrency", number(record, "ContractCommitmentCost", signed=True))
    return values


def _text(record: Mapping[str, Json], name: str) -> str | None:
    """A text; a JSON object (Applicability, in JSON lines) as its text."""
    value = record[name]
    try:
        return _json(value) if isinstance(value, dict) else text(record, name)
    except RecursionError:
        raise Unusable("unusable-record", f"{name} is nested too deep") from None


def _json(value: Json) -> str:
    """``value`` as JSON with every number as it was written; the json module would make floats of them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_json(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
