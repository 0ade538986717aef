"""``outlay commit plan`` on a terminal: one sentence, then each pool with its verdict, its reasons and its options.

Laid out for 100 columns and readable without colour. The figures over the history are exact; those over the term are
called estimates where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from outlay.money import percent, plain
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.ladder import Step
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.plan import Plan, PoolPlan
from outlay.problems import ProblemSummary
from outlay.report.commit_unions import compared_line, promise_line, served_line, together_lines, unit_text
from outlay.report.commit_wording import (
    REFILLS,
    bound,
    by_verdict,
    ending,
    market_lines,
    newer_line,
    not_counted,
    problem_lines,
    unit,
    volatility_lines,
)
from outlay.report.wording import about, amount, clean, count, currency_symbol

__all__ = ["STYLES", "compact", "quantity", "show_plan"]

STYLES = {"commit": "bold green", "wait": "bold yellow", "never": "bold red"}
_MOST_POOLS = 30
_ROOMY = 100
_NONE = "\N{EN DASH}"


def show_plan(
    plan: Plan, problems: Sequence[ProblemSummary] = (), *, since: Mapping[str, datetime] | None = None
) -> None:
    """Prints the plan on stdout. ``since`` tells of pools since when that has been recommended."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print()
    console.print(Text(_headline(plan), style="bold"))
    if alternatives := not_counted(plan):
        console.print(Text(clean(alternatives)))
    for one in by_verdict(plan)[:_MOST_POOLS]:
        _show_pool(console, plan, one, (since or {}).get(one.pool))
    if len(plan.pools) > _MOST_POOLS:
        console.print(f"\n{len(plan.pools) - _MOST_POOLS:,} more pools (--json has them all, --pool shows one).")
    console.print()
    for line in (*_assumptions(plan), newer_line(plan), *plan.notes):
        if line:
            console.print(Text(clean(line), style="dim"))
    for line in problem_lines(problems):
        console.print(Text(clean(line), style="yellow"))


def _headline(plan: Plan) -> str:
    words = [one.verdict.word for one in plan.pools]
    told = [f"{word}: {words.count(word)}" for word in ("commit", "wait", "never") if word in words]
    binds = " and ".join(about(money, currency) for currency, money in bound(plan).items())
    return f"{count(len(plan.pools), 'pool')}: {', '.join(told)}." + (
        f" Committing as advised binds {binds} over the terms." if binds else " Nothing to commit now."
    )


def _show_pool(console: Console, plan: Plan, one: PoolPlan, since: datetime | None) -> None:
    verdict = one.verdict
    held = "" if since is None else f" (since {since:%Y-%m-%d})"
    console.print()
    console.print(
        Text.assemble(
            (clean(one.pool), "bold"), "  ", (verdict.word.upper(), STYLES[verdict.word]), held, "  ", _advice(one)
        )
    )
    for reason in verdict.reasons:
        console.print(Padding(Text(clean(reason)), (0, 0, 0, 2)))
    if table := _table(one, roomy=console.width >= _ROOMY):
        console.print(Padding(table, (0, 0, 0, 2)))
    for line in _lines(plan, one):
        console.print(Padding(Text(clean(line), style="dim"), (0, 0, 0, 2)))


def _advice(one: PoolPlan) -> str:
    best = one.verdict.best
    if one.verdict.word != "commit" or best is None:
        return ""
    steps = sum(not step.refill for step in one.ladder)
    return f"buy {_counted(gpus(best.buy), one, best)} of {best.offer.name}" + (
        f" in {steps} steps" if steps > 1 else ""
    )


def _counted(value: Decimal, one: PoolPlan, option: Option) -> str:
    """``1 GPU``; of money ``$207.03 an hour of on-demand usage``."""
    if unit(one) != "GPUs":
        return f"{amount(value, option.offer.currency)} an hour of on-demand usage"
    return f"{quantity(value)} GPU{'' if value == 1 else 's'}"


def _table(one: PoolPlan, *, roomy: bool) -> Table | None:
    priced = [option for option in one.options if option.outcome is not None]
    if not priced:
        return None
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, int(roomy), 0, 0))
    worth = unit_text(one)
    for name in (
        "Offer",
        f"Level\n{worth}" if worth else "Level",
        "Covers",
        "Used",
        "Saves",
        "P10",
        "P50",
        "P90",
        "Loses",
        "By\nmonth",
    ):
        first = name == "Offer"
        table.add_column(name, justify="left" if first else "right", no_wrap=not first, min_width=12 if first else None)
    for option in priced:
        table.add_row(*_row(option))
    return table


def _row(option: Option) -> list[str]:
    outcome, risk, offer = option.outcome, option.risk, option.offer
    assert outcome is not None
    said = [
        clean(offer.name) + (" (flex)" if offer.flex else ""),
        quantity(outcome.quantity),
        _narrow(outcome.coverage),
        _narrow(outcome.utilization),
        percent(option.saving_rate, to_tenths=True),
    ]
    if risk is None or not option.nanos:
        return [*said, *[_NONE] * 5]
    money = [compact(value, offer.currency) for value in (risk.p10, risk.p50, risk.p90)]
    month = "never" if option.break_even_month is None else str(option.break_even_month)
    return [*said, *money, _narrow(Decimal(str(round(risk.loss_probability, 4)))), month]


