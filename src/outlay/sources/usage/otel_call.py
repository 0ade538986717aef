"""What a span says of its call beside its usage: what was asked of whom, how it ended, and how long it took.

A program's spans say the same of most of that (the operation, the provider, the models), span after span. So facts are
read once and remembered with what they mean; each call adds its figures: ids, times, the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from outlay.prices.tokens import context_text
from outlay.prices.usage_shapes import ORDINARY
from outlay.sources.facts import Value
from outlay.sources.usage.otel_attributes import ALIASES, FIGURES, OPERATIONS
from outlay.sources.usage.otel_providers import provider_name
from outlay.sources.usage.otel_span import Scalar, Span, number, text

__all__ = ["Said", "Sayings", "call_values"]

_EPOCH = datetime(1970, 1, 1)
_MICRO = Decimal("0.000001")
_FIRST_TOKEN = frozenset({"first_token_seconds", "first_token_millis"})
_MOST_SAYINGS = 5_000
_LONG = 2_000
"""Characters: facts with longer texts are read each time, and not kept in memory."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a span's facts mean, and which ``figures`` it has (not what they are).

    ``operation`` is the convention's name, empty for a call that does not name it, None for what is no call.
    ``columns`` are those of a row that follow from facts alone, ``streams`` what is said of streaming, as it is said.
    """

    operation: str | None
    error: str | None
    columns: Mapping[str, Value]
    streams: Scalar | None
    remarks: frozenset[str]
    figures: frozenset[str]


class Sayings:
    """Remembers what facts mean."""

    def __init__(self) -> None:
        self._known: dict[Any, Said] = {}

    def of(self, span: Span) -> Said:
        """What the span's facts mean."""
        facts, has_usage = span.facts, bool(span.usage)
        # Types too: True equals 1 and is another text.
        key = (tuple(facts.items()), tuple(map(type, facts.values())), has_usage, tuple(span.figures))
        if (found := self._known.get(key)) is None:
            found = _said(facts, span.figures, has_usage=has_usage)
            if sum(len(str(fact)) for fact in facts.values()) <= _LONG:
                if len(self._known) >= _MOST_SAYINGS:
                    self._known.clear()
                self._known[key] = found
        return found


def call_values(span: Span, said: Said) -> dict[str, Value]:
    """The columns of a call beside its usage."""
    failed = span.failed or said.error is not None
    values: dict[str, Value] = {
        **said.columns,
        "start_time": _moment(span.start),
        "x_Kind": "call",
        "x_Requests": 1,
        "x_Succeeded": 0 if failed else 1,
        "x_TraceId": span.trace,
        "x_SpanId": span.id,
    }
    if failed:
        # the convention's word for an error without a name
        values["error_type"] = said.error or span.exception or "_OTHER"
    if span.end:
        values["end_time"] = _moment(span.end)
        values["x_DurationSeconds"] = (span.end - span.start) // 1000 * _MICRO
    if span.origin.service:
        values["x_Service"] = span.origin.service
    if "user" in said.figures and (user := text(span.figures, "user")):
        values["x_User"] = user
    if first := _first_token(span, said):
        values["x_FirstTokenSeconds"] = first
    return values


def _moment(nanos: int) -> datetime:
    seconds, rest = divmod(nanos, 1_000_000_000)
    return _EPOCH + timedelta(
        0, seconds, rest // 1000
    )  # seconds apart: as microseconds alone it takes half as long again


def _said(facts: dict[str, Scalar], figures: Iterable[str], *, has_usage: bool) -> Said:
    operation = _operation(facts, has_usage=has_usage)
    columns: dict[str, Value] = {"gen_ai_operation_name": operation} if operation else {}
    if provider := text(facts, "provider"):
        columns["gen_ai_provider_name"] = provider_name(provider)
    for column, what in (
        ("gen_ai_request_model", "request_model"),
        ("gen_ai_response_model", "response_model"),
        ("x_Account", "account"),
        ("x_Project", "project"),
    ):
        if found := text(facts, what):
            columns[column] = found
    remarks = set()
    tier = text(facts, "service_tier")
    if tier is None and (tier := text(facts, "service_tier_asked")) and tier.lower() not in ORDINARY:
        remarks.add("tier-as-asked")
    if tier and tier.lower() not in ORDINARY:
        columns["x_PriceContext"] = context_text({"service_tier": tier.lower()})
    streams = facts.get("gen_ai.request.stream")
    return Said(
        operation,
        text(facts, "error"),
        columns,
        streams,
        frozenset(remarks),
        frozenset(FIGURES[name] for name in figures),
    )


def _operation(facts: dict[str, Scalar], *, has_usage: bool) -> str | None:
    for name in ALIASES["operation"]:
        if isinstance(said := facts.get(name), str) and said:
            folded = said.strip().lower()
            return OPERATIONS.get(folded, folded)
    if "traceloop.span.kind" in facts or not has_usage:
        return None
    return ""


def _first_token(span: Span, said: Said) -> Decimal | None:
    """Seconds to the first token of a stream, as the emitter says or by the event that marks it; never 0."""
    if said.streams is False:
        return None  # openlit gives the whole duration
    if not span.first_token and _FIRST_TOKEN.isdisjoint(said.figures):
        return None
    found = number(span.figures, "first_token_seconds")
    if found is None and (millis := number(span.figures, "first_token_millis")) is not None:
        found = millis.scaleb(-3)
    if found is None and span.first_token:
        found = Decimal((span.first_token - span.start) // 1000).scaleb(-6)
    if found is None or not 0 < found < 1_000_000:
        return None
    return found.quantize(_MICRO)
