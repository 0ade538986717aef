"""The OpenTelemetry SDK's own exporters send to a real `outlay serve`, and what they sent is in the ledger, once."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tests.receivers.emitters import CHAT, chats, span_ids
from tests.receivers.server import Server, asked

TOKEN = "a-secret"


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger after every exporter has sent to one server."""
    ledger = tmp_path_factory.mktemp("serve") / "ledger"
    with Server(ledger, environment={"OUTLAY_TOKEN": TOKEN}) as server:
        headers = {"authorization": f"Bearer {TOKEN}"}
        exporters: dict[str, SpanExporter] = {
            "http": HttpSpans(f"{server.http}/v1/traces", headers=headers),
            "http-gzip": HttpSpans(f"{server.http}/v1/traces", headers=headers, compression=Compression.Gzip),
            "grpc": GrpcSpans(f"http://{server.grpc}", insecure=True, headers=headers),
        }
        for name, exporter in exporters.items():
            provider = TracerProvider(resource=Resource.create({"service.name": name, "team": "search"}))
            provider.add_span_processor(BatchSpanProcessor(exporter))
            tracer = provider.get_tracer("tests")
            for _ in range(30):
                with (
                    tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}),
                    tracer.start_as_current_span("chat", attributes=CHAT),
                ):
                    pass
            assert provider.force_flush()
            provider.shutdown()
        meters: dict[str, MetricExporter] = {
            "http-metrics": HttpMetrics(f"{server.http}/v1/metrics", headers=headers),
            "grpc-metrics": GrpcMetrics(f"http://{server.grpc}", insecure=True, headers=headers),
            "http": HttpMetrics(f"{server.http}/v1/metrics", headers=headers),
        }
        for name, meter in meters.items():
            reader = PeriodicExportingMetricReader(meter, export_interval_millis=3_600_000)
            metrics = MeterProvider([reader], resource=Resource.create({"service.name": name}))
            tokens = metrics.get_meter("tests").create_histogram("gen_ai.client.token.usage", unit="{token}")
            for count in (100, 50):
                labels = {k: v for k, v in CHAT.items() if isinstance(v, str)}
                tokens.record(count, {**labels, "gen_ai.token.type": "input"})
                assert metrics.force_flush()
                time.sleep(0.3)  # a batch of its own
            metrics.shutdown()
    return ledger


@pytest.mark.parametrize("service", ["http", "http-gzip", "grpc"])
def test_spans_of_each_exporter_are_rows(sent: Path, service: str) -> None:
    ((rows, tokens, cost, teams),) = asked(
        sent,
        "SELECT count(DISTINCT x_SpanId), sum(gen_ai_usage_input_tokens), sum(x_Cost), list(DISTINCT x_Tag_team) "
        f"FROM requests WHERE x_Service = '{service}' AND x_Kind = 'call'",
    )
    assert (rows, tokens, teams) == (30, 3000, ["search"])
    assert cost == 30 * (100 * Decimal("2.5") + 10 * Decimal(10)) / 1_000_000


@pytest.mark.parametrize("service", ["http-metrics", "grpc-metrics"])
def test_cumulative_metrics_are_counted_once_over_batches(sent: Path, service: str) -> None:
    found = asked(
        sent, f"SELECT gen_ai_usage_input_tokens, x_Requests FROM requests WHERE x_Service = '{service}' ORDER BY 1"
    )
    assert found == [(50, 1), (100, 1)]


