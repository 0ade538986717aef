"""Made-up contracts, times and sizes for a varied list of models: tiers by size and hour, variants, resellers."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import cache

from hypothesis import strategies as st

from outlay.ledger.meters import METERS
from outlay.prices import genai
from outlay.prices.contract import ALL_METERS, ALL_TOKENS, Contract
from outlay.prices.price_row import EVERY, PriceRow

__all__ = ["CONTEXT_VALUES", "MODELS", "contracts", "sizes", "times"]

MODELS = (
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-5.4"),
    ("openai", "gpt-5.5"),
    ("openai", "gpt-5.6-sol"),
    ("openai", "o3"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4o-audio-preview"),
    ("openai", "gpt-realtime"),
    ("openai", "gpt-image-1"),
    ("openai", "o4-mini-deep-research"),
    ("azure", "gpt-5"),
    ("azure", "gpt-4o"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-sonnet-5"),
    ("anthropic", "claude-opus-4-6"),
    ("anthropic", "claude-opus-4-8"),
    ("anthropic", "claude-haiku-4-5"),
    ("gcp.vertex_ai", "claude-sonnet-4-5"),
    ("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("aws", "amazon.nova-pro-v1:0"),
    ("google", "gemini-2.5-flash"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-3-pro-preview"),
    ("google", "gemini-2.0-flash"),
    ("google", "gemini-2.5-flash-image"),
    ("google", "gemini-1.5-pro"),
    ("deepseek", "deepseek-v4-pro"),
    ("deepseek", "deepseek-chat"),
    ("deepseek", "deepseek-reasoner"),
    ("perplexity", "sonar-deep-research"),
    ("perplexity", "sonar-pro"),
    ("x-ai", "grok-4"),
    ("mistral", "mistral-small-latest"),
    ("groq", "openai/gpt-oss-120b"),
    ("openrouter", "openai/gpt-5.6-sol"),
    ("openrouter", "google/gemini-2.5-pro"),
    ("openrouter", "mistralai/mistral-large"),
    ("cohere", "command-a-03-2025"),
    ("minimax", "MiniMax-M2"),
    ("github-copilot", "gpt-5.6-sol"),
)

CONTEXT_VALUES = {
    "processing": ("batch", "standard"),
    "service_tier": ("flex", "priority", "fast", "default", "scale"),
    "speed": ("fast", "standard"),
    "inference_geo": ("us", "eu", "global"),
    "traffic_type": ("provisioned_throughput", "on_demand"),
    "route": ("mistral/eu",),
    "search_type": ("fast", "web"),
    "something": ("new",),
}
_SMALL = timedelta(microseconds=1)


@cache
def _changes(provider: str, model: str) -> list[datetime]:
    found = genai.resolve(provider, model)
    assert found is not None
    rows = genai.model_rows(found.owner, found.model)
    moments = {moment for row in rows for moment in (row.valid_from, row.valid_to) if moment is not None}
    hours = {hour for row in rows for hour in (row.time_from, row.time_to) if hour is not None}
    return sorted(moments | {datetime.combine(datetime(2026, 11, 1), hour) for hour in hours})


def times(model: tuple[str, str]) -> st.SearchStrategy[datetime]:
    """Any time, and with preference the moments at which the model's price changes, and those just before."""
    anywhen = st.datetimes(datetime(2025, 1, 1), datetime(2027, 6, 1))
    changes = _changes(*model)
    if not changes:
        return anywhen
    return anywhen | st.sampled_from([moment + step for moment in changes for step in (-_SMALL, timedelta(0))])


def sizes() -> st.SearchStrategy[int]:
    """Sizes of an input, with preference those at which tiers begin."""
    limits = (0, 100, 128_000, 200_000, 272_000)
    return st.integers(0, 1_000_000) | st.sampled_from([limit + step for limit in limits for step in (0, 1)])


_WHEN = st.dictionaries(st.sampled_from([*CONTEXT_VALUES]), st.integers(0, 9), max_size=2).map(
    lambda drawn: tuple(
        sorted(
            (key, value) for key, at in drawn.items() if (value := CONTEXT_VALUES[key][at % len(CONTEXT_VALUES[key])])
        )
    )
)
_ORDINARY = {"standard", "default", "global", "on_demand"}
_HOURS = st.none() | st.sampled_from([time(0), time(6), time(16, 30)])
_DAYS = st.none() | st.sampled_from([datetime(2026, 1, 1), datetime(2026, 10, 13), datetime(2026, 11, 1, 9)])


@st.composite
def _rows(draw: st.DrawFn, model: tuple[str, str], order: int) -> PriceRow:
    multiplied = draw(st.booleans())
    meters = st.sampled_from(("input", "output", "cache_read", "cache_write_1h", "web_searches", *METERS))
    begins, ends = draw(_DAYS), draw(_DAYS)
    if begins is not None and ends is not None and ends <= begins:
        ends = None
    when = tuple((key, value) for key, value in draw(_WHEN) if value not in _ORDINARY)
    return PriceRow(
        provider=model[0].lower(),
        model=draw(st.sampled_from((model[1].lower(), "*"))),
        meter=draw(st.sampled_from((ALL_METERS, ALL_TOKENS, "input"))) if multiplied else draw(meters),
        unit_price=Decimal(0 if multiplied else draw(st.integers(0, 10**14))).scaleb(-18),
        when=draw(st.sampled_from((when, EVERY))),
        input_tokens_above=draw(st.none() | st.sampled_from((0, 100, 200_000))),
        time_from=draw(_HOURS),
        time_to=draw(_HOURS),
        valid_from=begins,
        valid_to=ends,
        currency=draw(st.sampled_from(("USD", "USD", "USD", "EUR"))),
        source="agreed",
        version="made-up 1",
        order=order,
        multiplier=Decimal(draw(st.integers(1, 300))) / 100 if multiplied else None,
    )


@st.composite
def contracts(draw: st.DrawFn, model: tuple[str, str]) -> list[Contract]:
    """None, or one or two contracts of a few rows each that may concern calls of the model."""
    return [
        Contract(tuple(draw(_rows(model, order)) for order in range(draw(st.integers(1, 5)))), (), "made-up 1")
        for _ in range(draw(st.sampled_from((0, 1, 1, 2))))
    ]
