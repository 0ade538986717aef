"""OpenTelemetry GenAI metrics become buckets of requests.

Read are the histogram ``gen_ai.client.token.usage`` (by ``gen_ai.token.type``; its count is the number of calls) and
the counters ``gen_ai.client.inference.usage.*`` that replace it (with cache and reasoning, by modality; without the
number of calls). Points of one window that differ only in type or modality are one row.

A delta point is a bucket. A cumulative one tells everything since its process began, so the point before is taken off;
the first one seen is taken whole, from the time the process began.

The traps: a histogram has no cache split, so all input is priced as uncached. And the spans of the same service tell
the same tokens: rows from here have the source ``otlp-metrics`` and the remark ``from-metrics``. Outlay's own
gateway tells its calls by events, so its metrics are passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outlay.errors import UsageError
from outlay.prices.usage import normalise
from outlay.problems import Problem
from outlay.sources.facts import Fact, Value
from outlay.sources.usage.otel_attributes import ALIASES, MODEL_OPERATIONS, OPERATIONS
from outlay.sources.usage.otel_providers import provider_name
from outlay.sources.usage.otel_span import MetricPoint, forget_oldest
from outlay.sources.usage.otel_usage import whole
from outlay.sources.usage.row import usage_values
from outlay.spool.kinds import GATEWAY_SCOPE

__all__ = ["METRICS_SOURCE", "GenAiMetrics", "LastPoint", "Series", "is_read"]

METRICS_SOURCE = "otlp-metrics"
"""Source of requests from metrics, apart from spans' so that one of the two can be left out."""

_EPOCH = datetime(1970, 1, 1)
_LAST = 253_402_300_800 * 10**9
_HISTOGRAMS = frozenset({"gen_ai.client.token.usage", "gen_ai.client.inference.tokens"})
_COUNTERS = "gen_ai.client.inference.usage."
_COUNTED = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read.input_tokens",
        "cache_write.input_tokens",
        "cache_creation.input_tokens",
        "reasoning.output_tokens",
    }
)
_TYPES = {"input": "input_tokens", "output": "output_tokens", "completion": "output_tokens", "prompt": "input_tokens"}
_MODALITIES = frozenset({"text", "audio", "image", "video"})
_FACTS = ("operation", "provider", "request_model", "response_model", "error", "user")
_COLUMNS = {
    "provider": "gen_ai_provider_name",
    "request_model": "gen_ai_request_model",
    "response_model": "gen_ai_response_model",
    "operation": "gen_ai_operation_name",
    "error": "error_type",
    "user": "x_User",
}
_TOLD = {
    "gen_ai.usage.input_tokens": "gen_ai_usage_input_tokens",
    "gen_ai.usage.output_tokens": "gen_ai_usage_output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "gen_ai_usage_cache_read_input_tokens",
    "gen_ai.usage.cache_write.input_tokens": "gen_ai_usage_cache_write_input_tokens",
    "gen_ai.usage.reasoning.output_tokens": "gen_ai_usage_reasoning_output_tokens",
}

Series = tuple[object, ...]
LastPoint = tuple[int, int, int, int]


@dataclass(slots=True)
class _Bucket:
    """What one window of one set of attributes adds up to; ``usage`` by the attribute that a span would have."""

    point: MetricPoint
    facts: dict[str, str]
    tags: dict[str, str]
    start: int
    usage: dict[str, int] = field(default_factory=dict)
    calls: int | None = None
    histogram: dict[str, int] = field(default_factory=dict)
    remarks: set[str] = field(default_factory=lambda: {"from-metrics"})


def is_read(metric: str) -> bool:
    """Whether points of this metric are read."""
    return metric in _HISTOGRAMS or (metric.startswith(_COUNTERS) and metric.removeprefix(_COUNTERS) in _COUNTED)


