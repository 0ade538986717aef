"""No call within its bounds costs more than its ceiling, whatever it turns out to be; without one there is a reason."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.ledger.meters import INPUT_METERS, MODALITIES, OUTPUT_METERS
from outlay.prices import genai
from outlay.prices.ceiling import Ceiling, Ceilings, Options, Unbounded, asked, ceiling
from outlay.prices.contract import read_contract
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import Quantity, Usage, normalise
from tests.prices.made_up_calls import CONTEXT_VALUES, MODELS, contracts, sizes, times

_NOW = datetime(2026, 11, 1, 12)
_LIST = TokenPrices()
_PLAIN = Options(only=asked({"service_tier": "default", "inference_geo": "global"}))
_FEES = ("web_searches", "web_fetches", "storage_searches", "server_tool_calls")


def bounded(provider: str, model: str, size: int, options: Options = _PLAIN, at: datetime = _NOW) -> Ceiling:
    found = ceiling(_LIST, provider, model, at, size, options=options)
    assert isinstance(found, Ceiling), found
    return found


def per_million(unit_price: int | None) -> Decimal:
    assert unit_price is not None
    return Decimal(unit_price).scaleb(-12)


def agreed(tmp_path: Path, header: str, *lines: str) -> TokenPrices:
    path = tmp_path / "agreed.csv"
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    read = read_contract(path)
    assert read.problems == ()
    return TokenPrices([read])


@pytest.mark.parametrize(
    ("model", "size", "asking", "at", "prices"),
    [  # per million, from the published lists: the dearest of fresh, read, written and of what may serve the call
        ("anthropic/claude-sonnet-4-5", 200_000, {}, "2026-10-01", "6 15"),  # written for an hour
        ("anthropic/claude-sonnet-4-5", 200_001, {}, "2026-10-01", "12 22.5"),
        ("openai/gpt-4o-mini", 1200, {"service_tier": "default"}, "2026-10-01", "0.15 0.60"),
        ("openai/gpt-5", 1000, {"service_tier": "default"}, "2026-11-01", "1.25 10"),
        ("openai/gpt-5", 1000, {"service_tier": "flex"}, "2026-11-01", "1.25 10"),  # may be served without it
        ("openai/gpt-5", 1000, {"service_tier": "priority"}, "2026-11-01", "2.5 20"),
        ("openai/gpt-5", 1000, {"service_tier": "auto"}, "2026-11-01", "2.5 20"),
        ("openai/gpt-5", 1000, {}, "2026-11-01", "2.5 20"),
        ("openai/gpt-5.6-sol", 10_000, {"service_tier": "default"}, "2026-08-20", "6.25 30"),
        ("openai/gpt-5.6-sol", 10_000, {"service_tier": "default"}, "2026-08-21", "5 20"),
        ("openai/gpt-5.6-sol", 272_000, {"service_tier": "default"}, "2026-09-01", "5 20"),
        ("openai/gpt-5.6-sol", 272_001, {"service_tier": "default"}, "2026-09-01", "10 30"),
        ("google/gemini-2.5-flash", 100_000, {}, "2026-10-01", "0.30 2.50"),
        ("openai/o3", 1200, {"service_tier": "default"}, "2025-05-01", "10 40"),
        ("openai/o3", 1200, {"service_tier": "default"}, "2026-05-01", "2 8"),
    ],
)
def test_golden(model: str, size: int, asking: dict[str, str], at: str, prices: str) -> None:
    provider, name = model.split("/")
    found = bounded(provider, name, size, Options(only=asked(asking)), datetime.fromisoformat(at))
    assert [per_million(found.input), per_million(found.output)] == [Decimal(price) for price in prices.split()]


def test_a_call_at_its_worst_costs_its_ceiling() -> None:
    """The bound of the reference's golden call is met to the last digit: 101,000 tokens, all written for an hour."""
    raw = {"input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 101_000}, "output_tokens": 500}
    cost = _LIST.price(normalise("anthropic", raw), "anthropic", "claude-sonnet-4-5", _NOW).cost
    assert cost == Decimal("0.6135")
    found = bounded("anthropic", "claude-sonnet-4-5", 101_000)
    assert found.bound(101_000, 500) == cost.scaleb(18)


def test_every_model_of_the_property_below_has_a_ceiling() -> None:
    assert len(MODELS) >= 40
    for provider, model in MODELS:
        found = bounded(provider, model, 1_000_000)
        assert found.input > 0
        assert found.output is not None
        assert found.up_to is None


@st.composite
def _calls(draw: st.DrawFn) -> tuple[TokenPrices, tuple[str, str], datetime, int, int, Options, Usage, dict[str, str]]:
    """A call, its options before and its usage after it, which keeps to what was said."""
    model = draw(st.sampled_from(MODELS))
    prices = TokenPrices(draw(contracts(model)))
    request: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "service_tier": st.sampled_from(("auto", "default", "standard_only", "flex", "priority", "new", None)),
                "speed": st.sampled_from(("fast", "standard", None)),
                "inference_geo": st.sampled_from(("us", "global", None)),
            },
        )
    )
    certain = draw(st.sampled_from(({}, {}, {"inference_geo": "eu"}, {"service_tier": "flex"}, {"region": "standard"})))
    only = asked(request, certain)
    modalities = tuple(draw(st.sets(st.sampled_from(MODALITIES))))
    fees = tuple(draw(st.sets(st.sampled_from(_FEES), max_size=2)))
    options = Options(only, modalities, modalities, fees)
    told = {}
    for key, values in CONTEXT_VALUES.items():
        value = draw(st.sampled_from(dict(only).get(key, ("", *values))))
        if value and key not in certain:
            told[key] = value
    inputs = [meter for meter in INPUT_METERS if not meter.endswith(MODALITIES) or meter.endswith(modalities or "-")]
    outputs = [meter for meter in OUTPUT_METERS if not meter.endswith(MODALITIES) or meter.endswith(modalities or "-")]
    size = draw(sizes())
    cut = draw(st.lists(st.integers(0, size), min_size=2, max_size=2).map(sorted))
    meters: dict[str, Quantity] = {"requests": 1}
    for count in (cut[0], cut[1] - cut[0], size - cut[1]):
        meter = draw(st.sampled_from(inputs))
        meters[meter] = meters.get(meter, 0) + count
    out = draw(st.integers(0, 10**5))
    spoken = draw(st.integers(0, out))
    for count in (spoken, out - spoken):
        meter = draw(st.sampled_from(outputs))
        meters[meter] = meters.get(meter, 0) + count
    meters |= {fee: draw(st.integers(0, 9)) for fee in fees}
    meters = {meter: quantity for meter, quantity in meters.items() if quantity}
    upper = size + draw(st.sampled_from((0, 0, 1, 1000)))
    return (
        prices,
        model,
        draw(times(model)),
        upper,
        out,
        options,
        Usage("made up", size, out, 0, 0, 0, meters, told),
        certain,
    )


