"""Anthropic's usage reports, of the Claude Platform and of Claude Enterprise.

Three endpoints tell the same kind of thing: tokens of each minute, hour or day, by the group keys that were asked for.

- ``GET /v1/organizations/usage_report/messages``: the API's usage of a Claude Platform organisation;
- ``GET /v1/organizations/analytics/usage_report``: a Claude Enterprise organisation's, by product;
- ``GET /v1/organizations/analytics/usage``: the newer one, of both; its rows carry their period, group and usage.

The first is the report ``messages``, the other two are ``analytics``. They know no money; the first counts no requests
either. Uncached input, cache reads and cache writes stand beside each other and add up to the input.

A bucket's sum says nothing of the length of single prompts, on which prices of some models depend; ``context_window``
does where it was grouped by, so it goes into the price context.

The traps: ``messages`` and ``analytics/usage`` tell the same usage of an organisation, so load one of them. A bucket
of ``analytics/usage_report`` names its 100 largest groups and drops the rest without a word. Grouped by RBAC group, a
user in several groups counts in each, so such buckets are refused. What was used after ``data_refreshed_at`` is not
complete; those rows are marked. As everywhere, no ``group_by[]=model`` means no price.

Source: Anthropic's API reference, https://platform.claude.com/docs/en/api/admin/usage_report, and the types of its
Python SDK 2.12.0 (MIT).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from outlay.errors import UsageError
from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import FactTable
from outlay.prices.usage import normalise
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable
from outlay.sources.facts import Fact, Value, Window, moment
from outlay.sources.reader import Format
from outlay.sources.usage.buckets import Bucket, GoesOn, Place, Survey, period
from outlay.sources.usage.counts import Identities, attributes, refuse_too_large, text, whole
from outlay.sources.usage.row import usage_values

__all__ = ["AnthropicUsageReader"]

_MOST_GROUPS = 100
_MESSAGES_KEYS = ("api_key_id", "workspace_id", "service_tier", "account_id", "service_account_id")
_ANALYTICS_KEYS = ("requests", "product", "rbac_group_id", "slack_channel_id", "claude_tag_category")
_ANALYTICS_PAGE = ("data_refreshed_at", "organization_id")
_COUNTS = ("uncached_input_tokens", "cache_read_input_tokens", "output_tokens", "total_tokens", "requests")
_NESTED = {
    "cache_creation": ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"),
    "server_tool_use": ("web_search_requests", "web_fetch_requests", "code_execution_requests"),
}
_CONTEXT = ("service_tier", "speed", "inference_geo")
_TOTALS = {
    "gen_ai_usage_output_tokens": "output_tokens",
    "gen_ai_usage_cache_read_input_tokens": "cache_read_input_tokens",
    "gen_ai_usage_cache_write_input_tokens": "cache_creation",
    "gen_ai_usage_reasoning_output_tokens": "",  # no report tells
}
_COLUMNS = {
    "x_Project": ("workspace_id",),
    "x_ApiKey": ("api_key_id",),
    "x_User": ("account_id", "service_account_id"),
    "x_Service": ("product",),
    "x_Account": ("organization_id",),
}
_READ = frozenset(
    {"model", "actor", *_COUNTS, *_NESTED, *_CONTEXT, *(key for keys in _COLUMNS.values() for key in keys)}
)
_ACTORS = ("user_id", "service_account_id", "subject", "api_key_id")
_NO_REGION = ("global", "not_available")


class AnthropicUsageReader:
    """Reads the three forms; each bucket, or each period of the newest, is a window."""

    format = Format(
        "anthropic-usage",
        "Anthropic usage reports (Messages usage report, Claude analytics)",
        "The JSON of GET /v1/organizations/usage_report/messages or /v1/organizations/analytics/usage, all pages, with "
        "group_by[]=model and, where there are any, service_tier, speed, inference_geo and context_window.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "windows"

    def recognises(self, file: FactFile) -> bool:
        """Pages or buckets whose first result has uncached input tokens; cost reports have amounts."""
        if file.kind not in ("json", "jsonl") or '"starting_at"' not in file.head:
            return False
        sample = file.sample
        first = next((one for one in sample if isinstance(one, dict)), None) if isinstance(sample, list) else sample
        if not isinstance(first, dict):
            return False
        paged = isinstance(first.get("data"), list) and "has_more" in first
        rows = first["data"] if paged else [first] if "results" in first else []
        timed = [one for one in rows if isinstance(one, dict) and "starting_at" in one and "ending_at" in one]
        if not timed:
            return False
        result = next((one for row in timed for one in _results(row) or ()), None)
        if isinstance(result, dict):
            return "uncached_input_tokens" in result and "amount" not in result
        told = all(row.get("results") == [] for row in timed)
        return told and '"amount"' not in file.head  # nothing was used, or not in the first page

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A window for each bucket, a fact for each result in it; of buckets told twice the last."""
        told: list[Place | GoesOn] = []
        overlapping: set[int] = set()
        for one in _buckets(file):
            if isinstance(one, GoesOn):
                told.append(one)
            elif isinstance(one, Bucket):
                told.append(one.place)
                if any(_by_rbac_group(result) for result in one.results):
                    overlapping.add(one.place.telling)
        survey = Survey(one for one in told if isinstance(one, GoesOn) or one.telling not in overlapping)
        cut: Counter[str] = Counter()
        names: dict[Place, Identities] = {}  # of one telling: a bucket, or all pages of the newest form
        for one in _buckets(file):
            if isinstance(one, Problem):
                yield one
            elif isinstance(one, GoesOn):
                continue
            elif one.place.telling in overlapping:
                message = "grouped by rbac_group_id, so that a user of several groups counts in each"
                yield file.problem(one.line, "overlapping-groups", message)
            elif survey.speaks(one.place):
                place, kind = one.place, one.place.scope[0]
                if place not in names:
                    names = {known: name for known, name in names.items() if known.telling == place.telling}
                    names[place] = Identities(kind, place.start.isoformat())
                    yield Window(place.start, place.end, place.scope[1] or None, kind)
                yield from _facts(file, one, names[place])
                cut[kind] += kind == "analytics" and not one.flat and len(one.results) >= _MOST_GROUPS
        for kind, count in sorted(cut.items()):
            if count:
                message = f"buckets of the {kind} report with {_MOST_GROUPS} groups, the most that it tells: {count}"
                yield file.problem(None, "top-groups-only", message)
        yield from survey.notices(file)


