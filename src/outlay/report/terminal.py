"""``outlay overspend`` on a terminal: one sentence, then the reasons, then what could not be told.

Laid out for 80 columns, and readable without colour: colour only repeats what a word already says. Text from the
bill is never read as markup. Long lists are cut and say so; ``--json`` and ``--html`` have the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from outlay.metrics.kpis import Kpi, KpiReport
from outlay.metrics.reconciliation import Reconciliation
from outlay.money import percent, rounded
from outlay.optimize.finding import Finding
from outlay.optimize.overspend import Overspend
from outlay.report.wording import (
    amount,
    basis_text,
    clean,
    count,
    headline,
    kept_out,
    listed,
    second_sentence,
    share_base,
    shortened,
    total,
)

__all__ = ["show_kpis", "show_overspend", "show_reconciliation"]

_MOST_MODELS = 5
_MOST_KPI_NOTES = 5
_LARGE = 100

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


def show_reconciliation(found: Reconciliation) -> None:
    """Usage priced from requests beside the bill: people ask first whether they can trust the numbers."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(_reconciled(found), soft_wrap=True)
    for one in found.models[:_MOST_MODELS]:
        if one.difference != 0:
            name = f"{one.provider} {one.model or '(no model)'}"
            said = (
                f"billed {rounded(one.bill, found.currency):,} {found.currency}, usage not priced"
                if one.difference is None
                else f"{rounded(one.difference, found.currency):+,} {found.currency}"
            )
            console.print(f"  {name}: {said}", soft_wrap=True)
            for reason in one.reasons:
                console.print(f"    {reason}", soft_wrap=True, style="dim")
    console.print()


def _reconciled(found: Reconciliation) -> str:
    if found.bill is None or found.usage is None or found.difference is None:
        return f"Usage against the bill: not compared, {found.why}"
    bill, usage, apart, unpriced = (
        f"{rounded(value, found.currency):,} {found.currency}"
        for value in (found.bill, found.usage, abs(found.difference), found.unpriced_bill)
    )
    said = "they are equal"
    if found.difference:
        share = "" if found.share is None else f" ({percent(abs(found.share), to_tenths=True)} of the bill)"
        said = f"the bill has {apart} {'more' if found.difference > 0 else 'less'}{share}"
    more = f" {unpriced} more is billed for models whose usage has no price, and not compared."
    return (
        f"Usage against the bill, {found.since} to {found.until}: billed {bill} for tokens, usage priced at {usage}; "
        f"{said}.{more if found.unpriced_bill else ''}"
    )


def show_kpis(report: KpiReport, by: Sequence[str] = ()) -> None:
    """The KPIs on stdout: value and target; those that can't be computed, and why; the figures beside them."""
    console = Console(highlight=False, markup=False, emoji=False)
    known = [one for one in report.kpis if one.value is not None]
    if known:
        console.print(_kpi_table("KPIs", known, by))
    missing: dict[tuple[str, str], list[str]] = {}
    for one in report.kpis:
        if one.value is None:
            missing.setdefault((one.name, one.why or ""), []).append(_group(one))
    if missing:
        console.print(Text("\nNot computable" if known else "KPIs: none is computable", style="bold"))
    for (name, why), groups in missing.items():
        of = [group for group in groups if group]
        said = f" ({listed(of, 3)})" if of else ""
        console.print(f"  {name}{said}: {why}", soft_wrap=True)
    beside = [one for one in report.neighbours if one.value is not None]
    if beside:
        console.print()
        console.print(_kpi_table("Beside them", beside, by))
    for given in report.allocations[:_MOST_KPI_NOTES]:
        console.print(f"allocated: {given.text}", soft_wrap=True)
    if len(report.allocations) > _MOST_KPI_NOTES:
        console.print(f"allocated: by {len(report.allocations) - _MOST_KPI_NOTES:,} more (--json has them all).")
    for note in report.notes[:_MOST_KPI_NOTES]:
        console.print(f"note: {note}", soft_wrap=True)
    if len(report.notes) > _MOST_KPI_NOTES:
        console.print(f"note: {len(report.notes) - _MOST_KPI_NOTES:,} more notes (--json has them all).")


def _kpi_table(title: str, figures: Sequence[Kpi], by: Sequence[str]) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("KPI" if title == "KPIs" else "Figure")
    grouped = bool(by) or any(_group(one) for figure in figures for one in (figure, *figure.breakdown))
    if grouped:
        table.add_column("of")
    table.add_column("Value", justify="right")
    if title == "KPIs":
        table.add_column("Target")
    name: str = ""
    said: str | None = None
    for figure in figures:
        for one in (figure, *(part for part in figure.breakdown if part.value is not None)):
            assert one.value is not None
            cells = ["" if one.name == name else one.name, *([_group(one)] if grouped else [])]
            short = one.name == name and one.target == said
            target = _kpi_target(one, short=short) if title == "KPIs" and one is figure else ""
            table.add_row(*cells, _kpi_value(one, one.value), *([target] if title == "KPIs" else []))
            name, said = one.name, one.target
    return table


def _group(figure: Kpi) -> str:
    said = {name: value for name, value in (figure.group or {}).items() if name != "currency"}
    return ", ".join(value if value is not None else f"no {name}" for name, value in said.items())


def _kpi_value(figure: Kpi, value: Decimal) -> str:
    """To tenths of a percent where there is a target: 59.6% misses one of 60% to 80%, and 60% would not show it."""
    if figure.unit in ("ratio", "share"):
        return percent(value, to_tenths=figure.target is not None)
    if figure.unit in ("rows", "requests"):
        return f"{value:,.0f}"
    digits = 1 if figure.unit == "hours" else 3 if figure.unit == "seconds" or abs(value) >= _LARGE else 6
    return f"{value:,.{digits}f} {figure.unit}"


def _kpi_target(figure: Kpi, *, short: bool = False) -> str:
    """The target and whether it is met; ``short``: the second only, where the first stands above."""
    met = {"ok": "on target", "off": "off target"}.get(figure.status)
    if short:
        return met or ""
    if figure.target is None:
        return "no target set"
    return f"{figure.target}: {met}" if met else figure.target