@given(_calls())
def test_no_call_costs_more_than_its_ceiling(
    made_up: tuple[TokenPrices, tuple[str, str], datetime, int, int, Options, Usage, dict[str, str]],
) -> None:
    prices, model, at, upper, out, options, usage, certain = made_up
    found = ceiling(prices, *model, at, upper, options=options)
    priced = prices.price(usage, *model, at, certain)
    if isinstance(found, Unbounded):
        assert found.why
    elif priced.cost is not None:
        counted = {fee: int(usage.meters.get(fee, 0)) for fee in options.fees}
        assert priced.cost.scaleb(18) <= found.bound(upper, out, counted)
        assert priced.currency == found.currency or priced.cost == 0
    assert found.since <= at < found.until


@given(
    st.sampled_from(MODELS).flatmap(lambda model: st.tuples(st.just(model), times(model), sizes(), contracts(model)))
)
def test_what_is_kept_is_what_would_be_found_anew(made_up: tuple[tuple[str, str], datetime, int, Any]) -> None:
    """At the moment itself, at the ends of its validity and just beyond them, for this size and a larger one."""
    model, at, size, laid_over = made_up
    prices = TokenPrices(laid_over)
    kept = Ceilings(prices)
    first = kept.ceiling(*model, at, size, _PLAIN)
    moments = [at, first.since, first.until - timedelta(microseconds=1), first.until - timedelta(microseconds=2)]
    moments += [first.until] if first.until < datetime.max else []
    moments += [first.since - timedelta(microseconds=1)] if first.since > datetime.min else []
    for moment in moments:
        for upper in (size, size + 200_000):
            assert kept.ceiling(*model, moment, upper, _PLAIN) == ceiling(prices, *model, moment, upper, options=_PLAIN)


