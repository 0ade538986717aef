"""Anthropic's cost reports are bills: cents become dollars without losing a digit, and nothing is charged twice."""

from __future__ import annotations

import json
import random
from datetime import datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from outlay.config import Settings
from outlay.errors import OutlayError, UnreadableError
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.metrics.answer import answer
from outlay.metrics.query import Query
from outlay.metrics.reconciliation import reconcile
from outlay.sources.find import find
from outlay.sources.loading import load
from tests.sources.bills.reports import load_file, load_or_error, write_pages
from tests.sources.focus_bills import run_outlay, stored, totals

FIXTURES = Path(__file__).parents[2] / "fixtures" / "anthropic_costs"
LEGACY = FIXTURES / "cost_report.json"
ANALYTICS = FIXTURES / "analytics_cost_report.json"
NEWEST = FIXTURES / "analytics_cost.jsonl"
ORGANIZATION = "0d2c3c1e-5b1b-4a84-9f49-0a6c5c0e7a11"
KEYS = ("workspace_id", "description", "cost_type", "context_window", "model", "service_tier", "token_type")


def bucket(day: int, *results: Any) -> dict[str, Any]:
    """A day of October 2026."""
    times = {"starting_at": f"2026-10-{day:02}T00:00:00Z", "ending_at": f"2026-10-{day + 1:02}T00:00:00Z"}
    return times | {"results": list(results)}


def cost(amount: Any, **other: Any) -> dict[str, Any]:
    """A result of the legacy report, grouped by nothing."""
    return {"currency": "USD", "amount": amount, **dict.fromkeys(KEYS), **other}


def listed(amount: Any, list_amount: Any, **other: Any) -> dict[str, Any]:
    """A result of an analytics report."""
    return {"currency": "USD", "amount": amount, "list_amount": list_amount, **other}


def page(*buckets: Any, more: bool = False, **other: Any) -> dict[str, Any]:
    """A page of either report."""
    return {"data": list(buckets), "has_more": more, "next_page": "page_2" if more else None, **other}


def in_dollars(path: Path, name: str = "amount") -> Decimal:
    """The sum of a fixture's amounts, read with nothing of Outlay."""
    text = path.read_text(encoding="utf-8")
    with localcontext(prec=60):
        pages = [json.loads(line) for line in (text.splitlines() if path.suffix == ".jsonl" else [text])]
        rows = [row for one in pages for row in one["data"]]
        results = [result for row in rows for result in row.get("results", [row.get("cost")])]
        return sum((Decimal(one[name]) for one in results), Decimal(0)).scaleb(-2)


def codes(problems: Any) -> set[str]:
    return {one.code for one in problems}


@pytest.mark.parametrize(
    ("path", "dollars", "rows"), [(LEGACY, "20.0529412", 9), (NEWEST, "3.075", 4)], ids=lambda value: str(value)[-12:]
)
def test_totals_are_the_files_own_to_the_last_digit(tmp_path: Path, path: Path, dollars: str, rows: int) -> None:
    report = load_file(tmp_path / "ledger", path)
    assert (report.format, report.rows_loaded, report.rows_rejected) == ("anthropic-costs", rows, 0)
    assert in_dollars(path) == Decimal(dollars)
    assert report.totals["USD"]["BilledCost"] == report.totals["USD"]["EffectiveCost"] == Decimal(dollars)
    assert totals(tmp_path / "ledger") == (rows, Decimal(dollars))


def test_list_prices_are_read_where_they_are_told(tmp_path: Path) -> None:
    assert load_file(tmp_path / "legacy", LEGACY).totals["USD"]["ListCost"] is None
    report = load_file(tmp_path / "analytics", ANALYTICS)
    assert report.totals["USD"]["ListCost"] == in_dollars(ANALYTICS, "list_amount") == Decimal("30.02025")
    assert codes(report.problems) == {"more-pages", "period-derived", "amount-rounded"}
    assert report.sources == (ORGANIZATION,)
    # 0.333333333333333333 cents have 20 decimals in dollars; the ledger has 18
    assert report.totals["USD"]["BilledCost"] == Decimal("27.017083333333333333")


def test_model_token_and_workspace_are_read(tmp_path: Path) -> None:
    load_file(tmp_path / "ledger", LEGACY)
    rows = stored(
        tmp_path / "ledger",
        'SELECT "BilledCost", "x_AiCategory", "x_ModelId", "x_TokenDirection", "x_TokenCacheAction", "x_ServiceTier", '
        '"SubAccountId", "x_Tokens" FROM costs ORDER BY "x_SourceRow" LIMIT 7',
    )
    model, search = "claude-sonnet-4-5-20250929", "wrkspc_search"
    assert rows == [
        (Decimal(3), "tokens", model, "Input", "Uncached", "standard", search, None),
        (Decimal("1.2378912"), "tokens", model, "Input", "Read", "standard", search, None),
        (Decimal("0.05"), "tokens", model, "Input", "Write", "standard", search, None),
        (Decimal("0.005"), "tokens", model, "Input", "Write", "standard", search, None),
        (Decimal(15), "tokens", model, "Output", None, "standard", search, None),
        (Decimal("0.7525"), "tokens", model, "Output", None, "batch", None, None),
        (Decimal("0.1"), "ai_other", None, None, None, None, search, None),
    ]


