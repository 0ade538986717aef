"""NVIDIA DCGM exporter: what its ``/metrics`` page said, scrape by scrape.

DCGM exporter runs on each GPU node (port 9400) and tells, for each card or MIG instance, how busy it is and, on
Kubernetes and Slurm, who holds it. A file holds one scrape or many; see :mod:`outlay.sources.telemetry.exposition` for
how a scrape says when it was made. Prometheus' ``/federate`` page and ``promtool tsdb dump-openmetrics`` write the same
format with times.

In FinOps terms: allocated hours by pod, and how much of them the card worked. The trap: the figure depends on the
metric. The exporter has DCGM_FI_PROF_GR_ENGINE_ACTIVE on by default and the stricter SM_ACTIVE switched off;
DCGM_FI_DEV_GPU_UTIL is 100 % while a single kernel runs. Each row carries the name of its metric.

Source: https://github.com/NVIDIA/dcgm-exporter (etc/default-counters.csv, the labels of its text output).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact, Window
from outlay.sources.reader import Format
from outlay.sources.telemetry.exposition import has_series, read_exposition
from outlay.sources.telemetry.labels import LabelledSeries, gather
from outlay.sources.telemetry.rollup import Rules
from outlay.sources.telemetry.rows import facts_of
from outlay.sources.telemetry.samples import Telemetry

__all__ = ["DcgmReader", "exposition_facts"]


class DcgmReader:
    """Reads scrapes of DCGM exporter, in the Prometheus text format or OpenMetrics."""

    format = Format(
        "dcgm",
        "NVIDIA DCGM exporter scrapes",
        "Saved scrapes of DCGM exporter's /metrics, each with its time: a comment '# scraped 2026-10-01T00:00:00Z' "
        "before it, or times on the lines.",
    )
    table: FactTable = GPU_USAGE
    restates: Literal["rows", "windows"] = "rows"

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()

    def recognises(self, file: FactFile) -> bool:
        """Lines of text that are readings of ``DCGM_FI_`` fields."""
        return file.kind in ("text", "csv") and has_series(file.head, "DCGM_FI_")

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """Rows by card, hour and holder."""
        return exposition_facts(file, self.rules)


def exposition_facts(file: FactFile, rules: Rules) -> Iterator[Fact | Problem]:
    """Rows of a file in the text format, whichever metrics it has."""
    found: list[LabelledSeries] = []
    for one in read_exposition(file):
        if isinstance(one, Problem):
            yield one
        else:
            found.append(one)
    telemetry = Telemetry()
    for lost in gather(found, telemetry):
        yield file.problem(lost.line, "missing-value", f"{lost.metric} without a UUID, or a host and an index")
    found.clear()
    yield from facts_of(file, telemetry, rules)
