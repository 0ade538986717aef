"""``outlay overspend``: the sixty-second bill."""

from __future__ import annotations

from pathlib import Path

import click

from outlay.cli.common import Common, common_options, progress, say, show_json


@click.command("overspend", epilog="Example: outlay overspend exports/ --html report.html")
@click.argument("bills", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), help="Also write the report as one self-contained HTML file.")
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    help="Price file (CSV) with rates the bill does not show; it wins over the bill.",
)
@click.option(
    "--as",
    "format_id",
    metavar="FORMAT",
    help="Format id (see `outlay sources`); detected from the content unless given.",
)
@common_options
def command(
    bills: tuple[Path, ...], html: Path | None, prices: Path | None, format_id: str | None, common: Common
) -> None:
    """Read bills in place: what was spent on AI, what of it is overspend, and why.

    Files or folders, in any supported format; nothing is loaded and nothing leaves this machine. Rows that can't be
    used are kept out and listed; the exit status is 0 all the same, as nothing goes to quarantine.
    """
    from outlay.optimize.overspend import overspend
    from outlay.prices.rates import read_rates

    rates = read_rates(prices)
    with progress(common) as report_progress:
        result = overspend(bills, common.settings(), rates, format_id=format_id, progress=report_progress)
    if common.as_json:
        show_json(result.to_json())
    else:
        from outlay.report.terminal import show_overspend

        show_overspend(result)
    if html is not None:
        from outlay.report.html import write_overspend

        write_overspend(result, html, synthetic=result.synthetic)
        say(f"Report: {html}")
