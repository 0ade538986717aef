"""A unit is read on each row: its block is never assumed, its kind never confused, and strange text never an error."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.ledger.units import Unit, parse_unit
from tests.shared import shared


def test_every_block_size_of_microsofts_table() -> None:
    """All 383 rows, no exceptions: localised units, units with trailing spaces, bare numbers, ``1/10 Days``."""
    path = shared("data/focus/azure_finops_toolkit/open-data_PricingUnits.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = {
        row["UnitOfMeasure"]: (parse_unit(row["UnitOfMeasure"]).block, row["PricingBlockSize"])
        for row in rows
        if parse_unit(row["UnitOfMeasure"]).block != Decimal(row["PricingBlockSize"])
    }
    assert len(rows) == 383
    assert wrong == {}


@pytest.mark.parametrize("distinct", ["Hours", "Minutes", "Seconds", "Days", "Months", "GB", "Requests"])
def test_kinds_agree_with_the_tables_distinct_units(distinct: str) -> None:
    """Units that the table calls by a plain name have that kind; shares such as Core Hours are told apart."""
    path = shared("data/focus/azure_finops_toolkit/open-data_PricingUnits.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        units = [row["UnitOfMeasure"] for row in csv.DictReader(file) if row["DistinctUnits"] == distinct]
    named_otherwise = {
        "1 Content Hours", "100 Core Hours", "100 Core Hrs", "1000 Relay Hours", "1000 Relay Hrs",
        "10000 Virtual User Minutes", "CallingMinutes",
        "per Privacy Subject Rights Request", "print job",
    }  # fmt: skip
    assert units
    assert {parse_unit(unit).kind for unit in units if unit not in named_otherwise} == {distinct.casefold()}


@pytest.mark.parametrize(
    ("text", "kind", "block"),
    [
        ("1K tokens", "tokens", 1000),
        ("1K Tokens", "tokens", 1000),
        ("1k tokens", "tokens", 1000),
        ("1000 tokens", "tokens", 1000),
        ("1,000 Tokens", "tokens", 1000),
        ("1000_tokens", "tokens", 1000),
        ("thousand tokens", "tokens", 1000),
        ("1M tokens", "tokens", 1_000_000),
        ("1000000 Tokens", "tokens", 1_000_000),
        ("1 million tokens", "tokens", 1_000_000),
        ("per 1M tokens", "tokens", 1_000_000),
        ("per 1m tokens", "tokens", 1_000_000),
        ("Per 1,000 tokens", "tokens", 1000),
        ("Million Input Tokens Regional", "tokens", 1_000_000),
        ("Tokens", "tokens", 1),
        ("Token", "tokens", 1),
        ("Token-Hours", "token_hours", 1),
        ("1000000 Token-Hours", "token_hours", 1_000_000),
        ("1M TPM Hour", "throughput_hours", 1_000_000),
        ("Hours", "hours", 1),
        ("Hour", "hours", 1),
        ("Hrs", "hours", 1),
        ("h", "hours", 1),
        ("1 Hour", "hours", 1),
        ("1 1 Hour", "hours", 1),
        ("1Hour", "hours", 1),
        ("100 Hours", "hours", 100),
        ("1 hora", "hours", 1),
        ("1 小时", "hours", 1),
        ("Instance Hours", "hours", 1),
        ("1/Hour", "unit_hours", 1),
        ("10K/Hour", "unit_hours", 10_000),
        ("1/Month", "unit_time", 1),
        ("LCU-Hours", "resource_hours", 1),
        ("vCPU-Hours", "resource_hours", 1),
        ("OCPU Hours", "resource_hours", 1),
        ("GPU-Hours", "gpu_hours", 1),
        ("GPU Per Hour", "gpu_hours", 1),
        ("1 Second", "seconds", 1),
        ("1 por mes", "months", 1),
        ("GB-Months", "data_time", 1),
        ("Gigabyte Per Hour", "data_time", 1),
        ("Lambda-GB-Seconds", "data_time", 1),
        ("1 GB", "gb", 1),
        ("1 MB", "data", 1),
        ("1K Units", "units", 1000),
        ("1K", "units", 1000),
        ("count", "count", 1),
        ("API Requests", "requests", 1),
        ("1M Characters", "characters", 1_000_000),
        ("100 Images", "images", 100),
        ("10 Activities", "unknown", 10),
        ("Token Requests", "unknown", 1),
        ("USD", "unknown", 1),
        ("", "unknown", 1),
        ("0 Tokens", "unknown", 1),
        ("-5", "unknown", 1),
        ("🤷", "unknown", 1),
        ("x" * 5000, "unknown", 1),
    ],
)
def test_what_bills_write(text: str, kind: str, block: int) -> None:
    found = parse_unit(text)
    assert (found.kind, found.block) == (kind, Decimal(block))


def test_the_name_is_the_unit_without_its_block() -> None:
    assert parse_unit("1000000 Tokens") == Unit("tokens", Decimal(1_000_000), "Tokens")
    assert parse_unit("1 /Hour").name == "Units/Hour"
    assert parse_unit("1K").name == "Units"
    assert parse_unit("M2M Tokens").name == "M2M Tokens"


def test_hours_and_tokens_in_a_unit() -> None:
    assert parse_unit("100 Hours").hours == Decimal(100)
    assert parse_unit("10 Days").hours == Decimal(240)
    assert parse_unit("60 Minutes").hours == Decimal(1)
    assert parse_unit("10000 Seconds").hours == Decimal(10000) / Decimal(3600)
    assert parse_unit("1 Month").hours is None, "months differ in length"
    assert parse_unit("LCU-Hours").hours is None
    assert parse_unit("1K tokens").tokens == Decimal(1000)
    assert parse_unit("1000000 Token-Hours").tokens is None


def test_one_price_written_in_two_units() -> None:
    """Golden case pricing-unit-varies: AWS changed the unit of Bedrock tokens in the middle of a series."""
    cases = json.loads(shared("goldens/bills.json").read_text(encoding="utf-8"))
    expected = next(case["expect"] for case in cases if case["id"] == "pricing-unit-varies")
    tokens = Decimal(2_500_000)
    for unit_price, unit in ((Decimal("0.003"), "1K tokens"), (Decimal(3), "1000000 Tokens")):
        block = parse_unit(unit).tokens
        assert block is not None
        cost = tokens / block * unit_price
        assert cost == Decimal(expected["cost"])
        assert cost / tokens * 1000 == Decimal(expected["cost_per_1k_tokens"])


@given(st.text())
def test_any_text_is_a_unit(text: str) -> None:
    found = parse_unit(text)
    assert found.block > 0
    assert found.block.is_finite()


@given(st.integers(1, 10**12), st.sampled_from(["Tokens", "Hours", "GB", "Requests", "Widgets"]))
def test_focus_unit_format_gives_its_quantity(quantity: int, noun: str) -> None:
    assert parse_unit(f"{quantity} {noun}").block == quantity
