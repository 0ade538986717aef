"""Calls through the gateway with the official clients: what comes back, what the provider saw, what was metered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from outlay.money import plain
from outlay.operate.quotas.limit import in_unit
from outlay.prices.usage import normalise
from tests.gateway.harness import KEY, PRICES, Harness, gateway
from tests.gateway.upstreams import Meters

USD_A_DAY = [{"id": "usd", "limit": "50 USD/day"}]
MESSAGES: Any = [{"role": "user", "content": "Tell me about the weather in Oslo, at some length please."}]


def price(provider: str, model: str, billed: Meters) -> Decimal:
    """What a call of these meters costs today, by the price list itself."""
    raw = {
        "input_tokens": billed.input,
        "cache_read_input_tokens": billed.cache_read,
        "cache_creation_input_tokens": billed.cache_write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": billed.cache_write_5m,
            "ephemeral_1h_input_tokens": billed.cache_write_1h,
        },
        "output_tokens": billed.output,
    }
    usage = normalise("anthropic", raw, flavor="messages")
    priced = PRICES.price(usage, provider, model, datetime.now())  # noqa: DTZ005 - prices of today
    assert priced.cost is not None
    return priced.cost


async def chat(gate: Harness, **more: Any) -> Any:
    return await gate.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **more)


async def chat_stream(gate: Harness, **more: Any) -> list[Any]:
    return [chunk async for chunk in await chat(gate, stream=True, **more)]


async def responses(gate: Harness) -> Any:
    return await gate.openai().responses.create(model="gpt-4o-mini", input="Tell me about Oslo.")


async def responses_stream(gate: Harness) -> Any:
    stream = await gate.openai().responses.create(model="gpt-4o-mini", input="Tell me about Oslo.", stream=True)
    return [event async for event in stream]


async def completions(gate: Harness) -> Any:
    return await gate.openai().completions.create(model="gpt-3.5-turbo-instruct", prompt="Tell me about Oslo.")


async def completions_stream(gate: Harness) -> Any:
    stream = await gate.openai().completions.create(
        model="gpt-3.5-turbo-instruct", prompt="Tell me about Oslo.", stream=True
    )
    return [chunk async for chunk in stream]


async def embeddings(gate: Harness) -> Any:
    return await gate.openai().embeddings.create(model="text-embedding-3-small", input=["Oslo", "Bergen and Voss"])


async def messages(gate: Harness) -> Any:
    return await gate.anthropic().messages.create(model="claude-sonnet-5", max_tokens=100, messages=MESSAGES)


async def messages_stream(gate: Harness) -> Any:
    async with gate.anthropic().messages.stream(model="claude-sonnet-5", max_tokens=100, messages=MESSAGES) as stream:
        return [event async for event in stream]


@pytest.mark.parametrize(
    ("provider", "call"),
    [
        ("openai", chat),
        ("openai", chat_stream),
        ("openai", responses),
        ("openai", responses_stream),
        ("openai", completions),
        ("openai", completions_stream),
        ("openai", embeddings),
        ("anthropic", messages),
        ("anthropic", messages_stream),
    ],
)
@pytest.mark.parametrize("script", [{}, {"cache_read": 5, "reasoning": 7}, {"gzip": True, "output": 3}])
def test_every_call_is_metered_as_the_provider_bills_it(
    tmp_path: Path, provider: str, call: Callable[[Harness], Awaitable[Any]], script: dict[str, Any]
) -> None:
    async def run() -> None:
        async with gateway(tmp_path, provider, quotas=USD_A_DAY) as gate:
            if provider == "openai" and call is not embeddings:
                gate.upstreams[provider].next(**script)
            assert await call(gate)
            (event,) = await gate.told(1)
            (entry,) = gate.upstreams[provider].log.entries
            usage = event["usage"]
            assert (usage["input"], usage["output"]) == (entry.billed.all_input, entry.billed.output)
            assert (usage["cache_read"], usage["reasoning"]) == (entry.billed.cache_read, entry.billed.reasoning)
            assert (event["settled"], event["error"], event["status"]) == ("usage", None, 200)
            assert event["cost"] == plain(price(provider, event["answered_model"], entry.billed))
            assert event["attributes"]["team"] == "search"
            assert await gate.standing("usd") == (int(Decimal(event["cost"]).scaleb(18)), 0)

    asyncio.run(run())


def test_the_provider_sees_its_own_secret_and_nothing_of_the_caller(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD_A_DAY) as gate:
            client = gate.openai(
                organization="org-of-the-caller",
                default_headers={
                    "x-outlay-tags": "feature=summary",
                    "cookie": "session=1",
                    "x-forwarded-for": "10.0.0.1",
                    "openai-beta": "assistants=v2",
                    "x-of-my-own": "kept",
                },
            )
            await client.chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, metadata={"of": "mine"}, max_tokens=50
            )
            (entry,) = gate.upstreams["openai"].log.entries
            sent = dict(entry.headers)
            assert sent["authorization"] == f"Bearer {gate.upstreams['openai'].secret}"
            assert KEY not in str(entry.headers)
            assert not {"openai-organization", "cookie", "x-forwarded-for", "x-outlay-tags"} & sent.keys()
            assert (sent["openai-beta"], sent["x-of-my-own"]) == ("assistants=v2", "kept")
            assert sent["user-agent"].startswith("AsyncOpenAI/")
            assert entry.body["metadata"] == {"of": "mine"}
            assert entry.body["max_tokens"] == 50
            (event,) = await gate.told(1)
            assert event["attributes"]["feature"] == "summary"
            assert KEY not in str(gate.events())
            assert "weather" not in str(gate.events())

    asyncio.run(run())


def test_a_caller_that_names_no_program_goes_on_as_outlay(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate, aiohttp.ClientSession() as session:
            async with session.post(
                f"{gate.url}/v1/chat/completions",
                json={"model": "gpt-4o-mini", "messages": MESSAGES},
                headers={"authorization": f"Bearer {KEY}"},
                skip_auto_headers=["user-agent"],
            ) as response:
                assert response.status == 200
            (entry,) = gate.upstreams["openai"].log.entries
            assert dict(entry.headers)["user-agent"] == "outlay"

    asyncio.run(run())


def test_a_client_that_did_not_ask_for_usage_sees_none_and_is_metered_all_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate:
            chunks = await chat_stream(gate)
            assert all(chunk.usage is None and chunk.choices for chunk in chunks)
            assert all("usage" not in chunk.model_fields_set for chunk in chunks)
            asked = await chat_stream(gate, stream_options={"include_usage": True})
            assert asked[-1].usage.completion_tokens == 20
            assert asked[-1].choices == []
            for event in await gate.told(2):
                assert (event["usage"]["output"], event["settled"]) == (20, "usage")
            bodies = [entry.body for entry in gate.upstreams["openai"].log.entries]
            assert [body["stream_options"]["include_usage"] for body in bodies] == [True, True]

    asyncio.run(run())


def test_a_call_without_a_limit_gets_one_that_fits_what_is_left(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = [{"id": "tokens", "limit": "20_000 tokens/day"}]
        async with gateway(tmp_path, "openai", quotas=quotas) as gate:
            gate.upstreams["openai"].next(output=5_000)
            answer = await chat(gate)
            (entry,) = gate.upstreams["openai"].log.entries
            given = entry.body["max_completion_tokens"]
            assert 64 <= given < 20_000 // 8
            assert answer.choices[0].finish_reason == "length"
            assert answer.usage.completion_tokens == given

    asyncio.run(run())


def test_a_call_that_no_quota_bounds_goes_as_it_came(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate:
            await chat(gate)
            (entry,) = gate.upstreams["openai"].log.entries
            assert "max_completion_tokens" not in entry.body
            assert "max_tokens" not in entry.body

    asyncio.run(run())


def test_a_full_budget_is_a_rate_limit_error_that_says_which_and_until_when(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = [{"id": "search-day", "scope": {"team": "search"}, "limit": "0.0000001 USD/day"}]
        async with gateway(tmp_path, "openai", "anthropic", quotas=quotas) as gate:
            with pytest.raises(openai.RateLimitError) as found:
                await chat(gate, max_tokens=100)
            told = found.value.body["outlay"]  # type: ignore[index]
            assert found.value.code == "quota_exceeded"
            assert "the budget 'search-day' of 0.0000001 USD/day (team = search)" in str(found.value)
            assert (told["budget"], told["spent"], told["held"]) == ("search-day", "0", "0")
            assert told["resets_at"] is None
            assert gate.upstreams["openai"].log.entries == []

    asyncio.run(run())


def test_a_caller_of_anthropic_is_told_in_anthropics_words(tmp_path: Path) -> None:
    import anthropic

    async def run() -> None:
        quotas = [{"id": "few", "limit": "1 requests/day"}]
        async with gateway(tmp_path, "anthropic", quotas=quotas) as gate:
            await messages(gate)
            with pytest.raises(anthropic.RateLimitError) as found:
                await messages(gate)
            assert found.value.body["error"]["type"] == "rate_limit_error"  # type: ignore[index]
            assert found.value.body["error"]["outlay"]["resets_at"].endswith("T00:00:00Z")  # type: ignore[index]
            assert int(found.value.response.headers["retry-after"]) > 0
            assert len(gate.upstreams["anthropic"].log.entries) == 1

    asyncio.run(run())


def test_who_has_no_key_no_tag_or_no_right_is_told_so(tmp_path: Path) -> None:
    from outlay.gateway.callers import Caller

    callers = {
        KEY: Caller("key-1", {"use_case": "chat"}),
        "narrow": Caller("key-2", {"team": "ads", "use_case": "chat"}, ("gpt-4o*",)),
    }

    async def run() -> None:
        async with gateway(tmp_path, "openai", callers=callers, required_tags=("team", "use_case")) as gate:
            with pytest.raises(openai.AuthenticationError, match="not known"):
                await gate.openai("wrong").models.list()
            with pytest.raises(openai.BadRequestError, match="lacks the required tag team"):
                await chat(gate)
            with pytest.raises(openai.BadRequestError, match="by the key"):
                await chat(gate, extra_headers={"x-outlay-tags": "team=search, use_case=other"})
            await chat(gate, extra_headers={"x-outlay-tags": "team=search"})
            with pytest.raises(openai.PermissionDeniedError, match="not for the model 'o3'"):
                await gate.openai("narrow").chat.completions.create(model="o3", messages=MESSAGES)
            await gate.openai("narrow").chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
            assert len(gate.upstreams["openai"].log.entries) == 2
            assert in_unit(0, "USD") == 0

    asyncio.run(run())
