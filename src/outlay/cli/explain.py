"""``outlay explain``: the receipt of a figure."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, show_json, shown_path
from outlay.cli.query import MOST_NOTES, ask, left_out_text, query_options

if TYPE_CHECKING:
    from outlay.metrics.result import Receipt


@click.command("explain", epilog="Example: outlay explain ai_cost --by team --since 2026-10")
@click.argument("metrics", metavar="METRIC[,METRIC...]")
@query_options
@common_options
def command(metrics: str, common: Common, **options: Any) -> None:  # noqa: ANN401 - click's options
    """The receipt of a metric: formula, rows, sources, freshness, what was left out, and the SQL.

    Takes the options of `outlay query`. The SQL reads the view `costs`; with --json, the receipt has the SQL of
    that view too.
    """
    receipt = ask(common, metrics, **options).receipt
    if common.as_json:
        show_json(receipt.to_json(with_view=True))
    else:
        _show(receipt)


def _show(receipt: Receipt) -> None:
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console()
    for label, text in _lines(receipt):
        console.print(f"{label:<12}{text}", markup=False, highlight=False, soft_wrap=True)
    names = ", ".join(dict.fromkeys(part.relation for part in receipt.parts))
    of = "the view costs of that table" if names == "costs" else f"{names} as the views that --json has"
    console.print(f"\nSQL, over {of}:")
    if console.is_terminal:
        console.print(Syntax(receipt.sql, "sql", background_color="default", word_wrap=True))
    else:
        console.print(receipt.sql, markup=False, highlight=False, soft_wrap=True)


def _lines(receipt: Receipt) -> list[tuple[str, str]]:
    from outlay.report.wording import listed

    lines = [("formula", f"{metric.name} = {metric.formula} [{metric.source}]") for metric in receipt.metrics]
    lines.append(("window", _window(*receipt.window)))
    if receipt.previous is not None:
        lines.append(("previous", _window(receipt.previous.since, receipt.previous.until)))
    lines.append(("rows", f"{receipt.rows:,} in the window and filters; the formula says which of them count"))
    lines.append(("sources", listed(receipt.sources) or "none"))
    for load in receipt.loads:
        files = listed([shown_path(file) for file in load.files])
        lines.append(("load", f"version {load.version}, {load.at:%Y-%m-%d %H:%M} UTC: {files}"))
    fresh = receipt.freshness
    if fresh.newest_charge is not None and fresh.loaded_at is not None:
        charged = f"charges until {fresh.newest_charge:%Y-%m-%d %H:%M}"
        lines.append(("freshness", f"{charged} UTC, loaded {fresh.loaded_at:%Y-%m-%d %H:%M} UTC"))
    lines += [("prices", text) for text in _prices(receipt)]
    lines += [("left out", left_out_text(one)) for one in receipt.left_out] or [("left out", "nothing")]
    lines += [("allocated", one.text) for one in receipt.allocations]
    lines += [("note", note) for note in receipt.notes[:MOST_NOTES]]
    if len(receipt.notes) > MOST_NOTES:
        lines.append(("note", f"{len(receipt.notes) - MOST_NOTES:,} more notes (--json has them all)"))
    tables = dict.fromkeys(table for part in receipt.parts for table in part.tables)
    return [*lines, *(("table", f"{path} as of version {version}") for path, version in tables)]


def _prices(receipt: Receipt) -> list[str]:
    found = []
    for part in receipt.parts:
        if part.prices is not None:
            doubts = [f"{part.prices.unpriced:,} rows unpriced", f"{part.prices.estimated:,} estimated"]
            found.append(f"{'; '.join(part.prices.versions) or 'none'} ({', '.join(doubts)})")
    return found or ["none: the amounts are the bills' own"]


def _window(since: datetime | None, until: datetime | None) -> str:
    """In days where both ends are midnight, which they are unless someone asked for an hour."""
    if since is None and until is None:
        return "all charges in the ledger"
    first = "the first charge" if since is None else _moment(since)
    return f"{first} to the last charge, UTC" if until is None else f"{first} up to but without {_moment(until)}, UTC"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment.time() == time() else f"{moment:%Y-%m-%d %H:%M}"
