"""The ``costs`` table: one row a line of a bill, in FOCUS 1.4.

The 65 Cost and Usage columns carry FOCUS' own names and types, read from the machine-readable model beside this file,
so that an analyst's FOCUS queries run unchanged. Outlay's own columns start with ``x_`` as FOCUS asks of custom
columns: what the row bought (tokens, GPU hours, which model), which allocation tags it carries, and where it came
from, down to the row of the file. All amounts, prices and quantities are ``DECIMAL(38,18)``; all times are naive UTC.

The table is partitioned by ``x_Source`` and ``x_BillingMonth``: a restated month is then a swap of whole files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources

from outlay.ledger.tables.table import Column, tag_column
from outlay.money import MONEY_SQL

__all__ = [
    "COST_MEASURES",
    "OWN_COLUMNS",
    "PARTITION_COLUMNS",
    "Column",
    "columns",
    "focus_columns",
    "subcategory_parents",
    "tag_column",
]

PARTITION_COLUMNS = ("x_Source", "x_BillingMonth")
COST_MEASURES = ("BilledCost", "EffectiveCost", "ListCost")
"""The amounts that every load is reconciled by."""

_SQL_TYPES = {
    "Decimal": MONEY_SQL,
    "String": "VARCHAR",
    "Date/Time": "TIMESTAMP",
    "JSON": "VARCHAR",  # serialised, as FOCUS delivers it
}


@cache
def _model() -> dict[str, object]:
    text = resources.files(__package__).joinpath("focus_1_4.json").read_text(encoding="utf-8")
    model: dict[str, object] = json.loads(text)
    return model


@cache
def focus_columns() -> tuple[Column, ...]:
    """The 65 columns of FOCUS 1.4 Cost and Usage, in alphabetical order.

    ``Tags`` is a ``MAP(VARCHAR, VARCHAR)`` here, so that any engine can read one tag of it; other JSON columns stay
    text.
    """
    found = []
    for entry in _model()["columns"]:  # type: ignore[attr-defined]
        sql_type = "MAP(VARCHAR, VARCHAR)" if entry["name"] == "Tags" else _SQL_TYPES[entry["type"]]
        allowed = entry["allowed"] or ()
        found.append(
            Column(entry["name"], sql_type, entry["nullable"], entry["level"], tuple(allowed), entry["category"])
        )
    return tuple(found)


@cache
def subcategory_parents() -> dict[str, str]:
    """FOCUS' parent ServiceCategory of each ServiceSubcategory."""
    parents: dict[str, str] = _model()["service_subcategory_parents"]  # type: ignore[assignment]
    return parents


OWN_COLUMNS: tuple[Column, ...] = (
    Column("x_IsAi", "BOOLEAN", False, meaning="the row is AI spend"),
    Column("x_AiCategory", "VARCHAR", meaning="tokens, provisioned_throughput, gpu_compute, ml_platform or ai_other"),
    Column("x_WorkloadKind", "VARCHAR", meaning="training, inference, data or other (the bill does not show which)"),
    Column("x_ModelDeveloper", "VARCHAR", meaning="who made the model, e.g. Anthropic"),
    Column("x_ModelFamily", "VARCHAR", meaning="model family, e.g. Claude Sonnet"),
    Column("x_ModelId", "VARCHAR", meaning="the provider's model id"),
    Column("x_ModelVersion", "VARCHAR", meaning="the model's version"),
    Column("x_TokenDirection", "VARCHAR", meaning="Input or Output"),
    Column("x_TokenCacheAction", "VARCHAR", meaning="Read, Write or Uncached; input tokens only"),
    Column("x_ServiceTier", "VARCHAR", meaning="standard, batch, flex, priority or provisioned; tokens only"),
    Column("x_Tokens", MONEY_SQL, meaning="tokens bought; never token-hours, never a virtual currency"),
    Column("x_InstanceType", "VARCHAR", meaning="the provider's instance type, e.g. p5.48xlarge"),
    Column("x_GpuType", "VARCHAR", meaning="the accelerator, e.g. H100"),
    Column("x_GpuCount", "DECIMAL(9,4)", meaning="accelerators of one instance; fractions where it holds a share"),
    Column("x_GpuHours", MONEY_SQL, meaning="accelerator hours used; empty for unused commitments and fees"),
    Column("x_ChargeDate", "DATE", False, meaning="day of ChargePeriodStart"),
    Column("x_SourceFile", "VARCHAR", False, meaning="name of the file the row came from"),
    Column("x_SourceRow", "BIGINT", False, meaning="row of that file; in CSV the header is row 1"),
    Column("x_LoadId", "VARCHAR", False, meaning="digest of the content of the load"),
    Column("x_Source", "VARCHAR", False, meaning="whose bill: provider and billing account, or the name given"),
    Column("x_BillingMonth", "VARCHAR", False, meaning="YYYY-MM of BillingPeriodStart"),
)


def columns(tags: Sequence[str]) -> tuple[Column, ...]:
    """All columns of ``costs`` for the configured allocation ``tags``, the partition columns last."""
    flat = tuple(Column(tag_column(tag), "VARCHAR", meaning=f"allocation tag '{tag}'") for tag in tags)
    own = OWN_COLUMNS[: -len(PARTITION_COLUMNS)]
    return focus_columns() + own + flat + OWN_COLUMNS[-len(PARTITION_COLUMNS) :]
