"""``outlay query``: any metric by any dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from outlay.cli.common import Common, common_options, progress, show_json
from outlay.money import rounded

if TYPE_CHECKING:
    from rich.table import Table

    from outlay.metrics.result import LeftOut, Result, ResultColumn, Row

__all__ = ["MOST_NOTES", "ask", "command", "left_out_text", "query_options", "shown_value"]

MOST_NOTES = 5
"""Notes shown on a terminal: twelve months of one provider's bills can bring one each."""

_CURRENCY = "currency"
_F = TypeVar("_F", bound=Callable[..., Any])
_SHOWN = ("dimension", "metric", "previous", "delta")


def query_options(function: _F) -> _F:
    """Adds what selects rows, to ``query`` and ``explain`` alike; the command hands them to :func:`ask`."""
    for option in (
        click.option(
            "--as-of",
            metavar="VERSION|TIME",
            help="As of a version of `outlay history`, or a time; a day or month means its end.",
        ),
        click.option("--compare", metavar="previous", help="Also the window of equal length before, and the change."),
        click.option("--grain", metavar="day|week|month", help="One row a period; weeks start on Monday."),
        click.option(
            "--where", metavar="DIM=VALUE", multiple=True, help="Only these rows; DIM= is no value. Repeatable."
        ),
        click.option("--until", metavar="DATE", help="End of the window, exclusive, UTC."),
        click.option("--since", metavar="DATE", help="Start of the window, inclusive, UTC: 2026-10-01 or 2026-10."),
        click.option("--by", metavar="DIM,...", help="Dimensions to group by."),
    ):
        function = option(function)
    return function


