"""What a real MLflow tracking server with an SQLite store answers becomes, page by page, the rows of what was logged.

The server is the command ``mlflow`` that `make test-system` installs into .venv-mlflow, or the one that
``$OUTLAY_MLFLOW`` names. Runs are logged over REST, with times that are known to the millisecond, and by MLflow's own
client, as its users do.
"""

from __future__ import annotations

import json
import os
import re
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
from tests.sources.focus_bills import run_outlay
from tests.sources.runs.mlflow_logged import MINUTE, RUNS, START, STARTED, Logged
from tests.sources.runs.reading import rows
from tests.sources.test_fact_loading import asked

pytestmark = pytest.mark.system

_ROOT = Path(__file__).resolve().parents[3]
_MLFLOW = Path(os.environ.get("OUTLAY_MLFLOW") or _ROOT / ".venv-mlflow/bin/mlflow")
_CLIENT = """
import contextlib, os, mlflow
mlflow.set_experiment("client")
with mlflow.start_run(run_name="noted"):
    {note}
with contextlib.suppress(ZeroDivisionError), mlflow.start_run(run_name="raised"):
    mlflow.log_metrics({{"system/gpu_0_utilization_percentage": 3.0, "system/gpu_1_utilization_percentage": 4.0}})
    1 / 0
mlflow.start_run(run_name="killed")
mlflow.end_run("KILLED")
mlflow.start_run(run_name="died")
os._exit(0)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has just started, with an empty store."""
    assert os.access(_MLFLOW, os.X_OK), f"{_MLFLOW} is no command: run `make test-system`, or name one in OUTLAY_MLFLOW"
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--host", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [_MLFLOW, *arguments, "--port", str(port), "--workers", "1"],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=_environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        )
        try:
            yield _answering(process, f"http://127.0.0.1:{port}", folder / "log")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _environment() -> dict[str, str]:
    """Ours without what a developer set for an MLflow or a Python of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(("MLFLOW_", "PYTHON"))}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true"}


def _answering(process: subprocess.Popen[bytes], uri: str, log: Path) -> str:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return uri
    raise AssertionError(log.read_text()[-2000:])


def _post(server: str, path: str, **body: Any) -> Any:
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def _log(server: str, run: Logged, experiment: str) -> str:
    """The id that the server gives ``run``."""
    tags = [{"key": key, "value": value} for key, value in run.tags.items()]
    user = {"user_id": run.user} if run.user else {}
    made = _post(
        server, "runs/create", experiment_id=experiment, run_name=run.name, start_time=START, tags=tags, **user
    )
    run_id = str(made["run"]["info"]["run_id"])
    params = [{"key": key, "value": value} for key, value in run.params.items()]
    metrics = [{"key": key, "value": value, "timestamp": START, "step": 0} for key, value in run.metrics.items()]
    _post(server, "runs/log-batch", run_id=run_id, params=params, metrics=metrics)
    end = {} if run.milliseconds is None else {"end_time": START + run.milliseconds}
    _post(server, "runs/update", run_id=run_id, status=run.status, **end)
    if run.deleted:
        _post(server, "runs/delete", run_id=run_id)
    return run_id


@pytest.fixture(scope="module")
def experiments(server: str) -> dict[str, str]:
    """The ids of two experiments by name, a hundred empty ones between them: `fetch` asks for a hundred at once."""
    ids = {}
    for name in ("ranker", *(f"empty {number}" for number in range(100)), "other"):
        ids[name] = _post(server, "experiments/create", name=name)["experiment_id"]
    return {name: ids[name] for name in ("ranker", "other")}


@pytest.fixture(scope="module")
def logged(server: str, experiments: dict[str, str]) -> dict[str, str]:
    """The ids of all runs by name, on a server that tells one of the experiments as deleted."""
    ids = {run.name: _log(server, run, experiments[run.experiment]) for run in RUNS}
    _post(server, "experiments/delete", experiment_id=experiments["other"])
    return ids


def test_every_run_of_every_page_is_the_row_of_what_was_logged(
    server: str, logged: dict[str, str], experiments: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(line + "\n" for line in fetch(server, list(experiments.values()), page_size=3)))
    pages = [len(page["runs"]) for page in map(json.loads, path.read_text().splitlines()) if "runs" in page]
    assert pages == [3, 3, 3]

    found = {fact.values["x_RunName"]: fact for fact in rows(MlflowReader(), path)}

    for run in RUNS:
        assert found[run.name].values == {
            "x_RunId": logged[run.name],
            "x_Attempt": 1,
            "x_RunName": run.name,
            "x_Experiment": run.experiment,
            "x_State": run.status,
            "start_time": STARTED,
            **({"end_time": run.ended} if run.ended else {}),
            **run.row,
        }
        assert found[run.name].tags == {key: value for key, value in run.tags.items() if key == "team"}
    assert len(found) == len(RUNS)


def test_experiments_beyond_what_one_search_may_name(server: str, logged: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(line + "\n" for line in fetch(server, page_size=60)))
    assert {fact.values["x_RunId"] for fact in rows(MlflowReader(), path)} >= set(logged.values())


def test_one_experiment(server: str, logged: dict[str, str], experiments: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(line + "\n" for line in fetch(server, [experiments["other"]])))
    assert [fact.values["x_RunName"] for fact in rows(MlflowReader(), path)] == ["in another experiment"]


def test_from_the_server_into_the_ledger(
    server: str, logged: dict[str, str], experiments: dict[str, str], tmp_path: Path
) -> None:
    _take_up(server, list(experiments.values()), tmp_path)

    columns = ("x_State", "x_Outcome", "x_GpuCount", "x_GpuHours", "x_LostGpuHours", "end_time")
    sql = f"SELECT x_RunName, {', '.join(columns)}, Tags['team'] FROM runs"
    found = {name: rest for name, *rest in asked(tmp_path / "ledger", "runs", sql)}

    assert found == {
        run.name: [run.status, *(run.row.get(column) for column in columns[1:-1]), run.ended, run.tags.get("team")]
        for run in RUNS
    }


def test_a_run_that_has_ended_since_replaces_what_was_known_of_it(server: str, tmp_path: Path) -> None:
    experiment = _post(server, "experiments/create", name="nightly")["experiment_id"]
    run = Logged(name="going", status="RUNNING", tags={"outlay.gpu_count": "8"}, row={})
    run_id = _log(server, run, experiment)
    sql = "SELECT x_RunId, x_Experiment, x_Outcome, x_GpuHours FROM runs"

    _take_up(server, [experiment], tmp_path)
    assert asked(tmp_path / "ledger", "runs", sql) == [(run_id, "nightly", "running", None)]

    _post(server, "runs/update", run_id=run_id, status="KILLED", end_time=START + 45 * MINUTE)
    _take_up(server, [experiment], tmp_path)
    assert asked(tmp_path / "ledger", "runs", sql) == [(run_id, "nightly", "cancelled", Decimal(6))]


def _take_up(server: str, experiments: list[str], folder: Path) -> None:
    """Collect to a file that grows, and load it: the commands that a user runs each night."""
    named = [part for experiment in experiments for part in ("--experiment", experiment)]
    status, _, err = run_outlay("collect", "mlflow", server, *named, "--out", folder / "runs.jsonl")
    assert status == 0, err
    status, _, err = run_outlay("load", folder / "runs.jsonl", "--ledger", folder / "ledger")
    assert status == 0, err


def test_what_mlflows_own_client_logs(server: str, tmp_path: Path) -> None:
    (note,) = re.findall(r"^mlflow\.set_tags\(.*\)$", (_ROOT / "docs/sources/mlflow.md").read_text(), re.MULTILINE)
    client = _MLFLOW.resolve().with_name("python")  # of the environment that the command is in
    environment = _environment() | {"MLFLOW_TRACKING_URI": server}
    subprocess.run([client, "-c", _CLIENT.format(note=note)], cwd=tmp_path, env=environment, check=True, timeout=120)
    experiment = _post(server, "experiments/search", max_results=1, filter="name = 'client'")["experiments"][0]

    path = tmp_path / "runs.jsonl"
    path.write_text("".join(line + "\n" for line in fetch(server, [experiment["experiment_id"]])))
    found = {fact.values["x_RunName"]: fact for fact in rows(MlflowReader(), path)}

    assert {name: (fact.values["x_State"], fact.values["x_Outcome"]) for name, fact in found.items()} == {
        "noted": ("FINISHED", "succeeded"),
        "raised": ("FAILED", "failed"),
        "killed": ("KILLED", "cancelled"),
        "died": ("RUNNING", "running"),
    }
    assert {name: fact.values.get("x_GpuCount") for name, fact in found.items()} == {
        "noted": Decimal(8),
        "raised": Decimal(2),
        "killed": None,
        "died": None,
    }
    assert found["noted"].values["x_GpuType"] == "H100"
    assert {name: fact.tags for name, fact in found.items() if fact.tags} == {"noted": {"team": "search"}}
    assert "end_time" not in found["died"].values


def test_an_answer_that_is_an_error_says_so(server: str) -> None:
    with pytest.raises(UnreadableError, match="MLflow answered 400"):
        list(fetch(server, page_size=-1))
