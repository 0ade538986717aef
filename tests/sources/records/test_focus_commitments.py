"""FOCUS contract commitments are read whole: every row, every column of the model, the sums to the last digit."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.ledger.tables.commitments import COMMITMENTS, FOCUS_COMMITMENT_COLUMNS
from outlay.money import add_exactly
from outlay.sources.bills.azure_cost import AzureCostReader
from outlay.sources.bills.focus import FocusReader
from outlay.sources.fact_file import open_facts
from outlay.sources.opening import open_raw
from outlay.sources.records.focus_commitments import FocusCommitmentsReader
from tests.shared import shared
from tests.sources.records.reading import FIXTURES, broken_csv, read, written

_READER = FocusCommitmentsReader()
_GENERATED = "data/focus/focus_data_toolkit_generated"


@pytest.mark.parametrize(
    ("cloud", "rows", "spend", "cost", "hours"),
    [
        ("aws", 136, 74, "37821201.28", "267280000"),
        ("azure", 139, 89, "76805163.52", "214720000"),
        ("gcp", 146, 82, "56501016.52", "276040000"),
    ],
)
def test_generated_datasets_load_whole(cloud: str, rows: int, spend: int, cost: str, hours: str) -> None:
    path = shared(f"{_GENERATED}/focus_1_3_contract_commitment_{cloud}.csv")
    facts, problems = read(_READER, path)
    assert problems == []
    assert (len(facts), len({fact.identity for fact in facts})) == (rows, rows)
    assert sum(fact.values["ContractCommitmentCategory"] == "Spend" for fact in facts) == spend
    for column, total in (("ContractCommitmentCost", cost), ("ContractCommitmentQuantity", hours)):
        read_total = add_exactly(v for f in facts if isinstance(v := f.values.get(column), Decimal))
        with path.open(newline="") as handle:
            by_hand = sum((Decimal(row[column]) for row in csv.DictReader(handle) if row[column]), Decimal(0))
        assert read_total == by_hand == Decimal(total)
    assert not any("ServiceProviderName" in fact.values for fact in facts), "1.3 does not say who the provider is"


def test_the_table_has_the_columns_of_focus_1_4() -> None:
    model = json.loads(shared("data/focus/focus_1_4_model.json").read_text())["datasets"]["Contract Commitment"]
    types = {"Decimal": "DECIMAL(38,18)", "String": "VARCHAR", "Date/Time": "TIMESTAMP", "JSON": "VARCHAR"}
    expected = {name: (types[one["data_type"]], one["feature_level"]) for name, one in model["columns"].items()}
    assert {column.name: (column.sql_type, column.level) for column in FOCUS_COMMITMENT_COLUMNS} == expected
    assert all(column.name.startswith("x_") for column in COMMITMENTS.own if column.name not in expected)
    for column in FOCUS_COMMITMENT_COLUMNS:
        assert not column.allowed or list(column.allowed) == model["columns"][column.name]["allowed_values"]


def test_focus_1_4_fills_its_columns() -> None:
    facts, problems = read(_READER, FIXTURES / "focus_1_4_contract_commitment.csv")
    assert problems == []
    plan, prepaid = facts
    assert plan.values["ContractCommitmentPeriodStart"] == datetime(2026, 3, 1)
    assert plan.values["ContractCommitmentCost"] == Decimal("87600.5")
    assert plan.values["ContractCommitmentLifecycleStatus"] == "Active"
    assert plan.values["ServiceProviderName"] == "Amazon Web Services"
    assert json.loads(str(plan.values["ContractCommitmentApplicability"])) == {"IsComplexScope": True}
    assert set(plan.values) == {c.name for c in FOCUS_COMMITMENT_COLUMNS} - {
        "ContractCommitmentQuantity",
        "ContractCommitmentUnit",
        "ContractCommitmentPaymentUpfrontPercentage",
    }
    assert prepaid.values["ContractCommitmentQuantity"] == Decimal(5_000_000_000)
    assert prepaid.values["ContractCommitmentUnit"] == "Tokens"
    assert "ContractCommitmentCost" not in prepaid.values, "unknown is null, never 0"


def test_json_lines_are_read_as_well(tmp_path: Path) -> None:
    row = {
        "ContractCommitmentId": "c1",
        "ContractCommitmentCategory": "Spend",
        "ContractId": "k",
        "ContractCommitmentCost": 12.345,
        "BillingCurrency": "USD",
        "ContractCommitmentPeriodStart": "2026-01-01T00:00:00Z",
        "ContractCommitmentPeriodEnd": "2027-01-01T00:00:00Z",
        "ContractCommitmentApplicability": {"IsGlobalScope": True, "Applicability": {"Cost": 0.25}},
    }
    lines = [json.dumps(row), json.dumps({**row, "ContractCommitmentId": "c2"}), "{"]
    facts, problems = read(_READER, written(tmp_path, "a.jsonl", "\n".join(lines)))
    assert [fact.values["ContractCommitmentCost"] for fact in facts] == [Decimal("12.345")] * 2
    assert facts[0].values["ContractCommitmentApplicability"] == (
        '{"Applicability": {"Cost": 0.25}, "IsGlobalScope": true}'
    )
    assert [(problem.code, problem.line) for problem in problems] == [("not-json", 3)]


def test_neither_is_taken_for_the_other() -> None:
    commitments = shared(f"{_GENERATED}/focus_1_3_contract_commitment_aws.csv")
    assert not FocusReader().recognises(open_raw(commitments))
    assert not AzureCostReader().recognises(open_raw(commitments))
    for bill in ("focus_1_2_cost_and_usage_aws", "focus_1_3_cost_and_usage_azure", "focus_1_3_cost_and_usage_gcp"):
        assert not _READER.recognises(open_facts(shared(f"{_GENERATED}/{bill}.csv")))


_HEADER = (
    "ContractCommitmentId,ContractCommitmentCategory,ContractCommitmentCost,BillingCurrency,"
    "ContractCommitmentPeriodStart,ContractCommitmentPeriodEnd,ContractId\n"
)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",Spend,1,USD,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k", "unusable-record"),
        ("a,Capacity,1,USD,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k", "unusable-record"),
        ('a,Spend,"1,234",USD,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k', "unparsable-amount"),
        ("a,Spend,NaN,USD,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k", "unparsable-amount"),
        ("a,Spend,1,,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k", "missing-currency"),
        ("a,Spend,1,dollars,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k", "bad-currency"),
        ("a,Spend,1,USD,,2027-01-01T00:00:00Z,k", "missing-time"),
        ("a,Spend,1,USD,2026-02-30,2027-01-01T00:00:00Z,k", "unparsable-time"),
        ("a,Spend,1,USD,2028-01-01T00:00:00Z,2027-01-01T00:00:00Z,k", "period-reversed"),
        ("good,Spend,2,USD,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k", "repeated-record"),
        ("a,Spend,1", "ragged-row"),
    ],
)
def test_a_bad_row_is_a_problem_and_the_others_load(tmp_path: Path, row: str, code: str) -> None:
    good = "good,Spend,1,USD,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k\n"
    facts, problems = read(_READER, written(tmp_path, "a.csv", f"{_HEADER}{good}{row}\n"))
    assert [fact.identity for fact in facts] == ["good"]
    assert [(problem.code, problem.line) for problem in problems] == [(code, 3)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.data())
def test_broken_rows_never_raise(tmp_path: Path, content: st.DataObject) -> None:
    sample = _HEADER + "a,Spend,1,USD,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,k\nb,Usage,,,2026-01-01,2027-01-01,k\n"
    read(_READER, written(tmp_path, "a.csv", content.draw(broken_csv(sample))))
