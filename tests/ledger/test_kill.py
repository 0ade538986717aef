"""A load that is killed at any moment leaves the ledger exactly as it was or exactly as it will be, and loadable."""

from __future__ import annotations

import shutil
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.sources.loading import load
from tests.sources.focus_bills import outlay_process, row, totals, write_csv

_ROWS = 30_000
_MOMENTS = [0.1, 0.3, 0.45, 0.55, 0.62, 0.68, 0.74, 0.79, 0.84, 0.88, 0.92, 0.95, 0.98, 1.01]
_TRIES = 4
_BEFORE = (2, Decimal("102.50"))
_AFTER = (_ROWS + 1, Decimal("100.25") * _ROWS + Decimal(100))


@pytest.mark.slow
def test_a_killed_load_is_all_or_nothing(tmp_path: Path) -> None:
    base = tmp_path / "base"
    load(
        Ledger(base),
        [write_csv(tmp_path / "a.csv", [row(BilledCost="2.50"), row(BilledCost="100", BillingAccountId="acct-2")])],
        Settings(),
    )
    restated = write_csv(tmp_path / "b.csv", [row(BilledCost="100.25", SkuId=f"sku-{n % 997}") for n in range(_ROWS)])
    seconds = min(_seconds_of_a_whole_load(base, tmp_path / f"measured-{n}", restated) for n in range(2))

    killed = []
    for number, moment in enumerate(_MOMENTS):
        ledger = tmp_path / f"ledger-{number}"
        for _ in range(_TRIES):
            shutil.copytree(base, ledger)
            process = outlay_process("load", restated, "--ledger", ledger, "--json")
            time.sleep(moment * seconds)
            process.kill()
            process.communicate()

            after_kill = totals(ledger)
            assert after_kill in (_BEFORE, _AFTER), f"killed at {moment:.0%}: the ledger holds {after_kill}"
            again = load(Ledger(ledger), [restated], Settings())
            assert again.changed == (after_kill == _BEFORE)
            assert totals(ledger) == _AFTER
            shutil.rmtree(ledger)
            if process.returncode == -signal.SIGKILL:
                killed.append(after_kill)
                break
            seconds *= 0.9  # it was done before: the machine has less to do than when it was measured

    assert len(killed) >= len(_MOMENTS) - 3, "too few of the processes were still running when they were killed"
    assert _BEFORE in killed


def _seconds_of_a_whole_load(base: Path, ledger: Path, bill: Path) -> float:
    shutil.copytree(base, ledger)
    started = time.monotonic()
    process = outlay_process("load", bill, "--ledger", ledger, "--json")
    _, err = process.communicate(timeout=120)
    seconds = time.monotonic() - started
    assert process.returncode == 0, err
    assert totals(ledger) == _AFTER
    return seconds
