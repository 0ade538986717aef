"""``outlay commit``: what to commit, what not, and why."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, progress, show_json

if TYPE_CHECKING:
    from outlay.optimize.commitments.demand import Demand
    from outlay.problems import ProblemSummary

PARTIAL = 3


@click.group("commit")
def command() -> None:
    """GPU commitments: a verdict a pool, with the whole curve behind it.

    Example: outlay commit plan --demand demand.csv --offers offers.toml
    """


@command.command("plan", epilog="Example: outlay commit plan --demand demand.csv --offers offers.toml")
@click.option(
    "--demand", type=click.Path(path_type=Path), metavar="FILE", help="CSV: hour, then GPUs in use, one column a pool."
)
@click.option("--offers", type=click.Path(path_type=Path), metavar="FILE", help="What is for sale: TOML or CSV.")
@click.option("--as-of", metavar="DATE|HOUR", help="Plan with what was known then; the end of the demand unless given.")
@click.option("--pool", "pools", multiple=True, metavar="NAME", help="Only this pool; repeatable.")
@click.option("--paths", type=click.IntRange(50, 100_000), help="Simulated futures of a pool (1,000; fewer for many).")
@common_options
def plan_command(common: Common, demand: Path | None, offers: Path | None, **options: Any) -> int:  # noqa: ANN401
    """What to commit, what not, and what it risks: commit, wait or never for each pool, with reasons.

    The optimum is exact over the history given; what is recommended is what your risk leaves of it. Nothing is bought.
    """
    from outlay.optimize.commitments.demand_file import read_demand
    from outlay.optimize.commitments.offer_file import read_offers
    from outlay.optimize.commitments.plan import plan, today_of
    from outlay.optimize.commitments.plan_json import plan_json
    from outlay.problems import summarise

    settings = common.settings().commitments
    with progress(common) as report_progress:
        report_progress("reading")
        assert demand is not None
        file = read_demand(demand, options["pools"])
        known = [_until(one, options["as_of"]) for one in file.pools]
        found = plan(
            known,
            read_offers(offers) if offers is not None else (),
            settings,
            today=today_of(known),
            paths=options["paths"],
            progress=report_progress,
        )
    problems = summarise(file.problems)
    if common.as_json:
        show_json({**plan_json(found), "problems": [_problem(one) for one in problems]})
    else:
        from outlay.report.commit_plan import show_plan

        show_plan(found, problems)
    return PARTIAL if problems else 0


@command.command("backtest", epilog="Example: outlay commit backtest --demand demand.csv --offers offers.toml")
@click.option(
    "--demand", type=click.Path(path_type=Path), metavar="FILE", help="CSV: hour, then GPUs in use, one column a pool."
)
@click.option("--offers", type=click.Path(path_type=Path), metavar="FILE", help="What is for sale: TOML or CSV.")
@click.option("--pool", "pools", multiple=True, metavar="NAME", help="Only this pool; repeatable.")
@click.option("--term-hours", type=click.IntRange(1, 100_000), help="Length of a term; the offer's unless given.")
@click.option("--every-hours", type=click.IntRange(1, 100_000), help="Hours between decisions; a month unless given.")
@common_options
def backtest_command(common: Common, demand: Path | None, offers: Path | None, **options: Any) -> int:  # noqa: ANN401
    """What following the plan would have cost on this history, against on-demand and against perfect foresight.

    Beside it stands the online break-even rule, which no rule without a forecast can beat by its bound of 2. Where the
    history is shorter than two terms, terms are scaled to 28 days, and the result says so.
    """
    from outlay.optimize.commitments.backtest import backtest
    from outlay.optimize.commitments.demand_file import read_demand
    from outlay.optimize.commitments.offer_file import read_offers
    from outlay.problems import summarise

    settings = common.settings().commitments
    assert demand is not None
    assert offers is not None
    with progress(common) as report_progress:
        report_progress("reading")
        file, known = read_demand(demand, options["pools"]), read_offers(offers)
        found = [
            backtest(
                one,
                known,
                settings,
                term_hours=options["term_hours"],
                every_hours=options["every_hours"],
                progress=report_progress,
            )
            for one in file.pools
        ]
    problems = summarise(file.problems)
    if common.as_json:
        show_json({"pools": [one.to_json() for one in found], "problems": [_problem(one) for one in problems]})
    else:
        from outlay.report.commit_backtest import show_backtests

        show_backtests(found)
    return PARTIAL if problems else 0


def _until(demand: Demand, as_of: str | None) -> Demand:
    from outlay.errors import UsageError
    from outlay.periods import parse_day

    if as_of is None:
        return demand
    moment: datetime | int = int(as_of) if as_of.isdecimal() else parse_day(as_of, name="--as-of")
    cut = demand.before(moment)
    if not len(cut):
        raise UsageError(
            f"nothing is known of {demand.pool} before {as_of}.", where="--as-of", hint=f"It begins at {demand.first}."
        )
    return cut


def _problem(one: ProblemSummary) -> dict[str, Any]:
    return {
        "source": one.source,
        "code": one.code,
        "message": one.message,
        "hint": one.hint,
        "count": one.count,
        "first_line": one.first_line,
    }
