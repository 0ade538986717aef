"""Usage against the bill: the difference adds up to the last digit, by model and day, and names what is behind it."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from outlay.config import PriceSettings, Settings
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.metrics.reconciliation import Compared, Reconciliation, reconcile
from outlay.sources.loading import load
from tests.metrics.test_facts import call
from tests.sources.focus_bills import row, write_csv

DAY = 86_400
FIRST = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
INPUT = Decimal("0.00000015")
"""gpt-4o-mini, a token of input."""


def usage(path: Path, *days: int, model: str = "gpt-4o-mini") -> Path:
    """OpenAI's usage report: input tokens of the days from 1 November on."""
    name = "organization.usage.completions.result"
    buckets = [
        {
            "object": "bucket",
            "start_time": FIRST + day * DAY,
            "end_time": FIRST + (day + 1) * DAY,
            "results": [
                {"object": name, "input_tokens": tokens, "output_tokens": 0, "num_model_requests": 1, "model": model}
            ],
        }
        for day, tokens in enumerate(days)
    ]
    path.write_text(json.dumps({"object": "page", "data": buckets, "has_more": False, "next_page": None}))
    return path


def billed(day: int, tokens: int, cost: Decimal, model: str = "gpt-4o-mini") -> dict[str, str]:
    """A line of OpenAI's bill: a day's input tokens of a model."""
    details = {"ModelId": model, "TokenDirection": "Input"}
    return row(
        ServiceProviderName="OpenAI",
        ServiceName="OpenAI API",
        ServiceCategory="AI and Machine Learning",
        SkuId=f"{model}-input",
        SkuMeter=f"{model} input tokens",
        SkuPriceDetails=json.dumps(details),
        PricingUnit="Tokens",
        PricingQuantity=str(tokens),
        BilledCost=f"{cost:f}",
        EffectiveCost=f"{cost:f}",
        BillingPeriodStart="2026-11-01T00:00:00Z",
        BillingPeriodEnd="2026-12-01T00:00:00Z",
        ChargePeriodStart=f"2026-11-{day + 1:02}T00:00:00Z",
        ChargePeriodEnd=f"2026-11-{day + 2:02}T00:00:00Z",
    )


def compared(folder: Path, lines: list[dict[str, str]], *reports: Path) -> Reconciliation:
    ledger = Ledger(folder / "ledger")
    load(ledger, [write_csv(folder / "bill.csv", lines, list(billed(0, 1, INPUT))), *reports], Settings())
    with session() as connection:
        return reconcile(connection, ledger, Settings())


def only(found: Reconciliation) -> Compared:
    (one,) = found.models
    return one


def test_a_bill_that_is_the_usage_has_no_difference(tmp_path: Path) -> None:
    lines = [billed(day, 1_000_000, 1_000_000 * INPUT) for day in range(2)]
    found = compared(tmp_path, lines, usage(tmp_path / "u.json", 1_000_000, 1_000_000))
    assert [found.bill, found.usage, found.difference, found.share] == [Decimal("0.3"), Decimal("0.3"), 0, 0]
    assert (found.since, found.until) == (date(2026, 11, 1), date(2026, 11, 3))
    assert only(found).reasons == ()
    assert (only(found).provider, only(found).model) == ("openai", "gpt-4o-mini")


def test_tokens_in_no_report_are_volume_and_a_missing_key(tmp_path: Path) -> None:
    found = compared(tmp_path, [billed(0, 1_500_000, 1_500_000 * INPUT)], usage(tmp_path / "u.json", 1_000_000))
    one = only(found)
    assert [one.difference, one.volume, one.price] == [Decimal("0.075"), Decimal("0.075"), 0]
    assert one.reasons == (
        "500,000 tokens on the bill are in no usage that was loaded: a key, project or day is missing",
    )


