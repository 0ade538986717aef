"""OpenTelemetry GenAI spans become requests.

A span of a model operation (chat, embeddings ...) is a call; spans around it (agents, chains, workflows) often repeat
the usage of the calls within them and are left out. Two instrumentations over each other (a framework's and the
SDK's) give a span each for one call: the innermost one with usage is counted.

The traps:

- The convention's input holds cache reads and writes. Anthropic's own count leaves them out, and some emitters
  hand that on. It is told by the emitter (the scope's name), else by arithmetic, else taken as the convention says and
  remarked on as ``cache-meaning-assumed``.
- A span is sent when it ends, so an inner span comes before the outer one, which is how the outer one is known for a
  repetition. Where the outer came in an earlier batch, both are counted.
- No convention parts cache writes by time to live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from outlay.errors import UsageError
from outlay.prices.tokens import context_text
from outlay.prices.usage import normalise
from outlay.prices.usage_shapes import ORDINARY
from outlay.problems import Problem
from outlay.sources.facts import Fact, Value, amount
from outlay.sources.usage.otel_attributes import (
    ALIASES,
    CACHE_BESIDE,
    CACHE_INSIDE,
    CALL_LOCAL,
    EMBEDDINGS,
    MODEL_OPERATIONS,
    OPERATIONS,
    OUTER_OPERATIONS,
    USAGE_FACTS,
    provider_name,
)
from outlay.sources.usage.otel_span import Scalar, Span
from outlay.sources.usage.row import usage_values

__all__ = ["SPANS_SOURCE", "GenAiSpans", "whole"]

SPANS_SOURCE = "otlp"
"""Source of requests from spans, by file or live, so that one span is one row however it came."""

_EPOCH = datetime(1970, 1, 1)
_LAST = 253_402_300_800 * 10**9
_MOST_COVERED = 500_000
_MOST_COST = 10**9
_MOST_COUNT = 10**15
_MICRO = Decimal("0.000001")
_FEW = frozenset({"input", "output", "cache_read", "cache_write", "reasoning", "total"})
_COLUMNS = {
    "input": "gen_ai_usage_input_tokens",
    "output": "gen_ai_usage_output_tokens",
    "cache_read": "gen_ai_usage_cache_read_input_tokens",
    "cache_write": "gen_ai_usage_cache_write_input_tokens",
    "reasoning": "gen_ai_usage_reasoning_output_tokens",
}


class GenAiSpans:
    """Turns batches of spans into requests. One for each file or receiver: it remembers what was counted within what.

    ``name`` is the file or receiver that problems cite. ``ignored`` counts spans that are no calls of models,
    ``repeated`` those that repeat the usage of calls within them.
    """

    def __init__(self, name: str) -> None:
        self.ignored = 0
        self.repeated = 0
        self._name = name
        self._told: dict[tuple[str, str, bool], None] = {}
        """Spans within which usage was counted, by (trace, span, whether it was generated)."""

    def facts(self, spans: Iterable[Span]) -> Iterator[Fact | Problem]:
        """Requests and problems of one batch."""
        batch = [(span, _operation(span)) for span in spans]
        self._look_around(batch)
        for span, operation in batch:
            if operation in OUTER_OPERATIONS or operation is None:
                self.ignored += 1
            elif operation and operation not in MODEL_OPERATIONS:
                self.ignored += 1
                if span.usage:
                    message = f"a span with usage has the operation '{operation[:60]}', which is not known"
                    yield Problem(self._name, span.line, "unknown-operation", message)
            elif (span.trace, span.id, operation not in EMBEDDINGS) in self._told:
                self.repeated += 1
            else:
                yield self._request(span, operation)

    def _look_around(self, batch: list[tuple[Span, str | None]]) -> None:
        """Marks the spans around those that are counted, as far up as is known."""
        told = self._told
        by_id = {(span.trace, span.id): (span, operation) for span, operation in batch}
        for span, operation in batch:
            if not span.parent:
                continue
            if operation is not None and (operation in MODEL_OPERATIONS or not operation):
                kinds = [operation not in EMBEDDINGS] if span.usage else []
            elif operation in CALL_LOCAL:
                continue
            else:
                kinds = []
            kinds += [kind for kind in (True, False) if (span.trace, span.id, kind) in told and kind not in kinds]
            for kind in kinds:
                parent = span.parent
                while parent and (span.trace, parent, kind) not in told:
                    told[span.trace, parent, kind] = None
                    above, around = by_id.get((span.trace, parent), (None, None))
                    parent = "" if above is None or around in CALL_LOCAL else above.parent
        if len(told) > _MOST_COVERED:
            for key in list(told)[: len(told) - _MOST_COVERED // 2]:
                del told[key]

    def _request(self, span: Span, operation: str) -> Fact | Problem:
        if flaw := _flaw(span):
            return Problem(self._name, span.line, *flaw)
        remarks: set[str] = set()
        values = _call(span, operation)
        try:
            _put_usage(span, values, remarks)
        except UsageError as refused:
            code = "negative-quantity" if "negative" in str(refused) else "unparsable-amount"
            return Problem(self._name, span.line, code, str(refused))
        _put_cost(span, values, remarks)
        if remarks:
            values["x_Remarks"] = ";".join(sorted(remarks))
        tags = {**span.origin.tags, **span.tags} if span.tags else span.origin.tags
        return Fact(f"{span.trace}/{span.id}", span.line, values, tags, SPANS_SOURCE)


def _flaw(span: Span) -> tuple[str, str] | None:
    """Why a span can be no row: the problem's code and message."""
    if not span.trace or not span.id:
        return "missing-identity", "a span without a trace id or a span id"
    if not 0 < span.start < _LAST or not 0 <= span.end < _LAST:
        return "unparsable-time" if span.start else "missing-time", "a span without a start time, or with none that is"
    if span.end and span.end < span.start:
        return "period-reversed", "a span ends before it starts"
    return None


