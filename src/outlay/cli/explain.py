"""``outlay explain``: the receipt of a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from outlay.cli.common import Common, common_options, show_json
from outlay.cli.query import ask, left_out_text, query_options

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
    console.print("\nSQL, over the view costs of that table:")
    if console.is_terminal:
        console.print(Syntax(receipt.sql, "sql", background_color="default", word_wrap=True))
    else:
        console.print(receipt.sql, markup=False, highlight=False, soft_wrap=True)


def _lines(receipt: Receipt) -> list[tuple[str, str]]:
    lines = [("formula", f"{metric.name} = {metric.formula} [{metric.source}]") for metric in receipt.metrics]
    since, until = receipt.window
    lines.append(("window", f"{since or 'the first charge'} to {until or 'the last charge'} (end excluded), UTC"))
    if receipt.previous is not None:
        lines.append(("previous", f"{receipt.previous.since} to {receipt.previous.until} (end excluded), UTC"))
    lines.append(("rows", f"{receipt.rows:,}"))
    lines.append(("sources", ", ".join(receipt.sources) or "none"))
    for load in receipt.loads:
        lines.append(("load", f"version {load.version}, {load.at:%Y-%m-%d %H:%M} UTC: {', '.join(load.files)}"))
    fresh = receipt.freshness
    if fresh.newest_charge is not None and fresh.loaded_at is not None:
        charged = f"charges until {fresh.newest_charge:%Y-%m-%d %H:%M}"
        lines.append(("freshness", f"{charged}, loaded {fresh.loaded_at:%Y-%m-%d %H:%M} UTC"))
    lines.append(("prices", "none: the amounts are the bills' own"))
    lines += [("left out", left_out_text(one)) for one in receipt.left_out] or [("left out", "nothing")]
    lines += [("note", note) for note in receipt.notes]
    lines.append(("table", f"{receipt.table} as of version {receipt.version}"))
    return lines
