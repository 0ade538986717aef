"""A reading of a GPU, whatever told it: when, of which card or MIG instance, who held it, which metric, how much.

Readers turn their format into readings; :mod:`outlay.sources.telemetry.rollup` turns readings into hours. Numbers are
whole: time in microseconds since 1970, activity in billionths (1 is 1,000,000,000), memory in bytes, power in
microwatts, energy in millijoules. So sums are exact, and a reading takes 16 bytes.

The traps: DCGM's ``DEV_`` metrics are per cent and its ``PROF_`` metrics 0 to 1; what the driver can't measure is
NaN, or a huge "blank" number, and is not 0; a card without a holder label is free only where the exporter maps holders
at all.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from types import MappingProxyType
from typing import Literal, NamedTuple

__all__ = [
    "ABSENT",
    "METRICS",
    "NOBODY",
    "PREFERRED",
    "REQUESTS",
    "Holder",
    "Metric",
    "Part",
    "Sample",
    "Series",
    "Telemetry",
    "micros",
    "whole",
    "whole_of_text",
]

Kind = Literal["activity", "memory", "power", "energy", "request"]
REQUESTS = "kube_pod_container_resource_requests"
ABSENT = -1
"""The value of a reading that is not one: NaN, or a number that the metric can't have."""

_EPOCH = datetime(1970, 1, 1)
_MOST = {"activity": 1_000_000_000, "memory": 1 << 50, "power": 10**11, "energy": 1 << 60, "request": 1 << 20}
_ROUNDING_ABOVE_ONE = 10_000_000  # profiling metrics may come out a little over 1: to 1.01 it is 1
_POWERS: list[int] = [10**places for places in range(30)]
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: what it measures, and what one of its units is in the whole unit of its kind."""

    name: str
    kind: Kind
    scale: int


_RATIO = 1_000_000_000
_PERCENT = _RATIO // 100
_KNOWN = (
    Metric("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "activity", _RATIO),
    Metric("DCGM_FI_DEV_GPU_UTIL", "activity", _PERCENT),
    Metric("nvidia_smi_utilization_gpu", "activity", _PERCENT),
    Metric("NVML_UTILIZATION_GPU", "activity", _PERCENT),
    Metric("DCGM_FI_PROF_SM_ACTIVE", "activity", _RATIO),
    Metric("DCGM_FI_PROF_SM_OCCUPANCY", "activity", _RATIO),
    Metric("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "activity", _RATIO),
    Metric("DCGM_FI_PROF_PIPE_FP64_ACTIVE", "activity", _RATIO),
    Metric("DCGM_FI_PROF_PIPE_FP32_ACTIVE", "activity", _RATIO),
    Metric("DCGM_FI_PROF_PIPE_FP16_ACTIVE", "activity", _RATIO),
    Metric("DCGM_FI_DEV_FB_USED", "memory", 1 << 20),
    Metric("nvidia_smi_memory_used", "memory", 1 << 20),
    Metric("NVML_MEMORY_USED", "memory", 1),
    Metric("DCGM_FI_DEV_POWER_USAGE", "power", 1_000_000),
    Metric("nvidia_smi_power_draw", "power", 1_000_000),
    Metric("NVML_POWER_USAGE", "power", 1_000),
    Metric("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "energy", 1),
    Metric("NVML_TOTAL_ENERGY_CONSUMPTION", "energy", 1),
    Metric(REQUESTS, "request", 1),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _KNOWN})
"""The metrics that are read."""

PREFERRED = tuple(metric.name for metric in _KNOWN[:4])
"""What says whether a card is busy when nobody asks for a metric: the first one that the card has."""


@dataclass(frozen=True, slots=True)
class Part:
    """A card, or a MIG instance of one (``instance`` is its id on the card, ``profile`` e.g. ``1g.10gb``)."""

    card: str
    instance: str | None = None
    profile: str | None = None
    host: str | None = None
    index: int | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a card was allocated to: a pod (with its namespace and container), a Slurm job, a process."""

    name: str | None = None
    namespace: str | None = None
    container: str | None = None
    job: str | None = None


