"""A figure that stands on less than the call told says so; one that stands on all of it does not."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from outlay.prices.tokens import Priced, TokenPrices
from outlay.prices.usage import normalise

_BOOK = TokenPrices()
_AT = datetime(2026, 11, 1)


def price(provider: str, model: str, raw: dict[str, Any]) -> Priced:
    return _BOOK.price(normalise(provider, raw), provider, model, _AT)


def test_langchain_pays_for_its_cache_what_anthropic_asks() -> None:
    """100 fresh at 3, 100,000 read at 0.30 and 5 out at 15 per million; the cache as fresh input would be 0.300375."""
    details = {"cache_read": 100_000, "cache_creation": 0}
    raw = {"input_tokens": 100_100, "output_tokens": 5, "total_tokens": 100_105, "input_token_details": details}
    priced = price("anthropic", "claude-sonnet-4-5", raw)
    assert (priced.cost, priced.estimated) == (Decimal("0.030375"), False)


@pytest.mark.parametrize(
    ("provider", "model", "listed"),
    [
        ("openai", "ft:gpt-4o-2024-08-06", "ft:gpt-4o"),
        ("mistral", "mistral-large-latest", "mistral-large"),
        ("aws", "anthropic.claude-3-opus-20240229-v1:0", "regional.anthropic.claude-3-opus-20240229-v1:0"),
    ],
)
def test_cached_input_without_a_price_is_taken_as_input(provider: str, model: str, listed: str) -> None:
    raw = {"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens": 0}
    priced = price(provider, model, raw)
    whole = price(provider, model, {"prompt_tokens": 1000, "completion_tokens": 0})
    assert (priced.cost, priced.estimated) == (whole.cost, True)
    assert priced.why == f"no price for cache reads of {listed}: taken as input"
    assert not whole.estimated


def test_one_hour_writes_without_a_price_are_taken_as_five_minutes() -> None:
    raw = {"input_tokens": 10, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 1000}}
    priced = price("openai", "gpt-5.6-sol", raw)
    assert priced.why == "no price for 1-hour cache writes of gpt-5.6-sol: taken as 5-minute cache writes"


def test_a_bucket_is_priced_as_small_calls() -> None:
    """300,000 in and 100 out at 4 and 20 per million; above 272,000 a call would pay 8 and 30."""
    bucket = {"input_tokens": 300_000, "input_uncached_tokens": 300_000, "output_tokens": 100}
    priced = price("openai", "gpt-5.6-sol", {**bucket, "num_model_requests": 100})
    assert (priced.cost, priced.estimated) == (Decimal("1.202"), True)
    assert "priced as small calls" in str(priced.why)
    one = price("openai", "gpt-5.6-sol", {**bucket, "num_model_requests": 1})
    assert (one.cost, one.estimated) == (Decimal("2.403"), False)


def test_a_bucket_of_a_model_of_one_price_is_no_estimate() -> None:
    bucket = {"input_tokens": 1000, "input_uncached_tokens": 1000, "output_tokens": 100, "num_model_requests": 9}
    priced = price("openai", "gpt-5", bucket)
    assert (priced.cost, priced.estimated) == (Decimal("0.00225"), False)


def test_a_count_that_was_not_read_makes_an_estimate() -> None:
    raw = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, "cache_read_input_tokens": 400}
    priced = price("openai", "gpt-5", raw)
    assert priced.estimated
    assert "cache_read_input_tokens is not known and was not read" in str(priced.why)
    assert not price("openai", "gpt-5", {**raw, "cache_read_input_tokens": 0}).estimated


def test_searches_of_a_whole_response_are_in_the_figure() -> None:
    """1000 in at 1.25 and 100 out at 10 per million, and a search at 10 per thousand."""
    usage = {"input_tokens": 1000, "input_tokens_details": {}, "output_tokens": 100}
    found = [{"type": "web_search_call", "status": "completed", "action": {"type": "search"}}, {"type": "message"}]
    assert price("openai", "gpt-5", {"output": found, "usage": usage}).cost == Decimal("0.01225")
    assert price("openai", "gpt-5", usage).cost == Decimal("0.00225")
