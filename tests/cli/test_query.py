"""``outlay query`` and ``outlay explain``: exact JSON, a readable table, and one message for a wrong name."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from outlay.cli.common import shown_path
from outlay.cli.explain import command as explain
from outlay.cli.query import command as query
from outlay.cli.query import shown_value
from outlay.config import Settings
from outlay.errors import LedgerError, UsageError
from outlay.ledger.store import Ledger
from outlay.sources.loading import load
from tests.shared import shared
from tests.sources.focus_bills import row, write_csv


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
    assert shown_value(Decimal("0.7619"), "share", None) == "76%"
    assert shown_value(Decimal(12_000_000), "tokens", None) == "12,000,000"
    assert shown_value(None, "share", None) == "-"


def test_a_currency_of_nothing_but_zeros_is_left_to_json(tmp_path: Path) -> None:
    bill = write_csv(
        tmp_path / "bill.csv",
        [
            row(BillingCurrency="CAD", BilledCost="2", EffectiveCost="0"),
            row(BillingCurrency="EUR", BilledCost="3", EffectiveCost="0.004"),
            row(BillingCurrency="USD", BilledCost="4", EffectiveCost="5"),
        ],
    )
    ledger = str(tmp_path / "ledger")
    load(Ledger(Path(ledger)), [bill], Settings())

    shown = run(query, "effective_cost", "--ledger", ledger)
    table, _, notes = shown.partition("note: ")
    assert "CAD" not in table
    assert "EUR" in table  # 0.004 is not nothing, though it is shown as 0.00
    assert "CAD is not in the table: every figure in it is 0 (--json has it)." in notes
    said = json.loads(run(query, "effective_cost", "--ledger", ledger, "--json"))
    assert [(one["currency"], one["effective_cost"]) for one in said["rows"]] == [
        ("USD", "5"),  # the settings' currency first, what holds nothing last
        ("EUR", "0.004"),
        ("CAD", "0"),
    ]
    first = json.loads(run(query, "effective_cost", "--limit", "1", "--ledger", ledger, "--json"))
    assert [one["currency"] for one in first["rows"]] == ["USD"]
    for asked in (["billed_cost,effective_cost"], ["effective_cost", "--by", "currency"]):
        assert "CAD" in run(query, *asked, "--ledger", ledger).partition("note: ")[0]


def test_a_ledger_of_nothing_but_zeros_is_shown(tmp_path: Path) -> None:
    bill = write_csv(tmp_path / "bill.csv", [row(BillingCurrency="CAD", BilledCost="0")])
    load(Ledger(tmp_path / "ledger"), [bill], Settings())
    shown = run(query, "billed_cost", "--ledger", str(tmp_path / "ledger"))
    assert "CAD" in shown
    assert "not in the table" not in shown


def test_nothing_found_is_said_in_words(ledger: str) -> None:
    for by in ([], ["--by", "model"]):
        shown = run(query, "ai_cost", *by, "--since", "2030-01", "--ledger", ledger)
        assert shown.startswith("No row of the ledger matches.")
        assert "0 rows, ledger version 1." in shown


def test_the_change_of_a_share_is_in_points(tmp_path: Path) -> None:
    days = [
        ("2026-10-03", "", "1"),
        ("2026-10-03", '{"team": "search"}', "1"),
        ("2026-10-04", '{"team": "search"}', "1"),
    ]
    rows = [
        row(ChargePeriodStart=f"{day}T00:00:00Z", ChargePeriodEnd=f"{day}T12:00:00Z", Tags=tags, EffectiveCost=cost)
        | {"ServiceCategory": "AI and Machine Learning"}
        for day, tags, cost in days
    ]
    load(Ledger(tmp_path / "ledger"), [write_csv(tmp_path / "bill.csv", rows)], Settings())
    window = ["--since", "2026-10-04", "--until", "2026-10-05", "--compare", "previous"]
    shown = run(query, "allocated_share", *window, "--ledger", str(tmp_path / "ledger"))
    assert "100%" in shown
    assert "50%" in shown
    assert "+50.0 pp" in shown


def test_explain_names_files_as_a_person_looks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exports, elsewhere = tmp_path / "here" / "exports", tmp_path / "there"
    exports.mkdir(parents=True)
    elsewhere.mkdir()
    inside = [write_csv(exports / f"bill-{n:02}.csv", [row(SkuId=str(n))]) for n in range(60)]
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, inside, Settings())
    load(ledger, [write_csv(elsewhere / "other.csv", [row(BillingAccountId="acct-2")])], Settings())

    monkeypatch.chdir(tmp_path / "here")
    shown = run(explain, "billed_cost", "--ledger", str(ledger.path))
    loads = [line for line in shown.splitlines() if line.startswith("load")]
    assert loads[0].endswith("UTC: other.csv")
    names = ", ".join(f"exports/bill-{n:02}.csv" for n in range(5))
    assert loads[1].endswith(f"UTC: {names} and 55 more")
    said = json.loads(run(explain, "billed_cost", "--ledger", str(ledger.path), "--json"))
    assert [len(one["files"]) for one in said["loads"]] == [1, 60]

    monkeypatch.chdir(elsewhere)
    shown = run(explain, "billed_cost", "--ledger", str(ledger.path))
    assert "UTC: bill-00.csv, bill-01.csv" in shown


def test_a_relative_path_that_leads_nowhere_from_here_is_only_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path("exports/bill.csv") == "bill.csv"
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "bill.csv").touch()
    assert shown_path("exports/bill.csv") == "exports/bill.csv"


def test_explain_says_its_window_in_days(ledger: str) -> None:
    assert "window      all charges in the ledger" in run(explain, "ai_cost", "--ledger", ledger)
    window = ["--since", "2025-05", "--until", "2025-06", "--compare", "previous"]
    shown = run(explain, "ai_cost", *window, "--ledger", ledger)
    assert "window      2025-05-01 up to but without 2025-06-01, UTC" in shown
    assert "previous    2025-03-31 up to but without 2025-05-01, UTC" in shown
