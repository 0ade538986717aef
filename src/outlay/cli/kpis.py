"""``outlay kpis``: the seven KPIs of FinOps for AI, and whether their numbers can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, progress, show_json

if TYPE_CHECKING:
    from outlay.metrics.kpis import KpiReport
    from outlay.metrics.reconciliation import Reconciliation


@click.command("kpis", epilog="Example: outlay kpis --by team --since 2026-10-01 --until 2026-11-01")
@click.option("--by", metavar="DIM,...", help="Dimensions to group by.")
@click.option("--since", metavar="DATE", help="Start of the window, inclusive, UTC: 2026-10-01 or 2026-10.")
@click.option("--until", metavar="DATE", help="End of the window, exclusive, UTC.")
@click.option("--where", metavar="DIM=VALUE", multiple=True, help="Only these rows; DIM= is no value. Repeatable.")
@click.option("--as-of", metavar="VERSION|TIME", help="As of a version of `outlay history`, or a time.")
@common_options
def command(common: Common, **options: Any) -> None:  # noqa: ANN401 - click's options
    """The seven KPIs, with targets; first, how usage priced from requests compares with the bill.

    A KPI whose facts are not in the ledger says which fact is missing and how to bring it in. `outlay explain` has
    the receipt of each metric.
    """
    from outlay.ledger.engine.duckdb import session
    from outlay.metrics.kpis import kpi_report
    from outlay.metrics.query import filters
    from outlay.metrics.reconciliation import reconcile
    from outlay.periods import Period, parse_day

    since = parse_day(options["since"], name="--since") if options["since"] else None
    until = parse_day(options["until"], name="--until") if options["until"] else None
    if since is not None and until is not None:
        Period(since, until)
    by = tuple(name.strip() for name in (options["by"] or "").split(",") if name.strip())
    settings, ledger = common.settings(), common.ledger()
    with progress(common) as report_progress:
        report_progress("reading the ledger")
        report = kpi_report(
            ledger,
            settings,
            by=by,
            since=since,
            until=until,
            where=filters(options["where"]),
            as_of=options["as_of"],
        )
        report_progress("comparing usage with the bill")
        with session() as connection:
            compared = reconcile(connection, ledger, settings, since=since, until=until, as_of=options["as_of"])
    if common.as_json:
        show_json(document(report, compared))
    else:
        from outlay.report.terminal import show_kpis, show_reconciliation

        for twice in report.told_twice:
            print(f"note: {twice.text}\n")
        show_reconciliation(compared)
        if options["where"]:
            print("The comparison above is of all usage and bills in the window, whatever --where selects.\n")
        show_kpis(report, by)


def document(report: KpiReport, compared: Reconciliation) -> dict[str, Any]:
    """The contract's JSON."""
    return {
        "since": None if report.since is None else f"{report.since.isoformat()}Z",
        "until": None if report.until is None else f"{report.until.isoformat()}Z",
        "reconciliation": compared.to_json(),
        "kpis": [one.to_json() for one in report.kpis],
        "neighbours": [one.to_json() for one in report.neighbours],
        "notes": [*(one.text for one in report.told_twice), *report.notes],
        "told_twice": [one.to_json() for one in report.told_twice],
        "allocations": [one.to_json() for one in report.allocations],
    }
