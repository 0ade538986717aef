"""``outlay commit backtest`` on a terminal: whether following the plan would have saved, and what stands behind that.

The answer counts of each term the hours in the history, for all buyers alike: on-demand pays for these hours alone. The
ratio that is held to the bound of 2 is by whole terms, as it is proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from outlay.money import add_exactly, percent
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.foresight.backtest import Backtest
from outlay.optimize.commitments.foresight.online import BOUND, Bought
from outlay.problems import ProblemSummary
from outlay.report.commit_wording import problem_lines
from outlay.report.wording import about, amount, clean, count

__all__ = ["answers", "show_backtests"]

_MOST_DECISIONS = 30
_LEGEND = (
    "Cost: of each term that was begun, by whomever, the hours in this history; on demand pays for these alone. Best: "
    "times the cheapest that there could have been. Whole terms: the same where all terms are paid to their end, which "
    "the bound is proven for. The plan buys nothing before the history it asks for. Best static is one level in "
    "hindsight, over the whole history."
)
_NONE = "\N{EN DASH}"


def answers(found: Sequence[Backtest]) -> list[str]:
    """Whether following the plan would have saved money and how far it is from the best: one sentence a currency."""
    currencies = sorted({one.offer.currency for one in found})
    return [_answer([one for one in found if one.offer.currency == currency], currency) for currency in currencies]


def _answer(found: Sequence[Backtest], currency: str) -> str:
    plan, best, rule = (
        add_exactly(costs)
        for costs in (
            [one.followed.within for one in found],
            [one.best_within.within for one in found],
            [one.break_even.within for one in found],
        )
    )
    on_demand = add_exactly(one.followed.on_demand_cost for one in found)
    where = f"Over {count(len(found), 'pool')}, following" if len(found) > 1 else "Following"
    costs = f"{amount(plan, currency)} against {amount(on_demand, currency)} on demand"
    if not any(one.followed.reservations for one in found):
        said = f"{where} the plan would have bought nothing and saved nothing: {costs}"
    elif plan == on_demand:
        said = f"{where} the plan would have saved nothing: {costs}"
    else:
        word = "saved" if plan < on_demand else "lost"
        part = percent(abs(on_demand - plan) / on_demand, to_tenths=True)
        said = f"{where} the plan would have {word} {amount(abs(on_demand - plan), currency)} ({part}): {costs}"
    said += f", {_times(plan, best)} the best possible, {amount(best, currency)}"
    return f"{said}. The break-even rule would have cost {amount(rule, currency)}, {_times(rule, best)}{_held(found)}."


def _held(found: Sequence[Backtest]) -> str:
    """How the rule stands to its bound, which is of whole terms at one price."""
    if any(one.bound is None for one in found):
        return "; no bound is proven where prices change"
    rule, best = (
        add_exactly(costs)
        for costs in ([one.break_even.cost for one in found], [one.clairvoyant.cost for one in found])
    )
    return f"; with terms paid to their end {_times(rule, best)}, of which {BOUND} is the proven bound"


def _times(cost: Decimal, best: Decimal) -> str:
    return f"{cost / best:.3f} times" if best else "no multiple of"


def show_backtests(
    found: Sequence[Backtest], not_tested: Sequence[str] = (), problems: Sequence[ProblemSummary] = ()
) -> None:
    """Prints the answer, each pool, which had no offer to follow, and what of the demand could not be used."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print()
    for said in answers(found):
        console.print(Text(said, style="bold"))
    for one in found:
        _show(console, one, alone=len(found) == 1)
    console.print()
    if not_tested:
        names = ", ".join(clean(name) for name in not_tested)
        console.print(f"Not tested, since no offer for them has a known price below on-demand: {names}.")
    console.print(Text(_LEGEND, style="dim"))
    for line in problem_lines(problems):
        console.print(Text(clean(line), style="yellow"))


def _show(console: Console, one: Backtest, *, alone: bool) -> None:
    console.print()
    console.print(Text.assemble((clean(one.demand.pool), "bold"), "  ", clean(one.offer.name)))
    if not alone:
        console.print(Padding(Text(answers([one])[0]), (0, 0, 0, 2)))
    scaled = f"; the offer's term of {one.offer.term_hours:,} hours is scaled to fit the history" if one.scaled else ""
    terms = f"Terms of {one.term_hours:,} hours{scaled}. Decisions every {one.every_hours:,} hours."
    for line in (terms, one.tariff.words):
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for name in ("", "Cost", "On-demand", "Best", "Whole terms"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    currency = one.offer.currency
    table.add_row("On demand alone", about(one.followed.on_demand_cost, currency), "100%", *[_NONE] * 2)
    table.add_row(*_row("The plan, followed", one, one.followed))
    table.add_row(*_row("Break-even rule" + (f" (≤ {BOUND}x)" if one.bound else ""), one, one.break_even))
    table.add_row(*_row("Perfect foresight", one, one.best_within, one.clairvoyant))
    if one.level_break_even is not None and one.level_clairvoyant is not None:
        ratio = one.level_break_even.ratio(one.level_clairvoyant)
        table.add_row("  the rule by level", *[_NONE] * 3, _NONE if ratio is None else f"{ratio:.3f}x")
    if (static := one.static) is not None:
        share = None if not static.on_demand_cost else static.cost / static.on_demand_cost
        held = f"Best static {static.quantity:,.0f} GPUs"
        table.add_row(held, about(static.cost, currency), percent(share, to_tenths=True), *[_NONE] * 2)
    console.print(Padding(table, (0, 0, 0, 2)))
    if one.followed.owed_after:
        owed = amount(one.followed.owed_after, currency)
        said = f"Not in the plan's cost: {owed} of its terms, for hours after the history."
        console.print(Padding(Text(said), (0, 0, 0, 2)))
    for decision in one.decisions[:_MOST_DECISIONS]:
        told = f"bought {_gpus(gpus(decision.nanos))}." if decision.nanos else decision.reason
        console.print(Text(f"  {_when(one, decision.position)}: {decision.word}; {clean(told)}", style="dim"))
    if len(one.decisions) > _MOST_DECISIONS:
        console.print(f"  {count(len(one.decisions) - _MOST_DECISIONS, 'more decision')} (--json has them all).")
    for left in one.left_out:
        said = f"Left out: {clean(left.offer)}: {clean(left.why)}."
        console.print(Padding(Text(said, style="dim"), (0, 0, 0, 2)))


def _gpus(value: Decimal) -> str:
    return count(int(value), "GPU") if value == int(value) else f"{value:,.2f} GPUs"


def _when(one: Backtest, position: int) -> str:
    at = one.demand.at(position)
    return f"{at:%Y-%m-%d %H:%M}" if isinstance(at, datetime) else f"hour {at:,}"


def _row(name: str, one: Backtest, bought: Bought, whole: Bought | None = None) -> list[str]:
    """Within the history, and beside the best by whole terms, where perfect foresight has other purchases."""
    best, ratio = one.best_within.within, (whole or bought).ratio(one.clairvoyant)
    share = bought.within / bought.on_demand_cost if bought.on_demand_cost else None
    return [
        name,
        about(bought.within, one.offer.currency),
        percent(share, to_tenths=True),
        f"{bought.within / best:.3f}x" if best else _NONE,
        _NONE if ratio is None else f"{ratio:.3f}x",
    ]
