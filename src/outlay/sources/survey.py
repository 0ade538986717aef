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
from outlay.sources.canonical import Bill, TagSpelling, typed_sql
from outlay.sources.raw import register_independently
from outlay.sources.recognise import SKU_COLUMNS

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
    """What one file holds."""

    rows: int
    good_rows: int
    months: tuple[MonthTotals, ...]
    skus: tuple[tuple[object, ...], ...]
    tag_keys: tuple[str, ...]
    notices: tuple[Problem, ...]


def survey(connection: duckdb.DuckDBPyConnection, bill: Bill) -> Survey:
    """Read the file once through the independent parser."""
    control = {f"__control_{m}": _control(bill, m) for m in COST_MEASURES}
    only = [*SKU_COLUMNS, "BillingAccountId", "BillingCurrency", "InvoiceIssuerName", "Tags"]
    plain_tags = not bill.types.get("Tags", "").startswith("MAP")
    tags_source = bill.mapping.columns.get("Tags", "CAST(NULL AS VARCHAR)") if plain_tags else "CAST(NULL AS VARCHAR)"
    sql = typed_sql(
        bill,
        "{clause}",
        only=[c for c in only if c != "Tags"],
        extra=control | {"__tags": tags_source, **_remarks(bill)},
        numbered=False,
    )
    clause = register_independently(connection, bill.raw, used_by=sql)
    keys = ", ".join(identifier(name) for name in SKU_COLUMNS)
    sums = ", ".join(f"sum({identifier(name)}) AS {identifier(name)}" for name in control)
    remarks = ", ".join(f"count_if({identifier(name)}) AS {identifier(name)}" for name in _remarks(bill))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE survey AS SELECT __problem IS NULL AS good, {keys}, "
        f'"BillingAccountId" AS account, '
        f'strftime("BillingPeriodStart", \'%Y-%m\') AS month, "BillingCurrency" AS currency, __tags, '
        f"count(*) AS rows, {sums}, {remarks} FROM ({sql.replace('{clause}', clause)}) GROUP BY ALL"
    )
    counts = connection.execute(
        "SELECT coalesce(sum(rows), 0), coalesce(sum(rows) FILTER (good), 0) FROM survey"
    ).fetchall()[0]
    totals = connection.execute(
        f"SELECT account, month, currency, sum(rows), {', '.join(f'sum({identifier(n)})' for n in control)} "
        f"FROM survey WHERE good GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    months = tuple(
        MonthTotals(row[0], row[1], row[2], int(row[3]), dict(zip(COST_MEASURES, row[4:], strict=True)))
        for row in totals
    )
    skus = tuple(connection.execute(f"SELECT DISTINCT {keys} FROM survey").fetchall())
    found = Survey(
        int(counts[0]),
        int(counts[1]),
        months,
        skus,
        _tag_keys(connection, bill, plain=plain_tags),
        _notices(connection, bill),
    )
    connection.execute("DROP TABLE survey")
    return found


def _control(bill: Bill, measure: str) -> str:
    source = bill.mapping.control.get(measure) or bill.mapping.columns.get(measure)
    if source is None:
        return f"CAST(NULL AS {MONEY_SQL})"
    text = source if bill.raw.kind == "csv" else f"CAST({source} AS VARCHAR)"
    bare = f"replace(replace(trim({text}), '$', ''), ',', '')"
    return f"coalesce(try_cast({text} AS {MONEY_SQL}), try_cast({bare} AS {MONEY_SQL}))"


def _is_usage(bill: Bill) -> str:
    category = bill.mapping.columns.get("ChargeCategory")
    return "true" if category is None else f"({category}) = 'Usage'"


def _remarks(bill: Bill) -> dict[str, str]:
    """Conditions worth counting over the whole file."""
    remarks = {
        "__list_missing": f"{_control(bill, 'ListCost')} IS NULL AND {_is_usage(bill)}",
    }
    texts = [bill.mapping.columns[m] for m in COST_MEASURES if bill.types.get(m) == "VARCHAR"]
    long = " OR ".join(
        f"(length({t}) > 20 AND contains({t}, '.') AND length({t}) - strpos({t}, '.') > 18)" for t in texts
    )
    remarks["__rounded"] = long or "false"
    has_period = "BillingPeriodStart" in bill.mapping.columns
    remarks["__period_derived"] = f"({bill.mapping.columns['BillingPeriodStart']}) IS NULL" if has_period else "true"
    return remarks


def _tag_keys(connection: duckdb.DuckDBPyConnection, bill: Bill, *, plain: bool) -> tuple[str, ...]:
    if "Tags" not in bill.mapping.columns:
        return ()
    if plain:
        rows = connection.execute(
            "SELECT DISTINCT unnest(map_keys(try_cast(try_cast(__tags AS JSON) AS MAP(VARCHAR, VARCHAR)))) "
            "FROM (SELECT DISTINCT __tags FROM survey)"
        ).fetchall()
    else:
        from outlay.sources.raw import register

        source = bill.mapping.columns["Tags"]
        clause = register(connection, bill.raw, used_by=source)
        rows = connection.execute(f"SELECT DISTINCT unnest(map_keys({source})) FROM {clause}").fetchall()
    return tuple(sorted(row[0] for row in rows if row[0] is not None))


def _notices(connection: duckdb.DuckDBPyConnection, bill: Bill) -> tuple[Problem, ...]:
    name = bill.raw.path.name
    notices = [Problem(name, None, notice.code, notice.message) for notice in bill.mapping.notices]
    # A sum with decimals proves a row with decimals; five SKUs whose billed sums have them and none whose effective sum
    # has
    # can't be chance.
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
        "SELECT coalesce(sum(rows), 0) FROM survey WHERE good AND __tags IS NOT NULL AND "
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
