"""The usage reports of OpenAI and Anthropic: daily buckets by project, key and model, equal to the bill's tokens.

What the reports and the bill differ by is planted, each with its cause:

- *late data*: one key's last days are in OpenAI's report and not on the bill yet;
- *tier*: the batch jobs. Price lists have a batch price of that model from ``BATCH_PRICED_FROM`` on, so that earlier
  batch usage is priced at the ordinary rate, twice what the bill says.

Anthropic's report differs from its bill by nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from outlay.demo.catalogue import PROVIDERS
from outlay.demo.chance import key_of, mix
from outlay.demo.facts.callers import Caller, callers, first_told_day, tokens_of
from outlay.demo.lines import Calendar, Line, day_text
from outlay.money import plain

__all__ = ["BATCH_PRICED_FROM", "LATE_DAYS", "write_reports"]

BATCH_PRICED_FROM = date(2026, 10, 14)
"""First day for which genai-prices 0.2.3 has gpt-5's batch price."""

LATE_DAYS = 3
"""The last days, which the bill does not have yet, of one key."""

_LATE_OF, _LATE_NAME = "query-rewriting", "query-rewriting-canary"
_EMBEDDINGS = "text-embedding-3-large"
_TOKENS_A_CALL = {"embeddings": 800, "completions": 5_000}
_EPOCH = date(1970, 1, 1)
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class _Report:
    """A provider's callers over the days that its report tells of."""

    callers: Sequence[Caller]
    since: int
    until: int

    def requests(self, caller: Caller, day: int) -> int:
        """Calls of a day: made up, from the tokens and what a call of that kind takes."""
        return sum(caller.days[day].values()) // _TOKENS_A_CALL[_kind(caller)] + 1

    def days(self) -> Iterator[tuple[int, list[Caller]]]:
        for day in range(self.since, self.until):
            yield day, [caller for caller in self.callers if day in caller.days]


def write_reports(
    folder: Path, lines: Sequence[Line], calendar: Calendar, seed: int
) -> tuple[list[Path], dict[str, object]]:
    """Writes both reports; returns the files and what they hold. Of very many keys only the last months are told."""
    openai = _report(lines, "openai", calendar)
    late = _late(openai, seed)
    openai = replace(openai, callers=[*openai.callers, late])
    anthropic = _report(lines, "anthropic", calendar)
    paths = [folder / "synthetic-openai-usage.jsonl", folder / "synthetic-anthropic-usage.jsonl"]
    _write(paths[0], _openai_pages(openai, calendar))
    _write(paths[1], _anthropic_pages(anthropic, calendar))
    return paths, {"openai-usage": _told(openai), "anthropic-usage": _told(anthropic)}


def _report(lines: Sequence[Line], service: str, calendar: Calendar) -> _Report:
    since = first_told_day(lines, service, calendar)
    return _Report(callers(lines, service, calendar, since, calendar.last_day), since, calendar.last_day)


