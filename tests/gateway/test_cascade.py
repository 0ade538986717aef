"""Cascades: the small model first, the asked one where that answer will not do, and both are paid for."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from outlay.money import plain
from outlay.operate.quotas.limit import whole
from tests.gateway.harness import gateway
from tests.gateway.test_calls import price
from tests.gateway.test_rules import SMALLER, TEXT, USD, answer_of, ask, asked, metric

CASCADE: dict[str, Any] = {**SMALLER, "id": "cascade", "mode": "cascade"}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
JSON = {"response_format": {"type": "json_object"}}


def test_an_answer_that_will_do_is_the_small_models(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, routes=[CASCADE]) as gate:
            assert (await ask(gate, tools=[TOOL], tool_choice="required")).model == "gpt-4o-mini"
            assert (await ask(gate)).model == "gpt-4o-mini"
            events = await gate.told(2)
            assert all((one["route"]["kind"], one["route"]["outcome"]) == ("cascade", "routed") for one in events)
            assert all(Decimal(one["route"]["saved"]) > 0 for one in events)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("script", "body", "why"),
    [
        ({"output": 50}, {"max_tokens": 10}, "length"),
        ({"output": 5}, JSON, "invalid_json"),
        ({"tool": True, "arguments": '{"city": '}, {"tools": [TOOL]}, "invalid_json"),
        ({"output": 0}, {}, "empty"),
        ({"garbage": True}, {}, "unreadable"),
    ],
)
def test_an_answer_that_fails_a_check_is_paid_and_the_asked_model_answers(
    tmp_path: Path, script: dict[str, Any], body: dict[str, Any], why: str
) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, routes=[CASCADE]) as gate:
            gate.upstreams["openai"].for_model("gpt-4o-mini", **script)
            status, headers, answer = await answer_of(gate, **body)
            assert (status, answer["model"]) == (200, "gpt-4o")
            assert "x-outlay-route" not in headers
            cheap, strong = await gate.told(2)
            assert (cheap["sent_model"], strong["sent_model"]) == ("gpt-4o-mini", "gpt-4o")
            assert cheap["route"] | {"outcome": "failed", "why": why, "basis": "extra_call"} == cheap["route"]
            assert cheap["route"]["saved"] == plain(-Decimal(cheap["cost"]))
            assert (strong["route"]["outcome"], strong["route"]["why"]) == ("fell_back", why)
            assert cheap["call"] == strong["call"]
            bills = [one.billed for one in gate.upstreams["openai"].log.entries]
            if why != "unreadable":  # which told no usage, and so counts at its bound
                assert cheap["cost"] == plain(price("openai", "gpt-4o-mini", bills[0]))
            spent = Decimal(cheap["cost"]) + price("openai", "gpt-4o", bills[1])
            assert await gate.standing("usd") == (whole(spent), 0)
            assert await metric(gate, 'outlay_gateway_routed_total{outcome="fell_back",rule="cascade"}') == 1
            lost = await metric(gate, 'outlay_gateway_route_saved{currency="USD",rule="cascade"}')
            assert lost == pytest.approx(-float(cheap["cost"]))

    asyncio.run(run())


def test_only_the_declared_checks_are_made(tmp_path: Path) -> None:
    async def run() -> None:
        rule = {**CASCADE, "checks": ["refusal", "invalid_json"]}
        async with gateway(tmp_path, "openai", quotas=USD, routes=[rule]) as gate:
            assert (await answer_of(gate, max_tokens=5))[2]["model"] == "gpt-4o-mini"  # cut off at 5 tokens
            assert (await answer_of(gate, max_tokens=5, **JSON))[2]["model"] == "gpt-4o"

    asyncio.run(run())


def test_a_stream_is_not_judged_and_stays_with_the_asked_model(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, routes=[CASCADE]) as gate:
            assert [chunk async for chunk in await ask(gate, stream=True)]
            (event,) = await gate.told(1)
            assert (event["sent_model"], event["route"]["outcome"]) == ("gpt-4o", "streamed")

    asyncio.run(run())


@pytest.mark.parametrize("strong", ["denied", "broken", "refused"])
def test_where_the_asked_model_fails_too_the_answer_that_was_paid_is_given(tmp_path: Path, strong: str) -> None:
    async def run() -> None:
        quotas: list[dict[str, Any]] = [*USD, {"id": "strong", "scope": {"model": "gpt-4o"}, "limit": "1 tokens/day"}]
        kept: dict[str, Any] = {
            "quotas": quotas if strong == "denied" else USD,
            "upstreams": {"openai": {"retries": 0}},
        }
        async with gateway(tmp_path, "openai", routes=[CASCADE], **kept) as gate:
            provider = gate.upstreams["openai"]
            if strong != "denied":
                provider.for_model("gpt-4o", **({"status": 500} if strong == "refused" else {"drop": "before_headers"}))
            status, headers, answer = await answer_of(gate, max_tokens=5)
            assert (status, answer["model"], headers["x-outlay-route"]) == (200, "gpt-4o-mini", "cascade")
            assert answer["choices"][0]["finish_reason"] == "length"
            assert headers["x-outlay-cost"].endswith("USD")
            events = await gate.told(1 if strong == "denied" else 2)
            assert events[0]["route"]["outcome"] == "failed"
            assert (await gate.standing("usd"))[1] == 0

    asyncio.run(run())


def test_the_second_call_is_held_by_itself(tmp_path: Path) -> None:
    """Both calls fit by their bounds one after the other, and would not together."""

    async def run() -> None:
        quotas = [{"id": "tokens", "limit": "2700 tokens/day"}]
        async with gateway(tmp_path, "openai", quotas=quotas, routes=[CASCADE]) as gate:
            gate.upstreams["openai"].for_model("gpt-4o-mini", output=0)
            assert (await ask(gate, max_tokens=1000)).model == "gpt-4o"
            spent, held = await gate.standing("tokens")
            entries = gate.upstreams["openai"].log.entries
            assert (spent, held) == (sum(one.billed.all_input + one.billed.output for one in entries), 0)
            with pytest.raises(openai.RateLimitError):
                await ask(gate, max_tokens=2000)

    asyncio.run(run())


def test_anthropics_api_has_cascades_too(tmp_path: Path) -> None:
    async def run() -> None:
        rule = {"model": "claude-opus-4-5", "to": "claude-haiku-4-5", "mode": "cascade"}
        async with gateway(tmp_path, "anthropic", quotas=USD, routes=[rule]) as gate:
            messages: Any = [{"role": "user", "content": TEXT}]
            create = gate.anthropic().messages.create
            said = [
                (await create(model="claude-opus-4-5", max_tokens=most, messages=messages)).model for most in (100, 5)
            ]
            assert said == ["claude-haiku-4-5", "claude-opus-4-5"]
            assert asked(gate, "anthropic") == ["claude-haiku-4-5", "claude-haiku-4-5", "claude-opus-4-5"]

    asyncio.run(run())
