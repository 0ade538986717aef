"""A call as it came from its caller."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outlay.gateway.wires.spoken import Json, Spoken
from outlay.money import plain
from outlay.operate.quotas.limit import in_unit

if TYPE_CHECKING:
    from outlay.gateway.http import Receive, Send
    from outlay.gateway.metering.event import CallEvent
    from outlay.gateway.routes import Route
    from outlay.gateway.rules.rules import Decision
    from outlay.gateway.wires.wire import Wire

__all__ = ["Call"]


@dataclass(slots=True)
class Call:
    """``attributes`` are what quotas look at; ``raw`` is the body as it came, ``body`` what it says.

    ``began`` is the monotonic time in nanoseconds; ``answering`` is set once something of an answer went out, and
    ``answered`` is the route whose answer it was, if one was good, and its event;
    ``decision`` is what a rule made of it, and ``turned_back`` why the model that the rule chose did not answer.
    ``spare`` is what that model said where it failed a check: status, headers, content. ``costs`` is
    what its tries cost so far, by currency.
    """

    id: str
    wire: Wire
    spoken: Spoken
    body: Json = field(repr=False)
    raw: bytes = field(repr=False)
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    attributes: dict[str, str]
    routes: tuple[Route, ...]
    receive: Receive
    send: Send
    began: int = field(default_factory=time.perf_counter_ns)
    answering: bool = False
    costs: dict[str, int] = field(default_factory=dict)
    answered: tuple[Route, CallEvent] | None = field(default=None, repr=False)
    decision: Decision | None = None
    turned_back: str | None = None
    spare: tuple[int, list[tuple[bytes, bytes]], bytes] | None = field(default=None, repr=False)

    def microseconds(self) -> int:
        """How long ago it began."""
        return (time.perf_counter_ns() - self.began) // 1000

    def cost(self) -> str | None:
        """What all its tries cost, as its caller is told; None where nothing was found to cost anything."""
        told = [f"{plain(in_unit(amount, currency))} {currency}" for currency, amount in self.costs.items()]
        return ", ".join(told) or None
