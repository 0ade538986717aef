"""One meaning of a call's usage, whatever the provider calls and counts.

OpenTelemetry's meaning is kept: input tokens include cache reads and writes, output tokens include reasoning. OpenAI,
Gemini and DeepSeek report input that way; Anthropic and Bedrock leave cache reads and writes out of it; Gemini and
xAI's chat API leave reasoning out of output. Read with the wrong meaning, a cached prompt is billed twice or not at
all.

``normalise`` gives totals, and *meters* (:mod:`outlay.ledger.meters`) that add up to them exactly and that a price list
can be multiplied with. What does not fit together in a payload is kept as a :class:`Remark` beside it and never
repaired without one: where a part is larger than the whole that should hold it, the part was counted beside the whole.

The trap: an Anthropic ``iterations`` list. The top-level counts leave out what an advisor model and a compaction of the
context used; those are ``inner`` calls here, each with its own model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from outlay.errors import UsageError, nearest
from outlay.ledger.meters import FEE_METERS, MODALITIES, modal
from outlay.prices.response import hidden_tier, reported_cost, unwrapped
from outlay.prices.usage_shape import Path, Shape, Where
from outlay.prices.usage_shapes import (
    CACHE_OUTSIDE,
    FLAVORS,
    NOT_COUNTS,
    REASONING_OUTSIDE,
    SHAPES,
)

__all__ = ["InnerCall", "Quantity", "Remark", "Usage", "normalise"]

_UNCACHED = frozenset({"input", *(modal("input", modality) for modality in MODALITIES)})
_KNOWN = {
    shape.name: {step for paths in shape.paths.values() for path in paths for step in path if isinstance(step, str)}
    for shape in SHAPES
}
"""The keys that a shape reads, at any depth."""
_BY_NAME = {shape.name: shape for shape in SHAPES}
_COUNT_ENDS = ("tokens", "count", "requests", "calls", "searches", "units", "seconds", "pages", "executions")

Quantity = int | Decimal
"""Tokens, searches and pages are whole; seconds need not be."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something in a payload that does not fit, and how it was read."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used.

    ``input_tokens`` and ``output_tokens`` are OpenTelemetry's; the next three are parts of them. ``meters`` holds the
    nonzero exclusive counts. ``context`` is what the payload itself says of the price it was served at
    (``service_tier``, ``processing``, ``speed``), ordinary values left out. ``reported_cost`` is the provider's own
    figure in USD, None where it gives none. ``bucket`` says that it adds up many calls, or an untold number, so that
    the size of a single one is not known.
    """

    shape: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    meters: Mapping[str, Quantity]
    context: Mapping[str, str]
    remarks: tuple[Remark, ...] = ()
    inner: tuple[InnerCall, ...] = ()
    reported_cost: Decimal | None = None
    bucket: bool = False


@dataclass(frozen=True, slots=True)
class InnerCall:
    """A call that the provider made within this one and does not count in its totals; ``model`` None: the same."""

    kind: str
    model: str | None
    usage: Usage


def normalise(provider: str, raw: Mapping[str, Any], *, flavor: str | None = None) -> Usage:
    """``raw``, a provider's usage object or the response that holds it, in one meaning.

    ``flavor`` names the shape where the keys can't tell it (``chat``, ``responses``, ``messages``, ``converse`` ...).
    Of a whole response the searches that the provider ran are counted too. Raises :class:`UsageError` for counts that
    are negative or not whole, and for objects of no known shape.
    """
    usage, context, tools = unwrapped(raw)
    shape = _shape(usage, flavor)
    if shape.name == "langchain":
        context = {**hidden_tier(usage), **context}
    remarks: list[Remark] = []
    facts = {fact: value for fact in shape.paths if (value := _fact(usage, shape, fact, remarks)) is not None}
    dialect = (provider.strip().lower().replace("_", "-"), shape.name)
    counts = {fact: int(value) for fact, value in facts.items() if fact not in FEE_METERS}
    if shape.parts_outside:
        _add_parts(counts)
    cache_outside = shape.cache_outside_input or (dialect in CACHE_OUTSIDE and "cache_miss" not in counts)
    meters: dict[str, Quantity] = {}
    input_tokens = _input(counts, shape, cache_outside, meters, remarks)
    output_tokens = _output(
        counts, dialect in REASONING_OUTSIDE or shape.reasoning_outside_output, input_tokens, meters, remarks
    )
    meters.update(tools)
    meters.update({fact: value for fact, value in facts.items() if fact in FEE_METERS})
    if not shape.adds_up:
        meters.setdefault("requests", 1)
    _check(counts, meters, input_tokens + output_tokens, remarks)
    remarks += [Remark("unread-count", f"{where} is not known and was not read.") for where in _unread(usage, shape)]
    return Usage(
        shape=shape.name,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=counts.get("cache_read", 0),
        cache_write_tokens=_written(counts),
        reasoning_tokens=counts.get("reasoning", 0),
        meters=MappingProxyType({meter: quantity for meter, quantity in meters.items() if quantity}),
        context=MappingProxyType(context),
        remarks=tuple(remarks),
        inner=tuple(_inner(provider, usage)),
        reported_cost=reported_cost(usage),
        bucket=shape.adds_up and meters.get("requests") != 1,
    )


def _add_parts(counts: dict[str, int]) -> None:
    """Puts the parts that stand beside input and output into them; what was cached is left to :func:`_input`.

    Nothing holds a program to counting them beside: where the total is told, the first reading that makes it holds.
    """
    cached = counts.get("cache_read", 0) + _written(counts)
    inside = {
        "input": cached + sum(count for fact, count in counts.items() if fact.startswith("input_")),
        "output": sum(count for fact, count in counts.items() if fact.startswith("output_") or fact == "reasoning"),
    }
    (own_input, whole_input), (own_output, whole_output) = (
        (counts.get(side, 0), counts.get(side, 0) + parts) for side, parts in inside.items()
    )
    readings = [(i, o) for o in (whole_output, own_output) for i in (whole_input, own_input)]
    total = counts.get("total")
    fitting = (
        one for one in readings if sum(one) == total and one[0] >= inside["input"] and one[1] >= inside["output"]
    )
    counts["input"], counts["output"] = next(fitting, readings[0])
    counts["input"] -= cached


def _shape(usage: Mapping[str, Any], flavor: str | None) -> Shape:
    if flavor is not None and flavor != "default":
        name = FLAVORS.get(flavor, flavor)
        if name not in _BY_NAME:
            raise UsageError(f"unknown usage flavor '{flavor}'.", hint=nearest(flavor, [*FLAVORS, *_BY_NAME]))
        return _BY_NAME[name]
    for shape in SHAPES:
        if any(_marked(usage, mark) for mark in shape.marks):
            return shape
    raise UsageError(
        f"the usage object has none of the counts of a known provider; its keys are {', '.join(usage) or 'none'}.",
        hint="Give the object that the provider returns under 'usage' or 'usageMetadata'.",
    )


def _marked(usage: Mapping[str, Any], mark: str) -> bool:
    if mark.endswith("*"):
        return any(key.startswith(mark[:-1]) for key in usage)
    head, _, tail = mark.partition(".")
    inside = usage.get(head)
    return inside is not None if not tail else isinstance(inside, Mapping) and tail in inside


def _fact(usage: Mapping[str, Any], shape: Shape, fact: str, remarks: list[Remark]) -> Quantity | None:
    """The number under any of a fact's aliases. They are one number, so the largest is taken, and never the sum."""
    said = [
        (path, _count(value, path, fact)) for path in shape.paths[fact] if (value := _look(usage, path)) is not None
    ]
    if len(said) <= 1:
        return said[0][1] if said else None
    if len({value for _, value in said if value}) > 1:
        listed = ", ".join(f"{_spelled(path)} {value}" for path, value in said)
        remarks.append(Remark("aliases-differ", f"two names of one count disagree: {listed}; the larger is used."))
    return max(value for _, value in said)


