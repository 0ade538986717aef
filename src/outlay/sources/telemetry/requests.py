"""What kube-state-metrics says of pods: how many GPUs a container was given, and the labels of its pod.

``kube_pod_container_resource_requests{resource="nvidia_com_gpu"}`` is an allocation without telemetry: the pod, its
node, how many cards and how long, but neither which cards nor whether they worked. Each requested GPU becomes a card of
its own name, ``request:<node>/<namespace>/<pod>/<container>#<n>``, whose hours are allocated and not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from outlay.sources.telemetry.labels import LabelledSeries, Unidentified
from outlay.sources.telemetry.samples import REQUESTS, Holder, Part, Telemetry

__all__ = ["add_pod_labels", "add_requests"]

_MOST_GPUS = 64  # of one container; more is no count of cards


def add_requests(found: Iterable[LabelledSeries], telemetry: Telemetry) -> Iterator[Unidentified]:
    """Add requested GPUs as cards that are held and not seen. Yields the series that don't say whose."""
    for series in found:
        labels = series.labels
        if labels.get("resource") != "nvidia_com_gpu":
            continue
        namespace, pod, container = (_told(labels, name) for name in ("namespace", "pod", "container"))
        if not namespace or not pod:
            yield Unidentified(series.line, series.metric)
            continue
        node = labels.get("node") or None
        name = f"request:{node or ''}/{namespace}/{pod}/{container or ''}"
        holder = Holder(pod, namespace, container)
        for at, count in zip(series.times, series.values, strict=True):
            for number in range(min(count, _MOST_GPUS)):
                into = telemetry.series(Part(f"{name}#{number}", host=node), holder, REQUESTS)
                into.times.append(at)
                into.values.append(1)


def add_pod_labels(pods: Iterable[Mapping[str, str]], telemetry: Telemetry) -> None:
    """The labels of pods, from the labels of their ``kube_pod_labels`` series: ``label_team`` is ``team``.

    Prometheus allows no dots, dashes or slashes in names, so the label ``app.kubernetes.io/name`` has become
    ``app_kubernetes_io_name``.
    """
    for labels in pods:
        pod = _told(labels, "pod")
        if pod:
            named = {name.removeprefix("label_"): value for name, value in labels.items() if name.startswith("label_")}
            told = {name: value for name, value in named.items() if name and value}
            telemetry.tag(Holder(pod, _told(labels, "namespace")), told)


def _told(labels: Mapping[str, str], name: str) -> str | None:
    """A label of the pod that the series is about, not of the exporter's own."""
    return labels.get(f"exported_{name}") or labels.get(name) or None
