"""``outlay demo``: see the main job done on data that ships with Outlay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, progress, show_json

if TYPE_CHECKING:
    from outlay.demo.tour import Tour
    from outlay.metrics.kpis import KpiReport
    from outlay.metrics.reconciliation import Reconciliation

_FOLDER = Path("outlay-demo")


@click.command("demo", epilog="Example: outlay demo --rows 50000")
@click.option(
    "--rows", type=click.IntRange(min=1_000), default=50_000, show_default=True, help="Rows of the synthetic bills."
)
@common_options
def command(rows: int, common: Common) -> None:
    """Build a demo ledger and show what was spent and overspent.

    Loads the real sample bills that ship with Outlay and a generated, clearly labelled synthetic AI company into
    ./outlay-demo, prints the KPIs and the overspend, and writes a report. With --ledger, the ledger goes there instead.
    """
    from outlay.demo.tour import tour
    from outlay.ledger.engine.duckdb import session
    from outlay.ledger.store import Ledger
    from outlay.metrics.kpis import kpi_report
    from outlay.metrics.reconciliation import reconcile

    ledger = common.ledger() if common.ledger_named else Ledger(_FOLDER / "ledger")
    with progress(common) as report_progress:
        made = tour(_FOLDER, ledger, common.settings(), rows=rows, progress=report_progress)
    figures = kpi_report(ledger, common.settings())
    with session() as connection:
        compared = reconcile(connection, ledger, common.settings())
    if common.as_json:
        document = made.overspend.to_json()
        show_json(
            {
                "synthetic": True,
                "ledger": str(ledger.path),
                "report": str(made.report),
                "offers": str(made.offers),
                "reconciliation": compared.to_json(),
                "kpis": [figure.to_json() for figure in figures.kpis],
                "overspend": document,
            }
        )
        return
    _show(made, figures, compared, ledger.path)


def _show(made: Tour, figures: KpiReport, compared: Reconciliation, ledger: Path) -> None:
    from rich.console import Console

    from outlay.report.terminal import show_kpis, show_overspend, show_reconciliation
    from outlay.report.wording import count

    console = Console()
    real = sum(f.rows_loaded for f in made.samples.files)
    generated = sum(f.rows_loaded for f in made.bills.files)
    console.print(
        f"In the ledger: {real:,} rows of {len(made.samples.files)} real sample bills and {generated:,} rows of a "
        "SYNTHETIC company; totals of files and ledger are equal to the last digit."
    )
    if made.restatement.changed:
        console.print(
            f"Then one of the company's providers restated a month: {made.restatement.rows_replaced:,} rows were "
            "replaced in one commit."
        )
    facts = ", ".join(
        f"{count(sum(f.rows_loaded for f in table.files), 'row')} of {table.table}" for table in made.facts.tables
    )
    console.print(f"And what the money bought: {facts}; SYNTHETIC too.")
    console.print("\n[bold]SYNTHETIC COMPANY (generated, not a real bill)[/bold]")
    show_overspend(made.overspend)
    console.print()
    show_reconciliation(compared)
    show_kpis(figures)
    console.print(f"\nReport: {made.report}\nLedger: {ledger}", soft_wrap=True)
    console.print(f"Next: outlay query ai_cost --by team --ledger {ledger}", soft_wrap=True)
    console.print(f"      outlay kpis --by team --ledger {ledger}", soft_wrap=True)
    console.print(f"      outlay commit plan --ledger {ledger} --offers {made.offers}", soft_wrap=True)
    console.print("Your own bill: outlay overspend BILL --html report.html", soft_wrap=True)
