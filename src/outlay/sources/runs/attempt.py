"""One attempt of a run, from whatever a system says of it to a row of ``runs``.

Every reader of runs ends here, so that GPU hours, the work lost since the last checkpoint, and what makes a record
unusable are the same for all. GPU hours = GPUs held x time held, exact: fractions until the one rounding at the 18th
decimal. What a system does not say stays null; a GPU count of 0 is written only where the source knows that there was
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, TypeVar

from outlay.problems import Problem
from outlay.sources.fact_file import FactFile, Json, Unusable
from outlay.sources.facts import Fact, Value, amount, epoch, moment
from outlay.sources.runs.states import UNFINISHED

__all__ = ["Attempt", "at", "each", "listed", "mapped", "quantity", "rounded_to", "text", "told"]

_Record = TypeVar("_Record", bound=Mapping[str, Json])
_WIDE = Context(prec=80)
_MOST = 10**12
_LONGEST = 1000
_WIDEST = {True: 10**12, False: 10**20}
"""What the columns hold: DECIMAL(18,6) for GPUs, DECIMAL(38,18) for hours and seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt; times are naive UTC, seconds and GPUs exact.

    ``held`` is how long the GPUs were held, in seconds, where the source says so; otherwise it is ``ended - started``.
    ``gpu_seconds`` is what a source tells of both at once. ``key`` is the identity where run id and
    attempt number are not it.
    """

    run_id: str
    outcome: str
    state: str
    attempt: int = 1
    key: str | None = None
    name: str | None = None
    experiment: str | None = None
    workload: str | None = None
    reason: str | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    gpus: Decimal | Fraction | int | None = None
    gpu_type: str | None = None
    instance_type: str | None = None
    instance_count: int | None = None
    held: Decimal | Fraction | int | None = None
    gpu_seconds: Decimal | None = None
    billable_seconds: Decimal | None = None
    interruptible: bool | None = None
    checkpoint: datetime | None = None
    user: str | None = None
    account: str | None = None
    region: str | None = None
    model: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None

    @property
    def gpu_hours(self) -> Decimal | None:
        """GPUs held x hours held, at 18 decimals; None where either is not known."""
        if self.gpu_seconds is not None:
            return rounded_to(Fraction(self.gpu_seconds) / 3600, 18)
        seconds = self._held_seconds()
        if self.gpus is None or seconds is None:
            return None
        return rounded_to(Fraction(self.gpus) * seconds / 3600, 18)

    @property
    def lost_gpu_hours(self) -> Decimal | None:
        """GPU hours from the last checkpoint to the end, of an attempt that ended without success.

        A checkpoint from before the start is an earlier attempt's: all of this attempt is lost then. None where no
        checkpoint or no end is known.
        """
        if self.outcome == "succeeded" or self.outcome in UNFINISHED or self.checkpoint is None or self.gpus is None:
            return None
        held = self._held_seconds()
        if held is None or self.ended is None:
            return None
        since = Fraction(max(0, _microseconds(self.ended - self.checkpoint)), 10**6)
        return rounded_to(Fraction(self.gpus) * min(held, since) / 3600, 18)

    def fact(self, line: int | None) -> Fact:
        """The row. Raises :class:`Unusable` where times or quantities contradict themselves."""
        if self.started and self.ended and self.ended < self.started:
            raise Unusable("period-reversed", f"run {self.run_id} ends before it starts")
        for what, value in (("GPU count", self.gpus), ("duration", self.held), ("nodes", self.instance_count)):
            if value is not None and value < 0:
                raise Unusable("negative-quantity", f"run {self.run_id} has a negative {what}")
        values: dict[str, Value] = {
            "x_RunId": self.run_id,
            "x_Attempt": self.attempt,
            "x_RunName": self.name,
            "x_Experiment": self.experiment,
            "x_WorkloadKind": self.workload,
            "x_Outcome": self.outcome,
            "x_State": self.state,
            "x_Reason": self.reason,
            "submit_time": self.submitted,
            "start_time": self.started,
            "end_time": self.ended,
            "x_GpuCount": None if self.gpus is None else rounded_to(Fraction(self.gpus), 6),
            "x_GpuType": self.gpu_type,
            "x_InstanceType": self.instance_type,
            "x_InstanceCount": self.instance_count,
            "x_GpuHours": self.gpu_hours,
            "x_BillableSeconds": self.billable_seconds,
            "x_Interruptible": self.interruptible,
            "x_LastCheckpoint": self.checkpoint,
            "x_LostGpuHours": self.lost_gpu_hours,
            "x_User": self.user,
            "x_Account": self.account,
            "x_Region": self.region,
            "x_Model": self.model,
        }
        known = {name: value for name, value in values.items() if value is not None}
        for name, found in known.items():
            if isinstance(found, Decimal) and found >= _WIDEST[name == "x_GpuCount"]:
                raise Unusable("unparsable-amount", f"run {self.run_id}: {name} is too large: {found:.3e}")
        return Fact(self.key or f"{self.run_id}#{self.attempt}", line, known, self.tags, self.source)

    def _held_seconds(self) -> Fraction | None:
        if self.held is not None:
            return Fraction(self.held)
        if self.started is None or self.ended is None:
            return None
        return Fraction(_microseconds(self.ended - self.started), 10**6)


def each(
    file: FactFile, records: Iterable[tuple[int, _Record] | Problem], attempt: Callable[[_Record], Attempt]
) -> Iterator[Fact | Problem]:
    """A row for each record that ``attempt`` can read, a problem for each other; problems in ``records`` pass."""
    for found in records:
        if isinstance(found, Problem):
            yield found
            continue
        line, record = found
        try:
            yield attempt(record).fact(line)
        except Unusable as unusable:
            yield unusable.problem(file, line)


def told(file: FactFile, line: int | None, attempt: Attempt) -> Fact | Problem:
    """The attempt's row, or what is wrong with it."""
    try:
        return attempt.fact(line)
    except Unusable as unusable:
        return unusable.problem(file, line)


