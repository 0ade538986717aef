"""The usage columns of a span's call.

Counts go through :func:`outlay.prices.usage.normalise`, the one place that knows what they mean. Whether Anthropic's
input holds the cache is told by the emitter, else by arithmetic, else taken as the convention says and remarked on.
"""

from __future__ import annotations

from decimal import Decimal

from outlay.errors import UsageError
from outlay.prices.usage import normalise
from outlay.sources.facts import Value, amount
from outlay.sources.usage.otel_attributes import ALIASES, CACHE_BESIDE, CACHE_INSIDE, ESTIMATES_STREAMS, USAGE_FACTS
from outlay.sources.usage.otel_call import Said
from outlay.sources.usage.otel_span import Scalar, Span, number
from outlay.sources.usage.row import usage_values

__all__ = ["NOT_TOLD", "USAGE_COLUMNS", "compaction", "put_cost", "put_usage", "whole"]

NOT_TOLD = "usage-not-told"
"""Remark of a call that succeeded and whose span has no counts."""

USAGE_COLUMNS = {
    "input": "gen_ai_usage_input_tokens",
    "output": "gen_ai_usage_output_tokens",
    "cache_read": "gen_ai_usage_cache_read_input_tokens",
    "cache_write": "gen_ai_usage_cache_write_input_tokens",
    "reasoning": "gen_ai_usage_reasoning_output_tokens",
}
"""Which total is which column; null where an emitter does not tell it."""

_MOST_COST = 10**9
_LEAST_COST = Decimal("1e-18")
_MOST_COUNT = 10**15
_PLAIN = frozenset({*USAGE_COLUMNS, "cache_write_5m", "cache_write_1h", "total"})
_OF_THE_CALL = frozenset({"x_Succeeded", "error_type", "x_DurationSeconds", "x_FirstTokenSeconds"})


def put_cost(span: Span, values: dict[str, Value], remarks: set[str]) -> None:
    """What the emitter reckoned the call to cost, from a price list of its own; its 0 means that it had no price."""
    cost = number(span.figures, "cost")
    if cost is None or not 0 < cost < _MOST_COST:
        return
    if cost := cost.quantize(_LEAST_COST):  # a double's last digits are noise, and no column holds them
        values["x_ReportedCost"] = cost
        values["x_ReportedCurrency"] = "USD"
        remarks.add("cost-by-emitter")


def put_usage(span: Span, said: Said, values: dict[str, Value], remarks: set[str]) -> None:
    """Puts the usage columns; none where the span has no usage. Raises :class:`UsageError` for what is no count."""
    if not span.usage:
        if values["x_Succeeded"]:
            remarks.add(NOT_TOLD)
        return
    usage = {
        name: count if type(count) is int and count < _MOST_COUNT else whole(name, count)
        for name, count in span.usage.items()
    }
    told = {USAGE_FACTS.get(name, name): count for name, count in usage.items()}
    provider = str(values.get("gen_ai_provider_name", ""))
    model = str(values.get("gen_ai_response_model") or values.get("gen_ai_request_model", ""))
    beside = _cache_beside(span, provider, model, told, remarks)
    if not _put_plain(usage, told, beside, values):
        found = normalise(provider, usage, flavor=f"opentelemetry{'.cache_beside' if beside else ''}")
        remarks.update(remark.code for remark in found.remarks)
        values |= {
            column: value
            for column, value in usage_values(found).items()
            if value is not None and column != "x_Remarks" and column not in said.columns
        }
        for fact, column in USAGE_COLUMNS.items():
            if fact not in told and not values.get(column):
                values.pop(column, None)
    if span.origin.scope in ESTIMATES_STREAMS and said.streams and "cache_read" not in told:
        remarks.add("usage-estimated")


def compaction(span: Span, values: dict[str, Value]) -> dict[str, Value]:
    """The row of a compaction of the context, which Anthropic's SDK tells beside the call's usage; empty for none."""
    counts = [
        whole(name, count)
        for name in (*ALIASES["compaction_input"], *ALIASES["compaction_output"])
        if (count := span.figures.get(name)) is not None
    ]
    if len(counts) != 2 or not any(counts):
        return {}
    usage = dict(zip(("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"), counts, strict=True))
    row: dict[str, Value] = {name: value for name, value in values.items() if name not in _OF_THE_CALL}
    row = {name: value for name, value in row.items() if not name.startswith(("x_Meter_", "gen_ai_usage_"))}
    if not _put_plain(usage, {USAGE_FACTS[name]: count for name, count in usage.items()}, False, row):
        raise UsageError("a compaction's count is negative.", where=span.id, hint="Counts are integers.")
    del row["x_Meter_requests"]
    return {**row, "x_Requests": 0, "x_Remarks": "cache-not-told"}


def _put_plain(usage: dict[str, int], told: dict[str, int], beside: bool, values: dict[str, Value]) -> bool:
    """Puts usage that is plain: each count said once, all parts within their wholes. Nearly every span's is.

    ``told`` is ``usage`` by which count it is. It gives what ``normalise`` gives, at a twentieth of its price (the
    tests compare them); False where usage is not plain.
    """
    if not _PLAIN.issuperset(told) or min(told.values()) < 0:
        return False
    if len(told) < len(usage) and any(told[USAGE_FACTS[name]] != count for name, count in usage.items()):
        return False
    get = told.get
    reported, output, reasoning = get("input", 0), get("output", 0), get("reasoning", 0)
    read, written = get("cache_read", 0), get("cache_write", 0)
    short, long = get("cache_write_5m", 0), get("cache_write_1h", 0)
    if short + long and short + long != written:
        return False
    entire = reported + read + written if beside else reported
    uncached = entire - read - written
    if uncached < 0 or reasoning > output or get("total", entire + output) != entire + output:
        return False
    for fact, count in told.items():
        if column := USAGE_COLUMNS.get(fact):
            values[column] = count
    if beside:
        values["gen_ai_usage_input_tokens"] = entire
    for column, quantity in (
        ("x_Meter_input", uncached),
        ("x_Meter_cache_read", read),
        ("x_Meter_cache_write", written - short - long),
        ("x_Meter_cache_write_5m", short),
        ("x_Meter_cache_write_1h", long),
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
    if scope in CACHE_BESIDE:
        return True
    if scope not in CACHE_INSIDE and cached <= reported:
        remarks.add("cache-meaning-assumed")
    return False


def whole(name: str, count: Scalar) -> int:
    """A count that an emitter sent as a double or as text. Raises :class:`UsageError` for what is none."""
    found = None if isinstance(count, bool) else amount(count)
    if found is None or abs(found) >= _MOST_COUNT or found != int(found):
        raise UsageError(f"{str(count)[:40]!r} is not a whole number.", where=name, hint="Counts are integers.")
    return int(found)