def test_a_ceiling_ends_when_its_price_does() -> None:
    kept = Ceilings(_LIST)
    day = datetime(2026, 8, 20, 23)
    before = kept.ceiling("openai", "gpt-5.6-sol", day, 1000, _PLAIN)
    assert isinstance(before, Ceiling)
    assert (per_million(before.output), before.until, before.up_to) == (Decimal(30), datetime(2026, 8, 21), 272_000)
    assert kept.ceiling("openai", "gpt-5.6-sol", day + timedelta(minutes=59), 2000, _PLAIN) is before
    after = kept.ceiling("openai", "gpt-5.6-sol", before.until, 1000, _PLAIN)
    assert isinstance(after, Ceiling)
    assert (per_million(after.output), after.since) == (Decimal(20), before.until)


def test_a_ceiling_ends_at_an_hour_of_the_day() -> None:
    """deepseek-v4-pro costs twice as much from 1 to 4 and from 6 to 10 o'clock UTC."""
    kept = Ceilings(_LIST)
    found = [kept.ceiling("deepseek", "deepseek-v4-pro", datetime(2026, 11, 1, hour, 30), 1000) for hour in (3, 4, 12)]
    peak, quiet, evening = (one for one in found if isinstance(one, Ceiling))
    assert peak.input == 2 * quiet.input == 2 * evening.input
    assert [one.until for one in (peak, quiet, evening)] == [
        datetime(2026, 11, 1, 4),
        datetime(2026, 11, 1, 6),
        datetime(2026, 11, 2),
    ]


def test_fees_modalities_and_requests() -> None:
    searching = bounded("anthropic", "claude-sonnet-4-5", 1000, Options(_PLAIN.only, fees=("web_searches",)))
    assert searching.bound(0, 0, {"web_searches": 3}) == 3 * 10**16
    with pytest.raises(UsageError, match="no fee of this ceiling"):
        searching.bound(0, 0, {"web_fetches": 1})
    text, heard = (
        bounded("openai", "gpt-realtime", 1000, Options(_PLAIN.only, spoken, spoken)) for spoken in ((), ("audio",))
    )
    assert (per_million(text.input), per_million(heard.input)) == (Decimal(4), Decimal(32))
    assert (per_million(text.output), per_million(heard.output)) == (Decimal(16), Decimal(64))
    for wrong in (Options(fees=("audio_seconds",)), Options(fees=("requests",)), Options(fees=("x",))):
        with pytest.raises(UsageError, match="no tool's fee"):
            bounded("openai", "gpt-5", 1, wrong)
    with pytest.raises(UsageError, match="no modality"):
        bounded("openai", "gpt-5", 1, Options(modalities=("smell",)))


def test_a_fee_a_request_is_in_the_bound() -> None:
    priced = [
        (model, row)
        for owner, model in genai.models()
        if owner == "perplexity"
        for row in genai.model_rows(owner, model)
        if row.meter == "requests" and row.unit_price
    ]
    model, row = priced[0]
    assert bounded("perplexity", model, 1).bound(0) == row.unit_price.scaleb(18)


def test_embeddings_have_no_output() -> None:
    found = ceiling(_LIST, "openai", "text-embedding-3-small", _NOW, 100, options=_PLAIN)
    assert isinstance(found, Unbounded)
    assert found.why == "no price for output of text-embedding-3-small. Give one with --prices."
    without = bounded("openai", "text-embedding-3-small", 100, Options(_PLAIN.only, output=False))
    assert without.bound(100) == 100 * without.input
    with pytest.raises(UsageError, match="no price here"):
        without.bound(100, 1)


def test_a_ceiling_is_of_a_size() -> None:
    small = bounded("openai", "gpt-5.6-sol", 1000)
    assert small.bound(272_000) > 0
    with pytest.raises(UsageError, match="up to 272,000"):
        small.bound(272_001)


