"""The events of Outlay's own gateway: what it tells of each call when that is settled, a JSON object a line.

The gateway has normalised the usage already, and priced it as the ledger does, so nothing is worked out anew: the row's
own price is that of the event, to the last digit, where the provider told the usage of the whole call.

The traps:

- Where nobody told what a call used, it counts at the most that it could (remark ``billed-at-bound``). A stream that
  broke off has the usage that came, and all of the output that it was let have (``billed-as-received``). Both are
  estimates, and their price is of ordinary tokens: the gateway held, and reports, the dearest.
- A hold that nobody settled (its process was killed) is told at its bound when its time runs out, and may be settled
  after that, by another gateway perhaps. It has one id, and what was settled holds, in whatever order the two come.
- A person may settle such a hold by the provider's report (``settled-by-report``): by its cost, its tokens or both.
- The model that is priced is the one that answered, unless only the name that was sent has a price.
- An answer that nobody got (a rule's model failed a check, and the asked one answered) is a call that failed, whatever
  its status. A shadow of a call is a row with a cost and no request: nobody asked for it.
- An answer that was given again is a request with 0 tokens: no provider saw it (remark ``gateway-cache``).
- Calls that were denied reached nobody. They come added up by the minute, are requests that failed, and have no price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from outlay.ledger.meters import INPUT_METERS, METERS, OUTPUT_METERS
from outlay.prices.request_costs import AS_RECEIVED, AT_BOUND, NOT_SENT
from outlay.prices.tokens import UNREAD
from outlay.prices.usage import InnerCall, Quantity, Remark, Usage
from outlay.problems import Problem
from outlay.sources.fact_file import parse_json
from outlay.sources.facts import Fact, Value, amount, epoch
from outlay.sources.reader import Format
from outlay.sources.usage.call_log import NOT_TOLD, call_rows, cost, inside, seconds, strings, text, whole
from outlay.sources.usage.gateway_choices import choices

__all__ = ["GATEWAY", "NEWEST", "Told", "read_event"]

GATEWAY = Format("gateway", "Outlay's gateway (live)", "`outlay gateway`; its events go into the ledger by themselves.")
NEWEST = 1
"""The newest version of events that is known."""

_UNSETTLED = "unsettled"
_BY_REPORT = "settled-by-report"
_NO_USAGE = frozenset({"no usage", "unreadable usage"})
"""What the gateway calls an answer that came, and told no usage that can be read."""
_DENIED = {"stopped": "stopped", "unbounded": "unbounded_call", "unavailable": "quota_unavailable"}
"""Why a call was denied, where that is not that a quota had no room: in the words that its caller was told."""
_KNOWN_ANYHOW = frozenset({"key", "model", "upstream", "provider"})
"""Attributes that are no tags: they have columns of their own."""
_PARTS = (("input", frozenset(INPUT_METERS)), ("output", frozenset(OUTPUT_METERS)))
_TOTALS = ("input", "output", "cache_read", "cache_write", "reasoning")
_MOST = 2**63 - 1
_LONGEST_ERROR = 200
_MINUTE = timedelta(minutes=1)
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_AGAIN = "gateway-cache"
_NOT_USED = Usage("gateway", 0, 0, 0, 0, 0, _NOTHING, _NOTHING)


@dataclass(frozen=True, slots=True)
class Told:
    """What a line tells: the rows of one thing. ``unsettled``: a hold that ran out, which says less than any other."""

    identity: str
    facts: tuple[Fact, ...]
    unsettled: bool = False


class _Bad(Exception):
    """A line that can't be used: the code of the problem, and what is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_event(line: bytes, gateway: str) -> Told | Problem:
    """What a line of the gateway called ``gateway`` tells."""
    try:
        return _told(line, gateway)
    except _Bad as bad:
        return Problem(gateway, None, bad.code, str(bad))


def _told(line: bytes, gateway: str) -> Told:
    try:
        event = parse_json(line.decode())
    except ValueError as error:
        raise _Bad("not-json", f"the event is no JSON ({error})") from None
    if not isinstance(event, dict):
        raise _Bad("not-json", "the event is no JSON object")
    version = whole(event.get("v"))
    if version is None or version < 1:
        raise _Bad("unknown-layout", "the event does not say its version")
    if version > NEWEST:
        raise _Bad("newer-event", f"the event is of version {version}, and this Outlay knows {NEWEST}")
    kind = event.get("kind", "call")
    if kind == "call":
        return _call(event)
    if kind == "denials":
        return _denials(event, gateway)
    raise _Bad("unknown-layout", f"the event is of the kind {str(kind)[:40]!r}, which is not known")


