"""Who calls which model with which key, and the tokens of each meter on each day: the bill's token lines, regrouped.

A bill has a line a meter; usage reports and traces have a row a caller. Both come from the same lines here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from outlay.demo.facts.volumes import by_day
from outlay.demo.lines import Calendar, Line

__all__ = ["METERS", "Caller", "callers", "first_told_day", "tokens_of"]

_MOST_ROWS = 50_000
"""Callers x days of one provider that are told, at most, so that a large company's usage stays small."""

METERS = ("uncached", "read", "write", "output")
"""What a token line counts, by the last part of its name."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One key on one model. ``meters`` has the line of each meter; ``days`` is day -> meter -> tokens.

    ``on_bill``: False for usage that the provider has reported and not billed yet.
    """

    name: str
    meters: Mapping[str, Line]
    days: Mapping[int, Mapping[str, int]]
    on_bill: bool = True

    @property
    def line(self) -> Line:
        """Any of its lines: key, project, model and tags are the same on all."""
        return next(iter(self.meters.values()))

    @property
    def model(self) -> str:
        """The model's id as the provider's bill and reports have it."""
        return str(self.line.sku.details["ModelId"])

    @property
    def key(self) -> str:
        """The id of the key: the ``ResourceId`` of the bill."""
        return str(self.line.resource_id)

    @property
    def batch(self) -> bool:
        """Whether it calls the batch tier."""
        return self.line.sku.details.get("x_ServiceTier") == "batch"

    @property
    def use_case(self) -> str:
        """Its ``use_case`` tag; empty where the bill's row has none."""
        return (self.line.tags or {}).get("use_case", "")

    def cost(self, *, at_list: bool, days: Iterable[int] | None = None) -> Decimal:
        """USD of its tokens, at the list price or at the effective one; of some ``days`` or of all."""
        return sum(
            (
                tokens * line.sku.per_unit * (line.list_price if at_list else line.effective_price)
                for day in (self.days if days is None else days)
                for meter, tokens in self.days.get(day, {}).items()
                for line in (self.meters[meter],)
            ),
            Decimal(0),
        )


def first_told_day(lines: Sequence[Line], service: str, calendar: Calendar) -> int:
    """From when usage of ``service`` is told: always, or of very many callers for the last months only."""
    names = {line.name.rpartition("/")[0] for line in lines if line.sku.service == service and line.counts == "volume"}
    earliest = calendar.last_day - _MOST_ROWS // max(1, len(names))
    return next((first for _, first, _ in calendar.months if first >= earliest), calendar.months[-1][1])


def callers(lines: Sequence[Line], service: str, calendar: Calendar, since: int, until: int) -> list[Caller]:
    """Everyone on ``lines`` who buys tokens of ``service``, with what they used in ``[since, until)``."""
    mine = [line for line in lines if line.sku.service == service and line.counts == "volume"]
    grouped: dict[str, dict[str, Line]] = {}
    used: dict[str, dict[int, dict[str, int]]] = {}
    for line, days in zip(mine, by_day(mine, calendar, since, until), strict=True):
        name, _, meter = line.name.rpartition("/")
        grouped.setdefault(name, {})[meter] = line
        for day, tokens in days.items():
            into = used.setdefault(name, {}).setdefault(day, {})
            into[meter] = into.get(meter, 0) + tokens
    return [Caller(name, meters, used[name]) for name, meters in grouped.items() if name in used]


def tokens_of(found: Iterable[Caller], days: range | None = None) -> dict[str, dict[str, int]]:
    """Model -> meter -> tokens, of some ``days`` or of all; ``input`` has uncached, read and written ones together."""
    totals: dict[str, dict[str, int]] = {}
    for caller in found:
        into = totals.setdefault(caller.model, dict.fromkeys(("input", *METERS), 0))
        for day, meters in caller.days.items():
            for meter, tokens in meters.items() if days is None or day in days else ():
                into[meter] += tokens
                into["input"] += tokens if meter != "output" else 0
    return dict(sorted(totals.items()))