def _call(span: Span, operation: str) -> dict[str, Value]:
    """The columns of a call beside its usage."""
    error = _text(span.facts, "error") or span.exception
    values: dict[str, Value] = {
        "start_time": _EPOCH + timedelta(microseconds=span.start // 1000),
        "x_Kind": "call",
        "x_Requests": 1,
        "x_Succeeded": 0 if span.failed or error else 1,
        "x_TraceId": span.trace,
        "x_SpanId": span.id,
    }
    if span.failed or error:
        values["error_type"] = error or "_OTHER"
    if span.end:
        values["end_time"] = _EPOCH + timedelta(microseconds=span.end // 1000)
        values["x_DurationSeconds"] = Decimal((span.end - span.start) // 1000).scaleb(-6)
    if provider := _text(span.facts, "provider"):
        values["gen_ai_provider_name"] = provider_name(provider)
    for column, found in (
        ("gen_ai_operation_name", operation),
        ("gen_ai_request_model", _text(span.facts, "request_model")),
        ("gen_ai_response_model", _text(span.facts, "response_model")),
        ("x_User", _text(span.facts, "user")),
        ("x_Service", span.origin.service),
        ("x_FirstTokenSeconds", _first_token(span)),
    ):
        if found:
            values[column] = found
    return values


def _operation(span: Span) -> str | None:
    """The convention's name of the operation; empty for a call that does not name it; None for what is no call."""
    facts = span.facts
    if not facts and not span.usage:
        return None
    for name in ALIASES["operation"]:
        if isinstance(said := facts.get(name), str) and said:
            folded = said.strip().lower()
            return OPERATIONS.get(folded, folded)
    if "traceloop.span.kind" in facts or not span.usage:
        return None
    return ""


def _text(facts: dict[str, Scalar], what: str) -> str | None:
    for name in ALIASES[what]:
        if (found := facts.get(name)) is not None and isinstance(found, (str, int)):
            text = str(found).strip()
            if text:
                return text[:512]
    return None


def _number(facts: dict[str, Scalar], what: str) -> Decimal | None:
    for name in ALIASES[what]:
        if (found := amount(facts.get(name))) is not None:
            return found
    return None


def _first_token(span: Span) -> Decimal | None:
    """Seconds to the first token, as the emitter says or by the event that marks it; never 0."""
    found = _number(span.facts, "first_token_seconds")
    if found is None and (millis := _number(span.facts, "first_token_millis")) is not None:
        found = millis.scaleb(-3)
    if found is None and span.first_token:
        found = Decimal((span.first_token - span.start) // 1000).scaleb(-6)
    if found is None or not 0 < found < 1_000_000:
        return None
    return found.quantize(_MICRO)


def _put_cost(span: Span, values: dict[str, Value], remarks: set[str]) -> None:
    """What the emitter reckoned the call to cost, from a price list of its own; its 0 means that it had no price."""
    cost = _number(span.facts, "cost")
    if cost is not None and 0 < cost < _MOST_COST:
        values["x_ReportedCost"] = cost
        values["x_ReportedCurrency"] = "USD"
        remarks.add("cost-by-emitter")


def _put_usage(span: Span, values: dict[str, Value], remarks: set[str]) -> None:
    """Puts the usage columns; none where the span has no usage. Raises :class:`UsageError` for what is no count."""
    context = _context(span, remarks)
    if not span.usage:
        if context:
            values["x_PriceContext"] = context_text(context)
        if values["x_Succeeded"]:
            remarks.add("no-usage")
        return
    usage = {
        name: count if type(count) is int and count < _MOST_COUNT else whole(name, count)
        for name, count in span.usage.items()
    }
    told = {USAGE_FACTS.get(name, name): count for name, count in usage.items()}
    provider = str(values.get("gen_ai_provider_name", ""))
    model = str(values.get("gen_ai_response_model") or values.get("gen_ai_request_model", ""))
    beside = _cache_beside(span, provider, model, told, remarks)
    if not _put_plain(usage, beside, values):
        found = normalise(provider, usage, flavor=f"opentelemetry{'.cache_beside' if beside else ''}")
        remarks.update(remark.code for remark in found.remarks)
        values |= {column: value for column, value in usage_values(found).items() if value is not None}
        values.pop("x_Remarks", None)
        for fact, column in _COLUMNS.items():
            if fact not in told and not values.get(column):
                values.pop(column, None)
    if context:
        values["x_PriceContext"] = context_text(context)


def _put_plain(usage: dict[str, int], beside: bool, values: dict[str, Value]) -> bool:
    """Puts usage that is plain: each count said once, all parts within their wholes. Nearly every span's is.

    It gives what ``normalise`` gives, at a twentieth of its price (the tests compare them); False where usage is not
    plain.
    """
    told: dict[str, int] = {}
    for name, count in usage.items():
        fact = USAGE_FACTS.get(name, "")
        if fact not in _FEW or count < 0 or told.setdefault(fact, count) != count:
            return False
    get = told.get
    reported, output, reasoning = get("input", 0), get("output", 0), get("reasoning", 0)
    read, written = get("cache_read", 0), get("cache_write", 0)
    entire = reported + read + written if beside else reported
    uncached = entire - read - written
    if uncached < 0 or reasoning > output or get("total", entire + output) != entire + output:
        return False
    for fact, column in _COLUMNS.items():
        if fact in told:
            values[column] = told[fact]
    if beside:
        values["gen_ai_usage_input_tokens"] = entire
    for column, quantity in (
        ("x_Meter_input", uncached),
        ("x_Meter_cache_read", read),
        ("x_Meter_cache_write", written),
        ("x_Meter_output", output - reasoning),
        ("x_Meter_output_reasoning", reasoning),
    ):
        if quantity:
            values[column] = quantity
    values["x_Meter_requests"] = 1
    return True


def _cache_beside(span: Span, provider: str, model: str, told: dict[str, int], remarks: set[str]) -> bool:
    """Whether the input leaves the cache out. Only a doubt for Anthropic's models, whose own count does."""
    cached = told.get("cache_read", 0) + told.get("cache_write", 0)
    if not cached or "input" not in told:
        return False
    if provider not in ("anthropic", "aws.bedrock") and "claude" not in model.lower():
        return False
    reported = told["input"]
    if told.get("total") == reported + cached + told.get("output", 0):
        return True
    if "cache_miss" in told:
        return told["cache_miss"] == reported
    scope = span.origin.scope
    if scope.partition(".")[0] in CACHE_BESIDE:
        return True
    if scope not in CACHE_INSIDE and cached <= reported:
        remarks.add("cache-meaning-assumed")
    return False


def _context(span: Span, remarks: set[str]) -> dict[str, str]:
    """The service tier that answered; the one that was asked for where that is not told."""
    tier = _text(span.facts, "service_tier")
    if tier is None and (tier := _text(span.facts, "service_tier_asked")) and tier.lower() not in ORDINARY:
        remarks.add("tier-as-asked")
    return {"service_tier": tier.lower()} if tier and tier.lower() not in ORDINARY else {}


def whole(name: str, count: Scalar) -> int:
    """A count that an emitter sent as a double or as text. Raises :class:`UsageError` for what is none."""
    found = None if isinstance(count, bool) else amount(count)
    if found is None or abs(found) >= _MOST_COUNT or found != int(found):
        raise UsageError(f"{str(count)[:40]!r} is not a whole number.", where=name, hint="Counts are integers.")
    return int(found)
