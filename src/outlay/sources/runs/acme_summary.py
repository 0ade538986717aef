"""The summary of the Acme clusters, as published with AcmeTrace: ``cluster_summary.csv``.

One line a cluster (Seren, Kalos: GPU clusters that train large language models) with the GPU seconds of its jobs by
final state. It is an aggregate, not a list of runs: each row here is *all* GPU jobs of a cluster that ended in one
state, so its GPU hours are exact and a count of these rows means nothing.

The file has no times. Its jobs are of March to August 2023 (the paper), so the rows stand at 1 March 2023.

The trap is in the states: the authors count jobs that timed out or lost a node as failed.

Source: https://github.com/InternLM/AcmeTrace (CC-BY-4.0); Hu et al., Characterization of Large Language Model
Development in the Datacenter, NSDI'24.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Literal

from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, quantity, text
from outlay.sources.runs.states import ACME

__all__ = ["AcmeSummaryReader"]

_STATES = ("complete", "cancel", "fail")
_START = datetime(2023, 3, 1)


class AcmeSummaryReader:
    """Reads AcmeTrace's ``cluster_summary.csv``."""

    format = Format(
        "acme-summary",
        "AcmeTrace cluster summary (public data)",
        "cluster_summary.csv of https://github.com/InternLM/AcmeTrace.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Its columns of GPU time by state."""
        return {"id", "gpu_job_num", *(f"{state}_gpu_time" for state in _STATES)} <= set(file.header)

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row a cluster and state."""
        for one in file.records():
            if isinstance(one, Problem):
                yield one
                continue
            number, row = one
            cluster = text(row.get("id"))
            if cluster is None:
                yield file.problem(number, "missing-identity", "the row has no id")
                continue
            for state in _STATES:
                try:
                    seconds = quantity(row.get(f"{state}_gpu_time"), f"{state}_gpu_time")
                    yield _aggregate(cluster, state, seconds).fact(number)
                except Unusable as unusable:
                    yield unusable.problem(file, number)


def _aggregate(cluster: str, state: str, seconds: Decimal | None) -> Attempt:
    """All GPU jobs of ``cluster`` that ended so."""
    return Attempt(
        run_id=f"{cluster}/{state}",
        outcome=ACME.outcome(state),
        state=state,
        name=f"all GPU jobs of {cluster} that ended as {state}",
        experiment=cluster,
        workload="training",
        reason="an aggregate: not one run",
        started=_START,
        gpu_seconds=seconds,
        tags={"cluster": cluster},
        source=cluster,
    )
