"""The ``runs`` table: one row an attempt of a training (or other) run.

A run that was requeued or restarted has several attempts, each with its own start, end and GPUs; the run's cost is
their sum. Outcomes are kept apart, as they mean different money: in large clusters cancelled runs take more GPU time
than failed ones. ``x_LostGpuHours`` is the work since the last checkpoint of an attempt that did not succeed, null
where the source does not know checkpoints; it is never guessed to be all, nor nothing.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column, FactTable
from outlay.money import MONEY_SQL

__all__ = ["OUTCOMES_OF_RUNS", "RUNS"]

OUTCOMES_OF_RUNS = (
    "succeeded",
    "failed",
    "cancelled",
    "timed out",
    "preempted",
    "node failure",
    "running",
    "pending",
    "unknown",
)

RUNS = FactTable(
    name="runs",
    meaning="attempts of runs, their GPUs and how they ended",
    time=("start_time", "submit_time"),
    measures=("x_GpuHours",),
    moves=True,
    own=(
        Column("x_RunId", "VARCHAR", False, meaning="the run, the same for all its attempts"),
        Column("x_Attempt", "BIGINT", False, meaning="1 for the first attempt"),
        Column("x_RunName", "VARCHAR", meaning="its name"),
        Column("x_Experiment", "VARCHAR", meaning="experiment, job group or partition"),
        Column("x_WorkloadKind", "VARCHAR", meaning="training, inference, data or other, where the source tells"),
        Column("x_Outcome", "VARCHAR", False, allowed=OUTCOMES_OF_RUNS, meaning="how the attempt ended"),
        Column("x_State", "VARCHAR", False, meaning="the source's own word for it"),
        Column("x_Reason", "VARCHAR", meaning="the source's reason: failure message, exit code, signal"),
        Column("submit_time", "TIMESTAMP", meaning="when it was asked for"),
        Column("start_time", "TIMESTAMP", meaning="when it started; null for one that never did"),
        Column("end_time", "TIMESTAMP", meaning="when it ended; null while it runs"),
        Column("x_GpuCount", "DECIMAL(18,6)", meaning="GPUs held; shares count as such; null where not told"),
        Column("x_GpuType", "VARCHAR", meaning="the accelerator, e.g. H100"),
        Column("x_InstanceType", "VARCHAR", meaning="instance type it ran on"),
        Column("x_InstanceCount", "BIGINT", meaning="instances or nodes"),
        Column("x_GpuHours", MONEY_SQL, meaning="GPUs held x time held; null where either is not known"),
        Column("x_BillableSeconds", MONEY_SQL, meaning="seconds the provider bills, where it says so"),
        Column("x_Interruptible", "BOOLEAN", meaning="whether it ran on spot or preemptible capacity"),
        Column("x_LastCheckpoint", "TIMESTAMP", meaning="when work was last saved"),
        Column("x_LostGpuHours", MONEY_SQL, meaning="GPU hours since then, of an attempt that did not succeed"),
        Column("x_User", "VARCHAR", meaning="who ran it"),
        Column("x_Account", "VARCHAR", meaning="account, project or entity it was charged to"),
        Column("x_Region", "VARCHAR", meaning="region it ran in"),
        Column("x_Model", "VARCHAR", meaning="the model it trained, where the source tells"),
    ),
)
