"""OpenAI's costs report is a bill: exact totals, one row a result, and a usage report reconciles with it."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from outlay.config import Settings
from outlay.errors import OutlayError, UnreadableError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.metrics.reconciliation import reconcile
from outlay.sources.bills.unfolded import unfold
from outlay.sources.fact_file import open_facts, parse_json
from outlay.sources.find import find, find_bills
from outlay.sources.loading import load
from tests.shared import shared
from tests.sources.bills.reports import load_file, load_or_error, write_pages
from tests.sources.focus_bills import run_outlay, stored, totals

COSTS = Path(__file__).parents[2] / "fixtures" / "openai_costs" / "costs.jsonl"
DAY = 86_400
FIRST = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())


def bucket(day: int, *results: Any) -> dict[str, Any]:
    """A day's bucket, counted from 1 October 2026."""
    start = FIRST + (day - 1) * DAY
    return {"object": "bucket", "start_time": start, "end_time": start + DAY, "results": list(results)}


def cost(value: Any, line_item: str | None = "gpt-4o-mini-2024-07-18, input", **other: Any) -> dict[str, Any]:
    """A result of the report."""
    amount = {"value": value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": line_item, "project_id": None} | other


def page(*buckets: Any, more: bool = False) -> dict[str, Any]:
    """A page of the report."""
    return {"object": "page", "data": list(buckets), "has_more": more, "next_page": "page_2" if more else None}


def amounts(path: Path) -> Iterator[Decimal]:
    """The amounts of a file of pages, read with nothing of Outlay but exact JSON numbers."""
    text = path.read_text(encoding="utf-8")
    for line in text.splitlines() if path.suffix == ".jsonl" else [text]:
        for one in json.loads(line, parse_float=Decimal)["data"]:
            for result in one["results"]:
                yield Decimal(result["amount"]["value"])


def codes(problems: Any) -> set[str]:
    return {one.code for one in problems}


def test_the_published_sample_is_read(tmp_path: Path) -> None:
    sample = shared("data/provider_usage/openai_costs.json")
    report = load_file(tmp_path / "ledger", sample)
    assert (report.format, report.version, report.rows_loaded) == ("openai-costs", "OpenAI costs", 1)
    rows = stored(
        tmp_path / "ledger",
        'SELECT "BilledCost", "EffectiveCost", "ListCost", "BillingCurrency", "ChargeCategory", "BillingPeriodStart", '
        '"ChargePeriodStart", "ChargePeriodEnd", "x_IsAi", "x_AiCategory", "x_Source" FROM costs',
    )
    november = datetime(2024, 11, 1)
    cents = Decimal("0.06")
    assert rows == [
        (cents, cents, None, "USD", "Usage", november, november, datetime(2024, 11, 2), True, "ai_other", "no-account")
    ]


def test_totals_are_the_files_own_to_the_last_digit(tmp_path: Path) -> None:
    report = load_file(tmp_path / "ledger", COSTS)
    expected = sum(amounts(COSTS))
    assert expected == Decimal("12.8709567890123456")
    assert report.totals["USD"]["BilledCost"] == report.totals["USD"]["EffectiveCost"] == expected
    assert (report.rows_loaded, report.rows_rejected, report.sources) == (8, 0, ("org-example1",))
    assert totals(tmp_path / "ledger") == (8, expected)
    assert codes(report.problems) == {"list-cost-unknown", "period-derived"}


def test_model_direction_cache_and_tokens_come_from_the_line_item(tmp_path: Path) -> None:
    load_file(tmp_path / "ledger", COSTS)
    rows = stored(
        tmp_path / "ledger",
        'SELECT "x_SourceRow", "x_AiCategory", "x_ModelId", "x_TokenDirection", "x_TokenCacheAction", "x_Tokens", '
        '"SubAccountId", "SubAccountName" FROM costs WHERE "x_SourceRow" <= 4 ORDER BY 1',
    )
    model = "gpt-4o-mini-2024-07-18"
    assert rows == [
        (1, "tokens", model, "Input", "Uncached", 1_000_000, "proj_search", "Search"),
        (2, "tokens", model, "Input", "Read", 500_000, "proj_search", "Search"),
        (3, "tokens", model, "Output", None, 1_000_000, "proj_search", "Search"),
        (4, "ai_other", None, None, None, None, "proj_chat", "Chat"),
    ]


def test_a_row_names_the_users_file_its_result_and_what_it_was_grouped_by(tmp_path: Path) -> None:
    load_file(tmp_path / "ledger", COSTS)
    rows = stored(
        tmp_path / "ledger",
        'SELECT "x_SourceFile", "x_SourceRow", "ChargeCategory", "BilledCost", "Tags", "BillingAccountId", '
        '"ChargePeriodStart" FROM costs WHERE "x_SourceRow" IN (5, 6) ORDER BY 2',
    )
    third = datetime(2026, 10, 3)
    assert rows == [
        ("costs.jsonl", 5, "Usage", Decimal(0), {"api_key_id": "key_1"}, "org-Example1", third),
        ("costs.jsonl", 6, "Credit", Decimal("-0.1"), None, "org-Example1", third),
    ]


def test_a_month_that_is_told_again_replaces_the_old_one(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load_file(ledger, write_pages(tmp_path / "first.json", page(bucket(1, cost(1)), bucket(2, cost(2)))))
    load_file(ledger, write_pages(tmp_path / "again.json", page(bucket(1, cost(1)), bucket(2, cost("2.5"), cost(4)))))
    assert totals(ledger) == (3, Decimal("7.5"))
    assert totals(ledger, as_of="1") == (2, Decimal(3))
    load_file(ledger, write_pages(tmp_path / "next.json", page(bucket(32, cost(9)))))
    assert totals(ledger) == (4, Decimal("16.5"))


def test_a_bucket_that_is_told_twice_counts_once_and_a_missing_page_is_noticed(tmp_path: Path) -> None:
    first = page(bucket(1, cost(1)), bucket(2, cost(2)), more=True)
    path = write_pages(tmp_path / "costs.jsonl", first, page(bucket(2, cost(3)), more=True))
    report = load_file(tmp_path / "ledger", path)
    assert totals(tmp_path / "ledger") == (2, Decimal(4))
    assert codes(report.problems) >= {"bucket-twice", "more-pages"}


@pytest.mark.parametrize("form", ["page", "array", "lines", "buckets", "gzip"])
def test_each_form_of_a_file_is_read_alike(tmp_path: Path, form: str) -> None:
    pages = [page(bucket(1, cost(1.5)), more=True), page(bucket(2, cost("0.25")))]
    path = tmp_path / "costs"
    if form == "array":
        path.write_text(json.dumps(pages, indent=2))
    elif form == "page":
        write_pages(path, page(*pages[0]["data"], *pages[1]["data"]))
    elif form == "gzip":
        path.write_bytes(gzip.compress(json.dumps(pages).encode()))
    else:
        write_pages(path, *(pages if form == "lines" else [b for one in pages for b in one["data"]]))
    report = load_file(tmp_path / "ledger", path)
    assert totals(tmp_path / "ledger") == (2, Decimal("1.75"))
    assert "more-pages" not in codes(report.problems)


def test_bad_results_are_kept_out_by_their_ordinal(tmp_path: Path) -> None:
    bad = [
        cost("12 dollars"),
        {"object": "organization.costs.result"},
        17,
        cost(1, amount={"value": 1, "currency": None}),
        cost(1, amount={"value": 1, "currency": "dollars"}),
        cost(True),
        cost(1, quantity="many"),
    ]
    half = cost("0.5", line_item="half a character: \ud800")
    odd = {"object": "bucket", "start_time": "yesterday", "end_time": None, "results": [cost(1)]}
    none = {"object": "bucket", "start_time": FIRST, "end_time": FIRST + DAY}
    report = load_file(
        tmp_path / "ledger",
        write_pages(tmp_path / "costs.json", page(bucket(1, cost(2), *bad), odd, none, bucket(2, half))),
    )
    assert totals(tmp_path / "ledger") == (2, Decimal("2.5"))
    (quarantined,) = (tmp_path / "ledger" / "quarantine").glob("*.parquet")
    assert report.rows_rejected == 9
    assert {(one["x_SourceRow"], one["code"]) for one in pq.read_table(quarantined).to_pylist()} == {
        (2, "unparsable-amount"),
        (3, "missing-amount"),
        (4, "not-json"),
        (5, "missing-currency"),
        (6, "bad-currency"),
        (7, "unparsable-amount"),
        (8, "unparsable-amount"),
        (9, "unparsable-time"),
        (10, "missing-amount"),
    }


@pytest.mark.parametrize("broken", ["cut", "line", "stranger"])
def test_a_broken_document_is_an_error_and_changes_nothing(tmp_path: Path, broken: str) -> None:
    ledger = tmp_path / "ledger"
    load_file(ledger, write_pages(tmp_path / "first.json", page(bucket(1, cost(1)))))
    path = tmp_path / "costs.jsonl"
    text = json.dumps(page(bucket(1, cost(5)), more=True)) + "\n"
    end = json.dumps(page(bucket(2, cost(6))))
    path.write_text(
        {
            "cut": json.dumps(page(bucket(1, cost(5))), indent=1)[:-9],
            "line": text + end[:-9] + "\n",
            "stranger": text + '{"error": {"message": "rate limit"}}\n',
        }[broken]
    )
    with pytest.raises(UnreadableError) as raised:
        load_file(ledger, path)
    assert raised.value.where == str(path)
    assert totals(ledger) == (1, Decimal(1))


def test_a_report_without_results_is_no_bill(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "costs.json", page(bucket(1)))
    with pytest.raises(UnreadableError):
        find_bills([path])


def test_a_report_that_no_reader_knows_is_an_error(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "other.json", page(bucket(1, {"object": "organization.other.result", "n": 1})))
    assert unfold(open_facts(path)) is not None
    with pytest.raises(UnreadableError, match="is no bill"):
        find_bills([path])


def test_costs_are_bills_and_usage_is_not(tmp_path: Path) -> None:
    assert [one.reader.format.id for one in find([COSTS]).bills] == ["openai-costs"]
    found = find([usage_page(tmp_path / "usage.json", 1_000_000)])
    assert (found.bills, [one.reader.format.id for one in found.facts]) == ([], ["openai-usage"])


def test_overspend_reads_the_report_where_it_lies(tmp_path: Path) -> None:
    status, out, err = run_outlay("overspend", COSTS, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["problems"] is not None
    assert "12.8709567890123456" in out


def usage_page(path: Path, *days: int) -> Path:
    """The usage report of October's first days: input tokens of gpt-4o-mini."""
    name = "organization.usage.completions.result"
    counts = {"output_tokens": 0, "num_model_requests": 1, "model": "gpt-4o-mini-2024-07-18"}
    buckets = [bucket(day, {"object": name, "input_tokens": n, **counts}) for day, n in enumerate(days, start=1)]
    return write_pages(path, page(*buckets))


def test_usage_and_costs_of_the_same_days_differ_by_what_was_planted(tmp_path: Path) -> None:
    """The list price is $0.15 a million. Planted: 200,000 tokens more on the bill's first day, $0.02 dearer."""
    usage = usage_page(tmp_path / "usage.json", 1_000_000, 2_000_000)
    costs = page(
        bucket(1, cost("0.20", quantity=1_200_000, quantity_unit="tokens")),
        bucket(2, cost(0.3, quantity=2000, quantity_unit="1000_tokens")),
    )
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [usage, write_pages(tmp_path / "costs.json", costs)], Settings())
    with session() as connection:
        found = reconcile(connection, ledger, Settings())
    assert (found.since, found.until) == (date(2026, 10, 1), date(2026, 10, 3))
    assert (found.bill, found.usage, found.difference) == (Decimal("0.5"), Decimal("0.45"), Decimal("0.05"))
    (model,) = found.models
    assert (model.provider, model.model) == ("openai", "gpt-4o-mini")
    assert [model.bill_tokens, model.usage_tokens] == [3_200_000, 3_000_000]
    first, second = found.days
    assert (first.volume, first.price) == (Decimal("0.03"), Decimal("0.02"))
    assert [second.volume, second.price, second.reasons] == [0, 0, ()]


_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 10**40, Decimal("1e-70"), Decimal("1e400"), "", "NaN", "\ud800", "0x", [], {}, [1], {"a": [{}]}]
)


def mutated(record: Any, value: Any, chance: random.Random) -> Any:
    """``record`` with one thing in it replaced or left out."""
    places: list[tuple[Any, Any]] = []

    def walk(one: Any) -> None:
        for key in list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
            places.append((one, key))
            walk(one[key])

    walk(record)
    parent, key = chance.choice(places)
    if chance.random() < 0.2:
        del parent[key]
    else:
        parent[key] = value
    return record


@trials(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_VALUES, seed=st.integers(0, 10**6))
def test_whatever_a_report_holds_it_loads_or_says_why(tmp_path: Path, value: Any, seed: int) -> None:
    pages = [parse_json(line) for line in COSTS.read_text(encoding="utf-8").splitlines()]
    chance = random.Random(seed)
    path = tmp_path / f"{seed}.jsonl"
    changed = [mutated(pages[0], value, chance), pages[1]]
    path.write_text("".join(json.dumps(one, default=float) + "\n" for one in changed), encoding="utf-8")
    found = load_or_error(tmp_path / f"ledger-{seed}", path)
    if isinstance(found, OutlayError):
        assert found.where
        assert "Please report" not in str(found)
    else:
        assert found.rows_loaded <= 8
