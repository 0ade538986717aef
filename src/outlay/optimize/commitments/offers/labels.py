"""Labels: names under which offers stand side by side, each its own.

An offer's name need not be its own: "1 year" is sold with and without upfront, in two currencies, for one pool by two
sellers. Whatever is kept by the name alone loses one of them. A label is the name where no other offer has it; else the
name and the terms that tell it from the others of that name, and a number where none does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from outlay.money import plain
from outlay.optimize.commitments.offers.offer import Offer

__all__ = ["labels"]

_Term = Callable[[Offer], str]
_TERMS: tuple[_Term, ...] = (
    lambda one: f"{one.term_months} months",
    lambda one: one.payment.replace("_", " "),
    lambda one: one.kind,
    lambda one: one.form.replace("_", " "),
    lambda one: one.currency,
    lambda one: one.provider or "no provider",
    lambda one: one.region or "no region",
    lambda one: "no price" if one.unit_price is None else f"at {plain(one.unit_price)}",
)


def labels(offers: Sequence[Offer]) -> list[str]:
    """One for each of ``offers``, in their order, no two alike."""
    named = []
    for one in offers:
        told: list[_Term] = []
        twins = [other for other in offers if other.name == one.name]
        for term in _TERMS:
            if len({_said(twin, told) for twin in twins}) < len({_said(twin, [*told, term]) for twin in twins}):
                told.append(term)
        named.append(f"{one.name} ({_said(one, told)})" if told else one.name)
    found: list[str] = []
    for label in named:
        numbered = (f"{label} #{number}" for number in itertools.count(1))
        alone = named.count(label) == 1
        found.append(label if alone else next(one for one in numbered if one not in found and one not in named))
    return found


def _said(offer: Offer, terms: Sequence[_Term]) -> str:
    return ", ".join(term(offer) for term in terms)
