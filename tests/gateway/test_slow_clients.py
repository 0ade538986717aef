"""Clients that take their time: every connection ends, the memory it takes is bounded, and its call is settled."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from outlay.gateway import app, protocol
from tests.gateway.harness import gateway, until
from tests.gateway.raw import AUTH, BODY, answered, exchange, opened, post, status_of

QUOTAS = [{"id": "usd", "limit": "50 USD/day"}, {"id": "tokens", "limit": "1M tokens/day"}]
STREAM = BODY.replace(b'"max_tokens"', b'"stream": true, "max_tokens"')


async def _ends(url: str, first: bytes, drop: bytes = b"", every: float = 0.05) -> float:
    """After how many seconds the gateway closes on a client that sends ``first`` and then ``drop`` again and again."""
    reader, writer = await opened(url)
    began = time.monotonic()
    closed = asyncio.ensure_future(reader.read(-1))
    with suppress(ConnectionError):
        writer.write(first)
        while not closed.done() and time.monotonic() - began < 10:
            writer.write(drop)
            await asyncio.wait({closed}, timeout=every)
    with suppress(ConnectionError):
        await asyncio.wait_for(closed, 0.1)
    writer.close()
    return time.monotonic() - began


UNKNOWN = post(b"").replace(AUTH, b"authorization: Bearer nobody\r\n").replace(b"length: 0", b"length: 1000000")


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"POST /v1/chat/completions HTTP/1.1\r\n", b""),
        (b"POST /v1/chat/completions HTTP/1.1\r\n", b"x"),
        (b"POST /v1/chat/completions HTTP/1.1\r\n", b"a: b\r\n"),
        (post(BODY)[: -len(BODY)], b""),
        (post(BODY)[:-20], b""),
        (post(BODY + b" " * 10_000)[:-10_000], b" "),
        (post(b"1\r\n{\r\n", b"transfer-encoding: chunked", length=False), b"1\r\n \r\n"),
        (post(b"1\r\n{\r\n1;", b"transfer-encoding: chunked", length=False), b"extension"),
        (post(b"1\r\n{\r\n0\r\n", b"transfer-encoding: chunked", length=False), b"a: b\r\n"),
        (UNKNOWN, b""),
        (UNKNOWN, b"x"),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\nGET /heal", b""),
    ],
    ids=range(15),
)
def test_no_client_holds_a_connection_by_being_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, drop: bytes
) -> None:
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "_BODY_SECONDS", 0.9)
    monkeypatch.setattr(app, "_BODY_SECONDS", 0.6)

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            assert await _ends(gate.url, first, drop) < 5
            assert gate.upstreams["openai"].log.entries == []
            assert await gate.standing("usd") == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent",
    [
        [b"GET /" + b"a" * (1 << 20), b"a" * (1 << 20)],
        [b"GET /healthz HTTP/1.1\r\n", *[b"a: " + b"b" * 60_000 + b"\r\n"] * 20],
        [b"GET /healthz HTTP/1.1\r\na: ", *[b"b" * 60_000] * 20],
        [b"GET /healthz HTTP/1.1\r\n", *[b"a: b\r\n" * 10_000] * 20],
        [post(b"1;", b"transfer-encoding: chunked", length=False), *[b"e" * 60_000] * 20],
        [post(b"0\r\n", b"transfer-encoding: chunked", length=False), *[b"a: b\r\n" * 10_000] * 20],
    ],
    ids=["target", "headers", "value", "names", "extension", "trailers"],
)
def test_a_head_without_end_is_not_kept(tmp_path: Path, sent: list[bytes]) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate:
            reader, writer = await opened(gate.url)
            came = b""
            with suppress(ConnectionError):
                for part in sent:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                came = await asyncio.wait_for(reader.read(-1), 5)
            assert status_of(came) in (0, 431), "it closed, with a word or without"
            assert await answered(gate, post()) == 200

    asyncio.run(run())


def test_a_body_is_as_long_as_it_may_be_whatever_it_says(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai", max_body_mib=1) as gate:
            padded = BODY + b" " * ((1 << 20) - len(BODY))
            assert await answered(gate, post(padded)) == 200
            assert await answered(gate, post(padded + b" ")) == 413
            said = post(b"", b"content-length: 99999999999", length=False)
            assert await answered(gate, said) == 413
            parts = [b"10000\r\n" + b" " * 65536 + b"\r\n"] * 40
            begun = post(b"", b"transfer-encoding: chunked", length=False)
            assert status_of(await exchange(gate.url, begun, *parts, first=True)) in (0, 413)
            assert len(gate.upstreams["openai"].log.entries) == 1
            assert await answered(gate, post(BODY, b"content-encoding: gzip")) == 415

    asyncio.run(run())


def test_a_client_that_never_reads_its_stream_costs_no_memory_and_its_call_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_READ_SECONDS", 0.7)

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            gate.upstreams["openai"].next(output=40, huge=30 << 20)
            await answered(gate, post())  # imports and pools are there
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            connections = []
            for _ in range(5):
                gate.upstreams["openai"].next(output=40, chunk_s=0.01, huge=12 << 20)
                connections.append(await opened(gate.url))
                connections[-1][0]._transport.pause_reading()  # type: ignore[attr-defined]
                connections[-1][1].write(post(STREAM))
            events = await until(lambda: one if len(one := gate.events()) == 6 else None, 20)
            assert [event["settled"] for event in events] == ["usage"] * 6, "its end was read to learn the usage"
            assert {event["error"] for event in events} == {None, "the caller went away"}
            assert (await gate.standing("usd"))[1] == 0
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert grown < 300 << 10, "KiB: client, gateway and provider are one process here"
            for _, writer in connections:
                writer.transport.abort()

    asyncio.run(run())


def test_an_answer_that_nobody_reads_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_READ_SECONDS", 0.5)

    async def run() -> None:
        async with gateway(tmp_path, "openai", quotas=QUOTAS) as gate:
            gate.upstreams["openai"].next(huge=30 << 20)
            reader, writer = await opened(gate.url)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(post())
            await gate.told(1)
            await asyncio.sleep(1.5)
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            found = b""
            with suppress(ConnectionError):
                while more := await asyncio.wait_for(reader.read(1 << 20), 5):
                    found += more
            assert len(found) < 30 << 20
            writer.close()

    asyncio.run(run())


def test_idle_connections_keep_no_call_out_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 0.5)

    async def run() -> None:
        async with gateway(tmp_path, "openai", max_connections=100) as gate:
            idle = [await opened(gate.url) for _ in range(150)]
            assert await answered(gate, post()) == 503
            await asyncio.sleep(1)
            assert await answered(gate, post()) == 200
            for _, writer in idle:
                writer.close()

    asyncio.run(run())


def test_a_time_limit_of_the_upstream_ends_a_call_that_drips(tmp_path: Path) -> None:
    async def run() -> None:
        more: dict[str, dict[str, Any]] = {"openai": {"timeout_seconds": 1, "retries": 0}}
        async with gateway(tmp_path, "openai", quotas=QUOTAS, upstreams=more) as gate:
            for body, seconds in ((STREAM, {"chunk_s": 0.3}), (STREAM, {"start_s": 5.0}), (BODY, {"start_s": 5.0})):
                gate.upstreams["openai"].next(output=50, **seconds)
                began = time.monotonic()
                answer = await exchange(gate.url, post(body), first=True)
                assert time.monotonic() - began < 3
                assert b"broke off" in answer
            for event in await gate.told(3):
                assert event["settled"] == "bound"
                assert json.dumps(event).count("Oslo") == 0
            assert (await gate.standing("usd"))[1] == 0

    asyncio.run(run())
