"""Azure Monitor's metrics of Azure OpenAI and Foundry models: buckets of calls, without callers.

``az monitor metrics list`` returns for each metric a series for each combination of the dimensions asked for, with a
total for each interval. A metric's total for a deployment in an interval is a row: tokens and requests have different
dimensions, so what one row would put together is put together by adding up.

The traps:

- No metric has a dimension for the caller, the key or the user. Showback by team needs a deployment or an account for
  each team, or a gateway.
- Two families count the same: ``ProcessedPromptTokens`` and ``GeneratedTokens`` (OpenAI models), ``InputTokens`` and
  ``OutputTokens`` (all models). One is taken, never both.
- Cached tokens are no count: prompts look uncached (remark ``cache-not-told``) and are priced too high.
- A report that is not split says the same as one that is split by deployment. The later one loaded holds.

Source: Azure Monitor, "Supported metrics for Microsoft.CognitiveServices/accounts" (2026-07-31), and its REST API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from outlay.ledger.tables.requests import REQUESTS, meter_column
from outlay.ledger.tables.table import FactTable
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact, Value, Window, amount, moment
from outlay.sources.reader import Format
from outlay.sources.usage.call_log import inside, read_usage, text
from outlay.sources.usage.row import usage_values

__all__ = ["AzureOpenAIMetricsReader"]

_METRICS = {
    "input": ("inputtokens", "processedprompttokens"),
    "output": ("outputtokens", "generatedtokens"),
    "requests": ("modelrequests", "azureopenairequests"),
}
"""What is read, and the metrics that say it: the one of all models before the one of OpenAI's."""
_RAW = {"input": "gen_ai.usage.input_tokens", "output": "gen_ai.usage.output_tokens"}
_ACCOUNT = re.compile(r"/subscriptions/([^/]+)/.*/providers/microsoft\.cognitiveservices/accounts/([^/]+)", re.I)
_ISO = re.compile(r"P(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?)?")
_CLOCK = re.compile(r"(?:(\d{1,3}) days?, )?(\d{1,2}):(\d{2}):00")
_LARGEST = 2**53  # Azure Monitor's totals are doubles


@dataclass(frozen=True, slots=True)
class _Place:
    """What a total is of; a dimension is None where the report is not split by it."""

    deployment: str | None
    model: str | None
    tier: str | None


@dataclass(slots=True)
class _Sum:
    """A total, and what its series say beside it; ``succeeded`` None where one does not tell."""

    count: int = 0
    succeeded: int | None = 0
    said: dict[str, set[str]] = field(default_factory=dict)

    def only(self, dimension: str) -> str | None:
        """The value of a dimension if all series have the same."""
        values = self.said.get(dimension, set())
        return next(iter(values)) if len(values) == 1 else None


class AzureOpenAIMetricsReader:
    """Reads answers of Azure Monitor, for one resource or for several."""

    format = Format(
        "azure-openai-metrics",
        "Azure Monitor metrics of Azure OpenAI",
        "az monitor metrics list of the tokens and requests of a Microsoft.CognitiveServices account, split by "
        "deployment, as JSON.",
    )
    table: FactTable = REQUESTS
    restates: Literal["rows", "windows"] = "windows"

    def recognises(self, file: FactFile) -> bool:
        """An answer with series of a Cognitive Services account's metrics that are read here."""
        if file.kind not in ("json", "jsonl"):
            return False
        one = file.first
        known = {name for names in _METRICS.values() for name in names}
        return one is not None and any(
            isinstance(metric.get("timeseries"), list) and _name(metric) in known and _account(answer) is not None
            for answer in _answers(one)
            for metric in _objects(answer.get("value"))
        )

    def facts(self, file: FactFile) -> Iterator[Fact | Window | Problem]:
        """A window for each interval of each metric, and a row for each deployment that was used in it."""
        for one in file.objects():
            if isinstance(one, Problem):
                yield one
                continue
            for answer in _answers(one[1]):
                yield from _answer(file, one[0], answer)


