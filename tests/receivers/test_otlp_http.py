"""OTLP over HTTP answers as the protocol says, and 200 only for what is on the disk."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from outlay.errors import UnreadableError
from outlay.problems import Problem
from outlay.receivers.answers import RESOURCE_EXHAUSTED, status_with_retry
from outlay.receivers.otlp import Encoding, OtlpIntake, Signal, look
from outlay.receivers.otlp_http import OtlpHttp
from outlay.sources.facts import Fact
from outlay.sources.usage.otlp_live import LiveOtlp
from outlay.spool.kinds import Kind
from outlay.spool.segments import OPEN, Record, read_records, segments
from outlay.spool.writer import Limits, SpoolWriter
from tests.sources.usage.otel_building import FIXTURES, chat, span, traces

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json; charset=utf-8"}


class Client:
    """Asks the application itself, as a server does: body in pieces of ``piece`` bytes."""

    def __init__(self, folder: Path, limits: Limits | None = None, **options: Any) -> None:
        self.spool = SpoolWriter(folder, limits or Limits(segment_seconds=3600))
        self.app = OtlpHttp(OtlpIntake(self.spool, **options), lambda: self.spool.broken)

    def post(
        self, path: str, body: bytes, headers: dict[str, str], *, method: str = "POST", piece: int = 1000
    ) -> tuple[int, dict[str, str], bytes]:
        pieces = [body[n : n + piece] for n in range(0, len(body), piece)] or [b""]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        asyncio.run(self.app({"type": "http", "method": method, "path": path, "headers": raw}, receive, send))
        start, content = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        assert int(found["content-length"]) == len(content["body"])
        return start["status"], found, content["body"]

    def stored(self) -> list[tuple[int, bytes]]:
        """What is in the spool's open segment."""
        found = [one for path in segments(self.spool.folder, OPEN) for one in read_records(path)]
        return [(one.kind, one.body) for one in found if isinstance(one, Record)]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    found = Client(tmp_path, most_body=200_000)
    yield found
    found.spool.close()


def traces_protobuf(*, spans: int = 2, without_id: int = 0) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add().scope_spans.add()
    for number in range(spans):
        group.spans.add(trace_id=b"t" * 16, span_id=(number + 1).to_bytes(8, "big"), name="chat")
    for _ in range(without_id):
        group.spans.add(trace_id=b"t" * 16, span_id=bytes(8), name="chat")
    return bytes(request.SerializeToString())


def test_a_request_is_stored_as_it_came_and_answered_in_its_encoding(client: Client) -> None:
    protobuf, document = traces_protobuf(), json.dumps(traces(chat())).encode()
    status, headers, body = client.post("/v1/traces", protobuf, PROTOBUF)
    assert (status, headers["content-type"]) == (200, "application/x-protobuf")
    assert ExportTraceServiceResponse.FromString(body) == ExportTraceServiceResponse()
    assert client.stored() == [(Kind.TRACES_PROTOBUF, protobuf)]

    status, headers, body = client.post("/v1/traces", document, JSON)
    assert (status, headers["content-type"], body) == (200, "application/json", b"{}")
    assert client.stored()[1:] == [(Kind.TRACES_JSON, document)]


@pytest.mark.parametrize("emitter", ["genai", "openai-v2", "openlit", "traceloop"])
def test_what_real_emitters_sent_is_taken(client: Client, emitter: str) -> None:
    for signal in ("traces", "metrics"):
        content = (FIXTURES / f"{emitter}.{signal}.pb").read_bytes()
        assert client.post(f"/v1/{signal}", content, PROTOBUF)[::2] == (200, b"")
        assert client.stored()[-1][1] == content
    for line in (FIXTURES / f"{emitter}.jsonl").read_bytes().splitlines():
        signal = "traces" if b'"resourceSpans"' in line[:200] else "metrics"
        assert client.post(f"/v1/{signal}", line, JSON)[::2] == (200, b"{}")


def test_gzip_is_unpacked_in_as_many_members_as_it_has(client: Client) -> None:
    whole = traces_protobuf(spans=500)
    packed = gzip.compress(whole[:1000]) + gzip.compress(whole[1000:])
    assert client.post("/v1/traces", packed, {**PROTOBUF, "content-encoding": "gzip"})[0] == 200
    assert client.stored() == [(Kind.TRACES_PROTOBUF, whole)]


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(traces_protobuf())[:-9], gzip.compress(b"a")[:5]], ids=["none", "cut", "head"]
)
def test_broken_gzip_is_400(client: Client, body: bytes) -> None:
    status, _, answer = client.post("/v1/traces", body, {**PROTOBUF, "content-encoding": "gzip"})
    assert (status, Status.FromString(answer).code) == (400, 3)
    assert client.stored() == []


