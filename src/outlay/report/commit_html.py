"""The commitment plan as one HTML file: the demand, the curve, the ladder, and every figure with its receipt.

All pools stand in one table. The pools with the most at stake have a section each with charts and options; a plan of
a thousand pools would else be a file that no browser opens. What is left out is said, and where to find it.

The curve is that of the offer that would have saved most. What is owned today is marked on it at that offer's price:
what was paid for it nobody said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path, PurePath

from markupsafe import Markup

from outlay import __version__
from outlay.money import add_exactly, percent
from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.plan import Cap, Plan, PoolPlan
from outlay.optimize.commitments.sizing import Levels, Outcome
from outlay.problems import ProblemSummary
from outlay.report import commit_figures as figures
from outlay.report.commit_charts import Level, Mark, draw_curve, draw_demand, grain_of, within
from outlay.report.commit_ladder import after, draw_ladder, ladder_of
from outlay.report.commit_options import Group, compared
from outlay.report.commit_unions import compared_line, promise_line, served_line, together_lines, unit_text
from outlay.report.commit_wording import (
    REFILLS,
    advised,
    bound,
    by_verdict,
    ending,
    market_lines,
    not_counted,
    recommended,
    unit,
    volatility_lines,
)
from outlay.report.page import environment, styles, write_page
from outlay.report.wording import clean, count, day

__all__ = ["MOST_DRAWN", "write_commit_plan"]

MOST_DRAWN = 20
"""Pools with a section of their own: some 100 KiB each."""
_GLYPHS = {"diamond": "◆", "square": "■", "circle": "●", "triangle-down": "▼"}
_SIZES = {"diamond": 110, "square": 170, "circle": 75, "triangle-down": 130}
_SIGNS = {"commit": "✓", "wait": "…", "never": "✕"}
_ORDER = ("commit", "wait", "never")


@dataclass(frozen=True, slots=True)
class _Point:
    """A quantity worth knowing on the curve, as a row of the table under it; ``costs`` is what a cap gives up."""

    name: str
    slot: str
    glyph: str
    outcome: Outcome
    costs: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Section:
    """A pool as the template needs it. Drawings are wide and narrow."""

    number: int
    one: PoolPlan
    unit: str
    best: Option | None
    levels: tuple[Level, ...]
    demand: tuple[str, str]
    grain: str
    points: tuple[_Point, ...]
    curve: tuple[str, str] | None
    cut: bool
    ladder: tuple[str, str] | None
    cap: Cap | None
    options: list[Group]


def write_commit_plan(plan: Plan, path: Path, problems: Sequence[ProblemSummary] = ()) -> None:
    """Writes the plan to ``path``, whole or not at all. Raises as :func:`outlay.report.html.write_overspend`."""
    write_page(path, _page(plan, problems))


def _page(plan: Plan, problems: Sequence[ProblemSummary]) -> str:
    made = environment()
    made.globals |= {
        name: getattr(figures, name)
        for name in ("chance", "estimate", "level", "level_in", "money", "points", "share", "unknown", "whole")
    }
    made.filters |= {
        "percent": percent,
        "gpus": gpus,
        "moment": _moment,
        "day": day,
        "basename": _basename,
        "coded": _coded,
    }
    made.globals |= {
        "unit": unit,
        "recommended": recommended,
        "reason": _reason,
        "after": after,
        "market": market_lines,
        "volatility": volatility_lines,
        "ending": ending,
        "refills": REFILLS,
        "short_unit": unit_text,
        "served": partial(served_line, plan),
        "compared": partial(compared_line, plan),
        "together": together_lines,
        "promise": promise_line,
    }
    drawn = _drawn(plan)
    chosen = advised(plan)
    return made.get_template("commit_plan.html.j2").render(
        plan=plan,
        pools=by_verdict(plan),
        settings=plan.settings,
        problems=problems,
        version=__version__,
        css=styles(made, ["report.css", "commit_plan.css"]),
        headline=_headline(plan),
        title=_title(plan),
        bound=bound(plan),
        committed=[one for one, _ in chosen],
        saved=_by_currency([(best, best.saving) for _, best in chosen]),
        expected=_expected([best for _, best in chosen]),
        not_counted=not_counted(plan),
        sections=[_section(plan, one, number) for number, one in drawn.items()],
        numbers={one.pool: number for number, one in drawn.items()},
        signs=_SIGNS,
        sources=sorted({PurePath(one.demand.source).name for one in plan.pools if one.demand.source}),
    )


def _drawn(plan: Plan) -> dict[int, PoolPlan]:
    """The pools that have a section, by their place in the table: all, or those with the most at stake."""

    def stake(place: int) -> tuple[int, Decimal, int]:
        one = plan.pools[place]
        best = recommended(one)
        binds = best.exposure if best is not None and best.exposure is not None else Decimal(0)
        return _ORDER.index(one.verdict.word), -binds, -one.demand.total

    drawn = {id(plan.pools[place]) for place in sorted(range(len(plan.pools)), key=stake)[:MOST_DRAWN]}
    return {number: one for number, one in enumerate(by_verdict(plan), start=1) if id(one) in drawn}


def _title(plan: Plan) -> str:
    names = [one.pool for one in plan.pools]
    return names[0] if len(names) == 1 else count(len(names), "pool")


def _headline(plan: Plan) -> Markup:
    """One sentence for whoever has to sign it."""
    given, total = [one.verdict.word for one in plan.pools], len(plan.pools)
    counts = {"commit": len(advised(plan)), "wait": given.count("wait"), "never": given.count("never")}
    rest = "".join(f", {word} in {counts[word]:,}" for word in ("wait", "never") if counts[word])
    if total == 1:
        said = Markup("{}: <em>{}</em>.").format(clean(plan.pools[0].pool), given[0])
    elif counts["commit"]:
        said = Markup("<em>Commit</em> in {:,} of {:,} pools{}.").format(counts["commit"], total, rest)
    else:
        said = Markup("Nothing to commit to now in {:,} pools: {}.").format(total, rest.removeprefix(", "))
    binds = Markup(" and ").join(
        figures.money("exposure", value, currency, large=True) for currency, value in bound(plan).items()
    )
    return said + Markup(" As advised that binds {} over the terms, used or not.").format(binds) if binds else said


def _by_currency(amounts: Sequence[tuple[Option, Decimal | None]]) -> dict[str, Decimal]:
    found: dict[str, list[Decimal]] = {}
    for best, value in amounts:
        if value is not None:
            found.setdefault(best.offer.currency, []).append(value)
    return {currency: add_exactly(found[currency]) for currency in sorted(found)}


def _expected(chosen: Sequence[Option]) -> dict[str, float]:
    """The mean saving over the terms by currency: means add up, percentiles do not."""
    found: dict[str, float] = {}
    for best in chosen:
        if best.risk is not None:
            found[best.offer.currency] = found.get(best.offer.currency, 0.0) + best.risk.mean
    return dict(sorted(found.items()))


def _reason(one: PoolPlan) -> str:
    """The reason that decided where nothing is advised: doubts stand last, what rules a pool out stands first."""
    return one.verdict.reasons[0 if one.verdict.best is None else -1]


def _section(plan: Plan, one: PoolPlan, number: int) -> _Section:
    best, points = recommended(one), _points(plan, one)
    owned = sum(held.nanos for held in one.owned)
    levels = []
    if best is not None:
        levels.append(Level("recommended level", "commit", (1, 0), gpus(best.nanos)))
    if one.optimum is not None and one.optimum.optimum is not None:
        levels.append(Level("optimum over the history", "optimum", (6, 4), one.optimum.optimum.quantity))
    if owned:
        levels.append(Level("owned today", "owned", (2, 3), gpus(owned)))
    curve = [(point.quantity, point.saving_rate) for point in one.curve if point.saving_rate is not None]
    shown = within(curve)
    marks = [_mark(point, one) for point in points if point.glyph and point.outcome.saving_rate is not None]
    said = unit(one)
    ladder, wanted = None, one.verdict.best
    if wanted is not None and one.ladder:
        held = ladder_of(one.ladder, one.owned, wanted.offer.term_months, plan.today)
        ladder = (draw_ladder(held, gpus(wanted.nanos)), draw_ladder(held, gpus(wanted.nanos), narrow=True))
    return _Section(
        number=number,
        one=one,
        unit=said,
        best=best,
        levels=tuple(levels),
        demand=(draw_demand(one.demand, levels), draw_demand(one.demand, levels, narrow=True)),
        grain=grain_of(one.demand),
        points=tuple(points),
        curve=(draw_curve(shown, marks, said, narrow=False), draw_curve(shown, marks, said, narrow=True))
        if shown
        else None,
        cut=len(shown) < len(curve),
        ladder=ladder,
        cap=next((cap for cap in one.caps if cap.coverage == plan.settings.coverage_cap), None),
        options=compared(one.options, said, plan.paths),
    )


def _points(plan: Plan, one: PoolPlan) -> list[_Point]:
    optimum, best = one.optimum, recommended(one)
    if optimum is None or optimum.optimum is None:
        return []
    found = [_Point("optimum", "optimum", _GLYPHS["diamond"], optimum.optimum)]
    for cap in one.caps:
        glyph = _GLYPHS["square"] if cap.coverage == plan.settings.coverage_cap else ""
        found.append(_Point(f"cap of {percent(cap.coverage)}", "cap", glyph, cap.outcome, cap.price))
    if best is not None and best.outcome is not None:
        name = "recommended" if best.offer == optimum.offer else f"recommended ({best.offer.name})"
        found.append(_Point(name, "commit", _GLYPHS["circle"], best.outcome))
    owned = sum(held.nanos for held in one.owned)
    price, on_demand = optimum.offer.price, optimum.offer.on_demand_price
    if owned and price is not None and on_demand is not None:
        outcome = Levels(one.demand).outcome(owned, price, on_demand)
        found.append(_Point("owned today", "owned", _GLYPHS["triangle-down"], outcome))
    return found


def _mark(point: _Point, one: PoolPlan) -> Mark:
    rate = point.outcome.saving_rate
    assert rate is not None
    shape = next(name for name, glyph in _GLYPHS.items() if glyph == point.glyph)
    gpus_or_money = " GPUs" if unit(one) == "GPUs" else ""
    text = f"{figures.level_text(point.outcome.quantity)}{gpus_or_money}, {percent(rate, to_tenths=True)}"
    return Mark(point.name, point.slot, shape, point.outcome.quantity, rate, text, _SIZES[shape])


def _coded(text: str) -> Markup:
    """A sentence whose `commands` are set as such."""
    parts = clean(text).split("`")
    return Markup("").join(Markup("<code>{}</code>").format(one) if n % 2 else one for n, one in enumerate(parts))


def _basename(source: str) -> str:
    """A file's name without its folders, so that the page can be passed on."""
    return PurePath(source).name or "not stated"


def _moment(at: datetime | date | int | None) -> str:
    """An hour in words: ``1 Jun 2026, 13:00 UTC``, or ``hour 17`` where they are only counted."""
    if isinstance(at, datetime):
        return f"{day(at)}, {at:%H:%M} UTC"
    if isinstance(at, date):
        return day(at)
    return "unknown" if at is None else f"hour {at:,}"
