"""MLflow tracking: the pages of ``runs/search`` of its REST interface, saved as JSON or fetched from a server.

A page is ``{"runs": [{"info": …, "data": {"metrics", "params", "tags"}}], "next_page_token": …}``. A file holds one
page, an array of pages, or a page a line (what :func:`fetch` gives). A page of ``experiments/search`` before them gives
the experiments their names.

MLflow knows what a run did, not what it held. GPUs come from what is noted on the run (:mod:`.hardware`), else from
its system metrics: as many as ``system/gpu_N_…`` were seen on each node. Those are the GPUs that the process could
*see*, which on a shared machine are more than it held. Without either the count is unknown.

The traps: a run that resumes keeps its id, so it is one attempt here; a run whose process died stays ``RUNNING``
for ever, as MLflow has no heartbeat; a parent run and its children cover the same hours, so the GPUs belong on one
level only.

Source: https://mlflow.org/docs/latest/rest-api.html; tested against MLflow 3.17 with an SQLite store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from outlay.errors import UnreadableError, UsageError
from outlay.ledger.tables.runs import RUNS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Unusable
from outlay.sources.facts import Fact
from outlay.sources.reader import Format
from outlay.sources.runs.attempt import Attempt, at, listed, mapped, text
from outlay.sources.runs.hardware import noted
from outlay.sources.runs.states import MLFLOW

__all__ = ["MlflowReader", "fetch"]

_GPU_METRIC = re.compile(r"system/((?:[^/]+/)?gpu_\d+)_")
_OURS = ("mlflow.", "outlay.")


class MlflowReader:
    """Reads saved answers of MLflow's ``runs/search``."""

    format = Format(
        "mlflow",
        "MLflow runs (REST runs/search)",
        "The JSON answers of POST /api/2.0/mlflow/runs/search, all pages, with GPUs noted as the tag outlay.gpu_count.",
    )
    table = RUNS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Pages with ``runs`` whose elements have ``info`` with a ``run_id``, or with MLflow's experiments."""
        if file.kind not in ("json", "jsonl") or ('"runs"' not in file.head and '"experiments"' not in file.head):
            return False
        sample = file.sample
        return any(_is_page(page) for page in (sample if isinstance(sample, list) else [sample])[:3])

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """One row a run. Runs are numbered through the file from 1, as its lines may be pages."""
        experiments: dict[str, str] = {}
        number = 0
        for one in file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            for experiment in listed(one[1].get("experiments")):
                known, name = text(mapped(experiment, "experiment_id")), text(mapped(experiment, "name"))
                if known and name:
                    experiments[known] = name
            for run in listed(one[1].get("runs")):
                number += 1
                try:
                    yield _attempt(run, experiments).fact(number)
                except Unusable as unusable:
                    yield unusable.problem(file, number)


