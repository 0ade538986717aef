"""``outlay commit offers``: what the price tables have for sale, written as the offers that a plan reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from outlay.cli.common import Common, common_options, say, show_json

if TYPE_CHECKING:
    from outlay.config import Settings
    from outlay.optimize.commitments.ledger_pools.pools import PoolDemand
    from outlay.optimize.commitments.offers.table_offers import Listed, Wanted
    from outlay.prices.aws_savings_plans import PlanRates
    from outlay.prices.gpu_prices import GpuPrices

__all__ = ["offers_command", "price_tables", "table_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


def table_options(function: _F) -> _F:
    """Adds ``--catalog`` and ``--prices``: the tables that a price is looked up in."""
    path = click.Path(path_type=Path)
    catalog = "Table that `outlay prices gpus refresh` wrote; repeatable."
    function = click.option("--prices", type=path, help="Your own price file (CSV); it wins.")(function)
    return click.option("--catalog", "catalogs", type=path, multiple=True, help=catalog)(function)


@click.command("offers", epilog="Example: outlay commit offers --catalog aws.csv --out offers.csv")
@click.option("--out", type=click.Path(path_type=Path), default="offers.csv", show_default=True, help="CSV to write.")
@click.option("--pool", "pools", multiple=True, metavar="NAME", help="Only this pool of the ledger; repeatable.")
@click.option("--gpu", metavar="G", help="For this GPU (H100, A100-80GB ...), without a ledger; --pool names the pool.")
@click.option("--region", metavar="R", help="Where --gpu is wanted; or the region of pools that name none.")
@click.option("--provider", metavar="P", help="Who sells it: aws, azure, gcp, oci ...")
@table_options
@click.option(
    "--savings-plans",
    type=click.Path(path_type=Path),
    multiple=True,
    help="JSON of `aws savingsplans describe-savings-plans-offering-rates`, or Azure's retail prices; repeatable.",
)
@click.option("--at", "at_text", metavar="TIME", help="As of when, ISO 8601, UTC unless it says (default: now).")
@common_options
def offers_command(common: Common, out: Path, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Write an offers file for the pools of the ledger from the price tables.

    Reservations that the tables know, with price per GPU-hour, source and age; a machine without one is listed with an
    empty price, to be filled in from a quote.
    """
    from outlay.optimize.commitments.offers.offer_file import write_offers

    settings = common.settings()
    found = _table_offers(common, settings, **options)
    write_offers(found.offers, out)
    if common.as_json:
        show_json({"out": str(out), **found.to_json()})
        return
    click.echo(f"{len(found.offers):,} offers written to {out}, {found.unknown:,} of them without a price.")
    if found.stale:
        click.echo(
            f"{found.stale:,} prices are stale: see their source. `outlay prices gpus refresh` reads newer ones."
        )
    for note in found.notes:
        click.echo(note)
    click.echo(_next(common, out, found, ledger=options["gpu"] is None))


def _next(common: Common, out: Path, found: Listed, *, ledger: bool) -> str:
    """What to do with the file."""
    fill = f"fill in unit_price where {out} has none: what stays empty gets no verdict. " if found.unknown else ""
    named = f" --ledger {common.ledger_path}" if common.ledger_named else ""
    demand = named if ledger else " --demand DEMAND.csv"
    standing = f" To keep what stands current, set [commitments] offers to {out} in outlay.toml." if ledger else ""
    command = f"`outlay commit plan{demand} --offers {out}`"
    return f"Next: {fill}Then {command}.{standing}" if fill else f"Next: {command}.{standing}"


def _table_offers(
    common: Common,
    settings: Settings,
    *,
    pools: tuple[str, ...],
    gpu: str | None,
    region: str | None,
    provider: str | None,
    catalogs: tuple[Path, ...],
    prices: Path | None,
    savings_plans: tuple[Path, ...],
    at_text: str | None,
) -> Listed:
    from dataclasses import replace

    from outlay.cli.price import moment
    from outlay.errors import UsageError
    from outlay.optimize.commitments.offers.table_offers import table_offers, wanted_of
    from outlay.prices.gpus import provider_slug

    notes: list[str] = []
    slug = provider and (provider_slug(provider) or provider)
    if gpu is not None:
        wanted = _named(gpu, region, slug, pools)
    else:
        wanted, notes = wanted_of(_ledger_pools(common, settings, pools), region)
        wanted = [
            replace(one, provider=slug or one.provider)
            for one in wanted
            if one.provider in (None, slug or one.provider)
        ]
    read = [_plan_rates(path) for path in savings_plans]
    for problem in (problem for one in read for problem in one.problems):
        say(f"{problem.source}: {problem.message}.")
    found = table_offers(
        wanted,
        price_tables((*settings.prices.gpus, *catalogs), prices),
        moment(at_text).date(),
        plans=[rate for one in read for rate in one.rates],
        currency=settings.currency,
    )
    if not found.offers:
        hint = " ".join((*notes, *found.notes)) or "Look at `outlay prices gpus`."
        raise UsageError("no machine to make an offer of.", where=gpu or str(common.ledger_path), hint=hint)
    return replace(found, notes=(*notes, *found.notes))


def _plan_rates(path: Path) -> PlanRates:
    """The rates of AWS' savings plans, or of Azure's, whichever answer the file holds."""
    from outlay.prices.aws_savings_plans import read_savings_plans
    from outlay.prices.azure_retail import is_azure_retail, read_azure_plans

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        text = ""  # the reader says what is wrong with the file
    return read_azure_plans(text, path.name) if is_azure_retail(text) else read_savings_plans(path)


def _named(gpu: str, region: str | None, provider: str | None, pools: tuple[str, ...]) -> list[Wanted]:
    """What the options ask for, without a ledger."""
    from outlay.errors import UsageError, nearest
    from outlay.optimize.commitments.offers.table_offers import Wanted
    from outlay.prices.gpus import gpus

    names = [card.name for card in gpus()]
    if gpu not in names:
        raise UsageError(f"'{gpu}' is no GPU of the tables.", where="--gpu", hint=nearest(gpu, names))
    if region is None or not pools:
        hint = "Give --region, and --pool, the demand's name of the pool ('*' is each of its pools)."
        raise UsageError("is not enough to find offers.", where="--gpu", hint=hint)
    return [Wanted(name, gpu, region, provider) for name in pools]


def _ledger_pools(common: Common, settings: Settings, pools: tuple[str, ...]) -> list[PoolDemand]:
    from outlay.ledger.engine.duckdb import session
    from outlay.optimize.commitments.ledger_pools.ledger_demand import ledger_demand

    with session() as connection:
        demand = ledger_demand(connection, common.ledger(), settings.tags.required)
    return [demand.pool(name) for name in pools] if pools else list(demand.pools)


def price_tables(catalogs: tuple[Path, ...], prices: Path | None) -> GpuPrices:
    """The prices that tables and the user's file tell; a line that can't be used is said."""
    from outlay.prices.gpu_prices import GpuPrices, read_catalogues
    from outlay.prices.rates import read_rates

    read = read_catalogues(catalogs)
    for problem in (problem for one in read for problem in one.problems):
        say(f"{problem.source}:{problem.line}: {problem.message}.")
    return GpuPrices(read, read_rates(prices))