def test_spans_that_will_be_no_rows_are_told_at_once(client: Client) -> None:
    _, _, body = client.post("/v1/traces", traces_protobuf(spans=1, without_id=2), PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    assert (partial.rejected_spans, "without a trace id or a span id" in partial.error_message) == (2, True)
    nameless = traces(chat(), {**span(2), "spanId": ""})
    _, _, body = client.post("/v1/traces", json.dumps(nameless).encode(), JSON)
    assert json.loads(body)["partialSuccess"]["rejectedSpans"] == "1"
    assert len(client.stored()) == 2


def test_logs_are_let_in_and_told_to_be_kept_nowhere(client: Client) -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add()
    status, _, body = client.post("/v1/logs", request.SerializeToString(), PROTOBUF)
    assert status == 200
    assert ExportLogsServiceResponse.FromString(body).partial_success.rejected_log_records == 1
    assert client.stored() == []


def test_an_empty_request_is_answered_and_not_stored(client: Client) -> None:
    for signal, request in (("traces", ExportTraceServiceRequest()), ("metrics", ExportMetricsServiceRequest())):
        assert client.post(f"/v1/{signal}", request.SerializeToString(), PROTOBUF)[0] == 200
    assert client.post("/v1/traces", b"{}", JSON)[0] == 200
    assert client.stored() == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xff\xff", PROTOBUF),
        (b"plain text", PROTOBUF),
        (b"{", JSON),
        (b"[1]", JSON),
        (b'{"a": NaN}', JSON),
        (b"\xff{}", JSON),
        (b"[" * 100_000, JSON),
    ],
)
@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_what_is_no_request_is_400_with_a_status(
    client: Client, signal: str, body: bytes, headers: dict[str, str]
) -> None:
    status, answered, answer = client.post(f"/v1/{signal}", body, headers)
    assert status == 400
    assert answered["content-type"] == headers["content-type"].partition(";")[0]
    said = json.loads(answer) if headers is JSON else {"code": Status.FromString(answer).code}
    assert said["code"] == 3
    assert client.stored() == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/traces", PROTOBUF, 405),
        ("POST", "/v1/spans", PROTOBUF, 404),
        ("POST", "/", {}, 404),
        ("POST", "/v1/traces", {}, 415),
        ("POST", "/v1/traces", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/traces", {**PROTOBUF, "content-encoding": "br"}, 415),
        ("POST", "/v1/traces", {**PROTOBUF, "content-length": "200001"}, 413),
    ],
)
def test_what_can_not_be_taken_says_why(
    client: Client, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answered, found, body = client.post(path, traces_protobuf(), headers, method=method)
    assert answered == status
    message = Status.FromString(body).message if "protobuf" in found["content-type"] else json.loads(body)["message"]
    assert message
    assert client.stored() == []


def test_too_long_is_413_however_it_comes(client: Client) -> None:
    long = traces_protobuf(spans=20_000)
    assert client.post("/v1/traces", long, PROTOBUF)[0] == 413
    bomb = gzip.compress(bytes(50_000_000))
    assert client.post("/v1/traces", bomb, {**PROTOBUF, "content-encoding": "gzip"})[0] == 413


def test_full_is_503_with_the_time_to_come_again(tmp_path: Path) -> None:
    client = Client(tmp_path, Limits(free_bytes=1 << 60))
    for encoding, body in ((PROTOBUF, traces_protobuf()), (JSON, json.dumps(traces(chat())).encode())):
        status, headers, answer = client.post("/v1/traces", body, encoding)
        assert (status, headers["retry-after"]) == (503, "30")
        assert b"bytes left" in answer
    client.spool.close()
    status, headers, _ = client.post("/v1/traces", traces_protobuf(), PROTOBUF)
    assert (status, headers["retry-after"]) == (503, "30")


def test_what_all_requests_hold_of_memory_is_bounded(tmp_path: Path) -> None:
    client = Client(tmp_path, most_held=10_000)
    client.app._intake.hold(9_000)
    status, headers, _ = client.post("/v1/traces", traces_protobuf(spans=100), PROTOBUF)
    assert (status, headers["retry-after"]) == (503, "1")
    client.app._intake.release(9_000)
    assert client.post("/v1/traces", traces_protobuf(spans=100), PROTOBUF)[0] == 200
    assert client.app._intake._held == 0
    client.spool.close()


def test_health_follows_the_spool(client: Client) -> None:
    assert client.post("/healthz", b"", {}, method="GET")[0] == 200
    client.spool._break("the disk failed.")
    status, _, body = client.post("/healthz", b"", {}, method="GET")
    assert (status, json.loads(body)["why"]) == (503, "the disk failed.")


def test_the_status_by_hand_is_the_one_of_googleapis() -> None:
    status = Status.FromString(status_with_retry(RESOURCE_EXHAUSTED, "full: ü", 300))
    retry = RetryInfo()
    assert status.details[0].Unpack(retry)
    assert (status.code, status.message, retry.retry_delay.seconds) == (8, "full: ü", 300)


@given(data=st.data())
def test_whatever_bytes_come_are_counted_or_refused_and_taken_up(data: st.DataObject) -> None:
    signal: Signal = data.draw(st.sampled_from(["traces", "metrics"]))
    encoding: Encoding = data.draw(st.sampled_from(["protobuf", "json"]))
    if encoding == "protobuf":
        body = bytearray((FIXTURES / f"genai.{signal}.pb").read_bytes()[: data.draw(st.integers(0, 3000))])
    else:
        body = bytearray((FIXTURES / "genai.jsonl").read_bytes().splitlines()[signal == "metrics"])
    for place in data.draw(st.lists(st.integers(0, max(len(body) - 1, 0)), max_size=5)) if body else ():
        body[place] = data.draw(st.integers(0, 255))
    try:
        found = look(signal, encoding, bytes(body))
    except UnreadableError:
        return
    assert found.kind is not None
    assert 0 <= found.rejected <= found.items
    live = LiveOtlp()
    told = [*live.facts(found.kind, bytes(body)), *live.rest()]
    assert all(isinstance(one, Fact | Problem) for one in told)
    assert LiveOtlp(live.state()).state() == live.state()
