"""The table of GPU prices: one row is what one hour of one instance costs, and where and when that was read.

The shipped seed (``data/gpu_prices.csv``) and every refreshed catalogue have the same columns, so that a file which
``outlay prices gpus refresh`` wrote can be read, corrected by hand and kept under version control:
``provider,instance_type,region,purchase,unit_price,currency,valid_from,valid_to,as_of,source``.

- ``unit_price`` is per *instance*-hour. The price of a GPU-hour is derived, since instances are what is sold.
- ``purchase`` is ``on_demand``, ``spot`` or a reservation with its term and payment (:data:`PURCHASES`). A fee paid
  upfront is spread over the hours of the term, so that every price is what an hour costs.
- ``[valid_from, valid_to)`` are days. A price that was merely seen on a day is taken to hold from that day on, never
  before it: AWS cut its H100 prices by 44% in June 2025, and today's price would be wrong for all bills before.
- ``as_of`` is the day on which ``source`` was read: the price's age is counted from it.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import TypeVar

from outlay.errors import UnreadableError, UsageError, nearest
from outlay.money import MONEY_SCALE, plain
from outlay.problems import Problem

__all__ = [
    "COLUMNS",
    "PURCHASES",
    "BadLine",
    "Catalogue",
    "ListedPrice",
    "read_table",
    "rounded_price",
    "rows_of",
    "the_amount",
    "the_currency",
    "the_day",
    "the_price",
    "unusable",
    "write_table",
]

_TERMS = tuple(
    f"reserved_{years}yr_{payment}_upfront{offering}"
    for offering in ("", "_convertible")
    for years in (1, 3)
    for payment in ("no", "partial", "all")
)
PURCHASES = ("on_demand", "spot", *_TERMS)
"""The ways to buy an hour that the table knows."""

_CODE = "unusable-price"
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_DEAREST = Decimal(1_000_000)
"""An hour of no instance costs more: a number beyond it is a slip, or a placeholder."""
_WIDE = Context(prec=80)
_T = TypeVar("_T")


class BadLine(ValueError):
    """A line that can't be used; its message says why."""


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A row: what an instance-hour costs. ``valid_from`` is inclusive, ``valid_to`` exclusive; None is open."""

    provider: str
    instance_type: str
    region: str | None
    purchase: str
    unit_price: Decimal
    currency: str
    valid_from: date | None
    valid_to: date | None
    as_of: date | None
    source: str


COLUMNS = tuple(field.name for field in fields(ListedPrice))
_REQUIRED = ("provider", "instance_type", "region", "purchase", "unit_price", "currency", "as_of")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The prices that a file told, and what was wrong with its other lines."""

    prices: tuple[ListedPrice, ...]
    problems: tuple[Problem, ...] = ()


def unusable(source: str, line: int | None, message: str) -> Problem:
    """A line of a price file that is left out."""
    return Problem(source, line, _CODE, message)