def _look(value: object, path: Path) -> object:
    if len(path) == 1 and isinstance(value, dict):  # a shorter way to what follows
        return value.get(path[0])
    for depth, step in enumerate(path):
        if isinstance(step, Where):
            if not isinstance(value, Sequence) or isinstance(value, str):
                return None
            fitting = [item for item in value if isinstance(item, Mapping) and item.get(step.key) in step.values]
            found = [one for item in fitting if (one := _look(item, path[depth + 1 :])) is not None]
            return sum(_count(one, path, "") for one in found) if found else None
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _count(value: object, path: Path, fact: str) -> Quantity:
    if type(value) is int and value >= 0:  # nearly always
        return value
    timed = fact.endswith("_seconds")
    if timed and isinstance(value, float) and math.isfinite(value):
        value = Decimal(str(value))
    if not isinstance(value, (int, Decimal)) or isinstance(value, bool) or (isinstance(value, Decimal) and not timed):
        raise UsageError(
            f"{value!r} is not a whole number.", where=_spelled(path), hint="Counts are integers, such as 1200."
        )
    if value < 0:
        raise UsageError(f"{value} is negative.", where=_spelled(path), hint="A call uses zero tokens or more.")
    return value


def _spelled(path: Path) -> str:
    return ".".join(step if isinstance(step, str) else "|".join(step.values) for step in path)