def rounded_to(value: Fraction, places: int) -> Decimal:
    """``value`` as a Decimal with at most ``places`` decimals, half to even; trailing zeros dropped."""
    found = _WIDE.scaleb(Decimal(round(value * 10**places)), -places)
    return _WIDE.create_decimal(format(found.normalize(_WIDE), "f"))


def text(value: Any) -> str | None:  # noqa: ANN401 - whatever a file holds
    """A text that is not blank, or the text of a whole number; None for anything else.

    Half surrogates, which JSON can spell and no table can hold, become question marks.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        return str(value)
    if not isinstance(value, str) or not value.strip():
        return None
    found = value.strip().encode("utf-8", "replace").decode("utf-8")
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"


def mapped(value: Any, *keys: str) -> Any:  # noqa: ANN401 - whatever a file holds
    """``value[key][key]…`` through nested objects; None where one is missing or no object."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def listed(value: Any) -> list[Any]:  # noqa: ANN401 - whatever a file holds
    """``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def quantity(value: Any, what: str) -> Decimal | None:  # noqa: ANN401 - whatever a file holds
    """A count or a duration; None where there is none. Raises :class:`Unusable` for what is no usable number."""
    if value is None or value == "":
        return None
    found = amount(value)
    if found is None or abs(found) >= _MOST:
        raise Unusable("unparsable-amount", f"{what} is not a usable number: {str(value)[:80]}")
    if found < 0:
        raise Unusable("negative-quantity", f"{what} is negative: {str(value)[:80]}")
    return rounded_to(Fraction(found), 18) if found.as_tuple().exponent < -18 else found  # type: ignore[operator]


def at(value: Any, what: str, *, per_second: int = 1) -> datetime | None:  # noqa: ANN401 - whatever a file holds
    """An ISO 8601 text, or a count since 1970 (``per_second`` of them a second); None where there is none or it is 0.

    Raises :class:`Unusable` for anything else.
    """
    if value is None or value == "" or (value == 0 and not isinstance(value, bool)):
        return None
    found = None
    number = amount(value)
    try:
        if number is not None and abs(number) < _MOST * per_second:
            found = epoch(number, per_second=per_second)
        elif number is None:
            found = moment(value)
    except (OverflowError, ValueError):
        found = None
    if found is None:
        raise Unusable("unparsable-time", f"{what} is not a time: {str(value)[:80]}")
    return found


def _microseconds(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 10**6 + span.microseconds
