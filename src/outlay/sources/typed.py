"""Bill rows with typed FOCUS columns: casting what the text says, and saying what is wrong with a row.

Text that does not cast is found by comparing what was there with what came out: the row then gets a problem code
instead of a wrong number. Cells may be written in more ways than one (``$10,000.00``, ``10/31/2026``); asking for all
of them costs twice the plain cast, so a bill that the survey found to be written plainly is read with plain casts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outlay.ledger.engine.duckdb import identifier, literal
from outlay.ledger.tables.costs import focus_columns
from outlay.money import MONEY_SCALE, MONEY_SQL
from outlay.sources.raw import RawFile
from outlay.sources.reader import RowMapping

if TYPE_CHECKING:
    import duckdb

__all__ = ["Bill", "bad_tags_text", "problem_text", "quarantine_sql", "rounded_sql", "typed_sql"]

_EARLIEST_YEAR = 1990
_SLASHED_DATES = "['%m/%d/%y', '%m/%d/%y %H:%M', '%m/%d/%Y', '%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M:%S']"
_DECORATED = r"-?\$?[0-9]{1,3}(,[0-9]{3})*\.[0-9]+|-?\$[0-9]+(\.[0-9]+)?"
"""Spreadsheet money that can mean one thing only: ``$10,000.00``.

``1,234`` could be one or a thousand, so it is refused.
"""
_UNDERSCORED = identifier("__underscored")
_DECIMAL_TYPE = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_ASKED = (
    "BilledCost",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "PricingQuantity",
)
_CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
_USUAL_CURRENCIES = ("USD", "EUR", "GBP")  # compared before the pattern is, which costs more


@dataclass(frozen=True, slots=True)
class Bill:
    """One file with the mapping that its reader gave it, and the DuckDB types of the mapping's expressions."""

    raw: RawFile
    mapping: RowMapping
    types: dict[str, str]
    control_types: dict[str, str]

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, raw: RawFile, mapping: RowMapping) -> Bill:
        """Ask DuckDB for the type of each mapped expression, on an empty relation of the file's shape."""
        shape = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in raw.columns.items())

        def types(expressions: Mapping[str, str]) -> dict[str, str]:
            if not expressions:
                return {}
            wanted = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in expressions.items())
            rows = connection.execute(f"DESCRIBE SELECT {wanted} FROM (SELECT {shape})").fetchall()
            return {row[0]: row[1] for row in rows}

        return cls(raw, mapping, types(mapping.columns), types(mapping.control))


def typed_sql(
    bill: Bill,
    clause: str,
    *,
    only: Iterable[str] | None = None,
    extra: Mapping[str, str] | None = None,
    numbered: bool = True,
    checked: bool = True,
    plain: bool = False,
) -> str:
    """SELECT of ``__row``, ``__problem`` and the typed FOCUS columns (all, or ``only`` those named) from ``clause``.

    ``extra`` adds expressions over the raw columns; ``numbered`` is False for a relation without ``__row``; ``checked``
    is False for a file whose every row is known to be good; ``plain`` reads cells in their plain form only (a row with
    another gets a problem).
    """
    wanted = set(only) if only is not None else {c.name for c in focus_columns()}
    wanted |= {"BillingPeriodStart", "BillingPeriodEnd"}
    needed = wanted | {"ChargePeriodStart"} | (_checked_columns(bill) if checked else set())
    inner = ["__row" if numbered else "CAST(NULL AS BIGINT) AS __row"]
    inner += [
        f"{_typed(bill, c.name, c.sql_type, plain=plain)} AS {identifier(c.name)}"
        for c in focus_columns()
        if c.name in needed
    ]
    inner += [f"{sql} AS {identifier(name)}" for name, sql in (extra or {}).items()]
    problem = "CAST(NULL AS VARCHAR)"
    if checked:
        inner += [f"({bill.mapping.columns[name]}) IS NOT NULL AS {_given(name)}" for name in _castable(bill)]
        inner.append(f"{_underscored(bill)} AS {_UNDERSCORED}")
        problem = _problem(bill)
    start, end = _billing_period()
    fields = ["__row", f"{problem} AS __problem"]
    fields += [
        identifier(c.name)
        for c in focus_columns()
        if c.name in wanted and c.name not in ("BillingPeriodStart", "BillingPeriodEnd")
    ]
    fields += [f'{start} AS "BillingPeriodStart"', f'{end} AS "BillingPeriodEnd"']
    fields += [identifier(name) for name in extra or {}]
    return f"SELECT {', '.join(fields)} FROM (SELECT {', '.join(inner)} FROM {clause})"


def quarantine_sql(bill: Bill, clause: str) -> str:
    """SELECT of ``__row``, ``__problem`` and the raw row as JSON, for the rows that must stay out."""
    packed = ", ".join(f"{literal(name)}: {identifier(name)}" for name in bill.raw.columns)
    typed = typed_sql(bill, clause, only=(), extra={"__raw": f"{{{packed}}}"})
    return (
        f"SELECT __row, __problem, CAST(to_json(__raw) AS VARCHAR) FROM ({typed}) "
        f"WHERE __problem IS NOT NULL ORDER BY __row"
    )