def _late(report: _Report, seed: int) -> Caller:
    """A key that began to be used at the very end: same project and model as another one, not on the bill."""
    like = next(caller for caller in report.callers if caller.name == _LATE_OF)
    chance = key_of(seed, _LATE_NAME)
    key = f"{PROVIDERS['OpenAI'].slug}-key-synthetic-canary"
    base = {"uncached": 150_000_000, "read": 250_000_000, "output": 45_000_000}
    return Caller(
        _LATE_NAME,
        {meter: replace(line, resource_id=key) for meter, line in like.meters.items()},
        {
            day: {meter: count * (900 + mix(chance, day) % 201) // 1000 for meter, count in base.items()}
            for day in range(max(report.since, report.until - LATE_DAYS), report.until)
        },
        on_bill=False,
    )


def _kind(caller: Caller) -> str:
    return "embeddings" if caller.model == _EMBEDDINGS else "completions"


def _write(path: Path, pages: Iterator[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for page in pages:
            file.write(json.dumps(page, separators=(",", ":")) + "\n")


def _openai_pages(report: _Report, calendar: Calendar) -> Iterator[Mapping[str, object]]:
    """A page a month and report, as ``GET /v1/organization/usage/...`` pages are."""
    for kind in ("completions", "embeddings"):
        buckets = {
            day: [_openai_result(report, caller, day, kind) for caller in found if _kind(caller) == kind]
            for day, found in report.days()
        }
        months = [range(max(first, report.since), last) for _, first, last in calendar.months if last > report.since]
        for month in months:
            more = month is not months[-1]
            yield {
                "object": "page",
                "data": [
                    {
                        "object": "bucket",
                        "start_time": day * _DAY,
                        "end_time": (day + 1) * _DAY,
                        "results": buckets[day],
                    }
                    for day in month
                ],
                "has_more": more,
                "next_page": f"page_synthetic_{month.stop}" if more else None,
            }


def _openai_result(report: _Report, caller: Caller, day: int, kind: str) -> Mapping[str, object]:
    used = caller.days[day]
    result: dict[str, object] = {
        "object": f"organization.usage.{kind}.result",
        "input_tokens": used["uncached"] + used.get("read", 0),
        "num_model_requests": report.requests(caller, day),
        "project_id": caller.line.account.account_id,
        "user_id": None,
        "api_key_id": caller.key,
        "model": caller.model,
        "synthetic": True,
    }
    if kind == "completions":
        result |= {
            "output_tokens": used.get("output", 0),
            "input_cached_tokens": used.get("read", 0),
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            "batch": caller.batch,
            "service_tier": "default",
        }
    return result


_NO_GROUP = (
    "actor",
    "actor_type",
    "agent_id",
    "claude_tag_category",
    "claude_tag_user_id",
    "context_window",
    "deployment_id",
    "environment_id",
    "inference_geo",
    "organization_id",
    "product",
    "rbac_group_id",
    "session_id",
    "slack_channel_id",
    "speed",
    "user_profile_id",
)
"""Group keys of Anthropic's rows that the company did not ask for."""


def _anthropic_pages(report: _Report, calendar: Calendar) -> Iterator[Mapping[str, object]]:
    """A page a month, as ``GET /v1/organizations/analytics/usage`` gives them: the form that counts requests."""
    months = [range(max(first, report.since), last) for _, first, last in calendar.months if last > report.since]
    for month in months:
        more = month is not months[-1]
        yield {
            "data": [
                _anthropic_row(report, caller, day) for day in month for caller in report.callers if day in caller.days
            ],
            "data_refreshed_at": f"{day_text(report.until)}T06:00:00Z",
            "organization_id": PROVIDERS["Anthropic"].account_id,
            "has_more": more,
            "next_page": f"page_synthetic_{month.stop}" if more else None,
            "synthetic": True,
        }


def _anthropic_row(report: _Report, caller: Caller, day: int) -> Mapping[str, object]:
    used = caller.days[day]
    group = {
        **dict.fromkeys(_NO_GROUP),
        "api_key_id": caller.key,
        "workspace_id": caller.line.account.account_id,
        "model": caller.model,
        "service_tier": "standard",
        "synthetic": True,
    }
    usage = {
        "uncached_input_tokens": used.get("uncached", 0),
        "cache_read_input_tokens": used.get("read", 0),
        "cache_creation": {"ephemeral_5m_input_tokens": used.get("write", 0), "ephemeral_1h_input_tokens": 0},
        "output_tokens": used.get("output", 0),
        "server_tool_use": {"web_search_requests": 0},
        "requests": report.requests(caller, day),
        "total_tokens": sum(used.values()),
    }
    return {
        "starting_at": f"{day_text(day)}T00:00:00Z",
        "ending_at": f"{day_text(day + 1)}T00:00:00Z",
        "group": group,
        "usage": usage,
    }


def _told(report: _Report) -> dict[str, object]:
    """What the report holds, and why it differs from the bill of the same days."""
    billed = sum((caller.cost(at_list=False) for caller in report.callers if caller.on_bill), Decimal(0))
    late = sum((caller.cost(at_list=True) for caller in report.callers if not caller.on_bill), Decimal(0))
    rate = sum(
        (caller.cost(at_list=True) - caller.cost(at_list=False) for caller in report.callers if caller.on_bill),
        Decimal(0),
    )
    unlisted = range(report.since, (BATCH_PRICED_FROM - _EPOCH).days)
    tier = sum((caller.cost(at_list=True, days=unlisted) for caller in report.callers if caller.batch), Decimal(0))
    totals = tokens_of(report.callers)
    inputs = sum(meters["input"] for meters in totals.values())
    read = sum(meters["read"] for meters in totals.values())
    return {
        "since": day_text(report.since),
        "until": day_text(report.until - 1),
        "requests": sum(report.requests(caller, day) for caller in report.callers for day in caller.days),
        "rows": sum(len(caller.days) for caller in report.callers),
        "tokens_by_model": totals,
        "cache_read": {"read_tokens": read, "input_tokens": inputs},
        "reconciliation": {
            "billed": plain(billed),
            "usage_priced_at_list": plain(billed + late + rate + tier),
            "difference": plain(late + rate + tier),
            "causes": {
                cause: plain(amount)
                for cause, amount in (("late-data", late), ("negotiated-rate", rate), ("tier", tier))
                if amount
            },
        },
    }
