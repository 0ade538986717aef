"""A span as the OTLP decoders hand it on: what :mod:`outlay.sources.usage.otel_attributes` reads of it, and no more.

The decoders (JSON, protobuf) sort attributes as they meet them and never build the ones that are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

from outlay.sources.facts import amount
from outlay.sources.usage.otel_attributes import ALIASES, resource_tag

__all__ = ["MetricPoint", "Origin", "Scalar", "Span", "forget_oldest", "number", "origin", "text"]

_MOST_REMEMBERED = 300_000

Scalar = str | int | Decimal | bool


@dataclass(frozen=True, slots=True)
class Origin:
    """What the spans of one instrumentation in one process share."""

    service: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""
    scope_version: str = ""


@dataclass(slots=True)
class Span:
    """One span; ids are lower-case hex, ``parent`` empty for a root; times are nanoseconds since 1970, 0 when unset.

    ``usage`` and ``facts`` are by attribute name, ``tags`` by tag. ``exception`` is the type of a recorded exception,
    ``first_token`` the time of the earliest event that marks output.
    """

    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    origin: Origin
    usage: dict[str, Scalar]
    facts: dict[str, Scalar]
    tags: dict[str, str]
    exception: str | None = None
    first_token: int = 0
    line: int | None = None


@dataclass(slots=True)
class MetricPoint:
    """One data point; ``count`` is a histogram's, None for a counter; ``total`` what was added up.

    ``cumulative``: since ``start``; otherwise since the point before.
    """

    metric: str
    start: int
    end: int
    total: Scalar | None
    count: Scalar | None
    cumulative: bool
    origin: Origin
    facts: dict[str, Scalar]
    tags: dict[str, str]
    token_type: str | None = None
    modality: str | None = None
    line: int | None = None


def origin(resource: Mapping[str, Scalar], scope: str, scope_version: str) -> Origin:
    """The origin of spans under a resource with these attributes."""
    service = resource.get("service.name")
    tags: dict[str, str] = {}
    for key, value in resource.items():
        if isinstance(value, str) and value and (tag := resource_tag(key)) and tag not in tags:
            tags[tag] = value
    known = isinstance(service, str) and service and not service.startswith("unknown_service")
    return Origin(service if known else None, tags, scope, scope_version)  # type: ignore[arg-type]


def text(facts: dict[str, Scalar], what: str) -> str | None:
    """What a span says of ``what`` (a key of ALIASES), as text; None where it says nothing."""
    for name in ALIASES[what]:
        if (found := facts.get(name)) is None:
            continue
        if isinstance(found, (str, int)) and (told := str(found).strip()):
            return told[:512]
    return None


def number(facts: dict[str, Scalar], what: str) -> Decimal | None:
    """The number that a span says of ``what``; None where it says none."""
    for name in ALIASES[what]:
        if (told := facts.get(name)) is not None and (found := amount(told)) is not None:
            return found
    return None


def forget_oldest(remembered: dict[Any, Any]) -> None:
    """Drops the older half of what a receiver remembers, where that has grown too long."""
    if len(remembered) > _MOST_REMEMBERED:
        for key in list(islice(remembered, _MOST_REMEMBERED // 2)):
            del remembered[key]