def _typed(bill: Bill, name: str, sql_type: str, *, plain: bool) -> str:
    """The cast expression of one FOCUS column; NULL where the mapping has none or the text does not cast."""
    source = bill.mapping.columns.get(name)
    if source is None:
        return f"CAST(NULL AS {sql_type})"
    found = bill.types[name]
    if sql_type == "TIMESTAMP":
        return _time(source, found, plain=plain)
    if sql_type == MONEY_SQL:
        return _decimal(source, found, plain=plain)
    if sql_type.startswith("MAP"):
        return source if found.startswith("MAP") else f"try_cast(try_cast({source} AS JSON) AS {sql_type})"
    if found == "VARCHAR":
        return source
    return (
        f"CAST(to_json({source}) AS VARCHAR)" if found.startswith(("MAP", "STRUCT")) else f"CAST({source} AS VARCHAR)"
    )


def _decimal(source: str, found: str, *, plain: bool) -> str:
    if found in ("DOUBLE", "FLOAT"):  # the shortest decimal that names the float, not its binary expansion
        return f"try_cast(CAST({source} AS VARCHAR) AS {MONEY_SQL})"
    if found == MONEY_SQL:
        return source
    if _always_fits(found):
        return f"CAST({source} AS {MONEY_SQL})"
    cast = f"try_cast({source} AS {MONEY_SQL})"
    if plain or found != "VARCHAR":
        return cast
    decorated = f"regexp_full_match(trim({source}), {literal(_DECORATED)})"
    bare = f"replace(replace(trim({source}), '$', ''), ',', '')"
    return f"coalesce({cast}, CASE WHEN {decorated} THEN try_cast({bare} AS {MONEY_SQL}) END)"


def _texts(bill: Bill) -> dict[str, str]:
    """The amounts that the file has as text: the text of each."""
    money = {c.name for c in focus_columns() if c.sql_type == MONEY_SQL}
    kinds = {"VARCHAR": "{}", "JSON": "CAST({} AS VARCHAR)"}
    return {
        name: kinds[bill.types[name]].format(bill.mapping.columns[name])
        for name in _castable(bill)
        if name in money and bill.types[name] in kinds
    }


def _any_has(texts: Iterable[str], character: str) -> str:
    """Whether one of several texts has a character: one search a row costs a tenth of one a cell."""
    return f"contains(concat({', '.join(texts)}), {literal(character)})"


def _underscored(bill: Bill) -> str:
    """The first amount that is written with an underscore, or NULL.

    DuckDB reads 1_000 as a thousand, as SQL has it. No bill is known to write so, and what it means is a guess.
    """
    texts = _texts(bill)
    if not texts:
        return "CAST(NULL AS VARCHAR)"
    named = " ".join(f"WHEN contains({text}, '_') THEN {literal(name)}" for name, text in texts.items())
    return f"CASE WHEN {_any_has(texts.values(), '_')} THEN CASE {named} END END"


def rounded_sql(bill: Bill) -> str:
    """Whether an amount of a raw row has more decimals than the ledger keeps: it is rounded, to nothing even."""
    checks, texts = [], _texts(bill)
    if texts:
        # A text without an exponent has that many decimals only if it is long.
        maybe = [f"strlen({text}) > {MONEY_SCALE + 1}" for text in texts.values()]
        maybe.append(_any_has(texts.values(), "-"))
        finer = " OR ".join(_is_finer(text) for text in texts.values())
        checks.append(f"CASE WHEN {' OR '.join(maybe)} THEN {finer} END")
    for name in _castable(bill):
        source, found = bill.mapping.columns[name], bill.types[name]
        if found in ("DOUBLE", "FLOAT"):  # digits beyond the 17th are noise: what matters is that it vanishes
            checks.append(f"({source} <> 0 AND abs({source}) < 5e-{MONEY_SCALE + 1})")
        elif (match := _DECIMAL_TYPE.fullmatch(found)) and int(match[2]) > MONEY_SCALE:
            checks.append(_is_finer(f"rtrim(CAST({source} AS VARCHAR), '0')"))
    return " OR ".join(f"coalesce({check}, false)" for check in checks) or "false"


def _is_finer(text: str) -> str:
    """Whether the text of a number has more decimals than the ledger keeps."""
    places = f"strlen({text}) - strpos({text}, '.')"
    fraction = f"rtrim(regexp_extract({text}, '\\.(\\d*)[eE]', 1), '0')"
    whole = f"ltrim(regexp_extract({text}, '(\\d*)\\.?\\d*[eE]', 1), '0')"
    exponent = f"try_cast(regexp_extract({text}, '[eE]([+-]?\\d+)\\s*$', 1) AS INTEGER)"
    decimals = (
        f"CASE WHEN {fraction} <> '' THEN length({fraction}) ELSE length(rtrim({whole}, '0')) - length({whole}) END"
    )
    return (
        f"CASE WHEN contains({text}, 'E') OR contains({text}, 'e') "
        f"THEN coalesce(({fraction} <> '' OR {whole} <> '') AND ({decimals}) - {exponent} > {MONEY_SCALE}, false) "
        f"ELSE contains({text}, '.') AND {places} > {MONEY_SCALE} END"
    )


