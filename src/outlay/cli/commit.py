"""``outlay commit``: what to commit, what not, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from outlay.cli.commit_document import document_json, last_purchases, show_document, verify_command, write_plan
from outlay.cli.commit_offers import offers_command, price_tables, table_options
from outlay.cli.commit_status import dated, since_then, status_command
from outlay.cli.common import Common, common_options, progress, say, show_json

if TYPE_CHECKING:
    from outlay.config import Settings
    from outlay.optimize.commitments.inputs import Inputs, Tables

PARTIAL = 3
_F = TypeVar("_F", bound=Callable[..., Any])


@click.group("commit")
def command() -> None:
    """GPU commitments: what to commit, what not, and what became of what is owned.

    Example: outlay commit plan --demand demand.csv --offers offers.toml
    """


command.add_command(verify_command)
command.add_command(status_command)
command.add_command(offers_command)


def _input_options(function: _F) -> _F:
    path = click.Path(path_type=Path)
    for option in (
        click.option("--pool", "pools", multiple=True, metavar="NAME", help="Only this pool; repeatable."),
        click.option(
            "--as-of", metavar="DATE|HOUR", help="With what was known then; the end of the demand unless given."
        ),
        click.option(
            "--offers", type=path, metavar="FILE", help="What is for sale, TOML or CSV; else [commitments] offers."
        ),
        click.option(
            "--demand", type=path, metavar="FILE", help="CSV: hour, then GPUs in use by pool; else the ledger's."
        ),
    ):
        function = option(function)
    return function


@command.command("plan", epilog="Example: outlay commit plan --demand demand.csv --offers offers.toml")
@_input_options
@table_options
@click.option("--paths", type=click.IntRange(50, 100_000), help="Simulated futures of a pool (1,000; fewer for many).")
@click.option("--html", type=click.Path(path_type=Path), help="Also write the plan as one self-contained HTML file.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Also write the plan as a sealed document."
)
@click.option(
    "--last-purchase",
    "bought",
    multiple=True,
    metavar="POOL=DATE",
    help="With --out: day of the last purchase for a pool, or never; '*' is every pool; repeatable.",
)
@click.option("--buy", multiple=True, metavar="POOL", help="With --out: buy for this pool or union; repeatable.")
@common_options
def plan_command(
    common: Common,
    *,
    paths: int | None,
    catalogs: tuple[Path, ...],
    prices: Path | None,
    html: Path | None,
    out: Path | None,
    bought: tuple[str, ...],
    buy: tuple[str, ...],
    **options: Any,  # noqa: ANN401 - click's options
) -> int:
    """What to commit, what not, and what it risks: commit, wait or never for each pool, with reasons.

    The optimum is exact over the history given; what is recommended is what your risk leaves of it, less what is
    owned. Nothing is bought.
    """
    from outlay.errors import UsageError
    from outlay.optimize.commitments.inputs import Tables, plan_of
    from outlay.optimize.commitments.plan_json import plan_json
    from outlay.optimize.commitments.pool_names import misnamed
    from outlay.problems import summarise

    if out is None and (bought or buy):
        raise UsageError("--last-purchase and --buy are for the plan's document.", hint="Name it with --out FILE.")
    settings = common.settings()
    with progress(common) as report_progress:
        report_progress("reading")
        tables = Tables.of(price_tables((*settings.prices.gpus, *catalogs), prices), settings.commitments)
        given = _inputs(common, settings, tables=tables, **options)
        days = last_purchases(bought, [one.pool for one in given.demands])
        found = plan_of(given, settings.commitments, paths=paths, progress=report_progress)
        unions = None if options["pools"] else [one.pool for one in found.pools if one.union is not None]
        strange = misnamed(settings.commitments, given.names, unions)
        found = replace(found, notes=(*found.notes, *strange))
    problems = summarise(given.problems)
    told = [one.to_json() for one in problems]
    document = out and write_plan(found, out, currency=settings.currency, bought=days, only=buy, problems=told)
    since = None if options["demand"] or options["as_of"] else since_then(common.ledger(), found)
    if common.as_json:
        written = {"document": document_json(document, out)} if document and out else {}
        show_json({**dated(plan_json(found), since), "problems": told, **written})
        for line in strange:
            say(line)
    else:
        from outlay.report.commit_plan import show_plan

        show_plan(found, problems, since=since)
        if document and out:
            show_document(document, out)
    if html is not None:
        from outlay.report.commit_html import write_commit_plan

        write_commit_plan(found, html, problems)
        say(f"Plan: {html}")
    return PARTIAL if problems else 0


@command.command("backtest", epilog="Example: outlay commit backtest --demand demand.csv --offers offers.toml")
@_input_options
@click.option("--term-hours", type=click.IntRange(1, 100_000), help="Length of a term; the offer's unless given.")
@click.option("--every-hours", type=click.IntRange(1, 100_000), help="Hours between decisions; a month unless given.")
@common_options
def backtest_command(
    common: Common,
    term_hours: int | None,
    every_hours: int | None,
    **options: Any,  # noqa: ANN401 - click's options
) -> int:
    """What following the plan would have cost on this history, against on-demand and against perfect foresight.

    Beside it stands the online break-even rule, which costs at most twice what perfect foresight does. Prices are those
    of their days where offers say valid_from. Where the history is shorter than two terms, terms are scaled to 28 days,
    and the result says so.
    """
    from outlay.optimize.commitments.foresight.backtest import backtest, nothing_to_test
    from outlay.optimize.commitments.inputs import Tables
    from outlay.optimize.commitments.pool_names import misnamed
    from outlay.problems import summarise
    from outlay.report.commit_backtest import answers, show_backtests

    settings = common.settings()
    with progress(common) as report_progress:
        report_progress("reading")
        tables = Tables.of(price_tables(settings.prices.gpus, None), settings.commitments)
        given = _inputs(common, settings, tables=tables, **options)
        skipped = {
            one.pool: why
            for one in given.demands
            if (why := nothing_to_test(one, given.offers, given.billed.get(one.pool, ())))
        }
        tested = [one for one in given.demands if one.pool not in skipped] or given.demands[:1]
        found = [
            backtest(
                one,
                given.offers,
                settings.commitments,
                term_hours=term_hours,
                every_hours=every_hours,
                billed=given.billed.get(one.pool, ()),
                history=given.histories.get(one.pool),
                progress=report_progress,
            )
            for one in tested
        ]
    for line in misnamed(settings.commitments, given.names):
        say(line)
    problems = summarise(given.problems)
    if common.as_json:
        untested = [{"pool": pool, "why": why} for pool, why in skipped.items()]
        told = [one.to_json() for one in problems]
        pools = [{"answer": answers([one])[0], **one.to_json()} for one in found]
        show_json({"answer": answers(found), "pools": pools, "not_tested": untested, "problems": told})
    else:
        show_backtests(found, list(skipped), problems)
    return PARTIAL if problems else 0


@command.command("owned", epilog="Example: outlay commit owned --since 2026-10-01 --until 2026-11-01")
@click.option("--since", metavar="DATE", help="Start of the window, inclusive, UTC: 2026-10-01 or 2026-10.")
@click.option("--until", metavar="DATE", help="End of the window, exclusive, UTC.")
@common_options
def owned_command(common: Common, since: str | None, until: str | None) -> None:
    """Coverage and utilisation of what is owned, day by day, and what its unused part cost.

    From the ledger: the bill says what was used; where it is silent, it is computed from demand by the hour.
    """
    from outlay.ledger.engine.duckdb import session
    from outlay.optimize.commitments.holdings.owned import owned
    from outlay.periods import Period, parse_day

    first = parse_day(since, name="--since") if since else None
    last = parse_day(until, name="--until") if until else None
    if first is not None and last is not None:
        Period(first, last)
    settings, ledger = common.settings(), common.ledger()
    with progress(common) as report_progress, session() as connection:
        report_progress("reading the ledger")
        found = owned(connection, ledger, settings.tags.required, since=first, until=last)
    if common.as_json:
        show_json(found.to_json())
    else:
        from outlay.report.commit_owned import show_owned

        show_owned(found)


def _inputs(
    common: Common,
    settings: Settings,
    *,
    demand: Path | None,
    offers: Path | None,
    pools: tuple[str, ...],
    as_of: str | None,
    tables: Tables | None = None,
) -> Inputs:
    """From the files that were named; what was not comes from the ledger and the settings."""
    from outlay.optimize.commitments.inputs import inputs_from_files, inputs_from_ledger

    offered = offers or settings.commitments.offers
    if demand is not None:
        return inputs_from_files(demand, offered, pools=pools, as_of=as_of, tables=tables)
    return inputs_from_ledger(common.ledger(), settings.tags.required, offered, pools=pools, as_of=as_of, tables=tables)
