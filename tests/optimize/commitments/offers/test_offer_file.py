"""Offers are read whole or not at all, prices exactly, and an unknown price stays unknown."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.errors import OutlayError, UnreadableError
from outlay.optimize.commitments.offers.offer_file import FIELDS, read_offers

HEADER = "pool,offer,term_months,payment,unit_price,on_demand_price,currency,kind\n"
GOOD = "A10,1y,12,no upfront,1.26,2.00,usd,\n"


def written(folder: Path, text: str, name: str = "offers.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(tmp_path: Path) -> None:
    one, other = read_offers(written(tmp_path, HEADER + GOOD + "A10|A100,3y,36,All Upfront,,2.00,USD,standard\n"))
    assert (one.pools, one.name, one.term_months, one.payment) == (("A10",), "1y", 12, "no_upfront")
    assert (one.unit_price, one.currency, one.discount) == (Decimal("1.26"), "USD", Decimal("0.37"))
    assert one.break_even_utilization == Decimal("0.63")
    assert one.term_hours == 8760
    assert other.pools == ("A10", "A100")
    assert (other.payment, other.upfront) == ("all_upfront", Decimal(1))
    assert other.unit_price is None
    assert other.discount is None
    assert "price is unknown" in (other.missing or "")


def test_toml_with_a_flexible_offer(tmp_path: Path) -> None:
    text = """
[[offers]]
pool = ["A10", "A100"]
offer = "insured"
term_months = 12
unit_price = "1.30"
on_demand_price = "2.00"
currency = "USD"
kind = "flex"
premium = "0.05"
cashback = "0.9"
payout_lag_days = 90
adjust_months = 3
counterparty = "Example Re"
claim = "pays back all that is unused"
"""
    (one,) = read_offers(written(tmp_path, text, "offers.toml"))
    assert one.flex is not None
    assert (one.price, one.flex.cashback, one.flex.adjust_months) == (Decimal("1.35"), Decimal("0.9"), 3)
    assert one.flex.counterparty == "Example Re"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A10,1y,12,no,1.26,2.00,,\n", "offers.csv:2: says no 'currency'"),
        ("A10,1y,12,no,1.26,2.00,dollars,\n", "'dollars' is no currency"),
        ("A10,1y,twelve,no,1.26,2.00,USD,\n", "'twelve' is no term_months"),
        ("A10,1y,0,no,1.26,2.00,USD,\n", "'0' is no term_months"),
        ("A10,1y,12,later,1.26,2.00,USD,\n", "'later' is no payment"),
        ("A10,1y,12,upfront,1.26,2.00,USD,\n", "'upfront' is no payment"),
        ("A10,1y,12,no,1_26,2.00,USD,\n", "1_26 can't be a unit_price"),
        ("A10,1y,12,no,-1,2.00,USD,\n", "-1 can't be a unit_price"),
        ("A10,1y,12,no,cheap,2.00,USD,\n", "'cheap' is no unit_price"),
        ("A10,1y,12,no,1,2.00,USD,bendy\n", "'bendy' is no kind"),
        ('A10,1y,12,no,"1,26",2.00,USD,\n', "'1,26' is no unit_price. Write 1.26"),
        ("A10,1y,12,no,0,2.00,USD,\n", "'unit_price' is 0. Leave it empty"),
        ("A10|A10,1y,12,no,1,2.00,USD,\n", "names no pools"),
        ("A10,1y,12,no,1,2.00,USD,flex,more\n", "has more cells than the header"),
    ],
)
def test_a_bad_entry_refuses_the_file(tmp_path: Path, row: str, message: str) -> None:
    path = written(tmp_path, HEADER + row + GOOD)
    with pytest.raises(UnreadableError, match=message.replace("|", r"\|")):
        read_offers(path)


def test_an_offers_last_day_is_a_day(tmp_path: Path) -> None:
    named = "pool,offer,term_months,currency,valid_until\n"
    (one,) = read_offers(written(tmp_path, named + "A10,1y,12,USD,2026-12-31\n"))
    assert one.valid_until == "2026-12-31"
    with pytest.raises(UnreadableError, match="'end of year' is no valid_until"):
        read_offers(written(tmp_path, named + "A10,1y,12,USD,end of year\n"))


def test_an_offers_first_day_is_a_day_before_its_last(tmp_path: Path) -> None:
    named = "pool,offer,term_months,currency,valid_from,valid_until\n"
    (one,) = read_offers(written(tmp_path, named + "A10,1y,12,USD,2026-01-01,2026-01-01\n"))
    assert (one.valid_from, one.valid_until) == ("2026-01-01", "2026-01-01")
    with pytest.raises(UnreadableError, match="ends on 2026-01-01, before it begins on 2026-01-02"):
        read_offers(written(tmp_path, named + "A10,1y,12,USD,2026-01-02,2026-01-01\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no offers"),
        (HEADER, "has no offers"),
        (HEADER.replace(",", ";") + "A10;1y\n", "has its cells parted by semicolons"),
    ],
)
def test_a_file_without_offers_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        read_offers(written(tmp_path, text))


def test_an_unknown_column_offers_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"unknown column 'term'.*'term_months'"):
        read_offers(written(tmp_path, "pool,offer,term\n"))


def test_toml_floats_are_refused(tmp_path: Path) -> None:
    text = '[[offers]]\npool = "A"\noffer = "x"\nterm_months = 12\ncurrency = "USD"\nunit_price = 1.26\n'
    with pytest.raises(UnreadableError, match=r"'unit_price' is a binary number. Write it as text, \"1.26\""):
        read_offers(written(tmp_path, text, "offers.toml"))


def test_flexible_terms_need_the_kind(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER.strip() + ",cashback\n" + GOOD.strip() + ",0.5\n")
    with pytest.raises(UnreadableError, match="has terms of a flexible commitment"):
        read_offers(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=10), max_size=4), st.booleans())
def test_it_never_crashes(tmp_path: Path, rows: list[list[str]], toml: bool) -> None:
    text = "\n".join(",".join(row) for row in rows)
    path = tmp_path / ("fuzz.toml" if toml else "fuzz.csv")
    path.write_text(text if toml else HEADER + text, encoding="utf-8")
    with suppress(OutlayError):
        read_offers(path)


def test_every_field_says_what_it_is() -> None:
    assert all(meaning and not meaning.endswith(".") for meaning in FIELDS.values())
