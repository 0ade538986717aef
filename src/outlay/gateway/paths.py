"""Which API a path belongs to, and the model that it names.

Azure, Gemini and Bedrock name the model in the path, and providers follow that, whatever the body says. Such a name
becomes part of the address of a provider, so only what a model's name can be is let in: no step up, no slash but those
of an AWS resource name, nothing encoded. Azure's are those of ``openai.lib.azure`` of the openai SDK 3.54.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from outlay.gateway.wires.anthropic_messages import COUNT_TOKENS, MESSAGES
from outlay.gateway.wires.bedrock import BedrockCount
from outlay.gateway.wires.bedrock_converse import CONVERSE, CONVERSE_STREAM
from outlay.gateway.wires.bedrock_invoke import INVOKE, INVOKE_STREAM
from outlay.gateway.wires.gemini import GEMINI_VERBS
from outlay.gateway.wires.openai_chat import CHAT
from outlay.gateway.wires.openai_completions import COMPLETIONS
from outlay.gateway.wires.openai_embeddings import EMBEDDINGS
from outlay.gateway.wires.openai_responses import RESPONSES
from outlay.gateway.wires.spoken import Malformed
from outlay.gateway.wires.wire import Wire

__all__ = ["KNOWN", "WIRES", "Path", "is_model", "like", "path_of"]

_OPENAI: dict[str, Wire] = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/embeddings": EMBEDDINGS,
    "/responses": RESPONSES,
}
_BEDROCK: dict[str, Wire] = {
    one.name: one for one in (CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM, BedrockCount("count-tokens"))
}
_ANTHROPIC: dict[str, Wire] = {"/v1/messages": MESSAGES, "/v1/messages/count_tokens": COUNT_TOKENS}
_FIXED: dict[str, Wire] = {
    **{f"{base}{path}": wire for base in ("/v1", "/openai/v1", "/v1beta/openai") for path, wire in _OPENAI.items()},
    **_ANTHROPIC,
    **{f"/anthropic{path}": wire for path, wire in _ANTHROPIC.items()},
    "/openai/responses": RESPONSES,
}
_AZURE = re.compile(r"/openai/deployments/([^/]+)(/chat/completions|/completions|/embeddings)")
_GEMINI = re.compile(r"/v1(?:beta|alpha)?/models/([^/:]+):([A-Za-z]+)")
_BEDROCK_PATH = re.compile(r"/model/(.+)/([a-z-]+)")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,255}")
_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:bedrock|sagemaker):[a-z0-9-]*:[0-9]*:[a-z-]+(?:/[A-Za-z0-9][A-Za-z0-9._:-]*){1,3}"
)

WIRES: dict[str, Wire] = {
    one.name: one for one in (*_OPENAI.values(), *_ANTHROPIC.values(), *GEMINI_VERBS.values(), *_BEDROCK.values())
}
"""Every API, by its own name."""

KNOWN = (
    *(f"/v1{path}" for path in _OPENAI),
    *_ANTHROPIC,
    "/openai/deployments/DEPLOYMENT/chat/completions",
    *(f"/v1beta/models/MODEL:{verb}" for verb in GEMINI_VERBS),
    *(f"/model/MODEL/{verb}" for verb in _BEDROCK),
)
"""What a caller is told that there is."""


@dataclass(frozen=True, slots=True)
class Path:
    """The API of a path; ``model`` is the one that the path names, None where the body does."""

    wire: Wire
    model: str | None = None


_PATHS = {path: Path(wire) for path, wire in _FIXED.items()}


def path_of(path: str, query: bytes = b"") -> Path | None:
    """What a path, decoded, asks for; None where it is no API. Raises :class:`Malformed`."""
    fixed = _PATHS.get(path)
    if fixed is not None:
        return fixed
    if (match := _AZURE.fullmatch(path)) is not None:
        return Path(_OPENAI[match[2]], _model(match[1]))
    if (match := _GEMINI.fullmatch(path)) is not None and (wire := GEMINI_VERBS.get(match[2])) is not None:
        if match[2] == "streamGenerateContent" and parse_qs(query.decode("latin-1")).get("alt") != ["sse"]:
            raise Malformed("Send streamGenerateContent with ?alt=sse: a stream that is one JSON list is not metered.")
        return Path(wire, _model(match[1]))
    if (match := _BEDROCK_PATH.fullmatch(path)) is not None and match[2] in _BEDROCK:
        return Path(_BEDROCK[match[2]], _model(match[1]))
    return None


def like(path: str) -> Wire:
    """The API whose errors the caller of an unknown path most likely reads."""
    if path.startswith(("/v1/messages", "/anthropic/")):
        return MESSAGES
    if path.startswith("/model/"):
        return CONVERSE
    if _GEMINI.match(path) is not None or path.startswith("/v1beta/models"):
        return GEMINI_VERBS["generateContent"]
    return CHAT


def is_model(name: str) -> bool:
    """Whether a name may be part of an address."""
    return ".." not in name and (_MODEL.fullmatch(name) is not None or _ARN.fullmatch(name) is not None)


def _model(name: str) -> str:
    if not is_model(name):
        raise Malformed(f"'{name[:60]}' can't be the name of a model.")
    return name
