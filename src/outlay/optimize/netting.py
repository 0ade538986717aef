"""What is left of a waste once its credits and corrections are taken off.

Providers never rewrite a charge: a refund or a correction is a row of its own with a negative amount (FOCUS
``ChargeClass = 'Correction'``, ``ChargeCategory`` Credit or Adjustment), so that it stands on an evidence line of its
own. Charge and credit of one thing (a commitment, a reserved resource) are netted before the waste is claimed: an
unused reservation that was refunded in full wasted nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from outlay.optimize.bill_rates import claim
from outlay.optimize.finding import Claim
from outlay.optimize.spend import Line

__all__ = ["net_claims"]


def net_claims(lines: Iterable[Line], credit: Decimal = Decimal(0)) -> tuple[tuple[Claim, ...], Decimal]:
    """Claims on the whole cost of ``lines`` less the credits among them and ``credit`` from elsewhere.

    Credits come off the costliest lines first; lines of which nothing is left have no claim. Also gives the credit that
    found nothing to come off. Amounts in the report's currency.
    """
    lines = list(lines)
    credit -= sum((line.cost for line in lines if line.cost < 0), Decimal(0))
    claims = []
    for line in sorted((line for line in lines if line.cost > 0), key=lambda line: (-line.cost, line.line)):
        off = min(credit, line.cost)
        credit -= off
        if line.cost > off:
            claims.append(claim(line, line.cost - off))
    return tuple(claims), credit
