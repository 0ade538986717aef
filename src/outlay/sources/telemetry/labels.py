"""What the labels of a DCGM series say: which card or MIG instance, on which host, and who held it.

DCGM exporter's labels, as it writes them and as Prometheus stores them: ``UUID``, ``gpu``, ``modelName``, ``Hostname``,
``GPU_I_ID`` and ``GPU_I_PROFILE`` of a MIG instance, ``pod``, ``namespace``, ``container`` of the pod that holds the
card, ``hpc_job`` of the Slurm job; ``process`` is the host sampler's own.

What other labels there are (the exporter can be told to add those of the pod) become tags of the pod's rows.

The traps are in the holder:

- *No pod* means that the card is free only if the exporter maps pods at all. It does if any series of the same scrape
  job has a holder or spells an empty one; otherwise nobody knows who held the card, which is not the same as nobody.
- *The wrong pod.* A Prometheus that does not honour the exporter's labels renames them to ``exported_pod`` and puts the
  exporter's own pod in ``pod``. Of a free card only the latter is left: it holds nothing.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from outlay.sources.telemetry.samples import METRICS, NOBODY, Holder, Part, Telemetry

__all__ = ["LabelledSeries", "Unidentified", "gather"]

_HOLDER = {
    "pod": ("pod", "pod_name"),
    "namespace": ("namespace", "pod_namespace"),
    "container": ("container", "container_name"),
}
_HOST = ("node", "kubernetes_node", "NodeName", "Hostname", "hostname", "instance")
_OF_THE_SERIES = re.compile(
    r"__name__|gpu|uu?id|pci_bus_id|device|modelname|gpu_i_\w+|vgpu|dcgm_\w+|dra_\w+|err_\w+|hpc_job|process"
    r"|(?:exported_)?(?:pod|namespace|container)(?:_name|_namespace|_uid)?|exported_job|hostname|node|nodename"
    r"|kubernetes_node|instance|job|endpoint|service|prometheus\w*",
    re.IGNORECASE,
)
_EXPORTER = re.compile(r"dcgm-?exporter|gpu-exporter")


@dataclass(slots=True)
class LabelledSeries:
    """The readings of one series as a file has them, and the line (or element) of the first."""

    metric: str
    labels: Mapping[str, str]
    line: int | None
    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True, slots=True)
class Unidentified:
    """A series that does not say of which card it is."""

    line: int | None
    metric: str


def gather(found: Iterable[LabelledSeries], telemetry: Telemetry) -> Iterator[Unidentified]:
    """Add ``found`` to ``telemetry``; what its labels mean depends on all of them. Yields what has no card."""
    known = [series for series in found if series.metric in METRICS]
    exported = {_scope(series.labels) for series in known if "exported_pod" in series.labels}
    holders = [_holder(series.labels, exported=_scope(series.labels) in exported) for series in known]
    mapped = {_scope(series.labels) for series, holder in zip(known, holders, strict=True) if holder is not None}
    for series, holder in zip(known, holders, strict=True):
        part = _part(series.labels)
        if part is None:
            yield Unidentified(series.line, series.metric)
            continue
        free = holder is None and _scope(series.labels) in mapped
        into = telemetry.series(part, NOBODY if free else holder, series.metric)
        into.times.extend(series.times)
        into.values.extend(series.values)
        if holder and holder.name:
            telemetry.tag(holder, {name: value for name, value in series.labels.items() if _is_tag(name, value)})


def _scope(labels: Mapping[str, str]) -> str:
    """What maps holders alike: the exporters of one scrape job; a file of scrapes is one."""
    return labels.get("job", "")


def _is_tag(name: str, value: str) -> bool:
    """Whether a label is none of the exporter's or of the scrape's own: the pod's (``team``), or the target's."""
    return bool(value) and _OF_THE_SERIES.fullmatch(name) is None


def _part(labels: Mapping[str, str]) -> Part | None:
    host = next((labels[name] for name in _HOST if labels.get(name)), None)
    index = labels.get("gpu", "")
    card = labels.get("UUID") or labels.get("uuid") or (f"{host}/{index}" if host and index else None)
    if card is None:
        return None
    return Part(
        card=card,
        instance=labels.get("GPU_I_ID") or None,
        profile=labels.get("GPU_I_PROFILE") or None,
        host=host,
        index=int(index) if index.isascii() and index.isdigit() and len(index) < 10 else None,
        model=labels.get("modelName") or None,
    )


def _holder(labels: Mapping[str, str], *, exported: bool) -> Holder | None:
    """The holder, :data:`NOBODY` where an empty one is spelled, None where there is no such label."""
    prefix = "exported_" if exported else ""
    told = {what: _first(labels, [prefix + name for name in names]) for what, names in _HOLDER.items()}
    pod, job = told["pod"], labels.get("hpc_job")
    if pod is None:
        pod = labels.get("process")
    if pod and _EXPORTER.search(pod) and not exported:
        pod = None
    if pod or job:
        if not pod:
            return Holder(job=job)
        return Holder(pod, told["namespace"] or None, told["container"] or None, job or None)
    return NOBODY if pod is not None or job is not None else None


def _first(labels: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((labels[name] for name in names if name in labels), None)
