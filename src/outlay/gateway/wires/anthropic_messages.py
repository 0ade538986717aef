"""Anthropic's messages: https://docs.anthropic.com/en/api/messages, and the count of a message's tokens, which is free.

``max_tokens`` is required there. Thinking that goes on between tool calls may take its whole ``budget_tokens`` beside
``max_tokens``. What a call may cost beyond one run of its model: an advisor and a fallback run other models, a
compaction runs it once more; none of these has a limit.

A tool that the provider runs stops at ``max_uses``; the model may ask for it again and be told no, a round each time.
So rounds beyond that are allowed for: as many again, and never fewer than ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from outlay.gateway.wires.anthropic_meter import MessagesMeter
from outlay.gateway.wires.openai_chat import said_by, strange
from outlay.gateway.wires.parts import FOUND_BY_TOOLS, adds_tools, beyond_text, listed, media_of, tools_of_provider
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, count, flag, model_of, table
from outlay.gateway.wires.sse import error_event
from outlay.gateway.wires.wire import Beside, Said

__all__ = ["COUNT_TOKENS", "MESSAGES", "AnthropicMessages", "CountTokens"]

_ANYWHERE = Beside()
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_RUN_BY_CALLER = ("function", "custom", "bash_", "text_editor_", "computer_", "browser_", "memory_")
_FEES = {"web_search_": "web_searches", "web_fetch_": "web_fetches"}
_UNLIMITED = {
    "mcp_servers": "the tools of an MCP server",
    "container": "a container, whose tools",
    "compaction": "a compaction, which",
    "fallbacks": "a fallback, which runs another model and",
    "thread": "a thread that the provider keeps, which",
}
_LEAST_ROUNDS = 10
_OWN_PROMPT = ("bash_", "text_editor_", "computer_", "browser_", "memory_")
_LONGEST_OWN_PROMPT = 2_000
"""Tokens that Anthropic may add for a tool of its own that the caller runs: for a computer it says 735, the most."""


class AnthropicMessages:
    """``POST /v1/messages``."""

    name: str = "messages"
    operation: str = "chat"
    flavor: str = "messages"
    model_in_body: bool = True

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises :class:`Malformed`."""
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise Malformed("'messages' is missing, or no list.")
        beyond, unbounded = strange(body)
        beyond_text(body.get("system"), beyond)
        for one in messages:
            if not isinstance(one, dict):
                raise Malformed("'messages' holds something that is no message.")
            content = one.get("content")
            if content.__class__ is not str:
                beyond_text(content, beyond)
        tools = tools_of_provider(body.get("tools"), _RUN_BY_CALLER)
        if tools:
            beyond.add(FOUND_BY_TOOLS)
        fees = {next((fee for name, fee in _FEES.items() if kind.startswith(name)), None) for kind, _ in tools}
        uses = [count(one, "max_uses") for _, one in tools]
        unbounded = unbounded or adds_tools(beyond)
        if None in fees:
            unbounded = f"no field limits the tools of the provider: {', '.join(kind for kind, _ in tools)[:200]}."
        elif None in uses:
            unbounded = "the provider's own tools may run any number of times. Send max_uses with each."
        for key, what in _UNLIMITED.items():
            if body.get(key):
                unbounded = f"the call names {what} may use any number of tokens."
        if not _clears(body.get("context_management")):
            unbounded = "a compaction of the context runs the model once more, on what nobody limits."
        most = count(body, "max_tokens", least=0)
        budget = count(table(body, "thinking"), "budget_tokens")
        return Spoken(
            model_of(body, beside.model),
            flag(body, "stream"),
            most,
            not_inline=listed(beyond),
            media=media_of(beyond),
            more_output=budget if budget is not None and (most is None or budget >= most) else 0,
            rounds=max(_LEAST_ROUNDS, 2 * sum(one or 0 for one in uses)) + 1 if tools else 1,
            tools=tuple(sorted(fee for fee in fees if fee is not None)),
            unbounded=unbounded,
            more_input=_LONGEST_OWN_PROMPT * sum(_has_own_prompt(one) for one in body.get("tools") or ()),
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none, which Anthropic itself would refuse."""
        body["max_tokens"] = tokens

    def mend(self, body: Json, provider: str) -> None:
        """It has one name everywhere."""

    def ask_usage(self, body: Json) -> bool:
        """Its streams always tell their usage."""
        return False

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """The usage of a whole answer."""
        return said_by(answer)

    def meter(self, strip: bool) -> MessagesMeter:
        """A meter of one stream."""
        return MessagesMeter()

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error in Anthropic's format."""
        error: dict[str, Any] = {"type": _TYPES.get(status, "api_error"), "message": message}
        if details:
            error["outlay"] = {"code": kind, **details}
        return orjson.dumps({"type": "error", "error": error})

    def broken(self, message: str) -> bytes:
        """The end of a stream that broke off."""
        return error_event(self.error(502, "upstream_failed", message, {}), named=True)


def _clears(management: object) -> bool:
    """Whether a change of the context only takes from it."""
    edits = management.get("edits") if isinstance(management, dict) else management
    if not isinstance(edits, list):
        return edits is None
    return all(isinstance(one, dict) and str(one.get("type")).startswith("clear_") for one in edits)


def _has_own_prompt(tool: Mapping[str, Any]) -> bool:
    return str(tool.get("type")).startswith(_OWN_PROMPT)


class CountTokens(AnthropicMessages):
    """``POST /v1/messages/count_tokens``."""

    name = "count_tokens"
    operation = "count_tokens"

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """It costs nothing, whatever it says."""
        return Spoken(model_of(body, beside.model), max_tokens=0, has_output=False, free=True)

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """It uses nothing."""
        return None


COUNT_TOKENS = CountTokens()
MESSAGES = AnthropicMessages()
