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
from tests.sources.focus_bills import row, stored, totals, write_csv

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


def test_content_that_was_replaced_stays_replaced_unless_asked_for(tmp_path: Path, ledger: Path) -> None:
    old = write_csv(tmp_path / "old.csv", [row()])
    new = write_csv(tmp_path / "new.csv", [row(BilledCost="7")])
    assert loaded(ledger, old).changed
    assert loaded(ledger, new).changed

    nightly = loaded(ledger, old)
    assert not nightly.changed
    assert any("--again" in note for note in nightly.notes)
    assert totals(ledger) == (1, Decimal(7))

    assert load(Ledger(ledger), [old], Settings(), again=True).changed
    assert totals(ledger) == (1, Decimal("1.25"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"BillingAccountId": "Acme Prod"}, {"BillingAccountId": "acme-prod"}, id="spelling"),
        pytest.param(
            {"BillingAccountId": "default", "ServiceProviderName": "OpenAI"},
            {"BillingAccountId": "default", "ServiceProviderName": "Anthropic"},
            id="two vendors",
        ),
        pytest.param(
            {"BillingAccountId": "", "ServiceProviderName": "OpenAI"},
            {"BillingAccountId": "", "ServiceProviderName": "Anthropic"},
            id="no account",
        ),
    ],
)
def test_two_accounts_of_one_name_never_replace_each_other(
    tmp_path: Path, ledger: Path, first: dict[str, str], second: dict[str, str]
) -> None:
    loaded(ledger, write_csv(tmp_path / "first.csv", [row(**first)]))
    stranger = write_csv(tmp_path / "second.csv", [row(**second, BilledCost="5")])
    with pytest.raises(UsageError, match="would go by the name") as refused:
        loaded(ledger, stranger)
    assert "--source" in str(refused.value)
    assert totals(ledger) == (1, Decimal("1.25"))
    load(Ledger(ledger), [stranger], Settings(), source="second")
    assert totals(ledger) == (2, Decimal("6.25"))


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


def test_a_month_delivered_twice_in_one_command_is_noticed(tmp_path: Path, ledger: Path) -> None:
    early = [row(SkuId=f"sku-{n}") for n in range(6)]
    late = [*early[:-1], row(SkuId="sku-5", BilledCost="2"), *(row(SkuId=f"late-{n}") for n in range(6))]
    for run, rows in (("run1", early), ("run2", late)):
        (tmp_path / "export" / run).mkdir(parents=True)
        write_csv(tmp_path / "export" / run / "part.csv", rows)
    report = load(Ledger(ledger), [tmp_path / "export"], Settings())
    (notice,) = [p for file in report.files for p in file.problems if p.code == "delivered-twice"]
    assert (notice.source, notice.message) == ("run1/part.csv", "83% of its rows are in run2/part.csv too")


def test_the_parts_of_one_export_are_not_taken_for_deliveries_of_it(tmp_path: Path, ledger: Path) -> None:
    for part in (1, 2):
        write_csv(tmp_path / f"part{part}.csv", [row(SkuId=f"sku-{part}-{n}") for n in range(6)] + [row()])
    report = load(Ledger(ledger), [tmp_path / "part1.csv", tmp_path / "part2.csv"], Settings())
    assert "delivered-twice" not in {p.code for file in report.files for p in file.problems}


def test_a_gpu_instance_that_no_table_knows_is_noticed(tmp_path: Path, ledger: Path) -> None:
    gpu = {"ServiceProviderName": "AWS", "ServiceName": "Amazon Elastic Compute Cloud", "ServiceCategory": "Compute"}
    rows = [row(**gpu, SkuMeter="USE1-BoxUsage:p9.48xlarge"), row(**gpu, SkuMeter="USE1-BoxUsage:p5.48xlarge")]
    report = loaded(ledger, write_csv(tmp_path / "a.csv", rows, [*row(), "SkuMeter"]))
    (notice,) = [p for p in report.files[0].problems if p.code == "unknown-gpu-instance"]
    assert notice.message == "GPU hours of p9.48xlarge are not counted"


def test_an_absurd_quantity_leaves_the_hours_open_and_loads(tmp_path: Path, ledger: Path) -> None:
    gpu = {"ServiceProviderName": "AWS", "ServiceName": "Amazon Elastic Compute Cloud", "ServiceCategory": "Compute"}
    huge = row(**gpu, SkuMeter="USE1-BoxUsage:p5.48xlarge", PricingQuantity="1000000000000001")
    report = loaded(ledger, write_csv(tmp_path / "a.csv", [huge], [*row(), "SkuMeter"]))
    assert report.files[0].rows_loaded == 1
    assert stored(ledger, 'SELECT "PricingQuantity", x_GpuHours FROM costs') == [(Decimal(1000000000000001), None)]