def test_the_unknown_has_no_ceiling_and_says_why(tmp_path: Path) -> None:
    kept = Ceilings(_LIST)
    for provider, model, why in (
        ("openai", "gpt-5.7", "Did you mean 'gpt-5.5'"),
        ("acme", "one", "no provider 'acme'"),
        ("openrouter", "google/gemini-2.0-flash-exp:free", "no price for input of google/gemini-2.0-flash-exp:free"),
    ):
        found = kept.ceiling(provider, model, _NOW, 10, _PLAIN)
        assert isinstance(found, Unbounded)
        assert why in found.why
    fetching = kept.ceiling("anthropic", "claude-sonnet-4-5", _NOW, 10, Options(_PLAIN.only, fees=("web_fetches",)))
    assert isinstance(fetching, Unbounded)
    assert "no price for web_fetches of claude-sonnet-4-5" in fetching.why
    header = "provider,model,meter,unit_price,when"
    fast = agreed(tmp_path, header, "acme,one,input,1,speed=fast", "acme,one,output,1,speed=fast")
    assert isinstance(ceiling(fast, "acme", "one", _NOW, 10, options=_PLAIN), Unbounded)
    pinned = Options(asked({}, {"speed": "fast"}))
    assert isinstance(ceiling(fast, "acme", "one", _NOW, 10, options=pinned), Ceiling)
    batch = agreed(tmp_path, header, "openai,o3,input,1,processing=batch", "azure,x,input,1,a=b", "azure,x,output,1,")
    assert "with a=b" not in str(ceiling(batch, "azure", "x", _NOW, 10, options=_PLAIN))
    several = ceiling(batch, "azure", "gpt-5", _NOW, 10, options=_PLAIN)
    assert isinstance(several, Ceiling)


def test_prices_in_several_currencies_have_no_ceiling(tmp_path: Path) -> None:
    header = "provider,model,meter,unit_price,currency"
    meters = ("input", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "tool_input")
    lines = [f"openai,gpt-5,{meter},0.000001,EUR" for meter in (*meters, "output", "output_reasoning")]
    whole = ceiling(agreed(tmp_path, header, *lines), "openai", "gpt-5", _NOW, 10, options=_PLAIN)
    assert isinstance(whole, Ceiling)
    assert (whole.currency, whole.bound(1, 1)) == ("EUR", 2 * 10**12)
    part = ceiling(agreed(tmp_path, header, *lines[1:]), "openai", "gpt-5", _NOW, 10, options=_PLAIN)
    assert isinstance(part, Unbounded)
    assert "and USD (input), which can't be added" in part.why


def test_a_contract_with_uplifts_and_sizes(tmp_path: Path) -> None:
    header = "provider,model,meter,unit_price,per,when,input_tokens_above,multiplier"
    prices = agreed(
        tmp_path,
        header,
        "anthropic,claude-sonnet-4-5,tokens,,,inference_geo=us,,1.1",
        "acme,one,input,2,1000000,,,",
        "acme,one,input,3,1000000,,50000,",
        "acme,one,output,4,1000000,,,",
    )
    anywhere, here = (
        ceiling(prices, "anthropic", "claude-sonnet-4-5", _NOW, 10, options=Options(asked(request)))
        for request in ({}, {"inference_geo": "global"})
    )
    assert isinstance(anywhere, Ceiling)
    assert isinstance(here, Ceiling)
    assert (per_million(anywhere.input), per_million(here.input)) == (Decimal("6.6"), Decimal(6))
    own = Ceilings(prices)
    small, large = (own.ceiling("acme", "one", _NOW, size, _PLAIN) for size in (50_000, 50_001))
    assert isinstance(small, Ceiling)
    assert isinstance(large, Ceiling)
    assert (small.bound(50_000), large.bound(50_001)) == (50_000 * 2 * 10**12, 50_001 * 3 * 10**12)


_TWO = (("input", 1, ""), ("input", 5, "*"), ("output", 2, ""), ("output", 7, "*"))


def test_a_price_for_every_context_and_one_for_bought_capacity(tmp_path: Path) -> None:
    """Both are laid over the list's 0.30 in and 2.50 out, and one is dearer: a call may be served in either way."""
    header = "provider,model,meter,unit_price,per,when"
    capacity = "google,gemini-2.5-flash,output,9,1000000,traffic_type=provisioned_throughput"
    found = ceiling(agreed(tmp_path, header, capacity), "google", "gemini-2.5-flash", _NOW, 10, options=_PLAIN)
    assert isinstance(found, Ceiling)
    assert (per_million(found.input), per_million(found.output)) == (Decimal("0.3"), Decimal(9))
    every = agreed(tmp_path, header, "google,gemini-2.5-flash,output,3,1000000,", "google,*,output,5,1000000,*")
    unlike = ceiling(every, "google", "gemini-2.5-flash", _NOW, 10, options=_PLAIN)
    usage = normalise("google", {"promptTokenCount": 1, "candidatesTokenCount": 1_000_000})
    worst = every.price(usage, "google", "gemini-2.5-flash", _NOW, {"traffic_type": "provisioned_throughput"})
    assert Decimal("0.000005") in {line.unit_price for line in worst.lines}
    assert isinstance(unlike, Ceiling)
    assert per_million(unlike.output) == 5
    special = agreed(tmp_path, header, *(f"acme,one,{meter},{price},1,{when}" for meter, price, when in _TWO))
    dearer = ceiling(special, "acme", "one", _NOW, 10, options=_PLAIN)
    assert isinstance(dearer, Ceiling)
    assert dearer.bound(1, 1) == 12 * 10**18


