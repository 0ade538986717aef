"""What a prompt shows at a glance: length, code, digits, questions, language, words.

Read in a tenth of a millisecond (2,000 characters) and without a model, so that a gateway can do it on each call.
Shares and logarithms keep long prompts from drowning the rest. Words go into a fixed number of buckets by CRC-32, which
is the same on every machine and in every process, as Python's own ``hash`` is not; their weights have a length of 1, so
that they say which words there are and not how many.

The trap: these are surface marks of the prompts that were logged. What they tell of other prompts is not known.
"""

from __future__ import annotations

import math
import re
import string
import zlib
from collections import Counter

__all__ = ["BUCKETS", "FEATURES", "VERSION", "both", "dense", "words"]

VERSION = 1
"""Changes whenever a feature does: weights of another version can't be used."""
BUCKETS = 256
FEATURES = (
    "log_chars",
    "log_words",
    "log_lines",
    "mean_word",
    "digits",
    "capitals",
    "code_marks",
    "maths_marks",
    "beyond_ascii",
    "log_questions",
    "question_words",
    "code_fence",
    "choices",
)
_READ = 8000
"""Characters that are looked at beyond counting them: what a prompt is shows early."""
_WORD = re.compile(r"\w+")
_QUESTION_WORDS = frozenset(
    {
        "analyse", "analyze", "compare", "derive", "design", "explain", "how", "prove", "solve", "what", "when",
        "where", "which", "who", "why",
    }
)  # fmt: skip
_CODE = frozenset("{}[]();<>=_`#\\")
_MATHS = frozenset("+-*/^%=$<>")
_ASCII = (
    string.digits.encode(),
    string.ascii_uppercase.encode(),
    "".join(sorted(_CODE)).encode(),
    "".join(sorted(_MATHS)).encode(),
)
_CHOICE = re.compile(r"(?m)^\s*\(?[A-E][.):]\s")


def dense(prompt: str) -> tuple[float, ...]:
    """The values of :data:`FEATURES`."""
    head = prompt[:_READ]
    return _dense(prompt, head, _words(head))


def words(prompt: str) -> dict[int, float]:
    """The weights of the buckets that the prompt's words fall into; squared they add up to 1."""
    return _buckets(_words(prompt[:_READ]))


def both(prompt: str) -> tuple[tuple[float, ...], dict[int, float]]:
    """What :func:`dense` and :func:`words` say, the words read once."""
    head = prompt[:_READ]
    found = _words(head)
    return _dense(prompt, head, found), _buckets(found)


def _words(head: str) -> list[str]:
    if head.isascii():  # elsewhere a letter in lower case may be two characters, of which one is none of a word
        return _WORD.findall(head.lower())
    return [one.lower() for one in _WORD.findall(head)]


def _dense(prompt: str, head: str, found: list[str]) -> tuple[float, ...]:
    size = max(1, len(head))
    if head.isascii():  # the same counts, in a fraction of the time
        raw = head.encode()
        digits, capitals, code, maths = (len(raw) - len(raw.translate(None, marks)) for marks in _ASCII)
        beyond = 0
    else:
        digits, capitals = sum(map(str.isdigit, head)), sum(map(str.isupper, head))
        code, maths = sum(one in _CODE for one in head), sum(one in _MATHS for one in head)
        beyond = sum(one > "\x7f" for one in head)
    return (
        math.log1p(len(prompt)),
        math.log1p(len(found)),
        math.log1p(head.count("\n")),
        sum(map(len, found)) / max(1, len(found)),
        digits / size,
        capitals / size,
        code / size,
        maths / size,
        beyond / size,
        math.log1p(head.count("?")),
        sum(map(_QUESTION_WORDS.__contains__, found)) / max(1, len(found)),
        float("```" in head),
        float(len(_CHOICE.findall(head)) >= 2),
    )


def _buckets(found: list[str]) -> dict[int, float]:
    weights: dict[int, float] = {}
    for word, number in sorted(Counter(found).items()):
        bucket = zlib.crc32(word.encode()) % BUCKETS
        weights[bucket] = weights.get(bucket, 0.0) + 1.0 + math.log(number)
    length = math.sqrt(sum(one * one for one in weights.values()))
    return {bucket: one / length for bucket, one in weights.items()}
