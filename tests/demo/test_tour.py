"""The demo leaves a folder of bills that can be read as one pile, and what it shows is labelled as synthetic."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.demo.tour import tour
from outlay.ledger.store import Ledger
from outlay.optimize.overspend import overspend
from outlay.prices.rates import RateBook


@pytest.mark.slow
def test_the_bills_of_the_demo_hold_no_month_twice_and_nothing_else(tmp_path: Path) -> None:
    for _ in range(2):  # a second run replaces the first
        made = tour(tmp_path, Ledger(tmp_path / "ledger"), Settings(), rows=2_000)
    bills = tmp_path / "synthetic"
    assert sorted(bills.iterdir()) == sorted(made.company.files)
    assert sorted((tmp_path / "restated").iterdir()) == sorted(made.company.restated)
    assert (tmp_path / "README.txt").read_text(encoding="utf-8").startswith("SYNTHETIC")

    issued = overspend([bills], Settings(), RateBook())
    assert issued.totals.rows == made.company.rows == made.overspend.totals.rows
    assert issued.notes == ()  # every file in the folder is a bill
    assert issued.synthetic
