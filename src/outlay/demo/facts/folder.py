"""All facts of one company in one folder, each file in the format of the system that would have written it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outlay.demo.facts.alerts import write_alerts
from outlay.demo.facts.outcomes import write_outcomes
from outlay.demo.facts.reports import write_reports
from outlay.demo.facts.runs import write_runs
from outlay.demo.facts.telemetry import write_telemetry
from outlay.demo.facts.traces import write_traces
from outlay.demo.lines import Calendar, Line

__all__ = ["NAMES", "write_facts"]

NAMES = (
    "synthetic-openai-usage.jsonl",
    "synthetic-anthropic-usage.jsonl",
    "synthetic-otlp-spans.jsonl.gz",
    "synthetic-otlp-metrics.jsonl",
    "synthetic-dcgm-prometheus.jsonl",
    "synthetic-slurm-sacct.json",
    "synthetic-sagemaker-training.jsonl",
    "synthetic-outcomes.csv",
    "synthetic-alerts.csv",
)
"""The files that :func:`write_facts` writes."""


def write_facts(
    folder: Path, lines: Sequence[Line], calendar: Calendar, seed: int, rows: int
) -> tuple[tuple[Path, ...], dict[str, object]]:
    """Writes the facts that belong to the bill's ``lines`` into ``folder``, which is made if it is missing.

    ``rows`` is the size of the bills; more rows mean more days of spans. Returns the files and what was planted in
    them, by format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = (
        write_reports(folder, lines, calendar, seed),
        write_traces(folder, lines, calendar, seed, rows),
        write_telemetry(folder, lines, calendar, seed),
        write_runs(folder, lines, calendar),
        write_outcomes(folder, calendar, seed),
        write_alerts(folder, lines, calendar, seed),
    )
    truth: dict[str, object] = {}
    for _, told in written:
        truth |= told
    return tuple(path for paths, _ in written for path in paths), truth