def ask(common: Common, metrics: str, *, limit: int | None = None, **options: Any) -> Result:  # noqa: ANN401 - click's own
    """The answer to a command's arguments."""
    from outlay.metrics.answer import answer
    from outlay.metrics.query import Query, filters
    from outlay.periods import parse_day

    since, until = options["since"], options["until"]
    query = Query(
        metrics=_names(metrics),
        by=_names(options["by"] or ""),
        since=parse_day(since, name="--since") if since else None,
        until=parse_day(until, name="--until") if until else None,
        where=filters(options["where"]),
        grain=options["grain"],
        compare=options["compare"],
        limit=limit,
    )
    with progress(common) as report_progress:
        report_progress("reading the ledger")
        return answer(common.ledger(), query, common.settings(), as_of=options["as_of"])


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@click.command("query", epilog="Example: outlay query ai_cost,cost_per_1m_tokens --by team,model --since 2026-10")
@click.argument("metrics", metavar="METRIC[,METRIC...]")
@query_options
@click.option("--limit", type=int, metavar="N", help="Only the first N rows; the largest come first.")
@common_options
def command(metrics: str, common: Common, limit: int | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Any metric by any dimension, from the ledger.

    docs/reference/metrics.md lists metrics and dimensions; an unknown name is answered with the nearest ones.
    """
    result = ask(common, metrics, limit=limit, **options)
    if common.as_json:
        show_json(result.to_json())
    else:
        _show(result)


def _show(result: Result) -> None:
    from rich.console import Console

    console = Console()
    for twice in result.receipt.told_twice:
        console.print(f"note: {twice.text}", markup=False, highlight=False, soft_wrap=True)
    rows, dropped = _worth_showing(result)
    if any(row.previous for row in rows) or (rows and result.receipt.rows):
        console.print(_table(result, rows))
    else:
        console.print("No row of the ledger matches.\n")
        rows = []
    for text in _footnotes(result, rows, dropped):
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _worth_showing(result: Result) -> tuple[list[Row], list[str]]:
    """The rows for the table, and the currencies left out of it: those whose every figure is 0, beside others.

    A credit note or a free tier in another currency would otherwise add a line of zeros to every table.
    """
    spent = {row.dimensions.get(_CURRENCY) for row in result.rows if not row.is_nothing}
    seen = {currency for row in result.rows if (currency := row.dimensions.get(_CURRENCY)) is not None}
    dropped = sorted(seen - spent) if spent and _CURRENCY not in result.asked else []
    return [row for row in result.rows if row.dimensions.get(_CURRENCY) not in dropped], dropped


def _table(result: Result, rows: Sequence[Row]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = [column for column in result.columns if column.role in _SHOWN]
    table = Table(box=box.SIMPLE_HEAD)
    cells = [[_cell(row, column) for column in shown] for row in rows]
    for place, column in enumerate(shown):
        if column.role == "dimension":
            table.add_column(Text(column.title), overflow="fold")
        else:  # a figure is never broken over two lines; its title may be
            width = max((len(line[place]) for line in cells), default=0)
            table.add_column(Text(column.title), justify="right", min_width=width)
    for line in cells:
        table.add_row(*(Text(text) for text in line))
    return table


def _cell(row: Row, column: ResultColumn) -> str:
    if column.role == "dimension":
        return row.dimensions[column.name] or column.missing or "-"
    currency = row.dimensions.get("currency")
    name = column.name
    if column.role == "previous" and row.previous is not None:
        return shown_value(row.previous[name.removesuffix("_previous")].value, column.unit, currency)
    if column.role == "delta":
        change = row.delta(name.removesuffix("_delta"))
        if column.unit == "share" and change is not None:  # a change of a share is in percentage points, not percent
            return f"{change * 100:+.1f} pp"
        text = shown_value(change, column.unit, currency)
        return text if text.startswith("-") else f"+{text}"
    return shown_value(row.figures[name].value, column.unit, currency)


def shown_value(value: Decimal | None, unit: str | None, currency: str | None) -> str:
    """A figure as a person reads it; ``-`` when it is unknown."""
    if value is None:
        return "-"
    if unit == "currency":
        return f"{rounded(value, currency or 'USD'):,}"
    if unit == "share":
        from outlay.money import percent

        return percent(value)
    if unit in ("rows", "requests", "tokens", "as measured", "reported currency"):
        return f"{value:,f}".rstrip("0").rstrip(".") if value != value.to_integral_value() else f"{value:,.0f}"
    if unit == "seconds":
        return f"{value:,.3f}"
    return f"{value:,.2f}" if unit in ("GPU-hours", "hours") else f"{value:,.6f}"


def _footnotes(result: Result, rows: Sequence[Row], dropped: Sequence[str]) -> Sequence[str]:
    from outlay.report.wording import count, listed

    receipt = result.receipt
    unknown = {
        f"{metric.id}: {figure.why}"
        for row in rows
        for metric in receipt.metrics
        for figure in (row.figures[metric.id], *([row.previous[metric.id]] if row.previous else []))
        if figure.value is None
    }
    said = [f"unknown (-): {text}" for text in sorted(unknown)[:MOST_NOTES]]
    if len(unknown) > MOST_NOTES:
        said.append(f"unknown (-): {len(unknown) - MOST_NOTES:,} more reasons (--json has them all).")
    said += [f"left out: {left_out_text(one)}" for one in receipt.left_out]
    said += [f"note: {currency} is not in the table: every figure in it is 0 (--json has it)." for currency in dropped]
    said += [f"allocated: {one.text}" for one in receipt.allocations[:MOST_NOTES]]
    if len(receipt.allocations) > MOST_NOTES:
        said.append(f"allocated: by {len(receipt.allocations) - MOST_NOTES:,} more (--json has them all).")
    said += [f"note: {note}" for note in receipt.other_notes[:MOST_NOTES]]
    if len(receipt.other_notes) > MOST_NOTES:
        said.append(f"note: {len(receipt.other_notes) - MOST_NOTES:,} more notes (--json has them all).")
    newest = receipt.freshness.newest_charge
    what = "charges " if [part.relation for part in receipt.parts] == ["costs"] else ""
    fresh = f", {what}until {newest:%Y-%m-%d %H:%M} UTC" if newest else ""
    of = f" of {count(len(receipt.sources), 'source')} ({listed(receipt.sources, 3)})" if receipt.sources else ""
    said.append(f"{count(receipt.rows, 'row')}{of}{fresh}, ledger version {receipt.version}.")
    return said


def left_out_text(one: LeftOut) -> str:
    """``12 rows without EffectiveCost (ai_cost)``."""
    message = one.message.replace("rows", "row", 1) if one.count == 1 else one.message
    return f"{one.count:,} {message}" + (f" ({one.metric})" if one.metric else "")
