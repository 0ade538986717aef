"""Several processes may load at once: different accounts all get in, the same month ends as exactly one of them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.sources.loading import load
from tests.sources.focus_bills import outlay_process, row, stored, totals, write_csv

_ROWS = 2_000


def load_at_once(ledger: Path, bills: list[Path]) -> list[bool]:
    """Load each bill in a process of its own, all started together; whether each changed the ledger."""
    processes = [outlay_process("load", bill, "--ledger", ledger, "--json") for bill in bills]
    changed = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        changed.append(json.loads(out)["changed"])
    return changed


def bill(folder: Path, name: str, **changed: str) -> Path:
    return write_csv(folder / f"{name}.csv", [row(**changed)] * _ROWS)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("fresh", [True, False], ids=["new ledger", "ledger in use"])
def test_different_accounts_at_once_all_get_in(tmp_path: Path, count: int, *, fresh: bool) -> None:
    ledger = tmp_path / "ledger"
    bills = [bill(tmp_path, f"bill-{n}", BillingAccountId=f"acct-{n}", BilledCost=f"1.{n}") for n in range(count)]
    expected = _ROWS * sum((Decimal(f"1.{n}") for n in range(count)), Decimal(0))
    if not fresh:
        load(Ledger(ledger), [write_csv(tmp_path / "first.csv", [row(BillingAccountId="first")])], Settings())
        expected += Decimal("1.25")

    assert load_at_once(ledger, bills) == [True] * count
    assert totals(ledger) == (_ROWS * count + (not fresh), expected)
    assert sum(1 for record in Ledger(ledger).history() if record.facts) == count + (not fresh)


def test_two_contents_for_one_month_at_once_end_as_exactly_one(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"

    assert load_at_once(ledger, [bill(tmp_path, "a", BilledCost="1"), bill(tmp_path, "b", BilledCost="2")]) == [
        True,
        True,
    ]

    assert stored(ledger, 'SELECT count(DISTINCT x_LoadId), count(DISTINCT "BilledCost") FROM costs') == [(1, 1)]
    assert totals(ledger) in ((_ROWS, Decimal(_ROWS)), (_ROWS, Decimal(2 * _ROWS)))


def test_the_same_content_at_once_changes_once(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    same = bill(tmp_path, "a", BilledCost="1")

    assert sorted(load_at_once(ledger, [same, same])) == [False, True]
    assert totals(ledger) == (_ROWS, Decimal(_ROWS))
    assert sum(1 for record in Ledger(ledger).history() if record.facts) == 1
