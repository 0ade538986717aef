"""Envoy's check and settlement, asked as Envoy asks: the caller's request below a prefix, the answer with its hold.

The real Envoy is in test_envoy_proxy.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlay.gateway.callers import Caller
from tests.gateway.harness import KEY, TAGS, gateway

QUOTAS: list[dict[str, Any]] = [{"id": "usd", "scope": {"team": "search"}, "limit": "0.05 USD/day"}]
PORT: dict[str, Any] = {"peers_listen": "127.0.0.1:0"}
CHAT = {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": "Say something."}]}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
ANSWER = json.dumps({"model": "gpt-4o-mini-2024-07-18", "usage": USAGE}).encode()
COST = "0.00021"


async def check(
    peer: aiohttp.ClientSession, path: str = "/v1/chat/completions", body: object = None, **headers: str
) -> tuple[int, Mapping[str, str], bytes]:
    said = {"authorization": f"Bearer {KEY}", **headers}
    async with peer.post(f"/envoy/check{path}", json=CHAT if body is None else body, headers=said) as answer:
        return answer.status, answer.headers, await answer.read()


async def settle(
    peer: aiohttp.ClientSession, hold: str, content: bytes, status: str = "200", **headers: str
) -> tuple[int, dict[str, Any]]:
    said = {"x-outlay-hold": hold, "x-outlay-status": status, "content-type": "application/json"}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with peer.post("/envoy/settle", data=content, headers=said) as answer:
        return answer.status, await answer.json()


def frames(*said: object) -> bytes:
    return b"".join(b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n\n" for one in said)


WORD = {"choices": [{"index": 0, "delta": {"content": "a"}}], "model": "gpt-4o-mini"}


@pytest.mark.parametrize(
    ("more", "content", "status", "headers", "settled", "cost"),
    [
        ({}, ANSWER, "200", {}, "usage", COST),
        ({}, gzip.compress(ANSWER), "200", {"content_encoding": "gzip"}, "usage", COST),
        ({}, b"garbage", "200", {"content_encoding": "gzip"}, "bound", None),
        ({}, ANSWER, "200", {"content_encoding": "br"}, "usage", COST),
        ({}, b"\x1b\x03", "200", {"content_encoding": "br"}, "bound", None),
        ({}, b"{}", "200", {}, "bound", None),
        ({}, b"[]", "200", {}, "bound", None),
        ({}, b"", "200", {}, "bound", None),
        ({}, b"{}", "500", {}, "none", None),
        ({}, b"{}", "302", {}, "none", None),
        ({}, b"no healthy upstream", "envoy", {}, "none", None),
        ({}, b"upstream request timeout", "envoy", {}, "bound", None),
        (
            {"stream": True},
            frames(WORD, {"choices": [], "usage": USAGE}, b"[DONE]"),
            "200",
            {"content_type": "text/event-stream"},
            "usage",
            COST,
        ),
        ({"stream": True}, frames(WORD, b"[DONE]"), "200", {"content_type": "text/event-stream"}, "bound", None),
        ({"stream": True}, frames(WORD), "200", {"content_type": "text/event-stream"}, "bound", None),
        ({"stream": True}, ANSWER, "200", {}, "usage", COST),
    ],
)
def test_an_answer_counts_by_what_it_tells(
    tmp_path: Path,
    *,
    more: dict[str, Any],
    content: bytes,
    status: str,
    headers: dict[str, str],
    settled: str,
    cost: str | None,
) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            found, told, _ = await check(peer, body={**CHAT, **more})
            assert found == 200
            _, said = await settle(peer, told["x-outlay-hold"], content, status, **headers)
            assert (said["settled"], said["counted"]) == (settled, True)
            if settled != "bound":
                assert said["cost"] == cost
            assert (await settle(peer, told["x-outlay-hold"], content, status, **headers))[1]["counted"] is False
            assert (await gate.standing("usd"))[1] == 0

    asyncio.run(run())


def test_a_check_says_no_as_the_gateway_does(tmp_path: Path) -> None:
    callers = {KEY: Caller("key-1", TAGS, ("gpt-*",), ("openai",))}

    async def run() -> None:
        async with (
            gateway(tmp_path, "openai", "anthropic", quotas=QUOTAS, callers=callers, **PORT) as gate,
            gate.peer() as peer,
        ):
            for path, body, headers, status, kind in (
                ("/v1/chat/completions", CHAT, {"authorization": "Bearer wrong"}, 401, "invalid_key"),
                ("/v1/chat/completions", {**CHAT, "model": "o3"}, {}, 403, "model_not_allowed"),
                ("/v1/chat/completions", CHAT, {"x-outlay-tags": "team=other"}, 400, "tag_of_key"),
                ("/v1/chat/completions", {**CHAT, "max_tokens": 90_000}, {}, 429, "quota_exceeded"),
                ("/v1/chat/completions", [], {}, 400, "invalid_json"),
                ("/@nowhere/v1/chat/completions", CHAT, {}, 404, "unknown_upstream"),
                ("/@anthropic/v1/chat/completions", CHAT, {}, 403, "upstream_not_allowed"),
                ("/v1/images/generations", CHAT, {}, 404, "unknown_path"),
            ):
                found, _, content = await check(peer, path, body, **headers)
                assert (found, json.loads(content)["error"]["code"]) == (status, kind)
            found, granted, _ = await check(peer, "/@openai/v1/chat/completions")
            assert (found, "x-outlay-hold" in granted) == (200, True)
            assert (await settle(peer, granted["x-outlay-hold"], b"", "x"))[0] == 400
            assert (await settle(peer, "forged", b""))[0] == 404
            async with peer.get("/envoy/check/v1/models", headers={"authorization": f"Bearer {KEY}"}) as answer:
                assert (answer.status, "x-outlay-hold" in answer.headers) == (200, False)
            async with peer.get("/envoy/check/v1/files", headers={"authorization": f"Bearer {KEY}"}) as answer:
                assert answer.status == 404

    asyncio.run(run())


def test_counting_tokens_is_free(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "anthropic", quotas=QUOTAS, **PORT) as gate, gate.peer() as peer:
            body = {"model": "claude-sonnet-5", "messages": CHAT["messages"]}
            _, headers, _ = await check(peer, "/v1/messages/count_tokens", body)
            _, said = await settle(peer, headers["x-outlay-hold"], b'{"input_tokens": 9}')
            assert (said["settled"], said["cost"]) == ("none", None)
            assert await gate.standing("usd") == (0, 0)

    asyncio.run(run())


def test_a_check_that_envoy_gives_up_holds_nothing(tmp_path: Path) -> None:
    slow = [{**QUOTAS[0], "throttle_at": 0.0001, "throttle_seconds": 5}]

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=slow, **PORT) as gate, gate.peer() as peer:
            _, headers, _ = await check(peer, body={**CHAT, "max_tokens": 1})
            await settle(peer, headers["x-outlay-hold"], ANSWER)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await check(peer)
            for _ in range(100):
                if (await gate.standing("usd"))[1] == 0:
                    return
                await asyncio.sleep(0.02)
            raise AssertionError(await gate.standing("usd"))

    asyncio.run(run())
