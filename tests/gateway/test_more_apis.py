"""Gemini's, Bedrock's and Azure's own APIs through the gateway: metered as they are billed, in their own formats."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from outlay.gateway.wires.event_stream import Frames
from outlay.prices.quick import Cost, QuickPrices
from tests.gateway.harness import KEY, Harness, gateway

USD_A_DAY = [{"id": "usd", "limit": "50 USD/day"}]
ALMOST_NOTHING = [{"id": "usd", "limit": "0.000001 USD/day"}]
GEMINI = "/v1beta/models/gemini-2.5-flash"
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Tell me about Oslo."}]}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Tell me about Oslo."}]}]}
INVOKE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Tell me about Oslo."}],
}
OSLO: Any = [{"role": "user", "content": "Tell me about Oslo."}]
KEYS = {"gemini": {"x-goog-api-key": KEY}, "bedrock": {"authorization": f"Bearer {KEY}"}}


async def post(gate: Harness, path: str, body: Any, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """What the gateway answers to one request."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(gate.url + path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.read(), {key.lower(): value for key, value in answer.headers.items()}


@pytest.mark.parametrize(
    ("provider", "path", "body"),
    [
        ("gemini", f"{GEMINI}:generateContent", CONTENTS),
        ("gemini", f"{GEMINI}:streamGenerateContent?alt=sse", CONTENTS),
        ("bedrock", f"/model/{CLAUDE}/converse", CONVERSE),
        ("bedrock", f"/model/{CLAUDE}/converse-stream", CONVERSE),
        ("bedrock", f"/model/{CLAUDE}/invoke", INVOKE),
        ("bedrock", f"/model/{CLAUDE}/invoke-with-response-stream", INVOKE),
    ],
)
@pytest.mark.parametrize("script", [{}, {"cache_read": 2, "reasoning": 7}])
def test_a_call_is_metered_as_it_is_billed(
    tmp_path: Path, provider: str, path: str, body: Any, script: dict[str, Any]
) -> None:
    async def run() -> None:
        async with gateway(tmp_path, provider, quotas=USD_A_DAY) as gate:
            gate.upstreams[provider].next(**script)
            status, content, _ = await post(gate, path, body, **KEYS[provider])
            assert (status, bool(content)) == (200, True)
            (event,) = await gate.told(1)
            (entry,) = gate.upstreams[provider].log.entries
            assert event["settled"] == "usage"
            assert (event["usage"]["input"], event["usage"]["output"]) == (entry.billed.all_input, entry.billed.output)
            assert event["cost"] is not None
            assert entry.model == (CLAUDE if provider == "bedrock" else "gemini-2.5-flash")
            assert (await gate.standing("usd"))[1] == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("provider", "path", "body", "limit"),
    [
        ("gemini", f"{GEMINI}:generateContent", CONTENTS, ("generationConfig", "maxOutputTokens")),
        ("bedrock", f"/model/{CLAUDE}/converse", CONVERSE, ("inferenceConfig", "maxTokens")),
    ],
)
def test_a_call_without_a_limit_gets_one(
    tmp_path: Path, provider: str, path: str, body: Any, limit: tuple[str, str]
) -> None:
    async def run() -> None:
        async with gateway(tmp_path, provider, quotas=USD_A_DAY, max_tokens=77) as gate:
            await post(gate, path, body, **KEYS[provider])
            (entry,) = gate.upstreams[provider].log.entries
            assert entry.body == {**body, limit[0]: {limit[1]: 77}}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("provider", "path", "body", "said"),
    [
        ("gemini", f"{GEMINI}:generateContent", CONTENTS, b'"status":"RESOURCE_EXHAUSTED"'),
        ("bedrock", f"/model/{CLAUDE}/converse", CONVERSE, b'"__type":"ThrottlingException"'),
    ],
)
def test_a_call_that_does_not_fit_is_denied_in_its_own_format(
    tmp_path: Path, provider: str, path: str, body: Any, said: bytes
) -> None:
    async def run() -> None:
        async with gateway(tmp_path, provider, quotas=ALMOST_NOTHING) as gate:
            status, content, _ = await post(gate, path, body, **KEYS[provider])
            assert (status, said in content) == (429, True)
            assert not gate.upstreams[provider].log.entries

    asyncio.run(run())


async def counted_by_anthropic(gate: Harness) -> int:
    client = gate.anthropic()
    return (await client.messages.count_tokens(model="claude-sonnet-5", messages=OSLO)).input_tokens


async def counted_by_gemini(gate: Harness) -> int:
    status, content, _ = await post(gate, f"{GEMINI}:countTokens", CONTENTS, **KEYS["gemini"])
    assert status == 200
    return len(content)


