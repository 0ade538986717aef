"""What is said to the scripts, and what they answer, as text.

An amount is two whole numbers, ``hi * 10**12 + lo``, for Lua counts with doubles. One above a billion of a currency is
said as a billion: no limit may be that high, so that it is denied as it would be.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from outlay.errors import ConfigError
from outlay.operate.quotas.ask import Amounts, Ask, Denied, Held
from outlay.operate.quotas.limit import is_money
from outlay.operate.quotas.quota import Attributes, Quota

__all__ = [
    "LARGEST",
    "Call",
    "Kept",
    "Row",
    "Shape",
    "call",
    "granted",
    "matching",
    "pair",
    "refused",
    "row_of",
    "whole",
]

_BASE = 10**12
_SAID, _BUCKET, _ASKED = struct.Struct("<7d"), struct.Struct("<2d"), struct.Struct("<5d")
_WRITTEN = json.JSONEncoder(separators=(",", ":")).encode
LARGEST = 10**27
"""A billion of a currency, in its smallest unit."""
_MOST_UNITS = 10**9
"""More units of output than this are not chosen for a caller who named no number."""


def pair(amount: int) -> str:
    """An amount for a script."""
    hi, lo = _pair(amount)
    return f"{hi} {lo}"


def _pair(amount: int) -> tuple[int, int]:
    return divmod(amount if amount < LARGEST else LARGEST, _BASE)


def whole(hi: str | bytes, lo: str | bytes) -> int:
    """An amount from a script."""
    return int(hi) * _BASE + int(lo)


class Shape:
    """A quota as the scripts are told of it, with the bucket of the moment. Raises :class:`ConfigError`."""

    __slots__ = ("_from", "_said", "_text", "_until", "quota")

    def __init__(self, quota: Quota) -> None:
        limit, starts = quota.limit, quota.throttle_from
        if limit.amount > LARGEST:
            raise ConfigError(
                f"the limit {limit} of '{quota.id}' is above what Redis can count exactly.",
                where="[[quotas]]",
                hint="Keep it below a billion of a currency.",
            )
        throttle = (-1, 0) if starts is None else _pair(starts)
        length = limit.window.length if limit.window.kind == "sliding" else 0
        self.quota = quota
        self._said = _SAID.pack(*_pair(limit.amount), quota.mode == "enforce", *throttle, quota.slowest, length)
        self._text = b""
        self._from = self._until = 0

    def text(self, now: int) -> bytes:
        """The quota and the bucket of ``now``."""
        if not self._from <= now < self._until:
            window = self.quota.limit.window
            begins = window.bucket(now)
            ends = window.ends(begins)
            self._from, self._until = begins, ends - (window.length if window.kind == "sliding" else 0)
            self._text = self._said + _BUCKET.pack(begins, ends)
        return self._text


class Row:
    """A counter that a call falls under: a quota, or one value of it, and the key that it is kept under."""

    __slots__ = ("key", "quota", "shape", "values")

    def __init__(self, shape: Shape, values: tuple[str, ...], prefix: str) -> None:
        self.shape, self.quota, self.values = shape, shape.quota, values
        name = "|".join(quote(one, safe=":", errors="surrogatepass") for one in (self.quota.identity, *values))
        self.key = f"{prefix}count:{name}".encode()


def row_of(key: bytes, shapes: Mapping[str, Shape], prefix: str) -> Row | None:
    """The counter that is kept under a key; None where its quota is no more."""
    name = key.decode()[len(f"{prefix}count:") :]
    identity, *values = (unquote(one, errors="surrogatepass") for one in name.split("|"))
    shape = shapes.get(identity)
    return None if shape is None else Row(shape, tuple(values), prefix)


@dataclass(frozen=True, slots=True)
class Call:
    """An ask as the script is told of it. ``units`` is None where it chooses how many, up to ``most``."""

    units: int | None
    most: bytes
    least: bytes
    body: bytes
    asked: list[bytes]


def call(ask: Ask, rows: Sequence[Row], now: int) -> Call:
    """What is asked of each counter; where there is nothing to choose, with the bound already in it."""
    least, most = ask.least, min(ask.most, max(ask.least, _MOST_UNITS))
    units = None if ask.each and least < most else max(ask.least, ask.most)
    texts: dict[str, bytes] = {}
    for row in rows:
        measure = row.quota.limit.measure
        if measure not in texts:
            texts[measure] = _asked(ask, measure, units)
    asked = [row.shape.text(now) + texts[row.quota.limit.measure] for row in rows]
    body = _WRITTEN([ask.id, dict(ask.attributes), now, dict(ask.fixed), dict(ask.each), units, ask.unbounded])
    if units is not None:
        least = most = 0
    return Call(units, str(most).encode(), str(least).encode(), body.encode(), asked)


def _asked(ask: Ask, measure: str, units: int | None) -> bytes:
    fixed, rate = ask.fixed.get(measure), ask.each.get(measure)
    if fixed is None and rate is None:
        said = _ASKED.pack(2 if is_money(measure) and ask.may_be_unpriced else 1, 0, 0, 0, 0)
    elif units is None:
        said = _ASKED.pack(0, *_pair(fixed or 0), *_pair(rate or 0))
    else:
        said = _ASKED.pack(0, *_pair((fixed or 0) + (rate or 0) * units), 0, 0)
    return said + measure.encode()


def granted(
    words: Sequence[bytes], ask: Ask, quotas: Sequence[Quota | None], *, units: int | None, at: int, expires: int
) -> Held:
    """A hold from how it was granted: units, delay, what it is slowed by, and what shadows would have denied."""
    units = int(words[0]) if units is None else units
    delay, slowest = int(words[1]), int(words[2])
    bound = ask.bound(units)
    shadowed = tuple(
        denied
        for place in range(3, len(words), 6)
        if (denied := refused(words[place : place + 6], ask, quotas, bound)) is not None
    )
    slowed_by = quotas[slowest - 1] if slowest else None
    return Held(ask.id, ask.attributes, at, expires, bound, units, delay, slowed_by.id if slowed_by else None, shadowed)


def refused(words: Sequence[bytes], ask: Ask, quotas: Sequence[Quota | None], bound: Amounts) -> Denied | None:
    """A denial from which counter has no room and how it stands; None where its quota is no more."""
    place, sh, sl, hh, hl, resets = words
    quota = quotas[int(place) - 1]
    if quota is None:
        return None
    if sh == b"U":
        return Denied.boundless(quota, ask.unbounded)
    needed = bound[quota.limit.measure]
    return Denied.over(quota, whole(sh, sl), whole(hh, hl), needed, None if resets == b"-" else int(resets))


class Kept:
    """A hold as Redis keeps it, read by a gateway that need not be the one that made it."""

    __slots__ = ("held",)

    def __init__(self, text: bytes, shapes: Mapping[str, Shape], prefix: str) -> None:
        head, counted, how, body = text.split(b"\n", 3)
        id, attributes, at, fixed, each, units, unbounded = json.loads(body)
        rows = [row_of(key, shapes, prefix) for key in counted.split()[::5]]
        quotas = [None if row is None else row.quota for row in rows]
        ask = Ask(id, attributes, fixed, each, unbounded=unbounded)
        self.held = granted(how.split(), ask, quotas, units=units, at=at, expires=int(head.split()[2]))


def matching(attributes: Attributes, shapes: Sequence[Shape], prefix: str) -> tuple[Row, ...]:
    """The counters that a call with these attributes falls under."""
    return tuple(
        Row(one, one.quota.scope.apart(attributes), prefix) for one in shapes if one.quota.scope.fits(attributes)
    )
