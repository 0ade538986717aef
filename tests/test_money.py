"""Money is exact: sums lose no digit in any order, text round-trips, and rounding happens once, half to even."""

from __future__ import annotations

import json
import random
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import UsageError
from outlay.money import Amount, add_exactly, plain, rounded

AMOUNTS = st.decimals(
    min_value=Decimal("-1e19"), max_value=Decimal("1e19"), places=18, allow_nan=False, allow_infinity=False
)


@given(st.lists(AMOUNTS, max_size=50), st.randoms(use_true_random=False))
def test_a_sum_is_the_same_in_any_order(amounts: list[Decimal], chance: random.Random) -> None:
    shuffled = list(amounts)
    chance.shuffle(shuffled)

    assert add_exactly(shuffled) == add_exactly(amounts)


@given(st.lists(AMOUNTS, max_size=50))
def test_a_sum_is_what_whole_numbers_of_the_last_decimal_add_up_to(amounts: list[Decimal]) -> None:
    with localcontext(prec=100):
        scaled = sum(int(amount.scaleb(18)) for amount in amounts)
        assert add_exactly(amounts) == Decimal(scaled).scaleb(-18)


def test_the_callers_context_takes_no_digit() -> None:
    with localcontext(prec=3):
        total = add_exactly([Decimal("12345678901234567890.000000000000000001")] * 2)

    assert total == Decimal("24691357802469135780.000000000000000002")


@given(AMOUNTS)
def test_plain_round_trips_through_json(amount: Decimal) -> None:
    text = json.loads(json.dumps(plain(amount)))

    assert Decimal(text) == amount
    assert "E" not in text
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50E+1", "15"),
        ("-0.00", "0"),
        ("0E-18", "0"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("-0.10", "-0.1"),
        ("1E-18", "0." + "0" * 17 + "1"),
    ],
)
def test_plain_has_no_exponent_and_no_idle_zeros(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        ("0.125", "USD", "0.12"),
        ("0.135", "USD", "0.14"),
        ("2.5", "JPY", "2"),
        ("1.0005", "KWD", "1.000"),
        ("-0.125", "EUR", "-0.12"),
    ],
)
def test_rounding_is_half_to_even_at_the_currencys_minor_unit(value: str, currency: str, shown: str) -> None:
    assert str(rounded(Decimal(value), currency)) == shown


def test_amounts_of_one_currency_add_and_subtract_exactly() -> None:
    small, large = Amount(Decimal("0.000000000000000001"), "USD"), Amount(Decimal(10) ** 19, "USD")

    assert (large + small).value == Decimal("10000000000000000000.000000000000000001")
    assert (large + small - large) == small
    assert str(Amount(Decimal("1234567.895"), "USD")) == "1,234,567.90 USD"


def test_two_currencies_are_never_added() -> None:
    with pytest.raises(UsageError, match="can't add EUR to USD"):
        Amount(Decimal(1), "USD") + Amount(Decimal(1), "EUR")
