"""``outlay overspend`` on a terminal: one sentence, then the reasons, then what could not be told.

Laid out for 80 columns, and readable without colour: colour only repeats what a word already says. Text from the
bill is never read as markup. Long lists are cut and say so; ``--json`` and ``--html`` have the rest.
"""

from __future__ import annotations

from decimal import Decimal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from outlay.metrics.kpis import Kpi
from outlay.money import percent
from outlay.optimize.finding import Finding
from outlay.optimize.overspend import Overspend
from outlay.report.wording import (
    amount,
    basis_text,
    clean,
    count,
    headline,
    kept_out,
    second_sentence,
    share_base,
    shortened,
    total,
)

__all__ = ["show_kpis", "show_overspend"]

_MAX_COUNTED = 20
_MAX_TO_CONFIRM = 10
_MAX_PROBLEMS = 10
_STYLES = {"": "", "cost": "bold", "overspend": "bold red"}


def show_overspend(result: Overspend) -> None:
    """Prints the answer on stdout."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print()
    console.print(Text.assemble(*[(words, _STYLES[meaning]) for words, meaning in headline(result)]))
    if more := second_sentence(result):
        console.print(Text(more))
    counted = [finding for finding in result.findings if finding.counted]
    to_confirm = [finding for finding in result.findings if not finding.counted]
    if counted:
        console.print(_counted_table(result, counted))
    if to_confirm:
        console.print(_confirm_table(result, to_confirm))
    _show_remarks(console, result)


def _table(title: str, saving: str, middle: str | None) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(f"\n{title}", style="bold"),
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        expand=True,
    )
    table.add_column(saving, justify="right", no_wrap=True, min_width=13)
    if middle is not None:
        table.add_column(middle, justify="right", no_wrap=True)
    table.add_column("What", ratio=1, overflow="fold")
    return table


def _counted_table(result: Overspend, findings: list[Finding]) -> Table:
    currency = result.totals.currency
    table = _table("Need not have been spent", "Saving", "Share")
    for finding in findings[:_MAX_COUNTED]:
        saving = finding.saving or total([])
        table.add_row(
            Text(amount(saving, currency), style="bold red"),
            percent(result.saving_share(saving)),
            _what(finding.title, f"{finding.confidence.capitalize()} confidence. {finding.why}"),
        )
    if rest := findings[_MAX_COUNTED:]:
        table.add_row(amount(total(rest), currency), percent(result.saving_share(total(rest))), _more(len(rest)))
    table.add_section()
    table.add_row(
        Text(amount(result.overspend, currency), style="bold"),
        percent(result.saving_share(result.overspend)),
        Text(f"of the {share_base(result)}, no amount counted twice", style="bold"),
    )
    return table


def _confirm_table(result: Overspend, findings: list[Finding]) -> Table:
    currency = result.totals.currency
    table = _table("To confirm, not counted", "Up to", None)
    for finding in findings[:_MAX_TO_CONFIRM]:
        known = (
            Text("rate unknown", style="dim")
            if finding.saving is None
            else Text(amount(finding.saving, currency), style="yellow")
        )
        detail = f"To confirm: {finding.needs}." if finding.needs else finding.why
        table.add_row(known, _what(finding.title, f"{finding.confidence.capitalize()} confidence. {detail}"))
    if rest := findings[_MAX_TO_CONFIRM:]:
        priced = any(finding.saving is not None for finding in rest)
        table.add_row(amount(total(rest), currency) if priced else Text("rate unknown", style="dim"), _more(len(rest)))
    return table


def _what(title: str, detail: str) -> Text:
    return Text.assemble((shortened(clean(title), 40), "bold"), "\n", (shortened(clean(detail), 40), "dim"))


def _more(number: int) -> Text:
    return Text(f"{count(number, 'more finding')}; --json lists them all")


def _show_remarks(console: Console, result: Overspend) -> None:
    totals = result.totals
    remarks: list[str] = []
    if out := kept_out(result):
        remarks.append(f"{count(out, 'row')} kept out because something in them is wrong:")
    for problem in result.problems[:_MAX_PROBLEMS]:
        place = f", row {problem.first_line:,} first" if problem.first_line is not None else ""
        times = f"{count(problem.count, 'row')}" if problem.rejects else "notice"
        remarks.append(f"  {problem.source} ({times}{place}): {problem.message}. {problem.hint}")
    if len(result.problems) > _MAX_PROBLEMS:
        remarks.append(f"  {len(result.problems) - _MAX_PROBLEMS} more kinds of problem (all of them with --json).")
    remarks += [
        f"Not included: {count(rows, 'row')} in {currency}, {amount(billed, currency)} billed. "
        "Currencies are never added."
        for currency, rows, billed in totals.others
    ]
    remarks += result.notes
    read = totals.rows + sum(rows for _, rows, _ in totals.others) + kept_out(result)
    remarks.append(f"Cost basis: {basis_text(result)}.")
    remarks.append(
        f"Read {count(read, 'row')} of {count(len(result.files), 'file')} in {result.seconds:.1f} s; "
        f"{totals.ai_rows:,} are AI. Nothing was loaded, nothing left this machine."
    )
    console.print()
    for remark in remarks:
        indent = len(remark) - len(remark.lstrip())
        console.print(Padding(Text(shortened(clean(remark.strip()), 60), style="dim"), (0, 0, 0, indent)))


def show_kpis(figures: list[Kpi]) -> None:
    """The KPIs on stdout: value and target, or the fact that is missing."""
    console = Console(highlight=False, markup=False, emoji=False)
    table = Table(
        title=Text("KPIs of the whole ledger, from bills alone", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("KPI")
    table.add_column("Value", justify="right")
    table.add_column("Target, or what is missing")
    for figure in figures:
        if figure.value is None:
            table.add_row(figure.name, "not computable", figure.why or "")
        else:
            table.add_row(figure.name, _kpi_value(figure, figure.value), _kpi_target(figure))
    console.print(table)


def _kpi_value(figure: Kpi, value: Decimal) -> str:
    """To tenths of a percent where there is a target: 59.6% misses one of 60% to 80%, and 60% would not show it."""
    if figure.unit in ("ratio", "share"):
        return percent(value, to_tenths=figure.target is not None)
    return f"{value:.6f} {figure.unit}"


def _kpi_target(figure: Kpi) -> str:
    if figure.target is None:
        return "no target set"
    return f"{figure.target}: {'on target' if figure.status == 'ok' else 'off target'}"
