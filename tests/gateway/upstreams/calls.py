"""Calls without an SDK: one HTTP request over a connection that a test may leave, keep or watch."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["CHAT", "HELLO_TOKENS", "chat", "connection", "posted"]

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
HELLO_TOKENS = 3


def connection(url: str) -> http.client.HTTPConnection:
    """Not yet open."""
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)


def posted(
    to: http.client.HTTPConnection, path: str, body: Any, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    """The head of the answer; its body is still to come."""
    to.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
    return to.getresponse()


def chat(to: http.client.HTTPConnection, secret: str, **body: Any) -> http.client.HTTPResponse:
    """A chat completion."""
    return posted(to, "/v1/chat/completions", {**CHAT, **body}, {"authorization": f"Bearer {secret}"})
