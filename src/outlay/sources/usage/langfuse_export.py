"""Langfuse's observations: the model calls among the spans of traces.

They come from the public API (``GET /api/public/observations``, v1 and v2), from an export of the user interface, or
from the scheduled export to blob storage (``observations_v2/``), as JSON, JSON lines or CSV. Field names are camel case
in the API, snake case in blob storage.

The traps:

- A trace is a tree, and agents and chains repeat the usage of the calls below them. Only observations of type
  ``GENERATION`` and ``EMBEDDING`` are calls; everything else, and the totals of traces, would count twice.
- Langfuse is told the model but no provider, unless OpenTelemetry or LangChain put one into the metadata. Without one,
  a call can't be priced (remark ``provider-not-told``); what Langfuse computed is ``x_ReportedCost``.
- The same observation is exported again when it changes; its id is the same, and the later one holds.

Source: the API types of the packages ``langfuse`` 2.60 and 5.0 (MIT); Langfuse's documentation, "Blob storage export
field reference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, parse_json
from outlay.sources.facts import Fact, Value, Window, moment
from outlay.sources.reader import Format
from outlay.sources.usage.call_log import (
    NOT_TOLD,
    call_rows,
    cost,
    fingerprint,
    inside,
    no_time,
    read_usage,
    seconds_between,
    strings,
    text,
)
from outlay.sources.usage.langfuse_usage import langfuse_usage

__all__ = ["LangfuseReader"]

_CALLS = ("GENERATION", "EMBEDDING")
_TYPES = (*_CALLS, "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "GUARDRAIL")
_OWN = (("traceId", "trace_id"), ("startTime", "start_time"), ("level", "parentObservationId", "parent_observation_id"))
_JSON_CELLS = ("usageDetails", "usage_details", "usage", "costDetails", "cost_details", "metadata", "tags")
_OF_TRACE = ("userId", "sessionId", "tags", "environment", "projectId")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]{0,80}(?:Error|Exception)\b")
_LONGEST_TAG = 256


class LangfuseReader:
    """Reads observations wherever Langfuse wrote them."""

    format = Format(
        "langfuse",
        "Langfuse observations",
        "Observations from the public API, an export of the observations table, or a blob storage export.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """An observation has a type of Langfuse's beside its trace, its start and its level or parent."""
        if file.kind == "csv":
            names = set(file.header)
            return {"id", "type"} <= names and all(names & set(aliases) for aliases in _OWN)
        one = file.first
        first = next((observation for _, observation in _observations(1, one)), None) if one is not None else None
        return (
            first is not None
            and first.get("type") in _TYPES
            and "id" in first
            and all(any(name in first for name in aliases) for aliases in _OWN)
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A row for each generation and embedding."""
        for one in file.records() if file.kind == "csv" else file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            for number, observation in _observations(*one):
                if observation is None:
                    yield file.problem(number, "not-json", "the observation is no JSON object")
                elif observation.get("type") in _CALLS:
                    yield from _call(file, number, observation)


def _observations(number: int, one: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    """The observations in an object: itself, a page's, or a trace's, which then know what the trace knows."""
    inner = one.get("data") if isinstance(one.get("data"), list) else one.get("observations")
    if not isinstance(inner, list):
        yield number, {key: _parsed(value) if key in _JSON_CELLS else value for key, value in one.items()}
        return
    known = {name: one[name] for name in _OF_TRACE if one.get(name)}
    if "data" not in one and text(one.get("name")):
        known["traceName"] = one["name"]
    for place, observation in enumerate(inner, start=1):
        yield place, {**known, **observation} if isinstance(observation, dict) else None


def _parsed(value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """A cell of JSON text as what it says."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value


def _said(observation: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - whatever a file holds
    return next((observation[name] for name in names if observation.get(name) not in (None, "")), None)


def _call(file: FactFile, number: int, observation: Mapping[str, Any]) -> Iterator[Fact | Problem]:
    start = moment(_said(observation, "startTime", "start_time"))
    if start is None:
        yield no_time(file, number, "startTime", _said(observation, "startTime", "start_time"))
        return
    end = moment(_said(observation, "endTime", "end_time"))
    first = moment(_said(observation, "completionStartTime", "completion_start_time"))
    raw, remarks = langfuse_usage(observation)
    usage = None
    if raw:
        found = read_usage(file, number, "openai", raw, "chat")
        if isinstance(found, Problem):
            yield found
            return
        usage = found
    failed = observation.get("level") == "ERROR"
    if usage is None and not failed and not remarks:
        remarks.append(NOT_TOLD)
    provider = _provider(observation)
    if provider is None:
        remarks.append("provider-not-told")
    spent = _cost(observation)
    model = text(_said(observation, "model", "provided_model_name", "providedModelName"))
    attributes = inside(observation, "metadata", "attributes")
    project = text(_said(observation, "projectId", "project_id"))
    values: dict[str, Value] = {
        "start_time": start,
        "end_time": end if end is not None and end >= start else None,
        # A generation without an end is under way, or its end was lost.
        "x_Succeeded": 0 if failed else 1 if end is not None else None,
        "error_type": _error(observation) if failed else None,
        "gen_ai_operation_name": "embeddings"
        if observation["type"] == "EMBEDDING"
        else text(inside(attributes, "gen_ai.operation.name")),
        "gen_ai_provider_name": provider,
        "gen_ai_request_model": text(inside(attributes, "gen_ai.request.model")) or model,
        "gen_ai_response_model": model,
        "x_DurationSeconds": seconds_between(start, end),
        "x_FirstTokenSeconds": seconds_between(start, first),
        "x_User": text(_said(observation, "userId", "user_id")),
        "x_Service": text(inside(observation, "metadata", "resourceAttributes", "service.name")),
        "x_TraceId": text(_said(observation, "traceId", "trace_id")),
        "x_SpanId": text(observation.get("id")),
        "x_ReportedCost": spent,
        "x_ReportedCurrency": "USD" if spent is not None else None,
        "x_Remarks": ";".join(remarks) or None,
    }
    yield from call_rows(
        text(observation.get("id")) or fingerprint(observation),
        number,
        values,
        usage,
        tags=_tags(observation),
        source=f"langfuse-{project}" if project else None,
    )


def _provider(observation: Mapping[str, Any]) -> str | None:
    """The provider that OpenTelemetry's attributes or LangChain's metadata name."""
    metadata = observation.get("metadata")
    for path in (("attributes", "gen_ai.provider.name"), ("attributes", "gen_ai.system"), ("ls_provider",)):
        if found := text(inside(metadata, *path)):
            return found
    return None


def _error(observation: Mapping[str, Any]) -> str:
    """The exception that the status message names; the message itself may quote a prompt."""
    found = _EXCEPTION.search(text(_said(observation, "statusMessage", "status_message")) or "")
    return found.group() if found else "error"


def _cost(observation: Mapping[str, Any]) -> Decimal | None:
    """The total in USD. Without details a 0 stands for what Langfuse could not price."""
    details = _said(observation, "costDetails", "cost_details")
    if isinstance(details, Mapping) and (total := cost(details.get("total"))) is not None:
        return total
    said = _said(observation, "totalCost", "total_cost", "calculatedTotalCost")
    return cost(said if said is not None else inside(observation, "usage", "totalCost")) or None


def _tags(observation: Mapping[str, Any]) -> dict[str, str]:
    """Texts of the metadata, the trace's tags (``name:value``, else ``true``), then Langfuse's own fields."""
    metadata = observation.get("metadata")
    found = {name: value for name, value in strings(metadata).items() if len(value) <= _LONGEST_TAG}
    tags = observation.get("tags")
    for tag in tags if isinstance(tags, list) else []:
        if said := text(tag):
            name, _, value = said.partition(":")
            found[name.strip() or said] = value.strip() or "true"
    own = {
        "environment": text(observation.get("environment")),
        "trace_name": text(_said(observation, "traceName", "trace_name")),
        "name": text(observation.get("name")),
        "prompt_name": text(_said(observation, "promptName", "prompt_name")),
        "session_id": text(_said(observation, "sessionId", "session_id")),
    }
    return found | {name: value for name, value in own.items() if value}
