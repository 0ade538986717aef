"""``outlay history``: what was loaded when, from the table's own log."""

from __future__ import annotations

from pathlib import PurePath

import click

from outlay.cli.common import Common, common_options, show_json


@click.command("history", epilog="Example: outlay history --ledger ledger")
@common_options
def command(common: Common) -> None:
    """The loads of the ledger, newest first.

    `outlay query` and `outlay explain` answer as of one of them with --as-of VERSION.
    """
    from outlay.report.wording import count, listed

    records = [record for record in common.ledger().history() if record.facts]
    if common.as_json:
        show_json([{"version": r.version, "at": r.at.isoformat() + "Z", **r.facts} for r in records])
        return
    for record in records:
        files = record.facts["files"]
        rows = sum(f["rows_loaded"] for f in files)
        replaced = sum(entry[2] for entry in record.facts["replaced"])
        rejected = sum(f["rows_rejected"] for f in files)
        click.echo(
            f"version {record.version}  {record.at:%Y-%m-%d %H:%M} UTC  {count(rows, 'row')}"
            + (f" in place of {replaced:,}" if replaced else "")
            + (f", {rejected:,} kept out" if rejected else "")
            + f"  {listed([PurePath(f['path']).name for f in files], 3)}"
        )
