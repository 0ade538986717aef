"""Commitment plans: a thousand pools, one pool, and the exact optimum beside a search of 100 steps. See README.md."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from outlay.config import CommitmentSettings
from outlay.optimize.commitments.demand import NANOS, Demand
from outlay.optimize.commitments.offers.offer import Offer
from outlay.optimize.commitments.plan import plan
from outlay.optimize.commitments.sizing import Levels

HOURS = 4416
PRICES = ("1.40", "1.30", "1.26", "1.20", "1.00", "0.90")
ON_DEMAND = Decimal(2)


def made(pools: int, seed: int = 1) -> list[Demand]:
    """Pools with a level that wanders by some 4 % a week, a daily swing and noise."""
    random = np.random.default_rng(seed)
    hours = np.arange(HOURS)
    found = []
    for number in range(pools):
        level = np.exp(np.cumsum(random.normal(0, 0.04, HOURS // 168 + 1)))[hours // 168]
        shape = 1 + 0.25 * np.sin(2 * np.pi * hours / 24) + random.normal(0, 0.05, HOURS)
        gpus = np.maximum(0, random.uniform(8, 800) * level * shape)
        found.append(Demand(f"pool-{number}", 0, np.rint(gpus * NANOS).astype(np.int64), np.ones(HOURS, bool), "made"))
    return found


def offers(count: int) -> list[Offer]:
    """Offers for every pool: one and three years by turns."""
    return [
        Offer(("*",), f"offer {n}", 36 if n % 2 else 12, "no_upfront", Decimal(PRICES[n]), ON_DEMAND, "USD")
        for n in range(count)
    ]


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Seconds of each run."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def search(demand: Demand, price: Decimal) -> int:
    """The best of 100 coverage steps in billionths of a GPU, each looked at over all hours, as planners do."""
    hours, rate = demand.nanos.astype(np.float64), float(price / ON_DEMAND)
    peak = int(demand.nanos.max())
    steps = [peak * step // 100 for step in range(101)]
    return min(steps, key=lambda step: rate * step * len(hours) + float(np.maximum(0, hours - step).sum()))


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--offers", type=int, default=6)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    settings = CommitmentSettings()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")

    demands = made(arguments.pools)
    (seconds,) = timed(lambda: plan(demands, offers(arguments.offers), settings), 1)
    print(f"{len(demands)} pools x {HOURS} hours, {arguments.offers} offers: {seconds:.1f} s")
    one = timed(lambda: plan(demands[:1], offers(arguments.offers), settings, paths=1000), arguments.times)
    print(f"one pool, {arguments.offers} offers, 1,000 paths: {min(one):.2f} to {max(one):.2f} s")

    price = Decimal("1.26")
    tried = made(20, seed=2)
    exact: list[int] = []
    searched: list[int] = []

    def by_quantile() -> None:
        exact[:] = [Levels(demand).optimum(price, ON_DEMAND) for demand in tried]

    def by_search() -> None:
        searched[:] = [search(demand, price) for demand in tried]

    quick, slow = min(timed(by_quantile, arguments.times)), min(timed(by_search, arguments.times))
    costs = [
        tuple(Levels(demand).outcome(nanos, price, ON_DEMAND).cost for nanos in pair)
        for demand, *pair in zip(tried, exact, searched, strict=True)
    ]
    worse = sum(a > b for a, b in costs)
    gain = max((b - a) / b for a, b in costs)
    print(
        f"exact optimum against 100 steps, {len(tried)} pools: worse in {worse}, cheaper by up to {gain:.3%}; "
        f"{slow / quick:.1f} times as fast ({quick / len(tried) * 1e3:.2f} ms against {slow / len(tried) * 1e3:.2f} ms)"
    )


if __name__ == "__main__":
    main()