def test_a_circumstance_that_nobody_named_may_still_be_dearer(tmp_path: Path) -> None:
    """A rise for every special call holds where a region is told that no price names; nothing ruled regions out."""
    header = "provider,model,meter,when,multiplier"
    prices = agreed(tmp_path, header, "mistral,mistral-large,tokens,,1", "mistral,mistral-large,tokens,*,1.5")
    source = ("mistral", "mistral-large")
    found = ceiling(prices, *source, _NOW, 1, options=_PLAIN)
    usage = normalise("mistral", {"prompt_tokens": 1, "completion_tokens": 0})
    usual = prices.price(usage, *source, _NOW).cost
    elsewhere = prices.price(usage, *source, _NOW, {"zone": "7"}).cost
    assert isinstance(found, Ceiling)
    assert usual is not None
    assert elsewhere is not None
    assert usual * Decimal("1.5") == elsewhere == Decimal(found.bound(1)).scaleb(-18)


def test_too_many_circumstances_have_no_ceiling(tmp_path: Path) -> None:
    lines = [f"openai,gpt-5,input,1,{key}={value}" for key in "abcdefg" for value in (1, 2)]
    prices = agreed(tmp_path, "provider,model,meter,unit_price,when", *lines)
    found = ceiling(prices, "openai", "gpt-5", _NOW, 10, options=_PLAIN)
    assert isinstance(found, Unbounded)
    assert "too many circumstances" in found.why


def test_memory_is_bounded() -> None:
    kept = Ceilings(_LIST, most=2)
    for size in (1, 300_000):
        for model in ("gpt-5.6-sol", "gpt-5", "o3"):
            kept.ceiling("openai", model, _NOW, size, _PLAIN)
    assert (len(kept._kept), len(kept._cuts)) == (2, 2)


def test_time_has_no_zone() -> None:
    kept = Ceilings(_LIST)
    kept.ceiling("openai", "gpt-5", _NOW, 10)
    for model in ("gpt-5", "o3"):
        with pytest.raises(UsageError, match="zone"):
            kept.ceiling("openai", model, _NOW.replace(tzinfo=UTC), 10)


def test_the_context_window_that_the_list_knows() -> None:
    assert genai.context_window("openai", "gpt-5.6-sol") == genai.context_window("azure", "gpt-5.6-sol") == 1_050_000
    assert genai.context_window("acme", "one") is None
    assert genai.context_window("cohere", "command-a-03-2025") is None


def test_nothing_heavy_is_imported() -> None:
    """A gateway prices calls in a process that must start at once."""
    program = (
        "import sys; from datetime import datetime\n"
        "from outlay.prices.ceiling import Ceilings\n"
        "from outlay.prices.quick import QuickPrices\n"
        "from outlay.prices.tokens import TokenPrices\n"
        "from outlay.prices.usage import normalise\n"
        "at, prices, source = datetime(2026, 11, 1), TokenPrices(), ('openai', 'gpt-5')\n"
        "Ceilings(prices).ceiling(*source, at, 10)\n"
        "assert QuickPrices(prices).cost(normalise('openai', {'prompt_tokens': 1}), *source, at).amount\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "outlay" in loaded
    assert loaded.isdisjoint({"duckdb", "ibis", "deltalake", "pyarrow", "numpy", "pandas"})


def test_who_asks_for_a_place_whose_uplift_is_not_known_has_no_ceiling(tmp_path: Path) -> None:
    there = Options(only=asked({"inference_geo": "us"}))
    found = ceiling(_LIST, "anthropic", "claude-opus-4-8", _NOW, 1000, options=there)
    assert isinstance(found, Unbounded)
    assert "inference_geo=us" in found.why
    known = agreed(tmp_path, "provider,model,meter,when,multiplier", "anthropic,*,tokens,inference_geo=us,1.1")
    dearer = ceiling(known, "anthropic", "claude-opus-4-8", _NOW, 1000, options=there)
    assert isinstance(dearer, Ceiling)
    assert (per_million(dearer.input), per_million(dearer.output)) == (Decimal("11"), Decimal("27.5"))