def _call(event: Mapping[str, Any]) -> Told:
    identity = text(event.get("id"))
    if identity is None:
        raise _Bad("missing-identity", "the event has no id")
    settled, error, stream = event.get("settled"), text(event.get("error")), event.get("stream") is True
    status = whole(event.get("status"))
    usage = _usage_of(event, str(settled))
    succeeded, failed, remarks = _outcome(str(settled), error, status, stream, event.get("usage") is not None)
    again = cost(inside(event, "cache", "saved"))
    if again is not None:
        usage, succeeded, failed, remarks = _NOT_USED, 1, None, [_AGAIN]
    attributes = _attributes(event)
    values: dict[str, Value] = {
        "start_time": _moment(event, "started"),
        "x_Succeeded": succeeded,
        "error_type": failed[:_LONGEST_ERROR] if failed else None,
        "gen_ai_operation_name": text(event.get("operation")),
        "gen_ai_provider_name": text(event.get("provider")),
        "gen_ai_request_model": text(event.get("model")),
        "gen_ai_response_model": next(
            (found for name in ("priced_model", "answered_model", "sent_model") if (found := text(event.get(name)))),
            None,
        ),
        "x_DurationSeconds": _microseconds(event.get("duration")),
        "x_FirstTokenSeconds": _microseconds(event.get("first_token")),
        "x_Project": attributes.get("upstream"),
        "x_ApiKey": attributes.get("key"),
        "x_Remarks": ";".join(remarks) or None,
    }
    if event.get("cost") is not None:
        reported = cost(event["cost"])
        if reported is None:
            raise _Bad("unparsable-amount", f"cost is no amount: {str(event['cost'])[:60]!r}")
        values |= {"x_ReportedCost": reported, "x_ReportedCurrency": text(event.get("currency"))}
    chosen = choices(event.get("route"), succeeded)
    if chosen is None:
        raise _Bad("unusable-record", "the event has a route that does not tell its rule, its outcome or an amount")
    values |= {**chosen, "x_CacheSaved": again}
    facts = tuple(call_rows(identity, None, values, usage, tags=_tags(attributes)))
    return Told(identity, facts, error == _UNSETTLED)


def _outcome(
    settled: str, error: str | None, status: int | None, stream: bool, told: bool
) -> tuple[int | None, str | None, list[str]]:
    """Whether a call succeeded (None: nobody knows), what failed, and what to remark."""
    answered = status is not None and 200 <= status < 300
    if settled == "bound":
        if error == _UNSETTLED:
            return None, None, [AT_BOUND, _UNSETTLED]
        if error in _NO_USAGE and answered:  # whether a stream came whole is told by its usage
            return None if stream else 1, None, [AT_BOUND, NOT_TOLD]
        return 0, error or "failed", [AT_BOUND]
    if settled == "received":
        return 0, error or "incomplete", [AS_RECEIVED]
    if settled == "report":
        return None, None, [_BY_REPORT] if told else [AT_BOUND, _BY_REPORT]
    if settled == "usage" and answered and error is None:
        return 1, None, []
    return 0, error or (f"http {status}" if status is not None and not answered else "failed"), []


def _usage_of(event: Mapping[str, Any], settled: str) -> Usage | None:
    """What a call counts, by what it was settled by."""
    if settled == "none":
        return None
    input_tokens, output_tokens = (_count(inside(event, "bound", side) or 0, "bound") for side in ("input", "output"))
    if settled == "bound" or (settled == "report" and event.get("usage") is None):
        return _at_bound(input_tokens, output_tokens) if input_tokens or output_tokens else None
    if settled not in ("usage", "received", "report"):
        raise _Bad("unusable-record", f"the event is settled by {settled[:40]!r}, which is not known")
    usage = _usage(event.get("usage"))
    return _with_output(usage, output_tokens) if settled == "received" else usage


def _at_bound(input_tokens: int, output_tokens: int) -> Usage:
    meters = {"input": input_tokens, "output": output_tokens, "requests": 1}
    counted = MappingProxyType({meter: count for meter, count in meters.items() if count})
    return Usage("bound", input_tokens, output_tokens, 0, 0, 0, counted, _NOTHING)


def _with_output(usage: Usage, most: int) -> Usage:
    """What came of a stream that broke off, and the output that it may have made beyond that."""
    more = most - usage.output_tokens
    if more <= 0:
        return usage
    meters = {**usage.meters, "output": usage.meters.get("output", 0) + more}
    return replace(usage, output_tokens=most, meters=MappingProxyType(meters))


