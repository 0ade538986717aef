"""Azure reservations, and the orders that they were bought in.

The JSON of ``GET /providers/Microsoft.Capacity/reservations`` and ``…/reservationOrders`` (``az rest``), or of ``az
reservations reservation list`` and ``az reservations reservation-order list``: an order has the price and the
payment plan, its reservations have what is reserved, where and how much. One reservation is one commitment (Usage).

The traps:

- Without ``$expand=schedule`` an order has no price; a reservation never has one. So cost is null for most.
- An order of one reservation is that reservation. After a split an order has several, and nothing says how its price
  is shared: they get none, and the order alone can't stand for them.
- A reservation that was split or merged stays in the list, with its quantity, beside its successors. It is Superseded.
- Ids differ in case between lists and bills; they are lower case here, as in Outlay's costs.

Source: azure-mgmt-reservations 3.0.0 (API version 2022-11-01) and the REST reference's sample answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

from outlay.ledger.tables.commitments import COMMITMENTS
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable
from outlay.sources.facts import Fact, Value
from outlay.sources.reader import Format
from outlay.sources.records.cells import currency, hours_of, instant, number, period, product, text, whole
from outlay.sources.records.hardware import reserved_hardware

__all__ = ["AzureReservationsReader"]

_ID = re.compile(r"/providers/microsoft\.capacity/reservationorders/[^/]+(?P<part>/reservations/[^/]+)?", re.IGNORECASE)
_STATES = {
    **dict.fromkeys(
        ("creating", "pendingresourcehold", "confirmedresourcehold", "pendingbilling", "confirmedbilling", "created"),
        "Pending",
    ),
    "succeeded": "Active",
    **dict.fromkeys(("cancelled", "billingfailed", "failed"), "Canceled"),
    "expired": "Expired",
    **dict.fromkeys(("split", "merged"), "Superseded"),
}
_PLANS = {"upfront": ("All Upfront", "One-Time"), "monthly": ("No Upfront", "Monthly")}
_YEARS = {"P1Y": 1, "P3Y": 3, "P5Y": 5}
_UNITS = {"virtualmachines": "Hours", "openaiptu": "PTU-Hours"}
_DAY = timedelta(days=1)
_Record = Mapping[str, Json]


class AzureReservationsReader:
    """Reads reservations, orders, or both in one file; an order adds its price to its only reservation."""

    format = Format(
        "azure-reservations",
        "Azure reservations and reservation orders",
        "The JSON of `az rest --method get --url https://management.azure.com/providers/Microsoft.Capacity/"
        "reservations?api-version=2022-11-01`, or of `az reservations reservation list`.",
    )
    table = COMMITMENTS
    restates: Literal["rows", "windows"] = "rows"

    def recognises(self, file: FactFile) -> bool:
        """The first record's id is that of a reservation or an order."""
        if file.kind not in ("json", "jsonl"):
            return False
        sample = file.sample
        while isinstance(sample, list) and sample:
            sample = sample[0]
        if not isinstance(sample, dict):
            return False
        first = _inner(sample)[:1]
        return bool(first) and isinstance(first[0], dict) and _place_of(first[0]) is not None

    def facts(self, file: FactFile) -> Iterator[Fact | Problem]:
        """A row a reservation; orders whose only reservation is not in the file give it what they know."""
        reservations: dict[str, tuple[int, _Record]] = {}
        orders: dict[str, tuple[int, _Record]] = {}
        for found in _records(file):
            if isinstance(found, Problem):
                yield found
                continue
            line, record = found
            identity = _place_of(record)
            if identity is None:
                yield file.problem(line, "unusable-record", "the id is none of a reservation or an order")
            elif "/reservations/" in identity:
                reservations[identity] = line, record
            else:
                orders[identity] = line, record
        for identity, (line, record) in reservations.items():
            order = orders.get(identity.partition("/reservations/")[0], (0, {}))[1]
            try:
                yield _fact(identity, line, record, order if len(_members(order)) == 1 else {})
            except Unusable as error:
                yield error.problem(file, line)
        yield from _orders_alone(file, orders, reservations)


def _orders_alone(
    file: FactFile, orders: Mapping[str, tuple[int, _Record]], known: Mapping[str, tuple[int, _Record]]
) -> Iterator[Fact | Problem]:
    """Orders of which the file has no reservation: a row where the order has one, a problem where it has several."""
    for identity, (line, order) in orders.items():
        if any(one.startswith(f"{identity}/reservations/") for one in known):
            continue
        members = _members(order)
        try:
            if len(members) != 1:
                message = f"the order has {len(members)} reservations: list them in the same file"
                raise Unusable("unusable-record", message)
            yield _fact(members[0], line, order, order)
        except Unusable as error:
            yield error.problem(file, line)


def _records(file: FactFile) -> Iterator[tuple[int, _Record] | Problem]:
    """Each record with its number: the line of JSON lines, else its place among all records of the document."""
    place = 0
    for found in file.objects():
        if isinstance(found, Problem):
            yield found
            continue
        line, document = found
        for record in _inner(document):
            place += 1
            shown = line if file.kind == "jsonl" else place
            if isinstance(record, dict):
                yield shown, record
            else:
                yield file.problem(shown, "not-json", "the record is no JSON object")


def _inner(document: _Record) -> list[Json]:
    """The records of a page of the REST API; else the record itself."""
    value = document.get("value")
    return list(value) if isinstance(value, list) else [document]


