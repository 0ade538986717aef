"""Amazon CloudWatch agent: ``nvidia_smi_*`` metrics, as ``aws cloudwatch get-metric-data`` answers.

The agent runs ``nvidia-smi`` on an EC2 instance and sends per cent busy, memory and power of each card to the namespace
``CWAgent``. An answer holds the values of each metric under a label, and **not its dimensions**: so the request must
put them into the label, ``${PROP('MetricName')}|${PROP('Dim.InstanceId')}|${PROP('Dim.index')}|${PROP('Dim.name')}|
${PROP('Period')}``. A value is the average of the period that begins at its time.

In FinOps terms: busy and idle hours of rented cards, without who held them. The trap: CloudWatch keeps one-minute
values for 15 days and five-minute ones for 63; older answers are averages of an hour, in which an idle half hour can't
be seen any more.

Source: CloudWatch API reference, GetMetricData; CloudWatch user guide, "Collect NVIDIA GPU metrics" and "Use dynamic
labels".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json
from outlay.sources.facts import Fact, Window, amount, moment
from outlay.sources.reader import Format
from outlay.sources.telemetry.rollup import Rules
from outlay.sources.telemetry.rows import facts_of
from outlay.sources.telemetry.samples import METRICS, Part, Telemetry, micros, whole

__all__ = ["CloudWatchGpuReader"]

_PREFIX = "nvidia_smi_"
_LABEL = "MetricName|InstanceId|index|name|Period"
_READ = frozenset(name for name in METRICS if name.startswith(_PREFIX))


class CloudWatchGpuReader:
    """Reads answers of GetMetricData whose labels carry the dimensions."""

    format = Format(
        "cloudwatch-gpu",
        "Amazon CloudWatch agent, NVIDIA GPU metrics",
        "aws cloudwatch get-metric-data for CWAgent nvidia_smi_utilization_gpu, labelled with metric, instance, index, "
        "name and period as the docs page says.",
    )
    table: FactTable = GPU_USAGE
    restates: Literal["rows", "windows"] = "rows"

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()

    def recognises(self, file: FactFile) -> bool:
        """``MetricDataResults`` with a metric of the agent's."""
        if file.kind not in ("json", "jsonl") or _PREFIX not in file.head:
            return False
        sample = file.sample
        return isinstance(sample, dict) and isinstance(sample.get("MetricDataResults"), list)

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """Rows by card and hour."""
        telemetry = Telemetry()
        periods: set[int] = set()
        for one in file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            number, answer = one
            results = answer.get("MetricDataResults")
            if not isinstance(results, list):
                yield file.problem(number, "unfit-value", "no list of MetricDataResults")
                continue
            for result in results:
                problem = _take(file, number, result, telemetry, periods)
                if problem is not None:
                    yield problem
        rules = self.rules
        if rules.last_stands_seconds is None and len(periods) == 1:
            rules = replace(rules, last_stands_seconds=min(periods))
        yield from facts_of(file, telemetry, rules)


def _take(file: FactFile, number: int, result: Json, telemetry: Telemetry, periods: set[int]) -> Problem | None:
    """Put one metric's values into ``telemetry``, and its period into ``periods``."""
    told = result if isinstance(result, dict) else {}
    label, times, values = told.get("Label"), told.get("Timestamps"), told.get("Values")
    if not isinstance(label, str) or not isinstance(times, list) or not isinstance(values, list):
        return file.problem(number, "unfit-value", "a result without its label, timestamps and values")
    metric, *dimensions = label.split("|")
    if metric not in _READ and _PREFIX not in label:
        return None
    if metric.startswith(_PREFIX) and metric not in _READ and dimensions:
        return None  # the fan, the temperature, …
    if metric not in _READ or len(dimensions) != 4 or not dimensions[0] or not dimensions[1]:
        return file.problem(number, "missing-value", f"a label that is not {_LABEL}: {label[:120]}")
    instance, index, name, period = dimensions
    if period.isascii() and period.isdigit() and 0 < int(period[:6]) <= 86_400:
        periods.add(int(period[:6]))
    part = Part(f"{instance}/{index}", host=instance, index=_index(index), model=name or None)
    series = telemetry.series(part, None, metric)
    refused = abs(len(times) - len(values))
    for time, value in zip(times, values, strict=False):
        at, found = moment(time), amount(value)
        if at is None or found is None or isinstance(value, str):
            refused += 1
            continue
        series.times.append(micros(at))
        series.values.append(whole(METRICS[metric], found))
    if refused:
        return file.problem(number, "unfit-value", f"{metric}: {refused} values without a time, or no numbers")
    return None


def _index(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