def _written(counts: Mapping[str, int]) -> int:
    split = counts.get("cache_write_5m", 0) + counts.get("cache_write_1h", 0)
    return max(counts.get("cache_write", 0), split)


def _input(
    counts: dict[str, int], shape: Shape, cache_outside: bool, meters: dict[str, Quantity], remarks: list[Remark]
) -> int:
    """Puts the input meters; returns the whole input."""
    read, written, tool = counts.get("cache_read", 0), _written(counts), counts.get("tool_input", 0)
    beside = counts.get("beside_input_image", 0)
    reported = counts.get("input", 0)
    if not cache_outside and read + written > reported:
        remarks.append(
            Remark(
                "cache-beside-input",
                f"{read} cached and {written} written tokens don't fit in {reported} of input: taken as beside.",
            )
        )
        cache_outside = True
    uncached = reported if cache_outside else reported - read - written
    short, long = counts.get("cache_write_5m", 0), counts.get("cache_write_1h", 0)
    if counts.get("cache_write", 0) not in (0, short + long) and short + long:
        remarks.append(
            Remark("cache-write-split", f"{short} + {long} tokens by time to live are not the {counts['cache_write']}.")
        )
    told = {m: counts.get(modal("input", m), 0) for m in MODALITIES}
    cached = _fitted("cache_read", read, {m: counts.get(modal("cache_read", m), 0) for m in MODALITIES}, remarks)
    if not shape.modality_outside_cache and not cache_outside:
        told = {m: max(0, told[m] - cached[m]) for m in MODALITIES}
    if (excess := sum(told.values()) - uncached) > 0 and not any(cached.values()):
        for m in MODALITIES:  # more audio than was uncached: the rest of it was read from the cache
            moved = min(excess, told[m], read - sum(cached.values()))
            told[m], cached[m], excess = told[m] - moved, cached[m] + moved, excess - moved
    elif read and any(told.values()) and not any(cached.values()) and "cache_read_text" not in counts:
        remarks.append(Remark("cached-modality", "which modality was cached is not told: taken as text."))
    _put("input", uncached, _fitted("input", uncached, told, remarks), meters)
    _put("cache_read", read, cached, meters)
    _put("tool_input", tool, {m: counts.get(modal("tool_input", m), 0) for m in MODALITIES}, meters, remarks)
    meters |= {"cache_write_5m": short, "cache_write_1h": long, "cache_write": written - short - long}
    meters["input_image"] = meters.get("input_image", 0) + beside
    return uncached + read + written + tool + beside