def test_the_newest_form_has_a_row_a_group(tmp_path: Path) -> None:
    load_file(tmp_path / "ledger", NEWEST)
    rows = stored(
        tmp_path / "ledger",
        'SELECT "BilledCost", "ListCost", "x_ModelId", "x_TokenCacheAction", "SubAccountId", "ChargePeriodStart", '
        '"BillingAccountId", "Tags"[\'token_type\'] FROM costs WHERE "x_AiCategory" = \'tokens\' '
        'ORDER BY "x_SourceRow"',
    )
    model, first, second = "claude-opus-4-5", datetime(2026, 10, 1), datetime(2026, 10, 2)
    written = "cache_creation.ephemeral_1h_input_tokens"
    d = Decimal
    chat, search = "wrkspc_chat", "wrkspc_search"
    assert rows == [
        (d("2.005"), d("2.5"), model, None, search, first, ORGANIZATION, "output_tokens"),
        (d("0.9999"), d(1), model, "Uncached", chat, first, ORGANIZATION, "uncached_input_tokens"),
        (d("0.0001"), d("0.0001"), model, "Write", chat, second, ORGANIZATION, written),
    ]


CENTS = {
    "0": "0",
    "5": "0.05",
    "-5": "-0.05",
    "99": "0.99",
    "100": "1",
    "123.45": "1.2345",
    "0.0000000000000001": "0.000000000000000001",
    "-0.5": "-0.005",
    "7.": "0.07",
    "999999999999999999.99": "9999999999999999.9999",
    12.5: "0.125",
    300: "3",
}


def test_cents_become_dollars_exactly(tmp_path: Path) -> None:
    load_file(tmp_path / "ledger", write_pages(tmp_path / "costs.json", page(bucket(1, *map(cost, CENTS)))))
    rows = stored(tmp_path / "ledger", 'SELECT "BilledCost" FROM costs ORDER BY "x_SourceRow"')
    assert [row[0] for row in rows] == [Decimal(dollars) for dollars in CENTS.values()]


def test_what_is_no_plain_number_of_cents_is_kept_out(tmp_path: Path) -> None:
    bad = ["1e3", "$5", "1,000", "NaN", "1" * 19, True, {"value": 1}, [1], ""]
    path = write_pages(tmp_path / "costs.json", page(bucket(1, cost("100"), *map(cost, bad))))
    report = load_file(tmp_path / "ledger", path)
    assert totals(tmp_path / "ledger") == (1, Decimal(1))
    rejected = {one.code: one.count for one in report.problems if one.rejects}
    assert rejected == {"unparsable-amount": 7, "missing-amount": 2}


def test_only_dollars_are_known_to_have_cents(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "costs.json", page(bucket(1, cost("100", currency="JPY"), cost("100"))))
    report = load_file(tmp_path / "ledger", path)
    assert (report.rows_rejected, totals(tmp_path / "ledger")) == (1, (1, Decimal(1)))


