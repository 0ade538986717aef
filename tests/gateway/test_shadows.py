"""Shadow calls: a copy goes to the other model, is held and paid, and nobody gets its answer or waits for it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.money import plain
from outlay.operate.quotas.limit import whole
from tests.gateway.harness import gateway, until
from tests.gateway.test_rules import SMALLER, USD, answer_of, ask, asked, metric

SHADOW: dict[str, Any] = {**SMALLER, "id": "trial", "mode": "shadow"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_copy_goes_to_the_other_model_and_costs_what_it_costs(tmp_path: Path, stream: bool) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, routes=[SHADOW]) as gate:
            gate.upstreams["openai"].for_model("gpt-4o-mini", start_s=1.5)
            said = await ask(gate, stream=stream)
            models = {chunk.model async for chunk in said} if stream else {said.model}
            assert models == {"gpt-4o"}
            entries = gate.upstreams["openai"].log.entries
            assert not any(one.done for one in entries if one.model == "gpt-4o-mini"), "its caller waited for it"
            call, shadow = await gate.told(2)
            assert (call["sent_model"], shadow["sent_model"]) == ("gpt-4o", "gpt-4o-mini")
            assert "route" not in call
            assert shadow["route"] == {
                "rule": "trial",
                "kind": "shadow",
                "from": "gpt-4o",
                "to": "gpt-4o-mini",
                "outcome": "shadow",
                "why": None,
                "saved": plain(-Decimal(shadow["cost"])),
                "basis": "extra_call",
                "shadow_of": call["call"],
            }
            assert shadow["settled"] == "usage"
            assert shadow["attributes"]["team"] == "search"
            assert await gate.standing("usd") == (whole(Decimal(call["cost"]) + Decimal(shadow["cost"])), 0)
            assert await metric(gate, 'outlay_gateway_routed_total{outcome="shadow",rule="trial"}') == 1

    asyncio.run(run())


def test_a_shadow_that_no_quota_has_room_for_is_not_sent(tmp_path: Path) -> None:
    async def run() -> None:
        quotas: list[dict[str, Any]] = [
            *USD,
            {"id": "mini", "scope": {"model": "gpt-4o-mini"}, "limit": "1 tokens/day"},
        ]
        async with gateway(tmp_path, "openai", quotas=quotas, routes=[SHADOW]) as gate:
            assert (await answer_of(gate))[0] == 200
            line = 'outlay_gateway_routed_total{outcome="shadow_denied",rule="trial"}'
            for _ in range(50):
                if await metric(gate, line):
                    break
                await asyncio.sleep(0.02)
            assert (await metric(gate, line), asked(gate)) == (1, ["gpt-4o"])

    asyncio.run(run())


def test_a_call_that_failed_has_no_shadow(tmp_path: Path) -> None:
    async def run() -> None:
        upstreams = {"openai": {"retries": 0}}
        async with gateway(tmp_path, "openai", quotas=USD, routes=[SHADOW], upstreams=upstreams) as gate:
            gate.upstreams["openai"].for_model("gpt-4o", status=400)
            assert (await answer_of(gate))[0] == 400
            await asyncio.sleep(0.2)
            assert asked(gate) == ["gpt-4o"]

    asyncio.run(run())


def test_a_share_of_the_calls_has_shadows_beside_whatever_route_they_take(tmp_path: Path) -> None:
    async def run() -> None:
        routes = [SMALLER, {**SHADOW, "to": "gpt-4.1", "share": 0.5}]
        async with gateway(tmp_path, "openai", quotas=USD, routes=routes) as gate:
            for n in range(20):
                await ask(gate, f"Question {n}")
            await until(lambda: 20 < len(asked(gate)) < 40)
            await asyncio.sleep(0.2)
            assert asked(gate).count("gpt-4o-mini") == 20
            assert 3 <= asked(gate).count("gpt-4.1") <= 17

    asyncio.run(run())


def test_shadows_under_way_end_before_the_gateway_does_and_are_settled(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, routes=[SHADOW]) as gate:
            gate.upstreams["openai"].for_model("gpt-4o-mini", start_s=0.4)
            await answer_of(gate)
            await until(lambda: len(asked(gate)) == 2)
            folder, running = gate, gate.running
            del running
        assert [event["settled"] for event in folder.events()] == ["usage", "usage"]

    asyncio.run(run())


def test_no_more_shadows_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from outlay.gateway.rules import shadows as module
    from outlay.gateway.rules.shadows import Shadows

    monkeypatch.setattr(module, "Shadows", lambda sender, meters: Shadows(sender, meters, most=2, most_bytes=10_000))

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, routes=[SHADOW]) as gate:
            gate.upstreams["openai"].for_model("gpt-4o-mini", start_s=0.5)
            await answer_of(gate, messages=[{"role": "user", "content": "x" * 20_000}])
            for _ in range(3):
                await answer_of(gate)
            await until(lambda: asked(gate).count("gpt-4o-mini") == 2)
            assert await metric(gate, 'outlay_gateway_routed_total{outcome="shadow_dropped",rule="trial"}') == 2

    asyncio.run(run())
