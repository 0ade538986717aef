"""OpenTelemetry of the services that no report of a provider tells of: metrics of most days, spans of the last ones.

A day of a service is told by one of the two only, so that nothing is counted twice. The chat model has too many calls
for spans; it has metrics to the end.

The company's Azure rates are negotiated, which a price list does not know: the one cause by which the price of this
usage and the bill differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from outlay.demo.facts.callers import Caller, callers, first_told_day, tokens_of
from outlay.demo.facts.metrics import metrics_told, write_metrics
from outlay.demo.facts.services import Service, azure_services, chat_service, embedding_service
from outlay.demo.facts.spans import spans_told, write_spans
from outlay.demo.lines import Calendar, Line, day_text
from outlay.money import plain

__all__ = ["write_traces"]

_ROWS_A_DAY, _MOST_DAYS, _MOST_SPANS = 7_000, 28, 200_000
"""Rows of bills for which a day more of spans is written; the most days and spans."""


def write_traces(
    folder: Path, lines: Sequence[Line], calendar: Calendar, seed: int, rows: int
) -> tuple[list[Path], dict[str, object]]:
    """Writes the spans and the metrics; returns the files and what they hold."""
    first, last = first_told_day(lines, "azure-openai", calendar), calendar.last_day
    azure = callers(lines, "azure-openai", calendar, first, last)
    traced = [*azure_services(azure), embedding_service(calendar, seed)]
    since = _since(traced, calendar, rows)
    called = [service for one in traced if (service := one.between(since, last)).days]
    counted = [*(one.between(first, since) for one in traced), chat_service(calendar, seed)]
    spans, metrics = folder / "synthetic-otlp-spans.jsonl.gz", folder / "synthetic-otlp-metrics.jsonl"
    write_spans(spans, called, seed)
    write_metrics(metrics, counted, calendar)
    told: dict[str, object] = {
        "otlp-spans": {
            "since": day_text(since),
            "until": day_text(last - 1),
            "spans": sum(service.calls(day) + service.failed(day) for service in called for day in service.days),
            "use_cases": spans_told(called),
            **_azure_told(azure, range(since, last)),
        },
        "otlp-metrics": {
            "since": day_text(first),
            "until": day_text(since - 1),
            "until_is": "the chat service goes on to the end",
            "use_cases": metrics_told(counted),
            **_azure_told(azure, range(first, since)),
        },
    }
    return [spans, metrics], told


def _since(services: Iterable[Service], calendar: Calendar, rows: int) -> int:
    """The first day of spans: a day at least, and not too many spans."""
    days = min(_MOST_DAYS, max(1, rows // _ROWS_A_DAY), calendar.days)
    spans = 0
    for back in range(1, days + 1):
        day = calendar.last_day - back
        spans += sum(service.calls(day) + service.failed(day) for service in services if day in service.days)
        if spans > _MOST_SPANS and back > 1:
            return day + 1
    return calendar.last_day - days


def _azure_told(azure: Sequence[Caller], days: range) -> dict[str, object]:
    """Tokens of the Azure callers on ``days``, and why their price differs from the bill."""
    billed = sum((caller.cost(at_list=False, days=days) for caller in azure), Decimal(0))
    listed = sum((caller.cost(at_list=True, days=days) for caller in azure), Decimal(0))
    return {
        "tokens_by_model": tokens_of(azure, days),
        "reconciliation": {
            "billed": plain(billed),
            "usage_priced_at_list": plain(listed),
            "difference": plain(listed - billed),
            "causes": {"negotiated-rate": plain(listed - billed)},
        },
    }
