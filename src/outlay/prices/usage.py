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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from outlay.ledger.meters import FEE_METERS, MODALITIES, modal
from outlay.prices.response import hidden_tier, reported_cost, unwrapped
from outlay.prices.usage_facts import Quantity, read_facts, shape_of
from outlay.prices.usage_shape import Shape
from outlay.prices.usage_shapes import CACHE_OUTSIDE, REASONING_OUTSIDE

__all__ = ["InnerCall", "Quantity", "Remark", "Usage", "normalise"]

_UNCACHED = frozenset({"input", *(modal("input", modality) for modality in MODALITIES)})
_PARTS = frozenset(
    ["beside_input_image"]
    + [modal(kind, modality) for kind in ("input", "cache_read", "tool_input", "output") for modality in MODALITIES]
)
"""Facts of a modality. Most calls are text, and tell none of them or zeros."""


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
    shape = shape_of(usage, flavor)
    if shape.name == "langchain":
        context = {**hidden_tier(usage), **context}
    facts = read_facts(usage, shape)
    remarks = [
        Remark("aliases-differ", f"two names of one count disagree: {listed}; the larger is used.")
        for listed in facts.differing
    ]
    counts: dict[str, int] = {}
    fees: dict[str, Quantity] = {}
    for fact, value in facts.counts.items():
        if fact in FEE_METERS:
            fees[fact] = value
        elif value or fact not in _PARTS:
            counts[fact] = int(value)
    dialect = (provider.strip().lower().replace("_", "-"), shape.name)
    if shape.parts_outside:
        _add_parts(counts)
    cache_outside = shape.cache_outside_input or (dialect in CACHE_OUTSIDE and "cache_miss" not in counts)
    meters: dict[str, Quantity] = {}
    input_tokens = _input(counts, shape, cache_outside, meters, remarks)
    output_tokens = _output(
        counts, dialect in REASONING_OUTSIDE or shape.reasoning_outside_output, input_tokens, meters, remarks
    )
    meters.update(tools)
    meters.update(fees)
    if not shape.adds_up:
        meters.setdefault("requests", 1)
    _check(counts, meters, input_tokens + output_tokens, remarks)
    remarks += [Remark("unread-count", f"{where} is not known and was not read.") for where in facts.unread]
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
    if _PARTS.isdisjoint(counts):
        meters |= {"input": uncached, "cache_read": read, "tool_input": tool}
    else:
        _put_input(counts, uncached, shape.modality_outside_cache or cache_outside, meters, remarks)
    meters |= {"cache_write_5m": short, "cache_write_1h": long, "cache_write": written - short - long}
    return uncached + read + written + tool + beside


def _put_input(
    counts: dict[str, int], uncached: int, apart: bool, meters: dict[str, Quantity], remarks: list[Remark]
) -> None:
    """Puts what was not written to a cache by modality; ``apart``: what is told of input leaves out what was cached."""
    read, tool = counts.get("cache_read", 0), counts.get("tool_input", 0)
    told = {m: counts.get(modal("input", m), 0) for m in MODALITIES}
    cached = _fitted("cache_read", read, {m: counts.get(modal("cache_read", m), 0) for m in MODALITIES}, remarks)
    if not apart:
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
    meters["input_image"] += counts.get("beside_input_image", 0)


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
    if _PARTS.isdisjoint(counts):
        meters["output"] = output - reasoning
    else:
        parts = {m: counts.get(modal("output", m), 0) for m in MODALITIES}
        _put("output", output - reasoning, parts, meters, remarks)
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
    if "cache_miss" not in counts:
        return
    uncached = sum(quantity for meter, quantity in meters.items() if meter in _UNCACHED)
    if counts["cache_miss"] != uncached:
        remarks.append(
            Remark(
                "uncached", f"{counts['cache_miss']} uncached tokens are reported; {uncached} are left of the input."
            )
        )


def _inner(provider: str, usage: Mapping[str, Any]) -> Iterator[InnerCall]:
    """Calls that Anthropic's totals leave out: any iteration that is not a ``message``."""
    iterations = usage.get("iterations")
    for one in iterations if isinstance(iterations, list) else ():
        if isinstance(one, Mapping) and one.get("type", "message") != "message":
            model = one.get("model")
            yield InnerCall(str(one["type"]), model if isinstance(model, str) else None, normalise(provider, one))
