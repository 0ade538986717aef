"""Runs to tell a real MLflow server, of every status and with GPUs noted in every way, and the row each must become.

GPU hours are computed by hand: GPUs x hours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

__all__ = ["MINUTE", "RUNS", "START", "STARTED", "Logged"]

START = 1_791_000_000_000  # 2026-10-03T04:00:00Z
STARTED = datetime(2026, 10, 3, 4)
MINUTE = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A run as the server is told it, and the columns that its row must have beside id, name, experiment and times."""

    name: str
    status: str
    row: dict[str, Any]
    experiment: str = "ranker"
    milliseconds: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float | str] = field(default_factory=dict)
    user: str | None = None
    deleted: bool = False

    @property
    def ended(self) -> datetime | None:
        """When it ended; None while it runs."""
        return None if self.milliseconds is None else STARTED + timedelta(milliseconds=self.milliseconds)


_NODES = {f"system/node-{node}/gpu_{gpu}_utilization_percentage": 90.5 for node in (0, 1) for gpu in range(4)}
RUNS = (
    Logged(
        name="finished",
        status="FINISHED",
        milliseconds=120 * MINUTE,
        tags={
            "outlay.gpu_count": "8",
            "outlay.gpu_type": "H100",
            "team": "Suche & Größe 搜索",
            "mlflow.note.content": "x",
        },
        metrics={"loss": "NaN", "accuracy": 0.75, "perplexity": "Infinity"},
        user="alice",
        row={
            "x_Outcome": "succeeded",
            "x_GpuCount": Decimal(8),
            "x_GpuType": "H100",
            "x_GpuHours": Decimal(16),
            "x_User": "alice",
        },
    ),
    Logged(
        name="failed after a checkpoint",
        status="FAILED",
        milliseconds=90 * MINUTE,
        tags={"outlay.gpu_count": "4", "outlay.last_checkpoint": "2026-10-03T05:00:00Z"},
        row={
            "x_Outcome": "failed",
            "x_GpuCount": Decimal(4),
            "x_GpuHours": Decimal(6),
            "x_LastCheckpoint": datetime(2026, 10, 3, 5),
            "x_LostGpuHours": Decimal(2),
        },
    ),
    Logged(
        name="killed on two machines",
        status="KILLED",
        milliseconds=3_600_500,
        params={"outlay.instance_type": "p5.48xlarge", "outlay.instance_count": "2", "learning_rate": "0.001"},
        row={
            "x_Outcome": "cancelled",
            "x_InstanceType": "p5.48xlarge",
            "x_InstanceCount": 2,
            "x_GpuCount": Decimal(16),
            "x_GpuType": "H100",
            "x_GpuHours": Decimal("16.002222222222222222"),  # 16 x 3600.5 s
        },
    ),
    Logged(
        name="running",
        status="RUNNING",
        tags={"outlay.gpu_count": "8"},
        row={"x_Outcome": "running", "x_GpuCount": Decimal(8)},  # no end, so no GPU hours
    ),
    Logged(name="scheduled", status="SCHEDULED", row={"x_Outcome": "pending"}),
    Logged(
        name="GPUs seen on two nodes",
        status="FINISHED",
        milliseconds=30 * MINUTE,
        metrics={**_NODES, "system/node-0/cpu_utilization_percentage": 10, "gpu_9_temperature": 60},
        row={"x_Outcome": "succeeded", "x_GpuCount": Decimal(8), "x_GpuHours": Decimal(4)},
    ),
    Logged(
        name="GPUs unknown",
        status="FINISHED",
        milliseconds=60 * MINUTE,
        tags={"team": "ads"},
        metrics={"loss": 0.5},
        row={"x_Outcome": "succeeded"},
    ),
    Logged(
        name="deleted",
        status="FINISHED",
        milliseconds=60 * MINUTE,
        tags={"outlay.gpu_count": "1"},
        deleted=True,
        row={"x_Outcome": "succeeded", "x_GpuCount": Decimal(1), "x_GpuHours": Decimal(1)},
    ),
    Logged(
        name="in another experiment",
        status="FINISHED",
        experiment="other",
        milliseconds=60 * MINUTE,
        params={"outlay.gpu_count": "0.5"},
        row={"x_Outcome": "succeeded", "x_GpuCount": Decimal("0.5"), "x_GpuHours": Decimal("0.5")},
    ),
)
