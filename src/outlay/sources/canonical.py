"""From a reader's mapping to canonical ``costs`` rows: one SQL statement over the raw file.

Three layers, each a SELECT over the one before:

1. *typed*: every FOCUS column cast to its type; text that does not cast is found by comparing what was there with
   what came out, and the row gets a problem code instead of a wrong number.
2. *recognised*: the row joined to what its SKU is (:mod:`outlay.sources.recognise` runs once a distinct SKU, in
   Python, and the result is joined back), to its source and to its allocation tags.
3. *costs*: the columns of :mod:`outlay.ledger.tables.costs`.

Both the loader and ``outlay overspend`` (which loads nothing) read bills through this module, so they can't disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.costs import columns, tag_column
from outlay.money import MONEY_SQL
from outlay.sources.recognise import SKU_COLUMNS, Recognised, Sku, recognise

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "TagSpelling",
    "costs_sql",
    "gpu_hours_sql",
    "register_skus",
    "sku_key",
    "tag_sql",
    "telling_columns",
    "tokens_sql",
    "workload_sql",
    "workload_value_sql",
]


@dataclass(frozen=True, slots=True)
class TagSpelling:
    """An allocation tag and the keys that a bill's tags write it with, in order of preference."""

    tag: str
    keys: tuple[str, ...]


_RECOGNISED_TYPES = {
    "x_IsAi": "BOOLEAN",
    "x_AiCategory": "VARCHAR",
    "x_SkuWorkload": "VARCHAR",
    "x_ModelDeveloper": "VARCHAR",
    "x_ModelFamily": "VARCHAR",
    "x_ModelId": "VARCHAR",
    "x_ModelVersion": "VARCHAR",
    "x_TokenDirection": "VARCHAR",
    "x_TokenCacheAction": "VARCHAR",
    "x_ServiceTier": "VARCHAR",
    "x_TokensPerPricingUnit": "DECIMAL(12,0)",
    "x_TokensPerConsumedUnit": "DECIMAL(12,0)",
    "x_InstanceType": "VARCHAR",
    "x_GpuType": "VARCHAR",
    "x_GpuCount": "DECIMAL(9,4)",
    "x_GpuHoursPerUnit": "DECIMAL(16,12)",
    "x_Reason": "VARCHAR",
}


def _recognised_row(found: Recognised) -> tuple[object, ...]:
    return (
        found.is_ai,
        found.ai_category,
        found.workload_kind,
        found.model_developer,
        found.model_family,
        found.model_id,
        found.model_version,
        found.token_direction,
        found.token_cache_action,
        found.service_tier,
        found.tokens_per_pricing_unit,
        found.tokens_per_consumed_unit,
        found.instance_type,
        found.gpu_type,
        found.gpu_count,
        found.gpu_hours_per_pricing_unit,
        found.reason,
    )


def sku_key(prefix: str = "", columns: Sequence[str] = SKU_COLUMNS) -> str:
    """The 64-bit key of a row's SKU columns. :func:`register_skus` proves it free of collisions on the bill at hand."""
    return f"hash({', '.join(f'{prefix}{identifier(name)}' for name in columns)})"


def telling_columns(distinct: Sequence[tuple[object, ...]]) -> tuple[str, ...]:
    """The fewest SKU columns (found greedily) that tell all of a bill's distinct SKUs apart.

    The rest need not be read again.
    """
    chosen: list[int] = []
    while len({tuple(row[i] for i in chosen) for row in distinct}) < len(distinct):
        rest = [i for i in range(len(SKU_COLUMNS)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: len({(*(row[j] for j in chosen), row[i]) for row in distinct})))
    return tuple(SKU_COLUMNS[i] for i in sorted(chosen)) or SKU_COLUMNS[:1]


