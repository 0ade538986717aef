"""The flat table says what the price list says: the most specific priced ancestor, by date, tier, context and hour."""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal

import pytest

from outlay.ledger.meters import METERS
from outlay.prices import genai
from outlay.prices.price_row import PriceRow, active, per_unit


def price(rows: tuple[PriceRow, ...], meter: str, at: str, size: int = 1, **context: str) -> list[Decimal]:
    moment = datetime.fromisoformat(at)
    return [row.unit_price for row in rows if row.meter == meter and active(row, moment, size, context)]


def test_a_meter_has_the_price_of_its_most_specific_priced_ancestor() -> None:
    rows = genai.model_rows("anthropic", "claude-sonnet-4-5")
    per_million = {
        meter: price(rows, meter, "2026-10-01")[0] * 1_000_000
        for meter in ("input", "input_image", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "output")
    }
    assert per_million == {
        "input": 3,
        "input_image": 3,  # images have no price of their own: they are input
        "cache_read": Decimal("0.3"),
        "cache_write": Decimal("3.75"),
        "cache_write_5m": Decimal("3.75"),  # the price for writes is the one for five minutes
        "cache_write_1h": 6,
        "output": 15,
    }
    assert price(rows, "output_reasoning", "2026-10-01") == price(rows, "output", "2026-10-01")
    assert price(rows, "web_searches", "2026-10-01") == [Decimal("0.01")]


def test_reasoning_that_has_its_own_price_keeps_it() -> None:
    rows = genai.model_rows("perplexity", "sonar-deep-research")
    assert price(rows, "output_reasoning", "2026-10-01") != price(rows, "output", "2026-10-01")


def test_prices_change_on_their_day() -> None:
    rows = genai.model_rows("openai", "gpt-5.6-sol")
    assert price(rows, "input", "2026-08-20T23:59:59") == [Decimal("0.000005")]
    assert price(rows, "input", "2026-08-21T00:00:00") == [Decimal("0.000004")]


def test_a_tier_starts_strictly_above() -> None:
    rows = genai.model_rows("openai", "gpt-5.6-sol")
    assert price(rows, "output", "2026-09-01", 272_000) == [Decimal("0.00002")]
    assert price(rows, "output", "2026-09-01", 272_001) == [Decimal("0.00002"), Decimal("0.00003")]


def test_a_variant_has_rows_from_its_day_on() -> None:
    rows = genai.model_rows("openai", "gpt-5")
    assert price(rows, "input", "2026-10-13", processing="batch") == [Decimal("0.00000125")]
    assert price(rows, "input", "2026-10-14", processing="batch") == [Decimal("0.00000125"), Decimal("0.000000625")]
    assert genai.variants("openai", "gpt-5")[-1] == genai.Variant((("processing", "batch"),), datetime(2026, 10, 14))


def test_a_variant_prices_only_what_it_names() -> None:
    """Batch has no price for searches: there is no row, so the ordinary one holds."""
    rows = genai.model_rows("anthropic", "claude-fable-5")
    assert [row.when for row in rows if row.meter == "web_searches"] == [()]
    assert {row.when for row in rows if row.meter == "output"} == {(), (("processing", "batch"),)}


def test_prices_by_the_hour_cover_the_day_once() -> None:
    rows = genai.model_rows("deepseek", "deepseek-v4-pro")
    assert {row.time_from for row in rows} == {None, time(1), time(4), time(6), time(10)}
    for hour in range(24):
        assert len(price(rows, "input", f"2026-10-01T{hour:02}:30")) == 1
    assert price(rows, "input", "2026-10-01T03:59:59") > price(rows, "input", "2026-10-01T04:00:00")


def test_a_reseller_falls_back_on_the_maker() -> None:
    found = genai.resolve("azure.ai.openai", "gpt-5-2025-08-07")
    assert found == genai.Resolved("azure", "openai", "gpt-5")
    assert found.resold
    assert not genai.Resolved("openai", "openai", "gpt-5").resold


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("aws.bedrock", "aws"),
        ("gcp.vertex_ai", "google"),
        ("gcp.gen_ai", "google"),
        ("x_ai", "x-ai"),
        ("OpenAI", "openai"),
    ],
)
def test_the_names_of_opentelemetry_are_known(name: str, provider: str) -> None:
    models = {
        "aws": "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "google": "gemini-2.5-flash",
        "x-ai": "grok-4",
        "openai": "gpt-5",
    }
    found = genai.resolve(name, models[provider])
    assert found is not None
    assert found.provider == provider


def test_what_is_not_known_is_told_with_the_nearest() -> None:
    assert genai.resolve("openai", "no-such-model-1") is None
    assert "Did you mean 'openai'" in genai.unknown("openia", "gpt-5")
    assert "'gpt-5.5'" in genai.unknown("openai", "gpt-5.7")
    assert "--prices" in genai.unknown("openai", "no-such-model-1")


def test_every_row_is_sound_and_no_two_hold_at_once() -> None:
    rows = list(genai.all_rows())
    assert len(rows) > 50_000
    assert len({(row.provider, row.model) for row in rows}) > 2000
    assert all(row.unit_price >= 0 and row.meter in METERS and row.version for row in rows)
    assert all(row.valid_to is None or row.valid_from is None or row.valid_from < row.valid_to for row in rows)
    seen: dict[tuple[object, ...], list[PriceRow]] = {}
    for row in rows:
        key = (row.provider, row.model, row.meter, row.order, row.when, row.input_tokens_above, row.time_from)
        for other in seen.setdefault(key, []):
            assert other.valid_to is not None
            assert row.valid_from is not None
            assert other.valid_to <= row.valid_from
        seen[key].append(row)


def test_rounding_to_eighteen_decimals_only_takes_dust() -> None:
    """Eighteen decimals a token are twelve a million tokens; what has more is a float's dust: 1.0399999999999998."""
    from genai_prices.data import providers

    ordinary = [model.prices for provider in providers for model in provider.models]
    listed = [one.prices for prices in ordinary if isinstance(prices, list) for one in prices]
    listed += [prices for prices in ordinary if not isinstance(prices, list)]
    per_million = [
        value
        for prices in listed
        for key, value in vars(prices).items()
        if isinstance(value, Decimal) and key.endswith("_mtok")
    ]
    rounded = [value for value in per_million if per_unit(value, 1_000_000) * 1_000_000 != value]
    assert len(per_million) > 4000
    assert len(rounded) < 40
    assert all(len(str(value)) > 15 for value in rounded)
