"""The user's own token prices: a CSV laid over the list prices, and it wins.

The columns are those of the flat table, so a contract says what the list says: ``provider,model,meter,unit_price`` and
optionally ``multiplier,per,currency,when,input_tokens_above,time_from,time_to,valid_from,valid_to,source``.

- ``model`` is a model's name as calls have it or as the list has it; ``*`` is every model of the provider.
- ``unit_price`` is for ``per`` units (1 unless given): write ``2.10`` and ``1000000`` for a price per million tokens.
- ``multiplier`` stands in the place of ``unit_price``: 1.1 is ten per cent on the price that holds without the row.
  Its meter may be ``*``, every meter, or ``tokens``, every meter of tokens.
- ``when`` is the price context, ``processing=batch`` or ``service_tier=priority;inference_geo=us``; empty is the
  ordinary price, ``*`` every context and size (:mod:`outlay.prices.agreed`).
- Windows are half-open and UTC; empty is open.

A row speaks for one exclusive meter: a price for ``input`` says nothing of cache reads, which keep the list price
until they have a row of their own. A line that can't be used is a problem with its number, and the others hold.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

from outlay.errors import UnreadableError, nearest
from outlay.ledger.meters import METERS
from outlay.prices.price_row import EVERY, PriceRow, per_unit
from outlay.prices.usage_shapes import ORDINARY
from outlay.problems import Problem

__all__ = ["ALL_METERS", "ALL_TOKENS", "COLUMNS", "Contract", "read_contract"]

ALL_METERS, ALL_TOKENS = "*", "tokens"
"""What a multiplier may stand for beside a meter."""
_REQUIRED = ("provider", "model", "meter")
COLUMNS = (
    *_REQUIRED,
    "unit_price",
    "multiplier",
    "per",
    "currency",
    "when",
    "input_tokens_above",
    "time_from",
    "time_to",
    "valid_from",
    "valid_to",
    "source",
)
_CODE = "unusable-price"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Contract:
    """The usable rows of a price file, what was wrong with the others, and the version that receipts name."""

    rows: tuple[PriceRow, ...]
    problems: tuple[Problem, ...]
    version: str


class _BadLine(ValueError):
    pass


def read_contract(path: Path) -> Contract:
    """The price file at ``path``. Raises :class:`UnreadableError` if it is no such file; bad lines are problems."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(f"can't be read: {error}.", where=str(path), hint="Check --prices.") from None
    version = f"{path.name} {hashlib.sha256(content).hexdigest()[:12]}"
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = tuple(reader.fieldnames or ())
    for name in header:
        if name not in COLUMNS:
            raise UnreadableError(f"unknown column '{name}'.", where=str(path), hint=nearest(name, COLUMNS))
    missing = [name for name in _REQUIRED if name not in header]
    if missing := missing or [name for name in ("unit_price",) if not {name, "multiplier"} & set(header)]:
        raise UnreadableError(
            f"has no column '{missing[0]}'.", where=str(path), hint=f"The header is {','.join(COLUMNS)}."
        )
    rows: list[PriceRow] = []
    problems: list[Problem] = []
    for line in reader:
        try:
            rows.append(_row(line, version, len(rows)))
        except _BadLine as bad:
            problems.append(Problem(str(path), reader.line_num, _CODE, str(bad)))
    return Contract(tuple(rows), tuple(problems), version)


def _row(line: Mapping[str | None, str | list[str] | None], version: str, order: int) -> PriceRow:
    if None in line or None in line.values():
        raise _BadLine("the line has more or fewer fields than the header")
    cells = {str(name): str(cell).strip() for name, cell in line.items()}
    for name in _REQUIRED:
        if not cells[name]:
            raise _BadLine(f"no {name}")
    multiplier = _multiplier(cells)
    if cells["meter"] not in METERS and (multiplier is None or cells["meter"] not in (ALL_METERS, ALL_TOKENS)):
        raise _BadLine(f"unknown meter '{cells['meter']}'. {nearest(cells['meter'], METERS)}")
    per = _optional(cells, "per", int, "a whole number such as 1000000")
    if per is not None and per < 1:
        raise _BadLine(f"per '{per}' is not a whole number of one or more")
    price = (
        Decimal(0) if multiplier is not None else _optional(cells, "unit_price", Decimal, "a number such as 0.000002")
    )
    if price is None:
        raise _BadLine("no unit_price")
    if not price.is_finite() or price < 0:
        raise _BadLine(f"unit_price '{cells['unit_price']}' is not zero or more")
    threshold = _optional(cells, "input_tokens_above", int, "a whole number of tokens")
    if threshold is not None and threshold < 0:
        raise _BadLine(f"input_tokens_above '{threshold}' is negative")
    valid_from = _optional(cells, "valid_from", _moment, "a date such as 2026-10-01")
    valid_to = _optional(cells, "valid_to", _moment, "a date such as 2026-10-01")
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        raise _BadLine("valid_to is not after valid_from")
    currency = cells.get("currency", "").upper() or "USD"
    if len(currency) != 3 or not currency.isalpha():
        raise _BadLine(f"currency '{currency}' is not an ISO 4217 code")
    return PriceRow(
        provider=cells["provider"].lower(),
        model=cells["model"].lower(),
        meter=cells["meter"],
        unit_price=_exact(price, per or 1),
        when=_when(cells.get("when", "")),
        input_tokens_above=threshold,
        time_from=_optional(cells, "time_from", time.fromisoformat, "a time of day such as 16:30"),
        time_to=_optional(cells, "time_to", time.fromisoformat, "a time of day such as 16:30"),
        valid_from=valid_from,
        valid_to=valid_to,
        currency=currency,
        source=cells.get("source", "") or version,
        version=version,
        order=order,
        multiplier=multiplier,
    )


def _multiplier(cells: Mapping[str, str]) -> Decimal | None:
    multiplier = _optional(cells, "multiplier", Decimal, "a number such as 1.1")
    if multiplier is None:
        return None
    if cells.get("unit_price"):
        raise _BadLine("both a unit_price and a multiplier")
    if not multiplier.is_finite() or not 0 < multiplier < 1000:
        raise _BadLine(f"multiplier '{cells['multiplier']}' is not between 0 and 1000")
    return multiplier


def _optional(cells: Mapping[str, str], name: str, parse: Callable[[str], _T], kind: str) -> _T | None:
    if not cells.get(name):
        return None
    try:
        return parse(cells[name])
    except (ValueError, InvalidOperation):
        raise _BadLine(f"{name} '{cells[name]}' is not {kind}") from None


def _exact(price: Decimal, per: int) -> Decimal:
    """The price of one unit, which must not vanish in the rounding to 18 decimals."""
    try:
        unit_price = per_unit(price, per)
    except InvalidOperation:
        raise _BadLine(f"unit_price '{price}' is too large") from None
    if price and not unit_price:
        raise _BadLine(f"unit_price '{price}' per {per} is below 18 decimals a unit")
    return unit_price


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _when(text: str) -> tuple[tuple[str, str], ...]:
    if text == "*":
        return EVERY
    pairs = [tuple(part.strip() for part in pair.split("=")) for pair in text.split(";") if pair.strip()]
    if any(len(pair) != 2 or not all(pair) or "*" in pair for pair in pairs):
        raise _BadLine(f"when '{text}' is not written key=value;key=value")
    return tuple(sorted((pair[0], pair[1].lower()) for pair in pairs if pair[1].lower() not in ORDINARY))
