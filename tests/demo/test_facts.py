"""What truth.json says of the facts is what the ledger holds once they are loaded, to the last digit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from outlay.config import PriceSettings, Settings
from outlay.demo.company import Company, generate
from outlay.demo.facts.folder import NAMES
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import FACT_TABLES, Ledger
from outlay.prices.contract import read_contract
from outlay.sources.load_report import LoadReport
from outlay.sources.loading import load

ROWS, MONTHS, DAYS = 18_000, 3, 92
"""Enough for rows by the day or the hour, of everything but a few keys that the bill has by the month."""

TOKEN_ROWS = "costs WHERE ConsumedUnit = 'Tokens' AND ChargeCategory = 'Usage'"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return generate(tmp_path_factory.mktemp("facts"), rows=ROWS, months=MONTHS, facts=True)


@pytest.fixture(scope="module")
def report(made: Company) -> LoadReport:
    ledger = Ledger(made.folder / "ledger")
    replaced = {path.name for path in made.restated}
    bills = [path for path in made.files if path.name not in replaced]
    return load(ledger, [*bills, *made.restated, made.folder / "facts"], Settings())


@pytest.fixture(scope="module")
def ledger(made: Company, report: LoadReport) -> Iterator[duckdb.DuckDBPyConnection]:
    opened = Ledger(made.folder / "ledger")
    with session() as connection:
        opened.register(connection)
        for table in FACT_TABLES.values():
            opened.register_facts(connection, table, Settings().tags.required)
        yield connection


def _truth(made: Company, part: str) -> dict[str, Any]:
    found: Any = made.truth["facts"]
    return dict(found[part])


def _one(ledger: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    (row,) = ledger.execute(sql).fetchall()
    return tuple(row)


def _sum(ledger: duckdb.DuckDBPyConnection, what: str, where: str) -> Any:
    return _one(ledger, f"SELECT {what} FROM {where}")[0]


def test_every_file_is_read_by_its_reader_without_a_problem(made: Company, report: LoadReport) -> None:
    assert sorted(path.name for path in made.facts) == sorted(NAMES)
    assert sorted(path.name for path in (made.folder / "facts").iterdir()) == sorted(NAMES)
    read = {Path(file.path).name: file for table in report.tables for file in table.files}
    assert {name: read[name].format for name in NAMES} == {
        "synthetic-openai-usage.jsonl": "openai-usage",
        "synthetic-anthropic-usage.jsonl": "anthropic-usage",
        "synthetic-otlp-spans.jsonl.gz": "otlp-json",
        "synthetic-otlp-metrics.jsonl": "otlp-json",
        "synthetic-dcgm-prometheus.jsonl": "prometheus",
        "synthetic-slurm-sacct.json": "slurm",
        "synthetic-sagemaker-training.jsonl": "sagemaker-training",
        "synthetic-outcomes.csv": "outcomes",
        "synthetic-alerts.csv": "alerts",
    }
    assert [file.problems for file in read.values() if file.problems] == []
    assert report.skipped == ()


def test_every_row_says_that_it_is_synthetic(ledger: duckdb.DuckDBPyConnection) -> None:
    for table in ("requests", "gpu_usage", "runs", "outcomes", "alerts"):
        unlabelled = "Tags['synthetic'] IS NULL AND x_Source <> 'synthetic'"
        if table == "gpu_usage":  # a card that nobody holds has no pod, so no labels
            unlabelled += " AND x_Holder IS NOT NULL"
        assert _sum(ledger, "count(*)", f"{table} WHERE {unlabelled}") == 0, table
        assert _sum(ledger, "count(*)", f"{table} WHERE x_SourceFile NOT LIKE 'synthetic-%'") == 0


@pytest.mark.parametrize("part", ["openai-usage", "anthropic-usage"])
def test_usage_reports_hold_what_they_say(made: Company, ledger: duckdb.DuckDBPyConnection, part: str) -> None:
    told = _truth(made, part)
    mine = f"requests WHERE x_Format = '{part}'"
    assert _one(ledger, f"SELECT count(*), sum(x_Requests) FROM {mine}") == (told["rows"], told["requests"])
    found = ledger.execute(f"""SELECT gen_ai_response_model, sum(gen_ai_usage_input_tokens)::BIGINT,
        sum(x_Meter_input)::BIGINT, coalesce(sum(x_Meter_cache_read), 0)::BIGINT,
        coalesce(sum(x_Meter_cache_write_5m), 0)::BIGINT, coalesce(sum(x_Meter_output), 0)::BIGINT
        FROM {mine} GROUP BY 1 ORDER BY 1""").fetchall()
    names = ("input", "uncached", "read", "write", "output")
    assert {row[0]: dict(zip(names, row[1:], strict=True)) for row in found} == told["tokens_by_model"]
    share = _one(
        ledger, f"SELECT sum(gen_ai_usage_cache_read_input_tokens), sum(gen_ai_usage_input_tokens) FROM {mine}"
    )
    assert share == (told["cache_read"]["read_tokens"], told["cache_read"]["input_tokens"])


@pytest.mark.parametrize(("part", "provider"), [("openai-usage", "OpenAI"), ("anthropic-usage", "Anthropic")])
def test_usage_priced_by_day_and_key_differs_from_the_bill_by_what_is_planted(
    made: Company, ledger: duckdb.DuckDBPyConnection, part: str, provider: str
) -> None:
    told = _truth(made, part)["reconciliation"]
    used = _sum(ledger, "sum(x_Cost)", f"requests WHERE x_Format = '{part}' AND x_PriceStatus = 'priced'")
    billed = _sum(ledger, "sum(EffectiveCost)", f"{TOKEN_ROWS} AND ServiceProviderName = '{provider}'")
    assert (used, billed) == (Decimal(told["usage_priced_at_list"]), Decimal(told["billed"]))
    assert used - billed == Decimal(told["difference"]) == sum(map(Decimal, told["causes"].values()))
    late = f"requests WHERE x_Format = '{part}' AND x_ApiKey NOT IN (SELECT ResourceId FROM {TOKEN_ROWS})"
    assert (_sum(ledger, "sum(x_Cost)", late) or 0) == Decimal(told["causes"].get("late-data", 0))
    batch = f"requests WHERE x_Format = '{part}' AND x_PriceContext = 'processing=batch' AND x_CostEstimated"
    # Priced at the ordinary rate, which is twice the batch rate on the bill.
    assert (_sum(ledger, "sum(x_Cost)", batch) or 0) == 2 * Decimal(told["causes"].get("tier", 0))
    assert set(told["causes"]) == ({"late-data", "tier"} if provider == "OpenAI" else set())


def test_with_the_prices_of_the_contract_only_late_data_is_left(made: Company, tmp_path: Path) -> None:
    contract = made.folder / "synthetic-token-prices.csv"
    assert read_contract(contract).problems == ()
    opened = Ledger(tmp_path / "ledger")
    files = [path for path in made.facts if "openai-usage" in path.name or "otlp" in path.name]
    load(opened, files, Settings(prices=PriceSettings(tokens=(contract,))))
    with session() as connection:
        opened.register_facts(connection, FACT_TABLES["requests"], Settings().tags.required)
        found = dict(connection.execute("SELECT x_Format, sum(x_Cost) FROM requests GROUP BY 1").fetchall())
    openai = _truth(made, "openai-usage")["reconciliation"]
    assert found["openai-usage"] == Decimal(openai["billed"]) + Decimal(openai["causes"]["late-data"])
    azure = [Decimal(_truth(made, part)["reconciliation"]["billed"]) for part in ("otlp-spans", "otlp-metrics")]
    assert found["otlp-json"] == sum(azure)


def test_tokens_of_a_key_and_day_are_those_of_the_bill(ledger: duckdb.DuckDBPyConnection) -> None:
    """By the month where the bill has a row a month."""
    found = ledger.execute(f"""
        WITH bill AS (SELECT ResourceId AS key, ChargePeriodStart AS since, ChargePeriodEnd AS until,
                sum(ConsumedQuantity) FILTER (WHERE SkuPriceDetails LIKE '%"Output"%') AS output,
                sum(ConsumedQuantity) FILTER (WHERE SkuPriceDetails LIKE '%"Input"%') AS input
            FROM {TOKEN_ROWS} AND ServiceProviderName IN ('OpenAI', 'Anthropic') GROUP BY ALL)
        SELECT count(*), count(*) FILTER (WHERE b.input IS DISTINCT FROM u.input OR
            coalesce(b.output, 0) IS DISTINCT FROM u.output), max(b.until - b.since) > INTERVAL 1 DAY
        FROM bill b LEFT JOIN LATERAL (SELECT sum(gen_ai_usage_input_tokens) AS input,
            coalesce(sum(gen_ai_usage_output_tokens), 0) AS output FROM requests
            WHERE x_ApiKey = b.key AND start_time >= b.since AND end_time <= b.until) u ON true""").fetchall()
    ((rows, different, by_month),) = found
    assert (different, by_month) == (0, True)
    assert rows > 700


def test_spans_hold_the_planted_failures_and_percentiles(made: Company, ledger: duckdb.DuckDBPyConnection) -> None:
    told = _truth(made, "otlp-spans")
    spans = "requests WHERE x_Source = 'otlp'"
    assert _sum(ledger, "count(*)", spans) == told["spans"]
    found = {
        row[0]: row[1:]
        for row in ledger.execute(f"""SELECT x_Tag_use_case, sum(x_Requests)::BIGINT, count(error_type),
            sum(x_Requests - x_Succeeded)::BIGINT, quantile_disc(x_DurationSeconds, 0.95),
            quantile_cont(x_DurationSeconds::DOUBLE, 0.95)
            FROM {spans} GROUP BY 1""").fetchall()
    }
    assert set(found) == set(told["use_cases"]) >= {"agent-tools", "index"}
    for use_case, planted in told["use_cases"].items():
        assert found[use_case][:3] == (planted["requests"], planted["failed"], planted["failed"])
        if p95 := planted.get("p95_seconds"):  # a few calls a day have none
            assert found[use_case][3:] == (Decimal(p95), float(p95))
    assert {use_case for use_case, planted in told["use_cases"].items() if planted.get("p95_seconds")} == {
        "agent-tools",
        "index",
    }
    served = _sum(
        ledger, "quantile_disc(x_DurationSeconds, 0.95)", f"{spans} AND x_Succeeded = 1 AND x_Tag_team = 'search'"
    )
    assert served == Decimal(told["use_cases"]["index"]["p95_seconds"])


@pytest.mark.parametrize(("part", "source"), [("otlp-spans", "otlp"), ("otlp-metrics", "otlp-metrics")])
def test_usage_of_azure_is_the_bill_at_list_prices(
    made: Company, ledger: duckdb.DuckDBPyConnection, part: str, source: str
) -> None:
    told = _truth(made, part)
    mine = f"requests WHERE x_Source = '{source}' AND gen_ai_provider_name = 'azure.ai.openai'"
    (tokens,) = told["tokens_by_model"].values()
    found = _one(
        ledger,
        f"""SELECT sum(gen_ai_usage_input_tokens), sum(gen_ai_usage_cache_read_input_tokens),
            sum(gen_ai_usage_output_tokens), sum(x_Cost) FROM {mine} AND x_PriceStatus = 'priced'""",
    )
    same = told["reconciliation"]
    assert found == (tokens["input"], tokens["read"], tokens["output"], Decimal(same["usage_priced_at_list"]))
    days = f"x_ChargeDate BETWEEN '{told['since']}' AND '{told['until']}'"
    bill = f"{TOKEN_ROWS} AND ServiceName = 'Azure OpenAI' AND {days}"
    assert _one(ledger, f"SELECT sum(ConsumedQuantity), sum(ListCost), sum(EffectiveCost) FROM {bill}") == (
        tokens["input"] + tokens["output"],
        Decimal(same["usage_priced_at_list"]),
        Decimal(same["billed"]),
    )
    assert Decimal(same["difference"]) * 20 == Decimal(same["usage_priced_at_list"])  # 5% off the list


def test_metrics_count_calls_and_tokens(made: Company, ledger: duckdb.DuckDBPyConnection) -> None:
    told = _truth(made, "otlp-metrics")
    found = ledger.execute(
        """SELECT x_Tag_use_case, any_value(gen_ai_response_model), sum(x_Requests)::BIGINT,
            sum(gen_ai_usage_input_tokens)::BIGINT, coalesce(sum(gen_ai_usage_output_tokens), 0)::BIGINT,
            coalesce(sum(gen_ai_usage_cache_read_input_tokens), 0)::BIGINT
        FROM requests WHERE x_Source = 'otlp-metrics' GROUP BY 1"""
    ).fetchall()
    names = ("model", "requests", "input_tokens", "output_tokens", "read_tokens")
    assert {row[0]: dict(zip(names, row[1:], strict=True)) for row in found} == told["use_cases"]
    own = "requests WHERE gen_ai_provider_name = 'vllm'"
    assert _one(ledger, f"SELECT count(x_Cost), any_value(x_PriceStatus) FROM {own}") == (0, "unpriced")
    chat = "requests WHERE gen_ai_response_model = 'llama-3.3-70b'"
    assert _sum(ledger, "count(DISTINCT start_time::DATE)", chat) == DAYS


def test_no_usage_is_told_twice(ledger: duckdb.DuckDBPyConnection) -> None:
    sources = "count(DISTINCT x_Source)"
    twice = f"""(SELECT 1 FROM requests GROUP BY start_time::DATE, gen_ai_provider_name, gen_ai_response_model
        HAVING {sources} > 1)"""
    assert _sum(ledger, "count(*)", twice) == 0
    models = _sum(ledger, "count(DISTINCT gen_ai_response_model)", "requests")
    assert models == 7


def test_gpu_hours_are_as_planted(made: Company, ledger: duckdb.DuckDBPyConnection) -> None:
    told = _truth(made, "prometheus")
    columns = ("busy", "idle", "no_telemetry", "active")
    sums = "sum(x_BusyHours), sum(x_IdleHours), sum(x_NoTelemetryHours), coalesce(sum(x_ActiveHours), 0)"
    total = _one(
        ledger, f"SELECT sum(x_AllocatedHours), {sums}, sum(x_UnallocatedHours), count(DISTINCT x_Card) FROM gpu_usage"
    )
    names = ("allocated", *columns, "unallocated")
    assert total[:-1] == tuple(Decimal(told[f"{name}_hours"]) for name in names)
    assert total[-1] == told["cards"]
    by_team = ledger.execute(f"""SELECT coalesce(x_Tag_team, ''), {sums} FROM gpu_usage WHERE x_AllocatedHours > 0
        GROUP BY 1 ORDER BY 1""").fetchall()
    assert {row[0]: row[1:] for row in by_team} == {
        team: tuple(Decimal(hours[f"{name}_hours"]) for name in columns) for team, hours in told["by_team"].items()
    }
    holders = ledger.execute("""SELECT regexp_replace(x_Holder, '-[0-9]+$', ''), sum(x_IdleHours) FROM gpu_usage
        GROUP BY 1 HAVING sum(x_IdleHours) > 0""").fetchall()
    assert dict(holders) == {pool: Decimal(hours) for pool, hours in told["idle_holders"].items()}
    # The exporter was silent for 8 hours on 8 cards; three scrapes of a quarter of an hour stand for the first of them.
    assert Decimal(told["no_telemetry_hours"]) == 8 * (8 - Decimal("0.5"))


def test_cards_are_on_machines_of_the_bill_while_it_has_them_on(
    made: Company, ledger: duckdb.DuckDBPyConnection
) -> None:
    unknown = "gpu_usage WHERE x_Host NOT IN (SELECT ResourceId FROM costs WHERE ResourceId IS NOT NULL)"
    assert _sum(ledger, "count(*)", unknown) == 0
    assert _sum(ledger, "count(*)", "gpu_usage WHERE x_GpuType IS NULL") == 0
    # The machine of team search that is billed by the hour: 4 GPUs, every hour of 14 days.
    host = _sum(ledger, "any_value(ResourceId)", "costs WHERE ResourceName = 'query-understanding-0'")
    known = "sum(x_AllocatedHours + x_UnallocatedHours)"
    assert _sum(ledger, known, f"gpu_usage WHERE x_Host = '{host}'") == 4 * 24 * 14
    assert _sum(ledger, "sum(x_UnallocatedHours)", f"gpu_usage WHERE x_Host = '{host}'") == 10 * 14


@pytest.mark.parametrize("part", ["slurm", "sagemaker-training"])
def test_gpu_hours_by_outcome_are_as_planted(made: Company, ledger: duckdb.DuckDBPyConnection, part: str) -> None:
    told = _truth(made, part)
    mine = f"runs WHERE x_Format = '{part}'"
    found = ledger.execute(f"SELECT x_Outcome, count(*), sum(x_GpuHours) FROM {mine} GROUP BY 1").fetchall()
    assert {row[0]: (row[1], row[2]) for row in found} == {
        outcome: (of["attempts"], Decimal(of["gpu_hours"])) for outcome, of in told["by_outcome"].items()
    }
    total = _one(ledger, f"SELECT count(DISTINCT x_RunId), count(*), sum(x_GpuHours) FROM {mine}")
    assert total == (told["runs"], told["attempts"], Decimal(told["gpu_hours"]))
    # Rows of the bill are of one machine and hour: 8 GPUs, or 8 cards that Google bills one by one.
    billed = _sum(ledger, "8 * count(*)", f"costs WHERE Tags['run_id'] IN (SELECT x_RunName FROM {mine})")
    assert billed == int(told["billed_gpu_hours"])
    assert billed - total[2] == Decimal(told["idle_gpu_hours"]) > 0


def test_every_outcome_is_there_and_agrees_with_the_bill(ledger: duckdb.DuckDBPyConnection) -> None:
    found = {row[0] for row in ledger.execute("SELECT DISTINCT x_Outcome FROM runs").fetchall()}
    assert found == {"succeeded", "failed", "cancelled", "timed out", "preempted", "node failure"}
    billed = (
        "(SELECT DISTINCT Tags['run_id'] AS run, Tags['run_status'] AS status FROM costs WHERE Tags['run_id'] != '')"
    )
    last = "(SELECT x_RunName, arg_max(x_Outcome, x_Attempt) AS outcome FROM runs GROUP BY 1)"
    pairs = ledger.execute(f"""SELECT DISTINCT status, outcome FROM {billed} b FULL JOIN {last} r ON b.run = r.x_RunName
        ORDER BY 1, 2""").fetchall()
    assert pairs == [
        ("cancelled", "cancelled"),
        ("failed", "failed"),
        ("failed", "timed out"),
        ("succeeded", "succeeded"),
    ]
    assert _sum(ledger, "max(x_Attempt)", "runs") == 2


def test_outcomes_add_up(made: Company, ledger: duckdb.DuckDBPyConnection) -> None:
    told = _truth(made, "outcomes")
    found: dict[str, dict[str, Decimal]] = {}
    for use_case, measure, unit, value in ledger.execute(
        "SELECT x_UseCase, x_Measure, x_Unit, sum(x_Value) FROM outcomes GROUP BY ALL"
    ).fetchall():
        found.setdefault(use_case, {})[f"{measure} [{unit}]"] = value
    assert found == {
        use_case: {label: Decimal(value) for label, value in of.items()} for use_case, of in told["by_use_case"].items()
    }
    assert _sum(ledger, "count(*)", "outcomes") == told["rows"]


def test_alerts_have_the_planted_clocks(made: Company, ledger: duckdb.DuckDBPyConnection) -> None:
    told = _truth(made, "alerts")
    hours = "date_diff('hour', crossed_at, acted_at)"
    found = _one(
        ledger,
        f"""SELECT count(*), count(acted_at), count(*) FILTER (WHERE acted_at IS NULL),
            count(*) FILTER (WHERE {hours} > 48), sum({hours}) FROM alerts WHERE x_Threshold = 0.8""",
    )
    names = ("alerts", "acted", "open", "late")
    assert found == (*(told[name] for name in names), int(told["response_hours"]))
    assert (told["open"], told["late"]) == (1, 1)


def test_the_spend_of_the_bill_crosses_the_budgets_when_the_alerts_say_so(ledger: duckdb.DuckDBPyConnection) -> None:
    """To the day; what the bill has by the month is less than a hundredth here, and has not ended by then."""
    rows = ledger.execute("""SELECT x_AlertId, x_Amount * 0.8,
            sum(EffectiveCost) FILTER (WHERE ChargePeriodEnd <= crossed_at),
            sum(EffectiveCost) FILTER (WHERE ChargePeriodEnd <= crossed_at - INTERVAL 1 DAY)
        FROM alerts a JOIN costs c ON c.Tags['team'] = a.Tags['team'] AND ChargeCategory = 'Usage' AND c.x_IsAi
            AND date_trunc('month', ChargePeriodStart) = date_trunc('month', crossed_at - INTERVAL 1 DAY)
        GROUP BY ALL""").fetchall()
    assert len(rows) == 12
    assert [row for row in rows if not row[3] < row[1] <= row[2] * Decimal("1.01")] == []


def test_the_same_arguments_give_the_same_facts(tmp_path: Path) -> None:
    first = generate(tmp_path / "first", rows=2_000, months=2, facts=True)
    second = generate(tmp_path / "second", rows=2_000, months=2, facts=True)
    other = generate(tmp_path / "other", rows=2_000, months=2, facts=True, seed=7)
    assert [path.read_bytes() for path in first.facts] == [path.read_bytes() for path in second.facts]
    assert first.truth["facts"] == second.truth["facts"] != other.truth["facts"]
    assert json.loads((first.folder / "truth.json").read_text())["facts"] == first.truth["facts"]


def test_bills_without_facts_leave_none_behind(tmp_path: Path) -> None:
    generate(tmp_path, rows=1_000, months=1, facts=True)
    (tmp_path / "facts" / "mine.csv").write_text("mine")
    company = generate(tmp_path, rows=1_000, months=1)
    assert company.facts == ()
    assert "facts" not in company.truth
    assert [path.name for path in (tmp_path / "facts").iterdir()] == ["mine.csv"]


@pytest.mark.parametrize(("rows", "months", "days"), [(1_000, 1, 1), (22_000, 1, 3)])
def test_companies_of_all_sizes_have_facts(tmp_path: Path, rows: int, months: int, days: int) -> None:
    made = generate(tmp_path, rows=rows, months=months, facts=True)
    report = load(Ledger(tmp_path / "ledger"), [tmp_path / "facts"], Settings())
    assert [file.problems for table in report.tables for file in table.files if file.problems] == []
    spans = _truth(made, "otlp-spans")
    assert int(str(spans["until"])[-2:]) - int(str(spans["since"])[-2:]) + 1 == days
    assert {"succeeded", "failed", "cancelled", "timed out", "preempted", "node failure"} == set(
        _truth(made, "slurm")["by_outcome"]
    )
