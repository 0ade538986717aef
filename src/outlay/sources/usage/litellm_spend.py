"""LiteLLM's spend log: the proxy's table ``LiteLLM_SpendLogs``, a row a call, over every provider behind it.

Rows come as CSV from PostgreSQL, or as JSON from ``/spend/logs``. It is the widest view there is of who spent what: a
team, a user, an end user and tags for each call, whatever the provider.

The traps:

- The table has no columns for cached tokens. They are in ``metadata.additional_usage_values``, in
  ``metadata.usage_object`` or nowhere; where nowhere, a cached prompt looks like a fresh one (remark
  ``cache-not-told``).
- ``prompt_tokens`` includes cache reads and writes, whatever the provider says: LiteLLM adds them.
- A column that was not filled is 0. Zero tokens of a call that succeeded are not told, and a ``spend`` of 0 for tokens
  used means that LiteLLM knew no price (remark ``spend-zero``): neither is taken for a fact.
- With ``cache_hit`` LiteLLM answered from its own cache. The tokens in the row are those of the first answer; the
  provider saw none, so the row has 0 (remark ``gateway-cache``).

Source: ``schema.prisma`` and ``proxy/spend_tracking`` of the package ``litellm`` 1.109.1 (MIT outside ``enterprise/``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from outlay.ledger.tables.requests import REQUESTS, meter_column
from outlay.ledger.tables.table import FactTable
from outlay.prices.usage import Usage
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
    milliseconds,
    no_time,
    read_usage,
    seconds_between,
    strings,
    text,
    whole,
)

__all__ = ["OTEL_PROVIDERS", "LiteLLMSpendReader"]

OTEL_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_text": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "bedrock_mantle": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "text-completion-openai": "openai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""LiteLLM's names of providers as OpenTelemetry has them; others are the same in both or only LiteLLM's."""

_MARKS = ("request_id", "call_type", "api_key", "spend", "startTime", "model")
_OPERATIONS = {
    "completion": "chat",
    "responses": "chat",
    "anthropic_messages": "chat",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "generate_content": "generate_content",
    "generate_content_stream": "generate_content",
    "call_mcp_tool": "execute_tool",
}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
_CACHED_DETAILS = ("cached_tokens", "cache_write_tokens", "cache_creation_tokens")
_NOT_USAGE = ("iterations", "cost")  # LiteLLM has added the iterations up; the row's spend is the cost


class LiteLLMSpendReader:
    """Reads the table's rows, from the database or from the proxy."""

    format = Format(
        "litellm-spend",
        "LiteLLM spend log",
        "Rows of LiteLLM_SpendLogs: a CSV export with a header, or the JSON of /spend/logs or /spend/logs/v2.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """Whether it has the table's own columns together."""
        if file.kind == "csv":
            return set(_MARKS) <= set(file.header)
        found = file.sample
        if isinstance(found, dict) and isinstance(found.get("data"), list):
            found = found["data"]
        one = found[0] if isinstance(found, list) and found else found
        return isinstance(one, dict) and all(mark in one for mark in _MARKS)

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A row for each row of the log."""
        for one in file.records() if file.kind == "csv" else _objects(file):
            if isinstance(one, Problem):
                yield one
            else:
                yield from _call(file, *one)


def _objects(file: FactFile) -> Iterator[tuple[int, Mapping[str, Any]] | Problem]:
    """The rows; those of a page (``/spend/logs/v2``) numbered from 1."""
    for one in file.objects():
        page = None if isinstance(one, Problem) else one[1].get("data")
        if not isinstance(page, list):
            yield one
            continue
        for number, row in enumerate(page, start=1):
            yield (number, row) if isinstance(row, dict) else file.problem(number, "not-json", "the row is no object")


def _call(file: FactFile, number: int, row: Mapping[str, Any]) -> Iterator[Fact | Problem]:
    start, end, first = (moment(row.get(name)) for name in ("startTime", "endTime", "completionStartTime"))
    if start is None:
        yield no_time(file, number, "startTime", row.get("startTime"))
        return
    metadata = _object(row.get("metadata"))
    spend = cost(row.get("spend"))
    if spend is None and row.get("spend") not in (None, ""):
        yield file.problem(number, "unparsable-amount", f"spend is no amount: {str(row['spend'])[:60]!r}")
        return
    failed = text(row.get("status")) == "failure" or text(metadata.get("status")) == "failure"
    cached = str(row.get("cache_hit")).strip().lower() == "true"
    usage = _usage(file, number, row, metadata, cached)
    if isinstance(usage, Problem):
        yield usage
        return
    remarks = []
    if cached:
        remarks.append("gateway-cache")
    elif usage is None:
        remarks += [] if failed else [NOT_TOLD]
    elif not _tells_cache(row, metadata):
        remarks.append("cache-not-told")
    if spend == 0 and not cached:
        remarks += ["spend-zero"] if usage is not None else []
        spend = None
    provider = text(row.get("custom_llm_provider"))
    call_type = text(row.get("call_type")) or ""
    values: dict[str, Value] = {
        **_batch(metadata),
        "start_time": start,
        "end_time": end if end is not None and end >= start else None,
        "error_type": _error(metadata) if failed else None,
        "gen_ai_operation_name": _operation(call_type),
        "gen_ai_provider_name": OTEL_PROVIDERS.get(provider, provider) if provider else None,
        **_models(row, provider, metadata),
        "x_DurationSeconds": milliseconds(row.get("request_duration_ms")) or seconds_between(start, end),
        # Where nothing was streamed, LiteLLM sets the first token to the end.
        "x_FirstTokenSeconds": seconds_between(start, first) if first != end else None,
        "x_ApiKey": _key(text(row.get("api_key"))),
        "x_User": text(row.get("user")),
        "x_ReportedCost": spend,
        "x_ReportedCurrency": "USD" if spend is not None else None,
        "x_Remarks": ";".join(remarks) or None,
    }
    values.setdefault("x_Succeeded", 0 if failed else 1)
    if cached:  # the provider saw no request, and some have a fee for each
        values[meter_column("requests")] = None
    if values["gen_ai_operation_name"] == "execute_tool":
        values |= {"x_Requests": 0, "x_Succeeded": 0}  # a tool, not a model, was called
    context = {"processing": "batch"} if "batch" in call_type else None
    identity = text(row.get("request_id")) or fingerprint(row)
    yield from call_rows(identity, number, values, usage, context=context, tags=_tags(row, metadata))


def _object(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a file holds
    """An object, or the JSON text of one."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _usage(
    file: FactFile, number: int, row: Mapping[str, Any], metadata: Mapping[str, Any], cached: bool
) -> Usage | Problem | None:
    """What the provider counted; None where the row does not tell."""
    counts: dict[str, Any] = {}
    for name in _COUNTS:
        said = row.get(name)
        found = whole(said)
        if found is None and said not in (None, ""):
            return file.problem(number, "unparsable-amount", f"{name} is no whole number: {str(said)[:60]!r}")
        if found:
            counts[name] = found
    if cached:
        return read_usage(file, number, "openai", {"prompt_tokens": 0, "completion_tokens": 0}, "chat")
    if not counts.get("prompt_tokens") and not counts.get("completion_tokens"):
        return None
    details = {key: value for key, value in _details(counts, metadata).items() if key not in (*_COUNTS, *_NOT_USAGE)}
    return read_usage(file, number, "openai", {**details, **counts}, "chat")