@pytest.mark.parametrize(("provider", "call"), [("anthropic", counted_by_anthropic), ("gemini", counted_by_gemini)])
def test_counting_tokens_needs_no_money_and_is_a_request(
    tmp_path: Path, provider: str, call: Callable[[Harness], Awaitable[int]]
) -> None:
    async def run() -> None:
        quotas = [*ALMOST_NOTHING, {"id": "calls", "limit": "1 requests/day"}, {"id": "few", "limit": "1 tokens/day"}]
        async with gateway(tmp_path, provider, quotas=quotas) as gate:
            assert await call(gate) > 0
            (event,) = await gate.told(1)
            assert (event["cost"], event["usage"], event["error"]) == (None, None, None)
            assert [await gate.standing(one) for one in ("usd", "calls", "few")] == [(0, 0), (1, 0), (0, 0)]
            with pytest.raises((anthropic.RateLimitError, AssertionError)):
                await call(gate)

    asyncio.run(run())


@pytest.mark.parametrize("v1", [True, False])
def test_azures_client_names_the_deployment_and_the_body_may_name_anything(tmp_path: Path, v1: bool) -> None:
    async def run() -> None:
        more = {"azure": {"api_version": "2024-10-21", "priced_as": "openai"}}
        async with gateway(tmp_path, "azure", quotas=USD_A_DAY, upstreams=more) as gate:
            client: openai.AsyncOpenAI = openai.AsyncAzureOpenAI(
                azure_endpoint=gate.url,
                azure_deployment=None if v1 else "gpt-4o-mini",
                api_key=KEY,
                api_version="2024-10-21",
                max_retries=0,
            )
            gate.clients.append(client)
            answer = await client.chat.completions.create(model="gpt-4o-mini" if v1 else "a-cheap-name", messages=OSLO)
            assert answer.choices
            (event,) = await gate.told(1)
            (entry,) = gate.upstreams["azure"].log.entries
            assert entry.path == "/openai/deployments/gpt-4o-mini/chat/completions"
            assert (event["model"], entry.body["model"]) == ("gpt-4o-mini", "gpt-4o-mini")
            assert event["usage"]["output"] == entry.billed.output

    asyncio.run(run())


def test_of_a_field_that_is_there_twice_the_provider_gets_the_one_that_was_bounded(tmp_path: Path) -> None:
    body = '{"model":"gpt-4o-mini","max_tokens":50000,"messages":[{"role":"user","content":"hi"}],"max_tokens":5}'

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD_A_DAY) as gate:
            async with aiohttp.ClientSession() as session:
                headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
                async with session.post(f"{gate.url}/v1/chat/completions", data=body, headers=headers) as answer:
                    assert answer.status == 200
            (entry,) = gate.upstreams["openai"].log.entries
            assert entry.body["max_tokens"] == 5

    asyncio.run(run())


def test_a_call_whose_usage_has_no_price_in_the_end_counts_at_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuickPrices, "cost", lambda *_: Cost(None, None, "none", False, "no price for web_searches."))

    async def run() -> None:
        async with gateway(tmp_path, "gemini", quotas=USD_A_DAY) as gate:
            await post(gate, f"{GEMINI}:generateContent", CONTENTS, **KEYS["gemini"])
            (event,) = await gate.told(1)
            assert (event["settled"], event["error"]) == ("bound", "unreadable usage")
            spent, held = await gate.standing("usd")
            assert spent > 0
            assert held == 0
            assert Decimal(event["cost"]) == Decimal(spent).scaleb(-18)

    asyncio.run(run())


def test_a_stream_that_bedrock_breaks_off_ends_in_an_exception(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "bedrock", quotas=USD_A_DAY) as gate:
            gate.upstreams["bedrock"].next(drop="mid_stream", output=40)
            _, content, _ = await post(gate, f"/model/{CLAUDE}/converse-stream", CONVERSE, **KEYS["bedrock"])
            *made, last = Frames().whole(content)
            assert made
            assert last.headers()[":exception-type"] == "serviceUnavailableException"
            assert "bedrock broke off" in last.json()["message"]
            (event,) = await gate.told(1)
            assert (event["settled"], event["usage"]) == ("bound", None)

    asyncio.run(run())


def test_an_unbroken_stream_is_all_that_bedrock_sent(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "bedrock", quotas=USD_A_DAY) as gate:
            _, content, headers = await post(gate, f"/model/{CLAUDE}/converse-stream", CONVERSE, **KEYS["bedrock"])
            assert headers["content-type"] == "application/vnd.amazon.eventstream"
            names = [one.headers()[":event-type"] for one in Frames().whole(content)]
            assert (names[0], names[-1]) == ("messageStart", "metadata")

    asyncio.run(run())
