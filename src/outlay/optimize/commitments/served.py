"""What a pool is told that a union serves: the verdict to look at is the union's.

A pool without an offer of its own is not without offers. Saying "no offer has a known price" of it would send someone
after a quote that lies on the table. So its verdict names each union that serves it and what is said there. The word
stays one of the three and is about the pool *alone*: *wait*, or *never* where every union says never; *commit* would
count the purchase twice, here and at the union. What rules the pool itself out (nobody uses it, it is for training)
stands as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.verdict import Verdict

__all__ = ["served_by"]


def served_by(verdict: Verdict, options: Sequence[Option], unions: Mapping[str, Verdict]) -> Verdict:
    """``verdict`` of a pool with ``options`` of its own, which points to the ``unions`` that serve it.

    Only where the pool's own offers decided it: there are none, none has a price, or none is below on-demand.
    """
    if not unions or not verdict.unpriced:
        return verdict
    told = tuple(_told(name, one) for name, one in unions.items())
    if not options:
        never = all(one.word == "never" for one in unions.values())
        return replace(
            verdict,
            word="never" if never else "wait",
            reasons=(*told, "No offer is for this pool alone."),
            changes=("What changes the union's verdict.", "An offer for this pool alone: --offers FILE."),
        )
    return replace(verdict, reasons=(*told, "By itself: " + verdict.reasons[0], *verdict.reasons[1:]))


def _told(name: str, one: Verdict) -> str:
    if one.word == "commit" and one.best is not None:
        return f"Served by the union {name}, whose verdict is commit: {one.best.offer.name}."
    return f"Served by the union {name}, whose verdict is {one.word}: {one.because}"