def _buckets(file: FactFile) -> Iterator[Bucket | GoesOn | Problem]:
    """The buckets of all forms; rows of the newest are gathered by period, and all its pages are one telling."""
    telling = 0
    unfinished: GoesOn | None = None
    for one in file.objects():
        if isinstance(one, Problem):
            yield one
            continue
        line, page = one
        rows = page.get("data") if "data" in page else [page]
        if not isinstance(rows, list):
            yield file.problem(line, "not-usage", "neither a page nor a bucket of a usage report")
            continue
        source = text(page.get("organization_id")) or ""
        page_kind = next((_kind(row, page) for row in rows if _results(row)), "")
        flat: dict[Place, list[Json]] = {}
        place: Place | None = None
        for row in rows:
            try:
                start, end = period(row, "starting_at", "ending_at", moment, "an RFC 3339 time")
                results = _results(row)
                if results is None or ("data" not in page and "results" not in row):
                    raise Unusable("not-usage", "a bucket without a list of results")
            except Unusable as unusable:
                yield unusable.problem(file, line)
                continue
            place = Place((_kind(row, page) if results else page_kind, source), start, end, telling)
            if "results" in row:
                telling += 1
                yield Bucket(place, line, results, page)
            else:
                flat.setdefault(place, []).extend(results)
        for place, results in flat.items():
            yield Bucket(place, line, results, page, flat=True)
        more = page.get("has_more") is True and place is not None
        if flat or not rows:
            unfinished = GoesOn(place.scope, place.end) if more and place is not None else None
            telling += not more
        elif more and place is not None:
            yield GoesOn(place.scope, place.end)
    if unfinished is not None:
        yield unfinished


def _results(row: Json) -> list[Json] | None:
    """The results of a bucket; a row of the newest form is one, with its group keys beside the counts."""
    if not isinstance(row, dict):
        return None
    if isinstance(row.get("results"), list):
        found: list[Json] = row["results"]
        return found
    group, usage = row.get("group"), row.get("usage")
    if "results" not in row and isinstance(usage, dict) and (group is None or isinstance(group, dict)):
        return [{**(group or {}), **usage}]
    return None


