"""What the synthetic company could commit to: offers for its pools on EC2, at made-up discounts.

No public list of commitment prices of GPU instances may ship, so these are shares of the catalogue's on-demand prices,
and every line says that it is synthetic.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

from outlay.demo.catalogue import ec2
from outlay.money import plain

__all__ = ["write_demo_offers"]

_POOLS = {
    "A10G/us-east-1/inference": ("g5.12xlarge", 4),
    "L40S/us-east-1/inference": ("g6e.xlarge", 1),
    "V100-16GB/us-east-1/inference": ("p3.8xlarge", 4),
}
_TERMS: tuple[tuple[str, int, str, dict[str, str]], ...] = (
    ("1 year, no upfront", 12, "0.63", {}),
    ("3 years, no upfront", 36, "0.45", {}),
    (
        "1 year, insured",
        12,
        "0.66",
        {
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
    *("pool", "offer", "term_months", "payment", "unit_price", "on_demand_price", "currency", "source"),
    *("kind", "premium", "cashback", "payout_lag_days", "adjust_months", "counterparty", "claim"),
)


def write_demo_offers(path: Path) -> Path:
    """A CSV for ``outlay commit plan --offers``: three offers for each of three pools."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, _COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for pool, (instance, gpus) in _POOLS.items():
            on_demand = ec2(instance).price / gpus
            for name, months, share, more in _TERMS:
                terms = {
                    "pool": pool,
                    "offer": name,
                    "term_months": months,
                    "payment": "no_upfront",
                    "unit_price": plain(on_demand * Decimal(share)),
                    "on_demand_price": plain(on_demand),
                    "currency": "USD",
                    "source": "SYNTHETIC: made up",
                }
                writer.writerow({**terms, **more})
    return path
