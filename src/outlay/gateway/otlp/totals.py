"""The metrics of calls: tokens and durations as the GenAI conventions have them, and what was spent.

All are cumulative since the gateway started. Tokens are counted where the provider told them; a call that was settled
at its bound has a cost and a duration, and no tokens.

The names of models and teams are the callers' to choose, and each set of attributes is kept and sent for good. Beyond
``most`` sets of a metric all further calls are one series with ``otel.metric.overflow``, as in OpenTelemetry's SDKs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from outlay.gateway.otlp.span import Attribute, Told, error_type, key_values, server

__all__ = ["Totals"]

_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_TOKEN_BOUNDS = tuple(float(4**n) for n in range(14))
_SECOND_BOUNDS = tuple(0.01 * 2**n for n in range(14))
"""Both as the conventions advise: four to the 0th to 13th, and from 10 ms on, doubling."""
_MOST_SERIES = 2_000
_OVERFLOW = (("otel.metric.overflow", True),)

_Series = tuple[tuple[str, Attribute], ...]


@dataclass(slots=True)
class _Spread:
    """The values of one series, by bucket."""

    buckets: list[int]
    total: float = 0.0
    count: int = 0


@dataclass(slots=True)
class _Histogram:
    bounds: tuple[float, ...]
    series: dict[_Series, _Spread] = field(default_factory=dict)

    def add(self, series: _Series, value: float, most: int) -> None:
        """Count a value; one on a bound is below it."""
        found = self.series.get(series)
        if found is None:
            series = series if len(self.series) < most else _OVERFLOW
            found = self.series.setdefault(series, _Spread([0] * (len(self.bounds) + 1)))
        found.buckets[bisect_left(self.bounds, value)] += 1
        found.total += value
        found.count += 1

    def metric(self, name: str, unit: str, description: str, *, began: int, now: int) -> Metric:
        points = [
            HistogramDataPoint(
                attributes=key_values(dict(series)),
                start_time_unix_nano=began,
                time_unix_nano=now,
                count=one.count,
                sum=one.total,
                bucket_counts=one.buckets,
                explicit_bounds=self.bounds,
            )
            for series, one in self.series.items()
        ]
        histogram = Histogram(data_points=points, aggregation_temporality=_CUMULATIVE)
        return Metric(name=name, unit=unit, description=description, histogram=histogram)


class Totals:
    """What was counted since ``began``, in nanoseconds since 1970."""

    def __init__(self, began: int, most: int = _MOST_SERIES) -> None:
        self._began, self._most = began, most
        self._tokens = _Histogram(_TOKEN_BOUNDS)
        self._seconds = _Histogram(_SECOND_BOUNDS)
        self._cost: dict[_Series, Decimal] = {}

    def add(self, told: Told) -> None:
        """Count a call."""
        event = told.event
        call: dict[str, Attribute] = {
            "gen_ai.operation.name": event.operation,
            "gen_ai.provider.name": event.provider,
            "gen_ai.request.model": event.asked_model,
            "gen_ai.response.model": event.answered_model or event.sent_model,
            **server(told),
        }
        whose = {f"outlay.{name}": event.attributes.get(name, "") for name in ("team", "use_case", "environment")}
        failed = error_type(event)
        if event.duration is not None:
            self._seconds.add(_series(call, {"error.type": failed} if failed else {}), event.duration / 1e6, self._most)
        if (usage := event.usage) is not None:
            for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
                self._tokens.add(_series(call, whose, {"gen_ai.token.type": kind}), count, self._most)
        if event.cost is not None and event.currency is not None:
            series = _series(call, whose, {"outlay.currency": event.currency, "outlay.settled": event.settled})
            if series not in self._cost and len(self._cost) >= self._most:
                series = _series({"outlay.currency": event.currency}, dict(_OVERFLOW))  # amounts are never converted
            self._cost[series] = self._cost.get(series, Decimal(0)) + Decimal(event.cost)

    def metrics(self, now: int) -> list[Metric]:
        """All that was counted, as of ``now`` in nanoseconds since 1970; a metric that counted nothing is left out."""
        began = self._began
        cost = [
            NumberDataPoint(
                attributes=key_values(dict(series)),
                start_time_unix_nano=began,
                time_unix_nano=now,
                as_double=float(amount),
            )
            for series, amount in self._cost.items()
        ]
        found = []
        if self._tokens.series:
            found.append(
                self._tokens.metric("gen_ai.client.token.usage", "{token}", "Tokens used", began=began, now=now)
            )
        if self._seconds.series:
            name, text = "gen_ai.client.operation.duration", "Duration of calls, as their callers saw it"
            found.append(self._seconds.metric(name, "s", text, began=began, now=now))
        if cost:
            total = Sum(data_points=cost, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
            found.append(Metric(name="outlay.cost", unit="1", description="Money spent, in its currency", sum=total))
        return found


def _series(*parts: Mapping[str, Attribute]) -> _Series:
    return tuple(item for part in parts for item in part.items())
