"""Calls that rules send elsewhere: which go, what they save, and that none fails that would have worked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from outlay.gateway.callers import Caller
from outlay.money import plain
from tests.gateway.harness import KEY, TAGS, Harness, gateway
from tests.gateway.test_calls import price

USD = [{"id": "usd", "limit": "50 USD/day"}]
TEXT = "Tell me about the weather in Oslo."
Routes = list[dict[str, Any]]
SMALLER: dict[str, Any] = {
    "id": "chat-small",
    "scope": {"use_case": "chat"},
    "model": ["gpt-4o", "gpt-4.1*"],
    "to": "gpt-4o-mini",
}


async def ask(gate: Harness, text: str = TEXT, *, model: str = "gpt-4o", **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return await gate.openai().chat.completions.create(**{"model": model, "messages": messages, **more})


async def answer_of(gate: Harness, headers: Mapping[str, str] | None = None, **more: Any) -> tuple[int, Any, Any]:
    """Status, headers and body of a call as it comes over the wire."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": TEXT}], **more}
    async with aiohttp.ClientSession() as session:
        said = {"authorization": f"Bearer {KEY}", **(headers or {})}
        async with session.post(f"{gate.url}/v1/chat/completions", json=body, headers=said) as answer:
            return answer.status, answer.headers, await answer.json()


def asked(gate: Harness, name: str = "openai") -> list[str | None]:
    """The models that the provider was asked for."""
    return [one.model for one in gate.upstreams[name].log.entries]


async def metric(gate: Harness, line: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"http://{gate.running.at.admin}/metrics") as answer:
        text = await answer.text()
    return float(next((one.rpartition(" ")[2] for one in text.splitlines() if one.startswith(line)), "0"))


def test_a_call_goes_to_the_rules_model_at_its_price_and_what_that_saved_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = [{"id": "usd", "limit": "0.01 USD/day"}]  # room for 300 tokens of the small model alone
        async with gateway(tmp_path, "openai", quotas=quotas, routes=[SMALLER]) as gate:
            status, headers, body = await answer_of(gate, max_tokens=3000)
            assert (status, body["model"], headers["x-outlay-route"]) == (200, "gpt-4o-mini", "chat-small")
            (event,) = await gate.told(1)
            (entry,) = gate.upstreams["openai"].log.entries
            cost, other = price("openai", "gpt-4o-mini", entry.billed), price("openai", "gpt-4o", entry.billed)
            assert (event["model"], event["sent_model"], event["attributes"]["model"]) == (
                "gpt-4o",
                "gpt-4o-mini",
                "gpt-4o-mini",
            )
            assert event["cost"] == plain(cost)
            assert event["route"] == {
                "rule": "chat-small",
                "kind": "always",
                "from": "gpt-4o",
                "to": "gpt-4o-mini",
                "outcome": "routed",
                "why": None,
                "saved": plain(other - cost),
                "basis": "asked_price",
                "shadow_of": None,
            }
            assert await metric(gate, 'outlay_gateway_routed_total{outcome="routed",rule="chat-small"}') == 1
            saved = await metric(gate, 'outlay_gateway_route_saved{currency="USD",rule="chat-small"}')
            assert saved == pytest.approx(float(other - cost))

    asyncio.run(run())


def test_calls_of_another_scope_model_or_kind_are_left_alone(tmp_path: Path) -> None:
    async def run() -> None:
        callers = {KEY: Caller("key-1", TAGS), "olk-other": Caller("key-2", {**TAGS, "use_case": "legal"})}
        async with gateway(tmp_path, "openai", quotas=USD, routes=[SMALLER], callers=callers) as gate:
            await gate.openai("olk-other").chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": TEXT}]
            )
            await ask(gate, model="gpt-5-mini")
            await ask(gate, model="gpt-4o-mini")
            await gate.openai().embeddings.create(model="text-embedding-3-small", input="Oslo")
            events = await gate.told(4)
            assert asked(gate) == ["gpt-4o", "gpt-5-mini", "gpt-4o-mini", "text-embedding-3-small"]
            assert not any("route" in event for event in events)
            await ask(gate, model="gpt-4.1-nano")
            assert asked(gate)[-1] == "gpt-4o-mini"

    asyncio.run(run())


