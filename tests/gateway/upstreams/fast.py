"""The upstream of benchmarks: prepared bytes, as little work as Python can do for a request.

``python -m tests.gateway.upstreams.fast PORT [--delay SECONDS] [--together]``; it says ``{"url": …}`` on a line when
it listens. Every POST to a path that ends in ``/chat/completions`` gets one chat completion of 1,200 prompt tokens,
1,024 of them cached, and 20 completion tokens; with ``"stream": true`` in it 22 chunks, one with the usage and
``[DONE]``, each in a write of its own, as a provider's come, unless ``--together``. A POST to ``/messages`` gets the
same in Anthropic's form. ``GET /_served`` tells how many of each were served. It checks nothing: a gateway's own cost
is to be measured, so this must cost next to nothing beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any, cast

import httptools
import uvloop

__all__ = ["CHUNKS", "USAGE", "Fast", "served"]

CHUNKS = 22
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 20,
    "total_tokens": 1220,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
_MESSAGE_USAGE = {"input_tokens": 176, "cache_read_input_tokens": 1024, "cache_creation_input_tokens": 0}
_HEAD = {"id": "chatcmpl-fast", "created": 1_767_225_600, "model": "gpt-4o-mini-2024-07-18"}


def _whole(payload: dict[str, Any]) -> tuple[bytes, ...]:
    body = json.dumps(payload, separators=(",", ":")).encode()
    return (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body),)


def _chunked(parts: list[bytes]) -> tuple[bytes, ...]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(one), one) for one in parts]
    return (head + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n")


def _event(payload: dict[str, Any], name: str | None = None) -> bytes:
    data = b"data: %s\n\n" % json.dumps(payload, separators=(",", ":")).encode()
    return (f"event: {name}\n".encode() + data) if name else data


def _chat() -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    message = {"role": "assistant", "content": "word " * 20}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = _whole({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    head = {**_HEAD, "object": "chat.completion.chunk"}
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": "word "}, None)] * (CHUNKS - 2) + [({}, "stop")]
    parts = [
        _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None})
        for delta, finish in deltas
    ]
    parts.append(_event({**head, "choices": [], "usage": USAGE}))
    return whole, _chunked([*parts, b"data: [DONE]\n\n"])


def _messages() -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    head = {"id": "msg_fast", "type": "message", "role": "assistant", "model": "claude-sonnet-5"}
    text = {"type": "text", "text": "word " * 20}
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    whole = _whole({**head, "content": [text], **ending, "usage": {**_MESSAGE_USAGE, "output_tokens": 20}})
    begun: dict[str, Any] = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**begun, "usage": {**_MESSAGE_USAGE, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}}
    events += [delta] * (CHUNKS - 2)
    events += [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ending, "usage": {**_MESSAGE_USAGE, "output_tokens": 20}},
        {"type": "message_stop"},
    ]
    return whole, _chunked([_event(one, one["type"]) for one in events])


_CHAT, _CHAT_STREAM = _chat()
_MESSAGE, _MESSAGE_STREAM = _messages()

served = {"chat": 0, "chat_stream": 0, "messages": 0, "messages_stream": 0}
"""How many were answered."""


class Fast(asyncio.Protocol):
    """One connection. Requests of a closed loop come one at a time."""

    delay = 0.0
    together = False

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._stream = False
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url, self._stream, self._tail = url, False, b""

    def on_body(self, body: bytes) -> None:
        # A body may come in parts, cut anywhere.
        body = self._tail + body
        self._stream = self._stream or b'"stream":true' in body or b'"stream": true' in body
        self._tail = body[-16:]

    def on_message_complete(self) -> None:
        path = self._url.partition(b"?")[0]
        if path.endswith(b"/messages"):
            name, answer = ("messages_stream", _MESSAGE_STREAM) if self._stream else ("messages", _MESSAGE)
        elif path.endswith(b"/chat/completions"):
            name, answer = ("chat_stream", _CHAT_STREAM) if self._stream else ("chat", _CHAT)
        else:
            self._write(_whole(dict(served)))
            return
        served[name] += 1
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: tuple[bytes, ...], at: int = 0) -> None:
        if self._transport is None:
            return
        if self.together or len(answer) == 1:
            self._transport.writelines(answer)
            return
        self._transport.write(answer[at])
        if at + 1 < len(answer):
            # In the loop's next turn, as uvloop sends at once what is written within one.
            asyncio.get_running_loop().call_soon(self._write, answer, at + 1)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Fast, "127.0.0.1", port, backlog=1024)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="A chat completion for every POST, from prepared bytes.")
    asked.add_argument("port", type=int, nargs="?", default=0)
    asked.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    asked.add_argument("--together", action="store_true", help="a whole stream in one write")
    options = asked.parse_args()
    Fast.together = options.together
    Fast.delay = options.delay
    uvloop.run(_serve(options.port))
