"""OpenAI's usage reports: ``GET /v1/organization/usage/{completions, embeddings, ...}``.

Each endpoint is a report of its own: what an organisation used in each minute, hour or day, by the group keys that were
asked for. In FinOps terms it is the consumption behind the invoice, by project, key, user and model, a day or so before
the costs report has it; it knows no money and no single call. A file is one page, an array of pages, or JSON lines of
pages or of buckets, of one report or several. The reports do not overlap in what they count, except requests: the calls
of models in the web search report are those of the completions report, so they are no requests here.

Input tokens include cached and cache-write tokens. Since 2026 text, audio and image input exclude cached tokens.

The traps: without ``group_by=model`` there is no model, and nothing can be priced. A report that was filtered (one
project's) looks like one that was not, and replaces it. A bucket without results does not say of which report it is,
nor whether of usage or of costs. It is of its page's, of that which the page before goes on with, or of the ``report``
that the export command of docs/sources/openai-usage.md notes in each page; else it replaces nothing, and a notice says
so.

Source: OpenAI's API description (MIT), https://platform.openai.com/docs/api-reference/usage, and its Python SDK.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from outlay.errors import UsageError
from outlay.ledger.tables.requests import REQUESTS, meter_column
from outlay.ledger.tables.table import FactTable
from outlay.prices.tokens import context_text
from outlay.prices.usage import normalise
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable
from outlay.sources.facts import Fact, Value, Window, epoch
from outlay.sources.reader import Format
from outlay.sources.usage.buckets import Bucket, GoesOn, Place, Survey, period
from outlay.sources.usage.counts import Identities, attributes, refuse_too_large, text, whole
from outlay.sources.usage.row import usage_values

__all__ = ["OpenAIUsageReader"]

_RESULT = re.compile(r'"organization\.(usage\.\w+|costs)\.result"')
_KIND = re.compile(r"organization\.usage\.(\w+)\.result")

_TOKENS = (
    "input_tokens",
    "input_cached_tokens",
    "input_cache_write_tokens",
    "input_uncached_tokens",
    "input_text_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_cached_text_tokens",
    "input_cached_audio_tokens",
    "input_cached_image_tokens",
    "output_tokens",
    "output_text_tokens",
    "output_audio_tokens",
    "output_image_tokens",
)
_TOTALS = {
    "gen_ai_usage_input_tokens": "input_tokens",
    "gen_ai_usage_output_tokens": "output_tokens",
    "gen_ai_usage_cache_read_input_tokens": "input_cached_tokens",
    "gen_ai_usage_cache_write_input_tokens": "input_cache_write_tokens",
    "gen_ai_usage_reasoning_output_tokens": "",  # no report tells
}
_SUMS = {
    "input_tokens": ("input_uncached_tokens", "input_cached_tokens", "input_cache_write_tokens"),
    "input_uncached_tokens": ("input_text_tokens", "input_audio_tokens", "input_image_tokens"),
    "input_cached_tokens": ("input_cached_text_tokens", "input_cached_audio_tokens", "input_cached_image_tokens"),
    "output_tokens": ("output_text_tokens", "output_audio_tokens", "output_image_tokens"),
}
_METERS = {
    name: meter_column(meter)
    for name, meter in {
        "input_text_tokens": "input",
        "input_audio_tokens": "input_audio",
        "input_image_tokens": "input_image",
        "input_cached_text_tokens": "cache_read",
        "input_cached_audio_tokens": "cache_read_audio",
        "input_cached_image_tokens": "cache_read_image",
        "input_cache_write_tokens": "cache_write",
        "output_text_tokens": "output",
        "output_audio_tokens": "output_audio",
        "output_image_tokens": "output_image",
    }.items()
}
_FEES = {
    "audio_speeches": ("characters", "input_characters"),
    "audio_transcriptions": ("seconds", "audio_seconds"),
    "code_interpreter_sessions": ("num_sessions", "code_executions"),
    "file_searches": ("num_requests", "storage_searches"),
    "web_searches": ("num_requests", "web_searches"),
}
"""What is counted by something other than tokens: report -> its count and the meter."""

_OTHERS_CALLS = ("web_searches",)
"""Reports whose ``num_model_requests`` are the calls of another report."""

_COLUMNS = {"project_id": "x_Project", "user_id": "x_User", "api_key_id": "x_ApiKey"}
_READ = frozenset({"object", "model", "batch", "service_tier", *_COLUMNS, *_TOKENS})
_ENDPOINTS = {"web_search_calls": "web_searches", "file_search_calls": "file_searches"}
"""Endpoints whose results have another name."""
_OPERATIONS = {"embeddings": "embeddings"}


class OpenAIUsageReader:
    """Reads every report of the usage API, unknown ones by their tokens."""

    format = Format(
        "openai-usage",
        "OpenAI usage API (organization/usage reports)",
        "The JSON of GET /v1/organization/usage/..., all pages, with group_by=model and, for completions, batch and "
        "service_tier.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "windows"

    def recognises(self, file: FactFile) -> bool:
        """Pages or buckets of OpenAI's making whose first result is usage; costs have the same pages."""
        if file.kind not in ("json", "jsonl") or '"bucket"' not in file.head:
            return False
        result = _RESULT.search(file.head)
        if result is not None and result[1] == "costs":
            return False
        sample = file.sample
        first = next((one for one in sample if isinstance(one, dict)), None) if isinstance(sample, list) else sample
        if not isinstance(first, dict):
            return False
        if first.get("report") == "costs":
            return False
        buckets = first.get("data") if first.get("object") == "page" else [first]
        return isinstance(buckets, list) and any(
            isinstance(one, dict) and one.get("object") == "bucket" and "start_time" in one and "end_time" in one
            for one in buckets
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A window for each bucket, a fact for each result in it; of buckets told twice the last."""
        survey = Survey(_places(file))
        nameless = 0
        for bucket in _buckets(file):
            if isinstance(bucket, Problem):
                yield bucket
            elif isinstance(bucket, Bucket) and survey.speaks(bucket.place):
                yield from _facts(file, bucket)
            elif isinstance(bucket, Bucket):
                nameless += not bucket.place.scope[0]
        if nameless:
            yield file.problem(
                None, "report-not-told", f"buckets without results of a report that is not told: {nameless}"
            )
        yield from survey.notices(file)


def _places(file: FactFile) -> Iterator[Place | GoesOn]:
    for one in _buckets(file):
        if isinstance(one, Bucket):
            yield one.place
        elif isinstance(one, GoesOn):
            yield one


def _buckets(file: FactFile) -> Iterator[Bucket | GoesOn | Problem]:
    telling = 0
    goes_on: GoesOn | None = None
    for one in file.objects():
        if isinstance(one, Problem):
            yield one
            continue
        line, page = one
        raw_buckets = [page] if page.get("object") == "bucket" else page.get("data")
        if not isinstance(raw_buckets, list):
            yield file.problem(line, "not-usage", "neither a page nor a bucket of a usage report")
            continue
        page_kind = next((kind for raw in raw_buckets for kind in _kinds(raw)), None) or _noted(page)
        if page_kind is None and goes_on is not None and _begins(raw_buckets) == goes_on.end:
            page_kind = goes_on.scope[0]
        goes_on = None
        ends: list[tuple[str, datetime]] = []
        for raw in raw_buckets:
            telling += 1
            kind = next(_kinds(raw), page_kind) or ""
            try:
                start, end = period(raw, "start_time", "end_time", epoch, "a number of seconds since 1970")
                results = _results(raw)
                if not isinstance(results, list):
                    raise Unusable("not-usage", "a bucket without a list of results")
                if results and not kind:
                    raise Unusable("not-usage", "a bucket whose results are of no usage report")
            except Unusable as unusable:
                yield unusable.problem(file, line)
                continue
            ends.append((kind, end))
            yield Bucket(Place((kind, ""), start, end, telling), line, results, page)
        if page.get("has_more") is True and ends:
            goes_on = GoesOn((ends[-1][0], ""), ends[-1][1])
            yield goes_on


def _begins(raw_buckets: Sequence[Json]) -> datetime | None:
    """When a page's first bucket begins."""
    first = raw_buckets[0] if raw_buckets else None
    return epoch(first.get("start_time")) if isinstance(first, dict) else None


def _noted(page: Mapping[str, Json]) -> str | None:
    """The report that the export command noted in the page, by its results' name."""
    said = text(page.get("report"))
    return said and _ENDPOINTS.get(said, said)


def _results(raw: Mapping[str, Json]) -> Json:
    """The results of a bucket; the API's description called them ``result`` at first."""
    return raw["results"] if "results" in raw else raw.get("result")


def _kinds(raw: Json) -> Iterator[str]:
    results = _results(raw) if isinstance(raw, dict) else None
    for result in results if isinstance(results, list) else ():
        said = result.get("object") if isinstance(result, dict) else None
        found = _KIND.fullmatch(said) if isinstance(said, str) else None
        if found:
            yield found[1]


def _facts(file: FactFile, bucket: Bucket) -> Iterator[Fact | Window | Problem]:
    place = bucket.place
    kind = place.scope[0]
    yield Window(place.start, place.end, None, kind)
    identities = Identities(kind, place.start.isoformat())
    for result in bucket.results:
        try:
            if not isinstance(result, dict) or result.get("object") != f"organization.usage.{kind}.result":
                raise Unusable("not-usage", f"a result that is none of the {kind} report")
            values = _values(kind, result)
            refuse_too_large(values)
        except Unusable as unusable:
            yield unusable.problem(file, bucket.line)
            continue
        values |= {"start_time": place.start, "end_time": place.end}
        groups = {key: value for key, value in result.items() if key != "object"}
        tags = {"report": kind, **attributes(result, _taken(kind))}
        yield Fact(identities.of(groups), bucket.line, values, tags, None, kind)


def _taken(kind: str) -> frozenset[str]:
    """The keys of a result that have a column."""
    fee = _FEES.get(kind)
    taken = _READ | {fee[0]} if fee else _READ
    return taken if kind in _OTHERS_CALLS else taken | {"num_model_requests"}


def _values(kind: str, result: Mapping[str, Json]) -> dict[str, Value]:
    requests = whole(result, "num_model_requests")
    model = text(result.get("model"))
    values: dict[str, Value] = {
        "x_Kind": "bucket",
        "gen_ai_provider_name": "openai",
        "gen_ai_operation_name": _OPERATIONS.get(kind),
        "gen_ai_request_model": model,
        "gen_ai_response_model": model,
        **{column: text(result.get(key)) for key, column in _COLUMNS.items()},
    }
    if kind not in _OTHERS_CALLS:
        values["x_Requests"] = requests
    tokens = {name: count for name in _TOKENS if (count := whole(result, name)) is not None}
    if "input_tokens" in tokens or "output_tokens" in tokens:
        values |= _exact(tokens, requests) or _normalised(tokens, requests)
        values["x_PriceContext"] = _context(result)
    if fee := _FEES.get(kind):
        count = whole(result, fee[0])
        if count is None:
            raise Unusable("missing-amount", f"a result of the {kind} report without {fee[0]}")
        values[meter_column(fee[1])] = count or None
        values[meter_column("requests")] = values.get("x_Requests") or None
    elif not tokens and not any(isinstance(v, int) and not isinstance(v, bool) for v in result.values()):
        raise Unusable("not-usage", f"a result of the {kind} report that counts nothing")
    return values


def _context(result: Mapping[str, Json]) -> str | None:
    """What decides the price beside the model."""
    context = {"service_tier": text(result.get("service_tier")) or "default"}
    if result.get("batch") is True:
        context["processing"] = "batch"
    return context_text(context) or None


def _exact(tokens: Mapping[str, int], requests: int | None) -> dict[str, Value] | None:
    """The usage of a result whose parts are all told and add up, as nearly always: they are the meters as they stand.

    What :func:`_normalised` gives too, in a tenth of the time. None for any other result.
    """
    if len(tokens) < len(_TOKENS) or not all(_adds_up(tokens, total, parts) for total, parts in _SUMS.items()):
        return None
    values: dict[str, Value] = {column: tokens[name] for column, name in _TOTALS.items() if name}
    values |= {column: tokens[name] for name, column in _METERS.items() if tokens[name]}
    return values | {meter_column("requests"): requests or None, "x_Remarks": None}


def _normalised(tokens: Mapping[str, int], requests: int | None) -> dict[str, Value]:
    """The usage of any result; what does not add up is in the remarks."""
    try:
        usage = normalise("openai", {**tokens, "num_model_requests": requests}, flavor="openai.usage_api")
    except UsageError as error:
        raise Unusable("unparsable-amount", str(error)) from None
    values = usage_values(usage)
    for column, name in _TOTALS.items():
        if name not in tokens:
            del values[column]
    if not all(_adds_up(tokens, total, parts) for total, parts in _SUMS.items() if total != "input_tokens"):
        said = values["x_Remarks"]
        codes = {"modality-sum", *(said.split(";") if isinstance(said, str) else ())}
        values["x_Remarks"] = ";".join(sorted(codes))
    return values


def _adds_up(tokens: Mapping[str, int], total: str, parts: tuple[str, ...]) -> bool:
    """Whether the parts of a total make it up, where all are told."""
    if total not in tokens or any(part not in tokens for part in parts):
        return True
    return sum(tokens[part] for part in parts) == tokens[total]
