"""Answers made by hand for these tests: small, with figures that can be added up in the head."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from outlay.optimize.finding import Evidence, Finding
from outlay.optimize.overspend import Overspend, Slice
from outlay.optimize.spend import Totals
from outlay.problems import ProblemSummary

__all__ = ["answer", "finding", "problem"]


def finding(**changes: Any) -> Finding:
    """A counted saving of 80.005 on rows costing 100. No two of these share a row: each adds all it saves."""
    base = Finding(
        "unused:a",
        "unused-commitments",
        "Commitment a partly unused",
        Decimal("80.005"),
        Decimal("80.005"),
        True,
        "high",
        "EffectiveCost of unused rows",
        "Paid for and not used.",
        "",
        3,
        Decimal(100),
        (Evidence("a / eu-west-1", 3, Decimal(100), "bill.csv", 17),),
        {"base_gpus": Decimal("4.0")},
    )
    changed = replace(base, **changes)
    return changed if "adds" in changes else replace(changed, adds=changed.saving)


def problem(**changes: Any) -> ProblemSummary:
    """Four rows kept out for want of a currency."""
    base = ProblemSummary(
        "bill.csv", "missing-currency", "BillingCurrency is missing", "Export the currency column.", 4, 9, True
    )
    return replace(base, **changes)


def answer(**changes: Any) -> Overspend:
    """AI cost 1,000.02 over three days, 80.005 of it overspend, at most 20 and one unknown to confirm."""
    totals = Totals(
        "USD",
        50,
        datetime(2026, 10, 1),
        datetime(2026, 10, 4),
        Decimal("1500.5"),
        Decimal(1400),
        Decimal("1000.02"),
        40,
        (),
    )
    base = Overspend(
        totals,
        "EffectiveCost",
        Decimal("80.005"),
        (
            finding(),
            finding(
                id="old:b",
                title="Old cards",
                saving=Decimal(20),
                claimed=Decimal(30),
                counted=False,
                confidence="medium",
                needs="that it runs on b",
            ),
            finding(
                id="spot:c",
                title="Spot",
                saving=None,
                claimed=None,
                counted=False,
                confidence="low",
                needs="a spot rate",
            ),
        ),
        (),
        (),
        ("/home/someone/exports/bill.csv",),
        0.25,
        (
            (date(2026, 10, 1), "tokens", Decimal("400.01")),
            (date(2026, 10, 1), "gpu_compute / other", Decimal(100)),
            (date(2026, 10, 3), "tokens", Decimal("500.01")),
        ),
        {
            "team": (Slice("search", Decimal("700.02")), Slice("untagged", Decimal(300))),
            "model": (Slice("gpt-5", Decimal("1000.02")),),
            "provider": (Slice("OpenAI", Decimal("1000.02")),),
        },
    )
    return replace(base, **changes)