def test_streams_and_other_apis_are_routed_as_well(tmp_path: Path) -> None:
    async def run() -> None:
        rules: Routes = [SMALLER, {"model": "claude-opus-4-5", "to": "claude-haiku-4-5"}]
        upstreams = {"openai": {"models": ["gpt-*"]}, "anthropic": {"models": ["claude-*"]}}
        async with gateway(tmp_path, "openai", "anthropic", quotas=USD, routes=rules, upstreams=upstreams) as gate:
            assert [chunk async for chunk in await ask(gate, stream=True)]
            assert (await gate.openai().responses.create(model="gpt-4o", input=TEXT)).model == "gpt-4o-mini"
            client = gate.anthropic()
            messages: Any = [{"role": "user", "content": TEXT}]
            said = await client.messages.create(model="claude-opus-4-5", max_tokens=50, messages=messages)
            assert said.model == "claude-haiku-4-5"
            async with client.messages.stream(model="claude-opus-4-5", max_tokens=50, messages=messages) as stream:
                assert (await stream.get_final_message()).model == "claude-haiku-4-5"
            events = await gate.told(4)
            assert asked(gate) == ["gpt-4o-mini", "gpt-4o-mini"]
            assert [event["settled"] for event in events] == ["usage"] * 4
            assert all(Decimal(event["route"]["saved"]) > 0 for event in events)
            assert events[2]["route"]["rule"] == "claude-opus-4-5 -> claude-haiku-4-5"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("caller", "rules", "outcome"),
    [
        (Caller("key-1", TAGS, models=("gpt-4o",)), [SMALLER], "not_allowed"),
        (Caller("key-1", TAGS, upstreams=("openai",)), [{**SMALLER, "to": "claude-haiku-4-5"}], "not_served"),
        (Caller("key-1", TAGS), [{**SMALLER, "longest_prompt": 10}], "too_long"),
        (Caller("key-1", TAGS), [{**SMALLER, "longest_prompt": 10, "share": 0.000001}], "outside_share"),
    ],
)
def test_a_call_that_does_not_go_says_why(tmp_path: Path, caller: Caller, rules: Routes, outcome: str) -> None:
    async def run() -> None:
        upstreams = {"openai": {"models": ["gpt-*"]}, "anthropic": {"models": ["claude-*"]}}
        more: dict[str, Any] = {"upstreams": upstreams, "callers": {KEY: caller}, "routes": rules}
        async with gateway(tmp_path, "openai", "anthropic", quotas=USD, **more) as gate:
            await ask(gate)
            (event,) = await gate.told(1)
            assert asked(gate) == ["gpt-4o"]
            told = event["route"]
            assert (told["outcome"], told["saved"], told["to"]) == (outcome, None, rules[0]["to"])
            assert await metric(gate, f'outlay_gateway_routed_total{{outcome="{outcome}",rule="chat-small"}}') == 1

    asyncio.run(run())


