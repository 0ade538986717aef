"""What the gateway counts of itself, for Prometheus: spend, holds, denials, and what it adds to a call.

Counting is adding to a number; names and labels are put together when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from outlay.gateway.denials import Denials
from outlay.gateway.metering.event import CallEvent
from outlay.operate.quotas.ask import Amounts, Denied, Held
from outlay.operate.quotas.book import Standing
from outlay.operate.quotas.limit import REQUESTS, TOKENS, in_unit

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["Meters"]

_MOST_NAMES = 2_000
"""Different models and teams that are counted by name: callers choose them, and each is kept and shown for good."""
_MICROSECONDS = (500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000)


class Meters:
    """The counts of one gateway since it started; ``denials`` has those for the ledger."""

    def __init__(self, denials: Denials) -> None:
        self.denials = denials
        self._calls: Counter[tuple[str, ...]] = Counter()
        self._spend: Counter[tuple[str, ...]] = Counter()
        self._tokens: Counter[tuple[str, ...]] = Counter()
        self._denials: Counter[tuple[str, ...]] = Counter()
        self._shadowed: Counter[tuple[str, ...]] = Counter()
        self._slowed: Counter[tuple[str, ...]] = Counter()
        self._retries: Counter[tuple[str, ...]] = Counter()
        self._refusals: Counter[tuple[str, ...]] = Counter()
        self._over: Counter[tuple[str, ...]] = Counter()
        self._telemetry: Counter[tuple[str, ...]] = Counter()
        self._names: dict[str, set[str]] = {"team": set(), "model": set()}
        self._routed: Counter[tuple[str, ...]] = Counter()
        self._saved: Counter[tuple[str, ...]] = Counter()
        self._cache: Counter[tuple[str, ...]] = Counter()
        self._cache_saved: Counter[tuple[str, ...]] = Counter()
        self._unheld = 0
        self._overhead: list[int] = [0] * (len(_MICROSECONDS) + 1)
        self._overhead_sum = 0

    def settled(self, event: CallEvent, used: Amounts, bound: Amounts) -> None:
        """A call that was settled."""
        upstream = event.attributes.get("upstream", "")
        team, model = self._known("team", event.attributes.get("team", "")), self._known("model", event.sent_model)
        self._calls[upstream, model, event.settled, str(event.status or "")] += 1
        for measure, amount in used.items():
            if measure == TOKENS:
                self._tokens[team, upstream, model] += amount
            elif measure != REQUESTS:
                self._spend[team, upstream, model, measure] += amount
            if amount > bound.get(measure, amount):
                self._over[upstream, measure] += 1

    def _known(self, kind: str, name: str) -> str:
        """A name by which is counted; ``other`` once there are too many of its kind."""
        names = self._names[kind]
        if name not in names:
            if len(names) >= _MOST_NAMES:
                return "other"
            names.add(name)
        return name

    def denied(self, denied: Denied, attributes: Mapping[str, str]) -> None:
        """A call that a quota did not let through."""
        self._denials[denied.quota or "", denied.reason] += 1
        self.denials.add(denied, attributes)

    def shadowed(self, denied: Denied) -> None:
        """A call that a quota in shadow mode would not have let through."""
        self._shadowed[denied.quota or "",] += 1

    def slowed(self, held: Held) -> None:
        """A call that was slowed."""
        self._slowed[held.slowed_by or "",] += 1

    def refused(self, kind: str) -> None:
        """A call that was refused for anything but a quota."""
        self._refusals[kind,] += 1

    def retried(self, upstream: str, status: int) -> None:
        """A try after which there is another."""
        self._retries[upstream, str(status)] += 1

    def routed(self, rule: str, outcome: str) -> None:
        """A call that a rule was about, and what became of it."""
        self._routed[rule, outcome] += 1

    def saved(self, rule: str, currency: str, amount: int) -> None:
        """What a rule saved with a call, by estimate; less than 0 where it lost."""
        self._saved[rule, currency] += amount

    def cache(self, outcome: str, currency: str = "", saved: int = 0) -> None:
        """A call that might have been answered before: ``hit`` or ``miss``."""
        self._cache[outcome,] += 1
        if saved:
            self._cache_saved[currency,] += saved

    def unheld(self) -> None:
        """A call that went without a hold, because the settings let it."""
        self._unheld += 1

    def telemetry(self, signal: str, outcome: str, number: int) -> None:
        """What became of so many spans, or of the metrics, on their way to an OpenTelemetry backend."""
        self._telemetry[signal, outcome] += number

    def added(self, microseconds: int) -> None:
        """What the gateway took before a call went out."""
        self._overhead_sum += microseconds
        self._overhead[bisect_left(_MICROSECONDS, microseconds)] += 1

    def metrics(self, standings: Iterable[Standing], wrong: str | None) -> Iterator[Metric]:
        """All counts as Prometheus' metrics."""
        from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

        yield _counter("calls", "Calls of providers", ("upstream", "model", "settled_by", "status"), self._calls)
        spend = {labels: float(in_unit(amount, labels[3])) for labels, amount in self._spend.items()}
        yield _counter("spend", "Money spent", ("team", "upstream", "model", "currency"), spend)
        yield _counter("tokens", "Tokens used", ("team", "upstream", "model"), self._tokens)
        yield _counter("denials", "Calls that quotas denied", ("quota", "reason"), self._denials)
        yield _counter("shadow_denials", "Calls that shadow quotas would deny", ("quota",), self._shadowed)
        yield _counter("slowed", "Calls that were slowed", ("quota",), self._slowed)
        yield _counter("refusals", "Calls that were refused otherwise", ("kind",), self._refusals)
        yield _counter("retries", "Tries that were followed by another", ("upstream", "status"), self._retries)
        yield _counter("routed", "Calls that a rule was about", ("rule", "outcome"), self._routed)
        saved = GaugeMetricFamily(
            "outlay_gateway_route_saved",
            "Money that rules saved by estimate, since the start",
            labels=["rule", "currency"],
        )
        for labels, amount in self._saved.items():
            saved.add_metric(list(labels), float(in_unit(amount, labels[1])))
        yield saved
        yield _counter("cache", "Calls that may have been answered before", ("outcome",), self._cache)
        spared = {labels: float(in_unit(amount, labels[0])) for labels, amount in self._cache_saved.items()}
        yield _counter("cache_saved", "Money that answers of before saved", ("currency",), spared)
        yield _counter("over_bound", "Calls that used more than the bound", ("upstream", "measure"), self._over)
        yield _counter("unheld", "Calls let through without a hold", (), {(): self._unheld})
        yield _counter("telemetry", "Spans and metrics for OpenTelemetry", ("signal", "outcome"), self._telemetry)
        yield self._histogram(HistogramMetricFamily)
        gauges = {
            name: GaugeMetricFamily(f"outlay_gateway_quota_{name}", help, labels=["quota", "values", "measure"])
            for name, help in (
                ("limit", "Limit"),
                ("spent", "Spent in the window"),
                ("held", "Held now"),
            )
        }
        for one in standings:
            measure = one.quota.limit.measure
            quota = [one.quota.id, ",".join(one.values), measure]
            for name, amount in (("limit", one.quota.limit.amount), ("spent", one.spent), ("held", one.held)):
                gauges[name].add_metric(quota, float(in_unit(amount, measure)))
        yield from gauges.values()
        yield GaugeMetricFamily("outlay_gateway_healthy", "1 while holds can be kept", value=0 if wrong else 1)

    def _histogram(self, family: type[Metric]) -> Metric:
        total, buckets = 0, []
        for most, number in zip((*(str(one / 1e6) for one in _MICROSECONDS), "+Inf"), self._overhead, strict=True):
            total += number
            buckets.append((most, total))
        found = family("outlay_gateway_overhead_seconds", "What the gateway adds before a call goes out")  # type: ignore[call-arg]
        found.add_metric([], buckets, self._overhead_sum / 1e6)  # type: ignore[attr-defined]
        return found


def _counter(name: str, help: str, labels: tuple[str, ...], counts: Mapping[tuple[str, ...], float]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    found = CounterMetricFamily(f"outlay_gateway_{name}", help, labels=labels)
    for values, number in counts.items():
        found.add_metric(list(values), number)
    return found
