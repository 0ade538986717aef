"""What goes wrong, and what it costs: nothing that may have been billed counts as zero, and every guess is marked."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from outlay.money import plain
from tests.gateway.harness import KEY, Harness, gateway, until

QUOTAS = [{"id": "usd", "limit": "50 USD/day"}, {"id": "tokens", "limit": "1M tokens/day"}]
Upstreams = dict[str, dict[str, Any]]
MESSAGES: Any = [{"role": "user", "content": "Tell me about Oslo."}]


async def chat(gate: Harness, **more: Any) -> Any:
    more = {"max_tokens": 100, **more}
    return await gate.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **more)


async def text_of(gate: Harness, **more: Any) -> str:
    stream = await chat(gate, stream=True, **more)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def leave(gate: Harness, path: str = "/v1/chat/completions", **body: Any) -> None:
    """Begin a stream, read a little of it, and go away."""
    said = {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 100, "stream": True, **body}
    async with aiohttp.ClientSession() as session:
        headers = {"authorization": f"Bearer {KEY}"}
        response = await session.post(f"{gate.url}{path}", json=said, headers=headers)
        assert response.status == 200
        await response.content.readany()
        response.close()


async def settled(gate: Harness, number: int = 1) -> list[dict[str, Any]]:
    """The events, once nothing is held any more."""
    events = await gate.told(number)
    assert (await gate.standing("usd"))[1] == 0
    assert (await gate.standing("tokens"))[1] == 0
    return events


@pytest.mark.parametrize("drop", ["before_headers", "mid_stream", "before_usage"])
def test_a_provider_that_dies_within_a_stream_is_billed_at_the_bound(tmp_path: Path, drop: str) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams={"openai": {"retries": 0}}) as gate:
            gate.upstreams["openai"].next(drop=drop)
            with pytest.raises(openai.APIError, match="broke off"):
                await text_of(gate)
            (event,) = await settled(gate)
            assert (event["settled"], event["usage"]) == ("bound", None)
            assert event["bound"]["output"] == 100
            assert "broke off" in event["error"]
            (spent, _) = await gate.standing("usd")
            assert spent == Decimal(event["cost"]).scaleb(18) > 0
            (entry,) = gate.upstreams["openai"].log.entries
            assert entry.billed.output <= event["bound"]["output"]
            assert entry.billed.all_input <= event["bound"]["input"]

    asyncio.run(run())


def test_a_stream_of_anthropic_that_dies_is_billed_by_the_input_it_told_and_the_output_it_may_have_made(
    tmp_path: Path,
) -> None:
    import anthropic

    async def run() -> None:
        async with gateway(tmp_path, "anthropic", quotas=QUOTAS) as gate:
            gate.upstreams["anthropic"].next(drop="mid_stream", cache_write_1h=3)
            with pytest.raises(anthropic.APIError, match="broke off"):
                async with gate.anthropic().messages.stream(
                    model="claude-sonnet-5", max_tokens=100, messages=MESSAGES
                ) as stream:
                    await stream.get_final_message()
            (event,) = await settled(gate)
            (entry,) = gate.upstreams["anthropic"].log.entries
            assert event["settled"] == "received"
            assert event["usage"]["input"] == entry.billed.all_input
            assert event["usage"]["meters"]["cache_write_1h"] == 3
            assert event["bound"]["output"] == 100
            tokens, _ = await gate.standing("tokens")
            assert tokens == entry.billed.all_input + 100

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_usage_is_billed_at_the_bound(tmp_path: Path, stream: bool) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "compatible", quotas=QUOTAS) as gate:
            gate.upstreams["compatible"].next(usage=False)
            assert await (text_of(gate) if stream else chat(gate))
            (event,) = await settled(gate)
            assert (event["settled"], event["error"], event["status"]) == ("bound", "no usage", 200)
            assert (await gate.standing("tokens"))[0] > 100

    asyncio.run(run())


def test_an_answer_that_is_no_json_goes_through_and_is_billed_at_the_bound(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            gate.upstreams["openai"].next(garbage=True)
            with pytest.raises((openai.APIError, json.JSONDecodeError)):
                await chat(gate)
            (event,) = await settled(gate)
            assert event["settled"] == "bound"

    asyncio.run(run())


def test_a_caller_that_goes_away_is_billed_by_what_the_provider_says_in_the_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            gate.upstreams["openai"].next(output=60, chunk_s=0.01)
            await leave(gate)
            (event,) = await settled(gate)
            (entry,) = gate.upstreams["openai"].log.entries
            assert (event["settled"], event["error"]) == ("usage", "the caller went away")
            assert event["usage"]["output"] == entry.billed.output == 60

    asyncio.run(run())


def test_a_caller_that_goes_away_may_also_end_the_call_which_counts_at_its_bound(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, on_disconnect="cancel") as gate:
            gate.upstreams["openai"].next(output=100, chunk_s=0.02)
            await leave(gate)
            (event,) = await settled(gate)
            (entry,) = gate.upstreams["openai"].log.entries
            await until(lambda: entry.done)
            assert (event["settled"], event["error"]) == ("bound", "the caller went away")
            assert entry.billed.output < 100

    asyncio.run(run())


def test_an_error_of_the_provider_reaches_the_caller_and_costs_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams={"openai": {"retries": 0}}) as gate:
            for status, error in ((400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.APIError)):
                gate.upstreams["openai"].next(status=status)
                with pytest.raises(error, match=f"scripted: {status}"):
                    await chat(gate)
            for event in await settled(gate, 3):
                assert (event["settled"], event["cost"], event["error"]) == ("none", None, f"http {event['status']}")
            assert (await gate.standing("usd"))[0] == 0

    asyncio.run(run())


def test_what_may_do_better_the_next_time_is_tried_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams={"openai": {"retries": 2}}) as gate:
            gate.upstreams["openai"].next(status=500)
            gate.upstreams["openai"].next(status=429, retry_after=0.05)
            assert (await chat(gate)).usage.completion_tokens == 20
            events = await settled(gate, 3)
            assert [event["status"] for event in events] == [500, 429, 200]
            assert len({event["call"] for event in events}) == 1
            assert len({event["id"] for event in events}) == 3
            assert events[0]["cost"] is None

    asyncio.run(run())


def test_a_provider_that_can_not_be_reached_is_replaced_by_what_it_falls_back_on(tmp_path: Path) -> None:
    async def run() -> None:
        more: Upstreams = {"openai": {"fallback": "openai-b", "retries": 0}, "openai-b": {"models": ["nothing"]}}
        async with gateway(tmp_path, "openai", "openai-b", quotas=QUOTAS, upstreams=more) as gate:
            await gate.upstreams["openai"].stop()
            assert (await chat(gate)).usage.completion_tokens == 20
            first, second = await settled(gate, 2)
            assert (first["settled"], first["cost"]) == ("none", None)
            assert second["attributes"]["upstream"] == "openai-b"
            await gate.upstreams["openai"].start()

    asyncio.run(run())


def test_a_provider_that_breaks_off_may_have_worked_so_it_counts_and_the_next_one_is_asked(tmp_path: Path) -> None:
    async def run() -> None:
        more: Upstreams = {"openai": {"fallback": "openai-b", "retries": 3}, "openai-b": {"models": ["nothing"]}}
        async with gateway(tmp_path, "openai", "openai-b", quotas=QUOTAS, upstreams=more) as gate:
            gate.upstreams["openai"].next(drop="before_headers")
            assert (await chat(gate)).usage.completion_tokens == 20
            first, second = await settled(gate, 2)
            assert (first["settled"], second["settled"]) == ("bound", "usage")
            assert len(gate.upstreams["openai"].log.entries) == 1, "it is not asked again: that may cost twice"
            gate.upstreams["openai"].next(drop="before_headers")
            raw = await gate.openai().chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
            third, fourth = (await settled(gate, 4))[2:]
            cost = Decimal(third["cost"]) + Decimal(fourth["cost"])
            assert raw.headers["x-outlay-cost"] == f"{plain(cost)} USD", "the caller is told what all tries cost"
            for name in ("openai", "openai-b"):
                gate.upstreams[name].next(drop="before_headers")
            with pytest.raises(openai.APIStatusError) as failed:
                await chat(gate)
            costs = [Decimal(event["cost"]) for event in (await settled(gate, 6))[4:]]
            assert failed.value.response.headers["x-outlay-cost"] == f"{plain(sum(costs, Decimal(0)))} USD"

    asyncio.run(run())


def test_more_input_than_the_body_shows_is_within_the_bound(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            gate.upstreams["openai"].next(hidden_input=1000, drop="before_usage")
            with pytest.raises(openai.APIError):
                await text_of(gate)
            (event,) = await settled(gate)
            (entry,) = gate.upstreams["openai"].log.entries
            assert 1000 < entry.billed.all_input <= event["bound"]["input"]

    asyncio.run(run())


def test_an_error_within_a_stream_is_told_and_counts_at_the_bound(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            gate.upstreams["openai"].next(stream_error=True)
            with pytest.raises(openai.APIError):
                await text_of(gate)
            (event,) = await settled(gate)
            assert event["settled"] == "bound"
            assert event["error"]

    asyncio.run(run())


def test_a_model_without_a_price_is_refused_where_money_is_limited_unless_that_is_allowed(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "compatible", quotas=QUOTAS[:1]) as gate:
            with pytest.raises(openai.BadRequestError, match="no model 'our-own-model'"):
                await gate.openai().chat.completions.create(model="our-own-model", messages=MESSAGES)
            assert gate.upstreams["compatible"].log.entries == []
        async with gateway(tmp_path, "compatible", quotas=QUOTAS, unpriced="allow") as gate:
            await gate.openai().chat.completions.create(model="our-own-model", messages=MESSAGES)
            (event,) = await settled(gate)
            assert (event["settled"], event["cost"]) == ("usage", None)
            assert (await gate.standing("tokens"))[0] == event["usage"]["input"] + event["usage"]["output"]

    asyncio.run(run())


def test_a_stop_ends_all_calls_of_its_scope_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate, aiohttp.ClientSession() as admin:
            url = f"http://{gate.running.at.admin}/stops"
            await chat(gate)
            stop = {"id": "runaway", "scope": {"team": "search"}, "why": "an agent loops"}
            assert (await admin.post(url, json=stop)).status == 200
            with pytest.raises(openai.PermissionDeniedError, match="are stopped: an agent loops"):
                await chat(gate)
            assert (await admin.delete(f"{url}/runaway")).status == 200
            await chat(gate)

    asyncio.run(run())


def test_an_error_of_ours_in_the_sweep_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from outlay.gateway import keeping
    from outlay.gateway.run import clock
    from outlay.operate.quotas.ask import Ask
    from outlay.operate.quotas.embedded import EmbeddedQuotas

    once = iter([LookupError("an error of ours")])
    sweep = EmbeddedQuotas._sweep

    def fails_once(self: EmbeddedQuotas, now: int) -> None:
        if (error := next(once, None)) is not None:
            raise error
        sweep(self, now)

    monkeypatch.setattr(keeping, "_SWEEP_EVERY", 0.02)

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            monkeypatch.setattr(EmbeddedQuotas, "_sweep", fails_once)
            ask = Ask("a", {}, {"requests": 1, "tokens": 5, "USD": 5}, lives=0)
            await gate.running.quotas.hold(ask, clock())
            (event,) = await gate.told(1)
            assert (event["id"], event["error"]) == ("a", "unsettled")

    asyncio.run(run())
