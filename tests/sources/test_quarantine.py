"""Every kind of bad row stays out, is listed with its line and reason, and lets the good rows in."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.problems import CATALOGUE
from outlay.sources.loading import load
from tests.sources.bills.reading import HEADER_ROWS
from tests.sources.focus_bills import COLUMNS, row, run_outlay, totals, write_csv


def csv_with(**changed: str) -> Callable[[Path], Path]:
    """A bill of a header and three rows, the second of which is bad: row 3 of the file."""
    return lambda folder: write_csv(folder / "bill.csv", [row(), row(**changed), row(BilledCost="2")])


def ragged(folder: Path) -> Path:
    path = write_csv(folder / "bill.csv", [row(), row(), row(BilledCost="2")])
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] += ",one too many"  # row 3: the header is row 1
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def cut_json(folder: Path) -> Path:
    path = folder / "bill.jsonl"
    lines = [json.dumps(row()), json.dumps(row())[:-30], json.dumps(row(BilledCost="2"))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


CASES: list[tuple[str, str, Callable[[Path], Path]]] = [
    ("unparsable-amount", "BilledCost is not a number", csv_with(BilledCost="twelve")),
    ("unparsable-amount", "BilledCost is not a number", csv_with(BilledCost="1,234")),
    ("unparsable-amount", "BilledCost is not a number", csv_with(BilledCost="1" * 21)),
    ("unparsable-amount", "ListCost is not a number", csv_with(ListCost="n/a")),
    ("unparsable-amount", "PricingQuantity is not a number", csv_with(PricingQuantity="2 hours")),
    ("unparsable-time", "ChargePeriodStart is not a date or time", csv_with(ChargePeriodStart="2026-10-01T30:00:00Z")),
    ("unparsable-time", "ChargePeriodEnd is not a date or time", csv_with(ChargePeriodEnd="2026-02-30")),
    ("unparsable-time", "BillingPeriodStart is not a date or time", csv_with(BillingPeriodStart="0026-10-01")),
    ("missing-amount", "BilledCost is missing", csv_with(BilledCost="")),
    ("missing-amount", "BilledCost is missing", csv_with(BilledCost="NULL")),
    ("missing-currency", "BillingCurrency is missing", csv_with(BillingCurrency="")),
    ("bad-currency", "BillingCurrency is not a three-letter currency code", csv_with(BillingCurrency="usd")),
    ("bad-currency", "BillingCurrency is not a three-letter currency code", csv_with(BillingCurrency="Token")),
    ("bad-currency", "BillingCurrency is not a three-letter currency code", csv_with(BillingCurrency="US$")),
    ("missing-time", "ChargePeriodStart is missing", csv_with(ChargePeriodStart="")),
    ("period-reversed", "ChargePeriodEnd lies before its start", csv_with(ChargePeriodEnd="2026-10-02")),
    ("period-reversed", "BillingPeriodEnd lies before its start", csv_with(BillingPeriodEnd="2026-09-01")),
    ("unknown-charge-category", "ChargeCategory is not one that FOCUS knows", csv_with(ChargeCategory="Rebate")),
    ("negative-quantity", "PricingQuantity is negative while the cost is positive", csv_with(PricingQuantity="-2")),
    ("ragged-row", f"the row has {len(COLUMNS) + 1} fields where the header has {len(COLUMNS)}", ragged),
    ("not-json", "the row is not a JSON object", cut_json),
]


def test_every_rejecting_code_has_a_case() -> None:
    """Of bills here; the others, of facts and price files, where their readers are tested."""
    tests = Path(__file__).resolve().parents[1]
    elsewhere = "".join(path.read_text() for path in tests.rglob("test_*.py") if path != Path(__file__).resolve())
    untold = {kind.code for kind in CATALOGUE.values() if kind.rejects} - {code for code, _, _ in CASES}
    assert [code for code in sorted(untold) if f'"{code}"' not in elsewhere] == []


@pytest.mark.parametrize(
    ("code", "message", "make"), CASES, ids=[f"{code}-{n}" for n, (code, _, _) in enumerate(CASES)]
)
def test_a_bad_row_is_listed_and_the_good_rows_load(
    tmp_path: Path, code: str, message: str, make: Callable[[Path], Path]
) -> None:
    ledger = tmp_path / "ledger"
    bill = make(tmp_path)
    bad_row = 2 if bill.suffix == ".jsonl" else HEADER_ROWS + 2

    report = load(Ledger(ledger), [bill], Settings())

    (file,) = report.files
    listed = [(p.source, p.code, p.message, p.count, p.first_line) for p in file.problems if p.rejects]
    assert listed == [(bill.name, code, message, 1, bad_row)]
    assert (file.rows_read, file.rows_loaded, file.rows_rejected) == (3, 2, 1)
    assert totals(ledger) == (2, Decimal("3.25"))
    kept = pq.read_table(ledger / "quarantine" / f"{report.load_id}.parquet").to_pylist()
    assert [(k["x_SourceFile"], k["x_SourceRow"], k["code"]) for k in kept] == [(bill.name, bad_row, code)]
    assert "sku-1" in kept[0]["row"] or code == "not-json"


@pytest.mark.parametrize(
    "changed",
    [
        {"PricingQuantity": "-2", "BilledCost": "-1.25"},
        {"PricingQuantity": "-2", "ChargeCategory": "Credit"},
        {"BilledCost": "-5"},
        {"BilledCost": "$10,000.00"},
        {"BilledCost": "1.5E-7"},
        {"ChargePeriodEnd": ""},
        {"Tags": "not json"},
    ],
    ids=str,
)
def test_an_unusual_row_is_not_a_bad_one(tmp_path: Path, changed: dict[str, str]) -> None:
    report = load(Ledger(tmp_path / "ledger"), [csv_with(**changed)(tmp_path)], Settings())

    assert (report.files[0].rows_loaded, report.files[0].rows_rejected) == (3, 0)


@pytest.mark.parametrize("tags", ["[1]", "not json", '{"team": "a", "team": "b"}'])
def test_tags_that_are_no_object_of_distinct_keys_are_noticed_and_the_row_is_kept(tmp_path: Path, tags: str) -> None:
    report = load(Ledger(tmp_path / "ledger"), [csv_with(Tags=tags)(tmp_path)], Settings())

    assert [(p.code, p.rejects) for p in report.files[0].problems] == [("bad-tags", False)]


def test_the_command_line_shows_the_problems_and_exits_with_3(tmp_path: Path) -> None:
    bill = csv_with(BilledCost="twelve")(tmp_path)

    status, out, _ = run_outlay("load", bill, "--ledger", tmp_path / "ledger", "--json")
    again, text, _ = run_outlay("load", bill, "--ledger", tmp_path / "ledger")

    (problem,) = json.loads(out)["loads"][0]["problems"]
    assert (status, again) == (3, 3)
    assert problem == {
        "code": "unparsable-amount",
        "message": "BilledCost is not a number",
        "hint": CATALOGUE["unparsable-amount"].hint,
        "count": 1,
        "first_line": 3,
    }
    assert "kept out: bill.csv: BilledCost is not a number, 1 rows (first: row 3)." in text


@pytest.mark.parametrize(
    ("code", "make"),
    [("unparsable-amount", csv_with(BilledCost="twelve")), ("ragged-row", ragged)],
    ids=["bad cell", "ragged"],
)
def test_a_bad_third_line_is_line_3_to_load_and_to_overspend(
    tmp_path: Path, code: str, make: Callable[[Path], Path]
) -> None:
    bill = make(tmp_path)
    lines = bill.read_text(encoding="utf-8").splitlines()
    assert [n for n, line in enumerate(lines, start=1) if "twelve" in line or "one too many" in line] == [3]

    _, loaded, _ = run_outlay("load", bill, "--ledger", tmp_path / "ledger", "--json")
    _, answered, _ = run_outlay("overspend", bill, "--json")

    for problems in (json.loads(loaded)["loads"][0]["problems"], json.loads(answered)["problems"]):
        assert [(p["code"], p["count"], p["first_line"]) for p in problems] == [(code, 1, 3)]


def test_a_clean_bill_exits_with_0_and_an_unreadable_one_with_2(tmp_path: Path) -> None:
    good = write_csv(tmp_path / "good.csv", [row()])
    empty = tmp_path / "empty.csv"
    empty.touch()

    assert run_outlay("load", good, "--ledger", tmp_path / "ledger")[0] == 0
    status, out, err = run_outlay("load", empty, "--ledger", tmp_path / "ledger", "--json")
    assert (status, out) == (2, "")
    assert err == f"outlay: {empty}: is empty (0 bytes). Export it again.\n"


def test_a_bill_of_bad_rows_only_changes_no_month(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [write_csv(tmp_path / "a.csv", [row()])], Settings())

    report = load(Ledger(ledger), [write_csv(tmp_path / "b.csv", [row(BilledCost="x")])], Settings())

    assert (report.files[0].rows_loaded, report.files[0].rows_rejected, report.rows_replaced) == (0, 1, 0)
    assert (report.changed, report.version, len(Ledger(ledger).history())) == (False, 1, 2), "no new version"
    assert totals(ledger) == (1, Decimal("1.25"))
    code, out, _ = run_outlay("load", tmp_path / "b.csv", "--ledger", ledger)
    assert code == 3
    assert "Nothing in these files is of use to the ledger; nothing changed (version 1)." in out
