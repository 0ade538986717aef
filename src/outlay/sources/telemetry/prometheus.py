"""Prometheus: the answers of its HTTP API ``/api/v1/query_range``, saved as JSON or JSON lines.

Where DCGM exporter is scraped by a Prometheus, that is where a month of telemetry lies. :func:`fetch` asks a server
for what is read here and gives the answers as they came; a file of them is read by :class:`PrometheusReader`. Series of
``kube_pod_labels`` (kube-state-metrics) in the same file give a pod's rows its labels as tags. Where a file has no GPU
series, ``kube_pod_container_resource_requests{resource="nvidia_com_gpu"}`` still says how many GPUs a container was
given and how long: those hours are allocated and not seen.

The traps: a query takes the last value of up to five minutes before each step, so a step shorter than the scrape
interval adds nothing, and the end of a pod is seen up to five minutes late if its series was not marked stale. A query
with a function (``avg_over_time``) has no metric name any more, and a figure without its metric's name is not read. GPU
requests are not joined to cards whose exporter maps no pods: which of a node's cards a pod has is not told.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/ ; kube-state-metrics, docs/metrics/workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from urllib.parse import urlencode, urlsplit

from outlay.errors import UnreadableError, UsageError
from outlay.ledger.tables.gpu_usage import GPU_USAGE
from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json
from outlay.sources.facts import Fact, Window
from outlay.sources.reader import Format
from outlay.sources.telemetry.labels import LabelledSeries, gather
from outlay.sources.telemetry.requests import add_pod_labels, add_requests
from outlay.sources.telemetry.rollup import Rules
from outlay.sources.telemetry.rows import facts_of
from outlay.sources.telemetry.samples import METRICS, REQUESTS, Metric, Telemetry, micros, whole_of_text

__all__ = ["QUERIES", "PrometheusReader", "fetch"]

_POD_LABELS = "kube_pod_labels"
QUERIES = (
    *(name for name in METRICS if name.startswith("DCGM_FI_")),
    REQUESTS + '{resource="nvidia_com_gpu"}',
    _POD_LABELS,
)
"""What :func:`fetch` asks for: the DCGM series that are read, GPU requests, and the labels of pods."""

_READ = {*METRICS, _POD_LABELS}
_YEAR_10000 = 253_402_300_800
_MOST_STEPS = 10_000  # Prometheus refuses more than 11,000 points a series
_MOST_SECONDS = 6 * 3600  # some 10 MiB of an answer for 1,000 cards by the minute
_LOOK_BACK = 300  # seconds that a query sees before each step, so labels are not missed in longer steps


class PrometheusReader:
    """Reads saved answers of range queries."""

    format = Format(
        "prometheus",
        "Prometheus range queries of DCGM exporter",
        "Answers of /api/v1/query_range for DCGM_FI_ series, as JSON or JSON lines; with kube_pod_labels for tags.",
    )
    table: FactTable = GPU_USAGE
    restates: Literal["rows", "windows"] = "rows"

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()

    def recognises(self, file: FactFile) -> bool:
        """Prometheus' envelope around a matrix, with series of DCGM or of GPU requests near its beginning."""
        if file.kind not in ("json", "jsonl") or '"resultType"' not in file.head:
            return False
        if '"DCGM_FI_' not in file.head and REQUESTS not in file.head:
            return False
        sample = file.sample
        data = sample.get("data") if isinstance(sample, dict) else None
        return isinstance(data, dict) and data.get("resultType") == "matrix"

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """Rows by card, hour and holder."""
        gpus: list[LabelledSeries] = []
        requests: list[LabelledSeries] = []
        pods: list[Mapping[str, str]] = []
        for one in _series(file):
            if isinstance(one, Problem):
                yield one
            elif one.metric == _POD_LABELS:
                pods.append(one.labels)
            elif one.metric == REQUESTS:
                requests.append(one)
            else:
                gpus.append(one)
        telemetry = Telemetry()
        add_pod_labels(pods, telemetry)
        for lost in gather(gpus, telemetry):
            yield file.problem(lost.line, "missing-value", f"{lost.metric} without a UUID, or a host and an index")
        if not gpus:
            for problem in add_requests(requests, telemetry):
                yield file.problem(problem.line, "missing-value", f"{REQUESTS} without a namespace and a pod")
        yield from facts_of(file, telemetry, self.rules)


