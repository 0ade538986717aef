"""The first look at a bill: what is in it, summed through the other parser.

One pass over the file by the parser that the load will *not* use. It gives the control totals that the stored rows
must equal, and what the load needs to know beforehand: the distinct SKUs (recognised once each), the billing accounts
and months (what the load will replace), the tag keys in use, and what is remarkable about the file as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from outlay.config import TagSettings
from outlay.ledger.engine.duckdb import identifier
from outlay.ledger.tables.costs import COST_MEASURES
from outlay.money import MONEY_SQL, add_exactly
from outlay.problems import Problem
from outlay.sources.canonical import TagSpelling
from outlay.sources.commitments import Committed
from outlay.sources.degenerate import degenerate_providers
from outlay.sources.parsers import register, register_independently
from outlay.sources.recognise import SKU_COLUMNS
from outlay.sources.typed import Bill, bad_tags_text, rounded_sql, typed_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["WORKLOAD_TAG", "MonthTotals", "Survey", "spellings", "survey"]

WORKLOAD_TAG = "workload"
_OTHER_KEYS = (
    "BillingAccountId",
    "BillingCurrency",
    "ChargeCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
)


@dataclass(frozen=True, slots=True)
class MonthTotals:
    """Good rows of one account, month and currency: how many, and the sums of the measures (None: no value at all)."""

    account: str | None
    month: str
    currency: str
    rows: int
    sums: Mapping[str, Decimal | None]


@dataclass(frozen=True, slots=True)
class Survey:
    """What one file holds.

    ``plain``: every cell casts as it stands. ``tagsets``: the temporary table that has each distinct tags cell by its
    hash (``__tagset``) and what it says (``Tags``); None where there are too many to keep.
    """

    rows: int
    good_rows: int
    months: tuple[MonthTotals, ...]
    skus: tuple[tuple[object, ...], ...]
    tag_keys: tuple[str, ...]
    notices: tuple[Problem, ...]
    committed: tuple[Committed, ...]
    plain: bool
    tagsets: str | None


def survey(
    connection: duckdb.DuckDBPyConnection, bill: Bill, *, tagsets: str = "tagsets", slowly: bool = False
) -> Survey:
    """Look at every row once, and once more where a cell is written unusually or a row is bad.

    ``tagsets`` names the temporary table that is left behind. ``slowly`` is for a text file with malformed rows, of
    which the usual parsers make different things.
    """
    keep_tags = "Tags" in bill.mapping.columns
    # Parquet is cheap to read: what the load will do is asked of its own reader, the totals alone of the other. Text
    # is dear: one pass of the other parser answers both.
    independent = bill.raw.kind != "parquet"
    try:
        _group(connection, bill, plain=True, tags=keep_tags, independent=independent, slowly=slowly)
    except _out_of_memory():  # tags that differ row by row
        keep_tags = False
        _group(connection, bill, plain=True, tags=False, independent=independent, slowly=slowly)
    plain = not connection.execute("SELECT count(*) FROM survey WHERE NOT good").fetchall()[0][0]
    if not plain:
        _group(connection, bill, plain=False, tags=keep_tags, independent=True, slowly=slowly)
    counts = connection.execute(
        "SELECT coalesce(sum(rows), 0), coalesce(sum(rows) FILTER (good), 0) FROM survey"
    ).fetchall()[0]
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    skus = tuple(connection.execute(f"SELECT DISTINCT {keys} FROM survey").fetchall())
    _keep_tagsets(connection, bill, tagsets)
    found = Survey(
        int(counts[0]),
        int(counts[1]),
        _month_totals(connection, bill, surveyed=independent or not plain),
        skus,
        _tag_keys(connection, bill, tagsets if keep_tags else None),
        _notices(connection, bill, tagsets),
        _committed(connection),
        plain,
        tagsets if keep_tags else None,
    )
    connection.execute("DROP TABLE survey")
    return found


def _month_totals(connection: duckdb.DuckDBPyConnection, bill: Bill, *, surveyed: bool) -> tuple[MonthTotals, ...]:
    """The control totals of the good rows: from the survey, or (``surveyed`` False) of all rows by the other parser."""
    if surveyed:
        relation, rows, where = "survey", "sum(rows)", "good"
    else:
        control = {f"__control_{m}": _control(bill, m, plain=True) for m in COST_MEASURES}
        sql = typed_sql(
            bill,
            "{clause}",
            only=["BillingAccountId", "BillingCurrency"],
            extra=control,
            numbered=False,
            checked=False,
            plain=True,
        )
        clause = register_independently(connection, bill.raw, used_by=sql)
        relation = (
            f'(SELECT *, "BillingAccountId" AS account, "BillingPeriodStart" AS period, "BillingCurrency" AS currency '
            f"FROM ({sql.replace('{clause}', clause)}))"
        )
        rows, where = "count(*)", "true"
    sums = ", ".join(f"sum({identifier(f'__control_{m}')})" for m in COST_MEASURES)
    totals = connection.execute(
        f"SELECT account, strftime(period, '%Y-%m') AS month, currency, {rows}, {sums} "
        f"FROM {relation} WHERE {where} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return tuple(
        MonthTotals(row[0], row[1], row[2], int(row[3]), dict(zip(COST_MEASURES, row[4:], strict=True)))
        for row in totals
    )


def _out_of_memory() -> type[Exception]:
    import duckdb

    return duckdb.OutOfMemoryException


def _tags_said(bill: Bill, cell: str) -> str:
    """What a tags cell says, as a MAP."""
    if bill.types.get("Tags", "").startswith("MAP"):
        return cell
    return f"try_cast(try_cast({cell} AS JSON) AS MAP(VARCHAR, VARCHAR))"


def _group(
    connection: duckdb.DuckDBPyConnection, bill: Bill, *, plain: bool, tags: bool, independent: bool, slowly: bool
) -> None:
    """Table ``survey``: rows alike in SKU, account, period, currency and tags text, counted and summed.

    Rows are told apart by a 64-bit hash, as in :mod:`outlay.optimize.rollups`. ``plain`` asks for plain casts only;
    ``independent`` reads through the parser that the load will not use.
    """
    control = {f"__control_{m}": _control(bill, m, plain=plain) for m in COST_MEASURES}
    carried, remarks = _remarks(bill)
    tags_source = bill.mapping.columns["Tags"] if tags else "CAST(NULL AS VARCHAR)"
    sql = typed_sql(
        bill,
        "{clause}",
        only=[*SKU_COLUMNS, *_OTHER_KEYS],
        extra=control | carried | {"__tags": tags_source},
        numbered=False,
        plain=plain,
    )
    if independent:
        clause = register_independently(connection, bill.raw, used_by=sql, slowly=slowly)
    else:
        clause = register(connection, bill.raw, used_by=sql)
    keys = {name: identifier(name) for name in SKU_COLUMNS}
    keys |= {
        "account": '"BillingAccountId"',
        "period": '"BillingPeriodStart"',
        "currency": '"BillingCurrency"',
        "commitment": '"CommitmentDiscountId"',
        "commitment_status": '"CommitmentDiscountStatus"',
        "__tags": "__tags",
    }
    named = ", ".join(f"any_value({sql}) AS {identifier(name)}" for name, sql in keys.items())
    sums = ", ".join(f"sum({identifier(name)}) AS {identifier(name)}" for name in control)
    counted = ", ".join(f"count(*) FILTER (WHERE {sql}) AS {identifier(name)}" for name, sql in remarks.items())
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE survey AS SELECT * EXCLUDE (__key) FROM (SELECT "
        f"hash({', '.join(keys.values())}) AS __key, __problem IS NULL AS good, {named}, "
        f"count(*) AS rows, {sums}, {counted} FROM ({sql.replace('{clause}', clause)}) GROUP BY __key, good)"
    )


def _control(bill: Bill, measure: str, *, plain: bool) -> str:
    source = bill.mapping.control.get(measure) or bill.mapping.columns.get(measure)
    if source is None:
        return f"CAST(NULL AS {MONEY_SQL})"
    if bill.control_types.get(measure, "").startswith("DECIMAL"):
        return f"try_cast({source} AS {MONEY_SQL})"
    text = source if bill.raw.kind == "csv" else f"CAST({source} AS VARCHAR)"
    cast = f"try_cast({text} AS {MONEY_SQL})"
    if plain:
        return cast
    bare = f"replace(replace(trim({text}), '$', ''), ',', '')"
    return f"coalesce({cast}, try_cast({bare} AS {MONEY_SQL}))"


def _remarks(bill: Bill) -> tuple[dict[str, str], dict[str, str]]:
    """What is worth counting over the whole file: columns to carry along, and conditions over them."""
    period = bill.mapping.columns.get("BillingPeriodStart")
    is_usage = "\"ChargeCategory\" = 'Usage'" if "ChargeCategory" in bill.mapping.columns else "true"
    conditions = {
        "__list_missing": f'"__control_ListCost" IS NULL AND {is_usage}',
        "__effective_missing": f'"__control_EffectiveCost" IS NULL AND {is_usage}',
        "__rounded": "__finer",
        "__period_derived": "NOT __given_period",
    }
    given = "false" if period is None else f"({period}) IS NOT NULL"
    return {"__given_period": given, "__finer": rounded_sql(bill)}, conditions


def _committed(connection: duckdb.DuckDBPyConnection) -> tuple[Committed, ...]:
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    rows = connection.execute(
        f'SELECT commitment, {keys}, sum(coalesce("__control_EffectiveCost", "__control_BilledCost")) FROM survey '
        "WHERE good AND commitment IS NOT NULL AND commitment_status = 'Used' GROUP BY ALL"
    ).fetchall()
    return tuple(Committed(row[0], row[1:-1], row[-1]) for row in rows if row[-1] is not None)


def _keep_tagsets(connection: duckdb.DuckDBPyConnection, bill: Bill, name: str) -> None:
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT hash(__tags) AS __tagset, __tags, "
        f'{_tags_said(bill, "__tags")} AS "Tags", sum(rows) FILTER (good) AS rows '
        "FROM survey GROUP BY __tags"
    )
    row = connection.execute(f"SELECT count(*), count(DISTINCT __tagset) FROM {name}").fetchall()[0]
    if row[0] != row[1]:  # one chance in 2^64 a pair; a wrong join would put cost on a wrong team
        raise ArithmeticError("two tag sets of this bill share a 64-bit key; please report its tags")


def _tag_keys(connection: duckdb.DuckDBPyConnection, bill: Bill, tagsets: str | None) -> tuple[str, ...]:
    if "Tags" not in bill.mapping.columns:
        return ()
    if tagsets is not None:
        rows = connection.execute(f'SELECT DISTINCT unnest(map_keys("Tags")) FROM {tagsets}').fetchall()
    else:
        source = bill.mapping.columns["Tags"]
        clause = register(connection, bill.raw, used_by=source)
        said = _tags_said(bill, source)
        rows = connection.execute(f"SELECT DISTINCT unnest(map_keys({said})) FROM {clause}").fetchall()
    return tuple(sorted(row[0] for row in rows if row[0] is not None))


def _notices(connection: duckdb.DuckDBPyConnection, bill: Bill, tagsets: str) -> tuple[Problem, ...]:
    name = bill.raw.path.name
    notices = [*bill.raw.notices]
    notices += [Problem(name, None, notice.code, notice.message) for notice in bill.mapping.notices]
    groups = (
        'SELECT "ServiceProviderName" AS provider, "__control_BilledCost" AS billed, '
        '"__control_EffectiveCost" AS effective, "__control_EffectiveCost" IS NOT NULL AS effective_rows '
        "FROM survey WHERE good"
    )

    def rows() -> str:
        sql = typed_sql(bill, "{clause}", only=["ServiceProviderName", "ChargeCategory", *COST_MEASURES])
        return sql.replace("{clause}", register(connection, bill.raw, used_by=sql))

    for provider in degenerate_providers(connection, groups, rows):
        notices.append(
            Problem(
                name,
                None,
                "degenerate-effective-cost",
                f"{provider}: EffectiveCost is a whole number on every row while BilledCost is not",
            )
        )
    row = connection.execute(
        "SELECT coalesce(sum(rows), 0), coalesce(sum(__list_missing), 0), coalesce(sum(__rounded), 0), "
        "coalesce(sum(__period_derived), 0), coalesce(sum(__effective_missing), 0) FROM survey WHERE good"
    ).fetchall()[0]
    said = {notice.code for notice in notices}
    for code, count, text in (
        ("list-cost-unknown", row[1], "rows have no list cost"),
        ("amount-rounded", row[2], "rows have an amount with more than 18 decimals"),
        ("period-derived", row[3], "rows have no billing period"),
        ("effective-cost-unknown", row[4], "rows have no effective cost"),
    ):
        if count and code not in said:
            notices.append(Problem(name, None, code, f"{int(count):,} of {int(row[0]):,} {text}"))
    if not bill.types.get("Tags", "").startswith("MAP"):
        bad_tags = connection.execute(
            f'SELECT coalesce(sum(rows), 0) FROM {tagsets} WHERE __tags IS NOT NULL AND "Tags" IS NULL'
        ).fetchall()[0]
        if bad_tags[0]:
            notices.append(Problem(name, None, "bad-tags", bad_tags_text(int(bad_tags[0]))))
    return tuple(notices)


def spellings(settings: TagSettings, keys: Sequence[str]) -> tuple[list[TagSpelling], TagSpelling]:
    """How this bill spells each allocation tag, and the workload tag.

    Keys equal but for case and separators, or aliases.
    """

    def of(tag: str) -> TagSpelling:
        names = [tag, *settings.aliases.get(tag, ())]
        ordered = [key for name in names for key in keys if key == name]
        ordered += [key for name in names for key in keys if _fold(key) == _fold(name) and key not in ordered]
        return TagSpelling(tag, tuple(dict.fromkeys(ordered)))

    workload = TagSpelling(
        WORKLOAD_TAG,
        tuple(
            k
            for k in keys
            if _fold(k)
            in ("workload", "workloadkind", "workloadtype", *map(_fold, settings.aliases.get(WORKLOAD_TAG, ())))
        ),
    )
    return [of(tag) for tag in settings.required], workload


def _fold(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def sums_by_month(months: Sequence[MonthTotals]) -> dict[tuple[str, str], tuple[int, dict[str, Decimal]]]:
    """Rows and sums by month and currency.

    A measure without any value counts as 0, as an engine's sum over nothing would not.
    """
    grouped: dict[tuple[str, str], list[MonthTotals]] = {}
    for one in months:
        grouped.setdefault((one.month, one.currency), []).append(one)
    return {
        key: (
            sum(m.rows for m in members),
            {c: add_exactly(m.sums[c] or Decimal(0) for m in members) for c in COST_MEASURES},
        )
        for key, members in grouped.items()
    }
