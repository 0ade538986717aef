"""The errors of the gateway are read by the official clients as the providers' own are."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import pytest

from outlay.gateway.wires.anthropic_messages import MESSAGES
from outlay.gateway.wires.openai_chat import CHAT
from outlay.gateway.wires.openai_responses import RESPONSES
from outlay.gateway.wires.wire import Wire
from tests.gateway.wires.streams import event

OPENAI: list[tuple[int, type[openai.APIStatusError]]] = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (429, openai.RateLimitError),
    (503, openai.InternalServerError),
]
ANTHROPIC: list[tuple[int, type[anthropic.APIStatusError], str]] = [
    (400, anthropic.BadRequestError, "invalid_request_error"),
    (401, anthropic.AuthenticationError, "authentication_error"),
    (403, anthropic.PermissionDeniedError, "permission_error"),
    (404, anthropic.NotFoundError, "not_found_error"),
    (429, anthropic.RateLimitError, "rate_limit_error"),
    (502, anthropic.InternalServerError, "api_error"),
]


def answering(status: int, content: bytes, kind: str = "application/json") -> httpx2.Client:
    headers = {"content-type": kind}
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(status, headers=headers, content=content))
    )


def openais(status: int, content: bytes, kind: str = "application/json") -> openai.OpenAI:
    client = answering(status, content, kind)
    return openai.OpenAI(api_key="k", base_url="http://gateway.test/v1", max_retries=0, http_client=client)


def anthropics(status: int, content: bytes, kind: str = "application/json") -> anthropic.Anthropic:
    client = answering(status, content, kind)
    return anthropic.Anthropic(api_key="k", base_url="http://gateway.test", max_retries=0, http_client=client)


@pytest.mark.parametrize(("status", "error"), OPENAI)
@pytest.mark.parametrize("wire", [CHAT, RESPONSES])
def test_openais_client(wire: Wire, status: int, error: type[openai.APIStatusError]) -> None:
    content = wire.error(status, "quota_exceeded", "No room.", {"budget": "b"})
    with pytest.raises(error) as raised, openais(status, content) as client:
        client.chat.completions.create(model="m", messages=[])
    assert raised.value.code == "quota_exceeded"
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["message"] == "No room."
    assert raised.value.body["outlay"] == {"budget": "b"}


@pytest.mark.parametrize(("status", "error", "kind"), ANTHROPIC)
def test_anthropics_client(status: int, error: type[anthropic.APIStatusError], kind: str) -> None:
    content = MESSAGES.error(status, "quota_exceeded", "No room.", {"budget": "b"})
    with pytest.raises(error) as raised, anthropics(status, content) as client:
        client.messages.create(model="m", max_tokens=1, messages=[])
    body: Any = raised.value.body
    assert body["error"] == {"type": kind, "message": "No room.", "outlay": {"code": "quota_exceeded", "budget": "b"}}


@pytest.mark.parametrize("before", [event({"choices": [], "id": "c"}), b": ping\n"])
def test_a_chat_stream_that_broke_ends_in_an_error(before: bytes) -> None:
    stream = before + CHAT.broken("the provider broke off.")
    with pytest.raises(openai.APIError, match="broke off"), openais(200, stream, "text/event-stream") as client:
        list(client.chat.completions.create(model="m", messages=[], stream=True))


def test_a_response_stream_that_broke_ends_in_an_error() -> None:
    stream = RESPONSES.broken("the provider broke off.")
    with pytest.raises(openai.APIError, match="broke off"), openais(200, stream, "text/event-stream") as client:
        list(client.responses.create(model="m", input="hi", stream=True))


@pytest.mark.parametrize("before", [b"", event({"type": "ping"}, "ping"), b"event: ping\n"])
def test_a_message_stream_that_broke_ends_in_an_error(before: bytes) -> None:
    stream = before + MESSAGES.broken("the provider broke off.")
    with pytest.raises(anthropic.APIStatusError, match="off"), anthropics(200, stream, "text/event-stream") as client:
        list(client.messages.create(model="m", max_tokens=1, messages=[], stream=True))
