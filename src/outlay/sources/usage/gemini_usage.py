"""Gemini and Vertex AI responses with their ``usageMetadata``: one record a call.

Google has no API that reports tokens by key or day, so usage comes from the responses themselves. They lie about in
three forms, all read here: Vertex AI's request-response log in BigQuery (exported as JSON lines or CSV), the output of
Vertex AI batch jobs, and the lines that a program writes itself of each response with the time beside it. Field names
are those of REST or of the Python SDK.

The traps:

- ``candidatesTokenCount`` leaves out thoughts, which are billed as output; ``promptTokenCount`` includes cached tokens
  but not what Google's own tools put into the prompt.
- A streamed response is many chunks, each with the counts up to it. Only the last one's count.
- The Gemini API's responses carry no time (Vertex AI's have ``createTime``): who logs them must add it.
- Vertex AI logs a *sample* of the calls if its ``samplingRate`` is below 1. The log does not say so.

Source: google-genai 3.4.0 ``types.py`` (Apache-2.0) and the Vertex AI documentation, "Log requests and responses" and
"Batch inference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FactTable
from outlay.prices.usage import Usage
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, parse_json
from outlay.sources.facts import Fact, Value, Window, moment
from outlay.sources.reader import Format
from outlay.sources.usage.call_log import (
    NOT_TOLD,
    call_rows,
    fingerprint,
    milliseconds,
    no_time,
    read_usage,
    strings,
    text,
)

__all__ = ["GeminiUsageReader"]

_USAGE = ("usageMetadata", "usage_metadata")
_TIMES = ("logging_time", "createTime", "create_time", "timestamp", "time", "processed_time")
_RESPONSES = ("full_response", "response")
_OF_THE_LOG = ("logging_time", "full_response", "api_method")
_OF_A_BATCH = ("processed_time", "request", "response")
_REGION = re.compile(r"/locations/([a-z0-9-]+)|//([a-z0-9-]+)-aiplatform\.")
_PROJECT = re.compile(r"projects/([^/]+)/")


class GeminiUsageReader:
    """Reads responses one a record, whoever wrote them down."""

    format = Format(
        "gemini-usage",
        "Gemini and Vertex AI responses (usageMetadata)",
        "Vertex AI's request-response log out of BigQuery, the output of a batch job, or JSON lines of responses with "
        "a time each.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """The columns of Vertex AI's log or of a batch's output, or a response with Google's usage and its model."""
        if file.kind == "csv":
            return set(_OF_THE_LOG) <= set(file.header)
        one = file.first
        if one is None or "call_type" in one:  # LiteLLM may log a response as it was
            return False
        if all(name in one for name in _OF_THE_LOG) or all(name in one for name in _OF_A_BATCH):
            return True
        response = _response(one)
        model = _first(response, "modelVersion", "model_version") or _first(one, "modelVersion", "model")
        return model is not None and any(isinstance(response.get(name), dict) for name in _USAGE)

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A row for each record."""
        for one in file.records() if file.kind == "csv" else file.objects():
            if isinstance(one, Problem):
                yield one
            else:
                yield from _call(file, *one)


def _first(record: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - whatever a file holds
    return next((record[name] for name in names if record.get(name) is not None), None)


def _object(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a file holds
    """An object or the JSON text of one (BigQuery exports JSON columns as text); of a stream's chunks, all in one."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError:
            return {}
    if isinstance(value, list):
        merged: dict[str, Any] = {}
        for chunk in value:
            merged |= {key: one for key, one in chunk.items() if one is not None} if isinstance(chunk, dict) else {}
        return merged
    return value if isinstance(value, dict) else {}


def _response(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The response within a record, or the record that is one; a blocked prompt's has no usage."""
    if any(name in record for name in _USAGE) or not any(name in record for name in _RESPONSES):
        return record
    return _object(_first(record, *_RESPONSES))


def _moment(record: Mapping[str, Any], response: Mapping[str, Any]) -> tuple[datetime | None, Any]:
    """The first time that the record or its response tells, and what it says. BigQuery writes ``UTC`` after it."""
    said = _first(record, *_TIMES) or _first(response, *_TIMES)
    return moment(said.strip().removesuffix(" UTC") if isinstance(said, str) else None), said


def _call(file: FactFile, number: int, record: Mapping[str, Any]) -> Iterator[Fact | Problem]:
    response = _response(record)
    start, said = _moment(record, response)
    if start is None:
        yield no_time(file, number, "the call's time", said)
        return
    error = _error(record, response)
    usage = _usage(file, number, response)
    if isinstance(usage, Problem):
        yield usage
        return
    request = _object(_first(record, "full_request", "request"))
    asked = text(_first(record, "model")) or text(request.get("model"))
    place = " ".join(str(record.get(name)) for name in ("endpoint", "model") if record.get(name))
    project = _PROJECT.search(place)
    values: dict[str, Value] = {
        "start_time": start,
        "x_Succeeded": 0 if error else 1,
        "error_type": error,
        "gen_ai_operation_name": _operation(record, asked),
        "gen_ai_provider_name": _provider(record, response),
        "gen_ai_request_model": asked,
        "gen_ai_response_model": text(_first(response, "modelVersion", "model_version", "model")) or asked,
        "x_DurationSeconds": milliseconds(_object(record.get("metadata")).get("request_latency")),
        "x_Project": text(project.group(1)) if project else None,
        "x_Region": _region(place),
        "x_TraceId": text(_object(record.get("otel_log")).get("traceId")),
        "x_Remarks": NOT_TOLD if usage is None and error is None else None,
    }
    identity = text(_first(response, "responseId", "response_id")) or text(record.get("request_id"))
    context = {"processing": "batch"} if "processed_time" in record else None
    tags = strings(request.get("labels"))
    yield from call_rows(identity or fingerprint(record), number, values, usage, context=context, tags=tags)


def _usage(file: FactFile, number: int, response: Mapping[str, Any]) -> Usage | Problem | None:
    """Google's counts; or those of another maker whose model Vertex AI serves, in the maker's words."""
    for name in _USAGE:
        raw = response.get(name)
        if isinstance(raw, dict):
            if not any(isinstance(one, int) and not isinstance(one, bool) for one in raw.values()):
                return None  # a blocked prompt
            return read_usage(file, number, "google", raw, "gemini")
    raw = response.get("usage")
    return read_usage(file, number, "anthropic", raw) if isinstance(raw, dict) and "input_tokens" in raw else None


def _error(record: Mapping[str, Any], response: Mapping[str, Any]) -> str | None:
    """The status of an error response; in a batch's output the text before the error's details."""
    error = response.get("error")
    if isinstance(error, dict):
        return text(error.get("status")) or text(error.get("type")) or text(error.get("code")) or "error"
    status = text(record.get("status")) if "processed_time" in record else None
    return status.partition(":")[0][:80] if status else None


def _operation(record: Mapping[str, Any], model: str | None) -> str:
    if model and "embed" in model:
        return "embeddings"
    return "chat" if "rawpredict" in str(record.get("api_method")).lower() else "generate_content"


def _provider(record: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    """Vertex AI where something only it writes is there; OpenTelemetry's name for either otherwise."""
    usage = _first(response, *_USAGE)
    traffic = _first(usage, "trafficType", "traffic_type") if isinstance(usage, dict) else None
    vertex = "logging_time" in record or "processed_time" in record or traffic is not None
    return "gcp.vertex_ai" if vertex or _first(response, "createTime", "create_time") else "gcp.gen_ai"


def _region(place: str) -> str | None:
    found = _REGION.search(place)
    return (found.group(1) or found.group(2)) if found else None
