"""A hammer of mixed clients that come, go and break off: no budget is passed, and the meter is the provider's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlay.operate.quotas.limit import whole
from tests.gateway.harness import KEY, Harness, gateway
from tests.gateway.test_calls import price
from tests.gateway.upstreams.log import Entry

LIMIT = Decimal("0.03")
QUOTAS: list[dict[str, Any]] = [
    {"id": "usd", "scope": {"team": "search"}, "limit": f"{LIMIT} USD/day"},
    {"id": "tokens", "limit": "60_000 tokens/day"},
    {"id": "rate", "scope": {"key": "*"}, "limit": "5000 requests/minute"},
]
TEXT = "Say something, whatever it is. " * 5


def _call(dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A path and a body; how the provider behaves is in the prompt."""
    script: dict[str, Any] = {
        "output": dice.choice([5, 20, 60]),
        "reasoning": dice.choice([0, 0, 15]),
        "hidden_input": dice.choice([0, 0, 300]),
    }
    stream = dice.random() < 0.6
    if dice.random() < 0.15:
        script |= {"drop": dice.choice(["before_headers", "mid_stream", "before_usage"])}
    elif dice.random() < 0.1:
        script |= {"usage": False}
    elif dice.random() < 0.1:
        script |= {"status": dice.choice([400, 500])}
    if stream:
        script |= {"chunk_s": dice.choice([0, 0.002])}
    text = TEXT + "{{upstream: " + str(script).replace("'", '"').replace("False", "false") + "}}"
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "stream": stream}
    if dice.random() < 0.3:
        script.pop("reasoning")
        return "/v1/messages", {**body, "model": "claude-sonnet-5", "max_tokens": dice.choice([40, 90])}
    if dice.random() < 0.5:
        body["max_completion_tokens"] = dice.choice([40, 90])
    return "/v1/chat/completions", {**body, "model": dice.choice(["gpt-4o-mini", "gpt-5-mini"])}


async def _client(gate: Harness, session: aiohttp.ClientSession, seed: int, calls: int) -> dict[int, int]:
    dice = random.Random(seed)
    statuses: dict[int, int] = {}
    for _ in range(calls):
        path, body = _call(dice)
        try:
            async with session.post(
                f"{gate.url}{path}", json=body, headers={"authorization": f"Bearer {KEY}"}
            ) as answer:
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
                if body["stream"] and dice.random() < 0.25:
                    await answer.content.readany()
                    answer.close()
                else:
                    await answer.read()
        except aiohttp.ClientError:
            statuses[0] = statuses.get(0, 0) + 1
    return statuses


async def _watch(gate: Harness, most: Mapping[str, int]) -> None:
    while True:
        for one in await gate.running.quotas.standings(_now()):
            if one.quota.id in most:
                assert one.spent + one.held <= most[one.quota.id], one
        await asyncio.sleep(0.001)


def _now() -> int:
    from outlay.gateway.run import clock

    return clock()


@pytest.mark.slow
@pytest.mark.parametrize(("clients", "calls"), [(1, 60), (8, 25), (64, 6), (256, 2)])
def test_no_budget_is_passed_and_the_meter_is_the_providers_own(tmp_path: Path, clients: int, calls: int) -> None:
    async def run() -> None:
        more: dict[str, dict[str, Any]] = {
            "openai": {"models": ["gpt-*"], "retries": 0},
            "anthropic": {"models": ["claude-*"], "retries": 0},
        }
        async with gateway(tmp_path, "openai", "anthropic", quotas=QUOTAS, upstreams=more) as gate:
            watch = asyncio.create_task(_watch(gate, {"usd": whole(LIMIT), "tokens": 60_000}))
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                found = await asyncio.gather(*(_client(gate, session, seed, calls) for seed in range(clients)))
            statuses: dict[int, int] = {}
            for one in found:
                for status, number in one.items():
                    statuses[status] = statuses.get(status, 0) + number
            assert statuses.get(200, 0) > 10
            entries = [one for name in gate.upstreams for one in gate.upstreams[name].log.entries]
            events = await gate.told(len(entries))
            assert not watch.done(), watch.exception()
            watch.cancel()
            _compare(entries, events)
            spent, held = await gate.standing("usd")
            costs = sum((Decimal(event["cost"]) for event in events if event["cost"]), Decimal(0))
            assert (spent, held) == (whole(costs), 0)
            billed = sum(price(_provider(one), one.model or "", one.billed) for one in entries if one.worked)
            assert billed <= costs <= LIMIT
            assert (await gate.standing("tokens"))[1] == 0

    asyncio.run(run())


def _compare(entries: list[Entry], events: list[dict[str, Any]]) -> None:
    """Calls that were settled by the provider's usage have that usage, all of it; the rest is marked."""
    assert len(events) == len(entries), "a call went out of which nothing was told, or the other way round"
    assert len({event["id"] for event in events}) == len(events)
    by_usage = [event for event in events if event["settled"] == "usage"]
    told = [one for one in entries if one.told_usage and one.worked and one.status == 200 and one.dropped is None]
    assert sorted((e["usage"]["input"], e["usage"]["output"]) for e in by_usage) == sorted(
        (one.billed.all_input, one.billed.output) for one in told
    )
    assert {event["settled"] for event in events} <= {"usage", "bound", "received", "none"}


def _provider(entry: Entry) -> str:
    return "anthropic" if (entry.model or "").startswith("claude") else "openai"
