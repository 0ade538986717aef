"""Ledgers of one pool whose demand a test gives day by day, and what was recommended for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.config import CommitmentSettings, Settings
from outlay.ledger.store import Ledger
from outlay.optimize.commitments.standing.recompute import recompute
from outlay.optimize.commitments.standing.standing import Recommendation
from outlay.sources.loading import load
from tests.optimize.commitments.ledgers import MORE, gpu
from tests.sources.focus_bills import COLUMNS, write_csv

__all__ = ["NOW", "POOL", "STEADY", "bill_of", "configured", "ledger_with", "offers", "recomputed", "settings_of"]

POOL = "H100/us-east-1/inference"
NOW = datetime(2027, 3, 1, 12)
STEADY = [10] * 119
"""Machines of 8 GPUs by day from Thursday, 1 October on: sixteen full weeks of 80 GPUs."""
_PRICE = 2
_OFFER = "pool,offer,term_months,payment,unit_price,on_demand_price,currency\n*,1y,12,no,1.20,,USD\n"


def offers(folder: Path, text: str = _OFFER) -> Path:
    """A file of offers: a year at 1.20, on-demand as the bill shows it."""
    path = folder / "offers.csv"
    path.write_text(text, encoding="utf-8")
    return path


def settings_of(folder: Path, **more: Any) -> Settings:
    """Settings that name these offers."""
    return Settings(commitments=CommitmentSettings(offers=offers(folder), **more))


def configured(folder: Path) -> Path:
    """The same as a file, for the command line."""
    offers(folder)
    path = folder / "outlay.toml"
    path.write_text('[commitments]\noffers = "offers.csv"\n', encoding="utf-8")
    return path


def bill_of(folder: Path, machines: Sequence[float], **more: str) -> Path:
    """A bill of so many machines on each day, at 2.00 a GPU-hour; it replaces any other."""
    rows = [
        gpu(24 * day, str(Decimal(str(count)) * 24), cost=str(Decimal(str(count)) * 24 * 8 * _PRICE), hours=24, **more)
        for day, count in enumerate(machines)
    ]
    return write_csv(folder / "bill.csv", rows, [*COLUMNS, *MORE])


def ledger_with(folder: Path, machines: Sequence[float], **more: str) -> Ledger:
    """The ledger of that bill; called again, it is loaded into the same ledger."""
    ledger = Ledger(folder / "ledger")
    load(ledger, [bill_of(folder, machines, **more)], Settings())
    return ledger


def recomputed(ledger: Ledger, settings: Settings, *, days: float = 0, **more: Any) -> Recommendation:
    """The one recommendation as of so many days after :data:`NOW`."""
    found = recompute(ledger, settings, now=NOW + timedelta(days=days), trigger="load", **more)
    assert found is not None
    (one,) = found
    return one
