"""What an answer leaves unsaid of its price, taken from what was asked.

Every large provider says in its answers which tier of service a call got, how fast and where it ran. Servers that copy
their APIs may serve what was asked and say nothing; then the dearer that was asked for is what may be billed. Chat
completions that search bill a search, and no count of their answers tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from outlay.gateway.incoming import Call
from outlay.prices.usage import Usage

__all__ = ["with_what_was_asked"]

_DEARER = {"service_tier": ("priority",), "speed": ("fast",), "inference_geo": None}
"""What may be asked for that costs more; None: any place."""
_SPELLINGS = {"service_tier": ("service_tier", "serviceTier", "trafficType")}
_WITHIN = ("usage", "usageMetadata")
_SEARCHES = "web_searches"


def with_what_was_asked(usage: Usage, raw: Mapping[str, Any], call: Call) -> Usage:
    """The usage of an answer, with the tier, the speed and the place that were asked for where ``raw`` tells none."""
    body = call.body
    if not _DEARER.keys().isdisjoint(body) or "serviceTier" in body:
        asked = {key: value for key in _DEARER if (value := _asked(body, key)) is not None and not _told(raw, key)}
        if asked:
            usage = replace(usage, context=MappingProxyType({**usage.context, **asked}))
    if call.wire.name == "chat" and _SEARCHES in call.spoken.tools and _SEARCHES not in usage.meters:
        usage = replace(usage, meters=MappingProxyType({**usage.meters, _SEARCHES: 1}))
    return usage


def _asked(body: Mapping[str, Any], key: str) -> str | None:
    said = next((body[name] for name in _SPELLINGS.get(key, (key,)) if body.get(name) is not None), None)
    said = said.get("type") if isinstance(said, Mapping) else said  # Bedrock: {"type": "priority"}
    if not isinstance(said, str):
        return None
    found, dearer = said.strip().lower(), _DEARER[key]
    return found if dearer is None or found in dearer else None


def _told(raw: Mapping[str, Any], key: str) -> bool:
    places = [raw, *(one for name in _WITHIN if isinstance(one := raw.get(name), Mapping))]
    return any(isinstance(place.get(name), str) for place in places for name in _SPELLINGS.get(key, (key,)))
