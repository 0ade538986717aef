"""What buying month by month would have cost: both rules, by levels and pooled, beside plain loops. See README.md."""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import numpy as np

from outlay.optimize.commitments.demand import Demand
from outlay.optimize.commitments.foresight import online, pooled

ONE = Decimal(1)


def fleet(hours: int) -> Demand:
    """Thousands of GPUs with a day, a week, growth and noise, in fractions: hardly two hours are alike."""
    t = np.arange(hours)
    noise = np.cumsum(np.random.default_rng(7).normal(0, 40, hours))
    gpus = 8000 + t / 10 + 900 * np.sin(t * 2 * np.pi / 24) + 500 * np.sin(t * 2 * np.pi / 168) + noise
    return Demand("fleet", 0, np.rint(np.maximum(0, gpus) * 1e9).astype(np.int64), np.ones(hours, dtype=np.bool_))


def plain(demand: Demand, fee: float, term: int, levels: int) -> float:
    """CPU seconds of the clairvoyant's programme level by level in a loop: ``levels`` measured, times all there are."""
    tops = np.unique(demand.nanos)
    begun = time.process_time()
    for top in tops[:: max(1, len(tops) // levels)][:levels]:
        least = [0.0]
        for hour, needed in enumerate((demand.nanos >= top).tolist()):
            least.append(min(least[-1] + needed, least[max(0, hour + 1 - term)] + fee))
    return (time.process_time() - begun) * len(tops) / levels


def report(name: str, rule: Callable[[], online.Bought]) -> online.Bought:
    """Runs it and prints wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    bought = rule()
    print(f"  {name}: {time.perf_counter() - wall:.2f} s, CPU {time.process_time() - cpu:.2f} s", flush=True)
    return bought


def main() -> None:
    """All of it, for histories of each length and terms that are shorter."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=int, nargs="+", default=[4416, 26280])
    options.add_argument("--terms", type=int, nargs="+", default=[672, 8760], help="in hours")
    options.add_argument("--discount", type=Decimal, default=Decimal("0.4"))
    chosen = options.parse_args()
    price = 1 - chosen.discount
    for hours, term in ((h, t) for h in chosen.hours for t in chosen.terms if t < h):
        demand = fleet(hours)
        print(f"{hours:,} hours, {len(np.unique(demand.nanos)):,} levels, a term of {term:,} hours")
        for name, room in (("levels", online), ("pooled", pooled)):
            followed = report(f"{name}, break-even", partial(room.break_even, demand, price, ONE, term))
            best = report(f"{name}, clairvoyant", partial(room.clairvoyant, demand, price, ONE, term))
            print(f"  {name}, ratio: {followed.ratio(best) or 0:.3f}")
        print(f"  plain loops, clairvoyant by levels: {plain(demand, float(price) * term, term, 20):.0f} s of CPU")
    print(f"peak resident: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
