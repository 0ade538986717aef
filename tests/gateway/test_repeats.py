"""Answers that are given again: to the same question alone, for nothing, and told with what they saved."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlay.gateway.callers import Caller
from outlay.operate.quotas.limit import whole
from tests.gateway.harness import KEY, TAGS, Harness, gateway
from tests.gateway.test_rules import SMALLER, USD, asked, metric

CACHE: dict[str, Any] = {"seconds": 60}
QUESTION: dict[str, Any] = {"messages": [{"role": "user", "content": "Where is Oslo?"}], "temperature": 0}


async def post(gate: Harness, path: str = "chat/completions", key: str = KEY, **body: Any) -> tuple[int, Any, bytes]:
    headers = {"authorization": f"Bearer {key}", **body.pop("headers", {})}
    async with aiohttp.ClientSession() as session:
        said = {"model": "gpt-4o", **body}
        async with session.post(f"{gate.url}/v1/{path}", json=said, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()


def test_the_same_question_is_answered_once_and_repeated_for_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, cache=CACHE) as gate:
            first = await post(gate, **QUESTION)
            again = await post(gate, **QUESTION)
            assert (first[0], first[2]) == (again[0], again[2])
            assert len(asked(gate)) == 1
            assert "x-outlay-cache" not in first[1]
            assert (again[1]["x-outlay-cache"], again[1]["x-outlay-cost"]) == ("hit", "0 USD")
            assert again[1]["content-type"] == first[1]["content-type"]
            made, repeated = await gate.told(2)
            assert again[1]["x-outlay-request-id"] == repeated["id"] != made["id"]
            assert "cache" not in made
            assert repeated["cache"] == {"saved": made["cost"], "of": made["id"]}
            assert (repeated["settled"], repeated["cost"], repeated["status"]) == ("none", "0", 200)
            assert repeated["answered_model"] == made["answered_model"]
            assert await gate.standing("usd") == (whole(Decimal(made["cost"])), 0)
            assert await metric(gate, 'outlay_gateway_cache_total{outcome="hit"}') == 1
            assert await metric(gate, 'outlay_gateway_cache_total{outcome="miss"}') == 1
            saved = await metric(gate, 'outlay_gateway_cache_saved_total{currency="USD"}')
            assert saved == pytest.approx(float(made["cost"]))

    asyncio.run(run())


@pytest.mark.parametrize("other", [{"max_tokens": 99}, {"model": "gpt-4.1"}, {"seed": 1}, {"user": "u"}])
def test_another_question_is_another(tmp_path: Path, other: dict[str, Any]) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", cache=CACHE) as gate:
            await post(gate, **QUESTION)
            await post(gate, **{**QUESTION, **other})
            assert len(asked(gate)) == 2

    asyncio.run(run())


UNFIT: list[dict[str, Any]] = [
    {"temperature": 0.2},
    {"temperature": None},
    {"stream": True},
    {"store": True},
    {"tools": [{"type": "web_search"}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}]},
]


@pytest.mark.parametrize("more", UNFIT)
def test_what_may_be_answered_otherwise_is_not_repeated(tmp_path: Path, more: dict[str, Any]) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "compatible", cache=CACHE) as gate:
            for _ in range(2):
                assert (await post(gate, **{**QUESTION, **more}))[0] == 200
            assert len(asked(gate, "compatible")) == 2

    asyncio.run(run())


def test_other_apis_repeat_what_they_can(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", cache=CACHE) as gate:
            for _ in range(2):
                assert (await post(gate, "embeddings", model="text-embedding-3-small", input="Oslo"))[0] == 200
                assert (await post(gate, "responses", input="Oslo", temperature=0))[0] == 200
                assert (await post(gate, "responses", input="Oslo", temperature=0, store=False))[0] == 200
            paths = [one.path.rpartition("/")[2] for one in gate.upstreams["openai"].log.entries]
            assert sorted(paths) == ["embeddings", "responses", "responses", "responses"]

    asyncio.run(run())


def test_drawn_answers_are_repeated_where_the_settings_say_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", cache={**CACHE, "any_temperature": True}) as gate:
            for _ in range(2):
                await post(gate, **{**QUESTION, "temperature": 0.7})
            assert len(asked(gate)) == 1

    asyncio.run(run())


@pytest.mark.parametrize(("scope", "calls"), [("key", 3), ("team", 2)])
def test_nobody_gets_an_answer_of_others(tmp_path: Path, scope: str, calls: int) -> None:
    async def run() -> None:
        callers = {
            KEY: Caller("key-1", TAGS),
            "olk-2": Caller("key-2", TAGS),
            "olk-3": Caller("key-3", {**TAGS, "team": "legal"}),
        }
        async with gateway(tmp_path, "openai", cache={**CACHE, "scope": scope}, callers=callers) as gate:
            for key in callers:
                await post(gate, key=key, **QUESTION)
            assert len(asked(gate)) == calls

    asyncio.run(run())


def test_whoever_has_no_team_shares_with_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        callers = {KEY: Caller("key-1", {})}
        more: dict[str, Any] = {"cache": {**CACHE, "scope": "team"}, "callers": callers, "required_tags": ()}
        async with gateway(tmp_path, "openai", **more) as gate:
            for _ in range(2):
                assert (await post(gate, **QUESTION))[0] == 200
            assert len(asked(gate)) == 2

    asyncio.run(run())


@pytest.mark.parametrize("script", [{"status": 400}, {"usage": False}, {"garbage": True}])
def test_only_good_answers_of_a_known_cost_are_kept(tmp_path: Path, script: dict[str, Any]) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=USD, cache=CACHE, upstreams={"openai": {"retries": 0}}) as gate:
            gate.upstreams["openai"].next(**script)
            for _ in range(3):
                await post(gate, **QUESTION)
            assert len(asked(gate)) == 2

    asyncio.run(run())


def test_quotas_of_requests_and_stops_hold_for_repeated_answers(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = [{"id": "rate", "limit": "2 requests/day"}]
        async with gateway(tmp_path, "openai", quotas=quotas, cache=CACHE) as gate:
            assert [(await post(gate, **QUESTION))[0] for _ in range(3)] == [200, 200, 429]
            assert (await gate.standing("rate")) == (2, 0)
        (tmp_path / "two").mkdir()
        async with gateway(tmp_path / "two", "openai", cache=CACHE) as gate:
            assert (await post(gate, **QUESTION))[0] == 200
            stop = {"id": "stop", "scope": {"team": "search"}, "why": "Enough."}
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://{gate.running.at.admin}/stops", json=stop) as answer,
            ):
                assert answer.status in (200, 201)
            assert (await post(gate, **QUESTION))[0] == 403

    asyncio.run(run())


def test_a_full_budget_has_room_for_what_costs_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = [{"id": "tokens", "limit": "2200 tokens/day"}]
        async with gateway(tmp_path, "openai", quotas=quotas, cache=CACHE) as gate:
            question = {**QUESTION, "max_tokens": 950}
            gate.upstreams["openai"].for_model("gpt-4o", output=900)
            assert [(await post(gate, **question))[0] for _ in range(2)] == [200, 200]
            assert (await post(gate, **{**question, "seed": 2}))[0] == 429

    asyncio.run(run())


def test_answers_end_and_the_memory_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from outlay.gateway import repeats
    from outlay.gateway import run as module

    now = [module.clock()]
    monkeypatch.setattr(module, "clock", lambda: now[0])
    monkeypatch.setattr(repeats, "_ENTRY_BYTES", 100_000)  # ten answers to a MiB

    async def run() -> None:
        async with gateway(tmp_path, "openai", cache={**CACHE, "max_mib": 1}) as gate:
            await post(gate, **QUESTION)
            now[0] += 59_000
            await post(gate, **QUESTION)
            assert len(asked(gate)) == 1
            now[0] += 2_000
            await post(gate, **QUESTION)
            assert len(asked(gate)) == 2
            for seed in range(9):
                await post(gate, **QUESTION, seed=seed)
            await post(gate, **QUESTION)  # asked for again, so the last to go
            await post(gate, **QUESTION, seed=9)
            assert len(asked(gate)) == 12
            await post(gate, **QUESTION)
            await post(gate, **QUESTION, seed=9)
            assert len(asked(gate)) == 12
            await post(gate, **QUESTION, seed=0)
            assert len(asked(gate)) == 13

    asyncio.run(run())


def test_rules_decide_first_and_no_shadow_stands_beside_a_repeated_answer(tmp_path: Path) -> None:
    async def run() -> None:
        rules = [{**SMALLER, "scope": {"feature": "easy"}}, {"model": "gpt-4o", "to": "gpt-4.1", "mode": "shadow"}]
        async with gateway(tmp_path, "openai", cache=CACHE, routes=rules) as gate:
            easy: dict[str, Any] = {"headers": {"x-outlay-tags": "feature=easy"}}
            for _ in range(2):
                assert b'"gpt-4o"' in (await post(gate, **QUESTION))[2]
                status, headers, content = await post(gate, **QUESTION, **easy)
                assert (status, headers["x-outlay-route"]) == (200, "chat-small")
                assert b'"gpt-4o-mini"' in content
            events = await gate.told(6)
            await asyncio.sleep(0.1)
            assert sorted(filter(None, asked(gate))) == ["gpt-4.1", "gpt-4.1", "gpt-4o", "gpt-4o-mini"]
            assert sum("cache" in event for event in events) == 2
            assert not any("route" in event for event in events if "cache" in event)

    asyncio.run(run())
