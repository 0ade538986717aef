"""The verdict of a pool: commit, wait or never, with reasons that a person can check.

The rules, in the order in which they are asked; the first that says no decides, and every reason is listed:

- nobody used the pool in the last week: **never**, there is nothing to commit for;
- training: **never**, unless the data show a continuous pipeline (in use in at least 95 % of the hours of the last 60
  days, and stable): training stops and moves, spot with checkpoints or on-demand serves it;
- no offer with a known price: **wait** for a price; none cheaper than on-demand: **never** at these prices;
- fewer days of production than the settings ask (60, 90 for more than a year): **wait**;
- the last week is a fifth below the four before it, or a spike is under way: **wait**;
- week-over-week change at or above 20 % in the last 30 days, or in the 60 to 90 days that a first commitment rests on,
  or no change known in the last 30 days: **wait**. Missing hours, which keep weeks out, are told;
- no quantity keeps the probability of a loss under the limit, or what is owned covers what is wanted: **wait**;
- else **commit**.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from outlay.config import MOST_MISSING_HOURS, CommitmentSettings
from outlay.money import percent
from outlay.optimize.commitments.demand import HOURS_A_DAY, HOURS_A_WEEK, Demand
from outlay.optimize.commitments.option import Option
from outlay.optimize.commitments.stability import Missing, Stability, stability

__all__ = ["Evidence", "Verdict", "evidence", "judge"]

Word = Literal["commit", "wait", "never"]
_CONTINUOUS = Decimal("0.95")
_CONTINUOUS_DAYS = 60
_MOSTLY = Decimal("0.9")
_TRAINING = "training"
_FALLEN = Decimal("0.9")
_NO_FUTURES = "No futures can be simulated, with fewer than four known weekly changes of demand"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the demand itself shows, before any price is looked at.

    ``days`` are of production: known hours since the first use, and the missing ones of weeks that count without them.
    ``unknown_hours`` are those that do not count. ``known_share`` of the last seven days must be known.
    """

    workload: str | None
    days: int
    unknown_hours: int
    overall: Stability
    recent: Stability
    window: Stability
    busy_share: Decimal | None
    last_week: Decimal | None
    four_weeks_before: Decimal | None
    last_14_days: Decimal | None
    last_90_days: Decimal | None
    known_share: Decimal = _MOSTLY

    @property
    def drop(self) -> Decimal | None:
        """The last seven days against the 28 before them: -0.25 is a fall by a quarter."""
        return _against(self.last_week, self.four_weeks_before)

    @property
    def spike(self) -> Decimal | None:
        """The last 14 days against the last 90."""
        return _against(self.last_14_days, self.last_90_days)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, its reasons, and what would change it.

    ``decisive`` is the place of the reason that decided. ``covered``: nothing is wanted beyond what is owned.
    ``unpriced``: it was decided for want of an offer with a price, or with one below on-demand.
    """

    word: Word
    reasons: tuple[str, ...]
    changes: tuple[str, ...]
    best: Option | None = None
    decisive: int = 0
    covered: bool = False
    unpriced: bool = False

    @property
    def because(self) -> str:
        """The reason that decided."""
        return self.reasons[self.decisive]


def evidence(demand: Demand, workload: str | None, settings: CommitmentSettings) -> Evidence:
    """What ``demand`` shows; ``workload`` is what the pool is for, None where nobody said."""
    recent, missing, limit = settings.recent_days, settings.week_missing_hours, settings.max_change
    used = demand.since_first_use()
    counted = used.hours + sum(week.missing for week in used.weeks(missing))
    least = min(_MOSTLY, 1 - Decimal(missing) / HOURS_A_WEEK)
    tail = demand.last(_CONTINUOUS_DAYS * HOURS_A_DAY)
    busy = int((tail.nanos > 0).sum())
    return Evidence(
        workload=workload,
        days=counted // HOURS_A_DAY,
        unknown_hours=len(used) - counted,
        overall=stability(demand, limit, missing=missing),
        recent=stability(demand, limit, last_days=recent, missing=missing),
        window=stability(demand, limit, last_days=settings.long_history_days, missing=missing),
        busy_share=Decimal(busy) / tail.hours if tail.hours else None,
        last_week=_mean(demand.last(HOURS_A_WEEK), least=least),
        four_weeks_before=_mean(demand.part(len(demand) - 5 * HOURS_A_WEEK, len(demand) - HOURS_A_WEEK)),
        last_14_days=_mean(demand.last(2 * HOURS_A_WEEK)),
        last_90_days=_mean(demand.last(90 * HOURS_A_DAY)),
        known_share=least,
    )


def judge(seen: Evidence, options: Sequence[Option], settings: CommitmentSettings) -> Verdict:
    """The verdict on a pool by its evidence and the options for it."""
    if seen.last_week is None:
        return Verdict(
            "wait",
            (f"Too little is known of the last seven days: under {percent(seen.known_share)} of their hours.",),
            ("Demand of the last days.",),
        )
    if not seen.last_week:
        return Verdict("never", ("Nobody used this pool in the last seven days.",), ("Demand that returns.",))
    training = _training(seen, settings)
    if training is not None:
        return training
    priced = [one for one in options if one.outcome is not None]
    if not priced:
        return _without_price(seen, options)
    doubts = _doubts(seen, priced, settings)
    reasons = [_steady(seen, settings), *_not_known(seen.overall), *_falling(seen), *doubts]
    if doubts:
        return Verdict(
            "wait", tuple(reasons), tuple(_until(seen, settings)), _best(priced), decisive=len(reasons) - len(doubts)
        )
    best = _best([one for one in priced if one.buy > 0 and _long_enough(one, seen, settings)])
    if best is None:
        change = "Demand in more of the hours, a lower price, or what is owned coming to its end."
        return Verdict(
            "wait",
            (*reasons, *_nothing_to_buy(priced, settings)),
            (change,),
            _best([one for one in priced if one.covered] or priced),
            decisive=len(reasons),
            covered=any(one.covered for one in priced),
        )
    changes = tuple(_withdrawn(seen, best, settings))
    return Verdict("commit", (*reasons, _why(best)), changes, best, decisive=len(reasons))


def _best(options: Sequence[Option]) -> Option | None:
    """The option with the largest expected saving a month of its term; without futures, over the history.

    Amounts of several currencies are not compared: each counts in hours on demand at its own on-demand price.
    """
    several = len({one.offer.currency for one in options}) > 1
    return max(options, key=lambda one: _worth(one, in_hours=several), default=None)


def _worth(option: Option, *, in_hours: bool) -> tuple[bool, float]:
    if option.risk is not None:
        worth = option.risk.mean / option.offer.term_months
        return True, worth / float(option.offer.on_demand_price or 1) if in_hours else worth
    return False, float(option.saving_rate or 0)


def _training(seen: Evidence, settings: CommitmentSettings) -> Verdict | None:
    if seen.workload != _TRAINING:
        return None
    if seen.busy_share is not None and seen.busy_share >= _CONTINUOUS and seen.window.stable:
        return None
    shown = percent(seen.busy_share)
    days = _CONTINUOUS_DAYS
    return Verdict(
        "never",
        (
            "Training stops and moves: by default it is not committed to. Spot with checkpoints or on-demand serves it "
            "(`outlay spot` compares them).",
            f"The data show no continuous pipeline: in use in {shown} of the hours of the last {days} days, weekly "
            f"demand {_moved(seen.window)}.",
            *_not_known(seen.overall),
        ),
        (
            f"A pipeline in use in at least {percent(_CONTINUOUS)} of the hours of {days} days, with weekly changes "
            f"under {percent(settings.max_change)}.",
        ),
    )


def _without_price(seen: Evidence, options: Sequence[Option]) -> Verdict:
    dearer = [one for one in options if one.optimum is not None]
    if dearer and len(dearer) == len(options):
        return Verdict(
            "never",
            ("No offer is cheaper than on-demand.", *(f"{one.offer.name}: {one.why}." for one in dearer)),
            ("A price below on-demand.",),
            unpriced=True,
        )
    missing = [f"{one.offer.name}: {one.why}." for one in options if one.optimum is None]
    holds = " that still holds" if any(one.optimum is None and one.offer.missing is None for one in options) else ""
    return Verdict(
        "wait",
        (f"No offer has a known price{holds}, so nothing can be said of what it would save.", *missing),
        ("An offer for this pool with its price: --offers FILE.",) if not options else tuple(missing),
        unpriced=True,
    )


def _doubts(seen: Evidence, priced: Sequence[Option], settings: CommitmentSettings) -> list[str]:
    found = []
    least, longer = settings.history_days, settings.long_history_days
    if seen.days < least:
        found.append(f"{_produced(seen, least)}: a first commitment rests on at least {least}.")
    elif all(one.offer.term_months > 12 for one in priced) and seen.days < longer:
        found.append(f"{_produced(seen, longer)}: a term of more than a year rests on at least {longer}.")
    if seen.drop is not None and seen.drop <= -settings.max_change:
        found.append(
            f"Demand dropped: the last seven days are {percent(-seen.drop)} below the four weeks before. Nothing is "
            "recommended until the new level has held."
        )
    if seen.spike is not None and seen.spike >= settings.guardrails.spike:
        found.append(f"A spike: the last 14 days are {percent(seen.spike)} above the last 90. It must hold first.")
    limit = percent(settings.max_change)
    if seen.recent.stable is None:
        lacking = _not_known(seen.recent)
        found.append(
            f"Fewer than two full weeks follow each other in the last {settings.recent_days} days"
            + (f" ({seen.overall.weeks} full weeks in all)" if seen.overall.weeks else "")
            + (f": {lacking[0]}" if lacking else ".")
        )
    elif not seen.recent.stable:
        found.append(
            f"Not stable: weekly demand {_moved(seen.recent)} in the last {settings.recent_days} days (< {limit})."
        )
    if seen.window.stable is False and seen.recent.stable is not False:
        found.append(
            f"Not stable for long enough: weekly demand {_moved(seen.window)} in the last {settings.long_history_days} "
            f"days (< {limit})."
        )
    out = 0 if seen.overall.missing is None else seen.overall.missing.out
    if not found and out and any(one.buy and one.risk is None for one in priced):
        found.append(f"{_NO_FUTURES}, so what it risks can't be told: weeks are missing.")
    return found


def _not_known(found: Stability) -> list[str]:
    return [] if found.missing is None else found.missing.sentences()


def _produced(seen: Evidence, asked: int) -> str:
    """Days of production; where the missing hours are what is short of ``asked``, they are told."""
    short = (asked - seen.days) * HOURS_A_DAY <= seen.unknown_hours
    return f"{seen.days} days of production" + (
        f", without {seen.unknown_hours} hours of which nothing is known" if short else ""
    )


def _falling(seen: Evidence) -> list[str]:
    """Said, not forbidden: the futures go on falling, and the level is sized on them."""
    first, last = seen.window.means[:1], seen.window.means[-1:]
    if not first or not first[0][1] or last[0][1] > first[0][1] * _FALLEN:
        return []
    fall = 1 - last[0][1] / first[0][1]
    return [f"Demand is falling: the last full week is {percent(fall)} below the one from {_day(first[0][0])} on."]


def _long_enough(option: Option, seen: Evidence, settings: CommitmentSettings) -> bool:
    return option.offer.term_months <= 12 or seen.days >= settings.long_history_days


def _nothing_to_buy(priced: Sequence[Option], settings: CommitmentSettings) -> list[str]:
    owned = [one for one in priced if one.covered]
    if owned:
        return [f"{one.offer.name}: nothing to add to what is owned ({one.bound_by})." for one in owned]
    return [_no_quantity(one, settings) for one in priced]


def _no_quantity(one: Option, settings: CommitmentSettings) -> str:
    if one.buy:
        return f"{one.offer.name}: a term of more than a year rests on at least {settings.long_history_days} days."
    if one.optimum is not None and not one.optimum.quantity:
        often = percent(one.offer.break_even_utilization)
        return f"{one.offer.name}: pays where more than {often} of the hours need a GPU; none was needed that often."
    return f"{one.offer.name}: no quantity is advised; it is bound by {one.bound_by}."


def _steady(seen: Evidence, settings: CommitmentSettings) -> str:
    limit = percent(settings.max_change)
    said = "Stable: weekly demand" if seen.recent.stable and seen.window.stable is not False else "Weekly demand"
    if seen.recent.max_wow is None:
        return f"{seen.overall.weeks} full weeks of demand, {seen.days} days in production."
    return (
        f"{said} {_moved(seen.recent)} week over week in the last {settings.recent_days} days and by at most "
        f"{percent(seen.window.max_wow, to_tenths=True)} in the last {settings.long_history_days} (rule: under "
        f"{limit}); {seen.days} days in production."
    )


def _why(best: Option) -> str:
    offer, outcome, risk = best.offer, best.outcome, best.risk
    assert outcome is not None
    before = offer.price_ratio
    back = f" with what it pays back ({percent(before)} without)" if before != offer.break_even_utilization else ""
    said = (
        f"{offer.name} is {percent(offer.discount)} cheaper than on-demand and pays from "
        f"{percent(offer.break_even_utilization)} utilisation{back}; over the history this quantity would have been "
        f"used to {percent(outcome.utilization)}."
    )
    if risk is None:
        return f"{said} {_NO_FUTURES}, so its risk is not known."
    saves = 1 - Decimal(str(round(risk.loss_probability, 4)))
    return said + f" In {percent(saves)} of {risk.paths:,} simulated futures it saves money."


def _until(seen: Evidence, settings: CommitmentSettings) -> list[str]:
    found = []
    if seen.days < settings.history_days:
        found.append(f"{settings.history_days - seen.days} more days of production.")
    lacking = seen.overall.missing
    if lacking is not None and lacking.out:
        found.append(f"Demand of the {lacking.out_hours:,} missing hours{_or_without(lacking)}.")
    found.append(
        f"Weekly changes under {percent(settings.max_change)} for {settings.recent_days} days and over the last "
        f"{settings.long_history_days}."
    )
    return found


def _withdrawn(seen: Evidence, best: Option, settings: CommitmentSettings) -> list[str]:
    found = []
    if seen.four_weeks_before:
        floor = seen.four_weeks_before * (1 - settings.max_change)
        found.append(f"Seven days with a mean demand of {floor:.1f} or less (now {seen.last_week:.1f}) withdraw it.")
    found += _worthless(best)
    found.append(f"A week that moves by {percent(settings.max_change)} or more.")
    return found


def _worthless(best: Option) -> list[str]:
    """At which prices the level would have saved nothing over the history."""
    price, on_demand = best.worthless_price, best.worthless_on_demand
    offer, told = best.offer, []
    if price is not None:
        told.append(
            f"a plan that charges {percent(price, to_tenths=True)} of on-demand prices or more (now "
            f"{percent(offer.price, to_tenths=True)} over the pools' mix)"
            if offer.shares
            else f"a committed price of {price:.4f} {offer.currency} an hour or more (now {offer.price:.4f})"
        )
    if on_demand:
        told.append(
            f"on-demand prices lower by {percent(1 - on_demand, to_tenths=True)} or more"
            if offer.shares
            else f"on-demand at {on_demand:.4f} or less (now {offer.on_demand_price:.4f})"
        )
    if not told:
        return []
    said = ", or ".join(told)
    back = ", with what it pays back counted" if best.owed_back else ""
    return [f"{said[0].upper()}{said[1:]}, makes it worthless{back}."]


def _or_without(lacking: Missing) -> str:
    if lacking.largest > MOST_MISSING_HOURS:
        return ""
    return f", or `week_missing_hours = {lacking.largest}` in [commitments], with which these weeks count"


def _day(at: datetime | int) -> str:
    return f"{at:%Y-%m-%d}" if isinstance(at, datetime) else f"hour {at}"


def _moved(found: Stability) -> str:
    if found.max_wow is None:
        return "can't be told from so few full weeks"
    return f"moved by at most {percent(found.max_wow, to_tenths=True)}"


def _mean(part: Demand, *, least: Decimal = Decimal(0)) -> Decimal | None:
    """GPUs on average; None where fewer than that share of the hours are known: nights alone are no week."""
    return part.mean if part.hours and part.hours >= least * len(part) else None


def _against(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or not other else one / other - 1
