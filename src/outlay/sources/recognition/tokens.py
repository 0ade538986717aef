"""Token meters: what a meter's name says about the tokens it sells.

Where the bill has FOCUS' draft keys (TokenDirection, TokenCacheAction, or the earlier TokenType) they decide.
Everywhere else the meter's name is all there is, and every provider has its own shorthand, more than one at a
time:

- AWS: ``USE1-NovaPro-cache-read-input-token-count``, ``USE1-Claude3Sonnet-input-tokens-batch``,
  ``USW2-MP:USW2_InputTokenCount_Global-Units``, ``USE1-MP:USE1_cache_write_tokens_1h_global_standard-Units``;
  the description of the last two says ``Million Response Tokens Regional``.
- Azure: ``gpt 4o 0806 cached Inp regnl Tokens``, ``gpt-4o-mini-0718-Batch-Outp-glbl Tokens``, ``5.4 mini cd
  Inp Gl 1M Tokens``, ``5.6 sol ShortCo Cd Wr Std Gl 1M Tokens`` (cd: cached, wr: written, opt: output, pp:
  priority).
- Google: ``Gemini 2.5 Flash Text Input - Predictions`` (counts; tokens from Gemini 2 on, characters before),
  ``Gemini 3 Flash Text Input Caching``, ``Generate content output token count gemini 2.5 flash short input
  text``.
- OpenAI: ``gpt-4o-2024-08-06, cached input``.

So a name is cut into words (capitals inside a word cut it too) and the words are looked up; a name that says
both directions outside a phrase like *output token count* says neither. What a name does not say stays None.

A cache word (read, written, cached) makes a meter an input meter: FOCUS has no cache action on output. An
input meter without a cache word is ``Uncached``. No word for a tier is the provider's standard tier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from outlay.ledger.units import Unit

__all__ = ["TokenMeter", "keyed_meter", "named_meter", "tokens_per_unit"]


@dataclass(frozen=True, slots=True)
class TokenMeter:
    """What a meter says: whether it sells tokens at all, and which."""

    says_tokens: bool = False
    is_storage: bool = False
    direction: str | None = None
    cache_action: str | None = None
    tier: str | None = None
    is_training: bool = False


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
_SPLIT = re.compile(r"[^A-Za-z0-9.]+")

_INPUT = frozenset({"input", "inputs", "inp", "inpt", "prompt"})
_OUTPUT = frozenset(
    {"output", "outputs", "outp", "outpt", "otpt", "opt", "out", "response", "completion", "completions"}
)
_CACHED = frozenset({"cache", "cached", "cach", "caching", "cchd", "ccchd", "chd", "cd"})
_WRITE = frozenset({"write", "writes", "written", "wr", "creation", "created", "write1h", "write5m"})
_READ = frozenset({"read", "reads", "hit", "hits"})
_TOKENS = frozenset({"token", "tokens", "tkn", "tkns", "tokencount"})
_DEPLOYMENTS = frozenset({"gl", "glbl", "global", "dz", "dzn", "dzone", "datazone", "rg", "regnl", "regional"})
_TIERS = {
    "batch": "batch", "flex": "flex", "priority": "priority", "pp": "priority", "provisioned": "provisioned",
    "standard": "standard", "std": "standard", "default": "standard", "auto": "standard",
}  # fmt: skip
_TRAINING = frozenset({"training", "trng"})

_PHRASE = re.compile(r"\b(input|inp|output|outp|response|prompt)(?: (?:text|image|audio|video))? tokens?\b")
_GEMINI = re.compile(r"\bgemini (\d+)")


def words(text: str) -> tuple[str, ...]:
    """``text`` as lower-case words: ``BatchOutp DataZone`` gives batch, outp, data, zone."""
    return tuple(filter(None, _SPLIT.split(_CAMEL.sub(" ", text).casefold())))


def named_meter(text: str) -> TokenMeter:
    """Read a meter's name, a usage type, a SKU id or a charge's description."""
    cut = words(text)
    said = frozenset(cut)
    joined = " ".join(cut)
    says_tokens = not said.isdisjoint(_TOKENS) and "tpm" not in said
    cache = _cache_word(said)
    storage = cache is not None and "storage" in said
    direction = _direction(cut, said, joined)
    if direction is None and cache in ("Read", "Write"):
        direction = "Input"
    tiers = {_TIERS[word] for word in cut if word in _TIERS}
    return TokenMeter(
        says_tokens=says_tokens or _gemini_counts(said, joined),
        is_storage=storage or "token hour" in joined,
        direction=None if storage else direction,
        cache_action=(cache or "Uncached") if direction == "Input" and not storage else None,
        tier=_tier(tiers, joined),
        is_training=not said.isdisjoint(_TRAINING),
    )


def _cache_word(said: frozenset[str]) -> str | None:
    if "uncached" in said or ("cache" in said and "miss" in said):
        return "Uncached"
    if said.isdisjoint(_CACHED):
        return None
    return "Read" if said.isdisjoint(_WRITE) else "Write"


def _direction(cut: tuple[str, ...], said: frozenset[str], joined: str) -> str | None:
    phrase = _PHRASE.search(joined)
    if phrase:
        return "Input" if phrase[1].startswith(("in", "prompt")) else "Output"
    entering = not said.isdisjoint(_INPUT) or any(
        word == "in" and after in _DEPLOYMENTS for word, after in pairwise(cut)
    )
    leaving = not said.isdisjoint(_OUTPUT)
    if entering == leaving:
        return None
    return "Input" if entering else "Output"


def _tier(tiers: set[str], joined: str) -> str | None:
    special = tiers - {"standard"}
    if len(special) == 1:
        return special.pop()
    if special or "latency optimized" in joined:
        return None
    return "standard"


def _gemini_counts(said: frozenset[str], joined: str) -> bool:
    """Google's SKU counts tokens without saying so: Gemini 2 and later, predictions or cached input, not characters."""
    version = _GEMINI.search(joined)
    if version is None or int(version[1]) < 2 or not said.isdisjoint({"character", "characters", "storage", "tuning"}):
        return False
    return not said.isdisjoint({"predictions", "prediction", "caching"}) and not said.isdisjoint({"input", "output"})