def test_a_month_that_is_told_again_replaces_the_old_one(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load_file(ledger, write_pages(tmp_path / "first.json", page(bucket(1, cost("100")))), source="claude")
    load_file(ledger, write_pages(tmp_path / "again.json", page(bucket(1, cost("250.5")))), source="claude")
    assert totals(ledger) == (1, Decimal("2.505"))
    assert totals(ledger, as_of="1") == (1, Decimal(1))


def test_pages_of_one_answer_may_share_a_period_and_a_second_answer_replaces_it(tmp_path: Path) -> None:
    lines = NEWEST.read_text(encoding="utf-8")
    path = tmp_path / "costs.jsonl"
    path.write_text(lines + lines)
    report = load_file(tmp_path / "ledger", path)
    assert totals(tmp_path / "ledger") == (4, Decimal("3.075"))
    assert "bucket-twice" in codes(report.problems)


def test_groups_that_overlap_are_refused(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load_file(ledger, LEGACY)
    results = [listed("100", "100", rbac_group_id=group) for group in (None, "rbac_group_a", "rbac_group_b")]
    with pytest.raises(UnreadableError, match="rbac_group_id"):
        load_file(ledger, write_pages(tmp_path / "costs.json", page(bucket(1, *results))))
    assert totals(ledger) == (9, Decimal("20.0529412"))
    load_file(tmp_path / "one", write_pages(tmp_path / "costs.json", page(bucket(1, results[0]))))
    assert totals(tmp_path / "one") == (1, Decimal(1))


@pytest.mark.parametrize(("groups", "told"), [(99, False), (100, True)])
def test_a_bucket_that_is_full_is_noticed(tmp_path: Path, groups: int, told: bool) -> None:
    results = [listed("1", "1", model=f"model-{number}") for number in range(groups)]
    path = write_pages(tmp_path / "costs.json", page(bucket(1, *results), bucket(2, results[0])))
    report = load_file(tmp_path / "ledger", path)
    assert ("top-groups-only" in codes(report.problems)) is told
    assert totals(tmp_path / "ledger") == (groups + 1, Decimal(groups + 1) / 100)


def test_a_broken_document_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load_file(ledger, LEGACY)
    path = tmp_path / "costs.json"
    path.write_text(LEGACY.read_text(encoding="utf-8")[:-20])
    with pytest.raises(UnreadableError) as raised:
        load_file(ledger, path)
    assert raised.value.where == str(path)
    assert totals(ledger) == (9, Decimal("20.0529412"))


def test_costs_are_bills_and_usage_is_not() -> None:
    usage = FIXTURES.parent / "usage" / "anthropic"
    assert {one.reader.format.id for one in find([LEGACY, ANALYTICS, NEWEST]).bills} == {"anthropic-costs"}
    found = find([usage])
    assert (found.bills, {one.reader.format.id for one in found.facts}) == ([], {"anthropic-usage"})


def test_overspend_reads_the_reports_where_they_lie() -> None:
    status, out, err = run_outlay("overspend", LEGACY, NEWEST, "--json")
    assert (status, err) == (0, "")
    assert "23.1279412" in out


def test_usage_and_costs_of_the_same_day_differ_by_what_was_planted(tmp_path: Path) -> None:
    """A million tokens in at $3 and 100,000 out at $15 a million are $4.50; 25 cents are planted."""
    model = "claude-sonnet-4-5-20250929"
    counts = {"uncached_input_tokens": 1_000_000, "output_tokens": 100_000, "cache_read_input_tokens": 0}
    usage = write_pages(tmp_path / "usage.json", page(bucket(1, {"model": model, "workspace_id": None, **counts})))
    told = {"model": model, "cost_type": "tokens"}
    costs = page(
        bucket(
            1, cost("310", token_type="uncached_input_tokens", **told), cost("165", token_type="output_tokens", **told)
        )
    )
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [usage, write_pages(tmp_path / "costs.json", costs)], Settings())
    with session() as connection:
        found = reconcile(connection, ledger, Settings())
    assert (found.bill, found.usage, found.difference) == (Decimal("4.75"), Decimal("4.5"), Decimal("0.25"))
    (one,) = found.models
    assert [one.provider, one.model, one.bill_tokens] == ["anthropic", "claude-sonnet-4-5", None]
    assert [one.volume, one.price] == [None, None]
    assert one.reasons == (
        "the bill tells no tokens, so how much of the difference is volume and how much price is not known",
    )


def test_a_row_without_tokens_has_money_and_no_quantity_of_anything(tmp_path: Path) -> None:
    """Nor does a figure over tokens count it beside rows of another bill that tell theirs."""
    ledger = tmp_path / "ledger"
    load_file(ledger, LEGACY)
    columns = ("x_Tokens", "PricingQuantity", "ConsumedQuantity", "ListUnitPrice", "ContractedUnitPrice", "ListCost")
    told = ", ".join(f'count("{name}")' for name in columns)
    sums = f'SELECT {told}, sum("BilledCost"), count("x_TokenDirection") FROM costs'
    assert stored(ledger, sums) == [(0, 0, 0, 0, 0, 0, Decimal("20.0529412"), 7)]
    (unit,) = answer(Ledger(ledger), Query(("cost_per_1k_tokens",)), Settings()).rows
    figure = unit.figures["cost_per_1k_tokens"]
    assert (figure.value, figure.why) == (None, "no tokens: 6 rows should carry x_Tokens, and none does")


@trials(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.sampled_from([None, True, -1, 10**40, "", "NaN", "0x", "\ud800", [], {}, [1]]), seed=st.integers(0, 10**6)
)
def test_whatever_a_report_holds_it_loads_or_says_why(tmp_path: Path, value: Any, seed: int) -> None:
    chance = random.Random(seed)
    source = chance.choice([LEGACY, ANALYTICS, NEWEST])
    text = source.read_text(encoding="utf-8")
    pages = [json.loads(line) for line in (text.splitlines() if source is NEWEST else [text])]
    row = chance.choice([row for one in pages for row in one["data"]])
    parts = [row, *row.get("results", []), *(row[key] for key in ("group", "cost") if key in row)]
    part = chance.choice(parts)
    part[chance.choice(list(part))] = value
    path = write_pages(tmp_path / f"{seed}.jsonl", *pages)
    found = load_or_error(tmp_path / f"ledger-{seed}", path)
    if isinstance(found, OutlayError):
        assert found.where
        assert "Please report" not in str(found)
    else:
        assert found.rows_loaded <= 9
