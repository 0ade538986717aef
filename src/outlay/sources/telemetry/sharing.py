"""How a card is shared at a moment: MIG instances by their slices, time-slicing in equal parts, the rest free.

A MIG instance of profile ``2g.20gb`` has two of the card's seven compute slices (an A30 has four), so it is 2/7 of the
card, whatever memory it has. Time-slicing gives several holders one card (or one instance) without a partition: nobody
measures who used how much, so each is given the same. Shares of a moment always add up to one card.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from outlay.sources.telemetry.samples import NOBODY, Holder, Part

__all__ = ["NOT_SEEN", "Key", "RowKey", "Share", "shares", "slices", "slices_of_card", "whole_card"]

NOT_SEEN = "holder not known"
_UNTOLD = "holder not told"
_SLICED = "time-sliced"
_UNKNOWN_PROFILE = "MIG profile not known"
_PROFILE = re.compile(r"(?:\d+c\.)?(\d{1,2})g\.")
_FOUR_SLICES = re.compile(r"\bA30\b|RTX PRO 6000", re.IGNORECASE)
_SEVEN = 7


class Key(NamedTuple):
    """A part and its holder as one scrape tells them."""

    part: Part
    holder: Holder | None


class RowKey(NamedTuple):
    """What makes a row of an hour: the part, who held it, its share of the card, and what is to be said of it."""

    part: Part
    holder: Holder | None
    share: Fraction
    remark: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """One row's share of a card at a moment.

    ``key`` is the reading it rests on (None: no reading), ``holders`` how many share that part. ``free``: nobody held
    it. ``unseen`` is the row that its time goes to when the telemetry breaks off.
    """

    row: RowKey
    key: Key | None
    holders: int
    free: bool
    unseen: RowKey


def slices(profile: str | None) -> int | None:
    """Compute slices of a MIG profile: ``1g.10gb`` 1, ``3g.40gb+me`` 3, ``1c.3g.40gb`` 3; None for no profile."""
    found = _PROFILE.match(profile or "")
    return int(found[1]) or None if found else None


def slices_of_card(model: str | None) -> int:
    """Compute slices of a whole card: 7 (A100, H100, H200, B200), 4 on an A30 and an RTX PRO 6000."""
    return 4 if _FOUR_SLICES.search(model or "") else _SEVEN


def shares(keys: Sequence[Key], card: Part) -> list[Share]:
    """How a card is shared where a scrape told ``keys``; the shares add up to 1.

    ``card`` is the whole card. Readings of the whole card beside readings of its instances share nothing: the
    instances say it all.
    """
    parts: dict[Part, list[Key]] = {}
    for key in keys:
        parts.setdefault(key.part, []).append(key)
    instances = [part for part in parts if part.instance is not None]
    if not instances:
        return _part_shares(card, [key for part in parts for key in parts[part]], Fraction(1), card)
    known = {part: count for part in instances if (count := slices(part.profile)) is not None}
    whole = max(slices_of_card(card.model), sum(known.values()))
    found = [
        share
        for part in sorted(known, key=_order)
        for share in _part_shares(part, parts[part], Fraction(known[part], whole), card)
    ]
    rest = Fraction(whole - sum(known.values()), whole)
    if rest and len(known) == len(instances):
        free = RowKey(card, NOBODY, rest, None)
        found.append(Share(free, None, 1, True, RowKey(card, None, rest, NOT_SEEN)))
    elif rest:
        unknown = RowKey(card, None, rest, _UNKNOWN_PROFILE)
        found.append(Share(unknown, None, 1, False, unknown))
    return found


def _part_shares(part: Part, keys: Sequence[Key], share: Fraction, card: Part) -> list[Share]:
    held = sorted((key for key in keys if key.holder), key=lambda key: _holder_order(key.holder))
    named = [key for key in held if key.holder != NOBODY]
    unseen = RowKey(part if part.instance else card, None, share, NOT_SEEN)
    if not named:
        free = bool(held)  # an exporter that says so for one series of a part says so for the part
        key = held[0] if held else keys[0]
        row = RowKey(part, NOBODY if free else None, share, None if free else _UNTOLD)
        return [Share(row, key, 1, free, unseen if free else row)]
    each = share / len(named)
    remark = _SLICED if len(named) > 1 else None
    return [Share(row := RowKey(part, key.holder, each, remark), key, len(named), False, row) for key in named]


def _holder_order(holder: Holder | None) -> tuple[str, ...]:
    if holder is None:
        return ()
    return tuple(text or "" for text in (holder.namespace, holder.name, holder.container, holder.job))


def _order(part: Part) -> tuple[str, str]:
    return part.instance or "", part.profile or ""


def whole_card(part: Part) -> Part:
    """The card that a part belongs to."""
    return replace(part, instance=None, profile=None) if part.instance is not None else part
