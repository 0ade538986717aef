"""``outlay commit owned`` on a terminal: places with what is owned and unused, what ends when, and what is not known.

A place without commitments is one line: its demand is what a commitment could cover. The days are in ``--json``.
"""

from __future__ import annotations

from decimal import Decimal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from outlay.money import percent
from outlay.optimize.commitments.holdings.ownership import CommitmentUse, Holding, Ownership
from outlay.report.wording import amount, clean, count, dates, day, listed, shortened

__all__ = ["show_owned"]

_MOST = 12
_NO = "\N{EN DASH}"


def show_owned(found: Ownership) -> None:
    """Prints the answer on stdout."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print()
    if found.since is None or found.until is None:
        console.print("The ledger has no GPU-hours by the hour and no commitment of GPUs: load a bill or telemetry.")
    else:
        console.print(Text(_headline(found), style="bold"))
    if found.holdings:
        console.print(_places(found.holdings))
    if found.commitments:
        console.print(_commitments(found.commitments))
    _ends(console, found)
    _remarks(console, found)


def _headline(found: Ownership) -> str:
    assert found.since is not None
    assert found.until is not None
    sums: dict[str, Decimal] = {}
    for one in found.commitments:
        if one.unused_cost is not None and one.currency is not None:
            sums[one.currency] = sums.get(one.currency, Decimal(0)) + one.unused_cost
    unknown = sum(one.unused_cost is None for one in found.commitments)
    when = dates(found.since, found.until)
    if not found.commitments:
        return f"{when}: no commitment to GPUs is on the bill or in the list."
    lost = " and ".join(amount(value, currency) for currency, value in sorted(sums.items()))
    more = f"; of {count(unknown, 'more')} it is not known" if unknown else ""
    if lost and any(one.unused_at_least for one in found.commitments):
        lost = f"at least {lost}"
    return f"{when}: {lost or 'an unknown amount'} of {count(len(found.commitments), 'commitment')} went unused{more}."


def _table(title: str, *columns: str, what: str) -> Table:
    table = Table(
        title=Text(f"\n{title}", style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column(what, overflow="fold", ratio=1)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _places(holdings: tuple[Holding, ...]) -> Table:
    table = _table("GPU-hours by place", "Demand", "Covered", "Owned", "Used", "Unused", "By", what="Place")
    for one in holdings:
        total = one.total
        table.add_row(
            clean(f"{one.gpu} {one.region}"),
            f"{total.demand:,.0f}",
            percent(total.coverage),
            _NO if total.owned is None else f"{total.owned:,.0f}",
            percent(total.utilization),
            _money(total.unused_cost, total.currency),
            total.basis or _NO,
        )
    return table


def _commitments(found: tuple[CommitmentUse, ...]) -> Table:
    table = _table("Commitments", "GPUs", "Used", "Unused", "Ends", "By", what="Commitment")
    for one in sorted(found, key=lambda one: -(one.unused_cost or 0))[:_MOST]:
        name = one.name or one.kind or one.id
        shown = shortened(clean(name), 40)
        table.add_row(
            Text.assemble(shown, "\n", (shortened(clean(one.id), 36), "dim")) if name != one.id else shown,
            _NO if one.gpus is None else f"{one.gpus.normalize():f}",
            percent(one.utilization),
            _money(one.unused_cost, one.currency),
            _NO if one.until is None else day(one.until),
            one.basis or _NO,
        )
    if (rest := len(found) - _MOST) > 0:
        table.add_row(f"{count(rest, 'more commitment')}; --json lists them all", *[""] * 5)
    return table


def _money(value: Decimal | None, currency: str | None) -> str:
    return _NO if value is None or currency is None else amount(value, currency)


def _ends(console: Console, found: Ownership) -> None:
    if not found.expiries or found.at is None:
        return
    console.print(Text(f"\nIn force on {day(found.at)}, the first to end first", style="bold"))
    for one in found.expiries[:_MOST]:
        known = one.hourly_cost is not None and one.currency is not None
        cost = f"{one.hourly_cost:,.4f} {one.currency} an hour" if known else "price not told"
        size = "GPUs not told" if one.gpus is None else f"{one.gpus.normalize():f} {one.gpu}"
        what = clean(f"{size} in {one.region}" if one.region else size)
        line = f"{day(one.at)} (in {count(one.days, 'day')}): {what}, {cost}: {shortened(clean(one.id), 40)}"
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    if (rest := len(found.expiries) - _MOST) > 0:
        console.print(f"  {count(rest, 'more commitment')}; --json lists them all")


def _remarks(console: Console, found: Ownership) -> None:
    remarks = [f"{one.id}: {one.why}." for one in found.commitments if one.why]
    remarks += [f"Left out: {one.id}: {one.why}." for one in found.left_out]
    spread = [one.pool.name for one in found.demand.pools if one.widest > 1]
    if spread:
        remarks.append(
            f"Billed in rows of more than an hour, so that peaks inside them are not seen: {listed(spread, 3)}."
        )
    if names := [one.id for one in found.commitments if one.unused_at_least]:
        remarks.append(
            f"Computed from such rows, spread evenly: at most so much was used, and at least so much went unused of "
            f"{listed(names, 3)}."
        )
    remarks += [
        f"No demand: {one.gpu_hours or 0:,.0f} GPU-hours of {one.pool} in {count(one.rows, 'row')}, {one.why}."
        for one in (*found.demand.left_out, *(out for pool in found.demand.pools for out in pool.left_out))
    ]
    remarks += [*found.notes, *found.demand.notes]
    console.print()
    for remark in remarks[: 2 * _MOST]:
        console.print(Text(shortened(clean(remark), 60), style="dim"))
    if (rest := len(remarks) - 2 * _MOST) > 0:
        console.print(Text(f"{count(rest, 'more remark')}; --json has them all.", style="dim"))