def test_metrics_of_a_service_that_sends_spans_are_left_out(sent: Path) -> None:
    assert asked(sent, "SELECT count(*) FROM requests WHERE x_Service = 'http' AND x_Kind = 'bucket'") == [(0,)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a token, for requests made by hand."""
    environment = {"OUTLAY_TOKEN": TOKEN}
    ledger = tmp_path_factory.mktemp("by-hand") / "ledger"
    with Server(ledger, every=60, environment=environment, options=("--max-request", "1")) as found:
        yield found


def test_a_wrong_token_is_refused_by_both(server: Server) -> None:
    wrong = {"authorization": "Bearer wrong"}
    spans = chats(1)
    assert HttpSpans(f"{server.http}/v1/traces", headers=wrong).export(spans) is SpanExportResult.FAILURE
    assert GrpcSpans(f"http://{server.grpc}", insecure=True, headers=wrong).export(spans) is SpanExportResult.FAILURE
    status, headers, body = server.ask("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf"})
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert Status.FromString(body).code == 16


def test_what_is_too_long_is_refused_by_both(server: Server) -> None:
    right = {"authorization": f"Bearer {TOKEN}"}
    spans = chats(1, **{"gen_ai.conversation.id": "x" * (2 << 20)})
    http, grpc = f"{server.http}/v1/traces", f"http://{server.grpc}"
    assert HttpSpans(http, headers=right).export(spans) is SpanExportResult.FAILURE
    zipped = HttpSpans(http, headers=right, compression=Compression.Gzip)
    assert zipped.export(spans) is SpanExportResult.FAILURE
    assert GrpcSpans(grpc, insecure=True, headers=right, timeout=1).export(spans) is SpanExportResult.FAILURE


def test_health_needs_no_token(server: Server) -> None:
    status, _, body = server.ask("GET", "/healthz")
    assert (status, json.loads(body)) == (200, {"status": "ok"})


def test_every_acknowledged_span_is_there_once_after_kills(tmp_path: Path) -> None:
    """The server is killed with SIGKILL while exporters send and retry; those acknowledged are rows, each once."""
    ledger = tmp_path / "ledger"
    server = Server(ledger)
    acknowledged: dict[str, list[str]] = {"http": [], "grpc": []}
    tried: list[str] = []
    over = threading.Event()

    def export(transport: str) -> None:
        if transport == "http":
            exporter: SpanExporter = HttpSpans(f"{server.http}/v1/traces", timeout=20)
        else:
            exporter = GrpcSpans(f"http://{server.grpc}", insecure=True, timeout=20)
        while not over.is_set():
            spans = chats(20)
            tried.extend(span_ids(spans))
            if exporter.export(spans) is SpanExportResult.SUCCESS:
                acknowledged[transport].extend(span_ids(spans))
        exporter.shutdown()

    def wait_for_more(*transports: str) -> None:
        before = {transport: len(acknowledged[transport]) for transport in transports}
        deadline = time.monotonic() + 60
        while any(len(acknowledged[transport]) < before[transport] + 100 for transport in transports):
            assert time.monotonic() < deadline, acknowledged
            time.sleep(0.01)

    threads = [threading.Thread(target=export, args=(one,)) for one in ("http", "http", "grpc", "grpc")]
    for thread in threads:
        thread.start()
    for wait in (0.7, 0.3):  # while it takes up, and before
        wait_for_more("http")
        time.sleep(wait)
        server.kill()
        server = Server(ledger, http_port=server.http_port, grpc_port=server.grpc_port)
    wait_for_more("http", "grpc")
    over.set()
    for thread in threads:
        thread.join()
    server.stop()

    rows = [row[0] for row in asked(ledger, "SELECT x_SpanId FROM requests")]
    assert len(rows) == len(set(rows))
    assert {one for found in acknowledged.values() for one in found} <= set(rows) <= set(tried)


def test_a_second_server_on_the_same_ledger_is_refused(server: Server) -> None:
    with pytest.raises(AssertionError, match="writes to this spool already"):
        Server(server.ledger)


def test_ctrl_c_stops_it_too(tmp_path: Path) -> None:
    server = Server(tmp_path / "ledger", every=60)
    assert HttpSpans(f"{server.http}/v1/traces").export(chats(3)) is SpanExportResult.SUCCESS
    server._process.send_signal(signal.SIGINT)
    _, said = server._process.communicate(timeout=60)
    assert server._process.returncode == 0
    assert "3 rows in the ledger" in said
    assert asked(tmp_path / "ledger", "SELECT count(*) FROM requests") == [(3,)]