def test_a_negotiated_rate_is_price(tmp_path: Path) -> None:
    found = compared(tmp_path, [billed(0, 1_000_000, Decimal("0.12"))], usage(tmp_path / "u.json", 1_000_000))
    one = only(found)
    assert [one.difference, one.volume, one.price] == [Decimal("-0.03"), 0, Decimal("-0.03")]
    assert one.reasons[0].startswith("the bill's price a token is 80.0% of the price book's: a negotiated rate")


def test_usage_after_a_models_last_day_on_the_bill_may_be_late(tmp_path: Path) -> None:
    lines = [billed(0, 1_000_000, 1_000_000 * INPUT), billed(1, 10, Decimal("0.01"), "gpt-4o")]
    reports = [usage(tmp_path / "u.json", 1_000_000, 400_000)]
    found = compared(tmp_path, lines, *reports)
    late = next(one for one in found.models if one.model == "gpt-4o-mini")
    assert late.reasons == (
        "400,000 tokens of usage are not billed: the bill of it ends on 2026-11-01, so it may be late",
    )


def test_usage_without_a_price_is_counted_and_not_zero(tmp_path: Path) -> None:
    lines = [billed(0, 5, Decimal(1), "no-such-model-1"), billed(0, 1_000, 1_000 * INPUT)]
    unknown = usage(tmp_path / "u.json", 5, model="no-such-model-1")
    found = compared(tmp_path, lines, unknown)
    one = next(one for one in found.models if one.model == "no-such-model-1")
    assert [one.usage, one.difference, one.unpriced_rows] == [None, None, 1]
    assert one.reasons == ("1 row of usage has no known price",)
    known = 1_000 * INPUT  # the other model, of which no usage was loaded: it is the whole difference
    assert [found.bill, found.usage, found.difference, found.unpriced_bill] == [known, 0, known, 1]
    assert [day.bill for day in found.days] == [known]


def test_where_no_usage_has_a_price_nothing_is_compared(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        [billed(0, 5, Decimal(1), "no-such-model-1")],
        usage(tmp_path / "u.json", 5, model="no-such-model-1"),
    )
    assert [found.bill, found.difference, found.unpriced_bill] == [None, None, 1]
    assert found.why == "no usage has a known price."
    assert [one.bill for one in found.models] == [1]


def test_only_days_that_both_cover_are_compared(tmp_path: Path) -> None:
    lines = [billed(day, 1_000_000, 1_000_000 * INPUT) for day in range(3)]
    found = compared(tmp_path, lines, usage(tmp_path / "u.json", 1_000_000, 1_000_000))
    assert found.until == date(2026, 11, 3)
    assert found.difference == 0


def test_a_charge_for_a_month_is_compared_with_the_usage_of_the_month(tmp_path: Path) -> None:
    month = billed(0, 30_000_000, 30_000_000 * INPUT) | {"ChargePeriodEnd": "2026-12-01T00:00:00Z"}
    found = compared(tmp_path, [month], usage(tmp_path / "u.json", *[1_000_000] * 30))
    assert (found.since, found.until) == (date(2026, 11, 1), date(2026, 12, 1))
    assert found.difference == 0
    assert only(found).reasons == ()
    assert "a charge for more than a day lies on its first day" in found.days[0].reasons


def test_a_charge_for_a_month_is_not_compared_with_the_usage_of_a_part_of_it(tmp_path: Path) -> None:
    month = billed(0, 30_000_000, 30_000_000 * INPUT) | {"ChargePeriodEnd": "2026-12-01T00:00:00Z"}
    found = compared(tmp_path, [month], usage(tmp_path / "u.json", *[1_000_000] * 10))
    assert found.bill is None
    assert found.why is not None
    assert found.why.startswith("the bill's token rows of openai (2026-11-01 to 2026-11-30) and the usage")


