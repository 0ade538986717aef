"""The event of a call: what the ledger learns of it, once, under the id of its hold.

It holds counts and names, never what was asked or answered, and no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from outlay.money import plain
from outlay.operate.quotas.ask import Amounts, Held
from outlay.operate.quotas.limit import REQUESTS, TOKENS, in_unit, is_money
from outlay.prices.usage import Usage
from outlay.spool.kinds import Kind

__all__ = ["SPOOLED", "VERSION", "CallEvent", "Settled", "by_report", "ran_out"]

VERSION = 1
SPOOLED = Kind.GATEWAY_EVENTS
"""The kind of a spool record that holds events, a line each."""

_MOST = 2**63 - 1

Settled = Literal["usage", "received", "bound", "none", "report"]
"""By what a call was settled: the provider's usage; what of it had come when it broke off; the bound that was held,
because nobody said what it used; nothing, because the provider did not do it; what a person read in its report."""


@dataclass(slots=True)
class CallEvent:
    """One call of a provider. Times are milliseconds since 1970, UTC; durations are microseconds.

    ``priced_model`` is the name that the cost was found by, so that the ledger finds the same.
    ``route`` is what a rule of ``[[gateway.routes]]`` made of it; None where no rule was about it. ``cache``
    is told of a call that got an answer of before: what it saved, and the id of the call that was answered then.
    """

    id: str
    call: str
    attributes: Mapping[str, str]
    provider: str
    priced_as: str
    operation: str
    wire: str
    asked_model: str
    sent_model: str
    started: int
    stream: bool
    answered_model: str | None = None
    priced_model: str | None = None
    duration: int | None = None
    first_token: int | None = None
    status: int | None = None
    error: str | None = None
    settled: Settled = "none"
    usage: Usage | None = None
    bound_input: int = 0
    bound_output: int = 0
    cost: str | None = None
    currency: str | None = None
    route: dict[str, Any] | None = None
    cache: dict[str, Any] | None = None

    def to_bytes(self) -> bytes:
        """As it goes into the spool: one line of JSON."""
        at_bound = self.settled in ("bound", "received") or (self.settled == "report" and self.usage is None)
        rare = {"route": self.route, "cache": self.cache}
        return orjson.dumps(
            {
                "v": VERSION,
                "id": self.id,
                "call": self.call,
                "attributes": dict(self.attributes),
                "provider": self.provider,
                "priced_as": self.priced_as,
                "operation": self.operation,
                "wire": self.wire,
                "model": self.asked_model,
                "sent_model": self.sent_model,
                "answered_model": self.answered_model,
                "priced_model": self.priced_model,
                "started": self.started,
                "stream": self.stream,
                "duration": self.duration,
                "first_token": self.first_token,
                "status": self.status,
                "error": self.error,
                "settled": self.settled,
                "usage": None if self.usage is None else _usage(self.usage),
                "bound": {"input": _few(self.bound_input), "output": _few(self.bound_output)} if at_bound else None,
                "cost": self.cost,
                "currency": self.currency,
                **{name: told for name, told in rare.items() if told is not None},
            }
        )


def _few(tokens: int) -> int:
    """A number of tokens as far as JSON's writer takes it: a caller may ask for any number, and for it many times."""
    return min(tokens, _MOST)


def _usage(usage: Usage) -> dict[str, Any]:
    found: dict[str, Any] = {
        "shape": usage.shape,
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
        "meters": {meter: n if isinstance(n, int) else str(n) for meter, n in usage.meters.items()},
        "context": dict(usage.context),
    }
    if usage.remarks:
        found["remarks"] = [one.code for one in usage.remarks]
    if usage.inner:
        found["inner"] = [{"kind": one.kind, "model": one.model, "usage": _usage(one.usage)} for one in usage.inner]
    if usage.reported_cost is not None:
        found["reported_cost"] = str(usage.reported_cost)
    return found


def ran_out(held: Held) -> bytes:
    """The event of a hold that nobody settled: the process that had it was killed, or lost it."""
    event = _of_hold(held, "bound", error="unsettled")
    event.bound_input = max(0, held.bound.get(TOKENS, 0) - held.units)
    event.bound_output = held.units
    return event.to_bytes()


def by_report(held: Held, used: Amounts, tokens: tuple[int, int] | None) -> bytes:
    """The event of a hold that a person settled: ``tokens`` of input and output, where they were told.

    Without them the row keeps the tokens of its bound, and its cost is what was told. Nothing used: it did nothing.
    """
    if not any(used.values()):
        return _of_hold(held, "none", used, error="settled by hand").to_bytes()
    event = _of_hold(held, "report", used)
    if tokens is None:
        event.bound_input = max(0, held.bound.get(TOKENS, 0) - held.units)
        event.bound_output = held.units
    else:
        read, made = tokens
        meters = {meter: n for meter, n in (("input", read), ("output", made), (REQUESTS, 1)) if n}
        event.usage = Usage("report", read, made, 0, 0, 0, meters, {})
    return event.to_bytes()


def _of_hold(held: Held, settled: Settled, used: Amounts | None = None, *, error: str | None = None) -> CallEvent:
    """What a hold alone tells of its call; ``used`` None: all of its bound."""
    said, amounts = held.attributes, held.bound if used is None else used
    currency = next((one for one in held.bound if is_money(one)), None)
    event = CallEvent(
        id=held.id,
        call=held.id,
        attributes=said,
        provider=said.get("provider", ""),
        priced_as=said.get("provider", ""),
        operation="",
        wire="",
        asked_model=said.get("model", ""),
        sent_model=said.get("model", ""),
        started=held.at,
        stream=False,
        error=error,
        settled=settled,
        currency=currency,
    )
    if currency is not None and currency in amounts:
        event.cost = plain(in_unit(amounts[currency], currency))
    return event
