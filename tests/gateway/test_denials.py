"""Denied calls are told by the minute: how many, of whom, and which budget turned them away; in bounded memory."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from outlay.gateway.denials import Denials
from outlay.operate.quotas.ask import Denied
from tests.gateway.harness import Harness, gateway
from tests.gateway.test_into_ledger import MESSAGES
from tests.receivers.server import asked

MINUTE = 60_000
OVER = Denied("limit", "no room", "search-day")


class Clock:
    def __init__(self) -> None:
        self.now = 100 * MINUTE

    def __call__(self) -> int:
        return self.now


def told(denials: Denials, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(event) for event in denials.told(**options)]


def test_a_minute_is_told_once_it_is_over_and_once() -> None:
    clock = Clock()
    denials = Denials("a 1", ("cost_center",), clock)
    attributes = {"team": "search", "model": "m", "key": "k", "cost_center": "7", "request": "unlike any other"}
    for _ in range(3):
        denials.add(OVER, attributes)
    denials.add(Denied("stopped", "a stop", "loop"), {"team": "ads"})
    clock.now += MINUTE - 1
    assert told(denials) == []
    clock.now += 1
    denials.add(OVER, attributes)
    alike = {"team": "search", "model": "m", "key": "k", "cost_center": "7"}
    of_minute: dict[str, Any] = {"v": 1, "kind": "denials", "gateway": "a 1", "minute": 100 * MINUTE}
    assert told(denials) == [
        {**of_minute, "quota": "search-day", "reason": "limit", "attributes": alike, "calls": 3},
        {**of_minute, "quota": "loop", "reason": "stopped", "attributes": {"team": "ads"}, "calls": 1},
    ]
    assert told(denials) == []
    assert [one["calls"] for one in told(denials, all=True)] == [1]


def test_kinds_beyond_a_thousand_a_minute_are_one_of_their_quota() -> None:
    clock = Clock()
    denials = Denials("a 1", (), clock)
    for number in range(5_000):
        denials.add(OVER, {"model": f"m{number}"})
    found = told(denials, all=True)
    assert len(found) == 1_001
    assert sum(one["calls"] for one in found) == 5_000
    assert [one["calls"] for one in found if not one["attributes"]] == [4_000]


def test_denied_calls_are_in_the_ledger_by_budget_and_team(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"

    async def denied(gate: Harness, kind: type[openai.APIError], **more: Any) -> None:
        with pytest.raises(kind):
            await gate.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **more)

    async def run() -> None:
        quotas = [{"id": "tiny", "limit": "0.00001 USD/day"}]
        async with gateway(tmp_path, "openai", quotas=quotas, ledger=ledger) as gate:
            for _ in range(3):
                await denied(gate, openai.RateLimitError, max_tokens=100)
            await denied(gate, openai.BadRequestError, max_tokens=100, tools=[{"type": "mcp"}])

    asyncio.run(run())
    columns = """sum("x_Requests"), "x_Tag_team", "Tags"['quota'], error_type, gen_ai_request_model"""
    found = asked(ledger, f"SELECT {columns} FROM requests GROUP BY ALL ORDER BY 1 DESC")
    alike = ("search", "tiny"), ("gpt-4o-mini",)
    assert found == [
        (3, *alike[0], "quota_denied", *alike[1]),
        (1, *alike[0], "unbounded_call", *alike[1]),
    ]