def _always_fits(found: str) -> bool:
    """Whether every value of a type casts to the ledger's amounts, so that no row need be asked."""
    match = _DECIMAL_TYPE.fullmatch(found)
    if match is None:
        return found in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
    precision, scale = int(match[1]), int(match[2])
    return scale <= MONEY_SCALE and precision - scale <= 38 - MONEY_SCALE


def _time(source: str, found: str, *, plain: bool) -> str:
    if found != "VARCHAR":
        return f"CAST({source} AS TIMESTAMP)"
    # TIMESTAMP is two to five times as fast as TIMESTAMPTZ, and ignores an offset: only for texts that have none.
    is_utc = f"ends_with({source}, 'Z') OR (length({source}) = 19 AND substring({source}, 17, 1) = ':')"
    zoned = (
        f"CASE WHEN {is_utc} THEN try_cast({source} AS TIMESTAMP) "
        f"ELSE CAST(try_cast({source} AS TIMESTAMPTZ) AS TIMESTAMP) END"
    )
    if plain:
        return zoned
    slashed = f"CASE WHEN contains({source}, '/') THEN try_strptime({source}, {_SLASHED_DATES}) END"
    return f"coalesce({slashed}, {zoned})"


def _castable(bill: Bill) -> list[str]:
    """The amounts and times whose cells may not cast."""
    return [
        wanted.name
        for wanted in focus_columns()
        if wanted.name in bill.mapping.columns
        and wanted.sql_type in (MONEY_SQL, "TIMESTAMP")
        and bill.types[wanted.name] != wanted.sql_type
        and not _always_fits(bill.types[wanted.name])
    ]


def _checked_columns(bill: Bill) -> set[str]:
    return {*_castable(bill), *_ASKED}


def _given(name: str) -> str:
    """The name of the column that tells whether the file gives a cell."""
    return identifier(f"__given {name}")


def _problem(bill: Bill) -> str:
    """``code|column`` of the first thing that keeps a row out, or NULL, over typed columns and :func:`_given`."""
    checks = []
    underscored = f"WHEN {_UNDERSCORED} IS NOT NULL THEN 'unparsable-amount|' || {_UNDERSCORED} "
    for name in _castable(bill):
        column = identifier(name)
        if {c.name: c.sql_type for c in focus_columns()}[name] == MONEY_SQL:
            checks.append((f"{_given(name)} AND {column} IS NULL", "unparsable-amount", name))
        else:
            bad = f"{_given(name)} AND ({column} IS NULL OR year({column}) < {_EARLIEST_YEAR})"
            checks.append((bad, "unparsable-time", name))
    categories = ", ".join(literal(category) for category in _CHARGE_CATEGORIES)
    usual = ", ".join(literal(code) for code in _USUAL_CURRENCIES)
    checks += [
        ('"BilledCost" IS NULL', "missing-amount", "BilledCost"),
        ('"BillingCurrency" IS NULL', "missing-currency", "BillingCurrency"),
        (
            f'"BillingCurrency" NOT IN ({usual}) AND NOT regexp_full_match("BillingCurrency", \'[A-Z]{{3}}\')',
            "bad-currency",
            "BillingCurrency",
        ),
        ('"ChargePeriodStart" IS NULL', "missing-time", "ChargePeriodStart"),
        ('"ChargePeriodEnd" < "ChargePeriodStart"', "period-reversed", "ChargePeriodEnd"),
        ('"BillingPeriodEnd" < "BillingPeriodStart"', "period-reversed", "BillingPeriodEnd"),
        (f'"ChargeCategory" NOT IN ({categories})', "unknown-charge-category", "ChargeCategory"),
        (
            '"PricingQuantity" < 0 AND "BilledCost" > 0 AND "ChargeCategory" = \'Usage\'',
            "negative-quantity",
            "PricingQuantity",
        ),
    ]
    cases = " ".join(f"WHEN {condition} THEN {literal(f'{code}|{name}')}" for condition, code, name in checks)
    return f"CASE {underscored}{cases} END"


def _billing_period() -> tuple[str, str]:
    """The billing period over typed columns: as billed, else the calendar month of the charge."""
    month = "date_trunc('month', \"ChargePeriodStart\")"
    return (
        f'coalesce("BillingPeriodStart", CAST({month} AS TIMESTAMP))',
        f'coalesce("BillingPeriodEnd", CAST({month} + INTERVAL 1 MONTH AS TIMESTAMP))',
    )


def bad_tags_text(rows: int) -> str:
    """The sentence of the notice ``bad-tags``."""
    return f"{rows:,} rows have tags that are not a JSON object, or that give a key twice"


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
