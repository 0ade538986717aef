"""Amazon Bedrock's model invocation logs: one record a call of the ``bedrock-runtime`` API.

Bedrock writes them to S3 (gzipped JSON lines) or to CloudWatch Logs, where each record is the text of an event. They
are the only place where Bedrock says who called (``identity.arn``) with which request metadata, which is what showback
needs; the bill has only tokens by model and day.

The traps:

- Input counts leave out cache reads and writes; both stand beside it.
- ``modelId`` is what the caller gave: a model, the ARN of one, or an inference profile. The prefix of a profile
  (``us.``, ``global.``) decides the price and stays. An *application* inference profile and a provisioned model name no
  model; without a response that does the call is unpriced.
- A failed call has an ``errorCode`` and no counts, and the record has no duration: only the body of a Converse
  response tells it, where bodies are logged.

Source: Amazon Bedrock User Guide, "Monitor model invocation using CloudWatch Logs and Amazon S3"; counts as botocore's
``bedrock-runtime`` model has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    fingerprint,
    inside,
    milliseconds,
    no_time,
    read_usage,
    strings,
    text,
)

__all__ = ["BedrockLogReader"]

_PROVIDER = "aws.bedrock"
_SCHEMA = "ModelInvocationLog"
_COUNTS = {
    "inputTokens": ("input", "inputTokenCount"),
    "cacheReadInputTokens": ("input", "cacheReadInputTokenCount"),
    "cacheWriteInputTokens": ("input", "cacheWriteInputTokenCount"),
    "outputTokens": ("output", "outputTokenCount"),
}
"""The log's names for the counts that the runtime API calls otherwise."""
_EVENT_TEXTS = ("message", "@message")
_NO_MODEL = ("application-inference-profile", "provisioned-model", "custom-model-deployment", "imported-model")
"""Resources whose ids say nothing of the model, and what they are is a project of the caller."""