def _output(
    counts: dict[str, int], outside: bool, input_tokens: int, meters: dict[str, Quantity], remarks: list[Remark]
) -> int:
    """Puts the output meters; returns the whole output. A total that only fits with reasoning added decides."""
    reported, reasoning, total = counts.get("output", 0), counts.get("reasoning", 0), counts.get("total")
    if reasoning and total == input_tokens + reported + reasoning:
        outside = True
    elif outside and 0 < reasoning <= reported and total == input_tokens + reported:
        outside = False
    elif not outside and reasoning > reported:
        remarks.append(
            Remark("reasoning-beside-output", f"{reasoning} reasoning tokens don't fit in {reported}: taken as beside.")
        )
        outside = True
    output = reported + reasoning if outside else reported
    told = {m: counts.get(modal("output", m), 0) for m in MODALITIES}
    parts = _fitted("output", output - reasoning, told, remarks)
    _put("output", output - reasoning, parts, meters)
    meters["output_reasoning"] = reasoning
    return output


def _fitted(kind: str, whole: int, parts: dict[str, int], remarks: list[Remark]) -> dict[str, int]:
    """The parts by modality, cut down to the whole where they don't fit in it."""
    left, fitted = whole, {}
    for modality, part in parts.items():
        fitted[modality] = min(part, left)
        left -= fitted[modality]
    if fitted != parts:
        listed = ", ".join(f"{part} {modality}" for modality, part in parts.items() if part)
        remarks.append(Remark("modality-sum", f"{listed} tokens don't fit in {whole} of {kind}: cut down to it."))
    return fitted


def _put(
    kind: str, whole: int, parts: dict[str, int], meters: dict[str, Quantity], remarks: list[Remark] | None = None
) -> None:
    fitted = parts if remarks is None else _fitted(kind, whole, parts, remarks)
    meters[kind] = whole - sum(fitted.values())
    for modality, part in fitted.items():
        meters[modal(kind, modality)] = part


def _check(counts: Mapping[str, int], meters: Mapping[str, Quantity], total: int, remarks: list[Remark]) -> None:
    """Identities that the provider's own numbers should satisfy."""
    if counts.get("total", total) != total:
        remarks.append(Remark("total", f"the reported total is {counts['total']}; input and output make {total}."))
    uncached = sum(quantity for meter, quantity in meters.items() if meter in _UNCACHED)
    if counts.get("cache_miss", uncached) != uncached:
        remarks.append(
            Remark(
                "uncached", f"{counts['cache_miss']} uncached tokens are reported; {uncached} are left of the input."
            )
        )


def _unread(usage: Mapping[str, Any], shape: Shape, inside: str = "") -> Iterator[str]:
    """Nonzero whole numbers under names that the shape does not know: a new count must not vanish unseen."""
    known = _KNOWN[shape.name]
    for key, value in usage.items():
        if key in NOT_COUNTS or (key in known and not isinstance(value, Mapping)):
            continue
        if isinstance(value, Mapping):
            yield from _unread(value, shape, f"{inside}{key}.")
        elif not (shape.only_counts or key.lower().endswith(_COUNT_ENDS)):
            continue
        elif isinstance(value, int) and not isinstance(value, bool) and value:
            yield f"{inside}{key}"


def _inner(provider: str, usage: Mapping[str, Any]) -> Iterator[InnerCall]:
    """Calls that Anthropic's totals leave out: any iteration that is not a ``message``."""
    iterations = usage.get("iterations")
    for one in iterations if isinstance(iterations, list) else ():
        if isinstance(one, Mapping) and one.get("type", "message") != "message":
            model = one.get("model")
            yield InnerCall(str(one["type"]), model if isinstance(model, str) else None, normalise(provider, one))
