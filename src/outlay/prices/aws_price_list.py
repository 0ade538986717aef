"""AWS' public price list of EC2: on-demand prices and reserved instances, as CSV, without an account.

``https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/<region>/index.csv``
(https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-an-offer.html). Five lines tell the version and
the ``Publication Date``, the sixth the columns; a row is one rate of one SKU. A region has hundreds of megabytes, so
the file is read as a stream and only the rows of GPU instances are kept.

What is taken: Linux without paid software, shared tenancy, capacity in use, no capacity block. ``EffectiveDate`` is the
first day of the price, ``Publication Date`` the day that it is as of.

    price of a reserved hour = hourly rate + upfront fee / hours of the term (8,760 a year)

The traps:

- *An offer is two rows.* A reservation with a fee has one row in ``Hrs`` and one in ``Quantity``, the fee; SKU and
  OfferTermCode join them. An all-upfront reservation has an hourly rate of 0 and is not free.
- *Zero.* Capacity blocks and reservations of capacity are listed at 0 an hour; 0 is never taken for a price.
- *Savings plans are not in it.* They are a list of their own, by plan and SKU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from outlay.errors import UnreadableError
from outlay.money import add_exactly, plain
from outlay.prices.gpu_table import (
    PURCHASES,
    BadLine,
    Catalogue,
    ListedPrice,
    rounded_price,
    rows_of,
    the_amount,
    the_currency,
    the_day,
    unusable,
)
from outlay.prices.gpus import gpu_instance
from outlay.problems import Problem

__all__ = ["read_aws"]

_REQUIRED = (
    "SKU",
    "OfferTermCode",
    "TermType",
    "EffectiveDate",
    "Unit",
    "PricePerUnit",
    "Currency",
    "LeaseContractLength",
    "PurchaseOption",
    "OfferingClass",
    "Tenancy",
    "Operating System",
    "Instance Type",
    "CapacityStatus",
    "Pre Installed S/W",
    "Region Code",
)
_WANTED = {
    "Tenancy": ("Shared",),
    "Operating System": ("Linux",),
    "CapacityStatus": ("Used",),
    "Pre Installed S/W": ("", "NA"),
    "MarketOption": ("", "OnDemand"),
}
_HOURS = {"1yr": 8760, "3yr": 26280}
_LARGEST_FEE = Decimal(1_000_000_000)
_PREAMBLE = 20
"""Lines among which the header must be."""


@dataclass(slots=True)
class _Offer:
    """The rates of a SKU under one offer, as far as they were met."""

    line: int
    told: dict[str, str]
    hourly: Decimal | None = None
    fee: Decimal | None = None


def read_aws(lines: Iterable[str], *, source: str, as_of: date | None = None) -> Catalogue:
    """The prices of GPU instances in an ``index.csv`` of AmazonEC2.

    ``as_of`` is the day of a file that does not tell its publication date. A type of which the list says that it has
    GPUs is kept though the instance map does not know it. Raises :class:`UnreadableError` where the file is no such
    list; bad lines are problems.
    """
    problems: list[Problem] = []
    rows = rows_of(lines, problems, source)
    names, published = _header(rows, source)
    day = _published(published, as_of, source)
    offers: dict[tuple[str, str], _Offer] = {}
    kinds: dict[str, bool] = {}
    at_type = names.index("Instance Type")
    at_gpus = names.index("GPU") if "GPU" in names else at_type
    for line, row in rows:
        if len(row) != len(names):
            problems.append(unusable(source, line, "the line has more or fewer fields than the header"))
            continue
        name, gpus = row[at_type], row[at_gpus]
        known = kinds.get(name)
        if known is None:
            known = kinds[name] = bool(name) and gpu_instance("aws", name, day) is not None
        if not known and not (name and gpus.isdecimal() and gpus.strip("0")):
            continue
        told = dict(zip(names, row, strict=True))
        if any(told.get(column, "").strip() not in values for column, values in _WANTED.items()):
            continue
        try:
            _take(offers, told, line)
        except BadLine as bad:
            problems.append(unusable(source, line, f"{name}: {bad}"))
    return Catalogue(_prices(offers.values(), day, source, problems), tuple(problems))


def _header(rows: Iterator[tuple[int, list[str]]], source: str) -> tuple[list[str], str]:
    published = ""
    for line, row in rows:
        names = [name.strip().removeprefix("\ufeff") for name in row]
        if names[0] == "Publication Date" and len(names) > 1:
            published = names[1]
        if "SKU" in names:
            missing = [name for name in _REQUIRED if name not in names]
            if missing:
                hint = "Give index.csv of AmazonEC2."
                raise UnreadableError(f"has no column '{missing[0]}'.", where=source, hint=hint)
            return names, published
        if line > _PREAMBLE:
            break
    hint = "Give .../offers/v1.0/aws/AmazonEC2/current/<region>/index.csv."
    raise UnreadableError("is not a price list of AWS as CSV.", where=source, hint=hint)


def _published(text: str, as_of: date | None, source: str) -> date:
    try:
        return the_day(text)
    except BadLine:
        if as_of is not None:
            return as_of
    raise UnreadableError("has no Publication Date.", where=source, hint="Say when it was read with --as-of.")


def _take(offers: dict[tuple[str, str], _Offer], told: dict[str, str], line: int) -> None:
    """Puts a rate to its offer. Raises :class:`BadLine` where it says something else than the offer's earlier rates."""
    if told["TermType"] not in ("OnDemand", "Reserved"):
        raise BadLine(f"unknown TermType '{told['TermType'][:40]}'")
    amount = the_amount(told["PricePerUnit"], most=_LARGEST_FEE)
    offer = offers.setdefault((told["SKU"], told["OfferTermCode"]), _Offer(line, told))
    if told["Unit"] == "Hrs":
        if offer.hourly not in (None, amount):
            raise BadLine(f"a second hourly rate, {plain(amount)}")
        offer.hourly = amount
    elif told["Unit"] == "Quantity":
        if offer.fee not in (None, amount):
            raise BadLine(f"a second upfront fee, {plain(amount)}")
        offer.fee = amount
    else:
        raise BadLine(f"unknown Unit '{told['Unit'][:40]}'")