def rows_of(lines: Iterable[str], problems: list[Problem], source: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each CSV row; what is no CSV goes to ``problems`` and reading goes on."""
    reader = csv.reader(lines)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(unusable(source, reader.line_num, f"the line is not CSV: {error}"))
            continue
        if row:
            yield reader.line_num, row


def the_price(text: str) -> Decimal:
    """A price above zero at 18 decimals. Raises :class:`BadLine`: a price of 0 is one that is not known."""
    found = the_amount(text)
    if not found:
        raise BadLine(f"a price of {text.strip()[:40]} is not taken for free")
    return found


def the_amount(text: str, *, most: Decimal = _DEAREST) -> Decimal:
    """A number from zero to ``most`` at 18 decimals. Raises :class:`BadLine`."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise BadLine(f"'{text[:40]}' is not a price" if text else "no price")
    found = Decimal(text)
    if found > most:
        raise BadLine(f"{text[:40]} is too much to be a price")
    return rounded_price(found)


def rounded_price(price: Decimal) -> Decimal:
    """At the ledger's 18 decimals; exact for every price that is told, rounded where a fee is spread over hours."""
    return price.quantize(Decimal(1).scaleb(-MONEY_SCALE), rounding=ROUND_HALF_EVEN, context=_WIDE).normalize(_WIDE)


def the_day(text: str) -> date:
    """A day, from a date or an ISO time. Raises :class:`BadLine`."""
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise BadLine(f"'{text[:40]}' is not a date such as 2026-10-01") from None


def the_currency(text: str) -> str:
    """An ISO 4217 code. Raises :class:`BadLine`."""
    code = text.strip().upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise BadLine(f"currency '{text[:40]}' is not an ISO 4217 code")
    return code


def read_table(lines: Iterable[str], source: str) -> Catalogue:
    """A table of GPU prices. Raises :class:`UnreadableError` where it is none; bad lines are problems."""
    problems: list[Problem] = []
    prices: list[ListedPrice] = []
    rows = rows_of(lines, problems, source)
    _, header = next(rows, (0, []))
    names = [name.strip().removeprefix("\ufeff") for name in header]
    for name in names:
        if name not in COLUMNS:
            raise UnreadableError(f"unknown column '{name[:40]}'.", where=source, hint=nearest(name[:40], COLUMNS))
    for name in _REQUIRED:
        if name not in names:
            hint = f"The header is {','.join(COLUMNS)}."
            raise UnreadableError(f"has no column '{name}'.", where=source, hint=hint)
    for line, row in rows:
        try:
            if len(row) != len(names):
                raise BadLine("the line has more or fewer fields than the header")
            prices.append(_listed(dict(zip(names, row, strict=True)), source))
        except BadLine as bad:
            problems.append(unusable(source, line, str(bad)))
    return Catalogue(tuple(prices), tuple(problems))


def _listed(cells: dict[str, str], source: str) -> ListedPrice:
    cells = {name: cell.strip() for name, cell in cells.items()}
    for name in ("provider", "instance_type", "purchase"):
        if not cells[name]:
            raise BadLine(f"no {name}")
    if cells["purchase"] not in PURCHASES:
        raise BadLine(f"unknown purchase '{cells['purchase'][:40]}'. {nearest(cells['purchase'][:40], PURCHASES)}")
    starts, ends = _optional(cells, "valid_from", the_day), _optional(cells, "valid_to", the_day)
    as_of = the_day(cells["as_of"])
    starts = as_of if starts is None else starts
    if ends is not None and ends <= starts:
        raise BadLine("valid_to is not after valid_from")
    return ListedPrice(
        provider=cells["provider"],
        instance_type=cells["instance_type"],
        region=cells["region"] or None,
        purchase=cells["purchase"],
        unit_price=the_price(cells["unit_price"]),
        currency=the_currency(cells["currency"]),
        valid_from=starts,
        valid_to=ends,
        as_of=as_of,
        source=cells.get("source") or source,
    )


def _optional(cells: dict[str, str], name: str, parse: Callable[[str], _T]) -> _T | None:
    return parse(cells[name]) if cells.get(name) else None


def write_table(prices: Iterable[ListedPrice], path: Path) -> None:
    """The prices as CSV at ``path``, whole or not at all; another file than such a table is not replaced."""
    if path.exists() and not _is_table(path):
        raise UsageError("is not a table of GPU prices.", where=str(path), hint="Name another file with --out.")
    written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with written.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([_cell(value) for value in astuple(price)] for price in prices)
        written.replace(path)
    except OSError as error:
        raise UsageError(f"can't be written: {error}.", where=str(path), hint="Check --out.") from None
    finally:
        written.unlink(missing_ok=True)


def _is_table(path: Path) -> bool:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return file.readline(10_000).strip() == ",".join(COLUMNS)
    except (OSError, UnicodeDecodeError):
        return False


def _cell(value: object) -> str:
    if value is None:
        return ""
    return plain(value) if isinstance(value, Decimal) else str(value)
