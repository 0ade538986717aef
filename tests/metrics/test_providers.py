"""A provider is one provider on bills and in usage, whatever each calls it, and the columns stay as they came."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings, TargetSettings
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.metrics.answer import answer
from outlay.metrics.kpis import kpi_report
from outlay.metrics.providers import billed_provider, price_provider, provider_name, provider_sql, value_of
from outlay.metrics.query import Query, filters
from outlay.prices import genai
from outlay.sources.loading import load
from outlay.sources.usage.litellm_spend import OTEL_PROVIDERS
from outlay.sources.usage.otel_providers import PROVIDERS
from tests.metrics.test_facts import a_cut_of_inference, call
from tests.sources.focus_bills import write_csv

ON_BILLS = ("OpenAI", "Amazon Web Services", "microsoft azure", "Google Cloud", "Solora AI")
IN_TRACES = ("openai", "aws.bedrock", "azure.ai.openai", "gcp.vertex_ai", "solora ai")
NAMES = ("OpenAI", "AWS", "Microsoft", "Google Cloud")


@pytest.fixture
def told(tmp_path: Path) -> Ledger:
    """A bill of 2, 4, 6, 8 and 10 dollars of inference, and two calls of each provider."""
    lines = [
        a_cut_of_inference(str(2 * place), "search") | {"ServiceProviderName": name, "SkuId": name}
        for place, name in enumerate(ON_BILLS, 1)
    ]
    bill = write_csv(tmp_path / "bill.csv", lines, list(lines[0]))
    calls = [
        call(2 * place + again, team="search", seconds=1, provider=name)
        for place, name in enumerate(IN_TRACES)
        for again in range(2)
    ]
    spans = tmp_path / "spans.jsonl"
    spans.write_text("".join(json.dumps(one) + "\n" for one in calls))
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [bill, spans], Settings())
    return ledger


def by_provider(ledger: Ledger, metric: str, *where: str) -> dict[str | None, Decimal | None]:
    rows = answer(ledger, Query((metric,), ("provider",), where=filters(where)), Settings()).rows
    return {row.dimensions["provider"]: row.figures[metric].value for row in rows}


def test_cost_per_inference_joins_bill_and_calls_of_a_provider(told: Ledger) -> None:
    found = by_provider(told, "cost_per_inference")
    assert {name: found[name] for name in NAMES} == dict(zip(NAMES, [1, 2, 3, 4], strict=True))


def test_a_name_that_is_not_known_stays_as_it_is_on_both_sides(told: Ledger) -> None:
    assert by_provider(told, "cost_per_inference").keys() - set(NAMES) == {"Solora AI", "solora ai"}


@pytest.mark.parametrize("spelling", ["AWS", "aws.bedrock", "Amazon Web Services", " bedrock "])
def test_a_filter_takes_any_spelling(told: Ledger, spelling: str) -> None:
    assert by_provider(told, "cost_per_inference", f"provider={spelling}") == {"AWS": 2}


def test_two_spellings_of_a_filter_are_alternatives(told: Ledger) -> None:
    found = by_provider(told, "requests", "provider=openai", "provider=azure.ai.openai", "provider=Microsoft")
    assert found == {"OpenAI": 2, "Microsoft": 2}


def test_a_target_takes_any_spelling(told: Ledger) -> None:
    target = TargetSettings(kpi="cost_per_inference", where={"provider": "aws.bedrock"}, max=Decimal(1))
    found = kpi_report(told, Settings(targets=(target,)), by=["provider"]).kpis
    status = {(one.group or {})["provider"]: one.status for one in found if one.id == "cost_per_inference"}
    assert (status["AWS"], status["OpenAI"]) == ("off", "no_target")


def test_the_columns_stay_as_they_came(told: Ledger) -> None:
    with session() as connection:
        told.register(connection)
        named = {row[0] for row in connection.execute('SELECT DISTINCT "ServiceProviderName" FROM costs').fetchall()}
    assert named == set(ON_BILLS)


@pytest.mark.parametrize("name", sorted({*PROVIDERS.values(), *OTEL_PROVIDERS.values()} - {"cohere"}))
def test_every_name_that_readers_give_means_a_provider(name: str) -> None:
    assert provider_name(name) != name


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_an_emitters_spelling_and_the_conventions_name_mean_the_same(name: str) -> None:
    assert provider_name(name) == provider_name(PROVIDERS[name]) == value_of("provider", name)


def test_prices_are_found_by_every_spelling() -> None:
    for name in NAMES:
        assert genai.provider_id(price_provider(name)) == price_provider(name)
    assert price_provider("gcp.vertex_ai") == price_provider("Google LLC") == "google"
    assert price_provider("no such provider") == "no such provider"


def test_a_resellers_row_is_of_whom_its_service_names() -> None:
    assert billed_provider("A Reseller", "Amazon Bedrock") == "AWS"
    assert billed_provider("A Reseller", "Consulting") == "A Reseller"
    assert billed_provider("Microsoft", "Gemini migration") == "Microsoft"


def test_sql_says_the_same_as_python() -> None:
    names = [*ON_BILLS, *IN_TRACES, " AWS ", "it's", "", None]
    with session() as connection:
        found = connection.execute(f"SELECT {provider_sql('n')} FROM unnest(?) t(n)", [names]).fetchall()
    assert [row[0] for row in found] == [None if name is None else provider_name(name) for name in names]
