"""What a detector is: a rule over the evidence of a bill.

One a file; plugins add more through the hook ``outlay_detectors``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from outlay.config import OverspendSettings
from outlay.optimize.finding import Candidate
from outlay.optimize.spend import Spend
from outlay.prices.rates import RateBook

__all__ = ["Detector"]


@runtime_checkable
class Detector(Protocol):
    """Proposes candidates. Order matters: what an earlier detector claims of a row, a later one can't claim again."""

    @property
    def id(self) -> str:
        """Stable id, e.g. ``unused-commitments``."""
        ...

    @property
    def rule(self) -> str:
        """The rule in one sentence, as docs/reference/detectors.md prints it."""
        ...

    @property
    def order(self) -> int:
        """Place in the order of application: waste that is gone altogether before discounts on what stays."""
        ...

    def find(self, spend: Spend, rates: RateBook, settings: OverspendSettings) -> Iterable[Candidate]:
        """The candidates in this bill."""
        ...
