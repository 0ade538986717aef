"""Spans: each call of the last days, with planted durations and failures.

A call that failed used no tokens, so the tokens of a day's spans are the service's to the last one.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

from outlay.demo.chance import key_of, mix
from outlay.demo.facts.otlp import DAY_NANOSECONDS, attributes, called, request
from outlay.demo.facts.services import Service
from outlay.money import plain

__all__ = ["spans_told", "write_spans"]

_BATCH = 500
_FEW = 100
"""Calls of a day below which no percentile is planted."""


def write_spans(path: Path, services: Sequence[Service], seed: int) -> None:
    """Writes the calls of ``services``, batch by batch, gzipped."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as file:
        for service in services:
            for day in service.days:
                spans = list(_spans(service, day, f"{seed}/{service.team}/{service.use_case}/{service.model}/{day}"))
                for start in range(0, len(spans), _BATCH):
                    batch = spans[start : start + _BATCH]
                    file.write(request("resourceSpans", "scopeSpans", service, "spans", batch).encode())


def _spans(service: Service, day: int, name: str) -> Iterator[str]:
    """The calls of a day, spread over it; the ones that failed are those of the lowest chance."""
    shared = attributes(called(service))
    served, failed = service.calls(day), service.failed(day)
    count = served + failed
    chance = key_of(0, name)
    chances = [mix(chance, number) for number in range(count)]
    rank = {number: at - failed for at, number in enumerate(sorted(range(count), key=chances.__getitem__))}
    shares = {meter: _parts(tokens, served, mix(chance, count)) for meter, tokens in service.days[day].items()}
    for number in range(count):
        digest = hashlib.sha256(f"{name}/{number}".encode()).hexdigest()
        place = rank[number]
        start = day * DAY_NANOSECONDS + (number * DAY_NANOSECONDS + chances[number] * 40_000) // count
        if place < 0:
            millis, own, status = service.p95_ms // 2, attributes({"error.type": service.error}), '{"code":2}'
        else:
            millis = _millis(place, served, service.p95_ms)
            own, status = _usage({meter: next(share) for meter, share in shares.items()}), "{}"
        yield (
            f'{{"traceId":"{digest[:32]}","spanId":"{digest[32:48]}","name":"{service.operation} {service.model}",'
            f'"kind":3,"startTimeUnixNano":"{start}","endTimeUnixNano":"{start + millis * 10**6}",'
            f'"attributes":[{shared},{own}],"status":{status}}}'
        )


def _usage(tokens: Mapping[str, int]) -> str:
    """Attributes of a call's tokens."""
    told = {"gen_ai.usage.input_tokens": tokens["uncached"] + tokens.get("read", 0)}
    if "read" in tokens:
        told["gen_ai.usage.cache_read.input_tokens"] = tokens["read"]
    if "output" in tokens:
        told["gen_ai.usage.output_tokens"] = tokens["output"]
    return ",".join(f'{{"key":"{name}","value":{{"intValue":"{count}"}}}}' for name, count in told.items())


def _parts(total: int, count: int, chance: int) -> Iterator[int]:
    """``total`` in ``count`` whole parts that differ and add up to it."""
    weights = [50 + mix(chance, number) % 101 for number in range(count)]
    whole, before = sum(weights), 0
    for reached in accumulate(weights):
        until = total * reached // whole
        yield until - before
        before = until


def _millis(place: int, count: int, p95: int) -> int:
    """The duration of the call in this place of ``count`` by duration.

    From the 93rd to the 97th hundredth all take ``p95``, so that every definition of a percentile finds the same.
    """
    hundredths = place * 100 // count
    if hundredths < 93:
        return p95 * (10 + hundredths) // 110
    return p95 if hundredths < 97 else p95 + p95 * (hundredths - 96) // 4


def spans_told(services: Sequence[Service]) -> dict[str, object]:
    """Calls and failures of each use case, and the percentile of those with enough calls a day to plant one."""
    return {
        service.use_case: {
            "requests": sum(service.calls(day) + service.failed(day) for day in service.days),
            "failed": sum(service.failed(day) for day in service.days),
            **(
                {"p95_seconds": plain(Decimal(service.p95_ms).scaleb(-3))}
                if min(map(service.calls, service.days)) >= _FEW
                else {}
            ),
        }
        for service in services
    }