def _usage(told: Any, *, inner: bool = True) -> Usage:  # noqa: ANN401 - whatever a line holds
    if not isinstance(told, dict):
        raise _Bad("unusable-record", "the event has no usage")
    totals = {name: _count(told.get(name) or 0, name) for name in _TOTALS}
    meters: dict[str, Quantity] = {}
    codes = [code for one in told.get("remarks") or () if (code := text(one))]
    counted = told.get("meters")
    for meter, quantity in counted.items() if isinstance(counted, dict) else ():
        if meter in METERS:
            meters[meter] = _quantity(quantity, meter)
    newer = isinstance(counted, dict) and not counted.keys() <= METERS.keys()  # what a newer gateway counts
    codes += [UNREAD] if newer else []
    for side, parts in _PARTS:
        added = sum(count for meter, count in meters.items() if meter in parts)
        if added > totals[side] or (added < totals[side] and not newer):
            raise _Bad("unusable-record", f"{side} is {totals[side]}, and its meters add up to {added}")
    reported = cost(told.get("reported_cost"))
    calls = told.get("inner")
    return Usage(
        shape="gateway",
        input_tokens=totals["input"],
        output_tokens=totals["output"],
        cache_read_tokens=totals["cache_read"],
        cache_write_tokens=totals["cache_write"],
        reasoning_tokens=totals["reasoning"],
        meters=MappingProxyType(meters),
        context=MappingProxyType(strings(told.get("context"))),
        remarks=tuple(Remark(code, "") for code in codes),
        inner=tuple(map(_inner, calls)) if inner and isinstance(calls, list) else (),
        reported_cost=reported,
    )


def _inner(told: Any) -> InnerCall:  # noqa: ANN401 - whatever a line holds
    kind, model = text(inside(told, "kind")) or "inner", text(inside(told, "model"))
    return InnerCall(kind, model, _usage(inside(told, "usage"), inner=False))


def _quantity(value: Any, meter: str) -> Quantity:  # noqa: ANN401 - whatever a line holds
    if METERS[meter] != "second":
        return _count(value, meter)
    found = amount(value)
    if found is None or not 0 <= found <= _MOST:
        raise _Bad("unparsable-amount", f"{meter} is no quantity: {str(value)[:60]!r}")
    return found


def _count(value: Any, name: str) -> int:  # noqa: ANN401 - whatever a line holds
    found = whole(value)
    if found is None or found > _MOST:
        raise _Bad("unparsable-amount", f"{name} is no count: {str(value)[:60]!r}")
    if found < 0:
        raise _Bad("negative-quantity", f"{name} is negative: {found}")
    return found


def _denials(event: Mapping[str, Any], gateway: str) -> Told:
    """The denied calls of a minute that look alike to quotas."""
    start = _moment(event, "minute")
    calls = _count(event.get("calls"), "calls")
    quota = text(event.get("quota")) or ""
    attributes = _attributes(event)
    reason = text(event.get("reason")) or "limit"
    alike = ",".join(f"{name}={value}" for name, value in sorted(attributes.items()))
    identity = f"denied {text(event.get('gateway')) or gateway} {reason} {quota} {start.isoformat()} {alike}"
    values: dict[str, Value] = {
        "start_time": start,
        "end_time": start + _MINUTE,
        "x_Kind": "bucket",
        "x_Requests": calls,
        "x_Succeeded": 0,
        "error_type": _DENIED.get(reason, "quota_denied"),
        # No provider: none saw them, and no report of one tells of them.
        "gen_ai_request_model": attributes.get("model"),
        "x_Project": attributes.get("upstream"),
        "x_ApiKey": attributes.get("key"),
        "x_Remarks": NOT_SENT,
    }
    tags = _tags(attributes) | ({"quota": quota} if quota else {})
    return Told(identity, tuple(call_rows(identity, None, values, None, tags=tags)))


def _moment(event: Mapping[str, Any], name: str) -> datetime:
    found = epoch(event.get(name), per_second=1000)
    if found is None:
        said = "is missing" if event.get(name) is None else f"is no time: {str(event[name])[:60]!r}"
        raise _Bad("unparsable-time", f"{name} {said}")
    return found


def _attributes(event: Mapping[str, Any]) -> dict[str, str]:
    return strings(event.get("attributes"))


def _tags(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name not in _KNOWN_ANYHOW}


def _microseconds(value: Any) -> Value:  # noqa: ANN401 - whatever a line holds
    count = whole(value)
    return None if count is None else seconds(Decimal(count).scaleb(-6))
