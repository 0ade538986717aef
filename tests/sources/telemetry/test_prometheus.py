"""Answers of Prometheus range queries become hours by card and pod; what a query can't tell is not made up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from outlay.errors import UnreadableError, UsageError
from outlay.sources.fact_file import open_facts
from outlay.sources.telemetry.prometheus import QUERIES, PrometheusReader, fetch
from tests.sources.telemetry.reading import FIXTURES, by, read

A, B = "GPU-0d1e2f30-4152-4637-8495-a6b7c8d9e0f1", "GPU-1e2f3041-5263-4748-95a6-b7c8d9e0f102"
TEN = datetime(2026, 10, 1, 10)


def answer(folder: Path, *series: dict[str, Any], **envelope: object) -> Path:
    path = folder / "answer.json"
    data = {"resultType": "matrix", "result": list(series)}
    path.write_text(json.dumps({"status": "success", "data": data, **envelope}), encoding="utf-8")
    return path


def test_a_gap_stays_a_gap_and_the_exporters_own_pod_holds_nothing() -> None:
    """By hand: 33 minutes at 0.75 (a sample stands for three minutes at most), 12 not seen, 15 at 0.01."""
    facts, problems = read(PrometheusReader(), FIXTURES / "prometheus.jsonl")
    assert problems == []
    rows = by(facts, "x_GpuId")
    tuning = rows[A]
    assert tuning["x_BusyHours"] == Decimal("0.55")
    assert tuning["x_NoTelemetryHours"] == Decimal("0.2")
    assert tuning["x_IdleHours"] == Decimal("0.25")
    assert tuning["x_ActiveHours"] == Decimal("0.415")
    assert (tuning["x_Holder"], tuning["x_Namespace"], tuning["x_Host"]) == ("llm-ft-0", "research", "gpu-node-2")
    assert rows[B]["x_UnallocatedHours"] == 1
    tags = {fact.values["x_GpuId"]: dict(fact.tags) for fact in facts}
    assert tags == {A: {"team": "foundation", "app_kubernetes_io_name": "llm-ft"}, B: {}}


def test_requested_gpus_are_allocated_and_not_seen() -> None:
    facts, problems = read(PrometheusReader(), FIXTURES / "kube_requests.json")
    assert problems == []
    assert len(facts) == 2
    for fact in facts:
        assert fact.values["x_NoTelemetryHours"] == fact.values["x_AllocatedHours"] == Decimal("0.5")
        assert (fact.values["x_Holder"], fact.values["x_Host"]) == ("chat-0", "gpu-node-3")
        assert "x_UtilizationMetric" not in fact.values


def test_requests_beside_telemetry_do_not_count_cards_twice(tmp_path: Path) -> None:
    both = tmp_path / "both.jsonl"
    texts = [(FIXTURES / name).read_text(encoding="utf-8") for name in ("prometheus.jsonl", "kube_requests.json")]
    both.write_text("".join(texts), encoding="utf-8")
    facts, _ = read(PrometheusReader(), both)
    assert {fact.values["x_GpuId"] for fact in facts} == {A, B}


def test_a_figure_without_its_metric_is_not_read(tmp_path: Path) -> None:
    path = answer(tmp_path, {"metric": {"UUID": "GPU-1"}, "values": [[1790848800, "1"]]})
    facts, problems = read(PrometheusReader(), path)
    assert (facts, [one.code for one in problems]) == ([], ["missing-value"])


def test_failed_and_instant_answers_are_said(tmp_path: Path) -> None:
    _, problems = read(PrometheusReader(), answer(tmp_path, status="error", error="query timed out"))
    assert [one.message for one in problems] == ["the query failed: query timed out"]
    _, problems = read(PrometheusReader(), answer(tmp_path, data={"resultType": "vector", "result": []}))
    assert [one.code for one in problems] == ["unfit-value"]


def test_values_that_are_none_are_counted(tmp_path: Path) -> None:
    values = [[1790848800, "50"], [1790848860], ["1790848920", "50"], [1790848980, 50], "x", [1e999, "1"], [-1, "5"]]
    series = {"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL", "UUID": "GPU-1"}, "values": values[:5]}
    facts, problems = read(PrometheusReader(), answer(tmp_path, series))
    assert facts == []
    assert [one.message for one in problems if one.line] == ["DCGM_FI_DEV_GPU_UTIL: 4 of 5 are no [time, value]"]


def test_it_is_recognised_by_its_envelope_and_series(tmp_path: Path) -> None:
    for name in ("prometheus.jsonl", "kube_requests.json"):
        assert PrometheusReader().recognises(open_facts(FIXTURES / name))
    other = {"metric": {"__name__": "node_load1"}, "values": [[1, "1"]]}
    assert not PrometheusReader().recognises(open_facts(answer(tmp_path, other)))
    assert not PrometheusReader().recognises(open_facts(FIXTURES / "cloudwatch_gpu.json"))
    assert not PrometheusReader().recognises(open_facts(FIXTURES / "dcgm.prom"))


class Server(HTTPServer):
    """A stand-in for Prometheus that keeps what it was asked; the real one is asked in the system tests."""

    asked: list[dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.asked.append({**asked, "path": self.path, "token": self.headers.get("Authorization", "")})
        refused = asked["query"] == "bad"
        self.send_response(400 if refused else 200)
        self.end_headers()
        self.wfile.write(b'{"status":"error"}' if refused else b'{"status":"success",\n"data":{}}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        found.asked = []
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_a_long_window_is_asked_for_in_parts_that_meet(server: Server) -> None:
    address = f"http://127.0.0.1:{server.server_port}/"
    half_a_day = TEN + timedelta(hours=12)
    answers = list(fetch(address, TEN, half_a_day, 60, headers={"Authorization": "Bearer t"}))
    assert set(answers) == {'{"status":"success", "data":{}}'}
    assert {asked["query"] for asked in server.asked} == set(QUERIES)
    first, second, third = server.asked[:3]
    assert (first["path"], first["token"], first["query"]) == ("/api/v1/query_range", "Bearer t", QUERIES[0])
    assert (first["start"], first["step"]) == ("1790848800.000000", "60")
    assert Decimal(second["start"]) == Decimal(first["end"]) + 60
    assert Decimal(third["start"]) == Decimal(third["end"]) == Decimal(first["start"]) + 12 * 3600
    assert server.asked[-1]["step"] == "300"


def test_what_a_server_refuses_is_an_error_with_its_words(server: Server) -> None:
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(UnreadableError, match="answered 400"):
        list(fetch(address, TEN, TEN + timedelta(hours=1), queries=["bad"]))
    with pytest.raises(UsageError):
        list(fetch("file:///etc/passwd", TEN, TEN + timedelta(hours=1)))
    with pytest.raises(UsageError):
        list(fetch(address, TEN, TEN))
