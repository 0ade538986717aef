"""The words and figures that the terminal and the HTML report share.

An amount is rounded here, once, for reading: to cents in tables, to whole units in the sentence at the top when it
is 1,000 or more. Text that comes from a bill (tags, resource names) is somebody else's: control characters in it
could rewrite a terminal or turn a line around, so :func:`clean` makes them visible instead of passing them on.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from outlay.money import add_exactly, percent, rounded
from outlay.optimize.finding import Finding
from outlay.optimize.overspend import Overspend

__all__ = [
    "Piece",
    "about",
    "amount",
    "basis_text",
    "clean",
    "count",
    "currency_symbol",
    "dates",
    "day",
    "headline",
    "kept_out",
    "kind_label",
    "listed",
    "second_sentence",
    "share_base",
    "shortened",
    "total",
    "window",
]

Piece = tuple[str, str]
"""A part of a sentence and what it means: ``cost``, ``overspend``, or ``""`` for plain words."""

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_WHOLE_FROM = 1000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_KINDS = {
    "tokens": "Tokens",
    "provisioned_throughput": "Provisioned throughput",
    "gpu_compute": "GPU compute",
    "ml_platform": "ML platform",
    "ai_other": "Other AI",
}


def clean(text: str) -> str:
    """``text`` with control, formatting and line-breaking characters replaced by U+FFFD."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _INVISIBLE else char for char in text)


def shortened(text: str, longest: int = 44) -> str:
    """``text`` with the middle of each word over ``longest`` characters left out: resource ids differ at their ends."""
    return " ".join(
        word if len(word) <= longest else f"{word[: longest // 3]}…{word[-(longest - longest // 3 - 1) :]}"
        for word in text.split(" ")
    )


def amount(value: Decimal, currency: str) -> str:
    """``value`` at the minor unit of its currency: ``$1,234.50``, ``CHF 12.00``, ``-€3.00``."""
    return _signed(rounded(value, currency), currency)


def about(value: Decimal, currency: str) -> str:
    """``value`` for a sentence: whole units from 1,000 on, the minor unit below."""
    if abs(value) < _WHOLE_FROM:
        return amount(value, currency)
    return _signed(value.quantize(Decimal(1), rounding=ROUND_HALF_EVEN), currency)


def _signed(value: Decimal, currency: str) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}{currency_symbol(currency)}{abs(value):,}"


def currency_symbol(currency: str) -> str:
    """``$`` for USD and so on; the code and a space where the symbol would be ambiguous."""
    return _SYMBOLS.get(currency, f"{clean(currency)} ")


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first ``most`` names and how many more there are: ``a, b, c, d, e and 55 more``."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def count(number: int, noun: str) -> str:
    """``1 row``, ``12,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def day(moment: date) -> str:
    """``1 Nov 2025``, in English whatever the locale."""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def window(since: datetime, until: datetime) -> str:
    """The days of a half-open window in words: ``between 1 Nov 2025 and 31 Oct 2026``, ``on 1 Nov 2025``."""
    first, last = _first_and_last(since, until)
    return f"on {day(first)}" if last <= first else f"between {day(first)} and {day(last)}"


def dates(since: datetime, until: datetime) -> str:
    """The same as a label: ``1 Nov 2025 to 31 Oct 2026``."""
    first, last = _first_and_last(since, until)
    return day(first) if last <= first else f"{day(first)} to {day(last)}"


def _first_and_last(since: datetime, until: datetime) -> tuple[date, date]:
    return since.date(), (until - timedelta(microseconds=1)).date()


def headline(result: Overspend) -> list[Piece]:
    """One sentence for someone who has never seen a cloud bill."""
    totals = result.totals
    when = window(totals.since, totals.until)
    cost = about(totals.ai_cost, totals.currency)
    if totals.ai_rows == 0:
        return [(f"No AI spend was found on this bill ({count(totals.rows, 'row')} {when}).", "")]
    if totals.ai_cost <= 0 and not result.before_credits:
        return [
            ("The AI rows of this bill add up to ", ""),
            (cost, "cost"),
            (f" {when}: credits outweigh the charges.", ""),
        ]
    opening: list[Piece] = [("Of ", ""), (cost, "cost"), (f" spent on AI {when}, ", "")]
    if result.before_credits:
        charges = about(result.ai_charges, totals.currency)
        opening = [("Of ", ""), (charges, "cost"), (f" charged for AI {when}, before credits, ", "")]
    if result.overspend <= 0:
        return [*opening, ("nothing is shown by the bill itself to have been unnecessary.", "")]
    return [
        *opening,
        (
            f"{about(result.overspend, totals.currency)} ({percent(result.saving_share(result.overspend))})",
            "overspend",
        ),
        (" need not have been spent.", ""),
    ]


def second_sentence(result: Overspend) -> str:
    """What credits leave of the cost, where that matters, and what waits for a confirmation.

    Empty when there is nothing to say.
    """
    currency = result.totals.currency
    said = []
    if result.before_credits:
        credits, cost = about(result.ai_credits, currency), about(result.totals.ai_cost, currency)
        said.append(f"Credits and corrections of {credits} leave an AI cost of {cost}.")
    waiting = [finding for finding in result.findings if not finding.counted]
    unknown = sum(finding.saving is None for finding in waiting)
    if result.to_confirm > 0:
        more = "more " if result.overspend > 0 else ""
        tail = f"; {count(unknown, 'more finding')} cannot be priced yet" if unknown else ""
        said.append(f"Up to {about(result.to_confirm, currency)} {more}depends on facts that no bill shows{tail}.")
    elif unknown:
        said.append(f"{count(unknown, 'finding')} to confirm, without a known rate.")
    if result.to_confirm_outside_ai > 0:
        outside = about(result.to_confirm_outside_ai, currency)
        said.append(f"Apart from AI, up to {outside} is listed to confirm: nothing on the bill ties it to AI.")
    return " ".join(said)


def share_base(result: Overspend) -> str:
    """What the shares of findings are taken of."""
    return "AI charges before credits" if result.before_credits else "AI cost"


def basis_text(result: Overspend) -> str:
    """What the cost basis means."""
    if result.basis == "EffectiveCost":
        return "EffectiveCost, which spreads commitments and prepayments over what they covered"
    return f"{result.basis}, as the effective costs of that bill are unusable"


def kept_out(result: Overspend) -> int:
    """Rows that were not used because something in them is wrong."""
    return sum(problem.count for problem in result.problems if problem.rejects)


def total(findings: list[Finding] | tuple[Finding, ...]) -> Decimal:
    """What findings add up to, no row's cost used twice."""
    return add_exactly(finding.adds for finding in findings if finding.adds is not None)


def kind_label(kind: str) -> str:
    """``gpu_compute / training`` as ``GPU compute: training``."""
    category, _, workload = kind.partition(" / ")
    label = _KINDS.get(category, category.replace("_", " "))
    if workload == "other":
        return f"{label}: workload not stated"
    return f"{label}: {workload}" if workload else label
