"""A span as the OTLP decoders hand it on: what :mod:`outlay.sources.usage.otel_attributes` reads of it, and no more.

The decoders (JSON, protobuf) sort attributes as they meet them and never build the ones that are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

from outlay.sources.facts import amount
from outlay.sources.usage.otel_attributes import (
    ALIASES,
    FACT,
    FIGURE,
    LONGEST_TAG,
    OWN_TAG,
    TAG,
    USAGE,
    Route,
    resource_tag,
)

__all__ = [
    "MetricPoint",
    "Origin",
    "Scalar",
    "Span",
    "Told",
    "forget_oldest",
    "number",
    "origin",
    "sort",
    "text",
    "told",
]

_MOST_REMEMBERED = 300_000

Scalar = str | int | Decimal | bool
Told = tuple[str, str, Scalar]
"""An attribute that is read: what it is and its name, as ``route`` says, and its value."""
_Scalars = dict[str, Scalar]


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

    ``usage``, ``facts`` and ``figures`` (what differs from call to call) are by attribute name, ``tags`` by tag.
    ``exception`` is the type of a recorded exception, ``first_token`` the time of the earliest event that marks output.
    """

    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    origin: Origin
    usage: _Scalars
    facts: _Scalars
    figures: _Scalars
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
    facts: _Scalars
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


def told(route: Route, value: Scalar) -> Told | None:
    """An attribute with its value; None for a tag that is no text, or too long a one."""
    kind, name = route
    if (kind is TAG or kind is OWN_TAG) and not (isinstance(value, str) and 0 < len(value) <= LONGEST_TAG):
        return None
    return kind, name, value


def sort(attributes: Iterable[Told | None]) -> tuple[_Scalars, _Scalars, _Scalars, dict[str, str]]:
    """Usage, facts, figures and tags of a span; None is an attribute that is not read."""
    usage: _Scalars = {}
    facts: _Scalars = {}
    figures: _Scalars = {}
    tags: dict[str, Any] = {}
    for kind, name, value in filter(None, attributes):
        if kind is USAGE:
            usage[name] = value
        elif kind is FACT:
            facts[name] = value
        elif kind is FIGURE:
            figures[name] = value
        elif kind is OWN_TAG:
            tags[name] = value
        else:
            tags.setdefault(name, value)
    return usage, facts, figures, tags


def text(facts: _Scalars, what: str, *, longest: int = 512) -> str | None:
    """What a span says of ``what`` (a key of ALIASES), as text; None where it says nothing."""
    for name in ALIASES[what]:
        if (found := facts.get(name)) is None:
            continue
        if isinstance(found, (str, int)) and (told := str(found).strip()):
            return told[:longest]
    return None


def number(facts: _Scalars, what: str) -> Decimal | None:
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
