"""OTLP over gRPC refuses with the codes by which clients tell what to send again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from outlay.receivers.otlp import OtlpIntake
from outlay.receivers.otlp_grpc import otlp_grpc
from outlay.spool.kinds import Kind
from outlay.spool.segments import SEALED, Record, read_records, segments
from outlay.spool.writer import Limits, SpoolWriter

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def call(spool: SpoolWriter, method: str, body: bytes, token: str | None = None) -> bytes:
    """One call by bytes, as a client in any language makes it."""

    async def both() -> bytes:
        server, port = otlp_grpc(OtlpIntake(spool, token=token, most_body=100_000), "127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return bytes(await channel.unary_unary(method)(body))
        finally:
            await server.stop(0)

    return asyncio.run(both())


def refused(spool: SpoolWriter, method: str, body: bytes, token: str | None = None) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        call(spool, method, body, token)
    return error.value


def request(*, ids: bool = True) -> bytes:
    found = ExportTraceServiceRequest()
    found.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16 if ids else b"", span_id=b"s" * 8, name="chat"
    )
    return bytes(found.SerializeToString())


def test_a_request_is_stored_as_it_came(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path)
    assert call(spool, TRACES, request()) == b""
    partial = ExportTraceServiceResponse.FromString(call(spool, TRACES, request(ids=False))).partial_success
    assert partial.rejected_spans == 1
    spool.close()
    (path,) = segments(tmp_path, SEALED)
    found = [(one.kind, one.body) for one in read_records(path) if isinstance(one, Record)]
    assert found == [(Kind.TRACES_PROTOBUF, request()), (Kind.TRACES_PROTOBUF, request(ids=False))]


def test_logs_are_told_to_be_kept_nowhere(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path)
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add()
    answer = ExportLogsServiceResponse.FromString(call(spool, LOGS, logs.SerializeToString()))
    assert answer.partial_success.rejected_log_records == 1
    spool.close()
    assert segments(tmp_path, SEALED) == []


def test_no_room_is_resource_exhausted_with_the_time_to_come_again(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path, Limits(free_bytes=1 << 60))
    error = refused(spool, TRACES, request())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    status, retry = Status.FromString(details), RetryInfo()
    assert status.details[0].Unpack(retry)
    assert (status.code, retry.retry_delay.seconds) == (8, 30)
    spool.close()
    assert refused(spool, TRACES, request()).code() is grpc.StatusCode.UNAVAILABLE


def test_what_is_wrong_is_final(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path)
    assert refused(spool, TRACES, b"\xff\xff").code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused(spool, TRACES, request(), token="secret").code() is grpc.StatusCode.UNAUTHENTICATED
    long = refused(spool, TRACES, bytes(200_000))
    assert long.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in dict(long.trailing_metadata() or ())
    assert refused(spool, "/no.Service/Export", b"").code() is grpc.StatusCode.UNIMPLEMENTED
    spool.close()