def fetch(
    base_url: str,
    since: datetime,
    until: datetime,
    step: int = 60,
    *,
    queries: Iterable[str] = QUERIES,
    headers: Mapping[str, str] | None = None,
    timeout: int = 60,
) -> Iterator[str]:
    """Ask a Prometheus for ``queries`` from ``since`` to ``until`` (naive UTC, both inclusive), each ``step`` seconds.

    Yields its answers, a line of JSON for each query and six hours, as :class:`PrometheusReader` reads them.
    ``headers`` may carry a token. Raises :class:`UnreadableError` where the server can't be reached or refuses.
    """
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise UsageError("is no http or https address.", where=base_url, hint="Give it like http://prometheus:9090.")
    if until <= since or step < 1:
        raise UsageError("The window must end after it starts, and the step be at least a second.", where=base_url)
    address = base_url.rstrip("/") + "/api/v1/query_range"
    for query in queries:
        spacing = max(step, _LOOK_BACK) if query == _POD_LABELS else step
        steps = min(_MOST_STEPS, max(1, _MOST_SECONDS // spacing))
        start = since
        while start <= until:
            end = min(until, start + timedelta(seconds=spacing * (steps - 1)))
            asked = {"query": query, "start": _seconds(start), "end": _seconds(end), "step": str(spacing)}
            yield _ask(address, asked, headers or {}, timeout)
            start = end + timedelta(seconds=spacing)


def _ask(address: str, asked: Mapping[str, str], headers: Mapping[str, str], timeout: int) -> str:
    from urllib.error import HTTPError, URLError  # with their own imports, a tenth of what listing the formats takes
    from urllib.request import Request, urlopen

    request = Request(address, urlencode(asked).encode(), {**headers}, method="POST")  # noqa: S310 - scheme is checked
    try:
        with urlopen(request, timeout=timeout) as answer:  # noqa: S310 - scheme is checked
            text: str = answer.read().decode("utf-8")
    except HTTPError as error:
        told = error.read(500).decode("utf-8", "replace")
        raise UnreadableError(f"answered {error.code}: {told}", where=address, hint="Check the query.") from None
    except (URLError, TimeoutError, UnicodeDecodeError, OSError) as error:
        raise UnreadableError(f"gives no answer ({error}).", where=address, hint="Check the address.") from None
    return text.replace("\n", " ").strip()


def _seconds(at: datetime) -> str:
    return format(Decimal(micros(at)).scaleb(-6), "f")


def _series(file: FactFile) -> Iterator[LabelledSeries | Problem]:
    for one in file.objects():
        if isinstance(one, Problem):
            yield one
            continue
        number, answer = one
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict):
            yield file.problem(number, "unfit-value", f"the query failed: {str(answer.get('error'))[:200]}")
            continue
        result = data.get("result")
        if data.get("resultType") != "matrix" or not isinstance(result, list):
            yield file.problem(number, "unfit-value", "no matrix: the answer of an instant query has no course of time")
            continue
        for element in result:
            yield from _one_series(file, number, element)


def _one_series(file: FactFile, number: int, element: Json) -> Iterator[LabelledSeries | Problem]:
    labels = element.get("metric") if isinstance(element, dict) else None
    values = element.get("values") if isinstance(element, dict) else None
    if not isinstance(labels, dict) or not isinstance(values, list):
        yield file.problem(number, "unfit-value", "a series without its labels and values")
        return
    told = {name: value for name, value in labels.items() if isinstance(value, str)}
    metric = told.get("__name__")
    if metric is None:
        yield file.problem(number, "missing-value", "a series without a metric name; query it without a function")
        return
    if metric not in _READ:
        return
    series = LabelledSeries(metric, told, number)
    if metric in METRICS:
        refused = _take(series, METRICS[metric], values)
        if refused:
            yield file.problem(number, "unfit-value", f"{metric}: {refused} of {len(values)} are no [time, value]")
    yield series


def _take(series: LabelledSeries, metric: Metric, values: Iterable[Json]) -> int:
    """Put the readings into the series; how many were none."""
    refused = 0
    for pair in values:
        at = _micros(pair[0]) if isinstance(pair, list) and len(pair) == 2 else None
        value = whole_of_text(metric, pair[1]) if at is not None and isinstance(pair[1], str) else None
        if at is None or value is None:
            refused += 1
            continue
        series.times.append(at)
        series.values.append(value)
    return refused


def _micros(time: Json) -> int | None:
    """Seconds since 1970, a JSON number, as microseconds; None for what is no such time."""
    if type(time) is int or (isinstance(time, Decimal) and time.is_finite()):
        return int(time * 1_000_000) if 0 <= time < _YEAR_10000 else None
    return None
