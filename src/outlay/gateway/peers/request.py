"""Requests of other gateways: their bodies, and what these may say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import orjson

from outlay.gateway.http import Receive, Send
from outlay.gateway.refusal import Refusal
from outlay.gateway.wires.spoken import Json

__all__ = ["answer", "body_of", "name_of", "number_of", "object_of", "told_attributes"]

_BODY_SECONDS = 60
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_ATTRIBUTES = 32
_LONGEST = 256
_RESERVED = frozenset({"model", "upstream", "provider"})


async def body_of(receive: Receive, most: int) -> bytes:
    """The body of a request. Raises :class:`Refusal` for one that is too long or too slow."""
    chunks, size = [], 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "gone", "the connection ended before the body did.", close=True)
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > most:
                    raise Refusal(413, "too_large", f"the body is longer than {most:,} bytes.", close=True)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise Refusal(408, "slow_body", f"the body took more than {_BODY_SECONDS} seconds.", close=True) from None


def object_of(content: bytes) -> Json:
    """A body as a JSON object. Raises :class:`Refusal`."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "invalid_json", f"the body is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Refusal(400, "invalid_json", "the body is no JSON object.")
    return found


def name_of(said: Mapping[str, Any], key: str) -> str | None:
    """A name of a request, None where it is absent. Raises :class:`Refusal`."""
    found = said.get(key)
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST or not found.isprintable():
        raise Refusal(400, "invalid_request", f"'{key}' must be a text of 1 to {_LONGEST} characters.")
    return found


def number_of(said: Mapping[str, Any], key: str, most: int) -> int | None:
    """A whole number of a request, None where it is absent. Raises :class:`Refusal`."""
    found = said.get(key)
    if found is None:
        return None
    if type(found) is not int or not 0 <= found <= most:
        raise Refusal(400, "invalid_request", f"'{key}' must be a whole number from 0 to {most:,}.")
    return found


def told_attributes(said: object) -> dict[str, str]:
    """What the other gateway knows of a call's caller. Raises :class:`Refusal` that says which one is wrong."""
    if said is None:
        return {}
    if not isinstance(said, dict) or len(said) > _MOST_ATTRIBUTES:
        raise Refusal(400, "bad_attributes", f"'attributes' must be an object of at most {_MOST_ATTRIBUTES} texts.")
    for name, value in said.items():
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise Refusal(400, "bad_attributes", f"'{name[:80]}' can't be the name of an attribute.")
        if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
            message = f"the attribute '{name}' must be a text of at most {_LONGEST} characters."
            raise Refusal(400, "bad_attributes", message)
    return said


async def answer(send: Send, status: int, content: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Answer with JSON, or with nothing."""
    every = [(b"content-length", str(len(content)).encode()), *headers]
    if content:
        every.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": content})
