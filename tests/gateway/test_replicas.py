"""Several gateways that share one Redis: one budget, whoever is asked, and what happens when Redis is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from outlay.operate.quotas.limit import whole
from tests.gateway.harness import KEY, Harness, gateway
from tests.gateway.test_calls import price
from tests.operate.quotas.redis_server import RedisServer

LIMIT = Decimal("0.01")
QUOTAS = [{"id": "usd", "scope": {"team": "search"}, "limit": f"{LIMIT} USD/day"}]
MESSAGES: Any = [{"role": "user", "content": "Tell me about Oslo."}]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


async def _hammer(gate: Harness, seed: int, calls: int) -> int:
    dice = random.Random(seed)
    answered = 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for _ in range(calls):
            body: dict[str, Any] = {
                "model": "gpt-4o-mini",
                "messages": MESSAGES,
                "max_tokens": dice.choice([50, 400]),
                "stream": dice.random() < 0.5,
            }
            url, headers = f"{gate.url}/v1/chat/completions", {"authorization": f"Bearer {KEY}"}
            async with session.post(url, json=body, headers=headers) as answer:
                await answer.read()
                answered += answer.status == 200
    return answered


@pytest.mark.slow
def test_three_gateways_pass_no_budget_together(tmp_path: Path, redis: RedisServer) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            gates = [
                await stack.enter_async_context(
                    gateway(tmp_path / str(number), "openai", quotas=QUOTAS, state=redis.url)
                )
                for number in range(3)
            ]
            answered = await asyncio.gather(*(_hammer(gates[n % 3], n, 12) for n in range(30)))
            assert 0 < sum(answered) < 360, "some were denied, and some were not"
            entries = [one for gate in gates for one in gate.upstreams["openai"].log.entries]
            for gate in gates:
                await gate.told(len(gate.upstreams["openai"].log.entries))
            events = [event for gate in gates for event in gate.events()]
            assert len(events) == len(entries) == sum(answered)
            costs = sum((Decimal(event["cost"]) for event in events), Decimal(0))
            billed = sum((price("openai", one.model or "", one.billed) for one in entries), Decimal(0))
            assert costs == billed <= LIMIT
            for _ in range(200):
                if await gates[0].standing("usd") == (whole(costs), 0):
                    break
                await asyncio.sleep(0.02)
            assert await gates[0].standing("usd") == await gates[2].standing("usd") == (whole(costs), 0)

    asyncio.run(run())


def test_while_redis_is_away_calls_are_refused_or_let_through_unheld(tmp_path: Path, redis: RedisServer) -> None:
    async def run() -> None:
        async with (
            gateway(tmp_path / "closed", "openai", quotas=QUOTAS, state=redis.url) as closed,
            gateway(tmp_path / "open", "openai", quotas=QUOTAS, state=redis.url, on_unavailable="open") as let,
        ):
            await closed.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=50)
            redis.kill()
            with pytest.raises(openai.InternalServerError, match="not sent"):
                await closed.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=50)
            await let.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=50)
            (event,) = await let.told(1)
            assert event["settled"] == "usage"
            async with aiohttp.ClientSession() as session, session.get(f"{closed.url}/healthz") as answer:
                assert answer.status == 503
            async with aiohttp.ClientSession(f"http://{closed.running.at.admin}") as admin:
                async with admin.get("/metrics") as answer:
                    assert answer.status == 200
                    assert "outlay_gateway_healthy 0.0" in await answer.text()
                for path in ("/quotas", "/holds"):
                    async with admin.get(path) as answer:
                        assert answer.status == 503
                        assert (await answer.json())["error"]
                async with admin.post("/stops", json={"id": "a", "scope": {"team": "x"}}) as answer:
                    assert answer.status == 503
            redis.start()
            for _ in range(200):
                try:
                    await closed.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=50)
                    break
                except openai.InternalServerError:
                    await asyncio.sleep(0.05)
            assert len(closed.upstreams["openai"].log.entries) == 2

    asyncio.run(run())
