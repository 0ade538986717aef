"""``outlay history``: what was loaded when, from the table's own log."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from outlay.cli.common import Common, common_options, show_json

if TYPE_CHECKING:
    from outlay.ledger.store import Ledger, LoadRecord


@click.command("history", epilog="Example: outlay history --ledger ledger")
@common_options
def command(common: Common) -> None:
    """The loads of the ledger's tables, newest first.

    `outlay query` and `outlay explain` answer as of one of them with --as-of VERSION.
    """
    records = _records(common.ledger())
    if common.as_json:
        show_json(
            [{"version": r.version, "at": f"{r.at.isoformat()}Z", "table": table, **r.facts} for table, r in records]
        )
        return
    several = len({table for table, _ in records}) > 1
    for table, record in records:
        named = f"{table} " if several or table != "costs" else ""
        click.echo(f"{named}version {record.version}  {record.at:%Y-%m-%d %H:%M} UTC  {_said(record)}")


def _records(ledger: Ledger) -> list[tuple[str, LoadRecord]]:
    """Every load of every table, newest first."""
    from outlay.ledger.store import FACT_TABLES

    facts = {table.name: ledger.facts(table) for table in FACT_TABLES.values()}
    folders = {name: folder for name, folder in facts.items() if folder.exists()}
    found = [("costs", record) for record in ledger.history()] if ledger.exists() or not folders else []
    found += [(name, record) for name, folder in folders.items() for record in folder.history()]
    return sorted(((t, r) for t, r in found if r.facts), key=lambda one: (one[1].at, one[1].version), reverse=True)


def _said(record: LoadRecord) -> str:
    from outlay.report.wording import count, listed

    if "prices" in record.facts:
        return f"priced again: {record.facts['prices']}"
    files = record.facts["files"]
    rows = sum(f["rows_loaded"] for f in files)
    replaced = sum(entry[2] for entry in record.facts["replaced"]) + record.facts.get("rows_replaced", 0)
    rejected = sum(f["rows_rejected"] for f in files)
    return (
        count(rows, "row")
        + (f" in place of {replaced:,}" if replaced else "")
        + (f", {rejected:,} kept out" if rejected else "")
        + f"  {listed([PurePath(f['path']).name for f in files], 3)}"
    )