def register_skus(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    distinct: Sequence[tuple[object, ...]],
    columns: Sequence[str] = SKU_COLUMNS,
) -> list[Recognised]:
    """Create temp table ``name``.

    What each distinct SKU is, keyed by :func:`sku_key`. ``distinct`` are SKU_COLUMNS tuples.
    """
    import pyarrow as pa

    found = [recognise(Sku(*values)) for values in distinct]  # type: ignore[arg-type]
    keys = pa.table({c: pa.array([row[i] for row in distinct], pa.string()) for i, c in enumerate(SKU_COLUMNS)})
    facts = [_recognised_row(one) for one in found]
    kinds = {
        "BOOLEAN": pa.bool_(),
        "VARCHAR": pa.string(),
        "DECIMAL(12,0)": pa.decimal128(18, 0),
        "DECIMAL(9,4)": pa.decimal128(9, 4),
        "DECIMAL(16,12)": pa.decimal128(16, 12),
    }
    for i, (column, kind) in enumerate(_RECOGNISED_TYPES.items()):
        keys = keys.append_column(column, pa.array([fact[i] for fact in facts], kinds[kind]))
    connection.register("__skus", keys)
    facts_sql = ", ".join(identifier(column) for column in _RECOGNISED_TYPES)
    kept = "".join(f", {identifier(column)}" for column in ("ServiceProviderName", "ServiceName"))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT {sku_key('', columns)} AS __sku, {facts_sql}{kept} FROM __skus"
    )
    connection.unregister("__skus")
    row = connection.execute(f"SELECT count(*), count(DISTINCT __sku) FROM {name}").fetchall()[0]
    if row[0] != row[1]:  # one chance in 2^64 a pair; a wrong join would be a wrong figure
        raise ArithmeticError("two SKUs of this bill share a 64-bit key; please report this bill's SKU ids")
    return found


def tag_sql(spelling: TagSpelling, tags: str = '"Tags"') -> str:
    """The value of an allocation tag: the first of its spellings that is set and not blank."""
    values = [f"nullif(trim({tags}[{literal(key)}]), '')" for key in spelling.keys]
    if not values:
        return "CAST(NULL AS VARCHAR)"
    return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"


def workload_sql(spelling: TagSpelling, tags: str = '"Tags"') -> str:
    """The workload kind that a tag states, in FinOps-for-AI words, else NULL."""
    return workload_value_sql(tag_sql(spelling, tags))


def workload_value_sql(value: str) -> str:
    """The same over the tag's value."""
    value = f"lower({value})"
    return (
        f"CASE WHEN {value} IN ('training', 'train', 'finetuning', 'fine-tuning', 'finetune', 'pretraining') "
        f"THEN 'training' "
        f"WHEN {value} IN ('inference', 'serving', 'serve', 'endpoint', 'online') THEN 'inference' "
        f"WHEN {value} IN ('data', 'etl', 'data-prep', 'preprocessing', 'labeling', 'labelling') THEN 'data' END"
    )


