"""OpenTelemetry of the services that no usage report tells of: spans of single calls, and a service's own metrics.

*Spans* of the last days: all calls of the Azure OpenAI endpoints, whose tokens add up to the bill's, and the company's
own embedding service. Planted in them: the 95th percentile of their durations and the share of calls that failed. Calls
that failed used no tokens.

*Metrics* of the whole time: the chat model that the company serves on its own GPUs, far too many calls for spans.

The company's Azure rates are negotiated, which a price list does not know: the one cause by which the spans' price and
the bill differ.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from pathlib import Path

from outlay.demo.chance import key_of, mix
from outlay.demo.facts.callers import Caller, callers, tokens_of
from outlay.demo.lines import Calendar, Line, day_text
from outlay.money import plain

__all__ = ["write_traces"]

_ROWS_A_DAY, _MOST_DAYS, _MOST_SPANS = 7_000, 28, 200_000
"""Rows of bills for which a day more of spans is written; the most days and spans."""

_SECOND, _DAY = 10**9, 86_400 * 10**9
_BATCH = 500
_SCOPE = {"name": "outlay.demo", "version": "synthetic"}


@dataclass(frozen=True, slots=True)
class _Service:
    """How a use case's calls are: tokens of one, milliseconds at the 95th percentile, failures in a thousand."""

    tokens_a_call: int
    p95_ms: int
    failed_permille: int
    error: str


_AZURE = {"agent-tools": _Service(80_000, 14_200, 12, "429")}
_AZURE_OTHERS = _Service(40_000, 6_400, 0, "")
_EMBEDDING = _Service(60_000, 3_900, 4, "timeout")
_EMBEDDING_CALLS = 300
_CHAT_CALLS, _CHAT_INPUT, _CHAT_OUTPUT = 400_000, 1_480, 310


