"""Azure OpenAI: OpenAI's bodies at other addresses, with other keys, filters and errors.

A deployment is named in the path (``/openai/deployments/{d}/…?api-version=``), or as the model under ``/openai/v1/``,
which needs no version. The key comes as ``api-key``. Addresses as in ``openai.lib.azure`` of the openai Python SDK
3.54.0; the rest by Azure's REST reference: a stream begins with a chunk that has ``prompt_filter_results`` and no
choice (which is not the usage), choices carry ``content_filter_results``, and the model that answers is the one behind
the deployment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from tests.gateway.upstreams.answer import Answer, Call, Frame, Refused, Route
from tests.gateway.upstreams.http import Request
from tests.gateway.upstreams.log import Entry
from tests.gateway.upstreams.openai_api import embeddings
from tests.gateway.upstreams.openai_chat import chat, completion
from tests.gateway.upstreams.openai_responses import responses

__all__ = ["Azure"]

FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}
DEPLOYED = "gpt-4o-mini-2024-07-18"


class Azure:
    """Chat completions, completions and embeddings of deployments; these and responses under /openai/v1."""

    name = "azure"
    secret = "azure-upstream-key"

    def model_of(self, request: Request, body: Any) -> str | None:
        parts = request.path.split("/")
        if parts[1:3] == ["openai", "deployments"] and len(parts) > 3:
            return parts[3]
        return body.get("model") if isinstance(body, dict) else None

    def scripted(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, call: Call) -> Answer:
        request = call.request
        given = request.header("api-key")
        if given != call.secret and request.header("authorization") != f"Bearer {call.secret}":
            message = (
                "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key."
            )
            raise Refused(401, message)
        deployed = request.path.startswith("/openai/deployments/")
        if deployed and not parse_qs(request.query).get("api-version"):
            raise Refused(404, "Resource not found")
        route: dict[str, Route] = {"chat/completions": chat, "completions": completion, "embeddings": embeddings}
        ending = request.path.removeprefix("/openai/v1/")
        if deployed:
            ending = "/".join(request.path.split("/")[4:])
        elif ending == request.path:
            raise Refused(404, "Resource not found")
        else:
            route["responses"] = responses
        if request.method != "POST" or ending not in route:
            raise Refused(404, "Resource not found")
        if not call.entry.model or call.entry.model.startswith("no-such"):
            raise Refused(404, "The API deployment for this resource does not exist.", code="DeploymentNotFound")
        script = replace(call.script, model=call.script.model or DEPLOYED)
        answer = route[ending](replace(call, script=script))
        if ending == "chat/completions":
            _filtered(answer)
        answer.headers += [
            ("apim-request-id", call.entry.id),
            ("x-request-id", call.entry.id),
            ("x-ms-region", "Sweden Central"),
            ("x-ratelimit-remaining-requests", "999"),
            ("x-ratelimit-remaining-tokens", "99000"),
        ]
        return answer

    def refusal(self, refused: Refused, entry: Entry) -> Answer:
        headers = [("apim-request-id", entry.id)]
        if refused.retry_after is not None:
            headers += [
                ("retry-after", f"{refused.retry_after:g}"),
                ("retry-after-ms", f"{refused.retry_after * 1000:g}"),
            ]
        code = refused.told.get("code") or str(refused.status)
        body = {"error": {"code": code, "message": refused.message}}
        return Answer(body=body, status=refused.status, headers=headers)


def _filtered(answer: Answer) -> None:
    if answer.frames is None:
        answer.body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": FILTERED}]
        for choice in answer.body["choices"]:
            choice["content_filter_results"] = FILTERED
        return
    head = {key: value for key, value in answer.frames[0].payload.items() if key != "usage"}
    told = {**head, "choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERED}]}
    for frame in answer.frames:
        if frame.kind == "content":
            frame.payload["choices"][0]["content_filter_results"] = FILTERED
    answer.frames.insert(0, Frame("start", told, 0, 0))