def _objects(value: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - whatever a file holds
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _answers(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The answer itself, or those for each resource of ``metrics:getBatch``."""
    return _objects(one.get("values")) or [one]


def _name(metric: Mapping[str, Any]) -> str:
    return str(inside(metric, "name", "value")).lower()


def _account(answer: Mapping[str, Any]) -> tuple[str, str] | None:
    """Subscription and account, from the ids of the metrics or the resource of a batch."""
    ids = [answer.get("resourceid"), *(metric.get("id") for metric in _objects(answer.get("value")))]
    found = next((match for one in ids if isinstance(one, str) and (match := _ACCOUNT.search(one + "/"))), None)
    return (found.group(1).lower(), found.group(2).lower()) if found else None


def _interval(said: Any) -> timedelta | None:  # noqa: ANN401 - whatever a file holds
    """An ISO 8601 duration (``PT1H``) or, as older versions of the CLI print it, ``1:00:00``."""
    found = (_ISO.fullmatch(said) or _CLOCK.fullmatch(said)) if isinstance(said, str) else None
    if found is None:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes) or None


def _answer(file: FactFile, number: int, answer: Mapping[str, Any]) -> Iterator[Fact | Window | Problem]:
    account, interval = _account(answer), _interval(answer.get("interval"))
    if account is None:
        yield file.problem(number, "not-json", "the answer names no Microsoft.CognitiveServices account")
        return
    if interval is None:
        said = str(answer.get("interval"))[:40]
        yield file.problem(number, "unparsable-time", f"interval is no duration such as PT1H: {said!r}")
        return
    for fact, names in _METRICS.items():
        metric = _taken(answer, names)
        if metric is not None:
            yield from _metric(file, number, metric, fact, account, interval)


def _taken(answer: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any] | None:
    """The first of the metrics that counted anything; the first that is there where none did."""
    there = [metric for name in names for metric in _objects(answer.get("value")) if _name(metric) == name]
    counted = (
        metric
        for metric in there
        for series in _objects(metric.get("timeseries"))
        for point in _objects(series.get("data"))
        if point.get("total") not in (None, 0)
    )
    return next(counted, there[0] if there else None)


def _metric(  # noqa: PLR0917 - what one answer is about
    file: FactFile, number: int, metric: Mapping[str, Any], fact: str, account: tuple[str, str], interval: timedelta
) -> Iterator[Fact | Window | Problem]:
    sums: dict[tuple[datetime, _Place], _Sum] = {}
    starts: set[datetime] = set()
    for series in _objects(metric.get("timeseries")):
        said = _dimensions(series)
        place = _Place(said.get("modeldeploymentname"), said.get("modelname"), said.get("servicetierresponse"))
        for point in _objects(series.get("data")):
            start = moment(point.get("timeStamp"))
            if start is None or start > datetime.max - interval:
                yield file.problem(number, "unparsable-time", f"a timeStamp of {_name(metric)[:40]} is no time")
                continue
            count = _count(file, number, metric, point.get("total"))
            if isinstance(count, Problem):
                yield count
                continue
            starts.add(start)
            if count:
                _add(sums.setdefault((start, place), _Sum()), count, said)
    source = f"azure-{account[1]}"
    for start in sorted(starts):
        yield Window(start, start + interval, source, fact)
    for (start, place), one in sums.items():
        values = _values(file, number, fact, place, one)
        if isinstance(values, Problem):
            yield values
            continue
        values |= {"start_time": start, "end_time": start + interval, "x_Kind": "bucket", "x_Account": account[0]}
        of = "/".join(part or "" for part in (place.deployment, place.model, place.tier))
        identity = f"{account[1]}/{fact}/{start.isoformat()}/{of}"
        known = {name: value for name, value in values.items() if value is not None}
        yield Fact(identity, number, known, {}, source, fact)


def _dimensions(series: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in _objects(series.get("metadatavalues")):
        if (value := text(one.get("value"))) is not None:
            found[str(inside(one, "name", "value")).lower()] = value
    return found


def _count(file: FactFile, number: int, metric: Mapping[str, Any], said: Any) -> int | Problem:  # noqa: ANN401
    """A total as a whole number; none where nothing was measured."""
    total = amount(said if said is not None else 0)
    if total is None or not abs(total) < _LARGEST or total != int(total):
        what = f"a total of {_name(metric)[:40]} is no count: {str(said)[:40]!r}"
        return file.problem(number, "unparsable-amount", what)
    if total < 0:
        return file.problem(number, "negative-quantity", f"a total of {_name(metric)[:40]} is negative: {total}")
    return int(total)


def _add(one: _Sum, count: int, said: Mapping[str, str]) -> None:
    one.count += count
    status = said.get("statuscode")
    if status is None:
        one.succeeded = None
    elif one.succeeded is not None and status.lower().startswith(("2", "success")):
        one.succeeded += count
    for dimension, value in said.items():
        one.said.setdefault(dimension, set()).add(value)


def _values(file: FactFile, number: int, fact: str, place: _Place, one: _Sum) -> dict[str, Value] | Problem:
    values: dict[str, Value] = {
        "gen_ai_provider_name": "azure.ai.openai",
        "gen_ai_response_model": place.model,
        "x_Project": place.deployment,
        "x_Region": one.only("region"),
    }
    if fact == "requests":
        # The tokens of these requests are in rows of their own; here are none, which is not the same as not told.
        none = dict.fromkeys(("gen_ai_usage_input_tokens", "gen_ai_usage_output_tokens"), 0)
        return values | none | {"x_Requests": one.count, "x_Succeeded": one.succeeded}
    usage = read_usage(file, number, "", {_RAW[fact]: one.count}, "otel")
    if isinstance(usage, Problem):
        return usage
    context = {"service_tier": place.tier} if place.tier else None
    told = usage_values(usage, context=context) | {meter_column("requests"): None}
    return values | told | ({"x_Remarks": "cache-not-told"} if fact == "input" else {})
