"""A server on loopback that takes OTLP over HTTP, and keeps what came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Collector", "collector", "values"]


@dataclass
class Collector:
    """``answers`` are the statuses of the next requests, ``refuses`` how many spans it says not to take."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    refuses: int = 0
    bodies: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    scopes: set[str] = field(default_factory=set)
    metrics: dict[str, Metric] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.read()
        self.bodies.append((request.path, {name.lower(): value for name, value in request.headers.items()}, body))
        status = self.answers.pop(0) if self.answers else 200
        if status != 200:
            return web.Response(status=status)
        if request.path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for group in resource.scope_metrics:
                    self.scopes.add(group.scope.name)
                    self.metrics.update({one.name: one for one in group.metrics})
            return web.Response()
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scoped in one.scope_spans:
                self.scopes.add(scoped.scope.name)
                self.spans += scoped.spans
        partial = ExportTracePartialSuccess(rejected_spans=self.refuses)
        return web.Response(body=ExportTraceServiceResponse(partial_success=partial).SerializeToString())


@asynccontextmanager
async def collector(**options: Any) -> AsyncIterator[Collector]:
    """A collector, until the block is left."""
    found = Collector(**options)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/{signal}", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


def values(one: Any) -> dict[str, Any]:
    """The attributes of a span or a data point."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in one.attributes}
