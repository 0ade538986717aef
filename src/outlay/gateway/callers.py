"""Who calls: the virtual key of a request, and the tags that it and the request carry.

A key comes where the caller's client puts the provider's: ``Authorization: Bearer`` (OpenAI), ``x-api-key``
(Anthropic), ``api-key`` (Azure), ``x-goog-api-key`` (Gemini). More tags come with
``x-outlay-tags: use_case=chat, feature=summary``; what the key says can't be changed by them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from outlay.gateway.refusal import Refusal
from outlay.operate.quotas.quota import Scope

__all__ = ["SECRET_HEADERS", "Caller", "Callers", "Keys", "secret_of", "with_tags"]

SECRET_HEADERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
TAGS_HEADER = b"x-outlay-tags"
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_TAGS = 32
_LONGEST_VALUE = 256
_RESERVED = frozenset({"key", "model", "upstream", "provider"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a key stands for. ``models`` are those that it may call; empty: all."""

    key: str
    tags: Mapping[str, str]
    models: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()

    def may_call(self, model: str) -> bool:
        """Whether the key is for this model."""
        return not self.models or Scope((("model", self.models),)).fits({"model": model})


class Keys(Protocol):
    """Finds the caller of a secret."""

    def find(self, secret: str) -> Caller | str:
        """The caller, or why there is none, in words for whoever holds the secret."""


def secret_of(headers: Mapping[bytes, bytes]) -> str:
    """The secret that a request carries. Raises :class:`Refusal`."""
    for name in SECRET_HEADERS:
        value = headers.get(name)
        if value:
            found = value.decode("latin-1").strip()
            return found[7:].strip() if found[:7].lower() == "bearer " else found
    raise Refusal(401, "no_key", "Send the gateway's key where the provider's would be: Authorization: Bearer KEY.")


def with_tags(caller: Caller, said: bytes | None, required: Sequence[str]) -> dict[str, str]:
    """The tags of a call, its key's and its own. Raises :class:`Refusal` that says which required one is missing."""
    tags = dict(caller.tags)
    if said:
        for name, value in _read(said):
            if tags.get(name, value) != value:
                message = f"the tag {name} is '{tags[name]}' by the key, and can't be '{value}' for a request."
                raise Refusal(400, "tag_of_key", message, {"tag": name})
            tags[name] = value
    if missing := [name for name in required if not tags.get(name)]:
        listed = ", ".join(missing)
        message = f"the call lacks the required tag {listed}. Send it: x-outlay-tags: {missing[0]}=VALUE."
        if len(missing) > 1:
            message = f"the call lacks the required tags {listed}. Send them: x-outlay-tags: {missing[0]}=VALUE, ..."
        raise Refusal(400, "missing_tag", message, {"missing": missing})
    return tags


@lru_cache(maxsize=256)
def _read(said: bytes) -> tuple[tuple[str, str], ...]:
    try:
        text = said.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "bad_tags", "x-outlay-tags is no UTF-8 text.") from None
    found = []
    for part in text.split(","):
        name, equals, value = (one.strip() for one in part.partition("="))
        if not part.strip():
            continue
        if not equals or not _TAG.fullmatch(name) or len(value) > _LONGEST_VALUE or not value.isprintable():
            raise Refusal(400, "bad_tags", f"x-outlay-tags: '{part.strip()[:80]}' is not written name=value.")
        if name in _RESERVED:
            raise Refusal(400, "bad_tags", f"x-outlay-tags: '{name}' is known of every call and can't be a tag.")
        found.append((name, value))
    if len(found) > _MOST_TAGS:
        raise Refusal(400, "bad_tags", f"x-outlay-tags: {len(found)} tags are more than {_MOST_TAGS}.")
    return tuple(found)


class Callers:
    """The callers of a gateway: their keys, and the tags that each call must carry."""

    def __init__(self, keys: Keys, required: Sequence[str]) -> None:
        self._keys = keys
        self._required = tuple(required)

    def of(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Who sent a request. Raises :class:`Refusal`."""
        found = self._keys.find(secret_of(headers))
        if isinstance(found, str):
            raise Refusal(401, "invalid_key", found)
        return found

    def tags(self, caller: Caller, headers: Mapping[bytes, bytes]) -> dict[str, str]:
        """The tags of a call. Raises :class:`Refusal`."""
        return with_tags(caller, headers.get(TAGS_HEADER), self._required)
