"""MLflow's runs become attempts; GPUs are what was noted, or seen by system metrics, and are never guessed."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from outlay.errors import UnreadableError, UsageError
from outlay.problems import Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.runs.mlflow_runs import MlflowReader, fetch
from tests.sources.runs.reading import FIXTURES, dumps, mangled, read, rows, survives

READER = MlflowReader()
PAGES = FIXTURES / "mlflow" / "pages.json"


def by_name(path: Path = PAGES) -> dict[Any, Fact]:
    return {fact.values.get("x_RunName"): fact for fact in rows(READER, path)}


def test_a_run_with_its_gpus_noted() -> None:
    fact = by_name()["finished"]
    assert fact.tags == {"team": "search"}
    assert fact.values == {
        "x_RunId": "453e9af1abc64749a7e8342062a307a3",
        "x_Attempt": 1,
        "x_RunName": "finished",
        "x_Experiment": "ranker-pretraining",
        "x_Outcome": "succeeded",
        "x_State": "FINISHED",
        "start_time": datetime(2026, 10, 3, 4),
        "end_time": datetime(2026, 10, 3, 6),
        "x_GpuCount": Decimal(8),
        "x_GpuType": "H100",
        "x_GpuHours": Decimal(16),
        "x_User": "alice",
    }


def test_every_run_of_the_server_is_there_the_deleted_one_too() -> None:
    outcomes = {name: fact.values["x_Outcome"] for name, fact in by_name().items()}
    assert outcomes == {
        "finished": "succeeded",
        "failed with a checkpoint": "failed",
        "killed, instance type as parameter": "cancelled",
        "running": "running",
        "sweep": "succeeded",
        "child, system metrics": "succeeded",
        "two nodes, system metrics": "succeeded",
        "deleted": "succeeded",
        "scheduled": "pending",
    }


def test_a_noted_checkpoint_tells_what_was_lost() -> None:
    values = by_name()["failed with a checkpoint"].values
    assert values["x_GpuType"] == "A100-80GB"
    assert values["x_GpuHours"] == Decimal(6)  # 4 GPUs x 1.5 h
    assert values["x_LastCheckpoint"] == datetime(2026, 10, 3, 5)
    assert values["x_LostGpuHours"] == Decimal(2)  # 4 GPUs x 0.5 h


def test_instances_noted_as_parameters() -> None:
    values = by_name()["killed, instance type as parameter"].values
    assert (values["x_InstanceType"], values["x_InstanceCount"]) == ("p5.48xlarge", 2)
    assert (values["x_GpuCount"], values["x_GpuType"]) == (Decimal(16), "H100")
    assert values["x_GpuHours"] == Decimal("16.002222222222222222")  # 16 x 3600.5 s


def test_gpus_that_system_metrics_saw_on_each_node() -> None:
    found = by_name()
    assert found["child, system metrics"].values["x_GpuCount"] == Decimal(2)
    assert found["child, system metrics"].values["x_GpuHours"] == Decimal(1)
    assert found["two nodes, system metrics"].values["x_GpuCount"] == Decimal(8)


def test_without_either_the_gpus_are_unknown() -> None:
    values = by_name()["sweep"].values
    assert not values.keys() & {"x_GpuCount", "x_GpuHours", "x_LostGpuHours"}


def test_pages_one_a_line_and_one_alone(tmp_path: Path) -> None:
    pages = json.loads(PAGES.read_text())
    lines = tmp_path / "runs.jsonl"
    lines.write_text("".join(json.dumps(page) + "\n" for page in pages))
    assert {name: fact.values for name, fact in by_name(lines).items()} == {
        name: fact.values for name, fact in by_name().items()
    }
    alone = tmp_path / "page.json"
    alone.write_text(json.dumps(pages[1]))
    assert len(rows(READER, alone)) == 5
    assert rows(READER, alone)[0].values["x_Experiment"] == "1"  # its name is in the experiments' page


def test_a_gpu_count_that_is_none_is_a_problem(tmp_path: Path) -> None:
    page = json.loads(PAGES.read_text())[1]
    page["runs"][0]["data"]["tags"].append({"key": "outlay.gpu_count", "value": "eight"})
    path = tmp_path / "page.json"
    path.write_text(json.dumps(page))
    found = read(READER, path)
    assert [(one.line, one.code) for one in found if isinstance(one, Problem)] == [(1, "unparsable-amount")]
    assert len(found) == 5


@pytest.mark.parametrize("content", ['{"runs": []}', '{"runs": [{"id": 1}]}', '{"experiments": [{"name": "x"}]}', "[]"])
def test_other_files_are_not_taken(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


def test_a_server_that_is_none() -> None:
    with pytest.raises(UsageError, match="no address of an MLflow server"):
        list(fetch("file:///etc/passwd"))
    with pytest.raises(UnreadableError, match="MLflow did not answer"):
        list(fetch("http://127.0.0.1:9", timeout=2))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=mangled(json.loads(PAGES.read_text())))
def test_no_content_crashes_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "pages.json"
    path.write_text(dumps(document))
    survives(READER, path)
