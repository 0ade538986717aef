"""The golden cases of FOCUS bills hold: money that is known to be right, used as it stands."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.config import Settings
from outlay.ledger.store import Ledger
from outlay.sources.loading import load
from tests.shared import shared
from tests.sources.bills.reading import canonical_rows
from tests.sources.focus_bills import COLUMNS, row, write_csv


def golden(case: str) -> dict[str, Any]:
    cases = json.loads(shared("goldens/bills.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = next(one for one in cases if one["id"] == case)
    return found


def test_prepaid_ai_credits() -> None:
    case = golden("prepaid-ai-credits")
    rows = canonical_rows(shared(case["file"]))

    purchases = [r for r in rows if r["ChargeCategory"] == "Purchase"]
    usage = [r for r in rows if r["ChargeCategory"] == "Usage"]

    assert sum(r["EffectiveCost"] for r in purchases) == Decimal(case["expect"]["purchase_effective"])
    assert all(r["x_IsAi"] for r in usage)
    assert sum(r[case["expect"]["ai_cost_basis"]] for r in usage) == Decimal(50)
    assert sum(r["BilledCost"] for r in usage) == 0


def test_list_cost_absent(tmp_path: Path) -> None:
    case = golden("list-cost-absent")
    bill = write_csv(tmp_path / "bill.csv", [row()], [c for c in COLUMNS if c != "ListCost"])

    assert [r["ListCost"] for r in canonical_rows(bill)] == [case["expect"]["ListCost"]]
    (file,) = load(Ledger(tmp_path / "ledger"), [bill], Settings()).files
    assert file.totals["USD"]["ListCost"] is None
    assert "list-cost-unknown" in {p.code for p in file.problems}


def test_focus_sample_degenerate_effective(tmp_path: Path) -> None:
    case = golden("focus-sample-degenerate-effective")
    (file,) = load(Ledger(tmp_path / "ledger"), [shared(case["file"])], Settings()).files

    assert case["expect"]["problem_code"] in {p.code for p in file.problems}
