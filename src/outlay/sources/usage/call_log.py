"""What logs of single calls have in common: reading their fields, and turning one call into rows.

A log has a record a call. Its usage is normalised (:mod:`outlay.prices.usage`), and a call that the provider made
within it, with a model of its own, becomes a row of its own: it is priced apart. That row counts as no request, since
nobody asked for it and the price of a request would fall.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from outlay.errors import UsageError
from outlay.ledger.tables.requests import meter_column
from outlay.prices.usage import Usage, normalise
from outlay.problems import Problem
from outlay.sources.fact_file import FactFile
from outlay.sources.facts import Fact, Value, amount
from outlay.sources.usage.row import inner_calls, usage_values

__all__ = [
    "NOT_TOLD",
    "call_rows",
    "cost",
    "fingerprint",
    "inside",
    "milliseconds",
    "no_time",
    "read_usage",
    "seconds",
    "seconds_between",
    "spoilt_count",
    "strings",
    "text",
    "whole",
]

NOT_TOLD = "usage-not-told"
"""Remark of a call that succeeded and whose record has no counts."""

_ONCE = (
    "x_Succeeded",
    "error_type",
    "x_DurationSeconds",
    "x_FirstTokenSeconds",
    "x_ReportedCost",
    "x_ReportedCurrency",
    "x_RouteSaved",
    "x_CacheSaved",
    "x_Remarks",
)
"""What is the whole call's, and no call's within it."""
_LARGEST = 2**63 - 1
_MOST_SECONDS = Decimal(10) ** 9
_MOST_MONEY = Decimal(10) ** 15


def text(value: Any) -> str | None:  # noqa: ANN401 - whatever a file holds
    """A text that says something, or a whole number as text; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) <= _LARGEST else None
    if not isinstance(value, str):
        return None
    if not value.isascii() or "\0" in value:  # half a character or a NUL: legal JSON, and no text of a table
        value = value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return value.strip() or None


def whole(value: Any) -> int | None:  # noqa: ANN401 - whatever a file holds
    """A whole number, or the text of one as a CSV has it; None for anything else."""
    if isinstance(value, str):
        digits = value.strip()
        if not digits.removeprefix("-").isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 20:
            return None
        value = int(digits)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def inside(value: Any, *path: str) -> Any:  # noqa: ANN401 - whatever a file holds
    """What stands under ``path`` in nested objects; None where a step is missing or no object."""
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def strings(value: Any) -> dict[str, str]:  # noqa: ANN401 - whatever a file holds
    """The entries of an object whose values are texts, numbers or truths; nested ones are left out."""
    if not isinstance(value, Mapping):
        return {}
    found: dict[str, str] = {}
    for key, one in value.items():
        name = text(key)
        said = ("true" if one else "false") if isinstance(one, bool) else text(one)
        if isinstance(one, Decimal):
            said = str(one)
        if name is not None and said is not None:
            found[name] = said
    return found


def seconds(value: Any) -> Decimal | None:  # noqa: ANN401 - whatever a file holds
    """A count of seconds that a column can hold, to the microsecond; None for anything else, negative ones too."""
    found = amount(value)
    if found is None or not 0 <= found < _MOST_SECONDS:
        return None
    return found.quantize(Decimal("0.000001"))


def cost(value: Any) -> Decimal | None:  # noqa: ANN401 - whatever a file holds
    """An amount of money as the record writes it, that a column can hold; None for anything else."""
    found = amount(value)
    return found if found is not None and abs(found) < _MOST_MONEY else None


def milliseconds(value: Any) -> Decimal | None:  # noqa: ANN401 - whatever a file holds
    """A count of milliseconds, in seconds; None as for :func:`seconds`."""
    found = amount(value)
    if found is None or not 0 <= found < _MOST_SECONDS:
        return None
    return seconds(found / 1000)


def seconds_between(start: datetime | None, end: datetime | None) -> Decimal | None:
    """Seconds from ``start`` to ``end``; None where one is not known or they run backwards."""
    if start is None or end is None or end < start:
        return None
    return Decimal((end - start) // timedelta(microseconds=1)) / 1_000_000


def fingerprint(record: Mapping[str, Any]) -> str:
    """An identity for a record that has none: the same content gives the same one."""
    try:
        content = json.dumps(record, sort_keys=True, default=str)
    except RecursionError:
        content = ",".join(sorted(record))
    return "sha256-" + hashlib.sha256(content.encode()).hexdigest()[:32]


def no_time(file: FactFile, line: int, name: str, value: Any) -> Problem:  # noqa: ANN401 - whatever a file holds
    """The problem of a call whose time, under ``name``, can't be read."""
    said = "is missing" if value is None else f"is no time: {str(value)[:60]!r}"
    return file.problem(line, "unparsable-time", f"{name} {said}")


def spoilt_count(file: FactFile, line: int, error: UsageError) -> Problem:
    """The problem of a call whose counts :func:`normalise` refused."""
    code = "negative-quantity" if "negative" in str(error) else "unparsable-amount"
    return file.problem(line, code, text(str(error)[:200]) or "the counts can't be read")


def read_usage(
    file: FactFile, line: int, provider: str, raw: Mapping[str, Any], flavor: str | None = None
) -> Usage | Problem:
    """``raw`` in one meaning, or the problem of a record whose counts are none."""
    try:
        usage = normalise(provider, raw, flavor=flavor)
    except UsageError as error:
        return spoilt_count(file, line, error)
    except (ArithmeticError, RecursionError):  # a cost of true; iterations within iterations, hundreds deep
        return file.problem(line, "unparsable-amount", "the usage object can't be read")
    counts = (usage.input_tokens, usage.output_tokens, *usage.meters.values())
    for one in (usage, *(call.usage for call in usage.inner)):
        counts += (one.input_tokens, one.output_tokens, *one.meters.values())
    if max(counts) > _LARGEST:
        return file.problem(line, "unparsable-amount", "a count is larger than a call can use")
    return usage


def call_rows(
    identity: str,
    line: int | None,
    values: Mapping[str, Value],
    usage: Usage | None,
    *,
    context: dict[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    source: str | None = None,
) -> Iterator[Fact]:
    """The row of a call, and one for each call that the provider made within it.

    ``values`` need no usage columns; what they hold of them wins (a gateway's own cost). Absent values are left out.
    ``usage`` None: the record does not tell it.
    """
    told = _told(usage, context) if usage is not None else {}
    said = (told.get("x_Remarks"), values.get("x_Remarks"))
    remarks = {code for codes in said if isinstance(codes, str) for code in codes.split(";")}
    row = {**told, **values, "x_Remarks": ";".join(sorted(remarks)) or None}
    yield Fact(identity, line, _known({"x_Kind": "call", "x_Requests": 1, **row}), tags or {}, source)
    if usage is None:
        return
    model = values.get("gen_ai_response_model") or values.get("gen_ai_request_model")
    outer = {name: value for name, value in values.items() if name not in _ONCE}
    for suffix, inner_model, inner in inner_calls(usage, model if isinstance(model, str) else None):
        told = _told(inner, {**usage.context, **(context or {})})
        del told[meter_column("requests")]
        own = {"x_Kind": "call", "x_Requests": 0, "gen_ai_response_model": text(inner_model), **told}
        yield Fact(f"{identity}#{suffix}", line, _known({**outer, **own}), tags or {}, source)


def _told(usage: Usage, context: dict[str, str] | None) -> dict[str, Value]:
    values = usage_values(usage, context=context)
    return values | {"x_PriceContext": text(values["x_PriceContext"])}


def _known(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if value is not None}
