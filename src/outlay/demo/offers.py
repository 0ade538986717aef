"""What the synthetic company could commit to: offers for its pools on EC2, at made-up discounts.

No public list of commitment prices of GPU instances may ship, so these are shares of the catalogue's on-demand prices;
the name and the source of each say that it is synthetic. They are of the forms that AWS sells: a reservation comes in
whole machines, which a small pool under a cap can't fill, a savings plan in money, which it can. No offering's id is
made up: the request in a plan's document says that it is missing.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

from outlay.demo.catalogue import ec2
from outlay.money import plain

__all__ = ["write_demo_offers"]

_REGION = "us-east-1"
_POOLS = {
    "A10G": ("g5.12xlarge", 4),
    "H100": ("p5.48xlarge", 8),
    "L40S": ("g6e.xlarge", 1),
    "V100-16GB": ("p3.8xlarge", 4),
}
_PLAN = {"payment": "no_upfront", "form": "savings_plan", "provider": "aws"}
_TERMS: tuple[tuple[str, int, str, dict[str, str]], ...] = (
    ("{family} plan, 1 year", 12, "0.63", _PLAN),
    ("{family} plan, 3 years", 36, "0.45", _PLAN),
    ("{machine}, 1 year", 12, "0.60", {"payment": "all_upfront", "form": "reservation", "provider": "aws"}),
    (
        "{family} insured, 1 year",
        12,
        "0.66",
        {
            "payment": "no_upfront",
            "form": "savings_plan",
            "kind": "flex",
            "premium": "0.05",
            "cashback": "0.9",
            "payout_lag_days": "90",
            "adjust_months": "3",
            "counterparty": "Example Insurance (synthetic)",
            "claim": "pays back nine tenths of what is unused",
        },
    ),
)
_COLUMNS = (
    *("pool", "offer", "term_months", "payment", "unit_price", "on_demand_price", "currency", "form", "unit_gpus"),
    *("provider", "region", "sku", "source"),
    *("kind", "premium", "cashback", "payout_lag_days", "adjust_months", "counterparty", "claim"),
)


def write_demo_offers(path: Path) -> Path:
    """A CSV for ``outlay commit plan --offers``: four offers for each of four pools."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, _COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for gpu, (machine, gpus) in _POOLS.items():
            on_demand = ec2(machine).price / gpus
            for offer, months, share, more in _TERMS:
                whole = more["form"] == "reservation"
                terms = {
                    "pool": f"{gpu}/{_REGION}/inference",
                    "offer": f"{offer.format(family=machine.partition('.')[0], machine=machine)} (synthetic)",
                    "term_months": months,
                    "unit_price": plain(on_demand * Decimal(share)),
                    "on_demand_price": plain(on_demand),
                    "currency": "USD",
                    "unit_gpus": gpus if whole else 1,
                    "region": _REGION,
                    "sku": machine if whole else "",
                    "source": "SYNTHETIC: made up",
                }
                writer.writerow({**terms, **more})
    return path
