"""Azure's public retail prices: on demand, spot, reservations and savings plans of virtual machines, as JSON.

``https://prices.azure.com/api/retail/prices?api-version=2023-01-01-preview`` answers without an account, in pages of at
most 1,000 items (https://learn.microsoft.com/en-us/rest/api/cost-management/retail-prices/azure-retail-prices). A file
holds one page, or several one after another or in a list. What is taken: virtual machines with GPUs that the instance
map knows, Linux, primary meters. The answer does not say of which day it is; that is an argument.

    price of a reserved hour = price of the item / hours of the term (8,760 a year)

The traps:

- *The unit lies.* An item of type ``Reservation`` says ``1 Hour`` and has the price of the *whole term*. The hours of a
  savings plan, in the list ``savingsPlan`` of an item on demand, are hours.
- *One price, two ways to pay.* A reservation costs the same upfront and by the month; it is listed as no upfront.
- *Windows, spot and dev/test* are items of the same machine, told apart by the product's name, the meter's name and
  the type.
- *Pages.* ``NextPageLink`` names the page that follows; where it is not in the file, that is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from outlay.errors import UnreadableError
from outlay.money import plain
from outlay.prices.aws_savings_plans import PlanRate, PlanRates
from outlay.prices.gpu_table import (
    BadLine,
    Catalogue,
    ListedPrice,
    rounded_price,
    the_amount,
    the_currency,
    the_day,
    the_price,
    unusable,
)
from outlay.prices.gpus import GpuInstance, gpu_instance
from outlay.problems import Problem

__all__ = ["is_azure_retail", "read_azure", "read_azure_plans"]

_YEARS = {"1 Year": 1, "3 Years": 3}
_HOURS_A_YEAR = 8760
_LARGEST_TERM = Decimal(1_000_000_000)
_OTHER_PRODUCTS = ("windows", "cloud services", "cloudservices", "dedicated host")
_PLAN = "Azure savings plan for compute"
_PLAN_SKU = "Compute_Savings_Plan"
_HINT = "Give what https://prices.azure.com/api/retail/prices answered, with 'Items'."


@dataclass(frozen=True, slots=True)
class _Item:
    """What an hour of a machine costs in a region, by the item ``number`` of the answer; and its savings plans."""

    number: int
    instance: GpuInstance
    region: str
    currency: str
    purchase: str
    price: Decimal
    starts: date | None
    plans: Sequence[Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """What has one price."""
        return self.instance.instance_type, self.region, self.purchase


def is_azure_retail(text: str) -> bool:
    """Whether ``text`` begins like an answer of Azure's, not like the rates of another seller."""
    return '"Items"' in text and '"armSkuName"' in text


def read_azure(lines: Iterable[str], *, source: str, as_of: date) -> Catalogue:
    """The prices of GPU machines, those of a term spread over its hours. ``as_of`` is the day of the answer.

    Raises :class:`UnreadableError` where it is no such answer; bad items, and pages that are not there, are problems.
    """
    items, problems = _items("".join(lines), source)
    found: dict[tuple[str, str, str], _Item] = {}
    twice: set[tuple[str, str, str]] = set()
    for one in items:
        if found.setdefault(one.key, one).price != one.price:
            twice.add(one.key)
            both = f"{plain(found[one.key].price)} and {plain(one.price)}"
            problems.append(
                unusable(source, one.number, f"{' '.join(one.key)} has two prices, {both}: neither is used")
            )
    prices = (
        ListedPrice(
            provider="azure",
            instance_type=one.instance.instance_type,
            region=one.region,
            purchase=one.purchase,
            unit_price=one.price,
            currency=one.currency,
            valid_from=one.starts or as_of,
            valid_to=None,
            as_of=as_of,
            source=source,
        )
        for key, one in sorted(found.items())
        if key not in twice
    )
    return Catalogue(tuple(prices), tuple(problems))


