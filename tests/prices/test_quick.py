"""The quick cost of a call is that of the price book, whatever the call, and is found anew when a price changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.ledger.meters import INPUT_METERS, METERS
from outlay.prices.contract import read_contract
from outlay.prices.quick import Cost, QuickPrices
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import Quantity, Remark, Usage, normalise
from tests.prices.made_up_calls import CONTEXT_VALUES, MODELS, contracts, sizes, times
from tests.prices.true_source import true_source
from tests.shared import shared

_NOW = datetime(2026, 11, 1, 12)
_LIST = TokenPrices()
_ATTO = 10**18


def same(
    quick: QuickPrices,
    prices: TokenPrices,
    usage: Usage,
    source: tuple[str, str],
    at: datetime,
    **context: str,
) -> Cost:
    """The cost by ``quick``, held against the price book's: asked twice, the second time by what is remembered."""
    priced = prices.price(usage, *source, at, context)
    amount = None if priced.cost is None else priced.cost * _ATTO
    quick.cost(usage, *source, at, context)
    cost = quick.cost(usage, *source, at, context)
    told = (cost.status, cost.amount, cost.currency, cost.price_version, cost.estimated, cost.why)
    assert told == (priced.status, amount, priced.currency, priced.price_version, priced.estimated, priced.why)
    assert cost.amount is None or type(cost.amount) is int
    return cost


def chat(prompt: int, out: int, cached: int = 0) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens": out}


def claude(fresh: int, out: int, hour: int) -> dict[str, Any]:
    return {"input_tokens": fresh, "output_tokens": out, "cache_creation": {"ephemeral_1h_input_tokens": hour}}


_GEMINI = {
    "promptTokenCount": 100_000,
    "cachedContentTokenCount": 90_000,
    "candidatesTokenCount": 500,
    "thoughtsTokenCount": 4000,
}


@pytest.mark.parametrize(
    ("model", "raw", "at", "context", "cost"),
    [
        ("openai/gpt-4o-mini", chat(1200, 20, 1024), "2026-10-01", {}, "0.0001152"),
        ("openai/gpt-5", chat(1000, 100), "2026-11-01", {"processing": "batch"}, "0.001125"),
        ("openai/gpt-5", chat(1000, 100), "2026-11-01", {"service_tier": "priority"}, "0.0045"),
        ("openai/gpt-5.6-sol", chat(10_000, 1000, 8000), "2026-08-20", {}, "0.044"),
        ("openai/gpt-5.6-sol", chat(10_000, 1000, 8000), "2026-08-21", {}, "0.0312"),
        ("openai/gpt-5.6-sol", chat(272_000, 1000), "2026-09-01", {}, "1.108"),
        ("openai/gpt-5.6-sol", chat(272_001, 1000), "2026-09-01", {}, "2.206008"),
        ("openai/o3", chat(1200, 300, 1024), "2025-05-01", {}, "0.014272"),
        ("openai/o3", chat(1200, 300, 1024), "2026-05-01", {}, "0.003264"),
        ("anthropic/claude-sonnet-4-5", claude(1000, 500, 100_000), "2026-10-01", {}, "0.6105"),
        ("google/gemini-2.5-flash", _GEMINI, "2026-10-01", {}, "0.01695"),
    ],
)
def test_golden(model: str, raw: dict[str, Any], at: str, context: dict[str, str], cost: str) -> None:
    provider, name = model.split("/")
    found = same(
        QuickPrices(_LIST), _LIST, normalise(provider, raw), (provider, name), datetime.fromisoformat(at), **context
    )
    assert (found.status, found.amount, found.currency) == ("priced", int(Decimal(cost).scaleb(18)), "USD")


def test_one_model_across_its_price_changes_and_tiers() -> None:
    """One book for all: what is remembered of one moment, size or circumstance is not told of another."""
    quick = QuickPrices(_LIST)
    moments = [datetime(2026, 8, 20, 23), datetime(2026, 8, 21), datetime(2026, 8, 20, 23), datetime(2026, 11, 1)]
    seen = {
        same(quick, _LIST, normalise("openai", chat(size, 1000)), ("openai", "gpt-5.6-sol"), at, **context).amount
        for at in moments
        for size in (272_000, 272_001)
        for context in ({}, {"service_tier": "priority"}, {"service_tier": "flex"})
    }
    assert len(seen) == 8  # 2 sizes by 2 prices before variants were listed; 2 sizes by 2 variants since


def test_equal_to_the_price_book_on_all_real_payloads() -> None:
    entries = json.loads(shared("data/provider_usage/genai_prices_usages_dataset.json").read_text(encoding="utf-8"))
    quick = QuickPrices(_LIST, most=64)
    priced = 0
    for entry in entries:
        provider, _, model = true_source(entry["body"])
        usage = normalise(provider, entry["body"])
        priced += same(quick, _LIST, usage, (provider, model), _NOW).amount is not None
    assert (len(entries), priced) == (1577, 1555)


@st.composite
def _calls(draw: st.DrawFn) -> tuple[tuple[str, str], TokenPrices, list[tuple[Usage, datetime, dict[str, str]]]]:
    model = draw(st.sampled_from(MODELS))
    prices = TokenPrices(draw(contracts(model)))
    moments = times(model)
    context = st.fixed_dictionaries({}, optional={key: st.sampled_from(of) for key, of in CONTEXT_VALUES.items()})
    calls = []
    for _ in range(draw(st.integers(1, 5))):
        size = draw(sizes())
        meters: dict[str, Quantity] = dict(draw(st.dictionaries(st.sampled_from([*METERS]), st.integers(1, 10**6))))
        told, asked = draw(context), draw(context)
        remarks = tuple(draw(st.lists(st.sampled_from(_REMARKS), max_size=3)))
        usage = Usage("made up", size, 0, 0, 0, 0, meters, told, remarks)
        calls.append((usage, draw(moments), asked))
    return model, prices, calls


