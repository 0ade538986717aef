"""Allocations of outlay.toml give rows without a tag theirs: totals stay, a row's own tag wins, receipts tell."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from outlay.config import AllocationSettings, AllocationWhen, Settings
from outlay.ledger.store import Ledger
from outlay.metrics.answer import answer
from outlay.metrics.catalogue import catalogue
from outlay.metrics.kpis import kpi_report
from outlay.metrics.query import Query, filters
from outlay.metrics.result import Result
from outlay.sources.loading import load
from tests.metrics.test_facts import call, scrapes
from tests.metrics.test_reconciliation import DAY, FIRST
from tests.sources.focus_bills import row, run_outlay, write_csv

KEYS = ("key_a", "key_b", "key_c", None)
PROJECTS = ("proj_x", "proj_y", None)
INPUT = Decimal("0.00000015")
"""gpt-4o-mini, a token of input."""


def entry(tags: dict[str, str], **when: Any) -> AllocationSettings:
    return AllocationSettings.model_validate({"when": when, "set": tags})


def practice(*entries: AllocationSettings) -> Settings:
    return Settings(allocations=entries)


def report(path: Path, results: Sequence[tuple[str | None, str | None, int]]) -> Path:
    """OpenAI's usage report of 1 November: key, project, requests of a thousand input tokens each."""
    told = [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": 1_000 * requests,
            "output_tokens": 0,
            "num_model_requests": requests,
            "model": "gpt-4o-mini",
            "api_key_id": key,
            "project_id": project,
        }
        for key, project, requests in results
    ]
    bucket = {"object": "bucket", "start_time": FIRST, "end_time": FIRST + DAY, "results": told}
    path.write_text(json.dumps({"object": "page", "data": [bucket], "has_more": False, "next_page": None}))
    return path


@pytest.fixture
def usage(tmp_path: Path) -> Ledger:
    """Requests: 5 of key_a, 3 of key_b, 2 of key_c, each of a project; 1 that tells neither."""
    told = [("key_a", "proj_x", 5), ("key_b", "proj_x", 3), ("key_c", "proj_y", 2), (None, None, 1)]
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [report(tmp_path / "usage.json", told)], Settings())
    return ledger


def asked(ledger: Ledger, settings: Settings, *by: str, metric: str = "requests", **more: Any) -> Result:
    return answer(ledger, Query((metric,), by, **more), settings)


def by_one(ledger: Ledger, settings: Settings, by: str, metric: str = "requests") -> dict[str | None, Decimal | None]:
    rows = asked(ledger, settings, by, metric=metric).rows
    return {one.dimensions[by]: one.figures[metric].value for one in rows}


def test_a_report_of_keys_gives_teams(usage: Ledger) -> None:
    settings = practice(
        entry({"team": "search", "use_case": "assistant"}, api_key="key_a"),
        entry({"team": "ads"}, api_key=["key_b", "key_c"]),
    )
    assert by_one(usage, settings, "team") == {"search": 5, "ads": 5, None: 1}
    assert by_one(usage, settings, "use_case") == {"assistant": 5, None: 6}
    report = kpi_report(usage, settings, by=["team"])
    price = {(one.group or {})["team"]: one.numerator for one in report.neighbours if one.id == "cost_per_request"}
    assert price == {"search": 5_000 * INPUT, "ads": 5_000 * INPUT, None: 1_000 * INPUT}


def test_the_first_entry_that_fits_wins_for_each_tag_apart(usage: Ledger) -> None:
    settings = practice(
        entry({"team": "search"}, api_key="key_a", project="proj_x"),
        entry({"team": "platform", "environment": "production"}, project="proj_x"),
        entry({"team": "late", "environment": "late"}, api_key=["key_a", "key_b", "key_c"]),
    )
    assert by_one(usage, settings, "team") == {"search": 5, "platform": 3, "late": 2, None: 1}
    assert by_one(usage, settings, "environment") == {"production": 8, "late": 2, None: 1}


def test_what_a_row_says_of_itself_wins(tmp_path: Path) -> None:
    spans = tmp_path / "spans.jsonl"
    spans.write_text("".join(json.dumps(call(n, team="support", seconds=1)) + "\n" for n in range(3)))
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [spans], Settings())
    settings = practice(entry({"team": "search", "environment": "production"}, provider="OpenAI"))
    assert by_one(ledger, settings, "team") == {"support": 3}
    assert by_one(ledger, settings, "environment") == {"production": 3}
    assert [(one.tag, one.rows) for one in asked(ledger, settings, "team", "environment").receipt.allocations] == [
        ("environment", 3)
    ]


def test_the_receipt_tells_rows_and_cost_of_each_entry(usage: Ledger) -> None:
    settings = practice(entry({"team": "search"}, api_key="key_a"), entry({"team": "ads"}, api_key=["key_b", "key_c"]))
    receipt = asked(usage, settings, "team").receipt
    told = [(one.entry, one.tag, one.value, one.rows, one.costs["USD"]) for one in receipt.allocations]
    assert told == [(1, "team", "search", 1, 5_000 * INPUT), (2, "team", "ads", 2, 5_000 * INPUT)]
    assert receipt.to_json()["allocations"][1] == {
        "entry": 2,
        "when": {"api_key": ["key_b", "key_c"]},
        "tag": "team",
        "value": "ads",
        "relation": "requests",
        "rows": 2,
        "costs": {"USD": "0.00075"},
    }
    only = asked(usage, settings, "api_key", where=filters(["team=ads"])).receipt.allocations
    assert [(one.entry, one.rows) for one in only] == [(2, 2)]
    assert asked(usage, settings, "api_key").receipt.allocations == ()  # by no tag: it rests on no entry


