"""Hourly demand made for a test, and offers with only what the test is about."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.offers.offer import Offer

__all__ = ["demand", "offer", "steady", "write_demand"]

MONDAY = datetime(2026, 6, 1)


def demand(hours: Sequence[float | None], *, pool: str = "H100", first: datetime | int = MONDAY) -> Demand:
    """GPUs by the hour; None is a gap."""
    known = np.array([one is not None for one in hours], dtype=np.bool_)
    nanos = np.array([round((one or 0) * NANOS) for one in hours], dtype=np.int64)
    return Demand(pool, first, nanos, known, "made")


def steady(weeks: int, *, mean: float = 100.0, swing: float = 0.3, pool: str = "H100") -> Demand:
    """The same week again and again, with a daily swing; a weekly ripple of 2 % so that changes are not all 0."""
    hours = [
        round(mean * (1 + 0.02 * (-1) ** (hour // 168)) * (1 + swing * math.sin(2 * math.pi * hour / 24)), 3)
        for hour in range(weeks * 168)
    ]
    return demand(hours, pool=pool)


def offer(price: str | None = "1.20", on_demand: str | None = "2.00", **more: Any) -> Offer:
    """A standard one-year offer without upfront for the pool H100, changed by ``more``."""
    terms: dict[str, Any] = {
        "pools": ("H100",),
        "name": "1y",
        "term_months": 12,
        "payment": "no_upfront",
        "unit_price": None if price is None else Decimal(price),
        "on_demand_price": None if on_demand is None else Decimal(on_demand),
        "currency": "USD",
    }
    return Offer(**{**terms, **more})


def write_demand(path: Path, *demands: Demand) -> Path:
    """The CSV that ``--demand`` reads."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["hour", *(one.pool for one in demands)])
        for place in range(len(demands[0])):
            hour = demands[0].at(place)
            cells = [str(one.nanos[place] / NANOS) if one.known[place] else "" for one in demands]
            writer.writerow([f"{hour.isoformat()}Z" if isinstance(hour, datetime) else hour, *cells])
    return path
