"""``outlay commit status`` on a terminal, and the line that a load has for each recommendation that it changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from outlay.optimize.commitments.standing.standing import Recommendation
from outlay.optimize.commitments.standing.status import Status
from outlay.report.commit_plan import STYLES, quantity
from outlay.report.wording import clean, count

__all__ = ["change_line", "show_status"]

_WHY = {"load": "after a load", "daily": "by outlay serve", "asked": "when asked"}


def change_line(one: Recommendation) -> str:
    """``H100/us-east-1/inference: commit withdrawn, since 2026-09-01 it was commit (69 GPUs of 1y). …``."""
    before = one.before
    if before is None:
        return clean(f"{one.pool}: {one.verdict}, {_what(one)}.")
    held = f"since {before.since:%Y-%m-%d} it was {before.verdict}"
    if before.offer is not None and before.level is not None:
        held += f" ({quantity(before.level)} {_unit(one)} of {before.offer})"
    if one.change == "withdrawn":
        return clean(f"{one.pool}: commit withdrawn, {held}. {one.because}")
    if one.change == "fulfilled":
        return clean(f"{one.pool}: nothing more to buy, {held}. {one.because}")
    now = f" {_what(one)}" if one.verdict == "commit" else ""
    return clean(f"{one.pool}: {one.verdict}{now}, {held}. {one.because}")


def show_status(status: Status) -> None:
    """Prints what stands on stdout."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print()
    computed, words = status.computed, [one.verdict for one in status.standing]
    told = [f"{word}: {words.count(word)}" for word in ("commit", "wait", "never") if word in words]
    console.print(Text(f"{count(len(words), 'pool')}: {', '.join(told)}.", style="bold"))
    console.print(Text(f"Computed {_moment(computed.at)} UTC, {_WHY[computed.trigger]}.", style="dim"))
    if status.why is not None:
        console.print(Text(f"Not current: {status.why}", style="bold yellow"))
    for one in status.standing:
        _show(console, one)
    if status.withdrawn:
        console.print()
        console.print(Text(f"Withdrawn in the last {status.days} days", style="bold"))
        for one in status.withdrawn:
            line = f"{one.computed.at:%Y-%m-%d}  {change_line(one)}"
            console.print(Padding(Text(line), (0, 0, 0, 2)))


def _show(console: Console, one: Recommendation) -> None:
    advice = f"  {_what(one)}" if one.verdict == "commit" else ""
    console.print()
    console.print(
        Text.assemble(
            (clean(one.pool), "bold"), "  ", (one.verdict.upper(), STYLES[one.verdict]),
            f"  since {one.since:%Y-%m-%d}", clean(advice),
        )
    )  # fmt: skip
    lines: Sequence[str] = (one.because, *(f"Would change it: {change}" for change in one.would_change))
    for n, line in enumerate(lines):
        console.print(Padding(Text(clean(line), style="dim" if n else ""), (0, 0, 0, 2)))
    if one.demand_until is not None:
        known = f"Demand is known until {_moment(one.demand_until)} UTC."
        console.print(Padding(Text(known, style="dim"), (0, 0, 0, 2)))


def _what(one: Recommendation) -> str:
    if one.buy is None or one.level is None:
        return ""
    return f"buy {quantity(one.buy)} {_unit(one)} of {one.offer}" + (
        f" ({quantity(one.level)} in all)" if one.level != one.buy else ""
    )


def _unit(one: Recommendation) -> str:
    return "GPUs" if one.unit == "GPUs" else "an hour"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
