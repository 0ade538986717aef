"""The first look at a bill: what is in it, summed through the other parser.

One pass over the file by the parser that the load will *not* use. It gives the control totals that the stored rows
must equal, and what the load needs to know beforehand: the distinct SKUs (recognised once each), the billing accounts
and months (what the load will replace), the tag keys in use, and what is remarkable about the file as a whole.
"""

from __future__ import annotations

import re
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
from outlay.sources.raw import register, register_independently
from outlay.sources.recognise import SKU_COLUMNS
from outlay.sources.typed import Bill, typed_sql

if TYPE_CHECKING:
    import duckdb

__all__ = ["WORKLOAD_TAG", "MonthTotals", "Survey", "source_slug", "spellings", "survey"]

WORKLOAD_TAG = "workload"
_DEGENERATE_FROM = 5  # SKUs with fractional billed sums; fewer say nothing about the effective ones


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

    ``plain``: every cell casts as it stands. ``tagsets``: the session's temporary table ``tagsets`` has each distinct
    tags text (``__tagset``, its hash) and what it says (``Tags``); False where tags are no text, or too many to keep.
    """

    rows: int
    good_rows: int
    months: tuple[MonthTotals, ...]
    skus: tuple[tuple[object, ...], ...]
    tag_keys: tuple[str, ...]
    notices: tuple[Problem, ...]
    plain: bool
    tagsets: bool


def survey(connection: duckdb.DuckDBPyConnection, bill: Bill) -> Survey:
    """Read the file through the independent parser: once if every cell is written plainly, else once more."""
    texts = _has_tag_texts(bill)
    try:
        plain = _group(connection, bill, plain=True, tags=texts)
    except _out_of_memory():  # tags that differ row by row
        texts = False
        plain = _group(connection, bill, plain=True, tags=False)
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    sums = ", ".join(f"sum({identifier(f'__control_{m}')})" for m in COST_MEASURES)
    counts = connection.execute(
        "SELECT coalesce(sum(rows), 0), coalesce(sum(rows) FILTER (good), 0) FROM survey"
    ).fetchall()[0]
    totals = connection.execute(
        f"SELECT account, strftime(period, '%Y-%m') AS month, currency, sum(rows), {sums} "
        f"FROM survey WHERE good GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    months = tuple(
        MonthTotals(row[0], row[1], row[2], int(row[3]), dict(zip(COST_MEASURES, row[4:], strict=True)))
        for row in totals
    )
    skus = tuple(connection.execute(f"SELECT DISTINCT {keys} FROM survey").fetchall())
    _tagsets(connection)
    found = Survey(
        int(counts[0]),
        int(counts[1]),
        months,
        skus,
        _tag_keys(connection, bill, texts=texts),
        _notices(connection, bill),
        plain,
        texts,
    )
    connection.execute("DROP TABLE survey")
    return found


def _out_of_memory() -> type[Exception]:
    import duckdb

    return duckdb.OutOfMemoryException


def _has_tag_texts(bill: Bill) -> bool:
    return "Tags" in bill.mapping.columns and not bill.types["Tags"].startswith("MAP")


def _group(connection: duckdb.DuckDBPyConnection, bill: Bill, *, plain: bool, tags: bool) -> bool:
    """Table ``survey``: rows alike in SKU, account, period, currency and tags text, counted and summed.

    Rows are told apart by a 64-bit hash, as in :mod:`outlay.optimize.rollups`. Returns whether plain casts were enough;
    where they were not the file is grouped again with every cast that Outlay knows.
    """
    control = {f"__control_{m}": _control(bill, m, plain=plain) for m in COST_MEASURES}
    remarks = _remarks(bill, plain=plain)
    tags_source = bill.mapping.columns["Tags"] if tags else "CAST(NULL AS VARCHAR)"
    sql = typed_sql(
        bill,
        "{clause}",
        only=[*SKU_COLUMNS, "BillingAccountId", "BillingCurrency"],
        extra=control | {"__tags": tags_source, **remarks},
        numbered=False,
        plain=plain,
    )
    clause = register_independently(connection, bill.raw, used_by=sql)
    keys = {name: identifier(name) for name in SKU_COLUMNS}
    keys |= {
        "account": '"BillingAccountId"',
        "period": '"BillingPeriodStart"',
        "currency": '"BillingCurrency"',
        "__tags": "__tags",
    }
    named = ", ".join(f"any_value({sql}) AS {identifier(name)}" for name, sql in keys.items())
    sums = ", ".join(f"sum({identifier(name)}) AS {identifier(name)}" for name in control)
    counted = ", ".join(f"count_if({identifier(name)}) AS {identifier(name)}" for name in remarks)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE survey AS SELECT * EXCLUDE (__key) FROM (SELECT "
        f"hash({', '.join(keys.values())}) AS __key, __problem IS NULL AS good, {named}, "
        f"count(*) AS rows, {sums}, {counted} FROM ({sql.replace('{clause}', clause)}) GROUP BY __key, good)"
    )
    if plain and connection.execute("SELECT count(*) FROM survey WHERE NOT good").fetchall()[0][0]:
        _group(connection, bill, plain=False, tags=tags)
        return False
    return plain


def _control(bill: Bill, measure: str, *, plain: bool) -> str:
    source = bill.mapping.control.get(measure) or bill.mapping.columns.get(measure)
    if source is None:
        return f"CAST(NULL AS {MONEY_SQL})"
    if bill.types.get(measure, "").startswith("DECIMAL") and measure not in bill.mapping.control:
        return f"try_cast({source} AS {MONEY_SQL})"
    text = source if bill.raw.kind == "csv" else f"CAST({source} AS VARCHAR)"
    cast = f"try_cast({text} AS {MONEY_SQL})"
    if plain:
        return cast
    bare = f"replace(replace(trim({text}), '$', ''), ',', '')"
    return f"coalesce({cast}, try_cast({bare} AS {MONEY_SQL}))"


def _is_usage(bill: Bill) -> str:
    category = bill.mapping.columns.get("ChargeCategory")
    return "true" if category is None else f"({category}) = 'Usage'"


def _remarks(bill: Bill, *, plain: bool) -> dict[str, str]:
    """Conditions worth counting over the whole file."""
    remarks = {
        "__list_missing": f"{_control(bill, 'ListCost', plain=plain)} IS NULL AND {_is_usage(bill)}",
    }
    texts = [bill.mapping.columns[m] for m in COST_MEASURES if bill.types.get(m) == "VARCHAR"]
    long = " OR ".join(
        f"(length({t}) > 20 AND contains({t}, '.') AND length({t}) - strpos({t}, '.') > 18)" for t in texts
    )
    remarks["__rounded"] = long or "false"
    has_period = "BillingPeriodStart" in bill.mapping.columns
    remarks["__period_derived"] = f"({bill.mapping.columns['BillingPeriodStart']}) IS NULL" if has_period else "true"
    return remarks


def _tagsets(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE tagsets AS SELECT hash(__tags) AS __tagset, __tags, "
        'try_cast(try_cast(__tags AS JSON) AS MAP(VARCHAR, VARCHAR)) AS "Tags", sum(rows) FILTER (good) AS rows '
        "FROM survey GROUP BY __tags"
    )
    row = connection.execute("SELECT count(*), count(DISTINCT __tagset) FROM tagsets").fetchall()[0]
    if row[0] != row[1]:  # one chance in 2^64 a pair; a wrong join would put cost on a wrong team
        raise ArithmeticError("two tag sets of this bill share a 64-bit key; please report its tags")


def _tag_keys(connection: duckdb.DuckDBPyConnection, bill: Bill, *, texts: bool) -> tuple[str, ...]:
    if "Tags" not in bill.mapping.columns:
        return ()
    if texts:
        rows = connection.execute('SELECT DISTINCT unnest(map_keys("Tags")) FROM tagsets').fetchall()
    else:
        source = bill.mapping.columns["Tags"]
        clause = register(connection, bill.raw, used_by=source)
        if not bill.types["Tags"].startswith("MAP"):
            source = f"try_cast(try_cast({source} AS JSON) AS MAP(VARCHAR, VARCHAR))"
        rows = connection.execute(f"SELECT DISTINCT unnest(map_keys({source})) FROM {clause}").fetchall()
    return tuple(sorted(row[0] for row in rows if row[0] is not None))


def _notices(connection: duckdb.DuckDBPyConnection, bill: Bill) -> tuple[Problem, ...]:
    name = bill.raw.path.name
    notices = [Problem(name, None, notice.code, notice.message) for notice in bill.mapping.notices]
    # A sum with decimals proves a row with decimals; five SKUs whose billed sums have them and none whose effective
    # sum has can't be chance.
    for issuer, fractional, effective, present in connection.execute(
        "SELECT coalesce(\"ServiceProviderName\", 'the bill'), "
        'count_if("__control_BilledCost" <> round("__control_BilledCost", 0)), '
        'count_if("__control_EffectiveCost" <> round("__control_EffectiveCost", 0)), count("__control_EffectiveCost") '
        "FROM survey WHERE good GROUP BY 1 ORDER BY 1"
    ).fetchall():
        if fractional >= _DEGENERATE_FROM and present and not effective:
            notices.append(
                Problem(
                    name,
                    None,
                    "degenerate-effective-cost",
                    f"{issuer}: EffectiveCost is a whole number on every row while BilledCost is not",
                )
            )
    row = connection.execute(
        "SELECT coalesce(sum(rows), 0), coalesce(sum(__list_missing), 0), coalesce(sum(__rounded), 0), "
        "coalesce(sum(__period_derived), 0) FROM survey WHERE good"
    ).fetchall()[0]
    said = {notice.code for notice in notices}
    for code, count, text in (
        ("list-cost-unknown", row[1], "rows have no list cost"),
        ("amount-rounded", row[2], "rows have an amount with more than 18 decimals"),
        ("period-derived", row[3], "rows have no billing period"),
    ):
        if count and code not in said:
            notices.append(Problem(name, None, code, f"{int(count):,} of {int(row[0]):,} {text}"))
    bad_tags = connection.execute(
        "SELECT coalesce(sum(rows), 0) FROM tagsets WHERE __tags IS NOT NULL AND "
        "coalesce(json_type(try_cast(__tags AS JSON)), '') <> 'OBJECT'"
    ).fetchall()[0]
    if bad_tags[0]:
        notices.append(
            Problem(name, None, "bad-tags", f"{int(bad_tags[0]):,} rows have tags that are not a JSON object")
        )
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


def source_slug(account: str | None) -> str:
    """The source name of a billing account: its last path component, in characters that any file system takes."""
    if account is None:
        return "no-account"
    last = account.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[^a-z0-9._-]+", "-", last.lower()).strip("-.") or "no-account"


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
