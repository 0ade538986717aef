"""A real Prometheus scrapes what a DCGM exporter would serve, and what it tells becomes hours that add up."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.sources.focus_bills import run_outlay
from tests.sources.test_fact_loading import asked

pytestmark = pytest.mark.system

_SERVER = shutil.which("prometheus") or "/usr/bin/prometheus"
_BUSY, _IDLE = ("GPU-11111111-1111-1111-1111-111111111111", "GPU-22222222-2222-2222-2222-222222222222")
_PAGE = "".join(
    f'DCGM_FI_PROF_GR_ENGINE_ACTIVE{{gpu="{number}",UUID="{uuid}",modelName="NVIDIA H100 80GB HBM3",Hostname="node-1",'
    f'namespace="ml",pod="{pod}",container="main"}} {active}\n'
    for number, (uuid, pod, active) in enumerate([(_BUSY, "train-0", "0.75"), (_IDLE, "notebook-0", "0")])
)


class _Exporter(BaseHTTPRequestHandler):
    """Stands for a DCGM exporter, as there is no GPU here; the Prometheus that scrapes it is real."""

    def do_GET(self) -> None:
        body = ("# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge\n" + _PAGE).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that has scraped for some seconds."""
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    scrape = {
        "job_name": "dcgm",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "honor_labels": True,
        "static_configs": [{"targets": [f"127.0.0.1:{exporter.server_address[1]}"]}],
    }
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({"scrape_configs": [scrape]}))  # JSON is YAML
    address = f"127.0.0.1:{_free_port()}"
    server = subprocess.Popen(
        [
            _SERVER,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ]
    )
    try:
        _until_scraped(f"http://{address}")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        exporter.shutdown()
        exporter.server_close()


def _until_scraped(url: str) -> None:
    deadline = time.monotonic() + 60
    query = f"{url}/api/v1/query?query=count_over_time(DCGM_FI_PROF_GR_ENGINE_ACTIVE%5B1m%5D)"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(query, timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            found = []
        if found and all(int(one["value"][1]) >= 8 for one in found):
            return
        time.sleep(0.5)
    raise AssertionError("Prometheus scraped nothing within a minute")


def test_what_a_prometheus_scraped_becomes_busy_and_idle_hours(prometheus: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    out, ledger = tmp_path / "gpu.jsonl", tmp_path / "ledger"
    since = (now - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%S")
    until = now.strftime("%Y-%m-%dT%H:%M:%S")
    window = ("--since", since, "--until", until, "--step", "1")

    status, _, err = run_outlay("collect", "prometheus", prometheus, *window, "--out", out)
    assert status == 0, err
    for _ in range(2):  # what a file brings twice is loaded once
        status, _, err = run_outlay("load", out, "--ledger", ledger)
        assert status == 0, err

    sql = (
        'SELECT "x_GpuId", any_value("x_Holder"), sum("x_BusyHours") > 0, sum("x_IdleHours") > 0, '
        'sum("x_ActiveHours") / (sum("x_BusyHours") + sum("x_IdleHours")), any_value("x_UtilizationMetric"), '
        'any_value("x_GpuType"), sum("x_AllocatedHours") BETWEEN 5 / 3600.0 AND 130 / 3600.0 '
        "FROM gpu_usage GROUP BY 1 ORDER BY 1"
    )
    busy, idle = asked(ledger, "gpu_usage", sql)
    metric = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
    assert busy[:4] == (_BUSY, "train-0", True, False)
    assert idle[:4] == (_IDLE, "notebook-0", False, True)
    assert (round(Decimal(busy[4]), 6), busy[5:]) == (Decimal("0.75"), (metric, "H100", True))
    assert (idle[4], idle[5:]) == (0, (metric, "H100", True))
