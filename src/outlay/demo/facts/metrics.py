"""Metrics: what services count of their own calls, by the day.

The histogram ``gen_ai.client.token.usage`` counts calls and tokens by direction. A service that reads from a cache also
has the counters ``gen_ai.client.inference.usage.*``, since the histogram can't tell cached input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from outlay.demo.facts.otlp import DAY_NANOSECONDS, attributes, called, request
from outlay.demo.facts.services import Service
from outlay.demo.lines import Calendar

__all__ = ["metrics_told", "write_metrics"]

_HISTOGRAM, _COUNTER = "gen_ai.client.token.usage", "gen_ai.client.inference.usage."


def write_metrics(path: Path, services: Sequence[Service], calendar: Calendar) -> None:
    """Writes a line a service and month, with a delta point a day."""
    with path.open("w", encoding="utf-8") as file:
        for service in services:
            for _, first, last in calendar.months:
                month = service.between(first, last)
                if month.days:
                    file.write(request("resourceMetrics", "scopeMetrics", service, "metrics", _metrics(month)))


def _metrics(service: Service) -> Iterator[str]:
    points = [
        _point(service, day, f'"count":"{service.calls(day)}","sum":{tokens}', {"gen_ai.token.type": direction})
        for day in service.days
        for direction, tokens in _directions(service, day).items()
    ]
    yield _metric(_HISTOGRAM, f'"histogram":{{"aggregationTemporality":1,"dataPoints":[{",".join(points)}]}}')
    if not any("read" in used for used in service.days.values()):
        return
    for name in ("input_tokens", "output_tokens", "cache_read.input_tokens"):
        points = [_point(service, day, f'"asInt":"{_count(service, day, name)}"', {}) for day in service.days]
        total = f'"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{",".join(points)}]'
        yield _metric(_COUNTER + name, f'"sum":{{{total}}}')


def _metric(name: str, data: str) -> str:
    return f'{{"name":"{name}","unit":"{{token}}",{data}}}'


def _point(service: Service, day: int, value: str, own: dict[str, str]) -> str:
    since, until = day * DAY_NANOSECONDS, (day + 1) * DAY_NANOSECONDS
    times = f'"startTimeUnixNano":"{since}","timeUnixNano":"{until}"'
    return f'{{"attributes":[{attributes({**called(service), **own})}],{times},{value}}}'


def _directions(service: Service, day: int) -> dict[str, int]:
    used = service.days[day]
    found = {"input": used["uncached"] + used.get("read", 0)}
    return found | ({"output": used["output"]} if "output" in used else {})


def _count(service: Service, day: int, name: str) -> int:
    if name.startswith("cache_read"):
        return service.days[day].get("read", 0)
    return _directions(service, day)[name.partition("_")[0]]


def metrics_told(services: Sequence[Service]) -> dict[str, object]:
    """Calls and tokens of each use case."""
    return {
        service.use_case: {
            "model": service.model,
            "requests": sum(map(service.calls, service.days)),
            "input_tokens": sum(_directions(service, day)["input"] for day in service.days),
            "output_tokens": sum(_directions(service, day).get("output", 0) for day in service.days),
            "read_tokens": sum(used.get("read", 0) for used in service.days.values()),
        }
        for service in services
        if service.days
    }
