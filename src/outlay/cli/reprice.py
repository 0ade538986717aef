"""``outlay reprice``: usage in the ledger at the prices of today's lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, progress, show_json
from outlay.money import add_exactly, plain, rounded

if TYPE_CHECKING:
    from outlay.prices.reprice import Repriced

_MOST = 20


@click.command("reprice", epilog="Example: outlay reprice --since 2026-10 --until 2026-11 --apply")
@click.option("--since", metavar="DATE", help="First calls, inclusive, UTC.")
@click.option("--until", metavar="DATE", help="End of the calls, exclusive, UTC.")
@click.option("--source", metavar="NAME", help="Only this source's.")
@click.option("--as-of", metavar="TIME", help="Show what the calls would cost at the prices of one moment.")
@click.option("--apply", is_flag=True, help="Write the new prices, in one commit; without it they are only shown.")
@common_options
def command(common: Common, apply: bool, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Price usage in the ledger again, with the lists of today, each call as of its own time.

    A row keeps the price that it was loaded with until this is asked for. Shows what would change; --apply writes it.
    The figures as they were are an earlier version of the table.
    """
    from outlay.ledger.engine.duckdb import session
    from outlay.periods import parse_day
    from outlay.prices.reprice import Selection, reprice
    from outlay.sources.loading import token_prices

    moments = {
        name: parse_day(options[name], name=f"--{name.replace('_', '-')}") if options[name] else None
        for name in ("since", "until", "as_of")
    }
    prices = token_prices(common.settings())
    with progress(common) as report_progress, session() as connection:
        report_progress("pricing again")
        selection = Selection(moments["since"], moments["until"], options["source"])
        changes, version = reprice(connection, common.ledger(), prices, selection, at=moments["as_of"], apply=apply)
    if common.as_json:
        show_json(
            {
                "applied": version is not None,
                "version": version,
                "prices": prices.version,
                "changes": [one.to_json() for one in changes],
                "totals": {
                    currency: {"before": plain(before), "after": plain(after), "difference": plain(after - before)}
                    for currency, before, after in _totals(changes)
                },
            }
        )
        return
    _show(changes, version, prices.version)


def _totals(changes: list[Repriced]) -> list[tuple[str, Any, Any]]:
    currencies = sorted({one.currency for one in changes if one.currency is not None})
    return [
        (
            currency,
            add_exactly(one.before for one in changes if one.currency == currency),
            add_exactly(one.after for one in changes if one.currency == currency),
        )
        for currency in currencies
    ]


def _show(changes: list[Repriced], version: int | None, prices: str) -> None:
    from outlay.report.wording import count

    moved = [one for one in changes if one.before != one.after or one.unpriced_before != one.unpriced_after]
    for one in moved[:_MOST]:
        currency = one.currency or "USD"
        click.echo(
            f"{one.provider or '(no provider)'} {one.model or '(no model)'}: {count(one.rows, 'row')}, "
            f"{rounded(one.before, currency):,} -> {rounded(one.after, currency):,} {currency}"
            + (f", unpriced {one.unpriced_before:,} -> {one.unpriced_after:,}" if one.unpriced_before else "")
        )
    if len(moved) > _MOST:
        click.echo(f"{count(len(moved) - _MOST, 'more model')} (--json has them all).")
    for currency, before, after in _totals(changes):
        said = f"{rounded(before, currency):,} -> {rounded(after, currency):,} {currency}"
        rows = sum(one.rows for one in changes if one.currency in (currency, None))
        click.echo(f"In all {count(rows, 'row')}: {said}. Prices: {prices}.")
    if version is not None:
        click.echo(f"Written. Table requests version {version}.")
    elif moved:
        click.echo("Nothing was changed; --apply writes the new prices.")
    else:
        click.echo("No price is another one.")
