"""Events of a gateway as it makes them itself, for tests of what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from outlay.gateway.metering.event import CallEvent
from outlay.money import plain
from outlay.operate.quotas.limit import in_unit
from outlay.operate.quotas.window import moment
from outlay.prices.quick import QuickPrices
from outlay.prices.tokens import TokenPrices
from outlay.prices.usage import Usage, normalise

__all__ = ["STARTED", "TAGS", "changed", "denials", "event", "openai"]

STARTED = 1_793_541_600_123
"""2026-11-01T14:00:00.123Z"""
TAGS = {"team": "search", "use_case": "answers", "environment": "production"}
_PRICES = QuickPrices(TokenPrices())


def event(usage: Usage | None, **fields: Any) -> CallEvent:
    """A call that was settled by its usage and priced as the gateway does; ``fields`` say otherwise."""
    found = CallEvent(
        id=fields.pop("id", "019a-0001"),
        call="019a-0001",
        attributes={**TAGS, "key": "key-7", "model": "gpt-4o", "upstream": "main", "provider": "openai"},
        provider="openai",
        priced_as="openai",
        operation="chat",
        wire="chat",
        asked_model="gpt-4o",
        sent_model="gpt-4o",
        started=STARTED,
        stream=False,
        duration=1_234_567,
        status=200,
        settled="usage",
        usage=usage,
    )
    for name, value in fields.items():
        setattr(found, name, value)
    if usage is not None and found.settled == "usage":
        for model in (found.answered_model or found.sent_model, found.sent_model):
            cost = _PRICES.cost(usage, found.priced_as, model, moment(found.started))
            if cost.amount is not None and cost.currency is not None:
                found.cost, found.currency, found.priced_model = (
                    plain(in_unit(cost.amount, cost.currency)),
                    cost.currency,
                    model,
                )
                break
    return found


def openai(input_tokens: int = 1000, output_tokens: int = 100, **more: Any) -> Usage:
    """What a chat completion of OpenAI used."""
    raw = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, **more}
    return normalise("openai", raw, flavor="chat")


def changed(one: CallEvent, **fields: Any) -> bytes:
    """An event's line with other fields; one that is ``...`` is left out."""
    told = {**orjson.loads(one.to_bytes()), **fields}
    return orjson.dumps({name: value for name, value in told.items() if value is not ...})


def denials(calls: int = 3, **fields: Any) -> bytes:
    """The denied calls of a minute."""
    attributes: Mapping[str, str] = {**TAGS, "key": "key-7", "model": "gpt-4o", "upstream": "main"}
    told = {"v": 1, "kind": "denials", "quota": "daily", "attributes": attributes, "minute": STARTED // 60_000 * 60_000}
    return orjson.dumps({**told, "calls": calls, **fields})