def read_azure_plans(text: str, source: str) -> PlanRates:
    """The rates of savings plans in the same answer, an hour of each machine and term."""
    items, problems = _items(text, source)
    rates = []
    for one in items:
        for plan in one.plans if one.purchase == "on_demand" else ():
            try:
                years = _YEARS[str(plan["term"])]
                price = the_price(str(plan["retailPrice"]))
            except (KeyError, TypeError, BadLine) as bad:
                problems.append(unusable(source, one.number, f"item {one.number}: a savings plan can't be used: {bad}"))
                continue
            rates.append(
                PlanRate(
                    plan=_PLAN,
                    years=years,
                    payment="no_upfront",
                    instance=one.instance,
                    region=one.region,
                    rate=price,
                    currency=one.currency,
                    offering=_PLAN_SKU,
                    source=f"Azure retail prices, {source}",
                )
            )
    return PlanRates(tuple(rates), tuple(problems))


def _items(text: str, source: str) -> tuple[list[_Item], list[Problem]]:
    """The items of Linux machines with a known GPU, of all pages."""
    problems: list[Problem] = []
    found: list[_Item] = []
    number, follows = 0, None
    for page in _pages(text, source):
        follows = page.get("NextPageLink")
        for entry in page["Items"]:
            number += 1
            try:
                one = _item(entry, number)
            except BadLine as bad:
                problems.append(unusable(source, number, f"item {number}: {bad}"))
            else:
                found += [one] if one is not None else []
    if follows:
        problems.append(unusable(source, None, f"a page follows that is not here: {str(follows)[:200]}"))
    return found, problems


def _pages(text: str, source: str) -> Iterator[Mapping[str, Any]]:
    decoder = json.JSONDecoder(parse_float=Decimal)
    text, at = text.strip(), 0
    while at < len(text):
        try:
            content, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise UnreadableError(f"is not JSON: {error}.", where=source, hint=_HINT) from None
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))
        for page in content if isinstance(content, list) else [content]:
            if not isinstance(page, dict) or not isinstance(page.get("Items"), list):
                raise UnreadableError("has no list 'Items'.", where=source, hint=_HINT)
            yield page
    if not text:
        raise UnreadableError("is empty.", where=source, hint=_HINT)


def _item(entry: object, number: int) -> _Item | None:
    """None for what is not taken. Raises :class:`BadLine`."""
    if not isinstance(entry, dict):
        raise BadLine("is no object")
    name, product = str(entry.get("armSkuName") or ""), str(entry.get("productName") or "").casefold()
    instance = gpu_instance("azure", name) if name else None
    if instance is None or entry.get("serviceName") != "Virtual Machines":
        return None
    if entry.get("isPrimaryMeterRegion") is False or any(word in product for word in _OTHER_PRODUCTS):
        return None
    purchase = _purchase(entry)
    if purchase is None:
        return None
    region, unit = str(entry.get("armRegionName") or ""), entry.get("unitOfMeasure")
    if not region:
        raise BadLine(f"{name} has no armRegionName")
    if unit != "1 Hour":
        raise BadLine(f"{name} is priced by '{str(unit)[:40]}', not by the hour")
    price = the_amount(str(entry.get("retailPrice", "")), most=_LARGEST_TERM)
    if entry.get("type") == "Reservation":
        price /= _YEARS[str(entry["reservationTerm"])] * _HOURS_A_YEAR
    starts, plans = str(entry.get("effectiveStartDate") or ""), entry.get("savingsPlan")
    return _Item(
        number=number,
        instance=instance,
        region=region,
        currency=the_currency(str(entry.get("currencyCode", ""))),
        purchase=purchase,
        price=the_price(plain(rounded_price(price))),
        starts=the_day(starts) if starts else None,
        plans=plans if isinstance(plans, list) else (),
    )


def _purchase(entry: Mapping[str, Any]) -> str | None:
    kind, meter = entry.get("type"), f"{entry.get('meterName')} {entry.get('skuName')}".casefold()
    if kind == "Reservation":
        years = _YEARS.get(str(entry.get("reservationTerm")))
        return None if years is None else f"reserved_{years}yr_no_upfront"
    if kind != "Consumption" or "low priority" in meter:
        return None
    return "spot" if "spot" in meter else "on_demand"