def _narrow(share: Decimal | None) -> str:
    return percent(share).replace("over ", ">").replace("under ", "<")


def quantity(gpus: Decimal) -> str:
    """GPUs for reading: whole from 100 on, at most two decimals below."""
    return plain(gpus.quantize(Decimal(1 if gpus >= 100 else "0.01"))) if gpus < 10_000 else f"{gpus:,.0f}"


def compact(value: float, currency: str) -> str:
    """An estimate for a narrow column, to three digits: ``$3.24M``, ``-$52.1k``, ``$123k``."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            scaled = Decimal(str(round(value / size, 2)))
            places = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0
            sign, symbol = ("-" if scaled < 0 else ""), currency_symbol(currency)
            return f"{sign}{symbol}{abs(scaled):,.{places}f}{letter}"
    return about(Decimal(round(value)), currency)


def _lines(plan: Plan, one: PoolPlan) -> list[str]:
    found = [line for line in (served_line(plan, one), compared_line(plan, one)) if line]
    found += [
        said
        for option in one.options
        if option.why is not None and (said := f"{option.offer.name}: {option.why}.") not in one.verdict.reasons
    ]
    best, optimum = one.verdict.best, one.optimum
    if optimum is not None and optimum.optimum is not None:
        exact = optimum.optimum
        counted = _counted(exact.quantity, one, optimum)
        found.append(
            f"Optimum over the history: {counted} of {optimum.offer.name}, saving "
            f"{percent(exact.saving_rate, to_tenths=True)} at {percent(exact.coverage)} coverage, used to "
            f"{percent(exact.utilization)}."
            if exact.quantity
            else "Optimum over the history: to commit nothing."
        )
        caps = ", ".join(
            f"at {percent(cap.coverage)} {cap.price * 100:.2f} points" for cap in one.caps if cap.price > 0
        )
        if caps:
            found.append(f"A cap on coverage costs of that saving: {caps}.")
    if best is not None and best.bound_by and one.verdict.word == "commit":
        found.append(f"The level is bound by {best.bound_by}.")
    if one.owned:
        held, worth = gpus(sum(owned.nanos for owned in one.owned)), unit_text(one)
        told = f"{quantity(held)} GPUs" if not worth else f"GPUs worth {quantity(held)} {worth} on demand"
        found.append(
            " ".join([f"Owned now: {told}. Each level has them in it, at the price of its offer.", *ending(one)])
        )
    if promise := promise_line(one):
        found.append(promise)
    worth = f" ({unit_text(one)} of on-demand usage)" if unit_text(one) else ""
    steps = [_step(step) for step in one.ladder if not step.refill]
    if steps:
        found.append(f"Ladder{worth}: {', '.join(steps)}.")
    refills = [f"{_step(step)} {step.why}" for step in one.ladder if step.refill]
    if refills and best is not None:
        found.append(f"Refill by {best.offer.name}{worth}: {'; '.join(refills)}. {REFILLS}")
    if best is not None and best.exposure and one.verdict.word == "commit":
        found.append(
            f"Binds {amount(best.exposure, best.offer.currency)} over {best.offer.term_months} months, used or not."
        )
    found += market_lines(one, newer=False)
    if best is not None and best.waiting is not None and one.verdict.word == "commit":
        worth = about(Decimal(round(best.waiting.value)), best.offer.currency)
        found.append(
            f"Waiting a month, and not buying if demand fell by a fifth meanwhile, is worth {worth} (estimate)."
        )
    if one.scenarios and best is not None:
        told = ", ".join(
            f"{name} {about(Decimal(round(risk.p50)), best.offer.currency)}" for name, risk in one.scenarios.items()
        )
        found.append(f"If it certainly happened within the term, median saving: {told}.")
    found += volatility_lines(one)
    found += together_lines(one)
    found += [f"Would change it: {change}" for change in one.verdict.changes]
    return found


def _step(step: Step) -> str:
    return f"{quantity(gpus(step.nanos))} {f'on {step.on}' if step.on else f'in month {step.month}'}"


def _assumptions(plan: Plan) -> list[str]:
    told = ", ".join(f"{one.name} (x{one.factor:g}, {one.per_year:g} a year)" for one in plan.scenarios)
    return [
        "Level: GPUs committed in all; of a union by money what their usage costs on demand an hour. Covers, Used, "
        "Saves: exact, over the history given. P10, P50, P90: saving over "
        f"the term, Loses: share of futures that lose, both estimates from {plan.paths:,} simulated futures, which "
        f"assume {told}. By month: until when the GPUs must be needed for the whole term's cost to be earned."
    ]
