"""The real process under load, killed at any instant and started again; and how it ends when it is told to."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateway.real import RealGateway
from tests.gateway.test_calls import price
from tests.gateway.test_never_over import _call as some_call
from tests.gateway.test_never_over import _provider as provider_of
from tests.gateway.upstreams.process import Remote, in_process
from tests.receivers.server import asked

LIMIT = Decimal("0.5")
QUOTAS = [{"id": "usd", "limit": f"{LIMIT} USD/30 days"}, {"id": "tokens", "limit": "900k tokens/30 days"}]
KILLS = 3


@pytest.fixture
def upstreams() -> Iterator[dict[str, Remote]]:
    with in_process("openai") as openai, in_process("anthropic") as anthropic:
        yield {"openai": openai, "anthropic": anthropic}


async def client(gate: RealGateway, seed: int) -> None:
    """Calls of all kinds, one after another, until the gateway is gone."""
    dice = random.Random(seed)
    headers = {"authorization": f"Bearer {gate.key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            path, body = some_call(dice)
            try:
                async with session.post(f"{gate.url}{path}", json=body) as answer:
                    if body["stream"] and dice.random() < 0.25:
                        await answer.content.readany()
                        answer.close()
                    else:
                        await answer.read()
            except aiohttp.ClientConnectorError:
                return
            except aiohttp.ClientError:
                continue


async def under_load(gate: RealGateway, seed: int, seconds: float) -> None:
    clients = [asyncio.create_task(client(gate, seed * 100 + number)) for number in range(8)]
    await asyncio.sleep(seconds)
    await asyncio.to_thread(gate.kill)
    await asyncio.gather(*clients)


@pytest.mark.slow
def test_killed_at_any_instant_it_loses_no_spend_leaks_no_hold_and_tells_each_call_once(
    tmp_path: Path, upstreams: dict[str, Remote]
) -> None:
    gate = RealGateway(tmp_path, upstreams, QUOTAS)
    dice = random.Random(7)
    for number in range(KILLS):
        gate.start()
        asyncio.run(under_load(gate, number, dice.uniform(0.4, 1.4)))
    entries = [one for upstream in upstreams.values() for one in upstream.settled() if one.path != "/_log"]
    billed = sum((price(provider_of(one), one.model or "", one.billed) for one in entries if one.worked), Decimal(0))
    assert len(entries) > 10

    gate.start()
    (usd,) = [one for one in gate.asked("/quotas")["quotas"] if one["id"] == "usd"]
    holds = gate.outlay("quotas", "holds", config="asked.toml")["holds"]
    spent, held = Decimal(usd["spent"]), Decimal(usd["held"])
    assert held == sum(Decimal(one["bound"]["USD"]) for one in holds) > 0
    assert {one["state"] for one in holds} == {"left"}
    assert billed <= spent + held <= LIMIT, "what providers billed is counted, and no more than was allowed"

    settled = gate.outlay(
        *("quotas", "settle", holds[0]["id"], "--cost", "0.000001", "--input", "3", "--output", "1"),
        config="asked.toml",
    )
    assert settled["settled"] == {"requests": "1", "tokens": "4", "USD": "0.000001"}
    gate.stop()

    rows = asked(tmp_path / "ledger", 'SELECT "x_RowId", "x_ReportedCost", "x_Remarks" FROM requests')
    assert len({id for id, _, _ in rows}) == len(rows)
    assert not {one["id"] for one in holds[1:]} & {id for id, _, _ in rows}, "what is held is not told yet"
    assert [remarks for id, _, remarks in rows if id == holds[0]["id"]] == ["settled-by-report"]
    told = sum((Decimal(str(cost)) for _, cost, _ in rows if cost is not None), Decimal(0))
    assert told == spent + Decimal("0.000001"), "the ledger has what the quotas count, to the last digit"
    assert len(rows) - 1 <= len(entries) <= len(rows) - 1 + len(holds), "no call without an event or a hold"
    assert gate.events() == []


@pytest.mark.parametrize("signals", [1, 2])
def test_told_to_stop_it_answers_what_is_under_way_and_told_twice_it_cuts_it(
    tmp_path: Path, upstreams: dict[str, Remote], signals: int
) -> None:
    gate = RealGateway(tmp_path, upstreams, QUOTAS)
    body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    upstreams["openai"].next(output=60, chunk_s=0.05)
    gate.start()

    async def run() -> tuple[bytes, float, str]:
        headers = {"authorization": f"Bearer {gate.key}"}
        sent = {**body, "max_tokens": 80}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{gate.url}/v1/chat/completions", json=sent) as answer,
        ):
            found = await answer.content.readany()
            began = time.monotonic()
            ended = asyncio.create_task(asyncio.to_thread(gate.stop))
            if signals == 2:
                await asyncio.sleep(0.5)
                assert gate.process is not None
                gate.process.terminate()
            try:
                found += await answer.content.read()
            except aiohttp.ClientError:
                found += b" cut"
            took = time.monotonic() - began
        return found, took, await ended

    found, took, said = asyncio.run(run())
    assert "Traceback" not in said, said
    ((cost, remarks),) = asked(tmp_path / "ledger", 'SELECT "x_ReportedCost", "x_Remarks" FROM requests')
    assert cost > 0
    if signals == 1:
        assert found.endswith(b"data: [DONE]\n\n")
        assert remarks is None
    else:
        assert took < 2
        assert b"[DONE]" not in found
        assert "billed-at-bound" in remarks