def _kind(row: Mapping[str, Json], page: Mapping[str, Json]) -> str:
    """``messages`` or ``analytics``: the reports have the same counts and differ in group keys."""
    if "results" not in row:
        return "analytics"
    keys = next((result for result in row["results"] if isinstance(result, dict)), {})
    if any(key in keys for key in _MESSAGES_KEYS):
        return "messages"
    told = any(key in keys for key in _ANALYTICS_KEYS) or any(key in page for key in _ANALYTICS_PAGE)
    return "analytics" if told else "messages"


def _by_rbac_group(result: Json) -> bool:
    return isinstance(result, dict) and result.get("rbac_group_id") is not None


def _facts(file: FactFile, bucket: Bucket, names: Identities) -> Iterator[Fact | Problem]:
    place, page = bucket.place, bucket.page
    kind, source = place.scope
    refreshed = moment(page.get("data_refreshed_at"))
    account = text(page.get("organization_id"))
    for result in bucket.results:
        try:
            if not isinstance(result, dict) or "uncached_input_tokens" not in result or "amount" in result:
                raise Unusable("not-usage", f"a result that is none of the {kind} report")
            values = _values(result, complete=refreshed is None or place.end <= refreshed)
            refuse_too_large(values)
        except Unusable as unusable:
            yield unusable.problem(file, bucket.line)
            continue
        values |= {"start_time": place.start, "end_time": place.end, "x_Account": values["x_Account"] or account}
        tags = {"report": kind, **attributes(result, _READ)}
        yield Fact(
            names.of({**result, "actor": _id_of(result.get("actor"), *_ACTORS)}),
            bucket.line,
            values,
            tags,
            source or None,
            kind,
        )


def _values(result: Mapping[str, Json], *, complete: bool) -> dict[str, Value]:
    model = text(result.get("model"))
    region = text(result.get("inference_geo"))
    values: dict[str, Value] = {
        "x_Kind": "bucket",
        "x_Requests": whole(result, "requests"),
        "gen_ai_provider_name": "anthropic",
        "gen_ai_request_model": model,
        "gen_ai_response_model": model,
        "x_Region": None if region in _NO_REGION else region,
        **{
            column: next((said for key in keys if (said := text(result.get(key)))), None)
            for column, keys in _COLUMNS.items()
        },
    }
    actor = result.get("actor")
    values["x_User"] = values["x_User"] or _id_of(actor, "user_id", "service_account_id", "subject")
    values["x_ApiKey"] = values["x_ApiKey"] or _id_of(actor, "api_key_id")
    raw: dict[str, Json] = {name: count for name in _COUNTS if (count := whole(result, name)) is not None}
    for name, keys in _NESTED.items():
        inside = result.get(name)
        if isinstance(inside, dict):
            raw[name] = {**inside, **{key: count for key in keys if (count := whole(inside, key)) is not None}}
        elif inside is not None:
            raise Unusable("unparsable-amount", f"{name} is no JSON object")
    raw |= {key: result.get(key) for key in _CONTEXT}
    if "uncached_input_tokens" not in raw:
        raise Unusable("missing-amount", "a result without uncached_input_tokens")
    try:
        usage = normalise("anthropic", raw, flavor="anthropic.usage_report")
    except UsageError as error:
        raise Unusable("unparsable-amount", str(error)) from None
    window = text(result.get("context_window"))
    told = usage_values(usage, context={"context_window": window} if window else None)
    for column, name in _TOTALS.items():
        if name not in raw:
            del told[column]
    if not complete:
        told["x_Remarks"] = ";".join(sorted({"incomplete", *_codes(told["x_Remarks"])}))
    return values | told


def _codes(remarks: Value) -> Sequence[str]:
    return remarks.split(";") if isinstance(remarks, str) else ()


def _id_of(actor: Json, *keys: str) -> str | None:
    """The id of whom usage is attributed to: a user, a service account, an identity of a cloud, an API key."""
    return next((said for key in keys if (said := text(actor.get(key)))), None) if isinstance(actor, dict) else None
