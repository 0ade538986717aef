"""A hammer of mixed clients while rules route, cascade and shadow: no budget is passed, each try is settled once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlay.operate.quotas.limit import whole
from tests.gateway.harness import Harness, gateway
from tests.gateway.test_calls import price
from tests.gateway.test_never_over import LIMIT, QUOTAS, _client, _compare, _provider, _watch

RULES: list[dict[str, Any]] = [
    {"id": "half", "model": "gpt-4o-mini", "to": "gpt-4.1-nano", "share": 0.5},
    {"id": "cascade", "model": "gpt-5-mini", "to": "gpt-4.1-nano", "mode": "cascade"},
    {"id": "claude", "model": "claude-sonnet-5", "to": "claude-haiku-4-5", "longest_prompt": 400},
    {"id": "trial", "model": "gpt-*", "to": "gpt-4.1-mini", "mode": "shadow", "share": 0.3},
]
MORE: dict[str, dict[str, Any]] = {
    "openai": {"models": ["gpt-*"], "retries": 0},
    "anthropic": {"models": ["claude-*"], "retries": 0},
}


async def _quiet(gate: Harness) -> list[dict[str, Any]]:
    """The events, once every call that a provider saw is told of and nothing is held."""
    for _ in range(1000):
        seen = sum(len(one.log.entries) for one in gate.upstreams.values())
        if len(gate.events()) == seen and (await gate.standing("usd"))[1] == 0:
            return gate.events()
        await asyncio.sleep(0.02)
    raise AssertionError("calls were not settled")


@pytest.mark.slow
@pytest.mark.parametrize(("clients", "calls"), [(1, 60), (8, 25), (64, 6), (256, 2)])
def test_no_budget_is_passed_by_rules(tmp_path: Path, clients: int, calls: int) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", "anthropic", quotas=QUOTAS, upstreams=MORE, routes=RULES) as gate:
            watch = asyncio.create_task(_watch(gate, {"usd": whole(LIMIT), "tokens": 60_000}))
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                await asyncio.gather(*(_client(gate, session, seed, calls) for seed in range(clients)))
            events = await _quiet(gate)
            assert not watch.done(), watch.exception()
            watch.cancel()
            entries = [one for name in gate.upstreams for one in gate.upstreams[name].log.entries]
            _compare(entries, events)
            outcomes = {event["route"]["outcome"] for event in events if "route" in event}
            assert outcomes >= {"routed", "failed", "shadow"}
            costs = sum((Decimal(event["cost"]) for event in events if event["cost"]), Decimal(0))
            assert await gate.standing("usd") == (whole(costs), 0)
            billed = sum(price(_provider(one), one.model or "", one.billed) for one in entries if one.worked)
            assert billed <= costs <= LIMIT
            assert (await gate.standing("tokens"))[1] == 0

    asyncio.run(run())
