"""Holds that nobody has settled, and how a person settles them by the provider's own report.

A hold is left when its gateway was killed, or lost it, between the call and the answer: nobody here knows what the call
used, and it counts at its bound. The provider's report knows. What is told of it replaces the bound in the quotas and,
as an event under the hold's own id, in the ledger. A call that may be under way is left to its gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from outlay.gateway.metering.event import by_report
from outlay.gateway.refusal import Refusal
from outlay.money import plain
from outlay.operate.quotas.limit import TOKENS, in_unit, is_money, whole
from outlay.operate.quotas.store import QuotaStore, Unsettled
from outlay.operate.quotas.window import moment

__all__ = ["hold_json", "settle"]

_HINT = (
    'send {"cost": "0.0123"}, {"input": 1200, "output": 300}, both, or {"none": true} where the provider did nothing.'
)
_MOST = 2**53


def hold_json(one: Unsettled) -> dict[str, Any]:
    """A hold, for programs: whose call it was, what it counts at, and until when it would be under way."""
    held = one.held
    return {
        "id": held.id,
        "state": one.state,
        "at": moment(held.at).isoformat(timespec="seconds") + "Z",
        "expires": moment(held.expires).isoformat(timespec="seconds") + "Z",
        "attributes": dict(held.attributes),
        "bound": {measure: plain(in_unit(amount, measure)) for measure, amount in held.bound.items()},
    }


async def settle(quotas: QuotaStore, id: str, content: bytes, now: int) -> dict[str, Any]:
    """Settle a hold by what ``content`` tells of it; what it counts at now. Raises :class:`Refusal`."""
    found = next((one for one in await quotas.unsettled() if one.held.id == id), None)
    if found is None:
        raise Refusal(404, "unknown_hold", "there is no such hold, or it is settled")
    if found.state == "under way":
        message = f"its call may be under way until {hold_json(found)['expires']}: its gateway settles it"
        raise Refusal(409, "under_way", message)
    held = found.held
    told = _told(content)
    used = dict.fromkeys(held.bound, 0) if told.get("none") is True else dict(held.bound)
    tokens = None
    if "cost" in told:
        currency = next((one for one in held.bound if is_money(one)), None)
        if currency is None:
            raise Refusal(400, "no_price", "it holds no money, as its price is not known: tell its tokens")
        used[currency] = _amount(told["cost"])
    if "input" in told or "output" in told:
        tokens = _count(told.get("input")), _count(told.get("output"))
        used[TOKENS] = sum(tokens)
    if not quotas.settle(id, used, now, by_report(held, used, tokens)):
        raise Refusal(404, "unknown_hold", "it was settled meanwhile")
    return {"id": id, "settled": {measure: plain(in_unit(amount, measure)) for measure, amount in used.items()}}


def _told(content: bytes) -> Mapping[str, Any]:
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Refusal(400, "invalid_json", _HINT) from None
    if not isinstance(told, dict) or not told or not told.keys() <= {"cost", "input", "output", "none"}:
        raise Refusal(400, "invalid_request", _HINT)
    if "none" in told and (told["none"] is not True or len(told) > 1):
        raise Refusal(400, "invalid_request", _HINT)
    if ("input" in told) != ("output" in told):
        raise Refusal(400, "invalid_request", "tell the tokens of input and of output, 0 where there were none")
    return told


def _amount(said: object) -> int:
    try:
        amount = Decimal(said) if isinstance(said, str) else Decimal("NaN")
        if amount.is_finite() and 0 <= amount < 10**9:
            return whole(amount)
    except (InvalidOperation, ValueError):
        pass
    raise Refusal(400, "invalid_request", "'cost' must be an amount in quotes, e.g. \"0.0123\", of 18 decimals at most")


def _count(said: object) -> int:
    if type(said) is not int or not 0 <= said < _MOST:
        raise Refusal(400, "invalid_request", "'input' and 'output' must be whole numbers of tokens")
    return said
