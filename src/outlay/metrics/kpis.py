"""The seven KPIs of FinOps for AI, with their targets, and the figures that stand beside them.

A KPI is a metric with a target. One whose facts are not in the ledger is ``not_computable`` and says which fact is
missing and how to bring it in; it is never 0. Definitions are data (``definitions/kpis.toml``); targets are those of
the FinOps practice, and outlay.toml's where it sets some; where a target is the team's own to set, the status is
``no_target``.

The trap: a KPI over two sources (what the bill says over what the traces count) means something only where both cover
the same work, so its receipt tells how far each reaches, and by a dimension that one side lacks it is not computable.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Literal

from outlay.config import Settings, TargetSettings
from outlay.errors import ConfigError, UsageError, nearest
from outlay.ledger.engine.duckdb import session
from outlay.ledger.store import Ledger
from outlay.metrics.allocated import Allocated
from outlay.metrics.answer import Asking
from outlay.metrics.catalogue import Metric, Quotient, catalogue_of
from outlay.metrics.compiler import CURRENCY
from outlay.metrics.providers import billed_provider, value_of
from outlay.metrics.query import Filter, Query
from outlay.metrics.relations import RELATIONS
from outlay.metrics.result import Figure, Result, Row
from outlay.metrics.told_twice import ToldTwice
from outlay.money import add_exactly, plain, rounded

__all__ = ["KPI_IDS", "Kpi", "KpiReport", "kpi_report"]

_WHO = ("provider", "service")
_MANY = 100
"""A hundredth of the requests is too many to leave unsaid."""
_BY_THE_CALL = Filter("ai_category", ("tokens", "provisioned_throughput"))
Status = Literal["ok", "off", "no_target", "not_computable"]


@dataclass(frozen=True, slots=True)
class _Definition:
    """A KPI as ``kpis.toml`` has it."""

    id: str
    name: str
    metric: str
    target: str | None = None
    min: Decimal | None = None
    max: Decimal | None = None
    ok_from: Decimal | None = None
    against: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Kpi:
    """One KPI of one group: its value with both parts, its target in words, and why it can't be computed if it can't.

    ``group`` has the dimensions asked for and those that the figure is always told by (currency, telemetry metric).
    ``breakdown`` is the same figure by a further dimension, where the KPI has one.
    """

    id: str
    name: str
    unit: str
    value: Decimal | None
    target: str | None
    status: Status
    why: str | None
    formula: str
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    group: Mapping[str, str | None] | None = None
    breakdown: tuple[Kpi, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The contract's object, amounts as exact strings."""
        said: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "unit": self.unit,
            "value": _number(self.value),
            "target": self.target,
            "status": self.status,
            "why": self.why,
            "formula": self.formula,
            "numerator": _number(self.numerator),
            "denominator": _number(self.denominator),
            "group": None if self.group is None else dict(self.group),
        }
        if self.breakdown:
            said["breakdown"] = [one.to_json() for one in self.breakdown]
        return said


@dataclass(frozen=True, slots=True)
class KpiReport:
    """The KPIs, and the figures beside them, of a window. What is told twice is not among the ``notes``."""

    since: datetime | None
    until: datetime | None
    kpis: tuple[Kpi, ...]
    neighbours: tuple[Kpi, ...]
    notes: tuple[str, ...]
    allocations: tuple[Allocated, ...] = ()
    told_twice: tuple[ToldTwice, ...] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    """What selects rows, for every KPI alike."""

    by: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    where: tuple[Filter, ...]


