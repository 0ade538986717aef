"""What an AWS product code is in FOCUS words: the service's name, its category and subcategory.

A Cost and Usage Report names the product by a code (``AmazonEC2``) and, if those columns were exported, by a name and
a product family; FOCUS' categories are not on it. The table beside this module holds them: a code, and where one code
sells several kinds of thing (EC2 also bills volumes and addresses) a code with a family. Codes that are not in it
stay ``Other``.

Names are spelled as AWS spells them in its own FOCUS export. Source of codes and names: AWS' public price list and
the shared sample bills; the category of each is a reading of FOCUS 1.4's definitions, and agrees with AWS' own export
wherever that one says more than ``Other``, except that messaging, keys and workflows are filed by what FOCUS calls
them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from outlay.ledger.engine.duckdb import literal

__all__ = ["AwsService", "aws_services", "service_lookup"]

_TABLE = "aws_services.csv"


@dataclass(frozen=True, slots=True)
class AwsService:
    """One line of the table; ``product_family`` is empty where the code alone decides."""

    product_code: str
    product_family: str
    service_name: str
    service_category: str
    service_subcategory: str


@cache
def aws_services() -> tuple[AwsService, ...]:
    """The table, in file order."""
    text = resources.files("outlay.sources.bills").joinpath("data", _TABLE).read_text(encoding="utf-8")
    return tuple(AwsService(**row) for row in csv.DictReader(text.splitlines()))


def service_lookup(field: str, code: str, family: str) -> str:
    """SQL for ``field`` of the service that the expressions ``code`` and ``family`` name.

    NULL when the table lacks it.
    """
    by_code = [(one.product_code, getattr(one, field)) for one in aws_services() if not one.product_family]
    by_both = [
        (f"{one.product_code}/{one.product_family}", getattr(one, field))
        for one in aws_services()
        if one.product_family
    ]
    both = f"concat({code}, '/', {family})"
    return f"coalesce({_map(by_both)}[{both}], {_map(by_code)}[{code}])"


def _map(pairs: list[tuple[str, str]]) -> str:
    keys = ", ".join(literal(key) for key, _ in pairs)
    values = ", ".join(literal(value) for _, value in pairs)
    return f"map([{keys}], [{values}])"
