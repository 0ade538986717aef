"""Sends the spans and metrics of calls, off their path: a call only puts its event into a queue.

Twice a second what waits becomes spans and totals, a few at a time so that calls under way are not kept waiting, and
what became a span is sent. Neither queue grows without an end: where the backend is away or too slow, spans that find
no room are dropped, which ``/metrics`` and the terminal tell. Metrics lose nothing by that. Budgets and the ledger do
not rest on any of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp

import outlay
from outlay.config.gateway import GatewaySettings
from outlay.errors import ConfigError, MissingExtraError
from outlay.gateway.metering.event import CallEvent
from outlay.gateway.meters import Meters
from outlay.gateway.otlp.context import Context, entered
from outlay.gateway.routes import Route
from outlay.spool.kinds import GATEWAY_SCOPE

try:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics, ScopeMetrics
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    from outlay.gateway.otlp.span import Told, key_values, span_of
    from outlay.gateway.otlp.totals import Totals
except ImportError:
    raise MissingExtraError(
        "sending OTLP needs the package opentelemetry-proto.", hint="Run: pip install 'outlay[gateway]'"
    ) from None

__all__ = ["Exporter", "Pace", "Way", "exporting", "headers_of"]

_MOST_WAITING = 8_192
_MOST_UNSENT = 4_096
_AT_ONCE = 512
_SLICE = 8
_TRIES = 5
_ANSWER_SECONDS = 10
_MOST_ANSWER = 1 << 16
_LAST_SECONDS = 5.0
_RETRYABLE = frozenset({429, 502, 503, 504})
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is sent, and how long after a first failure is tried again: then twice that, and so on."""

    spans: float = 0.5
    metrics: float = 60.0
    again: float = 1.0


@dataclass(frozen=True, slots=True)
class Way:
    """What of a call is known when it goes out."""

    context: Context
    host: str
    port: int


class Exporter:
    """Takes settled calls, and sends their spans to ``endpoint`` until it is closed."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        *,
        session: aiohttp.ClientSession,
        meters: Meters,
        say: Callable[[str], None],
        instance: str,
        pace: Pace,
    ) -> None:
        self._endpoint, self._headers, self._session = endpoint.rstrip("/"), dict(headers), session
        self._meters, self._say, self._pace = meters, say, pace
        self._waiting: deque[tuple[CallEvent, bytes, Way, int]] = deque()
        self._unsent: deque[bytes] = deque()
        self._totals = Totals(time.time_ns())
        self._resource = Resource(
            attributes=key_values(
                {
                    "service.name": "outlay-gateway",
                    "service.version": outlay.__version__,
                    "service.instance.id": instance,
                }
            )
        )
        self._scope = InstrumentationScope(name=GATEWAY_SCOPE, version=outlay.__version__)
        self._wrong: str | None = None
        self._tasks = [asyncio.create_task(one) for one in (self._building(), self._sending(), self._telling_totals())]

    def enter(self, headers: MutableMapping[str, str], route: Route) -> Way:
        """A call goes out with these headers, which are changed to tell its trace to the provider."""
        return Way(entered(headers), route.url.host or "", route.url.port or 0)

    def settled(self, event: CallEvent, line: bytes, way: Way) -> None:
        """A call that went this way was settled."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append((event, line, way, time.time_ns()))
        else:
            self._count("calls", "dropped", 1)

    async def close(self) -> None:
        """Send what is left, within a few seconds."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self._build()
                while self._unsent:
                    await self._send_spans(tries=1)
                await self._send_totals()
        except TimeoutError:
            self._say(f"telemetry: no answer within {_LAST_SECONDS:g} s; the last spans are dropped")
        self._count("spans", "dropped", len(self._unsent))

    async def _building(self) -> None:
        while True:
            await asyncio.sleep(self._pace.spans)
            await self._build()

    async def _build(self) -> None:
        """Spans and totals of what waits, a few at a time: each takes some 55 microseconds."""
        while self._waiting:
            for _ in range(min(_SLICE, len(self._waiting))):
                event, line, way, ended = self._waiting.popleft()
                told = Told(event, line, way.context, way.host, way.port, ended)
                try:
                    self._totals.add(told)
                    if not way.context.sampled:
                        self._count("spans", "unsampled", 1)
                    elif len(self._unsent) < _MOST_UNSENT:
                        self._unsent.append(span_of(told))
                    else:
                        self._count("spans", "dropped", 1)
                except Exception:  # of one call: the others are told all the same
                    _logger.exception("an error in Outlay; a span is dropped. Please report it")
                    self._count("spans", "dropped", 1)
            await asyncio.sleep(0)

    async def _sending(self) -> None:
        while True:
            await asyncio.sleep(self._pace.spans)
            while self._unsent:
                await self._send_spans(tries=_TRIES)

    async def _telling_totals(self) -> None:
        while True:
            await asyncio.sleep(self._pace.metrics)
            await self._send_totals()

    async def _send_spans(self, *, tries: int) -> None:
        spans = [self._unsent.popleft() for _ in range(min(_AT_ONCE, len(self._unsent)))]
        scope = b"".join([_framed(1, self._scope.SerializeToString()), *(_framed(2, span) for span in spans)])
        body = _framed(1, _framed(1, self._resource.SerializeToString()) + _framed(2, scope))
        try:
            answer = await self._post("/v1/traces", body, tries)
        except asyncio.CancelledError:
            self._unsent.extendleft(reversed(spans))
            raise
        refused = 0 if answer is None else min(_refused(answer), len(spans))
        self._count("spans", "dropped" if answer is None else "sent", len(spans) - refused)
        self._count("spans", "refused", refused)

    async def _send_totals(self) -> None:
        metrics = self._totals.metrics(time.time_ns())
        if metrics:
            scope = ScopeMetrics(scope=self._scope, metrics=metrics)
            request = ExportMetricsServiceRequest(
                resource_metrics=[ResourceMetrics(resource=self._resource, scope_metrics=[scope])]
            )
            answer = await self._post("/v1/metrics", request.SerializeToString(), 1)  # the next has all of this one
            self._count("metrics", "failed" if answer is None else "sent", 1)

    async def _post(self, path: str, body: bytes, tries: int) -> bytes | None:
        """The answer's body; None where nobody took it."""
        headers = {"content-type": "application/x-protobuf", **self._headers}
        for again in range(tries):
            if again:
                await asyncio.sleep(self._pace.again * 2 ** (again - 1))
            try:
                async with self._session.post(
                    f"{self._endpoint}{path}", data=body, headers=headers, allow_redirects=False
                ) as answer:
                    if 200 <= answer.status < 300:
                        self._tell(None)
                        return await answer.content.read(_MOST_ANSWER)
                    self._tell(f"{self._host()} answers with {answer.status}")
                    if answer.status not in _RETRYABLE:
                        return None
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                self._tell(f"{self._host()} can't be reached ({type(error).__name__})")
        return None

    def _host(self) -> str:
        return urlsplit(self._endpoint).netloc

    def _tell(self, wrong: str | None) -> None:
        """Say once what is wrong, and once that all is well again."""
        if wrong != self._wrong:
            self._wrong = wrong
            self._say(
                f"telemetry: {wrong}; spans that find no room are dropped" if wrong else "telemetry is sent again"
            )

    def _count(self, signal: str, outcome: str, number: int) -> None:
        if number:
            self._meters.telemetry(signal, outcome, number)


