"""`outlay serve` starts only where it can serve safely, and says what is missing."""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from outlay.config import Settings
from outlay.errors import MissingExtraError, UsageError
from outlay.receivers import otlp
from outlay.receivers.run import Address, Serving, serve
from outlay.spool.folders import telemetry_spool
from tests.receivers.emitters import chats
from tests.receivers.server import Server, asked
from tests.sources.focus_bills import run_outlay

HERE = Address("127.0.0.1", 0)


def started(serving: Serving) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it started")

    serve(serving, Settings(), refuse, lambda _: None)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_open_to_others_it_needs_a_token(tmp_path: Path, host: str) -> None:
    for one in (Serving(tmp_path, Address(host, 0), None), Serving(tmp_path, HERE, Address(host, 0))):
        with pytest.raises(UsageError, match="OUTLAY_TOKEN"):
            started(one)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["uvicorn", "grpc", "opentelemetry.proto.collector.trace.v1.trace_service_pb2"])
def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    otlp.proto.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'outlay\[serve\]'"):
        started(Serving(tmp_path, HERE, HERE))
    otlp.proto.cache_clear()


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_port_that_is_taken_is_said(tmp_path: Path, transport: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = Address("127.0.0.1", taken.getsockname()[1])
        serving = Serving(tmp_path, at, None) if transport == "http" else Serving(tmp_path, HERE, at)
        with pytest.raises(UsageError, match="Is it in use"):
            started(serving)
    assert not list(telemetry_spool(tmp_path).glob("*.open"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "4318"], "no address"),
        (["--listen", "127.0.0.1:99999"], "no address"),
        (["--grpc", "here:there"], "no address"),
        (["--token-env", "OUTLAY_TEST_NO_SUCH_VARIABLE"], "empty or not set"),
        (["--listen", "0.0.0.0:0"], "nobody has to say who they are"),
    ],
)
def test_wrong_use_is_status_2(tmp_path: Path, options: list[str], said: str) -> None:
    status, _, err = run_outlay("serve", "--ledger", tmp_path / "ledger", *options)
    assert (status, said in err) == (2, True)
    assert not (tmp_path / "ledger").exists()


def test_an_ended_take_up_is_started_again(tmp_path: Path) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    with Server(tmp_path / "ledger", every=0.1) as server:
        children: list[Any] = []
        while not (children := server.children()):
            pass
        server.end(children[0])
        assert OTLPSpanExporter(f"{server.http}/v1/traces").export(chats(2)) is SpanExportResult.SUCCESS
        while server.children() in (children, []) or server.ask("GET", "/healthz")[0] != 200:
            pass
    assert "starting it again" in server.said
    assert asked(tmp_path / "ledger", "SELECT count(*) FROM requests") == [(2,)]


def test_clients_that_go_away_end_nothing_but_their_request(tmp_path: Path) -> None:
    with Server(tmp_path / "ledger", every=60) as server:
        body = b"x" * 200_000
        head = b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: "
        for sent in (10, 100, 100_000, len(body)):
            for port in (server.http_port, server.grpc_port):
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body[:sent])
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        server.end(server.children()[0])
        assert server.ask("GET", "/healthz")[0] == 200