def _details(counts: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """What else is known of the usage. ``usage_object`` may be that of one of several tries: its counts must agree."""
    extra = metadata.get("additional_usage_values")
    if isinstance(extra, dict) and extra:
        return extra
    usage = metadata.get("usage_object")
    if isinstance(usage, dict) and all(usage.get(name) == counts.get(name, 0) for name in _COUNTS[:2]):
        return usage
    return {}


def _tells_cache(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    details = _details({name: whole(row.get(name)) or 0 for name in _COUNTS}, metadata)
    said = [details.get(name) for name in _CACHED]
    said += [inside(details, "prompt_tokens_details", name) for name in _CACHED_DETAILS]
    return any(whole(one) is not None for one in said)


def _batch(metadata: Mapping[str, Any]) -> dict[str, Value]:
    """A finished batch job is one row for all its requests."""
    done, failed = whole(metadata.get("batch_successful_requests")), whole(metadata.get("batch_failed_requests"))
    if done is None or done < 0:
        return {}
    all_of_them = done + max(failed or 0, 0)
    if all_of_them >= 2**63:
        return {}
    return {"x_Kind": "bucket", "x_Requests": all_of_them, "x_Succeeded": done, meter_column("requests"): all_of_them}


def _error(metadata: Mapping[str, Any]) -> str:
    said = (text(inside(metadata, "error_information", name)) for name in ("error_class", "error_code"))
    return next((one for one in said if one), "failure")


def _operation(call_type: str) -> str | None:
    """LiteLLM marks asynchronous calls with an ``a``: ``acompletion``."""
    return _OPERATIONS.get(call_type) or _OPERATIONS.get(call_type.removeprefix("a")) or call_type or None


def _models(row: Mapping[str, Any], provider: str | None, metadata: Mapping[str, Any]) -> dict[str, Value]:
    """Asked: the proxy's public name. Answered: the provider's; on Azure a deployment, whose model LiteLLM may know."""
    model = text(row.get("model"))
    if model and provider:
        model = model.removeprefix(f"{provider}/")
    found: dict[str, Value] = {
        "gen_ai_request_model": text(row.get("model_group")) or model,
        "gen_ai_response_model": model,
    }
    if provider == "azure":
        known = text(inside(metadata, "model_map_information", "model_map_key"))
        found |= {"x_Project": model, "gen_ai_response_model": known.removeprefix("azure/") if known else model}
    return found


def _key(key: str | None) -> str | None:
    """The key's hash as LiteLLM has it. Should a key stand there itself, its hash: a key is never kept."""
    if key is None or not key.startswith("sk-"):
        return key
    return hashlib.sha256(key.encode()).hexdigest()


def _tags(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str]:
    """Request tags (``name:value``, else ``true``), the caller's own pairs, then what the key says of itself."""
    found: dict[str, str] = {}
    tags = row.get("request_tags")
    if isinstance(tags, str):
        try:
            tags = parse_json(tags)
        except ValueError:
            tags = [tags]
    for tag in tags if isinstance(tags, list) else []:
        said = text(tag)
        if said and not said.startswith("User-Agent:"):  # LiteLLM adds these two itself
            name, _, value = said.partition(":")
            found[name.strip() or said] = value.strip() or "true"
    found |= strings(metadata.get("spend_logs_metadata"))
    team = text(row.get("team_id")) or text(metadata.get("user_api_key_team_id"))
    own = {
        "team": text(metadata.get("user_api_key_team_alias")) or team,
        "team_id": team,
        "organization_id": text(row.get("organization_id")),
        "project": text(metadata.get("user_api_key_project_alias")) or text(metadata.get("user_api_key_project_id")),
        "end_user": text(row.get("end_user")),
        "agent_id": text(row.get("agent_id")),
        "key": text(metadata.get("user_api_key_alias")),
    }
    return found | {name: value for name, value in own.items() if value}