@asynccontextmanager
async def exporting(
    settings: GatewaySettings,
    environment: Mapping[str, str],
    *,
    meters: Meters,
    say: Callable[[str], None],
    instance: str,
    pace: Pace | None = None,
) -> AsyncIterator[Exporter]:
    """An exporter as the settings have it, until the block is left. Raises :class:`ConfigError`."""
    endpoint = settings.otlp_endpoint
    assert endpoint is not None, "asked only where the settings name one"
    headers = headers_of(environment.get(settings.otlp_headers_env, ""), settings.otlp_headers_env)
    host = urlsplit(endpoint).hostname or ""
    if headers and endpoint.startswith("http://") and "." in host and host != "127.0.0.1":
        raise ConfigError(
            f"would send what is in {settings.otlp_headers_env} to {host} unencrypted.",
            where="[gateway] otlp_endpoint",
            hint="Use https://.",
        )
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        exporter = Exporter(
            endpoint, headers, session=session, meters=meters, say=say, instance=instance, pace=pace or Pace()
        )
        try:
            yield exporter
        finally:
            await exporter.close()


def headers_of(said: str, variable: str) -> dict[str, str]:
    """Headers as OpenTelemetry's environment variable has them: ``name=value,name=value``, values percent-encoded.

    Raises :class:`ConfigError`, which tells nothing of the values.
    """
    found = {}
    for number, one in enumerate(filter(None, map(str.strip, said.split(","))), 1):
        name, equals, value = one.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not equals or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"entry {number} is no header.", where=variable, hint="Write name=value,name=value.")
        if not value.isprintable():
            raise ConfigError(f"the value of {name} can't be that of a header.", where=variable)
        found[name.lower()] = value
    return found


def _framed(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes. Spans are put together so as they are, without being decoded again."""
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def _refused(answer: bytes) -> int:
    """How many spans a backend that took a request did not take."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        found: Any = ExportTraceServiceResponse.FromString(answer)
    except DecodeError:  # it answered in JSON
        return 0
    return int(found.partial_success.rejected_spans)
