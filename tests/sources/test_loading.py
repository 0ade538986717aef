"""A load adds, replaces or changes nothing, exactly as its content says, and never touches another account's rows."""

from __future__ import annotations

import gzip
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings, TagSettings
from outlay.errors import UsageError
from outlay.ledger.store import Ledger
from outlay.sources.load_report import LoadReport
from outlay.sources.loading import load
from tests.sources.bills import row, stored, totals, write_csv

NOVEMBER = {
    "BillingPeriodStart": "2026-11-01T00:00:00Z",
    "BillingPeriodEnd": "2026-12-01T00:00:00Z",
    "ChargePeriodStart": "2026-11-03T00:00:00Z",
    "ChargePeriodEnd": "2026-11-04T00:00:00Z",
}
BY_SCOPE = 'SELECT x_Source, x_BillingMonth, count(*), sum("BilledCost") FROM costs GROUP BY ALL ORDER BY ALL'


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def loaded(ledger: Path, *paths: Path, settings: Settings | None = None, source: str | None = None) -> LoadReport:
    return load(Ledger(ledger), paths, settings or Settings(), source=source)


def test_a_load_says_what_it_did(tmp_path: Path, ledger: Path) -> None:
    report = loaded(ledger, write_csv(tmp_path / "a.csv", [row(), row(BilledCost="2.50", **NOVEMBER)]))

    (file,) = report.files
    assert report.changed
    assert (file.format, file.sources, file.billing_periods) == ("focus", ("acct-1",), ("2026-10", "2026-11"))
    assert (file.rows_read, file.rows_loaded, file.rows_rejected, report.rows_replaced) == (2, 2, 0, 0)
    assert file.totals == {"USD": {"BilledCost": Decimal("3.75"), "EffectiveCost": Decimal(2), "ListCost": Decimal(3)}}
    assert totals(ledger) == (2, Decimal("3.75"))


def test_the_same_content_twice_changes_nothing(tmp_path: Path, ledger: Path) -> None:
    bill = write_csv(tmp_path / "a.csv", [row()])
    first = loaded(ledger, bill)
    files = sorted(ledger.rglob("*.parquet"))

    again = loaded(ledger, bill)
    renamed = loaded(ledger, Path(shutil.copy(bill, tmp_path / "another-name.csv")))

    for later in (again, renamed):
        assert not later.changed
        assert (later.load_id, later.version) == (first.load_id, first.version)
        assert later.files[0].totals == first.files[0].totals
    assert sorted(ledger.rglob("*.parquet")) == files


def test_a_restated_month_replaces_that_accounts_month_and_nothing_else(tmp_path: Path, ledger: Path) -> None:
    loaded(ledger, write_csv(tmp_path / "a.csv", [row(), row(), row(**NOVEMBER)]))
    loaded(ledger, write_csv(tmp_path / "b.csv", [row(BillingAccountId="acct-2", BilledCost="100")]))

    report = loaded(ledger, write_csv(tmp_path / "restated.csv", [row(BilledCost="9.99")]))

    assert report.rows_replaced == 2
    assert any("2 rows of acct-1 2026-10 were replaced" in note and "--as-of" in note for note in report.notes)
    assert stored(ledger, BY_SCOPE) == [
        ("acct-1", "2026-10", 1, Decimal("9.99")),
        ("acct-1", "2026-11", 1, Decimal("1.25")),
        ("acct-2", "2026-10", 1, Decimal(100)),
    ]


def test_content_that_was_replaced_can_be_loaded_again(tmp_path: Path, ledger: Path) -> None:
    old = write_csv(tmp_path / "old.csv", [row()])
    new = write_csv(tmp_path / "new.csv", [row(BilledCost="7")])
    for bill in (old, new, old):
        assert loaded(ledger, bill).changed

    assert totals(ledger) == (1, Decimal("1.25"))


def test_one_file_of_two_accounts_becomes_two_sources(tmp_path: Path, ledger: Path) -> None:
    report = loaded(
        ledger, write_csv(tmp_path / "a.csv", [row(), row(BillingAccountId="/billing/Acct 2/", BilledCost="3")])
    )

    assert report.files[0].sources == ("acct-1", "acct-2")
    assert stored(ledger, BY_SCOPE) == [
        ("acct-1", "2026-10", 1, Decimal("1.25")),
        ("acct-2", "2026-10", 1, Decimal(3)),
    ]


def test_parts_in_one_command_add_up_and_replace_together(tmp_path: Path, ledger: Path) -> None:
    loaded(ledger, write_csv(tmp_path / "early.csv", [row(BilledCost="50")]))

    report = loaded(
        ledger, write_csv(tmp_path / "1.csv", [row()]), write_csv(tmp_path / "2.csv", [row(BilledCost="2")])
    )

    assert (len(report.files), report.rows_replaced) == (2, 1)
    assert totals(ledger) == (2, Decimal("3.25"))