def test_each_provider_is_compared_over_its_own_days(tmp_path: Path) -> None:
    other = {"ServiceProviderName": "Anthropic", "ServiceName": "Claude API"}
    lines = [billed(day, 1_000_000, 1_000_000 * INPUT) for day in range(2)]
    lines += [billed(day, 5, Decimal(1), "claude-sonnet-4-5") | other for day in range(5)]
    spans = tmp_path / "calls.jsonl"
    model, minutes = "claude-sonnet-4-5", 1_440
    calls = [call(day * minutes, team="a", seconds=1, model=model, provider="anthropic") for day in range(35)]
    spans.write_text("".join(json.dumps(one) + "\n" for one in calls))
    found = compared(tmp_path, lines, usage(tmp_path / "u.json", *[1_000_000] * 4), spans)
    assert (found.since, found.until) == (date(2026, 11, 1), date(2026, 11, 5))
    mini = next(one for one in found.models if one.provider == "openai")
    assert mini.difference == 0  # usage after the bill's last day is in no comparison


def test_what_is_billed_in_another_currency_is_named(tmp_path: Path) -> None:
    lines = [billed(0, 1_000, 1_000 * INPUT), billed(0, 1_000, Decimal(1)) | {"BillingCurrency": "EUR"}]
    found = compared(tmp_path, lines, usage(tmp_path / "u.json", 2_000))
    assert only(found).reasons[-1] == "the provider bills in EUR too, which is not compared"


def test_usage_priced_in_another_currency_is_not_usage_that_cost_nothing(tmp_path: Path) -> None:
    contract = tmp_path / "contract.csv"
    contract.write_text(
        "provider,model,meter,unit_price,per,currency\nopenai,gpt-4o-mini,input,1,1000000,EUR\n"
        "openai,gpt-4o-mini,output,2,1000000,EUR\n"
    )
    settings = Settings(prices=PriceSettings(tokens=(contract,)))
    lines = [billed(0, 1_000, 1_000 * INPUT), billed(0, 10, Decimal(1), "gpt-4o")]
    files = [usage(tmp_path / "mini.json", 1_000), usage(tmp_path / "large.json", 10, model="gpt-4o")]
    ledger = Ledger(tmp_path / "ledger")
    load(ledger, [write_csv(tmp_path / "bill.csv", lines, list(lines[0])), files[0]], settings)
    with session() as connection:
        found = reconcile(connection, ledger, Settings())
        assert found.why == "no usage in USD in the ledger: there is nothing to compare with."
        load(ledger, [files[1]], settings, source="other")
        found = reconcile(connection, ledger, Settings())
    mini = next(one for one in found.models if one.model == "gpt-4o-mini")
    assert (mini.bill, mini.usage, mini.difference) == (1_000 * INPUT, None, None)
    assert mini.reasons[-1] == "usage of it is priced in EUR too, which is not compared"
    assert [found.bill, found.unpriced_bill] == [1, 1_000 * INPUT]


def test_without_one_side_it_says_which(tmp_path: Path) -> None:
    found = compared(tmp_path, [billed(0, 1_000_000, Decimal("0.15"))])
    assert found.bill is None
    assert found.why == "no usage in USD in the ledger: there is nothing to compare with."


_TOKENS = st.integers(0, 10**9)
_COST = st.decimals(0, 1000, places=6)


@given(
    lines=st.lists(st.tuples(_TOKENS, _COST), min_size=1, max_size=3), used=st.lists(_TOKENS, min_size=1, max_size=3)
)
@trials(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_volume_and_price_always_add_up(tmp_path: Path, lines: list[tuple[int, Decimal]], used: list[int]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        folder = Path(name)
        bill = [billed(day, tokens, cost) for day, (tokens, cost) in enumerate(lines)]
        found = compared(folder, bill, usage(folder / "u.json", *used))
    for one in (*found.models, *found.days):
        assert one.difference is not None
        assert one.volume is not None
        assert one.price is not None
        assert one.volume + one.price == one.difference == one.bill - (one.usage or 0)
    assert found.difference == sum((one.difference or Decimal(0) for one in found.models), Decimal(0))
    assert found.difference == sum((one.difference or Decimal(0) for one in found.days), Decimal(0))
