"""The ``gpu_usage`` table: one row a GPU (or share of one), hour and holder, in hours that add up to the card.

Of each hour, the time is split without overlap: ``x_BusyHours`` and ``x_IdleHours`` were allocated to the holder and
seen (idle: activity below the threshold that the row names); ``x_NoTelemetryHours`` were allocated and not seen;
``x_UnallocatedHours`` were nobody's. Missing telemetry is never idleness. ``x_ActiveHours`` is activity x time, the
numerator of utilisation, and means nothing without ``x_UtilizationMetric``: the same fleet is 70 %, 38 % or 12 %
"utilised" by GPU_UTIL, SM active and tensor active. MIG instances and time-sliced holders carry ``x_GpuShare``, and
their hours are hours of the whole card times that share, so that parts add up to the card. ``x_Holder`` is null for
unallocated hours, and for allocated ones whose holder nobody told; ``x_Remarks`` says which.
"""

from __future__ import annotations

from outlay.ledger.tables.table import Column, FactTable

__all__ = ["GPU_USAGE"]

_HOURS = "DECIMAL(18,9)"

GPU_USAGE = FactTable(
    name="gpu_usage",
    meaning="GPU hours by card, hour and holder: busy, idle, not seen, nobody's",
    time=("start_time",),
    whole="x_GpuId",
    measures=("x_AllocatedHours", "x_BusyHours", "x_IdleHours", "x_NoTelemetryHours", "x_UnallocatedHours"),
    own=(
        Column("start_time", "TIMESTAMP", False, meaning="start of the hour (or of the interval, where it is shorter)"),
        Column("end_time", "TIMESTAMP", False, meaning="its end, exclusive"),
        Column("x_GpuId", "VARCHAR", False, meaning="UUID of the card, or of the MIG instance"),
        Column("x_Card", "VARCHAR", False, meaning="UUID of the whole card; x_GpuId where it is one"),
        Column("x_GpuShare", "DECIMAL(9,6)", False, meaning="share of the card: 1 whole; 1/7 of a MIG slice; …"),
        Column("x_Host", "VARCHAR", meaning="host or node"),
        Column("x_GpuIndex", "BIGINT", meaning="index of the card on its host"),
        Column("x_GpuType", "VARCHAR", meaning="the accelerator as outlay.prices names it, e.g. H100"),
        Column("x_GpuName", "VARCHAR", meaning="the model name as the telemetry has it"),
        Column("x_Holder", "VARCHAR", meaning="pod, job or process that had it; null for nobody, or if not told"),
        Column("x_Namespace", "VARCHAR", meaning="Kubernetes namespace, or Slurm account"),
        Column("x_Run", "VARCHAR", meaning="the run (job) it served, where the telemetry names it"),
        Column("x_AllocatedHours", _HOURS, False, meaning="card hours allocated: busy + idle + no telemetry"),
        Column("x_BusyHours", _HOURS, False, meaning="allocated, seen, activity at or above the threshold"),
        Column("x_IdleHours", _HOURS, False, meaning="allocated, seen, activity below the threshold"),
        Column("x_NoTelemetryHours", _HOURS, False, meaning="allocated and no sample, or not known to whom"),
        Column("x_UnallocatedHours", _HOURS, False, meaning="card hours that nobody held"),
        Column("x_ActiveHours", _HOURS, meaning="activity x time by x_UtilizationMetric; null where nothing was seen"),
        Column("x_UtilizationMetric", "VARCHAR", meaning="e.g. DCGM_FI_PROF_GR_ENGINE_ACTIVE; null without telemetry"),
        Column("x_IdleBelow", "DECIMAL(9,6)", meaning="the threshold of idleness, 0 to 1"),
        Column("x_MemoryUsedGibHours", _HOURS, meaning="memory in use x time, in GiB hours; null where not seen"),
        Column("x_EnergyKwh", _HOURS, meaning="energy in kWh; null where not seen"),
        Column("x_Samples", "BIGINT", meaning="samples that the row rests on"),
        Column("x_Remarks", "VARCHAR", meaning="what to know of the row: time-sliced, holder not told; parted by '; '"),
    ),
)
