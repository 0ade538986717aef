"""What fits a column is the same whether its values are looked at together or one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.ledger.delta import arrow_schema
from outlay.ledger.tables.requests import REQUESTS
from outlay.ledger.tables.table import Column
from outlay.sources.fitting import Fitting, Unfit

_COLUMNS = {column.sql_type: column for column in REQUESTS.own}
_COLUMNS |= {"DATE": Column("day", "DATE"), "one of": Column("x_Kind", "VARCHAR", allowed=("call", "bucket"))}
_ODD: list[Any] = [True, 7, -1, 1 << 63, -(1 << 63), 1.5, "", "call", "größer", "\ud800", [1], {}, date(2026, 1, 2)]
_ODD += [datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), Decimal("1E+3"), Decimal("-0"), Decimal("NaN")]
_ODD += [Decimal("0.1234567"), Decimal("999999999999.9999999"), Decimal("1000000000000"), Decimal("Infinity")]
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": st.text(),
    "one of": st.sampled_from(["call", "bucket"]),
    "BIGINT": st.integers(-(1 << 63), (1 << 63) - 1),
    "BOOLEAN": st.booleans(),
    "TIMESTAMP": st.datetimes(),
    "DATE": st.dates(),
}
_NUMBERS = st.decimals(places=6, min_value=-(10**11), max_value=10**11)


def fitting(kind: str) -> Fitting:
    return Fitting(_COLUMNS[kind], arrow_schema([_COLUMNS[kind]]).field(0).type)


@pytest.mark.parametrize("kind", sorted(_COLUMNS))
@given(st.data())
def test_together_is_as_one_by_one(kind: str, data: st.DataObject) -> None:
    plain = _PLAIN.get(kind, _NUMBERS)
    values = data.draw(st.lists(st.none() | plain, max_size=5))
    strange = data.draw(st.lists(st.sampled_from(_ODD), max_size=2))
    fit = fitting(kind)
    together = fit.all(tuple(values))
    assert together is not None
    assert together.to_pylist() == values
    found = fit.all([*values, *strange])
    if found is not None:
        assert found.to_pylist() == [None if one is None else fit.one(one, "c") for one in [*values, *strange]]


@pytest.mark.parametrize(
    ("kind", "unfit"),
    [
        ("BIGINT", [True, Decimal("1.5"), 1 << 63, "1"]),
        ("BOOLEAN", [1, "true"]),
        ("VARCHAR", [1, "\ud800"]),
        ("one of", ["batch", 1]),
        ("TIMESTAMP", [datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2)]),
        ("DATE", ["2026-01-02"]),
        ("DECIMAL(18,6)", [Decimal("NaN"), Decimal("999999999999.9999999"), 10**12, True, 0.5]),
    ],
)
def test_what_does_not_fit_is_refused_both_ways(kind: str, unfit: list[Any]) -> None:
    for value in unfit:
        assert fitting(kind).all([value]) is None
        with pytest.raises(Unfit, match=r"^c "):
            fitting(kind).one(value, "c")


def test_numbers_are_rounded_and_whole_ones_made_so_one_by_one() -> None:
    assert fitting("DECIMAL(18,6)").all([Decimal("0.1234567")]) is None
    assert fitting("DECIMAL(18,6)").one(Decimal("0.1234565"), "c") == Decimal("0.123457")
    assert fitting("BIGINT").one(Decimal("7.0"), "c") == 7