def kpi_report(
    ledger: Ledger,
    settings: Settings,
    *,
    by: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    where: Sequence[Filter] = (),
    as_of: str | None = None,
) -> KpiReport:
    """The seven KPIs and the figures beside them, over the whole ledger or a window of it, by any dimensions.

    Raises :class:`UsageError` for a dimension that nothing has.
    """
    window = _Window(tuple(by), since, until, tuple(where))
    known = catalogue_of(settings)
    for name in (*window.by, *(one.dimension for one in window.where)):
        known.dimension(name)
    _check_targets(settings, known.dimensions)
    notes: dict[str, None] = {}
    kpis: list[Kpi] = []
    beside: list[Kpi] = []
    names = [name for name in _neighbours() if name in known.metrics]
    with session() as connection:
        asked = _Asked(Asking(connection, ledger, settings, as_of=as_of), settings, notes)
        asked.prepare([*(one.metric for one in _definitions()), *names], window)
        for one in _definitions():
            kpis += _kpis(asked, one, window)
        notes.update(dict.fromkeys(_uncovered(asked, window, kpis)))
        for name in names:
            beside += _kpis(asked, _Definition(name, known.metric(name).name, name), window)
    return KpiReport(
        since, until, tuple(kpis), tuple(beside), tuple(notes), tuple(asked.allocations), tuple(asked.twice)
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """The session that all figures are asked in, and what is to be said of them."""

    asking: Asking
    settings: Settings
    notes: dict[str, None]
    allocations: list[Allocated] = field(default_factory=list)
    twice: dict[ToldTwice, None] = field(default_factory=dict)

    def answer(self, metric: str, window: _Window, *more: str) -> Result:
        return self.asking.answer(_query([metric], window, *more))

    def keep(self, result: Result) -> None:
        """What is to be said of an answer that is shown."""
        self.notes.update(dict.fromkeys(result.receipt.other_notes))
        self.twice.update(dict.fromkeys(result.receipt.told_twice))
        self.allocations.extend(one for one in result.receipt.allocations if one not in self.allocations)

    def prepare(self, metrics: Sequence[str], window: _Window) -> None:
        """Read once what all metrics need that can be asked by the window's dimensions."""
        fitting = []
        for name in metrics:
            try:
                _query([name], window).check(self.asking.known)
            except UsageError:
                continue  # said where the metric is asked for
            fitting.append(name)
        if fitting:
            self.asking.prepare(_query(fitting, window))


def _query(metrics: Sequence[str], window: _Window, *more: str) -> Query:
    return Query(tuple(metrics), (*window.by, *more), window.since, window.until, window.where)


def _kpis(asked: _Asked, definition: _Definition, window: _Window) -> list[Kpi]:
    """The KPI in each group that has it; one that says why where no group has."""
    settings = asked.settings
    metric = catalogue_of(settings).metric(definition.metric)
    try:
        result = asked.answer(definition.metric, window)
        limits = _limits(asked, definition, window)
    except UsageError as error:
        return [_none(definition, metric, settings, str(error))]
    asked.keep(result)
    if not result.receipt.rows or not result.rows:
        return [_none(definition, metric, settings, _missing(metric, settings))]
    found = []
    home = [row for row in result.rows if row.dimensions.get(CURRENCY) in (None, settings.currency)]
    for row in home or result.rows:
        figure = row.figures[definition.metric]
        group = {k: v for k, v in row.dimensions.items() if k in window.by or (k != CURRENCY or v is not None)}
        currency = row.dimensions.get(CURRENCY) or settings.currency
        target, status = _judged(definition, settings, figure, group, limits.get(_key(row)))
        found.append(
            Kpi(
                definition.id,
                definition.name,
                metric.unit.replace("currency", currency),
                figure.value,
                target,
                "not_computable" if figure.value is None else status,
                figure.why,
                metric.formula,
                figure.numerator,
                figure.denominator,
                group or None,
            )
        )
    if definition.by is not None and len(found) == 1:
        parts = _kpis(asked, replace(definition, by=None, target=None), replace(window, by=(*window.by, definition.by)))
        found[0] = replace(found[0], breakdown=tuple(parts))
    return found


def _uncovered(asked: _Asked, window: _Window, kpis: Sequence[Kpi]) -> list[str]:
    """A note where the bill has inference of providers whose requests are not in the ledger:

    the quotient is too high.
    """
    if not any(one.id == "cost_per_inference" and one.value is not None for one in kpis):
        return []
    whole = replace(window, by=())
    try:
        billed = asked.answer("inference_cost", replace(whole, where=(*whole.where, _BY_THE_CALL)), *_WHO).rows
        served = asked.answer("served_requests", whole, "provider").rows
    except UsageError:  # a filter that one side does not tell
        return []
    there = {row.dimensions["provider"] for row in served}
    missing: dict[str, Decimal] = {}
    for row in billed:
        name = billed_provider(row.dimensions["provider"] or "", row.dimensions["service"] or "")
        value = row.figures["inference_cost"].value
        if value and name not in there and row.dimensions.get(CURRENCY) == asked.settings.currency:
            missing[name] = missing.get(name, Decimal(0)) + value
    notes = _untold(asked, window)
    if not missing:
        return notes
    listed = ", ".join(f"{name} {rounded(value, asked.settings.currency):,}" for name, value in sorted(missing.items()))
    return [
        *notes,
        f"The bill has inference whose requests are not in the ledger ({listed} {asked.settings.currency}): the cost "
        "per inference is too high by it. Load those requests, or choose what both cover with --where.",
    ]


def _untold(asked: _Asked, window: _Window) -> list[str]:
    """A note where many requests do not tell what they are asked by: the groups' quotients are too high by theirs."""
    rows = asked.answer("served_requests", window).rows if window.by else ()
    values = [(row, row.figures["served_requests"].value or Decimal(0)) for row in rows]
    whole = add_exactly(value for _, value in values)
    untold = add_exactly(value for row, value in values if None in row.dimensions.values())
    if untold * _MANY <= whole:
        return []
    return [
        f"{untold:,.0f} of {whole:,.0f} requests do not tell {' and '.join(window.by)}: the cost per inference of a "
        "group is too high where its requests are among them."
    ]


def _limits(asked: _Asked, definition: _Definition, window: _Window) -> dict[tuple[str | None, ...], Decimal | None]:
    if definition.against is None:
        return {}
    rows = asked.answer(definition.against, window).rows
    return {_key(row): row.figures[definition.against].value for row in rows}


def _key(row: Row) -> tuple[str | None, ...]:
    return tuple(row.dimensions.values())


def _none(definition: _Definition, metric: Metric | Quotient, settings: Settings, why: str) -> Kpi:
    unit = metric.unit.replace("currency", settings.currency)
    return Kpi(definition.id, definition.name, unit, None, definition.target, "not_computable", why, metric.formula)


def _missing(metric: Metric | Quotient, settings: Settings) -> str:
    known = catalogue_of(settings)
    relations = dict.fromkeys(known.base(need).table for need in metric.needs)
    return " ".join(f"no {RELATIONS[name].rows}. {RELATIONS[name].bring_in}" for name in relations)


def _judged(
    definition: _Definition,
    settings: Settings,
    figure: Figure,
    group: Mapping[str, str | None],
    limit: Decimal | None,
) -> tuple[str | None, Status]:
    """The target in words and whether it is met: outlay.toml's for this group, else the practice's."""
    own = _own_target(definition, settings, group)
    if own is not None:
        said = " and ".join(
            text
            for text in (
                f"at least {plain(own.min)}" if own.min is not None else "",
                f"at most {plain(own.max)}" if own.max is not None else "",
            )
            if text
        )
        return f"{said} (outlay.toml)", _within(figure, own.min, own.max)
    if definition.against is not None:
        if limit is None:
            return f"{definition.target}, which the bill does not say", "no_target"
        return f"{definition.target}, {limit:.6f}", _within(figure, None, limit)
    if definition.min is None and definition.max is None:
        return definition.target, "no_target"
    status = _within(figure, definition.min, definition.max)
    if status == "ok" and definition.ok_from is not None and figure.value is not None:
        status = "ok" if figure.value >= definition.ok_from else "no_target"
    return definition.target, status


def _own_target(definition: _Definition, settings: Settings, group: Mapping[str, str | None]) -> TargetSettings | None:
    """The target whose ``where`` fits the group, the most telling one first."""
    fitting = [
        one
        for one in settings.targets
        if one.kpi == definition.id
        and all(group.get(name) == value_of(name, value) for name, value in one.where.items())
    ]
    return max(fitting, key=lambda one: len(one.where), default=None)


def _within(figure: Figure, low: Decimal | None, high: Decimal | None) -> Status:
    if figure.value is None:
        return "not_computable"
    met = (low is None or figure.value >= low) and (high is None or figure.value <= high)
    return "ok" if met else "off"


def _check_targets(settings: Settings, dimensions: Iterable[str]) -> None:
    for one in settings.targets:
        if one.kpi not in KPI_IDS:
            raise ConfigError(f"there is no KPI '{one.kpi}'.", where="[[targets]]", hint=nearest(one.kpi, KPI_IDS))
        for name in one.where:
            if name not in dimensions:
                hint = nearest(name, dimensions)
                raise ConfigError(f"there is no dimension '{name}'.", where="[[targets]]", hint=hint)


@cache
def _toml() -> dict[str, list[dict[str, Any]]]:
    text = resources.files(__package__).joinpath("definitions/kpis.toml").read_text(encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = tomllib.loads(text)
    return found


def _definitions() -> list[_Definition]:
    exact = ("min", "max", "ok_from")
    return [
        _Definition(**(entry | {key: Decimal(entry[key]) for key in exact if key in entry}))
        for entry in _toml()["kpis"]
    ]


def _neighbours() -> list[str]:
    return [entry["metric"] for entry in _toml()["neighbours"]]


KPI_IDS = tuple(entry["id"] for entry in _toml()["kpis"])
"""The ids of the seven, in order."""


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
