"""What LiteLLM says of a call, as Outlay asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["APIS", "attributes_of", "body_of", "limited", "plain", "tags_of", "takes_limit_away", "usage_of"]

APIS = {
    "acompletion": "chat",
    "completion": "chat",
    "atext_completion": "completions",
    "text_completion": "completions",
    "aembedding": "embeddings",
    "embedding": "embeddings",
    "aresponses": "responses",
    "responses": "responses",
    "anthropic_messages": "messages",
}
"""Which API a call of LiteLLM's is in, by its call type. Others are not metered."""

_LIMITS = {
    "chat": "max_tokens",
    "completions": "max_tokens",
    "responses": "max_output_tokens",
    "messages": "max_tokens",
}
_OWN_LIMIT = ("openai", "azure")
_NEVER_SENT = frozenset(
    {"model", "api_key", "api_base", "base_url", "fallbacks", "stream_options", "user", "timeout", "extra_body"}
)
_NOT_INLINE = ("prompt_id", "vector_store_ids", "file_ids")
"""What lets LiteLLM put more into a prompt than the call shows."""


def body_of(said: Mapping[str, Any], is_own: Callable[[str], bool]) -> dict[str, Any]:
    """The body of a call, from LiteLLM's arguments; ``is_own`` tells those that are never sent on."""
    body = {
        name: value
        for name, value in said.items()
        if value is not None and value is not False and name not in _NEVER_SENT and not is_own(name)
    }
    if isinstance(said.get("extra_body"), Mapping):  # it goes into the body that is sent, and goes before what is there
        body.update(said["extra_body"])
    if any(said.get(name) for name in _NOT_INLINE):
        body["documents"] = [True]  # so that it is bounded by the model's context window
    return body


def takes_limit_away(said: Mapping[str, Any]) -> bool:
    """Whether a call has LiteLLM leave out a limit of its output, so that nothing bounds it."""
    dropped = said.get("additional_drop_params")
    return bool(dropped) and any(name in str(dropped) for name in ("max_tokens", "max_completion", "max_output"))


def limited(api: str, provider: str, said: Mapping[str, Any], tokens: int | None) -> dict[str, int]:
    """The argument that keeps a call to so many output tokens, where it names no number itself."""
    name = _LIMITS.get(api)
    if name is None or tokens is None or any(said.get(one) for one in (name, "max_completion_tokens")):
        return {}
    return {"max_completion_tokens" if api == "chat" and provider in _OWN_LIMIT else name: tokens}


def attributes_of(user: object, others: Mapping[str, str]) -> dict[str, str]:
    """Who calls: the key's alias, its team, and what ``outlay_tags`` in their metadata says.

    ``others`` stand for what neither says.
    """
    found = dict(others)
    names = {
        "key": ("key_alias", "token", "api_key"),
        "team": ("team_alias", "team_id"),
        "user": ("user_id",),
    }
    for name, places in names.items():
        value = next((one for place in places if isinstance(one := getattr(user, place, None), str) and one), None)
        if value is not None:
            found[name] = value[:256]
    for place in ("team_metadata", "metadata"):
        tags = (getattr(user, place, None) or {}).get("outlay_tags")
        if isinstance(tags, Mapping):
            found.update({str(name): str(value) for name, value in tags.items()})
    return found


def tags_of(said: Mapping[str, Any]) -> str | None:
    """The header ``x-outlay-tags`` of the caller's request."""
    request = said.get("proxy_server_request")
    headers = request.get("headers") if isinstance(request, Mapping) else None
    if not isinstance(headers, Mapping):
        return None
    return next((str(value) for name, value in headers.items() if str(name).lower() == "x-outlay-tags"), None)


def usage_of(answer: object) -> tuple[dict[str, Any] | None, str | None]:
    """The usage that an answer of LiteLLM's tells, and the model that answered."""
    found = answer.get("usage") if isinstance(answer, Mapping) else getattr(answer, "usage", None)
    model = answer.get("model") if isinstance(answer, Mapping) else getattr(answer, "model", None)
    return plain(found), model if isinstance(model, str) and 0 < len(model) <= 256 else None


def plain(usage: object) -> dict[str, Any] | None:
    """A usage as JSON has it, without LiteLLM's own estimate of its cost. None for one that tells nothing."""
    if usage is None:
        return None
    dump = getattr(usage, "model_dump", None)
    found = dump() if dump is not None else dict(usage) if isinstance(usage, Mapping) else None
    if found is None:
        return None
    found.pop("cost", None)
    return {name: value for name, value in found.items() if value is not None} or None
