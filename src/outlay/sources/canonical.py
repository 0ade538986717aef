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

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.costs import columns, focus_columns, tag_column
from outlay.money import MONEY_SCALE, MONEY_SQL
from outlay.sources.raw import RawFile
from outlay.sources.reader import RowMapping
from outlay.sources.recognise import SKU_COLUMNS, Recognised, Sku, recognise

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "Bill",
    "TagSpelling",
    "costs_sql",
    "gpu_hours_sql",
    "problem_text",
    "quarantine_sql",
    "register_skus",
    "sku_key",
    "tag_sql",
    "telling_columns",
    "tokens_sql",
    "typed_sql",
    "workload_sql",
    "workload_value_sql",
]

_EARLIEST_YEAR = 1990
_SLASHED_DATES = "['%m/%d/%y', '%m/%d/%y %H:%M', '%m/%d/%Y', '%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M:%S']"
_DECORATED = r"-?\$?[0-9]{1,3}(,[0-9]{3})*\.[0-9]+|-?\$[0-9]+(\.[0-9]+)?"
"""Spreadsheet money that can mean one thing only: ``$10,000.00``.

``1,234`` could be one or a thousand, so it is refused.
"""
_DECIMAL_TYPE = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
_TAG_COLUMNS = ("Tags", "AllocatedTags")


@dataclass(frozen=True, slots=True)
class Bill:
    """One file with the mapping that its reader gave it, and the DuckDB types of the mapping's expressions."""

    raw: RawFile
    mapping: RowMapping
    types: dict[str, str]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, raw: RawFile, mapping: RowMapping) -> Bill:
        """Ask DuckDB for the type of each mapped expression, on an empty relation of the file's shape."""
        shape = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in raw.columns.items())
        if not mapping.columns:
            return cls(raw, mapping, {})
        wanted = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in mapping.columns.items())
        rows = connection.execute(f"DESCRIBE SELECT {wanted} FROM (SELECT {shape})").fetchall()
        return cls(raw, mapping, {row[0]: row[1] for row in rows})


@dataclass(frozen=True, slots=True)
class TagSpelling:
    """An allocation tag and the keys that a bill's tags write it with, in order of preference."""

    tag: str
    keys: tuple[str, ...]


def _typed(bill: Bill, name: str, sql_type: str) -> str:
    """The cast expression of one FOCUS column; NULL where the mapping has none or the text does not cast."""
    source = bill.mapping.columns.get(name)
    if source is None:
        return f"CAST(NULL AS {sql_type})"
    found = bill.types[name]
    if sql_type == "TIMESTAMP":
        return _time(source, found)
    if sql_type == MONEY_SQL:
        return _decimal(source, found)
    if sql_type.startswith("MAP"):
        return source if found.startswith("MAP") else f"try_cast(try_cast({source} AS JSON) AS {sql_type})"
    if found == "VARCHAR":
        return source
    return (
        f"CAST(to_json({source}) AS VARCHAR)" if found.startswith(("MAP", "STRUCT")) else f"CAST({source} AS VARCHAR)"
    )


def _decimal(source: str, found: str) -> str:
    if found in ("DOUBLE", "FLOAT"):  # the shortest decimal that names the float, not its binary expansion
        return f"try_cast(CAST({source} AS VARCHAR) AS {MONEY_SQL})"
    if found == MONEY_SQL:
        return source
    if _always_fits(found):
        return f"CAST({source} AS {MONEY_SQL})"
    plain = f"try_cast({source} AS {MONEY_SQL})"
    if found != "VARCHAR":
        return plain
    decorated = f"regexp_full_match(trim({source}), {literal(_DECORATED)})"
    bare = f"replace(replace(trim({source}), '$', ''), ',', '')"
    return f"coalesce({plain}, CASE WHEN {decorated} THEN try_cast({bare} AS {MONEY_SQL}) END)"


def _always_fits(found: str) -> bool:
    """Whether every value of a type casts to the ledger's amounts, so that no row need be asked."""
    match = _DECIMAL_TYPE.fullmatch(found)
    if match is None:
        return found in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
    precision, scale = int(match[1]), int(match[2])
    return scale <= MONEY_SCALE and precision - scale <= 38 - MONEY_SCALE


def _time(source: str, found: str) -> str:
    if found != "VARCHAR":
        return f"CAST({source} AS TIMESTAMP)"
    read = (
        f"CASE WHEN contains({source}, '/') THEN try_strptime({source}, {_SLASHED_DATES}) "
        f"ELSE CAST(try_cast({source} AS TIMESTAMPTZ) AS TIMESTAMP) END"
    )
    return f"CASE WHEN year({read}) >= {_EARLIEST_YEAR} THEN {read} END"