def test_short_prompts_go_and_the_first_rule_that_holds_counts(tmp_path: Path) -> None:
    async def run() -> None:
        rules: Routes = [{**SMALLER, "longest_prompt": 40}, {"id": "rest", "model": "gpt-4o", "to": "gpt-4.1"}]
        async with gateway(tmp_path, "openai", quotas=USD, routes=rules) as gate:
            await ask(gate, "Short.")
            await ask(gate, "Long. " * 20)
            first, second = await gate.told(2)
            assert (first["route"]["kind"], first["sent_model"]) == ("length", "gpt-4o-mini")
            assert (second["route"]["rule"], second["sent_model"]) == ("rest", "gpt-4.1")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("script", "why"),
    [({"status": 400}, "http 400"), ({"status": 500}, "http 500"), ({"drop": "before_headers"}, "openai broke off")],
)
def test_what_the_other_models_provider_refuses_goes_to_the_model_that_was_asked_for(
    tmp_path: Path, script: dict[str, Any], why: str
) -> None:
    async def run() -> None:
        upstreams = {"openai": {"retries": 0}}
        async with gateway(tmp_path, "openai", quotas=USD, routes=[SMALLER], upstreams=upstreams) as gate:
            gate.upstreams["openai"].for_model("gpt-4o-mini", **script)
            status, headers, body = await answer_of(gate, max_tokens=100)
            assert (status, body["model"]) == (200, "gpt-4o")
            assert "x-outlay-route" not in headers
            failed, answered = await gate.told(2)
            assert asked(gate) == ["gpt-4o-mini", "gpt-4o"]
            assert (failed["route"]["outcome"], answered["route"]["outcome"]) == ("failed", "fell_back")
            assert why in failed["route"]["why"]
            assert failed["route"]["why"] == answered["route"]["why"]
            lost = failed["route"]["saved"]
            assert lost == (None if failed["cost"] is None else plain(-Decimal(failed["cost"])))
            assert (failed["cost"] is not None) == ("drop" in script)
            assert answered["route"]["saved"] is None
            assert (await gate.standing("usd"))[1] == 0

    asyncio.run(run())


def test_a_quota_of_the_other_model_denies_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        quotas: Routes = [*USD, {"id": "mini", "scope": {"model": "gpt-4o-mini"}, "limit": "1 requests/day"}]
        async with gateway(tmp_path, "openai", quotas=quotas, routes=[SMALLER]) as gate:
            for n in range(3):
                assert (await answer_of(gate, messages=[{"role": "user", "content": f"Call {n}"}]))[0] == 200
            assert asked(gate) == ["gpt-4o-mini", "gpt-4o", "gpt-4o"]
            events = await gate.told(3)
            assert [one["route"]["outcome"] for one in events] == ["routed", "fell_back", "fell_back"]
            assert events[1]["route"]["why"] == "quota_exceeded"
            assert (await gate.standing("mini"))[0] == 1

    asyncio.run(run())


def test_a_call_that_no_quota_has_room_for_is_denied_all_the_same(tmp_path: Path) -> None:
    async def run() -> None:
        quotas = [{"id": "usd", "limit": "0.000001 USD/day"}]
        async with gateway(tmp_path, "openai", quotas=quotas, routes=[SMALLER]) as gate:
            with pytest.raises(openai.RateLimitError, match="usd"):
                await ask(gate)
            assert asked(gate) == []

    asyncio.run(run())


def _turn(*said: str) -> list[dict[str, Any]]:
    return [{"role": "assistant" if n % 2 else "user", "content": one} for n, one in enumerate(said)]


def test_a_conversation_that_the_asked_model_had_to_answer_stays_with_it(tmp_path: Path) -> None:
    async def run() -> None:
        upstream = {"openai": {"retries": 0}}
        async with gateway(tmp_path, "openai", quotas=USD, routes=[SMALLER], upstreams=upstream) as gate:
            gate.upstreams["openai"].next(status=500)
            await answer_of(gate, messages=_turn("Hello"))
            await answer_of(gate, messages=_turn("Hello", "Hi!", "And Bergen?"))
            marked = _turn("Hello", "Hi!", "And Bergen?", "Rain.", "And Voss?")
            marked[2]["content"] = [{"type": "text", "text": "And Bergen?", "cache_control": {"type": "ephemeral"}}]
            await answer_of(gate, messages=marked)
            assert asked(gate) == ["gpt-4o-mini", "gpt-4o", "gpt-4o", "gpt-4o"]
            events = await gate.told(4)
            assert [one["route"]["outcome"] for one in events] == ["failed", "fell_back", "sticky", "sticky"]
            await answer_of(gate, messages=_turn("Hello"))  # another one that begins alike
            await answer_of(gate, messages=_turn("Hello", "Well?", "And Bergen?"))  # began there: as good as the first
            assert asked(gate)[4:] == ["gpt-4o-mini", "gpt-4o"]

    asyncio.run(run())