def test_the_order_of_parts_makes_no_new_load(tmp_path: Path, ledger: Path) -> None:
    parts = [write_csv(tmp_path / "1.csv", [row()]), write_csv(tmp_path / "2.csv", [row(BilledCost="2")])]
    loaded(ledger, *parts)

    assert not loaded(ledger, *reversed(parts)).changed


def test_a_copy_in_a_folder_is_counted_once_and_said(tmp_path: Path, ledger: Path) -> None:
    folder = tmp_path / "export"
    (folder / "deep").mkdir(parents=True)
    write_csv(folder / "a.csv", [row()])
    shutil.copy(folder / "a.csv", folder / "deep" / "a-copy.csv")
    write_csv(folder / "b.csv", [row(BilledCost="2")])
    (folder / "README.md").write_text("# what this is\n", encoding="utf-8")
    (folder / ".hidden.csv").write_text("never read", encoding="utf-8")

    report = loaded(ledger, folder)

    assert totals(ledger) == (2, Decimal("3.25"))
    assert sorted(note.partition(": ")[2] for note in report.notes) == [
        f"has the same content as {folder / 'a.csv'}; counted once",
        "not a data file",
    ]


def test_an_older_version_shows_the_older_totals(tmp_path: Path, ledger: Path) -> None:
    first = loaded(ledger, write_csv(tmp_path / "a.csv", [row()]))
    loaded(ledger, write_csv(tmp_path / "b.csv", [row(BilledCost="7")]))
    moment = {record.version: record.at for record in Ledger(ledger).history()}[first.version]

    assert totals(ledger) == (1, Decimal(7))
    assert totals(ledger, as_of=str(first.version)) == (1, Decimal("1.25"))
    assert totals(ledger, as_of=moment.isoformat()) == (1, Decimal("1.25"))


def test_a_newly_configured_tag_becomes_a_column(tmp_path: Path, ledger: Path) -> None:
    tagged = {"Tags": '{"Cost-Center": "42", "owner": "eve", "team": "search"}'}
    loaded(ledger, write_csv(tmp_path / "a.csv", [row(**tagged)]))
    settings = Settings(tags=TagSettings(required=("team", "cost_center"), aliases={"team": ("owner",)}))

    report = loaded(
        ledger, write_csv(tmp_path / "b.csv", [row(BillingAccountId="acct-2", **tagged)]), settings=settings
    )

    assert report.changed
    assert stored(ledger, "SELECT x_Source, x_Tag_team, x_Tag_cost_center FROM costs ORDER BY 1") == [
        ("acct-1", "search", None),
        ("acct-2", "search", "42"),
    ]


def test_a_new_tag_schema_loads_the_same_content_again(tmp_path: Path, ledger: Path) -> None:
    bill = write_csv(tmp_path / "a.csv", [row(Tags='{"owner": "eve"}')])
    loaded(ledger, bill)

    report = loaded(ledger, bill, settings=Settings(tags=TagSettings(required=("team",), aliases={"team": ("owner",)})))

    assert report.changed
    assert stored(ledger, "SELECT x_Tag_team FROM costs") == [("eve",)]


def test_a_named_source_keeps_a_bill_apart_from_its_account(tmp_path: Path, ledger: Path) -> None:
    loaded(ledger, write_csv(tmp_path / "a.csv", [row()]))
    report = loaded(ledger, write_csv(tmp_path / "b.csv", [row(BilledCost="2")]), source="second-export")

    assert report.rows_replaced == 0
    assert [scope[0] for scope in stored(ledger, BY_SCOPE)] == ["acct-1", "second-export"]


def test_a_source_name_must_suit_every_file_system(tmp_path: Path, ledger: Path) -> None:
    with pytest.raises(UsageError, match=r"--source: 'My Source' can't be a source name\..*e\.g\. 'my-source'"):
        loaded(ledger, write_csv(tmp_path / "a.csv", [row()]), source="My Source")

    assert not ledger.exists()


def test_every_row_names_its_file_and_row(tmp_path: Path, ledger: Path) -> None:
    path = tmp_path / "bill.csv.gz"
    path.write_bytes(gzip.compress(write_csv(tmp_path / "a.csv", [row(SkuId="x"), row(SkuId="y")]).read_bytes()))
    report = loaded(ledger, path)

    assert stored(ledger, 'SELECT x_SourceFile, x_SourceRow, "SkuId", x_LoadId FROM costs ORDER BY 2') == [
        ("bill.csv.gz", 2, "x", report.load_id),
        ("bill.csv.gz", 3, "y", report.load_id),
    ]


def test_two_currencies_are_told_apart(tmp_path: Path, ledger: Path) -> None:
    report = loaded(ledger, write_csv(tmp_path / "a.csv", [row(), row(BillingCurrency="EUR", BilledCost="2")]))

    assert {currency: sums["BilledCost"] for currency, sums in report.files[0].totals.items()} == {
        "USD": Decimal("1.25"),
        "EUR": Decimal(2),
    }