_REMARKS = (
    Remark("unread-count", "sighs is not known and was not read."),
    Remark("unread-count", "nods is not known and was not read."),
    Remark("total", "the reported total is 3; input and output make 2."),
)


@given(_calls())
def test_equal_to_the_price_book_on_any_calls(
    made_up: tuple[tuple[str, str], TokenPrices, list[tuple[Usage, datetime, dict[str, str]]]],
) -> None:
    model, prices, calls = made_up
    quick = QuickPrices(prices)
    for usage, at, asked in calls:
        same(quick, prices, usage, model, at, **asked)


def _usage(**meters: Quantity) -> Usage:
    size = sum(int(quantity) for meter, quantity in meters.items() if meter in INPUT_METERS)
    return Usage("made up", size, 0, 0, 0, 0, meters, {})


def test_what_is_of_no_kind_is_priced_alone() -> None:
    quick = QuickPrices(_LIST)
    whisper = ("groq", "whisper-large-v3")
    shortest = same(quick, _LIST, normalise("groq", {"seconds": 2}), whisper, _NOW)
    assert shortest.amount == same(quick, _LIST, normalise("groq", {"seconds": 10}), whisper, _NOW).amount
    inside = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2518, "output_tokens": 22}
    advised = normalise("anthropic", {"input_tokens": 2390, "output_tokens": 121, "iterations": [inside]})
    assert same(quick, _LIST, advised, ("anthropic", "claude-sonnet-5"), _NOW).estimated
    added_up = normalise("openai", {"input_tokens": 10, "output_tokens": 1, "num_model_requests": 3})
    assert same(quick, _LIST, added_up, ("openai", "gpt-5.6-sol"), _NOW).estimated
    same(quick, _LIST, _usage(input=1, output=2), ("openai", "gpt-5"), _NOW)
    same(quick, _LIST, _usage(input=Decimal("1.5"), output=2), ("openai", "gpt-5"), _NOW)


def test_a_part_of_the_smallest_unit_is_rounded_up() -> None:
    usage = normalise("groq", {"seconds": 12.3456789})
    exact = _LIST.price(usage, "groq", "whisper-large-v3", _NOW).cost
    found = QuickPrices(_LIST).cost(usage, "groq", "whisper-large-v3", _NOW).amount
    assert exact is not None
    assert found is not None
    assert 0 < found - exact * _ATTO < 1


def test_the_reason_why_a_call_is_unpriced_names_its_own_time() -> None:
    quick = QuickPrices(_LIST)
    usage = normalise("anthropic", {"input_tokens": 1, "server_tool_use": {"web_fetch_requests": 1}})
    for at in (_NOW, _NOW + timedelta(seconds=5)):
        cost = same(quick, _LIST, usage, ("anthropic", "claude-sonnet-4-5"), at)
        assert at.isoformat() in str(cost.why)
    same(quick, _LIST, usage, ("acme", "unheard of"), _NOW)


def test_the_doubt_about_a_variant_without_prices_of_its_own_names_the_day_it_starts() -> None:
    """Its day is no limit of any price: what is remembered of the day before must end there all the same."""
    quick = QuickPrices(_LIST)
    source = ("openai", "gpt-3.5-turbo-1106")
    usage = normalise("openai", chat(10, 1))
    day = datetime(2026, 10, 14)
    early, late = (same(quick, _LIST, usage, source, at, processing="batch") for at in (day - timedelta(hours=1), day))
    assert "only from 2026-10-14" in str(early.why)
    assert "has no price for this model" in str(late.why)


def test_a_contract_in_another_currency_and_by_the_hour(tmp_path: Path) -> None:
    path = tmp_path / "agreed.csv"
    header = "provider,model,meter,unit_price,per,currency,time_from,time_to"
    lines = [
        "acme,one,input,2,1000000,EUR,,",
        "acme,one,output,8,1000000,EUR,,",
        "acme,one,output,4,1000000,EUR,22:00,06:00",
    ]
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    prices = TokenPrices([read_contract(path)])
    quick = QuickPrices(prices)
    usage = normalise("acme", chat(1_000_000, 1_000_000))
    day, night = (same(quick, prices, usage, ("acme", "one"), datetime(2026, 11, 1, hour)) for hour in (21, 22))
    assert (day.amount, day.currency) == (10 * _ATTO, "EUR")
    assert (night.amount, night.currency) == (6 * _ATTO, "EUR")
    same(quick, prices, normalise("acme", chat(10, 1, 4)), ("acme", "one"), _NOW)


def test_memory_is_bounded() -> None:
    quick = QuickPrices(_LIST, most=2)
    usage = normalise("openai", chat(10, 1))
    for number in range(300):
        same(quick, _LIST, usage, ("openai", "gpt-5"), _NOW, service_tier=f"made up {number}")
    for model in ("gpt-5", "gpt-5-mini", "o3", "gpt-5"):
        same(quick, _LIST, usage, ("openai", model), _NOW)
    assert list(quick._names) == [("openai", "o3"), ("openai", "gpt-5")]
    assert len(quick._names["openai", "gpt-5"].kinds) <= 256


def test_time_has_no_zone() -> None:
    with pytest.raises(UsageError, match="zone"):
        QuickPrices(_LIST).cost(_usage(input=1), "openai", "gpt-5", _NOW.replace(tzinfo=UTC))
