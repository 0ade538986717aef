"""What a real MLflow tracking server with an SQLite store answers is fetched page by page and read.

Needs the command ``mlflow`` (of the package mlflow, not mlflow-skinny, which can't run a server), or its path in
``$OUTLAY_MLFLOW``; skipped otherwise, as the package weighs some 850 MiB.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.errors import UnreadableError
from outlay.sources.runs.mlflow_runs import MlflowReader, fetch
from tests.sources.runs.reading import rows

pytestmark = pytest.mark.slow

START = 1_791_000_000_000  # 2026-10-03T04:00:00Z


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = os.environ.get("OUTLAY_MLFLOW") or shutil.which("mlflow")
    if not command:
        pytest.skip("needs the command mlflow, or its path in OUTLAY_MLFLOW")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    arguments = ["server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--host", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [command, *arguments, "--port", str(port), "--workers", "1"],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | quiet,
            start_new_session=True,
        )
        try:
            yield wait_for(process, f"http://127.0.0.1:{port}", folder / "log")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def wait_for(process: subprocess.Popen[bytes], uri: str, log: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return uri
    raise AssertionError(log.read_text()[-2000:])


def post(server: str, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def experiments(server: str) -> dict[str, str]:
    """Two experiments with seven and one runs, 8 GPUs for an hour each; every other one failed."""
    ids = {name: post(server, "experiments/create", name=name)["experiment_id"] for name in ("ranker", "other")}
    for number in range(8):
        tags = [{"key": "outlay.gpu_count", "value": "8"}, {"key": "team", "value": "search"}]
        experiment = ids["ranker" if number < 7 else "other"]
        made = post(
            server, "runs/create", experiment_id=experiment, run_name=f"run {number}", start_time=START, tags=tags
        )
        run_id = made["run"]["info"]["run_id"]
        post(server, "runs/log-metric", run_id=run_id, key="loss", value="NaN", timestamp=START)
        status = "FAILED" if number % 2 else "FINISHED"
        post(server, "runs/update", run_id=run_id, status=status, end_time=START + 3_600_000)
    return ids


def test_all_pages_of_all_experiments(server: str, experiments: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(line + "\n" for line in fetch(server, page_size=3)))
    facts = rows(MlflowReader(), path)
    assert len(facts) == 8
    assert {fact.values["x_Experiment"] for fact in facts} == {"ranker", "other"}
    assert all(fact.values["x_GpuHours"] == Decimal(8) for fact in facts)
    assert sorted(str(fact.values["x_Outcome"]) for fact in facts) == ["failed"] * 4 + ["succeeded"] * 4
    assert all(fact.tags == {"team": "search"} for fact in facts)


def test_one_experiment(server: str, experiments: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(line + "\n" for line in fetch(server, [experiments["other"]])))
    assert [fact.values["x_RunName"] for fact in rows(MlflowReader(), path)] == ["run 7"]


def test_an_answer_that_is_an_error_says_so(server: str) -> None:
    with pytest.raises(UnreadableError, match="MLflow answered 400"):
        list(fetch(server, page_size=-1))
