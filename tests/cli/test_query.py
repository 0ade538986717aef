"""``outlay query`` and ``outlay explain``: exact JSON, a readable table, and one message for a wrong name."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from outlay.cli.explain import command as explain
from outlay.cli.query import command as query
from outlay.cli.query import shown_value
from outlay.config import Settings
from outlay.errors import LedgerError, UsageError
from outlay.ledger.store import Ledger
from outlay.sources.loading import load
from tests.shared import shared


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cli") / "ledger"
    load(Ledger(path), [shared("data/focus/focus_spec_ai_draft/multi_model_usage.csv")], Settings())
    return str(path)


def run(command: object, *arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_has_columns_rows_and_receipt(ledger: str) -> None:
    said = json.loads(run(query, "ai_cost,cost_per_1m_tokens", "--by", "model", "--ledger", ledger, "--json"))
    assert set(said) == {"columns", "rows", "receipt"}
    assert [(row["model"], row["ai_cost"], row["currency"]) for row in said["rows"]] == [
        ("solora-atlas-5.5", "100", "USD"),
        ("solora-atlas-5.4-mini", "4.5", "USD"),
    ]
    assert said["rows"][0]["cost_per_1m_tokens_denominator"] == "12000000"
    assert said["receipt"]["rows"] == 4


def test_filters_windows_and_limits_are_passed_on(ledger: str) -> None:
    options = ["--where", "model=solora-atlas-5.4-mini", "--since", "2025-05", "--until", "2025-06", "--limit", "1"]
    said = json.loads(run(query, "ai_cost", *options, "--grain", "month", "--as-of", "1", "--ledger", ledger, "--json"))
    assert said["rows"] == [{"month": "2025-05", "currency": "USD", "ai_cost": "4.5", "why": None}]
    assert said["receipt"]["since"] == "2025-05-01T00:00:00Z"


def test_the_table_is_for_people(ledger: str) -> None:
    shown = run(query, "ai_cost,cache_read_share", "--by", "model,team", "--ledger", ledger)
    assert "100.00" in shown
    assert "untagged" in shown
    assert "4 rows of" in shown


def test_explain_prints_the_receipt(ledger: str) -> None:
    shown = run(explain, "ai_cost", "--ledger", ledger)
    for part in ("sum of EffectiveCost over AI rows", "multi_model_usage.csv", "SELECT", "version 1"):
        assert part in shown
    said = json.loads(run(explain, "ai_cost", "--ledger", ledger, "--json"))
    assert said["tables"][0]["view"].startswith("CREATE")
    assert said["formula"].startswith("sum of EffectiveCost over AI rows")
    assert said["prices"]["why"]


def test_wrong_use_is_one_message(ledger: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'ai_cost'"):
        run(query, "ai_cots", "--ledger", ledger)
    with pytest.raises(UsageError, match="is not a date"):
        run(query, "ai_cost", "--since", "yesterday", "--ledger", ledger)
    with pytest.raises(LedgerError, match="holds no ledger yet"):
        run(query, "ai_cost", "--ledger", str(tmp_path / "none"))


def test_figures_are_rounded_for_reading_only() -> None:
    assert shown_value(Decimal("1234.565"), "currency", "USD") == "1,234.56"
    assert shown_value(Decimal("0.7619"), "share", None) == "76.2 %"
    assert shown_value(Decimal(12_000_000), "tokens", None) == "12,000,000"
    assert shown_value(None, "share", None) == "-"