def _problem(bill: Bill) -> str:
    """``code|column`` of the first thing that keeps a row out, or NULL. Refers to the typed columns as ``t``."""
    checks = []
    for wanted in focus_columns():
        source = bill.mapping.columns.get(wanted.name)
        if source is None or wanted.sql_type not in (MONEY_SQL, "TIMESTAMP"):
            continue
        if bill.types[wanted.name] == wanted.sql_type or _always_fits(bill.types[wanted.name]):
            continue
        code = "unparsable-amount" if wanted.sql_type == MONEY_SQL else "unparsable-time"
        checks.append(
            (f"({source}) IS NOT NULL AND {_typed(bill, wanted.name, wanted.sql_type)} IS NULL", code, wanted.name)
        )

    def typed(name: str) -> str:
        return _typed(bill, name, {c.name: c.sql_type for c in focus_columns()}[name])

    categories = ", ".join(literal(category) for category in _CHARGE_CATEGORIES)
    currency = typed("BillingCurrency")
    checks += [
        (f"{typed('BilledCost')} IS NULL", "missing-amount", "BilledCost"),
        (f"{currency} IS NULL", "missing-currency", "BillingCurrency"),
        (f"NOT regexp_full_match({currency}, '[A-Z]{{3}}')", "bad-currency", "BillingCurrency"),
        (f"{typed('ChargePeriodStart')} IS NULL", "missing-time", "ChargePeriodStart"),
        (f"{typed('ChargePeriodEnd')} < {typed('ChargePeriodStart')}", "period-reversed", "ChargePeriodEnd"),
        (f"{typed('BillingPeriodEnd')} < {typed('BillingPeriodStart')}", "period-reversed", "BillingPeriodEnd"),
        (f"{typed('ChargeCategory')} NOT IN ({categories})", "unknown-charge-category", "ChargeCategory"),
        (
            f"{typed('PricingQuantity')} < 0 AND {typed('BilledCost')} > 0 AND {typed('ChargeCategory')} = 'Usage'",
            "negative-quantity",
            "PricingQuantity",
        ),
    ]
    cases = " ".join(f"WHEN {condition} THEN {literal(f'{code}|{name}')}" for condition, code, name in checks)
    return f"CASE {cases} END"


def typed_sql(
    bill: Bill,
    clause: str,
    *,
    only: Iterable[str] | None = None,
    extra: Mapping[str, str] | None = None,
    numbered: bool = True,
    checked: bool = True,
) -> str:
    """SELECT of ``__row``, ``__problem`` and the typed FOCUS columns (all, or ``only`` those named) from ``clause``.

    ``extra`` adds expressions over the raw columns; ``numbered`` is False for a relation without ``__row``; ``checked``
    is False for a file whose every row is known to be good.
    """
    wanted = set(only) if only is not None else None
    fields = [
        f"{_typed(bill, c.name, c.sql_type)} AS {identifier(c.name)}"
        for c in focus_columns()
        if (wanted is None or c.name in wanted) and c.name not in ("BillingPeriodStart", "BillingPeriodEnd")
    ]
    start, end = billing_period(bill)
    fields += [f'{start} AS "BillingPeriodStart"', f'{end} AS "BillingPeriodEnd"']
    fields += [f"{sql} AS {identifier(name)}" for name, sql in (extra or {}).items()]
    row = "__row" if numbered else "CAST(NULL AS BIGINT) AS __row"
    problem = _problem(bill) if checked else "CAST(NULL AS VARCHAR)"
    return f"SELECT {row}, {problem} AS __problem, {', '.join(fields)} FROM {clause}"


def billing_period(bill: Bill) -> tuple[str, str]:
    """The billing period's expressions: as billed, else the calendar month of the charge."""
    start = _typed(bill, "BillingPeriodStart", "TIMESTAMP")
    end = _typed(bill, "BillingPeriodEnd", "TIMESTAMP")
    month = f"date_trunc('month', {_typed(bill, 'ChargePeriodStart', 'TIMESTAMP')})"
    return (
        f"coalesce({start}, CAST({month} AS TIMESTAMP))",
        f"coalesce({end}, CAST({month} + INTERVAL 1 MONTH AS TIMESTAMP))",
    )


