"""The pod list of Alibaba's openb trace (cluster-trace-gpu-v2023): ``openb_pod_list_*.csv``.

One line a pod: GPUs asked for, phase, and times in seconds since the trace began. A pod is one attempt. GPUs are
``gpu_milli`` / 1000 where ``num_gpu`` is 1 (pods share a GPU), else ``num_gpu``; counting a shared GPU as whole would
overstate failed pods by a seventh. GPU hours run from ``scheduled_time`` to ``deletion_time``.

The traps: the trace says nowhere when it began, so its times count from 1970-01-01 and are no dates. Pods that still
*run* have a deletion time too, that of the trace's end. ``gpu_spec`` lists what would do, so a type is told only where
it is one; G1 to G3 are undisclosed.

Source: https://github.com/alibaba/clusterdata; Weng et al., Beware of Fragmentation, USENIX ATC'23.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, each, quantity, text
from outlay.sources.runs.gpu_names import gpu_type
from outlay.sources.runs.states import KUBERNETES_POD, UNFINISHED

__all__ = ["OpenbPodsReader"]

_BEGIN = datetime(1970, 1, 1)
_COLUMNS = {"name", "num_gpu", "gpu_milli", "gpu_spec", "pod_phase", "deletion_time", "scheduled_time"}
_LONGEST = 200 * 365 * 86_400


class OpenbPodsReader:
    """Reads the openb trace's pods."""

    format = Format(
        "openb-pods",
        "Alibaba GPU trace v2023, pods (public data)",
        "openb_pod_list_default.csv of https://github.com/alibaba/clusterdata, cluster-trace-gpu-v2023.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Its columns."""
        return set(file.header) >= _COLUMNS

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row a pod."""
        return each(file, file.records(), _attempt)


def _attempt(row: Mapping[str, str | None]) -> Attempt:
    name = text(row.get("name"))
    if name is None:
        raise Unusable("missing-identity", "the pod has no name")
    phase = text(row.get("pod_phase")) or "Unknown"
    outcome = KUBERNETES_POD.outcome(phase)
    scheduled, deleted = _seconds(row, "scheduled_time"), _seconds(row, "deletion_time")
    if scheduled is not None and deleted is not None and deleted < scheduled:
        raise Unusable("period-reversed", f"pod {name} is deleted before it is scheduled")
    whole, milli = quantity(row.get("num_gpu"), "num_gpu"), quantity(row.get("gpu_milli"), "gpu_milli")
    kinds = (text(row.get("gpu_spec")) or "").split("|")
    return Attempt(
        run_id=name,
        outcome=outcome,
        state=phase,
        name=name,
        submitted=_moment(_seconds(row, "creation_time")),
        started=_moment(scheduled),
        ended=None if outcome in UNFINISHED or scheduled is None else _moment(deleted),
        held=deleted - scheduled if deleted is not None and scheduled is not None else None,
        gpus=Fraction(milli) / 1000 if whole == 1 and milli is not None else whole,
        gpu_type=gpu_type(kinds[0]) if len(kinds) == 1 and kinds[0] else None,
        tags={"qos": qos} if (qos := text(row.get("qos"))) else {},
    )


def _seconds(row: Mapping[str, str | None], column: str) -> Decimal | None:
    found = quantity(row.get(column), column)
    if found is not None and found > _LONGEST:
        raise Unusable("unparsable-time", f"{column} is no second of a trace: {found}")
    return found


def _moment(seconds: Decimal | None) -> datetime | None:
    return None if seconds is None else _BEGIN + timedelta(microseconds=int(seconds * 1_000_000))
