"""``outlay prices gpus``: what an hour of a GPU instance costs, how old that price is, and newer prices."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, say, show_json
from outlay.cli.price import moment
from outlay.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    from outlay.prices.gpu_prices import GpuPrice, GpuPrices
    from outlay.prices.gpu_table import Catalogue
    from outlay.problems import Problem

_SHOWN_PROBLEMS = 5
_MICRO = Decimal("0.000001")


@click.group(
    "gpus",
    invoke_without_command=True,
    epilog="Example: outlay prices gpus --provider aws --instance p5 --at 2026-11-01",
)
@click.option("--provider", metavar="P", help="Only this seller's: aws, azure, gcp, oci, nebius ...")
@click.option("--instance", metavar="TYPE", help="Only instance types whose name contains this.")
@click.option("--region", metavar="R", help="Only this region's.")
@click.option(
    "--purchase", metavar="HOW", help="Only bought so: on_demand, spot, committed, reserved_1yr_no_upfront ..."
)
@click.option("--at", "at_text", metavar="TIME", help="As of when, ISO 8601, UTC unless it says (default: now).")
@click.option(
    "--catalog",
    "catalogs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Table that `refresh` wrote; repeatable.",
)
@click.option("--prices", type=click.Path(path_type=Path), help="Your own price file (CSV); it wins.")
@click.option("--limit", type=click.IntRange(min=1), default=40, show_default=True, help="At most so many lines.")
@common_options
@click.pass_context
def gpus(
    context: click.Context,
    *,
    provider: str | None,
    instance: str | None,
    region: str | None,
    purchase: str | None,
    at_text: str | None,
    catalogs: tuple[Path, ...],
    prices: Path | None,
    limit: int,
    common: Common,
) -> int:
    """What an hour of a GPU instance and of a GPU costs, with the source of each price and its age.

    --json has every price, whatever the limit.
    """
    if context.invoked_subcommand is not None:
        return 0
    from outlay.prices.gpu_prices import ASKABLE, GpuPrices, read_catalogues
    from outlay.prices.rates import read_rates

    if purchase is not None and purchase not in ASKABLE:
        raise UsageError(f"unknown purchase '{purchase}'.", where="--purchase", hint=f"Known: {', '.join(ASKABLE)}.")
    at = moment(at_text)
    read = read_catalogues((*common.settings().prices.gpus, *catalogs))
    for problem in (problem for one in read for problem in one.problems):
        say(f"{problem.source}:{problem.line}: {problem.message}.")
    book = GpuPrices(read, read_rates(prices))
    found = [
        price
        for price in book.at(at, provider=provider)
        if (instance or "").casefold() in price.instance_type.casefold()
        and (region is None or price.region is None or price.region.casefold() == region.casefold())
        and purchase in (None, price.purchase)
    ]
    if common.as_json:
        show_json(_document(book, found, at))
    else:
        _show(book, found, at, limit)
    return 0


@gpus.command(
    "refresh",
    epilog="Example: outlay prices gpus refresh --from skypilot "
    "https://raw.githubusercontent.com/skypilot-org/skypilot-catalog/master/catalogs/v8/aws/vms.csv --out aws-gpus.csv",
)
@click.argument("where", metavar="FILE_OR_URL")
@click.option(
    "--from", "kind", type=click.Choice(["skypilot", "aws", "azure"]), required=True, help="Whose format it is."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Table (CSV) to write.")
@click.option("--as-of", metavar="DAY", help="When it was read, where it does not say; today for a URL.")
@click.option("--provider", metavar="P", help="Whose prices they are, where the path does not say (SkyPilot).")
@common_options
def refresh(*, where: str, kind: str, out: Path, as_of: str | None, provider: str | None, common: Common) -> int:
    """Write the GPU prices of a public catalogue as a table for --catalog. Fetches only what is named."""
    from outlay.prices.catalogue_source import opened
    from outlay.prices.gpu_table import write_table

    day = _day(as_of, where)
    seller = (provider or _cloud(where)) if kind == "skypilot" else kind
    if kind == "aws":
        from outlay.prices.aws_price_list import read_aws

        reader = partial(read_aws, source=_source("AWS price list", where), as_of=day)
    elif day is None:
        raise UsageError("the catalogue does not say of which day it is.", where=where, hint="Give --as-of.")
    elif kind == "azure":
        from outlay.prices.azure_retail import read_azure

        reader = partial(read_azure, source=_source("Azure retail prices", where), as_of=day)
    else:
        from outlay.prices.skypilot_catalog import read_skypilot

        reader = partial(read_skypilot, source=_source("skypilot-catalog", where), provider=seller, as_of=day)
    with opened(where) as lines:
        read = reader(lines)
    if not read.prices:
        raise UnreadableError("has no price of a GPU instance.", where=where, hint=_first(read.problems))
    write_table(read.prices, out)
    _report(read, out, common)
    return 0


def _day(text: str | None, where: str) -> date | None:
    from outlay.prices.catalogue_source import is_url

    if text is not None:
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise UsageError(f"'{text}' is not a day.", where="--as-of", hint="Write 2026-10-01.") from None
    return datetime.now(UTC).date() if is_url(where) else None


def _cloud(where: str) -> str:
    """The folder that ``vms.csv`` lies in, which SkyPilot names after the cloud."""
    path = PurePosixPath(where.partition("?")[0].replace("\\", "/"))
    if path.name != "vms.csv" or not path.parent.name.isalnum():
        raise UsageError("does not say whose prices it has.", where=where, hint="Give --provider, such as aws.")
    return path.parent.name


def _source(name: str, where: str) -> str:
    """What receipts say: an address is told whole, of a path its name, without secrets of a query."""
    place = where.partition("?")[0]
    return f"{name}, {place if '://' in place else Path(place).name}"


def _first(problems: tuple[Problem, ...]) -> str:
    return f"{len(problems):,} lines can't be used, line {problems[0].line}: {problems[0].message}." if problems else ""


def _report(read: Catalogue, out: Path, common: Common) -> None:
    from outlay.prices.gpus import gpu_instance
    from outlay.problems import summarise

    types = {(one.provider, one.instance_type) for one in read.prices}
    unknown = sorted(name for provider, name in types if gpu_instance(provider, name) is None)
    as_of = max(one.as_of for one in read.prices if one.as_of is not None)
    if common.as_json:
        document = {
            "out": str(out),
            "as_of": as_of.isoformat(),
            "prices": len(read.prices),
            "instance_types": len(types),
            "not_in_instance_map": unknown,
            "problems": [
                {"line": one.line, "code": one.code, "message": one.message, "hint": one.hint} for one in read.problems
            ],
        }
        show_json(document)
        return
    click.echo(f"{len(read.prices):,} prices of {len(types):,} instance types as of {as_of} written to {out}")
    _show_unknown(unknown)
    kinds = summarise(read.problems)
    for one in kinds[:_SHOWN_PROBLEMS]:
        times = f", {one.count:,} times" if one.count > 1 else ""
        say(f"{one.source}:{one.first_line}: {one.message}{times}.")
    if len(kinds) > _SHOWN_PROBLEMS:
        say(f"{len(read.problems):,} lines were left out in all; --json has each.")


def _document(book: GpuPrices, found: list[GpuPrice], at: datetime) -> dict[str, object]:
    return {
        "at": at.isoformat() + "Z",
        "prices": [_price(price) for price in found],
        "stale": sum(price.stale for price in found),
        "not_in_instance_map": sorted({price.instance_type for price in found if price.gpu_count is None}),
        "unpriced": [{"provider": one.provider, "instance_type": one.instance_type} for one in book.unpriced(at)],
    }


def _price(price: GpuPrice) -> dict[str, object]:
    from outlay.money import plain

    def number(value: Decimal | None) -> str | None:
        return None if value is None else plain(value)

    def day(value: date | None) -> str | None:
        return None if value is None else value.isoformat()

    return {
        "provider": price.provider,
        "instance_type": price.instance_type,
        "region": price.region,
        "purchase": price.purchase,
        "per_instance_hour": number(price.per_instance_hour),
        "per_gpu_hour": number(price.per_gpu_hour),
        "currency": price.currency,
        "gpu_type": price.gpu_type,
        "gpu_count": number(price.gpu_count),
        "valid_from": day(price.valid_from),
        "valid_to": day(price.valid_to),
        "as_of": day(price.as_of),
        "days_old": price.days_old,
        "stale": price.stale,
        "source": price.source,
        "yours": price.yours,
    }


def _show(book: GpuPrices, found: list[GpuPrice], at: datetime, limit: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from outlay.prices.gpus import gpu_instances

    sources = list(dict.fromkeys(price.source for price in found[:limit]))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("instance", "GPUs", "region", "bought", "per hour", "per GPU-hour", "as of", "days", "", "source"):
        table.add_column(
            name, justify="right" if name in ("per hour", "per GPU-hour", "days") else "left", no_wrap=True
        )
    for price in found[:limit]:
        table.add_row(
            price.instance_type,
            "not known"
            if price.gpu_count is None
            else f"{Fraction(price.gpu_count).limit_denominator(1000)} {price.gpu_type}",
            price.region or "every",
            price.purchase,
            _money(price.per_instance_hour, price.currency),
            _money(price.per_gpu_hour, price.currency),
            "yours" if price.as_of is None else price.as_of.isoformat(),
            "" if price.days_old is None else f"{price.days_old:,}",
            "stale" if price.stale else "",
            f"[{sources.index(price.source) + 1}]".replace("[", r"\["),
        )
    if found:
        Console(highlight=False, width=200, soft_wrap=True).print(table)
    for number, source in enumerate(sources, 1):
        click.echo(f"[{number}] {source}")
    if len(found) > limit:
        click.echo(f"The first {limit:,} of {len(found):,} prices; --json has all.")
    if not found:
        click.echo(f"No price at {at:%Y-%m-%d} UTC.")
    if stale := sum(price.stale for price in found):
        click.echo(f"{stale:,} of {len(found):,} prices are stale. `outlay prices gpus refresh` reads newer ones.")
    _show_unknown(sorted({price.instance_type for price in found if price.gpu_count is None}))
    known, unpriced = len(gpu_instances()), len(book.unpriced(at))
    click.echo(f"{unpriced:,} of {known:,} instance types of the map have no price; --json names them.")


def _show_unknown(names: list[str]) -> None:
    if names:
        shown = ", ".join(names[:_SHOWN_PROBLEMS]) + (" ..." if len(names) > _SHOWN_PROBLEMS else "")
        click.echo(
            f"{len(names):,} instance types are not in the map, so that a GPU-hour of them has no price: {shown}"
        )


def _money(value: Decimal | None, currency: str) -> str:
    return "not known" if value is None else f"{_short(value)} {currency}"


def _short(value: Decimal) -> str:
    """At most six decimals, for showing."""
    from outlay.money import plain

    return plain(value.quantize(_MICRO, rounding=ROUND_HALF_EVEN))
