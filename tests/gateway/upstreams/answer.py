"""What a provider answers, before a script has had its way with it.

A provider makes the whole answer at once: a body, or the frames of a stream with the bill as it stands when each has
been made. The upstream then sends it as the script says: slowly, broken, only in part. So that the same mischief works
on every wire format, payloads stay JSON values until they are sent and the provider only says how one is framed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from tests.gateway.upstreams.http import Request
from tests.gateway.upstreams.log import Entry
from tests.gateway.upstreams.script import Script
from tests.gateway.upstreams.tokens import NOTHING, Meters, cut, pieces

__all__ = [
    "Answer",
    "Call",
    "Frame",
    "Framing",
    "Provider",
    "Refused",
    "Route",
    "Said",
    "compact",
    "input_meters",
    "say",
    "sse",
]

Kind = Literal["start", "content", "close", "usage", "end"]
Framing: TypeAlias = Callable[[str | None, str], bytes]
"""Puts an event's name and its text into the bytes of a stream."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream, and how many output tokens had been made when it was sent, hidden ones among them."""

    kind: Kind
    payload: Any
    output: int
    reasoning: int
    event: str | None = None


def compact(payload: Any) -> str:
    """JSON as providers send it; a text (``[DONE]``) stays one."""
    return payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"), ensure_ascii=False)


def sse(event: str | None, text: str) -> bytes:
    """A server-sent event."""
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


@dataclass(slots=True)
class Answer:
    """Either a body or frames. ``meters`` is the whole bill; no model ran where ``worked`` is False."""

    body: Any = None
    frames: list[Frame] | None = None
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    meters: Meters = NOTHING
    worked: bool = False
    service_tier: str | None = None
    framing: Framing = sse
    content_type: str = "text/event-stream; charset=utf-8"
    failure: list[Frame] = field(default_factory=list)
    """what a stream that fails in the middle ends with"""


class Refused(Exception):
    """The provider does not take the call; ``told`` is what its error format has beside a message."""

    def __init__(self, status: int, message: str, retry_after: float | None = None, **told: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.told = told


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way through a provider; providers fill the entry's model and stream in."""

    request: Request
    entry: Entry
    script: Script
    secret: str

    @property
    def body(self) -> dict[str, Any]:
        """JSON of the request."""
        if not isinstance(self.entry.body, dict):
            raise Refused(400, "We could not parse the JSON body of your request.")
        return self.entry.body


Route: TypeAlias = Callable[[Call], Answer]


class Provider(Protocol):
    """A wire format. ``scripted`` are the calls that a model works on."""

    name: str
    secret: str

    def model_of(self, request: Request, body: Any) -> str | None: ...
    def scripted(self, request: Request) -> bool: ...
    def answer(self, call: Call) -> Answer: ...
    def refusal(self, refused: Refused, entry: Entry) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says within a limit; ``cut`` when the limit ended it. A tool's name when it calls one."""

    reasoning: int
    pieces: list[str]
    tool: str | None
    cut: bool

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def output(self) -> int:
        """All tokens made, hidden ones among them."""
        return self.reasoning + len(self.pieces)

    def deltas(self, size: int) -> list[tuple[str, int]]:
        """The text in parts of so many tokens, each with how many it has."""
        parts = [self.pieces[at : at + size] for at in range(0, len(self.pieces), size)]
        return [("".join(part), len(part)) for part in parts]


def say(script: Script, limit: int | None, tool: str | None) -> Said:
    """What the script wants to be said, hidden thoughts first, as far as the caller's limit lets it."""
    wanted = cut(script.arguments) if tool else pieces(script.output)
    room = script.reasoning + len(wanted) if limit is None else limit
    reasoning = min(script.reasoning, room)
    return Said(reasoning, wanted[: room - reasoning], tool, cut=script.reasoning + len(wanted) > room)


def input_meters(script: Script, counted: int) -> Meters:
    """The input's part of a bill: what was counted and what the provider adds, split by what a cache did."""
    rest = counted + script.hidden_input
    read = min(script.cache_read, rest)
    short = min(script.cache_write_5m, rest - read)
    long = min(script.cache_write_1h, rest - read - short)
    return Meters(rest - read - short - long, read, short, long)