@pytest.mark.parametrize(("sticky", "second"), [(300, "gpt-4o"), (0, "gpt-4o-mini")])
def test_a_named_session_stays_for_as_long_as_its_rule_says(tmp_path: Path, sticky: int, second: str) -> None:
    async def run() -> None:
        rules: Routes = [{**SMALLER, "sticky_seconds": sticky}]
        async with gateway(tmp_path, "openai", quotas=USD, routes=rules, upstreams={"openai": {"retries": 0}}) as gate:
            gate.upstreams["openai"].next(status=500)
            for text in ("One", "Two"):
                await answer_of(gate, {"x-outlay-session": "s-1"}, messages=_turn(text))
            await answer_of(gate, {"x-outlay-session": "s-2"}, messages=_turn("One"))
            assert asked(gate) == ["gpt-4o-mini", "gpt-4o", second, "gpt-4o-mini"]

    asyncio.run(run())


def test_a_canary_draws_conversations_and_draws_them_alike_in_every_gateway(tmp_path: Path) -> None:
    rules: Routes = [{**SMALLER, "share": 0.3}]

    async def run(name: str) -> list[str | None]:
        folder = tmp_path / name
        folder.mkdir()
        async with gateway(folder, "openai", routes=rules) as gate:
            for n in range(60):
                await answer_of(gate, messages=_turn(f"Question {n}"), max_tokens=5)
            first = asked(gate)
            for n in range(60):
                await answer_of(gate, messages=_turn(f"Question {n}", "Yes.", "And then?"), max_tokens=5)
            assert asked(gate)[60:] == first
            assert {one["route"]["kind"] for one in await gate.told(120)} == {"canary"}
            return first

    first = asyncio.run(run("one"))
    assert 8 <= first.count("gpt-4o-mini") <= 28  # 18 of 60 in the mean; the draw is fixed
    assert asyncio.run(run("two")) == first


def test_a_canary_keeps_what_the_caller_names_together(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", routes=[{**SMALLER, "share": 0.5}]) as gate:
            for session in range(12):
                for n in range(3):
                    await answer_of(gate, prompt_cache_key=f"user-{session}", messages=_turn(f"{n}"), max_tokens=5)
            models = asked(gate)
            assert all(len(set(models[at : at + 3])) == 1 for at in range(0, 36, 3))
            assert len(set(models)) == 2
            responses = gate.openai().responses
            await responses.create(model="gpt-4o", input="And then?", previous_response_id="resp_1")
            assert (await gate.told(37))[-1]["route"]["outcome"] == "no_prompt"

    asyncio.run(run())


def test_a_model_that_the_path_names_is_routed_by_the_path(tmp_path: Path) -> None:
    async def run() -> None:
        rule = {"model": "gemini-2.5-pro", "to": "gemini-2.5-flash"}
        async with gateway(tmp_path, "gemini", quotas=USD, routes=[rule]) as gate:
            url = f"{gate.url}/v1beta/models/gemini-2.5-pro:generateContent"
            body = {"contents": [{"parts": [{"text": TEXT}]}], "generationConfig": {"maxOutputTokens": 50}}
            key = {"x-goog-api-key": KEY}
            async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=key) as answer:
                assert answer.status == 200, await answer.text()
                assert (await answer.json())["modelVersion"] == "gemini-2.5-flash"
            (event,) = await gate.told(1)
            assert (event["model"], event["sent_model"]) == ("gemini-2.5-pro", "gemini-2.5-flash")
            assert Decimal(event["route"]["saved"]) > 0

    asyncio.run(run())


def test_a_saving_without_a_price_is_not_known_and_says_why(tmp_path: Path) -> None:
    async def run() -> None:
        rule = {"model": "house-model", "to": "gpt-4o-mini"}
        async with gateway(tmp_path, "openai", quotas=USD, routes=[rule]) as gate:
            await ask(gate, model="house-model")
            (event,) = await gate.told(1)
            assert (event["route"]["outcome"], event["route"]["saved"]) == ("routed", None)
            assert "house-model" in event["route"]["why"]
            assert event["cost"] is not None

    asyncio.run(run())
