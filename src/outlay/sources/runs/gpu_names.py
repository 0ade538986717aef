"""What a scheduler or a tracker calls a GPU, as :mod:`outlay.prices.gpus` names it; and what share a MIG slice is.

Sites name their GPUs as they like: ``h100``, ``nvidia_h100_80gb_hbm3``, ``NVIDIA A100-SXM4-80GB``, ``a100_1g.5gb``.
The card's family and its memory are read from such a name. A name that holds none of our cards is kept as the source
spells it. V100 and A100 were sold with two sizes of memory: without the size the family alone is named.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

from outlay.prices.gpus import gpus

__all__ = ["gpu_type", "slice_share"]

_SLICE = re.compile(r"(?<![0-9a-z])([1-7])g\.(\d+)gb", re.IGNORECASE)
_MEMORY = re.compile(r"\b(\d{2,3}) ?g(?:i?b)?\b")
_SIZED = re.compile(r"-(\d+)gb$")
_A30_MEMORY = {"1": "6", "2": "12", "4": "24"}
"""The A30 is cut into four; all later cards that can be cut, into seven."""


@cache
def gpu_type(name: str | None) -> str | None:
    """The card that ``name`` means, e.g. ``H100`` or ``A100-80GB``; ``name`` itself where none of ours is in it."""
    if not name:
        return None
    words = _words(_SLICE.sub(" ", name))
    for spelled, card in _cards():
        if re.search(rf"\b{spelled}\b", words):
            sizes = _sizes().get(card)
            if sizes is None:
                return card
            memory = _MEMORY.search(words)
            return sizes.get(memory.group(1), card) if memory else card
    return name


def slice_share(name: str | None) -> Fraction:
    """The share of a card that one GPU of this name is: 1/7 for ``a100_1g.5gb``, 1 for a whole card."""
    found = _SLICE.search(name or "")
    if found is None:
        return Fraction(1)
    parts, memory = found.groups()
    return Fraction(int(parts), 4 if _A30_MEMORY.get(parts) == memory else 7)


def _words(name: str) -> str:
    """``name`` in lower case with blanks between its parts; ``V100M16`` is a V100 with 16 GB."""
    return re.sub(r"[\s_:/-]+", " ", re.sub(r"(v100)m(\d+)$", r"\1 \2gb", name.strip().casefold())).strip()


@cache
def _cards() -> tuple[tuple[str, str], ...]:
    """Each card, or family of cards that differ in memory: how it is spelled in words, and its name; longest first."""
    names = {_SIZED.sub("", card.name.casefold()): card.name for card in gpus() if not card.name.startswith("TPU")}
    named = {
        _words(folded): folded.upper() if _SIZED.search(name.casefold()) else name for folded, name in names.items()
    }
    return tuple(sorted(named.items(), key=lambda one: -len(one[0])))


@cache
def _sizes() -> dict[str, dict[str, str]]:
    """Family -> memory in GB -> card, of the families that were sold with several sizes."""
    found: dict[str, dict[str, str]] = {}
    for card in gpus():
        if size := _SIZED.search(card.name.casefold()):
            found.setdefault(card.name[: size.start()].upper(), {})[size.group(1)] = card.name
    return found
