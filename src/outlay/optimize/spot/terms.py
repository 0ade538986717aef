"""What is asked of spot: a job, the machines it needs, and the prices it is offered.

Prices are exact and per GPU-hour. A price that is not known is None and stays unknown, and then there is no verdict: no
usual discount, no price of a neighbouring region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from outlay.errors import UsageError
from outlay.optimize.spot.checkpoint import LONGEST, Job

__all__ = ["Terms"]

_MOST_GPUS = 1_000_000
_MOST_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """The job and what it is offered. Prices per GPU-hour; ``interval`` None is the best one of each capacity."""

    job: Job
    gpus: int = 1
    instances: int = 1
    on_demand: Decimal | None = None
    spot: Decimal | None = None
    currency: str = "USD"
    interval: float | None = None
    deadline: float | None = None
    starts: int = 1000

    def __post_init__(self) -> None:
        _require(1 <= self.gpus <= _MOST_GPUS, "--gpus", f"a job needs 1 to {_MOST_GPUS:,} GPUs.")
        _require(1 <= self.starts <= 100_000, "--starts", "a replay needs 1 to 100,000 starts.")
        _require(self.interval is None or 0 < self.interval < math.inf, "--interval", "must be more than 0.")
        for option, price in (("--on-demand", self.on_demand), ("--spot", self.spot)):
            _require(
                price is None or 0 <= price < _MOST_PRICE, option, f"must be from 0 to {_MOST_PRICE:,} a GPU-hour."
            )
        _require(self.on_demand != 0, "--on-demand", "can't be 0: leave out a price that is not known.")
        _require(self.deadline is None or self.deadline < LONGEST, "--deadline", "must be less than a century away.")
        if self.deadline is not None and not self.job.work <= self.deadline:
            raise UsageError(
                f"{self.deadline / 3600:g} h is less than the {self.job.work / 3600:g} h of work.",
                where="--deadline",
                hint="Not even on-demand ends by then: give a later one.",
            )

    @property
    def ratio(self) -> Fraction | None:
        """Spot price over on-demand price; None where one of them is unknown."""
        if self.spot is None or self.on_demand is None:
            return None
        return Fraction(self.spot) / Fraction(self.on_demand)

    @property
    def missing(self) -> tuple[str, ...]:
        """Options that must be given before there can be a verdict."""
        prices = (("--spot", self.spot), ("--on-demand", self.on_demand))
        return tuple(option for option, price in prices if price is None)

    @property
    def on_demand_cost(self) -> Decimal | None:
        """What the job costs on-demand; an estimate only as far as the hours of work are."""
        return None if self.on_demand is None else self.money(self.job.work)

    def money(self, seconds: float) -> Decimal | None:
        """What so much time costs at the on-demand price; None where that is unknown or the time has no end."""
        if self.on_demand is None or not math.isfinite(seconds):
            return None
        return Decimal(str(round(seconds, 3))) * self.gpus * self.on_demand / 3600

    @property
    def no_price(self) -> str | None:
        """Why there can be no verdict, and what to give; None where both prices are known."""
        if not self.missing:
            return None
        what = " and ".join(
            {"--spot": "the spot price", "--on-demand": "the on-demand price"}[one] for one in self.missing
        )
        verb = "are" if len(self.missing) > 1 else "is"
        return f"{what} {verb} unknown: give {' and '.join(self.missing)}, per GPU-hour"


def _require(holds: bool, where: str, what: str) -> None:
    if not holds:
        raise UsageError(what, where=where, hint="See outlay spot --help.")
