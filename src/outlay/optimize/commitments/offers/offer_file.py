"""Reading offers from a TOML or CSV file, and writing them as CSV.

One entry an offer and pool, as the contract has it: ``pool``, ``offer``, ``term_months``, ``payment``, ``unit_price``,
``on_demand_price``, ``currency``, ``kind``, and what else an offer may say (:data:`FIELDS`). Prices are per GPU-hour.
``pool`` may name several pools that the one commitment serves together, parted by ``|``; ``*`` stands for each pool of
the demand. Entries of a savings plan with one name on several pools are one plan with a rate for each.

A file of offers is read whole or not at all: a purchase must not rest on the half of a file that happened to parse.
An empty price is allowed, and stays unknown.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

from outlay.errors import UnreadableError, UsageError, nearest
from outlay.money import plain
from outlay.optimize.commitments.offers.offer import FORMS, KINDS, Flex, Form, Kind, Offer, Payment
from outlay.optimize.commitments.table_file import decimal_comma, foreign_separator, unreadable

__all__ = ["EVERY_POOL", "FIELDS", "read_offers", "write_offers"]

EVERY_POOL = "*"
_PAYMENTS: dict[str, Payment] = {
    "no": "no_upfront",
    "no_upfront": "no_upfront",
    "partial": "partial_upfront",
    "partial_upfront": "partial_upfront",
    "all": "all_upfront",
    "all_upfront": "all_upfront",
}
FIELDS: dict[str, str] = {
    "pool": "the pool it serves; several parted by '|' that share it; '*' is each pool",
    "offer": "its name; savings plans of one name and the same terms on several pools are one plan",
    "term_months": "length of the term: 12, 36; a month has 730 hours",
    "payment": "'no_upfront', 'partial_upfront' or 'all_upfront' (also 'no', 'partial', 'all')",
    "unit_price": "price of a committed GPU-hour over the whole term, upfront spread over it; empty is unknown",
    "on_demand_price": "price of the same GPU-hour on demand; empty is unknown",
    "currency": "of both prices",
    "kind": "'standard', or 'flex' for insured and cash-back commitments",
    "form": "'reservation', 'savings_plan', 'cud' or 'cud_spend'",
    "upfront_share": "share of the term's cost paid at its start; by the payment unless given (0, 0.5, 1)",
    "unit_gpus": "GPUs of the smallest unit that can be bought; 1 unless given",
    "min_gpus": "fewest GPUs that can be bought",
    "max_gpus": "most GPUs that can be bought, beside what is owned",
    "provider": "who sells it",
    "region": "where it holds",
    "sku": "what the provider calls it when it is bought: offering id, instance type, commitment type",
    "valid_from": "the day from which its prices hold, '2026-01-01'; before it the offer has no verdict",
    "valid_until": "the day on which the offer ends, '2026-12-31'; after it the offer has no verdict",
    "source": "where the price is from: a quote, a list and its date",
    "premium": "flex: paid per committed GPU-hour on top",
    "fee_share": "flex: share of the saving that the vendor takes",
    "cashback": "flex: share of the cost of the unused part that is paid back; 1 unless given",
    "trigger": "flex: unused share of a settlement period above which it is paid",
    "cap": "flex: most that is paid back, as a share of the period's cost; 1 unless given",
    "payout_lag_days": "flex: days from the end of a settlement period to the payout",
    "settle_months": "flex: months of a settlement period; 1 unless given",
    "adjust_months": "flex: the committed quantity may be lowered every so many months; never unless given",
    "counterparty": "flex: who owes the payout",
    "claim": "flex: what the vendor says of it, shown as the vendor's claim",
}
_WRITTEN = (
    "pool", "offer", "term_months", "payment", "unit_price", "on_demand_price", "currency", "form", "unit_gpus",
    "provider", "region", "sku", "source",
)  # fmt: skip
_REQUIRED = ("pool", "offer", "term_months", "currency")
_FLEX = ("premium", "fee_share", "cashback", "trigger", "cap")
_FLEX_COUNTS = ("payout_lag_days", "settle_months", "adjust_months")


def read_offers(path: Path) -> tuple[Offer, ...]:
    """The offers of ``path``, TOML or CSV; :class:`UnreadableError` for the first entry that can't be used."""
    try:
        if path.suffix.casefold() == ".toml":
            found = _of_toml(tomllib.loads(path.read_text(encoding="utf-8-sig")), path)
        else:
            with path.open(newline="", encoding="utf-8-sig") as handle:
                reader = csv.DictReader(handle, strict=True)
                _known(reader.fieldnames or (), str(path))
                found = tuple(_offer(row, f"{path}:{reader.line_num}") for row in reader)
    except tomllib.TOMLDecodeError as error:
        raise UnreadableError(f"is not valid TOML: {error}.", where=str(path)) from None
    except csv.Error as error:
        raise UnreadableError(f"is not a CSV file that can be read: {error}.", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        said, hint = unreadable(error)
        raise UnreadableError(said, where=str(path), hint=hint or "Check --offers.") from None
    if not found:
        raise UnreadableError("has no offers.", where=str(path), hint="Give one row or one [[offers]] table an offer.")
    return found


def write_offers(offers: Sequence[Offer], path: Path) -> None:
    """Standard offers as CSV at ``path``, which must not exist: a file that somebody filled in is not lost."""
    try:
        with path.open("x", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(_WRITTEN)
            for one in offers:
                told = {
                    **{name: getattr(one, name) for name in _WRITTEN if name != "offer"},
                    "pool": one.pool,
                    "offer": one.name,
                }
                writer.writerow([_cell(told[name]) for name in _WRITTEN])
    except FileExistsError:
        raise UsageError("exists already.", where=str(path), hint="Name another file with --out.") from None
    except OSError as error:
        raise UsageError(f"can't be written: {error}.", where=str(path), hint="Check --out.") from None


def _cell(value: object) -> str:
    if value is None:
        return ""
    return plain(value) if isinstance(value, Decimal) else str(value)


def _of_toml(content: Mapping[str, Any], path: Path) -> tuple[Offer, ...]:
    for key in content:
        if key not in ("offers", "offer"):
            raise UnreadableError(f"unknown key '{key}'.", where=str(path), hint="Write one [[offers]] table an offer.")
    entries = [*content.get("offers", []), *content.get("offer", [])]
    found = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, offer {number}"
        if not isinstance(entry, dict):
            raise UnreadableError("is not a table.", where=where, hint="Write one [[offers]] table an offer.")
        for key, value in entry.items():
            if isinstance(value, float):
                raise UnreadableError(
                    f"'{key}' is a binary number.", where=where, hint=f'Write it as text, "{value}", to keep it exact.'
                )
        _known(list(entry), where)
        pool = entry.get("pool")
        flat = {**entry, "pool": "|".join(pool) if isinstance(pool, list) else pool}
        found.append(_offer({key: None if value is None else str(value) for key, value in flat.items()}, where))
    return tuple(found)


def _known(names: Sequence[str | None], where: str) -> None:
    separator = foreign_separator(names)
    if separator:
        raise UnreadableError(
            f"has its cells parted by {separator}.",
            where=where,
            hint="Save it parted by commas, with a point in its numbers.",
        )
    for name in names:
        if name is None or name.strip() not in FIELDS:
            raise UnreadableError(f"unknown column '{name}'.", where=where, hint=nearest(str(name), FIELDS))


def _offer(row: Mapping[str | None, Any] | Mapping[str, Any], where: str) -> Offer:
    if None in row:
        raise UnreadableError("has more cells than the header.", where=where, hint="Quote a cell that has a comma.")
    cells = {str(name).strip(): (value or "").strip() for name, value in row.items()}
    for name in _REQUIRED:
        if not cells.get(name):
            raise UnreadableError(f"says no '{name}'.", where=where, hint=f"It is {FIELDS[name]}.")
    kind = _choice(cells, "kind", KINDS, where) or "standard"
    price, on_demand = _price(cells, "unit_price", where), _price(cells, "on_demand_price", where)
    pools = tuple(part.strip() for part in cells["pool"].split("|"))
    if not all(pools) or len(set(pools)) != len(pools):
        raise UnreadableError(f"'{cells['pool']}' names no pools.", where=where, hint="Write A10, or A10|A100.")
    flex = _flex(cells, where)
    if flex is not None and kind != "flex":
        raise UnreadableError("has terms of a flexible commitment.", where=where, hint='Say kind = "flex" for it.')
    return Offer(
        pools=pools,
        name=cells["offer"],
        term_months=_count(cells, "term_months", where) or 0,
        payment=_payment(cells.get("payment", ""), where),
        unit_price=price,
        on_demand_price=on_demand,
        currency=_currency(cells["currency"], where),
        kind=cast("Kind", kind),
        form=cast("Form", _choice(cells, "form", FORMS, where) or "reservation"),
        upfront_share=_share(cells, "upfront_share", where),
        unit_gpus=_positive(cells, "unit_gpus", where) or Decimal(1),
        min_gpus=_money(cells, "min_gpus", where) or Decimal(0),
        max_gpus=_money(cells, "max_gpus", where),
        provider=cells.get("provider") or None,
        region=cells.get("region") or None,
        sku=cells.get("sku") or None,
        **_validity(cells, where),
        source=cells.get("source") or None,
        flex=(flex or Flex()) if kind == "flex" else None,
        where=where.rsplit("/", 1)[-1],
    )


def _flex(cells: Mapping[str, str], where: str) -> Flex | None:
    shares = {name: share for name in _FLEX if (share := _money(cells, name, where)) is not None}
    counts = {name: count for name in _FLEX_COUNTS if (count := _count(cells, name, where, least=0)) is not None}
    words = {name: cells[name] for name in ("counterparty", "claim") if cells.get(name)}
    for name, value in shares.items():
        if name != "premium" and value > 1:
            raise UnreadableError(f"'{name}' is {value}.", where=where, hint="It is a share: between 0 and 1.")
    if counts.get("settle_months") == 0 or counts.get("adjust_months") == 0:
        raise UnreadableError("a period has 0 months.", where=where, hint="Give 1 or more, or leave it out.")
    return Flex(**shares, **counts, **words) if shares or counts or words else None  # type: ignore[arg-type]


def _choice(cells: Mapping[str, str], name: str, known: Sequence[str], where: str) -> str | None:
    text = cells.get(name, "").casefold().replace(" ", "_").replace("-", "_")
    if text and text not in known:
        raise UnreadableError(f"'{cells[name]}' is no {name}.", where=where, hint=nearest(text, known))
    return text or None


def _payment(text: str, where: str) -> Payment:
    word = text.casefold().replace(" ", "_").replace("-", "_")
    if not word:
        return "no_upfront"
    if word not in _PAYMENTS:
        raise UnreadableError(f"'{text}' is no payment.", where=where, hint=nearest(word, _PAYMENTS))
    return _PAYMENTS[word]


def _currency(text: str, where: str) -> str:
    code = text.upper()
    if len(code) != 3 or not code.isalpha() or not code.isascii():
        raise UnreadableError(f"'{text}' is no currency.", where=where, hint="Write an ISO 4217 code such as USD.")
    return code


def _money(cells: Mapping[str, str], name: str, where: str) -> Decimal | None:
    text = cells.get(name, "")
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        pointed = decimal_comma(text) or "12.34"
        raise UnreadableError(f"'{text}' is no {name}.", where=where, hint=f"Write {pointed}.") from None
    if "_" in text or not value.is_finite() or value < 0 or value >= 10**9 or -int(value.as_tuple().exponent) > 18:
        raise UnreadableError(
            f"{text} can't be a {name}.", where=where, hint="It is zero or more, with at most 18 decimals."
        )
    return value


def _price(cells: Mapping[str, str], name: str, where: str) -> Decimal | None:
    value = _money(cells, name, where)
    if value == 0:
        raise UnreadableError(f"'{name}' is 0.", where=where, hint="Leave it empty where the price is not known.")
    return value


def _positive(cells: Mapping[str, str], name: str, where: str) -> Decimal | None:
    value = _money(cells, name, where)
    if value is not None and (value == 0 or value * 10**9 % 1):
        raise UnreadableError(f"{value} can't be {name}.", where=where, hint="It is more than 0, with 9 decimals.")
    return value


def _share(cells: Mapping[str, str], name: str, where: str) -> Decimal | None:
    value = _money(cells, name, where)
    if value is not None and value > 1:
        raise UnreadableError(f"'{name}' is {value}.", where=where, hint="It is a share: between 0 and 1.")
    return value


def _validity(cells: Mapping[str, str], where: str) -> dict[str, Any]:
    first, last = (_day(cells, name, where) for name in ("valid_from", "valid_until"))
    if first is not None and last is not None and last < first:
        raise UnreadableError(f"ends on {last}, before it begins on {first}.", where=where, hint="Give it a day more.")
    return {"valid_from": first, "valid_until": last}


def _day(cells: Mapping[str, str], name: str, where: str) -> str | None:
    text = cells.get(name, "")
    try:
        return date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        raise UnreadableError(f"'{text}' is no {name}.", where=where, hint="Write a day: 2026-12-31.") from None


def _count(cells: Mapping[str, str], name: str, where: str, *, least: int = 1) -> int | None:
    text = cells.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or not least <= int(text) <= 1200:
        raise UnreadableError(f"'{text}' is no {name}.", where=where, hint=f"It is a whole number from {least} on.")
    return int(text)
