"""``outlay load``: bills into the ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, progress, show_json
from outlay.money import plain

if TYPE_CHECKING:
    from outlay.sources.loading import LoadReport


@click.command("load", epilog="Example: outlay load exports/2026-10/ --ledger ledger")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--as",
    "format_id",
    metavar="FORMAT",
    help="Format id (see `outlay sources`); detected from the content unless given.",
)
@click.option("--source", metavar="NAME", help="Whose bill this is; each row's billing account unless given.")
@common_options
def command(paths: tuple[Path, ...], format_id: str | None, source: str | None, common: Common) -> None:
    """Load bills into the ledger, in one atomic commit.

    Files of one command belong together. Loading the same content again changes nothing; a restated billing month
    replaces what the ledger held of that source and month. Rows that can't be used go to quarantine and are listed;
    the exit status is 3 then.
    """
    from outlay.sources.loading import load

    with progress(common) as report_progress:
        report = load(
            common.ledger(), paths, common.settings(), format_id=format_id, source=source, progress=report_progress
        )
    if common.as_json:
        show_json(_document(report))
    else:
        _show(report)
    if any(f.rows_rejected for f in report.files):
        sys.exit(3)


def _document(report: LoadReport) -> dict[str, Any]:
    return {
        "load_id": report.load_id,
        "changed": report.changed,
        "version": report.version,
        "rows_replaced": report.rows_replaced,
        "notes": list(report.notes),
        "loads": [
            {
                "path": f.path,
                "format": f.format,
                "version": f.version,
                "table": "costs",
                "source": f.sources[0] if len(f.sources) == 1 else None,
                "sources": list(f.sources),
                "rows_read": f.rows_read,
                "rows_loaded": f.rows_loaded if report.changed else 0,
                "rows_rejected": f.rows_rejected,
                "rows_replaced": report.rows_replaced if len(report.files) == 1 else None,
                "billing_periods": list(f.billing_periods),
                "totals": {
                    c: {m: None if v is None else plain(v) for m, v in sums.items()} for c, sums in f.totals.items()
                },
                "problems": [
                    {"code": p.code, "message": p.message, "hint": p.hint, "count": p.count, "first_line": p.first_line}
                    for p in f.problems
                ],
                "seconds": f.seconds,
            }
            for f in report.files
        ],
    }


def _show(report: LoadReport) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("file", "left"),
        ("format", "left"),
        ("source", "left"),
        ("months", "left"),
        ("rows", "right"),
        ("rejected", "right"),
        ("billed cost", "right"),
        ("effective cost", "right"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for f in report.files:
        months = (
            f.billing_periods[0]
            if len(f.billing_periods) == 1
            else f"{f.billing_periods[0]} to {f.billing_periods[-1]}"
            if f.billing_periods
            else "-"
        )
        for currency, sums in f.totals.items() or [("-", {})]:
            table.add_row(
                Path(f.path).name,
                f.version,
                ", ".join(f.sources) or "-",
                months,
                f"{f.rows_loaded:,}",
                f"{f.rows_rejected:,}",
                *(
                    f"{sums[m]:,.2f} {currency}" if sums.get(m) is not None else "-"
                    for m in ("BilledCost", "EffectiveCost")
                ),
            )
    console.print(table)
    for f in report.files:
        for p in f.problems:
            place = f" (first: row {p.first_line})" if p.first_line is not None else ""
            kind = "kept out" if p.rejects else "note"
            console.print(
                f"{kind}: {p.source}: {p.message}{f', {p.count:,} rows' if p.rejects else ''}{place}. {p.hint}",
                markup=False,
                soft_wrap=True,
            )
    for note in report.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    if report.changed:
        console.print(f"Totals of file and ledger are equal to the last digit. Ledger version {report.version}.")
    else:
        console.print(f"This content is in the ledger already; nothing changed (version {report.version}).")
