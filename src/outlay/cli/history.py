"""``outlay history``: what was loaded when, from the table's own log."""

from __future__ import annotations

import click

from outlay.cli.common import Common, common_options, show_json


@click.command("history", epilog="Example: outlay history --ledger ledger")
@common_options
def command(common: Common) -> None:
    """The loads of the ledger, newest first. Ask any report as of one with --as-of VERSION."""
    records = [record for record in common.ledger().history() if record.facts]
    if common.as_json:
        show_json([{"version": r.version, "at": r.at.isoformat() + "Z", **r.facts} for r in records])
        return
    for record in records:
        files = record.facts["files"]
        rows = sum(f["rows_loaded"] for f in files)
        replaced = sum(entry[2] for entry in record.facts["replaced"])
        names = ", ".join(f["path"].rsplit("/", 1)[-1] for f in files[:3]) + (
            f" and {len(files) - 3} more" if len(files) > 3 else ""
        )
        click.echo(
            f"version {record.version}  {record.at:%Y-%m-%d %H:%M} UTC  {rows:,} rows"
            + (f" in place of {replaced:,}" if replaced else "")
            + f"  {names}"
        )
