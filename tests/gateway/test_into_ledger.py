"""What goes through the gateway is in the ledger by itself: each call once, at the cost that the gateway settled."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
from click.testing import CliRunner

from outlay.cli.query import command
from tests.gateway.harness import Harness, gateway
from tests.receivers.server import asked

MESSAGES: Any = [{"role": "user", "content": "Tell me about Oslo."}]
QUOTAS = [{"id": "usd", "limit": "50 USD/day"}]
COUNTED = """CAST("x_Cost" AS VARCHAR), "x_CostEstimated", "x_Succeeded", coalesce("x_Remarks", ''),
    gen_ai_usage_input_tokens, gen_ai_usage_output_tokens"""


async def calls(gate: Harness) -> None:
    """One of each: whole, streamed, cached, of another API; an error; a stream that dies; an answer without usage."""
    client, claude = gate.openai(), gate.anthropic()

    async def chat(**more: Any) -> Any:
        return await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=100, **more)

    await chat()
    gate.upstreams["openai"].next(cache_read=5, reasoning=7)
    async for _ in await chat(stream=True):
        pass
    await claude.messages.create(model="claude-sonnet-5", max_tokens=100, messages=MESSAGES)
    gate.upstreams["openai"].next(drop="mid_stream")
    try:
        async for _ in await chat(stream=True):
            pass
    except openai.APIError:
        pass
    gate.upstreams["openai"].next(usage=False)
    await chat()


def test_calls_are_in_the_ledger_once_the_gateway_has_ended(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    ledger = tmp_path / "ledger"

    async def run() -> None:
        upstreams: Any = {"openai": {"retries": 0, "models": ["gpt*"]}, "anthropic": {"models": ["claude*"]}}
        async with gateway(tmp_path, "openai", "anthropic", quotas=QUOTAS, upstreams=upstreams, ledger=ledger) as gate:
            await calls(gate)
            told.extend(await gate.told(5))

    asyncio.run(run())
    assert list((tmp_path / "spool").glob("*.open")) == list((tmp_path / "spool").glob("*.sealed")) == []
    found = {row[0]: row[1:] for row in asked(ledger, f'SELECT "x_RowId", {COUNTED} FROM requests')}
    assert found.keys() == {event["id"] for event in told}
    for event in told:
        cost, estimated, succeeded, remarks, input_tokens, output_tokens = found[event["id"]]
        if event["settled"] == "usage":
            assert (Decimal(cost), estimated, succeeded, remarks) == (Decimal(event["cost"]), False, 1, "")
            assert (input_tokens, output_tokens) == (event["usage"]["input"], event["usage"]["output"])
        else:
            assert event["settled"] == "bound"
            assert (input_tokens, output_tokens) == (event["bound"]["input"], event["bound"]["output"])
            assert 0 < Decimal(cost) <= Decimal(event["cost"])
            assert estimated
    by_end = [(found[event["id"]][2], found[event["id"]][3]) for event in told]
    assert by_end == [(1, "")] * 3 + [(0, "billed-at-bound"), (1, "billed-at-bound;usage-not-told")]


def test_what_rules_saved_is_in_the_ledger_to_the_last_digit(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    ledger = tmp_path / "ledger"
    routes: Any = [
        {"id": "cascade", "scope": {"use_case": "chat"}, "model": "gpt-4o", "to": "gpt-4o-mini", "mode": "cascade"},
        {"id": "trial", "model": "gpt-4o", "to": "gpt-4.1", "mode": "shadow"},
    ]

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, routes=routes, ledger=ledger) as gate:
            for most in (100, 5):  # the second is cut off, and goes on to the model that was asked for
                await gate.openai().chat.completions.create(model="gpt-4o", messages=MESSAGES, max_tokens=most)
            told.extend(await gate.told(5))

    asyncio.run(run())
    saved = sum(Decimal(event["route"]["saved"] or 0) for event in told)
    query = [
        "query",
        "route_saved,requests,usage_rows",
        "--by",
        "route,route_outcome",
        "--json",
        "--ledger",
        str(ledger),
    ]
    said = CliRunner().invoke(command, query[1:])
    assert said.exit_code == 0, said.output
    found = {(row["route"], row["route_outcome"]): row for row in json.loads(said.stdout)["rows"]}
    assert {place: (int(row["requests"]), int(row["usage_rows"])) for place, row in found.items()} == {
        ("cascade", "routed"): (1, 1),
        ("cascade", "failed"): (1, 1),
        ("cascade", "fell_back"): (1, 1),
        ("trial", "shadow"): (0, 2),
    }
    assert sum(Decimal(row["route_saved"]) for row in found.values() if row["route_saved"] is not None) == saved
    assert {row["reported_currency"] for row in found.values()} == {"USD"}


def test_an_answer_given_again_is_in_the_ledger_for_nothing(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    ledger = tmp_path / "ledger"

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, cache={}, ledger=ledger) as gate:
            for _ in range(2):
                await gate.openai().chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0)
            told.extend(await gate.told(2))

    asyncio.run(run())
    columns = '"x_Requests", "x_Succeeded", CAST("x_Cost" AS VARCHAR), CAST("x_CacheSaved" AS VARCHAR), "x_Remarks"'
    first, again = asked(ledger, f"SELECT {columns} FROM requests ORDER BY start_time")
    assert (first[:2], first[3:]) == (again[:2], (None, None)) == ((1, 1), (None, None))
    assert (Decimal(first[2]), Decimal(again[2])) == (Decimal(told[0]["cost"]), Decimal(0))
    assert Decimal(again[3]) == Decimal(told[0]["cost"])
    assert again[4] == "gateway-cache"
