"""Bills read in place give one answer whatever the file format, and rows that can't be added are told, not added."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from outlay.config import OverspendSettings, Settings
from outlay.demo.company import generate
from outlay.demo.rows import FileFormat
from outlay.errors import UnreadableError
from outlay.ledger.engine.duckdb import literal, session
from outlay.optimize import rollups
from outlay.optimize.overspend import Overspend, overspend
from outlay.optimize.rollups import AiRows
from outlay.prices.rates import RateBook
from tests.shared import shared
from tests.sources.bills.reading import HEADER_ROWS
from tests.sources.focus_bills import row, write_csv

ROWS = 5_000
CRAMPED_MIB = 80
"""Too little for 200,000 rows by all their tags (which takes above 120), enough by the tags that matter (40)."""
UNUSED_EC2 = {
    "ServiceProviderName": "AWS",
    "ServiceName": "AmazonEC2",
    "CommitmentDiscountId": "ri-1",
    "CommitmentDiscountStatus": "Unused",
    "EffectiveCost": "40.00",
    "BilledCost": "0",
}


def answer(*paths: Path, settings: Settings | None = None) -> Overspend:
    return overspend(paths, settings or Settings(), RateBook())


def comparable(found: Overspend) -> dict[str, Any]:
    """The document without what must differ: the time it took, the endings of the file names, CSV files' header rows.

    An evidence row becomes the count of the charge in its file, the first being 1.
    """
    document = found.to_json()
    del document["seconds"]
    document["files"] = [Path(name).name.partition(".")[0] for name in document["files"]]
    for finding in document["findings"]:
        for evidence in finding["evidence"]:
            name, _, ending = evidence["file"].partition(".")
            evidence["file"] = name
            evidence["row"] -= HEADER_ROWS if ending.startswith("csv") else 0
    return document


def test_csv_and_parquet_of_one_company_give_one_answer(tmp_path: Path) -> None:
    def found(file_format: FileFormat) -> dict[str, Any]:
        company = generate(tmp_path / file_format, rows=ROWS, file_format=file_format)
        return comparable(answer(*company.files))

    parquet, csv = found("parquet"), found("csv.gz")
    assert Decimal(parquet["overspend"]) > 0
    assert csv == parquet


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    for name, cost in (("a.csv", "1"), ("b.csv", "1.5")):
        write_csv(tmp_path / name, [row(BilledCost=cost)])
    whole, listed = answer(tmp_path), answer(tmp_path / "a.csv", tmp_path / "b.csv")
    assert whole.totals == listed.totals
    assert (whole.totals.rows, whole.totals.billed_cost) == (2, Decimal("2.50"))


def test_the_same_content_under_two_names_is_read_once_and_said(tmp_path: Path) -> None:
    first, second = (write_csv(tmp_path / name, [row()]) for name in ("a.csv", "b.csv"))
    found = answer(first, second)
    assert (found.totals.rows, found.totals.billed_cost) == (1, Decimal("1.25"))
    assert any("b.csv" in note for note in found.notes)


def test_a_bad_row_is_reported_and_not_summed(tmp_path: Path) -> None:
    bill = write_csv(tmp_path / "bill.csv", [row(), row(BilledCost="1.2.3"), row(BilledCost="7")])
    found = answer(bill)
    assert (found.totals.rows, found.totals.billed_cost) == (2, Decimal("8.25"))
    (problem,) = found.problems
    assert (problem.source, problem.count, problem.first_line) == ("bill.csv", 1, 3)  # below the header and a good row
    assert problem.message
    assert problem.hint
    assert found.to_json()["problems"][0]["code"] == problem.code


def a_pod_a_row(folder: Path) -> Path:
    """A made-up company's bill of some 200,000 rows, mostly GPUs and tokens, each row with a ``pod`` tag of its own."""
    company = generate(folder / "company", rows=20_000, file_format="parquet")
    bill = folder / "pods.parquet"
    files = ", ".join(literal(str(path)) for path in company.files)
    with session() as connection:
        connection.execute(
            f"""COPY (SELECT t.* REPLACE (map_concat("Tags", MAP {{'pod': 'pod-' || row_number() OVER ()}}) AS "Tags")
            FROM read_parquet([{files}]) t, range(10)) TO {literal(str(bill))} (FORMAT parquet)"""
        )
        rows, tags = connection.execute(
            f'SELECT count(*), count(DISTINCT "Tags") FROM read_parquet({literal(str(bill))})'
        ).fetchall()[0]
    assert rows == tags > 190_000
    return bill


def test_tags_that_differ_on_every_row_give_one_answer_whether_they_fit_in_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill = a_pod_a_row(tmp_path)
    group_alike = rollups._group_alike
    groupings: list[tuple[str, bool]] = []

    def watched(connection: duckdb.DuckDBPyConnection, rows: AiRows, settings: OverspendSettings, tags: str) -> None:
        by = "all tags" if tags == 't."Tags"' else "tags that matter"
        try:
            group_alike(connection, rows, settings, tags)
        except duckdb.OutOfMemoryException:
            groupings.append((by, False))
            raise
        groupings.append((by, True))

    monkeypatch.setattr(rollups, "_group_alike", watched)
    roomy = comparable(answer(bill))
    assert groupings == [("all tags", True)]

    groupings.clear()
    cramped_session = partial(session, memory_limit_mib=CRAMPED_MIB, threads=1)
    monkeypatch.setattr("outlay.optimize.overspend.session", cramped_session)
    cramped = comparable(answer(bill))

    assert groupings == [("all tags", False), ("tags that matter", True)]
    assert Decimal(roomy["overspend"]) > 0
    assert roomy["ai_rows"] > 100_000
    assert cramped == roomy


