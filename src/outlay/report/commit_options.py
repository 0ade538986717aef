"""The options of a pool side by side: an offer a column, a figure a row, flexible terms beside standard ones.

Rows come in groups that say what kind of figure they hold: terms are the seller's, the history is exact, the term is
an estimate. A flexible offer's strings are rows like any other, so that they can't be overlooked beside its price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup, escape

from outlay.optimize.commitments.demand import gpus
from outlay.optimize.commitments.offers.offer import Flex
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.outlook.risk import Risk
from outlay.report.commit_figures import (
    chance,
    estimate,
    figure,
    gpu_price,
    level,
    money,
    share,
    unknown,
    whole,
)
from outlay.report.wording import clean, count

__all__ = ["Group", "Row", "compared"]

_Cell = Callable[[Option], Markup]
_DASH = Markup("\N{EN DASH}")
_PAYMENTS = {"no_upfront": "no upfront", "partial_upfront": "partial upfront", "all_upfront": "all upfront"}
_FORMS = {
    "reservation": "reservation",
    "savings_plan": "savings plan",
    "cud": "committed-use discount",
    "cud_spend": "committed-use discount on spend",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of all options. ``note`` says in a few words what it is."""

    name: str
    note: str
    cells: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one kind."""

    title: str
    rows: tuple[Row, ...]


def compared(options: Sequence[Option], unit: str, paths: int) -> list[Group]:
    """The comparison of ``options``; a row in which no option has anything is left out."""

    def group(title: str, *rows: tuple[str, str, _Cell]) -> Group:
        made = [Row(name, note, tuple(cell(one) for one in options)) for name, note, cell in rows]
        return Group(title, tuple(row for row in made if any(cell != _DASH for cell in row.cells)))

    found = [
        group("Terms", *_terms(unit)),
        group("Strings of the flexible ones", _premium(unit), *_STRINGS),
        group("Over the history given: exact", *_history(unit)),
        group(f"Over the term: estimates from {paths:,} simulated futures", *_TERM),
        group("What it binds", *_BINDS),
    ]
    return [one for one in found if one.rows]


def _text(value: str | None) -> Markup:
    return escape(clean(value)) if value else _DASH


def _flex(cell: Callable[[Flex, Option], Markup]) -> _Cell:
    return lambda one: _DASH if one.offer.flex is None else cell(one.offer.flex, one)


def _waiting(one: Option) -> Markup:
    return estimate("waiting_a_month", None if one.waiting is None else one.waiting.value, one.offer.currency)


def _at_risk(one: Option) -> Risk | None:
    """Nothing committed has no risk to speak of."""
    return one.risk if one.nanos else None


def _month(one: Option) -> Markup:
    if one.break_even_month is not None:
        return whole("break_even_month", one.break_even_month, "month ")
    return Markup("never") if one.nanos and one.risk is not None else unknown("break_even_month")


def _terms(unit: str) -> Sequence[tuple[str, str, _Cell]]:
    shares = unit != "GPUs"
    prices: Sequence[tuple[str, str, _Cell]] = (
        (
            "Price",
            "a committed GPU-hour",
            lambda one: gpu_price("unit_price", one.offer.unit_price, one.offer.currency),
        ),
        ("On-demand", "", lambda one: gpu_price("on_demand_price", one.offer.on_demand_price, one.offer.currency)),
    )
    charges: Sequence[tuple[str, str, _Cell]] = (
        (
            "Charges",
            "of on-demand prices, over the pools' mix",
            lambda one: share("unit_price", one.offer.unit_price, to_tenths=True),
        ),
    )
    return (
        ("No figures, because", "", lambda one: _text(one.why)),
        ("Form", "", lambda one: _text(_FORMS[one.offer.form])),
        ("Term", "", lambda one: figure("term_months", str(one.offer.term_months), f"{one.offer.term_months} months")),
        ("Payment", "", lambda one: _text(_PAYMENTS[one.offer.payment])),
        *(charges if shares else prices),
        ("Discount", "", lambda one: share("discount", one.offer.discount)),
        (
            "Break-even utilisation",
            "below it on-demand is cheaper; with what is paid back",
            lambda one: share("break_even_utilization", one.offer.break_even_utilization),
        ),
        ("Price from", "", lambda one: _text(one.offer.source)),
    )


def _premium(unit: str) -> tuple[str, str, _Cell]:
    if unit != "GPUs":
        return "Premium", "of on-demand prices", _flex(lambda flex, _: share("premium", flex.premium, to_tenths=True))
    return "Premium", "a GPU-hour", _flex(lambda flex, one: gpu_price("premium", flex.premium, one.offer.currency))


def _history(unit: str) -> Sequence[tuple[str, str, _Cell]]:
    def best(one: Option) -> Decimal | None:
        return None if one.optimum is None else one.optimum.quantity

    return (
        ("Level", f"{unit} in all, with what is owned", lambda one: level("quantity", _of(one, "quantity"), unit)),
        (
            "To buy",
            "" if unit == "GPUs" else unit,
            lambda one: level("buy", None if one.outcome is None else gpus(one.buy), unit),
        ),
        ("Kept down by", "", lambda one: _text(one.bound_by)),
        ("Coverage", "of demand", lambda one: share("coverage", _of(one, "coverage"))),
        ("Utilisation", "of the level", lambda one: share("utilization", _of(one, "utilization"))),
        ("Saving", "against on-demand", lambda one: money("saving", one.saving, one.offer.currency)),
        ("Saving rate", "", lambda one: share("saving_rate", one.saving_rate, to_tenths=True)),
        ("Its optimum", f"{unit}, whatever the risk", lambda one: level("optimum", best(one), unit)),
        (
            "Saving rate there",
            "",
            lambda one: share(
                "optimum_saving_rate", None if one.optimum is None else one.optimum.saving_rate, to_tenths=True
            ),
        ),
    )


def _of(one: Option, name: str) -> Decimal | None:
    value = None if one.outcome is None else getattr(one.outcome, name)
    assert value is None or isinstance(value, Decimal)
    return value


def _risk(metric: str, name: str) -> _Cell:
    def cell(one: Option) -> Markup:
        risk = _at_risk(one)
        return estimate(metric, None if risk is None else getattr(risk, name), one.offer.currency)

    return cell


_STRINGS: Sequence[tuple[str, str, _Cell]] = (
    (
        "Break-even utilisation",
        "without what is paid back",
        _flex(lambda _, one: share("break_even_without_payback", one.offer.price_ratio)),
    ),
    ("Fee", "of the saving", _flex(lambda flex, _: share("fee_share", flex.fee_share))),
    ("Pays back", "of the unused part's cost", _flex(lambda flex, _: share("cashback", flex.cashback))),
    ("Only once unused is above", "", _flex(lambda flex, _: share("trigger", flex.trigger))),
    ("At most", "of a period's cost", _flex(lambda flex, _: share("payout_cap", flex.cap))),
    ("Settled every", "", _flex(lambda flex, _: _text(count(flex.settle_months, "month")))),
    ("Paid after", "", _flex(lambda flex, _: _text(count(flex.payout_lag_days, "day")))),
    (
        "Quantity may be lowered",
        "",
        _flex(
            lambda flex, _: _text(
                "never" if flex.adjust_months is None else f"every {count(flex.adjust_months, 'month')}"
            )
        ),
    ),
    ("Owed by", "not by the cloud", _flex(lambda flex, _: _text(flex.counterparty))),
    (
        "Would have paid back",
        "less the fee; in the saving below",
        _flex(lambda _, one: money("paid_back", one.returned, one.offer.currency)),
    ),
    ("The vendor claims", "a claim, not a finding", _flex(lambda flex, _: _text(flex.claim))),
)
_TERM: Sequence[tuple[str, str, _Cell]] = (
    ("P10", "saving in a bad tenth", _risk("p10", "p10")),
    ("P50", "saving in the median", _risk("p50", "p50")),
    ("P90", "saving in a good tenth", _risk("p90", "p90")),
    ("Worst", "of the futures", _risk("worst", "worst")),
    (
        "Probability of a loss",
        "",
        lambda one: chance("loss_probability", None if (risk := _at_risk(one)) is None else risk.loss_probability),
    ),
    ("Break-even month", "demand must last until then", _month),
    ("Waiting a month is worth", "below 0: buying now is better", _waiting),
)
_BINDS: Sequence[tuple[str, str, _Cell]] = (
    ("Exposure", "owed over the term, used or not", lambda one: money("exposure", one.exposure, one.offer.currency)),
)