def _prices(offers: Iterable[_Offer], day: date, source: str, problems: list[Problem]) -> tuple[ListedPrice, ...]:
    """One price of each type, region and way to buy; where the list tells two, neither."""
    found: dict[tuple[str, str, str], ListedPrice] = {}
    twice: set[tuple[str, str, str]] = set()
    for offer in offers:
        try:
            price = _listed(offer, day, source)
        except BadLine as bad:
            problems.append(unusable(source, offer.line, f"{offer.told['Instance Type']}: {bad}"))
            continue
        key = (price.instance_type, price.region or "", price.purchase)
        if found.setdefault(key, price).unit_price != price.unit_price:
            twice.add(key)
            both = f"{plain(found[key].unit_price)} and {plain(price.unit_price)}"
            message = f"{' '.join(key)} has two prices, {both}: neither is used"
            problems.append(unusable(source, offer.line, message))
    return tuple(found[key] for key in sorted(found) if key not in twice)


def _listed(offer: _Offer, day: date, source: str) -> ListedPrice:
    told = offer.told
    purchase = "on_demand" if told["TermType"] == "OnDemand" else _reservation(told)
    if offer.hourly is None:
        raise BadLine(f"the offer ({purchase}) has no hourly rate")
    price = offer.hourly
    if purchase.endswith(("no_upfront", "no_upfront_convertible", "on_demand")):
        if offer.fee:
            raise BadLine(f"a fee of {plain(offer.fee)} though nothing is paid upfront ({purchase})")
    elif offer.fee is None:
        raise BadLine(f"the offer ({purchase}) has no upfront fee")
    else:
        price = add_exactly((price, rounded_price(offer.fee / _HOURS[_term(told)])))
    if not price:
        raise BadLine(f"a price of 0 ({purchase}) is not taken for free")
    if not told["Region Code"].strip():
        raise BadLine("no Region Code")
    return ListedPrice(
        provider="aws",
        instance_type=told["Instance Type"].strip(),
        region=told["Region Code"].strip(),
        purchase=purchase,
        unit_price=price,
        currency=the_currency(told["Currency"]),
        valid_from=the_day(told["EffectiveDate"]) if told["EffectiveDate"].strip() else day,
        valid_to=None,
        as_of=day,
        source=source,
    )


def _reservation(told: dict[str, str]) -> str:
    payment = told["PurchaseOption"].strip().casefold().replace(" ", "_")
    offering = {"standard": "", "convertible": "_convertible"}.get(told["OfferingClass"].strip().casefold(), "_?")
    name = f"reserved_{_term(told)}_{payment}{offering}"
    if name not in PURCHASES:
        what = f"{told['LeaseContractLength']}, {told['PurchaseOption']}, {told['OfferingClass']}"
        raise BadLine(f"unknown reservation '{what[:80]}'")
    return name


def _term(told: dict[str, str]) -> str:
    return told["LeaseContractLength"].replace(" ", "").casefold()
