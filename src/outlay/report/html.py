"""The overspend report as one HTML file: no network, no script, readable in ten years.

Everything is inside: styles, the drawing, every figure with its exact value in ``data-value`` and its receipt in a
fold. The page forbids itself any request and any script (Content-Security-Policy), since bills carry other people's
text: a tag that holds HTML is shown as text, by escaping and by that policy. File names are shown without their
folders, so that a report can be passed on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path, PurePath

from outlay import __version__
from outlay.money import add_exactly, percent, plain
from outlay.optimize.finding import Finding
from outlay.optimize.overspend import Overspend, Slice
from outlay.report.charts import Chart, cost_chart, draw
from outlay.report.page import environment, styles, unbroken, write_page
from outlay.report.wording import (
    about,
    amount,
    basis_text,
    dates,
    headline,
    kept_out,
    second_sentence,
    share_base,
    shortened,
    total,
)

__all__ = ["write_overspend"]

_MAX_TO_CONFIRM = 50
_MAX_BARS = 8
_SLICES = {"team": "By team", "model": "By model", "provider": "By provider"}
_UNKNOWN_SLICES = {"untagged", "no provider"}
_MARKS = {"high": "●●●", "medium": "●●○", "low": "●○○"}
_DATE = re.compile(r"\d{1,2} [A-Z][a-z]{2} \d{4}")


@dataclass(frozen=True, slots=True)
class _Bar:
    """A row of a bar list. ``width`` is a share of the longest bar, as CSS writes it."""

    name: str
    cost: Decimal
    width: str
    unknown: bool = False


def write_overspend(result: Overspend, path: Path, *, synthetic: bool = False) -> None:
    """Writes the report to ``path``, whole or not at all.

    ``synthetic`` puts a banner on it: the figures are of no real company. Raises
    :class:`outlay.errors.MissingExtraError` without the package that draws, and :class:`outlay.errors.UsageError`
    when ``path`` can't be written.
    """
    write_page(path, _page(result, synthetic=synthetic))


def _page(result: Overspend, *, synthetic: bool) -> str:
    currency = result.totals.currency
    made = environment()
    made.filters |= {
        "money": lambda value: unbroken(amount(value, currency)),
        "about": lambda value: unbroken(about(value, currency)),
        "percent": lambda value: unbroken(percent(value)),
        "dated": _dated,
        "of_ai": result.share,
        "of_base": result.saving_share,
        "shortened": partial(shortened, longest=60),
    }
    waiting = [finding for finding in result.findings if not finding.counted]
    chart = cost_chart(result.days, result.totals.since, result.totals.until)
    template = made.get_template("overspend.html.j2")
    return template.render(
        result=result,
        totals=result.totals,
        synthetic=synthetic,
        version=__version__,
        css=styles(made, ["report.css"]),
        headline=headline(result),
        second_sentence=second_sentence(result),
        window=dates(result.totals.since, result.totals.until),
        basis=basis_text(result),
        kept_out=kept_out(result),
        share=result.saving_share(result.overspend),
        share_base=share_base(result),
        split=_split(result),
        chart=chart,
        wide=_drawing(chart, currency, False),
        narrow=_drawing(chart, currency, True),
        slices=[
            (name, title, _bars(result.slices[name])) for name, title in _SLICES.items() if result.slices.get(name)
        ],
        counted=[finding for finding in result.findings if finding.counted],
        waiting=waiting[:_MAX_TO_CONFIRM],
        waiting_rest=waiting[_MAX_TO_CONFIRM:],
        waiting_rest_total=total(waiting[_MAX_TO_CONFIRM:]),
        facts=_facts,
        marks=_MARKS,
        files=[PurePath(name).name for name in result.files],
    )


def _dated(text: str) -> str:
    """A sentence whose dates stay on one line."""
    return _DATE.sub(lambda found: unbroken(found[0]), text)


def _drawing(chart: Chart | None, currency: str, narrow: bool) -> str:
    return "" if chart is None else draw(chart, currency, narrow=narrow)


def _split(result: Overspend) -> list[tuple[str, str]]:
    """What findings are part of, as one bar: overspend, what is to confirm (no wider than what is left), the rest."""
    cost = result.ai_charges if result.before_credits else result.totals.ai_cost
    if cost <= 0 or (result.overspend <= 0 and result.to_confirm <= 0):
        return []
    over = min(max(result.overspend, Decimal(0)), cost)
    confirm = min(max(result.to_confirm, Decimal(0)), cost - over)
    parts = (("overspend", over), ("confirm", confirm), ("rest", cost - over - confirm))
    return [(name, _width(part, cost)) for name, part in parts if part > 0]


def _bars(slices: Sequence[Slice]) -> list[_Bar]:
    """The largest slices; what is left is one grey bar at the end."""
    ordered = sorted(slices, key=lambda one: -one.cost)
    shown, rest = (ordered, []) if len(ordered) <= _MAX_BARS + 1 else (ordered[:_MAX_BARS], ordered[_MAX_BARS:])
    remainder = add_exactly(one.cost for one in rest)
    longest = max([one.cost for one in shown] + [remainder])
    bars = [_Bar(one.name, one.cost, _width(one.cost, longest), _is_unknown(one.name)) for one in shown]
    return bars + ([_Bar(f"{len(rest)} others", remainder, _width(remainder, longest), True)] if rest else [])


def _is_unknown(name: str) -> bool:
    return name in _UNKNOWN_SLICES or name.startswith("no model")


def _width(part: Decimal, whole: Decimal) -> str:
    if whole <= 0 or part <= 0:
        return "0%"
    return f"{min(part / whole, Decimal(1)) * 100:.2f}%"


def _facts(finding: Finding) -> list[tuple[str, str]]:
    """What the detector noted beside the amounts, in words."""
    return [
        (name.replace("_", " "), plain(value) if isinstance(value, Decimal) else str(value))
        for name, value in finding.facts.items()
    ]
