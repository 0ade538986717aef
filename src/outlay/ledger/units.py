"""Units of measure: what one unit of a quantity on a bill holds.

FOCUS writes a unit as ``<quantity> <plural unit>`` (UnitFormat): ``1000000 Tokens``, ``100 Hours``,
``GB-Months``. Bills write ``1K tokens``, ``1M``, ``Hrs``, ``1 /Hour``, ``1 hora``, ``count``. A price stands
for one *block* of the unit, so the block is a factor of every unit cost: ``0.003`` for ``1K tokens`` and
``3`` for ``1000000 Tokens`` are the same price, and a provider has changed from one to the other in the
middle of a month. So the unit is read on each row, never assumed.

``parse_unit("1K tokens")`` gives ``Unit("tokens", Decimal(1000), "tokens")``. The block sizes agree with
Microsoft's published table of pricing units (finops-toolkit, ``PricingUnits.csv``), which has no token unit.

Three traps:

- ``Token-Hours`` are what keeping a context cached costs. They are not tokens and never add to a token count.
- A vendor's virtual currency may be called Token (FOCUS 1.2, PricingCurrency). A bare ``Token``, singular and
  without a block, parses as a token unit, because token vendors write it too; whether the row buys
  language-model tokens is decided by the caller, from the row: :mod:`outlay.sources.recognise` never takes a
  bare ``Token`` as a sign of AI.
- A bare number (``1K``, ``1000``) says how many, not of what. Its kind is ``units``; on an Azure token meter
  they are tokens. ``10000s`` is the name of a unit, not a block: Microsoft's table gives it block 1.

Text that is not understood is a Unit of kind ``unknown``, never an error: a bill with a strange unit still
adds up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

__all__ = ["Unit", "UnitKind", "parse_unit"]

UnitKind = Literal[
    "tokens", "token_hours", "throughput_hours", "characters", "images",
    "hours", "gpu_hours", "resource_hours", "unit_hours", "minutes", "seconds", "days", "months", "years",
    "gb", "data", "data_time", "unit_time", "requests", "count", "units", "unknown",
]  # fmt: skip
"""What a unit counts.

