"""outlay.training_run records an attempt however it ends, never disturbs the program, and costs next to nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import outlay
from outlay.sdk.training_run import TrainingRun, training_run
from outlay.sources.facts import Fact
from outlay.sources.runs.run_record import RunRecordReader
from tests.sources.runs.reading import rows

START = datetime(2026, 10, 3, 4, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OUTLAY_RUN")) or name in ("RANK", "OMPI_COMM_WORLD_RANK"):
            monkeypatch.delenv(name)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: int) -> None:
        self.now += timedelta(**span)


def record(folder: Path, clock: Clock, run_id: str = "ranker-1", **more: Any) -> TrainingRun:
    return training_run(
        "ranker",
        gpus=8,
        gpu_type="H100",
        team="search",
        directory=folder,
        run_id=run_id,
        clock=clock,
        heartbeat_seconds=0,
        **more,
    )


def attempts(folder: Path) -> list[Fact]:
    return [fact for path in sorted(folder.iterdir()) for fact in rows(RunRecordReader(), path)]


def events(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for path in folder.iterdir() for line in path.read_text().splitlines()]


def test_it_is_importable_from_the_package() -> None:
    assert outlay.training_run is training_run
    with pytest.raises(AttributeError, match="no attribute 'trainingrun'"):
        outlay.trainingrun  # type: ignore[attr-defined] # noqa: B018


def test_a_run_that_ends_well(tmp_path: Path) -> None:
    clock = Clock()
    with record(tmp_path, clock, instance_type="p5.48xlarge", interruptible=True, model="ranker-7b") as run:
        clock.pass_(minutes=30)
        run.checkpoint()
        clock.pass_(minutes=60)
    fact = attempts(tmp_path)[0]
    assert fact.identity == "ranker-1#1"
    assert fact.tags == {"team": "search"}
    values = dict(fact.values)
    values.pop("x_User", None)
    assert values == {
        "x_RunId": "ranker-1",
        "x_Attempt": 1,
        "x_RunName": "ranker",
        "x_WorkloadKind": "training",
        "x_Outcome": "succeeded",
        "x_State": "succeeded",
        "start_time": datetime(2026, 10, 3, 4),
        "end_time": datetime(2026, 10, 3, 5, 30),
        "x_GpuCount": Decimal(8),
        "x_GpuType": "H100",
        "x_InstanceType": "p5.48xlarge",
        "x_GpuHours": Decimal(12),
        "x_Interruptible": True,
        "x_LastCheckpoint": datetime(2026, 10, 3, 4, 30),
        "x_Model": "ranker-7b",
    }


def test_a_failed_run_names_the_type_of_the_exception_and_the_hours_lost(tmp_path: Path) -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="secret"), record(tmp_path, clock) as run:  # noqa: PT012
        clock.pass_(minutes=45)
        run.checkpoint()
        clock.pass_(minutes=15)
        raise ValueError("secret data")
    values = attempts(tmp_path)[0].values
    assert (values["x_Outcome"], values["x_Reason"]) == ("failed", "ValueError")
    assert values["x_GpuHours"] == Decimal(8)
    assert values["x_LostGpuHours"] == Decimal(2)  # 8 GPUs x 15 minutes
    assert "secret" not in next(tmp_path.iterdir()).read_text()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(0), "succeeded"),
        (SystemExit(), "succeeded"),
        (SystemExit(2), "failed"),
        (MemoryError(), "failed"),
    ],
)
def test_how_the_block_ends_is_the_outcome(tmp_path: Path, error: BaseException, outcome: str) -> None:
    with pytest.raises(type(error)), record(tmp_path, Clock()):
        raise error
    assert attempts(tmp_path)[0].values["x_Outcome"] == outcome


def test_without_a_checkpoint_the_loss_is_unknown_and_without_gpus_so_are_the_hours(tmp_path: Path) -> None:
    with pytest.raises(OSError), training_run("x", directory=tmp_path, heartbeat_seconds=0):  # noqa: PT011
        raise OSError
    values = attempts(tmp_path)[0].values
    assert not values.keys() & {"x_LostGpuHours", "x_GpuHours", "x_GpuCount", "x_LastCheckpoint"}


def test_the_same_run_again_is_its_next_attempt(tmp_path: Path) -> None:
    clock = Clock()
    with pytest.raises(RuntimeError), record(tmp_path, clock) as run:  # noqa: PT012
        clock.pass_(hours=1)
        run.checkpoint()
        raise RuntimeError
    clock.pass_(hours=1)
    with pytest.raises(RuntimeError), record(tmp_path, clock) as run:  # noqa: PT012
        assert run.attempt == 2
        clock.pass_(hours=1)
        raise RuntimeError
    first, second = attempts(tmp_path)
    assert first.values["x_LostGpuHours"] == Decimal(0)  # it was saved as it failed
    assert second.values["x_LostGpuHours"] == Decimal(8)  # all of it: the last checkpoint is the first attempt's
    assert (first.values["x_RunId"], first.values["x_Attempt"]) == ("ranker-1", 1)
    assert (second.values["x_RunId"], second.values["x_Attempt"]) == ("ranker-1", 2)


def test_slurm_gives_the_run_and_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4101")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    with training_run("ranker", directory=tmp_path, heartbeat_seconds=0) as run:
        assert (run.run_id, run.attempt) == ("ranker-4101", 3)
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4100")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    assert training_run("ranker").run_id == "ranker-4100_7"
    monkeypatch.setenv("OUTLAY_RUN_ID", "mine")
    assert training_run("ranker").run_id == "mine"


def test_of_a_distributed_job_only_rank_zero_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    with record(tmp_path / "runs", Clock()) as run:
        run.checkpoint()
    assert not (tmp_path / "runs").exists()
    monkeypatch.setenv("RANK", "0")
    with record(tmp_path / "runs", Clock()):
        pass
    assert len(attempts(tmp_path / "runs")) == 1


def test_a_folder_that_can_not_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = record(tmp_path / "file" / "runs", Clock())
    with pytest.warns(RuntimeWarning, match="the run is not recorded"):
        run.__enter__()
    run.checkpoint()
    run.__exit__(None, None, None)


def test_a_disk_that_fails_meanwhile_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with record(tmp_path, Clock()) as run:
        monkeypatch.setattr(os, "write", full)
        with pytest.warns(RuntimeWarning, match="No space left"):
            run.checkpoint()
        run.checkpoint()
    assert events(tmp_path) == ["start"]


def test_nonsense_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gpus is -1"):
        training_run("x", gpus=-1, directory=tmp_path)
    with pytest.raises(ValueError, match="gpus is nan"):
        training_run("x", gpus=float("nan"), directory=tmp_path)


def test_heartbeats_come_from_a_thread_that_ends_with_the_run(tmp_path: Path) -> None:
    before = threading.active_count()
    with training_run("x", directory=tmp_path, heartbeat_seconds=0.01):
        deadline = time.monotonic() + 10
        while "heartbeat" not in events(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "heartbeat" in events(tmp_path)
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    assert events(tmp_path)[-1] == "end"


def test_fractions_of_a_gpu_are_exact(tmp_path: Path) -> None:
    clock = Clock()
    with training_run("x", gpus=0.1, directory=tmp_path, clock=clock, heartbeat_seconds=0):
        clock.pass_(hours=3)
    assert attempts(tmp_path)[0].values["x_GpuHours"] == Decimal("0.3")


def start(folder: Path, body: str) -> subprocess.Popen[str]:
    """A program that opens a run, prints a line, and goes on with ``body``."""
    program = (
        "import os, signal, sys, time\nimport outlay\n"
        f"folder = {str(folder)!r}\n"
        "with outlay.training_run('x', gpus=1, directory=folder, run_id='r', heartbeat_seconds=0.02) as run:\n"
        "    run.checkpoint()\n    print('up', flush=True)\n"
        f"    {body}\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_sigterm_is_cancelled_and_still_ends_the_process(tmp_path: Path) -> None:
    with start(tmp_path, "time.sleep(60)") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
    values = attempts(tmp_path)[0].values
    assert (values["x_Outcome"], values["x_Reason"]) == ("cancelled", "SIGTERM")
    assert "end_time" in values
    assert "x_LostGpuHours" in values


def test_a_program_with_its_own_sigterm_handler_keeps_it(tmp_path: Path) -> None:
    folder = str(tmp_path)
    program = (
        "import os, signal, sys\nimport outlay\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        f"with outlay.training_run('x', directory={folder!r}, heartbeat_seconds=0):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 5
    values = attempts(tmp_path)[0].values
    assert (values["x_Outcome"], values["x_Reason"]) == ("cancelled", "SIGTERM")


def test_a_killed_run_has_its_hours_up_to_the_last_heartbeat(tmp_path: Path) -> None:
    with start(tmp_path, "time.sleep(60)") as process:
        deadline = time.monotonic() + 20
        while "heartbeat" not in events(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait(20)
    values = attempts(tmp_path)[0].values
    assert values["x_Outcome"] == "running"  # the file can't tell that it is not
    assert "end_time" not in values
    assert isinstance(values["x_GpuHours"], Decimal)
    assert values["x_GpuHours"] > 0
    with training_run("x", gpus=1, directory=tmp_path, run_id="r", heartbeat_seconds=0) as run:
        assert run.attempt == 2
    killed, after = attempts(tmp_path)
    assert (killed.values["x_Outcome"], after.values["x_Outcome"]) == ("unknown", "succeeded")
    assert killed.values["x_GpuHours"] == values["x_GpuHours"]
    assert "x_LostGpuHours" in killed.values


def test_a_forked_child_is_not_the_run(tmp_path: Path) -> None:
    program = "pid = os.fork(); (run.checkpoint(), sys.exit(3)) if pid == 0 else os.waitpid(pid, 0)"
    with start(tmp_path, program) as process:
        assert process.wait(20) == 0
    found = [event for event in events(tmp_path) if event != "heartbeat"]
    assert found == ["start", "checkpoint", "end"]
    assert attempts(tmp_path)[0].values["x_Outcome"] == "succeeded"


def test_a_torn_line_does_not_spoil_the_next_attempt(tmp_path: Path) -> None:
    with record(tmp_path, Clock()):
        pass
    path = next(tmp_path.iterdir())
    path.write_text(path.read_text() + '{"outlay_run": 1, "event": "heartb')
    with record(tmp_path, Clock()) as run:
        assert run.attempt == 2
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()[-2:]] == ["start", "end"]


def test_it_imports_the_standard_library_only() -> None:
    program = "import sys, outlay; before = set(sys.modules); outlay.training_run; print(*sorted(set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    ours = [name for name in printed if name.partition(".")[0] == "outlay"]
    assert ours == ["outlay", "outlay.sdk", "outlay.sdk.training_run"]
    heavy = {"duckdb", "pyarrow", "deltalake", "ibis", "pydantic", "click", "rich", "pluggy", "genai_prices"}
    assert not heavy & {name.partition(".")[0] for name in printed}
