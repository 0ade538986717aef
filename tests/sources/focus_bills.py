"""Small FOCUS bills that tests write: one good row, changed where a test needs it to be."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger

__all__ = ["COLUMNS", "GOOD", "outlay_process", "row", "run_outlay", "stored", "totals", "write_csv"]

GOOD = {
    "BilledCost": "1.25",
    "EffectiveCost": "1.00",
    "ListCost": "1.50",
    "ContractedCost": "1.25",
    "BillingAccountId": "acct-1",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-03T00:00:00Z",
    "ChargePeriodEnd": "2026-10-04T00:00:00Z",
    "ChargeCategory": "Usage",
    "PricingQuantity": "2",
    "PricingUnit": "Hours",
    "ServiceProviderName": "Example Cloud",
    "ServiceName": "Compute",
    "ServiceCategory": "Compute",
    "SkuId": "sku-1",
    "Tags": '{"team": "search"}',
}
COLUMNS = list(GOOD)


def row(**changed: str) -> dict[str, str]:
    """The good row with some cells changed."""
    return GOOD | changed


def write_csv(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str] = COLUMNS) -> Path:
    """``rows`` as a CSV file with a header."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(columns), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def stored(ledger: Path, sql: str = "SELECT * FROM costs", *, as_of: str | None = None) -> list[tuple[Any, ...]]:
    """What a query over the ledger's ``costs`` gives."""
    with session() as connection:
        Ledger(ledger).register(connection, as_of=as_of)
        return connection.execute(sql).fetchall()


def totals(ledger: Path, *, as_of: str | None = None) -> tuple[int, Decimal]:
    """Rows of the ledger and their billed cost; nothing in a ledger that was never loaded."""
    if not Ledger(ledger).exists():
        return 0, Decimal(0)
    rows = stored(ledger, 'SELECT count(*), coalesce(sum("BilledCost"), 0) FROM costs', as_of=as_of)
    return rows[0][0], rows[0][1]


def outlay_process(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command line as a process of its own, started."""
    return subprocess.Popen(
        [sys.executable, "-m", "outlay", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def run_outlay(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one run of the command line."""
    process = outlay_process(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err