def _place_of(record: _Record) -> str | None:
    """The id in lower case; None for anything but a reservation or an order."""
    found = _ID.fullmatch(text(record, "id") or "")
    return found[0].lower() if found else None


def _members(order: _Record) -> list[str]:
    """Ids of the reservations that an order names."""
    named = _properties(order).get("reservations")
    found = [_place_of(one) for one in (named if isinstance(named, list) else []) if isinstance(one, dict)]
    return [one for one in found if one and "/reservations/" in one]


def _properties(record: _Record) -> _Record:
    """What the REST API nests in ``properties`` and the CLI may show flat."""
    nested = record.get("properties")
    return nested if isinstance(nested, dict) else record


def _fact(identity: str, line: int, record: _Record, order: _Record) -> Fact:
    about, bought = _properties(record), _properties(order)
    start, end = period(
        instant(about, "benefitStartTime", "effectiveDateTime", "purchaseDateTime", "purchaseDate", "createdDateTime"),
        instant(about, "expiryDateTime", "expiryDate"),
    )
    state = text(about, "provisioningState")
    plan = _PLANS.get((text(about, "billingPlan") or "").casefold(), (None, None))
    values: dict[str, Value] = {
        "ContractCommitmentId": identity,
        "ContractId": identity.partition("/reservations/")[0],
        "ContractCommitmentCategory": "Usage",
        "ContractCommitmentType": "Reservation",
        "ContractCommitmentDescription": _description(record, about),
        "ContractCommitmentBenefitCategory": "Discount",
        "ContractCommitmentModel": "Continuous",
        "ContractCommitmentFulfillmentInterval": "Hourly",
        "ContractCommitmentLifecycleStatus": _STATES.get((state or "").casefold()),
        "ContractCommitmentCreated": instant(about, "purchaseDateTime", "createdDateTime"),
        "ContractCommitmentLastUpdated": instant(about, "lastUpdatedDateTime"),
        "ContractCommitmentPeriodStart": start,
        "ContractCommitmentPeriodEnd": end,
        "ContractCommitmentPaymentModel": plan[0],
        "ContractCommitmentPaymentInterval": plan[1],
        "ServiceProviderName": "Microsoft",
        "x_State": state,
        "x_Region": text(record, "location"),
        "x_AutoRenew": about["renew"] if isinstance(about.get("renew"), bool) else None,
        **_reserved(record, about, start, end),
        **_price(bought, plan[0]),
    }
    known = {column: value for column, value in values.items() if value is not None}
    # An order names no subscription, so the subscription can't be the source: a reservation told by its order and
    # then by itself would be two rows.
    return Fact(identity, line, known, _tags(record))


def _reserved(record: _Record, about: _Record, start: datetime, end: datetime) -> dict[str, Value]:
    """How much of what: hours of machines, or of provisioned throughput units; of other things Azure names no unit."""
    quantity = whole(about, "quantity")
    unit = _UNITS.get((text(about, "reservedResourceType") or "").casefold())
    if quantity is None or unit is None:
        return {}
    hours = hours_of(start, end, _term(start, text(about, "term")), slack=_DAY)
    found: dict[str, Value] = {
        "ContractCommitmentQuantity": product(hours, quantity),
        "ContractCommitmentUnit": unit,
    }
    return found | reserved_hardware("azure", _sku(record), quantity, start) if unit == "Hours" else found


def _price(order: _Record, plan: str | None) -> dict[str, Value]:
    """The price of the whole order in the currency that it is priced in, and, where payments show it, is billed in."""
    information = order.get("planInformation")
    total = information.get("pricingCurrencyTotal") if isinstance(information, dict) else None
    cost = number(total, "amount") if isinstance(total, dict) else None
    if cost is None or total is None or information is None:
        return {}
    money = currency(total, "currencyCode", cost)
    found: dict[str, Value] = {"PricingCurrency": money, "PricingCurrencyContractCommitmentCost": cost}
    if _billed_in(information.get("transactions")) == {money}:
        found |= {"BillingCurrency": money, "ContractCommitmentCost": cost}
        found |= {"x_UpfrontCost": cost} if plan == "All Upfront" else {}
    return found


def _billed_in(payments: Json) -> set[str | None]:
    """Currencies of the payments that were made."""
    made = [one for one in payments if isinstance(one, dict)] if isinstance(payments, list) else []
    billed = [one.get("billingCurrencyTotal") for one in made]
    return {text(one, "currencyCode") for one in billed if isinstance(one, dict)}


def _term(start: datetime, term: str | None) -> timedelta | None:
    years = _YEARS.get(term or "")
    if years is None or start.year + years > 9999:
        return None
    try:
        return start.replace(year=start.year + years) - start
    except ValueError:  # 29 February
        return start.replace(year=start.year + years, month=3, day=1) - start


def _sku(record: _Record) -> str | None:
    sku = record.get("sku")
    return text(sku, "name") if isinstance(sku, dict) else text(record, "sku")


def _description(record: _Record, about: _Record) -> str | None:
    quantity, kind, sku = text(about, "quantity", "originalQuantity"), text(about, "reservedResourceType"), _sku(record)
    what = " ".join(filter(None, (f"{quantity} x" if quantity else None, kind, sku)))
    return ", ".join(filter(None, (text(about, "displayName"), text(about, "skuDescription"), what))) or None


def _tags(record: _Record) -> dict[str, str]:
    found = record.get("tags")
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
