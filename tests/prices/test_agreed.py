"""An agreed price holds for what it names; what it does not name is the list's where the list has a price for it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.prices import genai
from outlay.prices.contract import COLUMNS, read_contract
from outlay.prices.tokens import Priced, TokenPrices
from outlay.prices.usage import normalise

_AT = datetime(2026, 11, 1)
_HEADER_LINE = "provider,model,meter,unit_price,per,when,input_tokens_above,multiplier"
_THOUSAND = {"prompt_tokens": 1000, "completion_tokens": 100}
_LONG = {"prompt_tokens": 300_000, "completion_tokens": 100}


def book(tmp_path: Path, *lines: str) -> TokenPrices:
    path = tmp_path / "agreed.csv"
    path.write_text("\n".join([_HEADER_LINE, *lines]), encoding="utf-8")
    read = read_contract(path)
    assert read.problems == ()
    return TokenPrices([read])


def cost(prices: TokenPrices, provider: str, model: str, raw: dict[str, object], **context: str) -> Priced:
    return prices.price(normalise(provider, raw), provider, model, _AT, context)


def is_exactly(priced: Priced, amount: str, why: str | None = None) -> None:
    assert (priced.cost, priced.estimated) == (Decimal(amount), why is not None)
    assert (priced.why is None) if why is None else (why in str(priced.why))


def gpt(prices: TokenPrices, **context: str) -> Priced:
    """1000 in and 100 out of gpt-5: listed at 1.25 and 10 per million, priority 2.50 and 20, batch 0.625 and 5."""
    return cost(prices, "openai", "gpt-5", dict(_THOUSAND), **context)


def sol(prices: TokenPrices, **context: str) -> Priced:
    """300,000 in and 100 out of gpt-5.6-sol: listed at 4 and 20 per million, above 272,000 at 8 and 30."""
    return cost(prices, "openai", "gpt-5.6-sol", dict(_LONG), **context)


def claude(prices: TokenPrices, **context: str) -> Priced:
    """1000 in, 100 out and a search of claude-sonnet-4-5: listed at 3 and 15 per million, and 0.01."""
    raw = {"input_tokens": 1000, "output_tokens": 100, "server_tool_use": {"web_search_requests": 1}}
    return cost(prices, "anthropic", "claude-sonnet-4-5", raw, **context)


def test_a_row_without_when_is_the_ordinary_price(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,gpt-5,input,1.00,1000000,,,")
    is_exactly(gpt(prices), "0.002")
    is_exactly(gpt(prices, service_tier="standard"), "0.002")
    is_exactly(gpt(prices, service_tier="priority"), "0.0045", "no agreed price of input for service_tier=priority")
    is_exactly(gpt(prices, processing="batch"), "0.001125", "no agreed price of input for processing=batch")


def test_the_list_holds_for_a_size_that_is_not_named(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,gpt-5.6-sol,input,3.20,1000000,,,")
    is_exactly(sol(prices), "2.403", "for more than 272,000 tokens of input: the list's is used")
    is_exactly(cost(prices, "openai", "gpt-5.6-sol", dict(_THOUSAND)), "0.0052")


def test_a_row_that_names_a_size_settles_sizes(tmp_path: Path) -> None:
    low, above = "openai,gpt-5.6-sol,input,3.20,1000000,,,", "openai,gpt-5.6-sol,input,6.00,1000000,,{},"
    is_exactly(sol(book(tmp_path, low, above.format(272_000))), "1.803")
    is_exactly(sol(book(tmp_path, low, above.format(500_000))), "0.963")


def test_a_row_for_every_context_holds_for_every_size_too(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,*,input,1.00,1000000,*,,")
    is_exactly(gpt(prices), "0.002")
    is_exactly(gpt(prices, service_tier="priority"), "0.003")
    is_exactly(sol(prices), "0.303")


def test_a_row_without_when_wins_over_every_context_for_an_ordinary_call(tmp_path: Path) -> None:
    rows = ("openai,gpt-5,input,1.00,1000000,*,,", "openai,gpt-5,input,0.50,1000000,,,")
    for lines in (rows, reversed(rows)):
        prices = book(tmp_path, *lines)
        is_exactly(gpt(prices), "0.0015")
        is_exactly(gpt(prices, service_tier="priority"), "0.003")


def test_a_row_that_names_the_context_wins_over_one_for_the_model(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,gpt-5,input,1,1000000,,,", "openai,*,input,0.5,1000000,processing=batch,,")
    is_exactly(gpt(prices, processing="batch"), "0.001")


def test_an_ordinary_price_stands_in_where_the_list_has_none_either(tmp_path: Path) -> None:
    prices = book(tmp_path, "azure,gpt-5,input,1.00,1000000,,,")
    is_exactly(cost(prices, "azure", "gpt-5", dict(_THOUSAND), processing="batch"), "0.002", "ordinary price is used")


def test_a_context_that_means_the_ordinary_price_is_no_context(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,gpt-5,input,1.00,1000000,service_tier=standard,,")
    is_exactly(gpt(prices), "0.002")


def test_a_regional_uplift(tmp_path: Path) -> None:
    is_exactly(claude(TokenPrices(), inference_geo="us"), "0.0145", "inference_geo=us")
    prices = book(tmp_path, "anthropic,*,tokens,,,inference_geo=us,,1.1")
    is_exactly(claude(prices), "0.0145")
    priced = claude(prices, inference_geo="us")
    is_exactly(priced, "0.01495")  # 0.0033 + 0.00165 + 0.01: searches are no tokens
    assert priced.lines[0].source == f"{genai.version()} x 1.1 ({prices.version.split('; ')[1]})"
    assert priced.price_version == "; ".join(sorted(prices.version.split("; ")))
    is_exactly(claude(book(tmp_path, "anthropic,*,*,,,inference_geo=us,,1.1"), inference_geo="us"), "0.01595")


def test_an_uplift_comes_on_top_of_an_agreed_price(tmp_path: Path) -> None:
    uplift, plain = "anthropic,*,tokens,,,inference_geo=us,,1.1", "anthropic,claude-sonnet-4-5,input,2,1000000,,,"
    is_exactly(claude(book(tmp_path, uplift, plain), inference_geo="us"), "0.01385")  # 0.0022 + 0.00165 + 0.01
    named = "anthropic,claude-sonnet-4-5,input,2,1000000,inference_geo=us,,"
    is_exactly(claude(book(tmp_path, uplift, named), inference_geo="us"), "0.01365")  # 0.002: the uplift is in it


def test_an_uplift_is_on_the_price_of_the_context_and_the_size(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,*,*,,,region=eu,,1.1")
    is_exactly(gpt(prices, region="eu", processing="batch"), "0.0012375")
    is_exactly(sol(prices, region="eu"), "2.6433")


def test_a_discount_without_when_is_for_ordinary_calls_and_of_two_one_holds(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,*,*,,,,,0.8", "openai,*,tokens,,,region=eu,,1.1")
    is_exactly(gpt(prices), "0.0018")
    is_exactly(gpt(prices, region="eu"), "0.002475")
    is_exactly(gpt(prices, processing="batch"), "0.001125", "no agreed price of input for processing=batch")
    is_exactly(gpt(book(tmp_path, "openai,*,*,,,*,,0.8"), processing="batch"), "0.0009")


def test_a_unit_price_wins_over_a_discount(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,*,*,,,*,,0.8", "openai,gpt-5,input,1,1000000,,,")
    is_exactly(gpt(prices), "0.0018")


def test_a_multiplier_of_what_has_no_price_is_no_price(tmp_path: Path) -> None:
    prices = book(tmp_path, "openai,*,*,,,*,,0.8")
    assert cost(prices, "openai", "no-such-model-1", dict(_THOUSAND)).status == "unpriced"


def test_capacity_has_no_price_by_the_token_unless_it_is_named(tmp_path: Path) -> None:
    raw = {"promptTokenCount": 1000, "candidatesTokenCount": 10, "trafficType": "PROVISIONED_THROUGHPUT"}
    for prices in (TokenPrices(), book(tmp_path, "google,*,input,1,1,,,", "google,*,output,1,1,,,")):
        priced = cost(prices, "google", "gemini-2.5-flash", dict(raw))
        assert (priced.status, priced.cost) == ("unpriced", None)
        assert "its fee is billed apart" in str(priced.why)
    when = "traffic_type=provisioned_throughput"
    named = book(tmp_path, f"google,*,input,0,1,{when},,", f"google,*,output,0,1,{when},,")
    is_exactly(cost(named, "google", "gemini-2.5-flash", dict(raw)), "0")


def test_a_line_that_is_no_multiplier_is_a_problem(tmp_path: Path) -> None:
    bad = {
        "openai,*,*,1,1,,,1.1": "both a unit_price and a multiplier",
        "openai,*,*,,1,,,0": "is not between 0 and 1000",
        "openai,*,*,,1,,,-1": "is not between 0 and 1000",
        "openai,*,*,,1,,,nan": "is not between 0 and 1000",
        "openai,*,*,,1,,,twice": "is not a number",
        "openai,*,*,1,1,,,": "unknown meter '*'",
        "openai,*,input,,1,,,": "no unit_price",
    }
    path = tmp_path / "agreed.csv"
    path.write_text("\n".join([_HEADER_LINE, *bad]), encoding="utf-8")
    read = read_contract(path)
    assert read.rows == ()
    for problem, said in zip(read.problems, bad.values(), strict=True):
        assert said in problem.message


def test_a_file_of_multipliers_needs_no_unit_prices(tmp_path: Path) -> None:
    path = tmp_path / "agreed.csv"
    path.write_text("provider,model,meter,multiplier,when\nanthropic,*,tokens,1.1,inference_geo=us\n", encoding="utf-8")
    assert len(read_contract(path).rows) == 1
    assert {"multiplier", "unit_price"} < set(COLUMNS)


@pytest.mark.parametrize("when", ["*=*", "*;processing=batch", "* "])
def test_every_context_is_written_alone(when: str, tmp_path: Path) -> None:
    path = tmp_path / "agreed.csv"
    path.write_text(f"{_HEADER_LINE}\nopenai,*,input,1,1,{when},,", encoding="utf-8")
    assert len(read_contract(path).problems) == (0 if when.strip() == "*" else 1)