_TYPES = {
    "input": ("Input", "Uncached"), "output": ("Output", None),
    "cacheread": ("Input", "Read"), "cachewrite": ("Input", "Write"),
}  # fmt: skip
_DIRECTIONS = {"input": "Input", "output": "Output"}
_ACTIONS = {"read": "Read", "write": "Write", "uncached": "Uncached"}


def keyed_meter(details: dict[str, str], named: TokenMeter) -> TokenMeter:
    """``named`` corrected by the keys of SkuPriceDetails, where they speak."""
    if not details:
        return named
    kind = _TYPES.get(re.sub(r"[\s_-]", "", details.get("tokentype", "")).casefold())
    direction = _DIRECTIONS.get(details.get("tokendirection", "").casefold()) or (kind[0] if kind else None)
    if direction is None:
        direction, action = named.direction, named.cache_action
    else:
        said = _ACTIONS.get(details.get("tokencacheaction", "").casefold()) or (kind[1] if kind else None)
        action = (said or named.cache_action or "Uncached") if direction == "Input" else None
    tier = _TIERS.get((details.get("servicetier") or details.get("tier") or "").casefold(), named.tier)
    return TokenMeter(named.says_tokens, named.is_storage, direction, action, tier, named.is_training)


_MOST_TOKENS = Decimal(10**15)
"""A larger block is a mistake, and its product with a quantity would not fit the ledger's columns."""

_BLOCK = re.compile(
    r"\b1\s?(?P<short>[km])\s+(?:tokens?|tkns?)\b"
    r"|\bper\s+(?P<per>1\s?k|1,?000|1\s?m|1,?000,?000)\s+(?:[\w-]+\s+){0,4}?tokens?\b"
    r"|\b(?P<word>thousand|million)\s+(?:[\w-]+\s+){0,5}?tokens?\b",
    re.IGNORECASE,
)


def tokens_per_unit(unit: Unit, *texts: str) -> Decimal | None:
    """Tokens in one ``unit`` of a row that sells tokens; None when neither the unit nor a text says how many.

    A bare number (``1K``) is the block, since the meter says that it counts tokens. Bare ``Units`` say
    nothing: on AWS Marketplace rows they are millions or thousands of tokens, and only the description says
    which. Google's ``count`` is one.
    """
    if unit.kind in ("tokens", "count") or (unit.kind == "units" and unit.block > 1):
        whole = unit.block.to_integral_value()
        return whole if whole == unit.block and whole <= _MOST_TOKENS else None
    if unit.kind == "units":
        found = next(filter(None, map(_BLOCK.search, texts)), None)
        if found:
            size = (found["short"] or found["per"] or found["word"]).casefold().replace(",", "").replace(" ", "")
            return Decimal(1000) if size in ("k", "1k", "1000", "thousand") else Decimal(1_000_000)
    return None