NOBODY = Holder()
"""The card was free, and the source would have said if it had not been."""


class Sample(NamedTuple):
    """One reading. ``holder`` None: the source does not say who held it. ``value`` is of the metric's own unit."""

    at: datetime
    part: Part
    holder: Holder | None
    metric: str
    value: Decimal | int | None


@dataclass(slots=True)
class Series:
    """The readings of one metric of one part while one holder had it, in any order."""

    part: Part
    holder: Holder | None
    metric: str
    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class Telemetry:
    """All readings of a file, by card. ``tags`` of a holder are kept by ``(namespace, name)``."""

    tags: dict[tuple[str | None, str | None], dict[str, str]] = field(default_factory=dict)
    _cards: dict[str, dict[tuple[Part, Holder | None, str], Series]] = field(default_factory=dict)

    def series(self, part: Part, holder: Holder | None, metric: str) -> Series:
        """The series to add readings to; ``metric`` is one of :data:`METRICS`."""
        of_card = self._cards.setdefault(part.card, {})
        key = (part, holder, metric)
        if key not in of_card:
            of_card[key] = Series(part, holder, metric)
        return of_card[key]

    def add(self, sample: Sample) -> None:
        """One reading; a value that the metric can't have is :data:`ABSENT`."""
        series = self.series(sample.part, sample.holder, sample.metric)
        series.times.append(micros(sample.at))
        series.values.append(whole(METRICS[sample.metric], sample.value))

    def cards(self) -> Iterator[tuple[str, list[Series]]]:
        """Each card with its series, in the order of their names."""
        for card in sorted(self._cards):
            yield card, list(self._cards[card].values())

    def tag(self, holder: Holder, labels: Mapping[str, str]) -> None:
        """Labels of the pod that ``holder`` is. Of two values of a label the one that sorts last is kept."""
        if labels:
            known = self.tags.setdefault((holder.namespace, holder.name), {})
            known.update((key, max(value, known.get(key, ""))) for key, value in labels.items())

    def tags_of(self, holder: Holder | None) -> Mapping[str, str]:
        """The labels of the pod that ``holder`` is, as far as they are known."""
        return self.tags.get((holder.namespace, holder.name), _NONE) if holder else _NONE


def micros(at: datetime) -> int:
    """Microseconds since 1970 of a naive UTC time (or of an aware one)."""
    naive = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return (naive - _EPOCH) // timedelta(microseconds=1)


def whole(metric: Metric, value: Decimal | int | str | None) -> int:
    """A value in its metric's unit as a whole number of its kind's; :data:`ABSENT` for NaN and the impossible."""
    if value is None or isinstance(value, bool):
        return ABSENT
    try:
        exact = Decimal(value) * metric.scale
        if not exact.is_finite() or exact.adjusted() > 30:
            return ABSENT
        found = int(exact.to_integral_value(ROUND_HALF_EVEN))
    except ArithmeticError:
        return ABSENT
    most = _MOST[metric.kind]
    if metric.kind == "activity" and most < found <= most + _ROUNDING_ABOVE_ONE:
        return most
    return found if 0 <= found <= most else ABSENT


def whole_of_text(metric: Metric, text: str) -> int | None:
    """The same of a number's text; None for what is no number at all."""
    digits = text.replace(".", "", 1)
    if len(text) < 30 and digits.isascii() and digits.isdigit():  # 0.123456: nearly all of them, and five times faster
        places = len(text) - 1 - text.find(".") if "." in text else 0
        found, rest = divmod(int(digits) * metric.scale, _POWERS[places])
        if not rest and found <= _MOST[metric.kind]:
            return found
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return None if "_" in text else whole(metric, number)