class BedrockLogReader:
    """Reads the records as S3 has them and as CloudWatch Logs returns or exports them."""

    format = Format(
        "bedrock-log",
        "Amazon Bedrock model invocation log",
        "Model invocation logging turned on, to S3 or CloudWatch Logs; the log files, or an export of the log group.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """The first record says that it is a ``ModelInvocationLog``."""
        if _SCHEMA not in file.head:
            return False
        if file.kind in ("csv", "text"):
            return _exported(file.head.lstrip().split("\n", 1)[0]) is not None
        return any(found.get("schemaType") == _SCHEMA for _, found in _records(1, file.first or {}))

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A row for each record."""
        if file.kind in ("csv", "text"):
            for number, line in file.lines():
                if line.strip():
                    found = _exported(line)
                    yield from [_broken(file, number)] if found is None else _call(file, number, found)
            return
        for one in file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            for number, record in _records(*one):
                yield from _call(file, number, record) if record else [_broken(file, number)]


def _broken(file: FactFile, number: int) -> Problem:
    return file.problem(number, "not-json", "the event holds no record of a model invocation")


def _exported(line: str) -> Mapping[str, Any] | None:
    """The record of a line that CloudWatch Logs exported to S3: a time, a space, the message."""
    before, brace, rest = line.partition("{")
    if not brace or moment(before) is None:
        return None
    return _record(brace + rest)


def _record(message: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - whatever a file holds
    if isinstance(message, str):
        try:
            message = parse_json(message)
        except ValueError:
            return None
    return message if isinstance(message, dict) and message.get("schemaType") == _SCHEMA else None


def _records(number: int, one: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The records in an object: itself, the one in an event, or those in a page of events; empty for a broken event.

    Events of a page are numbered from 1, as the page is one object.
    """
    if isinstance(one.get("events"), list):  # filter-log-events, get-log-events
        for place, event in enumerate(one["events"], start=1):
            yield place, _event(event) or {}
    elif isinstance(one.get("results"), list):  # Logs Insights: each row a list of fields
        for place, row in enumerate(one["results"], start=1):
            fields = [field for field in row if isinstance(field, dict)] if isinstance(row, list) else []
            yield place, _event({str(field.get("field")): field.get("value") for field in fields}) or {}
    else:
        yield number, one if one.get("schemaType") == _SCHEMA else _event(one) or {}


def _event(event: Any) -> Mapping[str, Any] | None:  # noqa: ANN401 - whatever a file holds
    if not isinstance(event, dict):
        return None
    return next((found for name in _EVENT_TEXTS if (found := _record(event.get(name))) is not None), None)


def _call(file: FactFile, number: int, record: Mapping[str, Any]) -> Iterator[Fact | Problem]:
    start = moment(record.get("timestamp"))
    if start is None:
        yield no_time(file, number, "timestamp", record.get("timestamp"))
        return
    body = _message(inside(record, "output", "outputBodyJson"))
    raw = _counts(record, body)
    error = text(record.get("errorCode"))
    usage = None
    if raw:
        found = read_usage(file, number, _PROVIDER, raw)
        if isinstance(found, Problem):
            yield found
            return
        usage = found
    account = text(record.get("accountId"))
    asked = text(record.get("modelId"))
    values: dict[str, Value] = {
        "start_time": start,
        "x_Succeeded": 0 if error else 1,
        "error_type": error,
        "gen_ai_operation_name": _operation(record),
        "gen_ai_provider_name": _PROVIDER,
        "gen_ai_request_model": asked,
        "gen_ai_response_model": _model(asked, body),
        "x_DurationSeconds": milliseconds(inside(body, "metrics", "latencyMs")),
        "x_Account": account,
        "x_Project": _project(asked),
        "x_User": text(inside(record, "identity", "arn")),
        "x_Region": text(record.get("inferenceRegion")) or text(record.get("region")),
        "x_Remarks": NOT_TOLD if usage is None and error is None else None,
    }
    tier = text(inside(body, "serviceTier", "type"))
    yield from call_rows(
        text(record.get("requestId")) or fingerprint(record),
        number,
        values,
        usage,
        context={"service_tier": tier} if tier else None,
        tags=strings(record.get("requestMetadata")),
        source=f"aws-{account}" if account else None,
    )


def _message(body: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """The response; of a streamed InvokeModel, whose body is a list of chunks, the message that it starts with."""
    if not isinstance(body, list):
        return body
    return next((found for chunk in body if (found := inside(chunk, "message")) is not None), None)


def _counts(record: Mapping[str, Any], body: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a file holds
    """The record's counts under the runtime API's names; how long written cache tokens live is in the body only."""
    raw = {name: said for name, path in _COUNTS.items() if (said := inside(record, *path)) is not None}
    if not raw:
        return {}
    split = inside(body, "usage", "cacheDetails")
    created = inside(body, "usage", "cache_creation")  # InvokeModel has the model's own words
    if isinstance(created, Mapping):
        split = [
            {"ttl": t, "inputTokens": n} for t in ("5m", "1h") if (n := created.get(f"ephemeral_{t}_input_tokens"))
        ]
    return {"inputTokens": 0, **raw, **({"cacheDetails": split} if isinstance(split, list) else {})}


def _model(asked: str | None, body: Any) -> str | None:  # noqa: ANN401 - whatever a file holds
    """The model in a form that the price list knows: the id within an ARN, with the prefix of its inference profile."""
    if asked is None or not asked.startswith("arn:"):
        return asked
    _, _, name = asked.partition("/")
    return name if name and _project(asked) is None else text(inside(body, "model"))


def _project(asked: str | None) -> str | None:
    """The application inference profile or provisioned model that was called."""
    if asked is None:
        return None
    head, _, name = asked.partition("/")
    return name if head.rpartition(":")[2] in _NO_MODEL and name else None


def _operation(record: Mapping[str, Any]) -> str | None:
    """OpenTelemetry's name of the operation, where the record tells it; InvokeModel only in a logged body."""
    if str(record.get("operation")).startswith("Converse"):
        return "chat"
    asked = inside(record, "input", "inputBodyJson")
    model = str(record.get("modelId"))
    if "embed" in model:
        return "embeddings"
    if isinstance(asked, Mapping):
        if "messages" in asked:
            return "chat"
        if "prompt" in asked or "inputText" in asked:
            return "text_completion"
    return None