def quarantine_sql(bill: Bill, clause: str) -> str:
    """SELECT of ``__row``, ``__problem`` and the raw row as JSON, for the rows that must stay out."""
    packed = ", ".join(f"{literal(name)}: {identifier(name)}" for name in bill.raw.columns)
    return (
        f"SELECT __row, __problem, CAST(to_json(__raw) AS VARCHAR) FROM "
        f"(SELECT __row, {_problem(bill)} AS __problem, {{{packed}}} AS __raw FROM {clause}) "
        f"WHERE __problem IS NOT NULL ORDER BY __row"
    )


def problem_text(marked: str) -> tuple[str, str]:
    """``code`` and the sentence for a ``code|column`` mark."""
    code, _, name = marked.partition("|")
    sentence = {
        "unparsable-amount": f"{name} is not a number",
        "unparsable-time": f"{name} is not a date or time",
        "missing-amount": f"{name} is missing",
        "missing-currency": f"{name} is missing",
        "bad-currency": f"{name} is not a three-letter currency code",
        "missing-time": f"{name} is missing",
        "period-reversed": f"{name} lies before its start",
        "unknown-charge-category": f"{name} is not one that FOCUS knows",
        "negative-quantity": f"{name} is negative while the cost is positive",
    }[code]
    return code, sentence


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
    "x_GpuHoursPerUnit": "DECIMAL(12,6)",
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
        "DECIMAL(12,6)": pa.decimal128(12, 6),
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
    only: Iterable[str] | None = None,
) -> str:
    """SELECT of canonical ``costs`` rows from a ``typed`` SELECT, good rows only.

    ``source`` is a SQL expression over ``t`` for x_Source; ``only`` names the columns wanted (all by default).
    """
    stated = workload_sql(workload, 't."Tags"')
    own = {
        "x_IsAi": "s.x_IsAi",
        "x_WorkloadKind": f"CASE WHEN s.x_IsAi THEN coalesce({stated}, s.x_SkuWorkload, 'other') END",
        "x_Tokens": f"CAST({tokens_sql()} AS {MONEY_SQL})",
        "x_GpuHours": f"CAST({gpu_hours_sql()} AS {MONEY_SQL})",
        "x_ChargeDate": 'CAST(t."ChargePeriodStart" AS DATE)',
        "x_SourceFile": literal(file),
        "x_SourceRow": "t.__row",
        "x_LoadId": literal(load_id),
        "x_Source": source,
        "x_BillingMonth": "strftime(t.\"BillingPeriodStart\", '%Y-%m')",
    }
    own |= {tag_column(spelling.tag): tag_sql(spelling, 't."Tags"') for spelling in tags}
    wanted = set(only) if only is not None else None
    fields = []
    for c in columns([spelling.tag for spelling in tags]):
        if wanted is not None and c.name not in wanted:
            continue
        if c.name in own:
            fields.append(f"{own[c.name]} AS {identifier(c.name)}")
        elif c.name.startswith("x_"):
            fields.append(f"s.{identifier(c.name)}")
        else:
            fields.append(f"t.{identifier(c.name)}")
    return (
        f"SELECT {', '.join(fields)} FROM ({typed}) t LEFT JOIN {skus} s ON {sku_key('t.', telling)} = s.__sku "
        f"WHERE t.__problem IS NULL"
    )


def tokens_sql() -> str:
    """Tokens that row ``t`` of SKU ``s`` bought.

    The consumed count where the bill gives it, else quantity times block.
    """
    consumed = 'CAST(t."ConsumedQuantity" AS DECIMAL(24,6)) * s.x_TokensPerConsumedUnit'
    priced = 'CAST(t."PricingQuantity" AS DECIMAL(26,9)) * s.x_TokensPerPricingUnit'
    return (
        f"CASE WHEN t.\"ChargeCategory\" = 'Usage' AND coalesce(t.\"CommitmentDiscountStatus\", '') <> 'Unused' "
        f"THEN coalesce({consumed}, {priced}) END"
    )


def gpu_hours_sql() -> str:
    """Accelerator hours that row ``t`` of SKU ``s`` used; NULL for what was paid and not used."""
    hours = 'CAST(t."PricingQuantity" AS DECIMAL(26,12)) * s.x_GpuHoursPerUnit'
    return (
        f"CASE WHEN t.\"ChargeCategory\" = 'Usage' AND coalesce(t.\"CommitmentDiscountStatus\", '') <> 'Unused' "
        f"AND coalesce(t.\"CapacityReservationStatus\", '') <> 'Unused' THEN {hours} END"
    )