def test_a_bill_of_bad_rows_only_is_an_error_that_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    rows = [row(ChargeCategory="Misc"), row(ChargeCategory="Misc"), row(BillingCurrency="")]
    bill = write_csv(tmp_path / "bill.csv", rows)

    with pytest.raises(UnreadableError) as error:
        answer(bill)

    assert "ChargeCategory is not one that FOCUS knows: 2 rows; BillingCurrency is missing: 1 row)" in str(error.value)
    assert "FOCUS allows Usage" in str(error.value)


def test_ai_rows_whose_tags_cannot_be_read_are_told(tmp_path: Path) -> None:
    ai = {"ServiceCategory": "AI and Machine Learning"}
    tags = ["[1]", '{"team": "a", "team": "b"}', "{}", ""]
    bill = write_csv(tmp_path / "bill.csv", [row(**ai, Tags=one) for one in tags])
    typed = tmp_path / "bill.parquet"
    with session() as connection:
        connection.execute(f"COPY (FROM read_csv({literal(str(bill))}, all_varchar=true)) TO {literal(str(typed))}")

    for path in (bill, typed):
        told = [(one.code, one.message) for one in answer(path).problems]
        assert (
            "bad-tags",
            "of the AI rows, 2 rows have tags that are not a JSON object, or that give a key twice",
        ) in told


def test_an_open_end_is_no_day_of_the_bill(tmp_path: Path) -> None:
    bill = write_csv(tmp_path / "bill.csv", [row(), row(ChargePeriodEnd="9999-12-31T00:00:00Z")])

    assert answer(bill).to_json()["period"]["until"].startswith("2027-")  # a year from the start of its charge, at most


def test_two_currencies_are_never_added(tmp_path: Path) -> None:
    rows = [row(), row(BillingCurrency="EUR", BilledCost="5"), row(BillingCurrency="EUR", BilledCost="6")]
    bill = write_csv(tmp_path / "bill.csv", rows)
    dollars = answer(bill, settings=Settings(currency="USD"))
    assert (dollars.totals.currency, dollars.totals.rows) == ("USD", 1)
    assert (dollars.totals.billed_cost, dollars.totals.others) == (Decimal("1.25"), (("EUR", 2, Decimal(11)),))
    assert dollars.to_json()["other_currencies"] == [{"currency": "EUR", "rows": 2, "billed_cost": "11"}]
    euros = answer(bill, settings=Settings(currency="EUR"))
    assert (euros.totals.currency, euros.totals.billed_cost) == ("EUR", Decimal(11))
    assert euros.totals.others == (("USD", 1, Decimal("1.25")),)
    for nothing_said in (Settings(), Settings(currency="JPY")):
        assert answer(bill, settings=nothing_said).totals.currency == "EUR"  # most rows; a default is no wish


def test_an_unused_commitment_outside_ai_is_told_and_not_counted(tmp_path: Path) -> None:
    columns = [*row(), "CommitmentDiscountId", "CommitmentDiscountStatus"]
    found = answer(write_csv(tmp_path / "bill.csv", [row(), row(**UNUSED_EC2)], columns))
    (lead,) = found.findings
    assert (lead.detector, lead.saving, lead.counted) == ("unused-commitments", Decimal(40), False)
    assert lead.needs
    assert (found.overspend, found.to_confirm, found.totals.ai_cost) == (Decimal(0), Decimal(0), Decimal(0))
    assert found.to_confirm_outside_ai == Decimal(40)


def test_what_ai_left_unused_of_its_commitment_is_in_the_cost_and_in_the_picture_of_the_days(tmp_path: Path) -> None:
    used = {
        "ServiceProviderName": "AWS",
        "ServiceName": "Amazon SageMaker",
        "CommitmentDiscountId": "ri-1",
        "CommitmentDiscountStatus": "Used",
        "EffectiveCost": "60.00",
        "BilledCost": "0",
    }
    columns = [*row(), "CommitmentDiscountId", "CommitmentDiscountStatus"]
    found = answer(write_csv(tmp_path / "bill.csv", [row(**used), row(**UNUSED_EC2)], columns))
    assert (found.overspend, found.totals.ai_cost) == (Decimal(40), Decimal(100))
    assert sum(cost for _, _, cost in found.days) == Decimal(100)


@pytest.mark.parametrize(
    ("name", "unused"),
    [("aws", "3456.4141209888"), ("azure", "6832.291110336"), ("gcp", "4881.3281402146")],
)
def test_generated_bills_without_ai_have_no_counted_overspend(name: str, unused: str) -> None:
    # `unused` is the sum of EffectiveCost where CommitmentDiscountStatus is Unused; a saving is cut at a billionth.
    found = answer(shared(f"data/focus/focus_data_toolkit_generated/focus_1_2_cost_and_usage_{name}.csv"))
    (lead,) = found.findings
    assert lead.detector == "unused-commitments"
    assert not lead.counted
    assert lead.saving is not None
    assert Decimal(0) <= Decimal(unused) - lead.saving < Decimal("0.000001")
    assert (found.overspend, found.totals.ai_cost, found.totals.rows) == (Decimal(0), Decimal(0), 2000)