def costs_sql(
    typed: str,
    skus: str,
    *,
    tags: Sequence[TagSpelling],
    workload: TagSpelling,
    source: str,
    file: str,
    load_id: str,
    telling: Sequence[str] = SKU_COLUMNS,
    tagsets: str | None = None,
    ai_commitments: Sequence[str] = (),
) -> str:
    """SELECT of canonical ``costs`` rows from a ``typed`` SELECT, good rows only.

    ``source`` is a SQL expression over ``t`` for x_Source. With ``tagsets`` the typed rows carry their tags cell
    (``__tags``), and what a cell says is looked up in that table of the survey's instead of read again on every row.
    Unused rows of ``ai_commitments`` are AI rows (see :mod:`outlay.sources.commitments`).
    """
    said = {tag_column(spelling.tag): tag_sql(spelling) for spelling in tags} | {"__stated": workload_sql(workload)}
    if tagsets is not None:
        looked_up = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in said.items())
        joined = f'LEFT JOIN (SELECT __tagset, "Tags", {looked_up} FROM {tagsets}) g ON hash(t.__tags) = g.__tagset '
        said = {name: f"g.{identifier(name)}" for name in said} | {"Tags": 'g."Tags"'}
    else:
        joined = ""
        said = {name: sql.replace('"Tags"', 't."Tags"') for name, sql in said.items()} | {"Tags": 't."Tags"'}
    own = {
        "x_IsAi": "s.x_IsAi",
        "x_WorkloadKind": f"CASE WHEN s.x_IsAi THEN coalesce({said.pop('__stated')}, s.x_SkuWorkload, 'other') END",
        "x_Tokens": tokens_sql(),
        "x_GpuHours": gpu_hours_sql(),
        "x_ChargeDate": 'CAST(t."ChargePeriodStart" AS DATE)',
        "x_SourceFile": literal(file),
        "x_SourceRow": "t.__row",
        "x_LoadId": literal(load_id),
        "x_Source": source,
        "x_BillingMonth": "strftime(t.\"BillingPeriodStart\", '%Y-%m')",
    } | said
    if ai_commitments:
        names = ", ".join(literal(name) for name in ai_commitments)
        unused = f't."CommitmentDiscountStatus" = \'Unused\' AND t."CommitmentDiscountId" IN ({names})'
        left = f"NOT s.x_IsAi AND coalesce({unused}, false)"
        own |= {
            "x_IsAi": f"s.x_IsAi OR coalesce({unused}, false)",
            "x_AiCategory": f"CASE WHEN {left} THEN 'ai_other' ELSE s.x_AiCategory END",
            "x_WorkloadKind": f"CASE WHEN {left} THEN 'other' ELSE {own['x_WorkloadKind']} END",
        }
    fields = []
    for c in columns([spelling.tag for spelling in tags]):
        if c.name in own:
            fields.append(f"{own[c.name]} AS {identifier(c.name)}")
        elif c.name.startswith("x_"):
            fields.append(f"s.{identifier(c.name)}")
        else:
            fields.append(f"t.{identifier(c.name)}")
    return (
        f"SELECT {', '.join(fields)} FROM ({typed}) t LEFT JOIN {skus} s ON {sku_key('t.', telling)} = s.__sku "
        f"{joined}WHERE t.__problem IS NULL"
    )


def tokens_sql() -> str:
    """Tokens that row ``t`` of SKU ``s`` bought.

    The consumed count where the bill gives it, else quantity times block. Only rows of token SKUs are multiplied, and
    only by blocks other than one: wide decimals are slow.
    """
    consumed = f'CAST(try_cast(t."ConsumedQuantity" AS DECIMAL(24,6)) * s.x_TokensPerConsumedUnit AS {MONEY_SQL})'
    priced = f'CAST(try_cast(t."PricingQuantity" AS DECIMAL(26,9)) * s.x_TokensPerPricingUnit AS {MONEY_SQL})'
    known = 't."ConsumedQuantity" IS NOT NULL'
    return (
        f"CASE WHEN {_used_sql()} THEN CASE "
        f'WHEN {known} AND s.x_TokensPerConsumedUnit = 1 THEN CAST(t."ConsumedQuantity" AS {MONEY_SQL}) '
        f"WHEN {known} AND s.x_TokensPerConsumedUnit IS NOT NULL THEN {consumed} "
        f"WHEN s.x_TokensPerPricingUnit IS NOT NULL THEN {priced} END END"
    )


def gpu_hours_sql() -> str:
    """Accelerator hours that row ``t`` of SKU ``s`` used; NULL for what was paid and not used."""
    hours = f'CAST(try_cast(t."PricingQuantity" AS DECIMAL(26,12)) * s.x_GpuHoursPerUnit AS {MONEY_SQL})'
    return (
        f"CASE WHEN s.x_GpuHoursPerUnit IS NOT NULL AND {_used_sql()} "
        f"AND coalesce(t.\"CapacityReservationStatus\", '') <> 'Unused' THEN {hours} END"
    )


def _used_sql() -> str:
    return "t.\"ChargeCategory\" = 'Usage' AND coalesce(t.\"CommitmentDiscountStatus\", '') <> 'Unused'"
