"""The accelerator that a driver's model name means, as :mod:`outlay.prices.gpus` calls it.

``NVIDIA H100 80GB HBM3`` is an ``H100``, ``NVIDIA A100-SXM4-80GB`` an ``A100-80GB``. A name that is not in the table of
cards, or that leaves the memory open where a card was sold with two sizes, means no card: never the nearest one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from outlay.prices.gpus import gpu

__all__ = ["gpu_type"]

_MAKER = re.compile(r"^(?:nvidia|tesla|quadro|geforce|graphics device)\b[\s-]*", re.IGNORECASE)
_SOLD_TWICE = {"A100": ("40GB", "80GB"), "V100": ("16GB", "32GB")}
_RTX_PRO = re.compile(r"^RTX PRO (\d{4}) Blackwell Server Edition\b", re.IGNORECASE)
_CARD = re.compile(r"^(GH200|GB[23]00|[A-Z]{1,2}\d{1,3}[A-Za-z]?)(?=$|[\s-])")
_MEMORY = re.compile(r"(\d+)\s?GB\b", re.IGNORECASE)


@lru_cache(maxsize=1024)
def gpu_type(model: str | None) -> str | None:
    """The name in the table of cards; None where the model name does not tell one."""
    name = (model or "").strip()
    while (shorter := _MAKER.sub("", name)) != name:
        name = shorter
    if pro := _RTX_PRO.match(name):
        return _known(f"RTX-PRO-{pro[1]}")
    found = _CARD.match(name)
    if found is None:
        return None
    card = found[1]
    if card.upper() == "T4G":
        return _known("T4g")
    if card in _SOLD_TWICE:
        memory = _MEMORY.search(name)
        return _known(f"{card}-{memory[1]}GB") if memory else None
    if card == "H100" and re.search(r"\bNVL\b", name):
        return _known("H100-NVL")
    return _known(card)


def _known(name: str) -> str | None:
    return name if gpu(name) is not None else None
