"""Answers that no provider should give, and errors of our own: each call is settled once, and never at nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from outlay.gateway.meters import Meters
from tests.gateway.harness import Harness, gateway, until
from tests.gateway.raw import BODY, exchange, opened, post, provider, status_of

QUOTAS = [{"id": "usd", "limit": "50 USD/day"}, {"id": "tokens", "limit": "1M tokens/day"}]
STREAM = BODY.replace(b'"max_tokens"', b'"stream": true, "max_tokens"')
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
ANSWER = json.dumps({"id": "a", "model": "gpt-4o-mini", "choices": [], "usage": USAGE}).encode()
CHUNK = b'data: {"model": "gpt-4o-mini", "choices": [{"delta": {"content": "a"}}]}\n\n'
LAST = b'data: {"model": "gpt-4o-mini", "choices": [], "usage": %s}\n\ndata: [DONE]\n\n' % json.dumps(USAGE).encode()


def head(content: bytes, *headers: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-type: " + kind, *headers]
    if not any(one.startswith(b"content-length") for one in headers):
        lines.append(b"content-length: %d" % len(content))
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def sse(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + content


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: a\r\nconnection: upgrade\r\n\r\n"
CHUNKED = sse(b"").replace(b"connection: close", b"transfer-encoding: chunked")


async def one_event(gate: Harness) -> dict[str, Any]:
    """The one event of a call, once nothing is held."""
    (event,) = await gate.told(1)
    for quota in ("usd", "tokens"):
        assert (await gate.standing(quota))[1] == 0
    await asyncio.sleep(0.05)
    assert len(gate.events()) == 1
    spent, _ = await gate.standing("usd")
    assert (spent > 0) == (event["settled"] != "none")
    return event


@pytest.mark.parametrize(
    ("why", "body", "parts", "settled", "status"),
    [
        ("early hints first", BODY, [b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", head(ANSWER)], "usage", 200),
        ("a continue first", BODY, [b"HTTP/1.1 100 Continue\r\n\r\n", head(ANSWER)], "usage", 200),
        ("no content", BODY, [head(b"", status=b"204 No Content")], "bound", 204),
        ("an empty body", BODY, [head(b"")], "bound", 200),
        ("an empty body for a stream", STREAM, [sse(b"")], "bound", 200),
        ("JSON for a stream", STREAM, [head(ANSWER)], "usage", 200),
        ("JSON for a stream, said to be one", STREAM, [sse(ANSWER)], "bound", 200),
        ("a stream for no stream", BODY, [sse(CHUNK + LAST)], "bound", 200),
        ("less than it said", BODY, [head(ANSWER, b"content-length: 9999")], "bound", 502),
        ("more than it said", BODY, [head(ANSWER + b"xx", b"content-length: %d" % len(ANSWER))], "bound", 0),
        ("gzip that nobody asked for", BODY, [head(gzip.compress(ANSWER), b"content-encoding: gzip")], "usage", 200),
        ("gzip that is none", BODY, [head(ANSWER, b"content-encoding: gzip")], "bound", 200),
        ("an encoding that nobody knows", BODY, [head(b"\x0b\x02\x80{}\x03", b"content-encoding: br")], "bound", 200),
        ("an empty usage", BODY, [head(b'{"usage": {}}')], "bound", 200),
        ("a usage of nulls", BODY, [head(b'{"usage": {"prompt_tokens": null}}')], "bound", 200),
        ("a usage that is a list", BODY, [head(b'{"usage": [1]}')], "bound", 200),
        ("a negative usage", BODY, [head(b'{"usage": {"prompt_tokens": -5, "completion_tokens": -5}}')], "bound", 200),
        ("a usage in words", BODY, [head(b'{"usage": {"prompt_tokens": "many"}}')], "bound", 200),
        ("a list", BODY, [head(b"[1]")], "bound", 200),
        ("deep JSON", BODY, [head(b"[" * 100_000)], "bound", 200),
        ("a status that is none", BODY, [head(ANSWER, status=b"999 Odd")], "none", 0),
        ("no HTTP", BODY, [b"SSH-2.0-OpenSSH_9\r\n"], "bound", 502),
        ("a head without end", BODY, [b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000], "bound", 502),
        ("a stream that ends without its end", STREAM, [sse(CHUNK)], "bound", 200),
        ("a stream whose chunks are none", STREAM, [CHUNKED + b"zz\r\n"], "bound", 502),
        ("a switch of protocols", BODY, [SWITCHED], "none", 502),
    ],
)  # fmt: skip
def test_an_odd_answer_is_settled_once_and_by_the_bound_where_it_tells_no_usage(
    tmp_path: Path, *, why: str, body: bytes, parts: Sequence[bytes], settled: str, status: int
) -> None:
    async def run() -> None:
        async with provider(parts) as odd:
            more: dict[str, dict[str, Any]] = {"openai": {"base_url": odd.url, "retries": 0}}
            async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams=more) as gate:
                answer = await exchange(gate.url, post(body), first=True)
                event = await one_event(gate)
                assert event["settled"] == settled, (why, event)
                assert not status or status_of(answer) == status, (why, answer[:200])
                if settled == "usage":
                    assert (event["usage"]["input"], event["usage"]["output"]) == (9, 5)

    asyncio.run(run())


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("b"), MemoryError()])
@pytest.mark.parametrize(
    "where", ["outlay.gateway.metering.settlement._cost", "outlay.gateway.metering.tries.Tries.by_answer"]
)
@pytest.mark.parametrize("body", [BODY, STREAM])
def test_an_error_of_ours_in_the_settlement_counts_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str, body: bytes
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            monkeypatch.setattr(where, fails)
            await exchange(gate.url, post(body), first=body is BODY)
            assert (await one_event(gate))["settled"] == "bound"

    asyncio.run(run())


def test_an_error_of_the_metrics_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            monkeypatch.setattr(Meters, "settled", fails)
            await exchange(gate.url, post(), first=True)
            assert (await one_event(gate))["settled"] == "usage"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "code", "settled"),
    [
        (400, "content_filter", "bound"),
        (400, "context_length_exceeded", "bound"),
        (408, "timeout", "bound"),
        (400, "invalid", "none"),
        (401, "401", "none"),
        (429, "RateLimitReached", "none"),
    ],
)
def test_what_azure_charges_for_is_charged_though_it_is_an_error(
    tmp_path: Path, status: int, code: str, settled: str
) -> None:
    content = json.dumps({"error": {"code": code, "message": "no"}}).encode()

    async def run() -> None:
        async with provider([head(content, status=b"%d No" % status)]) as azure:
            more: dict[str, dict[str, Any]] = {"azure": {"base_url": f"{azure.url}/openai", "retries": 0}}
            async with gateway(tmp_path, "azure", quotas=QUOTAS, upstreams=more) as gate:
                path = b"/openai/deployments/gpt-4o-mini/chat/completions"
                assert status_of(await exchange(gate.url, post(path=path), first=True)) == status
                assert (await one_event(gate))["settled"] == settled

    asyncio.run(run())


@pytest.mark.parametrize("parts", [10, 40, 120])
@pytest.mark.parametrize("body", [BODY, STREAM])
def test_a_caller_may_go_away_at_any_byte(tmp_path: Path, body: bytes, parts: int) -> None:
    """Before the hold is there, while it is waited for, before and while the answer comes."""

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, on_disconnect="cancel") as gate:
            for number in range(parts):
                _, writer = await opened(gate.url)
                writer.write(post(body))
                await asyncio.sleep(number * 0.0002)
                writer.transport.abort()
            upstream = gate.upstreams["openai"].log.entries
            await until(lambda: len(gate.events()) >= len(upstream) and all(one.done for one in upstream))
            await asyncio.sleep(0.2)
            assert len({event["id"] for event in gate.events()}) == len(gate.events()) == len(upstream)
            billed = sum(one.billed.all_input + one.billed.output for one in upstream)
            spent, held = await gate.standing("tokens")
            assert held == 0
            assert spent >= billed

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "settled"), [(408, "bound"), (504, "bound"), (524, "bound"), (502, "none"), (503, "none")]
)
def test_who_gave_up_waiting_for_the_model_may_be_charged_for_it(tmp_path: Path, status: int, settled: str) -> None:
    async def run() -> None:
        async with provider([head(b"upstream timed out", status=b"%d Late" % status)]) as late:
            more: dict[str, dict[str, Any]] = {"openai": {"base_url": late.url, "retries": 0}}
            async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams=more) as gate:
                assert status_of(await exchange(gate.url, post(), first=True)) == status
                assert (await one_event(gate))["settled"] == settled

    asyncio.run(run())


TIER = BODY.replace(b'"max_tokens"', b'"service_tier": "priority", "max_tokens"')
SEARCH = BODY.replace(b'"max_tokens"', b'"web_search_options": {}, "max_tokens"')


@pytest.mark.parametrize(
    ("why", "body", "answer", "cost"),
    [
        ("nothing asked", BODY, ANSWER, "0.00000435"),
        ("a dearer tier, of which nothing is told", TIER, ANSWER, "0.00000725"),
        ("a dearer tier that was not served", TIER, ANSWER[:-1] + b', "service_tier": "default"}', "0.00000435"),
        ("a search, which no count tells", SEARCH, ANSWER, "0.01000435"),
    ],
)
def test_what_an_answer_leaves_unsaid_of_its_price_is_what_was_asked(
    tmp_path: Path, why: str, body: bytes, answer: bytes, cost: str
) -> None:
    async def run() -> None:
        async with provider([head(answer)]) as silent:
            more: dict[str, dict[str, Any]] = {"openai": {"base_url": silent.url, "retries": 0}}
            async with gateway(tmp_path, "openai", quotas=QUOTAS[:1], upstreams=more) as gate:
                assert status_of(await exchange(gate.url, post(body), first=True)) == 200, why
                (event,) = await gate.told(1)
                assert (event["settled"], event["cost"]) == ("usage", cost), why

    asyncio.run(run())


@pytest.mark.parametrize(
    ("why", "more", "settled"),
    [
        ("one round", {}, "received"),
        ("tools of the provider's", {"tools": [{"type": "web_search_20250305", "max_uses": 2}]}, "bound"),
        ("thoughts beside the limit", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "bound"),
    ],
)
def test_the_input_of_the_first_round_is_not_that_of_all(
    tmp_path: Path, why: str, more: dict[str, Any], settled: str
) -> None:
    started = {"type": "message_start", "message": {"model": "claude-sonnet-5", "usage": {"input_tokens": 20}}}
    stream = b"event: message_start\ndata: " + json.dumps(started).encode() + b"\n\n"
    body = {"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100, **more}

    async def run() -> None:
        async with provider([sse(stream)]) as broken:
            upstreams: dict[str, dict[str, Any]] = {"anthropic": {"base_url": broken.url, "retries": 0}}
            async with gateway(tmp_path, "anthropic", quotas=QUOTAS[:1], upstreams=upstreams) as gate:
                await exchange(gate.url, post(json.dumps({**body, "stream": True}).encode(), path=b"/v1/messages"))
                (event,) = await gate.told(1)
                assert event["settled"] == settled, why

    asyncio.run(run())


def test_a_hold_outlives_its_call(tmp_path: Path) -> None:
    async def run() -> None:
        more: dict[str, dict[str, Any]] = {"openai": {"timeout_seconds": 600}}
        async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams=more, hold_seconds=60) as gate:
            gate.upstreams["openai"].next(start_s=0.5)
            answer = asyncio.create_task(exchange(gate.url, post(), first=True))
            holds = await until(lambda: list(gate.running.quotas._book.holds.values()))  # type: ignore[attr-defined]
            assert holds[0].expires - holds[0].at >= 600_000
            assert status_of(await answer) == 200

    asyncio.run(run())
