"""Slurm's records become attempts with exact GPU hours, in both of sacct's forms, and no record crashes the reader."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.problems import Problem
from outlay.sources.fact_file import open_facts
from outlay.sources.facts import Fact
from outlay.sources.runs.slurm import SlurmReader
from tests.sources.runs.reading import FIXTURES, dumps, mangled, read, rows, survives

READER = SlurmReader()
NEW = FIXTURES / "slurm" / "sacct_24_11.json"
OLD = FIXTURES / "slurm" / "sacct_21_08.json"
TEXT = FIXTURES / "slurm" / "sacct.txt"


def by_run(path: Path) -> dict[tuple[Any, Any], Fact]:
    return {(fact.values["x_RunId"], fact.values["x_Attempt"]): fact for fact in rows(READER, path)}


def test_a_job_is_a_row_with_its_gpus_and_times() -> None:
    fact = by_run(NEW)["4101", 1]
    assert fact.source == "gpu1"
    assert fact.tags == {"account": "search", "partition": "h100", "qos": "normal"}
    assert fact.values == {
        "x_RunId": "4101",
        "x_Attempt": 1,
        "x_RunName": "pretrain",
        "x_Experiment": "h100",
        "x_Outcome": "succeeded",
        "x_State": "COMPLETED",
        "submit_time": datetime(2026, 10, 3, 3, 59),
        "start_time": datetime(2026, 10, 3, 4),
        "end_time": datetime(2026, 10, 3, 6),
        "x_GpuCount": Decimal(8),
        "x_GpuType": "H100",
        "x_InstanceCount": 1,
        "x_GpuHours": Decimal(16),
        "x_User": "alice",
        "x_Account": "search",
    }


def test_a_requeued_job_has_an_attempt_for_each_time_it_ran() -> None:
    found = by_run(NEW)
    attempts = [found["4102", number].values for number in (1, 2, 3)]
    assert [one["x_Outcome"] for one in attempts] == ["node failure", "preempted", "succeeded"]
    # 16 GPUs for 1000, 500 and 3600 seconds
    assert [one["x_GpuHours"] for one in attempts] == [
        Decimal("4.444444444444444444"),
        Decimal("2.222222222222222222"),
        Decimal(16),
    ]
    assert [one["x_InstanceCount"] for one in attempts] == [2, 2, 2]
    assert attempts[0]["x_Reason"] == "ERROR, exit code 1, node gpu1-002 failed"
    assert attempts[1]["x_Reason"] == "SIGNALED, signal 15"
    assert "x_LostGpuHours" not in attempts[0]  # Slurm knows no checkpoints


def test_an_attempt_keeps_its_identity_in_an_export_that_lacks_the_earlier_ones(tmp_path: Path) -> None:
    document = json.loads(NEW.read_text())
    document["jobs"] = [job for job in document["jobs"] if job["job_id"] == 4102][2:]
    alone = tmp_path / "sacct.json"
    alone.write_text(json.dumps(document))
    fact = rows(READER, alone)[0]
    assert fact.identity == by_run(NEW)["4102", 3].identity
    assert fact.values["x_Attempt"] == 3  # restart_cnt is 2


def test_array_tasks_and_parts_of_heterogeneous_jobs_are_runs_of_their_own() -> None:
    found = by_run(NEW)
    assert found["4103_0", 1].values["x_Outcome"] == "failed"
    assert found["4103_0", 1].values["x_Reason"] == "ERROR, exit code 137"
    assert found["4103_1", 1].values["x_Outcome"] == "timed out"
    assert found["4103_1", 1].values["x_GpuHours"] == Decimal(24)
    assert found["4111+0", 1].values["x_GpuHours"] == Decimal(8)
    assert found["4111+1", 1].values["x_GpuHours"] == Decimal(4)
    assert found["4111+1", 1].values["x_GpuType"] == "A100"  # with how much memory, the site does not say


def test_what_never_started_held_no_gpus() -> None:
    found = by_run(NEW)
    for run, outcome in (("4107", "cancelled"), ("4114", "pending")):
        values = found[run, 1].values
        assert values["x_Outcome"] == outcome
        assert "start_time" not in values
        assert "x_GpuHours" not in values
    assert found["4114", 1].values["x_Reason"] == "Priority"


def test_a_running_job_has_its_hours_so_far_and_no_end() -> None:
    values = by_run(NEW)["4113", 1].values
    assert values["x_Outcome"] == "running"
    assert values["x_GpuHours"] == Decimal(4)
    assert "end_time" not in values


def test_a_mig_slice_is_a_share_of_a_card() -> None:
    values = by_run(NEW)["4109", 1].values
    assert values["x_GpuCount"] == Decimal("0.285714")
    assert values["x_GpuHours"] == Decimal("0.571428571428571429")  # 2 x 1/7 x 2 h
    assert values["x_GpuType"] == "A100"


def test_without_gpus_means_none_only_where_the_site_tracks_gpus(tmp_path: Path) -> None:
    assert by_run(NEW)["4110", 1].values["x_GpuHours"] == Decimal(0)
    document = json.loads(NEW.read_text())
    document["jobs"] = [job for job in document["jobs"] if job["job_id"] == 4110]
    untracked = tmp_path / "sacct.json"
    untracked.write_text(json.dumps(document))
    assert "x_GpuHours" not in rows(READER, untracked)[0].values
    assert "x_GpuCount" not in rows(READER, untracked)[0].values


def test_a_state_that_slurm_does_not_list_is_unknown_and_kept() -> None:
    values = by_run(NEW)["4115", 1].values
    assert (values["x_Outcome"], values["x_State"]) == ("unknown", "FROBNICATED")


def test_old_and_new_slurm_say_the_same() -> None:
    new, old = by_run(NEW), by_run(OLD)
    assert set(old) == {("4101", 1), ("4103_0", 1), ("4103_1", 1), ("4107", 1)}
    for key, fact in old.items():
        differ = {name for name, value in new[key].values.items() if fact.values.get(name) != value}
        assert differ <= {"x_Reason"}, (key, differ)
        assert fact.identity == new[key].identity


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("COMPLETED", "succeeded"),
        (["CANCELLED", "COMPLETING"], "cancelled"),
        ({"current": ["PENDING", "REQUEUED"]}, "pending"),
        ({"current": ["REQUEUED"]}, "unknown"),
        ("CANCELLED by 1000", "cancelled"),
        (["DEADLINE"], "timed out"),
        (["BOOT_FAIL"], "node failure"),
        ([], "unknown"),
        (None, "unknown"),
    ],
)
def test_states_in_all_their_shapes(tmp_path: Path, state: Any, outcome: str) -> None:
    document = json.loads(NEW.read_text())
    document["jobs"] = [document["jobs"][0] | {"state": state}]
    path = tmp_path / "sacct.json"
    path.write_text(json.dumps(document))
    assert rows(READER, path)[0].values["x_Outcome"] == outcome


def test_text_output_without_the_steps() -> None:
    found = by_run(TEXT)
    assert set(found) == {("4101", 1), ("4102", 1), ("4102", 2), ("4103_0", 1), ("4104", 1), ("4105", 1)}
    assert found["4101", 1].values["x_GpuHours"] == Decimal(16)
    assert found["4101", 1].values["x_GpuType"] == "H100"
    assert found["4102", 1].values["x_GpuHours"] == Decimal("2.666666666666666667")
    assert found["4102", 2].values["x_GpuHours"] == Decimal(8)
    assert found["4102", 2].values["x_State"] == "CANCELLED"
    assert found["4102", 2].values["x_Reason"] == "exit code 0:15, by 1000"
    assert found["4105", 1].values["x_GpuHours"] == Decimal(0)
    assert "start_time" not in found["4104", 1].values


def test_elapsed_as_a_clock_and_times_with_their_zone(tmp_path: Path) -> None:
    path = tmp_path / "sacct.txt"
    path.write_text(
        "JobID|State|Start|End|Elapsed|AllocTRES\n"
        "1|COMPLETED|2026-10-03T16:00:00+0200|2026-10-05T17:30:00+0200|2-01:30:00|gres/gpu=2\n"
    )
    values = rows(READER, path)[0].values
    assert values["start_time"] == datetime(2026, 10, 3, 14)
    assert values["x_GpuHours"] == Decimal(99)


def test_a_bad_record_is_a_problem_and_the_others_are_read(tmp_path: Path) -> None:
    document = json.loads(NEW.read_text())
    good = document["jobs"][0]
    document["jobs"] = [
        {**good, "job_id": None},
        "no job",
        {**good, "time": {**good["time"], "elapsed": -1}},
        {**good, "time": {**good["time"], "start": "soon"}},
        {**good, "time": {**good["time"], "end": good["time"]["start"] - 1}},
        good,
    ]
    path = tmp_path / "sacct.json"
    path.write_text(json.dumps(document))
    found = read(READER, path)
    assert [(one.line, one.code) for one in found if isinstance(one, Problem)] == [
        (1, "missing-identity"),
        (2, "not-json"),
        (3, "negative-quantity"),
        (4, "unparsable-time"),
        (5, "period-reversed"),
    ]
    assert len([one for one in found if isinstance(one, Fact)]) == 1


@pytest.mark.parametrize(
    "content",
    [
        '{"jobs": [{"job_id": 1, "job_state": ["RUNNING"], "nodes": "n1"}], "meta": {"command": ["squeue", "--json"]}}',
        '{"jobs": []}',
        '{"jobs": "none"}',
        "JobID,State,Elapsed\n1,COMPLETED,00:00:01\n",
        "BilledCost|ChargePeriodStart\n1|2026-10-01\n",
        "[1, 2]",
    ],
)
def test_other_files_are_not_taken_for_sacct(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    assert not READER.recognises(open_facts(path))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=mangled(json.loads(NEW.read_text())))
def test_no_json_crashes_the_reader(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "sacct.json"
    path.write_text(dumps(document))
    survives(READER, path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_text_crashes_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    lines = [line.split("|") for line in TEXT.read_text().splitlines()]
    row = data.draw(st.integers(1, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[0]) - 1))
    lines[row][column] = data.draw(
        st.sampled_from(["-1", "NaN", "1e99", "gres/gpu=x", "gres/gpu=-4", "9-9", "99999999999999999999", "", "è"])
    )
    path = tmp_path / "sacct.txt"
    path.write_text("\n".join("|".join(line) for line in lines) + "\n")
    survives(READER, path)
