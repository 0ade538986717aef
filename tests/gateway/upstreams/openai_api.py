"""OpenAI's API: who may call what, what is refused and how, and the headers that its answers have.

Errors follow the error object of the openai Python SDK 3.54.0 (``message``, ``type``, ``param``, ``code``); fields
that a request may have are those of that SDK's parameter types, and others are refused as OpenAI refuses them.
Reasoning models refuse ``max_tokens``. A model whose name begins with ``no-such`` does not exist.

``Compatible`` is a server that copied the API, as vLLM does: fields it doesn't know are ignored, ``max_tokens`` is
always good, the usage has no details, errors are flat (``{"object": "error", …}``) and no rate is told.
"""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from functools import cache
from typing import Any

from tests.gateway.upstreams.answer import Answer, Call, Refused, Route, input_meters
from tests.gateway.upstreams.http import Request
from tests.gateway.upstreams.log import Entry
from tests.gateway.upstreams.openai_chat import CREATED, chat, completion, usage
from tests.gateway.upstreams.openai_responses import responses
from tests.gateway.upstreams.tokens import Meters, input_tokens

__all__ = ["Compatible", "OpenAI", "bearer", "check_model", "embeddings", "error_body", "known_fields", "models"]

MODELS = ("gpt-4o-mini", "gpt-5", "gpt-5.6-sol", "o3", "text-embedding-3-small")
_REASONING = ("o1", "o3", "o4", "gpt-5")
_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "requests", 500: "server_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


@cache
def known_fields(path: str) -> frozenset[str] | None:
    """What the SDK can send there; None where it isn't told."""
    from openai.types import completion_create_params, embedding_create_params
    from openai.types.chat import completion_create_params as chat_params
    from openai.types.responses import response_create_params

    types: dict[str, tuple[type, ...]] = {
        "/chat/completions": (chat_params.CompletionCreateParamsBase,),
        "/completions": (completion_create_params.CompletionCreateParamsBase,),
        "/embeddings": (embedding_create_params.EmbeddingCreateParams,),
        "/responses": (response_create_params.ResponseCreateParamsBase,),
    }
    for ending, found in types.items():
        if path.endswith(ending):
            return frozenset({"stream"}.union(*(one.__annotations__ for one in found)))
    return None


def error_body(refused: Refused) -> dict[str, Any]:
    """OpenAI's error object."""
    kind = _TYPES.get(refused.status, "server_error" if refused.status >= 500 else "invalid_request_error")
    code = refused.told.get("code", _CODES.get(refused.status))
    return {"error": {"message": refused.message, "type": kind, "param": refused.told.get("param"), "code": code}}


def bearer(call: Call) -> None:
    """401 unless the key is right."""
    given = call.request.header("authorization")
    if given is None:
        raise Refused(401, "You didn't provide an API key.", code=None)
    if given != f"Bearer {call.secret}":
        raise Refused(401, "Incorrect API key provided.")


def check_model(call: Call) -> None:
    """404 for a model that does not exist, 400 where none is named."""
    if not call.entry.model:
        raise Refused(400, "you must provide a model parameter")
    if call.entry.model.startswith("no-such"):
        raise Refused(404, f"The model `{call.entry.model}` does not exist or you do not have access to it.")


def embeddings(call: Call) -> Answer:
    """POST …/embeddings: one vector for each text, in base64 where that is asked for, as the SDK does."""
    texts = call.body.get("input")
    many = texts if isinstance(texts, list) and texts and not isinstance(texts[0], int) else [texts]
    counted = sum(len(one) if isinstance(one, list) else input_tokens(one) for one in many)
    meters = input_meters(call.script, counted)
    size = int(call.body.get("dimensions") or 8)
    vector: Any = [math.sqrt(1 / size)] * size
    if call.body.get("encoding_format") == "base64":
        vector = b64encode(struct.pack(f"<{size}f", *vector)).decode()
    told: dict[str, Any] = {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at in range(len(many))],
        "model": call.script.model or call.entry.model,
    }
    if call.script.usage:
        told["usage"] = {"prompt_tokens": meters.all_input, "total_tokens": meters.all_input}
    return Answer(body=told, meters=meters, worked=True)


