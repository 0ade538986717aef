"""OTLP as it comes in live: the bodies of export requests, as a receiver put them into the spool, become requests.

It is what the readers of OTLP files do, request after request without an end, so some things are remembered from one
batch to the next and over restarts: the last point of each cumulative series of metrics, which the next one is counted
from; the services whose spans came in, because their metrics tell the same tokens and are left out; and of the latest
spans, which calls were counted within which and for which answers.

The spans of Outlay's own gateway tell what its events tell, which may be in the ledger already: then they are passed
over, and else they have the same rows, so that a ledger that its events never reach has its calls too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from outlay.errors import UnreadableError
from outlay.problems import Problem
from outlay.sources.fact_file import Json, parse_json
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.usage import otlp_json, otlp_protobuf
from outlay.sources.usage.gateway_events import GATEWAY
from outlay.sources.usage.gateway_live import Known
from outlay.sources.usage.otel_genai import GenAiSpans
from outlay.sources.usage.otel_metrics import GenAiMetrics, LastPoint, Series
from outlay.sources.usage.otel_span import forget_oldest
from outlay.spool.kinds import Kind

__all__ = ["LIVE", "LiveOtlp"]

LIVE = Format(
    "otlp",
    "OpenTelemetry (live)",
    "`outlay serve`, and an exporter or a Collector that sends OTLP over HTTP or gRPC to it.",
)
_VERSION = 1
_LATEST = 20_000
"""Spans that are remembered over a restart: those of one call come within seconds of each other."""
_Key = TypeVar("_Key")


class LiveOtlp:
    """Turns spooled export requests into requests, batch by batch: a :class:`outlay.sources.live.LiveReader`."""

    name = LIVE.id
    format = LIVE

    def __init__(self, state: bytes = b"", known: Known = lambda _: ()) -> None:
        """``known`` is asked once a batch at most. Raises :class:`UnreadableError` for a state that is none."""
        self._known = known
        self._spans = GenAiSpans(LIVE.id)
        self._series: dict[Series, LastPoint] = {}
        self._services: dict[str, None] = {}
        if state:
            self._remember(state)
        self.begin()

    def begin(self) -> None:
        """A new batch, after what was kept last."""
        self._metrics = GenAiMetrics(LIVE.id, self._series)
        self._seen = dict(self._services)
        self._buckets: list[Fact] = []
        self._of_gateways: dict[str, Fact] = {}
        self._known_already = 0
        self._left = (self._spans.ignored, self._spans.repeated)

    @property
    def passed_over(self) -> int:
        """Spans of this batch that are no calls, or that repeat the usage of calls within them."""
        return self._spans.ignored + self._spans.repeated - sum(self._left) + self._known_already

    def facts(self, kind: int, body: bytes) -> Iterator[Fact | Problem]:
        """Requests and problems of one export request. Buckets of metrics come with the ``rest``."""
        try:
            yield from self._told(kind, body)
        except UnreadableError as error:
            yield Problem(LIVE.id, None, "unknown-layout", str(error))

    def rest(self) -> Iterator[Fact | Problem]:
        """Buckets of the batch's metrics, of services that send no spans; calls of gateways that are new."""
        of_gateways = self._of_gateways
        known = self._known({name: _start(fact) for name, fact in of_gateways.items()}) if of_gateways else ()
        yield from (fact for name, fact in of_gateways.items() if name not in known)
        self._known_already = len(known)
        left_out: Counter[str] = Counter()
        for bucket in self._buckets:
            service = str(bucket.values.get("x_Service") or "")
            if service in self._seen:
                left_out[service] += 1
            else:
                yield bucket
        for service, count in left_out.items():
            whose = f"the service '{service}'" if service else "a service without a name"
            message = f"{count} buckets of metrics of {whose} are left out: its spans tell the same tokens"
            yield Problem(LIVE.id, None, "usage-told-twice", message)

    def state(self) -> bytes:
        """What to remember after this batch."""
        return json.dumps(
            {
                "version": _VERSION,
                "services": list(self._seen),
                "series": list(self._metrics.before.items()),
                "around": _latest(self._spans.around),
                "answers": [[key, *self._spans.answers[key]] for key in _latest(self._spans.answers)],
            },
            separators=(",", ":"),
        ).encode()

    def keep(self) -> None:
        """The batch is safe: the next one goes on from it."""
        self._series, self._services = self._metrics.before, self._seen

    def _remember(self, state: bytes) -> None:
        try:
            found = json.loads(state)
            if found["version"] != _VERSION:
                raise ValueError(f"version {found['version']}")
            self._series = {_tuple(key): (int(a), int(b), int(c), int(d)) for key, (a, b, c, d) in found["series"]}
            self._services = dict.fromkeys(found["services"])
            self._spans.around = dict.fromkeys(map(_tuple, found["around"]))
            self._spans.answers = {key: (scope, start, end) for key, scope, start, end in found["answers"]}
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableError(
                f"what was remembered of live telemetry can't be read ({error}).",
                where="the spool's state",
                hint="Without that file, cumulative metrics are counted anew from the start of each process.",
            ) from None

    def _told(self, kind: int, body: bytes) -> Iterator[Fact | Problem]:
        flaws: list[str] = []
        if kind == Kind.TRACES_PROTOBUF:
            yield from self._calls(self._spans.facts(otlp_protobuf.spans(body)))
        elif kind == Kind.METRICS_PROTOBUF:
            yield from self._hold(self._metrics.facts(otlp_protobuf.metric_points(body)))
        elif kind == Kind.TRACES_JSON:
            yield from self._calls(self._spans.facts(otlp_json.spans(_document(body), None, flaws)))
        elif kind == Kind.METRICS_JSON:
            yield from self._hold(self._metrics.facts(otlp_json.metric_points(_document(body), None, flaws)))
        else:
            raise UnreadableError(f"is of kind {kind}, which this version does not know.", where="a spooled record")
        for flaw in flaws:
            yield Problem(LIVE.id, None, "unknown-layout", flaw)

    def _calls(self, found: Iterator[Fact | Problem]) -> Iterator[Fact | Problem]:
        for one in found:
            if isinstance(one, Fact) and one.source == GATEWAY.id:
                self._of_gateways[one.identity] = one
                continue
            if isinstance(one, Fact):
                self._seen[str(one.values.get("x_Service") or "")] = None
            yield one
        forget_oldest(self._seen)

    def _hold(self, found: Iterator[Fact | Problem]) -> Iterator[Problem]:
        for one in found:
            if isinstance(one, Fact):
                self._buckets.append(one)
            else:
                yield one


def _document(body: bytes) -> Any:  # noqa: ANN401 - a JSON object
    try:
        found: Json = parse_json(body.decode("utf-8-sig"))
    except ValueError as error:
        raise UnreadableError(f"is no JSON ({error}).", where="the request's body") from None
    if not isinstance(found, dict):
        raise UnreadableError("is no JSON object.", where="the request's body")
    return found


def _start(fact: Fact) -> datetime:
    start = fact.values["start_time"]
    assert isinstance(start, datetime)
    return start


def _latest(told: Mapping[_Key, object]) -> list[_Key]:
    return list(islice(told, max(len(told) - _LATEST, 0), None))


def _tuple(found: Any) -> Any:  # noqa: ANN401 - JSON knows no tuples
    return tuple(_tuple(one) for one in found) if isinstance(found, list) else found
