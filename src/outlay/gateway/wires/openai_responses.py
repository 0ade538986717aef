"""OpenAI's responses: https://platform.openai.com/docs/api-reference/responses.

The usage stands in the event that ends a stream (``response.completed``, ``.incomplete`` or ``.failed``).
``max_output_tokens`` holds the hidden reasoning too. What stands at the provider and is only named here
(``previous_response_id``, ``conversation``, ``prompt``, files, items by their id) is input whose size the body does not
tell. ``max_tool_calls`` holds for the tools that OpenAI runs itself; those of an MCP server, of another model (images)
and a compaction of the context have no limit there.
"""

from __future__ import annotations

from collections.abc import Mapping

from outlay.gateway.wires.openai_chat import said_by, strange
from outlay.gateway.wires.openai_error import openai_broken, openai_error
from outlay.gateway.wires.parts import FOUND_BY_TOOLS, adds_tools, beyond_text, listed, media_of, tools_of_provider
from outlay.gateway.wires.spoken import Json, Malformed, Spoken, count, flag, model_of
from outlay.gateway.wires.sse import Passing, error_text, json_of
from outlay.gateway.wires.wire import Beside, Said

__all__ = ["RESPONSES", "OpenAIResponses", "ResponsesMeter"]

_ANYWHERE = Beside()
_KEPT_THERE = ("previous_response_id", "conversation", "prompt")
_RUN_BY_CALLER = ("function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview")
_FEES = {"web_search": "web_searches", "file_search": "storage_searches", "code_interpreter": "code_executions"}
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class OpenAIResponses:
    """``POST /v1/responses``."""

    name: str = "responses"
    operation: str = "chat"
    flavor: str = "responses"
    model_in_body: bool = True

    def spoken(self, body: Json, beside: Beside = _ANYWHERE) -> Spoken:
        """What a call says. Raises :class:`Malformed`."""
        if flag(body, "background"):
            raise Malformed("'background' answers come later, when nobody meters them. Ask without it.")
        beyond, unbounded = strange(body)
        beyond_text(body.get("input"), beyond)
        beyond_text(body.get("instructions"), beyond)
        unbounded = unbounded or adds_tools(beyond)
        beyond |= {key for key in _KEPT_THERE if body.get(key) is not None}
        tools = _tools(body.get("tools"))
        calls = count(body, "max_tool_calls", least=0)
        fees = {next((fee for name, fee in _FEES.items() if kind.startswith(name)), None) for kind in tools}
        if tools:
            beyond.add(FOUND_BY_TOOLS)
        if any(str(one.get("type")).startswith("computer") for one in body.get("tools") or ()):
            beyond.add("the use of a computer")
        if None in fees:
            unbounded = f"no field limits the tools of the provider: {', '.join(sorted(set(tools)))[:200]}."
        elif tools and calls is None:
            unbounded = "the provider's own tools may run any number of times. Send max_tool_calls."
        if body.get("prompt") is not None:
            unbounded = "a prompt that the provider keeps may bring tools of its own."
        if body.get("context_management"):
            unbounded = "a compaction of the context runs the model once more, on what nobody limits."
        return Spoken(
            model_of(body, beside.model),
            flag(body, "stream"),
            count(body, "max_output_tokens"),
            not_inline=listed(beyond),
            media=media_of(beyond),
            rounds=1 + (calls or 0) if tools else 1,
            tools=tuple(sorted(fee for fee in fees if fee is not None)),
            unbounded=unbounded,
        )

    def limit(self, body: Json, tokens: int, provider: str, model: str) -> None:
        """Put the most tokens of output into a body that has none."""
        body["max_output_tokens"] = tokens

    def mend(self, body: Json, provider: str) -> None:
        """It has one name everywhere."""

    def ask_usage(self, body: Json) -> bool:
        """Its streams always tell their usage."""
        return False

    def said(self, answer: Json, headers: Mapping[str, str]) -> Said | None:
        """The usage of a whole answer."""
        return said_by(answer)

    def meter(self, strip: bool) -> ResponsesMeter:
        """A meter of one stream."""
        return ResponsesMeter()

    def error(self, status: int, kind: str, message: str, details: Json) -> bytes:
        """An error in OpenAI's format."""
        return openai_error(status, kind, message, details)

    def broken(self, message: str) -> bytes:
        """The end of a stream that broke off."""
        return openai_broken(message)


class ResponsesMeter(Passing):
    """Reads along with a stream of a response."""

    __slots__ = ("_last", "_whole")

    def __init__(self) -> None:
        super().__init__()
        self._last: Json | None = None
        self._whole = False

    def said(self) -> Said | None:
        """The usage of the response that ended the stream."""
        return None if self._last is None else said_by(self._last)

    @property
    def whole(self) -> bool:
        """Whether the event that ends a stream told the usage."""
        return self._whole

    def _look(self, event: bytes) -> None:
        if b".delta" in event[:80]:
            self.started = True
        elif b'"response"' in event or b'"error"' in event:
            told = json_of(event)
            kind, response = told.get("type"), told.get("response")
            response = response if isinstance(response, dict) else {}
            if isinstance(response.get("usage"), dict):
                self._last, self._whole = response, kind in _ENDS
            if kind == "response.failed":
                self._error = error_text(response.get("error"))
            elif kind == "error" or told.get("error"):
                self._error = error_text(told.get("error") or told)


def _tools(tools: object) -> list[str]:
    """The types of tools that the provider runs; a namespace holds others, and a shell may stand at the caller."""
    kinds: list[str] = []
    for kind, one in tools_of_provider(tools, _RUN_BY_CALLER):
        inner, where = one.get("tools"), one.get("environment")
        if kind == "namespace":
            kinds += [f"{kind} {name}" for name in _tools(inner)]
        elif kind != "shell" or not isinstance(where, dict) or where.get("type") != "local":
            kinds.append(kind)
    return kinds


RESPONSES = OpenAIResponses()