@dataclass(frozen=True, slots=True)
class _Source:
    """Calls of one use case: resource attributes, model, and the tokens of each day by meter."""

    team: str
    use_case: str
    provider: str
    operation: str
    model: str
    service: _Service
    days: Mapping[int, Mapping[str, int]]

    def calls(self, day: int) -> int:
        return max(1, sum(self.days[day].values()) // self.service.tokens_a_call)

    def failed(self, day: int) -> int:
        return (self.calls(day) * self.service.failed_permille + 500) // 1000

    @property
    def resource(self) -> dict[str, str]:
        return {
            "service.name": f"{self.team}-{self.use_case}",
            "deployment.environment.name": "prod",
            "team": self.team,
            "use_case": self.use_case,
            "synthetic": "true",
        }


def write_traces(
    folder: Path, lines: Sequence[Line], calendar: Calendar, seed: int, rows: int
) -> tuple[list[Path], dict[str, object]]:
    """Writes spans of the last days and the metrics of the whole time; returns the files and what they hold."""
    since = calendar.last_day - min(_MOST_DAYS, max(1, rows // _ROWS_A_DAY), calendar.days)
    azure = callers(lines, "azure-openai", calendar, since, calendar.last_day)
    since = _affordable(azure, since, calendar.last_day)
    azure = [_between(caller, since) for caller in azure]
    sources = [*map(_azure, azure), _embedding(since, calendar.last_day, seed)]
    spans, metrics = folder / "synthetic-otlp-spans.jsonl.gz", folder / "synthetic-otlp-metrics.jsonl"
    calls = _write_spans(spans, sources, seed)
    chat = _chat(calendar, seed)
    with metrics.open("w", encoding="utf-8") as file:
        for _, first, last in calendar.months:
            file.write(_metrics({day: chat[day] for day in range(first, last)}))
    told: dict[str, object] = {
        "otlp-spans": {
            "since": day_text(since),
            "until": day_text(calendar.last_day - 1),
            "spans": sum(of["calls"] for of in calls.values()),
            "use_cases": _use_cases(calls),
            "tokens_by_model": tokens_of(azure),
            "reconciliation": _reconciliation(azure),
        },
        "otlp-metrics": _chat_told(chat),
    }
    return [spans, metrics], told


def _affordable(azure: Sequence[Caller], since: int, until: int) -> int:
    """The first day from which on there are not too many spans."""
    while until - since > 1 and sum(_azure(_between(one, since)).calls(day) for one in azure for day in one.days) > (
        _MOST_SPANS
    ):
        since += 1
    return since


def _between(caller: Caller, since: int) -> Caller:
    return Caller(caller.name, caller.meters, {day: used for day, used in caller.days.items() if day >= since})


def _azure(caller: Caller) -> _Source:
    tags = caller.line.tags or {}
    service = _AZURE.get(caller.use_case, _AZURE_OTHERS)
    return _Source(tags["team"], caller.use_case, "azure.ai.openai", "chat", caller.model, service, caller.days)


def _embedding(since: int, until: int, seed: int) -> _Source:
    """The company's own embedding model, on the card that Google bills: no token of it is on a bill."""
    chance = key_of(seed, "index")
    weekdays = [day for day in range(since, until) if (day + 3) % 7 < 5] or [until - 1]
    days = {
        day: {"uncached": _EMBEDDING_CALLS * _EMBEDDING.tokens_a_call + mix(chance, day) % 1_000_000}
        for day in weekdays
    }
    return _Source("search", "index", "vllm", "embeddings", "e5-mistral-7b", _EMBEDDING, days)


def _write_spans(path: Path, sources: Iterable[_Source], seed: int) -> dict[str, dict[str, int]]:
    """Use case -> calls, failed ones, the fewest of a day, and the milliseconds at the 95th percentile."""
    told: dict[str, dict[str, int]] = {}
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as file:
        for source in sources:
            new = {"calls": 0, "failed": 0, "least": 1 << 60, "p95_ms": source.service.p95_ms}
            of = told.setdefault(source.use_case, new)
            for day in source.days:
                spans = list(_spans(source, day, f"{seed}/{source.use_case}/{of['calls']}/{day}"))
                of["calls"] += len(spans)
                of["failed"] += source.failed(day)
                of["least"] = min(of["least"], len(spans))
                for start in range(0, len(spans), _BATCH):
                    batch = spans[start : start + _BATCH]
                    file.write(_request("resourceSpans", "scopeSpans", source, "spans", batch).encode())
    return told


def _spans(source: _Source, day: int, name: str) -> Iterator[str]:
    """The calls of a day as JSON, spread over it; the ones that failed are those of the lowest chance.

    They are many and alike, so their text is put together here.
    """
    constant = _attributes(
        {
            "gen_ai.operation.name": source.operation,
            "gen_ai.provider.name": source.provider,
            "gen_ai.request.model": source.model,
            "gen_ai.response.model": source.model,
        }
    )
    served, failed = source.calls(day), source.failed(day)
    count = served + failed
    chance = key_of(0, name)
    chances = [mix(chance, number) for number in range(count)]
    rank = {number: at - failed for at, number in enumerate(sorted(range(count), key=chances.__getitem__))}
    used = source.days[day]
    shares = {meter: _parts(tokens, served, mix(chance, count)) for meter, tokens in used.items()}
    for number in range(count):
        digest = hashlib.sha256(f"{name}/{number}".encode()).hexdigest()
        place = rank[number]
        start = day * _DAY + (number * _DAY + chances[number] * 40_000) // count
        if place < 0:
            millis, varying = source.service.p95_ms // 2, _attributes({"error.type": source.service.error})
            status = '{"code":2}'
        else:
            millis = _millis(place, served, source.service.p95_ms)
            varying = _usage({meter: next(share) for meter, share in shares.items()})
            status = "{}"
        yield (
            f'{{"traceId":"{digest[:32]}","spanId":"{digest[32:48]}","name":"{source.operation} {source.model}",'
            f'"kind":3,"startTimeUnixNano":"{start}","endTimeUnixNano":"{start + millis * 10**6}",'
            f'"attributes":[{constant},{varying}],"status":{status}}}'
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


def _attributes(values: Mapping[str, str]) -> str:
    """Attributes in OTLP's JSON, without the brackets around them."""
    told = [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
    return json.dumps(told, separators=(",", ":"))[1:-1]


def _request(top: str, inner: str, source: _Source, what: str, content: Iterable[str]) -> str:
    """An export request of one resource: ``content`` is what its only scope holds under ``what``, as JSON."""
    resource, scope = f'"resource":{{"attributes":[{_attributes(source.resource)}]}}', json.dumps(_SCOPE)
    return f'{{"{top}":[{{{resource},"{inner}":[{{"scope":{scope},"{what}":[{",".join(content)}]}}]}}]}}\n'


def _chat(calendar: Calendar, seed: int) -> dict[int, tuple[int, int, int]]:
    """Day -> calls, input tokens, output tokens of the chat model on the company's own machines."""
    chance = key_of(seed, "llm-serving")
    found = {}
    for day in range(calendar.first_day, calendar.last_day):
        grown = _CHAT_CALLS * (1000 + 400 * (day - calendar.first_day) // 365) // 1000
        calls = grown * (600 if (day + 3) % 7 >= 5 else 1000) // 1000 * (900 + mix(chance, day) % 201) // 1000
        found[day] = (calls, calls * _CHAT_INPUT + mix(chance, day) % 1000, calls * _CHAT_OUTPUT)
    return found


def _metrics(days: Mapping[int, tuple[int, int, int]]) -> str:
    """The histogram ``gen_ai.client.token.usage`` with a delta point a day and direction."""
    source = _Source("assistant", "chat-assistant", "vllm", "chat", "llama-3.3-70b", _EMBEDDING, {})
    shared = {
        "gen_ai.operation.name": source.operation,
        "gen_ai.provider.name": source.provider,
        "gen_ai.request.model": source.model,
        "gen_ai.response.model": source.model,
    }
    points = ",".join(
        f'{{"attributes":[{_attributes({**shared, "gen_ai.token.type": direction})}],'
        f'"startTimeUnixNano":"{day * _DAY}","timeUnixNano":"{(day + 1) * _DAY}","count":"{calls}","sum":{tokens}}}'
        for day, (calls, *both) in days.items()
        for direction, tokens in zip(("input", "output"), both, strict=True)
    )
    histogram = f'{{"aggregationTemporality":1,"dataPoints":[{points}]}}'
    metric = f'{{"name":"gen_ai.client.token.usage","unit":"{{token}}","histogram":{histogram}}}'
    return _request("resourceMetrics", "scopeMetrics", source, "metrics", [metric])


def _chat_told(chat: Mapping[int, tuple[int, int, int]]) -> dict[str, object]:
    calls, inputs, outputs = (sum(column) for column in zip(*chat.values(), strict=True))
    return {
        "since": day_text(min(chat)),
        "until": day_text(max(chat)),
        "use_case": "chat-assistant",
        "model": "llama-3.3-70b",
        "requests": calls,
        "input_tokens": inputs,
        "output_tokens": outputs,
    }


def _use_cases(calls: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    """Calls and failures of each use case, and the percentile of those with enough calls a day to plant one."""
    return {
        use_case: {
            "requests": of["calls"],
            "failed": of["failed"],
            **({"p95_seconds": plain(Decimal(of["p95_ms"]).scaleb(-3))} if of["least"] >= 100 else {}),
        }
        for use_case, of in sorted(calls.items())
    }


def _reconciliation(azure: Sequence[Caller]) -> dict[str, object]:
    billed = sum((caller.cost(at_list=False) for caller in azure), Decimal(0))
    listed = sum((caller.cost(at_list=True) for caller in azure), Decimal(0))
    return {
        "billed": plain(billed),
        "usage_priced_at_list": plain(listed),
        "difference": plain(listed - billed),
        "causes": {"negotiated-rate": plain(listed - billed)},
    }
