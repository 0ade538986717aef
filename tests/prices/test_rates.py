"""A price file's rate prices what its provider bills, in its currency, region and days; an unused one is told."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.errors import UnreadableError
from outlay.prices.rates import RateBook, read_rates

HEADER = "provider,item,rate,unit_price,currency,region,valid_from,valid_to,source\n"
ITEM = "p5.48xlarge"
OCTOBER_31 = date(2026, 10, 31)


def book(folder: Path, *lines: str) -> RateBook:
    path = folder / "prices.csv"
    path.write_text(HEADER + "".join(line + "\n" for line in lines), encoding="utf-8")
    return read_rates(path)


def price(
    rates: RateBook, *, provider: str | None = "AWS", region: str | None = "us-east-1", on: date = OCTOBER_31
) -> Decimal | None:
    found = rates.find("committed", ITEM, provider=provider, currency="USD", region=region, on=on)
    return None if found is None else found.unit_price


@pytest.mark.parametrize(
    ("named", "billed"),
    [
        ("AWS", "AWS"),
        ("aws", "Amazon Web Services"),
        ("Amazon Web Services, Inc.", "AWS"),
        ("Azure", "Microsoft"),
        ("microsoft", "Microsoft Azure"),
        ("Google", "Google Cloud"),
        ("GCP", "Google Cloud"),
        (" Nebius ", "nebius"),
        ("OpenAI", "openai"),
    ],
)
def test_a_provider_goes_by_its_usual_names(tmp_path: Path, named: str, billed: str) -> None:
    assert price(book(tmp_path, f'"{named}",{ITEM},committed,5,USD,,,,'), provider=billed) == Decimal(5)


@pytest.mark.parametrize("billed", ["AWS", "OpenAI", None])
def test_another_providers_rate_prices_nothing(tmp_path: Path, billed: str | None) -> None:
    rates = book(tmp_path, f"Microsoft,{ITEM},committed,5,USD,,,,")
    assert price(rates, provider=billed) is None
    (said,) = rates.unused()
    assert said.startswith(f"prices.csv:2: the committed rate of Microsoft {ITEM} was not used")
    assert f"billed by {billed or 'no named provider'}" in said


def test_valid_to_is_the_first_day_without_the_rate(tmp_path: Path) -> None:
    rates = book(tmp_path, f"AWS,{ITEM},committed,5,USD,,2026-01-01,2026-11-01,")
    days = [date(2025, 12, 31), date(2026, 1, 1), OCTOBER_31, date(2026, 11, 1)]
    assert [price(rates, on=day) for day in days] == [None, Decimal(5), Decimal(5), None]


def test_the_region_comes_first_then_the_latest(tmp_path: Path) -> None:
    lines = [f"AWS,{ITEM},committed,5,USD,,2026-06-01,,", f"AWS,{ITEM},committed,6,USD,,2026-01-01,,"]
    rates = book(tmp_path, *lines, f"AWS,{ITEM},committed,7,USD,us-east-1,,,")
    assert (price(rates), price(rates, region="us-west-2")) == (Decimal(7), Decimal(5))
    assert rates.unused() == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"AWS,{ITEM},committed,5,EUR,,,,", "the bill is in USD, the rate in EUR"),
        ("AWS,p5.48xlarg,committed,5,USD,,,,", "no finding asked for a committed rate of 'p5.48xlarg'"),
        (f"AWS,{ITEM},spot,5,USD,,,,", f"no finding asked for a spot rate of '{ITEM}'"),
        (f"AWS,{ITEM},committed,5,USD,eu-west-1,,,", f"{ITEM} was needed in us-east-1, not in eu-west-1"),
        (f"AWS,{ITEM},committed,5,USD,,2026-11-01,,", "the bill ends on 2026-10-31, before the rate is valid"),
        (f"AWS,{ITEM},committed,5,USD,,,2026-10-31,", "the bill ends on 2026-10-31, when the rate is no longer valid"),
    ],
)
def test_a_rate_that_priced_nothing_is_told_with_its_line_and_reason(tmp_path: Path, line: str, why: str) -> None:
    rates = book(tmp_path, f"AWS,{ITEM},committed,4,USD,,,,", line)
    assert price(rates) == Decimal(4)
    (said,) = rates.unused()
    assert said.startswith("prices.csv:3: ")
    assert said.endswith(f"was not used: {why}")


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="is not a price"):
        book(tmp_path, f"AWS,{ITEM},committed,five,USD,,,,")
