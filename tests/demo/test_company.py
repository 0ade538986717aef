"""The same arguments give the same bills, in both formats, of the size asked, and all of them say synthetic."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from outlay.demo.chance import MIX_MACROS, key_of, mix
from outlay.demo.company import Company, generate
from outlay.demo.lines import Calendar, count_rows
from outlay.demo.plan import make_plan
from outlay.errors import UsageError
from outlay.ledger.tables.costs import focus_columns
from tests.demo.test_truth import PLANTS

FOCUS = [column.name for column in focus_columns()]


def _rows(query: str) -> list[tuple[object, ...]]:
    return duckdb.connect().execute(query).fetchall()


def _digest(files: tuple[Path, ...]) -> list[tuple[object, ...]]:
    """Rows and a digest of them by file name, independent of their order."""
    paths = ", ".join(f"'{path}'" for path in files)
    return _rows(f"""SELECT parse_filename(filename) AS name, count(*), sum(md5_number_lower(CAST(t AS VARCHAR)))
        FROM (SELECT * REPLACE (parse_filename(filename) AS filename)
            FROM read_parquet([{paths}], filename = true)) AS t
        GROUP BY name ORDER BY name""")


def test_the_hash_is_the_same_in_sql_and_in_python() -> None:
    connection = duckdb.connect()
    connection.execute(MIX_MACROS)
    key = key_of(20260101, "chat-assistant")
    found = connection.execute(f"SELECT mix({key}, t) FROM range(489000, 489100) AS r(t) ORDER BY t").fetchall()
    assert [row[0] for row in found] == [mix(key, time) for time in range(489000, 489100)]


def test_the_hash_does_not_change() -> None:
    # Computed once from the definition in another language; other values would change every demonstration.
    assert [mix(0, 0), mix(1, 0), mix(1, 1), mix(2, 1)] == [0, 740968106, 376356864, 1077445414]
    assert mix(123456789, 489000) == 928950437


def test_the_same_seed_gives_the_same_bills(tmp_path: Path) -> None:
    first = generate(tmp_path / "first", rows=3000, months=2)
    second = generate(tmp_path / "second", rows=3000, months=2)
    assert (first.folder / "truth.json").read_bytes() == (second.folder / "truth.json").read_bytes()
    assert _digest(first.files) == _digest(second.files)
    assert _digest(first.restated) == _digest(second.restated)


def test_another_seed_gives_other_bills(tmp_path: Path) -> None:
    first = generate(tmp_path / "first", rows=3000, months=2)
    second = generate(tmp_path / "second", rows=3000, months=2, seed=7)
    assert first.truth["totals"] != second.truth["totals"]


def test_csv_and_parquet_carry_the_same_rows(tmp_path: Path) -> None:
    parquet = generate(tmp_path / "parquet", rows=2000, months=2, until=date(2026, 3, 31))
    csv = generate(tmp_path / "csv", rows=2000, months=2, until=date(2026, 3, 31), file_format="csv.gz")
    assert [path.name.removesuffix(".parquet") for path in parquet.files] == [
        path.name.removesuffix(".csv.gz") for path in csv.files
    ]
    connection = duckdb.connect()
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM '{parquet.files[0]}'").fetchall()}
    connection.execute(f"CREATE VIEW text AS FROM read_csv('{csv.folder}/synthetic/*.csv.gz', all_varchar = true)")
    columns = ", ".join(
        f'CAST(CAST("{name}" AS JSON) AS {kind}) AS "{name}"'
        if kind.startswith("MAP")
        else f"CAST(replace(\"{name}\", 'Z', '') AS {kind}) AS \"{name}\""
        if kind == "TIMESTAMP"
        else f'CAST("{name}" AS {kind}) AS "{name}"'
        for name, kind in types.items()
    )
    # A MAP has an order; compare it as sorted entries.
    connection.execute(
        f"CREATE VIEW a AS SELECT * REPLACE (list_sort(map_entries(Tags)) AS Tags) "
        f"FROM '{parquet.folder}/synthetic/*.parquet'"
    )
    connection.execute(
        f"CREATE VIEW b AS SELECT * REPLACE (list_sort(map_entries(Tags)) AS Tags) FROM (SELECT {columns} FROM text)"
    )
    for left, right in (("a", "b"), ("b", "a")):
        extra = connection.execute(f"SELECT count(*) FROM (FROM {left} EXCEPT ALL FROM {right})").fetchone()
        assert extra == (0,)
    sample = connection.execute("SELECT ChargePeriodStart, Tags FROM text WHERE Tags IS NOT NULL LIMIT 1").fetchone()
    assert sample is not None
    assert sample[0].endswith(":00:00Z")
    assert isinstance(json.loads(sample[1]), dict)


@pytest.mark.parametrize(
    "rows", [1_000, 5_000, 50_000, 400_000, 3_000_000, pytest.param(100_000_000, marks=pytest.mark.slow)]
)
def test_the_plan_has_the_rows_that_were_asked(rows: int) -> None:
    calendar = Calendar.ending(date(2026, 10, 31), 12)
    plan = make_plan(calendar, 20260101, rows)
    planned = sum(count_rows(line, calendar) for line in plan.lines)
    assert 0.95 * rows <= planned <= rows
    ai = sum(count_rows(line, calendar) for line in plan.lines if line.is_ai)
    assert 0.55 <= ai / planned <= 0.61


def test_counting_agrees_with_what_is_written(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    assert bills.execute("SELECT count(*) FROM issued").fetchone() == (company.rows,)
    assert bills.execute("SELECT count(*) FROM bill").fetchone() == (company.truth["rows"],)
    calendar = Calendar.ending(date(2026, 10, 31), 12)
    plan = make_plan(calendar, 20260101, 30_000)
    assert company.rows == sum(count_rows(line, calendar) for line in plan.lines)


def test_a_short_period_that_ends_within_a_month(tmp_path: Path) -> None:
    company = generate(tmp_path, rows=4000, months=1, until=date(2026, 2, 11))
    found = _rows(f"""SELECT min(ChargePeriodStart)::VARCHAR, max(ChargePeriodEnd)::VARCHAR,
        max(BillingPeriodEnd)::VARCHAR FROM '{tmp_path}/synthetic/*.parquet'""")
    assert found == [("2026-02-01 00:00:00", "2026-02-12 00:00:00", "2026-03-01 00:00:00")]
    assert (company.truth["since"], company.truth["until"]) == ("2026-02-01", "2026-02-11")
    assert {entry["id"] for entry in company.truth["absent"]} == {"price-change"}  # type: ignore[attr-defined]


def test_everything_says_synthetic(company: Company, bills: duckdb.DuckDBPyConnection) -> None:
    assert (company.folder / "README.txt").read_text().splitlines()[0].startswith("SYNTHETIC")
    assert json.loads((company.folder / "truth.json").read_text())["synthetic"] is True
    assert all(path.name.startswith("synthetic-") for path in (*company.files, *company.restated))
    found = bills.execute("""SELECT DISTINCT x_Synthetic, BillingAccountName, InvoiceId LIKE 'SYNTHETIC-%'
        FROM (FROM issued UNION ALL FROM bill)""").fetchall()
    assert found == [("synthetic: not a real bill", "Synthetic AI Company (generated)", True)]


def test_columns_are_those_of_focus_and_one_of_our_own(bills: duckdb.DuckDBPyConnection) -> None:
    assert [row[0] for row in bills.execute("DESCRIBE bill").fetchall()] == [*FOCUS, "x_Synthetic"]


def test_a_file_holds_one_provider_and_one_month(company: Company) -> None:
    for path in company.files:
        found = _rows(f"SELECT DISTINCT ServiceProviderName, strftime(BillingPeriodStart, '%Y-%m') FROM '{path}'")
        ((provider, month),) = found
        assert path.name == f"synthetic-{str(provider).lower().replace(' ', '-')}-{month}.parquet"


def test_a_second_company_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    generate(tmp_path, rows=2000, months=3)
    company = generate(tmp_path, rows=2000, months=2, file_format="csv.gz")
    assert set((tmp_path / "synthetic").iterdir()) == set(company.files)
    assert set((tmp_path / "restated").iterdir()) == set(company.restated)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"rows": 10}, "rows"),
        ({"rows": 10**9}, "rows"),
        ({"rows": 5000, "months": 0}, "months"),
        ({"rows": 5000, "file_format": "xlsx"}, "file_format"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, object], where: str
) -> None:
    with pytest.raises(UsageError) as caught:
        generate(tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert caught.value.where == where
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_too_few_rows_for_the_months_say_how_many_are_enough(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few") as caught:
        generate(tmp_path / "out", rows=1000, months=24)
    least = int("".join(filter(str.isdigit, str(caught.value.hint))))
    calendar = Calendar.ending(date(2026, 10, 31), 24)
    assert make_plan(calendar, 20260101, least).lines


def test_the_page_names_every_plant_and_the_right_sizes() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/synthetic-company.md").read_text(encoding="utf-8")
    calendar = Calendar.ending(date(2026, 10, 31), 12)
    assert all(f"`{plant}`" in page for plant in PLANTS)
    for plant, least in (("anomaly", 3_099), ("steady-on-demand", 17_679), ("non-production-hours", 25_029)):
        assert f"| {least:,} | `{plant}`" in page
        assert plant not in make_plan(calendar, 20260101, least).absent
        assert plant in make_plan(calendar, 20260101, least - 2).absent
