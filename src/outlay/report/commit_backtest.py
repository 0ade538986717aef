"""``outlay commit backtest`` on a terminal: what following the plan would have cost, beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from outlay.money import percent
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.foresight.backtest import Backtest
from outlay.optimize.commitments.foresight.online import BOUND, Bought
from outlay.problems import ProblemSummary
from outlay.report.commit_wording import problem_lines
from outlay.report.wording import about, clean, count

__all__ = ["show_backtests"]

_MOST_DECISIONS = 30
_LEGEND = (
    "Cost: every term that was begun, paid to its end; after it: what of that is for hours past the history. The plan "
    "buys nothing before the history it asks for. Perfect foresight can't cost less by terms of this length; best "
    "static is one level in hindsight over the whole history, which need not be a whole number of terms."
)
_NONE = "\N{EN DASH}"


def show_backtests(
    found: Sequence[Backtest], not_tested: Sequence[str] = (), problems: Sequence[ProblemSummary] = ()
) -> None:
    """Prints each pool on stdout, which had no offer to follow, and what of the demand could not be used."""
    console = Console(highlight=False, markup=False, emoji=False)
    for one in found:
        _show(console, one)
    console.print()
    if not_tested:
        names = ", ".join(clean(name) for name in not_tested)
        console.print(f"Not tested, since no offer for them has a known price below on-demand: {names}.")
    console.print(Text(_LEGEND, style="dim"))
    for line in problem_lines(problems):
        console.print(Text(clean(line), style="yellow"))


def _show(console: Console, one: Backtest) -> None:
    console.print()
    console.print(Text.assemble((clean(one.demand.pool), "bold"), "  ", clean(one.offer.name)))
    scaled = f"; the offer's term of {one.offer.term_hours:,} hours is scaled to fit the history" if one.scaled else ""
    terms = f"Terms of {one.term_hours:,} hours{scaled}. Decisions every {one.every_hours:,} hours."
    console.print(Padding(Text(terms), (0, 0, 0, 2)))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for name in ("", "Cost", "Of on-demand", "Of foresight", "After it"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    currency = one.offer.currency
    table.add_row("On demand alone", about(one.followed.on_demand_cost, currency), "100%", _NONE, _NONE)
    table.add_row(*_row("The plan, followed", one, one.followed, one.clairvoyant))
    table.add_row(*_row(f"Break-even rule (≤ {BOUND}x)", one, one.break_even, one.clairvoyant))
    table.add_row(*_row("Perfect foresight", one, one.clairvoyant, one.clairvoyant))
    table.add_row(*_row("  the rule by level", one, one.level_break_even, one.level_clairvoyant))
    table.add_row(*_row("  foresight by level", one, one.level_clairvoyant, one.level_clairvoyant))
    static = one.static
    held = f"Best static {static.quantity:,.0f} GPUs"
    share = None if not static.on_demand_cost else static.cost / static.on_demand_cost
    table.add_row(held, about(static.cost, currency), percent(share, to_tenths=True), _NONE, _NONE)
    console.print(Padding(table, (0, 0, 0, 2)))
    for decision in one.decisions[:_MOST_DECISIONS]:
        told = f"bought {_gpus(gpus(decision.nanos))}." if decision.nanos else decision.reason
        console.print(Text(f"  {_when(one, decision.position)}: {decision.word}; {clean(told)}", style="dim"))
    if len(one.decisions) > _MOST_DECISIONS:
        console.print(f"  {count(len(one.decisions) - _MOST_DECISIONS, 'more decision')} (--json has them all).")


def _gpus(value: Decimal) -> str:
    return count(int(value), "GPU") if value == int(value) else f"{value:,.2f} GPUs"


def _when(one: Backtest, position: int) -> str:
    at = one.demand.at(position)
    return f"{at:%Y-%m-%d %H:%M}" if isinstance(at, datetime) else f"hour {at:,}"


def _row(name: str, one: Backtest, bought: Bought, optimum: Bought) -> list[str]:
    ratio = bought.ratio(optimum)
    return [
        name,
        about(bought.cost, one.offer.currency),
        percent(bought.share, to_tenths=True),
        _NONE if ratio is None else f"{ratio:.3f}x",
        about(one.owed_after(bought), one.offer.currency),
    ]
