"""A question to the ledger: which metrics, by which dimensions, over which window.

Names are checked before anything is read, and an unknown one offers the nearest. The window is half-open on the start
of a charge, a call, an hour or a run, so two windows that touch never count a row twice; a charge for a whole month
therefore lies in the window that holds its first day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from outlay.errors import UsageError, nearest
from outlay.metrics.catalogue import Catalogue
from outlay.metrics.relations import RELATIONS
from outlay.periods import Period

__all__ = ["GRAINS", "Filter", "Query", "filters"]

GRAINS = ("day", "week", "month")
Grain = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A dimension must have one of ``values``; None among them stands for rows without a value."""

    dimension: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """``since`` is inclusive, ``until`` exclusive, both naive UTC; without them, all there is.

    ``grain`` adds that period as the first dimension. ``compare`` answers the window of equal length before as
    well. ``limit`` keeps the first rows of the answer; the receipt says how many it dropped.
    """

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    where: tuple[Filter, ...] = ()
    grain: Grain | None = None
    compare: Literal["previous"] | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.metrics:
            raise UsageError("no metric was named.", hint="For example: outlay query ai_cost --by team")
        if self.grain is not None and self.grain not in GRAINS:
            raise UsageError(f"there is no grain '{self.grain}'.", where="--grain", hint=nearest(self.grain, GRAINS))
        if self.compare not in (None, "previous"):
            raise UsageError(f"can't compare with '{self.compare}'.", where="--compare", hint="Known: previous.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"{self.limit} is no number of rows.", where="--limit", hint="Give 1 or more.")
        for kind, names in (("metric", self.metrics), ("dimension", self.dimensions)):
            doubled = [name for name in names if names.count(name) > 1]
            if doubled:
                raise UsageError(f"the {kind} '{doubled[0]}' is named twice.", hint="Name it once.")
        if self.since is not None and self.until is not None:
            Period(self.since, self.until)
        if self.compare is not None:
            self._check_comparison()

    def _check_comparison(self) -> None:
        if self.since is None or self.until is None:
            raise UsageError(
                "a comparison needs a window with both ends.",
                where="--compare",
                hint="Give --since and --until; --until is exclusive.",
            )
        if set(self.dimensions) & set(GRAINS):
            raise UsageError(
                "a comparison by day, week or month has no equal periods to compare.",
                where="--compare",
                hint="Leave out --grain, or ask for the longer window with --grain and no --compare.",
            )

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions to group by, the grain first."""
        return self.by if self.grain is None else (self.grain, *self.by)

    @property
    def previous(self) -> Period | None:
        """The window of equal length before, if a comparison is asked for."""
        if self.compare is None or self.since is None or self.until is None:
            return None
        return Period(self.since, self.until).previous()

    def check(self, known: Catalogue) -> None:
        """Raise :class:`UsageError` for a name that the catalogue, or the relation of a metric, does not have."""
        asked = [known.dimension(name) for name in (*self.dimensions, *(one.dimension for one in self.where))]
        for name in self.metrics:
            for need in known.metric(name).needs:
                table = known.base(need).table
                for dimension in asked:
                    if table not in dimension.on:
                        there = sorted(one.id for one in known.dimensions.values() if table in one.on)
                        raise UsageError(
                            f"'{name}' can't be asked by '{dimension.id}': {RELATIONS[table].rows} do not tell it.",
                            hint=f"They tell {', '.join(there)}.",
                        )


def filters(pairs: Iterable[str]) -> tuple[Filter, ...]:
    """``["team=search", "team=ads"]`` as filters: one dimension's values are alternatives; empty means no value."""
    wanted: dict[str, list[str | None]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                f"'{pair}' is not DIMENSION=VALUE.", where="--where",
                hint="Write --where team=search; --where team= selects rows without a team.",
            )  # fmt: skip
        wanted.setdefault(name.strip(), []).append(value.strip() or None)
    return tuple(Filter(name, tuple(dict.fromkeys(values))) for name, values in wanted.items())
