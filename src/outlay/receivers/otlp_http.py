"""OTLP over HTTP: an ASGI application for ``POST /v1/traces``, ``/v1/metrics`` and ``/v1/logs``.

Bodies are protobuf or JSON, plain or gzipped. 200 means that the request is on the disk. A client sends again what
was answered with 503, and drops what was answered with any other error: it would be refused again. ``GET /healthz`` is
200 while requests can be stored.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from outlay.errors import SpoolError, UnreadableError
from outlay.receivers.answers import INTERNAL, INVALID, NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, response, status
from outlay.receivers.otlp import SIGNALS, Encoding, OtlpIntake, Signal

__all__ = ["OtlpHttp"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PATHS: dict[str, Signal] = {f"/v1/{signal}": signal for signal in SIGNALS}
_ENCODINGS: dict[bytes, Encoding] = {b"application/x-protobuf": "protobuf", b"application/json": "json"}
_TYPES: dict[Encoding, bytes] = {"protobuf": b"application/x-protobuf", "json": b"application/json"}
_logger = logging.getLogger(__name__)


class _Refused(Exception):
    """An answer other than 200; ``close``: the rest of the body is not read, so the connection ends."""

    def __init__(
        self, code: int, rpc_code: int, message: str, *headers: tuple[bytes, bytes], close: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.rpc_code, self.message = code, rpc_code, message
        self.headers = [*headers, *([(b"connection", b"close")] if close else [])]


class _Gone(Exception):
    """The client went away in the middle of its request."""


class OtlpHttp:
    """The application; ``healthy`` says what is wrong, None while nothing is."""

    def __init__(self, intake: OtlpIntake, healthy: Callable[[], str | None] = lambda: None) -> None:
        self._intake = intake
        self._healthy = healthy

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        encoding = _ENCODINGS.get(headers.get(b"content-type", b"").partition(b";")[0].strip().lower())
        try:
            if scope["path"] == "/healthz" and scope["method"] in ("GET", "HEAD"):
                await self._health(send)
                return
            signal = _signal(scope, headers, self._intake)
            if encoding is None:
                kinds = b" or ".join(_ENCODINGS).decode()
                raise _Refused(415, INVALID, f"send {kinds}, not {_shown(headers.get(b'content-type'))}", close=True)
            content = await self._content(signal, encoding, headers, receive)
            await _answer(send, 200, content, _TYPES[encoding])
        except _Refused as refused:
            kind: Encoding = encoding or "json"
            body = status(refused.rpc_code, refused.message, kind)
            await _answer(send, refused.code, body, _TYPES[kind], *refused.headers)
        except _Gone:
            return
        except Exception:
            _logger.exception("an error in Outlay; the request was not acknowledged")
            await _answer(
                send, 500, status(INTERNAL, "an error in Outlay", encoding or "json"), _TYPES[encoding or "json"]
            )

    async def _content(
        self, signal: Signal, encoding: Encoding, headers: dict[bytes, bytes], receive: Receive
    ) -> bytes:
        """The body of the answer to a request that is stored. Raises :class:`_Refused`."""
        held = [0]
        try:
            body = await self._body(headers, receive, held)
            return response(signal, encoding, await self._intake.take(signal, encoding, body))
        except UnreadableError as error:
            raise _Refused(400, INVALID, str(error)) from None
        except SpoolError as error:
            after = str(getattr(error, "retry_after", 30)).encode()
            raise _Refused(503, UNAVAILABLE, error.what, (b"retry-after", after), close=True) from None
        finally:
            self._intake.release(held[0])

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, held: list[int]) -> bytes:
        """The request's body, unpacked; ``held`` counts what of it is in memory."""
        most = self._intake.most_body
        packing = headers.get(b"content-encoding", b"identity").strip().lower()
        if packing not in (b"identity", b"gzip"):
            raise _Refused(415, INVALID, f"send it plain or as gzip, not as {_shown(packing)}", close=True)
        said = headers.get(b"content-length", b"")
        if said.isdigit() and int(said) > most:
            raise _too_long(most)
        chunks: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk = message.get("body", b"")
            self._intake.hold(len(chunk))
            held[0] += len(chunk)
            chunks.append(chunk)
            if held[0] > most:
                raise _too_long(most)
            if not message.get("more_body"):
                break
        body = b"".join(chunks)
        if packing == b"gzip":
            body = _unpacked(body, most)
            self._intake.hold(len(body))
            held[0] += len(body)
        return body

    async def _health(self, send: Send) -> None:
        wrong = self._healthy()
        body = json.dumps({"status": "failing", "why": wrong} if wrong else {"status": "ok"}).encode()
        await _answer(send, 503 if wrong else 200, body, b"application/json")


def _signal(scope: MutableMapping[str, Any], headers: dict[bytes, bytes], intake: OtlpIntake) -> Signal:
    """Which signal a request carries, from a client that may send it. Raises :class:`_Refused`."""
    signal = _PATHS.get(scope["path"])
    if signal is None:
        raise _Refused(404, NOT_FOUND, f"nothing is here; send OTLP to {', '.join(_PATHS)}", close=True)
    if scope["method"] != "POST":
        raise _Refused(405, INVALID, "send it with POST", (b"allow", b"POST"), close=True)
    if not intake.lets_in(headers.get(b"authorization")):
        challenge = (b"www-authenticate", b"Bearer")
        raise _Refused(401, UNAUTHENTICATED, "send the header: Authorization: Bearer TOKEN", challenge, close=True)
    return signal


def _too_long(most: int) -> _Refused:
    return _Refused(413, INVALID, f"the request is longer than {most:,} bytes; send smaller batches", close=True)


def _unpacked(body: bytes, most: int) -> bytes:
    """What a gzip body holds. Raises :class:`_Refused` for one that is none, or that unpacks to more than ``most``."""
    found = bytearray()
    while body:
        unpacking = zlib.decompressobj(wbits=31)
        try:
            found += unpacking.decompress(body, most + 1 - len(found))
        except zlib.error as error:
            raise _Refused(400, INVALID, f"the body is no gzip ({error})") from None
        if len(found) > most:
            raise _too_long(most)
        if not unpacking.eof:
            raise _Refused(400, INVALID, "the body is a gzip stream that was cut off")
        body = unpacking.unused_data
    return bytes(found)


def _shown(value: bytes | None) -> str:
    return value[:80].decode("latin-1") if value else "nothing"


async def _answer(send: Send, code: int, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = str(len(body)).encode()
    every = [(b"content-type", kind), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": code, "headers": every})
    await send({"type": "http.response.body", "body": body})