def _is_page(page: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    experiments = listed(mapped(page, "experiments"))
    if experiments:
        return (
            mapped(experiments[0], "experiment_id") is not None
            and mapped(experiments[0], "lifecycle_stage") is not None
        )
    runs = listed(mapped(page, "runs"))
    return bool(runs) and mapped(runs[0], "info", "run_id") is not None and "data" in runs[0]


def _attempt(run: Any, experiments: Mapping[str, str]) -> Attempt:  # noqa: ANN401 - whatever a file holds
    info = mapped(run, "info")
    run_id = text(mapped(info, "run_id")) or text(mapped(info, "run_uuid"))
    if run_id is None:
        raise Unusable("missing-identity", "the run has no run_id")
    tags, parameters = _pairs(mapped(run, "data", "tags")), _pairs(mapped(run, "data", "params"))
    started = at(mapped(info, "start_time"), "start_time", per_second=1000)
    hardware = noted(parameters | tags, on=started.date() if started else None)
    experiment = text(mapped(info, "experiment_id"))
    state = text(mapped(info, "status")) or "UNKNOWN"
    return Attempt(
        run_id=run_id,
        outcome=MLFLOW.outcome(state),
        state=state,
        name=text(mapped(info, "run_name")) or tags.get("mlflow.runName"),
        experiment=experiments.get(experiment, experiment) if experiment else None,
        started=started,
        ended=at(mapped(info, "end_time"), "end_time", per_second=1000),
        gpus=hardware.gpus if hardware.gpus is not None else _seen_gpus(mapped(run, "data", "metrics")),
        gpu_type=hardware.gpu_type,
        instance_type=hardware.instance_type,
        instance_count=hardware.instance_count,
        checkpoint=hardware.checkpoint,
        user=text(mapped(info, "user_id")) or tags.get("mlflow.user"),
        tags={key: value for key, value in tags.items() if not key.startswith(_OURS)},
    )


def _pairs(entries: Any) -> dict[str, str]:  # noqa: ANN401 - whatever a file holds
    """MLflow's ``[{"key", "value"}]`` as a dict of texts."""
    return {
        key: value
        for entry in listed(entries)
        if (key := text(mapped(entry, "key"))) and (value := text(mapped(entry, "value")))
    }


def _seen_gpus(metrics: Any) -> Decimal | None:  # noqa: ANN401 - whatever a file holds
    """How many GPUs the system metrics name, on all nodes; None where there are none of GPUs."""
    seen = {
        found.group(1)
        for metric in listed(metrics)
        if (found := _GPU_METRIC.match(text(mapped(metric, "key")) or "")) is not None
    }
    return Decimal(len(seen)) if seen else None


def fetch(
    tracking_uri: str,
    experiment_ids: Sequence[str] = (),
    *,
    headers: Mapping[str, str] | None = None,
    page_size: int = 1000,
    timeout: float = 60,
) -> Iterator[str]:
    """The server's experiments and their runs, deleted ones too, as JSON lines that :class:`MlflowReader` reads.

    ``experiment_ids``: all where none are given. ``headers``: e.g. ``Authorization``. Raises :class:`UsageError` for
    an address that is not http(s), :class:`UnreadableError` for a server that does not answer as MLflow does.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        raise UsageError("is no address of an MLflow server.", where=tracking_uri, hint="Give it as http://host:port.")
    root = f"{tracking_uri.rstrip('/')}/api/2.0/mlflow"
    wanted = set(experiment_ids)
    found: list[str] = []
    for page in _paged(f"{root}/experiments/search", {"view_type": "ALL"}, headers, page_size, timeout):
        experiments = [one for one in listed(page.get("experiments")) if text(mapped(one, "experiment_id"))]
        kept = [one for one in experiments if not wanted or one["experiment_id"] in wanted]
        found += [one["experiment_id"] for one in kept]
        if kept:
            yield json.dumps({"experiments": kept})
    for some in _groups(found, 100):
        body = {"experiment_ids": some, "run_view_type": "ALL", "order_by": ["attributes.start_time ASC"]}
        for page in _paged(f"{root}/runs/search", body, headers, page_size, timeout):
            if page.get("runs"):
                yield json.dumps({"runs": page["runs"]})


def _paged(
    url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None, page_size: int, timeout: float
) -> Iterator[Mapping[str, Any]]:
    token = ""
    while True:
        asked = {**body, "max_results": page_size} | ({"page_token": token} if token else {})
        page = _post(url, asked, headers or {}, timeout)
        yield page
        token = text(page.get("next_page_token")) or ""
        if not token:
            return


def _post(url: str, body: Mapping[str, Any], headers: Mapping[str, str], timeout: float) -> Mapping[str, Any]:
    import urllib.error  # with its own imports, a tenth of what listing the formats takes
    import urllib.request

    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            page = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read(500).decode("utf-8", "replace")
        raise UnreadableError(
            f"MLflow answered {error.code}: {said}", where=url, hint="Check the address and the credentials."
        ) from None
    except (OSError, ValueError) as error:
        raise UnreadableError(
            f"MLflow did not answer ({error}).", where=url, hint="Check the address and that the server runs."
        ) from None
    if not isinstance(page, dict):
        raise UnreadableError("the answer is not MLflow's.", where=url, hint="Check the address.")
    return page


def _groups(names: Sequence[str], size: int) -> Iterable[list[str]]:
    return (list(names[start : start + size]) for start in range(0, len(names), size))
