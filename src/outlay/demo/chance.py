"""Chance that repeats: a small integer hash, the same in Python and in SQL.

A demonstration that changes between two machines can't be checked, so nothing here draws random numbers. Engines'
own ``hash()`` and ``random()`` change with the version and the thread count; this mixer is plain 31-bit
arithmetic (xor, shift, multiply, keep the low 31 bits; the xor-shift-multiply scheme of the MurmurHash3
finaliser), which every engine that has 64-bit integers computes alike. Keys come from SHA-256 of the seed and a
name, so a new line of the bill changes no other line.
"""

from __future__ import annotations

import hashlib

__all__ = ["MIX_MACROS", "identity", "key_of", "mix"]

_MASK = 0x7FFFFFFF
_SPREAD = 1_103_515_245
_MULTIPLIER = 73_244_475

MIX_MACROS = f"""
CREATE TEMP MACRO mix_round(x, shift) AS (xor(x, x >> shift) * {_MULTIPLIER}) & {_MASK};
CREATE TEMP MACRO mix_last(x) AS xor(x, x >> 16);
CREATE TEMP MACRO mix(k, t) AS
    mix_last(mix_round(mix_round(xor(k::BIGINT, (t::BIGINT * {_SPREAD}) & {_MASK}), 16), 15));
"""
"""The same in DuckDB, as ``mix(key, time)``."""


def key_of(seed: int, *names: str | int) -> int:
    """A key in ``[0, 2**31)`` for ``names`` under ``seed``."""
    digest = hashlib.sha256("/".join([str(seed), *map(str, names)]).encode()).digest()
    return int.from_bytes(digest[:4], "big") & _MASK


def identity(seed: int, *names: str | int, digits: int = 16) -> str:
    """A made-up hexadecimal identifier, for resource ids."""
    return hashlib.sha256("/".join(["id", str(seed), *map(str, names)]).encode()).hexdigest()[:digits]


def mix(key: int, time: int) -> int:
    """A number in ``[0, 2**31)`` that depends on every bit of ``key`` and ``time`` (hours or days since 1970)."""
    value = key ^ ((time * _SPREAD) & _MASK)
    value = ((value ^ (value >> 16)) * _MULTIPLIER) & _MASK
    value = ((value ^ (value >> 15)) * _MULTIPLIER) & _MASK
    return value ^ (value >> 16)