def models(owner: str = "openai", names: tuple[str, ...] = MODELS) -> Answer:
    """GET …/models."""
    data = [{"id": one, "object": "model", "created": CREATED, "owned_by": owner} for one in names]
    return Answer(body={"object": "list", "data": data})


class OpenAI:
    """/v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings, /v1/models."""

    name = "openai"
    secret = "sk-upstream-openai"
    root = "/v1"

    def __init__(self) -> None:
        known_fields("")  # the SDK takes a second to import: not during the first call

    def model_of(self, request: Request, body: Any) -> str | None:
        return body.get("model") if isinstance(body, dict) else None

    def scripted(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, call: Call) -> Answer:
        bearer(call)
        answer = self.routed(call, call.request.path.removeprefix(self.root))
        answer.headers += self.headers(call)
        return answer

    def routed(self, call: Call, path: str) -> Answer:
        """What answers at a path under the root."""
        if call.request.method == "GET" and path == "/models":
            return models()
        routes: dict[str, Route] = {"/chat/completions": chat, "/completions": completion, "/responses": responses}
        route = {**routes, "/embeddings": embeddings}.get(path)
        if route is None or call.request.method != "POST":
            raise Refused(404, f"Invalid URL ({call.request.method} {call.request.path})", code=None)
        check_model(call)
        self.checked(call, path)
        return route(call)

    def checked(self, call: Call, path: str) -> None:
        """400 for what the API does not take."""
        body = call.body
        known = known_fields(path)
        for name in body:
            if known is not None and name not in known:
                raise Refused(400, f"Unrecognized request argument supplied: {name}", code=None)
        if "stream_options" in body and not body.get("stream"):
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise Refused(400, message, param="stream_options")
        old = "max_tokens" in body and path == "/chat/completions"
        if old and (call.entry.model or "").startswith(_REASONING):
            message = "Unsupported parameter: 'max_tokens' is not supported with this model. "
            message += "Use 'max_completion_tokens' instead."
            raise Refused(400, message, param="max_tokens", code="unsupported_parameter")

    def headers(self, call: Call) -> list[tuple[str, str]]:
        """What comes with an answer."""
        return [
            ("x-request-id", call.entry.id),
            ("openai-organization", "org-fake"),
            ("openai-processing-ms", "12"),
            ("openai-version", "2020-10-01"),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "6ms"),
            ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-tokens", "1999000"),
            ("x-ratelimit-reset-tokens", "30ms"),
        ]

    def refusal(self, refused: Refused, entry: Entry) -> Answer:
        headers = [("x-request-id", entry.id)]
        if refused.retry_after is not None:
            headers.append(("retry-after", f"{refused.retry_after:g}"))
        return Answer(body=self.error(refused), status=refused.status, headers=headers)

    def error(self, refused: Refused) -> dict[str, Any]:
        """Body of an error."""
        return error_body(refused)


def _plain_usage(meters: Meters) -> dict[str, Any]:
    told = usage(meters)
    plain: dict[str, Any] = {key: told[key] for key in ("prompt_tokens", "total_tokens", "completion_tokens")}
    plain["prompt_tokens_details"] = {"cached_tokens": meters.cache_read} if meters.cache_read else None
    return plain


class Compatible(OpenAI):
    """An OpenAI-compatible server of one's own."""

    name = "compatible"
    secret = "token-upstream-compatible"

    def routed(self, call: Call, path: str) -> Answer:
        if call.request.method == "GET" and path == "/models":
            return models("vllm", ("Qwen/Qwen3-8B",))
        routes = {"/chat/completions": chat, "/completions": completion}
        if call.request.method != "POST" or path not in (*routes, "/embeddings"):
            raise Refused(404, "Not Found")
        check_model(call)
        return embeddings(call) if path == "/embeddings" else routes[path](call, _plain_usage)

    def headers(self, call: Call) -> list[tuple[str, str]]:
        return [("server", "uvicorn")]

    def error(self, refused: Refused) -> dict[str, Any]:
        kind = "NotFoundError" if refused.status == 404 else "BadRequestError"
        return {"object": "error", "message": refused.message, "type": kind, "param": None, "code": refused.status}