def test_a_bills_rows_are_allocated_by_account_key_and_resource(tmp_path: Path) -> None:
    ai = {"ServiceCategory": "AI and Machine Learning", "ServiceProviderName": "OpenAI", "SubAccountId": "proj_x"}
    lines = [
        row(**ai, SkuId="a", EffectiveCost="1", Tags='{"api_key_id": "key_a"}'),
        row(**ai, SkuId="b", EffectiveCost="2", Tags='{"api_key_id": "key_b"}'),
        row(**ai | {"SubAccountId": "proj_y"}, SkuId="c", EffectiveCost="4", ResourceId="vm-1", Tags=""),
        row(**ai | {"SubAccountId": "proj_z"}, SkuId="d", EffectiveCost="8", Tags='{"team": "own"}'),
    ]
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [write_csv(tmp_path / "bill.csv", lines, [*lines[0], "ResourceId"])], Settings())
    settings = practice(
        entry({"team": "keys"}, api_key="key_a"),
        entry({"team": "projects"}, project=["proj_x", "proj_z"]),
        entry({"team": "machines"}, resource="vm-1", account="acct-1"),
    )
    assert by_one(ledger, settings, "team", "ai_cost") == {"keys": 1, "projects": 2, "machines": 4, "own": 8}
    assert by_one(ledger, Settings(), "team", "ai_cost") == {None: 7, "own": 8}
    (share,) = answer(ledger, Query(("allocated_share",)), settings).rows
    assert share.figures["allocated_share"].value == 1


def test_runs_are_allocated_by_account(tmp_path: Path) -> None:
    at = "COMPLETED|2026-10-01T00:00:00|2026-10-01T00:00:00|2026-10-01T01:00:00"
    (tmp_path / "sacct.txt").write_text(
        "JobID|User|Account|State|Submit|Start|End|AllocTRES|ElapsedRaw\n"
        f"1|ana|research|{at}|gres/gpu:h100=2|3600\n2|bo|other|{at}|gres/gpu:h100=1|3600\n"
    )
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [tmp_path / "sacct.txt"], Settings())
    settings = practice(entry({"team": "lab"}, account="research"))
    assert by_one(ledger, settings, "team", "run_gpu_hours") == {"lab": 2, None: 1}


def test_gpu_hours_are_allocated_by_namespace_and_host(tmp_path: Path) -> None:
    (tmp_path / "a.prom").write_text(scrapes("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "a", ["0.5"] * 61))
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [tmp_path / "a.prom"], Settings())
    settings = practice(entry({"team": "lab", "use_case": "tuning"}, namespace="ml", host="n"))
    assert by_one(ledger, settings, "team", "gpu_allocated_hours") == {"lab": 1}
    elsewhere = practice(entry({"team": "lab"}, namespace="ml", host="m"))
    assert by_one(ledger, elsewhere, "team", "gpu_allocated_hours") == {None: 1}


def test_the_commands_say_what_was_allocated(usage: Ledger, tmp_path: Path) -> None:
    config = tmp_path / "outlay.toml"
    config.write_text('[[allocations]]\nwhen = { api_key = "key_a" }\nset = { team = "search" }\n')
    where = ("--ledger", str(usage.path), "--config", str(config))
    said = "team=search by allocation 1 of outlay.toml (api_key key_a): 1 row of requests, 0.00 USD"
    for command in (("query", "requests", "--by", "team"), ("explain", "requests", "--by", "team")):
        assert said in run_outlay(*command, *where)[1]
    assert f"allocated: {said}" in run_outlay("kpis", "--by", "team", *where)[1]
    document = json.loads(run_outlay("kpis", "--by", "team", "--json", *where)[1])
    assert [one["value"] for one in document["allocations"]] == ["search"]


def test_every_key_is_a_dimension_and_fits_some_table() -> None:
    dimensions = catalogue(Settings().tags.required).dimensions
    assert set(AllocationWhen.model_fields) <= set(dimensions)


_ENTRIES = st.lists(
    st.builds(
        lambda tags, when: (tags, when),
        st.dictionaries(st.sampled_from(["team", "use_case"]), st.sampled_from(["a", "b"]), min_size=1),
        st.fixed_dictionaries(
            {},
            optional={
                "api_key": st.lists(st.sampled_from([k for k in KEYS if k]), min_size=1),
                "project": st.sampled_from([p for p in PROJECTS if p]),
            },
        ).filter(bool),
    ),
    min_size=1,
    max_size=4,
)


@given(
    told=st.lists(
        st.tuples(st.sampled_from(KEYS), st.sampled_from(PROJECTS), st.integers(1, 1000)),
        min_size=1,
        max_size=6,
        unique_by=lambda one: one[:2],
    ),
    entries=_ENTRIES,
)
@trials(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_totals_are_what_they_were_and_each_row_is_where_the_first_entry_puts_it(
    tmp_path: Path, told: list[tuple[str | None, str | None, int]], entries: list[tuple[dict[str, str], dict[str, Any]]]
) -> None:
    settings = practice(*(entry(tags, **when) for tags, when in entries))
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        ledger = Ledger(Path(name) / "ledger")
        load(ledger, [report(Path(name) / "usage.json", told)], Settings())
        for tag in ("team", "use_case"):
            expected: dict[str | None, int] = {}
            for key, project, requests in told:
                fitting = (
                    tags[tag]
                    for tags, when in entries
                    if tag in tags and key in when.get("api_key", [key]) and project == when.get("project", project)
                )
                value = next(fitting, None)
                expected[value] = expected.get(value, 0) + requests
            assert by_one(ledger, settings, tag) == expected
            spent = by_one(ledger, settings, tag, "usage_cost").values()
            assert sum(value or 0 for value in spent) == sum(one[2] for one in told) * 1_000 * INPUT
