"""Answers as they are written: a head with its body at once, and none without its head."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from outlay.gateway import protocol
from tests.gateway.harness import gateway
from tests.gateway.raw import AUTH, BODY, exchange, post, status_of

STREAM = BODY.replace(b'"max_tokens"', b'"stream": true, "max_tokens"')
HEALTH = b"%s /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n"


def test_an_answer_is_one_write_and_a_stream_begins_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    class Seen(protocol._Joined):
        __slots__ = ()

        def __init__(self, transport: asyncio.Transport) -> None:
            super().__init__(transport)
            self._transport: Any = _Noting(transport, written)

    monkeypatch.setattr(protocol, "_Joined", Seen)

    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate:
            await exchange(gate.url, post(), first=True)
            assert len(written) == 1
            assert written.pop().startswith(b"HTTP/1.1 200 OK\r\n")
            await exchange(gate.url, post(STREAM), seconds=0.1)
            assert len(written) > 1
            assert written[0].startswith(b"HTTP/1.1 200 OK\r\n")
            assert written[0].endswith(b"\r\n\r\n")

    asyncio.run(run())


class _Noting:
    def __init__(self, transport: asyncio.Transport, written: list[bytes]) -> None:
        self._transport, self._written = transport, written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._written.append(bytes(data))
        self._transport.write(data)


def test_an_answer_without_a_body_is_written_too_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate:
            answer = await exchange(gate.url, HEALTH % b"HEAD", HEALTH % b"GET")
            head, _, rest = answer.partition(b"\r\n\r\n")
            assert status_of(head) == 200
            assert b"content-length: 15" in head
            assert status_of(rest) == 200
            assert rest.endswith(b'{"status":"ok"}')

    asyncio.run(run())


def test_a_refusal_that_ends_the_connection_is_written_whole(tmp_path: Path) -> None:
    async def run() -> None:
        async with gateway(tmp_path, "openai") as gate:
            long = b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-length: 99999999999\r\n" + AUTH
            answer = await exchange(gate.url, long + b"\r\n")
            assert status_of(answer) == 413
            assert answer.endswith(b"}")

    asyncio.run(run())