class GenAiMetrics:
    """Turns batches of metric points into buckets. One for each file or receiver: it remembers cumulative points.

    ``before`` is that memory, for a receiver to keep over its restarts: series -> start, time, total and count of its
    last cumulative point.
    """

    def __init__(self, name: str, before: Mapping[Series, LastPoint] | None = None) -> None:
        self._name = name
        self.before: dict[Series, LastPoint] = dict(before or {})

    def facts(self, points: Iterable[MetricPoint]) -> Iterator[Fact | Problem]:
        """Buckets and problems of one batch."""
        buckets: dict[Series, _Bucket] = {}
        for point in points:
            if point.origin.scope == GATEWAY_SCOPE:
                continue
            try:
                flaw = self._add(point, buckets)
            except UsageError as refused:
                flaw = Problem(self._name, point.line, "unparsable-amount", str(refused))
            if flaw is not None:
                yield flaw
        for key, bucket in buckets.items():
            yield from self._bucket(key, bucket)
        forget_oldest(self.before)

    def _add(self, point: MetricPoint, buckets: dict[Series, _Bucket]) -> Problem | None:
        """Adds a point to its bucket. Raises :class:`UsageError` for totals that are no counts."""
        if point.total is None or not 0 < point.end < _LAST or not 0 <= point.start <= point.end:
            code = "missing-time" if not point.end else "missing-amount" if point.total is None else "unparsable-time"
            return Problem(
                self._name, point.line, code, f"a point of {point.metric} without a sum or with no such time"
            )
        total, calls = whole(point.metric, point.total), whole("count", point.count or 0)
        if total < 0 or calls < 0:
            return Problem(self._name, point.line, "negative-quantity", f"a point of {point.metric} counts {total}")
        facts = {
            what: text
            for what in _FACTS
            if (text := next((str(f) for n in ALIASES[what] if (f := point.facts.get(n))), ""))
        }
        facts["operation"] = OPERATIONS.get(facts.get("operation", "").lower(), facts.get("operation", ""))
        if facts["operation"] and facts["operation"] not in MODEL_OPERATIONS:
            return None
        tags = {**point.origin.tags, **point.tags}
        shared: Series = (
            point.origin.service or "",
            point.origin.scope,
            point.origin.scope_version,
            tuple(sorted(facts.items())),
            tuple(sorted(tags.items())),
        )
        start, remark = point.start, ""
        if point.cumulative:
            series = (*shared, point.metric, point.token_type, point.modality)
            before = self.before.pop(series, None)  # and in again, so that what ended long ago is the oldest
            if before and before[0] == point.start and point.end <= before[1]:
                self.before[series] = before
                return None  # sent again
            self.before[series] = (point.start, point.end, total, calls)
            if before is None:
                remark = "cumulative-since-start"
            elif before[0] == point.start and total >= before[2] and calls >= before[3]:
                start, total, calls = before[1], total - before[2], calls - before[3]
            elif before[0] == point.start:
                start, remark = before[1], "counter-reset"  # it fell without saying that it began again
        if not total and not calls:
            return None
        bucket = buckets.setdefault((*shared, point.end), _Bucket(point, facts, tags, start))
        bucket.start = min(bucket.start, start)  # an SDK dates each type from its own first record
        bucket.remarks |= {remark} if remark else set()
        _count(bucket, point, total, calls)
        return None

    def _bucket(self, key: Series, bucket: _Bucket) -> Iterator[Fact | Problem]:
        point = bucket.point
        start, end = bucket.start, point.end
        usage = bucket.usage or bucket.histogram  # the counters say more; the histogram says the same again
        try:
            found = normalise(bucket.facts.get("provider", ""), usage, flavor="opentelemetry")
        except UsageError as refused:
            yield Problem(self._name, point.line, "unparsable-amount", str(refused))
            return
        values: dict[str, Value] = {
            column: value
            for column, value in usage_values(found).items()
            if value is not None and column != "x_Meter_requests"
        }
        for name, column in _TOLD.items():
            if name not in usage and not values.get(column):
                values.pop(column, None)
        values |= {
            "start_time": _EPOCH + timedelta(microseconds=(start or end) // 1000),
            "end_time": _EPOCH + timedelta(microseconds=end // 1000),
            "x_Kind": "bucket",
            "x_Remarks": ";".join(sorted(bucket.remarks | {remark.code for remark in found.remarks})),
        }
        if bucket.calls:
            values |= {"x_Requests": bucket.calls, "x_Meter_requests": bucket.calls}
        values |= {column: bucket.facts[what] for what, column in _COLUMNS.items() if bucket.facts.get(what)}
        if provider := bucket.facts.get("provider"):
            values["gen_ai_provider_name"] = provider_name(provider)
        if point.origin.service:
            values["x_Service"] = point.origin.service
        identity = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        yield Fact(identity, point.line, values, bucket.tags, METRICS_SOURCE)


def _count(bucket: _Bucket, point: MetricPoint, total: int, calls: int) -> None:
    """Adds ``total`` to what the point counts."""
    if point.metric in _HISTOGRAMS:
        name = _TYPES.get((point.token_type or "").lower())
        if name is None:
            bucket.remarks.add("token-type-unknown")
            return
        attribute = f"gen_ai.usage.{name}"
        bucket.histogram[attribute] = bucket.histogram.get(attribute, 0) + total
        bucket.calls = max(bucket.calls or 0, calls) or None
        return
    name = point.metric.removeprefix(_COUNTERS).replace("cache_creation.", "cache_write.")
    names = [f"gen_ai.usage.{name}"]
    if point.modality in _MODALITIES and not name.startswith(("reasoning", "cache_write")):
        names.append(f"gen_ai.usage.{point.modality}.{name}")
    for attribute in names:
        bucket.usage[attribute] = bucket.usage.get(attribute, 0) + total