``hours`` are hours of the thing itself (an instance); ``resource_hours`` hours of a named share of it
(vCPU-Hours, LCU-Hours); ``unit_hours`` units held for an hour (``1/Hour``) and ``unit_time`` for another time
(``1/Month``); ``throughput_hours`` reserved tokens a minute (``1M TPM Hour``); ``gb`` exactly GB; ``data``
another size (MB, TiB); ``data_time`` data kept for a time (GB-Months); ``count`` Google's word for a bare
number; ``unknown`` any other noun (Connections, DBU).
"""

_ONE = Decimal(1)
_LONGEST_UNIT = 200
"""Characters. A longer text is no unit, and is not worth matching."""
_HOURS_OF = {
    "hours": _ONE, "unit_hours": _ONE, "gpu_hours": _ONE, "days": Decimal(24),
}  # fmt: skip
_PARTS_OF_AN_HOUR = {"minutes": Decimal(60), "seconds": Decimal(3600)}


@dataclass(frozen=True, slots=True)
class Unit:
    """A parsed unit: what it counts, how many of them one unit holds, and its own name without the block."""

    kind: UnitKind
    block: Decimal
    name: str

    @property
    def tokens(self) -> Decimal | None:
        """Tokens in one unit; None when the unit does not count tokens."""
        return self.block if self.kind == "tokens" else None

    @property
    def hours(self) -> Decimal | None:
        """Hours in one unit, at 28 digits; None when the unit is not a time with a fixed number of hours."""
        factor = _HOURS_OF.get(self.kind)
        if factor is not None:
            return self.block * factor
        part = _PARTS_OF_AN_HOUR.get(self.kind)
        return self.block / part if part is not None else None


_NUMBER = re.compile(
    r"""(?:(?i:per)\s+)?
        (?P<digits>\d{1,3}(?:,\d{3}){1,5}(?![\d,])|\d{1,18}(?:\.\d{1,9})?(?!\d))
        (?:\s?(?P<suffix>[KkMB]|[mb](?=\s+tokens?\b))(?![A-Za-z]))?
        (?P<rest>.*)""",
    re.VERBOSE | re.DOTALL,
)
_WORD_NUMBER = re.compile(r"(?:per\s+)?(?P<word>thousand|million|billion)\s+(?P<rest>\S.*)", re.IGNORECASE | re.DOTALL)
_SUFFIX = {"k": Decimal(1000), "m": Decimal(10**6), "b": Decimal(10**9)}
_WORD = {"thousand": Decimal(1000), "million": Decimal(10**6), "billion": Decimal(10**9)}

_HOUR = r"h|hr|hrs|hour|hours|hour\(s\)|hora|horas|小时|小時|時間|stunde|stunden|heure|heures|ora|ore"
_MONTH = r"mo|month|months|month\(s\)|mes|meses|月|monat|monate|mois|mese|mesi"
_TIME = rf"{_HOUR}|{_MONTH}|second|seconds|minute|minutes|day|days|year|years"
_SIZE = r"(?:[kmgtpe]i?)?b|bytes?|(?:kilo|mega|giga|tera|peta|kibi|mebi|gibi|tebi|pebi)bytes?"

_PATTERNS: tuple[tuple[UnitKind, str], ...] = (
    ("throughput_hours", rf".*\btp[ms]\b.*(?:{_HOUR})"),
    ("token_hours", rf".*\btokens?[ _/-]*(?:per )?(?:{_HOUR}|storage[ -]hours?)"),
    ("tokens", r"(?:.*[\W_])?(?:tokens?|tkns?)(?:[\W_](?!requests?\b).*)?"),
    ("hours", rf"(?:instance[ -]?|clock[ -]?|wall[ -]?)?(?:{_HOUR})"),
    ("gpu_hours", rf"(?:.*[\W_])?(?:gpus?|accelerators?)[ _/-]*(?:per )?(?:{_HOUR})"),
    ("unit_hours", rf"/ ?(?:{_HOUR})|(?:hourly )?units?(?:/| per )(?:{_HOUR})|hourly units?"),
    ("unit_time", rf"/ ?\d* ?(?:{_TIME})|(?:daily )?units?/(?:{_TIME})|daily units?"),
    ("minutes", r"min|mins|minute|minutes|minute\(s\)|duration_minutes"),
    ("seconds", r"sec|secs|second|seconds|second\(s\)|duration_seconds"),
    ("hours", r"duration_hours"),
    ("days", r"day|days|day\(s\)"),
    ("months", rf"(?:por )?(?:{_MONTH})"),
    ("years", r"year|years|yr|yrs"),
    ("gb", r"gb|gigabytes?"),
    ("data", rf"{_SIZE}"),
    ("data_time", rf"(?:.*[\W_])?(?:{_SIZE})[ _/-]*(?:per |/ ?)?(?:{_TIME})"),
    ("resource_hours", rf".+[ _/-](?:per )?(?:{_HOUR})"),
    ("characters", r"(?:.*[\W_])?(?:characters?|chars?)"),
    ("images", r"images?"),
    ("requests", r"(?:api[ -])?(?:requests?|calls?)|num_requests"),
    ("count", r"counts?"),
    ("units", r"|units?"),
)
_KINDS = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


def _number(text: str) -> tuple[Decimal, str]:
    """The leading quantity of ``text`` and what follows it; 1 and the whole text when there is none."""
    worded = _WORD_NUMBER.fullmatch(text)
    if worded:
        return _WORD[worded["word"].lower()], worded["rest"]
    numbered = _NUMBER.fullmatch(text)
    if not numbered:
        return _ONE, text.removeprefix("Per ").removeprefix("per ")
    block = Decimal(numbered["digits"].replace(",", "")) * _SUFFIX.get((numbered["suffix"] or "").lower(), _ONE)
    rest = numbered["rest"]
    scaled = _WORD_NUMBER.fullmatch(rest.strip())
    if scaled:  # "1 million tokens"; a "1 Million" with nothing after it is a unit called Million
        return block * _WORD[scaled["word"].lower()], scaled["rest"]
    return block, rest


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit:
    """Read a unit as a bill writes it: PricingUnit, ConsumedUnit, UnitOfMeasure, ``pricing/unit``,
    ``quantity_unit``.

    Never raises. ``block`` is a positive Decimal, 1 where the text gives no quantity (or gives zero);
    ``name`` is the text after the quantity, with ``Units`` put in front of a bare ``/Hour``.
    """
    whole = " ".join(text.split())
    if not whole or len(whole) > _LONGEST_UNIT:
        return Unit("unknown", _ONE, whole)
    block, rest = _number(whole)
    if block <= 0 or rest == "s":
        return Unit("unknown", _ONE, whole)
    noun = re.sub(r"^1 (?=\D)", "", rest.strip(" _-") if rest != whole else whole)  # "1 1 Hour"
    folded = noun.casefold()
    kind: UnitKind = next((kind for kind, pattern in _KINDS if pattern.fullmatch(folded)), "unknown")
    name = f"Units{noun}" if noun.startswith("/") else noun
    return Unit(kind, block, name or "Units")
