"""Demand for tests: from plain numbers, and the real fleet's."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from outlay.optimize.commitments.demand import NANOS, Demand
from tests.shared import shared

__all__ = ["fleet", "of"]


def of(hours: Sequence[int | Decimal | None]) -> Demand:
    """GPUs an hour; None where nothing is known."""
    return Demand(
        "pool",
        0,
        np.array([int((one or 0) * NANOS) for one in hours], dtype=np.int64),
        np.array([one is not None for one in hours], dtype=np.bool_),
    )


def fleet() -> list[Decimal]:
    """The 4,416 full hours of the real fleet, as they were recorded."""
    path = shared("data/gpu_traces/alibaba_v2026_spot/derived_hourly_concurrency.csv")
    with path.open(encoding="utf-8") as file:
        return [Decimal(row["gpus_active_requested"]) for row in csv.DictReader(file)][:4416]
