"""Small bills on which a rule could claim too much: every amount here was added up by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.config import Settings
from outlay.optimize.finding import Candidate, Claim
from outlay.optimize.overspend import Overspend, overspend
from outlay.optimize.settlement import settle
from outlay.prices.rates import RateBook, read_rates
from outlay.report.wording import headline, second_sentence
from tests.sources.focus_bills import COLUMNS, row, write_csv

ALL_COLUMNS = [
    *COLUMNS,
    "ChargeClass",
    "ResourceId",
    "RegionId",
    "SkuMeter",
    "SkuPriceDetails",
    "PricingCategory",
    "ConsumedQuantity",
    "ConsumedUnit",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "CapacityReservationId",
    "CapacityReservationStatus",
]
COMPUTE = "Amazon Elastic Compute Cloud"
NOTHING = Decimal(0)


def cost(amount: str) -> dict[str, str]:
    return dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), amount)


def gpu(amount: str, item: str = "p5.48xlarge", cards: int = 8, **changed: str) -> dict[str, str]:
    """One hour of a GPU machine."""
    fields = {
        "ChargePeriodStart": "2026-10-01T00:00:00Z",
        "ChargePeriodEnd": "2026-10-01T01:00:00Z",
        "ServiceProviderName": "AWS",
        "ServiceName": COMPUTE,
        "ResourceId": "i-1",
        "RegionId": "us-east-1",
        "SkuId": item,
        "SkuMeter": f"BoxUsage:{item}",
        "SkuPriceDetails": json.dumps({"InstanceType": item, "GpuCount": cards}),
        "PricingCategory": "Standard",
        "PricingQuantity": "1",
        "Tags": "{}",
    }
    return row(**(cost(amount) | fields | changed))


def unused(amount: str, commitment: str = "ri-1", **changed: str) -> dict[str, str]:
    """Part of a GPU commitment that nothing used."""
    status = {"CommitmentDiscountId": commitment, "CommitmentDiscountStatus": "Unused"}
    return gpu(amount) | {"PricingCategory": "Committed"} | status | changed


def tokens(amount: str, millions: str, action: str | None, tier: str = "", **tags: str) -> dict[str, str]:
    """Tokens of one meter of one model; ``action`` None is output."""
    direction = "Output" if action is None else "Input"
    details = {"ModelDeveloper": "OpenAI", "ModelId": "gpt-5", "TokenDirection": direction}
    details |= {"TokenCacheAction": action} if action else {}
    details |= {"x_ServiceTier": tier} if tier else {}
    name = f"gpt-5 {direction} {action or ''} {tier} tokens"
    return row(
        **cost(amount),
        ServiceProviderName="OpenAI",
        ServiceName="OpenAI API",
        ServiceCategory="AI and Machine Learning",
        SkuId=name,
        SkuMeter=name,
        SkuPriceDetails=json.dumps(details),
        PricingCategory="Standard",
        PricingQuantity=millions,
        PricingUnit="1000000 Tokens",
        ConsumedQuantity=str(Decimal(millions) * 1_000_000),
        ConsumedUnit="Tokens",
        Tags=json.dumps(tags),
    )


def hourly(start: str, hours: Iterable[int], rows_an_hour: int, **changed: str) -> list[dict[str, str]]:
    """Rows of the machine ``i-dev`` at 10 each in the given hours from ``start``."""
    first = datetime.fromisoformat(start)
    made = []
    for hour in hours:
        begins, ends = first + timedelta(hours=hour), first + timedelta(hours=hour + 1)
        period = {"ChargePeriodStart": f"{begins.isoformat()}Z", "ChargePeriodEnd": f"{ends.isoformat()}Z"}
        tags = {"Tags": '{"environment": "dev", "team": "ml"}', "ResourceId": "i-dev"}
        made += [gpu("10", "g5.xlarge", 1, **(period | tags | changed))] * rows_an_hour
    return made


def answer(folder: Path, rows: list[dict[str, str]], prices: RateBook | None = None) -> Overspend:
    return overspend([write_csv(folder / "bill.csv", rows, ALL_COLUMNS)], Settings(), prices or RateBook())


def savings(found: Overspend, detector: str) -> list[tuple[Decimal | None, bool]]:
    return [(one.saving, one.counted) for one in found.findings if one.detector == detector]


def sentence(found: Overspend) -> str:
    return "".join(words for words, _ in headline(found))


# --- batch prices -----------------------------------------------------------------------------------------------------


def test_a_batch_price_is_not_diluted_by_batch_tokens_read_from_the_cache(tmp_path: Path) -> None:
    rows = [
        tokens("1250", "1000", "Uncached", team="t", use_case="u", latency="batch"),
        tokens("62.50", "100", "Uncached", "batch", team="t2"),  # 0.625 per 1M, the price to compare with
        tokens("56.25", "900", "Read", "batch", team="t2"),  # the mean of both is 0.11875
    ]
    found = answer(tmp_path, rows)
    assert savings(found, "batch-tier") == [(Decimal(625), True)]  # 1,250 less 1,000 at 0.625
    assert "input 0.6250" in found.findings[0].basis
    assert savings(found, "prompt-caching") == []  # no standard-tier cache read to price it with


def test_each_direction_has_its_own_batch_price_and_one_without_claims_nothing(tmp_path: Path) -> None:
    mine = {"team": "t", "use_case": "u", "latency": "batch"}
    rows = [
        tokens("1250", "1000", "Uncached", **mine),
        tokens("100", "10", None, **mine),
        tokens("50", "10", None, "batch", team="t2"),
        tokens("56.25", "900", "Read", "batch", team="t2"),  # no batch price of uncached input
    ]
    assert savings(answer(tmp_path, rows), "batch-tier") == [(Decimal(50), True)]


# --- credits and corrections ------------------------------------------------------------------------------------------


def test_a_credit_larger_than_what_is_left_gives_shares_of_the_charges(tmp_path: Path) -> None:
    credit = gpu("-90", ChargeCategory="Credit", PricingCategory="")
    found = answer(tmp_path, [unused("100"), gpu("5"), credit])
    assert (found.totals.ai_cost, found.ai_credits, found.ai_charges) == (Decimal(15), Decimal(90), Decimal(105))
    assert found.overspend == sum(f.saving or NOTHING for f in found.findings if f.counted) == Decimal(100)
    assert found.before_credits
    assert sentence(found) == (
        "Of $105.00 charged for AI on 1 Oct 2026, before credits, $100.00 (95%) need not have been spent."
    )
    assert second_sentence(found) == "Credits and corrections of $90.00 leave an AI cost of $15.00."
    document = found.to_json()
    assert (document["overspend"], document["ai_cost"], document["ai_credits"]) == ("100", "15", "90")


def test_a_credit_that_leaves_more_than_was_found_changes_no_sentence(tmp_path: Path) -> None:
    found = answer(tmp_path, [unused("100"), gpu("105"), gpu("-5", ChargeCategory="Credit", PricingCategory="")])
    assert not found.before_credits
    assert sentence(found) == "Of $200.00 spent on AI on 1 Oct 2026, $100.00 (50%) need not have been spent."


def test_credits_above_all_charges_still_say_what_of_them_was_wasted(tmp_path: Path) -> None:
    found = answer(tmp_path, [unused("100"), gpu("-300", ChargeCategory="Credit", PricingCategory="")])
    assert sentence(found).startswith("Of $100.00 charged for AI on 1 Oct 2026, before credits, $100.00 (100%)")
    assert second_sentence(found) == "Credits and corrections of $300.00 leave an AI cost of -$200.00."


@pytest.mark.parametrize(("taken_back", "left"), [("-100", None), ("-130", None), ("-40", Decimal(60))])
def test_a_corrected_commitment_is_netted_before_it_is_claimed(
    tmp_path: Path, taken_back: str, left: Decimal | None
) -> None:
    correction = unused(taken_back, ChargeCategory="Adjustment", ChargeClass="Correction")
    found = answer(tmp_path, [unused("100"), correction, unused("7", "ri-2"), gpu("500")])
    expected = [(left, True), (Decimal(7), True)] if left else [(Decimal(7), True)]
    assert savings(found, "unused-commitments") == expected


def test_a_correction_that_does_not_name_the_accelerator_comes_off_its_commitment(tmp_path: Path) -> None:
    plain = {"SkuId": "c", "SkuMeter": "Reversal", "SkuPriceDetails": "", "ResourceId": ""}
    found = answer(tmp_path, [unused("100"), unused("-100", **plain), gpu("500")])
    assert savings(found, "unused-commitments") == []


def test_idle_capacity_that_was_refunded_is_not_idle_spend(tmp_path: Path) -> None:
    idle = {"CapacityReservationId": "cr-1", "CapacityReservationStatus": "Unused", "ResourceId": "cr-1"}
    rows = [gpu("100") | idle, gpu("-80", ChargeCategory="Adjustment") | idle, gpu("500")]
    assert savings(answer(tmp_path, rows), "idle-provisioned") == [(Decimal(20), True)]


@pytest.mark.parametrize(("used", "title"), [(None, "Commitment ri-1 unused"), ("5", "Commitment ri-1 partly unused")])
def test_a_commitment_of_which_nothing_was_used_is_not_partly_unused(
    tmp_path: Path, used: str | None, title: str
) -> None:
    rows = [unused("100")] + ([unused(used, CommitmentDiscountStatus="Used")] if used else [])
    assert [one.title for one in answer(tmp_path, rows).findings] == [title]


# --- hours ------------------------------------------------------------------------------------------------------------

TWENTY_DAYS = range(20 * 24)


def test_three_rows_an_hour_for_eight_hours_are_not_around_the_clock(tmp_path: Path) -> None:
    """As many rows as hours in the span, of which two thirds have none. 1 October 2026 is a Thursday."""
    eight_a_day = [hour for hour in TWENTY_DAYS if hour % 24 < 8]
    rows = hourly("2026-10-01T00:00:00", eight_a_day, 3)
    assert len(rows) == len(TWENTY_DAYS)
    assert savings(answer(tmp_path, rows), "non-production-hours") == []


def test_a_machine_that_never_stops_is_found_whatever_its_rows_an_hour(tmp_path: Path) -> None:
    """20 days from Thursday 1 October: 14 working days of 12 hours. 480 - 168 = 312 hours, two rows of 10 in each."""
    rows = hourly("2026-10-01T00:00:00", TWENTY_DAYS, 2)
    assert savings(answer(tmp_path, rows), "non-production-hours") == [(Decimal(6240), True)]


def test_traffic_of_a_stopped_machine_is_no_hour_of_its_gpu(tmp_path: Path) -> None:
    eight_a_day = [hour for hour in TWENTY_DAYS if hour % 24 < 8]
    other = {"SkuId": "net", "SkuMeter": "DataTransfer", "SkuPriceDetails": "", "ServiceName": COMPUTE}
    rows = hourly("2026-10-01T00:00:00", eight_a_day, 3) + hourly("2026-10-01T00:00:00", TWENTY_DAYS, 1, **other)
    assert savings(answer(tmp_path, rows), "non-production-hours") == []


# --- what is to confirm -----------------------------------------------------------------------------------------------


def test_leads_on_the_same_rows_never_add_up_to_more_than_they_cost(tmp_path: Path) -> None:
    """One hour of 4 V100 at 40: on one L40S at 0.80 a GPU-hour it saves 36.80, on spot at 4 it saves 36.

    Together: spot on the 3.20 that the newer card leaves saves nine tenths of it, 2.88, so 39.68 and not 72.80.
    """
    rows = [
        gpu("40", "p3.8xlarge", 4, Tags='{"workload": "training"}'),
        gpu("0.8", "g6e.xlarge", 1, ResourceId="i-7"),
        gpu("4", "p3.8xlarge", 4, ResourceId="i-8", PricingCategory="Dynamic"),
    ]
    found = answer(tmp_path, rows)
    assert savings(found, "older-generation") == [(Decimal("36.8"), False)]
    assert savings(found, "interruptible-training") == [(Decimal(36), False)]
    assert found.to_confirm == Decimal("39.68")
    assert second_sentence(found) == "Up to $39.68 depends on facts that no bill shows."
    document = found.to_json()
    assert (document["to_confirm"], document["to_confirm_outside_ai"]) == ("39.68", "0")
    assert [one["adds"] for one in document["findings"]] == ["36.8", "2.88"]


def test_what_nothing_ties_to_ai_is_in_no_sentence_about_ai(tmp_path: Path) -> None:
    no_sku = {"SkuPriceDetails": "", "SkuMeter": "", "SkuId": "d"}
    database = unused("100", ServiceName="Amazon Relational Database Service") | no_sku
    found = answer(tmp_path, [database, gpu("10")])
    assert (found.to_confirm, found.to_confirm_outside_ai) == (NOTHING, Decimal(100))
    assert [(one.title, one.is_ai) for one in found.findings] == [("1 other commitment unused", False)]
    assert second_sentence(found) == (
        "Apart from AI, up to $100.00 is listed to confirm: nothing on the bill ties it to AI."
    )


COSTS = st.fixed_dictionaries({line: st.decimals(min_value="-50", max_value="1000", places=18) for line in range(4)})
CLAIMS = st.lists(
    st.builds(Claim, st.sampled_from(range(4)), st.decimals(min_value="-50", max_value="2000", places=9)), max_size=6
)


@given(st.lists(st.tuples(CLAIMS, st.sampled_from(["", "someone's word"]), st.booleans()), max_size=8), COSTS)
def test_what_counts_and_every_lead_together_never_exceed_the_cost(
    proposed: list[tuple[list[Claim], str, bool]], costs: Mapping[int, Decimal]
) -> None:
    candidates = [
        ("d", Candidate("i", "t", "b", "w", "low", tuple(claims), 1, NOTHING, (), needs, is_ai=is_ai or not needs))
        for claims, needs, is_ai in proposed
    ]
    findings = settle(candidates, costs, minimum=NOTHING)
    added = [one.adds for one in findings if one.adds is not None]
    assert len(added) == len(findings)
    assert min(added, default=NOTHING) >= 0
    assert sum(added, NOTHING) <= sum((max(one, NOTHING) for one in costs.values()), NOTHING)
    assert all(one.adds <= one.saving for one in findings if one.adds is not None and one.saving is not None)


# --- caching and spot -------------------------------------------------------------------------------------------------


def test_a_toy_is_no_yardstick_for_a_product(tmp_path: Path) -> None:
    toy = tokens("0.001", "0.001", "Read", team="toy", use_case="demo")
    product = tokens("10000", "8000", "Uncached", team="prod", use_case="chat")
    assert answer(tmp_path, [toy, product]).findings == ()


def test_a_use_case_of_a_tenth_of_the_size_is_one(tmp_path: Path) -> None:
    """Half of 800 million tokens from the cache at 0.10, against 8,000 million at 1.25: 8,000 x 0.5 x 1.15 = 4,600."""
    rows = [
        tokens("40", "400", "Read", team="peer", use_case="search"),
        tokens("500", "400", "Uncached", team="peer", use_case="search"),
        tokens("0.001", "0.001", "Read", team="toy", use_case="demo"),
        tokens("10000", "8000", "Uncached", team="prod", use_case="chat"),
    ]
    found = answer(tmp_path, rows)
    # The toy's 1,000 tokens at 1 per 1M move the read price: 40.001 / 400.001 million, cut below.
    read = Decimal("40.001") / Decimal("400.001")
    (lead,) = found.findings
    assert lead.saving is not None
    assert abs(lead.saving - 4000 * (Decimal("1.25") - read)) < Decimal("0.000001")
    assert "peer / search reads 50%" in lead.why
    assert not lead.counted


def spot_rows(spot_region: str) -> list[dict[str, str]]:
    tags = {"Tags": '{"workload": "training", "interruptible": "true"}'}
    training = gpu("80", RegionId="sa-east-1") | tags
    return [training, gpu("8", ResourceId="i-s", RegionId=spot_region, PricingCategory="Dynamic")]


def test_a_spot_price_of_another_region_does_not_count(tmp_path: Path) -> None:
    found = answer(tmp_path, spot_rows("us-east-1"))
    assert savings(found, "interruptible-training") == [(Decimal(72), False)]
    assert "what spot capacity costs in sa-east-1" in found.findings[0].needs
    assert "on spot in us-east-1 only" in found.findings[0].needs
    assert (found.overspend, found.to_confirm) == (NOTHING, Decimal(72))


def test_a_spot_price_of_the_same_region_counts(tmp_path: Path) -> None:
    assert savings(answer(tmp_path, spot_rows("sa-east-1")), "interruptible-training") == [(Decimal(72), True)]


def test_a_spot_price_of_the_price_file_counts_wherever_the_bill_has_others(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("provider,item,rate,unit_price,currency\nAWS,p5.48xlarge,spot,2,USD\n", encoding="utf-8")
    found = answer(tmp_path, spot_rows("us-east-1"), read_rates(prices))
    assert savings(found, "interruptible-training") == [(Decimal(64), True)]  # 80 less 8 GPU-hours at 2
