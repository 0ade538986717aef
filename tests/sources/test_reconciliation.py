"""What would be stored must equal what the file says, to the last digit; a reader that is wrong commits nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.errors import ReconciliationError
from outlay.ledger.store import Ledger
from outlay.sources.bill_loading import load_bills
from outlay.sources.bills.focus import FocusReader
from outlay.sources.loading import load
from outlay.sources.opening import open_raw
from outlay.sources.raw import RawFile
from outlay.sources.reader import Found, RowMapping
from tests.sources.focus_bills import row, totals, write_csv


class WrongReader(FocusReader):
    """A FOCUS reader with one faulty column; its control expressions are right."""

    def __init__(self, measure: str, fault: str) -> None:
        self.measure = measure
        self.fault = fault

    def mapping(self, raw: RawFile) -> RowMapping:
        """FOCUS' mapping with the fault in it."""
        right = super().mapping(raw)
        wrong = self.fault.format(right.columns[self.measure])
        return replace(right, columns={**right.columns, self.measure: wrong})


FAULTS = {
    "doubled": ("BilledCost", "CAST(2 * CAST({} AS DECIMAL(20,4)) AS VARCHAR)"),
    "off by the last digit": ("BilledCost", "({} || '00000000000001')"),
    "sign turned": ("EffectiveCost", "('-' || {})"),
    "list cost invented": ("ListCost", "CAST(7 AS VARCHAR)"),
    "dropped": ("EffectiveCost", "nullif({}, '1.0000')"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_reader_commits_nothing(tmp_path: Path, fault: str) -> None:
    ledger = tmp_path / "ledger"
    load(Ledger(ledger), [write_csv(tmp_path / "before.csv", [row(BillingAccountId="first")])], Settings())
    before = Ledger(ledger).table().version()
    bill = write_csv(tmp_path / "bill.csv", [row(BilledCost="1.2500", EffectiveCost="1.0000")])
    measure, sql = FAULTS[fault]
    found = [Found(open_raw(bill), WrongReader(measure, sql))]

    with pytest.raises(ReconciliationError, match=rf"2026-10 in USD: the file says 1 rows .*{measure}") as raised:
        load_bills(Ledger(ledger), found, Settings())

    assert raised.value.where == str(bill)
    assert totals(ledger) == (1, Decimal("1.25"))
    assert Ledger(ledger).table().version() == before
    assert len(list(Ledger(ledger).costs_path.rglob("*.parquet"))) == 1


def test_a_right_reader_passes_the_same_way(tmp_path: Path) -> None:
    bill = write_csv(tmp_path / "bill.csv", [row()])
    found = [Found(open_raw(bill), WrongReader("BilledCost", "{}"))]

    assert load_bills(Ledger(tmp_path / "ledger"), found, Settings()).changed
