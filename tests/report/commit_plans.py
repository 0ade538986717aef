"""A commitment plan that has all that a page can show: each verdict, gaps, what is owned, flexible terms, a union."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from functools import cache

from outlay.config import CommitmentSettings
from outlay.optimize.commitments.demand import NANOS
from outlay.optimize.commitments.ladder import Owned
from outlay.optimize.commitments.offers.offer import Flex
from outlay.optimize.commitments.plan import Plan, plan, today_of
from tests.optimize.commitments.series import demand, offer, steady

__all__ = ["CLAIM", "EVIL", "GAPS", "HELD", "SERVED", "whole_plan"]

SERVED = "H100/us-east-1/inference"
EVIL = "<script>alert(1)</script>"
CLAIM = "up to 45% without any risk"
GAPS = 7 * 24 + 1
HELD = (Owned(30 * NANOS, date(2027, 1, 15), "res-1"), Owned(10 * NANOS, None, "res-2"))
_FLEX = Flex(
    premium=Decimal("0.05"),
    fee_share=Decimal("0.1"),
    cashback=Decimal("0.8"),
    trigger=Decimal("0.1"),
    cap=Decimal("0.5"),
    payout_lag_days=45,
    adjust_months=3,
    counterparty="Insurer Ltd",
    claim=CLAIM,
)


@cache
def whole_plan() -> Plan:
    """Half a year of six pools from 1 June 2026 on, two of them with a savings plan over both; few futures."""
    known = steady(26, pool=SERVED)
    week = range(40 * 24, 47 * 24)
    served = [None if hour in week or hour == 1500 else nanos / NANOS for hour, nanos in enumerate(known.nanos)]
    bursts = [30 + 10 * math.sin(hour / 4) if hour % 400 < 300 else 0.0 for hour in range(26 * 168)]
    pools = [
        demand(served, pool=SERVED),
        demand(bursts, pool="B200/training"),
        demand([4.0] * (20 * 24), pool=EVIL),
        steady(26, mean=20, pool="A100"),
        steady(26, mean=40, pool="A10"),
        demand([5.0] * (25 * 168) + [0.0] * 168, pool="idle"),
    ]
    offers = [
        offer("1.32", name="1y", pools=("*",)),
        offer("1.00", name="3y", term_months=36, payment="all_upfront", pools=("*",)),
        offer("1.40", name="1y flex", kind="flex", flex=_FLEX, pools=(SERVED,)),
        offer(None, name="a quote to come", pools=(SERVED,)),
        offer("1.30", name="plan", form="savings_plan", pools=("A100",)),
        offer("1.20", name="plan", form="savings_plan", pools=("A10",)),
    ]
    return plan(pools, offers, CommitmentSettings(), owned={SERVED: HELD}, today=today_of(pools), paths=100)
