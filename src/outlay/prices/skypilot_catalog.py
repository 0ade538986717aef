"""SkyPilot's public catalogue: on-demand and spot prices of many clouds, one ``vms.csv`` a cloud.

``catalogs/v8/<cloud>/vms.csv`` of https://github.com/skypilot-org/skypilot-catalog, refreshed every seven hours for AWS
and Google Cloud. Columns: ``InstanceType, AcceleratorName, AcceleratorCount, Price, SpotPrice, Region`` and, where a
cloud has them, ``AvailabilityZone`` and ``GpuInfo``; US dollars an hour. It says neither whose prices these are nor of
which day: both are arguments.

The traps:

- *Zones.* A row is a price in a zone, and spot prices of the zones of a region differ by a factor of up to ten. The
  dearest stands for the region, so that a saving that counts on it is not overstated.
- *Google's machines without their GPUs.* The rows of ``a2-highgpu-1g`` price its processor and memory; its GPU is a row
  of its own without ``InstanceType``. The two are added up; a machine whose GPU has no row in its zone has no price.
- *Contradictions.* Some of Google's on-demand prices lie below the spot price beside them, as a price under commitment
  would. A row whose spot price is more than 1% above its on-demand price is left out with both.
- *FPGAs* are accelerators too; they are the rows with an ``AcceleratorName`` and an empty ``GpuInfo``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from outlay.errors import UnreadableError
from outlay.money import add_exactly, plain
from outlay.prices.gpu_table import BadLine, Catalogue, ListedPrice, rows_of, the_price, unusable
from outlay.prices.gpus import GpuInstance, gpu_instance, provider_slug
from outlay.problems import Problem

__all__ = ["read_skypilot"]

_REQUIRED = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "Region")
_TOLERANCE = Decimal("1.01")
"""Spot prices have fewer decimals than the on-demand prices that cap them."""
_MEMORY = re.compile(r"-(?:16|40)gb$")


@dataclass(frozen=True, slots=True)
class _Row:
    """What a line says. ``instance`` is what the map knows of the type; a price that is not told is None."""

    line: int
    instance_type: str
    instance: GpuInstance | None
    accelerator: str
    region: str
    zone: str
    on_demand: Decimal | None
    spot: Decimal | None


def read_skypilot(lines: Iterable[str], *, provider: str, as_of: date, source: str) -> Catalogue:
    """The prices of GPU instances in a ``vms.csv`` of ``provider``, read on ``as_of``.

    Types with an accelerator that the instance map does not know are kept: an hour of them has a price, a GPU-hour has
    none. Raises :class:`UnreadableError` where it is no such catalogue; bad lines are problems.
    """
    problems: list[Problem] = []
    rows = rows_of(lines, problems, source)
    _, header = next(rows, (0, []))
    names = [name.strip().removeprefix("\ufeff") for name in header]
    for name in _REQUIRED:
        if name not in names:
            hint = "Give catalogs/v8/<cloud>/vms.csv of the skypilot-catalog repository."
            raise UnreadableError(f"has no column '{name}'.", where=source, hint=hint)
    sold: list[_Row] = []
    devices: dict[tuple[str, Decimal, str], _Row] = {}
    for line, cells in rows:
        try:
            if len(cells) != len(names):
                raise BadLine("the line has more or fewer fields than the header")
            told = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
            instance = gpu_instance(provider, told["InstanceType"], as_of)
            if instance is None and not _has_gpu(told):
                continue
            row = _row(line, told, instance)
            if row.instance_type:
                sold.append(row)
            else:
                devices[_device(row.accelerator, told["AcceleratorCount"], row.zone)] = row
        except BadLine as bad:
            problems.append(unusable(source, line, str(bad)))
    if provider_slug(provider) == "gcp":
        sold = list(_with_devices(sold, devices, source, problems))
    return Catalogue(_by_region(sold, provider, as_of, source, problems), tuple(problems))


def _has_gpu(told: dict[str, str]) -> bool:
    """Whether a line of a type that the map does not know prices a GPU."""
    return bool(told["AcceleratorName"]) and bool(told.get("GpuInfo", "not told"))


def _row(line: int, told: dict[str, str], instance: GpuInstance | None) -> _Row:
    on_demand, spot = (
        the_price(told[name]) if told.get(name) and told[name].casefold() != "nan" else None
        for name in ("Price", "SpotPrice")
    )
    return _Row(
        line=line,
        instance_type=told["InstanceType"],
        instance=instance,
        accelerator=told["AcceleratorName"],
        region=told["Region"],
        zone=told.get("AvailabilityZone", ""),
        on_demand=on_demand,
        spot=spot,
    )


def _device(name: str, count: str, zone: str) -> tuple[str, Decimal, str]:
    if not re.fullmatch(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", count, re.ASCII):
        raise BadLine(f"'{count[:40]}' is not a number of GPUs")
    return _plain_name(name), Decimal(count), zone


def _with_devices(
    sold: list[_Row], devices: dict[tuple[str, Decimal, str], _Row], source: str, problems: list[Problem]
) -> Iterator[_Row]:
    """Machines with their GPUs, and those that are priced whole."""
    for row in sold:
        if row.accelerator or row.instance is None:
            yield row
        elif device := _in_zone(devices, row.instance, row.zone):
            on_demand, spot = _sum(row.on_demand, device.on_demand), _sum(row.spot, device.spot)
            yield replace(row, on_demand=on_demand, spot=spot)
        else:
            message = f"{row.instance_type} is priced without its GPUs, which {row.zone or row.region} has no price of"
            problems.append(unusable(source, row.line, message))


def _in_zone(devices: dict[tuple[str, Decimal, str], _Row], instance: GpuInstance, zone: str) -> _Row | None:
    """The price of the GPUs of a machine; the catalogue leaves the smaller memory out of the name (``A100``)."""
    names = (instance.gpu_type, _MEMORY.sub("", instance.gpu_type.casefold()))
    return next(filter(None, (devices.get((_plain_name(name), instance.gpu_count, zone)) for name in names)), None)


def _plain_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else add_exactly((one, other))


def _by_region(
    rows: list[_Row], provider: str, as_of: date, source: str, problems: list[Problem]
) -> tuple[ListedPrice, ...]:
    found: dict[tuple[str, str, str], list[Decimal]] = {}
    for row in rows:
        if row.on_demand and row.spot and row.spot > row.on_demand * _TOLERANCE:
            message = f"{row.instance_type}: spot at {plain(row.spot)} is above on demand at {plain(row.on_demand)}"
            problems.append(unusable(source, row.line, message))
            continue
        for purchase, price in (("on_demand", row.on_demand), ("spot", row.spot)):
            if price is not None:
                found.setdefault((row.instance_type, row.region, purchase), []).append(price)
    return tuple(
        ListedPrice(
            provider=provider_slug(provider) or provider.strip().casefold(),
            instance_type=instance_type,
            region=region or None,
            purchase=purchase,
            unit_price=max(prices),
            currency="USD",
            valid_from=as_of,
            valid_to=None,
            as_of=as_of,
            source=source if len(set(prices)) == 1 else f"{source}, dearest of {len(prices)} zones",
        )
        for (instance_type, region, purchase), prices in sorted(found.items())
    )
